//! Last-value queues: of the messages that wait with one value of a header, only the newest stays (`last_value`).
//!
//! Owns which message of a queue is the newest of each value. *Invariants*: what is with a consumer stays with it; the
//! older message leaves in the commit that brings the newer one. After a start the index is made from the rows on disk, a
//! page at a time; until that has come to its end an older message may still be there beside a newer one.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use stompbox_protocol::canonical;
use stompbox_store::{Medium, Operation, Page, PageRow, Rank, Sequence};

use super::Dispatcher;
use super::entry::Entry;
use super::full::Acknowledged;
use super::key::QueueKey;
use super::queue::{LANE_COUNT, Purpose, Queue};
use crate::config::Policy;
use crate::core::memory::{Charge, MemoryBudget};

/// A value of the header.
type Value = Arc<[u8]>;

/// What a value costs beside its own bytes.
const VALUE_BYTES: usize = 192;

/// A message that is on disk only.
#[derive(Debug, Clone, Copy)]
struct Stored {
    bytes: u64,
    expires_ms: i64,
    medium: Medium,
}

/// The newest message of a value.
#[derive(Debug, Clone, Copy)]
struct Newest {
    rank: Rank,
    sequence: Sequence,
    stored: Option<Stored>,
}

/// The newest message of each value.
#[derive(Debug)]
pub(super) struct LastValues {
    by_value: HashMap<Value, Newest>,
    by_place: FxHashMap<(Rank, Sequence), Value>,
    charge: Charge,
    /// What of the rows on disk is still to be looked at.
    unread: Option<(Rank, Sequence)>,
}

impl LastValues {
    fn new(budget: &Arc<MemoryBudget>) -> Box<Self> {
        Box::new(Self {
            by_value: HashMap::new(),
            by_place: FxHashMap::default(),
            charge: budget.charge_bytes(0),
            unread: None,
        })
    }

    /// Enters a message, unless there is a newer one; answers the older one.
    fn enter(&mut self, value: &[u8], newest: Newest, values_max: usize) -> Option<Newest> {
        let place = (newest.rank, newest.sequence);
        if let Some((value, old)) = self.by_value.get_key_value(value) {
            let (value, old) = (Arc::clone(value), *old);
            if old.sequence > newest.sequence {
                return None;
            }
            self.by_place.remove(&(old.rank, old.sequence));
            self.by_place.insert(place, Arc::clone(&value));
            self.by_value.insert(value, newest);
            return (old.sequence != newest.sequence).then_some(old);
        }
        if self.by_value.len() < values_max {
            let value: Value = value.into();
            self.charge.grow(VALUE_BYTES + value.len());
            self.by_place.insert(place, Arc::clone(&value));
            self.by_value.insert(value, newest);
        }
        None
    }

    fn is_superseded(&self, value: &[u8], sequence: Sequence) -> bool {
        let newest = self.by_value.get(value);
        newest.is_some_and(|newest| newest.sequence > sequence)
    }

    /// A message leaves its queue for good.
    pub(super) fn forget(&mut self, place: (Rank, Sequence)) {
        if let Some(value) = self.by_place.remove(&place) {
            self.charge.shrink(VALUE_BYTES + value.len());
            self.by_value.remove(&value);
        }
    }

    /// A message leaves memory, or comes back into it.
    fn note(&mut self, place: (Rank, Sequence), stored: Option<Stored>) {
        if let Some(value) = self.by_place.get(&place)
            && let Some(newest) = self.by_value.get_mut(value)
        {
            newest.stored = stored;
        }
    }
}

/// The value by which a message replaces others.
fn value_in<'h>(policy: &Policy, head: &'h [u8]) -> Option<std::borrow::Cow<'h, [u8]>> {
    canonical::find(head, policy.last_value.as_bytes())
}

impl Queue {
    /// The queue keeps last values only, if its policy says so.
    pub(super) fn keep_last_values(&mut self, budget: &Arc<MemoryBudget>) {
        if !self.policy.last_value.is_empty() {
            self.last_values = Some(LastValues::new(budget));
        }
    }

    /// What is on disk already is still to be looked at.
    pub(super) fn has_unread_values(&mut self) {
        if let Some(values) = &mut self.last_values {
            values.unread = Some((Rank(0), Sequence(i64::MIN)));
        }
    }

    /// A message has left memory and is on disk only.
    pub(super) fn value_paged_out(&mut self, place: (Rank, Sequence), entry: &Entry) {
        if let (Some(values), Some(medium)) = (&mut self.last_values, entry.medium()) {
            let stored = Stored {
                bytes: entry.message.bytes() as u64,
                expires_ms: entry.expires_ms,
                medium,
            };
            values.note(place, Some(stored));
        }
    }

    /// A message has come back into memory.
    pub(super) fn value_paged_in(&mut self, place: (Rank, Sequence)) {
        if let Some(values) = &mut self.last_values {
            values.note(place, None);
        }
    }

