//! Message groups of a queue: messages of one group go to one consumer, in order (`JMSXGroupID`).
//!
//! A message whose owner has no credit is parked, so that other groups pass it: in memory at the head of its group,
//! behind that by name only when it is on the disk. *Invariants*: nothing of a group is given while something of it
//! that stands before is parked; what is parked and stored is `held` by the queue.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use stompbox_store::{Page, Rank, Sequence};

use super::Dispatcher;
use super::consumer::Standing;
use super::entry::Entry;
use super::key::{ConsumerKey, QueueKey};
use super::queue::{Purpose, Queue};
use super::timer::Timer;
use crate::core::clock::Now;

/// A group's name.
pub(super) type GroupId = Arc<[u8]>;

/// Parked messages of a group that keep their bodies.
const RESIDENT_MAX: usize = 64;

/// Parked messages of a queue: beyond that its consumers wait for the owners.
const PARKED_MAX: usize = 500_000;

/// Groups of a queue that are remembered although nothing of them is in flight or parked.
const REMEMBERED_MAX: usize = 100_000;

/// A message that waits for its group's owner.
#[derive(Debug)]
enum Parked {
    Resident(Entry),
    /// On the disk.
    Stored,
}

/// A group of a queue.
#[derive(Debug, Default)]
struct Group {
    owner: Option<ConsumerKey>,
    in_flight: usize,
    /// Whether it stands in its owner's list of groups with something parked.
    is_listed: bool,
    parked: BTreeMap<(Rank, Sequence), Parked>,
    /// Resident ones behind the head, the first parked first: they leave memory when they are durable.
    behind: VecDeque<(Rank, Sequence)>,
}

/// The groups of a queue.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_id: HashMap<GroupId, Group>,
    parked_count: usize,
    /// Groups with something parked, by their owner.
    waiting: FxHashMap<ConsumerKey, VecDeque<GroupId>>,
}

/// Where a message of a group may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// To this consumer.
    To(ConsumerKey),
    /// It waits for its owner.
    Park,
}

impl Groups {
    /// Whether nothing waits for its owner.
    pub(super) fn has_parked(&self) -> bool {
        self.parked_count > 0
    }

    /// Whether no more may be parked.
    pub(super) fn is_full(&self) -> bool {
        self.parked_count >= PARKED_MAX
    }

    /// How many messages wait for their owner.
    pub(super) fn parked_count(&self) -> usize {
        self.parked_count
    }

    /// Who gets the next message of a group. `taker` becomes its owner if it has none.
    fn claim(
        &mut self,
        id: &GroupId,
        taker: ConsumerKey,
        can_take: impl Fn(ConsumerKey) -> bool,
    ) -> Claim {
        if self.by_id.len() >= REMEMBERED_MAX && !self.by_id.contains_key(id) {
            self.by_id
                .retain(|_, group| group.in_flight > 0 || !group.parked.is_empty());
        }
        let group = self.by_id.entry(Arc::clone(id)).or_default();
        if !group.parked.is_empty() {
            return Claim::Park;
        }
        let owner = *group.owner.get_or_insert(taker);
        if owner == taker || can_take(owner) {
            Claim::To(owner)
        } else {
            Claim::Park
        }
    }

    /// A message of the group goes out; `closes` ends the group.
    fn gave(&mut self, id: &GroupId, closes: bool) {
        if let Some(group) = self.by_id.get_mut(id) {
            group.in_flight += 1;
            if closes {
                group.owner = None;
            }
        }
    }

    /// A message of the group is no longer with a consumer.
    pub(super) fn came_back(&mut self, id: &GroupId) {
        if let Some(group) = self.by_id.get_mut(id) {
            group.in_flight = group.in_flight.saturating_sub(1);
        }
    }

    /// Groups with nothing in flight or parked get a new owner with their next message.
    pub(super) fn rebalance(&mut self) {
        self.by_id
            .retain(|_, group| group.in_flight > 0 || !group.parked.is_empty());
    }

    fn park(
        &mut self,
        id: &GroupId,
        place: (Rank, Sequence),
        entry: Entry,
        is_droppable: impl Fn(&Entry) -> bool,
    ) {
        let group = self.by_id.entry(Arc::clone(id)).or_default();
        if !group.is_listed
            && let Some(owner) = group.owner
        {
            group.is_listed = true;
            self.waiting
                .entry(owner)
                .or_default()
                .push_back(Arc::clone(id));
        }
        if group.parked.len() >= RESIDENT_MAX {
            group.behind.push_back(place);
        }
        group.parked.insert(place, Parked::Resident(entry));
        self.parked_count += 1;
        while let Some(first) = group.behind.front().copied() {
            match group.parked.get_mut(&first) {
                Some(parked @ Parked::Resident(_)) => {
                    if !matches!(parked, Parked::Resident(entry) if is_droppable(entry)) {
                        break;
                    }
                    *parked = Parked::Stored;
                }
                Some(Parked::Stored) | None => {}
            }
            group.behind.pop_front();
        }
    }

