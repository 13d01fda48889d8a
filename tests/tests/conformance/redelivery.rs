//! What comes back, when, in which order, and what counts as a failure (dialect, section 6).

use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Frame, PATIENCE, Version, Wire};

use super::fixture::{
    await_depth, bodies, connect, eventually, expect_delivery, expect_quiet, header, overview,
    start, start_watched, start_with,
};

/// The next message, and how long after `since` it came.
fn after(wire: &mut Wire, since: Instant) -> (Frame, Duration) {
    let message = wire.expect_message();
    (message, since.elapsed())
}

/// D6.12, D6.30
#[test]
fn x_delay_is_this_messages_own_delay_and_others_pass_meanwhile() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/d", "client-individual");
    wire.send_receipted("/queue/d", &[], "delayed");
    let message = wire.expect_message();
    let failed = Instant::now();
    wire.nack(&message, &[("x-delay", "400")]);
    wire.send_receipted("/queue/d", &[], "passes");
    assert_eq!(wire.expect_message().text(), "passes");
    let (again, waited) = after(&mut wire, failed);
    assert_eq!(again.text(), "delayed");
    expect_delivery(&again, 2);
    assert!(waited >= Duration::from_millis(399), "{waited:?}");
    // The next one without a delay of its own follows the policy: 1 s after the second failure.
    let failed = Instant::now();
    wire.nack(&again, &[]);
    let (third, waited) = after(&mut wire, failed);
    expect_delivery(&third, 3);
    assert!(waited >= Duration::from_millis(999), "{waited:?}");
}

/// D6.26, D6.27
#[test]
fn delays_grow_from_failure_to_failure_up_to_the_policys_maximum() {
    let broker = start_with(
        "[[destination]]\nmatch = \"slow.>\"\nredelivery_delay_first = \"50ms\"\n\
         redelivery_delay = \"100ms\"\nredelivery_multiplier = 3.0\nredelivery_delay_max = \"400ms\"\n\
         redeliveries_max = 5\n",
    );
    for destination in ["/queue/slow.a", "/topic/slow.b"] {
        let mut wire = connect(&broker);
        wire.subscribe("s", destination, "client");
        wire.send_receipted(destination, &[], "");
        let mut message = wire.expect_message();
        for expected_ms in [50, 100, 300, 400, 400] {
            let failed = Instant::now();
            wire.nack(&message, &[]);
            let (again, waited) = after(&mut wire, failed);
            let least = Duration::from_millis(expected_ms - 1);
            assert!(
                waited >= least,
                "{destination}: {waited:?} for {expected_ms} ms"
            );
            message = again;
        }
        expect_delivery(&message, 6);
        wire.nack(&message, &[]);
        wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
        let dead = wire.expect_message();
        assert_eq!(header(&dead, "original-destination"), destination);
    }
}

/// D6.10, D6.25, D6.27
#[test]
fn by_default_the_first_redelivery_is_immediate_and_there_are_six() {
    let broker = start_with("[[destination]]\nmatch = \"once\"\nredeliveries_max = 0\n");
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/a", "client");
    wire.send_receipted("/queue/a", &[], "fails");
    let first = wire.expect_message();
    let failed = Instant::now();
    wire.nack(&first, &[]);
    let (mut message, waited) = after(&mut wire, failed);
    assert!(waited < Duration::from_millis(900), "{waited:?}");
    for delivery in 2..=7 {
        expect_delivery(&message, delivery);
        wire.nack(&message, &[("x-delay", "0")]);
        if delivery < 7 {
            message = wire.expect_message();
        }
    }
    expect_quiet(&mut wire);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
    let dead = wire.expect_message();
    assert_eq!(header(&dead, "dlq-delivery-count"), "7");
    assert_eq!(header(&dead, "dlq-reason"), "redelivery-limit");
    // Another pattern, another limit.
    wire.subscribe("o", "/queue/once", "client");
    wire.send_receipted("/queue/once", &[], "");
    let message = wire.expect_message();
    wire.nack(&message, &[]);
    assert_eq!(header(&wire.expect_message(), "dlq-delivery-count"), "1");
}

/// D6.29
#[test]
fn a_redelivery_that_is_due_comes_before_everything_later() {
    let broker = start();
    let mut wire = connect(&broker);
    for number in 0..6 {
        wire.send_receipted("/queue/o", &[], &number.to_string());
    }
    let two = [("activemq.prefetchSize", "2")];
    wire.subscribe_with("s", "/queue/o", "client-individual", &two);
    let (first, second) = (wire.expect_message(), wire.expect_message());
    wire.nack(&second, &[]);
    let again = wire.expect_message();
    assert_eq!(again.text(), "1");
    expect_delivery(&again, 2);
    wire.ack(&first, &[]);
    assert_eq!(wire.expect_message().text(), "2");
}

