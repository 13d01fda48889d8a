//! Bodies of every size, and what happens when one of them or the database itself fails.

use rusqlite::Connection;
use stompbox_store::{Operation, StoreEvent};

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;

const MIB: usize = 1 << 20;

fn patterned(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

fn sized(sequence: i64, bytes: usize) -> Operation {
    Operation::Append(append_sized(
        key(1, 4, sequence),
        sequence,
        patterned(bytes),
    ))
}

#[test]
fn bodies_of_every_size_are_read_back() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    let sizes = [0, 1, 5_000, MIB, MIB + 1, 4 * MIB, 5 * MIB + 12_345];
    session.run([queue(1, "a")]);
    session.run(
        (0..)
            .zip(sizes)
            .map(|(sequence, bytes)| sized(sequence, bytes)),
    );
    let page = session.read(page(1, 4));
    for (row, bytes) in page.rows.iter().zip(sizes) {
        assert!(row.data[row.head_bytes..] == patterned(bytes), "{bytes}");
    }
    assert_eq!(page.rows.len(), sizes.len());
    assert_eq!(
        harness.number("SELECT count(*) FROM body_part"),
        5 + 16 + 21
    );
    assert_eq!(
        harness.number("SELECT max(length(data)) FROM body_part"),
        256 << 10
    );
    harness.check_bodies();
    session.run(
        (0..)
            .zip(sizes)
            .map(|(sequence, _)| settle(key(1, 4, sequence))),
    );
    assert_eq!(harness.number("SELECT count(*) FROM body_part"), 0);
    harness.check_bodies();
}

/// Damages the stored message 2 of three with `damage`; the store must serve the others and put it aside.
fn check(damage: &str, reason: &str, remains: bool) {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a"), sized(1, 10), sized(2, 3 * MIB), sized(3, 10)]);
    session.run([count(key(1, 4, 2), 5, 2)]);
    harness.database().execute_batch(damage).expect("damage");
    let page = session.read(page(1, 4));
    assert_eq!(
        page.rows
            .iter()
            .map(|row| row.sequence.0)
            .collect::<Vec<_>>(),
        [1, 3],
        "{damage}"
    );
    assert_eq!(
        page.quarantined
            .iter()
            .map(|sequence| sequence.0)
            .collect::<Vec<_>>(),
        [2]
    );
    let aside = harness.database().query_row(
        "SELECT reason, destination, rank, sequence, message, deliveries, quarantined_ms >= 1000,
                head IS NOT NULL FROM quarantine",
        [],
        |row| {
            let numbers = (2..7)
                .map(|n| row.get(n - 1))
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            Ok((
                row.get::<_, String>(0)?,
                numbers,
                row.get::<_, bool>(6)?,
                row.get::<_, bool>(7)?,
            ))
        },
    );
    let expected = (reason.to_owned(), vec![1, 4, 2, 2, 5], true, remains);
    assert_eq!(aside.expect("a row"), expected, "{damage}");
    harness.check_bodies();
}

#[test]
fn untrustworthy_bodies_are_put_aside_with_what_is_known() {
    let checksum = "the checksum of head and body does not match";
    check("UPDATE body SET head = x'00' WHERE id = 2", checksum, true);
    check("UPDATE body SET crc = crc + 1 WHERE id = 2", checksum, true);
    check(
        "UPDATE body_part SET data = zeroblob(262144) WHERE id = 2 AND n = 3",
        checksum,
        true,
    );
    let part = "a part of the body is missing";
    check("DELETE FROM body_part WHERE id = 2 AND n = 3", part, true);
    check("DELETE FROM body_part WHERE id = 2 AND n = 11", part, true);
    check(
        "DELETE FROM body WHERE id = 2; DELETE FROM body_part WHERE id = 2",
        "the body row is missing",
        false,
    );
}

#[test]
fn untrustworthy_body_of_several_entries_is_put_aside_for_each() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    session.run([1, 2].map(|n| Operation::Append(append(key(n, 4, n), 50))));
    harness.corrupt(append(key(1, 4, 1), 50).number);
    assert_eq!(session.read(page(1, 4)).quarantined.len(), 1);
    harness.check_bodies();
    assert_eq!(session.read(page(2, 4)).quarantined.len(), 1);
    harness.check_bodies();
    assert_eq!(harness.number("SELECT count(*) FROM quarantine"), 2);
}

#[test]
fn failed_commit_is_told_once_and_is_the_end() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a"), appended(key(1, 4, 1))]);
    harness
        .database()
        .execute_batch("DROP TABLE tally")
        .expect("damage");
    for n in 2..5 {
        session.store.submit(awaited([appended(key(1, 4, n))]));
    }
    assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
    for n in 5..50 {
        session.store.submit(awaited([appended(key(1, 4, n))]));
    }
    session.store.read_page(page(1, 4));
    session.store.read_expired(1, 1);
    session
        .store
        .close(awaited([]))
        .expect_err("a failed store does not stop cleanly");
    assert!(
        session.events.try_recv().is_err(),
        "nothing after a failure"
    );
    assert_eq!(harness.number("SELECT count(*) FROM entry"), 1);
    assert_eq!(
        harness.number("SELECT count(*) FROM meta WHERE key = 'clean'"),
        0
    );
}

#[test]
fn failed_read_is_a_failure_of_the_store() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a"), appended(key(1, 4, 1))]);
    harness
        .database()
        .execute_batch("ALTER TABLE body RENAME TO nobody")
        .expect("damage");
    session.store.read_page(page(1, 4));
    assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
    session
        .close(awaited([]))
        .expect_err("a failed store does not stop cleanly");
}

#[test]
fn foreign_writer_is_waited_for() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    let stranger: Connection = harness.database();
    stranger.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let ticket = session.store.submit(awaited([appended(key(1, 4, 1))]));
    // Longer than the writer waits inside SQLite: it must come back and wait again.
    let reads = (0..3).map(|_| session.sequences(1, 4)).collect::<Vec<_>>();
    assert_eq!(reads, [[0_i64; 0]; 3]);
    let waited = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        stranger
            .execute_batch("ROLLBACK")
            .expect("the lock's release");
    });
    session.wait(ticket);
    waited.join().expect("a thread");
    assert_eq!(session.sequences(1, 4), [1]);
}
