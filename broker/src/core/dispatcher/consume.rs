//! Subscriptions come and go.

use super::Dispatcher;
use super::delivery::{Delivered, Outcome};
use super::effect::Promise;
use super::key::{PeerKey, QueueKey, SubscriptionKey};
use super::subscription::{Credit, Ends, Pending, Source, Subscription};
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
            receipt,
        } = subscribing;
        let place = match self.ensure(&destination, now) {
            Ok(place) => place,
            Err(refusal) => return self.refuse(peer, refusal, receipt),
        };
        let (source, credit) = match place {
            Place::Queue(key) => {
                let policy = &self.queues[key.0].policy;
                (
                    Source::Queue(key),
                    credit(prefetch, policy.prefetch_queue, policy),
                )
            }
            Place::Topic(key) => {
                let policy = &self.topics[key.0].policy;
                (
                    Source::Topic(key),
                    credit(prefetch, policy.prefetch_topic, policy),
                )
            }
        };
        let names_messages = self.peers[peer.0].opening.version < stompbox_protocol::Version::V1_2;
        let key = SubscriptionKey(self.subscriptions.insert(Subscription {
            peer,
            handle,
            source,
            mode,
            credit,
            open: Ends::default(),
            by_number: (names_messages && mode != AckMode::Auto).then(Default::default),
            queued: false,
            pending: Pending::default(),
            delayed: Default::default(),
            is_full: false,
        }));
        self.peers[peer.0].subscriptions.insert(handle, key);
        self.answer(peer, receipt, Promise::Kept);
        match source {
            Source::Queue(queue) => {
                self.queues[queue.0].consumers.push(key);
                self.offer(key);
            }
            Source::Topic(topic) => self.topics[topic.0].subscriptions.push(key),
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
            self.end_subscription(key, &mut returning);
            for (delivered, outcome) in returning {
                self.conclude_unseen(delivered, outcome, given, now);
            }
        }
        self.answer(peer, receipt, Promise::Kept);
    }

    /// Ends a subscription and hands over what it held, in order. What a transaction has claimed of it stays
    /// with the transaction.
    pub(super) fn end_subscription(
        &mut self,
        key: SubscriptionKey,
        returning: &mut Vec<(Delivered, Outcome)>,
    ) {
        let Some(mut subscription) = self.subscriptions.try_remove(key.0) else {
            return;
        };
        let peer = &mut self.peers[subscription.peer.0];
        peer.subscriptions.remove(&subscription.handle);
        let claimed: Vec<_> = peer.transactions.values().flatten().copied().collect();
        for slot in claimed {
            if let Some(delivered) = self.deliveries.get_mut(slot)
                && delivered.subscription == Some(key)
            {
                delivered.subscription = None;
            }
        }
        while let Some(slot) = subscription.open.first {
            self.deliveries.unlink(&mut subscription.open, slot);
            if let Some(delivered) = self.deliveries.close(slot) {
                self.peers[subscription.peer.0].in_flight -= 1;
                returning.push((delivered, Outcome::Returned));
            }
        }
        match subscription.source {
            Source::Queue(queue) => self.leave_queue(queue, key, subscription.queued),
            Source::Topic(topic) => {
                // An auto subscription's deliveries are in no list: they are gone with it.
                if subscription.mode == AckMode::Auto {
                    let out = u64::from(subscription.credit.messages);
                    let peer = &mut self.peers[subscription.peer.0];
                    peer.in_flight = peer.in_flight.saturating_sub(out);
                }
                self.dirty_subscriptions.retain(|dirty| *dirty != key);
                self.topics[topic.0]
                    .subscriptions
                    .retain(|member| *member != key);
                if subscription.is_full {
                    self.relieve(topic, Relief::SubscriptionGone);
                }
            }
        }
    }

    fn leave_queue(&mut self, queue: QueueKey, key: SubscriptionKey, queued: bool) {
        let queue = &mut self.queues[queue.0];
        queue.consumers.retain(|member| *member != key);
        if queued {
            queue.available.retain(|member| *member != key);
        }
    }
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
