//! One hostile input on trial: a broker, a bystander whose rate is compared before and during the attack, and a bound
//! for the broker's resident memory.

use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::bystander::{Bystander, Seen};
use stompbox_tests::resident::Resident;
use stompbox_tests::say;
use stompbox_tests::scale::Scale;

use crate::fixture::connect;

pub(crate) const MIB: u64 = 1024 * 1024;

/// The least memory that can be configured.
pub(crate) const TIGHT: &str = "[limits]\nmemory_bytes = \"16 MiB\"\nbody_bytes = \"1 MiB\"\n\
    transaction_bytes = \"1 MiB\"\n";

pub(crate) fn resident(broker: &Broker) -> Resident {
    Resident(broker.process_id().expect("it runs"))
}

/// Sends so many messages to a queue as fast as they are taken; the last one has a receipt that is waited for.
pub(crate) fn fill(broker: &Broker, destination: &str, headers: &str, count: usize, body: &str) {
    let mut wire = connect(broker);
    let length = body.len();
    let mut batch = Vec::new();
    for number in 0..count {
        let receipt = if number + 1 == count {
            "receipt:filled\n"
        } else {
            ""
        };
        batch.extend_from_slice(
            format!(
                "SEND\ndestination:{destination}\nn:{number}\n{headers}{receipt}\
                 content-length:{length}\n\n{body}\0"
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

/// A broker under attack.
pub(crate) struct Trial {
    name: &'static str,
    broker: Broker,
    bystander: Bystander,
    before: Seen,
    resident: Resident,
    resident_before: u64,
}

impl Trial {
    /// Starts the bystander and watches it while nothing else happens.
    pub(crate) fn begin(name: &'static str, broker: Broker) -> Trial {
        let scale = Scale::asked_for();
        let rate = scale.of(200, 2_000);
        let bystander = Bystander::start(broker.stomp(), "/queue/bystander", rate);
        // The first seconds of a process are not like the others.
        let _warm_up = bystander.watch(scale.of(Duration::ZERO, Duration::from_secs(1)));
        let quiet = scale.of(Duration::from_millis(500), Duration::from_secs(3));
        let before = bystander.watch(quiet);
        let resident = resident(&broker);
        let resident_before = resident.now_bytes().expect("it runs");
        resident.forget_peak().expect("it runs");
        Trial {
            name,
            broker,
            bystander,
            before,
            resident,
            resident_before,
        }
    }

    /// Attacks, then holds bystander, memory and messages against what is promised: `bound` is the most that may have
    /// become resident beyond what was before.
    pub(crate) fn run<T>(self, bound: u64, attack: impl FnOnce(&Broker) -> T) -> T {
        let scale = Scale::asked_for();
        let from = self.bystander.now();
        let began = Instant::now();
        let result = attack(&self.broker);
        let took = began.elapsed();
        // A rate wants a while to be measured in.
        let least = scale.of(Duration::from_millis(500), Duration::from_secs(3));
        std::thread::sleep(least.saturating_sub(took));
        let during = self.bystander.seen(from, self.bystander.now());
        let peak = self.resident.peak_bytes().expect("it runs");
        let grown = peak.saturating_sub(self.resident_before);
        // One that was catching up before was faster than it need be.
        let ratio = during.rate() / self.before.rate().min(self.bystander.rate());
        if scale == Scale::Full {
            say(&format!(
                "proof: hostile {}: {:.1} s; resident {} MiB before, {} MiB more at the most, of {} MiB; \
                 bystander {} before, {during} during, ratio {ratio:.2}",
                self.name,
                took.as_secs_f64(),
                self.resident_before / MIB,
                grown / MIB,
                bound / MIB,
                self.before,
            ));
        }
        let count = self.bystander.finish();
        assert!(count > 0, "nobody was beside");
        assert!(
            grown <= bound,
            "{}: {} MiB more than the {} MiB before, {} MiB are allowed",
            self.name,
            grown / MIB,
            self.resident_before / MIB,
            bound / MIB,
        );
        // A share runs unoptimised and beside the other tests. It notices who is stopped, not who is slowed down.
        let least = scale.of(0.5, 0.9);
        assert!(
            ratio >= least,
            "{}: {} before, {during} during",
            self.name,
            self.before
        );
        let output = self.broker.output();
        assert!(!output.contains("panicked"), "{output}");
        result
    }
}
