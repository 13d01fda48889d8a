//! Subscriptions come and go.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Dispatcher;
use super::burst::JOIN_STEPS;
use super::consumer::place_bytes;
use super::delivery::{Delivered, Outcome};
use super::effect::Promise;
use super::feed::{advisories_are_not_kept, set_of};
use super::identity::Identity;
use super::key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use super::lasting::Fed;
use super::peer::Claims;
use super::queue::Queue;
use super::subscription::{Credit, Ends, Pending, Subscription};
use super::{Place, flow::Relief};
use crate::config::Policy;
use crate::core::clock::Now;
use crate::core::destination::{
    DestinationKind, DestinationName, Pattern, StatisticsQuery, is_advisory_topic, names_matching,
};
use crate::core::port::{
    AckMode, Deletion, DeliveryCounter, Intent, Lasting, Memory, Prefetch, ReceiptId, Refusal,
    Request, Source, Subscribing, SubscriptionHandle,
};

impl Dispatcher {
    pub(super) fn subscribe(&mut self, peer: PeerKey, mut subscribing: Subscribing, now: Now) {
        if self.subscribes_in_burst(&subscribing) {
            return self.wait_for_turn(peer, Request::Subscribe(Box::new(subscribing)));
        }
        if let Err(refusal) = self.check_subscriptions() {
            return self.refuse(peer, refusal, subscribing.receipt);
        }
        let mut places: SmallVec<[Place; 1]> = SmallVec::new();
        for source in &subscribing.sources {
            let Source::One(name) = source else { continue };
            match self.ensure(name, now) {
                Ok(Some(place)) if self.may_consume(peer, name, place) => places.push(place),
                Ok(_) => return self.refuse(peer, not_to_consume(name), subscribing.receipt),
                Err(refusal) => return self.refuse(peer, refusal, subscribing.receipt),
            }
        }
        if subscribing.intent == Intent::Browse {
            return self.browse(peer, subscribing, &places, now);
        }
        let receipt = subscribing.receipt.clone();
        let mut promise = Promise::Kept;
        let is_lasting = subscribing.lasting.is_some();
        if let Some(lasting) = subscribing.lasting.take() {
            if subscribing.memory == Memory::Retroactive {
                return self.refuse(peer, lasts_and_remembers(), receipt);
            }
            let found = self.lasting_place(peer, &lasting, &subscribing, &places, now);
            let queue = match found {
                Ok(queue) => queue,
                Err(refusal) => return self.refuse(peer, refusal, receipt),
            };
            if self.queues[queue.0].opens_at > self.watermark {
                promise = Promise::WithBatch;
            }
            // What it takes is its subscription's affair, whoever consumes from it.
            subscribing.selector = None;
            places = SmallVec::from_elem(Place::Queue(queue), 1);
        }
        let patterns: Vec<Arc<Pattern>> = subscribing
            .sources
            .iter()
            .filter_map(|source| match source {
                Source::Matching(pattern) if !is_lasting => Some(Arc::clone(pattern)),
                Source::One(_) | Source::Matching(_) => None,
            })
            .collect();
        let place = place_bytes(subscribing.selector.is_some());
        let of_queues = patterns
            .iter()
            .filter(|pattern| pattern.kind() == DestinationKind::Queue);
        let queues: Vec<QueueKey> = of_queues
            .flat_map(|pattern| self.queues_matching(pattern))
            .collect();
        self.burst.spend(queues.len() * JOIN_STEPS);
        if let Err(refusal) = self.check_places(queues.len() * place) {
            return self.refuse(peer, refusal, receipt);
        }
        let memory = subscribing.memory;
        let key = self.insert_subscription(peer, subscribing, &places, patterns.clone());
        self.answer(peer, receipt, promise);
        for place in &places {
            self.take_from(key, *place);
        }
        // Topics are looked up when they are published to.
        for pattern in &patterns {
            self.patterns.insert(pattern, key);
        }
        for queue in queues {
            self.join(key, queue);
        }
        if memory == Memory::Retroactive {
            self.recall(key, &places, &patterns, now);
        }
    }

