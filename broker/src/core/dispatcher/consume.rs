//! Subscriptions come and go.

use std::collections::BTreeSet;

use super::Dispatcher;
use super::delivery::{Delivered, Outcome};
use super::effect::Promise;
use super::key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use super::peer::Claims;
use super::subscription::{Credit, Ends, Pending, Subscription};
use super::{Place, flow::Relief};
use crate::config::Policy;
use crate::core::clock::Now;
use crate::core::port::{
    AckMode, DeliveryCounter, Prefetch, ReceiptId, Subscribing, SubscriptionHandle,
};

impl Dispatcher {
    pub(super) fn subscribe(&mut self, peer: PeerKey, subscribing: Subscribing, now: Now) {
        let Subscribing {
            subscription: handle,
            destination,
            mode,
            prefetch,
            selector,
            priority,
            exclusivity,
            receipt,
        } = subscribing;
        let place = match self.ensure(&destination, now) {
            Ok(place) => place,
            Err(refusal) => return self.refuse(peer, refusal, receipt),
        };
        let credit = self.credit_at(place, prefetch);
        let names_messages = self.peers[peer.0].opening.version < stompbox_protocol::Version::V1_2;
        let key = SubscriptionKey(self.subscriptions.insert(Subscription {
            peer,
            handle,
            consumers: Default::default(),
            parked: Vec::new(),
            topics: Default::default(),
            selector,
            priority,
            exclusivity,
            mode,
            credit,
            open: Ends::default(),
            by_number: (names_messages && mode != AckMode::Auto).then(Default::default),
            queued: false,
            pending: Pending::new(&self.settings.budget),
            delayed: Default::default(),
            full_for: Default::default(),
            has_claims: false,
        }));
        self.peers[peer.0].subscriptions.insert(handle, key);
        self.answer(peer, receipt, Promise::Kept);
        match place {
            Place::Queue(queue) => self.join(key, queue),
            Place::Topic(topic) => {
                self.subscriptions[key.0].topics.push(topic);
                self.topics[topic.0].subscriptions.push(key);
            }
        }
    }

    fn credit_at(&self, place: Place, prefetch: Prefetch) -> Credit {
        match place {
            Place::Queue(key) => {
                let policy = &self.queues[key.0].policy;
                credit(prefetch, policy.prefetch_queue, policy)
            }
            Place::Topic(key) => {
                let policy = &self.topics[key.0].policy;
                credit(prefetch, policy.prefetch_topic, policy)
            }
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        peer: PeerKey,
        handle: SubscriptionHandle,
        given: DeliveryCounter,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        if let Some(&key) = self.peers[peer.0].subscriptions.get(&handle) {
            let mut returning = Vec::new();
            self.end_subscriptions(&[key], &mut returning);
            for (delivered, outcome) in returning {
                self.conclude_unseen(delivered, outcome, given, now);
            }
        }
        self.answer(peer, receipt, Promise::Kept);
    }

    /// Ends subscriptions of one connection and hands over what they held, in order. What a transaction has
    /// claimed stays with the transaction.
    pub(super) fn end_subscriptions(
        &mut self,
        keys: &[SubscriptionKey],
        returning: &mut Vec<(Delivered, Outcome)>,
    ) {
        let mut left = Left::default();
        for key in keys {
            self.end_subscription(*key, returning, &mut left);
        }
        // Once a destination, not once a subscription: ten thousand may end with one connection.
        for queue in left.queues {
            self.left(queue);
        }
        let subscriptions = &self.subscriptions;
        let lives = |key: &SubscriptionKey| subscriptions.contains(key.0);
        for topic in left.topics {
            self.topics[topic.0].subscriptions.retain(lives);
        }
        self.dirty_subscriptions.retain(lives);
    }

    fn end_subscription(
        &mut self,
        key: SubscriptionKey,
        returning: &mut Vec<(Delivered, Outcome)>,
        left: &mut Left,
    ) {
        let Some(mut subscription) = self.subscriptions.try_remove(key.0) else {
            return;
        };
        let peer = &mut self.peers[subscription.peer.0];
        peer.subscriptions.remove(&subscription.handle);
        if subscription.has_claims {
            for slot in peer.transactions.values().flat_map(Claims::slots) {
                if let Some(delivered) = self.deliveries.get_mut(slot)
                    && delivered.subscription == Some(key)
                {
                    delivered.subscription = None;
                }
            }
        }
        for (timer, ..) in std::mem::take(&mut subscription.delayed).into_values() {
            self.timers.cancel(timer);
        }
        while let Some(slot) = subscription.open.first {
            self.deliveries.unlink(&mut subscription.open, slot);
            if let Some(delivered) = self.deliveries.close(slot) {
                self.peers[subscription.peer.0].in_flight -= 1;
                returning.push((delivered, Outcome::Returned));
            }
        }
        for consumer in &subscription.consumers {
            let consumer = self.consumers.remove(consumer.0);
            if let Some(scan) = consumer.scan {
                self.queues[consumer.queue.0].leave_scan(scan);
            }
            left.queues.insert(consumer.queue);
        }
        // Deliveries that are in no list are gone with it.
        if !subscription.keeps_deliveries() {
            let out = u64::from(subscription.credit.messages);
            let peer = &mut self.peers[subscription.peer.0];
            peer.in_flight = peer.in_flight.saturating_sub(out);
        }
        for topic in &subscription.full_for {
            self.relieve(*topic, Relief::SubscriptionGone);
        }
        left.topics.extend(subscription.topics);
    }
}

/// Destinations that subscriptions have left.
#[derive(Debug, Default)]
struct Left {
    queues: BTreeSet<QueueKey>,
    topics: BTreeSet<TopicKey>,
}

fn credit(prefetch: Prefetch, default: u32, policy: &Policy) -> Credit {
    let messages = prefetch
        .messages
        .unwrap_or(default)
        .clamp(1, policy.prefetch_max.max(1));
    let bytes = prefetch
        .bytes
        .unwrap_or(policy.prefetch_bytes)
        .min(policy.prefetch_bytes);
    Credit::new(messages, bytes)
}
