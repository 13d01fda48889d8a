//! What to subscribe to, and how.

use stompbox_protocol::{Version, canonical, encode};

use crate::dialect::{Dialect, Feature};
use crate::{AcknowledgeMode, ClientError, Destination};

/// As many as ActiveMQ's clients take, and stompbox gives where nothing is asked for.
pub(crate) const PREFETCH_DEFAULT: u32 = 1_000;

/// Artemis counts bytes, so that a number of messages becomes a guess.
const ARTEMIS_MESSAGE_BYTES: u64 = 1 << 10;

/// Headers of a SUBSCRIBE that have calls of their own.
const RESERVED: [&str; 4] = ["id", "destination", "ack", "receipt"];

/// What to subscribe to, and how. The name of a destination alone converts.
///
/// ```
/// use stompbox_client::Subscription;
///
/// let prices = Subscription::to("/topic/prices")
///     .selector("currency = 'EUR' AND price < 10")
///     .durable("bookkeeping")
///     .prefetch(100);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub(crate) destination: Destination,
    pub(crate) prefetch: u32,
    kind: Kind,
    selector: Option<String>,
    /// In the escapes of STOMP 1.2.
    headers: Vec<u8>,
}

/// What becomes of it without its consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Plain,
    Durable(String),
    SharedDurable(String),
    Shared(String),
}

/// What is done with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Consume(AcknowledgeMode),
    Browse,
}

impl Subscription {
    /// A subscription to a destination.
    ///
    /// ```
    /// # use stompbox_client::{Destination, Subscription};
    /// let orders = Subscription::to(Destination::queue("orders"));
    /// ```
    pub fn to(destination: impl Into<Destination>) -> Self {
        Self {
            destination: destination.into(),
            prefetch: PREFETCH_DEFAULT,
            kind: Kind::Plain,
            selector: None,
            headers: Vec::new(),
        }
    }

    /// Takes only messages for which a condition over their headers holds, in the SQL of JMS.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let large = Subscription::to("/queue/orders").selector("amount > 100 AND region = 'north'");
    /// ```
    #[must_use]
    pub fn selector(mut self, condition: impl Into<String>) -> Self {
        self.selector = Some(condition.into());
        self
    }

    /// How many messages the broker sends ahead of their acknowledgement; at least one. Many make a fast consumer
    /// faster; few leave more for the others, and 1 is right where each message takes long. Default: 1,000.
    ///
    /// In a session of mode [`Unacknowledged`](AcknowledgeMode::Unacknowledged) it is how many wait here before the
    /// connection is no longer read.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let slow_work = Subscription::to("/queue/videos").prefetch(1);
    /// ```
    #[must_use]
    pub fn prefetch(mut self, messages: u32) -> Self {
        self.prefetch = messages.max(1);
        self
    }

    /// Keeps the messages of a topic under this name and the connection's client id while no consumer is there.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let audit = Subscription::to("/topic/prices").durable("audit");
    /// ```
    #[must_use]
    pub fn durable(mut self, name: impl Into<String>) -> Self {
        self.kind = Kind::Durable(name.into());
        self
    }

    /// As [`durable`](Self::durable), for any number of consumers, of which each message goes to one.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let workers = Subscription::to("/topic/orders").shared_durable("packing");
    /// ```
    #[must_use]
    pub fn shared_durable(mut self, name: impl Into<String>) -> Self {
        self.kind = Kind::SharedDurable(name.into());
        self
    }

    /// Shares the messages of a topic among all consumers of this name, as long as one is there.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let displays = Subscription::to("/topic/orders").shared("displays");
    /// ```
    #[must_use]
    pub fn shared(mut self, name: impl Into<String>) -> Self {
        self.kind = Kind::Shared(name.into());
        self
    }

    /// Takes all messages of the queue, as long as this consumer is there; the next one takes over.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let in_order = Subscription::to("/queue/orders").exclusive();
    /// ```
    #[must_use]
    pub fn exclusive(self) -> Self {
        self.header("activemq.exclusive", "true")
    }

