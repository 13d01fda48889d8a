//! Temporary destinations and request and reply over them (dialect, section 3).

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Version, Wire};

use super::fixture::{
    VERSIONS, connect, consumer, drained, eventually, expect_quiet, expect_refusal, header,
    overview, queue, send, start, start_watched,
};

/// A connection that listens to a temporary destination, and the name under which others find it.
fn owner(broker: &Broker, version: Version, own: &str) -> (Wire, String) {
    let mut wire = Wire::connect(broker.stomp(), version);
    wire.subscribe("answers", own, "auto");
    let mut asked = consumer(broker, "/queue/introductions", &[]);
    send(&mut wire, "/queue/introductions", &[("reply-to", own)], "");
    let message = asked.expect_message();
    asked.ack(&message, &[]);
    let name = header(&message, "reply-to").to_owned();
    asked.disconnect();
    (wire, name)
}

/// D3.27
#[test]
fn a_name_is_its_connections_own_and_rewritten_for_others() {
    let broker = start();
    for (kind, own) in [("queue", "/temp-queue/x"), ("topic", "/temp-topic/x")] {
        let mut owners: Vec<_> = VERSIONS
            .iter()
            .map(|version| owner(&broker, *version, own))
            .collect();
        let mut producer = connect(&broker);
        for (number, (_, name)) in owners.iter().enumerate() {
            assert!(name.starts_with(&format!("/remote-temp-{kind}/")), "{name}");
            assert!(name.len() > 50, "an id that could be guessed: {name}");
            send(&mut producer, name, &[], &number.to_string());
        }
        for (number, (wire, _)) in owners.iter_mut().enumerate() {
            let message = wire.expect_message();
            assert_eq!(message.text(), number.to_string());
            assert_eq!(
                header(&message, "destination"),
                own,
                "as its owner calls it"
            );
            expect_quiet(wire);
        }
        // By its own name its owner sends to it, too.
        let (wire, _) = &mut owners[0];
        send(wire, own, &[], "mine");
        assert_eq!(wire.expect_message().text(), "mine");
    }
}

/// D3.27
#[test]
fn only_its_owner_may_subscribe_and_anybody_may_send() {
    let broker = start();
    for own in ["/temp-queue/x", "/temp-topic/x"] {
        let (mut wire, name) = owner(&broker, Version::V12, own);
        for destination in [name.clone(), format!("/queue/a,{name}")] {
            let mut thief = connect(&broker);
            let frame = format!("SUBSCRIBE\nid:s\nreceipt:r\ndestination:{destination}\n\n^@");
            expect_refusal(&mut thief, &frame, "temporary destination");
        }
        let mut other = connect(&broker);
        send(&mut other, &format!("/queue/a,{name}"), &[], "in a list");
        other.send("BEGIN\ntransaction:t\n\n^@");
        let headers = [("destination", name.as_str()), ("transaction", "t")];
        other.request("SEND", &headers, b"in a transaction");
        other.request("COMMIT", &[("transaction", "t")], b"");
        assert_eq!(drained(&mut wire), ["in a list", "in a transaction"]);
        // The same name of another connection is another destination.
        let mut namesake = connect(&broker);
        namesake.subscribe("s", own, "auto");
        send(&mut other, &name, &[], "not for the namesake");
        expect_quiet(&mut namesake);
        assert_eq!(drained(&mut wire), ["not for the namesake"]);
    }
}

/// D3.27, D2.19
#[test]
fn it_goes_with_its_connection_and_what_is_sent_then_is_dropped_and_said_so() {
    let broker = start_watched("");
    let mut sender = connect(&broker);
    for own in ["/temp-queue/x", "/temp-topic/x"] {
        for is_lost in [false, true] {
            let (wire, name) = owner(&broker, Version::V12, own);
            let receipt = sender.request("SEND", &[("destination", &name)], b"held");
            assert_eq!(receipt.header("x-routed"), None, "it is there");
            if is_lost {
                drop(wire);
            } else {
                wire.disconnect();
            }
            eventually("it has gone", || {
                let receipt = sender.request("SEND", &[("destination", &name)], b"too late");
                receipt
                    .header("x-routed")
                    .map(|routed| assert_eq!(routed, "0"))
            });
            let mut heir = connect(&broker);
            let frame = format!("SUBSCRIBE\nid:s\nreceipt:r\ndestination:{name}\n\n^@");
            expect_refusal(&mut heir, &frame, "has gone");
        }
    }
    assert!(overview(&broker, "dropped_total") >= 4);
}

/// D3.27
#[test]
fn it_lives_in_memory_only() {
    let mut broker = start_watched("");
    let mut wire = connect(&broker);
    wire.subscribe_with("answers", "/temp-queue/x", "client", &[]);
    send(
        &mut wire,
        "/temp-queue/x",
        &[("persistent", "true")],
        "kept nowhere",
    );
    assert_eq!(header(&wire.expect_message(), "persistent"), "false");
    broker.kill();
    broker.start_again();
    assert_eq!(overview(&broker, "queues"), 0);
    assert!(queue(&broker, "x").is_none());
}

/// D3.28
#[test]
fn many_requesters_each_get_their_own_replies() {
    let broker = start();
    for own in ["/temp-queue/answers", "/temp-topic/answers"] {
        let mut server = consumer(&broker, "/queue/questions", &[]);
        let mut requesters: Vec<Wire> = (0..6)
            .map(|number| {
                let mut wire = Wire::connect(broker.stomp(), VERSIONS[number % 3]);
                wire.subscribe("answers", own, "auto");
                wire
            })
            .collect();
        for round in 0..3 {
            for (number, wire) in requesters.iter_mut().enumerate() {
                let id = format!("{number}/{round}");
                let headers = [("reply-to", own), ("correlation-id", id.as_str())];
                send(wire, "/queue/questions", &headers, "how much?");
            }
        }
        for _ in 0..18 {
            let question = server.expect_message();
            let id = header(&question, "correlation-id").to_owned();
            let to = header(&question, "reply-to").to_owned();
            send(
                &mut server,
                &to,
                &[("correlation-id", &id)],
                &format!("answer {id}"),
            );
            server.ack(&question, &[]);
        }
        for (number, wire) in requesters.iter_mut().enumerate() {
            for round in 0..3 {
                let answer = wire.expect_message();
                let id = format!("{number}/{round}");
                assert_eq!(answer.text(), format!("answer {id}"));
                assert_eq!(header(&answer, "correlation-id"), id);
            }
            expect_quiet(wire);
        }
    }
}

/// D3.28
#[test]
fn a_reply_to_that_is_not_temporary_is_kept_as_it_is() {
    let broker = start();
    let mut wire = consumer(&broker, "/queue/q", &[]);
    for reply_to in [
        "/queue/answers",
        "/topic/answers",
        "answers",
        "/remote-temp-queue/somebody",
        "http://example.org/a,b",
    ] {
        send(&mut wire, "/queue/q", &[("reply-to", reply_to)], "");
        let message = wire.expect_message();
        assert_eq!(header(&message, "reply-to"), reply_to);
    }
    for reply_to in ["/temp-queue/", "/temp-queue/a,b", "/temp-topic/a.>"] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\ndestination:/queue/q\nreceipt:r\nreply-to:{reply_to}\n\n^@");
        expect_refusal(&mut wire, &frame, "destination is invalid");
    }
}