    /// Whether a newer message has the value of this one.
    pub(super) fn is_superseded(&self, sequence: Sequence, entry: &Entry) -> bool {
        let Some(values) = &self.last_values else {
            return false;
        };
        let value = value_in(&self.policy, entry.message.head());
        value.is_some_and(|value| values.is_superseded(&value, sequence))
    }
}

impl Dispatcher {
    /// A message takes its place in a queue, and that of the older one of its value.
    pub(super) fn enter_value(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        entry: &Entry,
    ) {
        let queue = &mut self.queues[key.0];
        let Some(values) = &mut queue.last_values else {
            return;
        };
        let newest = Newest {
            rank,
            sequence,
            stored: None,
        };
        let old = value_in(&queue.policy, entry.message.head())
            .and_then(|value| values.enter(&value, newest, queue.policy.last_values_max));
        if let Some(old) = old {
            self.replace(key, old);
        }
    }

    /// A message comes back that a newer one has replaced meanwhile: it goes.
    pub(super) fn drop_superseded(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        entry: &Entry,
    ) -> bool {
        let is_superseded = self.queues[key.0].is_superseded(sequence, entry);
        if is_superseded {
            self.count_replaced(key);
            self.remove(key, rank, sequence, entry);
        }
        is_superseded
    }

    fn count_replaced(&mut self, key: QueueKey) {
        self.queues[key.0].counters.replaced += 1;
    }

    /// The older message goes, unless a consumer has it. One that waits with its group and is on disk only goes when it
    /// would be given.
    fn replace(&mut self, key: QueueKey, old: Newest) {
        let (rank, sequence) = (old.rank, old.sequence);
        let queue = &mut self.queues[key.0];
        if let Some(stored) = old.stored {
            return self.replace_stored(key, rank, sequence, stored);
        }
        let row = queue.key(rank, sequence);
        let waiting = queue.take_waiting((rank, sequence));
        let Some(entry) = waiting.or_else(|| queue.delayed.remove(&(rank, sequence))) else {
            return;
        };
        self.count_replaced(key);
        self.replaced.push(Acknowledged::new(row, entry.clone()));
        self.remove(key, rank, sequence, &entry);
    }

    fn replace_stored(&mut self, key: QueueKey, rank: Rank, sequence: Sequence, stored: Stored) {
        let queue = &mut self.queues[key.0];
        if !queue.take_paged(rank, sequence, stored.bytes) {
            return;
        }
        let row = queue.key(rank, sequence);
        self.count_replaced(key);
        self.leaves(row, stored.expires_ms);
        let medium = stored.medium;
        self.store(key, Operation::Settle { key: row, medium });
    }

    /// Goes on looking at what was on disk at the start.
    pub(super) fn read_values(&mut self, key: QueueKey) {
        let queue = &mut self.queues[key.0];
        let Some(values) = &mut queue.last_values else {
            return;
        };
        let Some((first, from)) = values.unread else {
            return;
        };
        let last = Rank(LANE_COUNT as u8 - 1);
        let mut next = (first, from);
        loop {
            let (rank, from) = next;
            let range = queue.lanes[usize::from(rank.0) % LANE_COUNT].paged();
            if range.is_some_and(|range| range.last >= from) {
                values.unread = Some(next);
                return self.want_page(key, rank, Purpose::Values(from));
            }
            if rank >= last {
                values.unread = None;
                return;
            }
            next = (Rank(rank.0 + 1), Sequence(i64::MIN));
        }
    }

    /// Rows have come for the index. They stay on the disk, except those that a newer one has replaced.
    pub(super) fn value_page_came(
        &mut self,
        key: QueueKey,
        rank: Rank,
        through: Sequence,
        page: Page,
    ) {
        let last = page.rows.last().map(|row| row.sequence);
        let last = last.max(page.quarantined.iter().max().copied());
        let next = match last {
            Some(last) if !page.exhausted => last.next(),
            _ => through.next(),
        };
        let gone = self.count_out_damaged(key, rank, &page.quarantined);
        for row in &page.rows {
            if !self.queues[key.0].knows(rank, row.sequence) {
                self.enter_row(key, rank, row);
            }
        }
        let queue = &mut self.queues[key.0];
        if let Some(values) = &mut queue.last_values {
            values.unread = Some((rank, next));
        }
        queue.page_in_part(rank, gone);
        self.mark(key);
    }

    fn enter_row(&mut self, key: QueueKey, rank: Rank, row: &PageRow) {
        let queue = &mut self.queues[key.0];
        let Some(values) = &mut queue.last_values else {
            return;
        };
        let head = &row.data[..row.head_bytes.min(row.data.len())];
        let Some(value) = value_in(&queue.policy, head) else {
            return;
        };
        let stored = Stored {
            bytes: row.data.len() as u64,
            expires_ms: row.expires_ms,
            medium: row.medium,
        };
        if values.is_superseded(&value, row.sequence) {
            return self.replace_stored(key, rank, row.sequence, stored);
        }
        let newest = Newest {
            rank,
            sequence: row.sequence,
            stored: Some(stored),
        };
        if let Some(old) = values.enter(&value, newest, queue.policy.last_values_max) {
            self.replace(key, old);
        }
    }
}
