//! Message groups on the wire: `JMSXGroupID`, `JMSXGroupSeq` (dialect, section 4).

use std::collections::BTreeMap;

use stompbox_tests::wire::Wire;

use super::fixture::{
    VERSIONS, connect, consumer, drained, eventually, expect_quiet, expect_refusal, header, send,
    start, start_with, take,
};

const ONE: [(&str, &str); 1] = [("activemq.prefetchSize", "1")];

fn group(id: &str) -> [(&str, &str); 1] {
    [("JMSXGroupID", id)]
}

/// D4.22
#[test]
fn each_group_goes_to_one_consumer_in_order_and_groups_spread() {
    let broker = start();
    let mut consumers: Vec<Wire> = (0..3).map(|_| consumer(&broker, "/queue/q", &[])).collect();
    let mut producer = connect(&broker);
    let groups = ["a", "b", "c", "d", "e", "f"];
    for round in 0..4 {
        for id in groups {
            send(
                &mut producer,
                "/queue/q",
                &group(id),
                &format!("{id}{round}"),
            );
        }
    }
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (number, wire) in consumers.iter_mut().enumerate() {
        let all = drained(wire);
        assert_eq!(all.len(), 8, "two groups of four each: {all:?}");
        for text in all {
            let id = text[..1].to_owned();
            assert_eq!(
                *owners.entry(id.clone()).or_insert(number),
                number,
                "{text}"
            );
            heard.entry(id).or_default().push(text);
        }
    }
    for id in groups {
        let expected: Vec<_> = (0..4).map(|round| format!("{id}{round}")).collect();
        assert_eq!(heard[id], expected);
    }
}

/// D4.22
#[test]
fn a_groups_owner_is_one_of_its_queue_and_an_empty_id_is_no_group() {
    let broker = start();
    let mut both = consumer(&broker, "/queue/a", &ONE);
    let mut other = consumer(&broker, "/queue/b", &[]);
    let mut producer = connect(&broker);
    for to in ["/queue/a", "/queue/b", "/queue/a,/queue/b"] {
        send(&mut producer, to, &group("g"), to);
    }
    assert_eq!(drained(&mut other), ["/queue/b", "/queue/a,/queue/b"]);
    assert_eq!(take(&mut both, 2), ["/queue/a", "/queue/a,/queue/b"]);
    let mut one = consumer(&broker, "/queue/c", &ONE);
    let mut two = consumer(&broker, "/queue/c", &ONE);
    for text in ["1", "2"] {
        send(&mut producer, "/queue/c", &group(""), text);
    }
    assert_eq!(drained(&mut one), ["1"]);
    assert_eq!(drained(&mut two), ["2"]);
}

/// How an owner leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    Unsubscribe,
    Disconnect,
    Break,
}

/// D4.23
#[test]
fn when_its_owner_leaves_a_group_goes_on_with_another_in_order() {
    for leaving in [Leaving::Unsubscribe, Leaving::Disconnect, Leaving::Break] {
        let broker = start();
        let mut owner = consumer(&broker, "/queue/q", &[("activemq.prefetchSize", "2")]);
        let mut other = consumer(&broker, "/queue/q", &[]);
        let mut producer = connect(&broker);
        for text in ["1", "2", "3", "4"] {
            send(&mut producer, "/queue/q", &group("g"), text);
        }
        assert_eq!(take(&mut owner, 1), ["1"]);
        expect_quiet(&mut other);
        match leaving {
            Leaving::Unsubscribe => {
                owner.request("UNSUBSCRIBE", &[("id", "s")], b"");
            }
            Leaving::Disconnect => owner.disconnect(),
            Leaving::Break => drop(owner),
        }
        assert_eq!(take(&mut other, 3), ["2", "3", "4"], "{leaving:?}");
        send(&mut producer, "/queue/q", &group("g"), "5");
        assert_eq!(take(&mut other, 1), ["5"]);
    }
}

/// D4.24
#[test]
fn a_negative_sequence_closes_a_group_and_no_other_does() {
    for (seq, closes) in [("-1", true), ("-7", true), ("0", false), ("1", false)] {
        let broker = start();
        let mut owner = consumer(&broker, "/queue/q", &ONE);
        let mut producer = connect(&broker);
        let last = [("JMSXGroupID", "g"), ("JMSXGroupSeq", seq)];
        send(&mut producer, "/queue/q", &last, "last");
        let message = owner.expect_message();
        let mut other = consumer(&broker, "/queue/q", &ONE);
        send(&mut producer, "/queue/q", &group("g"), "next");
        let (to_owner, to_other) = (drained(&mut owner), drained(&mut other));
        assert!(to_owner.is_empty(), "{seq:?}: it holds one");
        let expected: &[&str] = if closes { &["next"] } else { &[] };
        assert_eq!(to_other, expected, "{seq:?}");
        owner.ack(&message, &[]);
        if !closes {
            assert_eq!(take(&mut owner, 1), ["next"], "{seq:?}");
        }
    }
    for seq in ["x", "", "1.5"] {
        let broker = start();
        let mut wire = connect(&broker);
        let frame = format!(
            "SEND\nreceipt:r\ndestination:/queue/q\nJMSXGroupID:g\nJMSXGroupSeq:{seq}\n\n^@"
        );
        expect_refusal(&mut wire, &frame, "JMSXGroupSeq");
    }
}

