//! Messages that are to be delivered later.
//!
//! A scheduled message is a row that owns a body, beside the entries and logs that own one. When it fires, the owner
//! submits one unit: an append to a queue or a log, and with it either
//! [`Operation::Unschedule`](crate::Operation::Unschedule) or, when it is to fire again,
//! [`Operation::Reschedule`](crate::Operation::Reschedule). What fires for the last time is appended under the number
//! that it is stored with, so that its body changes hands; each firing before that is a message of its own, with a
//! number and a body of its own. A unit that a full disk refuses leaves the message scheduled as it was.

use std::fmt;
use std::sync::Arc;

use crate::batch::{Payload, Sender};
use crate::key::{DestinationId, MessageNumber, Rank, ScheduleId};
use crate::page::PageId;

/// A message that is to be delivered later, once or again and again. Its body row is written with it, or counted once
/// more when the message already has one.
#[derive(Clone)]
pub struct ScheduleRecord {
    /// Chosen by the owner; used once.
    pub id: ScheduleId,
    /// When it fires next, in ms since 1970.
    pub due_ms: i64,
    /// How often it comes again after that, as the owner counts.
    pub repeats_left: i64,
    /// What the owner knows of its repetition, in the owner's words. Does not change.
    pub text: Box<str>,
    /// Where it goes then. A destination that is removed takes it along.
    pub destination: DestinationId,
    /// Its rank there.
    pub rank: Rank,
    /// The message.
    pub number: MessageNumber,
    /// Head and body of that message.
    pub payload: Arc<dyn Payload>,
    /// When the message was sent, in ms since 1970.
    pub timestamp_ms: i64,
    /// When it expires, in ms since 1970; 0 is never. The store does not act on it.
    pub expires_ms: i64,
    /// Who hears when it is refused.
    pub sender: Sender,
}

impl fmt::Debug for ScheduleRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleRecord")
            .field("id", &self.id)
            .field("due_ms", &self.due_ms)
            .field("text", &self.text)
            .field("destination", &self.destination)
            .field("number", &self.number)
            .field("head_bytes", &self.payload.head().len())
            .field("body_bytes", &self.payload.body().len())
            .finish_non_exhaustive()
    }
}

/// A place in the order of firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DueKey {
    /// When, in ms since 1970.
    pub due_ms: i64,
    /// Among those of the same moment.
    pub id: ScheduleId,
}

/// Asks for scheduled messages in the order in which they fire. Going on from page to page costs no more than the
/// pages, however many fire at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct DueRequest {
    /// Comes back with the answer.
    pub id: PageId,
    /// Go on behind this one, whether it is still scheduled or not.
    pub after: Option<DueKey>,
    /// Those that fire then or before, in ms since 1970.
    pub until_ms: i64,
    /// At most so many rows.
    pub rows_max: usize,
    /// Stop after the row with which heads and bodies together exceed this; at least one row comes.
    pub bytes_max: usize,
}

/// One scheduled message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// When it fires, and its id.
    pub key: DueKey,
    /// How often it comes again after that.
    pub repeats_left: i64,
    /// What the owner knows of its repetition.
    pub text: Box<str>,
    /// Where it goes.
    pub destination: DestinationId,
    /// Its rank there.
    pub rank: Rank,
    /// Its message.
    pub number: MessageNumber,
    /// When it was sent, in ms since 1970.
    pub timestamp_ms: i64,
    /// When it expires, in ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Head and body, one behind the other.
    pub data: Box<[u8]>,
    /// Where the body begins in `data`.
    pub head_bytes: usize,
}

/// Scheduled messages in the order in which they fire.
#[derive(Debug, Clone)]
pub struct Due {
    /// The request's id.
    pub id: PageId,
    /// The earliest first.
    pub rows: Vec<DueRow>,
    /// Nothing else fires by the request's `until_ms`.
    pub exhausted: bool,
    /// Those whose body failed its checksum: moved to quarantine, gone from the schedule. They count against
    /// `rows_max`, so that there may be more although there is no row: go on behind the last of both lists.
    pub quarantined: Vec<DueKey>,
}

/// Which scheduled messages a listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleFilter {
    /// All of them.
    All,
    /// Those of one destination.
    Destination(DestinationId),
    /// This one, if it is there.
    One(ScheduleId),
}

/// Asks what is scheduled, without heads and bodies.
#[derive(Debug, Clone, Copy)]
pub struct ScheduleListRequest {
    /// Comes back with the answer.
    pub id: PageId,
    /// Of what.
    pub filter: ScheduleFilter,
    /// Go on behind this one, whether it is still scheduled or not.
    pub after: Option<DueKey>,
    /// At most so many rows.
    pub rows_max: usize,
}

/// What is known of a scheduled message without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleListRow {
    /// When it fires next, and its id.
    pub key: DueKey,
    /// How often it comes again after that.
    pub repeats_left: i64,
    /// What the owner knows of its repetition.
    pub text: Box<str>,
    /// Where it goes.
    pub destination: DestinationId,
    /// Its rank there.
    pub rank: Rank,
    /// Its message.
    pub number: MessageNumber,
    /// When it expires, in ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Bytes of its head and body.
    pub bytes: u64,
}

/// What is scheduled, in the order in which it fires.
#[derive(Debug, Clone)]
pub struct ScheduleList {
    /// The request's id.
    pub id: PageId,
    /// The earliest first.
    pub rows: Vec<ScheduleListRow>,
    /// There is nothing behind the last of them.
    pub exhausted: bool,
}

/// What is scheduled for one destination, counted in the same commits that change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleTally {
    /// The destination.
    pub destination: DestinationId,
    /// Messages.
    pub count: u64,
    /// Bytes of their heads and bodies.
    pub bytes: u64,
}
