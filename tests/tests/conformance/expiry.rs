//! Messages whose time has passed (dialect, sections 4 and 6).

use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use stompbox_tests::wire::{Frame, Wire};

use super::fixture::{
    Slow, await_depth, connect, eventually, expect_delivery, expect_quiet, header, overview, queue,
    start, start_watched,
};

fn now_ms() -> i64 {
    let since = UNIX_EPOCH.elapsed().expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}

/// How a consumer gives back what it holds.
type GiveBack = fn(Wire, &Frame);

/// Waits until the wall clock has passed a message's `expires`.
fn await_expiry(message_expires: &str) {
    let expires: i64 = message_expires.parse().expect("expires is a number");
    assert!(expires > 0, "it never expires");
    while now_ms() <= expires {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a message and answers the `expires` with which it arrives.
fn expires_of(wire: &mut Wire, headers: &[(&str, &str)]) -> i64 {
    wire.send_receipted("/topic/e", headers, "");
    let message = wire.expect_message();
    header(&message, "expires").parse().expect("a number")
}

/// D4.6
#[test]
fn the_earliest_of_the_three_expiry_headers_counts() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/topic/e", "auto");
    let hour = 3_600_000;
    let absolute = (now_ms() + hour).to_string();
    let mut relative = |headers: &[(&str, &str)], ms: i64| {
        let before = now_ms();
        let expires = expires_of(&mut wire, headers);
        assert!(
            (before + ms..=now_ms() + ms).contains(&expires),
            "{headers:?}"
        );
    };
    relative(&[("ttl", "60000")], 60_000);
    relative(&[("expiration", "60000")], 60_000);
    relative(&[("ttl", "60000"), ("expiration", "50000")], 50_000);
    relative(&[("ttl", "50000"), ("expires", &absolute)], 50_000);
    relative(&[("expires", "0"), ("ttl", "60000")], 60_000);
    let mut exact = |headers: &[(&str, &str)], expected: i64| {
        assert_eq!(expires_of(&mut wire, headers), expected, "{headers:?}");
    };
    let absolute_ms = absolute.parse().expect("made of a number");
    exact(&[("expires", &absolute)], absolute_ms);
    exact(&[("expires", &absolute), ("ttl", "7200000")], absolute_ms);
    exact(&[], 0);
    exact(&[("expires", "0"), ("ttl", "0"), ("expiration", "0")], 0);
}

/// D4.8, D4.12, D4.13, D6.32, D6.33
#[test]
fn an_expired_message_is_not_dispatched_but_becomes_a_dead_letter_if_persistent() {
    let broker = start();
    let mut wire = connect(&broker);
    let past = (now_ms() - 1_000).to_string();
    let headers = [("expires", &past[..]), ("own", "kept")];
    wire.send_receipted("/queue/e", &headers, "persistent");
    let volatile = [("expires", &past[..]), ("persistent", "false")];
    wire.send_receipted("/queue/e", &volatile, "volatile");
    wire.send_receipted("/queue/e", &[], "lives");
    wire.subscribe("s", "/queue/e", "client");
    assert_eq!(wire.expect_message().text(), "lives");
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    let dead = wire.expect_message();
    assert_eq!(dead.text(), "persistent");
    assert_eq!(header(&dead, "own"), "kept");
    assert_eq!(header(&dead, "original-destination"), "/queue/e");
    assert_eq!(header(&dead, "dlq-reason"), "expired");
    assert_eq!(header(&dead, "dlq-delivery-count"), "0");
    let time: i64 = header(&dead, "dlq-time").parse().expect("a number");
    assert!((now_ms() - 60_000..=now_ms()).contains(&time), "{time}");
    assert_eq!(header(&dead, "expires"), "0");
    expect_quiet(&mut wire);
}

/// D4.8
#[test]
fn an_expired_message_to_a_topic_reaches_nobody() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/topic/e", "client-individual");
    wire.send_receipted("/topic/e", &[("expires", "1000")], "expired");
    wire.send_receipted("/topic/e", &[], "lives");
    assert_eq!(wire.expect_message().text(), "lives");
    // One that waits for credit and expires meanwhile.
    let mut slow = connect(&broker);
    let one = [("activemq.prefetchSize", "1")];
    slow.subscribe_with("s", "/topic/slow", "client", &one);
    let mut watcher = connect(&broker);
    watcher.subscribe("s", "/topic/slow", "auto");
    wire.send_receipted("/topic/slow", &[], "first");
    wire.send_receipted("/topic/slow", &[("ttl", "30")], "expires");
    wire.send_receipted("/topic/slow", &[], "last");
    watcher.expect_message();
    await_expiry(header(&watcher.expect_message(), "expires"));
    let first = slow.expect_message();
    slow.ack(&first, &[]);
    assert_eq!(slow.expect_message().text(), "last");
}

