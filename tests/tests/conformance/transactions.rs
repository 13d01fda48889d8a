//! BEGIN, COMMIT, ABORT (dialect, section 6, last point).

use stompbox_tests::wire::{Frame, Version, Wire};

use super::fixture::{
    VERSIONS, await_depth, bodies, connect, eventually, expect_delivery, expect_quiet,
    expect_refusal, header, overview, queue, start, start_watched, start_with,
};

const T: (&str, &str) = ("transaction", "t");

fn begin(wire: &mut Wire) {
    wire.request("BEGIN", &[T], b"");
}

fn commit(wire: &mut Wire) {
    wire.request("COMMIT", &[T], b"");
}

fn abort(wire: &mut Wire) {
    wire.request("ABORT", &[T], b"");
}

/// So many messages of a queue, with this connection's subscription `s`.
fn hold(wire: &mut Wire, destination: &str, ack: &str, count: usize) -> Vec<Frame> {
    for number in 0..count {
        wire.send_receipted(destination, &[], &number.to_string());
    }
    wire.subscribe("s", destination, ack);
    (0..count).map(|_| wire.expect_message()).collect()
}

/// D6.39
#[test]
fn a_transaction_that_has_begun_or_has_not_is_refused_where_the_other_is_needed() {
    let broker = start();
    let check = |frames: &str, about: &str| {
        for version in VERSIONS {
            let mut wire = Wire::connect(broker.stomp(), version);
            let error = expect_refusal(&mut wire, frames, about);
            assert_eq!(header(&error, "receipt-id"), "r");
        }
    };
    let t = "transaction:t\n";
    check(
        &format!("BEGIN\n{t}\n^@BEGIN\n{t}receipt:r\n\n^@"),
        "begun already",
    );
    check(&format!("COMMIT\n{t}receipt:r\n\n^@"), "not begun");
    check(&format!("ABORT\n{t}receipt:r\n\n^@"), "not begun");
    check(
        &format!("SEND\ndestination:/queue/a\n{t}receipt:r\n\n^@"),
        "not begun",
    );
    check(
        &format!("BEGIN\n{t}\n^@COMMIT\n{t}\n^@COMMIT\n{t}receipt:r\n\n^@"),
        "has ended",
    );
    for command in ["BEGIN", "COMMIT", "ABORT"] {
        check(&format!("{command}\nreceipt:r\n\n^@"), "transaction");
    }
    let mut wire = connect(&broker);
    let held = hold(&mut wire, "/queue/a", "client", 1);
    let ack = format!("ACK\n{t}id:{}\nreceipt:r\n\n^@", header(&held[0], "ack"));
    expect_refusal(&mut wire, &ack, "not begun");
    // Ids belong to their connection.
    let (mut one, mut two) = (connect(&broker), connect(&broker));
    begin(&mut one);
    begin(&mut two);
    commit(&mut one);
    abort(&mut two);
}

/// D6.40
#[test]
fn an_id_may_be_used_again_after_its_end() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/a", "auto");
    for number in 0..3 {
        begin(&mut wire);
        wire.send_receipted("/queue/a", &[T], "dropped");
        abort(&mut wire);
        begin(&mut wire);
        wire.send_receipted("/queue/a", &[T], &number.to_string());
        commit(&mut wire);
    }
    assert_eq!(bodies(&mut wire, 3), ["0", "1", "2"]);
    expect_quiet(&mut wire);
}

