//! What is told of the broker, a queue, a topic and a subscription, under ActiveMQ's names (docs/statistics.md).

use super::super::consumer::Exclusivity;
use super::super::key::{QueueKey, SubscriptionKey, TopicKey};
use super::super::report::{Report, qualified};
use super::super::subscription::Subscription;
use super::super::{Dispatcher, Place};
use super::Totals;
use crate::core::destination::{COMPOSITE_NAMES_MAX, DestinationName, Pattern};
use crate::core::port::Locality;

impl Dispatcher {
    pub(super) fn broker_report(&self, totals: Totals) -> Report {
        let (counters, budget) = (&self.counters, &self.settings.budget);
        let (used, limit) = (budget.used_bytes(), budget.limit_bytes());
        let store_limit = self.settings.disk.bytes_max;
        let stored = self.flow.stored_bytes();
        let store_percent = stored
            .zip(store_limit)
            .map(|(used, limit)| percent(used, limit));
        Report::statistics(&self.instance)
            .with("size", totals.depth)
            .with("enqueueCount", counters.enqueued)
            .with("dequeueCount", counters.acknowledged)
            .with("dispatchCount", counters.dispatched)
            .with("expiredCount", counters.expired)
            .with("inflightCount", totals.in_flight)
            .with("memoryUsage", used)
            .with("memoryLimit", limit)
            .with("memoryPercentUsage", percent(used as u64, limit as u64))
            .with_known("storeUsage", stored)
            .with_known("storeLimit", store_limit)
            .with_known("storePercentUsage", store_percent)
            .with("consumerCount", self.subscriptions.len())
            .with("producerCount", self.producers.total())
    }

    pub(super) fn queue_report(&self, key: QueueKey) -> Report {
        let queue = &self.queues[key.0];
        let counters = &queue.counters;
        let average = queue.depth_bytes.checked_div(queue.depth);
        Report::statistics(&self.instance)
            .with("destinationName", qualified(&queue.name))
            .with("size", queue.depth)
            .with("enqueueCount", counters.enqueued)
            .with("dequeueCount", counters.acknowledged)
            .with("dispatchCount", counters.dispatched)
            .with("expiredCount", counters.expired)
            .with("inflightCount", queue.in_flight)
            .with(
                "messagesCached",
                queue.depth.saturating_sub(queue.paged_count()),
            )
            .with_known("averageMessageSize", average)
            .with("memoryUsage", queue.in_memory().1)
            .with("consumerCount", queue.consumers.len())
            .with_known("producerCount", self.known_producers(&queue.name))
            .with("discardedCount", counters.dropped)
    }

    pub(super) fn topic_report(&self, key: TopicKey) -> Report {
        let topic = &self.topics[key.0];
        Report::statistics(&self.instance)
            .with("destinationName", qualified(&topic.name))
            .with("enqueueCount", topic.counters.enqueued)
            .with("dispatchCount", topic.counters.dispatched)
            .with("consumerCount", self.consumer_count(Place::Topic(key)))
            .with_known("producerCount", self.known_producers(&topic.name))
            .with("discardedCount", topic.counters.dropped)
    }

    fn known_producers(&self, name: &DestinationName) -> Option<u64> {
        (!name.is_temporary()).then(|| self.producers.of(name))
    }

    pub(super) fn subscription_report(&self, key: SubscriptionKey) -> Report {
        let subscription = &self.subscriptions[key.0];
        let opening = &self.peers[subscription.peer.0].opening;
        let selector = subscription.selector.as_ref().map(ToString::to_string);
        Report::statistics(&self.instance)
            .with("destinationName", self.sources_of(subscription))
            .with_known("clientId", opening.client_id.as_deref())
            .with("connectionId", &*opening.session)
            .with("consumerId", self.consumer_id(subscription))
            .with_known("selector", selector)
            .with("dispatchedQueueSize", subscription.credit.messages)
            .with("pendingQueueSize", subscription.pending.len())
            .with("prefetchSize", subscription.credit.messages_max)
            .with(
                "exclusive",
                subscription.exclusivity == Exclusivity::Exclusive,
            )
            .with("noLocal", subscription.locality == Locality::NoLocal)
            .with("slowConsumer", subscription.is_slow)
            .with("discardedCount", subscription.discarded)
    }

    /// What it has named, queues that its patterns match aside. Those that it has named it took first.
    fn sources_of(&self, subscription: &Subscription) -> String {
        let is_matched = |name: &&DestinationName| {
            subscription
                .patterns
                .iter()
                .any(|pattern| pattern.matches(name))
        };
        let queues = subscription.consumers.iter().take(COMPOSITE_NAMES_MAX);
        let queues = queues
            .map(|consumer| &*self.queues[self.consumers[consumer.0].queue.0].name)
            .filter(|name| !is_matched(name))
            .map(qualified);
        let topics = subscription.topics.iter();
        let topics = topics.map(|(topic, _)| qualified(&self.topics[topic.0].name));
        let patterns = subscription
            .patterns
            .iter()
            .map(|pattern| qualified_pattern(pattern));
        let browsed = subscription.walk.as_ref();
        let browsed = browsed.and_then(|walk| self.queues.get(walk.queue.0));
        let browsed = browsed.map(|queue| qualified(&queue.name));
        let all: Vec<String> = queues
            .chain(topics)
            .chain(patterns)
            .chain(browsed)
            .collect();
        all.join(",")
    }
}

/// `queue://a.>`
fn qualified_pattern(pattern: &Pattern) -> String {
    pattern
        .to_string()
        .replacen('/', "", 1)
        .replacen('/', "://", 1)
}

fn percent(used: u64, limit: u64) -> u64 {
    used.saturating_mul(100).checked_div(limit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::destination::{Source, SubscribeTarget};

    #[test]
    fn a_pattern_is_named_as_a_destination_is() {
        for (text, expected) in [
            ("/queue/a.>", "queue://a.>"),
            ("/topic/a/b.*", "topic://a/b.*"),
        ] {
            let target = SubscribeTarget::parse(text.as_bytes()).expect(text);
            let [Source::Matching(pattern)] = &*target.sources else {
                panic!("{text} is no pattern");
            };
            assert_eq!(qualified_pattern(pattern), expected);
        }
    }
}
