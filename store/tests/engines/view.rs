//! The file is the user's: views and documented queries answer while the broker runs.

use rusqlite::types::Value;
use stompbox_store::{Append, EntryKey, Epoch, MessageNumber, Operation, ScheduleRecord, Sequence};

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;
use crate::session::Session;

const DOCUMENT: &str = include_str!("../../../docs/store.md");

fn filled(harness: &mut SqliteHarness) -> Session {
    let mut session = harness.open();
    let counter = |n: i64| Epoch(1).first().0 + n;
    let key = |n| EntryKey {
        sequence: Sequence(counter(n)),
        ..key(1, 5, 0)
    };
    session.run([
        queue(1, "orders"),
        queue(2, "empty"),
        Operation::Append(Append {
            number: MessageNumber(counter(7)),
            expires_ms: 1_700_000_000_500,
            annotations: b"reason:none\n".as_slice().into(),
            ..append(key(7), 0)
        }),
        Operation::Append(append(key(8), counter(8))),
        count(key(7), 3, 1),
    ]);
    session
}

fn row(database: &rusqlite::Connection, query: &str) -> Vec<Value> {
    let mut query = database.prepare(query).expect("a query");
    let columns = query.column_count();
    let values = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
    query.query_row([], values).expect("a row")
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

#[test]
fn queues_are_shown_with_what_they_hold() {
    let mut harness = SqliteHarness::new();
    let _running = filled(&mut harness);
    let found = row(
        &harness.database(),
        "SELECT name, depth, bytes, oldest FROM v_queue WHERE name = 'orders'",
    );
    let bytes = harness.number("SELECT sum(bytes) FROM entry");
    let oldest = text("1970-01-01T00:00:05.000Z");
    assert_eq!(
        found,
        [
            text("orders"),
            Value::Integer(2),
            Value::Integer(bytes),
            oldest
        ]
    );
    let empty = row(
        &harness.database(),
        "SELECT depth, oldest FROM v_queue WHERE name = 'empty'",
    );
    assert_eq!(empty, [Value::Integer(0), Value::Null]);
}

#[test]
fn messages_are_shown_in_readable_form() {
    let mut harness = SqliteHarness::new();
    let running = filled(&mut harness);
    let instance = &running.recovered.instance;
    let found = row(
        &harness.database(),
        "SELECT queue, message_id, priority, sent, expires, deliveries, failures, headers, annotations,
                body_bytes FROM v_message WHERE deliveries > 0",
    );
    let expected = [
        text("orders"),
        text(&format!("ID:{instance}-1-7")),
        Value::Integer(4),
        text("1970-01-01T00:00:05.000Z"),
        text("2023-11-14T22:13:20.500Z"),
        Value::Integer(3),
        Value::Integer(1),
        text("number:0\n"),
        text("reason:none\n"),
        Value::Integer(9),
    ];
    assert_eq!(found, expected);
}

#[test]
fn subscriptions_are_shown_with_what_they_have_not_acknowledged() {
    let mut harness = SqliteHarness::new();
    let mut running = harness.open();
    running.run([topic(1, "prices"), subscribe(1, 1, 0), subscribe(2, 1, 0)]);
    running.run((10..20).map(|n| logged(1, n)));
    running.run([floor(1, 12), pass(1, 15), log_count(1, 16, 1, 1)]);
    let found = row(
        &harness.database(),
        "SELECT topic, identity, selector, floor, pending, created FROM v_subscription
         WHERE identity = 'client/1'",
    );
    let expected = [
        text("prices"),
        text("client/1"),
        Value::Null,
        Value::Integer(12),
        Value::Integer(6),
        text("1970-01-01T00:00:02.000Z"),
    ];
    assert_eq!(found, expected);
    let others = "SELECT pending FROM v_subscription WHERE identity = 'client/2'";
    assert_eq!(harness.number(others), 10);
}

#[test]
fn scheduled_messages_are_shown_with_their_next_time() {
    let mut harness = SqliteHarness::new();
    let mut running = harness.open();
    let record = ScheduleRecord {
        repeats_left: 9,
        text: "period=1000 repeat=9".into(),
        ..schedule((3 << 40) + 7, (3 << 40) + 5, 61_500, 1)
    };
    running.run([queue(1, "orders"), Operation::Schedule(record)]);
    let found = row(
        &harness.database(),
        "SELECT kind, name, id, due, schedule, repeats_left, priority, headers, body_bytes FROM v_scheduled",
    );
    let number = (3_i64 << 40) + 5;
    let expected = [
        text("queue"),
        text("orders"),
        text("3-7"),
        text("1970-01-01T00:01:01.500Z"),
        text("period=1000 repeat=9"),
        Value::Integer(9),
        Value::Integer(5),
        text(&format!("number:{number}\n")),
        Value::Integer(format!("body of {number}").len() as i64),
    ];
    assert_eq!(found, expected);
    let suffix = "SELECT count(*) FROM v_scheduled WHERE message_id LIKE 'ID:%-3-5'";
    assert_eq!(harness.number(suffix), 1);
}

#[test]
fn documented_queries_answer_while_the_broker_runs() {
    let mut harness = SqliteHarness::new();
    let mut running = filled(&mut harness);
    let queries: Vec<&str> = DOCUMENT
        .split("```sql\n")
        .skip(1)
        .filter_map(|block| block.split_once("```"))
        .flat_map(|(block, _)| block.split_terminator(";\n"))
        .collect();
    assert!(queries.len() >= 4);
    for query in queries {
        let database = harness.database();
        let mut statement = database.prepare(query).expect(query);
        assert!(statement.readonly(), "{query}");
        let mut rows = statement.query([]).expect(query);
        while rows.next().expect(query).is_some() {}
    }
    running.run([queue(3, "more")]);
}

#[test]
fn documented_tables_are_the_tables() {
    let mut harness = SqliteHarness::new();
    let _running = harness.open();
    let database = harness.database();
    let mut query = database
        .prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")
        .expect("a query");
    let names = query
        .query_map([], |row| row.get::<_, String>(0))
        .expect("names");
    for name in names {
        let name = name.expect("a name");
        assert!(
            DOCUMENT.contains(&format!("`{name}")),
            "{name} is not in docs/store.md"
        );
    }
}
