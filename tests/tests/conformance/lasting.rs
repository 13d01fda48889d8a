//! Durable and shared subscriptions (dialect, section 5).

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Version, Wire};

use super::fixture::{
    VERSIONS, ask, connect, expect_delivery, expect_quiet, expect_refusal, header, start,
    start_watched, start_with,
};

const TOPIC: &str = "/topic/t";

fn connect_as(broker: &Broker, client_id: &str) -> Wire {
    Wire::connect_with(broker.stomp(), Version::V12, &[("client-id", client_id)])
}

fn subscribe(wire: &mut Wire, id: &str, headers: &[(&str, &str)]) {
    wire.subscribe_with(id, TOPIC, "client-individual", headers);
}

fn send(broker: &Broker, texts: &[&str]) {
    let mut wire = connect(broker);
    for text in texts {
        wire.send_receipted(TOPIC, &[], text);
    }
}

/// The next messages' bodies, each acknowledged.
fn take(wire: &mut Wire, count: usize) -> Vec<String> {
    let mut next = || {
        let message = wire.expect_message();
        wire.ack(&message, &[]);
        message.text()
    };
    (0..count).map(|_| next()).collect()
}

/// D5.13, D2.5
#[test]
fn a_durable_subscription_gets_what_came_while_it_was_away() {
    for (name, version) in [
        ("activemq.subscriptionName", Version::V12),
        ("durable-subscription-name", Version::V11),
        ("durable-subscriber-name", Version::V10),
    ] {
        let mut broker = start();
        let connect_again =
            |broker: &Broker| Wire::connect_with(broker.stomp(), version, &[("client-id", "c")]);
        let mut wire = connect_again(&broker);
        subscribe(&mut wire, "s", &[(name, "n")]);
        send(&broker, &["seen"]);
        assert_eq!(take(&mut wire, 1), ["seen"]);
        wire.disconnect();
        send(&broker, &["missed 1", "missed 2"]);
        let mut wire = connect_again(&broker);
        subscribe(&mut wire, "s", &[(name, "n")]);
        let message = wire.expect_message();
        assert_eq!(message.text(), "missed 1");
        assert_eq!(header(&message, "destination"), TOPIC);
        expect_delivery(&message, 1);
        wire.ack(&message, &[]);
        wire.expect_message();
        drop(wire);
        broker.kill();
        broker.start_again();
        send(&broker, &["after"]);
        let mut wire = connect_again(&broker);
        subscribe(&mut wire, "s", &[(name, "n")]);
        let message = wire.expect_message();
        assert_eq!(message.text(), "missed 2");
        assert_eq!(header(&message, "redelivered"), "true");
        wire.ack(&message, &[]);
        assert_eq!(take(&mut wire, 1), ["after"]);
        assert!(broker.terminate().success());
        broker.start_again();
        let mut wire = connect_again(&broker);
        subscribe(&mut wire, "s", &[(name, "n")]);
        expect_quiet(&mut wire);
    }
}

/// D5.13
#[test]
fn a_durable_subscription_needs_a_name_of_its_own() {
    let broker = start();
    let refused = |wire: &mut Wire, headers: &str, about: &str| {
        let frame = format!("SUBSCRIBE\nid:x\nreceipt:r\ndestination:{TOPIC}\n{headers}\n\n^@");
        let error = expect_refusal(wire, &frame, about);
        assert_eq!(header(&error, "receipt-id"), "r");
    };
    let name = "activemq.subscriptionName:n";
    refused(&mut connect(&broker), name, "client-id");
    refused(&mut connect(&broker), "x-shared:true", "x-shared");
    let both = "durable-subscription-name:n\nx-shared-name:n";
    refused(&mut connect(&broker), both, "x-shared-name");
    refused(&mut connect(&broker), "x-shared-name:", "subscription");
    let own = "x-shared-name:n\nno-local:true";
    refused(&mut connect(&broker), own, "own messages");
    let mut wire = connect_as(&broker, "c");
    subscribe(&mut wire, "s", &[("activemq.subscriptionName", "n")]);
    refused(&mut wire, name, "in use");
    for (number, destination) in [
        "/queue/q",
        "/queue/a.>",
        "/topic/a,/queue/b",
        "/temp-topic/t",
    ]
    .iter()
    .enumerate()
    {
        let mut wire = connect_as(&broker, &format!("other{number}"));
        let frame = format!("SUBSCRIBE\nid:x\ndestination:{destination}\n{name}\n\n^@");
        expect_refusal(&mut wire, &frame, "of topics");
    }
}

