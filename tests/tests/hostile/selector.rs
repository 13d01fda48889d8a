//! Selectors that match next to nothing of a long queue.

use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::flood::Flood;
use stompbox_tests::resident::Resident;
use stompbox_tests::say;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::Wire;

use crate::fixture::{connect, header, overview, start_watched};
use crate::meter::Meter;
use crate::trial::{MIB, resident};

const QUEUE: &str = "/queue/long";

/// Messages that match.
const RARE: usize = 10;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where they stand: in the second half, so that nobody who begins at the front gets there first.
fn rare_of(count: usize) -> Vec<usize> {
    let step = count / 2 / RARE;
    (1..=RARE).map(|rare| count / 2 + rare * step - 1).collect()
}

fn fill(broker: &Broker, count: usize) {
    let mut wire = connect(broker);
    let mut batch = Vec::new();
    let rare = rare_of(count);
    for number in 0..count {
        let kind = if rare.contains(&number) {
            "rare"
        } else {
            "usual"
        };
        let receipt = if number + 1 == count {
            "receipt:filled\n"
        } else {
            ""
        };
        batch.extend_from_slice(
            format!("SEND\ndestination:{QUEUE}\nn:{number}\nkind:{kind}\n{receipt}\n0123456789\0")
                .as_bytes(),
        );
        if batch.len() > 64 * 1024 || number + 1 == count {
            wire.send_raw(&batch);
            batch.clear();
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while wire.try_next(Duration::from_secs(1)).is_err() {
        assert!(Instant::now() < deadline, "the queue is not filled");
    }
    wire.disconnect();
}

fn select(broker: &Broker) -> Wire {
    let mut wire = connect(broker);
    let rare = [("selector", "kind = 'rare'")];
    wire.subscribe_with("s", QUEUE, "client-individual", &rare);
    wire
}

fn rate(meter: &Meter, period: Duration) -> f64 {
    let (began, before) = (Instant::now(), meter.count());
    std::thread::sleep(period);
    (meter.count() - before) as f64 / began.elapsed().as_secs_f64()
}

#[test]
fn a_selector_that_matches_next_to_nothing_finds_it_and_leaves_the_rest_to_others() {
    let scale = Scale::asked_for();
    let count = scale.of(20_000, 1_000_000);
    let broker = start_watched("");
    fill(&broker, count);
    // One at a time: it feels whatever comes in between.
    let meter = Meter::start(&broker, QUEUE, 1);
    meter.await_count(1, PATIENCE);
    let quiet = scale.of(Duration::from_millis(100), Duration::from_secs(3));
    let before = rate(&meter, quiet);

    let process = resident(&broker);
    process.forget_peak().expect("it runs");
    let cpu = process.cpu().expect("it runs");
    let (began, taken) = (Instant::now(), meter.count());
    let mut consumer = select(&broker);
    for (index, number) in rare_of(count).into_iter().enumerate() {
        let message = loop {
            if let Ok(message) = consumer.try_next(Duration::from_millis(100)) {
                break message;
            }
            assert!(began.elapsed() < PATIENCE, "{index} of {RARE} came");
        };
        assert_eq!(header(&message, "n"), number.to_string());
    }
    let took = began.elapsed();
    let during = (meter.count() - taken) as f64 / took.as_secs_f64();
    let scanned = process.cpu().expect("it runs") - cpu;
    let peak = process.peak_bytes().expect("it runs") / MIB;
    let after = rate(&meter, quiet);
    drop(meter);

    let (again, first_took) = second(&broker, process, &mut consumer);
    let ratio = during / before.max(after);
    if scale == Scale::Full {
        say(&format!(
            "proof: a selector that matches {RARE} of {count}: all in {took:.1?}; another consumer {before:.0}/s \
             before, {during:.0}/s meanwhile, {after:.0}/s after it, ratio {ratio:.2}; at the most {peak} MiB \
             resident; processor time {scanned:.1?}, of a second consumer with it {again:.1?}, which got a new message after {first_took:.1?}"
        ));
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert!(ratio >= 0.8, "{before:.0}/s, {during:.0}/s, {after:.0}/s");
        assert!(peak < 200, "{peak} MiB");
        assert!(again < scanned / 5, "{again:?} of {scanned:?}");
    }
}

/// A second consumer with the same selector: the processor time of its coming, and how long a new message took to it.
fn second(broker: &Broker, process: Resident, first: &mut Wire) -> (Duration, Duration) {
    let cpu = process.cpu().expect("it runs");
    let mut second = select(broker);
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    let mut sender = connect(broker);
    for _ in 0..2 {
        sender.send_receipted(QUEUE, &[("kind", "rare")], "new");
    }
    // One each, as they take turns.
    assert_eq!(second.expect_message().text(), "new");
    let took = began.elapsed();
    assert_eq!(first.expect_message().text(), "new");
    (process.cpu().expect("it runs") - cpu, took)
}

/// A few bytes each: what they cost must not grow with the square of how many there are.
#[test]
fn different_selectors_in_masses_on_one_queue_stop_nobody() {
    const EACH: usize = 9_990;
    const WAIT_MAX: Duration = Duration::from_secs(2);
    let connections = Scale::asked_for().of(1, 4);
    let broker = start_watched("");
    let mut other = connect(&broker);
    let mut longest = Duration::ZERO;
    let mut ask = |other: &mut Wire| {
        let began = Instant::now();
        other.send_receipted("/queue/other", &[("persistent", "false")], "");
        longest = longest.max(began.elapsed());
        assert!(longest < WAIT_MAX, "stopped for {longest:?}");
    };
    let mut holders = Vec::new();
    for connection in 0..connections {
        let mut holder = Flood::connect(broker.stomp());
        let mut batch = String::new();
        for id in 0..EACH {
            batch.push_str(&format!(
                "SUBSCRIBE\nid:{id}\nack:client\ndestination:{QUEUE}\nselector:k = '{connection}.{id}'\n\n\0"
            ));
        }
        holder.send(batch);
        holders.push(holder);
        let end = Instant::now() + PATIENCE;
        let all = (EACH * (connection + 1)) as u64;
        while overview(&broker, "subscriptions") < all {
            ask(&mut other);
            assert!(Instant::now() < end, "they never came");
        }
    }
    // Whatever comes is looked at by each of them.
    let last = format!("{}.{}", connections - 1, EACH - 1);
    for (count, kind) in [(20, "nothing"), (1, &last)] {
        for _ in 0..count {
            ask(&mut other);
            other.send_receipted(QUEUE, &[("persistent", "false"), ("k", kind)], "x");
        }
    }
    let end = Instant::now() + PATIENCE;
    while overview(&broker, "in_flight") == 0 {
        ask(&mut other);
        assert!(Instant::now() < end, "the last one was never found");
    }
    drop(holders);
    while overview(&broker, "subscriptions") > 0 {
        ask(&mut other);
        assert!(Instant::now() < end, "they never went");
    }
    say(&format!(
        "proof: {} different selectors on one queue: another client waits {longest:.1?} at the most",
        connections * EACH
    ));
}
