//! What the console sees, and the last batch of a clean stop.

use stompbox_console::{
    ConnectionView, Kind, ListQuery, Listing, Overview, PolicyQuery, PolicyView, QueueView,
    SettingView, SubscriptionView, TopicView,
};
use stompbox_store::{Batch, DestinationKind, Haste, Rank, Ticket};

use super::identity::Sharing;
use super::key::{QueueKey, TopicKey};
use super::publish::Places;
use super::queue::{Queue, Role};
use super::{Dispatcher, Place};
use crate::core::destination::DestinationName;
use crate::core::message::Publication;

/// Items of a list when the query names no limit.
const LIST_LIMIT_DEFAULT: usize = 100;

/// Items of a list at the most.
const LIST_LIMIT_MAX: usize = 1_000;

impl Dispatcher {
    /// The broker as a whole, as far as the dispatcher knows it.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let budget = &self.settings.budget;
        let counters = &self.counters;
        // Once through them: with a million it is what memory takes to come by.
        let (mut depth, mut in_flight) = (0, 0);
        for queue in self.destinations() {
            depth += queue.depth;
            in_flight += queue.in_flight;
        }
        Overview {
            connections: self.peers.len() as u64,
            connections_total: counters.connections,
            subscriptions: self.subscriptions.len() as u64,
            queues: (self.queues.len() - self.lasting.len()) as u64,
            topics: (self.topics.len() - self.feeds.len()) as u64,
            depth,
            in_flight,
            enqueued_total: counters.enqueued,
            dispatched_total: counters.dispatched,
            acknowledged_total: counters.acknowledged,
            redelivered_total: counters.redelivered,
            dead_lettered_total: counters.dead_lettered,
            expired_total: counters.expired,
            dropped_total: counters.dropped,
            stale_acks_total: counters.stale_acks,
            duplicates_total: counters.duplicates,
            scheduled: self.agenda.count(),
            memory_bytes: budget.used_bytes() as u64,
            memory_limit_bytes: budget.limit_bytes() as u64,
            ..Overview::default()
        }
    }

    /// Queues, without those of subscriptions.
    pub(super) fn destinations(&self) -> impl Iterator<Item = &Queue> {
        let queues = self.queues.iter().map(|(_, queue)| queue);
        queues.filter(|queue| matches!(queue.role, Role::Destination))
    }

    /// Queues by name.
    #[must_use]
    pub fn list_queues(&self, query: &ListQuery) -> Listing<QueueView> {
        let total = self.queues.len() - self.lasting.len();
        let views = self
            .ordered_names
            .iter()
            .filter_map(|(name, place)| match place {
                Place::Queue(key) => Some((name.name(), *key)),
                Place::Topic(_) => None,
            });
        list(query, total, views, |key| self.queue_view(key))
    }

    /// Topics by name.
    #[must_use]
    pub fn list_topics(&self, query: &ListQuery) -> Listing<TopicView> {
        let total = self.topics.len() - self.feeds.len();
        let views = self
            .ordered_names
            .iter()
            .filter_map(|(name, place)| match place {
                Place::Topic(key) => Some((name.name(), *key)),
                Place::Queue(_) => None,
            });
        list(query, total, views, |key| self.topic_view(key))
    }

    /// Durable and shared subscriptions by identity.
    #[must_use]
    pub fn list_subscriptions(&self, query: &ListQuery) -> Listing<SubscriptionView> {
        let mut all: Vec<(&str, QueueKey)> = self
            .lasting
            .iter()
            .map(|(identity, key)| (&**identity, *key))
            .collect();
        all.sort_unstable();
        list(query, all.len(), all.into_iter(), |key| {
            self.subscription_view(key)
        })
    }

    /// The durable or shared subscription of this identity.
    #[must_use]
    pub fn subscription_of(&self, identity: &str) -> Option<SubscriptionView> {
        let key = self.lasting.get(identity)?;
        Some(self.subscription_view(*key))
    }

    /// Connections, the oldest first.
    #[must_use]
    pub fn list_connections(&self, query: &ListQuery) -> Listing<ConnectionView> {
        let total = self.connections.len();
        let views = self
            .connections
            .values()
            .map(|key| (self.peers[key.0].opening.peer.as_str(), *key));
        list(query, total, views, |key| {
            let peer = &self.peers[key.0];
            ConnectionView {
                session: peer.opening.session.to_string(),
                peer: peer.opening.peer.clone(),
                version: peer.opening.version.as_str().to_owned(),
                client_id: peer.opening.client_id.as_deref().map(str::to_owned),
                login: peer.opening.login.as_deref().map(str::to_owned),
                connected_ms: peer.connected_ms,
                subscriptions: peer.subscriptions.len() as u64,
                in_flight: peer.in_flight,
                transactions: peer.transactions.len() as u64,
                blocked: peer.is_blocked(),
                blocked_by: peer
                    .blocked_by
                    .iter()
                    .map(|blocker| self.name_of(*blocker))
                    .collect(),
            }
        })
    }

    /// The policy of a destination, whether it is there or not.
    #[must_use]
    pub fn policy_view(&self, query: PolicyQuery) -> PolicyView {
        let kind = match query.kind {
            Kind::Queue => DestinationKind::Queue,
            Kind::Topic => DestinationKind::Topic,
        };
        let name = DestinationName::new(kind, &query.name);
        let policies = &self.settings.policies;
        let settings = policies.explain(kind, &query.name).into_iter();
        PolicyView {
            kind: query.kind,
            exists: self.names.contains_key(&name),
            declared: policies.declares(&name),
            name: query.name,
            settings: settings
                .map(|setting| SettingView {
                    key: setting.key.to_owned(),
                    value: setting.json(),
                    from: setting.from.to_string(),
                })
                .collect(),
        }
    }

    fn queue_view(&self, key: QueueKey) -> QueueView {
        let queue = &self.queues[key.0];
        QueueView {
            name: queue.name.name().to_owned(),
            depth: queue.depth,
            depth_bytes: queue.depth_bytes,
            in_flight: queue.in_flight,
            delayed: queue.delayed.len() as u64,
            parked: queue.groups.parked().count() as u64,
            paged: queue.paged_count(),
            consumers: queue.consumers.len() as u64,
            enqueued_total: queue.counters.enqueued,
            dispatched_total: queue.counters.dispatched,
            acknowledged_total: queue.counters.acknowledged,
            redelivered_total: queue.counters.redelivered,
            dead_lettered_total: queue.counters.dead_lettered,
            expired_total: queue.counters.expired,
            dropped_total: queue.counters.dropped,
            replaced_total: queue.counters.replaced,
        }
    }

    fn subscription_view(&self, key: QueueKey) -> SubscriptionView {
        let queue = &self.queues[key.0];
        let (identity, shared, durable) = match &queue.role {
            Role::Durable(cursor) => {
                let identity = &cursor.identity;
                (
                    identity.text.to_string(),
                    identity.sharing == Sharing::Shared,
                    true,
                )
            }
            Role::Shared { identity, .. } => (identity.to_string(), true, false),
            Role::Destination => (String::new(), false, false),
        };
        SubscriptionView {
            identity,
            topic: queue.name.name().to_owned(),
            durable,
            shared,
            selector: queue.own_selector().map(ToString::to_string),
            consumers: queue.consumers.len() as u64,
            pending: queue.depth + self.unread_of(queue),
            in_flight: queue.in_flight,
            dispatched_total: queue.counters.dispatched,
            acknowledged_total: queue.counters.acknowledged,
            dead_lettered_total: queue.counters.dead_lettered,
        }
    }

    /// What of its topic's log a durable subscription has not read, at most.
    fn unread_of(&self, queue: &Queue) -> u64 {
        let Some(cursor) = queue.cursor() else {
            return 0;
        };
        let log = &self.topics[cursor.topic.0].log;
        let count = log.as_ref().map_or(0, |log| log.count);
        cursor.unread + count.saturating_sub(cursor.counted)
    }

    /// Durable subscriptions that get what is published to a topic.
    fn durable_count(&self, key: TopicKey) -> usize {
        let logs = std::iter::once(key).chain(self.feeds_of(key));
        let logs = logs.filter_map(|key| self.topics[key.0].log.as_ref());
        logs.map(|log| log.durable_count()).sum()
    }

    fn topic_view(&self, key: TopicKey) -> TopicView {
        let topic = &self.topics[key.0];
        let audience = self.audience_of(key);
        let members = || audience.iter().map(|key| &self.subscriptions[key.0]);
        TopicView {
            name: topic.name.name().to_owned(),
            durable: self.durable_count(key) as u64,
            consumers: audience.len() as u64,
            pending: members().map(|member| member.pending.len() as u64).sum(),
            in_flight: members()
                .map(|member| u64::from(member.credit.messages))
                .sum(),
            enqueued_total: topic.counters.enqueued,
            dispatched_total: topic.counters.dispatched,
            dropped_total: topic.counters.dropped,
        }
    }

    /// Whether somebody gets what is sent now: a queue keeps it, a topic that nobody hears forgets it.
    #[must_use]
    pub fn is_taken(&self, publication: &Publication) -> bool {
        let mut places = Places::new();
        for name in publication.target.names() {
            match self.names.get(name) {
                Some(place) => places.push(*place),
                // It is made when it is sent to.
                None if self.would_be_heard(name) => return true,
                None => {}
            }
        }
        let places = self.forward(places, publication);
        places.iter().any(|place| match place {
            Place::Queue(_) => true,
            Place::Topic(key) => {
                self.topics[key.0].log.is_some()
                    || self.would_be_heard(&self.topics[key.0].name)
                    || !self.audience_of(*key).is_empty()
            }
        })
    }

    /// The same of a destination that need not be there.
    fn would_be_heard(&self, name: &DestinationName) -> bool {
        let mut is_matched = false;
        self.patterns.matches(name, |_| is_matched = true);
        name.kind() == DestinationKind::Queue
            || is_matched
            || self.is_fed_from(name)
            || self.virtual_queues.contains_key(name)
    }

    /// The last batch of a clean stop: how often everything that waits was delivered. Connections must have
    /// been closed before.
    #[must_use]
    pub fn last_batch(&mut self) -> (Ticket, Batch) {
        for (_, queue) in &self.queues {
            let waiting = (0..super::queue::LANE_COUNT as u8)
                .map(Rank)
                .flat_map(|rank| {
                    queue
                        .lane(rank)
                        .resident()
                        .map(move |(sequence, entry)| ((rank, sequence), entry))
                });
            let delayed = queue.delayed.iter().map(|(key, entry)| (*key, entry));
            let parked = queue.groups.parked().bodies_from_behind();
            for ((rank, sequence), entry) in waiting.chain(delayed).chain(parked) {
                if !entry.is_untouched() {
                    let count = queue.count_of(rank, sequence, entry);
                    self.batch.operations.extend(count);
                }
            }
        }
        self.batch.haste = Haste::Awaited;
        (self.next_ticket, std::mem::take(&mut self.batch))
    }

    /// Whether no connection and no delivery is left: what holds when the last connection has gone.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.connections.is_empty() && self.deliveries.is_empty()
    }
}