/// D6.41
#[test]
fn everything_in_a_transaction_takes_effect_at_its_commit_and_not_before() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    let mut other = connect(&broker);
    other.subscribe("a", "/queue/a", "auto");
    other.subscribe("b", "/queue/b", "auto");
    other.subscribe("t", "/topic/t", "auto");
    let held = hold(&mut wire, "/queue/in", "client-individual", 3);
    begin(&mut wire);
    wire.send_receipted("/queue/a", &[T], "a1");
    wire.ack(&held[0], &[T]);
    wire.send_receipted("/topic/t", &[T], "t1");
    wire.nack(&held[1], &[T, ("requeue", "false")]);
    wire.send_receipted("/queue/b", &[T, ("persistent", "false")], "b1");
    wire.send_receipted("/queue/a", &[T, ("priority", "9")], "a2");
    // What is outside of it is not held up.
    wire.send_receipted("/queue/b", &[], "outside");
    assert_eq!(other.expect_message().text(), "outside");
    expect_quiet(&mut other);
    await_depth(&broker, "in", 3);
    assert_eq!(overview(&broker, "dead_lettered_total"), 0);
    commit(&mut wire);
    let mut heard = bodies(&mut other, 4);
    heard.sort();
    assert_eq!(heard, ["a1", "a2", "b1", "t1"]);
    await_depth(&broker, "in", 1);
    await_depth(&broker, "ActiveMQ.DLQ", 1);
    expect_quiet(&mut other);
    let connection = &super::fixture::ask(&broker, "connections")["items"][0];
    assert_eq!(connection["transactions"], 0, "{connection}");
}

/// D6.41, D2.8
#[test]
fn a_commit_is_atomic_over_all_destinations_also_in_a_crash() {
    let mut broker = start_watched("");
    let depth = |broker: &stompbox_tests::broker::Broker, name: &str| {
        let view = queue(broker, name);
        view.and_then(|view| view["depth"].as_u64()).unwrap_or(0)
    };
    for round in 0..5 {
        let mut wire = connect(&broker);
        let (from, to) = (format!("from{round}"), format!("to{round}"));
        let held = hold(
            &mut wire,
            &format!("/queue/{from}"),
            "client-individual",
            10,
        );
        begin(&mut wire);
        for message in &held {
            wire.ack(message, &[T]);
            for destination in [&to[..], "all"] {
                wire.send_receipted(&format!("/queue/{destination}"), &[T], "moved");
            }
        }
        let already = depth(&broker, "all");
        // Half of the rounds the kill does not wait for the receipt.
        wire.send("COMMIT\ntransaction:t\nreceipt:c\n\n^@");
        if round % 2 == 0 {
            wire.expect_receipt("c");
        }
        broker.kill();
        broker.start_again();
        let left = depth(&broker, &from);
        let moved = depth(&broker, &to);
        let all = depth(&broker, "all") - already;
        assert!(
            (left, moved, all) == (0, 10, 10)
                || (round % 2 == 1 && (left, moved, all) == (10, 0, 0)),
            "round {round}: {left} left, {moved} and {all} moved"
        );
    }
}

/// D6.42
#[test]
fn an_acknowledgement_in_a_transaction_frees_credit_at_once() {
    let broker = start();
    let mut wire = connect(&broker);
    for number in 0..20 {
        wire.send_receipted("/queue/a", &[], &number.to_string());
    }
    let two = [("activemq.prefetchSize", "2")];
    wire.subscribe_with("s", "/queue/a", "client-individual", &two);
    begin(&mut wire);
    for number in 0..20 {
        let message = wire.expect_message();
        assert_eq!(message.text(), number.to_string());
        match number % 2 {
            0 => wire.ack(&message, &[T]),
            _ => wire.nack(&message, &[T, ("requeue", "false")]),
        }
    }
    commit(&mut wire);
    expect_quiet(&mut wire);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "client");
    assert_eq!(bodies(&mut wire, 10).len(), 10);
}

/// D6.41, D6.42
#[test]
fn in_client_mode_an_acknowledgement_in_a_transaction_is_cumulative_too() {
    let broker = start_watched("");
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        let name = version.text();
        let held = hold(&mut wire, &format!("/queue/{name}"), "client", 4);
        begin(&mut wire);
        wire.ack(&held[2], &[T]);
        await_depth(&broker, name, 4);
        commit(&mut wire);
        await_depth(&broker, name, 1);
    }
}