    /// The queue of a durable or shared subscription: its topics feed it.
    fn lasting_place(
        &mut self,
        peer: PeerKey,
        lasting: &Lasting,
        subscribing: &Subscribing,
        places: &[Place],
        now: Now,
    ) -> Result<QueueKey, Refusal> {
        match *places {
            [Place::Topic(topic)] if is_advisory_topic(&self.topics[topic.0].name) => {
                Err(advisories_are_not_kept())
            }
            [Place::Topic(topic)]
                if subscribing.sources.len() == 1 && !self.topics[topic.0].name.is_temporary() =>
            {
                self.ensure_lasting(peer, Fed::By(topic), lasting, subscribing, now)
            }
            _ => {
                let set = Fed::BySet(Arc::new(set_of(&subscribing.sources)?));
                self.ensure_lasting(peer, set, lasting, subscribing, now)
            }
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
        self.begin_walk(key, queue);
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
        let has_queues = subscribing.sources.iter().any(Source::is_of_queues)
            || places.iter().any(|place| matches!(place, Place::Queue(_)));
        let keeps_deliveries =
            mode != AckMode::Auto || (has_queues && subscribing.intent == Intent::Consume);
        let serial = self.next_serial();
        let key = SubscriptionKey(self.subscriptions.insert(Subscription {
            serial,
            peer,
            handle,
            consumers: Default::default(),
            parked: VecDeque::new(),
            is_offered: false,
            queues: Default::default(),
            places_charge: self.settings.budget.charge_bytes(0),
            topics: Default::default(),
            selector: subscribing.selector,
            priority: subscribing.priority,
            exclusivity: subscribing.exclusivity,
            locality: subscribing.locality,
            pending_max: subscribing.pending_max,
            is_manifold: is_manifold(&subscribing.sources),
            mode,
            keeps_deliveries,
            credit,
            passed_over: None,
            patterns,
            open: Ends::default(),
            by_number: (names_messages && mode != AckMode::Auto).then(Default::default),
            queued: false,
            walk: None,
            pending: Pending::new(self.crowd.pending()),
            full_for: Default::default(),
            has_claims: false,
            is_slow: false,
            discarded: 0,
        }));
        self.peers[peer.0].subscriptions.insert(handle, key);
        self.advisories.hear(key, &subscribing.sources);
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
                self.advise_consumer(key, place);
            }
        }
    }

    fn queues_matching<'a>(&'a self, pattern: &'a Pattern) -> impl Iterator<Item = QueueKey> + 'a {
        names_matching(pattern, &self.ordered_names, self.burst.meter()).filter_map(|(_, place)| {
            match place {
                Place::Queue(queue) => Some(*queue),
                Place::Topic(_) => None,
            }
        })
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

    /// Whether one more subscription may be made.
    fn check_subscriptions(&self) -> Result<(), Refusal> {
        let limit = self.settings.limits.all_subscriptions;
        if self.subscriptions.len() < limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many subscriptions",
            format!(
                "the broker has {limit} subscriptions, which is limits.all_subscriptions: end some, or \
                 raise the limit"
            ),
        ))
    }

    pub(super) fn unsubscribe(
        &mut self,
        peer: PeerKey,
        handle: Option<SubscriptionHandle>,
        deletes: Option<Deletion>,
        given: DeliveryCounter,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        let operations = self.batch.operations.len();
        let identity = match self.identity_to_delete(peer, handle, deletes) {
            Ok(identity) => identity,
            Err(refusal) => return self.refuse(peer, refusal, receipt),
        };
        if let Some(handle) = handle
            && let Some(&key) = self.peers[peer.0].subscriptions.get(&handle)
        {
            let mut returning = Vec::new();
            self.end_subscriptions(&[key], &mut returning, now);
            for (delivered, outcome) in returning {
                self.conclude_unseen(delivered, outcome, given, now);
            }
        }
        let mut promise = Promise::Kept;
        if let Some(identity) = identity {
            if let Err(refusal) = self.delete_lasting(&identity) {
                return self.refuse(peer, refusal, receipt);
            }
            promise = self.promise_since(operations);
        }
        self.answer(peer, receipt, promise);
    }

    /// The durable subscription that an UNSUBSCRIBE deletes: that which its own subscription is, or the one that it names.
    fn identity_to_delete(
        &self,
        peer: PeerKey,
        handle: Option<SubscriptionHandle>,
        deletes: Option<Deletion>,
    ) -> Result<Option<Box<str>>, Refusal> {
        let Some(deletion) = deletes else {
            return Ok(None);
        };
        let own = handle.and_then(|handle| self.peers[peer.0].subscriptions.get(&handle));
        let consumers = own.map(|key| &self.subscriptions[key.0].consumers);
        let queue = consumers.and_then(|consumers| consumers.first());
        let queue = queue.map(|consumer| &self.queues[self.consumers[consumer.0].queue.0]);
        if let Some(cursor) = queue.and_then(Queue::cursor) {
            return Ok(Some(cursor.identity.text.clone()));
        }
        let client_id = self.peers[peer.0].opening.client_id.as_deref();
        let identity = Identity::of(&deletion.lasting, client_id, deletion.topic.as_deref())?;
        Ok(Some(identity.text))
    }

    /// Ends subscriptions of one connection and hands over what they held, in order. What a transaction has
    /// claimed stays with the transaction.
    pub(super) fn end_subscriptions(
        &mut self,
        keys: &[SubscriptionKey],
        returning: &mut Vec<(Delivered, Outcome)>,
        now: Now,
    ) {
        for key in keys {
            self.end_subscription(*key, returning, now);
        }
        let subscriptions = &self.subscriptions;
        self.dirty_subscriptions
            .retain(|key| subscriptions.contains(key.0));
    }

    fn end_subscription(
        &mut self,
        key: SubscriptionKey,
        returning: &mut Vec<(Delivered, Outcome)>,
        now: Now,
    ) {
        let Some(mut subscription) = self.subscriptions.try_remove(key.0) else {
            return;
        };
        self.advisories.unhear(key);
        let places = self.advised_places(&subscription);
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
        for timer in subscription.pending.take_delayed() {
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
            self.departs(subscription.peer, *consumer);
            self.leave(*consumer, now);
        }
        self.places_bytes -= subscription.places_charge.bytes();
        // Deliveries that are in no list are gone with it.
        if !subscription.keeps_deliveries {
            let out = subscription.credit.messages;
            let peer = &mut self.peers[subscription.peer.0];
            peer.in_flight = peer.in_flight.saturating_sub(u64::from(out));
            self.crowd.arrived(out);
        }
        self.leave_walk(&subscription);
        for topic in &subscription.full_for {
            self.relieve(*topic, Relief::SubscriptionGone);
        }
        for pattern in &subscription.patterns {
            self.patterns.remove(pattern, &key);
        }
        for (topic, place) in std::mem::take(&mut subscription.topics) {
            self.leave_topic(topic, place);
        }
        self.advise_consumer_gone(&subscription, places);
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

/// Whether a subscription's destination does not tell where a message was sent to.
fn is_manifold(sources: &[Source]) -> bool {
    !matches!(sources, [Source::One(_)])
}

/// Why nobody, or not this connection, may subscribe to what has this name.
fn not_to_consume(name: &DestinationName) -> Refusal {
    if StatisticsQuery::is_asked_by(name) {
        return Refusal::new(
            "statistics are asked for",
            format!(
                "nothing ever lies in {name}: SEND to it with the header 'reply-to', and subscribe to what that names"
            ),
        );
    }
    Refusal::new(
        "not your temporary destination",
        format!(
            "{name} has gone, or belongs to another connection: only the one that made a temporary destination may \
             SUBSCRIBE to it"
        ),
    )
}

fn lasts_and_remembers() -> Refusal {
    Refusal::new(
        "a durable or shared subscription is not retroactive",
        "activemq.retroactive begins with the last messages of a topic, for one consumer: subscribe without it, or without \
         a subscription name",
    )
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
