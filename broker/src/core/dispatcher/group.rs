//! Message groups of a queue: messages of one group go to one consumer, in order (`JMSXGroupID`).
//!
//! Owns who has which group and what of it is parked, so that other groups pass it: a message whose owner has no credit,
//! one that waits out a redelivery delay, and whatever comes behind them. *Invariants*: nothing of a group is given while
//! something of it that stands before is parked; a group with something parked stands in its owner's list, among those
//! that sleep, or among those that want a page.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::entry::Entry;
use super::key::ConsumerKey;
use super::parked::{ParkedList, Position, Unparked};

/// A group's name.
pub(super) type GroupId = Arc<[u8]>;

/// Parked messages of a queue: beyond that its consumers wait for the owners.
const PARKED_MAX: usize = 500_000;

/// Groups of a queue beyond which those are forgotten of which nothing is in flight or parked.
const REMEMBERED_MAX: usize = 100_000;

/// Groups that are looked at for one that may be forgotten: those that were used lately get another round.
const FORGET_STEPS: usize = 8;

/// A group of a queue.
#[derive(Debug, Default)]
struct Group {
    owner: Option<ConsumerKey>,
    in_flight: usize,
    parked: BTreeSet<Position>,
    /// Whether it stands in its owner's list.
    is_listed: bool,
    /// Whether it stands among those that want a page.
    is_wanting: bool,
    /// Whether it stands among those that may be forgotten, and whether it was used since.
    is_forgettable: bool,
    was_used: bool,
}

impl Group {
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.parked.is_empty()
    }
}

/// A consumer that has groups.
#[derive(Debug, Default)]
struct Owner {
    groups: BTreeSet<GroupId>,
    /// Those with something parked that it may be given.
    list: VecDeque<GroupId>,
    /// Whether it stands among those to be served.
    is_woken: bool,
}

/// The groups of a queue.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_id: HashMap<GroupId, Group>,
    owners: FxHashMap<ConsumerKey, Owner>,
    parked: ParkedList,
    /// Owners to be served as far as their credit goes.
    woken: VecDeque<ConsumerKey>,
    /// Groups whose first message is not due before this, or has to be given back to its lane then.
    asleep: BTreeSet<(Duration, GroupId)>,
    /// Groups whose first message is on disk only and has an owner that would take it.
    wanting: VecDeque<GroupId>,
    forgettable: VecDeque<GroupId>,
}

/// Whether a group's owner may be given a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    Takes,
    HasNoCredit,
    /// Its selector does not match.
    IsNotMeant,
}

/// Where a message of a group may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// To this consumer.
    To(ConsumerKey),
    /// To whoever takes it: the owner's selector does not match, and it is no part of the owner's group.
    Past,
    /// It waits with its group.
    Park,
}

/// Whether a message goes out as one of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    Member,
    /// It has no group, or its group's owner is not meant.
    Stranger,
}

impl Groups {
    pub(super) fn parked(&self) -> &ParkedList {
        &self.parked
    }

    pub(super) fn parked_mut(&mut self) -> &mut ParkedList {
        &mut self.parked
    }

    /// Whether no more may be parked.
    pub(super) fn is_full(&self) -> bool {
        self.parked.count() >= PARKED_MAX
    }

    /// Whether something of this group is parked.
    pub(super) fn has_parked(&self, id: &GroupId) -> bool {
        let group = self.by_id.get(id);
        group.is_some_and(|group| !group.parked.is_empty())
    }

    pub(super) fn owner_of(&self, id: &GroupId) -> Option<ConsumerKey> {
        self.by_id.get(id)?.owner
    }

    /// The first parked message of a group.
    pub(super) fn head_of(&self, id: &GroupId) -> Option<Position> {
        self.by_id.get(id)?.parked.first().copied()
    }

