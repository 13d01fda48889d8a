//! Messages that wait in a queue: what is seen of them and what may be done to them.

use serde::{Deserialize, Serialize};

/// Which of the messages that wait in a queue are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagesQuery {
    /// Name of the queue, without prefix.
    pub queue: String,
    /// Skip so many.
    #[serde(default)]
    pub offset: usize,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<usize>,
}

/// Which message is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageQuery {
    /// Name of its queue, without prefix.
    pub queue: String,
    /// Its `message-id`.
    pub id: String,
}

/// Messages that wait in a queue, in the order of their delivery. Those with a consumer and those that wait out a
/// redelivery delay are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MessagePage {
    /// Some of them, each with the beginning of its body.
    pub items: Vec<MessageView>,
    /// Whether others follow.
    pub more: bool,
}

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// Its `message-id`.
    pub id: String,
    /// Its priority.
    pub priority: u8,
    /// When it was sent, ms since 1970; its sender may have said so.
    pub timestamp_ms: i64,
    /// When it expires, ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Whether it survives the broker.
    pub persistent: bool,
    /// How often it was delivered and came back.
    pub deliveries: u32,
    /// Bytes of its headers and body.
    pub bytes: u64,
    /// Where it became a dead letter, with prefix; none if it is not one. Comes from clients: hostile.
    pub original_destination: Option<String>,
    /// What its sender wrote, behind what a dead letter says of itself. Comes from clients: hostile.
    pub headers: Vec<HeaderView>,
    /// Its body.
    pub body: BodyView,
}

/// A header, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HeaderView {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The beginning of a body. Comes from clients: hostile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BodyView {
    /// How `content` is written.
    pub encoding: BodyEncoding,
    /// So much of it as is shown.
    pub content: String,
    /// Bytes of the body that `content` stands for.
    pub shown_bytes: u64,
    /// Bytes of the body.
    pub bytes: u64,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyEncoding {
    /// It is UTF-8.
    #[default]
    Text,
    /// It is not: two digits a byte.
    Hex,
}

/// Something to be done to messages that wait in a queue: to all of them at once, or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Name of the queue, without prefix.
    pub queue: String,
    /// The `message-id` of each.
    pub ids: Vec<String>,
    /// What.
    pub action: Action,
}

/// What is done to messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// They go.
    Delete,
    /// They go to this destination, with prefix, as new messages.
    Move(String),
    /// Dead letters go back to the queue that they come from, as new messages.
    Retry,
}

/// What became of an [`Order`], when it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Messages that it was carried out for.
    pub done: u64,
    /// The others: they have gone, or are with a consumer.
    pub missing: Vec<String>,
}

/// What became of emptying a queue, when it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// Messages that were deleted.
    pub done: u64,
    /// Whether the time was over before there were none.
    pub more: bool,
}
