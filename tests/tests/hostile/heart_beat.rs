//! Heart-beats as a weapon, and heart-beats that nobody listens to.

use std::time::{Duration, Instant};

use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::{Version, Wire};

use crate::fixture::{ask, connect, eventually, start_watched};
use crate::trial::{MIB, TIGHT, Trial};

#[test]
fn a_flood_of_heart_beats_stops_nobody() {
    let (floods, bytes) = Scale::asked_for().of((2, 4 << 20), (4, 256 << 20));
    let trial = Trial::begin("a flood of heart-beats", start_watched(""));
    trial.run(16 * MIB, |broker| {
        std::thread::scope(|scope| {
            for _ in 0..floods {
                scope.spawn(|| {
                    let mut flood = Flood::connect(broker.stomp());
                    let beats = [b'\n'; 64 * 1024];
                    for _ in 0..bytes / beats.len() {
                        flood.send(beats);
                    }
                    flood.send("DISCONNECT\nreceipt:alive\n\n\0");
                    flood.read_frame().expect("a receipt comes");
                });
            }
        });
    });
}

#[test]
fn wishes_for_a_heart_beat_every_millisecond_are_granted_at_the_minimum() {
    let count = Scale::asked_for().of(50, 2_000);
    let period = Duration::from_secs(2);
    let trial = Trial::begin("heart-beats every millisecond", start_watched(""));
    trial.run(8 * MIB + count as u64 * 64 * 1024, |broker| {
        let mut greedy: Vec<Flood> = (0..count)
            .map(|_| {
                let session = Flood::try_connect(broker.stomp(), "heart-beat:0,1\n");
                session.unwrap_or_else(|error| panic!("no session: {error}"))
            })
            .collect();
        let began = Instant::now();
        std::thread::sleep(period);
        for flood in &mut greedy {
            flood.send("DISCONNECT\nreceipt:alive\n\n\0");
        }
        for flood in &mut greedy {
            let all = flood.read_to_end().expect("it is closed");
            let beats = all.iter().take_while(|byte| **byte == b'\n').count();
            // Half the agreed 500 ms is how often they come, so that none is late.
            let most = began.elapsed().as_millis() / 250 + 4;
            assert!(beats > 0 && beats as u128 <= most, "{beats} beats");
        }
    });
}

#[test]
fn a_producer_that_was_held_back_is_not_taken_for_silent() {
    const FRAMES: usize = 40;
    const PRODUCERS: usize = 4;
    let broker = start_watched(&format!(
        "{TIGHT}stash_frames = 10\n[policy]\nprefetch_bytes = \"64 MiB\"\n"
    ));
    // Another one fills the memory and waits there; what a consumer holds cannot leave it.
    let mut filler = connect(&broker);
    let mut holder = connect(&broker);
    let wishes = [("activemq.prefetchSize", "10000")];
    holder.subscribe_with("s", "/queue/full", "client-individual", &wishes);
    let body = "x".repeat(200 * 1024);
    let frame = format!("SEND\ndestination:/queue/full\npersistent:false\n\n{body}\0");
    let blocked = || {
        let listing = ask(&broker, "connections?limit=1000");
        let items = listing["items"].as_array().expect("a listing has items");
        items.iter().filter(|item| item["blocked"] == true).count()
    };
    filler.set_write_patience(Duration::from_millis(200));
    for _ in 0..90 {
        if blocked() > 0 || filler.try_send_raw(frame.as_bytes()).is_err() {
            break;
        }
    }
    eventually("the memory is full", || (blocked() == 1).then_some(()));
    let mut producers: Vec<Wire> = (0..PRODUCERS)
        .map(|_| Wire::connect_with(broker.stomp(), Version::V12, &[("heart-beat", "500,0")]))
        .collect();
    let send = |producer: &mut Wire, number: usize| {
        producer.send(&format!(
            "SEND\ndestination:/queue/held\npersistent:false\nreceipt:h{number}\n\n^@"
        ));
    };
    // The first is taken, and with it the word that they have to wait.
    for producer in &mut producers {
        send(producer, 0);
    }
    eventually("they are held back", || {
        (blocked() == 1 + PRODUCERS).then_some(())
    });
    for producer in &mut producers {
        producer.expect_receipt("h0");
        for number in 1..FRAMES {
            send(producer, number);
        }
    }
    // They say that they live, again and again, and nobody listens: their stashes are full.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_600) {
        for producer in &mut producers {
            producer.send("\n");
        }
        let one = &mut producers[0];
        if let Ok(frame) = one.try_next(Duration::from_millis(50))
            && frame.header("receipt-id") == Some(&format!("h{}", FRAMES - 1))
        {
            one.fail("it was not held back");
        }
    }
    assert_eq!(blocked(), 1 + PRODUCERS, "they are not held back any more");
    drop(holder);
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/full", "auto");
    for producer in &mut producers {
        let last = format!("h{}", FRAMES - 1);
        producer.expect_receipt(&last);
    }
    // Alive and heard, all of them.
    for producer in &mut producers {
        producer.send_receipted("/queue/held", &[("persistent", "false")], "");
    }
    assert_eq!(blocked(), 0);
}
