//! What a MESSAGE carries (dialect, section 7).

use std::collections::BTreeSet;

use stompbox_tests::wire::{Version, Wire};

use super::fixture::{VERSIONS, connect, header, start};

/// D7.1, D7.4, D7.5, D7.6, D7.8
#[test]
fn a_message_carries_what_its_version_and_mode_need() {
    let broker = start();
    let mut sender = connect(&broker);
    for version in VERSIONS {
        for mode in ["auto", "client", "client-individual"] {
            let mut wire = Wire::connect(broker.stomp(), version);
            wire.subscribe("the id", "/queue/m", mode);
            sender.send_receipted("/queue/m", &[("persistent", "false")], "four");
            let message = wire.expect_message();
            let expected = [
                ("subscription", "the id"),
                ("destination", "/queue/m"),
                ("redelivered", "false"),
                ("JMSXDeliveryCount", "1"),
                ("priority", "4"),
                ("expires", "0"),
                ("persistent", "false"),
                ("content-length", "4"),
            ];
            for (name, value) in expected {
                assert_eq!(header(&message, name), value, "{message}");
            }
            assert!(header(&message, "timestamp").parse::<u64>().is_ok());
            assert!(header(&message, "message-id").starts_with("ID:"));
            let has_ack = message.header("ack").is_some();
            assert_eq!(
                has_ack,
                version == Version::V12 && mode != "auto",
                "{message}"
            );
            assert_eq!(message.header("JMSXUserID"), None);
            if mode != "auto" {
                wire.ack(&message, &[]);
            }
            wire.disconnect();
        }
    }
    sender.subscribe("s", "/queue/empty", "auto");
    sender.send_receipted("/queue/empty", &[], "");
    assert_eq!(header(&sender.expect_message(), "content-length"), "0");
}

/// D7.2
#[test]
fn every_receiver_sees_the_same_message_id_and_no_two_messages_share_one() {
    let broker = start();
    let mut receivers = VERSIONS.map(|version| {
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.subscribe("s", "/topic/m", "client");
        wire
    });
    let mut sender = connect(&broker);
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        sender.send_receipted("/topic/m", &[], "");
        let seen: BTreeSet<_> = receivers
            .each_mut()
            .map(|wire| header(&wire.expect_message(), "message-id").to_owned())
            .into();
        assert_eq!(seen.len(), 1, "{seen:?}");
        ids.extend(seen);
    }
    assert_eq!(ids.len(), 20);
    // A redelivery is the same message.
    sender.subscribe("q", "/queue/m", "client");
    sender.send_receipted("/queue/m", &[], "");
    let first = sender.expect_message();
    sender.nack(&first, &[("x-delay", "0")]);
    let second = sender.expect_message();
    assert_eq!(header(&first, "message-id"), header(&second, "message-id"));
}

/// D7.4
#[test]
fn an_ack_id_is_unique_to_its_delivery() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("a", "/topic/m", "client");
    wire.subscribe("b", "/topic/m", "client-individual");
    let mut ids = BTreeSet::new();
    for _ in 0..10 {
        wire.send_receipted("/topic/m", &[], "");
        for _ in 0..2 {
            let message = wire.expect_message();
            ids.insert(header(&message, "ack").to_owned());
            wire.nack(&message, &[("x-delay", "0")]);
            let again = wire.expect_message();
            ids.insert(header(&again, "ack").to_owned());
            wire.ack(&again, &[]);
        }
    }
    assert_eq!(ids.len(), 40);
}

/// D7.6, D7.9
#[test]
fn bodies_and_headers_survive_paging_and_a_restart() {
    let mut broker = start();
    let mut wire = connect(&broker);
    let body: Vec<u8> = (0..=255).cycle().take(9_000).collect();
    let odd = "größe: \n\r\\ end ";
    wire.request(
        "SEND",
        &[("destination", "/queue/m"), ("odd", odd), ("a:b", "c")],
        &body,
    );
    broker.kill();
    broker.start_again();
    for (version, expected, name) in [
        (Version::V10, "größe:   \\ end ", "a b"),
        (Version::V11, odd, "a:b"),
        (Version::V12, odd, "a:b"),
    ] {
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.subscribe("s", "/queue/m", "client");
        let message = wire.expect_message();
        assert!(message.body == body);
        assert_eq!(header(&message, "odd"), expected, "{version:?}");
        assert_eq!(header(&message, name), "c");
        wire.disconnect();
    }
}
