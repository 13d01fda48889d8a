//! Durable and shared subscriptions come, sleep, wake and go (dialect, SUBSCRIBE, UNSUBSCRIBE).
//!
//! Each is a queue that its topic feeds and whose consumers compete. A durable one sleeps while it has no consumer:
//! nothing is put into its queue, and what was there and had never been delivered is on disk only. A shared one that is
//! not durable goes with its last consumer.

use std::sync::Arc;

use stompbox_store::{
    DestinationId, DestinationKind, DestinationRecord, Operation, Recovered, Sequence,
    SubscriptionId, SubscriptionRecord,
};

use super::Dispatcher;
use super::cursor::Cursor;
use super::identity::{Identity, Life, Sharing};
use super::key::{PeerKey, QueueKey, TopicKey};
use super::queue::{Queue, Role};
use super::topic_log::TopicLog;
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::port::{Lasting, Locality, Refusal, Subscribing};
use crate::core::selector::Selector;

/// What a subscription that lasts gets.
#[derive(Debug)]
pub(super) enum Fed {
    /// What is published to this topic.
    By(TopicKey),
    /// What is published to any of these, by the name of the set.
    BySet(Arc<DestinationName>),
}

impl Dispatcher {
    /// What the store knows of durable subscriptions. Those of a topic begin to read where the floor is.
    pub(super) fn recover_subscriptions(&mut self, recovered: &Recovered) {
        for tally in &recovered.logs {
            if let Some(&topic) = self.topic_ids.get(&tally.topic) {
                let log = TopicLog::recovered(tally.first, tally.last, tally.count);
                self.topics[topic.0].log = Some(Box::new(log));
            }
        }
        for record in &recovered.subscriptions {
            let Some(&topic) = self.topic_ids.get(&record.topic) else {
                continue;
            };
            let identity = Identity::stored(&record.identity);
            let selector = record.selector.as_deref().and_then(|text| {
                Selector::parse(text)
                    .inspect_err(|error| {
                        tracing::error!(identity = %record.identity, %error,
                            "the stored selector of a durable subscription cannot be read: it takes everything");
                    })
                    .ok()
                    .flatten()
            });
            let cursor = Cursor::new(
                topic,
                record.topic,
                record.id,
                identity.clone(),
                selector.map(Arc::new),
                record.floor,
            );
            self.insert_lasting(topic, identity.text, Role::Durable(Box::new(cursor)));
        }
        self.remove_unread_feeds();
    }

    /// The queue of the subscription that a SUBSCRIBE names, made if need be.
    pub(super) fn ensure_lasting(
        &mut self,
        peer: PeerKey,
        fed: Fed,
        lasting: &Lasting,
        subscribing: &Subscribing,
        now: Now,
    ) -> Result<QueueKey, Refusal> {
        let opening = Arc::clone(&self.peers[peer.0].opening);
        let name = match &fed {
            Fed::By(topic) => Arc::clone(&self.topics[topic.0].name),
            Fed::BySet(name) => Arc::clone(name),
        };
        let identity = Identity::of(lasting, opening.client_id.as_deref(), Some(&name))?;
        if identity.sharing == Sharing::Shared && subscribing.locality == Locality::NoLocal {
            return Err(Refusal::new(
                "a shared subscription has no own messages",
                "no-local cannot be asked of a subscription that several connections share: subscribe without it",
            ));
        }
        if let Fed::BySet(name) = &fed {
            if identity.life == Life::WithConsumers {
                return Err(shared_of_many());
            }
            self.check_feed(name)?;
        }
        if let Some(&key) = self.lasting.get(&identity.text) {
            let queue = &self.queues[key.0];
            let is_active = !queue.consumers.is_empty();
            if is_active && identity.sharing == Sharing::Alone {
                return Err(Refusal::new(
                    "durable subscription is in use",
                    format!(
                        "{} has an active consumer: end that one first, or share the subscription with \
                         'x-shared:true'",
                        identity.text
                    ),
                ));
            }
            let is_same =
                queue.name == name && queue.own_selector() == subscribing.selector.as_deref();
            if is_same {
                return Ok(key);
            }
            if is_active || queue.in_flight > 0 {
                return Err(Refusal::new(
                    "subscription has another topic or selector",
                    format!(
                        "{} is in use with another topic or selector: they can be changed when it has no consumer \
                         and nothing of it is unacknowledged",
                        identity.text
                    ),
                ));
            }
            self.remove_lasting(key);
        }
        self.check_destinations(1)?;
        let topic = match fed {
            Fed::By(topic) => topic,
            Fed::BySet(name) => self.ensure_feed(&name),
        };
        Ok(match identity.life {
            Life::Durable => self.make_durable(topic, identity, subscribing, now),
            Life::WithConsumers => {
                let selector = subscribing.selector.clone();
                let text = identity.text.clone();
                let log = self.topics[topic.0].log.get_or_insert_default();
                let role = Role::Shared {
                    topic,
                    identity: identity.text,
                    selector,
                };
                let position = log.shared.len();
                let key = self.insert_lasting(topic, text, role);
                if let Some(log) = &mut self.topics[topic.0].log {
                    log.shared.insert(position, key);
                }
                key
            }
        })
    }

