//! What a stop and a crash leave (dialect, sections 2, 3 and 6).

use stompbox_tests::wire::Frame;

use super::fixture::{
    ask, await_depth, bodies, connect, expect_delivery, expect_quiet, header, start, start_watched,
    start_with,
};

/// D3.16
#[test]
fn queues_exist_after_a_restart_whether_empty_or_not() {
    let mut broker = start_watched("");
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/full", &[], "");
    wire.send_receipted("/queue/emptied", &[], "");
    wire.subscribe("s", "/queue/emptied", "client");
    let message = wire.expect_message();
    wire.ack(&message, &[]);
    wire.subscribe("t", "/queue/subscribed", "client");
    wire.disconnect();
    let expected = [("emptied", 0), ("full", 1), ("subscribed", 0)];
    for stop in ["clean", "crash", "crash", "clean"] {
        match stop {
            "clean" => assert!(broker.terminate().success()),
            _ => broker.kill(),
        }
        broker.start_again();
        let listing = ask(&broker, "queues");
        let items = listing["items"].as_array().expect("a listing has items");
        let found: Vec<_> = items
            .iter()
            .map(|item| (item["name"].as_str().unwrap_or(""), item["depth"].as_i64()))
            .collect();
        let expected = expected.map(|(name, depth)| (name, Some(depth)));
        assert_eq!(found, expected, "after {stop}");
    }
}

/// D6.17, D6.22
#[test]
fn after_a_clean_stop_both_counters_are_exact() {
    let mut broker = start_with("[policy]\nredeliveries_max = 2\n");
    let mut wire = connect(&broker);
    for text in ["never", "seen", "failed", "failed twice"] {
        wire.send_receipted("/queue/c", &[], text);
    }
    wire.subscribe("s", "/queue/c", "client-individual");
    let first: Vec<_> = (0..4).map(|_| wire.expect_message()).collect();
    wire.nack(&first[2], &[("x-delay", "0")]);
    wire.expect_message();
    wire.nack(&first[3], &[("x-delay", "0")]);
    let again = wire.expect_message();
    wire.nack(&again, &[("x-delay", "0")]);
    wire.expect_message();
    wire.send_receipted("/queue/unseen", &[], "never");
    // The stop takes them all back: no failure is counted for that.
    assert!(broker.terminate().success());
    wire.expect_closed();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
    wire.subscribe("u", "/queue/unseen", "auto");
    expect_delivery(&wire.expect_message(), 1);
    wire.subscribe("s", "/queue/c", "client-individual");
    let again: Vec<_> = (0..4).map(|_| wire.expect_message()).collect();
    for (message, (text, delivery, failures)) in again.iter().zip([
        ("never", 2, 0),
        ("seen", 2, 0),
        ("failed", 3, 1),
        ("failed twice", 4, 2),
    ]) {
        assert_eq!(message.text(), text);
        expect_delivery(message, delivery);
        // Failures show in how many more it takes to its end.
        let mut message = message.clone();
        for failure in failures..=2 {
            wire.nack(&message, &[("x-delay", "0")]);
            message = wire.expect_message();
            let is_dead = message.header("dlq-reason").is_some();
            assert_eq!(is_dead, failure == 2, "{text}: {message}");
        }
    }
    expect_quiet(&mut wire);
}

/// D6.17, D6.22
#[test]
fn a_stop_counts_what_a_consumer_was_given_and_nothing_else() {
    let mut broker = start_with("[policy]\nredeliveries_max = 0\n");
    let mut sender = connect(&broker);
    const COUNT: usize = 3_000;
    for number in 0..COUNT {
        sender.send(&format!("SEND\ndestination:/queue/c\n\n{number}^@"));
    }
    sender.send_receipted("/topic/nobody", &[], "");
    let mut wire = connect(&broker);
    wire.send("SUBSCRIBE\nid:s\ndestination:/queue/c\nack:client-individual\n\n^@");
    // The stop comes while messages are on their way and being settled.
    let mut settled = 0;
    for number in 0..200 {
        let message = wire.expect_message();
        if number % 2 == 0 {
            wire.send(&format!("ACK\nid:{}\n\n^@", header(&message, "ack")));
            settled += 1;
        }
    }
    assert!(broker.terminate().success());
    let mut seen = 200;
    while let Ok(frame) = wire.try_next(stompbox_tests::wire::PATIENCE) {
        assert_eq!(frame.command, "MESSAGE", "{frame}");
        assert_eq!(frame.text(), seen.to_string());
        seen += 1;
    }
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe_with("s", "/queue/c", "client", &[("prefetch-count", "0")]);
    let mut back: Vec<Frame> = Vec::new();
    while back
        .last()
        .is_none_or(|last| last.text() != (COUNT - 1).to_string())
    {
        back.push(wire.expect_message());
    }
    assert!(
        (COUNT - settled..=COUNT).contains(&back.len()),
        "{} of {COUNT}, {settled} settled",
        back.len()
    );
    for message in back {
        let number: usize = message.text().parse().expect("a number");
        expect_delivery(&message, if number < seen { 2 } else { 1 });
    }
}

