//! Messages of a queue that wait for the owner of their group, or for one before them in it: in the queue's order,
//! with their bodies or by name only.
//!
//! *Invariants*: what is parked stands in no lane; what is parked and stored is `held` by the queue; a body that is not
//! here is durable, and its message was never delivered.

use std::collections::BTreeMap;

use stompbox_store::{Rank, Sequence};

use super::entry::Entry;
use super::group::GroupId;
use super::paging::Window;
use super::queue::Queue;

/// Where a message stands in its queue.
pub(super) type Position = (Rank, Sequence);

/// The parked messages of a queue.
#[derive(Debug, Default)]
pub(super) struct ParkedList {
    groups: BTreeMap<Position, GroupId>,
    bodies: BTreeMap<Position, Entry>,
    bytes: usize,
}

/// What was taken out of the list.
#[derive(Debug)]
pub(super) enum Unparked {
    Resident(Entry),
    /// It is on disk only.
    Stored,
}

impl ParkedList {
    pub(super) fn insert(&mut self, position: Position, group: GroupId, entry: Entry) {
        self.groups.insert(position, group);
        self.put_body(position, entry);
    }

    fn put_body(&mut self, position: Position, entry: Entry) {
        self.bytes += entry.message.bytes();
        self.bodies.insert(position, entry);
    }

    fn take_body(&mut self, position: Position) -> Option<Entry> {
        let entry = self.bodies.remove(&position)?;
        self.bytes -= entry.message.bytes();
        Some(entry)
    }

    pub(super) fn remove(&mut self, position: Position) -> Option<(GroupId, Unparked)> {
        let group = self.groups.remove(&position)?;
        let unparked = self
            .take_body(position)
            .map_or(Unparked::Stored, Unparked::Resident);
        Some((group, unparked))
    }

    pub(super) fn get(&self, position: Position) -> Option<&Entry> {
        self.bodies.get(&position)
    }

    fn get_mut(&mut self, position: Position) -> Option<&mut Entry> {
        self.bodies.get_mut(&position)
    }

    /// The group of a message that is here by name only.
    pub(super) fn group_of_stored(&self, position: Position) -> Option<&GroupId> {
        let group = self.groups.get(&position)?;
        (!self.bodies.contains_key(&position)).then_some(group)
    }

    /// The first message at this position or behind it in its rank, with its body if that is here.
    pub(super) fn first_from(
        &self,
        rank: Rank,
        sequence: Sequence,
    ) -> Option<(Sequence, Option<&Entry>)> {
        let mut behind = self.groups.range((rank, sequence)..=(rank, Sequence::MAX));
        let (position, _) = behind.next()?;
        Some((position.1, self.bodies.get(position)))
    }

    /// The first body at this position or behind it in its rank.
    pub(super) fn first_body_from(&self, rank: Rank, sequence: Sequence) -> Option<Sequence> {
        let mut behind = self.bodies.range((rank, sequence)..=(rank, Sequence::MAX));
        Some(behind.next()?.0.1)
    }

    /// The last message of a rank.
    pub(super) fn last_of(&self, rank: Rank) -> Option<Sequence> {
        let all = (rank, Sequence(i64::MIN))..=(rank, Sequence::MAX);
        Some(self.groups.range(all).next_back()?.0.1)
    }

    /// The last body before this position; none for the last of all.
    pub(super) fn body_before(&self, at: Option<Position>) -> Option<Position> {
        let before = match at {
            Some(at) => self.bodies.range(..at).next_back(),
            None => self.bodies.last_key_value(),
        };
        before.map(|(position, _)| *position)
    }

    /// Bodies, the last one first.
    pub(super) fn bodies_from_behind(&self) -> impl Iterator<Item = (Position, &Entry)> {
        let behind = self.bodies.iter().rev();
        behind.map(|(position, entry)| (*position, entry))
    }

    pub(super) fn count(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn body_count(&self) -> usize {
        self.bodies.len()
    }

    /// Those that are here by name only.
    pub(super) fn stored_count(&self) -> usize {
        self.groups.len() - self.bodies.len()
    }

    /// Bytes of the bodies.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether so many bodies are here that stored ones may be let go of.
    pub(super) fn is_deep(&self, window: &Window) -> bool {
        self.bytes > window.bytes || self.bodies.len() > window.messages
    }
}

impl Queue {
    /// A message that is in no lane waits with its group.
    pub(super) fn park(&mut self, position: Position, group: &GroupId, entry: Entry) {
        self.expires_at_place(position, &entry);
        self.groups.park(position, group, entry);
    }

