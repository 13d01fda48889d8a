//! Consumers that stop while they own a message group.

use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::say;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::Wire;

use crate::fixture::{connect, header, queue, start_watched};
use crate::meter::Meter;
use crate::trial::{fill, resident};

/// Groups beside the one whose consumer has stopped.
const GROUPS: usize = 100;

const PATIENCE: Duration = Duration::from_secs(60);

/// Messages of many groups, one after the other.
fn fill_groups(broker: &Broker, destination: &str, count: usize) {
    let mut wire = connect(broker);
    let mut batch = Vec::new();
    for number in 0..count {
        let group = number % GROUPS;
        let receipt = if number + 1 == count {
            "receipt:filled\n"
        } else {
            ""
        };
        batch.extend_from_slice(
            format!(
                "SEND\ndestination:{destination}\nJMSXGroupID:g{group}\n{receipt}\n0123456789\0"
            )
            .as_bytes(),
        );
        if batch.len() > 64 * 1024 || number + 1 == count {
            wire.send_raw(&batch);
            batch.clear();
        }
    }
    wire.expect_receipt("filled");
    wire.disconnect();
}

/// Drains the groups of a queue: how long the first message took, and how many a second came then.
fn drain(broker: &Broker, destination: &str, count: usize) -> (Duration, f64) {
    let meter = Meter::start(broker, destination, 1_000);
    let first = meter.await_count(1, PATIENCE);
    let (began, before) = (Instant::now(), meter.count());
    meter.await_count(count, PATIENCE);
    let seconds = began.elapsed().as_secs_f64();
    (first, (count - before) as f64 / seconds)
}

/// Takes the rest of the group, in order.
fn take_all(wire: &mut Wire, count: usize) {
    for number in 0..count {
        let message = wire.expect_message();
        assert_eq!(header(&message, "n"), number.to_string(), "in order");
        wire.send(&format!("ACK\nid:{}\n\n^@", header(&message, "ack")));
    }
}

#[test]
fn a_group_whose_consumer_has_stopped_does_not_stop_the_others_behind_it() {
    let scale = Scale::asked_for();
    let (stalled, others) = scale.of((2_000, 2_000), (100_000, 200_000));
    let broker = start_watched("");
    fill_groups(&broker, "/queue/alone", others);
    let (first_alone, alone) = drain(&broker, "/queue/alone", others);

    let mut owner = connect(&broker);
    let one = [("prefetch-count", "1")];
    owner.subscribe_with("s", "/queue/shared", "client-individual", &one);
    fill(
        &broker,
        "/queue/shared",
        "JMSXGroupID:stalled\n",
        stalled,
        "x",
    );
    fill_groups(&broker, "/queue/shared", others);
    let (first, shared) = drain(&broker, "/queue/shared", others);
    let seen = queue(&broker, "shared").expect("it is there");
    assert_eq!(seen["parked"], stalled - 1, "{seen}");
    let ratio = shared / alone;
    let peak = resident(&broker).peak_bytes().expect("it runs") >> 20;
    if scale == Scale::Full {
        say(&format!(
            "proof: a group of {stalled} whose consumer has stopped: other groups {alone:.0}/s without it, \
             {shared:.0}/s behind it, ratio {ratio:.2}; first message after {first_alone:.1?} and {first:.1?}; at \
             the most {peak} MiB resident"
        ));
    }
    assert!(ratio >= scale.of(0.3, 0.8), "{shared:.0}/s of {alone:.0}/s");
    assert!(first < Duration::from_secs(10), "{first:?}");
    take_all(&mut owner, stalled);
}