/// D4.25
#[test]
fn both_headers_come_back_as_sent_in_every_version_and_after_a_restart() {
    let mut broker = start();
    let mut producer = connect(&broker);
    let headers = [("JMSXGroupID", "größe: 1"), ("JMSXGroupSeq", "007")];
    let frame = producer.encode(
        "SEND",
        &[
            &[("destination", "/queue/q"), ("receipt", "r")][..],
            &headers,
        ]
        .concat(),
        b"x",
    );
    producer.send_raw(&frame);
    producer.expect_receipt("r");
    broker.kill();
    broker.start_again();
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.subscribe("s", "/queue/q", "client");
        let message = wire.expect_message();
        for (name, value) in headers {
            assert_eq!(header(&message, name), value, "{version:?}");
        }
    }
    let mut producer = connect(&broker);
    let mut owner = consumer(&broker, "/queue/q", &ONE);
    let mut other = consumer(&broker, "/queue/q", &ONE);
    let message = owner.expect_message();
    producer.send_raw(&frame);
    producer.expect_receipt("r");
    expect_quiet(&mut other);
    owner.ack(&message, &[]);
    assert_eq!(take(&mut owner, 1), ["x"]);
}

/// D4.26
#[test]
fn a_new_consumer_gets_new_groups_only_unless_the_policy_rebalances() {
    for (policy, shares) in [("", false), ("[policy]\ngroup_rebalance = true\n", true)] {
        let broker = start_with(policy);
        let mut first = consumer(&broker, "/queue/q", &[]);
        let mut producer = connect(&broker);
        let ids: Vec<String> = (0..8).map(|number| format!("g{number}")).collect();
        for id in &ids {
            send(&mut producer, "/queue/q", &group(id), id);
        }
        assert_eq!(take(&mut first, 8), ids);
        let mut second = consumer(&broker, "/queue/q", &[]);
        for id in &ids {
            send(&mut producer, "/queue/q", &group(id), id);
        }
        let (to_first, to_second) = (drained(&mut first), drained(&mut second));
        assert_eq!(to_first.len() + to_second.len(), 8);
        assert_eq!(!to_second.is_empty(), shares, "{policy:?}: {to_second:?}");
        send(&mut producer, "/queue/q", &group("new 1"), "new 1");
        send(&mut producer, "/queue/q", &group("new 2"), "new 2");
        let new = [drained(&mut first), drained(&mut second)].map(|texts| texts.len());
        assert_eq!(new, [1, 1], "{policy:?}: new groups take turns");
    }
}

/// D4.27
#[test]
fn a_redelivery_that_waits_holds_back_its_group_and_nothing_else() {
    let broker = start();
    let mut wire = consumer(&broker, "/queue/q", &[]);
    let mut producer = connect(&broker);
    send(&mut producer, "/queue/q", &group("g"), "g1");
    let message = wire.expect_message();
    wire.nack(&message, &[("x-delay", "400")]);
    send(&mut producer, "/queue/q", &group("g"), "g2");
    send(&mut producer, "/queue/q", &group("h"), "h1");
    send(&mut producer, "/queue/q", &[], "alone");
    assert_eq!(take(&mut wire, 2), ["h1", "alone"]);
    assert_eq!(take(&mut wire, 2), ["g1", "g2"]);
}

/// D4.28
#[test]
fn what_an_aborted_transaction_took_of_a_group_returns_to_its_owner_in_order() {
    let broker = start();
    let mut owner = consumer(&broker, "/queue/q", &[]);
    let mut other = consumer(&broker, "/queue/q", &[]);
    let mut producer = connect(&broker);
    for text in ["1", "2"] {
        send(&mut producer, "/queue/q", &group("g"), text);
    }
    owner.send("BEGIN\ntransaction:t\n\n^@");
    for _ in 0..2 {
        let message = owner.expect_message();
        let id = header(&message, "ack").to_owned();
        owner.send(&format!(
            "ACK\nid:{}\ntransaction:t\n\n^@",
            id.replace(':', "\\c")
        ));
    }
    owner.request("ABORT", &[("transaction", "t")], b"");
    let again = eventually("both come again", || {
        let texts = drained(&mut owner);
        (!texts.is_empty()).then_some(texts)
    });
    assert_eq!(again, ["1", "2"]);
    expect_quiet(&mut other);
}

/// D4.29
#[test]
fn a_group_whose_owner_has_no_credit_waits_and_others_pass() {
    let broker = start();
    let mut busy = consumer(&broker, "/queue/q", &ONE);
    let mut producer = connect(&broker);
    send(&mut producer, "/queue/q", &group("g"), "g1");
    let held = busy.expect_message();
    let mut free = consumer(&broker, "/queue/q", &[]);
    for text in ["g2", "g3"] {
        send(&mut producer, "/queue/q", &group("g"), text);
    }
    for text in ["h1", "alone", "i1"] {
        send(&mut producer, "/queue/q", &group(&text[..1]), text);
    }
    assert_eq!(take(&mut free, 3), ["h1", "alone", "i1"]);
    busy.ack(&held, &[]);
    assert_eq!(take(&mut busy, 2), ["g2", "g3"]);
    expect_quiet(&mut free);
}
