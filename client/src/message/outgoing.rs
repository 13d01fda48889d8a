//! A message to be sent.

use std::time::Duration;

use bytes::Bytes;
use stompbox_protocol::canonical;

use crate::trace::TraceContext;
use crate::{Destination, Message};

/// Headers of a SEND that a caller does not write as headers; the encoder sees to `content-length`.
const RESERVED: [&str; 5] = [
    "destination",
    "transaction",
    "receipt",
    "content-length",
    "message-id",
];

/// Headers of a MESSAGE that the broker has put there for one delivery.
const OF_DELIVERY: [&str; 12] = [
    "subscription",
    "ack",
    "redelivered",
    "JMSXDeliveryCount",
    "timestamp",
    "expires",
    "persistent",
    "priority",
    "reply-to",
    "correlation-id",
    "traceparent",
    "tracestate",
];

/// Whether a message outlives the broker.
///
/// ```
/// use stompbox_client::DeliveryMode;
///
/// assert_eq!(DeliveryMode::default(), DeliveryMode::Persistent);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeliveryMode {
    /// It is on the broker's disk before it is confirmed.
    #[default]
    Persistent,
    /// It is kept in memory and lost with the broker.
    NonPersistent,
}

/// A message to be sent: a body, headers, and how it is to be delivered.
///
/// What is not said here is taken from the [`Producer`](crate::Producer). Text and bytes convert, so that
/// `producer.send("hello")` does.
///
/// ```
/// use std::time::Duration;
/// use stompbox_client::{DeliveryMode, OutgoingMessage};
///
/// let order = OutgoingMessage::text("one tea")
///     .header("region", "north")
///     .priority(7)
///     .time_to_live(Duration::from_secs(60))
///     .group("table-4");
/// let tick = OutgoingMessage::from(vec![1, 2, 3]).delivery_mode(DeliveryMode::NonPersistent);
/// # assert_eq!(order.body(), b"one tea");
/// # assert_eq!(tick.body(), [1, 2, 3]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutgoingMessage {
    /// In the escapes of STOMP 1.2.
    pub(crate) headers: Vec<u8>,
    pub(crate) body: Bytes,
    pub(crate) delivery_mode: Option<DeliveryMode>,
    pub(crate) priority: Option<u8>,
    pub(crate) time_to_live: Option<Duration>,
    pub(crate) delay: Option<Duration>,
    pub(crate) deduplication_id: Option<Box<str>>,
    pub(crate) trace: Option<Box<TraceContext>>,
}

impl OutgoingMessage {
    /// A message of bytes.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// assert_eq!(OutgoingMessage::new([1, 2, 3].as_slice()).body(), [1, 2, 3]);
    /// ```
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// A message of text, marked `content-type:text/plain`.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// assert_eq!(OutgoingMessage::text("tea").body(), b"tea");
    /// ```
    pub fn text(body: impl Into<String>) -> Self {
        Self::new(body.into()).header("content-type", "text/plain")
    }

    /// A message of JSON, marked `content-type:application/json`.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let order = OutgoingMessage::json(&("tea", 1))?;
    /// assert_eq!(order.body(), br#"["tea",1]"#);
    /// # Ok::<(), stompbox_client::ClientError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The value cannot be written as JSON.
    #[cfg(feature = "json")]
    pub fn json(value: &impl serde::Serialize) -> Result<Self, crate::ClientError> {
        let body = serde_json::to_vec(value)
            .map_err(|error| crate::ClientError::invalid("JSON body", error))?;
        Ok(Self::new(body).header("content-type", "application/json"))
    }

    /// A message with the body and the own headers of one that came. What belonged to that delivery stays behind: its
    /// id, times and reply address.
    ///
    /// ```
    /// # use stompbox_client::{Message, OutgoingMessage};
    /// fn forwarded(message: &Message) -> OutgoingMessage {
    ///     OutgoingMessage::copy_of(message).header("via", "bridge")
    /// }
    /// ```
    #[must_use]
    pub fn copy_of(message: &Message) -> Self {
        let mut copy = Self::new(message.body_bytes());
        for (name, value) in message.headers() {
            let is_own = |known: &[&str]| !known.iter().any(|known| known.as_bytes() == &*name);
            if is_own(&RESERVED) && is_own(&OF_DELIVERY) {
                canonical::push_decoded(&mut copy.headers, &name, &value);
            }
        }
        copy
    }

