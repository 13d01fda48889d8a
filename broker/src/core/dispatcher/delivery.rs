//! Deliveries that are not acknowledged: who holds which entry.
//!
//! Owns every entry that is with a consumer or claimed by a transaction. Each delivery has a slot; its tag
//! (slot and number) is the `ack` id of the MESSAGE, so that an ACK needs no look-up. The open deliveries of
//! a subscription form a list in order of their number.

use std::time::Duration;

use slab::Slab;
use stompbox_store::{Rank, Sequence};

use super::entry::Entry;
use super::key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use super::subscription::Ends;
use crate::core::port::{DeliveryCounter, DeliveryTag, Requeue, Verdict};

/// A place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u32);

impl Slot {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an entry came from, and returns to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Queue(QueueKey, Rank),
    Topic(TopicKey),
    /// It stands where it stood: a browser has seen it.
    Walk,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done with.
    Acked,
    /// It failed.
    Failed {
        delay: Option<Duration>,
        requeue: Requeue,
    },
    /// It returns uncounted.
    Returned,
    /// Its consumer broke off: counts a failure, returns without delay.
    Broken,
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ack => Outcome::Acked,
            Verdict::Nack { delay, requeue } => Outcome::Failed { delay, requeue },
        }
    }
}

/// Whether a transaction has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// With the consumer.
    Acquired,
    /// Acknowledged in a transaction that is still open.
    Claimed(Outcome),
}

/// One delivery.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) peer: PeerKey,
    /// None when the subscription has gone and a transaction keeps the delivery.
    pub(super) subscription: Option<SubscriptionKey>,
    pub(super) counter: DeliveryCounter,
    pub(super) origin: Origin,
    pub(super) sequence: Sequence,
    pub(super) entry: Entry,
    pub(super) hold: Hold,
    /// Whether there may be any number of such deliveries of one message.
    is_copy: bool,
    /// When it was made: an uptime.
    pub(super) since: Duration,
    previous: Option<Slot>,
    next: Option<Slot>,
}

impl Delivered {
    /// A delivery that is with its consumer and in no list yet.
    pub(super) fn new(
        peer: PeerKey,
        subscription: SubscriptionKey,
        counter: DeliveryCounter,
        origin: Origin,
        sequence: Sequence,
        entry: Entry,
        since: Duration,
    ) -> Self {
        Self {
            peer,
            subscription: Some(subscription),
            counter,
            origin,
            sequence,
            entry,
            hold: Hold::Acquired,
            is_copy: false,
            since,
            previous: None,
            next: None,
        }
    }

    /// The same, of a message of which there may be any number of deliveries at a time.
    pub(super) fn of_a_copy(self) -> Self {
        Self {
            is_copy: true,
            ..self
        }
    }
}

/// Room for so many is kept when there are none.
const KEPT_CAPACITY: usize = 16 * 1024;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    slots: Slab<Delivered>,
    /// How many of them are one of many copies of a message.
    copy_count: usize,
}

impl Deliveries {
    /// The slot that the next [`Self::open`] takes.
    pub(super) fn next_slot(&self) -> Slot {
        Slot(u32::try_from(self.slots.vacant_key()).unwrap_or(u32::MAX))
    }

    /// Enters a delivery at the end of its subscription's list.
    pub(super) fn open(&mut self, ends: &mut Ends, delivered: Delivered) -> Slot {
        let slot = self.next_slot();
        let previous = ends.last;
        self.copy_count += usize::from(delivered.is_copy);
        self.slots.insert(Delivered {
            previous,
            ..delivered
        });
        match previous.and_then(|slot| self.slots.get_mut(slot.index())) {
            Some(previous) => previous.next = Some(slot),
            None => ends.first = Some(slot),
        }
        ends.last = Some(slot);
        slot
    }

    /// The delivery that a tag names, if it is still open and this peer's.
    pub(super) fn find(&self, peer: PeerKey, tag: DeliveryTag) -> Option<Slot> {
        let slot = Slot(tag.slot);
        let delivered = self.slots.get(slot.index())?;
        let is_it = delivered.peer == peer
            && delivered.counter == tag.counter
            && delivered.hold == Hold::Acquired;
        is_it.then_some(slot)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Delivered> {
        self.slots.get(slot.index())
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Delivered> {
        self.slots.get_mut(slot.index())
    }

    /// Takes a delivery out of its subscription's list; it stays in the table.
    pub(super) fn unlink(&mut self, ends: &mut Ends, slot: Slot) {
        let Some(delivered) = self.slots.get_mut(slot.index()) else {
            return;
        };
        let (previous, next) = (delivered.previous.take(), delivered.next.take());
        match previous.and_then(|slot| self.slots.get_mut(slot.index())) {
            Some(previous) => previous.next = next,
            None => ends.first = next,
        }
        match next.and_then(|slot| self.slots.get_mut(slot.index())) {
            Some(next) => next.previous = previous,
            None => ends.last = previous,
        }
    }

    /// Takes a delivery that is in no list out of the table.
    pub(super) fn close(&mut self, slot: Slot) -> Option<Delivered> {
        let delivered = self.slots.try_remove(slot.index())?;
        self.copy_count -= usize::from(delivered.is_copy);
        if self.slots.is_empty() && self.slots.capacity() > KEPT_CAPACITY {
            self.slots = Slab::new();
        }
        Some(delivered)
    }

    /// How many of the deliveries are one of many copies of a message.
    pub(super) fn copy_count(&self) -> usize {
        self.copy_count
    }

    /// Every delivery.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Delivered> {
        self.slots.iter_mut().map(|(_, delivered)| delivered)
    }

    /// Whether nothing is with a consumer.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The delivery behind this one in its subscription's list.
    pub(super) fn after(&self, slot: Slot) -> Option<Slot> {
        self.slots.get(slot.index())?.next
    }
}
