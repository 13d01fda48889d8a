//! What is told of each event, under ActiveMQ's names (docs/advisories.md).

use std::collections::BTreeSet;

use stompbox_store::{DestinationKind, MessageNumber, Sequence};

use super::super::flow::Blocker;
use super::super::key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use super::super::report::{Report, qualified};
use super::super::subscription::Subscription;
use super::super::{Dispatcher, Place};
use crate::core::destination::{DestinationName, is_advisory_topic, is_topic_set};

/// Whether something has come or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core::dispatcher) enum Change {
    Start,
    Stop,
}

impl Change {
    fn as_str(self) -> &'static str {
        match self {
            Change::Start => "start",
            Change::Stop => "stop",
        }
    }
}

/// What a subscription has too much of that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core::dispatcher) enum Shortage {
    Messages,
    Bytes,
    /// More messages than it wishes to be kept for it.
    Own,
}

impl Shortage {
    /// The key of the limit.
    fn as_str(self) -> &'static str {
        match self {
            Shortage::Messages => "policy.pending_messages",
            Shortage::Bytes => "policy.pending_bytes",
            Shortage::Own => "activemq.maximumPendingMessageLimit",
        }
    }
}

/// `Queue.NAME`, `Topic.NAME`: how the topics end that are about one destination. None of what nothing is told about.
fn ending(name: &DestinationName) -> Option<String> {
    if name.is_temporary() || is_advisory_topic(name) || is_topic_set(name) {
        return None;
    }
    let kind = match name.kind() {
        DestinationKind::Queue => "Queue",
        DestinationKind::Topic => "Topic",
    };
    Some(format!("{kind}.{}", name.name()))
}

/// Both spellings: ActiveMQ's own, which its clients look for, and the right one.
fn about(report: Report, name: &DestinationName) -> Report {
    let name = qualified(name);
    report
        .with("orignalDestination", name.as_str())
        .with("originalDestination", name)
}

impl Dispatcher {
    /// A connection was accepted, or ends.
    pub(in crate::core::dispatcher) fn advise_connection(&mut self, peer: PeerKey, change: Change) {
        if !self.is_advised() {
            return;
        }
        self.advise("Connection", |dispatcher, report| {
            let opening = &dispatcher.peers[peer.0].opening;
            let report = dispatcher.connection_facts(report.with("event", change.as_str()), peer);
            report
                .with_known("userName", opening.login.as_deref())
                .with("clientIp", opening.peer.as_str())
        });
    }

    fn connection_facts(&self, report: Report, peer: PeerKey) -> Report {
        let opening = &self.peers[peer.0].opening;
        report
            .with("connectionId", &*opening.session)
            .with_known("clientId", opening.client_id.as_deref())
    }

    /// A destination was made, or is gone.
    pub(in crate::core::dispatcher) fn advise_destination(
        &mut self,
        name: &DestinationName,
        change: Change,
    ) {
        if !self.is_advised() || is_advisory_topic(name) {
            return;
        }
        let topic = match (name.is_temporary(), name.kind()) {
            (false, DestinationKind::Queue) => "Queue",
            (false, DestinationKind::Topic) => "Topic",
            (true, DestinationKind::Queue) => "TempQueue",
            (true, DestinationKind::Topic) => "TempTopic",
        };
        self.advise(topic, |_, report| {
            about(report.with("event", change.as_str()), name)
        });
    }

    /// Where a subscription takes from, to be told when it has gone.
    pub(in crate::core::dispatcher) fn advised_places(
        &self,
        subscription: &Subscription,
    ) -> Vec<Place> {
        if !self.is_advised() {
            return Vec::new();
        }
        let queues = subscription.consumers.iter();
        let queues = queues.map(|consumer| Place::Queue(self.consumers[consumer.0].queue));
        let topics = subscription.topics.iter();
        queues
            .chain(topics.map(|(topic, _)| Place::Topic(*topic)))
            .collect()
    }

    /// A subscription has begun to take from a destination.
    pub(in crate::core::dispatcher) fn advise_consumer(
        &mut self,
        key: SubscriptionKey,
        place: Place,
    ) {
        if !self.is_advised() {
            return;
        }
        let Some(ending) = ending(self.name_at(place)) else {
            return;
        };
        self.advise(&format!("Consumer.{ending}"), |dispatcher, report| {
            let subscription = &dispatcher.subscriptions[key.0];
            dispatcher.consumer_facts(report, subscription, place, Change::Start)
        });
    }

    /// A subscription that is gone has taken from these.
    pub(in crate::core::dispatcher) fn advise_consumer_gone(
        &mut self,
        gone: &Subscription,
        places: Vec<Place>,
    ) {
        for place in places {
            if let Some(ending) = ending(self.name_at(place)) {
                self.advise(&format!("Consumer.{ending}"), |dispatcher, report| {
                    dispatcher.consumer_facts(report, gone, place, Change::Stop)
                });
            }
        }
    }

