//! Carries the steps of a commit out on the tables, inside the transaction that the writer has begun.

use rusqlite::Connection;

use crate::sqlite::body::Bodies;
use crate::sqlite::plan::{Insert, Step};
use crate::sqlite::quarantine::{BadEntry, Quarantine};
use crate::sqlite::statement::{EntryRow, Held, Statements};
use crate::sqlite::tally::TallyBook;
use crate::{EntryKey, Move, Sequence};

/// The tables and what is kept in memory about them.
pub(super) struct Tables<'c> {
    pub(super) statements: Statements<'c>,
    bodies: Bodies<'c>,
    quarantine: Quarantine<'c>,
    tallies: TallyBook,
    /// Reused from commit to commit.
    taken: Vec<Held>,
}

impl<'c> Tables<'c> {
    pub(super) fn prepare(
        connection: &'c Connection,
        tallies: TallyBook,
        any_shared: bool,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            statements: Statements::prepare(connection)?,
            bodies: Bodies::prepare(connection, any_shared)?,
            quarantine: Quarantine::prepare(connection)?,
            tallies,
            taken: Vec::new(),
        })
    }

    /// One step. The order of steps is the order in which they were asked for.
    pub(super) fn apply(&mut self, step: &Step) -> rusqlite::Result<()> {
        match step {
            Step::Create(record) => self.statements.create(record),
            Step::Remove(destination) => {
                for held in self.statements.remove(*destination)? {
                    self.bodies.release(held)?;
                }
                self.tallies.forget(*destination);
                Ok(())
            }
            Step::Insert(insert) => self.insert(insert),
            Step::Settle(keys) => self.settle(keys),
            Step::Count {
                key,
                deliveries,
                failures,
            } => self.statements.count_entry(*key, *deliveries, *failures),
            Step::Move(change) => self.relocate(change),
            Step::Cancelled => Ok(()),
        }
    }

    /// Takes an untrustworthy entry out of its destination.
    pub(super) fn put_aside(&mut self, entry: &BadEntry, now_ms: i64) -> rusqlite::Result<()> {
        self.quarantine.put_aside(entry, now_ms)?;
        if let Some(held) = self.statements.take_entry(entry.key)? {
            self.tallies
                .subtract(entry.key, entry.key.sequence, 1, held.bytes);
            self.bodies.release(held)?;
        }
        Ok(())
    }

    /// What is written once per commit, after all steps.
    pub(super) fn finish(&mut self, closing: bool) -> rusqlite::Result<()> {
        self.bodies.sweep()?;
        self.tallies.write(&mut self.statements)?;
        if closing {
            self.statements.mark_clean()
        } else {
            Ok(())
        }
    }

    fn insert(&mut self, insert: &Insert) -> rusqlite::Result<()> {
        let append = &insert.append;
        let held = self.bodies.write(append)?;
        self.tallies.add(append.key, held.bytes);
        self.statements.insert_entry(&EntryRow {
            key: append.key,
            held,
            expires_ms: append.expires_ms,
            deliveries: insert.deliveries,
            failures: insert.failures,
            annotations: &append.annotations,
        })
    }

    /// `keys` are in order. Neighbours go together: whatever stands between two of them was named as well.
    fn settle(&mut self, keys: &[EntryKey]) -> rusqlite::Result<()> {
        for run in keys.chunk_by(|a, b| are_neighbours(*a, *b)) {
            let (first, last) = (run[0], run[run.len() - 1].sequence);
            self.taken.clear();
            if run.len() == 1 {
                self.taken.extend(self.statements.take_entry(first)?);
            } else {
                self.statements.take_entries(first, last, &mut self.taken)?;
            }
            let bytes = self.taken.iter().map(|held| held.bytes).sum();
            self.tallies
                .subtract(first, last, self.taken.len() as u64, bytes);
            for held in &self.taken {
                self.bodies.release(*held)?;
            }
        }
        Ok(())
    }

    fn relocate(&mut self, change: &Move) -> rusqlite::Result<()> {
        // Quarantined meanwhile: there is nothing to move.
        let Some(held) = self.statements.take_entry(change.from)? else {
            return Ok(());
        };
        self.tallies
            .subtract(change.from, change.from.sequence, 1, held.bytes);
        self.tallies.add(change.to, held.bytes);
        self.statements.insert_entry(&EntryRow {
            key: change.to,
            held,
            expires_ms: change.expires_ms,
            deliveries: 0,
            failures: 0,
            annotations: &change.annotations,
        })
    }
}

fn are_neighbours(a: EntryKey, b: EntryKey) -> bool {
    let next = EntryKey {
        sequence: Sequence(a.sequence.0.saturating_add(1)),
        ..a
    };
    b == next
}
