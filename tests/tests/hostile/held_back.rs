//! Producers that are held back and send on: what waits in their stashes is bounded for all of them together.

use std::time::Duration;

use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;

use crate::fixture::{ask, connect, eventually, start_watched};
use crate::trial::{MIB, Trial};

#[test]
fn held_back_producers_that_send_on_bound_the_memory_and_lose_nothing() {
    const SENDS: usize = 900;
    let producers = Scale::asked_for().of(40, 1_000);
    let broker = start_watched(
        "[limits]\nmemory_bytes = \"16 MiB\"\nbody_bytes = \"1 MiB\"\ntransaction_bytes = \"1 MiB\"\n\
         [policy]\npending_messages = 1\n",
    );
    let trial = Trial::begin("held-back producers that send on", broker);
    // A quarter of the limit, what arrives in part, and two buffers each.
    let bound = (16 + 8) * MIB + producers * 64 * 1024;
    trial.run(bound, |broker| {
        let mut slow = connect(broker);
        let prefetch = [("prefetch-count", "1")];
        slow.subscribe_with("s", "/topic/slow", "client-individual", &prefetch);
        let frame = |number: usize| {
            format!(
                "SEND\ndestination:/topic/slow\npersistent:false\nreceipt:{number}\n\n{}\0",
                "x".repeat(1_000)
            )
        };
        let mut floods: Vec<(Flood, Vec<u8>)> = (0..producers)
            .map(|_| {
                let all: String = (0..SENDS).map(frame).collect();
                let mut flood = Flood::connect(broker.stomp());
                // The first ones are taken, and hold it back.
                flood.send(frame(SENDS).repeat(4));
                (flood, all.into_bytes())
            })
            .collect();
        eventually("they are held back", || {
            let listing = ask(broker, "connections?limit=1000");
            let items = listing["items"].as_array().expect("a listing has items");
            let blocked = items.iter().filter(|item| item["blocked"] == true);
            (blocked.count() as u64 >= producers.min(900)).then_some(())
        });
        for (flood, rest) in &mut floods {
            let sent = flood.send_until_stuck(rest, Duration::from_millis(20));
            rest.drain(..sent);
        }
        slow.disconnect();
        for (mut flood, rest) in floods {
            let drained = flood.drain();
            flood.set_write_patience(Duration::from_secs(10));
            flood.send(rest);
            flood.send("DISCONNECT\nreceipt:end\n\n\0");
            drained.join().expect("reading does not panic");
        }
        let sent = producers * (SENDS as u64 + 4);
        eventually("all of it has come", || {
            let topics = ask(broker, "topics?name=slow");
            (topics["items"][0]["enqueued_total"] == sent).then_some(())
        });
    });
}
