//! Copies: what a topic, or a browser, makes many of out of one message; and topics that wait until there are fewer.
//!
//! A message is charged once, but each of its copies costs something until its connection has written it or its client
//! has acknowledged it: a few kilobytes of SENDs for ten thousand subscriptions of a client that does not read would
//! come to gigabytes. *Invariant*: copies are charged to the memory budget, and come to no more than three quarters of
//! it and those of one message. A topic that waits keeps its messages as messages, one for all, and holds its producers
//! back. One with a single subscription never waits.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Dispatcher;
use super::delivery::Delivered;
use super::flow::Blocker;
use super::key::{QueueKey, SubscriptionKey, TopicKey};
use crate::core::clock::Now;
use crate::core::memory::{Charge, MemoryBudget};

/// What a copy costs on its way: a reply, and its part of what holds it.
const REPLY_BYTES: usize = 128;

/// What one costs that is kept until it is acknowledged.
const KEPT_BYTES: usize = REPLY_BYTES + size_of::<Delivered>() + 64;

/// The budget is told of a change that is at least as large: with each copy would be too often.
const SETTLED_BYTES: usize = 64 * 1024;

/// From this share of a connection on, in eighths of the memory limit, it is one that crowds others out.
const CROWDING_EIGHTHS: usize = 1;

/// Shares of all copies, in eighths of the memory limit: from the first on topics wait that such a connection hears,
/// from the second on all; they go on below the third.
const SOME_WAIT_EIGHTHS: usize = 4;
const ALL_WAIT_EIGHTHS: usize = 6;
const ROOM_EIGHTHS: usize = 3;

/// All copies, and who waits for there to be fewer.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Copies that wait for a subscription's credit: each subscription charges its own here.
    pending: Arc<MemoryBudget>,
    /// Copies on their way that nothing keeps.
    sent: usize,
    charge: Charge,
    topics: Vec<TopicKey>,
    /// Queues of durable and shared subscriptions whose consumers get no more meanwhile.
    queues: FxHashSet<QueueKey>,
    browsers: FxHashSet<SubscriptionKey>,
}

impl Crowd {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self {
            pending: MemoryBudget::new(usize::MAX),
            sent: 0,
            charge: budget.charge_bytes(0),
            topics: Vec::new(),
            queues: FxHashSet::default(),
            browsers: FxHashSet::default(),
        }
    }

    /// What copies are charged to that wait for credit.
    pub(super) fn pending(&self) -> &Arc<MemoryBudget> {
        &self.pending
    }

    /// One more is on its way that nothing keeps.
    pub(super) fn set_out(&mut self) {
        self.sent += 1;
    }

    /// So many of those have arrived, or are no longer under way.
    pub(super) fn arrived(&mut self, count: u32) {
        self.sent = self.sent.saturating_sub(count as usize);
    }

    /// Whether a browser waits, perhaps for memory that becomes free without a word.
    pub(super) fn has_browsers(&self) -> bool {
        !self.browsers.is_empty()
    }
}

impl Dispatcher {
    fn copies_bytes(&self) -> usize {
        self.crowd.pending.used_bytes()
            + self.crowd.sent * REPLY_BYTES
            + self.deliveries.copy_count() * KEPT_BYTES
    }

    /// A part of the memory budget.
    pub(super) fn eighths_of_memory(&self, eighths: usize) -> usize {
        self.settings.budget.limit_bytes() / 8 * eighths
    }

    /// Tells the budget.
    pub(super) fn charge_copies(&mut self) {
        let (bytes, charged) = (self.copies_bytes(), self.crowd.charge.bytes());
        if bytes.abs_diff(charged) < SETTLED_BYTES && bytes != 0 {
            return;
        }
        if bytes > charged {
            self.crowd.charge.grow(bytes - charged);
        } else if bytes < charged {
            self.crowd.charge.shrink(charged - bytes);
        }
    }

    /// Whether a topic has to keep its messages back.
    pub(super) fn is_crowded(&mut self, key: TopicKey) -> bool {
        let bytes = self.copies_bytes();
        if bytes < self.eighths_of_memory(SOME_WAIT_EIGHTHS) {
            return false;
        }
        self.refresh_audience(key);
        let audience = &self.topics[key.0].audience;
        if audience.len() < 2 {
            return false;
        }
        let crowding = self.eighths_of_memory(CROWDING_EIGHTHS);
        let crowds = |to: &SubscriptionKey| {
            let peer = &self.peers[self.subscriptions[to.0].peer.0];
            peer.in_flight.saturating_mul(REPLY_BYTES as u64) >= crowding as u64
        };
        bytes >= self.eighths_of_memory(ALL_WAIT_EIGHTHS) || audience.iter().any(crowds)
    }

    /// The topic's messages, and those who send more of them, wait until there are fewer copies.
    pub(super) fn wait_in_crowd(&mut self, key: TopicKey) {
        let topic = &mut self.topics[key.0];
        if !topic.is_crowded {
            tracing::debug!(topic = %topic.name, "waits: copies of messages fill the memory");
            topic.is_crowded = true;
            topic.full_count += 1;
            self.crowd.topics.push(key);
        }
    }

    /// Whether durable subscriptions are better read back later than given a copy each.
    pub(super) fn is_crowded_by_copies(&self) -> bool {
        self.copies_bytes() >= self.eighths_of_memory(SOME_WAIT_EIGHTHS)
    }

    /// Whether consumers that have something get no more copies.
    pub(super) fn is_full_of_copies(&self) -> bool {
        self.copies_bytes() >= self.eighths_of_memory(ALL_WAIT_EIGHTHS)
    }

    /// A queue of copies goes on when there are fewer.
    pub(super) fn queue_in_crowd(&mut self, key: QueueKey) {
        self.crowd.queues.insert(key);
    }

    /// Whether a browser has to wait before it is shown more: one that has something while memory is full or copies
    /// fill it, and any when it is more than full.
    pub(super) fn browser_waits(&mut self, key: SubscriptionKey) -> bool {
        let holds = self.subscriptions[key.0].credit.messages > 0;
        let is_full = self.settings.budget.is_over()
            || self.copies_bytes() >= self.eighths_of_memory(ALL_WAIT_EIGHTHS);
        let waits = holds && is_full || self.is_at_ceiling();
        if waits {
            self.crowd.browsers.insert(key);
        }
        waits
    }

    /// Whoever has waited goes on, if there is room again.
    pub(super) fn relieve_crowd(&mut self, now: Now) {
        self.charge_copies();
        let is_waited_for = self.crowd.has_browsers()
            || !self.crowd.topics.is_empty()
            || !self.crowd.queues.is_empty();
        if !is_waited_for || self.copies_bytes() >= self.eighths_of_memory(ROOM_EIGHTHS) {
            return;
        }
        if self.settings.budget.has_recovered() {
            for browser in std::mem::take(&mut self.crowd.browsers) {
                self.look_at(browser);
            }
        }
        for key in std::mem::take(&mut self.crowd.queues) {
            self.mark(key);
        }
        for key in std::mem::take(&mut self.crowd.topics) {
            // It may have gone, and another may have its key.
            let Some(topic) = self.topics.get_mut(key.0).filter(|topic| topic.is_crowded) else {
                continue;
            };
            topic.is_crowded = false;
            topic.full_count -= 1;
            self.publish_held(key, now);
            if self.topics[key.0].full_count == 0 {
                self.unblock(Blocker::Topic(key));
            }
        }
    }
}