    /// Consumers of a higher priority are served first; 0 is usual.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let near = Subscription::to("/queue/orders").priority(10);
    /// ```
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        let priority = priority.to_string();
        self.header("activemq.priority", &priority)
            .header("x-priority", &priority)
    }

    /// Takes nothing that this connection has sent.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let others = Subscription::to("/topic/chat").no_local();
    /// ```
    #[must_use]
    pub fn no_local(self) -> Self {
        self.header("activemq.noLocal", "true")
            .header("no-local", "true")
    }

    /// Begins with what the topic has kept of its last messages.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let with_last = Subscription::to("/topic/prices").retroactive();
    /// ```
    #[must_use]
    pub fn retroactive(self) -> Self {
        self.header("activemq.retroactive", "true")
    }

    /// Adds any other header to the SUBSCRIBE; `id`, `destination`, `ack` and `receipt` are left out.
    ///
    /// ```
    /// # use stompbox_client::Subscription;
    /// let bounded = Subscription::to("/topic/prices").header("activemq.maximumPendingMessageLimit", "100");
    /// ```
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        if !RESERVED.contains(&name) {
            canonical::push_decoded(&mut self.headers, name.as_bytes(), value.as_bytes());
        }
        self
    }

    /// Whether the broker keeps it when its connection is lost.
    pub(crate) fn is_durable(&self) -> bool {
        matches!(self.kind, Kind::Durable(_) | Kind::SharedDurable(_))
    }

    /// The id on the wire, where it cannot be a number.
    pub(crate) fn fixed_id(&self, dialect: Dialect) -> Option<&str> {
        match &self.kind {
            // There a durable subscription is known by destination and id.
            Kind::Durable(name) | Kind::SharedDurable(name) if dialect == Dialect::RabbitMq => {
                Some(name)
            }
            _ if self.is_implied(dialect) => Some(self.destination.as_str()),
            Kind::Plain | Kind::Durable(_) | Kind::SharedDurable(_) | Kind::Shared(_) => None,
        }
    }

    /// Whether the broker makes it by itself when the destination is named in a `reply-to`.
    pub(crate) fn is_implied(&self, dialect: Dialect) -> bool {
        !dialect.subscribes_temporary() && self.destination.as_str().starts_with("/temp-queue/")
    }

    /// Refuses what the broker would ignore.
    pub(crate) fn check(
        &self,
        purpose: Purpose,
        dialect: Dialect,
        version: Version,
        server: &str,
    ) -> Result<(), ClientError> {
        let wanted = [
            (self.selector.is_some(), Feature::Selector),
            (purpose == Purpose::Browse, Feature::Browser),
            (
                matches!(self.kind, Kind::Shared(_)),
                Feature::SharedSubscription,
            ),
            (
                matches!(self.kind, Kind::SharedDurable(_)),
                Feature::SharedDurableSubscription,
            ),
            (
                self.destination.is_temporary(),
                Feature::TemporaryDestination,
            ),
            (
                purpose == Purpose::Consume(AcknowledgeMode::Transacted),
                Feature::TransactedAcknowledgement,
            ),
        ];
        let missing = wanted
            .into_iter()
            .find(|(is_wanted, feature)| *is_wanted && !dialect.has(*feature, version));
        match missing {
            None => Ok(()),
            Some((_, feature)) => Err(ClientError::Unsupported {
                feature,
                server: format!("{server} in STOMP {version}"),
            }),
        }
    }

    /// The headers of a SUBSCRIBE, after `id` and `receipt`.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        purpose: Purpose,
        dialect: Dialect,
        version: Version,
    ) {
        let mut header = |name: &str, value: &str| {
            encode::header(out, version, name.as_bytes(), value.as_bytes());
        };
        header("destination", self.destination.as_str());
        header("ack", ack_mode(purpose));
        if purpose == Purpose::Browse {
            header("browser", "true");
        }
        if let Some(condition) = &self.selector {
            header("selector", condition);
        }
        let prefetch = self.prefetch.to_string();
        match dialect {
            Dialect::Stompbox | Dialect::ActiveMq => header("activemq.prefetchSize", &prefetch),
            Dialect::RabbitMq => header("prefetch-count", &prefetch),
            Dialect::Artemis => {
                let bytes = match self.prefetch {
                    // One at a time.
                    1 => 0,
                    many => u64::from(many) * ARTEMIS_MESSAGE_BYTES,
                };
                header("consumer-window-size", &bytes.to_string());
            }
            Dialect::Other => {
                header("activemq.prefetchSize", &prefetch);
                header("prefetch-count", &prefetch);
            }
        }
        self.write_kind(out, dialect, version);
        canonical::write(
            out,
            &self.headers,
            version,
            canonical::has_escapes(&self.headers),
        );
    }

    /// The headers by which a durable or shared subscription is known.
    pub(crate) fn write_kind(&self, out: &mut Vec<u8>, dialect: Dialect, version: Version) {
        let mut header = |name: &str, value: &str| {
            encode::header(out, version, name.as_bytes(), value.as_bytes());
        };
        match &self.kind {
            Kind::Plain => {}
            Kind::Shared(name) => header("x-shared-name", name),
            Kind::Durable(_) | Kind::SharedDurable(_) if dialect == Dialect::RabbitMq => {
                header("durable", "true");
                header("auto-delete", "false");
            }
            Kind::Durable(name) | Kind::SharedDurable(name) => {
                if dialect != Dialect::Artemis {
                    header("activemq.subscriptionName", name);
                }
                if matches!(dialect, Dialect::Artemis | Dialect::Other) {
                    header("durable-subscription-name", name);
                }
                if matches!(self.kind, Kind::SharedDurable(_)) {
                    header("x-shared", "true");
                }
            }
        }
    }
}

