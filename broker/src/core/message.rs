//! A message: the sender's headers and body, made once by the session that received it and shared by all who
//! hold it. What differs between its copies (expiry, counters, durability) belongs to the entry, not to it.

use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;
use stompbox_protocol::canonical;
use stompbox_store::{Medium, PageRow, Payload, Rank};

use super::destination::DestinationName;
use super::duplicate_id::DuplicateId;
use super::memory::{Charge, MemoryBudget};
use super::message_group::{GroupHeaders, MessageGroup};
use super::schedule::{Firing, Schedule};

/// Bodies up to this are copied into the message's own allocation, so that a message that waits never pins a
/// read buffer; larger ones keep the buffer into which they were read.
pub const INLINE_BODY_BYTES_MAX: usize = 8 * 1024;

/// The priority of a message: 0 to 9, 9 first (JMS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// JMS's default.
    pub const DEFAULT: Priority = Priority(4);
    const MAX: u8 = 9;

    /// Clamped to 0..=9.
    #[must_use]
    pub fn clamped(value: i64) -> Self {
        Self(value.clamp(0, i64::from(Self::MAX)) as u8)
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// Its place in delivery order.
    #[must_use]
    pub fn rank(self) -> Rank {
        Rank(Self::MAX - self.0)
    }

    /// The priority whose place this is.
    #[must_use]
    pub fn of(rank: Rank) -> Self {
        Self(Self::MAX.saturating_sub(rank.0))
    }
}

/// Stands before the headers of a message that a sender has sent again, where the store keeps them. A sender's own
/// header of this name is consumed, so that it stands there for nothing else.
const RESENT: &[u8] = b"x-resent:true\n";

/// Marks a canonical header block: its message was sent again.
pub fn mark_as_resent(head: &mut Vec<u8>) {
    head.splice(..0, RESENT.iter().copied());
}

/// How many bytes of a header block are the mark.
fn mark_bytes(head: &[u8]) -> u8 {
    if head.starts_with(RESENT) {
        RESENT.len() as u8
    } else {
        0
    }
}

/// The sender's headers in what the store keeps as the head of a message.
#[must_use]
pub fn without_mark(head: &[u8]) -> &[u8] {
    head.strip_prefix(RESENT).unwrap_or(head)
}

/// A body as it arrived.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// To be copied.
    Borrowed(&'a [u8]),
    /// In memory of its own: kept as it is, unless it is short.
    Shared(&'a Bytes),
}

/// A message.
#[derive(Debug)]
pub struct Message {
    data: Box<[u8]>,
    head_bytes: usize,
    mark_bytes: u8,
    /// Boxed, as few have one.
    large_body: Option<Box<Bytes>>,
    has_escapes: bool,
    /// Its priority.
    pub priority: Priority,
    /// When it was sent, ms since 1970.
    pub timestamp_ms: i64,
    group: Option<Box<Group>>,
    charge: Charge,
}

/// The group that headers name.
fn group_in(head: &[u8]) -> Option<Box<Group>> {
    memmem::find(head, b"JMSXGroupID:")?;
    Group::of(head).map(Box::new)
}

/// The message group that a message belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name: the value of `JMSXGroupID`.
    pub id: Arc<[u8]>,
    /// Whether this message ends it: its `JMSXGroupSeq` is negative, by convention -1.
    pub closes: bool,
}

impl Group {
    /// What a canonical header block says of it, which was checked when it came in.
    fn of(head: &[u8]) -> Option<Self> {
        let id = canonical::find(head, b"JMSXGroupID");
        let seq = canonical::find(head, b"JMSXGroupSeq");
        let headers = GroupHeaders {
            id: id.as_deref(),
            seq: seq.as_deref(),
        };
        MessageGroup::parse(headers).ok().flatten().map(Self::from)
    }
}

impl From<MessageGroup> for Group {
    fn from(group: MessageGroup) -> Self {
        Self {
            closes: group.closes(),
            id: group.id.into(),
        }
    }
}

