//! Who may have what of a queue, and who must not be passed over.
//!
//! Looked at when a turn has ended: whoever has credit then had it all the time while the turn handed out, and what
//! waits then waited all the time.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Entry, EntryId, Holds, Whereabouts};
use super::handout::Handed;
use super::{Model, QueueIndex, Seat};

/// Whether a message that waits could be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// It could.
    Clear,
    /// What stands before it has expired unseen: it may still be there.
    Unclear,
    /// Something before it in its lane, or it itself, is not to be seen yet.
    Blocked,
}

/// What waits in a queue, in order.
struct Line {
    waiting: Vec<(EntryId, Sight)>,
    /// What is not to be seen yet and holds its lane back: where, and whether because of a redelivery delay.
    blockers: Vec<((usize, i64), bool)>,
    /// What waits out a delay outside its lane.
    aside: Vec<EntryId>,
}

impl Model {
    fn line(&self, queue: QueueIndex) -> Line {
        let mut line = Line {
            waiting: Vec::new(),
            blockers: Vec::new(),
            aside: Vec::new(),
        };
        for lane in &self.queues[queue].lanes {
            let mut sight = Sight::Clear;
            for id in lane.values() {
                let entry = self.entry(*id);
                let is_seen = self.is_in_sight(entry);
                match (entry.is_expired(self.now), is_seen) {
                    (true, true) => {}
                    (true, false) if sight == Sight::Clear => sight = Sight::Unclear,
                    (true, false) => {}
                    (false, true) => line.waiting.push((*id, sight)),
                    (false, false) => {
                        line.waiting.push((*id, Sight::Blocked));
                        let is_hidden = entry.visible_after > self.watermark;
                        if is_hidden || entry.holds == Holds::Lane {
                            // What was handed out before the turn ended, it may have come behind.
                            let is_late = entry.moved == self.turn && self.is_served_early(queue);
                            if is_hidden || !is_late {
                                line.blockers.push((entry.place(), !is_hidden));
                            }
                            sight = Sight::Blocked;
                        }
                    }
                }
            }
        }
        let aside = self.delayed.iter().map(|(_, id)| *id);
        let is_aside = |id: &EntryId| {
            let entry = self.entry(*id);
            let waits = matches!(entry.whereabouts, Whereabouts::Delayed(_));
            entry.queue == queue && waits && !entry.is_expired(self.now) && !self.awaits_burial(*id)
        };
        line.aside = aside.filter(is_aside).collect();
        line
    }

    /// What keeps an entry from a consumer because it waits in the same group before it: what that consumer may have,
    /// of the same priority, or waiting out a delay; where nobody has the group, what waits out a delay holds back all of
    /// it. What a COMMIT hides holds back its own lane only.
    fn group_before(&self, seat: Seat, line: &Line, entry: &Entry) -> Option<EntryId> {
        let group = entry.facts.group.as_ref()?;
        if self.is_stranger(entry.queue, entry) {
            return None;
        }
        let live = self.subscription(seat)?;
        let is_ownerless = self.owners_of(entry.queue, entry).contains(&None);
        let waiting = line.waiting.iter().map(|(id, _)| *id);
        waiting.chain(line.aside.iter().copied()).find(|other| {
            let other = self.entry(*other);
            let is_mate = other.facts.group.as_ref().map(|own| &own.id) == Some(&group.id);
            let holds = !self.is_in_sight(other) && other.holds == Holds::Group;
            let waits = holds || other.facts.rank == entry.facts.rank;
            is_mate
                && waits
                && other.visible_after <= self.watermark
                && (live.chooses(&other.facts) || (holds && is_ownerless))
                && other.place() < entry.place()
        })
    }

    /// Whether nothing but credit keeps an entry that could be handed out from a consumer.
    fn may_take(&self, seat: Seat, line: &Line, entry: &Entry) -> bool {
        let is_chosen = self
            .subscription(seat)
            .is_some_and(|live| live.chooses(&entry.facts));
        is_chosen && self.may_own(seat, entry) && self.group_before(seat, line, entry).is_none()
    }

    /// Whether an entry may have waited for the owner of its group to have credit: then it is given as soon as that has,
    /// whatever else stands in the queue.
    fn may_have_waited(&self, seat: Seat, id: EntryId) -> bool {
        let entry = self.entry(id);
        self.owners_of(entry.queue, entry).contains(&Some(seat))
    }

