//! The first commit of a life: raises the epoch, removes the mark of a clean stop, and reads what is there.
//!
//! Reads destinations, subscriptions and counts only. A start takes as long with ten million messages as with none.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, TransactionBehavior};

use crate::sqlite::tally::TallyBook;
use crate::{
    DestinationId, DestinationKind, DestinationRecord, Epoch, LogTally, Rank, Recovered,
    ScheduleTally, Sequence, SubscriptionId, SubscriptionRecord, Tally,
};

/// The last epoch that leaves a [`Sequence`] its sign.
const EPOCH_LAST: u32 = (1 << (63 - Epoch::COUNTER_BITS)) - 1;

/// What the writer knows beside what the owner is told.
pub(super) struct Takeover {
    pub(super) recovered: Recovered,
    pub(super) tallies: TallyBook,
    /// Whether any body has more than one owner.
    pub(super) any_shared: bool,
}

/// Begins a new life on a database with a current schema.
pub(super) fn take_over(connection: &mut Connection) -> rusqlite::Result<Takeover> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let previous: u32 = meta(&transaction, "epoch")?.unwrap_or(0);
    if previous >= EPOCH_LAST {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, previous.into()));
    }
    let clean: Option<i64> = meta(&transaction, "clean")?;
    let uncertain_through = match clean {
        Some(_) => meta(&transaction, "uncertain_through")?.unwrap_or(0),
        None => previous,
    };
    let instance = match meta(&transaction, "instance")? {
        Some(instance) => instance,
        None => random_instance()?,
    };
    let next_destination: i64 = meta(&transaction, "next_destination")?.unwrap_or(1);
    set_meta(&transaction, "instance", &instance)?;
    set_meta(&transaction, "epoch", previous + 1)?;
    set_meta(&transaction, "uncertain_through", uncertain_through)?;
    set_meta(&transaction, "next_destination", next_destination)?;
    transaction.execute("DELETE FROM meta WHERE key = 'clean'", [])?;

    let destinations = destinations(&transaction)?;
    let tallies = tallies(&transaction)?;
    let subscriptions = subscriptions(&transaction)?;
    let used = subscriptions.last().map(|record| record.id);
    let used = used.max(excepted(&transaction)?.last().copied());
    let logs = log_tallies(&transaction)?;
    let scheduled = schedule_tallies(&transaction)?;
    let next_due_ms =
        transaction.query_row("SELECT min(due_ms) FROM schedule", [], |row| row.get(0))?;
    let any_shared =
        transaction.query_row("SELECT EXISTS (SELECT 1 FROM shared)", [], |row| row.get(0))?;
    transaction.commit()?;
    Ok(Takeover {
        tallies: TallyBook::new(&tallies),
        any_shared,
        recovered: Recovered {
            instance,
            epoch: Epoch(previous + 1),
            uncertain_through: Epoch(uncertain_through),
            destinations,
            tallies,
            next_destination: DestinationId(next_destination),
            subscriptions,
            next_subscription: SubscriptionId(used.map_or(1, |id| id.0 + 1)),
            logs,
            scheduled,
            next_due_ms,
        },
    })
}

/// The spelling of a kind in the `destination` table.
pub(super) fn kind_name(kind: DestinationKind) -> &'static str {
    match kind {
        DestinationKind::Queue => "queue",
        DestinationKind::Topic => "topic",
    }
}

fn meta<T: rusqlite::types::FromSql>(
    connection: &Connection,
    key: &'static str,
) -> rusqlite::Result<Option<T>> {
    let query = "SELECT value FROM meta WHERE key = ?";
    connection
        .query_row(query, [key], |row| row.get(0))
        .optional()
}

fn set_meta(
    connection: &Connection,
    key: &'static str,
    value: impl ToSql,
) -> rusqlite::Result<usize> {
    let upsert = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2";
    connection.execute(upsert, (key, value))
}

fn destinations(connection: &Connection) -> rusqlite::Result<Vec<DestinationRecord>> {
    let mut query =
        connection.prepare("SELECT id, kind, name, created_ms FROM destination ORDER BY id")?;
    let rows = query.query_map([], |row| {
        Ok(DestinationRecord {
            id: DestinationId(row.get(0)?),
            kind: kind(row)?,
            name: row.get::<_, String>(2)?.into_boxed_str(),
            created_ms: row.get(3)?,
        })
    })?;
    rows.collect()
}

fn kind(row: &Row<'_>) -> rusqlite::Result<DestinationKind> {
    match row.get_ref(1)?.as_str()? {
        "queue" => Ok(DestinationKind::Queue),
        // The table's CHECK lets nothing else in.
        _ => Ok(DestinationKind::Topic),
    }
}

