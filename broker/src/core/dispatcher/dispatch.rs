//! Messages go out: round-robin among the consumers of a queue that have credit, to all of a topic.

use std::sync::Arc;

use stompbox_store::{MessageNumber, Sequence};

use super::Dispatcher;
use super::delivery::{Delivered, Origin, Slot};
use super::entry::{Durability, Entry};
use super::flow::Relief;
use super::key::{QueueKey, SubscriptionKey, TopicKey};
use super::queue::Next;
use super::subscription::{Pending, Source};
use super::timer::Timer;
use crate::config::SlowConsumer;
use crate::core::clock::Now;
use crate::core::message::Publication;
use crate::core::port::{AckMode, Delivery, DeliveryCounter, DeliveryTag, Refusal, Reply};

/// Expired messages that one turn takes out of a queue for a consumer that waits; then it is the others' turn.
const EXPIRED_A_TURN: usize = 1_000;

/// The slot of a delivery that nobody acknowledges by name.
const NO_SLOT: u32 = u32::MAX;

impl Dispatcher {
    /// A queue has to be looked at before the turn ends.
    pub(super) fn mark(&mut self, key: QueueKey) {
        let queue = &mut self.queues[key.0];
        if !queue.dirty {
            queue.dirty = true;
            self.dirty_queues.push(key);
        }
    }

    /// A subscription may have credit again.
    pub(super) fn offer(&mut self, key: SubscriptionKey) {
        let Some(subscription) = self.subscriptions.get_mut(key.0) else {
            return;
        };
        if subscription.queued || !subscription.credit.is_left() {
            return;
        }
        match subscription.source {
            Source::Queue(queue) => {
                subscription.queued = true;
                self.queues[queue.0]
                    .available
                    .join(key, subscription.serial);
                self.mark(queue);
            }
            Source::Topic(_) => {
                if subscription.pending.len() > 0 {
                    subscription.queued = true;
                    self.dirty_subscriptions.push(key);
                }
            }
        }
    }

    /// Hands out what can be handed out.
    pub(super) fn dispatch_dirty(&mut self, now: Now) {
        loop {
            while let Some(key) = self.dirty_subscriptions.pop() {
                self.drain_pending(key, now);
            }
            let Some(key) = self.dirty_queues.pop() else {
                return;
            };
            self.queues[key.0].dirty = false;
            self.dispatch_queue(key, now);
        }
    }

    fn dispatch_queue(&mut self, key: QueueKey, now: Now) {
        let mut expired = 0;
        while let Some(subscription) = self.queues[key.0].available.next(&mut self.subscriptions) {
            match self.queues[key.0].next(self.watermark, now) {
                Next::Nothing => break,
                Next::Paged(rank) => {
                    // While the memory is full a consumer gets no more from the disk before it has acknowledged
                    // what it holds; one that holds nothing must get something, or nothing would ever move.
                    if self.settings.budget.is_over()
                        && self.subscriptions[subscription.0].credit.messages > 0
                    {
                        self.wait_for_memory(key);
                    } else {
                        self.want_page(key, rank);
                    }
                    break;
                }
                Next::Ready(rank) => {
                    let Some((sequence, entry)) = self.queues[key.0].take(rank) else {
                        break;
                    };
                    if entry.is_expired(now.wall_ms) {
                        self.expire(key, rank, sequence, entry, now);
                        expired += 1;
                        if expired == EXPIRED_A_TURN {
                            self.timers.set(now.uptime, Timer::Look(key));
                            break;
                        }
                    } else {
                        self.give(key, subscription, rank, sequence, entry);
                    }
                }
            }
        }
        self.read_ahead(key);
    }

    fn give(
        &mut self,
        key: QueueKey,
        to: SubscriptionKey,
        rank: stompbox_store::Rank,
        sequence: Sequence,
        entry: Entry,
    ) {
        let queue = &mut self.queues[key.0];
        queue.available.pass_on();
        queue.in_flight += 1;
        queue.counters.dispatched += 1;
        if entry.deliveries > 0 {
            queue.counters.redelivered += 1;
        }
        self.hand_over(to, Origin::Queue(key, rank), sequence, entry);
    }

