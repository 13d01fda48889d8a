//! What a receipt promises, and that each comes exactly once (dialect, sections 1 and 2). What the disk has to do with
//! it is proved in `tests/sync.rs`; here a slow disk shows what may be seen before it is done.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use stompbox_tests::wire::{PATIENCE, Version, Wire, WireError};

use super::fixture::{
    Slow, VERSIONS, ask, await_depth, bodies, connect, eventually, expect_delivery, expect_quiet,
    expect_refusal, header, overview, start, start_watched,
};

/// What a sync takes where a test wants to see what is done before it.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// D1.38
#[test]
fn every_client_frame_is_answered_with_its_receipt() {
    let broker = start();
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        let destination = format!("/queue/{}", version.text());
        wire.subscribe("s", &destination, "client-individual");
        wire.send_receipted(&destination, &[], "1");
        wire.send_receipted(&destination, &[], "2");
        let (first, second) = (wire.expect_message(), wire.expect_message());
        wire.ack(&first, &[]);
        if version != Version::V10 {
            wire.nack(&second, &[("x-delay", "0")]);
        }
        wire.request("BEGIN", &[("transaction", "t")], b"");
        wire.send_receipted(&destination, &[("transaction", "t")], "3");
        wire.request("COMMIT", &[("transaction", "t")], b"");
        wire.request("BEGIN", &[("transaction", "t")], b"");
        wire.request("ABORT", &[("transaction", "t")], b"");
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        wire.disconnect();
    }
}

/// D1.41
#[test]
fn the_receipt_of_a_subscribe_comes_before_its_first_message() {
    let broker = start();
    let mut wire = connect(&broker);
    for round in 0..20 {
        let destination = format!("/queue/{round}");
        wire.send_receipted(&destination, &[("persistent", "false")], "");
        wire.send(&format!(
            "SUBSCRIBE\nid:{round}\ndestination:{destination}\nreceipt:s\n\n^@"
        ));
        wire.expect_frame("RECEIPT");
        wire.expect_frame("MESSAGE");
    }
}

/// D2.10, D2.11, D2.13
#[test]
fn each_receipt_comes_exactly_once_whatever_the_order() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/r", "auto");
    let mut expected = BTreeMap::new();
    for number in 0..600 {
        let receipt = format!("r{number}");
        wire.send(&match number % 6 {
            0 => format!("SEND\ndestination:/queue/r\nreceipt:{receipt}\n\n^@"),
            1 => format!("SEND\ndestination:/queue/r\npersistent:false\nreceipt:{receipt}\n\n^@"),
            2 => format!("BEGIN\ntransaction:t\nreceipt:{receipt}\n\n^@"),
            3 => format!("SEND\ndestination:/queue/r\ntransaction:t\nreceipt:{receipt}\n\n^@"),
            4 => format!("COMMIT\ntransaction:t\nreceipt:{receipt}\n\n^@"),
            _ => format!("SEND\ndestination:/topic/r\nreceipt:{receipt}\n\n^@"),
        });
        expected.insert(receipt, 1);
    }
    wire.send("DISCONNECT\nreceipt:bye\n\n^@");
    expected.insert("bye".to_owned(), 1);
    let mut seen: BTreeMap<String, i32> = BTreeMap::new();
    loop {
        match wire.try_next(PATIENCE) {
            Ok(frame) if frame.command == "RECEIPT" => {
                *seen
                    .entry(header(&frame, "receipt-id").to_owned())
                    .or_default() += 1;
            }
            Ok(frame) => assert_eq!(frame.command, "MESSAGE"),
            Err(WireError::Closed) => break,
            Err(error) => wire.fail(&error.to_string()),
        }
    }
    assert_eq!(seen, expected);
}

/// D2.12
#[test]
fn a_refused_frame_never_gets_a_receipt() {
    let broker = start();
    for frame in [
        "SEND\nreceipt:r\ndestination:/nonsense/a\n\n^@",
        "SEND\nreceipt:r\ndestination:/queue/a\npriority:high\n\n^@",
        "SEND\nreceipt:r\ndestination:/queue/a\ntransaction:none\n\n^@",
        "COMMIT\nreceipt:r\ntransaction:none\n\n^@",
        "ACK\nreceipt:r\nid:none\n\n^@",
        "SUBSCRIBE\nreceipt:r\nid:s\ndestination:/queue/a\nselector:a=\n\n^@",
    ] {
        let mut wire = connect(&broker);
        // `expect_error` would set a RECEIPT aside, and `expect_closed` find it.
        let error = expect_refusal(&mut wire, frame, "");
        assert_eq!(error.header("receipt-id"), Some("r"));
    }
}