/// D6.31
#[test]
fn with_order_hold_nothing_of_its_priority_passes_a_message_that_waits_out_its_delay() {
    let broker = start_with(
        "[[destination]]\nmatch = \"strict\"\nredelivery_order = \"hold\"\n\
         redelivery_delay_first = \"300ms\"\n",
    );
    let mut wire = connect(&broker);
    for number in 0..4 {
        wire.send_receipted("/queue/strict", &[], &number.to_string());
    }
    let one = [("activemq.prefetchSize", "1")];
    wire.subscribe_with("s", "/queue/strict", "client-individual", &one);
    let mut other = connect(&broker);
    let first = wire.expect_message();
    let failed = Instant::now();
    wire.nack(&first, &[]);
    other.subscribe("s", "/queue/strict", "auto");
    expect_quiet(&mut other);
    let again = wire.expect_message();
    assert!(failed.elapsed() >= Duration::from_millis(299));
    assert_eq!(again.text(), "0");
    assert_eq!(bodies(&mut other, 3), ["1", "2", "3"]);
}

/// D6.28
#[test]
fn first_deliveries_keep_the_order_of_each_producer() {
    let broker = start();
    let (mut one, mut two) = (connect(&broker), connect(&broker));
    for number in 0..200 {
        for (wire, name) in [(&mut one, "one"), (&mut two, "two")] {
            // Persistent and not, so that the disk has no say in it.
            let persistent = number % 3 == 0;
            wire.send(&format!(
                "SEND\ndestination:/queue/o\nfrom:{name}\npersistent:{persistent}\n\n{number}^@"
            ));
        }
    }
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/o", "client");
    let mut next = [("one", 0), ("two", 0)];
    for _ in 0..400 {
        let message = wire.expect_message();
        let from = header(&message, "from");
        let (_, number) = next
            .iter_mut()
            .find(|(name, _)| *name == from)
            .expect("one of the two");
        assert_eq!(message.text(), number.to_string());
        *number += 1;
    }
}

/// How a consumer goes.
type Leave = fn(Wire);

/// A consumer that holds these messages of a queue, each seen once.
fn holder(broker: &Broker, queue: &str, count: usize) -> Wire {
    let mut wire = connect(broker);
    for number in 0..count {
        wire.send_receipted(queue, &[], &number.to_string());
    }
    wire.subscribe("s", queue, "client-individual");
    for number in 0..count {
        let message = wire.expect_message();
        assert_eq!(message.text(), number.to_string());
        expect_delivery(&message, 1);
    }
    wire
}

/// D6.20
#[test]
fn what_a_gone_consumer_held_returns_to_its_place_in_order() {
    let broker = start();
    let ways: [(&str, Leave); 3] = [
        ("lost", |wire| drop(wire)),
        ("disconnect", |wire| wire.disconnect()),
        ("unsubscribe", |mut wire| {
            wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        }),
    ];
    for (name, leave) in ways {
        let queue = format!("/queue/{name}");
        let wire = holder(&broker, &queue, 4);
        let mut heir = connect(&broker);
        heir.send_receipted(&queue, &[], "4");
        heir.subscribe("s", &queue, "client");
        // The fifth was behind the first four and is with the holder, too: it is offered to the round.
        leave(wire);
        let mut numbers: Vec<_> = (0..5).map(|_| heir.expect_message()).collect();
        numbers.retain(|message| message.text() != "4");
        for (number, message) in numbers.iter().enumerate() {
            assert_eq!(message.text(), number.to_string(), "{name}");
            expect_delivery(message, 2);
        }
    }
}

/// D6.21
#[test]
fn a_lost_connection_fails_only_the_oldest_message_of_each_subscription() {
    let broker = start_watched("[policy]\nredeliveries_max = 0\n");
    let mut wire = holder(&broker, "/queue/a", 3);
    wire.send_receipted("/queue/b", &[], "b0");
    wire.send_receipted("/queue/b", &[], "b1");
    wire.subscribe("t", "/queue/b", "client");
    assert_eq!(bodies(&mut wire, 2), ["b0", "b1"]);
    drop(wire);
    await_depth(&broker, "ActiveMQ.DLQ", 2);
    let mut heir = connect(&broker);
    heir.subscribe("a", "/queue/a", "client");
    assert_eq!(bodies(&mut heir, 2), ["1", "2"]);
    heir.subscribe("b", "/queue/b", "client");
    assert_eq!(bodies(&mut heir, 1), ["b1"]);
    heir.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    let mut dead = bodies(&mut heir, 2);
    dead.sort();
    assert_eq!(dead, ["0", "b0"]);
}

