//! The names of queues and topics: destinations are made on first use or declared, temporary ones go with their
//! connection, unused ones when it is time.
//!
//! *Invariant*: a queue that gets what a virtual topic gets is in `virtual_queues` as long as it is there.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use stompbox_store::{DestinationId, DestinationKind, DestinationRecord, Operation};

use super::advisory::{Change, adapt};
use super::burst::JOIN_STEPS;
use super::consumer::place_bytes;
use super::flow::Blocker;
use super::key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use super::queue::Queue;
use super::topic::Topic;
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::{
    DestinationName, StatisticsQuery, is_virtual_topic, virtual_topic_of,
};
use crate::core::port::Refusal;

/// What the names begin with that the broker itself sends to: who asks for advisories need not wait for one.
const BROKERS_OWN: &str = "ActiveMQ.";

impl Dispatcher {
    /// A queue appears in the tables, and with the subscriptions whose patterns match it.
    pub(super) fn insert_queue(
        &mut self,
        id: DestinationId,
        name: Arc<DestinationName>,
    ) -> QueueKey {
        let policy = self
            .settings
            .policies
            .effective(DestinationKind::Queue, name.name());
        let dead_letter = (!self.settings.policies.is_dead_letter_queue(name.name())).then(|| {
            let target = policy.dead_letter_queue_of(name.name());
            Arc::new(DestinationName::new(DestinationKind::Queue, &target))
        });
        let mut queue = Queue::new(id, Arc::clone(&name), Arc::new(policy), dead_letter);
        queue.keep_last_values(&self.settings.budget);
        let key = QueueKey(self.queues.insert(queue));
        self.queue_ids.insert(id, key);
        self.names.insert(Arc::clone(&name), Place::Queue(key));
        if let Some(topic) = virtual_topic_of(&name) {
            self.virtual_queues.entry(topic).or_default().push(key);
        }
        let mut matched = Vec::new();
        self.patterns
            .matches(&name, |subscription| matched.push(*subscription));
        // The oldest comes first: its key does not tell, which may have been another's before.
        matched.sort_unstable_by_key(|key| self.subscriptions[key.0].serial);
        matched.dedup();
        self.ordered_names
            .insert(Arc::clone(&name), Place::Queue(key));
        self.advise_destination(&name, Change::Start);
        for subscription in matched {
            self.join(subscription, key);
        }
        key
    }

    /// The queue of this name, made and stored if need be.
    pub(super) fn ensure_queue(&mut self, name: &Arc<DestinationName>, now: Now) -> QueueKey {
        if let Some(Place::Queue(key)) = self.names.get(name) {
            return *key;
        }
        let id = self.next_destination();
        self.batch
            .operations
            .push(Operation::Create(DestinationRecord {
                id,
                kind: DestinationKind::Queue,
                name: name.name().into(),
                created_ms: now.wall_ms,
            }));
        self.insert_queue(id, Arc::clone(name))
    }

    pub(super) fn next_destination(&mut self) -> DestinationId {
        let id = self.next_destination;
        self.next_destination = DestinationId(id.0 + 1);
        id
    }

    pub(super) fn ensure_topic(&mut self, name: &Arc<DestinationName>) -> TopicKey {
        if let Some(Place::Topic(key)) = self.names.get(name) {
            return *key;
        }
        let mut policy = self
            .settings
            .policies
            .effective(DestinationKind::Topic, name.name());
        adapt(name, &mut policy);
        let topic = Topic::new(Arc::clone(name), Arc::new(policy));
        let key = TopicKey(self.topics.insert(topic));
        self.names.insert(Arc::clone(name), Place::Topic(key));
        self.ordered_names
            .insert(Arc::clone(name), Place::Topic(key));
        self.advise_destination(name, Change::Start);
        key
    }

    /// The destination of this name, made if need be; none if it is a temporary one that has gone.
    pub(super) fn ensure(
        &mut self,
        name: &Arc<DestinationName>,
        now: Now,
    ) -> Result<Option<Place>, Refusal> {
        if let Some(place) = self.names.get(name) {
            return Ok(Some(*place));
        }
        if name.is_temporary() || StatisticsQuery::is_asked_by(name) {
            return Ok(None);
        }
        self.check_made_by_use(name)?;
        self.check_destinations(1)?;
        self.check_virtual_queues(name)?;
        self.check_matching(name)?;
        Ok(Some(match name.kind() {
            DestinationKind::Queue => Place::Queue(self.ensure_queue(name, now)),
            DestinationKind::Topic => Place::Topic(self.ensure_topic(name)),
        }))
    }

