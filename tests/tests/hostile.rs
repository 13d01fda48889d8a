//! Clients that misbehave, on purpose or not: what they cost is bounded, and the others are served as ever.
//!
//! Every test here fails on a broker that works off its queue of work in one piece, keeps without bound what nobody
//! reads, or judges what it did not listen to. Bounds are generous: the faults exceed them many times over.

#[allow(
    dead_code,
    reason = "shared with the conformance tests, which use the rest"
)]
#[path = "conformance/fixture.rs"]
mod fixture;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fixture::{
    ask, await_depth, connect, eventually, expect_complete, expect_quiet, header, overview, start,
    start_watched,
};
use stompbox_tests::broker::Broker;
use stompbox_tests::say;
use stompbox_tests::wire::{PATIENCE, Version, Wire, WireError};

const MIB: u64 = 1024 * 1024;

/// The least memory that can be configured.
const TIGHT: &str = "[limits]\nmemory_bytes = \"16 MiB\"\nbody_bytes = \"1 MiB\"\n\
    transaction_bytes = \"1 MiB\"\n";

/// A logged-in socket that writes masses and does not look at what comes.
struct Flood {
    stream: TcpStream,
}

impl Flood {
    fn connect(broker: &Broker) -> Flood {
        let mut stream = TcpStream::connect(broker.stomp()).expect("the broker listens");
        stream
            .write_all(b"CONNECT\naccept-version:1.2\nhost:x\n\n\0")
            .expect("the broker reads");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket takes a time-out");
        let mut connected = Vec::new();
        while !connected.ends_with(b"\0\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("CONNECTED comes");
            connected.push(byte[0]);
        }
        Flood { stream }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// A further handle that reads and throws away what comes, until the end.
    fn drain(&self) -> thread::JoinHandle<()> {
        let mut stream = self.stream.try_clone().expect("a socket is cloned");
        thread::spawn(move || {
            let mut block = vec![0; 64 * 1024];
            while matches!(stream.read(&mut block), Ok(count) if count > 0) {}
        })
    }
}

/// Sends so many messages to a queue as fast as they are taken; the last one has a receipt that is waited for.
fn fill(broker: &Broker, destination: &str, headers: &str, count: usize, body: &str) {
    let mut wire = connect(broker);
    let length = body.len();
    let mut batch = Vec::new();
    for number in 0..count {
        let receipt = if number + 1 == count {
            "receipt:filled\n"
        } else {
            ""
        };
        batch.extend_from_slice(
            format!(
                "SEND\ndestination:{destination}\nn:{number}\n{headers}{receipt}\
                 content-length:{length}\n\n{body}\0"
            )
            .as_bytes(),
        );
        if batch.len() > 64 * 1024 || number + 1 == count {
            wire.send_raw(&batch);
            batch.clear();
        }
    }
    wire.expect_receipt("filled");
    wire.disconnect();
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// The process's resident memory, or its peak: `VmRSS`, `VmHWM`.
#[cfg(target_os = "linux")]
fn memory(broker: &Broker, field: &str) -> u64 {
    let id = broker.process_id().expect("it runs");
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a live process");
    let line = status.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).expect("a size in KiB");
    kib * 1024
}

#[test]
fn a_connection_with_thousands_of_subscriptions_that_breaks_off_does_not_stop_the_others() {
    const SUBSCRIPTIONS: usize = 5_000;
    const MESSAGES: usize = 20_000;
    let broker = start_watched("");
    fill(&broker, "/queue/many", "persistent:false\n", MESSAGES, "x");
    let mut holder = Flood::connect(&broker);
    let drained = holder.drain();
    let subscribe: String = (0..SUBSCRIPTIONS)
        .map(|id| {
            format!(
                "SUBSCRIBE\nid:{id}\nack:client-individual\nprefetch-count:10\n\
                 destination:/queue/many\n\n\0"
            )
        })
        .collect();
    holder.send(subscribe.as_bytes());
    eventually("it subscribed and holds them all", || {
        let seen = ask(&broker, "overview");
        (seen["in_flight"] == MESSAGES && seen["subscriptions"] == SUBSCRIPTIONS).then_some(())
    });
    let mut other = connect(&broker);
    other.send_receipted("/queue/other", &[("persistent", "false")], "");
    holder
        .stream
        .shutdown(std::net::Shutdown::Both)
        .expect("it is open");
    // Until it is forgotten, every SEND of the other one is answered soon; the console asks the same dispatcher.
    let end = Instant::now() + PATIENCE;
    loop {
        let began = Instant::now();
        other.send_receipted("/queue/other", &[("persistent", "false")], "");
        let in_flight = overview(&broker, "in_flight");
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(2), "stopped for {waited:?}");
        if in_flight == 0 {
            break;
        }
        assert!(Instant::now() < end, "{in_flight} never came back");
    }
    drained.join().expect("reading does not panic");
    await_depth(&broker, "many", MESSAGES as u64);
}

