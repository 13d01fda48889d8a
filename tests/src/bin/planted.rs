//! The product with a fault planted in its store: what the crash checker must notice.
//!
//! `STOMPBOX_PLANT` chooses the fault. Each is a mistake that a store could well make, made on purpose around the
//! real one.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use stompbox_store::{
    Backlog, Batch, DueRequest, DuplicateRequest, Epoch, EventSink, LogPageRequest, Operation,
    PageRequest, Recovered, ScheduleListRequest, Store, StoreError, StoreEvent, StoreStatistics,
    Ticket,
};

/// How long `receipt-before-commit` sits on a batch that it has already reported as durable.
const HELD_BACK: Duration = Duration::from_millis(20);

/// The pause of `split-transaction` between the halves: the engine must not put them into one commit, and most kills
/// should fall into it.
const BETWEEN_HALVES: Duration = Duration::from_millis(20);

/// `dropped-settle` forgets every so many settles.
const SETTLES_PER_DROP: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plant {
    ReceiptBeforeCommit,
    SplitTransaction,
    DroppedSettle,
    RepeatMarkedFirst,
}

impl Plant {
    fn from_environment() -> Option<Plant> {
        match std::env::var("STOMPBOX_PLANT").ok()?.as_str() {
            "receipt-before-commit" => Some(Plant::ReceiptBeforeCommit),
            "split-transaction" => Some(Plant::SplitTransaction),
            "dropped-settle" => Some(Plant::DroppedSettle),
            "repeat-marked-first" => Some(Plant::RepeatMarkedFirst),
            _ => None,
        }
    }
}

fn main() -> ExitCode {
    let Some(plant) = Plant::from_environment() else {
        eprintln!(
            "STOMPBOX_PLANT must be receipt-before-commit, split-transaction, dropped-settle or \
             repeat-marked-first"
        );
        return ExitCode::from(2);
    };
    stompbox_broker::main_with(Box::new(move |options, now_ms, sink| {
        open(plant, options, now_ms, sink)
    }))
}

fn open(
    plant: Plant,
    options: SqliteOptions,
    now_ms: i64,
    sink: EventSink,
) -> Result<(Box<dyn Store>, Recovered), StoreError> {
    match plant {
        Plant::ReceiptBeforeCommit | Plant::SplitTransaction => {
            let tickets = Arc::new(Mutex::new(VecDeque::new()));
            let events = queue_events(plant, sink.clone(), tickets.clone());
            let (inner, recovered) = SqliteStore::open(options, now_ms, events)?;
            let inner: Inner = Arc::new(Mutex::new(Box::new(inner)));
            let queue = Queue::start(plant, inner.clone(), tickets, sink);
            Ok((
                Box::new(Queued {
                    inner,
                    queue,
                    submitted: 0,
                }),
                recovered,
            ))
        }
        Plant::DroppedSettle => {
            let (inner, recovered) = SqliteStore::open(options, now_ms, sink)?;
            Ok((
                Box::new(Forgetful {
                    inner: Box::new(inner),
                    settle_count: 0,
                }),
                recovered,
            ))
        }
        Plant::RepeatMarkedFirst => {
            let events: EventSink = Arc::new(move |event| sink(without_deliveries(event)));
            let (inner, mut recovered) = SqliteStore::open(options, now_ms, events)?;
            recovered.uncertain_through = Epoch(0);
            Ok((Box::new(inner), recovered))
        }
    }
}

fn without_deliveries(event: StoreEvent) -> StoreEvent {
    match event {
        StoreEvent::Page(mut page) => {
            for row in &mut page.rows {
                row.deliveries = 0;
            }
            StoreEvent::Page(page)
        }
        StoreEvent::Durable(_)
        | StoreEvent::Expired(_)
        | StoreEvent::Due(_)
        | StoreEvent::Schedule(_)
        | StoreEvent::Duplicates(_)
        | StoreEvent::Refused(_)
        | StoreEvent::Resumed
        | StoreEvent::Failed(_) => event,
    }
}

/// `dropped-settle`.
struct Forgetful {
    inner: Box<dyn Store>,
    settle_count: usize,
}

impl Store for Forgetful {
    fn submit(&mut self, mut batch: Batch) -> Ticket {
        batch.operations.retain(|operation| {
            if matches!(operation, Operation::Settle { .. }) {
                self.settle_count += 1;
                return !self.settle_count.is_multiple_of(SETTLES_PER_DROP);
            }
            true
        });
        self.inner.submit(batch)
    }

    fn backlog(&self) -> Backlog {
        self.inner.backlog()
    }

    fn read_page(&mut self, request: PageRequest) {
        self.inner.read_page(request);
    }

    fn read_expired(&mut self, now_ms: i64, rows_max: usize) {
        self.inner.read_expired(now_ms, rows_max);
    }

    fn read_log(&mut self, request: LogPageRequest) {
        self.inner.read_log(request);
    }

    fn read_due(&mut self, request: DueRequest) {
        self.inner.read_due(request);
    }

    fn read_schedule(&mut self, request: ScheduleListRequest) {
        self.inner.read_schedule(request);
    }

    fn read_duplicates(&mut self, request: DuplicateRequest) {
        self.inner.read_duplicates(request);
    }

    fn statistics(&self) -> StoreStatistics {
        self.inner.statistics()
    }

    fn close(self: Box<Self>, last: Batch) -> Result<(), StoreError> {
        self.inner.close(last)
    }
}

type Inner = Arc<Mutex<Box<dyn Store>>>;

/// Outer tickets that wait for an inner one, oldest first.
type Tickets = Arc<Mutex<VecDeque<(Ticket, Ticket)>>>;

