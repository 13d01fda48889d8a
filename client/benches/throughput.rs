//! What the client makes of a broker, in the rows of `stompbox perf` that it is held against:
//!
//! ```text
//! cargo bench -p stompbox-client --bench throughput -- 127.0.0.1:61613 S2 S6 receive
//! ```
//!
//! S2: topic, 1 KiB, not persistent, nothing acknowledged. S6: queue, persistent, 256 under way, each acknowledged.
//! `receive`: what a blocking `receive` takes when everything has come already.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use stompbox_client::{
    AcknowledgeMode, ClientError, Completion, Connection, DeliveryMode, OutgoingMessage,
    Subscription, blocking,
};

/// As `stompbox perf` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long a row is measured, unless `STOMPBOX_BENCH_SECONDS` says otherwise.
const SECONDS: f64 = 5.0;

/// What comes in this time does not count.
const WARM_UP: Duration = Duration::from_millis(500);

/// As in the rows.
const BODY_BYTES: usize = 1 << 10;
const IN_FLIGHT: usize = 256;

/// Messages of the row `receive`, small enough that the broker sends them all ahead.
const PREFETCH: u32 = 40_000;
const SMALL_BODY_BYTES: usize = 32;

fn main() -> Result<(), ClientError> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    // `cargo test --benches` and the like give no address: then there is nothing to measure.
    let Some((address, rows)) = arguments.split_first() else {
        println!("usage: throughput ADDRESS [S2] [S6] [receive]");
        return Ok(());
    };
    for row in rows {
        let rate = match row.as_str() {
            "S2" => run(s2(address.clone()))?,
            "S6" => run(s6(address.clone()))?,
            "receive" => receive(address)?,
            "send" => run(send(address.clone()))?,
            other => {
                println!("there is no row {other}");
                continue;
            }
        };
        println!("{row} {rate:.0}");
    }
    Ok(())
}

fn run(
    row: impl Future<Output = Result<f64, ClientError>> + Send + 'static,
) -> Result<f64, ClientError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| ClientError::Broken {
            source: Arc::new(error),
        })?;
    // On a worker, as the tasks of a program are.
    let row = runtime.spawn(row);
    runtime.block_on(row).map_err(|_| ClientError::Closed)?
}

fn seconds() -> Duration {
    let text = std::env::var("STOMPBOX_BENCH_SECONDS").unwrap_or_default();
    Duration::from_secs_f64(text.parse().unwrap_or(SECONDS))
}

fn name(kind: &str) -> String {
    format!("/{kind}/bench-{}", std::process::id())
}

/// Messages a second that a consumer received, after the warm-up.
struct Rate {
    began: Instant,
    counted: u64,
    last: Instant,
}

impl Rate {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            counted: 0,
            last: now,
        }
    }

    fn count(&mut self, number: u64) {
        // The clock costs more than the message.
        if !number.is_multiple_of(64) {
            return;
        }
        self.last = Instant::now();
        if self.last - self.began >= WARM_UP {
            self.counted += 64;
        }
    }

    fn per_second(&self) -> f64 {
        let time = (self.last - self.began).saturating_sub(WARM_UP);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let count = self.counted as f64;
        count / time.as_secs_f64()
    }
}

async fn s2(address: String) -> Result<f64, ClientError> {
    let receiving = Connection::connect(&address).await?;
    let sending = Connection::connect(&address).await?;
    let topic = name("topic");
    let session = receiving.session(AcknowledgeMode::Unacknowledged);
    let mut consumer = session.consumer(&topic).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    let producer = sending
        .session(AcknowledgeMode::Auto)
        .producer(&topic)
        .delivery_mode(DeliveryMode::NonPersistent);
    let sender = tokio::spawn(async move {
        let message = OutgoingMessage::new(vec![b'x'; BODY_BYTES]);
        while !stop.load(Ordering::Relaxed) {
            producer.send_and_forget(&message).await?;
        }
        Ok::<(), ClientError>(())
    });
    let end = Instant::now() + seconds();
    let mut rate = Rate::new();
    let mut number = 0;
    while rate.last < end {
        consumer.receive().await?;
        number += 1;
        rate.count(number);
    }
    is_over.store(true, Ordering::Relaxed);
    drop(consumer);
    sender.await.map_err(|_| ClientError::Closed)??;
    Ok(rate.per_second())
}

async fn send(address: String) -> Result<f64, ClientError> {
    let sending = Connection::connect(&address).await?;
    let producer = sending
        .session(AcknowledgeMode::Auto)
        .producer(name("topic"))
        .delivery_mode(DeliveryMode::NonPersistent);
    let message = OutgoingMessage::new(vec![b'x'; BODY_BYTES]);
    let end = Instant::now() + seconds();
    let mut rate = Rate::new();
    let mut number = 0;
    while rate.last < end {
        producer.send_and_forget(&message).await?;
        number += 1;
        rate.count(number);
    }
    Ok(rate.per_second())
}

async fn s6(address: String) -> Result<f64, ClientError> {
    let receiving = Connection::connect(&address).await?;
    let sending = Connection::builder(&address)
        .in_flight_max(IN_FLIGHT)
        .connect()
        .await?;
    let queue = name("queue");
    let session = receiving.session(AcknowledgeMode::Individual);
    let mut consumer = session.consumer(&queue).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    let producer = sending.session(AcknowledgeMode::Auto).producer(&queue);
    let sender = tokio::spawn(async move {
        let message = OutgoingMessage::new(vec![b'x'; BODY_BYTES]);
        let mut under_way: std::collections::VecDeque<Completion> = Default::default();
        while !stop.load(Ordering::Relaxed) {
            under_way.push_back(producer.send_async(&message).await?);
            if under_way.len() >= IN_FLIGHT
                && let Some(oldest) = under_way.pop_front()
            {
                oldest.await?;
            }
        }
        for completion in under_way {
            completion.await?;
        }
        Ok::<(), ClientError>(())
    });
    let end = Instant::now() + seconds();
    let mut rate = Rate::new();
    let mut number = 0;
    while rate.last < end {
        consumer.receive().await?.ack()?;
        number += 1;
        rate.count(number);
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(message) = consumer.receive_timeout(Duration::from_millis(200)).await? {
        message.ack()?;
    }
    sender.await.map_err(|_| ClientError::Closed)??;
    receiving.close().await?;
    Ok(rate.per_second())
}

fn receive(address: &str) -> Result<f64, ClientError> {
    let connection = blocking::Connection::connect(address)?;
    let session = connection.session(AcknowledgeMode::Auto);
    let queue = name("queue");
    let producer = session
        .producer(&queue)
        .delivery_mode(DeliveryMode::NonPersistent);
    let message = OutgoingMessage::new(vec![b'x'; SMALL_BODY_BYTES]);
    for _ in 1..PREFETCH {
        producer.send_and_forget(&message)?;
    }
    producer.send(&message)?;
    let mut consumer = session.consumer(Subscription::to(&queue).prefetch(PREFETCH))?;
    // Everything comes by itself.
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    for _ in 0..PREFETCH {
        consumer.receive()?;
    }
    let rate = f64::from(PREFETCH) / began.elapsed().as_secs_f64();
    connection.close()?;
    Ok(rate)
}