/// D6.43
#[test]
fn what_a_transaction_acknowledged_stays_with_it_through_unsubscribe() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    let mut heir = connect(&broker);
    let held = hold(&mut wire, "/queue/a", "client-individual", 4);
    begin(&mut wire);
    wire.ack(&held[0], &[T]);
    wire.nack(&held[1], &[T, ("requeue", "false")]);
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    heir.subscribe("s", "/queue/a", "client");
    assert_eq!(bodies(&mut heir, 2), ["2", "3"]);
    expect_quiet(&mut heir);
    commit(&mut wire);
    await_depth(&broker, "a", 2);
    await_depth(&broker, "ActiveMQ.DLQ", 1);
    // The same, aborted: it comes back to whoever is there now.
    let held = hold(&mut wire, "/queue/b", "client-individual", 1);
    begin(&mut wire);
    wire.ack(&held[0], &[T]);
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    heir.subscribe("b", "/queue/b", "client");
    expect_quiet(&mut heir);
    abort(&mut wire);
    expect_delivery(&heir.expect_message(), 2);
}

/// D6.44
#[test]
fn abort_drops_sends_and_returns_what_was_acknowledged_with_one_failure_each() {
    let broker = start_with("[policy]\nredeliveries_max = 1\n");
    let mut wire = connect(&broker);
    let held = hold(&mut wire, "/queue/a", "client-individual", 3);
    wire.subscribe("d", "/queue/ActiveMQ.DLQ", "auto");
    begin(&mut wire);
    wire.send_receipted("/queue/a", &[T], "dropped");
    wire.send_receipted("/queue/new", &[T], "dropped");
    wire.ack(&held[0], &[T]);
    wire.nack(&held[1], &[T, ("requeue", "false")]);
    abort(&mut wire);
    let returned = [wire.expect_message(), wire.expect_message()];
    for (old, new) in held.iter().zip(&returned) {
        assert_eq!(old.text(), new.text());
        expect_delivery(new, 2);
        assert_ne!(header(old, "ack"), header(new, "ack"));
    }
    // One failure each: the next is the last.
    for message in &returned {
        wire.nack(message, &[]);
        let dead = wire.expect_message();
        assert_eq!(dead.text(), message.text());
        assert_eq!(header(&dead, "dlq-reason"), "redelivery-limit");
    }
    // What was never acknowledged in it is open as before.
    wire.ack(&held[2], &[]);
    wire.subscribe("new", "/queue/new", "auto");
    expect_quiet(&mut wire);
}

/// D6.45
#[test]
fn the_end_of_the_connection_aborts_its_transactions() {
    let broker = start_watched("[policy]\nredeliveries_max = 0\n");
    for (name, is_lost) in [("lost", true), ("left", false)] {
        let destination = format!("/queue/{name}");
        let mut wire = connect(&broker);
        let held = hold(&mut wire, &destination, "client-individual", 3);
        begin(&mut wire);
        wire.send_receipted(&destination, &[T], "dropped");
        wire.ack(&held[0], &[T]);
        wire.ack(&held[1], &[T]);
        if is_lost {
            drop(wire);
        } else {
            wire.disconnect();
        }
        // As a lost connection counts: the oldest of the subscription and no other.
        let expected = if is_lost {
            &["1", "2"][..]
        } else {
            &["0", "1", "2"]
        };
        let left = expected.len() as u64;
        await_depth(&broker, name, left);
        eventually("all are back", || {
            (overview(&broker, "in_flight") == 0).then_some(())
        });
        let mut heir = connect(&broker);
        heir.subscribe("s", &destination, "client");
        for text in expected {
            let message = heir.expect_message();
            assert_eq!(message.text(), *text);
            expect_delivery(&message, 2);
        }
        expect_quiet(&mut heir);
        heir.disconnect();
    }
    await_depth(&broker, "ActiveMQ.DLQ", 1);
}

