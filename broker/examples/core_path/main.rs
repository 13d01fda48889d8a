//! How many instructions the broker spends on a message between its two sockets, and whether they have grown:
//!
//! ```text
//! cargo run --release -p stompbox-broker --example core_path          # needs valgrind
//! ```
//!
//! Decoder, session, dispatcher and output of a producer and a consumer run in one thread, under callgrind, on a
//! fixed number of messages: the counts are the same from run to run, whatever else the machine does. What the table
//! in docs/performance.md records may be exceeded by a tenth. Not among them: sockets, tasks and channels, waking
//! and waiting, caches, and the store behind its batches.
//!
//! `core_path ROW MESSAGES` runs a row by itself, for a profile.

#![allow(clippy::print_stdout)] // it is there to print

mod load;
mod plant;

use std::process::{Command, ExitCode};

use crate::load::{Load, ROWS, Row};
use crate::plant::Plant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Where it is recorded.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");

/// Messages before it counts: maps and buffers have found their size.
const WARMUP: u64 = 5_000;

/// Messages that count.
const MESSAGES: u64 = 20_000;

/// Per cent by which the record may be exceeded.
const TOLERANCE: u64 = 10;

/// Named for callgrind, which counts what happens in here.
#[inline(never)]
fn counted_turn(plant: &mut Plant) {
    plant.turn();
}

fn run(row: &'static Row, messages: u64) {
    let mut load = Load::new(row);
    load.run(WARMUP, Plant::turn);
    load.run(messages, counted_turn);
}

/// Instructions of a run by itself, or why there are none.
fn count(row: &Row) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*counted_turn*"])
        .arg(program)
        .args([row.id, &MESSAGES.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(text.into_owned());
    }
    let collected = text
        .lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("callgrind has counted nothing: {text}"))
}

/// The count that the documentation records of a row: `| S2 | what | 1,234 |` under the heading of the counts.
fn recorded(record: &str, row: &str) -> Option<u64> {
    let (_, section) = record.split_once("## Instructions")?;
    let begin = format!("| {row} |");
    let line = section.lines().find(|line| line.starts_with(&begin))?;
    let cell = line.trim_end_matches([' ', '|']).rsplit('|').next()?;
    cell.trim().replace(',', "").parse().ok()
}

/// Whether this machine runs the code that was counted: copying and scanning choose theirs by what it can do.
fn is_comparable() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has_same = std::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let has_same = false;
    has_same
}

fn check() -> ExitCode {
    if !is_comparable() {
        println!("SKIPPED: instructions of the core path: they are recorded for x86-64 with AVX2");
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: instructions of the core path: there is no valgrind");
        return ExitCode::SUCCESS;
    }
    let record = match std::fs::read_to_string(RECORD) {
        Ok(record) => record,
        Err(error) => {
            println!("cannot read {RECORD}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for row in &ROWS {
        let total = match count(row) {
            Ok(total) => total,
            Err(error) => {
                println!("{}: cannot be counted: {error}", row.id);
                return ExitCode::FAILURE;
            }
        };
        let each = total / MESSAGES;
        let Some(record) = recorded(&record, row.id) else {
            println!("{}: {each} instructions a message, none recorded", row.id);
            code = ExitCode::FAILURE;
            continue;
        };
        let most = record + record * TOLERANCE / 100;
        println!(
            "proof: {}: {each} instructions a message, {record} recorded, {most} allowed",
            row.id
        );
        if each > most {
            println!("{}: slower than recorded in docs/performance.md", row.id);
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => check(),
        [id, messages] => {
            let row = ROWS.iter().find(|row| row.id == id);
            let (Some(row), Ok(messages)) = (row, messages.parse()) else {
                println!("usage: core_path [ROW MESSAGES]");
                return ExitCode::FAILURE;
            };
            run(row, messages);
            ExitCode::SUCCESS
        }
        _ => {
            println!("usage: core_path [ROW MESSAGES]");
            ExitCode::FAILURE
        }
    }
}
