//! Subscriptions come and go.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Dispatcher;
use super::browse::Walk;
use super::delivery::{Delivered, Outcome};
use super::effect::Promise;
use super::key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use super::peer::Claims;
use super::subscription::{Credit, Ends, Pending, Subscription};
use super::{Place, flow::Relief};
use crate::config::Policy;
use crate::core::clock::Now;
use crate::core::destination::{DestinationKind, DestinationName, Pattern, names_matching};
use crate::core::port::{
    AckMode, DeliveryCounter, Intent, Prefetch, ReceiptId, Refusal, Source, Subscribing,
    SubscriptionHandle,
};

impl Dispatcher {
    pub(super) fn subscribe(&mut self, peer: PeerKey, subscribing: Subscribing, now: Now) {
        let mut places: SmallVec<[Place; 1]> = SmallVec::new();
        for source in &subscribing.sources {
            let Source::One(name) = source else { continue };
            match self.ensure(name, now) {
                Ok(Some(place)) if self.may_consume(peer, name, place) => places.push(place),
                Ok(_) => {
                    let refusal = Refusal::new(
                        "not your temporary destination",
                        format!(
                            "{name} has gone, or belongs to another connection: only the one that made a \
                             temporary destination may SUBSCRIBE to it"
                        ),
                    );
                    return self.refuse(peer, refusal, subscribing.receipt);
                }
                Err(refusal) => return self.refuse(peer, refusal, subscribing.receipt),
            }
        }
        if subscribing.intent == Intent::Browse {
            return self.browse(peer, subscribing, &places, now);
        }
        let receipt = subscribing.receipt.clone();
        let patterns: Vec<Arc<Pattern>> = subscribing
            .sources
            .iter()
            .filter_map(|source| match source {
                Source::One(_) => None,
                Source::Matching(pattern) => Some(Arc::clone(pattern)),
            })
            .collect();
        let key = self.insert_subscription(peer, subscribing, &places, patterns.clone());
        self.answer(peer, receipt, Promise::Kept);
        for place in places {
            self.take_from(key, place);
        }
        for pattern in patterns {
            self.take_from_matching(key, &pattern);
        }
    }

    /// A browser walks one queue, with a credit of its own.
    fn browse(&mut self, peer: PeerKey, subscribing: Subscribing, places: &[Place], now: Now) {
        let receipt = subscribing.receipt.clone();
        let &[Place::Queue(queue)] = places else {
            let refusal = Refusal::new(
                "a browser walks one queue",
                "browser:true needs a destination that names one queue: subscribe to /queue/NAME, without \
                 wildcards or a list",
            );
            return self.refuse(peer, refusal, receipt);
        };
        let key = self.insert_subscription(peer, subscribing, places, Vec::new());
        self.answer(peer, receipt, Promise::Kept);
        self.subscriptions[key.0].walk = Some(Box::new(Walk::new(queue, self.last_sequence)));
        self.walk_on(key, now);
    }

    fn may_consume(&self, peer: PeerKey, name: &DestinationName, place: Place) -> bool {
        !name.is_temporary() || self.peers[peer.0].temporaries.contains(&place)
    }

    fn insert_subscription(
        &mut self,
        peer: PeerKey,
        subscribing: Subscribing,
        places: &[Place],
        patterns: Vec<Arc<Pattern>>,
    ) -> SubscriptionKey {
        let handle = subscribing.subscription;
        let mode = subscribing.mode;
        let credit = self.credit_for(places.first(), patterns.first(), &subscribing);
        let names_messages = self.peers[peer.0].opening.version < stompbox_protocol::Version::V1_2;
        let has_queues = subscribing.sources.iter().any(Source::is_of_queues);
        let keeps_deliveries =
            mode != AckMode::Auto || (has_queues && subscribing.intent == Intent::Consume);
        let key = SubscriptionKey(self.subscriptions.insert(Subscription {
            peer,
            handle,
            consumers: Default::default(),
            parked: Vec::new(),
            topics: Default::default(),
            selector: subscribing.selector,
            priority: subscribing.priority,
            exclusivity: subscribing.exclusivity,
            locality: subscribing.locality,
            is_manifold: subscribing.sources.len() > 1 || !patterns.is_empty(),
            mode,
            keeps_deliveries,
            credit,
            passed_over: None,
            patterns,
            open: Ends::default(),
            by_number: (names_messages && mode != AckMode::Auto).then(Default::default),
            queued: false,
            walk: None,
            pending: Pending::new(&self.settings.budget),
            delayed: Default::default(),
            full_for: Default::default(),
            has_claims: false,
        }));
        self.peers[peer.0].subscriptions.insert(handle, key);
        key
    }

