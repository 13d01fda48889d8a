//! What one commit does to the schedule: each message of it is touched once, however often it was put off.
//!
//! What comes and what is put off is written before the steps of the commit, so that a destination that is removed
//! takes it along. What goes, goes behind them: a message that fires is appended while its body is still there.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::{ScheduleId, ScheduleRecord};

/// When a message fires next, and how often again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) due_ms: i64,
    pub(super) repeats_left: i64,
}

/// A message to be scheduled, with what was changed about it since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Booking<'b> {
    pub(super) record: &'b ScheduleRecord,
    pub(super) turn: Turn,
}

/// What becomes of a message that is scheduled already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    PutOff(Turn),
    Gone,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Timetable<'b> {
    /// In the order in which they came; `None` has gone before it was written.
    bookings: Vec<Option<Booking<'b>>>,
    booked: FxHashMap<ScheduleId, usize>,
    pub(super) changes: BTreeMap<ScheduleId, Change>,
}

impl<'b> Timetable<'b> {
    /// Whether the database has to be touched for it.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.bookings.iter().all(Option::is_none)
    }

    pub(super) fn bookings(&self) -> impl Iterator<Item = Booking<'b>> {
        self.bookings.iter().copied().flatten()
    }

    pub(super) fn schedule(&mut self, record: &'b ScheduleRecord) {
        let turn = Turn {
            due_ms: record.due_ms,
            repeats_left: record.repeats_left,
        };
        self.booked.insert(record.id, self.bookings.len());
        self.bookings.push(Some(Booking { record, turn }));
    }

    pub(super) fn put_off(&mut self, id: ScheduleId, turn: Turn) {
        if let Some(booking) = self.booking(id) {
            if let Some(booking) = booking {
                booking.turn = turn;
            }
            return;
        }
        let change = self.changes.entry(id).or_insert(Change::PutOff(turn));
        if *change != Change::Gone {
            *change = Change::PutOff(turn);
        }
    }

    pub(super) fn unschedule(&mut self, id: ScheduleId) {
        match self.booking(id) {
            Some(booking) => *booking = None,
            None => {
                self.changes.insert(id, Change::Gone);
            }
        }
    }

    fn booking(&mut self, id: ScheduleId) -> Option<&mut Option<Booking<'b>>> {
        let index = self.booked.get(&id)?;
        self.bookings.get_mut(*index)
    }
}
