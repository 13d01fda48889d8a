//! Durable subscriptions to patterns and lists: a log that each of their topics feeds.
//!
//! A feed is a topic without a place in the directory: nobody can send to it. Whatever is published to a topic that it is
//! about is one more row of its log, with the same body, and says which topic it came from; so what holds for the durable
//! subscriptions of one topic holds for those of many. It is there as long as it has a subscription. *Invariants*: a topic
//! that a log's row names has a row of its own in the store, and stays as long as the feed; a message is in all logs that it belongs to or in
//! none.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use stompbox_store::{MessageNumber, Operation};

use super::effect::Promise;
use super::entry::Entry;
use super::full::Placed;
use super::key::{QueueKey, ShortTopic, TopicKey};
use super::publish::{AllPlaced, Routing};
use super::topic::Topic;
use super::topic_log::Origin;
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::{
    DestinationKind, DestinationName, TopicPart, is_advisory_topic, may_match_advisories,
    name_of_set, parts_of_set,
};
use crate::core::message::{DeliveryMode, Publication};
use crate::core::pattern_index::PatternIndex;
use crate::core::port::{Refusal, Source};

/// The feeds, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    by_name: HashMap<DestinationName, TopicKey>,
    patterns: PatternIndex<TopicKey>,
    listed: HashMap<DestinationName, Vec<TopicKey>>,
}

impl Feeds {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn insert(&mut self, name: &DestinationName, key: TopicKey) {
        for part in parts_of_set(name) {
            match part {
                TopicPart::One(topic) => self.listed.entry(topic).or_default().push(key),
                TopicPart::Matching(pattern) => {
                    self.patterns.insert(&pattern, key);
                }
            }
        }
        self.by_name.insert(name.clone(), key);
    }

    fn remove(&mut self, name: &DestinationName, key: TopicKey) {
        self.by_name.remove(name);
        for part in parts_of_set(name) {
            match part {
                TopicPart::One(topic) => {
                    if let Some(keys) = self.listed.get_mut(&topic) {
                        keys.retain(|other| *other != key);
                        if keys.is_empty() {
                            self.listed.remove(&topic);
                        }
                    }
                }
                TopicPart::Matching(pattern) => {
                    self.patterns.remove(&pattern, &key);
                }
            }
        }
    }

    /// Those about this topic, each once. What it takes to find them is counted in `walked`.
    pub(super) fn about(&self, name: &DestinationName, walked: &Cell<usize>) -> Vec<TopicKey> {
        if self.is_empty() || name.kind() != DestinationKind::Topic {
            return Vec::new();
        }
        let mut keys = self.listed.get(name).cloned().unwrap_or_default();
        let nodes = self.patterns.matches(name, |key| keys.push(*key));
        walked.set(walked.get().saturating_add(nodes));
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// The name of what a durable subscription takes from, where that is more than one topic.
///
/// # Errors
/// When it cannot be durable.
pub(super) fn set_of(sources: &[Source]) -> Result<DestinationName, Refusal> {
    let hears = |source: &Source| match source {
        Source::One(name) => is_advisory_topic(name),
        Source::Matching(pattern) => may_match_advisories(pattern),
    };
    if sources.iter().any(hears) {
        return Err(advisories_are_not_kept());
    }
    let parts = sources.iter().map(|source| {
        Some(match source {
            Source::One(name) => TopicPart::One((**name).clone()),
            Source::Matching(pattern) => TopicPart::Matching((**pattern).clone()),
        })
    });
    name_of_set(parts).ok_or_else(|| {
        Refusal::new(
            "a durable or shared subscription is of topics",
            "a subscription with a name of its own takes from topics alone, and from none that is temporary: subscribe \
             to /topic/NAME, a pattern or a list of such. A queue keeps its messages without any",
        )
    })
}

/// Why nobody is durably subscribed to advisories.
pub(super) fn advisories_are_not_kept() -> Refusal {
    Refusal::new(
        "advisories are not kept",
        "a durable or shared subscription of an advisory topic would have no bound, as nobody can be held back: \
         subscribe without a name for the subscription",
    )
}

impl Dispatcher {
    /// Whether there may be a feed of this name.
    ///
    /// # Errors
    /// When there are too many others.
    pub(super) fn check_feed(&self, name: &DestinationName) -> Result<(), Refusal> {
        let limit = self.settings.limits.durable_patterns;
        if self.feeds.by_name.contains_key(name) || self.feeds.len() < limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many patterns of durable subscriptions",
            format!(
                "durable subscriptions are to {limit} different patterns and lists of topics, and that is \
                 limits.durable_patterns, as a message is written once for each that matches its topic: use one of \
                 them, delete those that nobody needs, or raise the limit"
            ),
        ))
    }

