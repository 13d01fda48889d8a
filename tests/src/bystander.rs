//! A client that does nothing wrong beside one that does: a producer at a fixed pace whose persistent messages are
//! receipted, and a consumer that acknowledges each.
//!
//! The pace is an open loop: a message is due at its time whatever became of those before it, and its latencies count
//! from then, so that a broker that stalls cannot hide it by stalling the producer. Owns three threads and two
//! sockets. In the end [`Bystander::finish`] checks that nothing receipted was lost and nothing came twice.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::flood::Flood;

/// How often the producer looks whether something is due.
const TICK: Duration = Duration::from_millis(1);

/// What is outstanding in the end must come by then. Spent only by failing tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Padding, so that a message has a usual size.
const PADDING: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The client.
pub struct Bystander {
    rate: u32,
    shared: Arc<Shared>,
    sockets: [TcpStream; 2],
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    began: Instant,
    /// Nothing more is sent.
    is_finishing: AtomicBool,
    /// The sockets are being closed: what that does to them is no failure.
    is_over: AtomicBool,
    sent: AtomicUsize,
    receipts: Arrivals,
    deliveries: Arrivals,
    failure: Mutex<Option<String>>,
}

/// When the answer to each message came, counted from the beginning.
#[derive(Default)]
struct Arrivals {
    times: Mutex<Vec<Option<Duration>>>,
    count: AtomicUsize,
}

/// What the client saw in a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Receipts a second.
    pub receipts: f64,
    /// Deliveries a second.
    pub deliveries: f64,
    /// From when a message was due until its receipt came, or until the end of the while.
    pub p50: Duration,
    /// The same.
    pub p99: Duration,
    /// The same.
    pub most: Duration,
}

impl Seen {
    /// Messages that went all the way, a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.receipts.min(self.deliveries)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms, at most {:.0} ms",
            self.rate(),
            ms(self.p50),
            ms(self.p99),
            ms(self.most)
        )
    }
}

impl Bystander {
    /// Begins to send so many messages a second to a queue.
    ///
    /// # Panics
    /// When the broker does not serve it.
    #[must_use]
    pub fn start(address: SocketAddr, queue: &str, rate: u32) -> Bystander {
        let mut consumer = Flood::connect(address);
        consumer.send(format!(
            "SUBSCRIBE\nid:s\nack:client-individual\ndestination:{queue}\nreceipt:s\n\n\0"
        ));
        let receipt = consumer.read_frame();
        assert!(
            matches!(&receipt, Ok(frame) if frame.starts_with(b"RECEIPT")),
            "{receipt:?}"
        );
        let producer = Flood::connect(address);
        let shared = Arc::new(Shared {
            began: Instant::now(),
            is_finishing: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
            receipts: Arrivals::default(),
            deliveries: Arrivals::default(),
            failure: Mutex::new(None),
        });
        let (producer, consumer) = (producer.stream, consumer.stream);
        let sockets = [clone(&producer), clone(&consumer)];
        let threads = vec![
            spawn(&shared, clone(&producer), {
                let queue = queue.to_owned();
                move |shared, stream| produce(shared, stream, &queue, rate)
            }),
            spawn(&shared, producer, |shared, stream| {
                read_frames(stream, |frame, _| shared.receipt(frame))
            }),
            spawn(&shared, consumer, |shared, stream| {
                read_frames(stream, |frame, acks| shared.delivery(frame, acks))
            }),
        ];
        Bystander {
            rate,
            shared,
            sockets,
            threads,
        }
    }