    /// Makes one delivery. The slot table keeps the entry until it is acknowledged; an `auto` subscription of
    /// a topic needs no more than its count.
    fn hand_over(
        &mut self,
        to: SubscriptionKey,
        origin: Origin,
        sequence: Sequence,
        mut entry: Entry,
    ) {
        entry.deliveries = entry.deliveries.saturating_add(1);
        self.counters.dispatched += 1;
        if entry.deliveries > 1 {
            self.counters.redelivered += 1;
        }
        let subscription = &mut self.subscriptions[to.0];
        subscription.credit.spend(entry.message.bytes());
        let peer_key = subscription.peer;
        let peer = &mut self.peers[peer_key.0];
        peer.counter = DeliveryCounter(peer.counter.0 + 1);
        peer.in_flight += 1;
        let counter = peer.counter;
        let is_kept = subscription.mode != AckMode::Auto || matches!(origin, Origin::Queue(..));
        let slot = if is_kept {
            self.deliveries.next_slot().0
        } else {
            NO_SLOT
        };
        let delivery = Delivery {
            subscription: subscription.handle,
            tag: DeliveryTag { slot, counter },
            number: entry.number,
            message: Arc::clone(&entry.message),
            deliveries: entry.deliveries,
            expires_ms: entry.expires_ms,
            mode: entry.mode,
            annotations: entry.annotations.clone(),
        };
        if is_kept {
            if let Some(by_number) = &mut subscription.by_number {
                by_number.push(entry.number, Slot(slot));
                if let Some(by_number) = &mut peer.by_number {
                    by_number.push(entry.number, Slot(slot));
                }
            }
            let delivered = Delivered::new(peer_key, to, counter, origin, sequence, entry);
            self.deliveries.open(&mut subscription.open, delivered);
        }
        self.reply(peer_key, Reply::Deliver(delivery));
    }

    /// One message to every subscription of a topic.
    pub(super) fn fan_out(
        &mut self,
        key: TopicKey,
        number: MessageNumber,
        publication: &Publication,
        now: Now,
    ) {
        if publication.expires_ms != 0 && publication.expires_ms <= now.wall_ms {
            self.counters.expired += 1;
            return;
        }
        let sequence = Sequence(number.0);
        let mut slow = Vec::new();
        for index in 0..self.topics[key.0].subscriptions.len() {
            let to = self.topics[key.0].subscriptions[index];
            let message = Arc::clone(&publication.message);
            let (mode, expires_ms) = (publication.mode, publication.expires_ms);
            let entry = Entry::new(number, message, mode, expires_ms, Durability::Volatile);
            let subscription = &mut self.subscriptions[to.0];
            if subscription.pending.len() == 0 && subscription.credit.is_left() {
                self.topics[key.0].counters.dispatched += 1;
                self.hand_over(to, Origin::Topic(key), sequence, entry);
            } else {
                subscription.pending.push(sequence, entry);
                if self.is_over_pending_limit(key, to) {
                    slow.push(to);
                }
            }
        }
        for to in slow {
            self.curb(key, to);
        }
    }

    fn is_over_pending_limit(&self, key: TopicKey, to: SubscriptionKey) -> bool {
        let policy = &self.topics[key.0].policy;
        let pending = &self.subscriptions[to.0].pending;
        pending.len() > policy.pending_messages || pending.bytes > policy.pending_bytes
    }

    /// A subscription does not keep up: the policy says who pays.
    fn curb(&mut self, key: TopicKey, to: SubscriptionKey) {
        match self.topics[key.0].policy.slow_consumer {
            SlowConsumer::Block => {
                let subscription = &mut self.subscriptions[to.0];
                if !subscription.is_full {
                    subscription.is_full = true;
                    self.topics[key.0].full_count += 1;
                }
            }
            SlowConsumer::DropOldest => {
                while self.is_over_pending_limit(key, to) {
                    if !self.subscriptions[to.0].pending.drop_oldest() {
                        return;
                    }
                    self.topics[key.0].counters.dropped += 1;
                    self.counters.dropped += 1;
                }
            }
            SlowConsumer::Disconnect => {
                let peer = self.subscriptions[to.0].peer;
                if self.peers[peer.0].standing == super::peer::Standing::Open {
                    let policy = &self.topics[key.0].policy;
                    let refusal = Refusal::new(
                        "slow consumer",
                        format!(
                            "more than pending_messages = {} messages or pending_bytes = {} bytes of {} \
                             waited for this subscription: read faster, or raise the limit",
                            policy.pending_messages, policy.pending_bytes, self.topics[key.0].name
                        ),
                    );
                    self.refuse(peer, refusal, None);
                }
                // It may be long in listening to that, and takes nothing more in any case.
                self.subscriptions[to.0].pending = Pending::new(&self.settings.budget);
            }
        }
    }

    /// Hands a topic's subscription what waits for it, as far as its credit goes.
    fn drain_pending(&mut self, to: SubscriptionKey, now: Now) {
        let Some(subscription) = self.subscriptions.get_mut(to.0) else {
            return;
        };
        subscription.queued = false;
        let Source::Topic(key) = subscription.source else {
            return;
        };
        while self.subscriptions[to.0].credit.is_left() {
            let Some((sequence, entry)) = self.subscriptions[to.0].pending.pop() else {
                break;
            };
            if entry.is_expired(now.wall_ms) {
                self.counters.expired += 1;
            } else {
                self.topics[key.0].counters.dispatched += 1;
                self.hand_over(to, Origin::Topic(key), sequence, entry);
            }
        }
        let policy = &self.topics[key.0].policy;
        let subscription = &mut self.subscriptions[to.0];
        let has_recovered = subscription.pending.len() <= policy.pending_messages / 4 * 3
            && subscription.pending.bytes <= policy.pending_bytes / 4 * 3;
        if subscription.is_full && has_recovered {
            subscription.is_full = false;
            self.relieve(key, Relief::CaughtUp);
        }
    }
}
