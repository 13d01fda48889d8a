//! Browsers (dialect, section 5): `browser:true` walks a queue and takes nothing.

use stompbox_tests::wire::{Frame, Wire};

use super::fixture::{
    VERSIONS, bodies, connect, consumer, drain, drained, eventually, expect_delivery, expect_quiet,
    header, send, start, take,
};

fn browser(wire: &mut Wire, id: &str, queue: &str, ack: &str, more: &[(&str, &str)]) {
    let headers = [&[("browser", "true")][..], more].concat();
    wire.subscribe_with(id, queue, ack, &headers);
}

fn expect_end(wire: &mut Wire, id: &str, queue: &str) -> Frame {
    let end = wire.expect_message();
    assert_eq!(header(&end, "browser"), "end", "{end}");
    assert_eq!(header(&end, "subscription"), id);
    assert_eq!(header(&end, "destination"), queue);
    assert!(end.text().is_empty());
    end
}

/// D5.25
#[test]
fn a_browser_with_a_selector_sees_its_part_and_then_the_end() {
    let broker = start();
    let mut producer = connect(&broker);
    for n in 0..6 {
        let n = n.to_string();
        send(&mut producer, "/queue/q", &[("n", &n)], &n);
    }
    let cases: [(&str, &[&str]); 4] = [
        ("n > 3", &["4", "5"]),
        ("n = 0 OR n = 5", &["0", "5"]),
        ("missing = 1", &[]),
        ("JMSRedelivered = FALSE", &["0", "1", "2", "3", "4", "5"]),
    ];
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        for (number, (selector, expected)) in cases.iter().enumerate() {
            let id = number.to_string();
            browser(
                &mut wire,
                &id,
                "/queue/q",
                "auto",
                &[("selector", selector)],
            );
            assert_eq!(bodies(&mut wire, expected.len()), *expected, "{selector}");
            expect_end(&mut wire, &id, "/queue/q");
            expect_quiet(&mut wire);
        }
    }
    let mut reader = consumer(&broker, "/queue/q", &[]);
    assert_eq!(take(&mut reader, 6), ["0", "1", "2", "3", "4", "5"]);
}

/// D5.26
#[test]
fn a_browser_goes_by_its_prefetch_and_what_it_acknowledges_stays() {
    let broker = start();
    let mut producer = connect(&broker);
    for text in ["a", "b", "c"] {
        send(&mut producer, "/queue/q", &[], text);
    }
    let mut wire = connect(&broker);
    browser(
        &mut wire,
        "s",
        "/queue/q",
        "client-individual",
        &[("activemq.prefetchSize", "1")],
    );
    for (text, is_nacked) in [("a", false), ("b", true), ("c", false)] {
        let messages = drain(&mut wire);
        let (message, rest) = messages.split_first().expect("one at a time");
        // Behind the last one nothing has to wait for its ACK.
        let ends = rest.iter().filter(|end| end.header("browser").is_some());
        assert_eq!(
            (rest.len(), ends.count()),
            if text == "c" { (1, 1) } else { (0, 0) }
        );
        assert_eq!(message.text(), text);
        expect_delivery(message, 1);
        if is_nacked {
            wire.nack(message, &[("requeue", "false")]);
        } else {
            wire.ack(message, &[]);
        }
    }
    expect_quiet(&mut wire);
    let mut reader = consumer(&broker, "/queue/q", &[]);
    for text in ["a", "b", "c"] {
        let message = reader.expect_message();
        assert_eq!(message.text(), text);
        expect_delivery(&message, 1);
    }
}

/// D5.26
#[test]
fn a_browser_sees_neither_what_is_with_a_consumer_nor_what_comes_later() {
    let broker = start();
    let mut producer = connect(&broker);
    for text in ["a", "b", "c"] {
        send(&mut producer, "/queue/q", &[], text);
    }
    let mut reader = consumer(&broker, "/queue/q", &[("activemq.prefetchSize", "1")]);
    assert_eq!(reader.expect_message().text(), "a");
    let mut wire = connect(&broker);
    browser(
        &mut wire,
        "s",
        "/queue/q",
        "client",
        &[("activemq.prefetchSize", "1")],
    );
    let first = wire.expect_message();
    assert_eq!(first.text(), "b");
    send(&mut producer, "/queue/q", &[], "d");
    wire.ack(&first, &[]);
    assert_eq!(wire.expect_message().text(), "c");
    drop(reader);
    let mut other = connect(&broker);
    let seen = eventually("what returned is there to be seen", || {
        let id = other.new_receipt();
        browser(&mut other, &id, "/queue/q", "auto", &[]);
        let texts = drained(&mut other);
        (texts.len() == 5).then_some(texts)
    });
    assert_eq!(seen, ["a", "b", "c", "d", ""]);
}

/// D5.26
#[test]
fn an_empty_queue_is_over_at_once_and_a_browser_may_be_ended_before() {
    let broker = start();
    let mut wire = connect(&broker);
    browser(&mut wire, "empty", "/queue/empty", "auto", &[]);
    expect_end(&mut wire, "empty", "/queue/empty");
    for text in ["a", "b"] {
        send(&mut wire, "/queue/q", &[], text);
    }
    browser(
        &mut wire,
        "s",
        "/queue/q",
        "client",
        &[("activemq.prefetchSize", "1")],
    );
    assert_eq!(wire.expect_message().text(), "a");
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    expect_quiet(&mut wire);
    browser(&mut wire, "s", "/queue/q", "auto", &[]);
    assert_eq!(bodies(&mut wire, 2), ["a", "b"]);
    expect_end(&mut wire, "s", "/queue/q");
}
