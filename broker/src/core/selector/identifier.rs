//! Identifiers: those that JMS defines, and the table of those that a selector uses.
//!
//! *Invariant*: an [`IdentifierIndex`] is only given out by the table that it points into.

use super::IDENTIFIERS_MAX;

/// An identifier that stands for more than a sender's header of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JmsHeader {
    /// `JMSMessageID`: the `message-id`; text.
    MessageId,
    /// `JMSPriority`: 0 to 9; a number.
    Priority,
    /// `JMSTimestamp`: when it was sent, ms since 1970; a number.
    Timestamp,
    /// `JMSExpiration`: when it expires, ms since 1970, 0 for never; a number.
    Expiration,
    /// `JMSCorrelationID`: the header `correlation-id`; text.
    CorrelationId,
    /// `JMSType`: the header `type`; text.
    Type,
    /// `JMSReplyTo`: the header `reply-to`; text.
    ReplyTo,
    /// `JMSDestination`: the concrete `destination`, with its prefix; text.
    Destination,
    /// `JMSDeliveryMode`: [`PERSISTENT`](super::HeaderValue::PERSISTENT) or
    /// [`NON_PERSISTENT`](super::HeaderValue::NON_PERSISTENT).
    DeliveryMode,
    /// `JMSRedelivered`: whether it was delivered before; a boolean.
    Redelivered,
    /// `JMSXDeliveryCount`: the number that its next delivery will have, from 1; a number.
    DeliveryCount,
    /// `JMSXGroupID`: the header of that name; text.
    GroupId,
    /// `JMSXGroupSeq`: the header of that name, where it is an integer; a number.
    GroupSeq,
    /// `JMSXUserID`: who sent it, where the broker says so; text.
    UserId,
}

impl JmsHeader {
    /// All of them.
    pub const ALL: [JmsHeader; 14] = [
        JmsHeader::MessageId,
        JmsHeader::Priority,
        JmsHeader::Timestamp,
        JmsHeader::Expiration,
        JmsHeader::CorrelationId,
        JmsHeader::Type,
        JmsHeader::ReplyTo,
        JmsHeader::Destination,
        JmsHeader::DeliveryMode,
        JmsHeader::Redelivered,
        JmsHeader::DeliveryCount,
        JmsHeader::GroupId,
        JmsHeader::GroupSeq,
        JmsHeader::UserId,
    ];

    /// As selectors spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MessageId => "JMSMessageID",
            Self::Priority => "JMSPriority",
            Self::Timestamp => "JMSTimestamp",
            Self::Expiration => "JMSExpiration",
            Self::CorrelationId => "JMSCorrelationID",
            Self::Type => "JMSType",
            Self::ReplyTo => "JMSReplyTo",
            Self::Destination => "JMSDestination",
            Self::DeliveryMode => "JMSDeliveryMode",
            Self::Redelivered => "JMSRedelivered",
            Self::DeliveryCount => "JMSXDeliveryCount",
            Self::GroupId => "JMSXGroupID",
            Self::GroupSeq => "JMSXGroupSeq",
            Self::UserId => "JMSXUserID",
        }
    }
}

/// What an identifier stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Header(JmsHeader),
    Property(Box<str>),
}

impl Target {
    fn of(name: &str) -> Self {
        JmsHeader::ALL
            .into_iter()
            .find(|header| header.name() == name)
            .map_or_else(|| Self::Property(name.into()), Self::Header)
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Header(header) => header.name(),
            Self::Property(name) => name,
        }
    }
}

/// Where an identifier stands in its selector's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdentifierIndex(u8);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    target: Target,
    use_count: usize,
    slot: Option<usize>,
}

/// The identifiers of a selector. One that occurs more than once has a slot, in which an evaluation keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identifiers {
    references: Vec<Reference>,
    slot_count: usize,
}

/// There is no place for another identifier.
pub(super) struct TableFull;

impl Identifiers {
    /// Notes that an identifier occurs.
    pub(super) fn add(&mut self, name: &str) -> Result<IdentifierIndex, TableFull> {
        let known = self
            .references
            .iter()
            .position(|it| it.target.name() == name);
        let index = known.unwrap_or(self.references.len());
        if index == IDENTIFIERS_MAX {
            return Err(TableFull);
        }
        if known.is_none() {
            self.references.push(Reference {
                target: Target::of(name),
                use_count: 0,
                slot: None,
            });
        }
        let reference = &mut self.references[index];
        reference.use_count += 1;
        if reference.use_count == 2 {
            reference.slot = Some(self.slot_count);
            self.slot_count += 1;
        }
        Ok(IdentifierIndex(index as u8))
    }

    pub(super) fn target(&self, index: IdentifierIndex) -> &Target {
        &self.references[usize::from(index.0)].target
    }

    pub(super) fn slot(&self, index: IdentifierIndex) -> Option<usize> {
        self.references[usize::from(index.0)].slot
    }

    pub(super) fn slot_count(&self) -> usize {
        self.slot_count
    }
}

const _: () = assert!(IDENTIFIERS_MAX <= u8::MAX as usize);
