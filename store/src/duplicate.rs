//! Ids by which a repeated message is known: a destination keeps its last ones.

use std::fmt;

use crate::batch::Sender;
use crate::key::{DestinationId, MessageNumber};
use crate::page::PageId;

/// So many ids a destination keeps. A commit that brings more lets the oldest go.
pub const DUPLICATE_WINDOW: usize = 20_000;

/// An id that a message came with. It outlives the message, also one that is settled in the commit that brings it.
#[derive(Clone, PartialEq, Eq)]
pub struct DuplicateRecord {
    /// Which destination is to know it. One that is removed takes its ids along.
    pub destination: DestinationId,
    /// The message.
    pub number: MessageNumber,
    /// The id, compared by nobody here: the store keeps one that it has already a second time.
    pub id: Box<[u8]>,
    /// Who hears when it is refused.
    pub sender: Sender,
}

impl fmt::Debug for DuplicateRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplicateRecord")
            .field("destination", &self.destination)
            .field("number", &self.number)
            .field("id", &String::from_utf8_lossy(&self.id))
            .finish_non_exhaustive()
    }
}

/// Asks for the ids that a destination knows.
#[derive(Debug, Clone, Copy)]
pub struct DuplicateRequest {
    /// Comes back with the answer.
    pub id: PageId,
    /// Whose ids.
    pub destination: DestinationId,
    /// At most so many.
    pub rows_max: usize,
}

/// An id that a destination knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateRow {
    /// The message that came with it.
    pub number: MessageNumber,
    /// The id.
    pub id: Box<[u8]>,
}

/// The ids that a destination knows.
#[derive(Debug, Clone)]
pub struct Duplicates {
    /// The request's id.
    pub id: PageId,
    /// The newest first; at most [`DUPLICATE_WINDOW`].
    pub rows: Vec<DuplicateRow>,
}
