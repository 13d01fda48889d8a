//! Crashes, checkpoints and strangers that read: what was reported durable is there afterwards.

use std::path::Path;

use rusqlite::Connection;
use stompbox_store::Operation;
use stompbox_store::sqlite::{Durability, SqliteOptions};

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;
use crate::session::Session;

/// What a power cut leaves: the database and its log as they are at this moment, in a folder of their own.
fn copy(from: &Path, to: &Path) {
    for file in ["stompbox.db", "stompbox.db-wal"] {
        std::fs::copy(from.join(file), to.join(file)).expect("a copy");
    }
}

#[test]
fn copy_taken_while_running_has_everything_that_was_durable() {
    /// How many entries stand after each batch: it appends one and settles the one so many before.
    const WIDTH: i64 = 20;
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    for round in 1..=10 {
        let mut tickets = Vec::new();
        for n in round * 100..(round + 1) * 100 {
            let batch = awaited([appended(key(1, 4, n)), settle(key(1, 4, n - WIDTH))]);
            tickets.push(session.store.submit(batch));
        }
        // Half of the round is durable, the other half in flight.
        session.wait(tickets[50]);
        let crashed = SqliteHarness::new();
        copy(&harness.options().folder, &crashed.options().folder);
        let mut survivor = crashed.open_with(crashed.options());
        assert_eq!(
            survivor.recovered.uncertain_through.0 + 1,
            survivor.recovered.epoch.0
        );
        assert_eq!(survivor.recovered.tallies, crashed.recount());
        let found = survivor.sequences(1, 4);
        let last = *found.last().expect("an entry");
        assert!(last >= round * 100 + 50, "round {round}: {last}");
        let first = (last - WIDTH + 1).max(100);
        assert_eq!(
            found,
            (first..=last).collect::<Vec<_>>(),
            "round {round}: whole batches in order"
        );
        crashed.check_bodies();
        session.wait(tickets[99]);
    }
}

#[test]
fn store_dropped_in_the_middle_keeps_whole_batches() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    for sequence in 0..2_000 {
        session.store.submit(awaited([
            appended(key(1, 4, sequence)),
            appended(key(2, 4, sequence + 5_000)),
        ]));
    }
    session.crash();
    let mut session = harness.open();
    let (one, two) = (session.sequences(1, 4), session.sequences(2, 4));
    assert_eq!(
        one,
        two.iter()
            .map(|sequence| sequence - 5_000)
            .collect::<Vec<_>>()
    );
    assert_eq!(one, (0..one.len() as i64).collect::<Vec<_>>());
    assert_eq!(session.recovered.tallies, harness.recount());
}

fn small_marks(harness: &SqliteHarness) -> SqliteOptions {
    SqliteOptions {
        wal_checkpoint_bytes: 64 << 10,
        wal_pause_bytes: 256 << 10,
        wal_restart_bytes: 1 << 20,
        ..harness.options()
    }
}

fn churn(session: &mut Session, from: i64, rounds: i64) {
    for round in from..from + rounds {
        let sequences = round * 20..round * 20 + 20;
        let body = |n| Operation::Append(append_sized(key(1, 4, n), n, vec![7; 1_000]));
        session.run(sequences.clone().map(body));
        session.run(sequences.map(|n| settle(key(1, 4, n))));
    }
}

#[test]
fn log_stays_small_under_load() {
    let harness = SqliteHarness::new();
    let mut session = harness.open_with(small_marks(&harness));
    session.run([queue(1, "a")]);
    churn(&mut session, 0, 300);
    let statistics = session.store.statistics();
    assert!(statistics.wal_bytes < 1 << 20, "{statistics:?}");
    assert!(statistics.database_bytes < 1 << 20, "{statistics:?}");
    assert_eq!(session.recovered.tallies, harness.recount());
}

#[test]
fn stranger_with_an_old_snapshot_holds_up_nothing_but_the_log() {
    let harness = SqliteHarness::new();
    let mut session = harness.open_with(small_marks(&harness));
    session.run([queue(1, "a"), appended(key(1, 4, 1_000_000))]);
    let stranger: Connection = harness.database();
    stranger.execute_batch("BEGIN").expect("a transaction");
    let count = |stranger: &Connection| -> i64 {
        stranger
            .query_row("SELECT count(*) FROM entry", [], |row| row.get(0))
            .expect("a count")
    };
    assert_eq!(count(&stranger), 1);
    churn(&mut session, 0, 40);
    session.run([appended(key(1, 4, 1_000_001))]);
    assert!(session.store.statistics().wal_bytes > 1 << 20);
    assert_eq!(count(&stranger), 1, "a snapshot does not change");
    stranger.execute_batch("COMMIT").expect("the end of it");
    assert_eq!(count(&stranger), 2);
    churn(&mut session, 100, 100);
    assert!(session.store.statistics().wal_bytes < 1 << 20);
    session.close(awaited([])).expect("a clean stop");
}

#[test]
fn process_durability_survives_the_process() {
    let harness = SqliteHarness::new();
    let options = SqliteOptions {
        durability: Durability::Process,
        ..harness.options()
    };
    let mut session = harness.open_with(options.clone());
    session.run([queue(1, "a"), appended(key(1, 4, 1))]);
    session.crash();
    assert_eq!(harness.open_with(options).sequences(1, 4), [1]);
}

#[test]
fn commit_that_cancels_itself_does_not_touch_the_disk() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    let before = session.store.statistics();
    session.run([
        appended(key(1, 4, 1)),
        count(key(1, 4, 1), 1, 0),
        settle(key(1, 4, 1)),
    ]);
    session.run([]);
    let after = session.store.statistics();
    assert_eq!(after.commit_count, before.commit_count);
    assert_eq!(after.cancelled_count, before.cancelled_count + 1);
}
