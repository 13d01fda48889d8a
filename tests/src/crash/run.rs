//! Lives of one broker on one folder: work, kill, start again; in the end drain everything.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::history::{Event, History, Life};
use super::random::Random;
use super::workload::{self, Shared, Shift};
use crate::broker::{Broker, Launch};

/// Without so many receipts in a life there is no crash worth the name.
const RECEIPTS_MIN: u64 = 500;

/// Receipts of a life that fills a queue: more than the broker keeps of one in memory.
const RECEIPTS_TO_FILL: u64 = 3_000;

/// Receipts of a long life: several checkpoints of the store.
const RECEIPTS_OF_LONG_LIFE: u64 = 8_000;

/// One life in so many fills a queue, and one in so many is long.
const ODDS: u64 = 16;

/// A life must have brought its receipts by then.
const LIFE_PATIENCE: Duration = Duration::from_secs(60);

/// What the lives of a run are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lives {
    /// Short ones with everything at once.
    Short,
    /// Now and then one that fills a queue, or a long one.
    Varied,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The broker.
    pub program: PathBuf,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Decides the moments of the kills and the choices of the workload.
    pub seed: u64,
    /// Kills.
    pub cycles: u32,
    /// What is killed.
    pub lives: Lives,
}

/// What came of it.
#[derive(Debug)]
pub struct Summary {
    /// All that happened.
    pub history: History,
    /// Receipts of each life before its kill.
    pub receipts: Vec<u64>,
}

/// Runs a plan.
///
/// # Panics
/// When the broker does not start or stop, or a life makes no progress.
#[must_use]
pub fn run(plan: &Plan) -> Summary {
    let mut random = Random::new(plan.seed);
    let mut launch = Launch::new(&plan.program);
    for (name, value) in &plan.environment {
        launch = launch.env(name, value);
    }
    let shared = Arc::new(Shared::default());
    let mut broker = launch.start();
    let mut receipts = Vec::new();
    for number in 1..=plan.cycles {
        let (shift, receipts_min) = plan.lives.choose(&mut random);
        let life = Life(number);
        receipts.push(live(
            &shared,
            &mut broker,
            life,
            shift,
            receipts_min,
            &mut random,
        ));
        broker.start_again();
    }
    drain(&shared, &mut broker, Life(plan.cycles + 1), &mut random);
    broker.start_again();
    // What the drain acknowledged was promised too.
    drain(&shared, &mut broker, Life(plan.cycles + 2), &mut random);
    Summary {
        history: shared.recorder.history(),
        receipts,
    }
}

impl Lives {
    /// What the next life does, and for how many receipts at least.
    fn choose(self, random: &mut Random) -> (Shift, u64) {
        match (self, random.below(ODDS)) {
            (Lives::Varied, 0) => (Shift::Fill, RECEIPTS_TO_FILL),
            (Lives::Varied, 1) => (Shift::Mixed, RECEIPTS_OF_LONG_LIFE),
            (Lives::Varied | Lives::Short, _) => (Shift::Mixed, RECEIPTS_MIN),
        }
    }
}

/// Works until the kill; returns the receipts of this life.
fn live(
    shared: &Arc<Shared>,
    broker: &mut Broker,
    life: Life,
    shift: Shift,
    receipts_min: u64,
    random: &mut Random,
) -> u64 {
    shared.begin(life);
    let before = shared.receipt_count();
    let crew = workload::start(shared, broker.stomp(), life, shift, random);
    let wanted = before + receipts_min + random.below(RECEIPTS_MIN);
    if !shared.await_receipts(wanted, LIFE_PATIENCE) {
        let came = shared.receipt_count() - before;
        let broken: Vec<Event> = shared
            .recorder
            .history()
            .events
            .into_iter()
            .filter(|event| matches!(event, Event::Broken(_)))
            .take(5)
            .collect();
        broker.fail(&format!(
            "only {came} receipts in {LIFE_PATIENCE:?}: {broken:#?}"
        ));
    }
    // Not always upon a receipt: a kill also falls between what a receipt may hide.
    thread::sleep(Duration::from_micros(random.below(5_000)));
    shared.expect_kill();
    broker.kill();
    for worker in crew {
        if worker.join().is_err() {
            broker.fail("a worker panicked");
        }
    }
    shared.receipt_count() - before
}

fn drain(shared: &Arc<Shared>, broker: &mut Broker, life: Life, random: &mut Random) {
    shared.begin(life);
    workload::drain(shared, broker.stomp(), life, random);
    let status = broker.terminate();
    if status.code() != Some(0) {
        shared.recorder.record(Event::Broken(format!(
            "SIGTERM ended the broker with {status}; it said:\n{}",
            broker.last_output()
        )));
    }
}
