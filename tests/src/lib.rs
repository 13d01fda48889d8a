//! The whole system from outside: what the tests in `tests/` stand on.
//!
//! Nothing here uses the product's own codec or client: a test that shares code with what it tests shares its bugs. The
//! one test of the client itself is `tests/rust_client`.
//! A failed expectation panics and shows the connection's transcript and the broker's output.

pub mod broker;
pub mod bystander;
pub mod conversation;
pub mod crash;
pub mod flood;
pub mod jump_clock;
pub mod markdown;
pub mod preload;
pub mod process;
pub mod relay;
pub mod resident;
pub mod scale;
pub mod slow_sync;
pub mod small_disk;
pub mod wire;

/// Says a line aloud also from a test that passes: the test runner keeps what `eprintln` says to itself. For what was
/// skipped, and for how much of a bounded proof ran.
pub fn say(line: &str) {
    // Whoever closed our stderr does not want to hear it.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
}
