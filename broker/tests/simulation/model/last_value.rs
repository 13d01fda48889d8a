//! Queues that keep the last message of each value.
//!
//! What waits goes when a newer message of its value comes; what a consumer has goes when it comes back and a newer one is there. After a
//! restart the broker learns behind its consumers what is there: until then an older one may still be handed out and come back.

use std::collections::BTreeMap;

use stompbox_store::{Batch, Operation};

use super::entry::{Entry, EntryId, Reason, Spot, Whereabouts};
use super::failure::Outcome;
use super::{Model, QueueIndex};
use crate::trace;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LastValues {
    /// What a newer message must have replaced when the turn ends.
    replaced: Vec<EntryId>,
    /// What came back and may have gone, with how.
    doubtful: Vec<(EntryId, Outcome)>,
    /// What the broker knows as the newest of a colour; it may have gone.
    newest: BTreeMap<(QueueIndex, String), EntryId>,
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
        self.newest.clear();
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
        let stands = |other: &Entry| {
            let is_there = other.whereabouts.may_expire() || other.whereabouts == Whereabouts::Held;
            other.queue == entry.queue && other.order > entry.order && is_there
        };
        let newest = self.last_values.newest.get(&(entry.queue, colour.clone()));
        if newest.is_some_and(|newest| stands(self.entry(*newest))) {
            return Newer::Known;
        }
        // What it has not read yet of what it found on the disk it does not know.
        let mut same = self.all().map(|(_, other)| other).filter(|other| {
            other.facts.traits.colour.as_ref() == Some(colour)
                && other.order < self.last_values.first_order
        });
        match same.any(stands) {
            true => Newer::Perhaps,
            false => Newer::None,
        }
    }

    /// A message takes its place: the one that was known of its value goes, if that waits.
    pub(super) fn replace_values(&mut self, id: EntryId) {
        let entry = self.entry(id);
        let Some(colour) = entry.facts.traits.colour.clone() else {
            return;
        };
        if !self.queues[entry.queue].rules.keeps_last_values {
            return;
        }
        let (queue, order) = (entry.queue, entry.order);
        let before = self.last_values.newest.insert((queue, colour), id);
        let Some(before) = before.filter(|before| *before != id) else {
            return;
        };
        let old = self.entry(before);
        if old.queue != queue || old.order > order || !old.whereabouts.may_expire() {
            return;
        }
        match (old.is_stored, old.whereabouts == Whereabouts::Waiting) {
            // What waits with its group and is on disk only goes when it would be given.
            (true, _) if self.may_be_parked(old) => {}
            (true, _) => self.last_values.replaced.push(before),
            (false, true) => {
                trace::count("last value: replaced");
                self.take(before, Whereabouts::Gone);
            }
            (false, false) => self.take(before, Whereabouts::Fading),
        }
    }

    /// Whether a message that leaves the store without another cause was replaced. One that has expired while it waited out
    /// a delay goes either way, whichever the broker sees first.
    pub(super) fn is_replaced(&mut self, id: EntryId) -> bool {
        let entry = self.entry(id);
        let has_expired = entry.whereabouts == Whereabouts::Burying(Reason::Expired);
        let may_go = entry.whereabouts.may_expire() || has_expired;
        let is_older = self.newer_value(entry) != Newer::None || self.was_newer_value(entry);
        if !may_go || !is_older {
            return false;
        }
        trace::count("last value: replaced");
        match has_expired {
            true => self.set(id, Whereabouts::Gone),
            false => self.take(id, Whereabouts::Gone),
        }
        true
    }

    /// Whether a newer message of its value has gone in this turn: what a page brought before that it has replaced.
    fn was_newer_value(&self, entry: &Entry) -> bool {
        let keeps = self.queues[entry.queue].rules.keeps_last_values;
        let colour = entry.facts.traits.colour.as_ref();
        let mut all = self.all().map(|(_, other)| other);
        keeps
            && colour.is_some()
            && all.any(|other| {
                other.facts.traits.colour.as_ref() == colour
                    && (other.queue, other.moved) == (entry.queue, self.turn)
                    && other.order > entry.order
                    && other.whereabouts == Whereabouts::Gone
            })
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
                self.come_to_terms(id, outcome, self.ticket);
            }
        }
    }

    /// At the end of a turn: what was to be replaced has gone.
    pub(super) fn check_replaced(&mut self) {
        for id in std::mem::take(&mut self.last_values.replaced) {
            let entry = self.entry(id);
            assert!(
                !entry.whereabouts.may_expire() || entry.dead.is_some(),
                "{id:?} stays although a newer message has its value: {entry:?}"
            );
        }
    }

    /// At rest: of what waits with one value only the newest is left, but for what waits with its group. What a consumer got of
    /// an earlier life before the broker had read that far is not known to it.
    pub(super) fn check_last_values(&self) {
        for (id, entry) in self.all() {
            let waits = entry.whereabouts == Whereabouts::Waiting && entry.facts.group.is_none();
            assert!(
                !waits || self.newer_value(entry) != Newer::Known,
                "{id:?} waits although a newer message has its value: {entry:?}"
            );
        }
    }
}
