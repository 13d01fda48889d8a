//! Databases of older schemas: what they hold is served, and an upgrade happens as a whole or not at all.

use rusqlite::Connection;

use stompbox_store::StoreError;
use stompbox_store::sqlite::SqliteStore;

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;
use crate::session::events;

const VERSION: i64 = 4;

/// A harness with a database of schema version 1.
fn version_1() -> SqliteHarness {
    let harness = SqliteHarness::new();
    let database = harness.database();
    database
        .execute_batch(include_str!("version_1.sql"))
        .expect("an old database");
    harness
}

fn count(database: &Connection, query: &str) -> i64 {
    database
        .query_row(query, [], |row| row.get(0))
        .expect("a count")
}

#[test]
fn messages_of_a_version_1_database_are_served() {
    let mut harness = version_1();
    let mut session = harness.open();
    assert_eq!(harness.number("PRAGMA user_version"), VERSION);
    let recovered = &session.recovered;
    assert_eq!((recovered.epoch.0, recovered.uncertain_through.0), (4, 3));
    assert_eq!(recovered.instance, "985qa8vvcfxmqbpf41gt0dbg17");
    assert_eq!((recovered.next_destination.0, recovered.logs.len()), (3, 0));
    let names: Vec<_> = recovered.destinations.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["orders", "audit"]);
    assert_eq!(recovered.tallies.len(), 2);

    let orders = session.read(page(1, 5)).rows;
    let bodies: Vec<_> = orders
        .iter()
        .map(|row| &row.data[row.head_bytes..])
        .collect();
    assert_eq!(bodies, [&b"first"[..], b"for two queues"]);
    assert_eq!(orders[0].data[..orders[0].head_bytes], *b"kind:a\n");
    let audit = session.read(page(2, 5)).rows;
    assert_eq!(audit[0].number, orders[1].number);
    assert_eq!(audit[0].expires_ms, 4_102_444_800_000);
    let aside = "SELECT count(*) FROM quarantine WHERE rank = 5 AND body = x'00' AND head = x''";
    assert_eq!(harness.number(aside), 1);

    // And it is as good as a new one.
    session.run([topic(3, "t"), subscribe(1, 3, 0), logged(3, 1 << 43)]);
    session.run(orders.iter().map(|row| settle(key(1, 5, row.sequence.0))));
    harness.check_bodies();
    session.close(awaited([])).expect("a clean stop");
    let mut session = harness.open();
    assert_eq!(session.unacknowledged(3, 1), [1 << 43]);
    assert_eq!(session.sequences(2, 5).len(), 1);
}

#[test]
fn upgrade_leaves_what_a_user_has_added() {
    let mut harness = version_1();
    harness
        .database()
        .execute_batch(
            "CREATE VIEW damaged AS SELECT reason, message FROM quarantine;
             CREATE TABLE notes (message INTEGER, note TEXT);
             INSERT INTO notes SELECT message, 'look here' FROM damaged;",
        )
        .expect("a user's own");
    harness.open().crash();
    let query = "SELECT count(*) FROM notes JOIN damaged USING (message)";
    assert_eq!(harness.number(query), 1);
}

#[test]
fn upgrade_that_fails_leaves_the_file_as_it_was() {
    let harness = version_1();
    let database = harness.database();
    database
        .execute_batch("CREATE TABLE log_tally (theirs)")
        .expect("a table in the way");
    match SqliteStore::open(harness.options(), 1_000, events().0).map(drop) {
        Err(StoreError::Corrupt { detail, .. }) => {
            assert!(detail.contains("log_tally"), "{detail}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(count(&database, "PRAGMA user_version"), 1);
    let old = "SELECT count(*) FROM pragma_table_info('subscription_exception') WHERE name = 'delayed_ms'";
    assert_eq!(count(&database, old), 1);
    database
        .execute_batch("DROP TABLE log_tally")
        .expect("the way is free");
    let (sink, _events) = events();
    SqliteStore::open(harness.options(), 1_000, sink).expect("an open store");
    assert_eq!(count(&database, "PRAGMA user_version"), VERSION);
}
