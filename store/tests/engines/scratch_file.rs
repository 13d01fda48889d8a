//! The scratch file itself: when it is there, how large it gets, and what happens when it fails.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use stompbox_store::{Operation, PageRequest, Sequence};

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;
use crate::session::Session;

const PATIENCE: Duration = Duration::from_secs(20);

fn file(harness: &SqliteHarness) -> PathBuf {
    harness.file().with_file_name("scratch.db")
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn started() -> (SqliteHarness, Session) {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    (harness, session)
}

fn kilobyte(sequence: i64) -> Operation {
    let body = vec![b'a' + (sequence % 26) as u8; 1_000];
    scratch(append_sized(key(1, 4, sequence), sequence, body))
}

#[test]
fn file_comes_with_the_first_entry_and_goes_when_it_has_been_empty() {
    let (harness, mut session) = started();
    assert!(!file(&harness).exists());
    for round in 0..2 {
        session.run((1..100).map(|n| kilobyte(round * 100 + n)));
        assert!(session.store.statistics().scratch_bytes > 100_000);
        session.run((1..100).map(|n| settle_scratch(key(1, 4, round * 100 + n))));
        eventually("an empty file stays", || !file(&harness).exists());
        assert_eq!(session.store.statistics().scratch_bytes, 0);
    }
    session.run([kilobyte(500)]);
    session.close(awaited([])).expect("a clean stop");
    assert!(!file(&harness).exists());
}

#[test]
fn file_of_an_earlier_life_is_deleted() {
    let (mut harness, mut session) = started();
    session.run([kilobyte(1)]);
    session.crash();
    std::fs::write(file(&harness), "left by a crash").expect("a file");
    let mut session = harness.open();
    eventually("an old file stays", || !file(&harness).exists());
    session.run([kilobyte(2)]);
    assert_eq!(session.sequences(1, 4), [2]);
}

#[test]
fn commit_of_scratch_entries_alone_leaves_the_database_alone() {
    let (harness, mut session) = started();
    let state = || {
        let of = |file: PathBuf| {
            let metadata = std::fs::metadata(file).expect("a file");
            (metadata.len(), metadata.modified().expect("a time"))
        };
        let log = harness.file().with_file_name("stompbox.db-wal");
        (of(harness.file()), of(log))
    };
    let before = state();
    let commits = session.store.statistics().commit_count;
    for n in 1..50 {
        session.run([kilobyte(n), settle_scratch(key(1, 4, n - 5))]);
    }
    assert_eq!(session.sequences(1, 4).len(), 5);
    assert_eq!(state(), before);
    assert_eq!(session.store.statistics().commit_count, commits);
}

#[test]
fn file_does_not_grow_at_a_constant_depth() {
    const DEPTH: i64 = 2_000;
    let (_harness, mut session) = started();
    let mut sizes = Vec::new();
    for round in 0..60 {
        let from = round * 500;
        let appends = (from..from + 500).map(kilobyte);
        let settles = (from - DEPTH..from - DEPTH + 500)
            .filter(|n| *n >= 0)
            .map(|n| settle_scratch(key(1, 4, n)));
        session.run(appends.chain(settles));
        sizes.push(session.store.statistics().scratch_bytes);
    }
    assert!(sizes[59] <= sizes[10] + sizes[10] / 10, "{sizes:?}");
    assert!(sizes[59] < 2 * (DEPTH as u64 + 500) * 1_100, "{sizes:?}");
}

/// More than the writer keeps in memory, so that damage is seen.
fn overflowing(session: &mut Session) -> i64 {
    const COUNT: i64 = 40_000;
    for from in (0..COUNT).step_by(1_000) {
        session.run((from..from + 1_000).map(kilobyte));
    }
    COUNT
}

#[test]
fn scratch_body_that_fails_its_checksum_is_lost_and_the_rest_is_served() {
    let (harness, mut session) = started();
    overflowing(&mut session);
    // The body of entry 5 is a thousand times the letter f.
    let mut bytes = std::fs::read(file(&harness)).expect("a file");
    let at = bytes
        .windows(900)
        .position(|window| window.iter().all(|byte| *byte == b'f'))
        .expect("a body");
    bytes[at] = b'?';
    std::fs::write(file(&harness), bytes).expect("damage");
    let first = PageRequest {
        through: Sequence(9),
        ..page(1, 4)
    };
    let found = session.read(first);
    let rows: Vec<_> = found.rows.iter().map(|row| row.sequence.0).collect();
    assert_eq!(rows, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(found.quarantined, [Sequence(5)]);
    let again = session.read(first);
    assert_eq!((again.rows.len(), again.quarantined.len()), (9, 0));
    assert_eq!(session.store.statistics().quarantined_count, 0);
    assert_eq!(harness.number("SELECT count(*) FROM quarantine"), 0);
}

#[test]
fn scratch_file_that_cannot_be_read_loses_its_entries_and_nothing_else() {
    let (harness, mut session) = started();
    let count = overflowing(&mut session);
    session.run([appended(key(1, 4, count))]);
    let length = std::fs::metadata(file(&harness)).expect("a file").len();
    std::fs::write(file(&harness), vec![0xA5; length as usize]).expect("damage");
    assert_eq!(session.sequences(1, 4), [count]);
    assert_eq!(
        session.expired(i64::MAX, 10).rows.len(),
        0,
        "asked without the file"
    );
    session.run([settle_scratch(key(1, 4, 7)), appended(key(1, 4, count + 1))]);
    // Refused until a new file is made.
    eventually("a failed file stays", || !file(&harness).exists());
    session.run([kilobyte(count + 2)]);
    assert_eq!(session.sequences(1, 4), [count, count + 1, count + 2]);
    assert_eq!(session.refused().len(), 0);
}
