//! What the broker asks to be made durable: a batch of operations that happens as a whole or not at all.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::duplicate::DuplicateRecord;
use crate::key::{DestinationId, EntryKey, MessageNumber, ScheduleId, Sequence, SubscriptionId};
use crate::log::{LogAppend, SubscriptionRecord};
use crate::recovery::DestinationRecord;
use crate::schedule::ScheduleRecord;

/// A message as the store sees it: opaque bytes, shared with whoever else holds the message.
pub trait Payload: Send + Sync {
    /// The sender's headers, as the broker wants them back.
    fn head(&self) -> &[u8];
    /// The body.
    fn body(&self) -> &[u8];
}

/// Where an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Medium {
    /// In the database: survives the process.
    #[default]
    Database,
    /// In the scratch file, which is emptied at every start: room for what memory has none for. A file that fails
    /// loses what it held, and nobody is told which entries: a page does not have them any more.
    Scratch,
}

/// Whom the refusal of an append concerns. Means nothing to the store; comes back with the append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sender(pub u64);

/// A new entry. Its body row is written with it, or counted once more when the message already has one.
#[derive(Clone)]
pub struct Append {
    /// Where the entry stands.
    pub key: EntryKey,
    /// The message it refers to.
    pub number: MessageNumber,
    /// Head and body of that message.
    pub payload: Arc<dyn Payload>,
    /// When the message was sent, in ms since 1970.
    pub timestamp_ms: i64,
    /// When it expires, in ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Header lines that belong to this entry alone (a dead letter's reason); empty for most.
    pub annotations: Box<[u8]>,
    /// Where it is kept.
    pub medium: Medium,
    /// Who hears when it is refused.
    pub sender: Sender,
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append")
            .field("key", &self.key)
            .field("number", &self.number)
            .field("head_bytes", &self.payload.head().len())
            .field("body_bytes", &self.payload.body().len())
            .finish_non_exhaustive()
    }
}

/// An entry that changes its place and keeps its body. Counters start anew, deliveries as given.
#[derive(Debug, Clone)]
pub struct Move {
    /// Where it stood.
    pub from: EntryKey,
    /// Where it stands from now on.
    pub to: EntryKey,
    /// Its new expiry, in ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Its new header lines.
    pub annotations: Box<[u8]>,
}

/// One change. A position is used once: no append or move goes where an entry stands or has stood. Settle, count
/// and move of an entry that is not there do nothing, since it may have gone to quarantine meanwhile. The same holds
/// for what concerns a subscription or a scheduled message that is not there.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A destination appears, empty.
    Create(DestinationRecord),
    /// A destination goes, with whatever it still holds, what is scheduled for it and the ids that it knows: as much
    /// work as settling it, in one commit. A topic's subscriptions go with it; its log is removed in slices, as after
    /// [`Operation::Trim`].
    Remove(DestinationId),
    /// An entry appears.
    Append(Append),
    /// An entry goes; the body goes with its last entry.
    Settle {
        /// The entry.
        key: EntryKey,
        /// Where it is kept.
        medium: Medium,
    },
    /// An entry of the database is told how often it was delivered and how often that failed.
    Count {
        /// The entry.
        key: EntryKey,
        /// Deliveries so far.
        deliveries: u32,
        /// Failures so far.
        failures: u32,
    },
    /// An entry of the database moves.
    Move(Move),
    /// A durable subscription appears. When it is there already, its selector is replaced and its floor raised.
    Subscribe(SubscriptionRecord),
    /// A durable subscription goes, with its exceptions.
    Unsubscribe(SubscriptionId),
    /// A message of a topic appears in its log. Positions of one topic ascend.
    Log(LogAppend),
    /// A subscription has done with one message above its floor.
    Pass {
        /// The subscription.
        subscription: SubscriptionId,
        /// The message's position.
        sequence: Sequence,
    },
    /// A subscription has done with everything up to its new floor. A floor never sinks.
    Floor {
        /// The subscription.
        subscription: SubscriptionId,
        /// Its new floor.
        floor: Sequence,
    },
    /// A message above a subscription's floor is told how often it was delivered to it and how often that failed.
    LogCount {
        /// The subscription.
        subscription: SubscriptionId,
        /// The message's position.
        sequence: Sequence,
        /// Deliveries so far.
        deliveries: u32,
        /// Failures so far.
        failures: u32,
    },
    /// Nobody will ask any more for a log's messages up to here. They go in slices, in this and later commits, as far as
    /// they are not above the floor of any of the topic's subscriptions, now or later. A message that is appended and
    /// trimmed in one commit is not written. A start trims every log to the lowest floor.
    Trim {
        /// The topic.
        topic: DestinationId,
        /// The last position that nobody needs.
        through: Sequence,
    },
    /// A message is to be delivered later.
    Schedule(ScheduleRecord),
    /// A scheduled message is put off: it has fired and will again, or somebody wants it at another time.
    Reschedule {
        /// The scheduled message.
        id: ScheduleId,
        /// When it fires next, in ms since 1970.
        due_ms: i64,
        /// How often it comes again after that.
        repeats_left: i64,
    },
    /// A scheduled message has fired for the last time, or is cancelled. Its body goes, unless another owner has it:
    /// an append of the same commit has, wherever it stands in it.
    Unschedule(ScheduleId),
    /// A destination knows an id from now on, until [`DUPLICATE_WINDOW`](crate::DUPLICATE_WINDOW) others have come. Stands
    /// in a unit with the append of its message, and holds when that is settled in the same commit.
    Remember(DuplicateRecord),
}

impl Operation {
    /// The message that comes with it.
    pub(crate) fn payload(&self) -> Option<&dyn Payload> {
        match self {
            Self::Append(append) => Some(&*append.payload),
            Self::Log(log) => Some(&*log.payload),
            Self::Schedule(record) => Some(&*record.payload),
            Self::Create(_)
            | Self::Remove(_)
            | Self::Settle { .. }
            | Self::Count { .. }
            | Self::Move(_)
            | Self::Subscribe(_)
            | Self::Unsubscribe(_)
            | Self::Pass { .. }
            | Self::Floor { .. }
            | Self::LogCount { .. }
            | Self::Trim { .. }
            | Self::Reschedule { .. }
            | Self::Unschedule(_)
            | Self::Remember(_) => None,
        }
    }

    /// Bytes of head and body that come with it.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload()
            .map_or(0, |payload| payload.head().len() + payload.body().len())
    }

    /// Whether later operations build on it, so that no full disk refuses it.
    pub(crate) fn is_never_refused(&self) -> bool {
        matches!(
            self,
            Self::Create(_) | Self::Remove(_) | Self::Subscribe(_) | Self::Unsubscribe(_)
        )
    }
}

/// Whether somebody waits for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Haste {
    /// Nobody waits. A commit of nothing but settles and counts may be put off for a moment.
    #[default]
    Patient,
    /// A receipt waits.
    Awaited,
}

/// Operations that happen together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In order: an entry may be appended, counted, moved and settled within one batch.
    pub operations: Vec<Operation>,
    /// Whether somebody waits.
    pub haste: Haste,
    /// Ranges of `operations`, ascending and disjoint: what a full disk refuses as a whole when it refuses any
    /// of it (a COMMIT, a SEND to several destinations). What stands in no range is refused by itself. Creations and
    /// removals of destinations and subscriptions are never refused, wherever they stand.
    pub units: Vec<Range<usize>>,
}
