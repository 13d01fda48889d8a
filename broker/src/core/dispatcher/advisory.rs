//! Advisories: what happens in the broker, told on topics named as ActiveMQ names them (`ActiveMQ.Advisory.>`).
//!
//! Owns who may hear one and what this turn has to tell. *Invariants.* Where nobody listens an event costs one look at
//! an empty set. What is told is made when it happens and published when the turn ends, so that no event finds the
//! dispatcher half-way. Nothing is told about advisory topics, about what is on them, or about temporary destinations
//! beyond their coming and going: telling never gives rise to more to tell. No producer ever waits for a listener.

mod event;

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::entry::AT_ONCE;
use super::full::NOBODY;
use super::key::{SubscriptionKey, TopicKey};
use super::publish::{AllPlaced, Routing};
use super::report::Report;
use super::{Dispatcher, Place};
use crate::config::{Policy, SlowConsumer};
use crate::core::clock::Now;
use crate::core::destination::{
    DestinationKind, DestinationName, is_advisory_topic, may_match_advisories,
};
use crate::core::memory::{Charge, MemoryBudget};
use crate::core::port::Source;

pub(super) use event::Change;

/// What one turn tells at the most; the rest is dropped and counted. A turn may end 10,000 subscriptions of one
/// connection, and that can still be told.
const ADVISORIES_A_TURN: usize = 20_000;

/// Advisory topics are at most so much of `limits.destinations`: one for each of ten destinations' names.
const TOPICS_SHARE: usize = 10;

/// Advisories in memory, whoever holds them, are at most so much of the memory limit: listeners that do not read must
/// not fill it, since a full memory holds producers back.
const MEMORY_SHARE: usize = 8;

/// Who listens, and what there is to tell.
#[derive(Debug)]
pub(super) struct Advisories {
    /// What advisories are charged to, each until nobody holds it.
    budget: Arc<MemoryBudget>,
    /// The same, as the broker's budget has been told.
    charge: Charge,
    /// Subscriptions that may hear something.
    listeners: FxHashSet<SubscriptionKey>,
    waiting: Vec<(Arc<DestinationName>, Report)>,
    /// Topics made for them.
    topics: usize,
    /// What could not be told.
    dropped: u64,
}

impl Advisories {
    pub(super) fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self {
            budget: MemoryBudget::new(budget.limit_bytes() / MEMORY_SHARE),
            charge: budget.charge_bytes(0),
            listeners: FxHashSet::default(),
            waiting: Vec::new(),
            topics: 0,
            dropped: 0,
        }
    }

    /// Tells the broker's budget what is held by now.
    fn settle(&mut self) {
        let (held, charged) = (self.budget.used_bytes(), self.charge.bytes());
        if held > charged {
            self.charge.grow(held - charged);
        } else {
            self.charge.shrink(charged - held);
        }
    }

    /// A subscription comes.
    pub(super) fn hear(&mut self, key: SubscriptionKey, sources: &[Source]) {
        let hears = |source: &Source| match source {
            Source::One(name) => is_advisory_topic(name),
            Source::Matching(pattern) => may_match_advisories(pattern),
        };
        if sources.iter().any(hears) {
            self.listeners.insert(key);
        }
    }

    /// A subscription is gone.
    pub(super) fn unhear(&mut self, key: SubscriptionKey) {
        self.listeners.remove(&key);
    }
}

/// What a topic does for a subscriber that does not keep up: of an advisory topic nobody may have to wait.
pub(super) fn adapt(name: &DestinationName, policy: &mut Policy) {
    if is_advisory_topic(name) && policy.slow_consumer == SlowConsumer::Block {
        policy.slow_consumer = SlowConsumer::DropOldest;
    }
}

impl Dispatcher {
    /// Whether anybody may hear an advisory.
    pub(super) fn is_advised(&self) -> bool {
        !self.advisories.listeners.is_empty()
    }

    /// Tells on `ActiveMQ.Advisory.TOPIC`, if anybody hears that.
    fn advise(&mut self, topic: &str, report: impl FnOnce(&Self, Report) -> Report) {
        let name = format!("ActiveMQ.Advisory.{topic}");
        let name = Arc::new(DestinationName::new(DestinationKind::Topic, &name));
        if !self.is_heard(&name) {
            return;
        }
        if self.advisories.waiting.len() >= ADVISORIES_A_TURN {
            self.drop_advisory();
            return;
        }
        let report = report(self, Report::advisory(&self.instance));
        self.advisories.waiting.push((name, report));
    }

    fn is_heard(&self, name: &DestinationName) -> bool {
        let mut is_heard = match self.names.get(name) {
            Some(Place::Topic(key)) => !self.topics[key.0].subscriptions.is_empty(),
            Some(Place::Queue(_)) | None => false,
        };
        let nodes = self.patterns.matches(name, |_| is_heard = true);
        self.burst.spend(nodes);
        is_heard
    }

    /// Publishes what this turn had to tell.
    pub(super) fn publish_advisories(&mut self, now: Now) {
        if self.is_advised() || self.advisories.charge.bytes() > 0 {
            self.advisories.settle();
        }
        while !self.advisories.waiting.is_empty() {
            for (name, report) in std::mem::take(&mut self.advisories.waiting) {
                // Nobody can be held back until there is room, so that it would wait without a bound.
                let has_room = !self.advisories.budget.is_over();
                let topic = has_room.then(|| self.advisory_topic(&name)).flatten();
                let Some(topic) = topic.filter(|topic| !self.is_crowded(*topic)) else {
                    self.drop_advisory();
                    continue;
                };
                let publication = report.into_publication(name, &self.advisories.budget, now);
                let routing = Routing {
                    sender: NOBODY,
                    visible_after: AT_ONCE,
                };
                let mut placed = AllPlaced::new();
                self.publish(
                    &[Place::Topic(topic)],
                    publication,
                    routing,
                    &mut placed,
                    now,
                );
            }
            self.dispatch_dirty(now);
        }
    }

    /// The topic of this name, made if there may be one more.
    fn advisory_topic(&mut self, name: &Arc<DestinationName>) -> Option<TopicKey> {
        if let Some(Place::Topic(key)) = self.names.get(name) {
            return Some(*key);
        }
        let topics_max = self.settings.limits.destinations / TOPICS_SHARE;
        if self.advisories.topics >= topics_max || self.check_destinations(1).is_err() {
            return None;
        }
        self.advisories.topics += 1;
        Some(self.ensure_topic(name))
    }

    fn drop_advisory(&mut self) {
        self.advisories.dropped += 1;
        self.counters.dropped += 1;
        if self.advisories.dropped.is_power_of_two() {
            tracing::warn!(
                dropped = self.advisories.dropped,
                "advisories were dropped: more than {ADVISORIES_A_TURN} at once, topics of them more than a \
                 tenth of limits.destinations, listeners that hold an eighth of limits.memory_bytes, or copies of \
                 messages that fill the memory"
            );
        }
    }
}
