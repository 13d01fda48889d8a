//! A subscription: its credit, what it holds unacknowledged, and, on a topic, what waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use stompbox_store::{MessageNumber, Sequence};

use super::browse::Walk;
use super::consumer::{ConsumerPriority, Exclusivity, Serial};
use super::delivery::Slot;
use super::entry::Entry;
use super::hung::PassedOver;
use super::key::{ConsumerKey, PeerKey, QueueKey, TopicKey};
use super::timer::TimerKey;
use crate::core::destination::Pattern;
use crate::core::memory::{Charge, MemoryBudget};
use crate::core::port::{AckMode, Locality, SubscriptionHandle};
use crate::core::selector::Selector;

/// How much may be unacknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credit {
    pub(super) messages_max: u32,
    pub(super) bytes_max: usize,
    pub(super) messages: u32,
    pub(super) bytes: usize,
}

impl Credit {
    pub(super) fn new(messages_max: u32, bytes_max: usize) -> Self {
        Self {
            messages_max,
            bytes_max,
            messages: 0,
            bytes: 0,
        }
    }

    /// At least one message may always be out, however large.
    pub(super) fn is_left(&self) -> bool {
        self.messages < self.messages_max && (self.bytes < self.bytes_max || self.messages == 0)
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    pub(super) fn regain(&mut self, messages: u32, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// What a copy costs that waits for one subscription, with its place in what holds it: its message is charged once,
/// however many wait for it.
const COPY_BYTES: usize = 192;

/// Room for so many is kept when none is left.
const KEPT_CAPACITY: usize = 1_024;

/// What waits for one subscription of a topic.
#[derive(Debug)]
pub(super) struct Pending {
    /// First deliveries, in order.
    pub(super) fresh: VecDeque<(Sequence, TopicKey, Entry)>,
    /// What came back: goes first. A message that was sent to several topics has the same sequence in each.
    pub(super) returned: BTreeMap<(Sequence, TopicKey), Entry>,
    pub(super) bytes: usize,
    /// What waits out a redelivery delay. It is charged, but does not count as what waits.
    delayed: BTreeMap<(Sequence, TopicKey), (TimerKey, Entry)>,
    charge: Charge,
}

impl Pending {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self {
            fresh: VecDeque::new(),
            returned: BTreeMap::new(),
            bytes: 0,
            delayed: BTreeMap::new(),
            charge: budget.charge_bytes(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.returned.len()
    }

    pub(super) fn push(&mut self, sequence: Sequence, topic: TopicKey, entry: Entry) {
        self.count(&entry);
        self.fresh.push_back((sequence, topic, entry));
    }

    pub(super) fn put_back(&mut self, sequence: Sequence, topic: TopicKey, entry: Entry) {
        self.count(&entry);
        self.returned.insert((sequence, topic), entry);
    }

    /// The next one, unless it is not due.
    pub(super) fn pop(&mut self) -> Option<(Sequence, TopicKey, Entry)> {
        let returned = self.returned.pop_first();
        let popped = returned
            .map(|((sequence, topic), entry)| (sequence, topic, entry))
            .or_else(|| self.fresh.pop_front())?;
        self.bytes -= popped.2.message.bytes();
        self.charge.shrink(COPY_BYTES);
        if self.fresh.is_empty() && self.fresh.capacity() > KEPT_CAPACITY {
            self.fresh = VecDeque::new();
        }
        Some(popped)
    }

    /// Keeps what failed until its timer rings.
    pub(super) fn delay(
        &mut self,
        sequence: Sequence,
        timer: TimerKey,
        topic: TopicKey,
        entry: Entry,
    ) {
        self.charge.grow(COPY_BYTES);
        self.delayed.insert((sequence, topic), (timer, entry));
    }

    /// A timer has rung.
    pub(super) fn come_due(&mut self, sequence: Sequence, topic: TopicKey) {
        if let Some((_, entry)) = self.delayed.remove(&(sequence, topic)) {
            self.charge.shrink(COPY_BYTES);
            self.put_back(sequence, topic, entry);
        }
    }

    /// Forgets what is delayed; answers its timers.
    pub(super) fn take_delayed(&mut self) -> impl Iterator<Item = TimerKey> + use<> {
        self.charge.shrink(self.delayed.len() * COPY_BYTES);
        let delayed = std::mem::take(&mut self.delayed);
        delayed.into_values().map(|(timer, _)| timer)
    }

    /// Whose the oldest of those is that were never delivered.
    pub(super) fn oldest(&self) -> Option<TopicKey> {
        self.fresh.front().map(|(_, topic, _)| *topic)
    }

    /// Drops the latest one if it is this topic's.
    pub(super) fn drop_latest(&mut self, own: TopicKey) -> Option<(TopicKey, MessageNumber)> {
        let (_, topic, entry) = self.fresh.pop_back_if(|(_, topic, _)| *topic == own)?;
        self.bytes -= entry.message.bytes();
        self.charge.shrink(COPY_BYTES);
        Some((topic, entry.number))
    }

    /// Drops the oldest of those that were never delivered; answers which it was.
    pub(super) fn drop_oldest(&mut self) -> Option<(TopicKey, MessageNumber)> {
        let (_, topic, entry) = self.fresh.pop_front()?;
        self.bytes -= entry.message.bytes();
        self.charge.shrink(COPY_BYTES);
        Some((topic, entry.number))
    }

    fn count(&mut self, entry: &Entry) {
        self.bytes += entry.message.bytes();
        self.charge.grow(COPY_BYTES);
    }
}

/// Open deliveries in order of their number: the ends of a list through [`super::delivery::Deliveries`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ends {
    pub(super) first: Option<Slot>,
    pub(super) last: Option<Slot>,
}

/// Open deliveries by message, the oldest first: for STOMP 1.0 and 1.1, whose ACK names the message. A subscription
/// has one, and in 1.0, whose ACK need not name the subscription, the connection one for all of them.
#[derive(Debug, Default)]
pub(super) struct ByNumber(FxHashMap<MessageNumber, SmallVec<[Slot; 1]>>);

impl ByNumber {
    pub(super) fn push(&mut self, number: MessageNumber, slot: Slot) {
        self.0.entry(number).or_default().push(slot);
    }

    pub(super) fn oldest(&self, number: MessageNumber) -> Option<Slot> {
        self.0.get(&number)?.first().copied()
    }

    pub(super) fn forget(&mut self, number: MessageNumber, slot: Slot) {
        if let Some(slots) = self.0.get_mut(&number) {
            slots.retain(|open| *open != slot);
            if slots.is_empty() {
                self.0.remove(&number);
            }
        }
    }
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) serial: Serial,
    pub(super) peer: PeerKey,
    pub(super) handle: SubscriptionHandle,
    /// Its places at queues.
    pub(super) consumers: SmallVec<[ConsumerKey; 1]>,
    /// Those of them that wait for credit, the first to wait first.
    pub(super) parked: VecDeque<ConsumerKey>,
    /// Whether it stands in the dispatcher's list of those that may have credit for more of them.
    pub(super) is_offered: bool,
    /// The queues that it has a place at, where it may have several, and which place.
    pub(super) queues: FxHashMap<QueueKey, ConsumerKey>,
    /// For those places.
    pub(super) places_charge: Charge,
    /// The topics that it named, and where it stands among their subscriptions.
    pub(super) topics: SmallVec<[(TopicKey, usize); 1]>,
    pub(super) selector: Option<Arc<Selector>>,
    pub(super) priority: ConsumerPriority,
    pub(super) exclusivity: Exclusivity,
    pub(super) locality: Locality,
    /// How much of its topics may wait for it beyond its credit, by its own wish.
    pub(super) pending_max: Option<u32>,
    /// Patterns that it takes from.
    pub(super) patterns: Vec<Arc<Pattern>>,
    /// Whether each message has to say where it comes from.
    pub(super) is_manifold: bool,
    pub(super) mode: AckMode,
    /// Whether its deliveries are kept until they are acknowledged: those of topics need not be, where the hand-over
    /// acknowledges them.
    pub(super) keeps_deliveries: bool,
    pub(super) credit: Credit,
    /// Set while it is given nothing because it does not answer.
    pub(super) passed_over: Option<Box<PassedOver>>,
    pub(super) open: Ends,
    pub(super) by_number: Option<ByNumber>,
    /// Whether it stands in the dispatcher's list to look at.
    pub(super) queued: bool,
    /// Where it stands if it browses.
    pub(super) walk: Option<Box<Walk>>,
    /// What waits for it of its topics.
    pub(super) pending: Pending,
    /// Topics whose producers are held back because `pending` is at its limit.
    pub(super) full_for: SmallVec<[TopicKey; 1]>,
    /// Whether a transaction may have claimed something of it.
    pub(super) has_claims: bool,
    /// Whether it has reached its pending limit since it last had nothing waiting.
    pub(super) is_slow: bool,
    /// What was dropped because it does not keep up.
    pub(super) discarded: u64,
}

impl Subscription {
    /// Whether more waits for it than it wishes to be kept.
    pub(super) fn is_over_own_limit(&self) -> bool {
        self.pending_max
            .is_some_and(|max| self.pending.len() > max as usize)
    }

    /// Whether it takes whatever its topic gives and acknowledges nothing.
    pub(super) fn is_plain(&self) -> bool {
        !self.keeps_deliveries
            && self.selector.is_none()
            && self.locality == Locality::All
            && !self.is_manifold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_may_always_be_out_however_large() {
        let mut credit = Credit::new(2, 100);
        assert!(credit.is_left());
        credit.spend(1_000);
        assert!(!credit.is_left(), "over its bytes");
        credit.regain(1, 1_000);
        credit.spend(10);
        assert!(credit.is_left());
        credit.spend(10);
        assert!(!credit.is_left(), "over its messages");
    }
}