    fn consumer_facts(
        &self,
        report: Report,
        subscription: &Subscription,
        place: Place,
        change: Change,
    ) -> Report {
        let report = report
            .with("event", change.as_str())
            .with("consumerCount", self.consumer_count(place));
        let report = about(report, self.name_at(place));
        let report = report.with("consumerId", self.consumer_id(subscription));
        let report = self.connection_facts(report, subscription.peer);
        let selector = subscription.selector.as_ref().map(ToString::to_string);
        report
            .with_known("selector", selector)
            .with("prefetchSize", subscription.credit.messages_max)
    }

    /// `SESSION:NUMBER`
    pub(in crate::core::dispatcher) fn consumer_id(&self, subscription: &Subscription) -> String {
        let session = &self.peers[subscription.peer.0].opening.session;
        format!("{session}:{}", subscription.handle.0)
    }

    /// Subscriptions that take from a destination.
    pub(in crate::core::dispatcher) fn consumer_count(&self, place: Place) -> u64 {
        let consumers = |queue: &QueueKey| self.queues[queue.0].consumers.len();
        let count = match place {
            Place::Queue(queue) => match self.queues[queue.0].topic() {
                Some(topic) => return self.consumer_count(Place::Topic(topic)),
                None => consumers(&queue),
            },
            Place::Topic(topic) => {
                let logs = std::iter::once(topic).chain(self.feeds_of(topic));
                let logs = logs.filter_map(|topic| self.topics[topic.0].log.as_ref());
                let lasting = logs.flat_map(|log| log.active.iter().chain(&log.shared));
                self.audience_count(topic) + lasting.map(consumers).sum::<usize>()
            }
        };
        count as u64
    }

    /// How many hear a topic, each once. The audience itself may have to be made anew, which is too much for a number
    /// that is wanted with each of many that come or go.
    fn audience_count(&self, key: TopicKey) -> usize {
        let topic = &self.topics[key.0];
        let mut count = topic.subscriptions.len();
        let mut several = BTreeSet::new();
        let nodes = self.patterns.matches(&topic.name, |found| {
            let subscription = &self.subscriptions[found.0];
            let names_it = subscription.topics.iter().any(|(named, _)| *named == key);
            if !names_it && (subscription.patterns.len() == 1 || several.insert(*found)) {
                count += 1;
            }
        });
        self.burst.spend(nodes);
        count
    }

    fn name_at(&self, place: Place) -> &DestinationName {
        match place {
            Place::Queue(QueueKey(queue)) => &self.queues[queue].name,
            Place::Topic(TopicKey(topic)) => &self.topics[topic].name,
        }
    }

    /// A connection has begun to send to a destination, or ends.
    pub(in crate::core::dispatcher) fn advise_producer(
        &mut self,
        peer: PeerKey,
        name: &DestinationName,
        change: Change,
    ) {
        if !self.is_advised() {
            return;
        }
        let Some(ending) = ending(name) else { return };
        self.advise(&format!("Producer.{ending}"), |dispatcher, report| {
            let report = report
                .with("event", change.as_str())
                .with("producerCount", dispatcher.producers.of(name));
            let session = &*dispatcher.peers[peer.0].opening.session;
            let report = about(report, name).with("producerId", session);
            dispatcher.connection_facts(report, peer)
        });
    }

    /// A message became a dead letter.
    pub(in crate::core::dispatcher) fn advise_dead_letter(
        &mut self,
        from: Place,
        number: MessageNumber,
        reason: &'static str,
        target: &DestinationName,
    ) {
        if self.is_advised() {
            self.advise_message("MessageDLQd", from, number, |_, report| {
                report
                    .with("dlqReason", reason)
                    .with("deadLetterDestination", qualified(target))
            });
        }
    }

    /// A message has expired.
    pub(in crate::core::dispatcher) fn advise_expired(
        &mut self,
        place: Place,
        number: MessageNumber,
    ) {
        if self.is_advised() {
            self.advise_message("Expired", place, number, |_, report| report);
        }
    }

    /// A message of a topic that nobody listens to.
    pub(in crate::core::dispatcher) fn advise_no_consumer(
        &mut self,
        topic: TopicKey,
        number: MessageNumber,
    ) {
        let is_fed = self.topics[topic.0].log.is_some();
        if self.is_advised() && !is_fed && self.queue_count(&[Place::Topic(topic)]) == 0 {
            self.advise_message("NoConsumer", Place::Topic(topic), number, |_, report| {
                report
            });
        }
    }

    /// A message that failed in a queue was dropped: its policy keeps no dead letter of it.
    pub(in crate::core::dispatcher) fn advise_dropped(
        &mut self,
        place: Place,
        number: MessageNumber,
    ) {
        if self.is_advised() {
            self.advise_message("MessageDiscarded", place, number, |_, report| report);
        }
    }

    /// A message was dropped because this subscription does not keep up.
    pub(in crate::core::dispatcher) fn advise_discarded(
        &mut self,
        topic: TopicKey,
        key: SubscriptionKey,
        number: MessageNumber,
    ) {
        if !self.is_advised() {
            return;
        }
        let place = Place::Topic(topic);
        self.advise_message("MessageDiscarded", place, number, |dispatcher, report| {
            let subscription = &dispatcher.subscriptions[key.0];
            report
                .with("consumerId", dispatcher.consumer_id(subscription))
                .with("discardedCount", subscription.discarded)
        });
    }

