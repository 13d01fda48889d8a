//! `stompbox perf`: puts a load on any STOMP broker, measures it, and checks that everything arrives.
//!
//! It must not be what is measured: blocking sockets with a thread each, frames that are copied instead of built, writes
//! and reads of many frames at once, and no look at a header that does not count.
//!
//! *Invariant.* Nothing is taken for delivered because of its number: every body says who sent it and as which, and each
//! consumer keeps a bit for every message.

pub(super) mod argument;
mod consumer;
mod content;
mod control;
mod inbound;
mod interrupt;
mod latency;
mod ledger;
mod link;
mod open_loop;
mod plan;
mod producer;
mod progress;
mod report;
mod run;
mod suite;
mod template;
mod text;

use argument::{LoadArguments, PerfArguments, PerfCommand};
use content::RunId;
use interrupt::Interrupt;
use plan::Plan;
use progress::ProgressLine;
use report::Report;

use super::exit;
use super::output::{complain, print};

/// Runs what was asked for and returns the exit code.
pub(super) fn run(arguments: &PerfArguments) -> u8 {
    let interrupt = Interrupt::listen();
    match &arguments.command {
        Some(PerfCommand::Suite(suite)) => suite::run(suite, &interrupt),
        None => run_load(&arguments.load, &interrupt),
    }
}

fn run_load(arguments: &LoadArguments, interrupt: &Interrupt) -> u8 {
    let report = match measure(&arguments.plan(), "", interrupt) {
        Ok(report) => report,
        Err(error) => {
            complain(&format!("cannot make up an id for the run: {error}"));
            return exit::FAILED;
        }
    };
    let text = if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(json) => json + "\n",
            Err(error) => {
                complain(&error);
                return exit::FAILED;
            }
        }
    } else {
        text::report(&report)
    };
    match print(&text) {
        exit::OK if report.is_clean() => exit::OK,
        exit::OK => exit::FAILED,
        code => code,
    }
}

/// Runs a load once.
fn measure(plan: &Plan, name: &str, interrupt: &Interrupt) -> Result<Report, getrandom::Error> {
    let id = RunId(getrandom::u32()?);
    let mut line = ProgressLine::new(name);
    let measurement = run::run(plan, id, interrupt, |progress| line.show(progress));
    Ok(Report::new(plan, measurement))
}
