//! Transactions without an end.

use std::time::Duration;

use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;

use crate::fixture::{await_depth, connect, eventually, overview, start_watched};
use crate::trial::{MIB, TIGHT, Trial};

#[test]
fn a_transaction_without_end_is_refused_at_its_limit_and_given_back() {
    let scale = Scale::asked_for();
    for (body, about) in [
        ("x".repeat(10_000), "limits.transaction_bytes"),
        (String::new(), "limits.transaction_frames"),
    ] {
        let limits = scale.of(
            "[limits]\ntransaction_bytes = \"8 MiB\"\ntransaction_frames = 5_000\n",
            "",
        );
        let trial = Trial::begin("a transaction without end", start_watched(limits));
        trial.run(160 * MIB, |broker| {
            let mut flood = Flood::connect(broker.stomp());
            flood.send("BEGIN\ntransaction:t\n\n\0");
            let frame = format!("SEND\ndestination:/queue/t\ntransaction:t\n\n{body}\0");
            let batch = frame.repeat(64 * 1024 / frame.len() + 1);
            // Until it is closed; what is sent meanwhile is thrown away.
            for _ in 0..10_000 {
                if std::io::Write::write_all(&mut flood.stream, batch.as_bytes()).is_err() {
                    break;
                }
            }
            let answer = flood.read_to_end().expect("it is closed");
            let answer = String::from_utf8_lossy(&answer);
            assert!(
                answer.trim_start().starts_with("ERROR\n") && answer.contains(about),
                "{answer}"
            );
            eventually("its memory is given back", || {
                (overview(broker, "memory_bytes") < 4 * MIB).then_some(())
            });
        });
    }
}

#[test]
fn a_commit_of_the_largest_transaction_stops_nobody() {
    let count = Scale::asked_for().of(5_000, 100_000);
    let trial = Trial::begin("a COMMIT of 100,000 SENDs", start_watched(""));
    trial.run(192 * MIB, |broker| {
        let mut flood = Flood::connect(broker.stomp());
        flood.send("BEGIN\ntransaction:t\n\n\0");
        let frame = "SEND\ndestination:/queue/t\ntransaction:t\n\nx\0";
        for _ in 0..count / 1_000 {
            flood.send(frame.repeat(1_000));
        }
        flood.send("COMMIT\ntransaction:t\nreceipt:all\n\n\0");
        flood
            .stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a socket takes a time-out");
        flood.read_frame().expect("a receipt comes");
        await_depth(broker, "t", count as u64);
    });
}

/// Nobody but their client can make an end of them.
#[test]
fn open_transactions_leave_half_of_the_memory_to_the_others() {
    let trial = Trial::begin("open transactions without an end", start_watched(TIGHT));
    trial.run(24 * MIB, |broker| {
        let body = "x".repeat(60_000);
        let mut held = Vec::new();
        let refused = loop {
            assert!(held.len() < 4, "never refused");
            let mut flood = Flood::connect(broker.stomp());
            let mut all = String::new();
            for transaction in 0..16 {
                all.push_str(&format!("BEGIN\ntransaction:{transaction}\n\n\0"));
                for _ in 0..5 {
                    all.push_str(&format!(
                        "SEND\ndestination:/queue/none\ntransaction:{transaction}\n\n{body}\0"
                    ));
                }
            }
            all.push_str("BEGIN\ntransaction:16\n\n\0");
            flood.send_until_stuck(all.as_bytes(), Duration::from_secs(2));
            // The last frame is refused in any case; what it says is which limit came first.
            let error = flood.read_frame().expect("an ERROR comes");
            let error = String::from_utf8_lossy(&error).into_owned();
            if error.contains("message:memory is full") {
                break error;
            }
            assert!(error.contains("too many open transactions"), "{error}");
            // The same again, and kept open.
            let mut flood = Flood::connect(broker.stomp());
            let end = all.len() - "BEGIN\ntransaction:16\n\n\0".len();
            flood.send(&all.as_bytes()[..end]);
            held.push(flood);
        };
        assert!(refused.contains("half of limits.memory_bytes"), "{refused}");
        assert!(!held.is_empty());
        let mut other = connect(broker);
        for _ in 0..50 {
            other.send_receipted("/queue/other", &[("persistent", "false")], "as ever");
        }
        drop(held);
        eventually("what they held is given back", || {
            (overview(broker, "memory_bytes") < 2 * MIB).then_some(())
        });
    });
}
