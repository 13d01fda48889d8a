//! Kills the broker under load and checks what it had promised; and proves that the checker would notice, by killing
//! brokers with faults planted in their stores.
//!
//! `STOMPBOX_CRASH_CYCLES` sets the number of kills (default 5), `STOMPBOX_CRASH_SEED` repeats a run's choices.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use stompbox_tests::crash::check::{Kind, Violation, check};
use stompbox_tests::crash::history::{Event, History};
use stompbox_tests::crash::{Lives, Plan, run};
use stompbox_tests::say;

/// Violations that a failing test tells the story of.
const STORIES_TOLD: usize = 5;

/// Runs in which a planted fault must show, and kills in each.
const PLANT_RUNS_MAX: u64 = 10;
const PLANT_CYCLES: u32 = 3;

fn from_environment<T: std::str::FromStr>(name: &str) -> Result<Option<T>> {
    let Ok(text) = std::env::var(name) else {
        return Ok(None);
    };
    let value = text.parse().ok();
    Ok(Some(value.with_context(|| {
        format!("{name}={text} is not a number")
    })?))
}

fn seed() -> Result<u64> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as u64;
    Ok(from_environment("STOMPBOX_CRASH_SEED")?.unwrap_or(clock))
}

fn report(history: &History, violations: &[Violation]) -> String {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for violation in violations {
        *counts.entry(violation.kind).or_default() += 1;
    }
    let mut text = format!("{} violations: {counts:?}\n", violations.len());
    for violation in violations.iter().take(STORIES_TOLD) {
        text.push_str(&format!("{violation}\n"));
        if let Some(name) = violation.name {
            text.push_str(&history.story(name));
        }
    }
    text
}

#[test]
fn what_was_promised_survives_kills() -> Result<()> {
    let cycles = from_environment("STOMPBOX_CRASH_CYCLES")?.unwrap_or(5);
    let seed = seed()?;
    say(&format!(
        "proof: crash: {cycles} kills, STOMPBOX_CRASH_SEED={seed}"
    ));
    let began = Instant::now();
    let summary = run(&Plan {
        program: env!("CARGO_BIN_EXE_stompbox-under-test").into(),
        environment: Vec::new(),
        seed,
        cycles,
        lives: Lives::Varied,
    });
    let deliveries = summary
        .history
        .events
        .iter()
        .filter(|event| matches!(event, Event::Delivered(_)))
        .count();
    say(&format!(
        "proof: crash: {} receipted operations (at least {:?} before a kill), {deliveries} deliveries, {:.1} s",
        summary.receipts.iter().sum::<u64>(),
        summary.receipts.iter().min(),
        began.elapsed().as_secs_f64(),
    ));
    let violations = check(&summary.history);
    ensure!(
        violations.is_empty(),
        "seed {seed}: {}",
        report(&summary.history, &violations)
    );
    Ok(())
}

/// Runs a planted broker until the checker reports one of the kinds that its fault must show as.
fn check_notices(plant: &str, expected: &[Kind]) -> Result<()> {
    let seed = seed()?;
    let mut seen = BTreeMap::new();
    for number in 0..PLANT_RUNS_MAX {
        let summary = run(&Plan {
            program: env!("CARGO_BIN_EXE_stompbox-planted").into(),
            environment: vec![("STOMPBOX_PLANT".to_owned(), plant.to_owned())],
            seed: seed.wrapping_add(number),
            cycles: PLANT_CYCLES,
            lives: Lives::Short,
        });
        for violation in check(&summary.history) {
            *seen.entry(violation.kind).or_insert(0) += 1;
        }
        if expected.iter().any(|kind| seen.contains_key(kind)) {
            let kills = (number + 1) * u64::from(PLANT_CYCLES);
            say(&format!(
                "proof: crash: {plant} shows within {kills} kills: {seen:?}"
            ));
            return Ok(());
        }
    }
    anyhow::bail!("{plant} went unnoticed, seed {seed}: expected one of {expected:?}, saw {seen:?}")
}

#[test]
fn planted_receipt_before_commit_is_noticed() -> Result<()> {
    check_notices(
        "receipt-before-commit",
        &[Kind::Lost, Kind::SettledReturned],
    )
}

#[test]
fn planted_split_transaction_is_noticed() -> Result<()> {
    check_notices("split-transaction", &[Kind::SplitTransaction])
}

#[test]
fn planted_dropped_settle_is_noticed() -> Result<()> {
    check_notices("dropped-settle", &[Kind::SettledReturned])
}

#[test]
fn planted_repeat_marked_first_is_noticed() -> Result<()> {
    check_notices("repeat-marked-first", &[Kind::RepeatUnmarked])
}