/// D6.21
#[test]
fn a_refused_frame_and_a_missed_heart_beat_are_lost_connections_too() {
    let broker =
        start_watched("[policy]\nredeliveries_max = 0\n[stomp]\nheart_beat_min = \"50ms\"\n");
    let mut wire = holder(&broker, "/queue/refused", 2);
    wire.send("NONSENSE\n\n^@");
    wire.expect_error("NONSENSE");
    await_depth(&broker, "refused", 1);
    let mut silent = Wire::connect_with(broker.stomp(), Version::V12, &[("heart-beat", "100,0")]);
    silent.send("SEND\ndestination:/queue/silent\n\n0^@SEND\ndestination:/queue/silent\n\n1^@");
    silent.send("SUBSCRIBE\nid:s\ndestination:/queue/silent\nack:client\n\n^@");
    assert_eq!(bodies(&mut silent, 2), ["0", "1"]);
    await_depth(&broker, "silent", 1);
    await_depth(&broker, "ActiveMQ.DLQ", 2);
}

/// D6.21
#[test]
fn leaving_properly_fails_nothing() {
    let broker = start_watched("[policy]\nredeliveries_max = 0\n");
    for round in 1..=3 {
        let mut wire = connect(&broker);
        if round == 1 {
            wire.send_receipted("/queue/a", &[], "");
        }
        wire.subscribe("s", "/queue/a", "client");
        expect_delivery(&wire.expect_message(), 2 * round - 1);
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        wire.subscribe("s", "/queue/a", "client");
        expect_delivery(&wire.expect_message(), 2 * round);
        wire.disconnect();
    }
    assert_eq!(overview(&broker, "dead_lettered_total"), 0);
}

/// D6.23, D6.15
#[test]
fn what_was_never_written_to_a_consumer_was_not_delivered() {
    let broker = start_watched("[policy]\nredeliveries_max = 0\n");
    let mut sender = connect(&broker);
    // More than the sockets of both sides hold.
    let body = "x".repeat(24 * 1024 * 1024);
    sender.send_receipted("/queue/big", &[("persistent", "false")], &body);
    for _ in 0..2 {
        let mut deaf = connect(&broker);
        deaf.subscribe("s", "/queue/other", "auto");
        deaf.send("SUBSCRIBE\nid:t\ndestination:/queue/big\nack:client\n\n^@");
        eventually("the message is on its way", || {
            (overview(&broker, "in_flight") == 1).then_some(())
        });
        drop(deaf);
        eventually("it is back", || {
            (overview(&broker, "in_flight") == 0).then_some(())
        });
    }
    sender.subscribe("s", "/queue/big", "client");
    let message = sender.expect_message();
    expect_delivery(&message, 1);
    assert!(message.body.len() == body.len());
}

/// D6.15
#[test]
fn what_a_leaving_consumer_has_seen_counts_as_delivered_and_nothing_else() {
    let broker = start();
    let mut sender = connect(&broker);
    let mut brief = connect(&broker);
    brief.subscribe("s", "/queue/l", "client");
    // More than the sockets hold, one at a time, so that some are on their way when it leaves.
    const COUNT: usize = 100;
    let body = "x".repeat(128 * 1024);
    for number in 0..COUNT {
        let headers = [("persistent", "false"), ("n", &number.to_string())];
        sender.send_receipted("/queue/l", &headers, &body);
    }
    brief.send("DISCONNECT\nreceipt:bye\n\n^@");
    let mut seen = Vec::new();
    while let Ok(frame) = brief.try_next(PATIENCE) {
        if frame.command == "MESSAGE" {
            seen.push(header(&frame, "n").to_owned());
        }
    }
    sender.subscribe("s", "/queue/l", "auto");
    for number in 0..COUNT {
        let message = sender.expect_message();
        assert_eq!(header(&message, "n"), number.to_string());
        let was_seen = seen.contains(&number.to_string());
        expect_delivery(&message, if was_seen { 2 } else { 1 });
    }
}