#[test]
#[cfg(target_os = "linux")]
fn receipts_that_nobody_reads_stop_the_reading_and_bound_the_memory() {
    const SENT_MAX: usize = 60_000_000;
    let broker = start_watched("");
    let mut other = connect(&broker);
    other.subscribe("s", "/queue/other", "auto");
    let receipt = "r".repeat(9_000);
    let pair = format!("BEGIN\ntransaction:t\nreceipt:{receipt}\n\n\0ABORT\ntransaction:t\n\n\0");
    let pair = pair.as_bytes();
    let mut deaf = Flood::connect(&broker);
    deaf.stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a socket takes a time-out");
    let before = memory(&broker, "VmRSS:");
    let mut sent = 0;
    while sent < SENT_MAX {
        match deaf.stream.write(&pair[sent % pair.len()..]) {
            Ok(count) => sent += count,
            Err(error) if is_timeout(&error) => break,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    let grown = memory(&broker, "VmRSS:").saturating_sub(before);
    assert!(sent < SENT_MAX, "it is read although it does not read");
    // What may be unread by `limits.control_bytes`, and what a process is allowed to vary by.
    assert!(grown < (24 + 1) * MIB, "{sent} bytes sent, {grown} taken");
    other.send_receipted("/queue/other", &[], "as ever");
    assert_eq!(other.expect_message().text(), "as ever");
    // It is owed every receipt, and gets it as soon as it reads.
    let pairs = sent.div_ceil(pair.len());
    let mut writer = deaf.stream.try_clone().expect("a socket is cloned");
    writer
        .set_write_timeout(Some(PATIENCE))
        .expect("a socket takes a time-out");
    thread::scope(|scope| {
        scope.spawn(move || {
            let rest = &pair[pair.len() - (pairs * pair.len() - sent)..];
            writer.write_all(rest).expect("it is read again");
        });
        let mut block = vec![0; 64 * 1024];
        let mut receipts = 0;
        while receipts < pairs {
            let count = deaf.stream.read(&mut block).expect("receipts come");
            assert!(count > 0, "closed after {receipts} receipts of {pairs}");
            receipts += block[..count].iter().filter(|byte| **byte == 0).count();
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn subscriptions_that_come_and_go_without_reading_bound_the_memory() {
    const MESSAGES: usize = 500;
    let broker = start_watched("");
    fill(&broker, "/queue/churn", "", MESSAGES, &"x".repeat(16_000));
    let mut deaf = Flood::connect(&broker);
    overview(&broker, "memory_bytes");
    let before = memory(&broker, "VmRSS:");
    let mut in_flight_most = 0;
    for id in 0..300 {
        deaf.send(
            format!(
                "SUBSCRIBE\nid:{id}\nack:client-individual\nprefetch-count:100\n\
                 destination:/queue/churn\n\n\0"
            )
            .as_bytes(),
        );
        // Gives the subscription the time to be served.
        in_flight_most = in_flight_most.max(overview(&broker, "in_flight"));
        deaf.send(format!("UNSUBSCRIBE\nid:{id}\n\n\0").as_bytes());
    }
    expect_quiet(&mut connect(&broker));
    assert!(in_flight_most > 0, "no subscription was ever served");
    // The peak: what was taken for a while counts too.
    let grown = memory(&broker, "VmHWM:").saturating_sub(before);
    assert!(grown < 40 * MIB, "{grown} taken for one that reads nothing");
    drop(deaf);
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/churn", "client-individual");
    let got: BTreeSet<usize> = (0..MESSAGES)
        .map(|_| {
            let message = consumer.expect_message();
            header(&message, "n").parse().expect("a number")
        })
        .collect();
    assert_eq!(got.len(), MESSAGES, "some came twice");
    expect_quiet(&mut consumer);
}

#[test]
fn a_producer_that_was_held_back_is_not_taken_for_silent() {
    const FRAMES: usize = 40;
    const PRODUCERS: usize = 4;
    let broker = start_watched(&format!(
        "{TIGHT}stash_frames = 10\n[policy]\nprefetch_bytes = \"64 MiB\"\n"
    ));
    // Another one fills the memory and waits there; what a consumer holds cannot leave it.
    let mut filler = connect(&broker);
    let mut holder = connect(&broker);
    let wishes = [("activemq.prefetchSize", "10000")];
    holder.subscribe_with("s", "/queue/full", "client-individual", &wishes);
    let body = "x".repeat(200 * 1024);
    let frame = format!("SEND\ndestination:/queue/full\npersistent:false\n\n{body}\0");
    let blocked = || {
        let listing = ask(&broker, "connections?limit=1000");
        let items = listing["items"].as_array().expect("a listing has items");
        items.iter().filter(|item| item["blocked"] == true).count()
    };
    filler.set_write_patience(Duration::from_millis(200));
    for _ in 0..90 {
        if blocked() > 0 || filler.try_send_raw(frame.as_bytes()).is_err() {
            break;
        }
    }
    eventually("the memory is full", || (blocked() == 1).then_some(()));
    let mut producers: Vec<Wire> = (0..PRODUCERS)
        .map(|_| Wire::connect_with(broker.stomp(), Version::V12, &[("heart-beat", "500,0")]))
        .collect();
    let send = |producer: &mut Wire, number: usize| {
        producer.send(&format!(
            "SEND\ndestination:/queue/held\npersistent:false\nreceipt:h{number}\n\n^@"
        ));
    };
    // The first is taken, and with it the word that they have to wait.
    for producer in &mut producers {
        send(producer, 0);
    }
    eventually("they are held back", || {
        (blocked() == 1 + PRODUCERS).then_some(())
    });
    for producer in &mut producers {
        producer.expect_receipt("h0");
        for number in 1..FRAMES {
            send(producer, number);
        }
    }
    // They say that they live, again and again, and nobody listens: their stashes are full.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_600) {
        for producer in &mut producers {
            producer.send("\n");
        }
        let one = &mut producers[0];
        if let Ok(frame) = one.try_next(Duration::from_millis(50))
            && frame.header("receipt-id") == Some(&format!("h{}", FRAMES - 1))
        {
            one.fail("it was not held back");
        }
    }
    assert_eq!(blocked(), 1 + PRODUCERS, "they are not held back any more");
    drop(holder);
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/full", "auto");
    for producer in &mut producers {
        let last = format!("h{}", FRAMES - 1);
        producer.expect_receipt(&last);
    }
    // Alive and heard, all of them.
    for producer in &mut producers {
        producer.send_receipted("/queue/held", &[("persistent", "false")], "");
    }
    assert_eq!(blocked(), 0);
}

#[test]
fn a_takeover_ends_a_client_that_reads_nothing() {
    const MESSAGES: usize = 1_000;
    let broker = start_watched("[stomp]\nclient_id = \"takeover\"\n");
    // More than the sockets take, and just within `policy.prefetch_bytes`.
    fill(&broker, "/queue/work", "", MESSAGES, &"x".repeat(15_000));
    let name = [("client-id", "me")];
    let mut deaf = Wire::connect_with(broker.stomp(), Version::V12, &name);
    deaf.send("SUBSCRIBE\nid:s\nack:client-individual\ndestination:/queue/work\n\n^@");
    eventually("it holds them all", || {
        (overview(&broker, "in_flight") == MESSAGES as u64).then_some(())
    });
    let began = Instant::now();
    let mut heir = Wire::connect_with(broker.stomp(), Version::V12, &name);
    heir.subscribe("s", "/queue/work", "client-individual");
    let got: BTreeSet<String> = (0..MESSAGES)
        .map(|_| header(&heir.expect_message(), "n").to_owned())
        .collect();
    let took = began.elapsed();
    assert_eq!(got.len(), MESSAGES, "some came twice");
    assert!(took < Duration::from_secs(6), "taken over in {took:?}");
    assert_eq!(overview(&broker, "connections"), 1);
}

/// Numbers that look random and can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length_max: u64) -> Vec<u8> {
        (0..=self.roll() % length_max)
            .map(|_| self.roll().to_le_bytes()[0])
            .collect()
    }
}

/// What a connection that has said its nonsense gets: complete ERRORs at most, then the end.
fn expect_thrown_out(wire: &mut Wire) {
    loop {
        match wire.try_next(PATIENCE) {
            Ok(frame) if frame.command == "ERROR" => expect_complete(&frame),
            Ok(frame) => wire.fail(&format!("an answer to nonsense: {frame}")),
            Err(WireError::Closed) => return,
            Err(error) => wire.fail(&format!("expected the end: {error}")),
        }
    }
}

#[test]
fn nonsense_is_answered_with_advice_or_the_end_and_others_go_on() {
    let seed = match std::env::var("STOMPBOX_HOSTILE_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("after 1970").as_nanos() as u64
        }
    };
    say(&format!("STOMPBOX_HOSTILE_SEED={seed}"));
    let broker = start();
    let attacks_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let mut wire = connect(&broker);
            wire.subscribe("s", "/queue/beside", "client-individual");
            let mut rounds = 0;
            while !attacks_over.load(Ordering::Relaxed) {
                let body = format!("{rounds}");
                let volatile = [("persistent", "false")];
                wire.send_receipted("/queue/beside", &volatile, &body);
                let message = wire.expect_message();
                assert_eq!(message.text(), body);
                wire.ack(&message, &[]);
                rounds += 1;
            }
            wire.disconnect();
            rounds
        });
        // Also where an attack fails: the scope waits for the client beside.
        let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            attack(&broker, seed);
        }));
        attacks_over.store(true, Ordering::Relaxed);
        if let Err(panic) = attacked {
            std::panic::resume_unwind(panic);
        }
        let rounds = beside.join().expect("the client beside is served");
        assert!(rounds > 0, "nobody was beside");
    });
    let output = broker.output();
    assert!(!output.contains("panicked"), "{output}");
}

