//! Bodies of 10 MB and of the longest that is allowed travel unharmed, byte for byte, and memory stays bounded meanwhile.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use stompbox_tests::broker::{Broker, Console, Launch};
use stompbox_tests::flood::Flood;
use stompbox_tests::resident::Resident;
use stompbox_tests::say;

const MB: usize = 1_000_000;

/// The default of `limits.body_bytes`.
const LONGEST: usize = 100 << 20;

/// How long a body may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is resident beside copies of a body: the process, SQLite's caches, buffers.
const BESIDE: u64 = 48 << 20;

fn start() -> Broker {
    Launch::new(env!("CARGO_BIN_EXE_stompbox-under-test"))
        .console(Console::None)
        .start()
}

/// Bytes of every value, without a period, NULs among them.
fn body(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn connect(broker: &Broker) -> Flood {
    let flood = Flood::connect(broker.stomp());
    flood.set_write_patience(PATIENCE);
    flood
        .stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket takes a time-out");
    flood
}

fn text_of(frame: Vec<u8>) -> String {
    String::from_utf8(frame).expect("a frame without a body is text")
}

fn subscribe(flood: &mut Flood, destination: &str) {
    flood.send(format!(
        "SUBSCRIBE\nid:s\nack:client-individual\nreceipt:s\ndestination:{destination}\n\n\0"
    ));
    let receipt = text_of(flood.read_frame().expect("a receipt comes"));
    assert!(receipt.starts_with("RECEIPT\nreceipt-id:s\n"), "{receipt}");
}

fn send(flood: &mut Flood, destination: &str, persistent: bool, body: &[u8]) {
    flood.send(format!(
        "SEND\ndestination:{destination}\npersistent:{persistent}\nreceipt:sent\nkind:large\n\
         content-length:{}\n\n",
        body.len()
    ));
    flood.send(body);
    flood.send(b"\0");
    let receipt = text_of(flood.read_frame().expect("a receipt comes"));
    assert!(
        receipt.starts_with("RECEIPT\nreceipt-id:sent\n"),
        "{receipt}"
    );
}

/// Reads a MESSAGE, holds its body against what was sent, acknowledges it.
fn receive(flood: &mut Flood, body: &[u8]) {
    let mut head = Vec::new();
    while !head.ends_with(b"\n\n") || head == b"\n\n" {
        let mut byte = [0];
        flood.stream.read_exact(&mut byte).expect("a message comes");
        if !(head.is_empty() && byte == *b"\n") {
            head.push(byte[0]);
        }
    }
    let head = text_of(head);
    assert!(head.starts_with("MESSAGE\n"), "{head}");
    assert!(head.contains("\nkind:large\n"), "{head}");
    let length = format!("\ncontent-length:{}\n", body.len());
    assert!(head.contains(&length), "{head}");
    let mut got = vec![0; body.len() + 1];
    flood.stream.read_exact(&mut got).expect("all of it comes");
    assert_eq!(got.pop(), Some(0));
    assert!(got == body, "it is another body");
    let id = head
        .lines()
        .find_map(|line| line.strip_prefix("ack:"))
        .expect("it is to be acknowledged");
    flood.send(format!("ACK\nid:{id}\nreceipt:acked\n\n\0"));
    let receipt = text_of(flood.read_frame().expect("a receipt comes"));
    assert!(
        receipt.starts_with("RECEIPT\nreceipt-id:acked\n"),
        "{receipt}"
    );
}

/// What was added at the most since it was last asked; in copies of a body.
struct Memory {
    resident: Resident,
    before: u64,
}

impl Memory {
    fn of(broker: &Broker) -> Memory {
        let resident = Resident(broker.process_id().expect("it runs"));
        resident.forget_peak().expect("it runs");
        let before = resident.now_bytes().expect("it runs");
        Memory { resident, before }
    }

    fn check(self, what: &str, length: usize, copies: u64) {
        let peak = self.resident.peak_bytes().expect("it runs");
        let grown = peak.saturating_sub(self.before);
        say(&format!(
            "proof: {what}: {} MiB for a body of {} MiB",
            grown >> 20,
            length >> 20
        ));
        let allowed = copies * length as u64 + BESIDE;
        assert!(grown <= allowed, "{what}: {grown} of {allowed} bytes");
    }
}

fn check_queue(length: usize) {
    let body = body(length);
    for persistent in [false, true] {
        let mut broker = start();
        let memory = Memory::of(&broker);
        let mut producer = connect(&broker);
        send(&mut producer, "/queue/large", persistent, &body);
        let mut consumer = connect(&broker);
        subscribe(&mut consumer, "/queue/large");
        receive(&mut consumer, &body);
        // Once more, to a consumer that waits for it.
        send(&mut producer, "/queue/large", persistent, &body);
        receive(&mut consumer, &body);
        memory.check(
            &format!("through a queue, persistent:{persistent}"),
            length,
            3,
        );
        if !persistent {
            continue;
        }
        send(&mut connect(&broker), "/queue/kept", true, &body);
        broker.kill();
        broker.start_again();
        let memory = Memory::of(&broker);
        let mut consumer = connect(&broker);
        subscribe(&mut consumer, "/queue/kept");
        receive(&mut consumer, &body);
        memory.check("from the disk after a crash", length, 3);
    }
}

fn check_topic(length: usize) {
    let body = body(length);
    for persistent in [false, true] {
        let broker = start();
        let memory = Memory::of(&broker);
        let mut consumers: Vec<Flood> = (0..3).map(|_| connect(&broker)).collect();
        for consumer in &mut consumers {
            subscribe(consumer, "/topic/large");
        }
        let mut producer = connect(&broker);
        send(&mut producer, "/topic/large", persistent, &body);
        // All at once: who takes nothing for ten seconds is closed.
        thread::scope(|scope| {
            for consumer in &mut consumers {
                scope.spawn(|| receive(consumer, &body));
            }
        });
        memory.check(
            &format!("to three of a topic, persistent:{persistent}"),
            length,
            2,
        );
    }
}

#[test]
fn a_body_of_10_mb_travels_unharmed_through_a_queue_and_from_the_disk() {
    check_queue(10 * MB);
}

#[test]
fn the_longest_body_travels_unharmed_through_a_queue_and_from_the_disk() {
    check_queue(LONGEST);
}

#[test]
fn a_body_of_10_mb_travels_unharmed_to_each_subscription_of_a_topic() {
    check_topic(10 * MB);
}

#[test]
fn the_longest_body_travels_unharmed_to_each_subscription_of_a_topic() {
    check_topic(LONGEST);
}

#[test]
fn a_body_that_is_a_byte_too_long_is_refused_before_it_is_sent() {
    let broker = start();
    let mut producer = connect(&broker);
    let length = LONGEST + 1;
    let head = format!("SEND\ndestination:/queue/large\ncontent-length:{length}\n\n");
    producer
        .stream
        .write_all(head.as_bytes())
        .expect("it is taken");
    let error = text_of(producer.read_frame().expect("an ERROR comes"));
    assert!(error.contains("\nmessage:body too long\n"), "{error}");
    assert!(error.contains("limits.body_bytes = 104857600"), "{error}");
}
