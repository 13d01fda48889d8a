//! How fast logs and durable subscriptions of the SQLite engine are: `cargo run --release --example log -- FOLDER PART`.
//!
//! Prints a line a figure, `name value`. `append` compares one subscription with ten thousand, which nobody
//! uses; `consume` is publishing with a subscription that follows; `restart` opens ten thousand
//! subscriptions on a million messages and trims them while small commits go on.

use std::io::{Write, stdout};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use stompbox_store::{
    Batch, DestinationId, DestinationKind, DestinationRecord, Haste, LogAppend, LogPageRequest,
    MessageNumber, Operation, PageId, Payload, Recovered, Sender, Sequence, Store, StoreEvent,
    SubscriptionId, SubscriptionRecord, Ticket,
};

const TOPIC: DestinationId = DestinationId(1);
const BATCH: usize = 32;
const WINDOW: u64 = 4_000;

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
    recovered: Recovered,
}

fn floor(subscription: i64, floor: i64) -> Operation {
    Operation::Floor {
        subscription: SubscriptionId(subscription),
        floor: Sequence(floor),
    }
}

fn trim(through: i64) -> Operation {
    Operation::Trim {
        topic: TOPIC,
        through: Sequence(through),
    }
}

impl Bench {
    fn open(folder: &Path, body_bytes: usize) -> Outcome<Self> {
        let (tx, events) = channel();
        let sink = Arc::new(move |event| {
            // The bench may have ended.
            let _ended = tx.send(event);
        });
        let (store, recovered) = SqliteStore::open(SqliteOptions::new(folder), 0, sink)?;
        Ok(Self {
            store: Box::new(store),
            events,
            payload: Arc::new(Message {
                head: b"destination:/topic/load\ncontent-length:1024\npersistent:true\n",
                body: vec![b'x'; body_bytes],
            }),
            recovered,
        })
    }

