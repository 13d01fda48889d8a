//! Messages go out of topics: a copy to each subscription, now or when it has credit.

use std::sync::Arc;

use stompbox_store::{MessageNumber, Sender, Sequence};

use super::Dispatcher;
use super::Place::Topic;
use super::burst::selection_steps;
use super::delivery::Origin;
use super::dispatch::{Dealt, NO_SLOT};
use super::entry::{Durability, Entry};
use super::flow::Relief;
use super::key::{SubscriptionKey, TopicKey};
use super::peer::Standing;
use super::property::{Place, Seen};
use crate::config::SlowConsumer;
use crate::core::clock::Now;
use crate::core::message::{DeliveryMode, Message, Publication};
use crate::core::port::{Delivery, DeliveryTag, Locality, Refusal, Reply};

impl Dispatcher {
    /// One message to every subscription of a topic.
    pub(super) fn fan_out(
        &mut self,
        key: TopicKey,
        (sequence, number): (Sequence, MessageNumber),
        publication: Publication,
        publisher: Sender,
        now: Now,
    ) {
        if publication.expires_ms != 0 && publication.expires_ms <= now.wall_ms {
            self.counters.expired += 1;
            self.advise_expired(Topic(key), number);
            return;
        }
        self.retain(key, (sequence, number), &publication, publisher);
        let (mode, expires_ms) = (publication.mode, publication.expires_ms);
        let mut slow = Vec::new();
        self.refresh_audience(key);
        let count = self.topics[key.0].audience.len();
        if count == 0 {
            return self.advise_no_consumer(key, number);
        }
        // The last one takes the message: it is not cloned for one subscriber.
        let messages = std::iter::repeat_n(publication.message, count);
        for (index, message) in messages.enumerate() {
            let to = self.topics[key.0].audience[index];
            let subscription = &self.subscriptions[to.0];
            let goes_out = subscription.pending.len() == 0 && subscription.credit.is_left();
            if goes_out && subscription.is_plain() {
                self.topics[key.0].counters.dispatched += 1;
                self.deal_copy(to, number, message, mode, expires_ms);
                continue;
            }
            let entry = Entry::new(number, message, mode, expires_ms, Durability::Volatile);
            if subscription.selector.is_some() {
                self.burst.spend(selection_steps(&entry.message));
            }
            if !self.is_wanted(key, to, &entry, publisher) {
                continue;
            }
            if goes_out {
                self.topics[key.0].counters.dispatched += 1;
                self.hand_over(to, Origin::Topic(key), sequence, entry);
            } else {
                self.subscriptions[to.0].pending.push(sequence, key, entry);
                if self.is_over_pending_limit(key, to) {
                    slow.push(to);
                }
            }
        }
        // What they have credit for does not wait, whenever in the turn it is handed over.
        for to in &slow {
            self.give_pending(*to, now);
        }
        slow.retain(|to| self.is_over_pending_limit(key, *to));
        for to in slow {
            self.curb(key, to);
        }
    }

    /// A copy for a subscription that acknowledges nothing: no entry is made of it.
    fn deal_copy(
        &mut self,
        to: SubscriptionKey,
        number: MessageNumber,
        message: Arc<Message>,
        mode: DeliveryMode,
        expires_ms: i64,
    ) {
        let Dealt {
            peer,
            handle,
            counter,
        } = self.deal(to, message.bytes());
        self.counters.dispatched += 1;
        self.crowd.set_out();
        let tag = DeliveryTag {
            slot: NO_SLOT,
            counter,
        };
        let delivery = Delivery {
            subscription: handle,
            tag,
            number,
            deliveries: message.deliveries_before() + 1,
            message,
            expires_ms,
            mode,
            annotations: None,
            destination: None,
        };
        self.reply(peer, Reply::Deliver(delivery));
    }

    pub(super) fn is_wanted(
        &self,
        key: TopicKey,
        to: SubscriptionKey,
        entry: &Entry,
        publisher: Sender,
    ) -> bool {
        let subscription = &self.subscriptions[to.0];
        let peer = &self.peers[subscription.peer.0];
        let is_own = peer.connection.0 == publisher.0;
        let is_unwanted = subscription.locality == Locality::NoLocal && is_own;
        if is_unwanted || peer.standing == Standing::Ending {
            return false;
        }
        let Some(selector) = &subscription.selector else {
            return true;
        };
        let place = Place {
            destination: &self.topics[key.0].name,
            instance: &self.instance,
        };
        selector.matches(&Seen { entry, place })
    }

    /// Whether more waits for a subscription than this topic allows, or than it wants to be kept for it.
    fn is_over_pending_limit(&self, key: TopicKey, to: SubscriptionKey) -> bool {
        let policy = &self.topics[key.0].policy;
        let subscription = &self.subscriptions[to.0];
        let pending = &subscription.pending;
        subscription.is_over_own_limit()
            || pending.len() > policy.pending_messages
            || pending.bytes > policy.pending_bytes
    }

