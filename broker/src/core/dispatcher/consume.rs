//! Subscriptions come and go.

use super::Dispatcher;
use super::delivery::{Delivered, Outcome};
use super::effect::Promise;
use super::key::{PeerKey, SubscriptionKey};
use super::peer::Claims;
use super::subscription::{Credit, Ends, Pending, Serial, Source, Subscription};
use super::{Place, flow::Relief};
use crate::config::Policy;
use crate::core::clock::Now;
use crate::core::port::{
    AckMode, DeliveryCounter, Prefetch, ReceiptId, Subscribing, SubscriptionHandle,
};
use stompbox_protocol::Version;

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
        let names_messages = self.peers[peer.0].opening.version < Version::V1_2;
        self.last_serial = Serial(self.last_serial.0 + 1);
        let key = SubscriptionKey(self.subscriptions.insert(Subscription {
            serial: self.last_serial,
            peer,
            handle,
            source,
            mode,
            credit,
            open: Ends::default(),
            by_number: (names_messages && mode != AckMode::Auto).then(Default::default),
            queued: false,
            pending: Pending::new(&self.settings.budget),
            delayed: Default::default(),
            place: 0,
            is_full: false,
            has_claims: false,
        }));
        self.peers[peer.0].subscriptions.insert(handle, key);
        self.answer(peer, receipt, Promise::Kept);
        match source {
            Source::Queue(queue) => {
                self.queues[queue.0].consumer_count += 1;
                self.offer(key);
            }
            Source::Topic(topic) => {
                let members = &mut self.topics[topic.0].subscriptions;
                self.subscriptions[key.0].place = members.len();
                members.push(key);
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
        for key in keys {
            self.end_subscription(*key, returning);
        }
        let subscriptions = &self.subscriptions;
        self.dirty_subscriptions
            .retain(|key| subscriptions.contains(key.0));
    }

    fn end_subscription(
        &mut self,
        key: SubscriptionKey,
        returning: &mut Vec<(Delivered, Outcome)>,
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
        for (timer, _) in std::mem::take(&mut subscription.delayed).into_values() {
            self.timers.cancel(timer);
        }
        while let Some(slot) = subscription.open.first {
            self.deliveries.unlink(&mut subscription.open, slot);
            if let Some(delivered) = self.deliveries.close(slot) {
                let peer = &mut self.peers[subscription.peer.0];
                peer.in_flight -= 1;
                if let Some(by_number) = &mut peer.by_number {
                    by_number.forget(delivered.entry.number, slot);
                }
                returning.push((delivered, Outcome::Returned));
            }
        }
        match subscription.source {
            Source::Queue(queue) => {
                let queue = &mut self.queues[queue.0];
                queue.consumer_count -= 1;
                if subscription.queued {
                    queue.available.left(&self.subscriptions);
                }
            }
            Source::Topic(topic) => {
                // An auto subscription's deliveries are in no list: they are gone with it.
                if subscription.mode == AckMode::Auto {
                    let out = u64::from(subscription.credit.messages);
                    let peer = &mut self.peers[subscription.peer.0];
                    peer.in_flight = peer.in_flight.saturating_sub(out);
                }
                let members = &mut self.topics[topic.0].subscriptions;
                members.swap_remove(subscription.place);
                if let Some(moved) = members.get(subscription.place) {
                    self.subscriptions[moved.0].place = subscription.place;
                }
                if subscription.is_full {
                    self.relieve(topic, Relief::SubscriptionGone);
                }
            }
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