    pub(super) fn check_order(&mut self, handed: &[Handed]) {
        let mut by_queue: BTreeMap<QueueIndex, Vec<Handed>> = BTreeMap::new();
        for one in handed {
            let queue = self.entry(one.id).queue;
            by_queue.entry(queue).or_default().push(*one);
        }
        for (queue, handed) in by_queue {
            let line = self.line(queue);
            for one in &handed {
                self.check_one(queue, &line, *one);
            }
            let owned_before = self.owned_groups(queue);
            let new_owners = self.claim_groups(queue, &handed);
            // What waited with its group is given as soon as the group's owner has credit, whatever else stands there.
            let has_waited =
                |id: EntryId| self.entry(id).facts.group.is_some() && !new_owners.contains(&id);
            let in_turn: Vec<Handed> = handed
                .iter()
                .filter(|one| !has_waited(one.id))
                .copied()
                .collect();
            self.check_nobody_passed(queue, &line, &in_turn, &owned_before);
            if !self.is_served_early(queue) {
                self.check_priorities(queue, &handed, &new_owners);
                self.check_shares(queue, &line, &handed);
            }
        }
    }

    /// A consumer may have what it got.
    fn check_one(&self, queue: QueueIndex, line: &Line, Handed { seat, id }: Handed) {
        let entry = self.entry(id);
        let message = entry.facts.id;
        let name = &self.queues[queue].name;
        let live = self.subscription(seat).expect("a live subscription");
        assert!(
            self.queues[queue].members.contains(&seat),
            "{message:?} of {name} went to a stranger"
        );
        let exclusive = self.exclusive(queue);
        assert!(
            exclusive.is_none_or(|owner| owner == seat) || self.is_served_early(queue),
            "{message:?} of {name} went to {seat:?} although {exclusive:?} has the queue for itself"
        );
        assert!(
            live.chooses(&entry.facts),
            "{message:?} of {name} is not what {seat:?} has chosen"
        );
        assert!(
            !entry.is_expired(self.now),
            "{message:?} has expired and was handed out"
        );
        let (rank, order) = entry.place();
        // What had waited for the owner of its group, and what was chosen before, a delay does not hold back.
        let passes_delays = live.choice.is_some() || self.may_have_waited(seat, id);
        let is_held = line.blockers.iter().any(|(blocker, is_delay)| {
            blocker.0 == rank && blocker.1 < order && !(*is_delay && passes_delays)
        });
        assert!(
            self.is_in_sight(entry) && !is_held,
            "{message:?} of {name} is not to be seen yet"
        );
        // Who chooses looks ahead, and finds for the owner of a group what stands behind others of it. What returns to the
        // disk when an owner leaves is passed while a page is read.
        let may_be_passed = self.queues[queue].is_looked_into || self.was_released(queue, entry);
        let before = self
            .group_before(seat, line, entry)
            .filter(|_| !may_be_passed);
        if let Some(before) = before.map(|id| self.entry(id)) {
            panic!(
                "{message:?} of {name} at {:?} has passed {:?} at {:?} of its group, {:?} {:?}, after \
                 {} deliveries",
                entry.place(),
                before.facts.id,
                before.place(),
                before.whereabouts,
                before.holds,
                before.deliveries
            );
        }
    }

