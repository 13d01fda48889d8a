//! ACK and NACK: which delivery is meant, and what is too late (dialect, section 6).

use stompbox_tests::wire::{Frame, Version, Wire};

use super::fixture::{
    VERSIONS, await_depth, bodies, connect, expect_delivery, expect_quiet, expect_refusal, header,
    overview, start, start_watched,
};

/// A queue with so many messages, all with one subscription.
fn hold(wire: &mut Wire, destination: &str, ack: &str, count: usize) -> Vec<Frame> {
    for number in 0..count {
        wire.send_receipted(destination, &[], &number.to_string());
    }
    wire.subscribe("s", destination, ack);
    (0..count).map(|_| wire.expect_message()).collect()
}

/// What is left of a queue once its consumer has gone.
fn left(mut wire: Wire, destination: &str, count: usize) -> Vec<String> {
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    wire.subscribe("left", destination, "client");
    let left = bodies(&mut wire, count);
    expect_quiet(&mut wire);
    wire.disconnect();
    left
}

/// D6.1, D6.2, D6.3
#[test]
fn each_version_names_a_delivery_in_its_own_way() {
    let broker = start();
    for version in VERSIONS {
        let destination = format!("/queue/{}", version.text());
        let mut wire = Wire::connect(broker.stomp(), version);
        let messages = hold(&mut wire, &destination, "client-individual", 3);
        wire.ack(&messages[1], &[]);
        assert_eq!(left(wire, &destination, 2), ["0", "2"], "{version:?}");
    }
}

/// D6.1, D6.2
#[test]
fn headers_that_a_version_needs_must_be_there() {
    let broker = start();
    let check = |version, frame: &str, about: &str| {
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.subscribe("s", "/queue/a", "client");
        let error = expect_refusal(&mut wire, frame, about);
        assert_eq!(header(&error, "receipt-id"), "r");
    };
    for command in ["ACK", "NACK"] {
        let lacks_all = format!("{command}\nreceipt:r\n\n^@");
        check(Version::V12, &lacks_all, "'id'");
        check(Version::V11, &lacks_all, "subscription");
        let lacks_message = format!("{command}\nreceipt:r\nsubscription:s\n\n^@");
        check(Version::V11, &lacks_message, "message-id");
    }
    check(Version::V10, "ACK\nreceipt:r\n\n^@", "message-id");
}

/// D6.3
#[test]
fn in_1_0_a_message_id_means_the_oldest_open_delivery_of_it() {
    let broker = start();
    let mut wire = Wire::connect(broker.stomp(), Version::V10);
    let one = [("activemq.prefetchSize", "1")];
    for id in ["first", "second"] {
        wire.subscribe_with(id, "/topic/a", "client-individual", &one);
    }
    wire.send_receipted("/topic/a", &[], "both get it");
    wire.send_receipted("/topic/a", &[], "next");
    let (older, newer) = (wire.expect_message(), wire.expect_message());
    assert_eq!(header(&older, "message-id"), header(&newer, "message-id"));
    wire.ack(&older, &[]);
    // Only the subscription whose delivery was the older one goes on.
    let next = wire.expect_message();
    assert_eq!(
        header(&next, "subscription"),
        header(&older, "subscription")
    );
    expect_quiet(&mut wire);
    wire.ack(&newer, &[]);
    let next = wire.expect_message();
    assert_eq!(
        header(&next, "subscription"),
        header(&newer, "subscription")
    );
}

/// D6.4
#[test]
fn in_1_0_there_is_no_nack() {
    let broker = start();
    let mut wire = Wire::connect(broker.stomp(), Version::V10);
    let messages = hold(&mut wire, "/queue/a", "client", 1);
    let id = header(&messages[0], "message-id");
    let frame = format!("NACK\nreceipt:r\nmessage-id:{id}\n\n^@");
    expect_refusal(&mut wire, &frame, "1.0");
}

/// D6.5
#[test]
fn a_1_2_client_that_sends_a_message_id_is_told_what_1_2_wants() {
    let broker = start();
    let mut wire = connect(&broker);
    let messages = hold(&mut wire, "/queue/a", "client", 1);
    let id = header(&messages[0], "message-id");
    let frame = format!("ACK\nreceipt:r\nsubscription:s\nmessage-id:{id}\n\n^@");
    let error = expect_refusal(&mut wire, &frame, "'ack' header");
    assert!(error.text().contains("message-id"), "{error}");
}

