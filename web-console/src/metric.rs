//! `/metrics`: the counters in the Prometheus text exposition format 0.0.4.
//!
//! *Invariants*: one family is written in one piece; a name that comes from clients appears as an escaped label value
//! only; the number of destinations and of subscriptions is capped, and what was left out is itself a metric.

use std::fmt::{Display, Write as _};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Console;
use crate::error::ApiError;
use crate::port::{Health, ListQuery, Listing, Overview, QueueView, SubscriptionView, TopicView};

/// Queues, topics, and lasting subscriptions that have series of their own: 1,000 of each make about 2.5 MB a scrape.
const NAMES_MAX: usize = 1_000;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Room for the broker's own families, so that small answers are written without growing.
const TEXT_BYTES_MIN: usize = 16 * 1024;

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// A family with one value for each `T`.
struct Family<T> {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&T) -> u64,
}

const fn gauge<T>(name: &'static str, help: &'static str, value: fn(&T) -> u64) -> Family<T> {
    Family {
        name,
        kind: Kind::Gauge,
        help,
        value,
    }
}

const fn counter<T>(name: &'static str, help: &'static str, value: fn(&T) -> u64) -> Family<T> {
    Family {
        name,
        kind: Kind::Counter,
        help,
        value,
    }
}

#[rustfmt::skip]
static BROKER: [Family<Overview>; 28] = [
    gauge("stompbox_connections", "Open connections.", |o| o.connections),
    counter("stompbox_connections_accepted_total", "Connections accepted.", |o| o.connections_total),
    gauge("stompbox_subscriptions", "Live subscriptions.", |o| o.subscriptions),
    gauge("stompbox_queues", "Queues.", |o| o.queues),
    gauge("stompbox_topics", "Topics.", |o| o.topics),
    gauge("stompbox_depth", "Messages in queues, in flight included.", |o| o.depth),
    gauge("stompbox_in_flight", "Messages in queues that are with a consumer.", |o| o.in_flight),
    counter("stompbox_enqueued_total", "Messages accepted.", |o| o.enqueued_total),
    counter("stompbox_dispatched_total", "Deliveries made, repeats included.", |o| o.dispatched_total),
    counter("stompbox_acknowledged_total", "Messages acknowledged.", |o| o.acknowledged_total),
    counter("stompbox_redelivered_total", "Deliveries that came back.", |o| o.redelivered_total),
    counter("stompbox_dead_lettered_total", "Messages moved to a dead-letter queue.", |o| o.dead_lettered_total),
    counter("stompbox_expired_total", "Messages that expired.", |o| o.expired_total),
    counter("stompbox_dropped_total", "Messages dropped, whatever the reason.", |o| o.dropped_total),
    counter("stompbox_stale_acks_total", "Acknowledgements ignored because they came too late.", |o| o.stale_acks_total),
    counter("stompbox_duplicates_total", "Messages not enqueued because they repeat another one.", |o| o.duplicates_total),
    gauge("stompbox_scheduled", "Messages that are to be delivered later.", |o| o.scheduled),
    gauge("stompbox_memory_bytes", "Bytes of messages held in memory.", |o| o.memory_bytes),
    gauge("stompbox_memory_limit_bytes", "Limit of bytes of messages held in memory.", |o| o.memory_limit_bytes),
    counter("stompbox_store_commits_total", "Commits.", |o| o.store.commits_total),
    counter("stompbox_store_operations_total", "Operations committed.", |o| o.store.operations_total),
    counter("stompbox_store_cancelled_total", "Appends never written because they were settled first.", |o| o.store.cancelled_total),
    gauge("stompbox_store_database_bytes", "Size of the database file.", |o| o.store.database_bytes),
    gauge("stompbox_store_database_free_bytes", "Unused bytes of the database file.", |o| o.store.database_free_bytes),
    gauge("stompbox_store_scratch_bytes", "Size of the scratch file.", |o| o.store.scratch_bytes),
    gauge("stompbox_store_full", "1 while the disk is full and persistent messages are refused, else 0.", |o| o.store.full),
    gauge("stompbox_store_wal_bytes", "Size of the write-ahead log.", |o| o.store.wal_bytes),
    counter("stompbox_store_quarantined_total", "Messages put aside because their checksum was wrong.", |o| o.store.quarantined_total),
];

