//! How fast the schedule of the SQLite engine is: `cargo run --release --example schedule -- FOLDER [ROWS]`.
//!
//! Prints a line a figure, `name value`. Schedules a million messages of 1 KiB, opens what is there, reads what is due
//! page by page without and with firing it, and lists what is left.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use stompbox_store::{
    Append, Batch, DestinationId, DestinationKind, DestinationRecord, Due, DueKey, DueRequest,
    EntryKey, Haste, Medium, MessageNumber, Operation, PageId, Payload, Rank, Recovered,
    ScheduleFilter, ScheduleId, ScheduleListRequest, ScheduleRecord, Sender, Sequence, Store,
    StoreEvent, Ticket,
};

const QUEUE: DestinationId = DestinationId(1);
const RANK: Rank = Rank(5);
const BATCH: i64 = 1_000;
/// So many fire at the same moment.
const AT_ONCE: i64 = 10_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Message(Vec<u8>);

impl Payload for Message {
    fn head(&self) -> &[u8] {
        b"destination:/queue/load\ncontent-length:1024\npersistent:true\n"
    }

    fn body(&self) -> &[u8] {
        &self.0
    }
}

struct Bench {
    store: Box<SqliteStore>,
    events: Receiver<StoreEvent>,
    payload: Arc<dyn Payload>,
    recovered: Recovered,
}

impl Bench {
    fn open(folder: &Path) -> Outcome<Self> {
        let (tx, events) = channel();
        let sink = Arc::new(move |event| {
            // The bench may have ended.
            let _ended = tx.send(event);
        });
        let (store, recovered) = SqliteStore::open(SqliteOptions::new(folder), 0, sink)?;
        Ok(Self {
            store: Box::new(store),
            events,
            payload: Arc::new(Message(vec![b'x'; 1_024])),
            recovered,
        })
    }

    fn submit(&mut self, operations: Vec<Operation>) -> Ticket {
        self.store.submit(Batch {
            operations,
            haste: Haste::Awaited,
            units: Vec::new(),
        })
    }

    fn wait(&mut self, ticket: Ticket) -> Outcome<()> {
        loop {
            match self.events.recv()? {
                StoreEvent::Durable(through) if through >= ticket => return Ok(()),
                StoreEvent::Failed(error) => return Err(error.into()),
                _ => {}
            }
        }
    }

    fn commit(&mut self, operations: Vec<Operation>) -> Outcome<()> {
        let ticket = self.submit(operations);
        self.wait(ticket)
    }

    fn schedule(&self, n: i64) -> Operation {
        Operation::Schedule(ScheduleRecord {
            id: ScheduleId(n),
            // Not in the order in which they come.
            due_ms: n * 7_919 % (1 << 40) / AT_ONCE,
            repeats_left: 0,
            text: "delay=60000".into(),
            destination: QUEUE,
            rank: RANK,
            number: MessageNumber(n),
            payload: Arc::clone(&self.payload),
            timestamp_ms: 1,
            expires_ms: 0,
            sender: Sender::default(),
        })
    }

    fn due(&mut self, after: Option<DueKey>) -> Outcome<Due> {
        self.store.read_due(DueRequest {
            id: PageId(0),
            after,
            until_ms: i64::MAX,
            rows_max: usize::try_from(BATCH)?,
            bytes_max: 16 << 20,
        });
        loop {
            match self.events.recv()? {
                StoreEvent::Due(due) => return Ok(due),
                StoreEvent::Failed(error) => return Err(error.into()),
                _ => {}
            }
        }
    }

