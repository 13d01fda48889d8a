//! The Rust client against the broker: everything of the dialect, kills, and its examples.

mod dialect;
mod example;
mod kill;

use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stompbox-under-test");

/// Spent only by failing tests.
const PATIENCE: Duration = Duration::from_secs(60);
