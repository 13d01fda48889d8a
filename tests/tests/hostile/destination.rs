//! Destinations in masses.

use std::time::{Duration, Instant};

use stompbox_tests::flood::Flood;
use stompbox_tests::say;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::Wire;

use crate::fixture::{connect, expect_complete, overview, start_watched};
use crate::trial::{MIB, Trial};

/// Sends one message to each of so many destinations of a kind; the receipt of the last one is waited for.
fn make(flood: &mut Flood, count: u64, begin: &str, headers: &str) {
    let mut batch = String::new();
    for number in 1..=count {
        let receipt = if number == count {
            "receipt:last\n"
        } else {
            ""
        };
        batch.push_str(&format!(
            "SEND\ndestination:{begin}{number}\n{headers}{receipt}\nx\0"
        ));
        if batch.len() > 64 * 1024 || number == count {
            flood.send(&batch);
            batch.clear();
        }
    }
    let receipt = flood.read_frame().expect("a receipt comes");
    assert!(
        receipt.starts_with(b"RECEIPT"),
        "{}",
        receipt.escape_ascii()
    );
}

struct Kind {
    name: &'static str,
    begin: &'static str,
    headers: &'static str,
    /// What one costs with its message.
    bytes_each: u64,
}

fn check(kind: &Kind) {
    let count = Scale::asked_for().of(5_000, 1_000_000);
    let broker = start_watched(&format!("[limits]\ndestinations = {count}\n"));
    let trial = Trial::begin(kind.name, broker);
    let bound = 64 * MIB + count * kind.bytes_each;
    trial.run(bound, |broker| {
        // The bystander's is one of them.
        let mut flood = Flood::connect(broker.stomp());
        make(&mut flood, count - 1, kind.begin, kind.headers);
        let made = overview(broker, "queues") + overview(broker, "topics");
        assert_eq!(made, count);
        // The console asks the dispatcher, and everybody waits for the answer.
        let asked = Instant::now();
        overview(broker, "queues");
        let answered = asked.elapsed();
        if Scale::asked_for() == Scale::Full {
            say(&format!(
                "proof: hostile {}: overview in {answered:?}",
                kind.name
            ));
        }
        assert!(answered < Duration::from_millis(500), "{answered:?}");
        // They are swept and counted once a second.
        std::thread::sleep(Duration::from_secs(Scale::asked_for().of(1, 4)));
        let mut wire: Wire = connect(broker);
        wire.send("SEND\ndestination:/queue/one.more\nreceipt:r\n\n^@");
        expect_complete(&wire.expect_error("limits.destinations"));
        wire.expect_closed();
    });
}

#[test]
fn a_million_topics_cost_a_bounded_memory_each() {
    check(&Kind {
        name: "a million topics",
        begin: "/topic/t.",
        headers: "persistent:false\n",
        bytes_each: 1_024,
    });
}

#[test]
fn a_million_queues_cost_a_bounded_memory_each() {
    check(&Kind {
        name: "a million queues with a message each",
        begin: "/queue/q.",
        headers: "persistent:false\n",
        bytes_each: 4_096,
    });
}

#[test]
fn a_million_queues_whose_messages_expire_stop_nobody() {
    check(&Kind {
        name: "a million queues with an expiring message each",
        begin: "/queue/q.",
        headers: "persistent:false\nttl:3600000\n",
        bytes_each: 4_096,
    });
}

/// Queues that nobody uses are looked at and removed however many subscriptions there are elsewhere.
#[test]
fn thousands_of_unused_queues_that_go_beside_masses_of_subscriptions_stop_nobody() {
    const EACH: u64 = 9_990;
    const WAIT_MAX: Duration = Duration::from_secs(2);
    let (connections, queues) = Scale::asked_for().of((8, 4_000), (20, 20_000));
    let broker = start_watched("[policy]\nremove_unused_after = \"1s\"\n");
    let mut holders = Vec::new();
    for _ in 0..connections {
        let mut holder = Flood::connect(broker.stomp());
        let subscribe: String = (0..EACH)
            .map(|id| format!("SUBSCRIBE\nid:{id}\ndestination:/topic/kept\n\n\0"))
            .collect();
        holder.send(subscribe);
        holders.push(holder);
    }
    let mut maker = Flood::connect(broker.stomp());
    let come_and_go: String = (0..queues)
        .map(|id| {
            format!(
                "SUBSCRIBE\nid:{id}\ndestination:/queue/unused.{id}\n\n\0UNSUBSCRIBE\nid:{id}\n\n\0"
            )
        })
        .collect();
    maker.send(come_and_go);
    maker.send("SEND\ndestination:/temp-topic/t\nreceipt:last\n\nx\0");
    maker.read_frame().expect("a receipt comes");
    let mut other = connect(&broker);
    let mut longest = Duration::ZERO;
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let began = Instant::now();
        other.send_receipted("/queue/other", &[("persistent", "false")], "");
        let left = overview(&broker, "queues");
        longest = longest.max(began.elapsed());
        assert!(longest < WAIT_MAX, "stopped for {longest:?}");
        if left <= 1 {
            break;
        }
        assert!(Instant::now() < end, "{left} queues are still there");
    }
    assert_eq!(overview(&broker, "subscriptions"), connections * EACH);
    say(&format!(
        "proof: {queues} unused queues removed beside {} subscriptions: another client waits {longest:.1?} at the most",
        connections * EACH
    ));
}