/// `receipt-before-commit` and `split-transaction`: batches go through a thread that is slower than it says.
struct Queued {
    inner: Inner,
    queue: Queue,
    submitted: u64,
}

struct Queue {
    batches: Sender<(Ticket, Batch)>,
    thread: JoinHandle<()>,
}

impl Queue {
    fn start(plant: Plant, inner: Inner, tickets: Tickets, sink: EventSink) -> Queue {
        let (batches, received) = mpsc::channel();
        let thread = thread::spawn(move || match plant {
            Plant::ReceiptBeforeCommit => report_early(received, inner, &sink),
            Plant::SplitTransaction => split(received, &inner, &tickets),
            Plant::DroppedSettle | Plant::RepeatMarkedFirst => {
                unreachable!("these do not queue")
            }
        });
        Queue { batches, thread }
    }
}

/// Reports every batch at once and hands it on a while later.
fn report_early(received: Receiver<(Ticket, Batch)>, inner: Inner, sink: &EventSink) {
    let (held_back, due) = mpsc::channel::<(Instant, Batch)>();
    let committer = thread::spawn(move || {
        for (when, batch) in due {
            thread::sleep(when.saturating_duration_since(Instant::now()));
            lock(&inner).submit(batch);
        }
    });
    for (outer, batch) in received {
        sink(StoreEvent::Durable(outer));
        // The committer ends only when this sender is gone.
        let _ = held_back.send((Instant::now() + HELD_BACK, batch));
    }
    drop(held_back);
    // A panic there was printed; what it had not handed on is one more lost commit.
    let _ = committer.join();
}

/// Commits a batch that both settles and appends in two.
fn split(received: Receiver<(Ticket, Batch)>, inner: &Inner, tickets: &Tickets) {
    for (outer, batch) in received {
        let (first, second) = halves(batch);
        if let Some(first) = first {
            lock(inner).submit(first);
            thread::sleep(BETWEEN_HALVES);
        }
        let mut inner = lock(inner);
        // Held over the submission, so that the watermark cannot overtake the entry.
        let mut tickets = lock(tickets);
        tickets.push_back((inner.submit(second), outer));
    }
}

impl Store for Queued {
    fn submit(&mut self, batch: Batch) -> Ticket {
        self.submitted += 1;
        let ticket = Ticket(self.submitted);
        // The thread ends only when this sender is gone.
        let _ = self.queue.batches.send((ticket, batch));
        ticket
    }

    fn backlog(&self) -> Backlog {
        lock(&self.inner).backlog()
    }

    fn read_page(&mut self, request: PageRequest) {
        lock(&self.inner).read_page(request);
    }

    fn read_expired(&mut self, now_ms: i64, rows_max: usize) {
        lock(&self.inner).read_expired(now_ms, rows_max);
    }

    fn read_log(&mut self, request: LogPageRequest) {
        lock(&self.inner).read_log(request);
    }

    fn read_due(&mut self, request: DueRequest) {
        lock(&self.inner).read_due(request);
    }

    fn read_schedule(&mut self, request: ScheduleListRequest) {
        lock(&self.inner).read_schedule(request);
    }

    fn read_duplicates(&mut self, request: DuplicateRequest) {
        lock(&self.inner).read_duplicates(request);
    }

    fn statistics(&self) -> StoreStatistics {
        lock(&self.inner).statistics()
    }

    fn close(self: Box<Self>, last: Batch) -> Result<(), StoreError> {
        let Queued { inner, queue, .. } = *self;
        drop(queue.batches);
        // A panic there was printed; what it had not handed on is one more lost commit.
        let _ = queue.thread.join();
        let Some(inner) = Arc::into_inner(inner) else {
            unreachable!("the only other owner was the thread that has ended");
        };
        inner
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .close(last)
    }
}

/// What the inner store reports, in the tickets that were given out.
fn queue_events(plant: Plant, sink: EventSink, tickets: Tickets) -> EventSink {
    Arc::new(move |event| match event {
        StoreEvent::Durable(_) if plant == Plant::ReceiptBeforeCommit => {}
        StoreEvent::Durable(inner) => {
            let mut waiting = lock(&tickets);
            let mut durable = None;
            while let Some((due, outer)) = waiting.front().copied()
                && due <= inner
            {
                waiting.pop_front();
                durable = Some(outer);
            }
            drop(waiting);
            if let Some(outer) = durable {
                sink(StoreEvent::Durable(outer));
            }
        }
        StoreEvent::Page(_)
        | StoreEvent::Expired(_)
        | StoreEvent::Due(_)
        | StoreEvent::Schedule(_)
        | StoreEvent::Duplicates(_)
        | StoreEvent::Refused(_)
        | StoreEvent::Resumed
        | StoreEvent::Failed(_) => sink(event),
    })
}

/// Everything but the settles, then the settles: what a transaction that is committed twice looks like in between.
fn halves(batch: Batch) -> (Option<Batch>, Batch) {
    let haste = batch.haste;
    let (settles, others): (Vec<_>, Vec<_>) = batch.operations.into_iter().partition(|operation| {
        matches!(operation, Operation::Settle { .. } | Operation::Remove(_))
    });
    if settles.is_empty() || others.is_empty() {
        return (
            None,
            Batch {
                operations: [others, settles].concat(),
                haste,
                units: Vec::new(),
            },
        );
    }
    (
        Some(Batch {
            operations: others,
            haste,
            units: Vec::new(),
        }),
        Batch {
            operations: settles,
            haste,
            units: Vec::new(),
        },
    )
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