    fn make_durable(
        &mut self,
        topic: TopicKey,
        identity: Identity,
        subscribing: &Subscribing,
        now: Now,
    ) -> QueueKey {
        let log = self.store_topic(topic, now);
        let id = self.next_subscription;
        self.next_subscription = SubscriptionId(id.0 + 1);
        let floor = self.last_sequence;
        self.batch
            .operations
            .push(Operation::Subscribe(SubscriptionRecord {
                id,
                topic: log,
                identity: identity.text.clone(),
                selector: subscribing.selector_text.clone(),
                floor,
                created_ms: now.wall_ms,
            }));
        let selector = subscribing.selector.clone();
        let text = identity.text.clone();
        let cursor = Cursor::new(topic, log, id, identity, selector, floor);
        let key = self.insert_lasting(topic, text, Role::Durable(Box::new(cursor)));
        // Its SUBSCRIBE's RECEIPT comes before its first MESSAGE, and not before it is stored.
        self.queues[key.0].opens_at = self.next_ticket;
        self.hidden
            .push_back((self.next_ticket, super::Place::Queue(key)));
        key
    }

    /// The row of a topic, made if need be: one that nobody is durably subscribed to has none.
    pub(super) fn store_topic(&mut self, topic: TopicKey, now: Now) -> DestinationId {
        if let Some(id) = self.topics[topic.0].id {
            return id;
        }
        let id = self.next_destination();
        let name = self.topics[topic.0].name.name().into();
        self.batch
            .operations
            .push(Operation::Create(DestinationRecord {
                id,
                kind: DestinationKind::Topic,
                name,
                created_ms: now.wall_ms,
            }));
        self.topics[topic.0].id = Some(id);
        self.topic_ids.insert(id, topic);
        id
    }

    fn insert_lasting(&mut self, topic: TopicKey, identity: Box<str>, role: Role) -> QueueKey {
        let id = self.next_destination();
        let of = &self.topics[topic.0];
        let dead_letter = of.policy.dead_letter_queue_of(&of.name);
        let dead_letter = Arc::new(DestinationName::new(DestinationKind::Queue, &dead_letter));
        let mut queue = Queue::new(
            id,
            Arc::clone(&of.name),
            Arc::clone(&of.policy),
            Some(dead_letter),
        );
        let durable = match &role {
            Role::Durable(cursor) => Some((cursor.subscription, cursor.floor)),
            Role::Destination | Role::Shared { .. } => None,
        };
        queue.role = role;
        queue.copies = Some(self.crowd.pending().charge_bytes(0));
        let key = QueueKey(self.queues.insert(queue));
        self.queue_ids.insert(id, key);
        self.lasting.insert(identity, key);
        if let Some((subscription, floor)) = durable {
            self.durables.insert(subscription, key);
            let log = self.topics[topic.0].log.get_or_insert_default();
            log.floor_moves(None, Some(floor));
            let (before, count) = (log.last, log.count);
            if let Some(cursor) = self.queues[key.0].cursor_mut()
                && before > floor
            {
                // No more than that: what it has done with above its floor only the store knows.
                cursor.unread = count;
            }
            if let Some(cursor) = self.queues[key.0].cursor_mut() {
                cursor.counted = count;
            }
        }
        key
    }

