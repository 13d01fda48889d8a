//! Names of queues and topics as a frame carries them.

use std::fmt;
use std::sync::Arc;

/// Where messages are sent to and received from. Cheap to clone.
///
/// Anything that is text converts: `"/queue/orders"` may stand wherever a destination is wanted.
///
/// ```
/// use stompbox_client::Destination;
///
/// assert_eq!(Destination::queue("orders").as_str(), "/queue/orders");
/// assert_eq!(Destination::topic("prices.>").as_str(), "/topic/prices.>");
/// let both = Destination::composite([Destination::queue("a"), Destination::topic("b")]);
/// assert_eq!(both.as_str(), "/queue/a,/topic/b");
/// assert_eq!(Destination::from("/queue/orders"), Destination::queue("orders"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination(Arc<str>);

impl Destination {
    /// A queue: each message goes to one consumer.
    ///
    /// ```
    /// # use stompbox_client::Destination;
    /// assert!(!Destination::queue("orders").is_topic());
    /// ```
    #[must_use]
    pub fn queue(name: impl AsRef<str>) -> Self {
        Self(format!("/queue/{}", name.as_ref()).into())
    }

    /// A topic: each message goes to every subscription.
    ///
    /// ```
    /// # use stompbox_client::Destination;
    /// assert!(Destination::topic("prices").is_topic());
    /// ```
    #[must_use]
    pub fn topic(name: impl AsRef<str>) -> Self {
        Self(format!("/topic/{}", name.as_ref()).into())
    }

    /// A queue that is this connection's own and gone with it. Others may send to it: they are told its name in
    /// [`reply_to`](crate::OutgoingMessage::reply_to).
    ///
    /// ```
    /// # use stompbox_client::Destination;
    /// assert!(Destination::temporary_queue("answers").is_temporary());
    /// ```
    #[must_use]
    pub fn temporary_queue(name: impl AsRef<str>) -> Self {
        Self(format!("/temp-queue/{}", name.as_ref()).into())
    }

    /// A topic that is this connection's own and gone with it.
    ///
    /// ```
    /// # use stompbox_client::Destination;
    /// assert_eq!(Destination::temporary_topic("news").as_str(), "/temp-topic/news");
    /// ```
    #[must_use]
    pub fn temporary_topic(name: impl AsRef<str>) -> Self {
        Self(format!("/temp-topic/{}", name.as_ref()).into())
    }

    /// Several at once: a message sent to it goes to each, all or none; a subscription takes from each.
    ///
    /// ```
    /// # use stompbox_client::Destination;
    /// let both = Destination::composite(["/queue/a".into(), "/queue/b".into()]);
    /// assert_eq!(both.to_string(), "/queue/a,/queue/b");
    /// ```
    #[must_use]
    pub fn composite(members: impl IntoIterator<Item = Destination>) -> Self {
        let names: Vec<String> = members.into_iter().map(|name| name.to_string()).collect();
        Self(names.join(",").into())
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a topic, temporary or not.
    #[must_use]
    pub fn is_topic(&self) -> bool {
        self.0.starts_with("/topic/") || self.0.starts_with("/temp-topic/")
    }

    /// Whether it goes with the connection.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.0.starts_with("/temp-")
    }
}

/// Whether a broker keeps what is unacknowledged of a destination when the connection is lost, and delivers it again.
/// What is unknown counts as a private queue, which does not outlive its subscription.
pub(crate) fn outlives_connection(name: &str) -> bool {
    !name.starts_with('/') || name.starts_with("/queue/") || name.starts_with("/amq/queue/")
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.0)
    }
}

impl AsRef<str> for Destination {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Destination {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Destination {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<&String> for Destination {
    fn from(name: &String) -> Self {
        Self(name.as_str().into())
    }
}

impl From<&Destination> for Destination {
    fn from(name: &Destination) -> Self {
        name.clone()
    }
}

impl From<std::borrow::Cow<'_, str>> for Destination {
    fn from(name: std::borrow::Cow<'_, str>) -> Self {
        Self(name.into())
    }
}

#[cfg(test)]
mod tests {
    use super::outlives_connection;

    #[test]
    fn what_is_unacknowledged_comes_again_only_from_queues() {
        for name in ["/queue/a", "plain", "/amq/queue/a"] {
            assert!(outlives_connection(name), "{name}");
        }
        for name in [
            "/topic/a",
            "/temp-queue/a",
            "/temp-topic/a",
            "/exchange/a/b",
        ] {
            assert!(!outlives_connection(name), "{name}");
        }
    }
}