/// D2.1, D2.3, D2.4
#[test]
fn what_was_receipted_survives_a_kill_and_what_was_settled_stays_settled() {
    let mut broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/k", "client-individual");
    for number in 0..6 {
        wire.send_receipted("/queue/k", &[], &format!("m{number}"));
    }
    wire.send_receipted("/queue/k", &[("persistent", "false")], "volatile");
    let messages: Vec<_> = (0..7).map(|_| wire.expect_message()).collect();
    wire.ack(&messages[1], &[]);
    wire.ack(&messages[4], &[]);
    wire.nack(&messages[2], &[("requeue", "false")]);
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/k", "client");
    assert_eq!(bodies(&mut wire, 3), ["m0", "m3", "m5"]);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    assert_eq!(wire.expect_message().text(), "m2");
    expect_quiet(&mut wire);
}

/// D2.9
#[test]
fn the_receipt_of_disconnect_covers_everything_before_it() {
    let mut broker = start();
    let mut wire = connect(&broker);
    for number in 0..300 {
        wire.send(&format!("SEND\ndestination:/queue/k\n\nm{number}^@"));
    }
    wire.request("DISCONNECT", &[], b"");
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/k", "client");
    for number in 0..300 {
        assert_eq!(wire.expect_message().text(), format!("m{number}"));
    }
    expect_quiet(&mut wire);
}

/// What arrives first of a SEND with a receipt to one's own subscription.
fn first_of_own_send(wire: &mut Wire, destination: &str) -> String {
    wire.send(&format!("SEND\ndestination:{destination}\nreceipt:r\n\n^@"));
    let first = wire.next_frame().command;
    let second = wire.next_frame().command;
    assert_ne!(first, second, "one MESSAGE, one RECEIPT");
    first
}

/// D2.14, D2.15
#[test]
fn a_message_is_dispatched_before_or_after_it_is_durable_as_the_policy_says() -> Result<()> {
    let slow = Slow::start("[[destination]]\nmatch = \"safe\"\ndispatch = \"durable\"\n")?;
    slow.slow_down(HALF_A_SECOND, &["/queue/fast", "/queue/safe"])?;
    let mut wire = connect(&slow.broker);
    wire.subscribe("fast", "/queue/fast", "client");
    wire.subscribe("safe", "/queue/safe", "client");
    let moment = slow.disk.now()?;
    assert_eq!(first_of_own_send(&mut wire, "/queue/fast"), "MESSAGE");
    assert!(slow.disk.ended_since(moment)?, "its receipt waited");
    let moment = slow.disk.now()?;
    wire.send("SEND\ndestination:/queue/safe\nreceipt:r\n\n^@");
    wire.expect_message();
    assert!(slow.disk.ended_since(moment)?, "the message waited");
    wire.expect_receipt("r");
    Ok(())
}

/// D2.16, D6.47
#[test]
fn what_a_transaction_sends_is_dispatched_when_its_commit_is_durable() -> Result<()> {
    let slow = Slow::start("")?;
    slow.slow_down(HALF_A_SECOND, &["/queue/t"])?;
    let mut wire = connect(&slow.broker);
    let mut other = connect(&slow.broker);
    other.subscribe("q", "/queue/t", "auto");
    other.subscribe("t", "/topic/t", "auto");
    wire.request("BEGIN", &[("transaction", "t")], b"");
    wire.send_receipted("/queue/t", &[("transaction", "t")], "queue");
    wire.send_receipted("/topic/t", &[("transaction", "t")], "topic");
    let moment = slow.disk.now()?;
    wire.send("COMMIT\ntransaction:t\nreceipt:c\n\n^@");
    // Behind it, from the same producer: must not pass it.
    wire.send("SEND\ndestination:/queue/t\npersistent:false\n\nqueue behind^@");
    wire.send("SEND\ndestination:/topic/t\npersistent:false\n\ntopic behind^@");
    let mut heard = vec![other.expect_message().text()];
    assert!(slow.disk.ended_since(moment)?, "it waited for the disk");
    heard.extend(bodies(&mut other, 3));
    let of = |what: &str| -> Vec<_> { heard.iter().filter(|text| text.contains(what)).collect() };
    assert_eq!(of("queue"), ["queue", "queue behind"]);
    assert_eq!(of("topic"), ["topic", "topic behind"]);
    wire.expect_receipt("c");
    Ok(())
}

