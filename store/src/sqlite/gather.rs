//! Group commit: which submissions make up the next commit.
//!
//! A commit takes what arrived while the one before was in flight, up to its caps. It never lingers, with one
//! exception: nothing but settles and counts for which nobody waits may be put off until something else comes.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::sqlite::page::Found;
use crate::sqlite::plan::Contents;
use crate::sqlite::quarantine::BadEntry;
use crate::{Backlog, Batch, Expired, Haste, PageRequest, StoreEvent, Ticket};

/// So many settles are a good commit: waiting for more would only make it longer.
const PATIENT_OPERATIONS_MAX: usize = 1_000;

/// No more than so many pages change in a commit on a full disk: what its log needs must fit into the reserve.
const FULL_OPERATIONS_MAX: usize = 512;

/// What reaches the writer.
pub(super) enum Submission {
    /// Work of the owner.
    Batch(Submitted),
    /// Entries that a read came upon; its answer is given when they are put aside.
    Quarantine(StoreEvent, Vec<BadEntry>),
    /// There is a [`HalfRead`], which overtakes what is queued here.
    Wake,
    /// The last batch, which carries the mark of a clean stop.
    Close(Submitted),
}

/// What the database alone has of an answer, to which the scratch file may add.
pub(super) enum HalfRead {
    Page(PageRequest, Found),
    Expired {
        now_ms: i64,
        rows_max: usize,
        expired: Expired,
    },
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
            bytes += operation.payload_bytes();
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
    pub(super) quarantines: Vec<(StoreEvent, Vec<BadEntry>)>,
    pub(super) reads: Vec<HalfRead>,
    /// A read waits.
    woken: bool,
    /// This commit is the last and ends a clean life.
    pub(super) closing: bool,
    /// Somebody waits for one of the batches.
    pub(super) awaited: bool,
}