    /// Whether the subscriptions whose patterns match a new queue may have places there.
    fn check_matching(&self, name: &DestinationName) -> Result<(), Refusal> {
        if name.kind() == DestinationKind::Topic || self.patterns.is_empty() {
            return Ok(());
        }
        let mut bytes = 0;
        let nodes = self.patterns.matches(name, |subscription| {
            let subscription = &self.subscriptions[subscription.0];
            bytes += place_bytes(subscription.selector.is_some());
        });
        // It is gone through again when the queue is made.
        self.burst
            .spend(2 * nodes + bytes / place_bytes(false) * JOIN_STEPS);
        self.check_places(bytes)
    }

    /// Destinations that the configuration declares are there from the start, and so are routes. Comes before the first
    /// turn.
    pub fn declare(&mut self, now: Now) {
        self.lay_routes(now);
        let declared: Vec<_> = self.settings.policies.declared().map(Arc::new).collect();
        for name in declared {
            match name.kind() {
                DestinationKind::Queue => {
                    self.ensure_queue(&name, now);
                }
                DestinationKind::Topic => {
                    self.ensure_topic(&name);
                }
            }
        }
    }

    /// Whether a client may make this destination by naming it.
    pub(super) fn check_made_by_use(&self, name: &DestinationName) -> Result<(), Refusal> {
        let policies = &self.settings.policies;
        let is_brokers = name.name().starts_with(BROKERS_OWN);
        if is_brokers || policies.effective(name.kind(), name.name()).auto_create {
            return Ok(());
        }
        let kind = match name.kind() {
            DestinationKind::Queue => "queue",
            DestinationKind::Topic => "topic",
        };
        Err(Refusal::new(
            "unknown destination",
            format!(
                "{name} is not there, and its policy says auto_create = false: use one that is there, or \
                 declare it in the broker's configuration as [[destination]] match = \"{}\", kind = \"{kind}\"",
                name.name()
            ),
        ))
    }

