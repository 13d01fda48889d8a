//! What is scheduled on a memory disk. Messages are another's: what the schedule lets go of is returned.

use std::collections::BTreeMap;

use crate::{
    DestinationId, DueKey, MessageNumber, Rank, ScheduleFilter, ScheduleId, ScheduleListRequest,
    ScheduleRecord,
};

/// A scheduled message.
#[derive(Debug, Clone)]
pub(super) struct Booked {
    pub(super) due_ms: i64,
    pub(super) repeats_left: i64,
    pub(super) text: Box<str>,
    pub(super) destination: DestinationId,
    pub(super) rank: Rank,
    pub(super) number: MessageNumber,
    pub(super) expires_ms: i64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    rows: BTreeMap<ScheduleId, Booked>,
}

impl Schedule {
    pub(super) fn rows(&self) -> impl Iterator<Item = &Booked> {
        self.rows.values()
    }

    pub(super) fn has(&self, id: ScheduleId) -> bool {
        self.rows.contains_key(&id)
    }

    pub(super) fn insert(&mut self, record: ScheduleRecord) {
        let booked = Booked {
            due_ms: record.due_ms,
            repeats_left: record.repeats_left,
            text: record.text,
            destination: record.destination,
            rank: record.rank,
            number: record.number,
            expires_ms: record.expires_ms,
        };
        self.rows.insert(record.id, booked);
    }

    pub(super) fn put_off(&mut self, id: ScheduleId, due_ms: i64, repeats_left: i64) {
        if let Some(row) = self.rows.get_mut(&id) {
            (row.due_ms, row.repeats_left) = (due_ms, repeats_left);
        }
    }

    pub(super) fn take(&mut self, id: ScheduleId) -> Option<MessageNumber> {
        self.rows.remove(&id).map(|row| row.number)
    }

    pub(super) fn remove(&mut self, destination: DestinationId) -> Vec<MessageNumber> {
        let of = |row: &Booked| row.destination == destination;
        let ids = self.rows.iter().filter(|(_, row)| of(row));
        let ids: Vec<_> = ids.map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.take(id)).collect()
    }

    /// What stands behind `after`, in the order in which it fires.
    pub(super) fn behind(&self, after: Option<DueKey>) -> Vec<(DueKey, &Booked)> {
        let keyed = self.rows.iter().map(|(id, row)| {
            let key = DueKey {
                due_ms: row.due_ms,
                id: *id,
            };
            (key, row)
        });
        let mut all: Vec<_> = keyed
            .filter(|(key, _)| after.is_none_or(|after| *key > after))
            .collect();
        all.sort_by_key(|(key, _)| *key);
        all
    }

    /// What a listing shows when it has no bounds.
    pub(super) fn listed(&self, request: ScheduleListRequest) -> Vec<(DueKey, &Booked)> {
        let mut all = self.behind(request.after);
        all.retain(|(key, row)| match request.filter {
            ScheduleFilter::All => true,
            ScheduleFilter::Destination(destination) => row.destination == destination,
            ScheduleFilter::One(id) => key.id == id,
        });
        all
    }
}
