//! Message groups: whose they are.

use std::collections::BTreeMap;

use super::entry::{Entry, EntryId};
use super::handout::Handed;
use super::{Model, Queue, QueueIndex, Seat};

/// Messages of a group that a turn may have handed out in another order.
const AHEAD_MAX: usize = 6;

impl Model {
    /// Who has an entry's group.
    pub(super) fn owner_of_group(&self, queue: QueueIndex, entry: &Entry) -> Option<Seat> {
        let group = entry.facts.group.as_ref()?;
        self.queues[queue].groups.get(&group.id).copied()
    }

    /// Whether an entry is no part of its group's owner's group: it is not what that has chosen.
    pub(super) fn is_stranger(&self, queue: QueueIndex, entry: &Entry) -> bool {
        let owner = self.owner_of_group(queue, entry);
        let owner = owner.and_then(|owner| self.subscription(owner));
        owner.is_some_and(|owner| !owner.chooses(&entry.facts))
    }

    /// Whoever has a queue for itself has its groups.
    pub(super) fn take_over_groups(&mut self, queue: QueueIndex) {
        if let Some(exclusive) = self.exclusive(queue) {
            self.release_groups(queue, |owner| owner != exclusive);
        }
    }

    /// Owners lose their groups.
    pub(super) fn release_groups(&mut self, queue: QueueIndex, loses: impl Fn(Seat) -> bool) {
        let Queue {
            groups, released, ..
        } = &mut self.queues[queue];
        for group in groups.extract_if(.., |_, owner| loses(*owner)) {
            released.insert(group.0);
        }
    }

    /// Whether somebody had an entry's group and lost it.
    pub(super) fn was_released(&self, queue: QueueIndex, entry: &Entry) -> bool {
        let group = entry.facts.group.as_ref();
        group.is_some_and(|group| self.queues[queue].released.contains(&group.id))
    }

    /// What was handed out of each group went to its owner; whoever took the first of a group that nobody had is its
    /// owner, until a message closes it. Answers those first ones.
    pub(super) fn claim_groups(&mut self, queue: QueueIndex, handed: &[Handed]) -> Vec<EntryId> {
        let mut by_group: BTreeMap<Vec<u8>, Vec<Handed>> = BTreeMap::new();
        for one in handed {
            if let Some(group) = &self.entry(one.id).facts.group {
                by_group.entry(group.id.clone()).or_default().push(*one);
            }
        }
        let mut firsts = Vec::new();
        for (group, handed) in by_group {
            // What waited for its owner is given before what stands in the queue, unless that closes the group and its owner
            // is the next one again; who chooses may look ahead.
            let owner = self.queues[queue].groups.get(&group).copied();
            let claimed = [true, false].into_iter().find_map(|has_waited| {
                let mut handed = handed.clone();
                handed.sort_by_key(|one| {
                    let is_others = has_waited && Some(one.seat) != owner;
                    (is_others, self.entry(one.id).place())
                });
                self.claim_group(queue, owner, &handed)
            });
            let Some((owner, first)) = claimed else {
                let name = &self.queues[queue].name;
                panic!(
                    "{handed:?} of {name} did not go to owners of {group:?}, {owner:?} at first"
                );
            };
            let has_closed = handed.iter().any(|one| self.closes(one.id));
            let own = &mut self.queues[queue];
            if has_closed {
                own.released.insert(group.clone());
            }
            match owner {
                Some(owner) => own.groups.insert(group, owner),
                None => own.groups.remove(&group),
            };
            firsts.extend(first);
        }
        firsts
    }

    fn closes(&self, id: EntryId) -> bool {
        let group = self.entry(id).facts.group.as_ref();
        group.is_some_and(|group| group.closes)
    }

    /// Whose a group is when these were handed out, and which of them were taken while nobody had it. In their order,
    /// or, since who chooses looks ahead, in any other.
    fn claim_group(
        &self,
        queue: QueueIndex,
        owner: Option<Seat>,
        handed: &[Handed],
    ) -> Option<(Option<Seat>, Vec<EntryId>)> {
        if handed.is_empty() {
            return Some((owner, Vec::new()));
        }
        let ahead = if self.queues[queue].is_looked_into {
            handed.len().min(AHEAD_MAX)
        } else {
            1
        };
        (0..ahead).find_map(|place| {
            let Handed { seat, id } = handed[place];
            let mut others = handed.to_vec();
            others.remove(place);
            let chooser = owner.and_then(|owner| self.subscription(owner));
            if chooser.is_some_and(|chooser| !chooser.chooses(&self.entry(id).facts)) {
                return self.claim_group(queue, owner, &others);
            }
            if owner.is_some_and(|owner| owner != seat) {
                return None;
            }
            let next = Some(seat).filter(|_| !self.closes(id));
            let (last, mut firsts) = self.claim_group(queue, next, &others)?;
            if owner.is_none() {
                firsts.push(id);
            }
            Some((last, firsts))
        })
    }
}
