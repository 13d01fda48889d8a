//! `stompbox perf suite`: the same loads against several brokers in turn, compared with each other and with bounds.
//!
//! Figures of a shared machine drift by a factor of two. Hence all that is compared runs within minutes of each other,
//! several times over, and medians and ratios count.

mod argument;
mod bound;
mod figure;
mod memory;
mod process;
mod row;
mod table;

pub(super) use argument::SuiteArguments;

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use argument::Peer;
use bound::Bounds;
use figure::{Comparison, Entry};
use row::{Row, Scale};

use super::interrupt::Interrupt;
use super::report::Report;
use crate::cli::exit;
use crate::cli::output::{complain, print};
use memory::Footprint;

/// The name under which the relay is measured.
const RELAY: &str = "relay";

/// Why the suite could not be run.
#[derive(Debug, thiserror::Error)]
enum SuiteError {
    #[error("cannot make up an id for the run")]
    Random(#[from] getrandom::Error),
    #[error("cannot use {path}")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write the figures as JSON")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    #[error("only {confirmed} messages could be queued: {errors}")]
    Backlog { confirmed: u64, errors: String },
}

/// Runs the rows that were asked for, prints the table and returns the exit code.
pub(super) fn run(arguments: &SuiteArguments, interrupt: &Interrupt) -> u8 {
    match compare(arguments, interrupt) {
        Ok((text, clean)) => match print(&text) {
            exit::OK if clean => exit::OK,
            exit::OK => exit::FAILED,
            code => code,
        },
        Err(error) => {
            complain(&crate::cli::output::chain(&error));
            exit::FAILED
        }
    }
}

/// Returns the table, and whether nothing was lost or went wrong.
fn compare(
    arguments: &SuiteArguments,
    interrupt: &Interrupt,
) -> Result<(String, bool), SuiteError> {
    let file_error = |path: &std::path::Path| {
        let path = path.display().to_string();
        |source| SuiteError::File { path, source }
    };
    let mut probed = String::new();
    if let Some(path) = &arguments.probe {
        probed = fs::read_to_string(path).map_err(file_error(path))?;
    }
    let mut suite = Suite {
        arguments,
        interrupt,
        run: getrandom::u32()?,
        reports: BTreeMap::new(),
    };
    for round in 0..arguments.rounds {
        if let Some(command) = &arguments.probe_command {
            probed.push_str(&process::output(command)?);
        }
        suite.round(round)?;
    }
    let bounds = Bounds::parse(&probed);
    let footprints = suite.footprints()?;
    let names: Vec<&str> = arguments.to.iter().map(|peer| peer.name.as_str()).collect();
    let comparisons: Vec<Comparison> = arguments
        .loads()
        .map(|row| Comparison::new(row, &names, &suite.reports, &bounds))
        .collect();
    let clean = comparisons.iter().all(Comparison::is_clean);
    let mut text = String::new();
    if !comparisons.is_empty() {
        text = table::render(&names, &comparisons);
    }
    if !footprints.is_empty() {
        text.push_str(&memory::render(&footprints));
    }
    if let Some(path) = &arguments.json {
        let all = Figures {
            rows: comparisons,
            footprints,
        };
        let json = serde_json::to_string_pretty(&all)?;
        fs::write(path, json + "\n").map_err(file_error(path))?;
    }
    Ok((text, clean))
}

/// Everything, for programs.
#[derive(Serialize)]
struct Figures {
    rows: Vec<Comparison>,
    footprints: Vec<Footprint>,
}

/// What each broker did in each row, a report for each round.
type Reports = BTreeMap<Entry, Vec<Report>>;

/// A suite at work.
struct Suite<'a> {
    arguments: &'a SuiteArguments,
    interrupt: &'a Interrupt,
    run: u32,
    reports: Reports,
}

impl Suite<'_> {
    fn round(&mut self, round: u32) -> Result<(), SuiteError> {
        for row in self.arguments.loads() {
            // Another one begins each round: what comes first finds a colder machine.
            let mut peers: Vec<&Peer> = self.arguments.to.iter().collect();
            let turn = round as usize % peers.len();
            peers.rotate_left(turn);
            for peer in peers {
                self.measure(row, peer, round)?;
            }
            if let (Some(relay), Some(row)) = (&self.arguments.relay, row.relay_row()) {
                let done = self
                    .reports
                    .get(&Entry::new(row.id, RELAY))
                    .map_or(0, Vec::len);
                if done <= round as usize {
                    self.measure(row, relay, round)?;
                }
            }
        }
        Ok(())
    }

    /// The rows about the process itself, of those that were asked for.
    fn footprints(&self) -> Result<Vec<Footprint>, SuiteError> {
        let (Some(command), Some(first)) =
            (&self.arguments.broker_command, self.arguments.to.first())
        else {
            return Ok(Vec::new());
        };
        let wanted: Vec<&str> = self.arguments.footprints().collect();
        if wanted.is_empty() || self.interrupt.is_set() {
            return Ok(Vec::new());
        }
        let mut all = memory::measure(command, &first.target, self.interrupt)?;
        all.retain(|footprint| wanted.contains(&footprint.row));
        Ok(all)
    }

    fn measure(&mut self, row: &'static Row, peer: &Peer, round: u32) -> Result<(), SuiteError> {
        if self.interrupt.is_set() {
            return Ok(());
        }
        let backlog = self
            .reports
            .get(&Entry::new("S10", &peer.name))
            .and_then(|reports| reports.last())
            .map_or(0, |report| report.sent);
        let scale = Scale {
            time: std::time::Duration::from_secs(self.arguments.seconds.into()),
            backlog,
        };
        let name = format!("perf.{:08x}.{}.{round}", self.run, row.backlog_id());
        let plan = row.plan(peer.target.clone(), &name, &scale);
        let line = format!("{} {} round {}", row.id, peer.name, round + 1);
        let report = super::measure(&plan, &line, self.interrupt)?;
        if !report.is_clean() || !report.complete {
            let text = super::text::report(&report);
            complain(&format!("{line} is not clean:\n{text}"));
        }
        self.reports
            .entry(Entry::new(row.id, &peer.name))
            .or_default()
            .push(report);
        Ok(())
    }
}