    /// What a page fires: for the last time, or again.
    fn firing(&self, due: &Due, repeats: bool) -> Vec<Operation> {
        let fired = due.rows.iter().flat_map(|row| {
            let number = match repeats {
                true => MessageNumber((1 << 41) + row.key.id.0),
                false => row.number,
            };
            let append = Operation::Append(Append {
                key: EntryKey {
                    destination: row.destination,
                    rank: row.rank,
                    sequence: Sequence((1 << 41) + row.key.id.0),
                },
                number,
                payload: Arc::clone(&self.payload),
                timestamp_ms: row.timestamp_ms,
                expires_ms: 0,
                annotations: Box::default(),
                medium: Medium::Database,
                sender: Sender::default(),
            });
            let moves_on = match repeats {
                true => Operation::Reschedule {
                    id: row.key.id,
                    due_ms: row.key.due_ms + (1 << 30),
                    repeats_left: 1,
                },
                false => Operation::Unschedule(row.key.id),
            };
            [append, moves_on]
        });
        fired.collect()
    }

    /// Reads so many pages and fires what is on them, one page being read while the one before is written.
    fn fire(&mut self, pages: usize, repeats: bool) -> Outcome<i64> {
        let (mut after, mut fired) = (None, 0);
        let mut last = Ticket(0);
        for _ in 0..pages {
            let due = self.due(after)?;
            after = due.rows.last().map(|row| row.key);
            fired += i64::try_from(due.rows.len())?;
            let operations = self.firing(&due, repeats);
            last = self.submit(operations);
        }
        self.wait(last)?;
        Ok(fired)
    }
}

fn print(name: &str, value: f64) -> Outcome<()> {
    Ok(writeln!(stdout(), "{name} {value:.0}")?)
}

fn rate(name: &str, count: i64, begun: Instant) -> Outcome<()> {
    print(name, count as f64 / begun.elapsed().as_secs_f64())
}

fn micros(name: &str, duration: Duration) -> Outcome<()> {
    print(name, duration.as_micros() as f64)
}

fn fill(folder: &Path, rows: i64) -> Outcome<()> {
    let mut bench = Bench::open(folder)?;
    bench.commit(vec![Operation::Create(DestinationRecord {
        id: QUEUE,
        kind: DestinationKind::Queue,
        name: "load".into(),
        created_ms: 0,
    })])?;
    let begun = Instant::now();
    for first in (1..=rows).step_by(BATCH as usize) {
        let operations = (first..first + BATCH).map(|n| bench.schedule(n)).collect();
        bench.commit(operations)?;
    }
    rate("schedule", rows, begun)?;
    Ok(bench.store.close(Batch::default())?)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("a scratch folder is needed")?;
    let folder = PathBuf::from(folder).join("bench-schedule");
    let rows = arguments.next().map_or(Ok(1_000_000), |it| it.parse())?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    fill(&folder, rows)?;

    let begun = Instant::now();
    let mut bench = Bench::open(&folder)?;
    micros("open_us", begun.elapsed())?;
    print("open_rows", bench.recovered.scheduled[0].count as f64)?;

    let begun = Instant::now();
    let first = bench.due(None)?;
    micros("first_due_page_us", begun.elapsed())?;
    let begun = Instant::now();
    let (mut after, mut read) = (first.rows.last().map(|row| row.key), 0);
    for _ in 0..50 {
        let due = bench.due(after)?;
        after = due.rows.last().map(|row| row.key);
        read += i64::try_from(due.rows.len())?;
    }
    rate("read_due", read, begun)?;
    let begun = Instant::now();
    let fired = bench.fire(50, true)?;
    rate("fire_again", fired, begun)?;
    let begun = Instant::now();
    let fired = bench.fire(50, false)?;
    rate("fire_last", fired, begun)?;
    for (name, filter) in [
        ("list_all_us", ScheduleFilter::All),
        ("list_destination_us", ScheduleFilter::Destination(QUEUE)),
        ("list_one_us", ScheduleFilter::One(ScheduleId(rows / 2))),
    ] {
        let begun = Instant::now();
        bench.store.read_schedule(ScheduleListRequest {
            id: PageId(0),
            filter,
            after: None,
            rows_max: 100,
        });
        while !matches!(bench.events.recv()?, StoreEvent::Schedule(_)) {}
        micros(name, begun.elapsed())?;
    }
    bench.store.close(Batch::default())?;
    Ok(std::fs::remove_dir_all(&folder)?)
}