/// D4.9, D6.24
#[test]
fn what_expired_with_a_consumer_goes_the_way_of_expiry_when_it_comes_back() {
    let broker = start();
    let returns: [(&str, GiveBack); 4] = [
        ("nack", |mut wire, message| {
            wire.nack(message, &[]);
        }),
        ("unsubscribe", |mut wire, _| {
            wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        }),
        ("disconnect", |wire, _| wire.disconnect()),
        ("lost", |wire, _| drop(wire)),
    ];
    for (name, give_back) in returns {
        let destination = format!("/queue/{name}");
        let mut watcher = connect(&broker);
        let mut wire = connect(&broker);
        wire.subscribe("s", &destination, "client");
        wire.send_receipted(&destination, &[("ttl", "30")], name);
        let message = wire.expect_message();
        await_expiry(header(&message, "expires"));
        give_back(wire, &message);
        watcher.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
        watcher.subscribe("s", &destination, "auto");
        let dead = watcher.expect_message();
        assert_eq!(dead.text(), name);
        assert_eq!(header(&dead, "dlq-reason"), "expired", "{name}");
        assert_eq!(header(&dead, "dlq-delivery-count"), "1", "{name}");
        expect_quiet(&mut watcher);
        watcher.disconnect();
    }
}

/// D4.11, D6.9
#[test]
fn what_expires_with_a_consumer_is_that_consumers_and_acknowledged_as_ever() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/e", "client-individual");
    wire.send_receipted("/queue/e", &[("ttl", "30")], "");
    let message = wire.expect_message();
    await_expiry(header(&message, "expires"));
    // Long enough that a sweep would have come by.
    wire.expect_nothing_for(Duration::from_millis(1_200));
    assert_eq!(overview(&broker, "expired_total"), 0);
    wire.ack(&message, &[]);
    await_depth(&broker, "e", 0);
    assert!(queue(&broker, "ActiveMQ.DLQ").is_none());
    assert_eq!(overview(&broker, "stale_acks_total"), 0);
}

/// D4.10, D4.12, D4.13
#[test]
fn an_idle_queue_is_swept_in_memory_and_on_disk() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    // More than stays in memory: what is behind the first 2,000 is on disk only.
    const EXPIRING: u64 = 2_500;
    for _ in 0..EXPIRING {
        wire.send("SEND\ndestination:/queue/idle\nttl:4000\n\nx^@");
    }
    for _ in 0..100 {
        wire.send("SEND\ndestination:/queue/idle\nttl:4000\npersistent:false\n\nx^@");
    }
    for number in 0..50 {
        wire.send(&format!(
            "SEND\ndestination:/queue/idle\n\nlives {number}^@"
        ));
    }
    wire.send_receipted("/queue/idle", &[], "the last");
    let filled = queue(&broker, "idle").expect("it was sent to");
    assert_eq!(filled["depth"], EXPIRING + 151, "nothing has expired yet");
    assert!(filled["paged"].as_u64() > Some(300), "{filled}");
    await_depth(&broker, "idle", 51);
    await_depth(&broker, "ActiveMQ.DLQ", EXPIRING);
    assert_eq!(overview(&broker, "expired_total"), EXPIRING + 100);
    // What is left comes in order, what died is all there and says why.
    wire.subscribe("s", "/queue/idle", "auto");
    for number in 0..50 {
        assert_eq!(wire.expect_message().text(), format!("lives {number}"));
    }
    assert_eq!(wire.expect_message().text(), "the last");
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
    for _ in 0..EXPIRING {
        let dead = wire.expect_message();
        assert_eq!(header(&dead, "dlq-reason"), "expired");
        assert_eq!(header(&dead, "original-destination"), "/queue/idle");
    }
    expect_quiet(&mut wire);
    assert_eq!(overview(&broker, "depth"), 0);
}

