//! What a store knows when it is opened: destinations and counts, neither messages nor bodies.

use crate::key::{DestinationId, Epoch, Rank, Sequence, SubscriptionId};
use crate::log::{LogTally, SubscriptionRecord};
use crate::schedule::ScheduleTally;

/// What kind of destination a row describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestinationKind {
    /// Point-to-point.
    Queue,
    /// Publish/subscribe.
    Topic,
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationRecord {
    /// Its row; allocated by the broker, never reused.
    pub id: DestinationId,
    /// Its kind.
    pub kind: DestinationKind,
    /// Its name without prefix.
    pub name: Box<str>,
    /// When it was created, in ms since 1970.
    pub created_ms: i64,
}

/// What a destination holds in one rank, counted in the same commits that change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The destination.
    pub destination: DestinationId,
    /// The rank.
    pub rank: Rank,
    /// Entries.
    pub count: u64,
    /// Bytes of their heads and bodies.
    pub bytes: u64,
    /// No entry stands before this.
    pub first: Sequence,
    /// No entry stands behind this.
    pub last: Sequence,
}

/// What an opened store knows.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Random, made with the database: part of every `message-id`.
    pub instance: String,
    /// This life, already committed.
    pub epoch: Epoch,
    /// Entries with a position of this epoch or an earlier one may have been delivered before: the last life
    /// that ended without a clean stop. `Epoch(0)` when there was none.
    pub uncertain_through: Epoch,
    /// All destinations.
    pub destinations: Vec<DestinationRecord>,
    /// Counts of those that are not empty.
    pub tallies: Vec<Tally>,
    /// The next free [`DestinationId`].
    pub next_destination: DestinationId,
    /// All durable subscriptions.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// A [`SubscriptionId`] from which on all are free.
    pub next_subscription: SubscriptionId,
    /// Counts of the logs that are not empty.
    pub logs: Vec<LogTally>,
    /// Counts of what is scheduled, of those destinations for which anything is.
    pub scheduled: Vec<ScheduleTally>,
    /// When the first of all scheduled messages fires, in ms since 1970.
    pub next_due_ms: Option<i64>,
}
