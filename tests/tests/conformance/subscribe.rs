//! SUBSCRIBE and UNSUBSCRIBE: id, ack mode, prefetch (dialect, section 5).

use stompbox_tests::wire::{Version, Wire};

use super::fixture::{
    VERSIONS, bodies, connect, expect_delivery, expect_quiet, expect_refusal, header, start,
    start_with,
};

/// D5.1
#[test]
fn from_1_1_a_subscription_needs_an_id() {
    let broker = start();
    for version in [Version::V11, Version::V12] {
        for frame in [
            "SUBSCRIBE\ndestination:/queue/a\nreceipt:r\n\n^@",
            "UNSUBSCRIBE\ndestination:/queue/a\nreceipt:r\n\n^@",
        ] {
            let mut wire = Wire::connect(broker.stomp(), version);
            expect_refusal(&mut wire, frame, "id");
        }
    }
}

/// D5.2
#[test]
fn a_second_live_subscription_with_the_same_id_is_refused() {
    let broker = start();
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.subscribe("s", "/queue/a", "auto");
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        wire.subscribe("s", "/queue/b", "auto");
        let frame = "SUBSCRIBE\nid:s\ndestination:/queue/c\nreceipt:r\n\n^@";
        expect_refusal(&mut wire, frame, "id");
    }
    let mut wire = Wire::connect(broker.stomp(), Version::V10);
    wire.request("SUBSCRIBE", &[("destination", "/queue/a")], b"");
    expect_refusal(&mut wire, "SUBSCRIBE\ndestination:/queue/a\n\n^@", "id");
}

/// D5.3, D5.12
#[test]
fn in_1_0_a_subscription_without_id_is_known_by_its_destination() {
    let broker = start();
    let mut wire = Wire::connect(broker.stomp(), Version::V10);
    wire.request("SUBSCRIBE", &[("destination", "/queue/a")], b"");
    wire.request("SUBSCRIBE", &[("destination", "/queue/b")], b"");
    wire.send_receipted("/queue/a", &[], "a");
    let message = wire.expect_message();
    assert_eq!(message.header("subscription"), None, "{message}");
    assert_eq!(header(&message, "destination"), "/queue/a");
    wire.request("UNSUBSCRIBE", &[("destination", "/queue/a")], b"");
    wire.send_receipted("/queue/a", &[], "a");
    wire.send_receipted("/queue/b", &[], "b");
    assert_eq!(wire.expect_message().text(), "b");
    expect_quiet(&mut wire);
    let gone = "UNSUBSCRIBE\ndestination:/queue/a\n\n^@";
    expect_refusal(&mut wire, gone, "subscription");
}

/// D5.4
#[test]
fn auto_is_the_default_and_needs_no_acknowledgement() {
    let broker = start();
    for headers in [&[][..], &[("ack", "auto")]] {
        let mut wire = connect(&broker);
        let mut all = vec![("id", "s"), ("destination", "/queue/a")];
        all.extend_from_slice(headers);
        all.push(("activemq.prefetchSize", "1"));
        wire.request("SUBSCRIBE", &all, b"");
        for _ in 0..5 {
            wire.send_receipted("/queue/a", &[], "");
        }
        for _ in 0..5 {
            assert_eq!(wire.expect_message().header("ack"), None);
        }
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        wire.subscribe("again", "/queue/a", "client");
        expect_quiet(&mut wire);
        wire.disconnect();
    }
}

/// D5.5
#[test]
fn another_ack_mode_is_refused() {
    let broker = start();
    for mode in ["", "Auto", "AUTO", "client-cumulative", "session"] {
        let mut wire = connect(&broker);
        let frame = format!("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:{mode}\n\n^@");
        expect_refusal(&mut wire, &frame, "client-individual");
    }
}

/// How many messages a subscription with these headers is given unacknowledged, of more than enough.
fn window(wire: &mut Wire, subscribe: &[(&str, &str)], destination: &str) -> usize {
    let id = format!("{destination}{subscribe:?}");
    wire.subscribe_with(&id, destination, "client-individual", subscribe);
    wire.send_receipted("/topic/nobody", &[("persistent", "false")], "");
    let mut count = 0;
    while wire
        .try_first(std::time::Duration::ZERO, |frame| {
            frame.command == "MESSAGE"
        })
        .is_ok()
    {
        count += 1;
    }
    wire.request("UNSUBSCRIBE", &[("id", &id)], b"");
    count
}

