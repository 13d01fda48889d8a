//! The real sessions and the real dispatcher on a memory disk, moved step by step by a seed and held against a
//! naive broker.
//!
//! `STOMPBOX_SIM_SEED=n` runs one seed and tells it in full when it fails; `STOMPBOX_SIM_SECONDS=n` goes on for so
//! long, from that seed or the first. `STOMPBOX_SIM_SURVEY=1` goes on after a failure, and lists all of them.

mod catalogue;
mod client;
mod connection;
mod cron;
mod identity;
mod model;
mod operation;
mod plant;
mod policy;
mod random;
mod route;
mod trace;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use plant::Plant;
use world::World;

const STEPS: u64 = 3_000;

/// How long `cargo test` looks for surprises.
const SECONDS: u64 = 3;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// From here on a run has to have done everything often.
const LONG: Duration = Duration::from_secs(600);

/// Runs a seed; answers its steps, or what was wrong.
fn run(seed: u64, plant: Plant) -> Result<u64, String> {
    let run = || World::new(seed, plant).run(STEPS);
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "a panic without words".to_owned())
    })
}

/// The same run again, told in full.
fn tell(seed: u64, plant: Plant) -> String {
    trace::tell(true);
    let again = run(seed, plant);
    let lines = trace::take_lines();
    trace::tell(false);
    format!("{lines}\nseed {seed}: {}", again.err().unwrap_or_default())
}

#[test]
fn every_promise_is_kept_whatever_the_schedule() {
    let first = variable("STOMPBOX_SIM_SEED");
    let seconds = variable("STOMPBOX_SIM_SECONDS");
    let deadline = match (first, seconds) {
        (Some(_), None) => Duration::ZERO,
        _ => Duration::from_secs(seconds.unwrap_or(SECONDS)),
    };
    let begin = Instant::now();
    let surveys = variable("STOMPBOX_SIM_SURVEY").is_some();
    let (mut seed, mut steps, mut failed) = (first.unwrap_or(1), 0, 0);
    loop {
        match run(seed, Plant::Nothing) {
            Ok(more) => steps += more,
            Err(text) if surveys => {
                eprintln!("seed {seed}: {text}");
                failed += 1;
            }
            Err(_) => panic!("{}", tell(seed, Plant::Nothing)),
        }
        seed += 1;
        if begin.elapsed() >= deadline {
            break;
        }
    }
    let rate = steps as f64 / begin.elapsed().as_secs_f64();
    eprintln!(
        "seeds {}..{seed}, {steps} steps, {rate:.0} steps/s",
        first.unwrap_or(1)
    );
    tell_counts();
    assert_eq!(failed, 0, "seeds failed");
    if deadline >= LONG {
        let rare: Vec<_> = operation::counts()
            .filter(|(_, count)| *count < operation::COUNT_MIN)
            .collect();
        assert!(rare.is_empty(), "too rare for a long run: {rare:?}");
    }
}

/// Operations first, then whatever else was counted.
fn tell_counts() {
    for (what, count) in operation::counts() {
        eprintln!("{count:>10} {what}");
    }
    let others = trace::counts().into_iter();
    for (what, count) in others.filter(|(what, _)| !operation::OPERATIONS.contains(what)) {
        eprintln!("{count:>10} {what}");
    }
}

/// Seeds after which a planted bug must have been found.
const PLANTED_SEEDS: u64 = 300;

fn check_found(plant: Plant) {
    let begin = Instant::now();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = (1..=PLANTED_SEEDS).find_map(|seed| Some((seed, run(seed, plant).err()?)));
    std::panic::set_hook(hook);
    let (seed, text) = found.unwrap_or_else(|| panic!("{plant:?} was not found"));
    eprintln!(
        "{plant:?}: after {:?}, seed {seed}: {text}",
        begin.elapsed()
    );
}

#[test]
fn planted_bugs_are_found() {
    for plant in [
        Plant::SettleIsLost,
        Plant::CountIsLost,
        Plant::RowIsLost,
        Plant::RowComesTwice,
        Plant::WatermarkIsEarly,
        Plant::ReceiptIsLost,
        Plant::ReceiptComesTwice,
        Plant::RepeatIsHidden,
        Plant::SelectorIsIgnored,
        Plant::ExclusiveShares,
        Plant::PriorityIsLost,
        Plant::PrefetchIsIgnored,
        Plant::WindowIsIgnored,
        Plant::OwnIsHeard,
        Plant::CopyIsLost,
        Plant::BrowserTakes,
        Plant::FloorIsLost,
        Plant::FloorIsHigh,
        Plant::DeletionIsLost,
        Plant::IdIsLost,
        Plant::DelayIsShort,
        Plant::FiringIsKept,
        Plant::FiringIsLate,
        Plant::JobIsHidden,
        Plant::FoundIsLost,
        Plant::UnblockIsLost,
        Plant::RoomIsIgnored,
        Plant::RoomIsDenied,
        Plant::WeightIsIgnored,
        Plant::LessIsRetained,
        Plant::ValueIsAnother,
        Plant::NothingIsRecalled,
        Plant::FeedIsLost,
        Plant::OriginIsLost,
        Plant::WayIsLost,
        Plant::WayIsWide,
        Plant::OriginalStays,
        Plant::TimeoutIsLate,
        Plant::MoveIsLost,
        Plant::MoveIsCopy,
        Plant::RefusalIsHidden,
        Plant::RoomIsHidden,
        Plant::TooMuchIsDropped,
        Plant::TooLittleIsDropped,
        Plant::PendingWeightIsIgnored,
        Plant::CliffIsLow,
        Plant::DamLeaks,
        Plant::PendingLimitIsIgnored,
        Plant::AdvisoryIsLost,
        Plant::AdvisoryComesTwice,
    ] {
        check_found(plant);
    }
}