/// D4.10, D6.34
#[test]
fn an_expired_message_dies_once_also_when_the_disk_is_slower_than_the_sweep() -> Result<()> {
    let slow = Slow::start("")?;
    let mut wire = connect(&slow.broker);
    // What expires is on disk only: behind what stays.
    const LIVING: u64 = 2_100;
    const EXPIRING: u64 = 300;
    for _ in 0..LIVING {
        wire.send("SEND\ndestination:/queue/idle\n\nlives^@");
    }
    for _ in 0..EXPIRING {
        wire.send("SEND\ndestination:/queue/idle\nttl:3000\n\nexpires^@");
    }
    wire.send_receipted("/queue/ActiveMQ.DLQ", &[], "is there already");
    slow.slow_down(Duration::from_millis(2_500), &[])?;
    await_depth(&slow.broker, "idle", LIVING);
    // Its end is durable when another commit behind it is.
    wire.send_receipted("/queue/other", &[], "");
    slow.disk.pass()?;
    wire.send_receipted("/queue/other", &[], "");
    assert_eq!(overview(&slow.broker, "expired_total"), EXPIRING);
    await_depth(&slow.broker, "idle", LIVING);
    await_depth(&slow.broker, "ActiveMQ.DLQ", EXPIRING + 1);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    for _ in 0..=EXPIRING {
        wire.expect_message();
    }
    expect_quiet(&mut wire);
    Ok(())
}

/// D4.10
#[test]
fn what_expires_while_the_broker_is_down_is_swept_after_its_start() {
    let mut broker = start_watched("");
    let mut wire = connect(&broker);
    wire.subscribe("s", "/topic/clock", "auto");
    wire.send_receipted("/queue/down", &[("ttl", "400")], "expires");
    wire.send_receipted("/queue/down", &[], "lives");
    wire.send_receipted("/topic/clock", &[("ttl", "400")], "");
    let clock = wire.expect_message();
    broker.kill();
    await_expiry(header(&clock, "expires"));
    broker.start_again();
    await_depth(&broker, "down", 1);
    await_depth(&broker, "ActiveMQ.DLQ", 1);
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/down", "client");
    assert_eq!(wire.expect_message().text(), "lives");
}

/// D4.10
#[test]
fn what_expires_while_it_waits_out_a_redelivery_delay_dies_then() {
    let broker = start_watched("[[destination]]\nmatch = \"hold\"\nredelivery_order = \"hold\"\n");
    let mut wire = connect(&broker);
    for name in ["pass", "hold"] {
        let destination = format!("/queue/{name}");
        wire.subscribe(name, &destination, "client");
        wire.send_receipted(&destination, &[("ttl", "500")], name);
        let message = wire.expect_message();
        wire.nack(&message, &[("x-delay", "3600000")]);
        await_depth(&broker, name, 0);
    }
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    for name in ["pass", "hold"] {
        let dead = wire.expect_message();
        assert_eq!(dead.text(), name);
        assert_eq!(header(&dead, "dlq-reason"), "expired");
    }
}

/// D4.12
#[test]
fn the_policy_may_drop_what_expires() {
    let broker = start_watched("[[destination]]\nmatch = \"short\"\ndead_letter_expired = false\n");
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/short", &[("expires", "1000")], "dropped");
    wire.send_receipted("/queue/long", &[("expires", "1000")], "kept");
    eventually("both have expired", || {
        (overview(&broker, "expired_total") == 2).then_some(())
    });
    await_depth(&broker, "short", 0);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    assert_eq!(wire.expect_message().text(), "kept");
    expect_quiet(&mut wire);
}

/// D6.46
#[test]
fn in_a_transaction_expiry_counts_from_the_send() {
    let broker = start();
    let mut wire = connect(&broker);
    let mut watcher = connect(&broker);
    watcher.subscribe("clock", "/topic/clock", "auto");
    wire.request("BEGIN", &[("transaction", "t")], b"");
    wire.send_receipted(
        "/queue/e",
        &[("transaction", "t"), ("ttl", "50")],
        "expires",
    );
    wire.send_receipted("/queue/e", &[("transaction", "t")], "lives");
    wire.send_receipted("/topic/clock", &[("ttl", "50")], "");
    await_expiry(header(&watcher.expect_message(), "expires"));
    wire.request("COMMIT", &[("transaction", "t")], b"");
    watcher.subscribe("s", "/queue/e", "client");
    let message = watcher.expect_message();
    assert_eq!(message.text(), "lives");
    expect_delivery(&message, 1);
    watcher.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    assert_eq!(watcher.expect_message().text(), "expires");
}