    /// The group of this owner whose turn it is, and its first message.
    fn first_waiting(&mut self, owner: ConsumerKey) -> Option<(GroupId, (Rank, Sequence))> {
        let ids = self.waiting.get_mut(&owner)?;
        while let Some(id) = ids.front() {
            if let Some(group) = self.by_id.get_mut(id) {
                if let Some((place, _)) = group.parked.first_key_value() {
                    return Some((Arc::clone(id), *place));
                }
                group.is_listed = false;
            }
            ids.pop_front();
        }
        self.waiting.remove(&owner);
        None
    }

    /// The last message of a group and rank that is parked on the disk.
    pub(super) fn last_stored(&self, id: &GroupId, rank: Rank) -> Option<Sequence> {
        let group = self.by_id.get(id)?;
        let all = (rank, Sequence(i64::MIN))..=(rank, Sequence::MAX);
        let stored = group
            .parked
            .range(all)
            .rev()
            .find(|(_, parked)| matches!(parked, Parked::Stored));
        stored.map(|((_, sequence), _)| *sequence)
    }

    /// Whether a consumer has this group.
    pub(super) fn has_owner(&self, id: &GroupId) -> bool {
        self.by_id
            .get(id)
            .is_some_and(|group| group.owner.is_some())
    }

    /// Resident entries that are parked.
    pub(super) fn resident(&self) -> impl Iterator<Item = ((Rank, Sequence), &Entry)> {
        let parked = self.by_id.values().flat_map(|group| &group.parked);
        parked.filter_map(|(place, parked)| match parked {
            Parked::Resident(entry) => Some((*place, entry)),
            Parked::Stored => None,
        })
    }
}

impl Queue {
    fn parked(&self, id: &GroupId, place: (Rank, Sequence)) -> Option<&Parked> {
        self.groups.by_id.get(id)?.parked.get(&place)
    }

    fn take_parked(&mut self, id: &GroupId, place: (Rank, Sequence)) -> Option<Entry> {
        let group = self.groups.by_id.get_mut(id)?;
        match group.parked.remove(&place)? {
            Parked::Resident(entry) => {
                self.groups.parked_count -= 1;
                Some(entry)
            }
            Parked::Stored => {
                group.parked.insert(place, Parked::Stored);
                None
            }
        }
    }
}

impl Dispatcher {
    /// Whether a message of a group goes to the consumer whose turn it is, to its owner, or is parked.
    pub(super) fn claim_group(&mut self, key: QueueKey, id: &GroupId, taker: ConsumerKey) -> Claim {
        let (consumers, subscriptions) = (&self.consumers, &self.subscriptions);
        let can_take = |owner: ConsumerKey| {
            let owner = &consumers[owner.0];
            owner.standing == Standing::InRound
                && subscriptions[owner.subscription.0].credit.is_left()
        };
        let claim = self.queues[key.0].groups.claim(id, taker, can_take);
        if claim == Claim::To(taker) {
            self.consumers[taker.0].has_groups = true;
        }
        claim
    }

    /// A message of a group is given: it is in flight, and may have been the group's last.
    pub(super) fn gave_group(&mut self, key: QueueKey, entry: &Entry) {
        if let Some(group) = entry.message.group() {
            self.queues[key.0].groups.gave(&group.id, group.closes);
        }
    }

    /// A message waits for its owner. It is in no lane.
    pub(super) fn park(&mut self, key: QueueKey, rank: Rank, sequence: Sequence, entry: Entry) {
        let Some(group) = entry.message.group() else {
            return self.put_back(key, rank, sequence, entry);
        };
        let id = Arc::clone(&group.id);
        let watermark = self.watermark;
        let is_droppable = |entry: &Entry| {
            entry.is_durable(watermark) && entry.deliveries == 0 && entry.failures == 0
        };
        self.queues[key.0]
            .groups
            .park(&id, (rank, sequence), entry, is_droppable);
    }