    /// Adds a header, a string property of the message. Of several with one name the first counts. `destination`,
    /// `transaction`, `receipt`, `content-length` and `message-id` are left out: they are not the sender's to write.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let order = OutgoingMessage::text("tea").header("region", "north").header("urgent", "true");
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        if !RESERVED.contains(&name) {
            canonical::push_decoded(&mut self.headers, name.as_bytes(), value.as_bytes());
        }
        self
    }

    /// As [`header`](Self::header), before those of the same name.
    pub(crate) fn header_first(mut self, name: &str, value: &str) -> Self {
        let mut headers = Vec::new();
        canonical::push_decoded(&mut headers, name.as_bytes(), value.as_bytes());
        headers.append(&mut self.headers);
        self.headers = headers;
        self
    }

    /// What relates it to another message: the `JMSCorrelationID`.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let answer = OutgoingMessage::text("yes").correlation_id("question-7");
    /// ```
    #[must_use]
    pub fn correlation_id(self, id: impl AsRef<str>) -> Self {
        self.header("correlation-id", id)
    }

    /// Where an answer is to be sent: the `JMSReplyTo`.
    ///
    /// ```
    /// # use stompbox_client::{Destination, OutgoingMessage};
    /// let question = OutgoingMessage::text("tea?").reply_to(Destination::queue("answers"));
    /// ```
    #[must_use]
    pub fn reply_to(self, destination: impl Into<Destination>) -> Self {
        self.header("reply-to", destination.into())
    }

    /// What kind of message it is: the `JMSType`.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let order = OutgoingMessage::text("tea").kind("order");
    /// ```
    #[must_use]
    pub fn kind(self, kind: impl AsRef<str>) -> Self {
        self.header("type", kind)
    }

    /// What its body is.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let page = OutgoingMessage::from("<p>tea</p>").content_type("text/html");
    /// ```
    #[must_use]
    pub fn content_type(self, media_type: impl AsRef<str>) -> Self {
        self.header("content-type", media_type)
    }

    /// Makes it part of a group: all messages of a group go to one consumer, as long as that is there.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let order = OutgoingMessage::text("tea").group("table-4");
    /// ```
    #[must_use]
    pub fn group(self, id: impl AsRef<str>) -> Self {
        self.header("JMSXGroupID", id)
    }

    /// Its place in its group; -1 closes the group.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let last = OutgoingMessage::text("the bill").group("table-4").group_sequence(-1);
    /// ```
    #[must_use]
    pub fn group_sequence(self, number: i32) -> Self {
        self.header("JMSXGroupSeq", number.to_string())
    }

    /// Whether it outlives the broker.
    ///
    /// ```
    /// # use stompbox_client::{DeliveryMode, OutgoingMessage};
    /// let tick = OutgoingMessage::text("12:00").delivery_mode(DeliveryMode::NonPersistent);
    /// ```
    #[must_use]
    pub fn delivery_mode(mut self, mode: DeliveryMode) -> Self {
        self.delivery_mode = Some(mode);
        self
    }

    /// From 0 to 9, higher first; 4 is usual, and 9 what is above it.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let alarm = OutgoingMessage::text("fire").priority(9);
    /// ```
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority.min(9));
        self
    }

    /// How long it is of use, from when it is given to a producer.
    ///
    /// ```
    /// # use {stompbox_client::OutgoingMessage, std::time::Duration};
    /// let price = OutgoingMessage::text("3.20").time_to_live(Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// How long the broker waits before it delivers it.
    ///
    /// ```
    /// # use {stompbox_client::OutgoingMessage, std::time::Duration};
    /// let reminder = OutgoingMessage::text("tea time").delay(Duration::from_secs(600));
    /// ```
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// By which the broker recognises it if it is sent again. One derived from what caused the message (the id of the
    /// message that is answered, say) makes the whole step safe to repeat. Without one here, one is made up for each
    /// message whose sending is confirmed.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// let order = OutgoingMessage::text("tea").deduplication_id("order-4711");
    /// ```
    #[must_use]
    pub fn deduplication_id(mut self, id: impl Into<String>) -> Self {
        self.deduplication_id = Some(id.into().into_boxed_str());
        self
    }

    /// The trace that it belongs to; carried as `traceparent` and `tracestate`.
    ///
    /// ```
    /// # use stompbox_client::{OutgoingMessage, TraceContext};
    /// let order = OutgoingMessage::text("tea").trace(TraceContext::new_root());
    /// ```
    #[must_use]
    pub fn trace(mut self, context: TraceContext) -> Self {
        self.trace = Some(Box::new(context));
        self
    }

    /// Its body.
    ///
    /// ```
    /// # use stompbox_client::OutgoingMessage;
    /// assert_eq!(OutgoingMessage::from("tea").body(), b"tea");
    /// ```
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl From<&str> for OutgoingMessage {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for OutgoingMessage {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Vec<u8>> for OutgoingMessage {
    fn from(body: Vec<u8>) -> Self {
        Self::new(body)
    }
}

impl From<Bytes> for OutgoingMessage {
    fn from(body: Bytes) -> Self {
        Self::new(body)
    }
}

impl From<&OutgoingMessage> for OutgoingMessage {
    fn from(message: &OutgoingMessage) -> Self {
        message.clone()
    }
}