fn ack_mode(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Browse | Purpose::Consume(AcknowledgeMode::Unacknowledged) => "auto",
        Purpose::Consume(AcknowledgeMode::Client) => "client",
        Purpose::Consume(
            AcknowledgeMode::Auto | AcknowledgeMode::Individual | AcknowledgeMode::Transacted,
        ) => "client-individual",
    }
}

impl<D: Into<Destination>> From<D> for Subscription {
    fn from(destination: D) -> Self {
        Self::to(destination)
    }
}

impl From<&Subscription> for Subscription {
    fn from(subscription: &Subscription) -> Self {
        subscription.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Subscription};
    use crate::dialect::{Dialect, Feature};
    use crate::{AcknowledgeMode, ClientError};
    use stompbox_protocol::Version;

    const CONSUME: Purpose = Purpose::Consume(AcknowledgeMode::Individual);

    fn written(subscription: &Subscription, purpose: Purpose, dialect: Dialect) -> String {
        let mut out = Vec::new();
        subscription.write(&mut out, purpose, dialect, Version::V1_2);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_broker_is_told_in_its_own_words() {
        let plain = Subscription::to("/topic/a").prefetch(7).selector("a = 1");
        assert_eq!(
            written(&plain, CONSUME, Dialect::Stompbox),
            "destination:/topic/a\nack:client-individual\nselector:a = 1\nactivemq.prefetchSize:7\n"
        );
        assert!(written(&plain, CONSUME, Dialect::RabbitMq).contains("prefetch-count:7\n"));
        assert!(written(&plain, CONSUME, Dialect::Artemis).contains("consumer-window-size:7168\n"));
        let durable = Subscription::to("/topic/a").durable("d");
        let shared = Subscription::to("/topic/a").shared_durable("d");
        for (subscription, dialect, expected) in [
            (&durable, Dialect::Stompbox, "activemq.subscriptionName:d\n"),
            (&durable, Dialect::Artemis, "durable-subscription-name:d\n"),
            (
                &durable,
                Dialect::RabbitMq,
                "durable:true\nauto-delete:false\n",
            ),
            (
                &shared,
                Dialect::Stompbox,
                "activemq.subscriptionName:d\nx-shared:true\n",
            ),
        ] {
            let text = written(subscription, CONSUME, dialect);
            assert!(text.ends_with(expected), "{dialect:?}: {text}");
        }
        assert_eq!(durable.fixed_id(Dialect::RabbitMq), Some("d"));
        assert_eq!(durable.fixed_id(Dialect::Stompbox), None);
    }

    #[test]
    fn each_mode_has_its_acknowledgements() {
        let ack = |mode| {
            let text = written(&"/queue/a".into(), Purpose::Consume(mode), Dialect::Other);
            let (_, rest) = text.split_once("ack:").expect("ack");
            rest.lines().next().map(str::to_owned).expect("a value")
        };
        assert_eq!(ack(AcknowledgeMode::Auto), "client-individual");
        assert_eq!(ack(AcknowledgeMode::Individual), "client-individual");
        assert_eq!(ack(AcknowledgeMode::Transacted), "client-individual");
        assert_eq!(ack(AcknowledgeMode::Client), "client");
        assert_eq!(ack(AcknowledgeMode::Unacknowledged), "auto");
        let browser = written(&"/queue/a".into(), Purpose::Browse, Dialect::Stompbox);
        assert!(browser.contains("ack:auto\nbrowser:true\n"), "{browser}");
    }

    #[test]
    fn what_a_broker_would_ignore_is_refused() {
        let missing = |subscription: Subscription, purpose, dialect| match subscription.check(
            purpose,
            dialect,
            Version::V1_2,
            "x",
        ) {
            Ok(()) => None,
            Err(ClientError::Unsupported { feature, .. }) => Some(feature),
            Err(other) => panic!("{other}"),
        };
        let selected = Subscription::to("/queue/a").selector("a = 1");
        assert_eq!(missing(selected.clone(), CONSUME, Dialect::Stompbox), None);
        assert_eq!(
            missing(selected, CONSUME, Dialect::RabbitMq),
            Some(Feature::Selector)
        );
        let shared = Subscription::to("/topic/a").shared("s");
        assert_eq!(
            missing(shared, CONSUME, Dialect::ActiveMq),
            Some(Feature::SharedSubscription)
        );
        assert_eq!(
            missing("/queue/a".into(), Purpose::Browse, Dialect::RabbitMq),
            Some(Feature::Browser)
        );
        let transacted = Purpose::Consume(AcknowledgeMode::Transacted);
        assert_eq!(
            missing("/queue/a".into(), transacted, Dialect::Artemis),
            Some(Feature::TransactedAcknowledgement)
        );
        let temporary = Subscription::to("/temp-queue/a");
        assert_eq!(
            missing(temporary.clone(), CONSUME, Dialect::Artemis),
            Some(Feature::TemporaryDestination)
        );
        assert!(temporary.is_implied(Dialect::RabbitMq));
    }
}
