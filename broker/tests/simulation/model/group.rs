//! Message groups: whose they are.
//!
//! In which order a turn handed out to several connections is not seen. Where a group may have gone one way or another,
//! because a consumer that chooses may have had it or not, both are kept until one of them is refuted.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Entry, EntryId, Holds};
use super::handout::Handed;
use super::{Model, Queue, QueueIndex, Seat};
use crate::trace;

/// Who has a group, or nobody.
pub(super) type Owner = Option<Seat>;

/// What a group has come to: how much of what each connection was handed lies behind it, and whose it is then.
type State = (Vec<usize>, Owner);

/// One message on its way out: from where, which one it is, and to where.
struct Step {
    before: State,
    id: EntryId,
    after: State,
    /// Whether whoever took it did so while nobody had the group.
    is_first: bool,
}

impl Model {
    /// Who may have an entry's group; nobody, if it is in none.
    pub(super) fn owners_of(&self, queue: QueueIndex, entry: &Entry) -> BTreeSet<Owner> {
        let group = entry.facts.group.as_ref();
        let owners = group.and_then(|group| self.queues[queue].groups.get(&group.id));
        owners.cloned().unwrap_or_else(|| BTreeSet::from([None]))
    }

    /// The groups that somebody may have.
    pub(super) fn owned_groups(&self, queue: QueueIndex) -> BTreeSet<Vec<u8>> {
        let groups = self.queues[queue].groups.iter();
        let owned = groups.filter(|(_, owners)| owners.iter().any(Option::is_some));
        owned.map(|(id, _)| id.clone()).collect()
    }

    /// Whether an entry is no part of its group: somebody has that who has not chosen it.
    pub(super) fn is_stranger(&self, queue: QueueIndex, entry: &Entry) -> bool {
        let mut owners = self.owners_of(queue, entry).into_iter();
        owners.all(|owner| self.is_strange_to(owner, entry))
    }

    fn is_strange_to(&self, owner: Owner, entry: &Entry) -> bool {
        let owner = owner.and_then(|owner| self.subscription(owner));
        owner.is_some_and(|owner| !owner.chooses(&entry.facts))
    }

