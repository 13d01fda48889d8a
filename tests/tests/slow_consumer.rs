//! One subscriber of a topic at 100 messages a second, or none at all, beside nine that take what they get: who pays is
//! what the policy says, and nobody else does.
//!
//! `cargo test` runs a share of it. All of it, on the machine alone:
//!
//!     STOMPBOX_SCALE=full cargo test --release -p stompbox-tests --test slow_consumer -- --test-threads=1 --nocapture

#[allow(
    dead_code,
    reason = "shared with the conformance tests, which use the rest"
)]
#[path = "conformance/fixture.rs"]
mod fixture;

use std::io::{BufRead, BufReader, Read};
use std::net::Shutdown;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::flood::Flood;
use stompbox_tests::resident::Resident;
use stompbox_tests::say;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::PATIENCE;

use fixture::{ask, eventually, start_watched};

const TOPIC: &str = "/topic/t";

const FAST_COUNT: usize = 9;

/// The slow one's prefetch, and what may wait for it beyond that.
const PREFETCH: u64 = 10;
const PENDING: u64 = 1_000;

/// 100 a second.
const SLOW_EVERY: Duration = Duration::from_millis(10);

const MIB: u64 = 1 << 20;

/// What the broker may grow by: sockets of ten subscribers, what waits for one of them, the allocator's share.
const GROWTH_MAX: u64 = 128 * MIB;

fn broker(policy: &str, pending: u64, stalled_after: &str) -> Broker {
    start_watched(&format!(
        "[stomp]\nstalled_after = \"{stalled_after}\"\n\
         [[destination]]\nmatch = \"t\"\nslow_consumer = \"{policy}\"\npending_messages = {pending}\n"
    ))
}

/// A subscriber that counts what it gets and keeps nothing.
struct Fast {
    count: Arc<AtomicU64>,
    flood: Flood,
    thread: Option<JoinHandle<()>>,
}

impl Fast {
    fn start(broker: &Broker) -> Fast {
        let mut flood = Flood::connect(broker.stomp());
        subscribe(&mut flood, "auto", "");
        let count = Arc::new(AtomicU64::new(0));
        let mut stream = flood.stream.try_clone().expect("a socket is cloned");
        let counted = Arc::clone(&count);
        let thread = thread::spawn(move || {
            let mut block = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut block) {
                let frames = block[..length].iter().filter(|byte| **byte == 0).count();
                counted.fetch_add(frames as u64, Ordering::AcqRel);
            }
        });
        Fast {
            count,
            flood,
            thread: Some(thread),
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }
}