impl Message {
    /// Makes a message from a canonical header block, which may be [marked](mark_as_resent), and a body. `charge` is
    /// for the bytes of both.
    #[must_use]
    pub fn new(
        head: &[u8],
        body: Body<'_>,
        priority: Priority,
        timestamp_ms: i64,
        charge: Charge,
    ) -> Self {
        let (inline, large_body) = match body {
            Body::Shared(body) if body.len() > INLINE_BODY_BYTES_MAX => {
                (&[][..], Some(Box::new(body.clone())))
            }
            Body::Shared(body) => (&body[..], None),
            Body::Borrowed(body) => (body, None),
        };
        let mut data = Vec::with_capacity(head.len() + inline.len());
        data.extend_from_slice(head);
        data.extend_from_slice(inline);
        Self {
            data: data.into_boxed_slice(),
            head_bytes: head.len(),
            mark_bytes: mark_bytes(head),
            large_body,
            has_escapes: canonical::has_escapes(head),
            priority,
            timestamp_ms,
            group: None,
            charge,
        }
    }

    /// The same as a message of this group.
    #[must_use]
    pub fn in_group(mut self, group: Option<MessageGroup>) -> Self {
        self.group = group.map(|group| Box::new(Group::from(group)));
        self
    }

    /// The same as a message of the group that its headers name.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.group = group_in(self.head());
        self
    }

    /// Makes a message from what the store kept of it.
    #[must_use]
    pub fn from_page(row: PageRow, priority: Priority, budget: &Arc<MemoryBudget>) -> Self {
        let head_bytes = row.head_bytes.min(row.data.len());
        let mark_bytes = mark_bytes(&row.data[..head_bytes]);
        let group = group_in(&row.data[..head_bytes]);
        Self {
            has_escapes: canonical::has_escapes(&row.data[..head_bytes]),
            charge: budget.charge(row.data.len()),
            data: row.data,
            head_bytes,
            mark_bytes,
            large_body: None,
            priority,
            timestamp_ms: row.timestamp_ms,
            group,
        }
    }

    /// It will be kept in more places than one, which cost so much more.
    pub fn charge_more(&mut self, bytes: usize) {
        self.charge.grow(bytes);
    }

    /// The sender's headers as a canonical block.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.data[usize::from(self.mark_bytes)..self.head_bytes]
    }

    /// How often it may have been delivered before it came: once, if its sender has sent it again because nobody told
    /// him what became of it.
    #[must_use]
    pub fn deliveries_before(&self) -> u32 {
        u32::from(self.mark_bytes > 0)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match &self.large_body {
            Some(body) => body,
            None => &self.data[self.head_bytes..],
        }
    }

    /// Head and body, as they are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.head_bytes + self.body().len()
    }

    /// The group that it belongs to.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        self.group.as_deref()
    }

    /// Whether the head holds escapes, so that it must be rewritten for receivers before STOMP 1.2.
    #[must_use]
    pub fn has_escapes(&self) -> bool {
        self.has_escapes
    }
}

impl Payload for Message {
    fn head(&self) -> &[u8] {
        &self.data[..self.head_bytes]
    }

    fn body(&self) -> &[u8] {
        Message::body(self)
    }
}

impl From<Medium> for DeliveryMode {
    fn from(medium: Medium) -> Self {
        match medium {
            Medium::Database => DeliveryMode::Persistent,
            Medium::Scratch => DeliveryMode::NonPersistent,
        }
    }
}

/// Whether a message survives the broker (JMS delivery mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Stored before its receipt.
    Persistent,
    /// In memory only.
    NonPersistent,
}

/// Where a SEND goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To one destination.
    One(Arc<DestinationName>),
    /// To each of several, or to none of them.
    Each(Arc<Vec<Arc<DestinationName>>>),
}

impl Target {
    /// The destinations; never none.
    #[must_use]
    pub fn names(&self) -> &[Arc<DestinationName>] {
        match self {
            Target::One(name) => std::slice::from_ref(name),
            Target::Each(names) => names,
        }
    }
}

/// One SEND, ready to be routed.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where to.
    pub target: Target,
    /// What.
    pub message: Arc<Message>,
    /// How.
    pub mode: DeliveryMode,
    /// Until when by its own headers, ms since 1970; 0 is for ever.
    pub expires_ms: i64,
    /// When it was sent by the broker's clock, ms since 1970: what a policy's time to live counts from.
    pub sent_ms: i64,
    /// When it is to be delivered, if not at once. Boxed, as few have it and all are moved.
    pub later: Option<Box<Later>>,
    /// By which a repeat of it is known.
    pub duplicate_id: Option<DuplicateId>,
}

/// When a message is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    /// What was asked for.
    pub schedule: Schedule,
    /// The first time.
    pub firing: Firing,
}
