//! Exclusive consumers and consumer priority (dialect, section 5): who is served, and who is next.

use super::fixture::{connect, consumer, drained, expect_quiet, header, send, start, take};

const EXCLUSIVE: (&str, &str) = ("activemq.exclusive", "true");

/// D5.22
#[test]
fn of_exclusive_consumers_the_highest_priority_has_the_queue_then_the_oldest() {
    let broker = start();
    let mut producer = connect(&broker);
    let with = |priority| {
        consumer(
            &broker,
            "/queue/q",
            &[EXCLUSIVE, ("activemq.priority", priority)],
        )
    };
    let mut old = with("1");
    let mut young = with("1");
    let mut low = with("0");
    let mut high = with("5");
    for text in ["a", "b"] {
        send(&mut producer, "/queue/q", &[], text);
    }
    assert_eq!(take(&mut high, 1), ["a"]);
    assert_eq!(high.expect_message().text(), "b");
    // What it held goes with the queue, in order, also before what comes then.
    drop(high);
    send(&mut producer, "/queue/q", &[], "c");
    let message = old.expect_message();
    assert_eq!(
        (message.text().as_str(), header(&message, "redelivered")),
        ("b", "true")
    );
    old.ack(&message, &[]);
    assert_eq!(take(&mut old, 1), ["c"]);
    for wire in [&mut young, &mut low] {
        expect_quiet(wire);
    }
    old.disconnect();
    send(&mut producer, "/queue/q", &[], "d");
    assert_eq!(take(&mut young, 1), ["d"]);
    young.request("UNSUBSCRIBE", &[("id", "s")], b"");
    send(&mut producer, "/queue/q", &[], "e");
    assert_eq!(take(&mut low, 1), ["e"]);
    expect_quiet(&mut young);
}

/// D5.23
#[test]
fn a_late_exclusive_consumer_takes_the_queue_and_gives_it_back_when_it_goes() {
    let broker = start();
    let mut producer = connect(&broker);
    let one = [("activemq.prefetchSize", "1")];
    let mut shared = [
        consumer(&broker, "/queue/q", &one),
        consumer(&broker, "/queue/q", &one),
    ];
    let mut own = consumer(&broker, "/queue/q", &[EXCLUSIVE]);
    for text in ["a", "b", "c"] {
        send(&mut producer, "/queue/q", &[], text);
    }
    let messages: Vec<_> = (0..3).map(|_| own.expect_message().text()).collect();
    assert_eq!(messages, ["a", "b", "c"]);
    for wire in &mut shared {
        expect_quiet(wire);
    }
    own.disconnect();
    let mut again: Vec<_> = shared.iter_mut().flat_map(|wire| take(wire, 1)).collect();
    again.sort();
    assert_eq!(again, ["a", "b"]);
    let rest: Vec<_> = shared.iter_mut().flat_map(drained).collect();
    assert_eq!(rest, ["c"], "by turns again");
}

/// D5.23
#[test]
fn an_exclusive_consumer_without_credit_keeps_the_queue_and_its_order() {
    let broker = start();
    let mut producer = connect(&broker);
    let mut own = consumer(
        &broker,
        "/queue/q",
        &[EXCLUSIVE, ("activemq.prefetchSize", "1")],
    );
    let mut other = consumer(&broker, "/queue/q", &[]);
    for text in ["a", "b", "c"] {
        send(&mut producer, "/queue/q", &[], text);
    }
    let first = own.expect_message();
    expect_quiet(&mut other);
    // Behind an exclusive consumer a redelivery holds everything back.
    own.nack(&first, &[("x-delay", "200")]);
    assert_eq!(take(&mut own, 3), ["a", "b", "c"]);
    expect_quiet(&mut other);
}

/// D5.24
#[test]
fn higher_consumer_priorities_are_served_first_as_long_as_they_have_credit() {
    let cases: [(&str, &str, &str, [&[&str]; 2]); 5] = [
        ("activemq.priority", "0", "5", [&["3", "4"], &["1", "2"]]),
        ("x-priority", "-1", "0", [&["3", "4"], &["1", "2"]]),
        ("activemq.priority", "127", "5", [&["1", "2"], &["3", "4"]]),
        (
            "x-priority",
            "9999999999",
            "9999999998",
            [&["1", "3"], &["2", "4"]],
        ),
        ("activemq.priority", "3", "3", [&["1", "3"], &["2", "4"]]),
    ];
    for (name, first, second, expected) in cases {
        let broker = start();
        let mut producer = connect(&broker);
        let with = |priority| {
            let headers = [(name, priority), ("activemq.prefetchSize", "2")];
            consumer(&broker, "/queue/q", &headers)
        };
        let mut consumers = [with(first), with(second)];
        for text in ["1", "2", "3", "4"] {
            send(&mut producer, "/queue/q", &[], text);
        }
        for (wire, expected) in consumers.iter_mut().zip(expected) {
            assert_eq!(drained(wire), expected, "{name} {first} and {second}");
        }
    }
}
