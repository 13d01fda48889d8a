//! Carries the steps of a commit out on the tables, inside the transaction that the writer has begun.

use std::time::Duration;

use rusqlite::Connection;

use crate::sqlite::duplicate::DuplicateBook;
use crate::sqlite::entry::{Entries, EntryRow};
use crate::sqlite::log::Logs;
use crate::sqlite::plan::{Insert, Plan, Relocation, Step};
use crate::sqlite::quarantine::{BadEntry, Place, Quarantine};
use crate::sqlite::schedule::Schedules;
use crate::sqlite::statement::Statements;
use crate::sqlite::takeover;
use crate::sqlite::tally::TallyBook;

/// The tables and what is kept in memory about them.
pub(super) struct Tables<'c> {
    connection: &'c Connection,
    pub(super) statements: Statements<'c>,
    entries: Entries<'c>,
    quarantine: Quarantine<'c>,
    tallies: TallyBook,
    logs: Logs<'c>,
    schedules: Schedules<'c>,
    duplicates: DuplicateBook<'c>,
}

impl<'c> Tables<'c> {
    pub(super) fn prepare(
        connection: &'c Connection,
        tallies: TallyBook,
        any_shared: bool,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            statements: Statements::prepare(connection)?,
            entries: Entries::prepare(connection, any_shared)?,
            quarantine: Quarantine::prepare(connection)?,
            tallies,
            logs: Logs::prepare(connection)?,
            schedules: Schedules::prepare(connection)?,
            duplicates: DuplicateBook::prepare(connection)?,
        })
    }

    /// All of a commit: first what a destination that goes takes along, last what must be there for a message that fires.
    /// The order of steps is the order in which they were asked for.
    pub(super) fn carry_out(&mut self, plan: &Plan<'_>) -> rusqlite::Result<()> {
        self.logs.keep(plan.ledger())?;
        self.schedules
            .book(self.entries.bodies(), plan.timetable())?;
        for record in plan.remembered() {
            self.duplicates.remember(record)?;
        }
        for step in plan.steps() {
            self.apply(step)?;
        }
        self.schedules
            .cross_out(self.entries.bodies(), plan.timetable())
    }

    fn apply(&mut self, step: &Step<'_>) -> rusqlite::Result<()> {
        match step {
            Step::Create(record) => self.statements.create(record),
            Step::Remove(destination) => {
                self.entries.remove(*destination)?;
                self.schedules.remove(self.entries.bodies(), *destination)?;
                self.duplicates.remove(*destination)?;
                self.tallies.forget(*destination);
                self.statements.remove(*destination)
            }
            Step::Insert(insert) => self.insert(insert),
            Step::Settle(keys) => self.entries.settle(keys, |run| {
                self.tallies
                    .subtract(run.first, run.last, run.entries, run.bytes);
            }),
            Step::Count {
                key,
                deliveries,
                failures,
            } => self.statements.count_entry(*key, *deliveries, *failures),
            Step::Move(relocation) => self.relocate(*relocation),
            Step::Log(log) => self.logs.append(self.entries.bodies(), log),
            Step::Cancelled => Ok(()),
        }
    }

    /// Takes an untrustworthy entry out of its destination.
    pub(super) fn put_aside(&mut self, entry: &BadEntry, now_ms: i64) -> rusqlite::Result<()> {
        self.quarantine.put_aside(entry, now_ms)?;
        match entry.place {
            Place::Entry(key) => {
                if let Some(held) = self.entries.delete(key)? {
                    self.tallies.subtract(key, key.sequence, 1, held.bytes);
                }
                Ok(())
            }
            Place::Log { topic, sequence } => {
                self.logs.delete(self.entries.bodies(), topic, sequence)
            }
            Place::Schedule(id) => self.schedules.delete(self.entries.bodies(), id),
        }
    }

    /// Whether there is something for [`Tables::trim`].
    pub(super) fn are_due(&self) -> bool {
        self.logs.are_due()
    }

    /// Removes what nobody needs any more, for about as long as `budget`.
    pub(super) fn trim(&mut self, budget: Duration) -> rusqlite::Result<()> {
        self.logs.trim(self.entries.bodies(), budget)
    }

    /// What is written once per commit, after all steps.
    pub(super) fn finish(&mut self, closing: bool) -> rusqlite::Result<()> {
        self.entries.sweep()?;
        self.tallies.write(&mut self.statements)?;
        self.logs.write()?;
        self.schedules.write()?;
        self.duplicates.sweep()?;
        if closing {
            self.statements.mark_clean()
        } else {
            Ok(())
        }
    }

    /// Undoes the transaction, and what is kept in memory about it.
    pub(super) fn roll_back(&mut self) -> rusqlite::Result<()> {
        // A full disk may have done it already.
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        self.entries.rolled_back();
        self.tallies = TallyBook::new(&takeover::tallies(self.connection)?);
        self.duplicates.rolled_back();
        self.schedules.load(self.connection)?;
        self.logs.reload(self.connection)
    }

    fn insert(&mut self, insert: &Insert<'_>) -> rusqlite::Result<()> {
        let held = self.entries.insert(insert)?;
        self.tallies.add(insert.key, held.bytes);
        Ok(())
    }

    fn relocate(&mut self, relocation: Relocation<'_>) -> rusqlite::Result<()> {
        let Relocation { from, last } = relocation;
        // Quarantined or refused before: there is nothing to move.
        let Some(held) = self.entries.take(from)? else {
            return Ok(());
        };
        self.tallies.subtract(from, from.sequence, 1, held.bytes);
        self.tallies.add(last.to, held.bytes);
        self.entries.place(&EntryRow {
            key: last.to,
            held,
            expires_ms: last.expires_ms,
            deliveries: 0,
            failures: 0,
            annotations: &last.annotations,
        })
    }
}
