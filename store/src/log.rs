//! The log of a topic and its durable subscriptions.
//!
//! A message is one row, however many subscriptions there are; a subscription is a *floor*, up to which it has done
//! with everything, and *exceptions* above it. So one that nobody uses costs a publish nothing.

use std::fmt;
use std::sync::Arc;

use crate::batch::{Payload, Sender};
use crate::key::{DestinationId, MessageNumber, Sequence, SubscriptionId};
use crate::page::PageId;

/// A durable subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRecord {
    /// Chosen by the owner; used once.
    pub id: SubscriptionId,
    /// What it subscribes to. Does not change.
    pub topic: DestinationId,
    /// Whose it is. No two subscriptions have the same; does not change.
    pub identity: Box<str>,
    /// What the owner makes of it is the owner's.
    pub selector: Option<Box<str>>,
    /// Everything up to here is done with. Of what is above it, what a trim had let go of before may be missing.
    pub floor: Sequence,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
}

/// A new message of a topic. Its body row is written with it, or counted once more when the message already has one.
#[derive(Clone)]
pub struct LogAppend {
    /// Whose log.
    pub topic: DestinationId,
    /// Where in it.
    pub sequence: Sequence,
    /// The message.
    pub number: MessageNumber,
    /// Head and body of that message.
    pub payload: Arc<dyn Payload>,
    /// When the message was sent, in ms since 1970.
    pub timestamp_ms: i64,
    /// When it expires, in ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// The owner's: comes back with the row.
    pub tag: i64,
    /// Who hears when it is refused.
    pub sender: Sender,
}

impl fmt::Debug for LogAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogAppend")
            .field("topic", &self.topic)
            .field("sequence", &self.sequence)
            .field("number", &self.number)
            .field("head_bytes", &self.payload.head().len())
            .field("body_bytes", &self.payload.body().len())
            .finish_non_exhaustive()
    }
}

/// Asks for messages of a topic's log with `from <= sequence <= through`, in order, as one subscription has them:
/// with its counts, without what it has acknowledged, above its floor. A subscription that is not there has
/// acknowledged nothing.
#[derive(Debug, Clone, Copy)]
pub struct LogPageRequest {
    /// Comes back with the page.
    pub id: PageId,
    /// Whose log.
    pub topic: DestinationId,
    /// For whom.
    pub subscription: SubscriptionId,
    /// First position, inclusive.
    pub from: Sequence,
    /// Last position, inclusive.
    pub through: Sequence,
    /// At most so many rows.
    pub rows_max: usize,
    /// Stop after the row with which heads and bodies together exceed this; at least one row comes.
    pub bytes_max: usize,
}

/// Stored counts of a topic's log. What a trim has still to remove counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTally {
    /// The topic.
    pub topic: DestinationId,
    /// Messages.
    pub count: u64,
    /// Bytes of their heads and bodies.
    pub bytes: u64,
    /// No message stands before this.
    pub first: Sequence,
    /// No message stands behind this.
    pub last: Sequence,
}
