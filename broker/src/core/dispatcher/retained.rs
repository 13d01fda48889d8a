//! The last messages of a topic, for subscriptions that begin with them (`activemq.retroactive`).
//!
//! They are in memory alone, charged like all messages. *Invariant*: no more of a topic is kept than its policy says, in
//! messages and, but for the last one, in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use stompbox_store::{MessageNumber, Sequence};

use super::Dispatcher;
use super::entry::{Durability, Entry};
use super::key::{SubscriptionKey, TopicKey};
use super::property::{Place, Seen};
use crate::core::clock::Now;
use crate::core::destination::{DestinationKind, Pattern, names_matching};
use crate::core::message::Publication;

/// The last messages of a topic, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Retained {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Retained {
    fn push(&mut self, entry: Entry, messages_max: usize, bytes_max: usize) {
        self.bytes += entry.message.bytes();
        self.entries.push_back(entry);
        while self.entries.len() > messages_max
            || (self.bytes > bytes_max && self.entries.len() > 1)
        {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= oldest.message.bytes();
        }
    }
}

impl Dispatcher {
    /// Keeps a message that goes to a topic, if its policy says so.
    pub(super) fn retain(
        &mut self,
        key: TopicKey,
        number: MessageNumber,
        publication: &Publication,
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
        retained.push(entry, messages_max, bytes_max);
    }

    /// A new subscription begins with what a topic has kept.
    pub(super) fn recall_of(&mut self, to: SubscriptionKey, key: TopicKey, now: Now) {
        let topic = &self.topics[key.0];
        let Some(retained) = &topic.retained else {
            return;
        };
        let place = Place {
            destination: &topic.name,
            instance: &self.instance,
        };
        let selector = self.subscriptions[to.0].selector.clone();
        let is_wanted = |entry: &&Entry| {
            let seen = Seen { entry, place };
            !entry.is_expired(now.wall_ms)
                && selector
                    .as_ref()
                    .is_none_or(|selector| selector.matches(&seen))
        };
        let recalled: Vec<Entry> = retained.entries.iter().filter(is_wanted).cloned().collect();
        let pending = &mut self.subscriptions[to.0].pending;
        for entry in recalled {
            pending.push(Sequence(entry.number.0), key, entry);
        }
        self.look_at(to);
    }

    /// The same with what all topics have kept that match a pattern.
    pub(super) fn recall_matching(&mut self, to: SubscriptionKey, pattern: &Pattern, now: Now) {
        if pattern.kind() != DestinationKind::Topic {
            return;
        }
        let topics: Vec<TopicKey> =
            names_matching(pattern, &self.ordered_names, self.burst.meter())
                .filter_map(|(_, place)| match place {
                    super::Place::Topic(topic) => Some(*topic),
                    super::Place::Queue(_) => None,
                })
                .filter(|topic| self.topics[topic.0].retained.is_some())
                .collect();
        for topic in topics {
            self.recall_of(to, topic, now);
        }
    }
}