/// D5.13
#[test]
fn consumers_of_a_shared_subscription_compete() {
    for headers in [
        &[("durable-subscription-name", "n"), ("x-shared", "true")][..],
        &[("x-shared-name", "n")],
        &[("durable", "true"), ("auto-delete", "false")],
    ] {
        let broker = start();
        let mut first = connect(&broker);
        let mut second = connect(&broker);
        let mut alone = connect(&broker);
        for wire in [&mut first, &mut second] {
            subscribe(wire, "s", headers);
        }
        subscribe(&mut alone, "s", &[]);
        send(&broker, &["a", "b", "c", "d"]);
        let mut shares = [take(&mut first, 2), take(&mut second, 2)].concat();
        shares.sort();
        assert_eq!(shares, ["a", "b", "c", "d"], "{headers:?}");
        expect_quiet(&mut first);
        assert_eq!(take(&mut alone, 4), ["a", "b", "c", "d"]);
    }
}

/// D5.13
#[test]
fn only_a_durable_one_outlives_its_consumers() {
    for (headers, is_durable) in [
        (
            &[("durable-subscription-name", "n"), ("x-shared", "true")][..],
            true,
        ),
        (&[("persistent", "true")], true),
        (&[("x-shared-name", "n")], false),
    ] {
        let broker = start();
        let mut wire = connect(&broker);
        subscribe(&mut wire, "s", headers);
        wire.disconnect();
        send(&broker, &["a"]);
        let mut wire = connect(&broker);
        subscribe(&mut wire, "s", headers);
        send(&broker, &["b"]);
        let expected: &[&str] = if is_durable { &["a", "b"] } else { &["b"] };
        assert_eq!(take(&mut wire, expected.len()), expected, "{headers:?}");
    }
}

/// D5.13, D2.5
#[test]
fn unsubscribe_with_its_name_deletes_a_durable_subscription() {
    for version in VERSIONS {
        let broker = start();
        let name = ("activemq.subscriptionName", "n");
        let headers = [("client-id", "c")];
        let mut wire = Wire::connect_with(broker.stomp(), version, &headers);
        let destination = ("destination", TOPIC);
        subscribe(&mut wire, "s", &[name]);
        wire.request("UNSUBSCRIBE", &[("id", "s"), destination], b"");
        send(&broker, &["kept"]);
        subscribe(&mut wire, "s", &[name]);
        assert_eq!(take(&mut wire, 1), ["kept"]);
        wire.request("UNSUBSCRIBE", &[("id", "s"), name], b"");
        send(&broker, &["lost"]);
        subscribe(&mut wire, "s", &[name]);
        expect_quiet(&mut wire);
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        send(&broker, &["lost"]);
        // Nobody uses it: its name is enough.
        wire.request("UNSUBSCRIBE", &[name], b"");
        subscribe(&mut wire, "s", &[name]);
        expect_quiet(&mut wire);
        wire.request("UNSUBSCRIBE", &[("id", "s"), name], b"");
        let frame = format!("UNSUBSCRIBE\nid:s\nreceipt:r\n{}:{}\n\n^@", name.0, name.1);
        expect_refusal(&mut wire, &frame, "no such durable subscription");
    }
}