    /// Messages that are due in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        f64::from(self.rate)
    }

    /// The time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// What was seen between two times.
    ///
    /// # Panics
    /// When the client has met an ERROR or the end of a connection.
    #[must_use]
    pub fn seen(&self, from: Duration, to: Duration) -> Seen {
        self.check();
        let seconds = (to - from).as_secs_f64();
        let receipts = self.shared.receipts.lock().clone();
        let within = |times: &[Option<Duration>]| {
            let count = times.iter().flatten();
            count.filter(|time| (from..to).contains(*time)).count() as f64 / seconds
        };
        let first = (from.as_secs_f64() * self.rate()).ceil() as u32;
        let mut latencies: Vec<Duration> = (first..)
            .map(|number| (number, due(number, self.rate)))
            .take_while(|(_, due)| *due < to)
            .map(|(number, due)| {
                let came = receipts.get(number as usize).copied().flatten();
                came.unwrap_or(to).saturating_sub(due)
            })
            .collect();
        latencies.sort_unstable();
        let percentile = |part: usize| {
            let index = latencies.len() * part / 100;
            let last = latencies.len().saturating_sub(1);
            latencies.get(index.min(last)).copied().unwrap_or_default()
        };
        Seen {
            receipts: within(&receipts),
            deliveries: within(&self.shared.deliveries.lock()),
            p50: percentile(50),
            p99: percentile(99),
            most: percentile(100),
        }
    }

    /// Watches for a while.
    #[must_use]
    pub fn watch(&self, period: Duration) -> Seen {
        let from = self.now();
        thread::sleep(period);
        self.seen(from, self.now())
    }

    /// Stops sending, waits for what is outstanding, and checks that every message came once. Says how many there
    /// were.
    ///
    /// # Panics
    /// When one is missing, came twice, or the client was not served.
    pub fn finish(mut self) -> usize {
        self.shared.is_finishing.store(true, Ordering::Release);
        let producer = self.threads.swap_remove(0);
        assert!(producer.join().is_ok(), "the producer has panicked");
        let sent = self.shared.sent.load(Ordering::Acquire);
        let end = Instant::now() + PATIENCE;
        loop {
            self.check();
            let counts = [&self.shared.receipts, &self.shared.deliveries]
                .map(|arrivals| arrivals.count.load(Ordering::Acquire));
            if counts == [sent, sent] {
                break;
            }
            let [receipts, deliveries] = counts;
            assert!(
                Instant::now() < end,
                "the bystander has sent {sent} messages, got {receipts} receipts and {deliveries} messages"
            );
            thread::sleep(TICK);
        }
        sent
    }

    fn check(&self) {
        if let Some(failure) = &*lock(&self.shared.failure) {
            panic!("the bystander: {failure}");
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.shared.is_finishing.store(true, Ordering::Release);
        self.shared.is_over.store(true, Ordering::Release);
        for socket in &self.sockets {
            // Gone already at worst.
            let _ = socket.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, Vec<Option<Duration>>> {
        lock(&self.times)
    }

    fn note(&self, number: usize, time: Duration) -> Result<(), String> {
        let mut times = self.lock();
        if times.len() <= number {
            times.resize(number + 1, None);
        }
        if times[number].replace(time).is_some() {
            return Err(format!("message {number} came twice"));
        }
        self.count.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

impl Shared {
    fn receipt(&self, frame: &[u8]) -> Result<(), String> {
        let number = number(frame, "RECEIPT", b"\nreceipt-id:")?;
        self.receipts.note(number, self.began.elapsed())
    }

    fn delivery(&self, frame: &[u8], acks: &mut Vec<u8>) -> Result<(), String> {
        let number = number(frame, "MESSAGE", b"\nn:")?;
        self.deliveries.note(number, self.began.elapsed())?;
        acks.extend_from_slice(b"ACK\nid:");
        acks.extend_from_slice(value(frame, b"\nack:").ok_or("a MESSAGE without ack")?);
        acks.extend_from_slice(b"\n\n\0");
        Ok(())
    }
}

fn due(number: u32, rate: u32) -> Duration {
    Duration::from_secs_f64(f64::from(number) / f64::from(rate))
}

fn produce(shared: &Shared, stream: &mut TcpStream, queue: &str, rate: u32) -> Result<(), String> {
    let mut next = 0;
    let mut frames = String::new();
    while !shared.is_finishing.load(Ordering::Acquire) {
        frames.clear();
        let now = shared.began.elapsed();
        while due(next, rate) <= now {
            frames.push_str(&format!(
                "SEND\ndestination:{queue}\npersistent:true\nn:{next}\nreceipt:{next}\n\n{PADDING}\0"
            ));
            next += 1;
        }
        shared.sent.store(next as usize, Ordering::Release);
        let written = stream.write_all(frames.as_bytes());
        written.map_err(|error| format!("cannot send: {error}"))?;
        thread::sleep(TICK);
    }
    Ok(())
}

/// Reads frames to the end of the connection, and writes what `take` has to say to each read's.
fn read_frames(
    stream: &mut TcpStream,
    mut take: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    stream.set_read_timeout(None).map_err(failed)?;
    let mut input = Vec::new();
    let mut block = vec![0; 64 * 1024];
    let mut answer = Vec::new();
    loop {
        let count = stream.read(&mut block).map_err(failed)?;
        if count == 0 {
            return Err("the broker has closed the connection".to_owned());
        }
        input.extend_from_slice(&block[..count]);
        let mut used = 0;
        while let Some(length) = input[used..].iter().position(|byte| *byte == 0) {
            take(input[used..used + length].trim_ascii_start(), &mut answer)?;
            used += length + 1;
        }
        input.drain(..used);
        stream.write_all(&answer).map_err(failed)?;
        answer.clear();
    }
}

fn number(frame: &[u8], command: &str, name: &[u8]) -> Result<usize, String> {
    let wrong = || format!("expected {command}, got {}", frame.escape_ascii());
    if !frame.starts_with(command.as_bytes()) {
        return Err(wrong());
    }
    let text = value(frame, name).and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

/// What stands behind `name`, which begins with a line feed and ends with a colon.
fn value<'f>(frame: &'f [u8], name: &[u8]) -> Option<&'f [u8]> {
    let at = frame.windows(name.len()).position(|part| part == name)? + name.len();
    let length = frame[at..].iter().position(|byte| *byte == b'\n')?;
    Some(&frame[at..at + length])
}

fn spawn(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    run: impl FnOnce(&Shared, &mut TcpStream) -> Result<(), String> + Send + 'static,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let failed = run(&shared, &mut stream).err();
        if !shared.is_over.load(Ordering::Acquire) {
            let mut failure = lock(&shared.failure);
            *failure = failure.take().or(failed);
        }
    })
}

fn clone(stream: &TcpStream) -> TcpStream {
    match stream.try_clone() {
        Ok(stream) => stream,
        Err(error) => panic!("a socket is not cloned: {error}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
