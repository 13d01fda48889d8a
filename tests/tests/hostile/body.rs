//! Bodies of which half arrives: what has arrived is charged, what was declared is not, and memory that is waited for
//! is not waited for without an end.

use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;

use crate::fixture::{connect, eventually, overview, start_watched};
use crate::trial::{MIB, TIGHT, Trial};

/// What `limits.body_bytes` allows.
const LONGEST: usize = 100 * MIB as usize;

/// Opens a connection that declares a body of this length and sends so much of it.
fn half_arrived(broker: &Broker, declared: usize, bytes: usize) -> Flood {
    let mut flood = Flood::connect(broker.stomp());
    flood.send(format!(
        "SEND\ndestination:/queue/half\ncontent-length:{declared}\n\n"
    ));
    // As much as is read.
    flood.send_until_stuck(&vec![b'x'; bytes], Duration::from_millis(500));
    flood
}

#[test]
fn half_arrived_bodies_cost_what_has_arrived() {
    const ARRIVED: usize = 600 * 1024;
    let count = Scale::asked_for().of(40, 1_000);
    let trial = Trial::begin("half-arrived bodies", start_watched(""));
    // A buffer that grows is twice as large for a moment; a half more for the rest of the process.
    let bound = count * ARRIVED as u64 * 3 / 2 + 32 * MIB;
    trial.run(bound, |broker| {
        let before = overview(broker, "memory_bytes");
        let half: Vec<Flood> = (0..count)
            .map(|_| half_arrived(broker, LONGEST, ARRIVED))
            .collect();
        eventually("all of it is charged", || {
            let charged = overview(broker, "memory_bytes").saturating_sub(before);
            (charged >= count * ARRIVED as u64).then_some(())
        });
        drop(half);
        eventually("all of it is given back", || {
            (overview(broker, "memory_bytes") < before + MIB).then_some(())
        });
    });
}

/// Each of them could still be completed, and none ever is: they must not hold the producers back for ever.
#[test]
fn half_arrived_bodies_that_fill_the_memory_are_refused_after_a_while() {
    const ARRIVED: usize = 300 * 1024;
    let broker = start_watched(TIGHT);
    let mut half: Vec<Flood> = (0..60)
        .map(|_| half_arrived(&broker, MIB as usize, ARRIVED))
        .collect();
    eventually("the memory is full", || {
        (overview(&broker, "memory_bytes") >= 16 * MIB).then_some(())
    });
    // However many there are, they come to no more than a quarter beyond the limit.
    let used = overview(&broker, "memory_bytes");
    assert!(used < 22 * MIB, "{used}");
    let began = Instant::now();
    let mut producer = connect(&broker);
    let frame = "SEND\ndestination:/queue/after\npersistent:false\nreceipt:";
    producer.send(&format!("{frame}1\n\n^@{frame}2\n\n^@"));
    for flood in &mut half {
        flood
            .stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket takes a time-out");
        let answer = flood.read_to_end().expect("it is closed");
        let answer = String::from_utf8_lossy(&answer);
        let refused = answer
            .trim_start()
            .starts_with("ERROR\nmessage:memory is full\n");
        assert!(refused, "{answer}");
        if overview(&broker, "memory_bytes") < 14 * MIB {
            break;
        }
    }
    producer.expect_receipt("2");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(16), "{took:?}");
}