/// D6.16, D6.18, D6.19
#[test]
fn after_a_crash_everything_recovered_may_have_been_delivered_before() {
    let mut broker = start_with("[policy]\nredeliveries_max = 1\n");
    let mut wire = connect(&broker);
    for text in ["seen", "failed", "waits"] {
        wire.send_receipted("/queue/k", &[], text);
    }
    let two = [("activemq.prefetchSize", "2")];
    wire.subscribe_with("s", "/queue/k", "client-individual", &two);
    let (_seen, failed) = (wire.expect_message(), wire.expect_message());
    wire.nack(&failed, &[("x-delay", "0")]);
    expect_delivery(&wire.expect_message(), 2);
    // Again and again, with consumers that are there to the end: a crash itself never counts as a failure.
    let mut consumers = vec![wire];
    for _ in 0..3 {
        broker.kill();
        broker.start_again();
        let mut wire = connect(&broker);
        wire.subscribe("s", "/queue/k", "client-individual");
        for text in ["seen", "failed", "waits"] {
            let message = wire.expect_message();
            assert_eq!(message.text(), text);
            assert_eq!(header(&message, "redelivered"), "true");
            let count: u32 = header(&message, "JMSXDeliveryCount")
                .parse()
                .expect("a number");
            assert!(count >= 2, "{message}");
        }
        consumers.push(wire);
    }
    // The failure that was counted before the first crash is still counted: the next one is its second.
    let mut wire = connect(&broker);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
    expect_quiet(&mut wire);
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/k", "client-individual");
    let back: Vec<_> = (0..3).map(|_| wire.expect_message()).collect();
    for message in &back {
        wire.nack(message, &[("x-delay", "0")]);
    }
    assert_eq!(bodies(&mut wire, 2), ["seen", "waits"]);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
    assert_eq!(wire.expect_message().text(), "failed");
    expect_quiet(&mut wire);
}

/// D6.18
#[test]
fn what_comes_after_a_crash_is_new_again() {
    let mut broker = start();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/k", &[], "old");
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/k", &[], "new");
    wire.subscribe("s", "/queue/k", "client");
    expect_delivery(&wire.expect_message(), 2);
    expect_delivery(&wire.expect_message(), 1);
    wire.disconnect();
    assert!(broker.terminate().success());
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/k", "client");
    expect_delivery(&wire.expect_message(), 3);
    expect_delivery(&wire.expect_message(), 2);
}

/// D2.3, D6.17, D4.3
#[test]
fn order_and_priority_survive_a_restart_also_of_a_long_queue() {
    let mut broker = start_watched("");
    let mut wire = connect(&broker);
    const EACH: usize = 1_200;
    for number in 0..EACH {
        for priority in [4, 9, 0] {
            wire.send(&format!(
                "SEND\ndestination:/queue/long\npriority:{priority}\n\n{priority} {number}^@"
            ));
        }
    }
    wire.send_receipted("/queue/long", &[("persistent", "false")], "lost");
    wire.disconnect();
    assert!(broker.terminate().success());
    broker.start_again();
    await_depth(&broker, "long", 3 * EACH as u64);
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/long", "auto");
    for priority in [9, 4, 0] {
        for number in 0..EACH {
            let message = wire.expect_message();
            assert_eq!(message.text(), format!("{priority} {number}"));
            expect_delivery(&message, 1);
        }
    }
    expect_quiet(&mut wire);
}

/// D1.53, D2.9
#[test]
fn a_stop_answers_what_it_has_read_and_closes_every_connection() {
    let mut broker = start();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/s", &[], "0");
    let mut idle = connect(&broker);
    assert!(broker.terminate().success());
    idle.expect_closed();
    wire.expect_closed();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/s", "client");
    assert_eq!(bodies(&mut wire, 1), ["0"]);
}

/// D6.22
#[test]
fn a_client_that_reads_nothing_does_not_keep_a_stop_from_being_clean() {
    let mut broker = start_with("[policy]\nredeliveries_max = 0\n[stomp]\nlinger = \"300ms\"\n");
    let mut sender = connect(&broker);
    let body = "x".repeat(128 * 1024);
    for _ in 0..100 {
        sender.send_receipted("/queue/big", &[], &body);
    }
    let mut deaf = connect(&broker);
    deaf.send("SUBSCRIBE\nid:s\ndestination:/queue/big\nack:client\n\n^@");
    expect_quiet(&mut sender);
    assert!(broker.terminate().success());
    drop(deaf);
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/big", "auto");
    for _ in 0..100 {
        wire.expect_message();
    }
    expect_quiet(&mut wire);
}