    /// A subscription goes, with what waits for it. It has no consumer, and nothing of it is unacknowledged.
    pub(super) fn remove_lasting(&mut self, key: QueueKey) {
        let Some(queue) = self.queues.try_remove(key.0) else {
            return;
        };
        self.queue_ids.remove(&queue.id);
        self.expiring_queues.remove(&key);
        let has_stored = queue.has_stored();
        let topic = match queue.role {
            Role::Durable(cursor) => {
                self.lasting.remove(&cursor.identity.text);
                self.durables.remove(&cursor.subscription);
                self.batch
                    .operations
                    .push(Operation::Unsubscribe(cursor.subscription));
                if let Some(log) = &mut self.topics[cursor.topic.0].log {
                    log.active.retain(|active| *active != key);
                    log.floor_moves(Some(cursor.floor), None);
                }
                self.trim(cursor.topic);
                cursor.topic
            }
            Role::Shared {
                topic, identity, ..
            } => {
                self.lasting.remove(&identity);
                if let Some(log) = &mut self.topics[topic.0].log {
                    log.shared.retain(|shared| *shared != key);
                }
                if has_stored {
                    self.batch.operations.push(Operation::Remove(queue.id));
                }
                topic
            }
            Role::Destination => return,
        };
        let log = &mut self.topics[topic.0].log;
        if log.as_ref().is_some_and(|log| log.is_idle()) {
            *log = None;
            self.log_is_gone(topic);
        }
    }

    /// UNSUBSCRIBE with the headers of a durable subscription deletes it.
    ///
    /// # Errors
    /// When it is not there, or still used.
    pub(super) fn delete_lasting(&mut self, text: &str) -> Result<(), Refusal> {
        let Some(&key) = self.lasting.get(text) else {
            return Err(Refusal::new(
                "no such durable subscription",
                format!("there is no durable subscription {text}: it was never made, or deleted"),
            ));
        };
        let queue = &self.queues[key.0];
        if !queue.consumers.is_empty() {
            return Err(Refusal::new(
                "durable subscription is in use",
                format!("{text} has an active consumer: end that one first"),
            ));
        }
        if queue.in_flight > 0 {
            return Err(Refusal::new(
                "durable subscription is in use",
                format!(
                    "an open transaction has acknowledged messages of {text}: COMMIT or ABORT it first"
                ),
            ));
        }
        self.remove_lasting(key);
        Ok(())
    }

    /// A durable subscription has its first consumer: what its topic got meanwhile is on disk only.
    pub(super) fn wake(&mut self, key: QueueKey) {
        let queue = &mut self.queues[key.0];
        let Role::Durable(cursor) = &mut queue.role else {
            return;
        };
        let Some(log) = &mut self.topics[cursor.topic.0].log else {
            return;
        };
        log.active.push(key);
        let (from, last) = (cursor.seen, log.last);
        cursor.unread += log.count - cursor.counted;
        cursor.counted = log.count;
        if last <= from {
            return;
        }
        cursor.seen = last;
        cursor.slept = (from, last);
        queue.append_log(Sequence(from.0 + 1), last);
    }

    /// Its last consumer has gone.
    pub(super) fn lose_consumers(&mut self, key: QueueKey) {
        match &self.queues[key.0].role {
            Role::Destination => {}
            Role::Durable(cursor) => {
                if let Some(log) = &mut self.topics[cursor.topic.0].log {
                    log.active.retain(|active| *active != key);
                }
                self.deserted.push(key);
            }
            Role::Shared { .. } => self.deserted.push(key),
        }
    }

    /// After what a turn has brought: what has still no consumer sleeps, or goes.
    pub(super) fn part_from_deserted(&mut self) {
        for key in std::mem::take(&mut self.deserted) {
            let Some(queue) = self.queues.get(key.0) else {
                continue;
            };
            if !queue.consumers.is_empty() {
                continue;
            }
            match &queue.role {
                Role::Destination => {}
                Role::Durable(_) => self.page_out_all(key),
                // A transaction may have some of its messages still.
                Role::Shared { .. } if queue.in_flight > 0 => self.deserted.push(key),
                Role::Shared { .. } => self.remove_lasting(key),
            }
        }
    }
}

fn shared_of_many() -> Refusal {
    Refusal::new(
        "a shared subscription that is not durable is of one topic",
        "x-shared-name needs a destination that names one topic: subscribe to /topic/NAME, or share a durable \
         subscription with 'durable-subscription-name' and 'x-shared:true', which may have wildcards or a list",
    )
}
