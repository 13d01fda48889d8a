//! The last messages of a topic, for subscriptions that begin with them (`activemq.retroactive`).
//!
//! They are in memory alone, charged like all messages. *Invariant*: no more of a topic is kept than its policy says, in
//! messages and, but for the last one, in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use stompbox_store::{MessageNumber, Sender, Sequence};

use super::entry::{Durability, Entry};
use super::key::{SubscriptionKey, TopicKey};
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::{DestinationKind, Pattern, names_matching};
use crate::core::message::Publication;

/// One of them.
#[derive(Debug, Clone)]
struct Kept {
    /// Its place among what was published.
    sequence: Sequence,
    publisher: Sender,
    entry: Entry,
}

/// The last messages of a topic, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Retained {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Retained {
    fn push(&mut self, kept: Kept, messages_max: usize, bytes_max: usize) {
        self.bytes += kept.entry.message.bytes();
        self.kept.push_back(kept);
        while self.kept.len() > messages_max || (self.bytes > bytes_max && self.kept.len() > 1) {
            let Some(oldest) = self.kept.pop_front() else {
                return;
            };
            self.bytes -= oldest.entry.message.bytes();
        }
    }
}

impl Dispatcher {
    /// Keeps a message that goes to a topic, if its policy says so.
    pub(super) fn retain(
        &mut self,
        key: TopicKey,
        (sequence, number): (Sequence, MessageNumber),
        publication: &Publication,
        publisher: Sender,
    ) {
        let topic = &mut self.topics[key.0];
        let messages_max = topic.policy.retained_messages;
        if messages_max == 0 {
            return;
        }
        let message = Arc::clone(&publication.message);
        let (mode, expires_ms) = (publication.mode, publication.expires_ms);
        let entry = Entry::new(number, message, mode, expires_ms, Durability::Volatile);
        let bytes_max = topic.policy.retained_bytes;
        let retained = topic.retained.get_or_insert_default();
        let kept = Kept {
            sequence,
            publisher,
            entry,
        };
        retained.push(kept, messages_max, bytes_max);
    }

    /// A new subscription begins with what its topics have kept: those that it names, and those that its patterns match.
    pub(super) fn recall(
        &mut self,
        to: SubscriptionKey,
        named: &[Place],
        patterns: &[Arc<Pattern>],
        now: Now,
    ) {
        let named = named.iter().filter_map(|place| match place {
            Place::Topic(topic) => Some(*topic),
            Place::Queue(_) => None,
        });
        let matching = patterns.iter().flat_map(|pattern| self.keeping(pattern));
        let mut met = FxHashSet::default();
        // It may name one that a pattern matches too.
        let topics: Vec<TopicKey> = named
            .chain(matching)
            .filter(|topic| met.insert(*topic))
            .collect();
        for topic in topics {
            self.recall_of(to, topic, now);
        }
    }

    fn recall_of(&mut self, to: SubscriptionKey, key: TopicKey, now: Now) {
        let topic = &self.topics[key.0];
        let Some(retained) = &topic.retained else {
            return;
        };
        let is_wanted = |kept: &&Kept| {
            let entry = &kept.entry;
            !entry.is_expired(now.wall_ms) && self.is_wanted(key, to, entry, kept.publisher)
        };
        let recalled: Vec<Kept> = retained.kept.iter().filter(is_wanted).cloned().collect();
        let pending = &mut self.subscriptions[to.0].pending;
        for kept in recalled {
            pending.push(kept.sequence, key, kept.entry);
        }
        self.look_at(to);
    }

    /// The topics that match a pattern and have kept something.
    fn keeping(&self, pattern: &Pattern) -> Vec<TopicKey> {
        if pattern.kind() != DestinationKind::Topic {
            return Vec::new();
        }
        names_matching(pattern, &self.ordered_names, self.burst.meter())
            .filter_map(|(_, place)| match place {
                Place::Topic(topic) => Some(*topic),
                Place::Queue(_) => None,
            })
            .filter(|topic| self.topics[topic.0].retained.is_some())
            .collect()
    }
}
