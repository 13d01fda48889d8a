//! Subscriptions in masses, and subscriptions that come and go.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::PATIENCE;

use crate::fixture::{
    ask, await_depth, connect, eventually, expect_quiet, header, overview, start_watched,
};
use crate::trial::{MIB, Trial, fill, resident};

/// What a subscription may cost.
const BYTES_EACH: u64 = 1_280;

/// What `limits.subscriptions` lets one connection have.
const OF_A_CONNECTION: u64 = 10_000;

/// Subscribes so often, with ids from 1; the receipt of the last one is waited for.
fn subscribe(flood: &mut Flood, count: u64, mode: &str, destination: impl Fn(u64) -> String) {
    let mut batch = String::new();
    for id in 1..=count {
        let receipt = if id == count { "receipt:last\n" } else { "" };
        let destination = destination(id);
        batch.push_str(&format!(
            "SUBSCRIBE\nid:{id}\nack:{mode}\ndestination:{destination}\n{receipt}\n\0"
        ));
        if batch.len() > 64 * 1024 || id == count {
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

#[test]
fn a_million_subscriptions_cost_a_bounded_memory_each_and_leave_no_trace() {
    let (connections, each) = Scale::asked_for().of((4, 1_000), (100, OF_A_CONNECTION - 1));
    let count = connections * each;
    let trial = Trial::begin("a million subscriptions", start_watched(""));
    trial.run(16 * MIB + count * BYTES_EACH, |broker| {
        let mut holders = Vec::new();
        for number in 0..connections {
            let mut holder = Flood::connect(broker.stomp());
            subscribe(&mut holder, each, "client", |id| match id % 2 {
                0 => format!("/queue/many.{}", (number + id) % 1_000),
                _ => format!("/topic/many.{}", (number + id) % 1_000),
            });
            holders.push(holder);
        }
        assert_eq!(overview(broker, "subscriptions"), count + 1);
        drop(holders);
        eventually("they are forgotten", || {
            (overview(broker, "subscriptions") == 1).then_some(())
        });
    });
}

#[test]
fn subscriptions_that_come_and_go_beside_thousands_of_the_same_destination_stop_nobody() {
    let scale = Scale::asked_for();
    let (connections, each, rounds) = scale.of((1, 1_000, 5_000), (10, OF_A_CONNECTION, 500_000));
    let others = connections * each;
    for destination in ["/queue/churn", "/topic/churn"] {
        let trial = Trial::begin("SUBSCRIBE/UNSUBSCRIBE churn", start_watched(""));
        trial.run(32 * MIB + others * BYTES_EACH, |broker| {
            let mut others_of_it = Vec::new();
            for _ in 0..connections {
                let mut flood = Flood::connect(broker.stomp());
                subscribe(&mut flood, each, "client", |_| destination.to_owned());
                others_of_it.push(flood);
            }
            let mut churn = Flood::connect(broker.stomp());
            let pair =
                format!("SUBSCRIBE\nid:c\ndestination:{destination}\n\n\0UNSUBSCRIBE\nid:c\n\n\0");
            let batch = pair.repeat(500);
            for _ in 0..rounds / 500 {
                churn.send(&batch);
            }
            churn.send("DISCONNECT\nreceipt:all\n\n\0");
            churn.read_frame().expect("a receipt comes");
            assert_eq!(overview(broker, "subscriptions"), others + 1);
        });
    }
}

#[test]
fn a_connection_with_thousands_of_subscriptions_that_breaks_off_does_not_stop_the_others() {
    const SUBSCRIPTIONS: usize = 5_000;
    const MESSAGES: usize = 20_000;
    let broker = start_watched("");
    fill(&broker, "/queue/many", "persistent:false\n", MESSAGES, "x");
    let mut holder = Flood::connect(broker.stomp());
    let drained = holder.drain();
    let subscribe: String = (0..SUBSCRIPTIONS)
        .map(|id| {
            format!(
                "SUBSCRIBE\nid:{id}\nack:client-individual\nprefetch-count:10\n\
                 destination:/queue/many\n\n\0"
            )
        })
        .collect();
    holder.send(subscribe);
    eventually("it subscribed and holds them all", || {
        let seen = ask(&broker, "overview");
        (seen["in_flight"] == MESSAGES && seen["subscriptions"] == SUBSCRIPTIONS).then_some(())
    });
    let mut other = connect(&broker);
    other.send_receipted("/queue/other", &[("persistent", "false")], "");
    holder
        .stream
        .shutdown(std::net::Shutdown::Both)
        .expect("it is open");
    // Until it is forgotten, every SEND of the other one is answered soon; the console asks the same dispatcher.
    let end = Instant::now() + PATIENCE;
    loop {
        let began = Instant::now();
        other.send_receipted("/queue/other", &[("persistent", "false")], "");
        let in_flight = overview(&broker, "in_flight");
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(2), "stopped for {waited:?}");
        if in_flight == 0 {
            break;
        }
        assert!(Instant::now() < end, "{in_flight} never came back");
    }
    drained.join().expect("reading does not panic");
    await_depth(&broker, "many", MESSAGES as u64);
}

#[test]
fn subscriptions_that_come_and_go_without_reading_bound_the_memory() {
    const MESSAGES: usize = 500;
    let broker = start_watched("");
    fill(&broker, "/queue/churn", "", MESSAGES, &"x".repeat(16_000));
    let mut deaf = Flood::connect(broker.stomp());
    overview(&broker, "memory_bytes");
    let before = resident(&broker).now_bytes().expect("it runs");
    let mut in_flight_most = 0;
    for id in 0..300 {
        deaf.send(format!(
            "SUBSCRIBE\nid:{id}\nack:client-individual\nprefetch-count:100\n\
                 destination:/queue/churn\n\n\0"
        ));
        // Gives the subscription the time to be served.
        in_flight_most = in_flight_most.max(overview(&broker, "in_flight"));
        deaf.send(format!("UNSUBSCRIBE\nid:{id}\n\n\0"));
    }
    expect_quiet(&mut connect(&broker));
    assert!(in_flight_most > 0, "no subscription was ever served");
    // The peak: what was taken for a while counts too.
    let grown = resident(&broker)
        .peak_bytes()
        .expect("it runs")
        .saturating_sub(before);
    assert!(grown < 40 * MIB, "{grown} taken for one that reads nothing");
    drop(deaf);
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/churn", "client-individual");
    let got: BTreeSet<usize> = (0..MESSAGES)
        .map(|_| {
            let message = consumer.expect_message();
            header(&message, "n").parse().expect("a number")
        })
        .collect();
    assert_eq!(got.len(), MESSAGES, "some came twice");
    expect_quiet(&mut consumer);
}

/// Fifty kilobytes of SENDs would be ten million deliveries: what they cost must not depend on who fails to read them.
fn check_deaf_topic(name: &'static str, mode: &str) {
    let (subscriptions, count, limit) =
        Scale::asked_for().of((2_000, 2_000, 64), (OF_A_CONNECTION, 20_000, 256));
    let broker = start_watched(&format!(
        "[stomp]\nstalled_after = \"3s\"\n[limits]\nmemory_bytes = \"{limit} MiB\"\nbody_bytes = \"1 MiB\"\n\
         transaction_bytes = \"1 MiB\"\n"
    ));
    let trial = Trial::begin(name, broker);
    trial.run((limit + 32) * MIB, |broker| {
        let mut deaf = Flood::connect(broker.stomp());
        subscribe(&mut deaf, subscriptions, mode, |_| "/topic/deaf".to_owned());
        let mut reader = connect(broker);
        reader.subscribe("s", "/topic/deaf", "auto");
        let mut producer = Flood::connect(broker.stomp());
        let mut batch = String::new();
        for number in 0..count {
            batch.push_str(&format!(
                "SEND\ndestination:/topic/deaf\npersistent:false\nn:{number}\n\n\0"
            ));
        }
        producer.set_write_patience(PATIENCE);
        producer.send(batch);
        // Whoever reads gets all of it, in order, once the other one has been closed.
        for number in 0..count {
            let message = reader.expect_message();
            assert_eq!(header(&message, "n"), number.to_string());
        }
        drop(deaf);
    });
}

#[test]
fn a_topic_with_ten_thousand_subscriptions_of_a_client_that_does_not_read_bounds_the_memory() {
    check_deaf_topic("a topic of 10,000 deaf subscriptions", "auto");
}

#[test]
fn a_topic_with_ten_thousand_subscriptions_that_do_not_acknowledge_bounds_the_memory() {
    check_deaf_topic("the same, to be acknowledged", "client");
}
