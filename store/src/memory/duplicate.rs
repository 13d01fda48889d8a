//! The ids by which the destinations of a memory disk know repeated messages.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    DUPLICATE_WINDOW, DestinationId, DuplicateRecord, DuplicateRequest, DuplicateRow, Duplicates,
};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct DuplicateBook {
    /// The newest first.
    rows: BTreeMap<DestinationId, VecDeque<DuplicateRow>>,
}

impl DuplicateBook {
    pub(super) fn remember(&mut self, record: DuplicateRecord) {
        let rows = self.rows.entry(record.destination).or_default();
        rows.push_front(DuplicateRow {
            number: record.number,
            id: record.id,
        });
        rows.truncate(DUPLICATE_WINDOW);
    }

    pub(super) fn remove(&mut self, destination: DestinationId) {
        self.rows.remove(&destination);
    }

    pub(super) fn newest(&self, request: DuplicateRequest) -> Duplicates {
        let rows = self.rows.get(&request.destination).into_iter().flatten();
        Duplicates {
            id: request.id,
            rows: rows.take(request.rows_max).cloned().collect(),
        }
    }
}
