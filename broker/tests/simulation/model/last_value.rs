//! Queues that keep the last message of each value.
//!
//! What waits goes when a newer message of its value comes; what a consumer has goes when it comes back and a newer one is there. After a
//! restart the broker learns behind its consumers what is there: until then an older one may still be handed out and come back.

use stompbox_store::{Batch, Operation};

use super::Model;
use super::entry::{Entry, EntryId, Spot, Whereabouts};
use super::failure::Outcome;
use crate::trace;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LastValues {
    /// What a newer message must have replaced when the turn ends.
    replaced: Vec<EntryId>,
    /// What came back and may have gone, with how.
    doubtful: Vec<(EntryId, Outcome)>,
    /// What came since the start stands here or behind.
    first_order: i64,
}

/// What the broker knows of a newer message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newer {
    None,
    /// It is there from an earlier life.
    Perhaps,
    Known,
}

impl LastValues {
    pub(super) fn restart(&mut self, first_order: i64) {
        self.replaced.clear();
        self.doubtful.clear();
        self.first_order = first_order;
    }
}

impl Model {
    /// Whether a message of the same value stands behind this one in its queue.
    pub(super) fn newer_value(&self, entry: &Entry) -> Newer {
        let Some(colour) = &entry.facts.traits.colour else {
            return Newer::None;
        };
        if !self.queues[entry.queue].rules.keeps_last_values {
            return Newer::None;
        }
        let is_there = |other: &&Entry| {
            let stands = other.whereabouts.may_expire() || other.whereabouts == Whereabouts::Held;
            other.queue == entry.queue && other.order > entry.order && stands
        };
        let same = self.all().map(|(_, other)| other);
        let newest = same
            .filter(|other| other.facts.traits.colour.as_ref() == Some(colour))
            .filter(is_there)
            .map(|other| other.order)
            .max();
        match newest {
            None => Newer::None,
            Some(order) if order >= self.last_values.first_order => Newer::Known,
            Some(_) => Newer::Perhaps,
        }
    }

    /// A message has come: what waits of its value goes.
    pub(super) fn replace_values(&mut self, id: EntryId) {
        let entry = self.entry(id);
        let (queue, colour) = (entry.queue, entry.facts.traits.colour.clone());
        if !self.queues[queue].rules.keeps_last_values || colour.is_none() {
            return;
        }
        let is_older = |other: &Entry| {
            let is_same = other.queue == queue && other.facts.traits.colour == colour;
            is_same && other.whereabouts.may_expire()
        };
        let older: Vec<EntryId> = self
            .all()
            .filter(|(other, entry)| *other != id && is_older(entry))
            .map(|(other, _)| other)
            .collect();
        for other in older {
            let entry = self.entry(other);
            let is_waiting = entry.whereabouts == Whereabouts::Waiting;
            let is_known = entry.order >= self.last_values.first_order;
            match (entry.is_stored, is_waiting) {
                (true, true) if is_known => self.last_values.replaced.push(other),
                (true, _) => {}
                (false, true) => {
                    trace::count("last value: replaced");
                    self.take(other, Whereabouts::Gone);
                }
                // It goes now or when its delay is over.
                (false, false) => self.take(other, Whereabouts::Fading),
            }
        }
    }

    /// Whether a message that leaves the store without another cause was replaced.
    pub(super) fn is_replaced(&mut self, id: EntryId) -> bool {
        let entry = self.entry(id);
        if !entry.whereabouts.may_expire() || self.newer_value(entry) == Newer::None {
            return false;
        }
        trace::count("last value: replaced");
        self.take(id, Whereabouts::Gone);
        true
    }

    /// It is seen at the end of the turn whether that has gone.
    pub(super) fn doubt(&mut self, id: EntryId, outcome: Outcome) {
        trace::count("last value: comes back, perhaps");
        self.last_values.doubtful.push((id, outcome));
    }

    /// Before anything else of a turn is looked at.
    pub(super) fn settle_doubts(&mut self, batch: Option<&Batch>) {
        for (id, outcome) in std::mem::take(&mut self.last_values.doubtful) {
            let spot = self.entry(id).stored().map(|stored| stored.spot);
            let is_settled = |operation: &Operation| matches!(operation, Operation::Settle { key, .. } if Some(Spot::Queue(*key)) == spot);
            let operations = batch.map(|batch| &batch.operations);
            if operations.into_iter().flatten().any(is_settled) {
                trace::count("last value: replaced");
                self.set(id, Whereabouts::Gone);
            } else {
                self.come_to_terms(id, outcome);
            }
        }
    }

    /// At the end of a turn: what was to be replaced has gone.
    pub(super) fn check_replaced(&mut self) {
        for id in std::mem::take(&mut self.last_values.replaced) {
            let entry = self.entry(id);
            assert!(
                !entry.whereabouts.may_expire(),
                "{id:?} stays although a newer message has its value: {entry:?}"
            );
        }
    }

    /// At rest: of what waits with one value only the newest is left, but for what waits with its group.
    pub(super) fn check_last_values(&self) {
        for (id, entry) in self.all() {
            let waits = entry.whereabouts == Whereabouts::Waiting && entry.facts.group.is_none();
            assert!(
                !waits || self.newer_value(entry) == Newer::None,
                "{id:?} waits although a newer message has its value: {entry:?}"
            );
        }
    }
}