    /// Whether nobody else can have an entry's group, or whoever has it has not chosen the entry.
    pub(super) fn may_own(&self, seat: Seat, entry: &Entry) -> bool {
        let mut owners = self.owners_of(entry.queue, entry).into_iter();
        owners.all(|owner| owner.is_none_or(|own| own == seat) || self.is_strange_to(owner, entry))
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
            name,
            groups,
            released,
            ..
        } = &mut self.queues[queue];
        for (group, owners) in groups {
            let losing = |owner: &Owner| owner.is_some_and(&loses);
            let lost: Vec<Owner> = owners.extract_if(.., |owner| losing(owner)).collect();
            if lost.is_empty() {
                continue;
            }
            trace::note(|| {
                let group = String::from_utf8_lossy(group);
                format!("  group {group} of {name} is let go of by {lost:?}")
            });
            owners.insert(None);
            released.insert(group.clone());
        }
    }

    /// Whether somebody had an entry's group and lost it.
    pub(super) fn was_released(&self, queue: QueueIndex, entry: &Entry) -> bool {
        let group = entry.facts.group.as_ref();
        group.is_some_and(|group| self.queues[queue].released.contains(&group.id))
    }

    /// Whether an entry may wait for the owner of its group, or behind what waits out a delay in it.
    pub(super) fn may_be_parked(&self, entry: &Entry) -> bool {
        let Some(group) = &entry.facts.group else {
            return false;
        };
        let queue = &self.queues[entry.queue];
        let is_owned = self
            .owners_of(entry.queue, entry)
            .iter()
            .any(Option::is_some);
        let mut waiting = queue.lanes.iter().flat_map(|lane| lane.values());
        is_owned
            || queue.released.contains(&group.id)
            || waiting.any(|id| {
                let other = self.entry(*id);
                let is_mate = other.facts.group.as_ref().map(|own| &own.id) == Some(&group.id);
                is_mate && other.holds == Holds::Group
            })
    }

    /// What was handed out of each group went to its owner; whoever took the first of a group that nobody had is its
    /// owner, until a message closes it. Answers those first ones, as far as that is certain.
    pub(super) fn claim_groups(&mut self, queue: QueueIndex, handed: &[Handed]) -> Vec<EntryId> {
        let mut by_group: BTreeMap<Vec<u8>, Vec<Handed>> = BTreeMap::new();
        for one in handed {
            if let Some(group) = &self.entry(one.id).facts.group {
                by_group.entry(group.id.clone()).or_default().push(*one);
            }
        }
        let mut firsts = Vec::new();
        for (group, handed) in by_group {
            let before = self.owners_of(queue, self.entry(handed[0].id));
            let (owners, certain) = self.claim_in_turn(queue, &before, &handed);
            let story = || -> Vec<_> { handed.iter().map(|one| self.story_of(*one)).collect() };
            let name = &self.queues[queue].name;
            let id = String::from_utf8_lossy(&group);
            assert!(
                !owners.is_empty(),
                "{:#?} of {name} did not go to owners of {id}, {before:?} at first",
                story()
            );
            trace::note(|| {
                format!(
                    "  group {id} of {name} is of {owners:?} after {:?}",
                    story()
                )
            });
            let has_closed = handed.iter().any(|one| self.closes(one.id));
            let own = &mut self.queues[queue];
            if has_closed {
                own.released.insert(group.clone());
            }
            own.groups.insert(group, owners);
            firsts.extend(certain);
        }
        firsts
    }

    /// What was handed out before the turn ended others may have got, who then lost the group to whoever has the queue for
    /// itself since.
    fn claim_in_turn(
        &self,
        queue: QueueIndex,
        before: &BTreeSet<Owner>,
        handed: &[Handed],
    ) -> (BTreeSet<Owner>, Vec<EntryId>) {
        let all = self.claim_group(before, handed);
        let exclusive = self
            .exclusive(queue)
            .filter(|_| self.is_served_early(queue));
        let Some(exclusive) = exclusive.filter(|_| all.0.is_empty()) else {
            return all;
        };
        let (late, early): (Vec<Handed>, Vec<Handed>) =
            handed.iter().partition(|one| one.seat == exclusive);
        let (owners, _) = self.claim_group(before, &early);
        if owners.is_empty() {
            return all;
        }
        let (owners, _) = self.claim_group(&BTreeSet::from([None]), &late);
        (owners, Vec::new())
    }

    /// For the reader of a failure.
    fn story_of(&self, Handed { seat, id }: Handed) -> String {
        let entry = self.entry(id);
        let ends = if self.closes(id) { ", the last" } else { "" };
        let (message, place, deliveries) = (entry.facts.id, entry.place(), entry.deliveries);
        let to = (seat.0.0, seat.1.0);
        format!("{message:?} at {place:?} to {to:?}, delivery {deliveries}{ends}")
    }

    fn closes(&self, id: EntryId) -> bool {
        let group = self.entry(id).facts.group.as_ref();
        group.is_some_and(|group| group.closes)
    }

    /// Whose a group may be when these were handed out, each connection's in their order, and which of them were
    /// certainly taken while nobody had it.
    fn claim_group(
        &self,
        before: &BTreeSet<Owner>,
        handed: &[Handed],
    ) -> (BTreeSet<Owner>, Vec<EntryId>) {
        let mut lines: BTreeMap<_, Vec<Handed>> = BTreeMap::new();
        for one in handed {
            lines.entry(one.seat.0).or_default().push(*one);
        }
        let lines: Vec<Vec<Handed>> = lines.into_values().collect();
        let begin = |owner: &Owner| (vec![0; lines.len()], *owner);
        let mut states: BTreeSet<State> = before.iter().map(begin).collect();
        let mut steps = Vec::new();
        for _ in handed {
            let next: Vec<Step> = states
                .into_iter()
                .flat_map(|state| self.steps_from(&state, &lines))
                .collect();
            states = next.iter().map(|step| step.after.clone()).collect();
            steps.push(next);
        }
        let owners = states.iter().map(|(_, owner)| *owner).collect();
        // Only what leads to the end may have been.
        let (mut firsts, mut others) = (BTreeSet::new(), BTreeSet::new());
        for layer in steps.into_iter().rev() {
            let led = layer
                .into_iter()
                .filter(|step| states.contains(&step.after));
            let led: Vec<Step> = led.collect();
            for step in &led {
                let kind = if step.is_first {
                    &mut firsts
                } else {
                    &mut others
                };
                kind.insert(step.id);
            }
            states = led.into_iter().map(|step| step.before).collect();
        }
        (owners, firsts.difference(&others).copied().collect())
    }

    /// What may have been handed out next of a group.
    fn steps_from(&self, before: &State, lines: &[Vec<Handed>]) -> Vec<Step> {
        let (done, owner) = before;
        let next = lines.iter().enumerate().filter_map(|(line, handed)| {
            let Handed { seat, id } = *handed.get(done[line])?;
            let is_strange = self.is_strange_to(*owner, self.entry(id));
            let is_rightful = is_strange || owner.is_none_or(|owner| owner == seat);
            let then = match *owner {
                Some(owner) if is_strange => Some(owner),
                _ => Some(seat).filter(|_| !self.closes(id)),
            };
            let mut done = done.clone();
            done[line] += 1;
            is_rightful.then(|| Step {
                before: before.clone(),
                id,
                after: (done, then),
                is_first: owner.is_none(),
            })
        });
        next.collect()
    }
}
