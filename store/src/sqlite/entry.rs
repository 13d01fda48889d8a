//! Entry rows and the bodies they hold, as a writer changes them: in the database and in the scratch file alike.

use rusqlite::{Connection, Statement};

use crate::sqlite::body::Bodies;
use crate::sqlite::plan::Insert;
use crate::{DestinationId, EntryKey, MessageNumber, Sequence};

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

/// Entries that went together: all that stood between two positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) first: EntryKey,
    pub(super) last: Sequence,
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// See the module.
pub(super) struct Entries<'c> {
    insert: Statement<'c>,
    take: Statement<'c>,
    select_run: Statement<'c>,
    delete_run: Statement<'c>,
    select_destination: Statement<'c>,
    delete_destination: Statement<'c>,
    bodies: Bodies<'c>,
    /// Reused from run to run.
    taken: Vec<Held>,
}

impl<'c> Entries<'c> {
    pub(super) fn prepare(connection: &'c Connection, any_shared: bool) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        Ok(Self {
            insert: prepare("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
            take: prepare(
                "DELETE FROM entry WHERE destination = ? AND rank = ? AND sequence = ?
                 RETURNING body, bytes",
            )?,
            select_run: prepare(
                "SELECT body, bytes FROM entry
                 WHERE destination = ? AND rank = ? AND sequence BETWEEN ? AND ?",
            )?,
            delete_run: prepare(
                "DELETE FROM entry WHERE destination = ? AND rank = ? AND sequence BETWEEN ? AND ?",
            )?,
            select_destination: prepare("SELECT body, bytes FROM entry WHERE destination = ?")?,
            delete_destination: prepare("DELETE FROM entry WHERE destination = ?")?,
            bodies: Bodies::prepare(connection, any_shared)?,
            taken: Vec::new(),
        })
    }

    /// Writes an entry, and its message unless that is there already.
    pub(super) fn insert(&mut self, insert: &Insert<'_>) -> rusqlite::Result<Held> {
        let held = self.bodies.write(insert.append)?;
        self.place(&EntryRow {
            key: insert.key,
            held,
            expires_ms: insert.expires_ms,
            deliveries: insert.deliveries,
            failures: insert.failures,
            annotations: insert.annotations,
        })?;
        Ok(held)
    }

    /// Writes the row of an entry whose message is there.
    pub(super) fn place(&mut self, row: &EntryRow<'_>) -> rusqlite::Result<()> {
        let annotations = (!row.annotations.is_empty()).then_some(row.annotations);
        self.insert
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

    /// Deletes an entry's row if it is there, and nothing of its message.
    pub(super) fn take(&mut self, key: EntryKey) -> rusqlite::Result<Option<Held>> {
        let place = (key.destination.0, key.rank.0, key.sequence.0);
        let mut rows = self.take.query(place)?;
        rows.next()?.map(held).transpose()
    }

    /// Deletes an entry if it is there.
    pub(super) fn delete(&mut self, key: EntryKey) -> rusqlite::Result<Option<Held>> {
        let held = self.take(key)?;
        if let Some(held) = held {
            self.bodies.release(held)?;
        }
        Ok(held)
    }

    /// Deletes entries, whose `keys` are in order, and reports what went with each run of neighbours. These go
    /// together: whatever stands between two of them was named as well.
    pub(super) fn settle(
        &mut self,
        keys: &[EntryKey],
        mut gone: impl FnMut(Run),
    ) -> rusqlite::Result<()> {
        for run in keys.chunk_by(|a, b| are_neighbours(*a, *b)) {
            let (first, last) = (run[0], run[run.len() - 1].sequence);
            self.taken.clear();
            if run.len() == 1 {
                let held = self.take(first)?;
                self.taken.extend(held);
            } else {
                self.take_run(first, last)?;
            }
            gone(Run {
                first,
                last,
                entries: self.taken.len() as u64,
                bytes: self.taken.iter().map(|held| held.bytes).sum(),
            });
            for held in &self.taken {
                self.bodies.release(*held)?;
            }
        }
        Ok(())
    }

    /// Deletes all entries of a destination.
    pub(super) fn remove(&mut self, destination: DestinationId) -> rusqlite::Result<()> {
        let rows = self.select_destination.query_map([destination.0], held)?;
        let all: Vec<Held> = rows.collect::<rusqlite::Result<_>>()?;
        self.delete_destination.execute([destination.0])?;
        for held in all {
            self.bodies.release(held)?;
        }
        Ok(())
    }

    /// The messages, which the entries share with other owners.
    pub(super) fn bodies(&mut self) -> &mut Bodies<'c> {
        &mut self.bodies
    }

    /// Once at the end of a transaction: deletes the bodies that have lost their last owner.
    pub(super) fn sweep(&mut self) -> rusqlite::Result<()> {
        self.bodies.sweep()
    }

    /// The transaction was rolled back.
    pub(super) fn rolled_back(&mut self) {
        self.bodies.rolled_back();
    }

    fn take_run(&mut self, first: EntryKey, last: Sequence) -> rusqlite::Result<()> {
        let range = (first.destination.0, first.rank.0, first.sequence.0, last.0);
        let mut rows = self.select_run.query(range)?;
        while let Some(row) = rows.next()? {
            self.taken.push(held(row)?);
        }
        drop(rows);
        self.delete_run.execute(range).map(drop)
    }
}

/// The first two columns of a row, `body` and `bytes`.
pub(super) fn held(row: &rusqlite::Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        number: MessageNumber(row.get(0)?),
        bytes: row.get::<_, i64>(1)?.unsigned_abs(),
    })
}

fn are_neighbours(a: EntryKey, b: EntryKey) -> bool {
    let next = EntryKey {
        sequence: Sequence(a.sequence.0.saturating_add(1)),
        ..a
    };
    b == next
}