    /// The feed of this name, made if need be.
    pub(super) fn ensure_feed(&mut self, name: &Arc<DestinationName>) -> TopicKey {
        if let Some(key) = self.feeds.by_name.get(&**name) {
            return *key;
        }
        let policies = &self.settings.policies;
        let policy = policies.effective(DestinationKind::Topic, name.name());
        let topic = Topic::new(Arc::clone(name), Arc::new(policy));
        let key = TopicKey(self.topics.insert(topic));
        self.feeds.insert(name, key);
        key
    }

    /// A topic's log is gone with the last subscription that lasts: a feed goes with it.
    pub(super) fn log_is_gone(&mut self, key: TopicKey) {
        let name = Arc::clone(&self.topics[key.0].name);
        if self.feeds.by_name.get(&*name) != Some(&key) {
            return;
        }
        self.feeds.remove(&name, key);
        let topic = self.topics.remove(key.0);
        if let Some(id) = topic.id {
            self.topic_ids.remove(&id);
            self.batch.operations.push(Operation::Remove(id));
        }
    }

    /// After a start: those that nobody is subscribed to.
    pub(super) fn remove_unread_feeds(&mut self) {
        let feeds = self.feeds.by_name.values().copied();
        let unread: Vec<TopicKey> = feeds.filter(|key| !self.topics[key.0].is_kept()).collect();
        for key in unread {
            self.log_is_gone(key);
        }
    }

    /// The feeds that a topic writes to.
    pub(super) fn feeds_of(&self, key: TopicKey) -> Vec<TopicKey> {
        if self.feeds.is_empty() {
            return Vec::new();
        }
        let name = &self.topics[key.0].name;
        self.feeds.about(name, self.burst.meter())
    }

    /// The same for a destination that may not be there.
    pub(super) fn is_fed_from(&self, name: &DestinationName) -> bool {
        !self.feeds.about(name, self.burst.meter()).is_empty()
    }

    /// One message into each of the feeds that its topic writes to.
    pub(super) fn write_to_feeds(
        &mut self,
        key: TopicKey,
        number: MessageNumber,
        publication: &Publication,
        routing: Routing,
        now: Now,
    ) -> Promise {
        let feeds = self.feeds_of(key);
        if feeds.is_empty() {
            return Promise::Kept;
        }
        let origin = Origin {
            id: self.store_topic(key, now),
            topic: ShortTopic::of(key),
        };
        let mut promise = Promise::Kept;
        for feed in feeds {
            // A message to several topics comes here once for each of them.
            let sequence = self.next_sequence();
            let identity = (sequence, number);
            let own = self.append_to_log(feed, identity, publication, routing, Some(origin));
            promise = promise.and(own);
        }
        promise
    }

    /// What is written to feeds with a persistent message is written as one.
    pub(super) fn place_in_feeds(
        &self,
        key: TopicKey,
        number: MessageNumber,
        mode: DeliveryMode,
        placed: &mut AllPlaced,
    ) {
        if mode == DeliveryMode::Persistent {
            let feeds = self.feeds_of(key).into_iter();
            placed.extend(feeds.map(|feed| Placed::Topic(feed, number)));
        }
    }

    /// The destination that a message was sent to which stands in this queue.
    pub(super) fn destination_of(&self, key: QueueKey, entry: &Entry) -> &Arc<DestinationName> {
        self.destination_at(key, entry.topic)
    }

    pub(super) fn destination_at(
        &self,
        key: QueueKey,
        topic: Option<ShortTopic>,
    ) -> &Arc<DestinationName> {
        let topic = topic.and_then(|topic| self.topics.get(topic.key().0));
        topic.map_or(&self.queues[key.0].name, |topic| &topic.name)
    }

    /// The same as a place, for those who are told about it.
    pub(super) fn source_of(&self, key: QueueKey, entry: &Entry) -> Place {
        let topic = entry.topic.map(ShortTopic::key);
        topic.map_or(Place::Queue(key), Place::Topic)
    }

    /// Where a message goes that fails in this queue.
    pub(super) fn dead_letter_of(
        &self,
        key: QueueKey,
        entry: &Entry,
    ) -> Option<Arc<DestinationName>> {
        let target = self.queues[key.0].dead_letter.clone()?;
        let Some(topic) = entry.topic.and_then(|topic| self.topics.get(topic.key().0)) else {
            return Some(target);
        };
        let name = topic.policy.dead_letter_queue_of(&topic.name);
        Some(Arc::new(DestinationName::new(
            DestinationKind::Queue,
            &name,
        )))
    }
}