    /// A subscription begins to take from a destination.
    fn take_from(&mut self, key: SubscriptionKey, place: Place) {
        match place {
            Place::Queue(queue) => self.join(key, queue),
            Place::Topic(topic) => {
                let members = &mut self.topics[topic.0].subscriptions;
                self.subscriptions[key.0]
                    .topics
                    .push((topic, members.len()));
                members.push(key);
                self.topics[topic.0].audience_at = None;
            }
        }
    }

    /// The same for whatever matches a pattern, now and later. Topics are looked up when they are published to.
    fn take_from_matching(&mut self, key: SubscriptionKey, pattern: &Pattern) {
        self.patterns.insert(pattern, key);
        if pattern.kind() == DestinationKind::Topic {
            return;
        }
        let queues: Vec<QueueKey> = names_matching(pattern, &self.ordered_names)
            .filter_map(|(_, place)| match place {
                Place::Queue(queue) => Some(*queue),
                Place::Topic(_) => None,
            })
            .collect();
        for queue in queues {
            self.join(key, queue);
        }
    }

    /// The first place that a subscription takes from decides what it may hold.
    fn credit_for(
        &self,
        place: Option<&Place>,
        pattern: Option<&Arc<Pattern>>,
        subscribing: &Subscribing,
    ) -> Credit {
        let prefetch = subscribing.prefetch;
        match (place, pattern) {
            (Some(Place::Queue(key)), _) if subscribing.intent == Intent::Browse => {
                let policy = &self.queues[key.0].policy;
                credit(prefetch, policy.prefetch_browser, policy)
            }
            (Some(place), _) => self.credit_at(*place, prefetch),
            (None, Some(pattern)) => {
                let policy = self.settings.policies.default_policy();
                let default = match pattern.kind() {
                    DestinationKind::Queue => policy.prefetch_queue,
                    DestinationKind::Topic => policy.prefetch_topic,
                };
                credit(prefetch, default, policy)
            }
            (None, None) => Credit::new(1, 0),
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
        for (timer, ..) in std::mem::take(&mut subscription.delayed).into_values() {
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
        for consumer in &subscription.consumers {
            self.leave(*consumer);
        }
        // Deliveries that are in no list are gone with it.
        if !subscription.keeps_deliveries {
            let out = u64::from(subscription.credit.messages);
            let peer = &mut self.peers[subscription.peer.0];
            peer.in_flight = peer.in_flight.saturating_sub(out);
        }
        for topic in &subscription.full_for {
            self.relieve(*topic, Relief::SubscriptionGone);
        }
        for pattern in &subscription.patterns {
            self.patterns.remove(pattern, &key);
        }
        for (topic, place) in subscription.topics {
            self.leave_topic(topic, place);
        }
    }

    /// A subscription gives up its place; the last one takes it.
    fn leave_topic(&mut self, key: TopicKey, place: usize) {
        let topic = &mut self.topics[key.0];
        topic.audience_at = None;
        topic.subscriptions.swap_remove(place);
        if let Some(moved) = topic.subscriptions.get(place) {
            let topics = self.subscriptions[moved.0].topics.iter_mut();
            for (_, own) in topics.filter(|(topic, _)| *topic == key) {
                *own = place;
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
