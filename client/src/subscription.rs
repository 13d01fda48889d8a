//! Subscriptions: what is asked for, and the handle of one.

use std::borrow::Borrow;

use crate::outbound::Headers;

/// How the messages of a subscription are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// Not at all: a message is gone when the broker has sent it.
    Auto,
    /// Each acknowledges those before it too.
    Client,
    /// Each for itself.
    #[default]
    ClientIndividual,
}

impl Acknowledge {
    /// As in the header `ack`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Client => "client",
            Self::ClientIndividual => "client-individual",
        }
    }
}

/// What to subscribe to, and how.
///
/// ```
/// use stompbox_client::{Acknowledge, SubscribeOptions};
///
/// let options = SubscribeOptions::to("/topic/prices")
///     .acknowledge(Acknowledge::Auto)
///     .selector("currency = 'EUR'")
///     .header("activemq.prefetchSize", "500");
/// ```
#[derive(Debug, Clone)]
pub struct SubscribeOptions {
    pub(crate) destination: String,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) headers: Vec<(String, String)>,
}

impl SubscribeOptions {
    /// A subscription to a destination, acknowledged message by message.
    pub fn to(destination: impl Into<String>) -> Self {
        Self {
            destination: destination.into(),
            acknowledge: Acknowledge::default(),
            headers: Vec::new(),
        }
    }

    /// Chooses how messages are acknowledged.
    #[must_use]
    pub fn acknowledge(mut self, acknowledge: Acknowledge) -> Self {
        self.acknowledge = acknowledge;
        self
    }

    /// Takes only messages for which a condition over their headers holds.
    #[must_use]
    pub fn selector(self, selector: impl Into<String>) -> Self {
        self.header("selector", selector)
    }

    /// Makes it durable: under this name, and the connection's client id, messages are kept while nobody is connected.
    #[must_use]
    pub fn durable(self, name: impl Into<String>) -> Self {
        self.header("activemq.subscriptionName", name)
    }

    /// Limits the unacknowledged messages.
    #[must_use]
    pub fn prefetch(self, messages: u32) -> Self {
        self.header("activemq.prefetchSize", messages.to_string())
    }

    /// Adds any other header; `id`, `destination` and `ack` are taken.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn headers<'a>(&'a self, id: &'a SubscriptionId) -> Headers<'a> {
        let mut headers: Headers<'a> = vec![
            ("id", id.as_str()),
            ("destination", &self.destination),
            ("ack", self.acknowledge.as_str()),
        ];
        headers.extend(
            self.headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        headers
    }
}

/// A subscription of a connection, for [`unsubscribe`](crate::Connection::unsubscribe).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubscriptionId(String);

impl SubscriptionId {
    pub(crate) fn new(number: u64) -> Self {
        Self(format!("s{number}"))
    }

    /// The id on the wire: what [`Message::subscription`](crate::Message::subscription) returns.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SubscriptionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}