fn attack(broker: &Broker, seed: u64) {
    const FRAME: &[u8] =
        b"SEND\ndestination:/topic/nonsense\nname:value\ncontent-length:5\n\nhello\0";
    let mut dice = Dice(seed);
    for round in 0..60 {
        let mut wire = Wire::open(broker.stomp());
        if round % 2 == 1 {
            wire.try_login(Version::V12, &[]).expect("CONNECTED comes");
        }
        let bytes = if round % 4 < 2 {
            dice.bytes(20_000)
        } else {
            // Frames with a few wrong bytes get further into the broker.
            let mut frames = FRAME.repeat(50);
            for _ in 0..=dice.roll() % 10 {
                let at = dice.roll() as usize % frames.len();
                frames[at] = dice.roll().to_le_bytes()[0];
            }
            frames
        };
        // Closed before all of it is sent, as likely as not.
        let _ = wire.try_send_raw(&bytes);
        wire.shut_write();
        expect_thrown_out(&mut wire);
    }
    // A record with a handshake: version, length, ClientHello, random.
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.extend((0..506).map(|_| dice.roll().to_le_bytes()[0]));
    let request: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
    for (bytes, about) in [(request, "HTTP"), (&hello, "TLS")] {
        let mut wire = Wire::open(broker.stomp());
        wire.send_raw(bytes);
        expect_complete(&wire.expect_error(about));
        wire.expect_closed();
    }
    for (frame, about) in [
        (
            "SEND\ndestination:/queue/a\ncontent-length:4294967296\n\n",
            "limits.body_bytes",
        ),
        (
            "SEND\ndestination:/queue/a\ncontent-length:-1\n\n^@",
            "content-length",
        ),
        (
            "SEND\ndestination:/queue/a\ncontent-length:99999999999999999999999\n\n",
            "limits.body_bytes",
        ),
    ] {
        let mut wire = connect(broker);
        wire.send(frame);
        expect_complete(&wire.expect_error(about));
        wire.expect_closed();
    }
    for is_connected in [false, true] {
        let mut wire = Wire::open(broker.stomp());
        if is_connected {
            wire.try_login(Version::V12, &[]).expect("CONNECTED comes");
        }
        wire.send("SEND\nendless:");
        // The socket may refuse it at any time; the ERROR is there all the same.
        for _ in 0..128 {
            if wire.try_send_raw(&[b'x'; 16 * 1024]).is_err() {
                break;
            }
        }
        expect_complete(&wire.expect_error("limits.header_line_bytes"));
        wire.expect_closed();
    }
}

