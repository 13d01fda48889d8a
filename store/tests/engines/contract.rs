//! The contract of every engine: what an operation does, what a page shows, what outlives a store.

mod full;
mod life;
mod operation;
mod reading;
mod scratch;
mod watermark;

use crate::harness::Harness;
use crate::session::Session;

/// Ends this life cleanly, checks the stored counts against a recount, and begins the next.
fn reopened(session: Session, harness: &mut dyn Harness) -> Session {
    session.close(Default::default()).expect("a clean stop");
    let session = harness.open();
    let mut stored = session.recovered.tallies.clone();
    stored.sort_by_key(|tally| (tally.destination, tally.rank));
    assert_eq!(stored, harness.recount());
    session
}
