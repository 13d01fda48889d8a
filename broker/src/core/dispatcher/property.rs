//! A message as a selector sees it.

use std::borrow::Cow;

use stompbox_protocol::canonical;
use stompbox_store::Sequence;

use super::entry::Entry;
use crate::core::destination::DestinationName;
use crate::core::message::{DeliveryMode, Message};
use crate::core::selector::{HeaderValue, JmsHeader, Properties};

/// What is the same for all messages of a destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) destination: &'a DestinationName,
    /// The database's random name: part of every `message-id`.
    pub(super) instance: &'a str,
}

/// An entry as a selector sees it.
pub(super) struct Seen<'a> {
    pub(super) entry: &'a Entry,
    pub(super) place: Place<'a>,
}

impl Seen<'_> {
    fn message_id(&self) -> Vec<u8> {
        let number = Sequence(self.entry.number.0);
        let (epoch, counter) = (number.epoch().0, number.counter());
        format!("ID:{}-{epoch}-{counter}", self.place.instance).into_bytes()
    }
}

fn own<'m>(message: &'m Message, name: &str) -> HeaderValue<'m> {
    canonical::find(message.head(), name.as_bytes()).into()
}

impl Properties for Seen<'_> {
    /// What a dead letter says of itself stands before its sender's headers, as in a MESSAGE.
    fn property(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let annotations = self.entry.annotations.as_deref().unwrap_or_default();
        canonical::find(annotations, name.as_bytes())
            .or_else(|| canonical::find(self.entry.message.head(), name.as_bytes()))
    }

    fn header(&self, header: JmsHeader) -> HeaderValue<'_> {
        let (entry, message) = (self.entry, &*self.entry.message);
        match header {
            JmsHeader::MessageId => HeaderValue::Text(Cow::Owned(self.message_id())),
            JmsHeader::Priority => HeaderValue::Integer(message.priority.get().into()),
            JmsHeader::Timestamp => HeaderValue::Integer(message.timestamp_ms),
            JmsHeader::Expiration => HeaderValue::Integer(entry.expires_ms),
            JmsHeader::CorrelationId => own(message, "correlation-id"),
            JmsHeader::Type => own(message, "type"),
            JmsHeader::ReplyTo => own(message, "reply-to"),
            JmsHeader::Destination => {
                HeaderValue::Text(Cow::Borrowed(self.place.destination.wire().as_bytes()))
            }
            JmsHeader::DeliveryMode => match entry.mode {
                DeliveryMode::Persistent => HeaderValue::PERSISTENT,
                DeliveryMode::NonPersistent => HeaderValue::NON_PERSISTENT,
            },
            JmsHeader::Redelivered => HeaderValue::Boolean(entry.deliveries > 0),
            JmsHeader::DeliveryCount => {
                HeaderValue::Integer(i64::from(entry.deliveries).saturating_add(1))
            }
            JmsHeader::GroupId => own(message, "JMSXGroupID"),
            JmsHeader::GroupSeq => match own(message, "JMSXGroupSeq") {
                HeaderValue::Text(text) => std::str::from_utf8(&text)
                    .ok()
                    .and_then(|text| text.trim().parse().ok())
                    .map_or(HeaderValue::Absent, HeaderValue::Integer),
                other => other,
            },
            JmsHeader::UserId => HeaderValue::Absent,
        }
    }
}