/// The stored counts.
pub(super) fn tallies(connection: &Connection) -> rusqlite::Result<Vec<Tally>> {
    let mut query =
        connection.prepare("SELECT destination, rank, count, bytes, first, last FROM tally")?;
    let rows = query.query_map([], |row| {
        Ok(Tally {
            destination: DestinationId(row.get(0)?),
            rank: Rank(row.get(1)?),
            count: row.get::<_, i64>(2)?.unsigned_abs(),
            bytes: row.get::<_, i64>(3)?.unsigned_abs(),
            first: Sequence(row.get(4)?),
            last: Sequence(row.get(5)?),
        })
    })?;
    rows.collect()
}

/// All durable subscriptions, in order of their ids.
pub(super) fn subscriptions(connection: &Connection) -> rusqlite::Result<Vec<SubscriptionRecord>> {
    let mut query = connection.prepare(
        "SELECT id, destination, identity, selector, floor, created_ms FROM subscription ORDER BY id",
    )?;
    let rows = query.query_map([], |row| {
        Ok(SubscriptionRecord {
            id: SubscriptionId(row.get(0)?),
            topic: DestinationId(row.get(1)?),
            identity: row.get::<_, String>(2)?.into_boxed_str(),
            selector: row.get::<_, Option<String>>(3)?.map(String::into_boxed_str),
            floor: Sequence(row.get(4)?),
            created_ms: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// The subscriptions, also those that are gone, of which there are exceptions, in order: a seek for each.
pub(super) fn excepted(connection: &Connection) -> rusqlite::Result<Vec<SubscriptionId>> {
    let mut query = connection.prepare(
        "WITH RECURSIVE one(id) AS (
             SELECT min(subscription) FROM subscription_exception
             UNION ALL
             SELECT (SELECT min(subscription) FROM subscription_exception WHERE subscription > id)
             FROM one WHERE id IS NOT NULL)
         SELECT id FROM one WHERE id IS NOT NULL",
    )?;
    let rows = query.query_map([], |row| Ok(SubscriptionId(row.get(0)?)))?;
    rows.collect()
}

/// The stored counts of the logs.
pub(super) fn log_tallies(connection: &Connection) -> rusqlite::Result<Vec<LogTally>> {
    let mut query = connection.prepare("SELECT topic, count, bytes, first, last FROM log_tally")?;
    let rows = query.query_map([], |row| {
        Ok(LogTally {
            topic: DestinationId(row.get(0)?),
            count: row.get::<_, i64>(1)?.unsigned_abs(),
            bytes: row.get::<_, i64>(2)?.unsigned_abs(),
            first: Sequence(row.get(3)?),
            last: Sequence(row.get(4)?),
        })
    })?;
    rows.collect()
}

/// The stored counts of what is scheduled.
pub(super) fn schedule_tallies(connection: &Connection) -> rusqlite::Result<Vec<ScheduleTally>> {
    let mut query = connection.prepare("SELECT destination, count, bytes FROM schedule_tally")?;
    let rows = query.query_map([], |row| {
        Ok(ScheduleTally {
            destination: DestinationId(row.get(0)?),
            count: row.get::<_, i64>(1)?.unsigned_abs(),
            bytes: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    rows.collect()
}

/// 128 random bits in base 32: no `-` inside, since it separates the parts of a message id.
fn random_instance() -> rusqlite::Result<String> {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let mut rest = u128::from_le_bytes(bytes);
    let mut text = String::with_capacity(26);
    for _ in 0..26 {
        text.push(char::from(DIGITS[(rest & 31) as usize]));
        rest >>= 5;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    #[test]
    fn start_reads_neither_entries_nor_bodies() {
        let mut connection = Connection::open_in_memory().expect("a database");
        schema::create(&connection).expect("a schema");
        connection
            .execute_batch(
                "INSERT INTO destination VALUES (1, 'queue', 'a', 0);
                 INSERT INTO tally VALUES (1, 4, 1000000, 1, 7, 9);
                 INSERT INTO log_tally VALUES (2, 1000000, 1, 7, 9);
                 INSERT INTO schedule_tally VALUES (1, 1000000, 1);
                 DROP VIEW v_queue; DROP VIEW v_message; DROP VIEW v_subscription; DROP VIEW v_scheduled;
                 DROP TABLE entry; DROP TABLE log; DROP TABLE body; DROP TABLE body_part;",
            )
            .expect("no entries");
        let recovered = take_over(&mut connection).expect("a new life").recovered;
        assert_eq!(recovered.tallies[0].count, 1_000_000);
        assert_eq!(recovered.destinations.len(), 1);
        assert_eq!(recovered.logs[0].count, 1_000_000);
        assert_eq!(recovered.scheduled[0].count, 1_000_000);
    }

    #[test]
    fn instances_differ_and_have_no_dash() {
        let [one, two] = [(); 2].map(|()| random_instance().expect("random bits"));
        assert_ne!(one, two);
        assert!(one.len() == 26 && !one.contains('-'));
    }
}
