//! How fast the SQLite engine is, through the trait: `cargo run --release --example bench -- FOLDER`.
//!
//! Prints a line a figure, `name value`, under the names that a bare two-table SQLite loop is measured with:
//! messages of 1 KiB, each commit awaited before the next is submitted. `stream_*` keeps a window in flight in small
//! batches, as the broker does.

use std::io::{Write, stdout};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use stompbox_store::{
    Append, Batch, DestinationId, DestinationKind, DestinationRecord, EntryKey, Haste, Medium,
    MessageNumber, Operation, PageId, PageRequest, Payload, Rank, Sender, Sequence, Store,
    StoreEvent, Ticket,
};

const DESTINATION: DestinationId = DestinationId(1);
const RANK: Rank = Rank(5);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Message {
    head: &'static [u8],
    body: Vec<u8>,
}

impl Payload for Message {
    fn head(&self) -> &[u8] {
        self.head
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

struct Bench {
    store: Box<SqliteStore>,
    events: Receiver<StoreEvent>,
    payload: Arc<dyn Payload>,
}

fn key(sequence: i64) -> EntryKey {
    EntryKey {
        destination: DESTINATION,
        rank: RANK,
        sequence: Sequence(sequence),
    }
}

impl Bench {
    fn open(folder: &PathBuf) -> Outcome<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        let (tx, events) = channel();
        let sink = Arc::new(move |event| {
            // The bench may have ended.
            let _ended = tx.send(event);
        });
        let (store, _) = SqliteStore::open(SqliteOptions::new(folder), 0, sink)?;
        let payload = Arc::new(Message {
            head: b"destination:/queue/load\ncontent-length:1024\npersistent:true\n",
            body: vec![b'x'; 1024],
        });
        let mut bench = Self {
            store: Box::new(store),
            events,
            payload,
        };
        let create = Operation::Create(DestinationRecord {
            id: DESTINATION,
            kind: DestinationKind::Queue,
            name: "load".into(),
            created_ms: 0,
        });
        bench.commit(vec![create])?;
        Ok(bench)
    }

    fn append(&self, sequence: i64) -> Operation {
        self.append_to(Medium::Database, sequence)
    }

    fn append_to(&self, medium: Medium, sequence: i64) -> Operation {
        Operation::Append(Append {
            key: key(sequence),
            number: MessageNumber(sequence),
            payload: Arc::clone(&self.payload),
            timestamp_ms: 1,
            expires_ms: 0,
            annotations: Box::default(),
            medium,
            sender: Sender::default(),
        })
    }

    fn submit(&mut self, operations: Vec<Operation>) -> Ticket {
        self.store.submit(Batch {
            operations,
            haste: Haste::Awaited,
            units: Vec::new(),
        })
    }

    fn wait(&self, ticket: Ticket) -> Outcome<()> {
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

    fn commit_ranges(&mut self, add: Range<i64>, settle: Range<i64>) -> Outcome<()> {
        let appends = add.map(|sequence| self.append(sequence));
        let operations = appends
            .chain(settle.map(|n| Operation::Settle {
                key: key(n),
                medium: Medium::Database,
            }))
            .collect();
        self.commit(operations)
    }

    /// Keeps up to `window` operations in flight in batches of 32: appends `add`, each settled `behind` later.
    fn stream(&mut self, add: Range<i64>, behind: Option<i64>, window: u64) -> Outcome<()> {
        let mut durable = Ticket(0);
        for first in add.clone().step_by(32) {
            let mut operations = Vec::with_capacity(64);
            for sequence in first..(first + 32).min(add.end) {
                operations.push(self.append(sequence));
                let settled = behind.map(|behind| sequence - behind);
                operations.extend(
                    settled
                        .filter(|n| *n >= add.start)
                        .map(|n| Operation::Settle {
                            key: key(n),
                            medium: Medium::Database,
                        }),
                );
            }
            let ticket = self.submit(operations);
            while ticket.0 - durable.0.min(ticket.0) > window / 32 && durable < ticket {
                match self.events.recv()? {
                    StoreEvent::Durable(through) => durable = through,
                    StoreEvent::Failed(error) => return Err(error.into()),
                    _ => {}
                }
            }
        }
        self.commit(Vec::new())
    }

    /// Reads everything from the beginning in pages of `rows`.
    fn read_all(&mut self, rows: usize) -> Outcome<usize> {
        let (mut from, mut count) = (Sequence(0), 0);
        loop {
            self.store.read_page(PageRequest {
                id: PageId(0),
                destination: DESTINATION,
                rank: RANK,
                from,
                through: Sequence::MAX,
                rows_max: rows,
                bytes_max: usize::MAX,
            });
            match self.events.recv()? {
                StoreEvent::Page(page) => {
                    count += page.rows.len();
                    match page.rows.last() {
                        Some(row) if !page.exhausted => from = row.sequence.next(),
                        _ => return Ok(count),
                    }
                }
                StoreEvent::Failed(error) => return Err(error.into()),
                _ => {}
            }
        }
    }
}

fn print(name: &str, value: f64) -> Outcome<()> {
    Ok(writeln!(stdout(), "{name} {value:.0}")?)
}

fn rate(name: &str, count: i64, begun: Instant) -> Outcome<()> {
    print(name, count as f64 / begun.elapsed().as_secs_f64())
}

fn lock_step(folder: &PathBuf, batch: i64, count: i64) -> Outcome<()> {
    let mut bench = Bench::open(folder)?;
    let mut latencies: Vec<Duration> = Vec::new();
    let begun = Instant::now();
    for first in (0..count).step_by(batch as usize) {
        let submitted = Instant::now();
        bench.commit_ranges(first..first + batch, 0..0)?;
        latencies.push(submitted.elapsed());
    }
    rate(&format!("insert_{batch}"), count, begun)?;
    if batch == 1 {
        latencies.sort_unstable();
        print(
            "commit_p50_us",
            latencies[latencies.len() / 2].as_micros() as f64,
        )?;
        print(
            "commit_p99_us",
            latencies[latencies.len() * 99 / 100].as_micros() as f64,
        )?;
    }
    let begun = Instant::now();
    for first in (0..count).step_by(batch as usize) {
        bench.commit_ranges(0..0, first..first + batch)?;
    }
    rate(&format!("delete_{batch}"), count, begun)?;
    let begun = Instant::now();
    for first in (count..2 * count).step_by(batch as usize) {
        let behind = first - 2 * batch;
        let settled = if behind >= count {
            behind..behind + batch
        } else {
            0..0
        };
        bench.commit_ranges(first..first + batch, settled)?;
    }
    rate(&format!("pairs_{batch}"), count, begun)?;
    bench.store.close(Batch::default())?;
    Ok(())
}

fn streams(folder: &PathBuf) -> Outcome<()> {
    const COUNT: i64 = 200_000;
    let mut bench = Bench::open(folder)?;
    let begun = Instant::now();
    bench.stream(0..COUNT, None, 4_000)?;
    rate("stream_insert", COUNT, begun)?;
    let begun = Instant::now();
    let read = bench.read_all(1_000)?;
    rate("page_1000", i64::try_from(read)?, begun)?;
    let begun = Instant::now();
    bench.stream(COUNT..2 * COUNT, Some(8_000), 4_000)?;
    rate("stream_pairs", COUNT, begun)?;
    let begun = Instant::now();
    bench.stream(2 * COUNT..3 * COUNT, Some(100), 4_000)?;
    rate("stream_pairs_close", COUNT, begun)?;
    bench.store.close(Batch::default())?;
    let begun = Instant::now();
    let (store, recovered) = SqliteStore::open(SqliteOptions::new(folder), 0, Arc::new(drop))?;
    print("open_us", begun.elapsed().as_micros() as f64)?;
    print(
        "entries",
        recovered
            .tallies
            .iter()
            .map(|tally| tally.count as f64)
            .sum(),
    )?;
    drop(store);
    Ok(())
}

/// Entries of the scratch file: in, out in pages with their settles, and both in turn at a constant depth.
fn spill(folder: &PathBuf) -> Outcome<()> {
    const COUNT: i64 = 300_000;
    const BATCH: i64 = 500;
    let mut bench = Bench::open(folder)?;
    let settle = |n| Operation::Settle {
        key: key(n),
        medium: Medium::Scratch,
    };
    let begun = Instant::now();
    for first in (0..COUNT).step_by(BATCH as usize) {
        let appends = (first..first + BATCH).map(|n| bench.append_to(Medium::Scratch, n));
        let appends = appends.collect();
        bench.commit(appends)?;
    }
    rate("spill", COUNT, begun)?;
    print(
        "scratch_mib",
        bench.store.statistics().scratch_bytes as f64 / 1048576.0,
    )?;
    let begun = Instant::now();
    for first in (0..COUNT).step_by(1_000) {
        bench.store.read_page(PageRequest {
            id: PageId(0),
            destination: DESTINATION,
            rank: RANK,
            from: Sequence(first),
            through: Sequence::MAX,
            rows_max: 1_000,
            bytes_max: usize::MAX,
        });
        loop {
            match bench.events.recv()? {
                StoreEvent::Page(page) => {
                    assert_eq!(page.rows.len(), 1_000);
                    break;
                }
                StoreEvent::Failed(error) => return Err(error.into()),
                _ => {}
            }
        }
        bench.commit((first..first + 1_000).map(settle).collect())?;
    }
    rate("spill_drain", COUNT, begun)?;
    let begun = Instant::now();
    for first in (COUNT..2 * COUNT).step_by(BATCH as usize) {
        let appends = (first..first + BATCH).map(|n| bench.append_to(Medium::Scratch, n));
        let behind = first - 20 * BATCH;
        let settles = (behind..behind + BATCH).filter(|n| *n >= COUNT).map(settle);
        let operations = appends.chain(settles).collect();
        bench.commit(operations)?;
    }
    rate("spill_pairs", COUNT, begun)?;
    print(
        "scratch_mib",
        bench.store.statistics().scratch_bytes as f64 / 1048576.0,
    )?;
    bench.store.close(Batch::default())?;
    Ok(())
}

fn main() -> Outcome<()> {
    let folder = std::env::args()
        .nth(1)
        .ok_or("a scratch folder is needed")?;
    let folder = PathBuf::from(folder).join("bench-store");
    if std::env::args().nth(2).as_deref() == Some("spill") {
        spill(&folder)?;
        std::fs::remove_dir_all(&folder)?;
        return Ok(());
    }
    for (batch, count) in [(1, 2_000), (16, 16_000), (100, 100_000), (1_000, 100_000)] {
        lock_step(&folder, batch, count)?;
    }
    streams(&folder)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