    fn advise_message(
        &mut self,
        what: &str,
        place: Place,
        number: MessageNumber,
        more: impl FnOnce(&Self, Report) -> Report,
    ) {
        let Some(ending) = ending(self.name_at(place)) else {
            return;
        };
        self.advise(&format!("{what}.{ending}"), |dispatcher, report| {
            let id = dispatcher.message_id(number);
            let report = report
                .with("orignalMessageId", id.as_str())
                .with("originalMessageId", id);
            more(dispatcher, about(report, dispatcher.name_at(place)))
        });
    }

    fn message_id(&self, number: MessageNumber) -> String {
        let sequence = Sequence(number.0);
        let (epoch, counter) = (sequence.epoch().0, sequence.counter());
        format!("ID:{}-{epoch}-{counter}", self.instance)
    }

    /// A subscription has reached its pending limit.
    pub(in crate::core::dispatcher) fn advise_slow(
        &mut self,
        topic: TopicKey,
        key: SubscriptionKey,
        shortage: Shortage,
    ) {
        if !self.is_advised() {
            return;
        }
        let Some(ending) = ending(&self.topics[topic.0].name) else {
            return;
        };
        self.advise(&format!("SlowConsumer.{ending}"), |dispatcher, report| {
            let subscription = &dispatcher.subscriptions[key.0];
            let report = about(report, &dispatcher.topics[topic.0].name)
                .with("consumerId", dispatcher.consumer_id(subscription));
            dispatcher
                .connection_facts(report, subscription.peer)
                .with("usageName", shortage.as_str())
        });
    }

    /// Something holds back what a connection sends to a destination: the limits that do so since it had `before` of
    /// them.
    pub(in crate::core::dispatcher) fn advise_full(
        &mut self,
        peer: PeerKey,
        place: Place,
        before: usize,
    ) {
        if !self.is_advised() {
            return;
        }
        let Some(ending) = ending(self.name_at(place)) else {
            return;
        };
        let new: Vec<Blocker> = self.peers[peer.0]
            .blocked_by
            .iter()
            .skip(before)
            .copied()
            .collect();
        for blocker in new {
            self.advise(&format!("FULL.{ending}"), |dispatcher, report| {
                let usage = dispatcher.limit_of(blocker);
                let report = about(report, dispatcher.name_at(place)).with("usageName", usage);
                let session = &*dispatcher.peers[peer.0].opening.session;
                dispatcher.connection_facts(report.with("producerId", session), peer)
            });
        }
    }

    /// What a connection sends to these is refused: the disk is full.
    pub(in crate::core::dispatcher) fn advise_disk_full(
        &mut self,
        peer: PeerKey,
        places: &[Place],
    ) {
        if !self.is_advised() {
            return;
        }
        for place in places {
            if let Some(ending) = ending(self.name_at(*place)) {
                self.advise(&format!("FULL.{ending}"), |dispatcher, report| {
                    let name = dispatcher.name_at(*place);
                    let report = about(report, name).with("usageName", "disk");
                    let session = &*dispatcher.peers[peer.0].opening.session;
                    dispatcher.connection_facts(report.with("producerId", session), peer)
                });
            }
        }
    }

    /// A queue at its own limit refuses what is sent there.
    pub(in crate::core::dispatcher) fn advise_rejecting(&mut self, key: QueueKey) {
        if !self.is_advised() {
            return;
        }
        let place = Place::Queue(key);
        if let Some(ending) = ending(self.name_at(place)) {
            self.advise(&format!("FULL.{ending}"), |dispatcher, report| {
                let usage = dispatcher.limit_of(Blocker::Queue(key));
                about(report, dispatcher.name_at(place)).with("usageName", usage)
            });
        }
    }

    fn limit_of(&self, blocker: Blocker) -> String {
        let topic = match blocker {
            Blocker::Topic(topic) => topic,
            Blocker::Queue(key) => return self.queues[key.0].limit_reached().to_owned(),
            Blocker::Memory | Blocker::Disk | Blocker::Log | Blocker::Recall | Blocker::Burst => {
                return self.name_of(blocker);
            }
        };
        let is_full = |key: &&SubscriptionKey| self.subscriptions[key.0].full_for.contains(&topic);
        let audience = self.audience_of(topic);
        let shortage = audience
            .iter()
            .find(is_full)
            .map_or(Shortage::Messages, |key| self.shortage(topic, *key));
        shortage.as_str().to_owned()
    }

    /// Which of its pending limits a subscription has passed.
    pub(in crate::core::dispatcher) fn shortage(
        &self,
        topic: TopicKey,
        key: SubscriptionKey,
    ) -> Shortage {
        let policy = &self.topics[topic.0].policy;
        let subscription = &self.subscriptions[key.0];
        if subscription.is_over_own_limit() {
            Shortage::Own
        } else if subscription.pending.bytes > policy.pending_bytes {
            Shortage::Bytes
        } else {
            Shortage::Messages
        }
    }
}