/// D5.13
#[test]
fn another_selector_makes_another_subscription_while_nobody_uses_it() {
    let broker = start();
    let name = ("activemq.subscriptionName", "n");
    let mut wire = connect_as(&broker, "c");
    let mut sender = connect(&broker);
    let red = ("selector", "colour = 'red'");
    subscribe(&mut wire, "s", &[name, red]);
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    for colour in ["red", "blue"] {
        sender.send_receipted(TOPIC, &[("colour", colour)], colour);
    }
    subscribe(&mut wire, "s", &[name, red]);
    let message = wire.expect_message();
    assert_eq!(message.text(), "red");
    expect_quiet(&mut wire);
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    let blue = ("selector", "colour = 'blue'");
    subscribe(&mut wire, "s", &[name, blue]);
    expect_quiet(&mut wire);
    for colour in ["red", "blue"] {
        sender.send_receipted(TOPIC, &[("colour", colour)], colour);
    }
    assert_eq!(take(&mut wire, 1), ["blue"]);
}

/// D5.13
#[test]
fn a_durable_subscription_need_not_hear_its_own_connection() {
    let broker = start();
    let mut wire = connect_as(&broker, "c");
    let headers = [("activemq.subscriptionName", "n"), ("no-local", "true")];
    subscribe(&mut wire, "s", &headers);
    wire.send_receipted(TOPIC, &[], "own");
    send(&broker, &["other"]);
    assert_eq!(take(&mut wire, 1), ["other"]);
}

/// D3.15, D5.13
#[test]
fn a_retroactive_subscription_begins_with_the_last_messages() {
    let broker = start_with("[policy]\nretained_messages = 2\n");
    send(&broker, &["a", "b", "c"]);
    for (to, headers) in [
        (TOPIC, &[("activemq.retroactive", "true")][..]),
        ("/topic/t?consumer.retroactive=true", &[]),
    ] {
        let mut wire = connect(&broker);
        wire.subscribe_with("s", to, "auto", headers);
        assert_eq!(wire.expect_message().text(), "b");
        assert_eq!(wire.expect_message().text(), "c");
        expect_quiet(&mut wire);
    }
    let mut wire = connect(&broker);
    let frame = format!(
        "SUBSCRIBE\nid:s\ndestination:{TOPIC}\nx-shared-name:n\nactivemq.retroactive:true\n\n^@"
    );
    expect_refusal(&mut wire, &frame, "retroactive");
}

/// D3.15, D5.13
#[test]
fn a_subscription_may_want_little_kept_for_it() {
    for (to, headers) in [
        (TOPIC, &[("activemq.maximumPendingMessageLimit", "1")][..]),
        ("/topic/t?consumer.maximumPendingMessageLimit=1", &[]),
    ] {
        let broker = start();
        let mut wire = connect(&broker);
        let prefetch = ("activemq.prefetchSize", "1");
        let headers = [&[prefetch], headers].concat();
        wire.subscribe_with("s", to, "client-individual", &headers);
        send(&broker, &["a", "b", "c"]);
        assert_eq!(take(&mut wire, 2), ["a", "c"]);
        expect_quiet(&mut wire);
    }
}

/// D5.13
#[test]
fn the_console_shows_durable_and_shared_subscriptions() {
    let mut broker = start_watched("");
    let mut wire = connect_as(&broker, "c");
    let headers = [("activemq.subscriptionName", "n"), ("selector", "a = 1")];
    subscribe(&mut wire, "s", &headers);
    let mut other = connect(&broker);
    subscribe(&mut other, "s", &[("x-shared-name", "n")]);
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    send(&broker, &["x", "y"]);
    let list = ask(&broker, "subscriptions");
    let items = list["items"].as_array().expect("a list");
    let seen: Vec<_> = items
        .iter()
        .map(|item| {
            let pending = item["pending"].as_u64();
            (
                item["identity"].as_str(),
                item["durable"].as_bool(),
                pending,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some("client-id=c&name=n"), Some(true), Some(2)),
            (Some("volatile&name=n"), Some(false), Some(2)),
        ]
    );
    assert_eq!(items[0]["selector"], "a = 1");
    broker.kill();
    broker.start_again();
    let list = ask(&broker, "subscriptions?name=CLIENT-ID");
    assert_eq!(
        (&list["total"], &list["items"][0]["pending"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        ask(&broker, "queues")["total"],
        0,
        "it is no queue of that name"
    );
    let topics = ask(&broker, "topics");
    assert_eq!(topics["items"][0]["durable"], 1);
}
