//! What the console asks of a broker: one trait and the shapes that travel over it.
//!
//! The broker implements [`AdminApi`]; tests implement it with fixed answers. Shapes are also the JSON of
//! `/api/v1`: a field that is renamed here is a change of the public surface.

mod message;

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

pub use message::{
    Action, BodyEncoding, BodyView, Carried, HeaderView, MessagePage, MessageQuery, MessageView,
    MessagesQuery, Order, Purged,
};

/// An answer that is on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, AdminError>> + Send + 'a>>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminError {
    /// The broker is stopping or has failed; the text says which.
    Unavailable(String),
    /// There is no queue of this name.
    NoSuchQueue(String),
    /// The configuration does not let the console do it.
    ReadOnly,
    /// It cannot be done; the text says why and what to do.
    Refused(String),
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only names that contain this, compared without regard to case.
    #[serde(default)]
    pub name: Option<String>,
    /// Skip so many.
    #[serde(default)]
    pub offset: usize,
    /// At most so many; the console's default is 100, its maximum 1,000.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// A part of a list, ordered by name (connections by age).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing<T> {
    /// How many there are with this query's `name`, whatever its `offset` and `limit`.
    pub total: usize,
    /// The wanted part.
    pub items: Vec<T>,
}

/// The broker as a whole. Counters run from the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// `stompbox` version.
    pub version: String,
    /// The database's random name, part of every `message-id`.
    pub instance: String,
    /// When the process started, ms since 1970.
    pub started_ms: i64,
    /// Addresses that accept STOMP.
    pub stomp: Vec<String>,
    /// Open connections.
    pub connections: u64,
    /// Connections accepted so far.
    pub connections_total: u64,
    /// Live subscriptions.
    pub subscriptions: u64,
    /// Queues.
    pub queues: u64,
    /// Topics.
    pub topics: u64,
    /// Messages in queues, in flight included.
    pub depth: u64,
    /// Of these, with a consumer.
    pub in_flight: u64,
    /// Messages accepted so far.
    pub enqueued_total: u64,
    /// Deliveries made so far, repeats included.
    pub dispatched_total: u64,
    /// Messages acknowledged so far.
    pub acknowledged_total: u64,
    /// Deliveries that came back so far.
    pub redelivered_total: u64,
    /// Messages moved to a dead-letter queue so far.
    pub dead_lettered_total: u64,
    /// Messages that expired so far.
    pub expired_total: u64,
    /// Messages dropped so far, whatever the reason.
    pub dropped_total: u64,
    /// Acknowledgements ignored because they came too late.
    pub stale_acks_total: u64,
    /// Messages that were not enqueued because they repeat another one.
    pub duplicates_total: u64,
    /// Messages that are to be delivered later.
    pub scheduled: u64,
    /// Bytes of messages held in memory.
    pub memory_bytes: u64,
    /// Their limit.
    pub memory_limit_bytes: u64,
    /// Durable state.
    pub store: StoreView,
}

/// Durable state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoreView {
    /// Commits so far.
    pub commits_total: u64,
    /// Operations in them.
    pub operations_total: u64,
    /// Appends never written because they were settled first.
    pub cancelled_total: u64,
    /// Duration of the last commit, in microseconds.
    pub last_commit_us: u64,
    /// Size of the database file.
    pub database_bytes: u64,
    /// Of these, unused: the next messages fill them.
    pub database_free_bytes: u64,
    /// Size of its write-ahead log.
    pub wal_bytes: u64,
    /// Size of the scratch file: non-persistent messages that memory has no room for.
    pub scratch_bytes: u64,
    /// 1 while the disk is full and persistent messages are refused, else 0.
    pub full: u64,
    /// Messages put aside because their checksum was wrong.
    pub quarantined_total: u64,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueueView {
    /// Name without prefix. Comes from clients: hostile.
    pub name: String,
    /// Messages in it, in flight included.
    pub depth: u64,
    /// Bytes of these.
    pub depth_bytes: u64,
    /// Of these messages, with a consumer.
    pub in_flight: u64,
    /// Of these messages, waiting out a redelivery delay.
    pub delayed: u64,
    /// Of these messages, waiting for the consumer that owns their group.
    pub parked: u64,
    /// Of these messages, on disk only.
    pub paged: u64,
    /// Subscriptions.
    pub consumers: u64,
    /// Messages accepted since the start.
    pub enqueued_total: u64,
    /// Deliveries since the start, repeats included.
    pub dispatched_total: u64,
    /// Messages acknowledged since the start.
    pub acknowledged_total: u64,
    /// Deliveries that came back since the start.
    pub redelivered_total: u64,
    /// Messages moved to a dead-letter queue since the start.
    pub dead_lettered_total: u64,
    /// Messages that expired since the start.
    pub expired_total: u64,
    /// Messages dropped since the start because the queue was full.
    pub dropped_total: u64,
    /// Messages replaced since the start by newer ones of the same last value.
    pub replaced_total: u64,
}

/// A topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TopicView {
    /// Name without prefix. Comes from clients: hostile.
    pub name: String,
    /// Subscriptions.
    pub consumers: u64,
    /// Durable subscriptions, with or without a consumer.
    pub durable: u64,
    /// Messages waiting in subscriptions beyond what is in flight.
    pub pending: u64,
    /// Deliveries whose frame is not yet written or not yet acknowledged.
    pub in_flight: u64,
    /// Messages published since the start.
    pub enqueued_total: u64,
    /// Deliveries since the start.
    pub dispatched_total: u64,
    /// Deliveries dropped since the start.
    pub dropped_total: u64,
}