/// D6.47
#[test]
fn what_is_sent_behind_a_commit_comes_behind_it() {
    let broker = start();
    let mut wire = connect(&broker);
    let mut other = connect(&broker);
    other.subscribe("q", "/queue/a", "auto");
    other.subscribe("t", "/topic/a", "auto");
    for round in 0..20 {
        let mut frames = "BEGIN\ntransaction:t\n\n^@".to_owned();
        for destination in ["/queue/a", "/topic/a"] {
            frames.push_str(&format!(
                "SEND\ntransaction:t\ndestination:{destination}\n\n{round} inside^@"
            ));
        }
        frames.push_str("COMMIT\ntransaction:t\n\n^@");
        for destination in ["/queue/a", "/topic/a"] {
            frames.push_str(&format!(
                "SEND\npersistent:false\ndestination:{destination}\n\n{round} behind^@"
            ));
        }
        wire.send(&frames);
    }
    let heard: Vec<_> = (0..80).map(|_| other.expect_message()).collect();
    for subscription in ["q", "t"] {
        let of: Vec<_> = heard
            .iter()
            .filter(|message| header(message, "subscription") == subscription)
            .map(Frame::text)
            .collect();
        let expected: Vec<_> = (0..20)
            .flat_map(|round| [format!("{round} inside"), format!("{round} behind")])
            .collect();
        assert_eq!(of, expected);
    }
}

/// D6.48
#[test]
fn transactions_are_limited_in_number_frames_and_bytes() {
    let small = start_with(
        "[limits]\ntransactions = 2\ntransaction_frames = 3\ntransaction_bytes = \"4 KiB\"\n",
    );
    let default = start();
    let t = "transaction:t\n";
    let check = |broker, frames: &str, key: &str| {
        let mut wire = connect(broker);
        let error = expect_refusal(&mut wire, frames, key);
        assert_eq!(header(&error, "receipt-id"), "r");
    };
    let begins = |count: usize| -> String {
        (0..count)
            .map(|id| format!("BEGIN\ntransaction:{id}\n\n^@"))
            .collect()
    };
    let last = "BEGIN\ntransaction:last\nreceipt:r\n\n^@";
    check(
        &small,
        &format!("{}{last}", begins(2)),
        "limits.transactions",
    );
    check(
        &default,
        &format!("{}{last}", begins(16)),
        "limits.transactions",
    );
    let send = format!("SEND\ndestination:/queue/a\n{t}\nx^@");
    let over = format!("SEND\ndestination:/queue/a\n{t}receipt:r\n\nx^@");
    check(
        &small,
        &format!("BEGIN\n{t}\n^@{}{over}", send.repeat(3)),
        "limits.transaction_frames",
    );
    let big = format!(
        "SEND\ndestination:/queue/a\n{t}receipt:r\n\n{}^@",
        "x".repeat(4096)
    );
    check(
        &small,
        &format!("BEGIN\n{t}\n^@{big}"),
        "limits.transaction_bytes",
    );
    // Acknowledgements count as frames; an end makes room.
    let mut wire = connect(&small);
    let held = hold(&mut wire, "/queue/acks", "client-individual", 4);
    wire.send(&begins(2));
    wire.request("ABORT", &[("transaction", "0")], b"");
    begin(&mut wire);
    for message in &held[..3] {
        wire.ack(message, &[T]);
    }
    let ack = format!("ACK\n{t}receipt:r\nid:{}\n\n^@", header(&held[3], "ack"));
    expect_refusal(&mut wire, &ack, "limits.transaction_frames");
    // Nothing of a refused transaction took effect.
    let mut reader = connect(&small);
    reader.subscribe("s", "/queue/a", "auto");
    expect_quiet(&mut reader);
}

/// D6.49
#[test]
fn what_waits_in_a_transaction_is_charged_to_memory() {
    let broker = start_watched("");
    let mut wire = Wire::connect(broker.stomp(), Version::V12);
    let before = overview(&broker, "memory_bytes");
    begin(&mut wire);
    for _ in 0..10 {
        wire.send_receipted("/queue/a", &[T], &"x".repeat(100_000));
    }
    let held = overview(&broker, "memory_bytes") - before;
    assert!((1_000_000..1_100_000).contains(&held), "{held}");
    abort(&mut wire);
    eventually("it is given back", || {
        (overview(&broker, "memory_bytes") == before).then_some(())
    });
}
