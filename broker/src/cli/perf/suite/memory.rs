//! The rows about memory and start: a broker that the suite starts itself, on an empty data folder.
//!
//! ```text
//! start (M3) | idle (M1) | 10,000 subscribers (M4) | a million messages (M2) | stop, start (M3)
//! ```

use std::num::NonZeroU64;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use stompbox_protocol::Command;

use super::super::control::Control;
use super::super::interrupt::Interrupt;
use super::super::link::{Link, Outlet, Target};
use super::super::plan::{AckMode, Kind, Pace, Plan};
use super::super::text::grouped;
use super::SuiteError;
use super::process::{BrokerProcess, ProcessError, resident_bytes};

/// Subscribers of M4.
const SUBSCRIBERS: u32 = 10_000;

/// Messages of M2.
const MESSAGES: u64 = 1_000_000;

/// How long memory may settle before it is read.
const SETTLE: Duration = Duration::from_secs(2);

/// How long the messages may take to be sent.
const LOAD_TIME: Duration = Duration::from_secs(600);

/// The rows.
pub(super) const IDS: [&str; 4] = ["M1", "M2", "M3", "M4"];

/// What the process took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Amount {
    /// Resident memory.
    ResidentBytes(u64),
    /// Time until a session could begin.
    StartMs(u64),
}

/// A figure of the broker's process.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Footprint {
    /// The row.
    pub(super) row: &'static str,
    /// What was done.
    pub(super) work: &'static str,
    /// What it took.
    pub(super) amount: Amount,
    /// What it should take at most.
    pub(super) aim: Amount,
}

/// Measures all rows. The broker is stopped afterwards, also when something fails.
pub(super) fn measure(
    command: &str,
    target: &Target,
    interrupt: &Interrupt,
) -> Result<Vec<Footprint>, SuiteError> {
    let mib = |count: u64| Amount::ResidentBytes(count << 20);
    let mut found = Vec::new();
    let mut enter = |row, work, amount, aim| {
        found.push(Footprint {
            row,
            work,
            amount,
            aim,
        });
    };
    let (broker, took) = BrokerProcess::start(command, target)?;
    thread::sleep(SETTLE);
    enter("M1", "idle", resident(&broker)?, mib(15));
    let subscribers = subscribe(target)?;
    thread::sleep(SETTLE);
    enter(
        "M4",
        "10,000 idle subscribers",
        resident(&broker)?,
        mib(120),
    );
    drop(subscribers);
    load(target, interrupt)?;
    enter(
        "M2",
        "1,000,000 x 1 KiB persistent queued",
        resident(&broker)?,
        mib(150),
    );
    enter("M3", "start, empty", started(took), Amount::StartMs(50));
    broker.stop()?;
    let (broker, took) = BrokerProcess::start(command, target)?;
    enter(
        "M3",
        "start with 1,000,000 queued",
        started(took),
        Amount::StartMs(300),
    );
    broker.stop()?;
    Ok(found)
}

fn resident(broker: &BrokerProcess) -> Result<Amount, SuiteError> {
    Ok(Amount::ResidentBytes(resident_bytes(broker.id())?))
}

fn started(took: Duration) -> Amount {
    Amount::StartMs(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// Opens connections with a subscription each. They last until the halves are dropped.
fn subscribe(target: &Target) -> Result<Vec<Outlet<'static>>, ProcessError> {
    /// Nobody aborts what only stands by.
    static CONTROL: std::sync::LazyLock<Control> = std::sync::LazyLock::new(Control::new);
    // If the limit is lower, connecting says so.
    rlimit::increase_nofile_limit(u64::MAX).ok();
    let mut halves = Vec::new();
    for index in 0..SUBSCRIBERS {
        let mut link = Link::connect(target, &CONTROL)?;
        let destination = format!("/queue/perf.idle.{index}");
        let headers: [(&[u8], &[u8]); 2] =
            [(b"id", b"0"), (b"destination", destination.as_bytes())];
        link.request(Command::Subscribe, &headers)?;
        // The space of the receiving half is not needed to stand by.
        halves.push(link.outlet);
    }
    Ok(halves)
}

/// Queues messages.
fn load(target: &Target, interrupt: &Interrupt) -> Result<(), SuiteError> {
    let plan = Plan {
        target: target.clone(),
        destinations: vec!["/queue/perf.deep".to_owned()],
        kind: Kind::Queue,
        producers: 1,
        consumers: 0,
        body_bytes: 1024,
        persistent: true,
        headers: Vec::new(),
        pace: NonZeroU64::new(1000).map_or(Pace::Stream, Pace::Window),
        acks: AckMode::Auto,
        prefetch: None,
        messages: Some(MESSAGES),
        time: LOAD_TIME,
        warmup: Duration::ZERO,
        quiet: Duration::ZERO,
    };
    let report = super::super::measure(&plan, "M2", interrupt)?;
    if report.confirmed == MESSAGES {
        return Ok(());
    }
    Err(SuiteError::Backlog {
        confirmed: report.confirmed,
        errors: report.errors.join("; "),
    })
}

/// A table of them, in Markdown.
pub(super) fn render(footprints: &[Footprint]) -> String {
    let mut text = String::from("| row | work | figure | aim | reached |\n|---|---|---|---|---|\n");
    for footprint in footprints {
        let reached = match (footprint.amount, footprint.aim) {
            (Amount::ResidentBytes(is), Amount::ResidentBytes(aim))
            | (Amount::StartMs(is), Amount::StartMs(aim)) => is <= aim,
            (Amount::ResidentBytes(_), Amount::StartMs(_))
            | (Amount::StartMs(_), Amount::ResidentBytes(_)) => false,
        };
        let line = format!(
            "| {} | {} | {} | {} | {} |\n",
            footprint.row,
            footprint.work,
            cell(footprint.amount),
            cell(footprint.aim),
            if reached { "yes" } else { "no" }
        );
        text.push_str(&line);
    }
    text
}

fn cell(amount: Amount) -> String {
    match amount {
        Amount::ResidentBytes(bytes) => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        Amount::StartMs(ms) => format!("{} ms", grouped(ms)),
    }
}