/// A subscription of a topic that lasts: durable, or shared by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SubscriptionView {
    /// What it is called, with its `client-id` where it has one. Comes from clients: hostile.
    pub identity: String,
    /// The topic, without prefix. Comes from clients: hostile.
    pub topic: String,
    /// Whether it outlives its consumers.
    pub durable: bool,
    /// Whether several consumers may compete.
    pub shared: bool,
    /// Its selector. Comes from clients: hostile.
    pub selector: Option<String>,
    /// Consumers now.
    pub consumers: u64,
    /// Messages that wait or are with a consumer, at most: what its selector does not match counts until it is read, after a
    /// start also what it has done with out of order.
    pub pending: u64,
    /// Of these, with a consumer.
    pub in_flight: u64,
    /// Deliveries since the start, repeats included.
    pub dispatched_total: u64,
    /// Messages acknowledged since the start.
    pub acknowledged_total: u64,
    /// Messages moved to a dead-letter queue since the start.
    pub dead_lettered_total: u64,
}

/// Which scheduled messages are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduledQuery {
    /// Go on behind this, a page's `next`.
    pub after: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// Scheduled messages, the next to be delivered first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScheduledPage {
    /// How many there are in all.
    pub total: u64,
    /// Some of them.
    pub items: Vec<ScheduledView>,
    /// What `after` goes on with; none at the end.
    pub next: Option<String>,
}

/// A message that is to be delivered later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScheduledView {
    /// What it is cancelled by.
    pub id: String,
    /// When it comes next, ms since 1970.
    pub due_ms: i64,
    /// How often it comes again after that; -1 is for ever.
    pub repeats_left: i64,
    /// What its sender asked for.
    pub schedule: String,
    /// Where it goes, with prefix. Comes from clients: hostile.
    pub destination: String,
    /// Its priority.
    pub priority: u8,
    /// When it expires, ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Bytes of its headers and body.
    pub bytes: u64,
}

/// A connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionView {
    /// The `session` of its CONNECTED frame.
    pub session: String,
    /// Peer address.
    pub peer: String,
    /// STOMP version.
    pub version: String,
    /// Its `client-id`. Comes from the client: hostile.
    pub client_id: Option<String>,
    /// Its `login`. Comes from the client: hostile.
    pub login: Option<String>,
    /// When it connected, ms since 1970.
    pub connected_ms: i64,
    /// Live subscriptions.
    pub subscriptions: u64,
    /// Deliveries that are not acknowledged.
    pub in_flight: u64,
    /// Open transactions.
    pub transactions: u64,
    /// Whether something that is full holds its SENDs back.
    pub blocked: bool,
    /// What does: a topic or a queue by its name (comes from clients: hostile), or the key of a limit.
    pub blocked_by: Vec<String>,
}

/// Queue or topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A queue.
    Queue,
    /// A topic.
    Topic,
}

/// Whose policy is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuery {
    /// Queue or topic.
    pub kind: Kind,
    /// Name without prefix. There need not be such a destination.
    pub name: String,
}

/// How a destination treats its messages and consumers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyView {
    /// Queue or topic.
    pub kind: Kind,
    /// Name without prefix. Comes from clients: hostile.
    pub name: String,
    /// Whether there is such a destination now.
    pub exists: bool,
    /// Whether the configuration declares it.
    pub declared: bool,
    /// Every key.
    pub settings: Vec<SettingView>,
}

/// One key of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingView {
    /// The key.
    pub key: String,
    /// Its value; durations and sizes as text with their unit.
    pub value: serde_json::Value,
    /// What says so: `default`, `[policy]`, or `[[destination]]` and what that matches.
    pub from: String,
}

/// Whether the broker does its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It accepts, routes and stores.
    Ok,
    /// It is draining before it stops.
    Stopping,
    /// It promises nothing more; the text says why.
    Failed(String),
}

/// What the console asks of a broker.
pub trait AdminApi: Send + Sync + 'static {
    /// The broker as a whole.
    fn overview(&self) -> Answer<'_, Overview>;
    /// Queues by name.
    fn queues(&self, query: ListQuery) -> Answer<'_, Listing<QueueView>>;
    /// Topics by name.
    fn topics(&self, query: ListQuery) -> Answer<'_, Listing<TopicView>>;
    /// Connections, the oldest first.
    fn connections(&self, query: ListQuery) -> Answer<'_, Listing<ConnectionView>>;
    /// Durable and shared subscriptions by identity.
    fn subscriptions(&self, query: ListQuery) -> Answer<'_, Listing<SubscriptionView>>;
    /// Messages that are to be delivered later.
    fn scheduled(&self, query: ScheduledQuery) -> Answer<'_, ScheduledPage>;
    /// Takes one of them off the schedule; whether it was there. Answers when that is stored.
    fn unschedule(&self, id: String) -> Answer<'_, bool>;
    /// Messages that wait in a queue.
    fn messages(&self, query: MessagesQuery) -> Answer<'_, MessagePage>;
    /// One of them; none if it does not wait there.
    fn message(&self, query: MessageQuery) -> Answer<'_, Option<MessageView>>;
    /// Deletes or moves some of them. Answers when that is stored.
    fn carry_out(&self, order: Order) -> Answer<'_, Carried>;
    /// Deletes what waits in a queue, or so much of it, for some seconds. Answers when that is stored.
    fn purge(&self, queue: String, limit: Option<u64>) -> Answer<'_, Purged>;
    /// Deletes a durable subscription that nobody uses, by its identity; whether it was there.
    fn forget(&self, identity: String) -> Answer<'_, bool>;
    /// The policy of one destination.
    fn policy(&self, query: PolicyQuery) -> Answer<'_, PolicyView>;
    /// Whether the broker does its work; answers at once.
    fn health(&self) -> Health;
}
