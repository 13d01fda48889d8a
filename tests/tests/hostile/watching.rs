//! Clients that watch the broker too closely: advisories that nobody reads, statistics asked for in masses.

use std::time::Duration;

use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;

use crate::fixture::{connect, eventually, overview, start_watched};
use crate::trial::{MIB, TIGHT, Trial};

#[test]
fn a_listener_to_everything_that_reads_nothing_costs_a_bounded_memory_and_stops_nobody() {
    let (rounds, destinations) = Scale::asked_for().of((60, 100), (2_000, 1_000));
    let trial = Trial::begin("advisories that nobody reads", start_watched(TIGHT));
    trial.run(48 * MIB, |broker| {
        let mut deaf = Flood::connect(broker.stomp());
        deaf.send("SUBSCRIBE\nid:s\nack:client\ndestination:/topic/ActiveMQ.Advisory.>\n\n\0");
        // Each round a connection comes, consumes and produces, and goes.
        let mut batch = String::new();
        for number in 0..destinations {
            batch.push_str(&format!(
                "SUBSCRIBE\nid:{number}\ndestination:/queue/q{number}\n\n\0"
            ));
            batch.push_str(&format!(
                "SEND\npersistent:false\ndestination:/topic/t{number}\n\n\0"
            ));
        }
        for _ in 0..rounds {
            let mut busy = Flood::connect(broker.stomp());
            busy.send(&batch);
            busy.send("DISCONNECT\nreceipt:all\n\n\0");
            busy.read_frame().expect("a receipt comes");
        }
    });
}

#[test]
fn statistics_asked_for_in_masses_cost_a_bounded_memory_and_leave_the_others_their_turn() {
    let (rounds, queues) = Scale::asked_for().of((4, 300), (300, 2_000));
    let trial = Trial::begin("statistics in masses", start_watched(TIGHT));
    trial.run(48 * MIB, |broker| {
        let mut maker = connect(broker);
        for number in 0..queues {
            let volatile = [("persistent", "false")];
            maker.send_receipted(&format!("/queue/q{number}"), &volatile, "");
        }
        let query = "SEND\ndestination:ActiveMQ.Statistics.Destination.>\n\
                     reply-to:/temp-queue/answers\n\n\0";
        let attack = format!(
            "SUBSCRIBE\nid:s\ndestination:/temp-queue/answers\n\n\0{}",
            query.repeat(500)
        );
        for round in 0..rounds {
            let mut flood = Flood::connect(broker.stomp());
            if round % 2 == 0 {
                // One that reads sees that it has gone too far.
                flood.send(&attack);
                let heard = flood.read_to_end().expect("it is closed");
                let heard = String::from_utf8_lossy(&heard);
                assert!(heard.contains("too many statistics at once"), "{heard}");
            } else {
                flood.send_until_stuck(attack.as_bytes(), Duration::from_millis(100));
            }
        }
        eventually("the answers are gone with whoever asked", || {
            (overview(broker, "depth") <= queues as u64 + 1).then_some(())
        });
    });
}