/// D5.6, D5.7, D5.8, D5.9
#[test]
fn prefetch_headers_bound_what_is_unacknowledged() {
    let broker =
        start_with("[policy]\nprefetch_queue = 20\nprefetch_max = 50\nprefetch_topic = 40\n");
    let mut wire = connect(&broker);
    for _ in 0..60 {
        wire.send("SEND\ndestination:/queue/p\n\n0123456789^@");
    }
    wire.send_receipted("/queue/p", &[], "0123456789");
    let mut check = |headers: &[(&str, &str)], expected| {
        let given = window(&mut wire, headers, "/queue/p");
        assert_eq!(given, expected, "{headers:?}");
    };
    check(&[], 20);
    check(&[("activemq.prefetchSize", "7")], 7);
    check(&[("activemq.prefetchSize", "0")], 1);
    check(&[("activemq.prefetchSize", "1000")], 50);
    check(&[("prefetch-count", "7")], 7);
    check(&[("prefetch-count", "0")], 50);
    check(&[("prefetch-count", "1000")], 50);
    // In bytes: one more as long as the window is not full, and always at least one.
    check(&[("consumer-window-size", "30")], 3);
    check(&[("consumer-window-size", "31")], 4);
    check(&[("consumer-window-size", "1")], 1);
    check(&[("consumer-window-size", "0")], 1);
    check(&[("consumer-window-size", "-1")], 50);
    check(
        &[("consumer-window-size", "30"), ("prefetch-count", "2")],
        2,
    );
    let given = window(&mut wire, &[], "/queue/p?consumer.prefetchSize=3");
    assert_eq!(given, 3);
}

/// D5.6
#[test]
fn prefetch_headers_that_are_no_numbers_are_refused() {
    let broker = start();
    for (name, value) in [
        ("activemq.prefetchSize", "many"),
        ("activemq.prefetchSize", "-1"),
        ("prefetch-count", ""),
        ("prefetch-count", "-1"),
        ("consumer-window-size", "1k"),
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SUBSCRIBE\nid:s\ndestination:/queue/a\n{name}:{value}\n\n^@");
        expect_refusal(&mut wire, &frame, name);
    }
}

/// D5.6
#[test]
fn an_acknowledgement_makes_room_for_the_next_message() {
    let broker = start();
    let mut wire = connect(&broker);
    for number in 0..6 {
        wire.send_receipted("/queue/p", &[], &number.to_string());
    }
    let two = [("activemq.prefetchSize", "2")];
    wire.subscribe_with("s", "/queue/p", "client-individual", &two);
    let mut held = vec![wire.expect_message(), wire.expect_message()];
    for number in 2..6 {
        expect_quiet(&mut wire);
        // The later one first: credit does not depend on the order.
        let message = held.pop().expect("two are held");
        wire.ack(&message, &[]);
        held.push(wire.expect_message());
        assert_eq!(held[1].text(), number.to_string());
    }
}

/// D5.10
#[test]
fn the_default_prefetch_is_1000_for_queues_and_32766_for_topics() {
    let broker = start();
    let mut wire = connect(&broker);
    let fill = |wire: &mut Wire, destination: &str, count: usize| {
        let frame = format!("SEND\ndestination:{destination}\npersistent:false\n\n\0");
        wire.send_raw(&frame.repeat(count).into_bytes());
        wire.send_receipted(destination, &[("persistent", "false")], "");
    };
    fill(&mut wire, "/queue/p", 1_200);
    assert_eq!(window(&mut wire, &[], "/queue/p"), 1_000);
    let mut topic = connect(&broker);
    topic.subscribe("s", "/topic/p", "client");
    for _ in 0..34 {
        fill(&mut wire, "/topic/p", 1_000);
    }
    for _ in 0..32_765 {
        topic.expect_message();
    }
    let last = topic.expect_message();
    expect_quiet(&mut topic);
    topic.ack(&last, &[]);
    topic.expect_message();
}

/// D5.11, D6.20
#[test]
fn after_unsubscribe_what_was_not_acknowledged_returns_and_nothing_more_comes() {
    let broker = start();
    let mut wire = connect(&broker);
    for number in 0..5 {
        wire.send_receipted("/queue/u", &[], &number.to_string());
    }
    wire.subscribe("s", "/queue/u", "client-individual");
    let messages: Vec<_> = (0..5).map(|_| wire.expect_message()).collect();
    wire.ack(&messages[1], &[]);
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    wire.send_receipted("/queue/u", &[], "5");
    expect_quiet(&mut wire);
    let mut heir = connect(&broker);
    heir.subscribe("s", "/queue/u", "client");
    for number in [0, 2, 3, 4] {
        let message = heir.expect_message();
        assert_eq!(message.text(), number.to_string());
        expect_delivery(&message, 2);
    }
    expect_delivery(&heir.expect_message(), 1);
}

/// D5.12
#[test]
fn unsubscribe_of_what_is_not_subscribed_is_refused() {
    let broker = start();
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        let frame = "UNSUBSCRIBE\nid:never\nreceipt:r\n\n^@";
        let error = expect_refusal(&mut wire, frame, "subscription");
        assert_eq!(header(&error, "receipt-id"), "r");
    }
}

/// D5.11
#[test]
fn one_subscription_may_end_while_others_go_on() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("a", "/topic/u", "auto");
    wire.subscribe("b", "/topic/u", "auto");
    wire.request("UNSUBSCRIBE", &[("id", "a")], b"");
    wire.send_receipted("/topic/u", &[], "");
    assert_eq!(header(&wire.expect_message(), "subscription"), "b");
    expect_quiet(&mut wire);
    wire.subscribe("a", "/topic/u", "auto");
    wire.send_receipted("/topic/u", &[], "both");
    assert_eq!(bodies(&mut wire, 2), ["both", "both"]);
}