#[rustfmt::skip]
static QUEUE: [Family<QueueView>; 15] = [
    gauge("stompbox_queue_depth", "Messages in the queue, in flight included.", |q| q.depth),
    gauge("stompbox_queue_depth_bytes", "Bytes of the messages in the queue.", |q| q.depth_bytes),
    gauge("stompbox_queue_in_flight", "Messages of the queue that are with a consumer.", |q| q.in_flight),
    gauge("stompbox_queue_delayed", "Messages of the queue that wait out a redelivery delay.", |q| q.delayed),
    gauge("stompbox_queue_parked", "Messages of the queue that wait for the consumer that owns their group.", |q| q.parked),
    gauge("stompbox_queue_paged", "Messages of the queue that are on disk only.", |q| q.paged),
    gauge("stompbox_queue_consumers", "Subscriptions to the queue.", |q| q.consumers),
    counter("stompbox_queue_enqueued_total", "Messages the queue accepted.", |q| q.enqueued_total),
    counter("stompbox_queue_dispatched_total", "Deliveries from the queue, repeats included.", |q| q.dispatched_total),
    counter("stompbox_queue_acknowledged_total", "Messages of the queue acknowledged.", |q| q.acknowledged_total),
    counter("stompbox_queue_redelivered_total", "Deliveries that came back to the queue.", |q| q.redelivered_total),
    counter("stompbox_queue_dead_lettered_total", "Messages moved from the queue to a dead-letter queue.", |q| q.dead_lettered_total),
    counter("stompbox_queue_expired_total", "Messages that expired in the queue.", |q| q.expired_total),
    counter("stompbox_queue_dropped_total", "Messages dropped because the queue was full.", |q| q.dropped_total),
    counter("stompbox_queue_replaced_total", "Messages replaced by newer ones of the same last value.", |q| q.replaced_total),
];

#[rustfmt::skip]
static TOPIC: [Family<TopicView>; 6] = [
    gauge("stompbox_topic_consumers", "Subscriptions to the topic.", |t| t.consumers),
    gauge("stompbox_topic_pending", "Messages that wait in the topic's subscriptions beyond what is in flight.", |t| t.pending),
    gauge("stompbox_topic_in_flight", "Deliveries of the topic not yet written or not yet acknowledged.", |t| t.in_flight),
    counter("stompbox_topic_enqueued_total", "Messages published to the topic.", |t| t.enqueued_total),
    counter("stompbox_topic_dispatched_total", "Deliveries of the topic.", |t| t.dispatched_total),
    counter("stompbox_topic_dropped_total", "Deliveries of the topic dropped.", |t| t.dropped_total),
];

#[rustfmt::skip]
static SUBSCRIPTION: [Family<SubscriptionView>; 6] = [
    gauge("stompbox_subscription_consumers", "Consumers of the durable or shared subscription.", |s| s.consumers),
    gauge("stompbox_subscription_pending", "Messages that wait for the subscription or are with a consumer, at most.", |s| s.pending),
    gauge("stompbox_subscription_in_flight", "Messages of the subscription that are with a consumer.", |s| s.in_flight),
    counter("stompbox_subscription_dispatched_total", "Deliveries of the subscription, repeats included.", |s| s.dispatched_total),
    counter("stompbox_subscription_acknowledged_total", "Messages of the subscription acknowledged.", |s| s.acknowledged_total),
    counter("stompbox_subscription_dead_lettered_total", "Messages moved from the subscription to a dead-letter queue.", |s| s.dead_lettered_total),
];

/// The route.
pub(crate) fn router() -> Router<Console> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(console): State<Console>) -> Response {
    match exposition(&console).await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => error.at("/metrics"),
    }
}

async fn exposition(console: &Console) -> Result<String, ApiError> {
    let first = ListQuery {
        name: None,
        offset: 0,
        limit: Some(NAMES_MAX),
    };
    let overview = console.source.overview().await?;
    let queues = console.source.queues(first.clone()).await?;
    let topics = console.source.topics(first.clone()).await?;
    let subscriptions = console.source.subscriptions(first).await?;
    let mut text = Exposition {
        text: String::with_capacity(TEXT_BYTES_MIN),
    };
    text.broker(&overview, &console.source.health());
    text.named(&QUEUE, &queues, |queue| vec![("queue", &queue.name)]);
    text.named(&TOPIC, &topics, |topic| vec![("topic", &topic.name)]);
    text.named(&SUBSCRIPTION, &subscriptions, |subscription| {
        let identity = ("subscription", subscription.identity.as_str());
        vec![identity, ("topic", &subscription.topic)]
    });
    text.omitted("stompbox_metrics_queues_omitted", "Queues", &queues);
    text.omitted("stompbox_metrics_topics_omitted", "Topics", &topics);
    text.omitted(
        "stompbox_metrics_subscriptions_omitted",
        "Durable and shared subscriptions",
        &subscriptions,
    );
    Ok(text.text)
}

