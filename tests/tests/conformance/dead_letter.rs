//! Dead letters (dialect, section 6).

use stompbox_tests::wire::{Frame, Wire};

use super::fixture::{
    connect, expect_delivery, expect_quiet, header, overview, queue, start, start_watched,
    start_with,
};

/// Sends a message and fails it for good.
fn fail(wire: &mut Wire, destination: &str, headers: &[(&str, &str)]) -> Frame {
    wire.subscribe("victim", destination, "client");
    wire.send_receipted(destination, headers, "body");
    let message = wire.expect_message();
    wire.nack(&message, &[("requeue", "false")]);
    wire.request("UNSUBSCRIBE", &[("id", "victim")], b"");
    message
}

/// D6.11, D6.32, D6.33
#[test]
fn a_dead_letter_is_the_same_message_and_says_why_it_died() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    for destination in ["/queue/a", "/topic/a"] {
        let headers = [
            ("priority", "7"),
            ("ttl", "3600000"),
            ("own", "a:b\n"),
            ("type", "order"),
            ("timestamp", "12345"),
        ];
        let message = fail(&mut wire, destination, &headers);
        let dead = wire.expect_message();
        assert_eq!(header(&dead, "destination"), "/queue/ActiveMQ.DLQ");
        for name in ["message-id", "priority", "own", "type", "timestamp"] {
            assert_eq!(header(&dead, name), header(&message, name), "{name}");
        }
        assert_eq!(dead.body, message.body);
        assert_eq!(header(&dead, "original-destination"), destination);
        assert_eq!(header(&dead, "dlq-reason"), "nack");
        assert_eq!(header(&dead, "dlq-delivery-count"), "1");
        assert!(header(&dead, "dlq-time").parse::<u64>().is_ok());
        assert_ne!(header(&message, "expires"), "0");
        assert_eq!(header(&dead, "expires"), "0");
        expect_delivery(&dead, 1);
    }
}

/// D6.34
#[test]
fn a_message_is_in_its_queue_or_in_the_dead_letter_queue_and_never_in_both() {
    let mut broker = start_watched("");
    for round in 0..5 {
        let mut wire = connect(&broker);
        let destination = format!("/queue/{round}");
        for _ in 0..50 {
            wire.send(&format!("SEND\ndestination:{destination}\n\nx^@"));
        }
        wire.send_receipted(&destination, &[], "x");
        wire.subscribe("s", &destination, "client-individual");
        let messages: Vec<_> = (0..51).map(|_| wire.expect_message()).collect();
        // No receipt: the kill meets the store at work.
        for message in &messages {
            let id = header(message, "ack");
            wire.send(&format!("NACK\nid:{id}\nrequeue:false\n\n^@"));
        }
        broker.kill();
        broker.start_again();
        let depth = |name: &str| {
            let view = queue(&broker, name);
            view.and_then(|view| view["depth"].as_u64()).unwrap_or(0)
        };
        let alive: u64 = (0..=round).map(|number| depth(&number.to_string())).sum();
        assert_eq!(alive + depth("ActiveMQ.DLQ"), 51 * (round + 1));
    }
}

/// D6.35
#[test]
fn everything_in_a_dead_letter_queue_is_persistent() {
    let mut broker = start();
    let mut wire = connect(&broker);
    fail(&mut wire, "/queue/a", &[("persistent", "false")]);
    fail(&mut wire, "/topic/a", &[("persistent", "false")]);
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    for destination in ["/queue/a", "/topic/a"] {
        let dead = wire.expect_message();
        assert_eq!(header(&dead, "original-destination"), destination);
        assert_eq!(header(&dead, "persistent"), "true");
    }
}

/// D6.35
#[test]
fn the_policy_may_drop_non_persistent_messages_that_fail() {
    let broker = start_watched("[policy]\ndead_letter_non_persistent = false\n");
    let mut wire = connect(&broker);
    fail(&mut wire, "/queue/a", &[("persistent", "false")]);
    fail(&mut wire, "/topic/a", &[("persistent", "false")]);
    assert_eq!(overview(&broker, "dropped_total"), 2);
    assert!(queue(&broker, "ActiveMQ.DLQ").is_none());
    fail(&mut wire, "/queue/a", &[]);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    assert_eq!(header(&wire.expect_message(), "persistent"), "true");
}

/// D6.37
#[test]
fn a_message_that_fails_in_the_dead_letter_queue_stays_there() {
    let broker = start_with("[policy]\nredeliveries_max = 1\n");
    let mut wire = connect(&broker);
    fail(&mut wire, "/queue/a", &[]);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    let mut message = wire.expect_message();
    for delivery in 1..=5 {
        expect_delivery(&message, delivery);
        assert_eq!(header(&message, "original-destination"), "/queue/a");
        assert_eq!(header(&message, "dlq-reason"), "nack");
        let refused = if delivery % 2 == 0 {
            ("requeue", "false")
        } else {
            ("x-delay", "0")
        };
        wire.nack(&message, &[refused, ("x-delay", "0")]);
        message = wire.expect_message();
    }
}

/// D6.38
#[test]
fn a_policy_gives_each_queue_a_dead_letter_queue_of_its_own() {
    let broker = start_with(
        "[[destination]]\nmatch = \"orders.>\"\ndead_letter_queue = \"DLQ.{name}\"\n\
         redeliveries_max = 0\n",
    );
    let mut wire = connect(&broker);
    wire.subscribe("eu", "/queue/DLQ.orders.eu", "client");
    wire.subscribe("us", "/queue/DLQ.orders.us", "client");
    wire.subscribe("shared", "/queue/ActiveMQ.DLQ", "client");
    for (destination, dead_letters) in [
        ("/queue/orders.eu", "eu"),
        ("/queue/orders.us", "us"),
        ("/queue/others", "shared"),
    ] {
        fail(&mut wire, destination, &[]);
        let dead = wire.expect_message();
        assert_eq!(header(&dead, "subscription"), dead_letters);
        // Such a queue is itself the end of the road, whatever its own policy would say.
        wire.nack(&dead, &[("x-delay", "0")]);
        let again = wire.expect_message();
        assert_eq!(header(&again, "subscription"), dead_letters);
        expect_delivery(&again, 2);
    }
    expect_quiet(&mut wire);
}

/// D6.38
#[test]
fn dead_letters_of_temporary_destinations_leave_no_queues_of_their_own() {
    let broker = start_with("[policy]\ndead_letter_queue = \"DLQ.{name}\"\n");
    let mut wire = connect(&broker);
    wire.subscribe("shared", "/queue/ActiveMQ.DLQ", "client");
    for destination in ["/temp-queue/a", "/temp-topic/a"] {
        fail(&mut wire, destination, &[]);
        let dead = wire.expect_message();
        assert_eq!(header(&dead, "subscription"), "shared");
    }
    wire.subscribe("own", "/queue/DLQ.>", "client");
    expect_quiet(&mut wire);
}