#[test]
fn consumers_that_never_acknowledge_take_no_more_than_the_limit_from_the_disk() {
    const MESSAGES: usize = 400;
    const CONSUMERS: usize = 20;
    let broker = start_watched(TIGHT);
    let body = "x".repeat(100 * 1024);
    fill(&broker, "/queue/big", "persistent:true\n", MESSAGES, &body);
    let mut consumers: Vec<Wire> = (0..CONSUMERS).map(|_| connect(&broker)).collect();
    let hundred = [("prefetch-count", "100")];
    for wire in &mut consumers {
        wire.subscribe_with("s", "/queue/big", "client-individual", &hundred);
    }
    // They take what they get, until no more comes.
    let mut held = Vec::new();
    let mut used_most = 0;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < Duration::from_millis(300) {
        for (number, wire) in consumers.iter_mut().enumerate() {
            while let Ok(message) = wire.try_next(Duration::from_millis(1)) {
                held.push((number, message));
                quiet_since = Instant::now();
            }
        }
        used_most = used_most.max(overview(&broker, "memory_bytes"));
    }
    assert!(held.len() < MESSAGES, "all of it is with the consumers");
    // The limit, what a queue keeps ahead, and for each consumer the one message that it may always have.
    let allowed = 18 * MIB + 4 * MIB + (CONSUMERS * body.len()) as u64;
    assert!(used_most <= allowed, "{used_most} of {allowed}");
    // Room again: the rest comes.
    let mut got = BTreeSet::new();
    let end = Instant::now() + PATIENCE;
    loop {
        for (number, message) in held.drain(..) {
            let wire = &mut consumers[number];
            wire.send(&format!("ACK\nid:{}\n\n^@", header(&message, "ack")));
            assert!(got.insert(header(&message, "n").to_owned()), "{message}");
        }
        if got.len() == MESSAGES {
            break;
        }
        assert!(Instant::now() < end, "{} of {MESSAGES} came", got.len());
        for (number, wire) in consumers.iter_mut().enumerate() {
            while let Ok(message) = wire.try_next(Duration::from_millis(1)) {
                held.push((number, message));
            }
        }
    }
    await_depth(&broker, "big", 0);
}