/// The text as it grows.
struct Exposition {
    text: String,
}

impl Exposition {
    fn broker(&mut self, overview: &Overview, health: &Health) {
        self.head(
            "stompbox_build_info",
            Kind::Gauge,
            "Version of the broker and name of its database.",
        );
        let version = ("version", overview.version.as_str());
        self.sample(
            "stompbox_build_info",
            &[version, ("instance", &overview.instance)],
            1,
        );
        let healthy = u64::from(*health == Health::Ok);
        self.single(
            "stompbox_healthy",
            "1 when the broker accepts, routes and stores, else 0.",
            healthy,
        );
        let started = Decimal {
            units: overview.started_ms.unsigned_abs(),
            digits: 3,
        };
        self.single(
            "stompbox_start_time_seconds",
            "When the process started, since 1970.",
            started,
        );
        for family in &BROKER {
            self.head(family.name, family.kind, family.help);
            self.sample(family.name, &[], (family.value)(overview));
        }
        let commit = Decimal {
            units: overview.store.last_commit_us,
            digits: 6,
        };
        self.single(
            "stompbox_store_last_commit_seconds",
            "Duration of the last commit.",
            commit,
        );
    }

    fn named<T>(
        &mut self,
        families: &[Family<T>],
        list: &Listing<T>,
        labels: fn(&T) -> Vec<(&str, &str)>,
    ) {
        for family in families {
            self.head(family.name, family.kind, family.help);
            for item in list.items.iter().take(NAMES_MAX) {
                self.sample(family.name, &labels(item), (family.value)(item));
            }
        }
    }

    fn omitted<T>(&mut self, name: &str, what: &str, list: &Listing<T>) {
        let shown = list.items.len().min(NAMES_MAX);
        let help = format!("{what} without series of their own: the first {NAMES_MAX} have them.");
        self.single(name, &help, list.total.saturating_sub(shown));
    }

    fn single(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        let mut opening = '{';
        for (label, label_value) in labels {
            self.text.push(opening);
            self.text.push_str(label);
            self.text.push_str("=\"");
            push_escaped(&mut self.text, label_value);
            self.text.push('"');
            opening = ',';
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = writeln!(self.text, "{line}");
        debug_assert!(written.is_ok(), "a String takes everything");
    }
}

/// The format escapes three characters. NUL is not among them, yet ends the text for Prometheus' own lexer.
fn push_escaped(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            '\0' => text.push(char::REPLACEMENT_CHARACTER),
            other => text.push(other),
        }
    }
}

/// A whole number of small units, written in units that are ten to the `digits` larger, without rounding.
struct Decimal {
    units: u64,
    digits: u32,
}

impl Display for Decimal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scale = 10_u64.pow(self.digits);
        let width = self.digits as usize;
        write!(
            formatter,
            "{}.{:0width$}",
            self.units / scale,
            self.units % scale
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{BROKER, Decimal, QUEUE, SUBSCRIPTION, TOPIC, push_escaped};

    #[test]
    fn label_values_cannot_leave_their_quotes() {
        let mut text = String::new();
        push_escaped(&mut text, "a\"b\\c\nd\0e\u{202e}</script>");
        assert_eq!(text, "a\\\"b\\\\c\\nd\u{fffd}e\u{202e}</script>");
    }

    #[test]
    fn durations_keep_every_digit() {
        assert_eq!(
            Decimal {
                units: 1_234_005,
                digits: 6
            }
            .to_string(),
            "1.234005"
        );
        assert_eq!(
            Decimal {
                units: 7,
                digits: 3
            }
            .to_string(),
            "0.007"
        );
    }

    #[test]
    fn every_family_is_documented() {
        let page = include_str!("../../docs/console.md");
        let names = BROKER.iter().map(|family| family.name);
        let names = names.chain(QUEUE.iter().map(|family| family.name));
        let names = names.chain(TOPIC.iter().map(|family| family.name));
        for name in names.chain(SUBSCRIPTION.iter().map(|family| family.name)) {
            assert!(
                page.contains(&format!("`{name}`")),
                "{name} is missing in docs/console.md"
            );
        }
    }
}