    /// Gives owners what is parked for them, as far as their credit goes.
    pub(super) fn serve_parked(&mut self, key: QueueKey, now: Now) {
        if !self.queues[key.0].groups.has_parked() {
            return;
        }
        let owners: Vec<ConsumerKey> = self.queues[key.0].groups.waiting.keys().copied().collect();
        for owner in owners {
            let subscription = self.consumers[owner.0].subscription;
            let mut turns = self.queues[key.0]
                .groups
                .waiting
                .get(&owner)
                .map_or(0, VecDeque::len);
            while turns > 0 && self.subscriptions[subscription.0].credit.is_left() {
                let Some((id, place)) = self.queues[key.0].groups.first_waiting(owner) else {
                    break;
                };
                if !self.serve_group(key, owner, &id, place, now) {
                    turns -= 1;
                    if let Some(ids) = self.queues[key.0].groups.waiting.get_mut(&owner) {
                        ids.rotate_left(1);
                    }
                }
            }
        }
    }

    /// Gives an owner the first message of its group; `false` if that cannot be given now.
    fn serve_group(
        &mut self,
        key: QueueKey,
        owner: ConsumerKey,
        id: &GroupId,
        place: (Rank, Sequence),
        now: Now,
    ) -> bool {
        let (rank, sequence) = place;
        let watermark = self.watermark;
        match self.queues[key.0].parked(id, place) {
            Some(Parked::Resident(entry)) => {
                let is_due = entry.not_before <= now.uptime && entry.visible_after <= watermark;
                if !is_due && !entry.is_expired(now.wall_ms) {
                    return false;
                }
            }
            Some(Parked::Stored) => {
                let purpose = Purpose::Group(Arc::clone(id), sequence);
                self.want_page_for(key, rank, purpose);
                return false;
            }
            None => return false,
        }
        let Some(entry) = self.queues[key.0].take_parked(id, place) else {
            return false;
        };
        if entry.is_expired(now.wall_ms) {
            self.expire(key, rank, sequence, entry, now);
        } else {
            let closes = entry.message.group().is_some_and(|group| group.closes);
            self.give(key, owner, rank, sequence, entry);
            if closes {
                self.unpark(key, id);
            }
        }
        true
    }

    /// Rows have come for a group: those that are parked get their bodies.
    pub(super) fn group_page_came(&mut self, key: QueueKey, rank: Rank, id: &GroupId, page: Page) {
        for sequence in &page.quarantined {
            let groups = &mut self.queues[key.0].groups;
            if let Some(group) = groups.by_id.get_mut(id)
                && group.parked.remove(&(rank, *sequence)).is_some()
            {
                groups.parked_count -= 1;
                self.queues[key.0].lose_held(rank, *sequence);
            }
        }
        for row in page.rows {
            let place = (rank, row.sequence);
            let group = self.queues[key.0].groups.by_id.get(id);
            let is_wanted = matches!(
                group.and_then(|group| group.parked.get(&place)),
                Some(Parked::Stored)
            );
            if !is_wanted {
                continue;
            }
            let entry = self.entry_of(row, rank);
            if let Some(group) = self.queues[key.0].groups.by_id.get_mut(id) {
                group.parked.insert(place, Parked::Resident(entry));
            }
        }
        self.mark(key);
    }

    /// An owner has gone: what is parked for it returns to its place, and the next to take it becomes the owner.
    pub(super) fn release_groups(&mut self, key: QueueKey, owner: ConsumerKey) {
        let groups = &mut self.queues[key.0].groups;
        groups.waiting.remove(&owner);
        let orphans: Vec<GroupId> = groups
            .by_id
            .iter()
            .filter(|(_, group)| group.owner == Some(owner))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in orphans {
            self.unpark(key, &id);
        }
    }

    /// Puts everything that is parked of a group back where it stood.
    fn unpark(&mut self, key: QueueKey, id: &GroupId) {
        let queue = &mut self.queues[key.0];
        let Some(group) = queue.groups.by_id.get_mut(id) else {
            return;
        };
        group.owner = None;
        group.is_listed = false;
        group.behind.clear();
        let parked = std::mem::take(&mut group.parked);
        queue.groups.parked_count -= parked.len();
        for ((rank, sequence), parked) in parked {
            match parked {
                Parked::Stored => self.queues[key.0].return_to_disk(rank, sequence),
                Parked::Resident(entry) if entry.failures > 0 && !entry.not_before.is_zero() => {
                    let due = entry.not_before;
                    self.queues[key.0].delayed.insert((rank, sequence), entry);
                    self.timers.set(due, Timer::Redeliver(key, rank, sequence));
                }
                Parked::Resident(entry) => self.put_back(key, rank, sequence, entry),
            }
        }
        self.mark(key);
    }
}
