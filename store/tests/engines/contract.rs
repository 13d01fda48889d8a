//! The contract of every engine.

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;

#[test]
fn appended_entries_are_read_back() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        appended(key(1, 4, 7)),
        appended(key(1, 4, 9)),
    ]);
    let page = session.read(page(1, 4));
    assert_eq!(page.rows.len(), 2);
    assert_eq!(page.rows[1].data[page.rows[1].head_bytes..], *b"body of 9");
    session.run([settle(key(1, 4, 7))]);
    assert_eq!(session.sequences(1, 4), [9]);
    assert!(session.expired(10, 10).rows.is_empty());
    session.close(awaited([])).expect("a clean stop");
    let mut session = harness.open();
    assert_eq!(session.recovered.tallies, harness.recount());
    assert_eq!(session.sequences(1, 4), [9]);
}
