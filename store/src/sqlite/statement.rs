//! The writer's prepared statements but those on entries, one method each.
//!
//! Prepared once and kept as a local of the writer's thread: no cache look-up on the way of a message.

use rusqlite::{Connection, OptionalExtension, Statement};

use crate::sqlite::takeover::kind_name;
use crate::{DestinationId, DestinationRecord, EntryKey, Rank, Tally};

/// See the module.
pub(super) struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    insert_destination: Statement<'c>,
    raise_next_destination: Statement<'c>,
    delete_destination: Statement<'c>,
    delete_destination_tallies: Statement<'c>,
    count_entry: Statement<'c>,
    first_sequence: Statement<'c>,
    last_sequence: Statement<'c>,
    upsert_tally: Statement<'c>,
    delete_tally: Statement<'c>,
    mark_clean: Statement<'c>,
    log_frames: Statement<'c>,
    page_count: Statement<'c>,
    free_page_count: Statement<'c>,
    count_full: Statement<'c>,
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
            page_count: prepare("PRAGMA page_count")?,
            free_page_count: prepare("PRAGMA freelist_count")?,
            count_full: prepare(
                "INSERT INTO meta VALUES ('full', 1) ON CONFLICT DO UPDATE SET value = value + 1",
            )?,
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

    /// Deletes a destination and its counts; its entries are another's.
    pub(super) fn remove(&mut self, destination: DestinationId) -> rusqlite::Result<()> {
        self.delete_destination_tallies.execute([destination.0])?;
        self.delete_destination.execute([destination.0]).map(drop)
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

    /// Counts commits that found no room: a change where there may be no other.
    pub(super) fn count_full(&mut self) -> rusqlite::Result<()> {
        self.count_full.execute([]).map(drop)
    }

    /// Pages of the database, and how many of them nothing uses: as the transaction under way leaves them.
    pub(super) fn pages(&mut self) -> rusqlite::Result<(u64, u64)> {
        let all: i64 = self.page_count.query_row([], |row| row.get(0))?;
        let free: i64 = self.free_page_count.query_row([], |row| row.get(0))?;
        Ok((all.unsigned_abs(), free.unsigned_abs()))
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
