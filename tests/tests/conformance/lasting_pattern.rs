//! Durable subscriptions to patterns and lists of topics (dialect, sections 3 and 5).

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Version, Wire};

use super::fixture::{
    VERSIONS, connect, consumer, drained, expect_quiet, expect_refusal, header, start, start_with,
    take,
};

const NAME: (&str, &str) = ("activemq.subscriptionName", "n");

fn connect_as(broker: &Broker, version: Version) -> Wire {
    Wire::connect_with(broker.stomp(), version, &[("client-id", "c")])
}

fn subscribe(wire: &mut Wire, to: &str) {
    wire.subscribe_with("s", to, "client-individual", &[NAME]);
}

fn send(broker: &Broker, to: &str, text: &str) {
    connect(broker).send_receipted(to, &[], text);
}

/// The next message, acknowledged: its body and its destination.
fn next(wire: &mut Wire) -> (String, String) {
    let message = wire.expect_message();
    wire.ack(&message, &[]);
    (message.text(), header(&message, "destination").to_owned())
}

fn pair(text: &str, to: &str) -> (String, String) {
    (text.to_owned(), to.to_owned())
}

/// D5.30, D2.5
#[test]
fn a_durable_subscription_to_a_pattern_gets_what_any_matching_topic_got_while_it_was_away() {
    for version in VERSIONS {
        let mut broker = start();
        let mut wire = connect_as(&broker, version);
        subscribe(&mut wire, "/topic/prices.>");
        send(&broker, "/topic/prices.eu", "seen");
        assert_eq!(next(&mut wire), pair("seen", "/topic/prices.eu"));
        wire.disconnect();
        send(&broker, "/topic/prices.eu", "1");
        send(&broker, "/topic/weather", "another topic's");
        send(&broker, "/topic/prices", "2");
        broker.kill();
        broker.start_again();
        send(&broker, "/topic/prices.us.later", "3");
        let mut wire = connect_as(&broker, version);
        subscribe(&mut wire, "/topic/prices.>");
        assert_eq!(next(&mut wire), pair("1", "/topic/prices.eu"));
        wire.disconnect();
        assert!(broker.terminate().success());
        broker.start_again();
        let mut wire = connect_as(&broker, version);
        subscribe(&mut wire, "/topic/prices.#");
        assert_eq!(next(&mut wire), pair("2", "/topic/prices"));
        assert_eq!(next(&mut wire), pair("3", "/topic/prices.us.later"));
        send(&broker, "/topic/prices.now", "4");
        assert_eq!(next(&mut wire), pair("4", "/topic/prices.now"));
        expect_quiet(&mut wire);
    }
}

/// D5.30
#[test]
fn a_durable_subscription_to_a_list_takes_from_each_in_one_order() {
    let broker = start();
    let mut wire = connect_as(&broker, Version::V12);
    subscribe(&mut wire, "/topic/a,/topic/b.*");
    wire.disconnect();
    for (to, text) in [
        ("/topic/b.x", "1"),
        ("/topic/a", "2"),
        ("/topic/a,/topic/b.y", "3"),
    ] {
        send(&broker, to, text);
    }
    let mut wire = connect_as(&broker, Version::V12);
    subscribe(&mut wire, "/topic/b.*,/topic/a");
    let found: Vec<_> = (0..4).map(|_| next(&mut wire)).collect();
    let expected = [
        pair("1", "/topic/b.x"),
        pair("2", "/topic/a"),
        pair("3", "/topic/a"),
        pair("3", "/topic/b.y"),
    ];
    assert_eq!(found, expected);
    expect_quiet(&mut wire);
}

/// D5.30, D2.5
#[test]
fn a_durable_subscription_to_a_pattern_is_deleted_by_its_name_and_changed_by_another_pattern() {
    let broker = start();
    let mut wire = connect_as(&broker, Version::V12);
    subscribe(&mut wire, "/topic/a.>");
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    send(&broker, "/topic/a.x", "forgotten with the other pattern");
    subscribe(&mut wire, "/topic/a.*");
    expect_quiet(&mut wire);
    send(&broker, "/topic/a.x", "1");
    assert_eq!(next(&mut wire), pair("1", "/topic/a.x"));
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    send(&broker, "/topic/a.x", "deleted");
    wire.request("UNSUBSCRIBE", &[NAME], b"");
    subscribe(&mut wire, "/topic/a.*");
    expect_quiet(&mut wire);
    // In RabbitMQ's form the pattern is part of the name.
    let mut other = connect(&broker);
    let destination = ("destination", "/topic/a.>");
    other.subscribe_with(
        "r",
        destination.1,
        "client-individual",
        &[("durable", "true")],
    );
    other.request("UNSUBSCRIBE", &[("id", "r")], b"");
    send(&broker, "/topic/a.y", "deleted");
    let headers = [("id", "r"), ("durable", "true"), destination];
    other.request("UNSUBSCRIBE", &headers, b"");
    other.subscribe_with(
        "r",
        destination.1,
        "client-individual",
        &[("durable", "true")],
    );
    expect_quiet(&mut other);
}

/// D5.30
#[test]
fn consumers_of_a_shared_durable_subscription_to_a_pattern_compete() {
    let broker = start();
    let headers = [("durable-subscription-name", "n"), ("x-shared", "true")];
    let mut first = consumer(&broker, "/topic/a.>", &headers);
    let mut second = consumer(&broker, "/topic/a.>", &headers);
    for (to, text) in [
        ("/topic/a.x", "1"),
        ("/topic/a.y", "2"),
        ("/topic/a.x", "3"),
    ] {
        send(&broker, to, text);
    }
    send(&broker, "/topic/a.z", "4");
    let mut shares = [take(&mut first, 2), take(&mut second, 2)].concat();
    shares.sort();
    assert_eq!(shares, ["1", "2", "3", "4"]);
    assert_eq!(drained(&mut first).len() + drained(&mut second).len(), 0);
    let frame = "SUBSCRIBE\nid:x\ndestination:/topic/a.>\nx-shared-name:n\n\n^@";
    expect_refusal(&mut connect(&broker), frame, "not durable is of one topic");
}

/// D1.57
#[test]
fn different_patterns_of_durable_subscriptions_are_limited() {
    let broker = start_with("[limits]\ndurable_patterns = 1\n");
    let mut wire = connect_as(&broker, Version::V12);
    subscribe(&mut wire, "/topic/a.>");
    let frame = |to: &str| {
        format!(
            "SUBSCRIBE\nid:x\ndestination:{to}\ndurable-subscription-name:m\nx-shared:true\n\n^@"
        )
    };
    let mut same = connect(&broker);
    let headers = [("durable-subscription-name", "o"), ("x-shared", "true")];
    same.subscribe_with("s", "/topic/a.>", "auto", &headers);
    let to = frame("/topic/b.>");
    expect_refusal(&mut connect(&broker), &to, "limits.durable_patterns");
    wire.request("UNSUBSCRIBE", &[("id", "s"), NAME], b"");
    same.request("UNSUBSCRIBE", &[("id", "s"), headers[0], headers[1]], b"");
    let mut wire = connect(&broker);
    wire.subscribe_with("s", "/topic/b.>", "auto", &headers);
}