impl Drop for Fast {
    fn drop(&mut self) {
        // Gone already at worst.
        let _ = self.flood.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The nine.
fn nine(broker: &Broker) -> Vec<Fast> {
    (0..FAST_COUNT).map(|_| Fast::start(broker)).collect()
}

/// When each of them has so many.
fn await_all(fast: &[Fast], count: u64) {
    let end = Instant::now() + 4 * PATIENCE;
    while fast.iter().any(|one| one.count() < count) {
        let counts: Vec<u64> = fast.iter().map(Fast::count).collect();
        assert!(Instant::now() < end, "{counts:?} of {count}");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(fast.iter().all(|one| one.count() == count), "too many");
}

fn subscribe(flood: &mut Flood, ack: &str, headers: &str) {
    flood.send(format!(
        "SUBSCRIBE\nid:s\ndestination:{TOPIC}\nack:{ack}\nreceipt:s\n{headers}\n\0"
    ));
    let receipt = flood.read_frame().expect("a receipt comes");
    assert!(receipt.starts_with(b"RECEIPT"), "{receipt:?}");
}

/// What the slow one got: numbers in the order in which they came, and whether it was told off in the end.
#[derive(Debug, Default)]
struct Heard {
    numbers: Vec<u64>,
    is_refused: bool,
}

/// A subscriber that takes and acknowledges one message in 10 ms, until it is told to catch up.
struct Slow {
    catches_up: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

impl Slow {
    /// Ends with the message of this number, or with the connection.
    fn start(broker: &Broker, last: u64) -> Slow {
        let mut flood = Flood::connect(broker.stomp());
        subscribe(
            &mut flood,
            "client-individual",
            &format!("prefetch-count:{PREFETCH}\n"),
        );
        let catches_up = Arc::new(AtomicBool::new(false));
        let hurries = Arc::clone(&catches_up);
        let thread = thread::spawn(move || listen(&mut flood, last, &hurries));
        Slow { catches_up, thread }
    }

    fn finish(self) -> Heard {
        self.catches_up.store(true, Ordering::Release);
        self.thread.join().expect("the slow one has not panicked")
    }
}

fn listen(flood: &mut Flood, last: u64, hurries: &AtomicBool) -> Heard {
    let mut heard = Heard::default();
    let mut due = Instant::now();
    let stream = flood.stream.try_clone().expect("a socket is cloned");
    let mut reader = BufReader::new(stream);
    let mut frame = Vec::new();
    while reader
        .read_until(0, &mut frame)
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(&std::mem::take(&mut frame)).into_owned();
        let frame = text.trim_start_matches('\n');
        if frame.starts_with("ERROR") {
            heard.is_refused = frame.contains("pending_messages");
            break;
        }
        let field = |name: &str| {
            let mut lines = frame.lines();
            lines
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
        };
        let number = field("n:").parse().expect("a number");
        heard.numbers.push(number);
        if !hurries.load(Ordering::Acquire) {
            due = (due + SLOW_EVERY).max(Instant::now() - SLOW_EVERY);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        flood.send(format!("ACK\nid:{}\n\n\0", field("ack:")));
        if number == last {
            break;
        }
    }
    heard
}

/// Sends messages of these numbers as fast as they are taken, and waits until the broker has had them all.
fn publish_all(broker: &Broker, numbers: RangeInclusive<u64>, body: &str) {
    let mut producer = Flood::connect(broker.stomp());
    let mut batch = String::new();
    for number in numbers {
        batch.push_str(&format!(
            "SEND\ndestination:{TOPIC}\npersistent:false\nn:{number}\n\n{body}\0"
        ));
        if batch.len() > 16 * 1024 {
            producer.send(&batch);
            batch.clear();
        }
    }
    batch.push_str("DISCONNECT\nreceipt:all\n\n\0");
    producer.send(&batch);
    let receipt = producer.read_frame().expect("a receipt comes");
    assert!(receipt.starts_with(b"RECEIPT"), "{receipt:?}");
}

const BODY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
                    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn topic(broker: &Broker, field: &str) -> u64 {
    let topics = ask(broker, "topics?name=t");
    topics["items"][0][field].as_u64().expect(field)
}

/// Messages that the nine have got before more are sent: fewer than their prefetch, so that none of them is ever slow.
const CHUNK: u64 = 20_000;

/// A phase: so many messages to all; how long the nine took.
fn timed(broker: &Broker, fast: &[Fast], sent: &mut u64, count: u64) -> f64 {
    let began = Instant::now();
    let end = *sent + count;
    while *sent < end {
        let next = end.min(*sent + CHUNK);
        publish_all(broker, *sent + 1..=next, BODY);
        *sent = next;
        await_all(fast, next);
    }
    began.elapsed().as_secs_f64()
}

/// What was missing of the numbers from `first` to `last`, of which `numbers` came in order.
fn missing(numbers: &[u64], first: u64, last: u64) -> u64 {
    assert!(numbers.is_sorted_by(|a, b| a < b), "out of order or twice");
    assert!(numbers.iter().all(|number| (first..=last).contains(number)));
    last - first + 1 - numbers.len() as u64
}

fn resident(broker: &Broker) -> (Resident, u64) {
    let resident = Resident(broker.process_id().expect("it runs"));
    resident.forget_peak().expect("it runs");
    (resident, resident.now_bytes().expect("it runs"))
}

fn check_growth(name: &str, (resident, before): (Resident, u64)) -> u64 {
    let grown = resident
        .peak_bytes()
        .expect("it runs")
        .saturating_sub(before);
    assert!(
        grown <= GROWTH_MAX,
        "{name}: {} MiB more than the {} MiB before",
        grown / MIB,
        before / MIB
    );
    grown / MIB
}

/// The nine keep their rate, and what the slow one lost is what was counted.
fn check_nine_keep_their_rate(policy: &str, heard: impl Fn(&Heard, u64, u64, u64)) {
    let scale = Scale::asked_for();
    let (rounds, count) = scale.of((1, 6_000), (4, 250_000));
    let broker = broker(policy, PENDING, "10s");
    let fast = nine(&broker);
    let mut sent = 0;
    // The first messages of a process are not like the others.
    timed(&broker, &fast, &mut sent, count / 2);
    let memory = resident(&broker);
    let (mut alone, mut beside) = (0.0, 0.0);
    for _ in 0..rounds {
        alone += timed(&broker, &fast, &mut sent, count);
        let dropped_before = topic(&broker, "dropped_total");
        let (first, last) = (sent + 1, sent + count);
        let slow = Slow::start(&broker, last);
        beside += timed(&broker, &fast, &mut sent, count);
        let got = slow.finish();
        let dropped = topic(&broker, "dropped_total") - dropped_before;
        heard(&got, dropped, first, last);
        eventually("it is gone", || {
            (topic(&broker, "consumers") == FAST_COUNT as u64).then_some(())
        });
    }
    let ratio = alone / beside;
    let grown = check_growth(policy, memory);
    if scale == Scale::Full {
        let rate = (rounds * count) as f64 / alone;
        say(&format!(
            "proof: slow consumer, {policy}: nine alone {rate:.0} messages/s each, ratio beside it {ratio:.2}, \
             {grown} MiB more"
        ));
    }
    let least = scale.of(0.3, 0.9);
    assert!(
        ratio >= least,
        "{policy}: {alone:.2} s alone, {beside:.2} s beside"
    );
}

#[test]
fn with_drop_oldest_the_others_keep_their_rate_and_drops_are_counted_exactly() {
    check_nine_keep_their_rate("drop-oldest", |heard, dropped, first, last| {
        assert!(!heard.is_refused);
        assert_eq!(missing(&heard.numbers, first, last), dropped);
        assert!(dropped > 0 && heard.numbers.last() == Some(&last));
    });
}

#[test]
fn with_disconnect_the_others_keep_their_rate_and_what_waited_is_counted_exactly() {
    check_nine_keep_their_rate("disconnect", |heard, dropped, first, last| {
        assert!(heard.is_refused, "{:?}", heard.numbers.len());
        assert!(missing(&heard.numbers, first, last) > PENDING);
        let got = heard.numbers.len() as u64;
        let expected: Vec<u64> = (first..first + got).collect();
        assert_eq!(heard.numbers, expected, "the first ones");
        assert_eq!(
            dropped,
            PENDING + 1,
            "the one that was too many, and those that waited"
        );
    });
}

#[test]
fn with_block_nothing_is_lost_and_the_rate_is_the_slow_ones() {
    let scale = Scale::asked_for();
    let (pending, count) = scale.of((20, 250), (100, 1_500));
    let broker = broker("block", pending, "10s");
    let fast = nine(&broker);
    let memory = resident(&broker);
    let slow = Slow::start(&broker, count);
    let began = Instant::now();
    publish_all(&broker, 1..=count, &"x".repeat(LARGE));
    await_all(&fast, count);
    let took = began.elapsed().as_secs_f64();
    // Not told to hurry before it is done.
    let heard = slow.thread.join().expect("the slow one has not panicked");
    let slow_took = began.elapsed().as_secs_f64();
    assert_eq!(missing(&heard.numbers, 1, count), 0);
    assert_eq!(topic(&broker, "dropped_total"), 0);
    let grown = check_growth("block", memory);
    let slow_rate = count as f64 / slow_took;
    let ahead = count as f64 - took * slow_rate;
    if scale == Scale::Full {
        say(&format!(
            "proof: slow consumer, block: {count} messages to all in {took:.1} s, to the slow one in \
             {slow_took:.1} s ({slow_rate:.0}/s), {grown} MiB more"
        ));
    }
    assert!((50.0..=105.0).contains(&slow_rate), "{slow_rate}/s");
    let at_once = (PREFETCH + pending + AT_ONCE_BYTES / LARGE as u64) as f64;
    assert!(ahead <= at_once, "the others were {ahead:.0} ahead of it");
}

/// So large that what is under way when a producer is stopped is few messages.
const LARGE: usize = 64 * 1024;

/// What may be under way then: what its socket had brought, and its stash when it goes on.
const AT_ONCE_BYTES: u64 = 4 * MIB;

#[test]
fn one_that_stops_reading_is_gone_after_stalled_after_whatever_the_policy() {
    let (stalled_after, seconds) = Scale::asked_for().of(("1s", 1), ("3s", 3));
    for policy in ["block", "drop-oldest", "disconnect"] {
        let broker = broker(policy, PENDING, stalled_after);
        let fast = nine(&broker);
        let memory = resident(&broker);
        let mut deaf = Flood::connect(broker.stomp());
        subscribe(&mut deaf, "auto", "prefetch-count:1000\n");
        // More than its prefetch, what may wait for it and the sockets hold.
        let count = 8_000;
        let body = BODY.repeat(32);
        let began = Instant::now();
        let took = thread::scope(|scope| {
            scope.spawn(|| {
                // No faster than the others take it: who falls behind by too much loses something by policy.
                for last in (1_000..=count).step_by(1_000) {
                    publish_all(&broker, last - 999..=last, &body);
                    await_all(&fast, last);
                }
            });
            eventually("it is gone", || {
                (topic(&broker, "consumers") == FAST_COUNT as u64).then(|| began.elapsed())
            })
        });
        await_all(&fast, count);
        let grown = check_growth(policy, memory);
        if Scale::asked_for() == Scale::Full {
            say(&format!(
                "proof: deaf consumer, {policy}: gone after {:.1} s of {seconds} s, {grown} MiB more",
                took.as_secs_f64()
            ));
        }
        // Its sockets take a while to be full.
        let most = Duration::from_secs(seconds) + Duration::from_secs(3);
        assert!(took < most, "{policy}: {took:?}");
    }
}
