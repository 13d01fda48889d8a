//! Group commit: which submissions make up the next commit.
//!
//! A commit takes what arrived while the one before was in flight, up to its caps. It never lingers, with one
//! exception: nothing but settles and counts for which nobody waits may be put off until something else comes.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::sqlite::plan::Contents;
use crate::sqlite::quarantine::BadEntry;
use crate::{Backlog, Batch, Haste, Operation, Page, Ticket};

/// So many settles are a good commit: waiting for more would only make it longer.
const PATIENT_OPERATIONS_MAX: usize = 1_000;

/// What reaches the writer.
pub(super) enum Submission {
    /// Work of the owner.
    Batch(Submitted),
    /// Entries that a page came upon; the page is answered when they are put aside.
    Quarantine(Page, Vec<BadEntry>),
    /// The last batch, which carries the mark of a clean stop.
    Close(Submitted),
}

/// A batch on its way.
pub(super) struct Submitted {
    pub(super) ticket: Ticket,
    pub(super) batch: Batch,
    pub(super) load: Backlog,
    pub(super) contents: Contents,
}

impl Submitted {
    pub(super) fn new(ticket: Ticket, batch: Batch) -> Self {
        let mut contents = Contents::default();
        let mut bytes = 0;
        for operation in &batch.operations {
            contents = contents.and(Contents::of(operation));
            if let Operation::Append(append) = operation {
                bytes += append.payload.head().len() + append.payload.body().len();
            }
        }
        let load = Backlog {
            operations: batch.operations.len(),
            bytes,
        };
        Self {
            ticket,
            batch,
            load,
            contents,
        }
    }
}

/// What the next commit is made of.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) batches: Vec<Batch>,
    /// The last batch's ticket.
    pub(super) through: Option<Ticket>,
    pub(super) load: Backlog,
    pub(super) contents: Contents,
    pub(super) quarantines: Vec<(Page, Vec<BadEntry>)>,
    /// This commit is the last and ends a clean life.
    pub(super) closing: bool,
    /// Somebody waits for one of the batches.
    pub(super) awaited: bool,
}

impl Gathered {
    fn add(&mut self, submission: Submission) {
        match submission {
            Submission::Batch(submitted) => self.add_batch(submitted),
            Submission::Quarantine(page, entries) => self.quarantines.push((page, entries)),
            Submission::Close(submitted) => {
                self.add_batch(submitted);
                self.closing = true;
            }
        }
    }

    fn add_batch(&mut self, submitted: Submitted) {
        self.awaited |= submitted.batch.haste == Haste::Awaited;
        self.through = Some(submitted.ticket);
        self.load.operations += submitted.load.operations;
        self.load.bytes += submitted.load.bytes;
        self.contents = self.contents.and(submitted.contents);
        self.batches.push(submitted.batch);
    }

    /// Whether nobody would notice if this came a little later.
    fn may_wait(&self) -> bool {
        !self.awaited
            && !self.closing
            && !self.contents.beyond_settles
            && self.quarantines.is_empty()
            && (1..PATIENT_OPERATIONS_MAX).contains(&self.load.operations)
    }
}

/// When a commit is full or has waited long enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) operations_max: usize,
    pub(super) bytes_max: usize,
    pub(super) settle_delay: Duration,
}

/// The writer's end of the queue.
pub(super) struct Inbox {
    receiver: Receiver<Submission>,
    limits: Limits,
}

impl Inbox {
    pub(super) fn new(receiver: Receiver<Submission>, limits: Limits) -> Self {
        Self { receiver, limits }
    }

    /// Waits for the next commit's worth. `None` when the owner let go of the store without closing it.
    pub(super) fn next(&self) -> Option<Gathered> {
        let mut gathered = Gathered::default();
        gathered.add(self.receiver.recv().ok()?);
        let mut deadline = None;
        loop {
            self.drain(&mut gathered);
            if !gathered.may_wait() {
                return Some(gathered);
            }
            let deadline =
                *deadline.get_or_insert_with(|| Instant::now() + self.limits.settle_delay);
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(submission) => gathered.add(submission),
                Err(RecvTimeoutError::Timeout) => return Some(gathered),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Takes what is there without waiting, batch by batch, until the commit is full.
    fn drain(&self, gathered: &mut Gathered) {
        while !gathered.closing
            && gathered.load.operations < self.limits.operations_max
            && gathered.load.bytes < self.limits.bytes_max
        {
            match self.receiver.try_recv() {
                Ok(submission) => gathered.add(submission),
                Err(_) => return,
            }
        }
    }
}