    /// What a consumer got stands behind nothing that it could have had. One that chooses may not have looked at what
    /// came with a higher priority meanwhile.
    fn check_nobody_passed(
        &self,
        queue: QueueIndex,
        line: &Line,
        handed: &[Handed],
        owned_before: &BTreeSet<Vec<u8>>,
    ) {
        let owned_now = self.owned_groups(queue);
        let seats: BTreeSet<Seat> = handed.iter().map(|one| one.seat).collect();
        for seat in seats {
            let own = handed.iter().filter(|one| one.seat == seat);
            let last = own.max_by_key(|one| self.entry(one.id).place());
            let last = self.entry(last.expect("at least one").id);
            for (id, sight) in &line.waiting {
                let entry = self.entry(*id);
                // It may have come after the queue was looked at.
                let may_be_late = entry.dead.is_some() || self.is_served_early(queue);
                let is_late = entry.moved == self.turn && may_be_late;
                // It may have waited for the owner of its group to have credit: others pass it.
                let group = entry.facts.group.as_ref();
                let was_owned = group.is_some_and(|group| owned_before.contains(&group.id));
                let is_owned = was_owned
                    || group.is_some_and(|group| owned_now.contains(&group.id))
                    || self.was_released(queue, entry);
                let looks = self
                    .subscription(seat)
                    .is_some_and(|live| live.choice.is_some());
                let is_overlooked = looks && entry.facts.rank != last.facts.rank;
                // What a ring has dropped since may have held it back.
                let was_behind = self.dropped.iter().any(|dropped| {
                    let (rank, order) = dropped.place;
                    dropped.queue == queue && rank == entry.rank && order < entry.order
                });
                let is_passed = *sight == Sight::Clear
                    && !was_behind
                    && entry.place() < last.place()
                    && !is_late
                    && !is_owned
                    && !is_overlooked
                    && self.may_take(seat, line, entry);
                assert!(
                    !is_passed,
                    "{:?} of {} at {:?} was passed by {:?} at {:?} on its way to {seat:?}",
                    entry.facts.id,
                    self.queues[queue].name,
                    entry.place(),
                    last.facts.id,
                    last.place()
                );
            }
        }
    }

    /// A consumer of a lower priority gets only what nobody of a higher one with credit may have. One that chooses may
    /// not have looked at it yet.
    fn check_priorities(&self, queue: QueueIndex, handed: &[Handed], new_owners: &[EntryId]) {
        if self.exclusive(queue).is_some() {
            return;
        }
        for one in handed {
            let entry = self.entry(one.id);
            let taker = self.subscription(one.seat).expect("a live subscription");
            // A group's owner has it whoever else there is.
            if entry.facts.group.is_some() && !new_owners.contains(&one.id) {
                continue;
            }
            for other in &self.queues[queue].members {
                let Some(live) = self.subscription(*other) else {
                    continue;
                };
                assert!(
                    live.priority <= taker.priority
                        || live.choice.is_some()
                        || !self.has_credit(*other),
                    "{:?} of {} went to {:?} although {other:?} is of a higher priority",
                    entry.facts.id,
                    self.queues[queue].name,
                    one.seat
                );
            }
        }
    }

    /// Equals take turns.
    fn check_shares(&self, queue: QueueIndex, line: &Line, handed: &[Handed]) {
        let members = &self.queues[queue].members;
        let first = members.first().and_then(|seat| self.subscription(*seat));
        let are_equal = members.iter().all(|seat| {
            let live = self.subscription(*seat).expect("a member lives");
            live.only_origin().is_some()
                && live.choice.is_none()
                && !live.is_exclusive
                && first.is_some_and(|first| first.priority == live.priority)
        });
        let has_group = |id: EntryId| self.entry(id).facts.group.is_some();
        let are_grouped = handed.iter().any(|one| has_group(one.id))
            || line.waiting.iter().any(|(id, _)| has_group(*id));
        if !are_equal || are_grouped {
            return;
        }
        let share = |seat: &Seat| handed.iter().filter(|one| one.seat == *seat).count();
        let most = members.iter().map(share).max().unwrap_or(0);
        let willing = members.iter().filter(|seat| self.has_credit(**seat));
        let least = willing.map(share).min().unwrap_or(usize::MAX);
        assert!(
            most <= least.saturating_add(1),
            "one consumer of {} got {most}, another with credit {least}",
            self.queues[queue].name
        );
    }

    /// At rest: nobody with credit waits for something that is there.
    pub(super) fn check_nobody_waits(&self) {
        for (queue, own) in self.queues.iter().enumerate() {
            let line = self.line(queue);
            let exclusive = self.exclusive(queue);
            for seat in &own.members {
                if !self.has_credit(*seat) || exclusive.is_some_and(|owner| owner != *seat) {
                    continue;
                }
                for (id, sight) in &line.waiting {
                    let entry = self.entry(*id);
                    assert!(
                        *sight != Sight::Clear || !self.may_take(*seat, &line, entry),
                        "{:?} of {} waits although {seat:?} has credit",
                        entry.facts.id,
                        own.name
                    );
                }
            }
        }
        for seat in self.seats() {
            let live = self.subscription(seat).expect("a live subscription");
            assert!(
                !self.has_credit(seat) || !live.pending.has_ready(self.now.wall_ms),
                "{seat:?} has credit and is not given what its topics have: {:?}",
                live.pending
            );
        }
        self.check_browsers();
    }
}
