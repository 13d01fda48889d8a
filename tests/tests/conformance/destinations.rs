//! Queues, topics and their names (dialect, section 3).

use std::collections::BTreeMap;

use stompbox_tests::wire::Version;

use super::fixture::{
    bodies, connect, expect_quiet, expect_refusal, header, queue, start, start_watched,
};

/// D3.1
#[test]
fn consumers_of_a_queue_compete_in_turn_as_long_as_they_have_credit() {
    let broker = start();
    let mut consumers: Vec<_> = (0..3)
        .map(|number| {
            let mut wire = connect(&broker);
            let prefetch = if number == 2 { "1" } else { "10" };
            let headers = [("activemq.prefetchSize", prefetch)];
            wire.subscribe_with("s", "/queue/q", "client", &headers);
            wire
        })
        .collect();
    let mut sender = connect(&broker);
    for number in 0..9 {
        sender.send_receipted("/queue/q", &[], &number.to_string());
    }
    // The third has credit for one; the round goes on without it.
    assert_eq!(bodies(&mut consumers[0], 4), ["0", "3", "5", "7"]);
    assert_eq!(bodies(&mut consumers[1], 4), ["1", "4", "6", "8"]);
    assert_eq!(bodies(&mut consumers[2], 1), ["2"]);
    for wire in &mut consumers {
        expect_quiet(wire);
    }
}

/// D3.2
#[test]
fn a_queue_exists_from_its_first_use_on() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    assert!(queue(&broker, "by.send").is_none());
    wire.send_receipted("/queue/by.send", &[], "waits for its consumer");
    wire.subscribe("s", "/queue/by.subscribe", "auto");
    for name in ["by.send", "by.subscribe"] {
        assert!(queue(&broker, name).is_some(), "{name}");
    }
    wire.subscribe("late", "/queue/by.send", "auto");
    assert_eq!(wire.expect_message().text(), "waits for its consumer");
}

/// D3.3
#[test]
fn each_subscription_of_a_topic_gets_each_message_sent_from_then_on() {
    let broker = start();
    let mut sender = connect(&broker);
    sender.send_receipted("/topic/t", &[], "before anybody listens");
    let (mut one, mut two) = (connect(&broker), connect(&broker));
    one.subscribe("a", "/topic/t", "auto");
    one.subscribe("b", "/topic/t", "client");
    two.subscribe("a", "/topic/t", "client-individual");
    for number in 0..3 {
        sender.send_receipted("/topic/t", &[], &number.to_string());
    }
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..6 {
        let message = one.expect_message();
        let subscription = header(&message, "subscription").to_owned();
        heard.entry(subscription).or_default().push(message.text());
    }
    assert_eq!(heard["a"], ["0", "1", "2"]);
    assert_eq!(heard["b"], ["0", "1", "2"]);
    assert_eq!(bodies(&mut two, 3), ["0", "1", "2"]);
    for wire in [&mut one, &mut two] {
        expect_quiet(wire);
    }
}

/// D3.4, D7.3
#[test]
fn a_name_without_prefix_is_the_queue_of_that_name() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "orders", "auto");
    wire.send_receipted("/queue/orders", &[], "with");
    wire.send_receipted("orders", &[], "without");
    for text in ["with", "without"] {
        let message = wire.expect_message();
        assert_eq!(message.text(), text);
        assert_eq!(header(&message, "destination"), "/queue/orders");
    }
    wire.send_receipted("/topic/orders", &[], "a topic is another thing");
    expect_quiet(&mut wire);
}

/// D3.5
#[test]
fn every_name_that_may_exist_works() {
    let broker = start();
    let longest = "n".repeat(255);
    let names = [
        "a",
        "a/b/c",
        "a.b.c",
        "größe ✓",
        "A",
        "a b",
        "*a",
        "a>",
        &longest,
    ];
    let mut wire = connect(&broker);
    for (id, name) in names.iter().enumerate() {
        for kind in ["queue", "topic"] {
            let destination = format!("/{kind}/{name}");
            wire.subscribe(&format!("{kind}{id}"), &destination, "auto");
            wire.send_receipted(&destination, &[], "");
            let message = wire.expect_message();
            assert_eq!(header(&message, "destination"), destination);
            assert_eq!(header(&message, "subscription"), format!("{kind}{id}"));
        }
    }
}

/// D3.6
#[test]
fn a_name_that_cannot_exist_is_refused() {
    let broker = start();
    let too_long = format!("/queue/{}", "n".repeat(256));
    let check = |destination: &str, about: &str| {
        for command in ["SEND", "SUBSCRIBE\nid:s"] {
            let mut wire = connect(&broker);
            let frame = format!("{command}\nreceipt:r\ndestination:{destination}\n\n^@");
            let error = expect_refusal(&mut wire, &frame, about);
            assert_eq!(error.header("receipt-id"), Some("r"));
        }
    };
    check("", "no name");
    check("/queue/", "no name");
    check("/topic/", "no name");
    check("/queue/a..b", "empty segment");
    check("/topic/.a", "empty segment");
    check("/queue/a.", "empty segment");
    check("/queue/a\\nb", "control character");
    check("/nonsense/a", "prefix");
    check("/queue", "prefix");
    check("/QUEUE/a", "prefix");
    check(&too_long, "255");
    for frame in ["SEND\nreceipt:r\n\n^@", "SUBSCRIBE\nid:s\nreceipt:r\n\n^@"] {
        let mut wire = connect(&broker);
        expect_refusal(&mut wire, frame, "destination");
    }
    let mut wire = connect(&broker);
    wire.send_raw(b"SEND\ndestination:/queue/\xff\n\n\0");
    wire.expect_error("UTF-8");
}

/// D3.8
#[test]
fn dead_letters_go_to_a_queue_like_any_other() {
    let broker = start();
    let mut wire = stompbox_tests::wire::Wire::connect(broker.stomp(), Version::V12);
    wire.send_receipted("/queue/a", &[], "fails");
    wire.subscribe("s", "/queue/a", "client");
    let message = wire.expect_message();
    wire.nack(&message, &[("requeue", "false")]);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    let dead = wire.expect_message();
    assert_eq!(header(&dead, "destination"), "/queue/ActiveMQ.DLQ");
    wire.ack(&dead, &[]);
    wire.send_receipted("/queue/ActiveMQ.DLQ", &[], "by hand");
    assert_eq!(wire.expect_message().text(), "by hand");
}