    /// A parked message is in nobody's list any more; a stored one is held from here on.
    pub(super) fn unpark(&mut self, position: Position) -> Option<Unparked> {
        let unparked = self.groups.unpark(position)?;
        if let Unparked::Resident(entry) = &unparked {
            self.expires_elsewhere(position, entry);
        }
        Some(unparked)
    }

    /// Takes a message that waits in memory, in its lane or with its group. A stored one is held from here on.
    pub(super) fn take_waiting(&mut self, (rank, sequence): Position) -> Option<Entry> {
        if let Some(entry) = self.take_at(rank, sequence) {
            return Some(entry);
        }
        self.groups.parked().get((rank, sequence))?;
        match self.unpark((rank, sequence))? {
            Unparked::Resident(entry) => Some(entry),
            Unparked::Stored => None,
        }
    }

    /// A message that waits in memory, in its lane or with its group.
    pub(super) fn waiting_mut(&mut self, (rank, sequence): Position) -> Option<&mut Entry> {
        if self.lane(rank).contains(sequence) {
            return self.resident_mut(rank, sequence);
        }
        self.groups.parked_mut().get_mut((rank, sequence))
    }

    /// Lets go of the body of a parked message that the store has.
    pub(super) fn let_go_of_parked(&mut self, position: Position) {
        if let Some(entry) = self.groups.parked_mut().take_body(position) {
            self.expires_elsewhere(position, &entry);
            self.paged_may_expire |= entry.expires_ms != 0 && !self.is_durable();
        }
    }

    /// The body of a parked message has come back.
    pub(super) fn bring_parked(&mut self, position: Position, entry: Entry) {
        self.expires_at_place(position, &entry);
        self.groups.parked_mut().put_body(position, entry);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stompbox_store::MessageNumber;

    use super::*;
    use crate::core::dispatcher::entry::Durability;
    use crate::core::memory::MemoryBudget;
    use crate::core::message::{Body, DeliveryMode, Message, Priority};

    fn entry() -> Entry {
        let charge = MemoryBudget::new(1_000).charge(3);
        let message = Message::new(b"", Body::Borrowed(b"abc"), Priority::DEFAULT, 0, charge);
        let mode = DeliveryMode::Persistent;
        let message = Arc::new(message);
        Entry::new(MessageNumber(1), message, mode, 0, Durability::DURABLE)
    }

    #[test]
    fn bodies_come_and_go_while_their_messages_stay_in_order() {
        let mut list = ParkedList::default();
        let group: GroupId = Arc::from(&b"red"[..]);
        let at = |rank, sequence| (Rank(rank), Sequence(sequence));
        for position in [at(5, 1), at(5, 3), at(2, 9)] {
            list.insert(position, Arc::clone(&group), entry());
        }
        assert_eq!((list.count(), list.stored_count(), list.bytes()), (3, 0, 9));
        assert!(list.take_body(at(5, 1)).is_some());
        assert_eq!((list.count(), list.stored_count(), list.bytes()), (3, 1, 6));
        assert_eq!(list.group_of_stored(at(5, 1)), Some(&group));
        assert_eq!(list.group_of_stored(at(5, 3)), None);
        let first = list.first_from(Rank(5), Sequence(0));
        assert!(matches!(first, Some((Sequence(1), None))));
        assert_eq!(
            list.first_body_from(Rank(5), Sequence(0)),
            Some(Sequence(3))
        );
        assert_eq!(list.last_of(Rank(2)), Some(Sequence(9)));
        assert_eq!(list.body_before(None), Some(at(5, 3)));
        assert_eq!(list.body_before(Some(at(5, 3))), Some(at(2, 9)));
        let (of, unparked) = list.remove(at(5, 1)).expect("parked");
        assert!(of == group && matches!(unparked, Unparked::Stored));
        assert!(list.remove(at(5, 1)).is_none());
    }
}