/// One part of a list that is in order already.
fn list<'a, K: Copy, V>(
    query: &ListQuery,
    all: usize,
    items: impl Iterator<Item = (&'a str, K)>,
    view: impl Fn(K) -> V,
) -> Listing<V> {
    let limit = query
        .limit
        .unwrap_or(LIST_LIMIT_DEFAULT)
        .min(LIST_LIMIT_MAX);
    let Some(wanted) = query.name.as_ref().filter(|name| !name.is_empty()) else {
        let items = items
            .skip(query.offset)
            .take(limit)
            .map(|(_, key)| view(key))
            .collect();
        return Listing { total: all, items };
    };
    let wanted = wanted.to_lowercase();
    let matching: Vec<K> = items
        .filter(|(name, _)| contains(name, &wanted))
        .map(|(_, key)| key)
        .collect();
    let total = matching.len();
    let items = matching
        .into_iter()
        .skip(query.offset)
        .take(limit)
        .map(view)
        .collect();
    Listing { total, items }
}

/// Whether a name contains a text in small letters. It is asked of every name while the dispatcher stands still.
fn contains(name: &str, wanted: &str) -> bool {
    if name.is_ascii() && !wanted.is_empty() {
        let mut parts = name.as_bytes().windows(wanted.len());
        parts.any(|part| part.eq_ignore_ascii_case(wanted.as_bytes()))
    } else {
        name.to_lowercase().contains(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_name_contains_a_text_without_regard_to_case() {
        for (name, wanted, expected) in [
            ("Orders.EU", "orders", true),
            ("Orders.EU", "s.e", true),
            ("Orders.EU", "eu.", false),
            ("EU", "orders", false),
            ("Größe", "GRÖSSE", false),
            ("GRÖßE", "größe", true),
            ("Orders", "ö", false),
            // The Kelvin sign's small letter is an ordinary one.
            ("\u{212a}elvin", "kelvin", true),
            ("Orders", "", true),
        ] {
            assert_eq!(
                contains(name, &wanted.to_lowercase()),
                expected,
                "{name} {wanted}"
            );
        }
    }
}
