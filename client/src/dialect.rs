//! What brokers make of the same headers: known by the name that they give themselves.
//!
//! *Invariant.* What a broker would silently ignore or misread is refused here, with the reason.

use std::fmt;

use stompbox_protocol::Version;

/// A broker that differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Stompbox,
    ActiveMq,
    Artemis,
    RabbitMq,
    /// One that is not known; it is taken at its word.
    Other,
}

/// Something that not every broker has.
///
/// ```
/// use stompbox_client::Feature;
///
/// assert_eq!(Feature::Browser.to_string(), "a queue browser");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// NACK, which came with STOMP 1.1.
    Nack,
    /// A selector on a subscription.
    Selector,
    /// A shared subscription that is not durable.
    SharedSubscription,
    /// A shared durable subscription.
    SharedDurableSubscription,
    /// Browsing a queue.
    Browser,
    /// Temporary queues and topics.
    TemporaryDestination,
    /// Taking back acknowledgements with a transaction.
    TransactedAcknowledgement,
    /// Recognising a message that is sent again by its duplicate-detection id.
    DuplicateDetection,
    /// Delivery after a delay.
    Delay,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nack => "NACK",
            Self::Selector => "a selector",
            Self::SharedSubscription => "a shared subscription",
            Self::SharedDurableSubscription => "a shared durable subscription",
            Self::Browser => "a queue browser",
            Self::TemporaryDestination => "a temporary destination",
            Self::TransactedAcknowledgement => "an acknowledgement in a transaction",
            Self::DuplicateDetection => "duplicate detection",
            Self::Delay => "a delay",
        })
    }
}

/// How acknowledgements that were taken back with their transaction become deliveries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakeBack {
    /// The broker sees to it.
    Broker,
    /// They are open again and stay with the subscription: it must be made anew.
    Resubscribe,
    /// They are open again: NACK returns them.
    Nack,
}

impl Dialect {
    /// From the header `server` of CONNECTED.
    pub(crate) fn of(server: Option<&str>) -> Self {
        let server = server.unwrap_or_default();
        [
            ("stompbox", Self::Stompbox),
            ("ActiveMQ-Artemis", Self::Artemis),
            ("apache-activemq-artemis", Self::Artemis),
            ("ActiveMQ", Self::ActiveMq),
            ("RabbitMQ", Self::RabbitMq),
        ]
        .into_iter()
        .find_map(|(name, dialect)| server.starts_with(name).then_some(dialect))
        .unwrap_or(Self::Other)
    }

    /// Whether it has a feature.
    pub(crate) fn has(self, feature: Feature, version: Version) -> bool {
        match (feature, self) {
            (Feature::Nack, _) => version > Version::V1_0,
            (Feature::Browser, Self::Artemis | Self::RabbitMq) => false,
            (Feature::Browser, _) => version > Version::V1_0,
            (Feature::Selector | Feature::Delay, dialect) => dialect != Self::RabbitMq,
            (Feature::SharedSubscription, dialect) => {
                matches!(dialect, Self::Stompbox | Self::Other)
            }
            (Feature::SharedDurableSubscription, dialect) => {
                matches!(dialect, Self::Stompbox | Self::Other | Self::RabbitMq)
            }
            (Feature::TemporaryDestination | Feature::TransactedAcknowledgement, dialect) => {
                dialect != Self::Artemis
            }
            (Feature::DuplicateDetection, dialect) => {
                matches!(dialect, Self::Stompbox | Self::Artemis)
            }
        }
    }

    /// What a rollback takes.
    pub(crate) fn take_back(self) -> TakeBack {
        match self {
            Self::Stompbox | Self::Artemis | Self::Other => TakeBack::Broker,
            Self::ActiveMq => TakeBack::Resubscribe,
            Self::RabbitMq => TakeBack::Nack,
        }
    }

    /// Whether UNSUBSCRIBE returns what is unacknowledged. Elsewhere it stays with the connection until that ends.
    pub(crate) fn returns_on_unsubscribe(self) -> bool {
        self != Self::RabbitMq
    }

    /// Whether a temporary queue is received from without SUBSCRIBE, under a subscription id that is its name.
    pub(crate) fn subscribes_temporary(self) -> bool {
        self != Self::RabbitMq
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Feature};
    use stompbox_protocol::Version;

    #[test]
    fn brokers_are_known_by_their_names() {
        for (server, dialect) in [
            (Some("stompbox/0.1.0"), Dialect::Stompbox),
            (Some("ActiveMQ/5.17.2"), Dialect::ActiveMq),
            (
                Some("ActiveMQ-Artemis/2.31.0 ActiveMQ Artemis Messaging Engine"),
                Dialect::Artemis,
            ),
            (Some("RabbitMQ/3.10.8"), Dialect::RabbitMq),
            (Some("CoilMQ"), Dialect::Other),
            (None, Dialect::Other),
        ] {
            assert_eq!(Dialect::of(server), dialect, "{server:?}");
        }
    }

    #[test]
    fn only_who_recognises_repeats_is_asked_to() {
        let has = |dialect: Dialect| dialect.has(Feature::DuplicateDetection, Version::V1_2);
        assert!(has(Dialect::Stompbox) && has(Dialect::Artemis));
        assert!(!has(Dialect::ActiveMq) && !has(Dialect::RabbitMq) && !has(Dialect::Other));
    }
}
