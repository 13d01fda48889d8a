//! The writer's prepared statements, one method each.
//!
//! Prepared once and kept as a local of the writer's thread: no cache look-up on the way of a message.

use rusqlite::{Connection, OptionalExtension, Statement};

use crate::sqlite::takeover::kind_name;
use crate::{DestinationId, DestinationRecord, EntryKey, MessageNumber, Rank, Sequence, Tally};

/// What an entry's row says about its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) number: MessageNumber,
    pub(super) bytes: u64,
}

/// An entry's row.
pub(super) struct EntryRow<'a> {
    pub(super) key: EntryKey,
    pub(super) held: Held,
    pub(super) expires_ms: i64,
    pub(super) deliveries: u32,
    pub(super) failures: u32,
    pub(super) annotations: &'a [u8],
}

/// See the module.
pub(super) struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    insert_destination: Statement<'c>,
    raise_next_destination: Statement<'c>,
    delete_destination: Statement<'c>,
    delete_destination_tallies: Statement<'c>,
    select_destination_entries: Statement<'c>,
    delete_destination_entries: Statement<'c>,
    insert_entry: Statement<'c>,
    take_entry: Statement<'c>,
    select_entries: Statement<'c>,
    delete_entries: Statement<'c>,
    count_entry: Statement<'c>,
    first_sequence: Statement<'c>,
    last_sequence: Statement<'c>,
    upsert_tally: Statement<'c>,
    delete_tally: Statement<'c>,
    mark_clean: Statement<'c>,
    log_frames: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        Ok(Self {
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            insert_destination: prepare("INSERT INTO destination VALUES (?, ?, ?, ?)")?,
            raise_next_destination: prepare(
                "UPDATE meta SET value = max(value, ?) WHERE key = 'next_destination'",
            )?,
            delete_destination: prepare("DELETE FROM destination WHERE id = ?")?,
            delete_destination_tallies: prepare("DELETE FROM tally WHERE destination = ?")?,
            select_destination_entries: prepare(
                "SELECT body, bytes FROM entry WHERE destination = ?",
            )?,
            delete_destination_entries: prepare("DELETE FROM entry WHERE destination = ?")?,
            insert_entry: prepare("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
            take_entry: prepare(
                "DELETE FROM entry WHERE destination = ? AND rank = ? AND sequence = ?
                 RETURNING body, bytes",
            )?,
            select_entries: prepare(
                "SELECT body, bytes FROM entry
                 WHERE destination = ? AND rank = ? AND sequence BETWEEN ? AND ?",
            )?,
            delete_entries: prepare(
                "DELETE FROM entry WHERE destination = ? AND rank = ? AND sequence BETWEEN ? AND ?",
            )?,
            count_entry: prepare(
                "UPDATE entry SET deliveries = ?4, failures = ?5
                 WHERE destination = ?1 AND rank = ?2 AND sequence = ?3",
            )?,
            first_sequence: prepare(
                "SELECT min(sequence) FROM entry WHERE destination = ? AND rank = ?",
            )?,
            last_sequence: prepare(
                "SELECT max(sequence) FROM entry WHERE destination = ? AND rank = ?",
            )?,
            upsert_tally: prepare("INSERT OR REPLACE INTO tally VALUES (?, ?, ?, ?, ?, ?)")?,
            delete_tally: prepare("DELETE FROM tally WHERE destination = ? AND rank = ?")?,
            mark_clean: prepare("INSERT OR REPLACE INTO meta VALUES ('clean', 1)")?,
            log_frames: prepare("PRAGMA wal_checkpoint(NOOP)")?,
        })
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute([]).map(drop)
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute([]).map(drop)
    }

    pub(super) fn create(&mut self, record: &DestinationRecord) -> rusqlite::Result<()> {
        let id = record.id.0;
        let kind = kind_name(record.kind);
        self.insert_destination
            .execute((id, kind, &*record.name, record.created_ms))?;
        self.raise_next_destination.execute([id + 1])?;
        Ok(())
    }

    /// Deletes all rows of a destination and says what its entries held.
    pub(super) fn remove(&mut self, destination: DestinationId) -> rusqlite::Result<Vec<Held>> {
        let rows = self
            .select_destination_entries
            .query_map([destination.0], held)?;
        let held = rows.collect::<rusqlite::Result<_>>()?;
        self.delete_destination_entries.execute([destination.0])?;
        self.delete_destination_tallies.execute([destination.0])?;
        self.delete_destination.execute([destination.0])?;
        Ok(held)
    }

    pub(super) fn insert_entry(&mut self, row: &EntryRow<'_>) -> rusqlite::Result<()> {
        let annotations = (!row.annotations.is_empty()).then_some(row.annotations);
        self.insert_entry
            .execute((
                row.key.destination.0,
                row.key.rank.0,
                row.key.sequence.0,
                row.held.number.0,
                row.held.bytes as i64,
                row.expires_ms,
                row.deliveries,
                row.failures,
                annotations,
            ))
            .map(drop)
    }

    /// Deletes an entry if it is there.
    pub(super) fn take_entry(&mut self, key: EntryKey) -> rusqlite::Result<Option<Held>> {
        let place = (key.destination.0, key.rank.0, key.sequence.0);
        let mut rows = self.take_entry.query(place)?;
        rows.next()?.map(held).transpose()
    }

    /// Deletes the entries between `from` and `through` that are there and adds what they held to `into`.
    pub(super) fn take_entries(
        &mut self,
        from: EntryKey,
        through: Sequence,
        into: &mut Vec<Held>,
    ) -> rusqlite::Result<()> {
        let range = (from.destination.0, from.rank.0, from.sequence.0, through.0);
        let mut rows = self.select_entries.query(range)?;
        while let Some(row) = rows.next()? {
            into.push(held(row)?);
        }
        drop(rows);
        self.delete_entries.execute(range).map(drop)
    }

    pub(super) fn count_entry(
        &mut self,
        key: EntryKey,
        deliveries: u32,
        failures: u32,
    ) -> rusqlite::Result<()> {
        let place = (
            key.destination.0,
            key.rank.0,
            key.sequence.0,
            deliveries,
            failures,
        );
        self.count_entry.execute(place).map(drop)
    }

    pub(super) fn first_sequence(
        &mut self,
        place: (DestinationId, Rank),
    ) -> rusqlite::Result<Option<i64>> {
        self.first_sequence
            .query_row((place.0.0, place.1.0), |row| row.get(0))
    }

    pub(super) fn last_sequence(
        &mut self,
        place: (DestinationId, Rank),
    ) -> rusqlite::Result<Option<i64>> {
        self.last_sequence
            .query_row((place.0.0, place.1.0), |row| row.get(0))
    }

    pub(super) fn upsert_tally(&mut self, tally: &Tally) -> rusqlite::Result<()> {
        self.upsert_tally
            .execute((
                tally.destination.0,
                tally.rank.0,
                tally.count as i64,
                tally.bytes as i64,
                tally.first.0,
                tally.last.0,
            ))
            .map(drop)
    }

    pub(super) fn delete_tally(&mut self, place: (DestinationId, Rank)) -> rusqlite::Result<()> {
        self.delete_tally.execute((place.0.0, place.1.0)).map(drop)
    }

    pub(super) fn mark_clean(&mut self) -> rusqlite::Result<()> {
        self.mark_clean.execute([]).map(drop)
    }

    /// Frames in the log, and how many of them are folded back already. Does no checkpoint.
    pub(super) fn log_frames(&mut self) -> rusqlite::Result<(u64, u64)> {
        let frames = self.log_frames.query_row([], |row| {
            Ok((
                row.get::<_, i64>(1)?.max(0).unsigned_abs(),
                row.get::<_, i64>(2)?.max(0).unsigned_abs(),
            ))
        });
        Ok(frames.optional()?.unwrap_or_default())
    }
}

fn held(row: &rusqlite::Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        number: MessageNumber(row.get(0)?),
        bytes: row.get::<_, i64>(1)?.unsigned_abs(),
    })
}
