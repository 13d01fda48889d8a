//! What the broker says about itself as a message: facts by name, each a header of its own, and all of them once more
//! as a JSON object in the body.
//!
//! *Invariant*: a report says what is known at its making, or leaves it out.

use std::sync::Arc;

use serde::Serializer as _;
use serde_json::Value;
use stompbox_protocol::canonical;

use crate::core::clock::Now;
use crate::core::destination::{DestinationKind, DestinationName};
use crate::core::memory::MemoryBudget;
use crate::core::message::{Body, DeliveryMode, Message, Priority, Publication, Target};

/// What ActiveMQ gives as the type of everything that its broker says (`type`).
const TYPE: &[u8] = b"Advisory";

const CONTENT_TYPE: &[u8] = b"application/json";

/// What this broker calls itself.
const BROKER_NAME: &str = "stompbox";

/// Facts by name, in the order in which they are told.
#[derive(Debug)]
pub(super) struct Report {
    facts: Vec<(&'static str, Value)>,
    correlation_id: Option<Vec<u8>>,
}

impl Report {
    /// One of a broker whose database has this name; `name` and `id` are what its facts are called.
    fn of(name: &'static str, id: &'static str, instance: &str) -> Self {
        Self {
            facts: vec![
                (name, Value::from(BROKER_NAME)),
                (id, Value::from(format!("ID:{instance}"))),
            ],
            correlation_id: None,
        }
    }

    /// The beginning of an advisory.
    pub(super) fn advisory(instance: &str) -> Self {
        Self::of("originBrokerName", "originBrokerId", instance)
    }

    /// The beginning of statistics.
    pub(super) fn statistics(instance: &str) -> Self {
        Self::of("brokerName", "brokerId", instance)
    }

    /// Adds a fact.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.facts.push((name, value.into()));
        self
    }

    /// Adds a fact if it is known.
    pub(super) fn with_known(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Answers the message that said this.
    pub(super) fn answering(mut self, correlation_id: Option<&[u8]>) -> Self {
        self.correlation_id = correlation_id.map(<[u8]>::to_vec);
        self
    }

    /// As a non-persistent message to this destination.
    pub(super) fn into_publication(
        self,
        to: Arc<DestinationName>,
        budget: &Arc<MemoryBudget>,
        now: Now,
    ) -> Publication {
        let head = self.head();
        let body = self.body();
        let charge = budget.charge(head.len() + body.len());
        let body = Body::Borrowed(&body);
        let message = Message::new(&head, body, Priority::DEFAULT, now.wall_ms, charge);
        Publication {
            target: Target::One(to),
            message: Arc::new(message),
            mode: DeliveryMode::NonPersistent,
            expires_ms: 0,
            sent_ms: now.wall_ms,
            later: None,
            duplicate_id: None,
        }
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        canonical::push_decoded(&mut head, b"type", TYPE);
        canonical::push_decoded(&mut head, b"content-type", CONTENT_TYPE);
        if let Some(correlation_id) = &self.correlation_id {
            canonical::push_decoded(&mut head, b"correlation-id", correlation_id);
        }
        for (name, value) in &self.facts {
            match value {
                Value::String(text) => {
                    canonical::push_decoded(&mut head, name.as_bytes(), text.as_bytes());
                }
                other => {
                    let text = other.to_string();
                    canonical::push_decoded(&mut head, name.as_bytes(), text.as_bytes());
                }
            }
        }
        head
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let facts = self.facts.iter().map(|(name, value)| (name, value));
        serde_json::Serializer::new(&mut body)
            .collect_map(facts)
            .expect(
                "invariant: a map of texts and plain values is JSON, and memory takes all of it",
            );
        body
    }
}

/// A destination as ActiveMQ writes it in such facts: `queue://NAME`.
pub(super) fn qualified(name: &DestinationName) -> String {
    let kind = match name.kind() {
        DestinationKind::Queue => "queue",
        DestinationKind::Topic => "topic",
    };
    let lifetime = if name.is_temporary() { "temp-" } else { "" };
    format!("{lifetime}{kind}://{}", name.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_headers_and_json() {
        let report = Report::advisory("1f")
            .with("consumerCount", 2_u64)
            .with("selector", "a = 'x:\n'")
            .with_known("clientId", None::<&str>)
            .answering(Some(b"7"));
        assert_eq!(
            String::from_utf8_lossy(&report.head()),
            "type:Advisory\ncontent-type:application/json\ncorrelation-id:7\n\
             originBrokerName:stompbox\noriginBrokerId:ID\\c1f\n\
             consumerCount:2\nselector:a = 'x\\c\\n'\n"
        );
        assert_eq!(
            String::from_utf8_lossy(&report.body()),
            r#"{"originBrokerName":"stompbox","originBrokerId":"ID:1f","consumerCount":2,"selector":"a = 'x:\n'"}"#
        );
    }

    #[test]
    fn a_destination_is_named_as_activemq_does() {
        let name = |kind| DestinationName::new(kind, "a.b");
        assert_eq!(qualified(&name(DestinationKind::Queue)), "queue://a.b");
        assert_eq!(qualified(&name(DestinationKind::Topic)), "topic://a.b");
        let temporary = DestinationName::temporary(DestinationKind::Queue, "8f");
        assert_eq!(qualified(&temporary), "temp-queue://8f");
    }
}
