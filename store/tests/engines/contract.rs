//! The contract of every engine: what an operation does, what a page shows, what outlives a store.

mod duplicate;
mod full;
mod full_duplicate;
mod full_log;
mod full_schedule;
mod life;
mod log;
mod operation;
mod reading;
mod schedule;
mod scratch;
mod trim;
mod watermark;

use std::time::{Duration, Instant};

use stompbox_store::LogTally;

use crate::harness::Harness;
use crate::session::Session;

/// Waits until the logs have come to these rows: a trim may take a while.
fn wait_for_logs(harness: &dyn Harness, rows: &[(i64, &[i64])]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let counted = |(topic, sequences): &(i64, &[i64])| {
        (
            *topic,
            sequences.len() as u64,
            sequences[0],
            sequences[sequences.len() - 1],
        )
    };
    let expected: Vec<_> = rows.iter().map(counted).collect();
    loop {
        let tallies = harness.recount_logs();
        let counted = |tally: &LogTally| (tally.topic.0, tally.count, tally.first.0, tally.last.0);
        let found: Vec<_> = tallies.iter().map(counted).collect();
        if found == expected {
            return harness.check_bodies();
        }
        assert!(Instant::now() < deadline, "{found:?} is not {expected:?}");
        std::thread::yield_now();
    }
}

/// Ends this life cleanly, checks the stored counts against a recount, and begins the next.
fn reopened(session: Session, harness: &mut dyn Harness) -> Session {
    session.close(Default::default()).expect("a clean stop");
    let session = harness.open();
    let mut stored = session.recovered.tallies.clone();
    stored.sort_by_key(|tally| (tally.destination, tally.rank));
    assert_eq!(stored, harness.recount());
    harness.check_bodies();
    session
}