impl Gathered {
    fn add(&mut self, submission: Submission) {
        match submission {
            Submission::Batch(submitted) => self.add_batch(submitted),
            Submission::Quarantine(answer, entries) => self.quarantines.push((answer, entries)),
            Submission::Wake => self.woken = true,
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
            && !self.woken
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

/// Whether the disk has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Ample,
    None,
}

/// What the writer has to do next.
pub(super) enum Next {
    Commit(Gathered),
    /// Nothing came for as long as it had patience.
    Idle,
    /// The owner let go of the store without closing it.
    Gone,
}

/// The writer's end of the queue.
pub(super) struct Inbox {
    receiver: Receiver<Submission>,
    reads: Receiver<HalfRead>,
    limits: Limits,
}

impl Inbox {
    pub(super) fn new(
        receiver: Receiver<Submission>,
        reads: Receiver<HalfRead>,
        limits: Limits,
    ) -> Self {
        Self {
            receiver,
            reads,
            limits,
        }
    }

    /// Waits for the next commit's worth: for ever, or as long as `patience` lasts. Reads come along as they are now,
    /// not behind the batches that were submitted before them.
    pub(super) fn next(&self, patience: Option<Duration>, room: Room) -> Next {
        match self.gather(patience, room) {
            Next::Commit(mut gathered) => {
                gathered.reads.extend(self.reads.try_iter());
                Next::Commit(gathered)
            }
            next => next,
        }
    }

    fn gather(&self, patience: Option<Duration>, room: Room) -> Next {
        let operations_max = match room {
            Room::Ample => self.limits.operations_max,
            Room::None => self.limits.operations_max.min(FULL_OPERATIONS_MAX),
        };
        let mut gathered = Gathered::default();
        let first = match patience {
            None => self.receiver.recv().map_err(RecvTimeoutError::from),
            Some(patience) => self.receiver.recv_timeout(patience),
        };
        match first {
            Ok(submission) => gathered.add(submission),
            Err(RecvTimeoutError::Timeout) => return Next::Idle,
            Err(RecvTimeoutError::Disconnected) => return Next::Gone,
        }
        let mut deadline = None;
        loop {
            self.drain(&mut gathered, operations_max);
            if !gathered.may_wait() {
                return Next::Commit(gathered);
            }
            let deadline =
                *deadline.get_or_insert_with(|| Instant::now() + self.limits.settle_delay);
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(submission) => gathered.add(submission),
                Err(RecvTimeoutError::Timeout) => return Next::Commit(gathered),
                Err(RecvTimeoutError::Disconnected) => return Next::Gone,
            }
        }
    }

    /// Takes what is there without waiting, batch by batch, until the commit is full.
    fn drain(&self, gathered: &mut Gathered, operations_max: usize) {
        while !gathered.closing
            && gathered.load.operations < operations_max
            && gathered.load.bytes < self.limits.bytes_max
        {
            match self.receiver.try_recv() {
                Ok(submission) => gathered.add(submission),
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::{DestinationId, EntryKey, Medium, Operation, Rank, Sequence};

    const LONG: Duration = Duration::from_secs(3_600);
    const SHORT: Duration = Duration::from_millis(1);

    fn inbox(settle_delay: Duration) -> (Sender<Submission>, Inbox) {
        let (tx, rx) = channel();
        let limits = Limits {
            operations_max: 4_096,
            bytes_max: 1 << 20,
            settle_delay,
        };
        (tx, Inbox::new(rx, channel().1, limits))
    }

    fn next(inbox: &Inbox) -> Option<Gathered> {
        match inbox.next(None, Room::Ample) {
            Next::Commit(gathered) => Some(gathered),
            Next::Idle | Next::Gone => None,
        }
    }

    fn settles(ticket: u64, count: usize, haste: Haste) -> Submission {
        let key = EntryKey {
            destination: DestinationId(1),
            rank: Rank(4),
            sequence: Sequence(1),
        };
        let operations = vec![
            Operation::Settle {
                key,
                medium: Medium::Database
            };
            count
        ];
        Submission::Batch(Submitted::new(
            Ticket(ticket),
            Batch {
                operations,
                haste,
                ..Batch::default()
            },
        ))
    }

    fn removal(ticket: u64) -> Submission {
        let operations = vec![Operation::Remove(DestinationId(1))];
        Submission::Batch(Submitted::new(
            Ticket(ticket),
            Batch {
                operations,
                ..Batch::default()
            },
        ))
    }

    /// What is sent must make one commit at once, although settles may wait for an hour.
    fn check_urgent(submissions: Vec<Submission>, operations: usize) {
        let (tx, inbox) = inbox(LONG);
        for submission in submissions {
            tx.send(submission).expect("an inbox");
        }
        assert_eq!(next(&inbox).expect("a commit").load.operations, operations);
    }

    #[test]
    fn patient_settles_go_as_soon_as_something_urgent_comes() {
        check_urgent(
            vec![settles(1, 1, Haste::Patient), settles(2, 1, Haste::Awaited)],
            2,
        );
        check_urgent(vec![settles(1, 1, Haste::Patient), removal(2)], 2);
        check_urgent(
            vec![
                settles(1, 999, Haste::Patient),
                settles(2, 1, Haste::Patient),
            ],
            1_000,
        );
        check_urgent(vec![settles(1, 0, Haste::Patient)], 0);
        let close = Submission::Close(Submitted::new(Ticket(2), Batch::default()));
        check_urgent(vec![settles(1, 1, Haste::Patient), close], 1);
    }

    #[test]
    fn patient_settles_go_by_themselves_after_the_delay() {
        let (tx, inbox) = inbox(SHORT);
        tx.send(settles(1, 2, Haste::Patient)).expect("an inbox");
        let gathered = next(&inbox).expect("a commit");
        assert_eq!(
            (gathered.load.operations, gathered.through),
            (2, Some(Ticket(1)))
        );
    }

    #[test]
    fn full_commit_leaves_the_rest_to_the_next() {
        let (tx, inbox) = inbox(LONG);
        for ticket in 1..=10 {
            tx.send(settles(ticket, 1_000, Haste::Awaited))
                .expect("an inbox");
        }
        let commits: Vec<_> = (0..2).filter_map(|_| next(&inbox)).collect();
        let shape = |gathered: &Gathered| (gathered.batches.len(), gathered.through);
        assert_eq!(
            commits.iter().map(shape).collect::<Vec<_>>(),
            [(5, Some(Ticket(5))), (5, Some(Ticket(10)))]
        );
    }

    #[test]
    fn commit_on_a_full_disk_is_small() {
        let (tx, inbox) = inbox(LONG);
        for ticket in 1..=10 {
            tx.send(settles(ticket, 200, Haste::Awaited))
                .expect("an inbox");
        }
        let Next::Commit(gathered) = inbox.next(None, Room::None) else {
            panic!("a commit")
        };
        assert_eq!(gathered.load.operations, 600);
    }

    #[test]
    fn nothing_is_gathered_behind_the_last_batch_or_from_nobody() {
        let (tx, inbox) = inbox(LONG);
        let close = Submission::Close(Submitted::new(Ticket(1), Batch::default()));
        tx.send(close).expect("an inbox");
        tx.send(removal(2)).expect("an inbox");
        let gathered = next(&inbox).expect("a commit");
        assert_eq!((gathered.closing, gathered.batches.len()), (true, 1));
        drop(tx);
        assert!(next(&inbox).is_some() && next(&inbox).is_none());
    }

    #[test]
    fn patience_ends_where_nothing_comes() {
        let (tx, inbox) = inbox(LONG);
        assert!(matches!(inbox.next(Some(SHORT), Room::Ample), Next::Idle));
        tx.send(removal(1)).expect("an inbox");
        assert!(matches!(
            inbox.next(Some(SHORT), Room::Ample),
            Next::Commit(_)
        ));
        drop(tx);
        assert!(matches!(inbox.next(Some(LONG), Room::Ample), Next::Gone));
    }
}