/// D6.6
#[test]
fn ack_ids_carry_the_session_and_ascend() {
    let broker = start();
    let mut wire = Wire::open(broker.stomp());
    let connected = wire
        .try_login(Version::V12, &[])
        .expect("CONNECTED answers CONNECT");
    let session = header(&connected, "session");
    let messages = hold(&mut wire, "/queue/a", "client", 20);
    let counters: Vec<u64> = messages
        .iter()
        .map(|message| {
            let id = header(message, "ack");
            let rest = id
                .strip_prefix(session)
                .expect("it begins with the session");
            let counter = rest.split('.').nth(1).expect("then the number");
            counter.parse().expect("which is one")
        })
        .collect();
    assert!(counters.is_sorted_by(|a, b| a < b), "{counters:?}");
}

/// D6.6
#[test]
fn an_ack_id_that_this_connection_was_never_given_is_refused() {
    let broker = start();
    let mut other = connect(&broker);
    let others = hold(&mut other, "/queue/a", "client", 1);
    let foreign = header(&others[0], "ack").to_owned();
    for command in ["ACK", "NACK"] {
        for receipt in ["", "receipt:r\n"] {
            for id in [&foreign[..], "", "1", "nonsense", "ID:x-1-1"] {
                let mut wire = connect(&broker);
                let frame = format!("{command}\n{receipt}id:{id}\n\n^@");
                expect_refusal(&mut wire, &frame, "never given");
            }
        }
    }
    // One of this session whose number has not come yet.
    let (session, place) = foreign.split_once('.').expect("session, number, place");
    let place = place.split_once('.').expect("number, place").1;
    let future = format!("ACK\nid:{session}.999.{place}\n\n^@");
    let mut heir = connect(&broker);
    heir.subscribe("s", "/queue/a", "client");
    expect_refusal(&mut other, &future, "never given");
    // What was not acknowledged by any of this is still there.
    assert_eq!(heir.expect_message().text(), "0");
}

/// Ways in which a delivery stops being open, and what then stays in the queue.
const CLOSINGS: [&str; 4] = ["ack", "nack", "unsubscribe", "abort"];

/// A connection that has a delivery which is no longer open.
fn stale(broker: &stompbox_tests::broker::Broker, version: Version, how: &str) -> (Wire, Frame) {
    let mut wire = Wire::connect(broker.stomp(), version);
    let destination = format!("/queue/{how}{}", version.text());
    let message = hold(&mut wire, &destination, "client-individual", 1).remove(0);
    match how {
        "ack" => wire.ack(&message, &[]),
        "nack" => wire.nack(&message, &[("requeue", "false")]),
        "unsubscribe" => {
            wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        }
        _ => {
            wire.request("BEGIN", &[("transaction", "t")], b"");
            wire.ack(&message, &[("transaction", "t")]);
            // Gone from the subscription, so that the redelivery is not mistaken for it.
            wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
            wire.request("ABORT", &[("transaction", "t")], b"");
        }
    }
    (wire, message)
}

fn late(wire: &Wire, command: &str, message: &Frame, receipt: &[(&str, &str)]) -> Vec<u8> {
    let mut headers = wire.settle_headers(message);
    headers.extend_from_slice(receipt);
    wire.encode(command, &headers, b"")
}

/// D6.7
#[test]
fn a_stale_acknowledgement_with_receipt_is_refused() {
    let broker = start();
    for version in VERSIONS {
        for how in CLOSINGS {
            if how == "nack" && version == Version::V10 {
                continue;
            }
            let (mut wire, message) = stale(&broker, version, how);
            let frame = late(&wire, "ACK", &message, &[("receipt", "late")]);
            wire.send_raw(&frame);
            let error = wire.expect_error("no longer open");
            assert_eq!(header(&error, "receipt-id"), "late");
            wire.expect_closed();
        }
    }
}

