//! A long schedule: the broker starts without reading it, and what is due comes in time.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stompbox_tests::say;
use stompbox_tests::scale::Scale;

use crate::client::{Client, body};
use crate::load::{MIB, kill_and_start, publish, push_send, resident, start};

const QUEUE: &str = "/queue/later";

/// What becomes due before the broker is started again and the consumer is there counts from there.
const LEAD: Duration = Duration::from_secs(5);

fn now_us() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_micros()
}

/// Schedules so many for another day.
fn load(address: SocketAddr, count: usize) {
    const CONNECTIONS: usize = 4;
    const OF_A_TRANSACTION: usize = 1_000;
    thread::scope(|scope| {
        for index in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let mut left = count / CONNECTIONS;
                while left > 0 {
                    let size = left.min(OF_A_TRANSACTION);
                    let mut batch = b"BEGIN\ntransaction:t\n\n\0".to_vec();
                    for number in 0..size {
                        let delay = 86_400_000 + (left - number) * CONNECTIONS + index;
                        let headers = format!("transaction:t\nAMQ_SCHEDULED_DELAY:{delay}\n");
                        push_send(&mut batch, QUEUE, &headers, &[b'f'; 100]);
                    }
                    batch.extend_from_slice(b"COMMIT\ntransaction:t\nreceipt:t\n\n\0");
                    client.send(&batch);
                    client.expect_receipt();
                    left -= size;
                }
            });
        }
    });
}

/// Schedules so many in equal distances from a time on. Their bodies say when the broker got them at the earliest, plus
/// their delay.
fn schedule(client: &mut Client, count: usize, from_us: u128, window: Duration) {
    publish(client, count, |number, batch| {
        let offset = window.as_micros() * number as u128 / count as u128;
        let now = now_us();
        let delay_ms = (from_us + offset).saturating_sub(now) / 1_000;
        let headers = format!("receipt:{number}\nx-delay:{delay_ms}\n");
        let body = format!("{number} {}", now + delay_ms * 1_000);
        push_send(batch, QUEUE, &headers, body.as_bytes());
    });
}

/// Reads them all; how late each was in microseconds, sorted. Each comes once, and none before its time.
fn lateness(client: &mut Client, count: usize) -> Vec<u128> {
    let mut seen = vec![false; count];
    let mut late: Vec<u128> = (0..count)
        .map(|_| {
            let frame = client.next();
            let now = now_us();
            let text = std::str::from_utf8(body(frame)).expect("text");
            let (number, due) = text.split_once(' ').expect("a number and a time");
            let number: usize = number.parse().expect("a number");
            let due: u128 = due.parse().expect("a time");
            assert!(
                !std::mem::replace(&mut seen[number], true),
                "{number} twice"
            );
            // Times are of whole milliseconds.
            assert!(now + 1_000 >= due, "{number} came {} us early", due - now);
            now.saturating_sub(due)
        })
        .collect();
    late.sort_unstable();
    late
}

#[test]
fn a_long_schedule_does_not_delay_the_start_and_what_is_due_comes_in_time() {
    let scale = Scale::asked_for();
    let (far, near) = scale.of((2_000, 1_000), (950_000, 50_000));
    let window = scale.of(Duration::from_secs(2), Duration::from_secs(10));
    let lead = scale.of(Duration::from_secs(2), LEAD);
    let mut broker = start();
    let began = Instant::now();
    load(broker.stomp(), far);
    let loaded = far as f64 / began.elapsed().as_secs_f64();

    let mut producer = Client::connect(broker.stomp());
    let from_us = now_us() + lead.as_micros();
    schedule(&mut producer, near, from_us, window);
    let listens = kill_and_start(&mut broker);
    let mut consumer = Client::connect(broker.stomp());
    consumer.send(format!(
        "SUBSCRIBE\nid:s\ndestination:{QUEUE}\nreceipt:r\n\n\0"
    ));
    consumer.expect_receipt();
    assert!(now_us() < from_us, "the machine is too slow for this");
    let late = lateness(&mut consumer, near);
    let of = |share: f64| late[((near - 1) as f64 * share) as usize] as f64 / 1_000.0;
    let (half, most, last) = (of(0.5), of(0.99), of(1.0));
    let peak = resident(&broker).peak_bytes().expect("it runs") / MIB;
    let rate = near as f64 / window.as_secs_f64();
    say(&format!(
        "proof: scale schedule: {far} scheduled for another day at {loaded:.0}/s, {near} for {window:.0?}; listens \
         {listens:.0?} after a kill; {rate:.0}/s due, late by {half:.1} ms, p99 {most:.1} ms, at the most {last:.1} ms; \
         {peak} MiB resident at the most"
    ));
    let limit = scale.of(Duration::from_secs(10), Duration::from_secs(1));
    assert!(listens < limit, "{listens:?}");
    assert!(last <= scale.of(1_000.0, 50.0), "{last} ms late");
}