    /// A subscription does not keep up: the policy says who pays.
    fn curb(&mut self, key: TopicKey, to: SubscriptionKey) {
        if !std::mem::replace(&mut self.subscriptions[to.0].is_slow, true) {
            self.advise_slow(key, to, self.shortage(key, to));
        }
        let policy = match self.subscriptions[to.0].pending_max {
            // Nobody waits for whoever says how much is to be kept for it.
            Some(_) => SlowConsumer::DropOldest,
            None => self.topics[key.0].policy.slow_consumer,
        };
        match policy {
            SlowConsumer::Block => {
                let subscription = &mut self.subscriptions[to.0];
                if !subscription.full_for.contains(&key) {
                    subscription.full_for.push(key);
                    self.topics[key.0].full_count += 1;
                }
            }
            SlowConsumer::DropOldest => {
                while self.is_over_pending_limit(key, to)
                    && let Some(dropped) = self.drop_one(key, to)
                {
                    self.discard(to, dropped);
                }
                self.note_recovery(to);
            }
            SlowConsumer::Disconnect => self.cut_off(key, to),
        }
    }

    /// Ends the connection of a subscription that does not keep up.
    fn cut_off(&mut self, key: TopicKey, to: SubscriptionKey) {
        let peer = self.subscriptions[to.0].peer;
        if self.peers[peer.0].standing == Standing::Open {
            let policy = &self.topics[key.0].policy;
            let refusal = Refusal::new(
                "slow consumer",
                format!(
                    "more than pending_messages = {} messages or pending_bytes = {} bytes of {} waited for this \
                     subscription: read faster, or raise the limit",
                    policy.pending_messages, policy.pending_bytes, self.topics[key.0].name
                ),
            );
            self.refuse(peer, refusal, None);
        }
        // It may be long in listening to that, and takes nothing more in any case.
        while let Some((_, topic, entry)) = self.subscriptions[to.0].pending.pop() {
            self.discard(to, (topic, entry.number));
        }
    }

    /// Counts and tells what a subscription has lost.
    fn discard(&mut self, to: SubscriptionKey, (topic, number): (TopicKey, MessageNumber)) {
        self.subscriptions[to.0].discarded += 1;
        self.topics[topic.0].counters.dropped += 1;
        self.counters.dropped += 1;
        self.advise_discarded(topic, to, number);
    }

    /// Drops the oldest message that waits for a subscription, or, where its topic's policy keeps that, the newcomer.
    fn drop_one(
        &mut self,
        key: TopicKey,
        to: SubscriptionKey,
    ) -> Option<(TopicKey, MessageNumber)> {
        let subscription = &mut self.subscriptions[to.0];
        let is_its_wish = subscription.pending_max.is_some();
        let pending = &mut subscription.pending;
        let oldest = pending.oldest()?;
        let drops = self.topics[oldest.0].policy.slow_consumer == SlowConsumer::DropOldest;
        if drops || is_its_wish {
            return pending.drop_oldest();
        }
        pending.drop_latest(key)
    }

    /// Hands a subscription what waits for it of its topics, as far as its credit goes.
    pub(super) fn drain_pending(&mut self, to: SubscriptionKey, now: Now) {
        let Some(subscription) = self.subscriptions.get_mut(to.0) else {
            return;
        };
        subscription.queued = false;
        if subscription.walk.is_some() {
            return self.walk_on(to, now);
        }
        self.give_pending(to, now);
    }

    fn give_pending(&mut self, to: SubscriptionKey, now: Now) {
        while self.subscriptions[to.0].credit.is_left() {
            let Some((sequence, key, entry)) = self.subscriptions[to.0].pending.pop() else {
                break;
            };
            if entry.is_expired(now.wall_ms) {
                self.counters.expired += 1;
                self.advise_expired(Topic(key), entry.number);
            } else {
                self.topics[key.0].counters.dispatched += 1;
                self.hand_over(to, Origin::Topic(key), sequence, entry);
            }
        }
        self.note_recovery(to);
    }

    /// It may be slow no more; topics go on that it held back, where it is well below their limit again.
    fn note_recovery(&mut self, to: SubscriptionKey) {
        if self.subscriptions[to.0].pending.len() == 0 {
            self.subscriptions[to.0].is_slow = false;
        }
        if self.subscriptions[to.0].full_for.is_empty() {
            return;
        }
        let (messages, bytes) = {
            let pending = &self.subscriptions[to.0].pending;
            (pending.len(), pending.bytes)
        };
        let three_quarters = |limit: usize| limit - limit.div_ceil(4);
        for key in std::mem::take(&mut self.subscriptions[to.0].full_for) {
            let policy = &self.topics[key.0].policy;
            if messages <= three_quarters(policy.pending_messages)
                && bytes <= three_quarters(policy.pending_bytes)
            {
                self.relieve(key, Relief::CaughtUp);
            } else {
                self.subscriptions[to.0].full_for.push(key);
            }
        }
    }
}
