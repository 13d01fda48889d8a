//! ACK and NACK as a weapon, and consumers that never acknowledge.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::{PATIENCE, Wire};

use crate::fixture::{await_depth, connect, header, overview, start_watched};
use crate::trial::{MIB, TIGHT, Trial, fill};

/// NACKs whatever comes until so many have, and says what came last.
fn nack_all(broker: &Broker, queue: &str, count: usize) {
    let mut flood = Flood::connect(broker.stomp());
    flood.send(format!(
        "SUBSCRIBE\nid:s\nack:client-individual\ndestination:{queue}\n\n\0"
    ));
    for _ in 0..count {
        let message = flood.read_frame().expect("a message comes");
        let message = String::from_utf8(message).expect("text");
        let id = message.lines().find_map(|line| line.strip_prefix("ack:"));
        let id = id.unwrap_or_else(|| panic!("no ack id: {message}"));
        flood.send(format!("NACK\nid:{id}\nx-delay:0\n\n\0"));
    }
    flood.send("DISCONNECT\nreceipt:all\n\n\0");
    while !flood
        .read_frame()
        .expect("a receipt comes")
        .starts_with(b"RECEIPT")
    {}
}

#[test]
fn a_nack_loop_ends_in_the_dead_letter_queue() {
    /// The first delivery and the redeliveries of the default policy.
    const DELIVERIES: usize = 7;
    let count = Scale::asked_for().of(50, 3_000);
    let trial = Trial::begin("a NACK loop", start_watched(""));
    trial.run(32 * MIB, |broker| {
        fill(broker, "/queue/bad", "", count, "x");
        nack_all(broker, "/queue/bad", count * DELIVERIES);
        await_depth(broker, "bad", 0);
        await_depth(broker, "ActiveMQ.DLQ", count as u64);
    });
}

#[test]
fn a_nack_loop_in_the_dead_letter_queue_loses_nothing() {
    let (count, rounds) = Scale::asked_for().of((10, 20), (100, 200));
    let trial = Trial::begin("a NACK loop in the dead-letter queue", start_watched(""));
    trial.run(32 * MIB, |broker| {
        fill(broker, "/queue/ActiveMQ.DLQ", "", count, "x");
        nack_all(broker, "/queue/ActiveMQ.DLQ", count * rounds);
        await_depth(broker, "ActiveMQ.DLQ", count as u64);
    });
}

#[test]
fn stale_acks_of_a_stomp_1_0_session_with_many_subscriptions_stop_nobody() {
    let (subscriptions, count) = Scale::asked_for().of((1_000, 20_000), (9_999, 500_000));
    let trial = Trial::begin("a flood of stale ACKs of STOMP 1.0", start_watched(""));
    trial.run(48 * MIB, |broker| {
        let mut flood = Flood::open(broker.stomp()).expect("the broker listens");
        flood.send("CONNECT\n\n\0");
        flood.read_frame().expect("CONNECTED comes");
        for id in 0..subscriptions {
            flood.send(format!(
                "SUBSCRIBE\nid:{id}\nack:client\ndestination:/queue/acked\n\n\0"
            ));
        }
        flood.send("SEND\ndestination:/queue/acked\n\nx\0");
        let message = String::from_utf8(flood.read_frame().expect("a message comes"));
        let message = message.expect("text");
        let id = message
            .lines()
            .find_map(|line| line.strip_prefix("message-id:"))
            .unwrap_or_else(|| panic!("no message-id: {message}"));
        let acks = format!("ACK\nmessage-id:{id}\n\n\0").repeat(1_000);
        for _ in 0..count / 1_000 {
            flood.send(&acks);
        }
        flood.send("DISCONNECT\nreceipt:all\n\n\0");
        flood.read_frame().expect("a receipt comes");
        assert_eq!(overview(broker, "stale_acks_total"), count - 1);
    });
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