/// D6.8
#[test]
fn a_stale_acknowledgement_without_receipt_is_ignored_and_counted() {
    let broker = start_watched("");
    let mut expected = 0;
    for version in VERSIONS {
        for how in CLOSINGS {
            if how == "nack" && version == Version::V10 {
                continue;
            }
            let (mut wire, message) = stale(&broker, version, how);
            for command in ["ACK", "NACK"] {
                if command == "NACK" && version == Version::V10 {
                    continue;
                }
                let frame = late(&wire, command, &message, &[]);
                wire.send_raw(&frame);
                expected += 1;
            }
            expect_quiet(&mut wire);
        }
    }
    assert_eq!(overview(&broker, "stale_acks_total"), expected);
}

/// D6.13
#[test]
fn in_client_mode_an_ack_covers_all_before_it_in_its_subscription() {
    let broker = start_watched("");
    for version in VERSIONS {
        let destination = format!("/queue/{}", version.text());
        let mut wire = Wire::connect(broker.stomp(), version);
        let other = format!("other-{}", version.text());
        wire.subscribe("other", &other, "client");
        wire.send_receipted(&other, &[], "not covered");
        wire.expect_message();
        let messages = hold(&mut wire, &destination, "client", 5);
        wire.ack(&messages[2], &[]);
        await_depth(&broker, version.text(), 2);
        await_depth(&broker, &other, 1);
        assert_eq!(left(wire, &destination, 2), ["3", "4"]);
    }
}

/// D6.13
#[test]
fn in_client_individual_mode_an_ack_covers_one_message() {
    let broker = start();
    for version in VERSIONS {
        let destination = format!("/queue/{}", version.text());
        let mut wire = Wire::connect(broker.stomp(), version);
        let messages = hold(&mut wire, &destination, "client-individual", 4);
        wire.ack(&messages[2], &[]);
        wire.ack(&messages[0], &[]);
        assert_eq!(left(wire, &destination, 2), ["1", "3"]);
    }
}

/// D6.14
#[test]
fn in_client_mode_a_nack_takes_all_before_it_back_and_counts_only_the_named_one() {
    let broker = start_watched("[policy]\nredeliveries_max = 0\n");
    for version in [Version::V11, Version::V12] {
        let destination = format!("/queue/{}", version.text());
        let mut wire = Wire::connect(broker.stomp(), version);
        let messages = hold(&mut wire, &destination, "client", 4);
        wire.nack(&messages[2], &[]);
        // With no redelivery allowed, what counts a failure is a dead letter.
        for text in ["0", "1"] {
            let message = wire.expect_message();
            assert_eq!(message.text(), text);
            expect_delivery(&message, 2);
        }
        expect_quiet(&mut wire);
        wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
        assert_eq!(wire.expect_message().text(), "2");
        expect_quiet(&mut wire);
        // The fourth was behind it and is still open.
        wire.ack(&messages[3], &[]);
        wire.disconnect();
    }
}

/// D6.10, D6.15
#[test]
fn a_nack_brings_the_message_back_with_a_new_ack_id_and_a_higher_count() {
    let broker = start();
    for destination in ["/queue/n", "/topic/n"] {
        for persistent in ["true", "false"] {
            let mut wire = connect(&broker);
            wire.subscribe("s", destination, "client-individual");
            wire.send_receipted(destination, &[("persistent", persistent)], "again");
            let first = wire.expect_message();
            expect_delivery(&first, 1);
            wire.nack(&first, &[]);
            let second = wire.expect_message();
            expect_delivery(&second, 2);
            assert_eq!(second.text(), "again");
            assert_ne!(header(&first, "ack"), header(&second, "ack"));
            wire.nack(&second, &[("x-delay", "0")]);
            let third = wire.expect_message();
            expect_delivery(&third, 3);
            wire.ack(&third, &[]);
            expect_quiet(&mut wire);
            wire.disconnect();
        }
    }
}

/// D6.12
#[test]
fn nack_options_that_are_wrong_are_refused() {
    let broker = start();
    for option in ["x-delay:soon", "x-delay:-1", "x-delay:", "requeue:maybe"] {
        let mut wire = connect(&broker);
        let messages = hold(&mut wire, "/queue/a", "client", 1);
        let id = header(&messages[0], "ack");
        let frame = format!("NACK\nreceipt:r\nid:{id}\n{option}\n\n^@");
        let (name, _) = option.split_once(':').expect("a header line");
        expect_refusal(&mut wire, &frame, name);
        let mut heir = connect(&broker);
        heir.subscribe("s", "/queue/a", "auto");
        heir.expect_message();
        heir.disconnect();
    }
}