/// D2.2, D2.17
#[test]
fn a_message_acknowledged_before_it_was_written_is_never_written() -> Result<()> {
    let slow = Slow::start("")?;
    slow.slow_down(HALF_A_SECOND, &["/queue/busy", "/queue/brief"])?;
    let mut busy = connect(&slow.broker);
    let mut wire = connect(&slow.broker);
    wire.subscribe("s", "/queue/brief", "client-individual");
    let moment = slow.disk.now()?;
    busy.send("SEND\ndestination:/queue/busy\nreceipt:b\n\n^@");
    slow.disk.await_begin(moment, PATIENCE)?;
    // While that sync is under way:
    wire.send("SEND\ndestination:/queue/brief\nreceipt:s\n\n^@");
    let message = wire.expect_message();
    wire.send(&format!(
        "ACK\nid:{}\nreceipt:a\n\n^@",
        header(&message, "ack")
    ));
    wire.expect_receipt("s");
    wire.expect_receipt("a");
    busy.expect_receipt("b");
    let store = &ask(&slow.broker, "overview")["store"];
    assert_eq!(store["cancelled_total"], 1, "{store}");
    Ok(())
}

/// D2.3
#[test]
fn a_send_that_nothing_keeps_is_receipted_when_it_is_routed() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/topic/t", "auto");
    for (destination, persistent) in [
        ("/topic/nobody", "true"),
        ("/topic/t", "true"),
        ("/topic/t", "false"),
    ] {
        wire.send_receipted(destination, &[("persistent", persistent)], destination);
    }
    assert_eq!(bodies(&mut wire, 2), ["/topic/t", "/topic/t"]);
}

/// D2.7
#[test]
fn inside_a_transaction_receipts_come_at_once() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/t", &[], "1");
    wire.send_receipted("/queue/t", &[], "2");
    wire.subscribe("s", "/queue/t", "client-individual");
    let (first, second) = (wire.expect_message(), wire.expect_message());
    wire.request("BEGIN", &[("transaction", "t")], b"");
    // Each waits for its receipt, as some clients do, before it would send COMMIT.
    wire.send_receipted("/queue/t", &[("transaction", "t")], "3");
    wire.ack(&first, &[("transaction", "t")]);
    wire.nack(&second, &[("transaction", "t")]);
    wire.request("ABORT", &[("transaction", "t")], b"");
}

/// D2.18
#[test]
fn auto_acknowledges_what_was_handed_over_and_nothing_else() {
    let broker = start_watched("");
    let mut sender = connect(&broker);
    let body = "x".repeat(64 * 1024);
    const COUNT: u64 = 400;
    for number in 0..COUNT {
        let headers = [("persistent", "false"), ("n", &number.to_string())];
        sender.send_receipted("/queue/a", &headers, &body);
    }
    // It takes nothing, so that most of 25 MiB cannot be handed over.
    let mut deaf = connect(&broker);
    deaf.send("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:auto\n\n^@");
    let acknowledged = eventually("the sockets are full", || {
        let before = overview(&broker, "acknowledged_total");
        std::thread::sleep(Duration::from_millis(50));
        (before > 0 && overview(&broker, "acknowledged_total") == before).then_some(before)
    });
    assert!(acknowledged < COUNT / 2, "{acknowledged} of {COUNT}");
    drop(deaf);
    await_depth(&broker, "a", COUNT - acknowledged);
    eventually("what was not handed over returns", || {
        (overview(&broker, "in_flight") == 0).then_some(())
    });
    let mut heir = connect(&broker);
    heir.subscribe("s", "/queue/a", "auto");
    for number in acknowledged..COUNT {
        assert_eq!(header(&heir.expect_message(), "n"), number.to_string());
    }
    expect_quiet(&mut heir);
}

/// D2.4
#[test]
fn a_failure_that_was_receipted_is_counted_after_a_kill() {
    let mut broker = start();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/f", &[], "");
    wire.subscribe("s", "/queue/f", "client-individual");
    // Three of seven failures before the kill, four after it.
    for delivery in 1..=3 {
        let message = wire.expect_message();
        expect_delivery(&message, delivery);
        wire.nack(&message, &[("x-delay", "0")]);
    }
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client-individual");
    wire.subscribe("s", "/queue/f", "client-individual");
    for _ in 4..=7 {
        let message = wire.expect_message();
        assert_eq!(header(&message, "destination"), "/queue/f");
        wire.nack(&message, &[("x-delay", "0")]);
    }
    let dead = wire.expect_message();
    assert_eq!(header(&dead, "dlq-reason"), "redelivery-limit");
}
