//! Clients that never read: what waits for them is bounded, and it stops nobody but those whom the policy names.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use stompbox_tests::flood::{Flood, is_timeout};
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::{PATIENCE, Version, Wire};

use crate::fixture::{ask, connect, eventually, header, overview, start_watched};
use crate::trial::{MIB, Trial, fill, resident};

#[test]
fn readers_of_a_queue_that_never_read_hold_their_prefetch_and_no_more() {
    const BODY: usize = 1_000;
    let (readers, auto, count) = Scale::asked_for().of((3, 0, 4_000), (100, 2, 150_000));
    let trial = Trial::begin("a reader of a queue that never reads", start_watched(""));
    // Of a queue 4 MiB are resident; each reader holds a thousand messages beside its buffers.
    let bound = (32 + readers * 3) * MIB;
    trial.run(bound, |broker| {
        fill(broker, "/queue/deaf", "", count, &"x".repeat(BODY));
        let deaf: Vec<Flood> = (0..readers)
            .map(|number| {
                let mut flood = Flood::connect(broker.stomp());
                let mode = match number {
                    _ if number < auto => "auto",
                    _ if number % 2 == 0 => "client",
                    _ => "client-individual",
                };
                flood.send(format!(
                    "SUBSCRIBE\nid:s\nack:{mode}\ndestination:/queue/deaf\n\n\0"
                ));
                flood
            })
            .collect();
        // The others' share is not touched by it.
        let mut reader = connect(broker);
        reader.subscribe("s", "/queue/deaf", "client-individual");
        let message = reader.expect_message();
        reader.ack(&message, &[]);
        reader.disconnect();
        assert!(overview(broker, "in_flight") <= readers * 1_000 + 200);
        drop(deaf);
        eventually("what they held is back", || {
            (overview(broker, "in_flight") < 200).then_some(())
        });
    });
}

/// What becomes of a topic's producer while a subscriber reads nothing.
fn check_topic(name: &'static str, policy: &str, is_held_back: bool) {
    let broker = start_watched(&format!(
        "[stomp]\nstalled_after = \"3s\"\n[[destination]]\nmatch = \"deaf\"\nkind = \"topic\"\n{policy}\n"
    ));
    let trial = Trial::begin(name, broker);
    let bound = 96 * MIB;
    trial.run(bound, |broker| {
        let mut deaf = Flood::connect(broker.stomp());
        deaf.send("SUBSCRIBE\nid:s\ndestination:/topic/deaf\nprefetch-count:1000\nreceipt:s\n\n\0");
        let receipt = deaf.read_frame().expect("a receipt comes");
        assert!(receipt.starts_with(b"RECEIPT"), "{receipt:?}");
        let mut producer = Flood::connect(broker.stomp());
        let frame = format!(
            "SEND\ndestination:/topic/deaf\npersistent:false\n\n{}\0",
            "x".repeat(1_000)
        );
        // More than its prefetch, its pending bytes and the sockets hold.
        let all = frame.repeat(120_000);
        let sent = producer.send_until_stuck(all.as_bytes(), Duration::from_millis(300));
        assert_eq!(sent < all.len(), is_held_back, "{sent} of {}", all.len());
        // At the latest now it is gone, and the rest is taken.
        let began = Instant::now();
        producer.set_write_patience(Duration::from_secs(10));
        producer.send(&all.as_bytes()[sent..]);
        producer.send("DISCONNECT\nreceipt:all\n\n\0");
        producer.read_frame().expect("a receipt comes");
        assert!(began.elapsed() < Duration::from_secs(8));
        eventually("the subscriber is closed", || {
            let topics = ask(broker, "topics?name=deaf");
            (topics["items"][0]["consumers"] == 0).then_some(())
        });
    });
}

#[test]
fn a_reader_of_a_topic_that_never_reads_holds_its_producers_back_until_it_is_closed() {
    check_topic(
        "a deaf reader of a topic that blocks",
        "slow_consumer = \"block\"",
        true,
    );
}

#[test]
fn a_reader_of_a_topic_that_never_reads_loses_the_oldest_where_that_is_the_policy() {
    let policy = "slow_consumer = \"drop-oldest\"";
    check_topic("a deaf reader of a topic that drops", policy, false);
}

#[test]
fn a_reader_of_a_topic_that_never_reads_is_disconnected_where_that_is_the_policy() {
    let policy = "slow_consumer = \"disconnect\"";
    check_topic("a deaf reader of a topic that disconnects", policy, false);
}

#[test]
fn receipts_that_nobody_reads_stop_the_reading_and_bound_the_memory() {
    const SENT_MAX: usize = 60_000_000;
    let broker = start_watched("");
    let mut other = connect(&broker);
    other.subscribe("s", "/queue/other", "auto");
    let receipt = "r".repeat(9_000);
    let pair = format!("BEGIN\ntransaction:t\nreceipt:{receipt}\n\n\0ABORT\ntransaction:t\n\n\0");
    let pair = pair.as_bytes();
    let mut deaf = Flood::connect(broker.stomp());
    deaf.stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a socket takes a time-out");
    let before = resident(&broker).now_bytes().expect("it runs");
    let mut sent = 0;
    while sent < SENT_MAX {
        match deaf.stream.write(&pair[sent % pair.len()..]) {
            Ok(count) => sent += count,
            Err(error) if is_timeout(&error) => break,
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    let grown = resident(&broker)
        .now_bytes()
        .expect("it runs")
        .saturating_sub(before);
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