    /// All that is parked of a group.
    pub(super) fn all_parked(&self, id: &GroupId) -> Vec<Position> {
        let group = self.by_id.get(id);
        group
            .map(|group| group.parked.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Who gets a message of a group. `taker` becomes its owner if it has none.
    pub(super) fn claim(
        &mut self,
        id: &GroupId,
        position: Position,
        taker: ConsumerKey,
        fitness: impl Fn(ConsumerKey) -> Fitness,
    ) -> Claim {
        self.make_room_for(id);
        let group = self.by_id.entry(Arc::clone(id)).or_default();
        let others = group.owner.filter(|owner| *owner != taker).map(fitness);
        if others == Some(Fitness::IsNotMeant) {
            return Claim::Past;
        }
        if group.parked.first().is_some_and(|first| *first < position) {
            return Claim::Park;
        }
        match (group.owner, others) {
            (Some(owner), None | Some(Fitness::Takes)) => Claim::To(owner),
            (Some(_), Some(_)) => Claim::Park,
            (None, _) => {
                group.owner = Some(taker);
                let owner = self.owners.entry(taker).or_default();
                owner.groups.insert(Arc::clone(id));
                self.enlist(id);
                Claim::To(taker)
            }
        }
    }

    /// A message of the group goes out.
    pub(super) fn gave(&mut self, id: &GroupId) {
        let group = self.by_id.entry(Arc::clone(id)).or_default();
        group.in_flight += 1;
        group.was_used = true;
    }

    /// A message of the group is no longer with a consumer.
    pub(super) fn came_back(&mut self, id: &GroupId) {
        if let Some(group) = self.by_id.get_mut(id) {
            group.in_flight = group.in_flight.saturating_sub(1);
            self.note_idle(id);
        }
    }

    /// The group has no owner any more: the next to take something of it becomes that.
    pub(super) fn close(&mut self, id: &GroupId) {
        let Some(group) = self.by_id.get_mut(id) else {
            return;
        };
        if let Some(owner) = group.owner.take() {
            group.is_listed = false;
            if let Some(owner) = self.owners.get_mut(&owner) {
                owner.groups.remove(id);
            }
        }
        self.enlist(id);
        self.note_idle(id);
    }

    /// The owner has gone or may take no more.
    pub(super) fn release(&mut self, owner: ConsumerKey) {
        let Some(Owner { groups, .. }) = self.owners.remove(&owner) else {
            return;
        };
        for id in groups {
            self.close(&id);
        }
    }

    /// Groups with nothing in flight or parked get a new owner with their next message.
    pub(super) fn rebalance(&mut self) {
        for id in std::mem::take(&mut self.forgettable) {
            if let Some(group) = self.by_id.get_mut(&id) {
                group.is_forgettable = false;
                if group.is_idle() {
                    self.forget(&id);
                }
            }
        }
    }

    pub(super) fn park(&mut self, position: Position, id: &GroupId, entry: Entry) {
        let group = self.by_id.entry(Arc::clone(id)).or_default();
        group.parked.insert(position);
        self.parked.insert(position, Arc::clone(id), entry);
        self.enlist(id);
    }

    pub(super) fn unpark(&mut self, position: Position) -> Option<Unparked> {
        let (id, unparked) = self.parked.remove(position)?;
        if let Some(group) = self.by_id.get_mut(&id) {
            group.parked.remove(&position);
        }
        self.enlist(&id);
        self.note_idle(&id);
        Some(unparked)
    }

    /// A group with something parked takes its place where it will be looked at.
    pub(super) fn enlist(&mut self, id: &GroupId) {
        let Some(group) = self.by_id.get_mut(id) else {
            return;
        };
        let Some(head) = group.parked.first().copied() else {
            return;
        };
        let Some(key) = group.owner else {
            let due = self
                .parked
                .get(head)
                .map_or(Duration::ZERO, |entry| entry.not_before);
            self.asleep.insert((due, Arc::clone(id)));
            return;
        };
        if group.is_listed || group.is_wanting {
            return;
        }
        group.is_listed = true;
        let owner = self.owners.entry(key).or_default();
        owner.list.push_back(Arc::clone(id));
        self.wake(key);
    }

    /// An owner is to be served.
    pub(super) fn wake(&mut self, key: ConsumerKey) {
        if let Some(owner) = self.owners.get_mut(&key)
            && !owner.list.is_empty()
            && !std::mem::replace(&mut owner.is_woken, true)
        {
            self.woken.push_back(key);
        }
    }

    /// The next owner to be served.
    pub(super) fn next_woken(&mut self) -> Option<ConsumerKey> {
        while let Some(key) = self.woken.pop_front() {
            if let Some(owner) = self.owners.get_mut(&key) {
                owner.is_woken = false;
                return Some(key);
            }
        }
        None
    }

    /// Whether a group waits for this owner.
    pub(super) fn waits_for(&self, owner: ConsumerKey) -> bool {
        let owner = self.owners.get(&owner);
        owner.is_some_and(|owner| !owner.list.is_empty())
    }

    /// The group of this owner whose turn it is.
    pub(super) fn next_listed(&mut self, key: ConsumerKey) -> Option<GroupId> {
        let owner = self.owners.get_mut(&key)?;
        while let Some(id) = owner.list.pop_front() {
            // It may have been closed since, and have another owner.
            if let Some(group) = self.by_id.get_mut(&id)
                && group.owner == Some(key)
            {
                group.is_listed = false;
                return Some(id);
            }
        }
        None
    }

    /// The group that [`Self::next_listed`] answered stands first in its owner's list again.
    pub(super) fn list_first(&mut self, key: ConsumerKey, id: &GroupId) {
        if let (Some(owner), Some(group)) = (self.owners.get_mut(&key), self.by_id.get_mut(id)) {
            group.is_listed = true;
            owner.list.push_front(Arc::clone(id));
        }
    }

    /// A group's first message is not due.
    pub(super) fn sleep(&mut self, id: &GroupId, due: Duration) {
        self.asleep.insert((due, Arc::clone(id)));
    }

    /// A group that has slept long enough.
    pub(super) fn next_awake(&mut self, uptime: Duration) -> Option<GroupId> {
        let (due, _) = self.asleep.first()?;
        if *due > uptime {
            return None;
        }
        self.asleep.pop_first().map(|(_, id)| id)
    }

    /// A group's first message is on disk only.
    pub(super) fn want_page(&mut self, id: &GroupId) {
        if let Some(group) = self.by_id.get_mut(id)
            && !std::mem::replace(&mut group.is_wanting, true)
        {
            self.wanting.push_back(Arc::clone(id));
        }
    }

    /// The first group that wants a page, and where it begins.
    pub(super) fn first_wanting(&mut self) -> Option<(GroupId, Position)> {
        while let Some(id) = self.wanting.front().cloned() {
            if let Some(head) = self.head_of(&id)
                && self.parked.group_of_stored(head).is_some()
            {
                return Some((id, head));
            }
            self.has_page(&id);
        }
        None
    }

    /// A page has come for a group, or it wants none.
    pub(super) fn has_page(&mut self, id: &GroupId) {
        self.wanting.retain(|wanting| wanting != id);
        if let Some(group) = self.by_id.get_mut(id) {
            group.is_wanting = false;
        }
        self.enlist(id);
    }

    /// The last message of a group and of this position's rank.
    pub(super) fn last_beside(&self, id: &GroupId, (rank, _): Position) -> Option<Position> {
        let all =
            (rank, stompbox_store::Sequence(i64::MIN))..=(rank, stompbox_store::Sequence::MAX);
        self.by_id.get(id)?.parked.range(all).next_back().copied()
    }

    /// A group of which nothing is in flight or parked may be forgotten: at once, if nobody has it.
    fn note_idle(&mut self, id: &GroupId) {
        let Some(group) = self.by_id.get_mut(id).filter(|group| group.is_idle()) else {
            return;
        };
        if group.owner.is_none() && !group.is_forgettable {
            self.by_id.remove(id);
        } else if !std::mem::replace(&mut group.is_forgettable, true) {
            group.was_used = false;
            self.forgettable.push_back(Arc::clone(id));
        }
    }

    fn make_room_for(&mut self, id: &GroupId) {
        if self.by_id.len() < REMEMBERED_MAX || self.by_id.contains_key(id) {
            return;
        }
        for step in 1..=FORGET_STEPS {
            let Some(id) = self.forgettable.pop_front() else {
                return;
            };
            let Some(group) = self.by_id.get_mut(&id) else {
                continue;
            };
            if !group.is_idle() {
                group.is_forgettable = false;
            } else if group.was_used && step < FORGET_STEPS {
                group.was_used = false;
                self.forgettable.push_back(id);
            } else {
                return self.forget(&id);
            }
        }
    }

    fn forget(&mut self, id: &GroupId) {
        if let Some(Group {
            owner: Some(owner), ..
        }) = self.by_id.remove(id)
            && let Some(owner) = self.owners.get_mut(&owner)
        {
            owner.groups.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use stompbox_store::{Rank, Sequence};

    use super::*;

    const OWNER: ConsumerKey = ConsumerKey(7);

    fn id(number: usize) -> GroupId {
        Arc::from(number.to_string().as_bytes())
    }

    fn take(groups: &mut Groups, number: usize) {
        let position = (Rank(5), Sequence(number as i64));
        let claim = groups.claim(&id(number), position, OWNER, |_| Fitness::Takes);
        assert_eq!(claim, Claim::To(OWNER));
        groups.gave(&id(number));
    }

    #[test]
    fn groups_that_are_busy_are_kept_without_a_search_and_idle_ones_make_room() {
        let mut groups = Groups::default();
        // A search through all of them for each of the later half would take minutes.
        for number in 0..2 * REMEMBERED_MAX {
            take(&mut groups, number);
        }
        assert_eq!(groups.by_id.len(), 2 * REMEMBERED_MAX);
        for number in 0..REMEMBERED_MAX + 2 {
            groups.came_back(&id(number));
        }
        for number in 0..REMEMBERED_MAX + 2 {
            take(&mut groups, 2 * REMEMBERED_MAX + number);
        }
        assert_eq!(groups.by_id.len(), 2 * REMEMBERED_MAX);
        assert!(groups.by_id.contains_key(&id(REMEMBERED_MAX + 2)), "busy");
        assert!(!groups.by_id.contains_key(&id(0)), "idle");
        assert_eq!(groups.owners[&OWNER].groups.len(), groups.by_id.len());
    }

    #[test]
    fn a_group_that_is_used_again_and_again_outlives_one_that_is_not() {
        let mut groups = Groups::default();
        for number in 0..REMEMBERED_MAX {
            take(&mut groups, number);
            groups.came_back(&id(number));
        }
        for number in 0..100 {
            take(&mut groups, 0);
            groups.came_back(&id(0));
            take(&mut groups, REMEMBERED_MAX + number);
            groups.came_back(&id(REMEMBERED_MAX + number));
        }
        assert!(groups.by_id.contains_key(&id(0)));
        assert!(!groups.by_id.contains_key(&id(1)));
        assert_eq!(groups.by_id.len(), REMEMBERED_MAX);
    }

    #[test]
    fn a_group_that_was_closed_and_has_nothing_left_is_forgotten() {
        let mut groups = Groups::default();
        take(&mut groups, 1);
        groups.close(&id(1));
        assert_eq!(groups.owner_of(&id(1)), None);
        groups.came_back(&id(1));
        assert!(groups.by_id.is_empty());
        assert!(groups.owners[&OWNER].groups.is_empty());
    }
}
