//! Durable state behind one trait.
//!
//! The broker hands over *batches*: all or nothing, durable in the order of their tickets. A store reports a
//! *watermark* ("durable up to ticket n") and answers page reads, both through an [`EventSink`]; it never calls
//! back for a single message. It knows no STOMP: a message is a head and a body, both opaque bytes.
//!
//! *Invariants.* Tickets are dense and complete in order. A batch is never split over two commits. A failed
//! commit is never retried: the store is poisoned and says so once, with [`StoreEvent::Failed`].

mod batch;
mod duplicate;
mod error;
mod key;
mod log;
pub mod memory;
mod page;
mod recovery;
mod schedule;
pub mod sqlite;

pub use batch::{Append, Batch, Haste, Medium, Move, Operation, Payload, Sender};
pub use duplicate::{
    DUPLICATE_WINDOW, DuplicateRecord, DuplicateRequest, DuplicateRow, Duplicates,
};
pub use error::StoreError;
pub use key::{
    DestinationId, EntryKey, Epoch, MessageNumber, Rank, ScheduleId, Sequence, SubscriptionId,
    Ticket,
};
pub use log::{LogAppend, LogPageRequest, LogTally, SubscriptionRecord};
pub use page::{Expired, ExpiredRow, Page, PageId, PageRequest, PageRow};
pub use recovery::{DestinationKind, DestinationRecord, Recovered, Tally};
pub use schedule::{
    Due, DueKey, DueRequest, DueRow, ScheduleFilter, ScheduleList, ScheduleListRequest,
    ScheduleListRow, ScheduleRecord, ScheduleTally,
};

use std::sync::Arc;

/// What a store tells its owner. Called on the store's own threads; must not block.
pub type EventSink = Arc<dyn Fn(StoreEvent) + Send + Sync>;

/// What a store tells its owner.
#[derive(Debug)]
pub enum StoreEvent {
    /// Every batch up to and including this ticket is durable.
    Durable(Ticket),
    /// The answer to [`Store::read_page`] and [`Store::read_log`].
    Page(Page),
    /// The answer to [`Store::read_expired`].
    Expired(Expired),
    /// The answer to [`Store::read_due`].
    Due(Due),
    /// The answer to [`Store::read_schedule`].
    Schedule(ScheduleList),
    /// The answer to [`Store::read_duplicates`].
    Duplicates(Duplicates),
    /// The disk is full. These operations, in their order, were not carried out: appends, moves, what was to be
    /// scheduled or remembered, and what stands in a unit with one of them. Everything else of their batches was; an append that was
    /// settled in the same commit need not be written and is not among them, nor what was scheduled and unscheduled in
    /// it. A message for a log is refused even then. When
    /// even the reserve's room is short, [`Operation::Pass`] and [`Operation::LogCount`] are refused as well, alone or
    /// with their unit: the subscription has not acknowledged that message. Floors, settles and removals never are. Comes before the [`StoreEvent::Durable`] that passes over them. Until [`StoreEvent::Resumed`] the same is done at once with
    /// every append and move: scratch entries would take the room that deletes live on. A store that is opened on a
    /// full disk says so in [`StoreStatistics::is_full`]. A scratch file that fails refuses its appends alone.
    Refused(Vec<Operation>),
    /// Enough of the disk is free again, and the reserve is refilled: appends are taken.
    Resumed,
    /// A commit, a sync or a read of the database failed. Nothing after the last [`StoreEvent::Durable`] is
    /// promised and nothing more will be: the process must stop.
    Failed(StoreError),
}

/// What was submitted and is not yet committed. The owner stops taking work in while this is over its bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Operations of all batches in flight.
    pub operations: usize,
    /// Bytes of heads and bodies in them.
    pub bytes: usize,
}

/// Figures for the console and `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStatistics {
    /// Commits of the database.
    pub commit_count: u64,
    /// Operations in them.
    pub operation_count: u64,
    /// Appends that were settled in the same commit and never written.
    pub cancelled_count: u64,
    /// Duration of the last commit including its sync, in microseconds.
    pub last_commit_us: u64,
    /// Size of the database file, in bytes.
    pub database_bytes: u64,
    /// Bytes in the database file that nothing uses: the next appends fill them.
    pub database_free_bytes: u64,
    /// Size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// Size of the scratch file, in bytes.
    pub scratch_bytes: u64,
    /// Whether the disk was full and appends are refused.
    pub is_full: bool,
    /// Bodies of the database that failed their checksum and were put aside.
    pub quarantined_count: u64,
}

/// Durable state. One owner submits; the engine decides when commits happen.
pub trait Store: Send {
    /// Hands one batch over and returns at once. The batch is durable when a [`StoreEvent::Durable`] with this
    /// ticket or a later one has been reported. An empty batch is allowed: its ticket completes in its turn.
    fn submit(&mut self, batch: Batch) -> Ticket;

    /// What is submitted and not yet committed.
    fn backlog(&self) -> Backlog;

    /// Asks for entries of one destination and rank in key order. The answer sees every batch that was durable
    /// when this was called.
    fn read_page(&mut self, request: PageRequest);

    /// Asks for up to `rows_max` entries whose expiry is not after `now_ms`. Same visibility as a page.
    fn read_expired(&mut self, now_ms: i64, rows_max: usize);

    /// Asks for messages of a topic's log. Same visibility as a page.
    fn read_log(&mut self, request: LogPageRequest);

    /// Asks for scheduled messages whose time has come, with their bodies. Same visibility as a page: what was fired by
    /// batches that are not durable yet comes again, unless the request goes on behind it.
    fn read_due(&mut self, request: DueRequest);

    /// Asks what is scheduled, without bodies. Same visibility as a page.
    fn read_schedule(&mut self, request: ScheduleListRequest);

    /// Asks for the ids that a destination knows. Same visibility as a page.
    fn read_duplicates(&mut self, request: DuplicateRequest);

    /// Figures as of now; cheap.
    fn statistics(&self) -> StoreStatistics;

    /// Commits what is outstanding and then `last` together with the mark of a clean stop, folds the log back
    /// into the database and releases the folder. Blocks until done.
    ///
    /// # Errors
    /// When the last commit or its sync fails; the mark is then not set.
    fn close(self: Box<Self>, last: Batch) -> Result<(), StoreError>;
}