    /// A new database with so many subscriptions.
    fn create(folder: &Path, body_bytes: usize, subscriptions: i64) -> Outcome<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        let mut bench = Self::open(folder, body_bytes)?;
        let create = Operation::Create(DestinationRecord {
            id: TOPIC,
            kind: DestinationKind::Topic,
            name: "load".into(),
            created_ms: 0,
        });
        let subscribes = (1..=subscriptions).map(|id| {
            Operation::Subscribe(SubscriptionRecord {
                id: SubscriptionId(id),
                topic: TOPIC,
                identity: format!("client-{id}/orders").into(),
                selector: None,
                floor: Sequence(0),
                created_ms: 0,
            })
        });
        let operations = [create].into_iter().chain(subscribes).collect();
        bench.commit(operations)?;
        Ok(bench)
    }

    fn log(&self, sequence: i64) -> Operation {
        Operation::Log(LogAppend {
            topic: TOPIC,
            sequence: Sequence(sequence),
            number: MessageNumber(sequence),
            payload: Arc::clone(&self.payload),
            timestamp_ms: 1,
            expires_ms: 0,
            tag: 0,
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

    fn commit(&mut self, operations: Vec<Operation>) -> Outcome<()> {
        let ticket = self.submit(operations);
        loop {
            match self.events.recv()? {
                StoreEvent::Durable(through) if through >= ticket => return Ok(()),
                StoreEvent::Failed(error) => return Err(error.into()),
                _ => {}
            }
        }
    }

    /// Publishes in small batches, `WINDOW` in flight. Subscription 1 acknowledges everything so far `behind`.
    fn publish(&mut self, sequences: Range<i64>, behind: Option<i64>) -> Outcome<()> {
        let mut durable = Ticket(0);
        for first in sequences.clone().step_by(BATCH) {
            let batch = first..(first + BATCH as i64).min(sequences.end);
            let mut operations: Vec<_> = batch.clone().map(|n| self.log(n)).collect();
            if let Some(behind) = behind {
                for n in batch {
                    operations.push(floor(1, n - behind));
                    operations.push(trim(n - behind));
                }
            }
            let ticket = self.submit(operations);
            while ticket.0 - durable.0.min(ticket.0) > WINDOW / BATCH as u64 {
                match self.events.recv()? {
                    StoreEvent::Durable(through) => durable = through,
                    StoreEvent::Failed(error) => return Err(error.into()),
                    _ => {}
                }
            }
        }
        self.commit(Vec::new())
    }

    /// Reads everything that a subscription has not acknowledged, in pages.
    fn read_all(&mut self, subscription: i64) -> Outcome<i64> {
        let (mut from, mut count) = (Sequence(0), 0);
        loop {
            self.store.read_log(LogPageRequest {
                id: PageId(0),
                topic: TOPIC,
                subscription: SubscriptionId(subscription),
                from,
                through: Sequence::MAX,
                rows_max: 1_000,
                bytes_max: usize::MAX,
            });
            match self.events.recv()? {
                StoreEvent::Page(page) => {
                    count += i64::try_from(page.rows.len())?;
                    if page.exhausted {
                        return Ok(count);
                    }
                    from = page.through.next();
                }
                StoreEvent::Failed(error) => return Err(error.into()),
                _ => {}
            }
        }
    }

    fn close(self) -> Outcome<()> {
        Ok(self.store.close(Batch::default())?)
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

/// The two take turns, so that whatever else the machine does concerns both.
fn append(folder: &Path) -> Outcome<()> {
    const ROUNDS: i64 = 20;
    const COUNT: i64 = 20_000;
    let mut benches = Vec::new();
    for subscriptions in [1, 10_000] {
        let folder = folder.join(subscriptions.to_string());
        benches.push((
            subscriptions,
            Bench::create(&folder, 1_024, subscriptions)?,
            Vec::new(),
        ));
    }
    for round in 0..ROUNDS {
        for (_, bench, times) in &mut benches {
            let begun = Instant::now();
            bench.publish(round * COUNT + 1..(round + 1) * COUNT + 1, None)?;
            times.push(begun.elapsed());
        }
    }
    for (subscriptions, mut bench, mut times) in benches {
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64();
        print(&format!("append_{subscriptions}"), COUNT as f64 / median)?;
        let begun = Instant::now();
        let read = bench.read_all(subscriptions)?;
        rate(&format!("page_{subscriptions}"), read, begun)?;
        bench.close()?;
    }
    Ok(())
}

fn consume(folder: &Path) -> Outcome<()> {
    const COUNT: i64 = 200_000;
    for behind in [8_000, 100, 0] {
        let mut bench = Bench::create(folder, 1_024, 1)?;
        let begun = Instant::now();
        bench.publish(1..COUNT + 1, Some(behind))?;
        rate(&format!("consume_behind_{behind}"), COUNT, begun)?;
        bench.close()?;
    }
    Ok(())
}

fn restart(folder: &Path) -> Outcome<()> {
    const COUNT: i64 = 1_000_000;
    let mut bench = Bench::create(folder, 128, 10_000)?;
    bench.publish(1..COUNT + 1, None)?;
    // One message is in everybody's way.
    let pass = |n| Operation::Pass {
        subscription: SubscriptionId(2),
        sequence: Sequence(n),
    };
    let begun = Instant::now();
    for first in (2..=COUNT).step_by(10_000) {
        bench.commit((first..(first + 10_000).min(COUNT + 1)).map(pass).collect())?;
    }
    rate("pass", COUNT - 1, begun)?;
    let begun = Instant::now();
    print("read_behind_passed", bench.read_all(2)? as f64)?;
    micros("read_behind_passed_us", begun.elapsed())?;
    bench.close()?;

    let begun = Instant::now();
    let mut bench = Bench::open(folder, 128)?;
    micros("open_us", begun.elapsed())?;
    print("open_rows", bench.recovered.logs[0].count as f64)?;
    print(
        "open_subscriptions",
        bench.recovered.subscriptions.len() as f64,
    )?;

    let begun = Instant::now();
    bench.commit(
        (1..=10_000)
            .map(|id| floor(id, COUNT))
            .chain([trim(COUNT)])
            .collect(),
    )?;
    micros("floor_10000_us", begun.elapsed())?;
    let (mut next, mut latencies) = (COUNT + 1, Vec::new());
    while bench.store.statistics().database_free_bytes < 120 << 20 {
        let submitted = Instant::now();
        let log = bench.log(next);
        bench.commit(vec![log])?;
        latencies.push(submitted.elapsed());
        next += 1;
    }
    micros("trim_under_load_us", begun.elapsed())?;
    latencies.sort_unstable();
    micros("trim_commit_p50_us", latencies[latencies.len() / 2])?;
    micros("trim_commit_p99_us", latencies[latencies.len() * 99 / 100])?;
    micros("trim_commit_max_us", latencies[latencies.len() - 1])?;
    bench.close()
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("a scratch folder is needed")?;
    let folder = PathBuf::from(folder).join("bench-log");
    match arguments.next().as_deref() {
        Some("append") => append(&folder)?,
        Some("consume") => consume(&folder)?,
        Some("restart") => restart(&folder)?,
        _ => return Err("one of append, consume, restart is needed".into()),
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