    /// Whether so many more destinations may be made.
    pub(super) fn check_destinations(&self, more: usize) -> Result<(), Refusal> {
        let limit = self.settings.limits.destinations;
        let held = self.names.len() + self.lasting.len();
        if held + more <= limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many destinations",
            format!(
                "the broker holds {held} destinations, durable and shared subscriptions included, and \
                 limits.destinations is {limit}: use one that exists, or raise the limit"
            ),
        ))
    }

    /// A connection makes a temporary destination. It is known to nobody and never stored.
    pub(super) fn make_temporary(&mut self, peer: PeerKey, name: &Arc<DestinationName>) {
        if let Err(refusal) = self.check_destinations(1) {
            return self.refuse(peer, refusal, None);
        }
        let place = match name.kind() {
            DestinationKind::Queue => {
                let id = self.next_destination();
                Place::Queue(self.insert_queue(id, Arc::clone(name)))
            }
            DestinationKind::Topic => Place::Topic(self.ensure_topic(name)),
        };
        self.peers[peer.0].temporaries.push(place);
    }

    /// The temporary destinations of a connection go, and with them what was in them. Its subscriptions have ended.
    pub(super) fn remove_temporaries(&mut self, peer: PeerKey) {
        for place in std::mem::take(&mut self.peers[peer.0].temporaries) {
            match place {
                Place::Queue(key) => self.remove_queue(key),
                Place::Topic(key) => self.remove_topic(key),
            }
        }
    }

    /// A queue goes, and with it what is in it. Nothing of it is with a consumer.
    pub(super) fn remove_queue(&mut self, key: QueueKey) {
        let Some(queue) = self.queues.try_remove(key.0) else {
            return;
        };
        self.forget_name(&queue.name);
        self.advise_destination(&queue.name, Change::Stop);
        if let Some(topic) = virtual_topic_of(&queue.name)
            && let Some(keys) = self.virtual_queues.get_mut(&topic)
        {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.virtual_queues.remove(&topic);
            }
        }
        self.queue_ids.remove(&queue.id);
        self.forget_window(queue.id);
        self.expiring_queues.remove(&key);
        self.counters.dropped += queue.depth;
        if !queue.name.is_temporary() || queue.has_stored() {
            self.batch.operations.push(Operation::Remove(queue.id));
        }
        self.let_go_on(queue.bound.blocked, Blocker::Queue(key));
    }

    pub(super) fn remove_topic(&mut self, key: TopicKey) {
        let Some(topic) = self.topics.try_remove(key.0) else {
            return;
        };
        if let Some(id) = topic.id {
            self.forget_window(id);
            if self.topic_ids.remove(&id).is_some() {
                self.batch.operations.push(Operation::Remove(id));
            }
        }
        self.forget_name(&topic.name);
        self.advise_destination(&topic.name, Change::Stop);
        self.let_go_on(topic.blocked, Blocker::Topic(key));
    }

    fn forget_name(&mut self, name: &Arc<DestinationName>) {
        self.names.remove(name);
        self.ordered_names.remove(name);
    }

    /// Queues that get a copy of what is sent to this topic.
    #[inline]
    pub(super) fn virtual_queues_of(&self, topic: TopicKey) -> Vec<QueueKey> {
        if self.virtual_queues.is_empty() {
            return Vec::new();
        }
        let name = &self.topics[topic.0].name;
        if !is_virtual_topic(name) {
            return Vec::new();
        }
        self.virtual_queues
            .get(&**name)
            .cloned()
            .unwrap_or_default()
    }

    /// How many there are.
    pub(super) fn virtual_queue_count(&self, topic: TopicKey) -> usize {
        if self.virtual_queues.is_empty() {
            return 0;
        }
        let name = &self.topics[topic.0].name;
        self.virtual_queues.get(&**name).map_or(0, Vec::len)
    }

    /// Whether a queue may be made that a virtual topic feeds.
    fn check_virtual_queues(&self, name: &DestinationName) -> Result<(), Refusal> {
        let Some(topic) = virtual_topic_of(name) else {
            return Ok(());
        };
        let count = self.virtual_queues.get(&topic).map_or(0, Vec::len);
        let limit = self.settings.limits.virtual_queues;
        if count < limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many queues of a virtual topic",
            format!(
                "{topic} feeds {count} queues and limits.virtual_queues is {limit}: use one of them, or a durable \
                 subscription, or raise the limit"
            ),
        ))
    }

    /// Who hears a topic: those that named it and those whose patterns match it, each once.
    pub(super) fn audience_of(&self, key: TopicKey) -> Cow<'_, [SubscriptionKey]> {
        let topic = &self.topics[key.0];
        if self.is_audience_known(key) {
            return Cow::Borrowed(&topic.audience);
        }
        if self.patterns.is_empty() {
            return Cow::Borrowed(&topic.subscriptions);
        }
        let mut audience: BTreeSet<SubscriptionKey> = topic.subscriptions.iter().copied().collect();
        let nodes = self.patterns.matches(&topic.name, |subscription| {
            audience.insert(*subscription);
        });
        self.burst.spend(nodes);
        Cow::Owned(audience.into_iter().collect())
    }

    /// Whether it stands in the topic who hears it.
    pub(super) fn is_audience_known(&self, key: TopicKey) -> bool {
        let generation = self.patterns.generation(DestinationKind::Topic);
        self.topics[key.0].audience_at == Some(generation)
    }

    /// Notes who hears a topic, where that may have changed.
    pub(super) fn refresh_audience(&mut self, key: TopicKey) {
        let generation = self.patterns.generation(DestinationKind::Topic);
        if self.topics[key.0].audience_at != Some(generation) {
            let audience = self.audience_of(key).into_owned();
            self.burst.spend(audience.len());
            let has_selector = |to: &SubscriptionKey| self.subscriptions[to.0].selector.is_some();
            let is_selective = audience.iter().any(has_selector);
            let topic = &mut self.topics[key.0];
            topic.audience = audience;
            topic.is_selective = is_selective;
            topic.audience_at = Some(generation);
        }
    }
}
