//! Messages that expire in masses, all at the same moment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stompbox_tests::scale::Scale;

use crate::fixture::{await_depth, connect, start_watched};
use crate::trial::{MIB, Trial, fill};

/// So many messages that expire together; whoever asks for them gets none.
fn check(name: &'static str, persistent: bool, count: usize) {
    let trial = Trial::begin(name, start_watched(""));
    trial.run(48 * MIB + count as u64 * 1_024, |broker| {
        let soon = SystemTime::now()
            + Scale::asked_for().of(Duration::from_secs(1), Duration::from_secs(5));
        let expires = soon
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_millis();
        let headers = format!("persistent:{persistent}\nexpires:{expires}\n");
        fill(broker, "/queue/expiring", &headers, count, "x");
        while SystemTime::now() < soon {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut consumer = connect(broker);
        consumer.subscribe("s", "/queue/expiring", "auto");
        await_depth(broker, "expiring", 0);
        if persistent {
            await_depth(broker, "ActiveMQ.DLQ", count as u64);
        }
        consumer.send_receipted("/queue/expiring", &[], "fresh");
        assert_eq!(consumer.expect_message().text(), "fresh");
    });
}

#[test]
fn non_persistent_messages_that_expire_all_at_once_stop_nobody() {
    let count = Scale::asked_for().of(3_000, 500_000);
    check(
        "500,000 non-persistent messages that expire at once",
        false,
        count,
    );
}

#[test]
fn persistent_messages_that_expire_all_at_once_stop_nobody() {
    let count = Scale::asked_for().of(3_000, 200_000);
    check(
        "200,000 persistent messages that expire at once",
        true,
        count,
    );
}
