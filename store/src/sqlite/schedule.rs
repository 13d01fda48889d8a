//! Scheduled messages as the writer changes them.
//!
//! *Invariant.* After [`Schedules::write`] the stored counts, the counts in memory and a recount agree.

use rusqlite::{Connection, OptionalExtension, Row, Statement};
use rustc_hash::FxHashMap;

use crate::sqlite::body::Bodies;
use crate::sqlite::entry::{Held, held};
use crate::sqlite::takeover;
use crate::sqlite::timetable::{Booking, Change, Timetable};
use crate::{DestinationId, ScheduleId, ScheduleTally};

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    count: u64,
    bytes: u64,
    is_changed: bool,
}

/// See the module.
pub(super) struct Schedules<'c> {
    insert: Statement<'c>,
    put_off: Statement<'c>,
    take: Statement<'c>,
    select_destination: Statement<'c>,
    delete_destination: Statement<'c>,
    upsert_tally: Statement<'c>,
    delete_tally: Statement<'c>,
    counts: FxHashMap<DestinationId, Count>,
    changed: Vec<DestinationId>,
}

impl<'c> Schedules<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        let mut schedules = Self {
            insert: prepare("INSERT INTO schedule VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?,
            put_off: prepare("UPDATE schedule SET due_ms = ?2, repeats_left = ?3 WHERE id = ?1")?,
            take: prepare("DELETE FROM schedule WHERE id = ? RETURNING body, bytes, destination")?,
            select_destination: prepare("SELECT body, bytes FROM schedule WHERE destination = ?")?,
            delete_destination: prepare("DELETE FROM schedule WHERE destination = ?")?,
            upsert_tally: prepare("INSERT OR REPLACE INTO schedule_tally VALUES (?, ?, ?)")?,
            delete_tally: prepare("DELETE FROM schedule_tally WHERE destination = ?")?,
            counts: FxHashMap::default(),
            changed: Vec::new(),
        };
        schedules.load(connection)?;
        Ok(schedules)
    }

    /// Learns from the database what it has, at a start and after a rollback.
    pub(super) fn load(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.changed.clear();
        let counted = |tally: ScheduleTally| {
            let count = Count {
                count: tally.count,
                bytes: tally.bytes,
                is_changed: false,
            };
            (tally.destination, count)
        };
        let tallies = takeover::schedule_tallies(connection)?;
        self.counts = tallies.into_iter().map(counted).collect();
        Ok(())
    }

    /// Writes what comes and what is put off: before the steps of a commit.
    pub(super) fn book(
        &mut self,
        bodies: &mut Bodies<'_>,
        timetable: &Timetable<'_>,
    ) -> rusqlite::Result<()> {
        for booking in timetable.bookings() {
            self.insert(bodies, booking)?;
        }
        for (id, change) in &timetable.changes {
            if let Change::PutOff(turn) = change {
                self.put_off
                    .execute((id.0, turn.due_ms, turn.repeats_left))?;
            }
        }
        Ok(())
    }

    /// Deletes what goes: behind the steps of a commit.
    pub(super) fn cross_out(
        &mut self,
        bodies: &mut Bodies<'_>,
        timetable: &Timetable<'_>,
    ) -> rusqlite::Result<()> {
        for (id, change) in &timetable.changes {
            if *change == Change::Gone {
                self.delete(bodies, *id)?;
            }
        }
        Ok(())
    }

    /// Deletes a message if it is there.
    pub(super) fn delete(
        &mut self,
        bodies: &mut Bodies<'_>,
        id: ScheduleId,
    ) -> rusqlite::Result<()> {
        let taken = |row: &Row<'_>| Ok((held(row)?, DestinationId(row.get(2)?)));
        let Some((held, destination)) = self.take.query_row([id.0], taken).optional()? else {
            return Ok(());
        };
        let count = self.change(destination);
        count.count = count.count.saturating_sub(1);
        count.bytes = count.bytes.saturating_sub(held.bytes);
        bodies.release(held)
    }

    /// Deletes all messages for a destination.
    pub(super) fn remove(
        &mut self,
        bodies: &mut Bodies<'_>,
        destination: DestinationId,
    ) -> rusqlite::Result<()> {
        if !self.counts.contains_key(&destination) {
            return Ok(());
        }
        let rows = self.select_destination.query_map([destination.0], held)?;
        let all: Vec<Held> = rows.collect::<rusqlite::Result<_>>()?;
        self.delete_destination.execute([destination.0])?;
        for held in all {
            bodies.release(held)?;
        }
        let count = self.change(destination);
        (count.count, count.bytes) = (0, 0);
        Ok(())
    }

    /// Writes the counts that changed, inside the commit that changed them.
    pub(super) fn write(&mut self) -> rusqlite::Result<()> {
        for destination in self.changed.drain(..) {
            let Some(count) = self.counts.get_mut(&destination) else {
                continue;
            };
            count.is_changed = false;
            if count.count == 0 {
                self.counts.remove(&destination);
                self.delete_tally.execute([destination.0])?;
            } else {
                let row = (destination.0, count.count as i64, count.bytes as i64);
                self.upsert_tally.execute(row)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, bodies: &mut Bodies<'_>, booking: Booking<'_>) -> rusqlite::Result<()> {
        let record = booking.record;
        let held = bodies.write(record)?;
        self.insert.execute((
            record.id.0,
            booking.turn.due_ms,
            record.destination.0,
            record.rank.0,
            held.number.0,
            held.bytes as i64,
            record.expires_ms,
            booking.turn.repeats_left,
            &*record.text,
        ))?;
        let count = self.change(record.destination);
        count.count += 1;
        count.bytes += held.bytes;
        Ok(())
    }

    fn change(&mut self, destination: DestinationId) -> &mut Count {
        let count = self.counts.entry(destination).or_default();
        if !count.is_changed {
            count.is_changed = true;
            self.changed.push(destination);
        }
        count
    }
}
