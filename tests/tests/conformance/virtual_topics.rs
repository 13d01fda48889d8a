//! Virtual topics on the wire (dialect, section 3): `/topic/VirtualTopic.X` fills `/queue/Consumer.ANY.VirtualTopic.X`.

use super::fixture::{connect, consumer, drain, drained, expect_quiet, header, send, start, take};

const TOPIC: &str = "/topic/VirtualTopic.orders";

fn queue_of(application: &str) -> String {
    format!("/queue/Consumer.{application}.VirtualTopic.orders")
}

/// D3.26
#[test]
fn each_application_gets_a_copy_and_its_consumers_share_the_work() {
    let broker = start();
    let mut a = [
        consumer(&broker, &queue_of("A"), &[]),
        consumer(&broker, &queue_of("A"), &[]),
    ];
    let mut b = consumer(&broker, &queue_of("B"), &[]);
    let mut direct = consumer(&broker, TOPIC, &[]);
    let mut producer = connect(&broker);
    for text in ["1", "2", "3", "4"] {
        send(&mut producer, TOPIC, &[], text);
    }
    assert_eq!(drained(&mut a[0]), ["1", "3"]);
    assert_eq!(drained(&mut a[1]), ["2", "4"]);
    let copies = drain(&mut b);
    let originals = drain(&mut direct);
    for (number, (copy, original)) in copies.iter().zip(&originals).enumerate() {
        assert_eq!(copy.text(), (number + 1).to_string());
        assert_eq!(header(copy, "message-id"), header(original, "message-id"));
        assert_eq!(header(copy, "destination"), queue_of("B"));
        assert_eq!(header(original, "destination"), TOPIC);
    }
    assert_eq!((copies.len(), originals.len()), (4, 4));
}

/// D3.26
#[test]
fn a_queue_gets_what_is_sent_from_its_creation_on_and_keeps_it_through_a_crash() {
    let mut broker = start();
    let mut producer = connect(&broker);
    send(&mut producer, TOPIC, &[], "before");
    consumer(&broker, &queue_of("A"), &[]).disconnect();
    send(&mut producer, TOPIC, &[], "kept");
    send(&mut producer, TOPIC, &[("persistent", "false")], "not kept");
    producer.send("BEGIN\ntransaction:t\n\n^@");
    let headers = [("destination", TOPIC), ("transaction", "t")];
    producer.request("SEND", &headers, b"committed");
    producer.request("COMMIT", &[("transaction", "t")], b"");
    broker.kill();
    broker.start_again();
    let mut producer = connect(&broker);
    send(&mut producer, TOPIC, &[], "after");
    let mut reader = consumer(&broker, &queue_of("A"), &[]);
    assert_eq!(take(&mut reader, 3), ["kept", "committed", "after"]);
    expect_quiet(&mut reader);
}

/// D3.26
#[test]
fn names_alone_decide_what_is_copied() {
    let cases = [
        ("/topic/VirtualTopic.orders", true),
        ("/topic/VirtualTopic.orders.eu", false),
        ("/topic/VirtualTopic", false),
        ("/topic/orders", false),
        ("/queue/VirtualTopic.orders", false),
        ("/topic/a,/topic/VirtualTopic.orders", true),
    ];
    for (destination, copies) in cases {
        let broker = start();
        let mut reader = consumer(&broker, &queue_of("A"), &[]);
        let mut others = consumer(&broker, "/queue/Consumer.A.B.VirtualTopic.orders", &[]);
        let mut producer = connect(&broker);
        send(&mut producer, destination, &[], "x");
        let expected: &[&str] = if copies { &["x"] } else { &[] };
        assert_eq!(drained(&mut reader), expected, "{destination}");
        expect_quiet(&mut others);
    }
}

/// D3.26
#[test]
fn selectors_and_patterns_work_on_the_queues() {
    let broker = start();
    consumer(&broker, &queue_of("B"), &[]).disconnect();
    let selector = [("selector", "n = 1")];
    let mut picky = consumer(&broker, &queue_of("A"), &selector);
    let mut producer = connect(&broker);
    for n in ["1", "2"] {
        send(&mut producer, TOPIC, &[("n", n)], n);
    }
    assert_eq!(take(&mut picky, 1), ["1"]);
    expect_quiet(&mut picky);
    picky.disconnect();
    let mut all = consumer(&broker, "/queue/Consumer.*.VirtualTopic.>", &[]);
    let mut rest = take(&mut all, 3);
    rest.sort();
    assert_eq!(rest, ["1", "2", "2"]);
}
