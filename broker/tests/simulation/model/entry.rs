//! One copy of a message in a queue: what it is, and where.

use std::rc::Rc;
use std::time::Duration;

use stompbox_broker::core::clock::Now;
use stompbox_broker::core::message::{DeliveryMode, Message, Publication};
use stompbox_broker::core::port::ConnectionId;
use stompbox_protocol::canonical;
use stompbox_store::{EntryKey, MessageNumber, Sequence, SubscriptionId};

use super::{Model, QueueIndex};
use crate::catalogue::Traits;
use crate::wire::MessageId;

/// Place in the model's list of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EntryId(pub(super) usize);

/// What all copies of a message have in common.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: MessageId,
    pub(super) rank: usize,
    pub(super) bytes: usize,
    pub(super) is_persistent: bool,
    pub(super) expires_ms: i64,
    pub(super) traits: Traits,
    pub(super) group: Option<Group>,
    pub(super) publisher: ConnectionId,
    /// Deliveries that may have been made before it came.
    pub(super) deliveries_before: u32,
    /// Counts the firings of what comes again and again; 0 is the message itself.
    pub(super) firing: u32,
    /// What an answer to a BROWSE says before the message's own headers.
    pub(super) lines: Option<Vec<u8>>,
}

/// What the store keeps of a message that was sent again, before its headers; an answer is new.
const MARK: &str = "x-resent:true\n";

/// What a message says of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) id: Vec<u8>,
    pub(super) closes: bool,
}

/// The message that a body belongs to.
pub(crate) fn message_of(body: &[u8]) -> MessageId {
    let bytes = body[..8].try_into().expect("eight bytes");
    MessageId(usize::from_le_bytes(bytes))
}

impl Facts {
    pub(super) fn of(publication: &Publication, publisher: ConnectionId) -> Rc<Self> {
        let message = &*publication.message;
        Rc::new(Self {
            id: message_of(message.body()),
            rank: usize::from(message.priority.rank().0),
            bytes: message.bytes(),
            is_persistent: publication.mode == DeliveryMode::Persistent,
            expires_ms: publication.expires_ms,
            traits: Traits {
                colour: property(message, b"colour"),
                weight: property(message, b"weight").map(|text| text.parse().expect("a number")),
                priority: message.priority.get(),
            },
            group: property(message, b"JMSXGroupID").map(|id| Group {
                id: id.into_bytes(),
                closes: property(message, b"JMSXGroupSeq").is_some(),
            }),
            publisher,
            deliveries_before: message.deliveries_before(),
            firing: 0,
            lines: None,
        })
    }
}

impl Facts {
    /// The same as it comes out of the schedule: of no connection.
    pub(super) fn as_fired(&self, firing: u32) -> Self {
        Self {
            id: self.id,
            rank: self.rank,
            bytes: self.bytes,
            is_persistent: self.is_persistent,
            expires_ms: self.expires_ms,
            traits: self.traits.clone(),
            group: self.group.clone(),
            publisher: ConnectionId(u64::MAX),
            deliveries_before: self.deliveries_before,
            firing,
            lines: None,
        }
    }

    /// The same as the console sends it again: of no connection that hears anything.
    pub(super) fn as_sent_again(&self, firing: u32) -> Self {
        Self {
            lines: self.lines.clone(),
            ..self.as_fired(firing)
        }
    }

    /// The same as an answer to a BROWSE, which says this of it: sent once, whatever the message is.
    pub(super) fn as_answer(&self, firing: u32, lines: Vec<u8>) -> Self {
        let mark_bytes = if self.deliveries_before > 0 {
            MARK.len()
        } else {
            0
        };
        Self {
            bytes: self.bytes - mark_bytes + lines.len(),
            is_persistent: false,
            expires_ms: 0,
            deliveries_before: 0,
            lines: Some(lines),
            ..self.as_fired(firing)
        }
    }

    /// Whether this is what an answer has to say, if it is one.
    pub(super) fn check_lines(&self, message: &Message) {
        let lines = self.lines.as_deref().unwrap_or_default();
        assert!(
            message.head().starts_with(lines),
            "{:?}: what a listing says of it",
            self.id
        );
    }

    /// What its number goes by.
    pub(super) fn key(&self) -> (MessageId, u32) {
        (self.id, self.firing)
    }
}

fn property(message: &Message, name: &[u8]) -> Option<String> {
    let value = canonical::find(message.head(), name)?;
    Some(String::from_utf8(value.into_owned()).expect("text"))
}

/// Why a message becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    RedeliveryLimit,
    Nack,
    Expired,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Reason::RedeliveryLimit => "redelivery-limit",
            Reason::Nack => "nack",
            Reason::Expired => "expired",
        }
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// In its lane.
    Waiting,
    /// Waits out a redelivery delay outside its lane.
    Delayed(Duration),
    /// With a consumer, or claimed by a transaction.
    Held,
    /// On its way to the dead-letter queue: the store must be asked in this turn.
    Burying(Reason),
    /// Expired and never stored: gone, or about to be.
    Fading,
    /// Acknowledged, dropped or lost with a crash that may lose it.
    Gone,
}

impl Whereabouts {
    /// Whether the broker may find it expired: with a consumer it is that consumer's.
    pub(super) fn may_expire(self) -> bool {
        matches!(self, Whereabouts::Waiting | Whereabouts::Delayed(_))
    }

    pub(super) fn is_gone(self) -> bool {
        self == Whereabouts::Gone
    }

    pub(super) fn is_leaving(self) -> bool {
        matches!(self, Whereabouts::Burying(_))
    }
}

/// What a message holds back that waits out a delay in its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Everything behind it.
    Lane,
    /// Its message group.
    Group,
}

/// Where the store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// As an entry of a queue.
    Queue(EntryKey),
    /// In a topic's log, as far as a durable subscription has not done with it.
    Log(SubscriptionId, Sequence),
}

impl Spot {
    pub(super) fn sequence(self) -> Sequence {
        match self {
            Spot::Queue(key) => key.sequence,
            Spot::Log(_, sequence) => sequence,
        }
    }
}

/// What the store has, or will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) spot: Spot,
    pub(super) deliveries: u32,
    pub(super) failures: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) facts: Rc<Facts>,
    /// Where it was routed to: a queue, or the topic that it became a dead letter of.
    pub(super) origin: Rc<str>,
    pub(super) queue: QueueIndex,
    /// Its lane.
    pub(super) rank: usize,
    pub(super) is_persistent: bool,
    /// Whether the store is to have it: a durable subscription's copy in any case.
    pub(super) is_stored: bool,
    pub(super) expires_ms: i64,
    pub(super) whereabouts: Whereabouts,
    /// When that was last another.
    pub(super) moved: u64,
    /// Its place in its lane.
    pub(super) order: i64,
    pub(super) deliveries: u32,
    pub(super) failures: u32,
    /// Recovered after a crash and not delivered since.
    pub(super) is_uncertain: bool,
    /// Not handed out before the dispatcher knows this ticket to be durable.
    pub(super) visible_after: u64,
    pub(super) not_before: Duration,
    pub(super) holds: Holds,
    pub(super) dead: Option<Reason>,
    /// The turn in which it came into its queue.
    pub(super) arrived: u64,
    /// What the store has after each ticket; only the latest durable one and those behind it.
    pub(super) history: Vec<(u64, Option<Stored>)>,
}

impl Entry {
    pub(super) fn new(facts: Rc<Facts>, origin: Rc<str>, queue: QueueIndex) -> Self {
        Self {
            rank: facts.rank,
            is_persistent: facts.is_persistent,
            is_stored: facts.is_persistent,
            expires_ms: facts.expires_ms,
            deliveries: facts.deliveries_before,
            facts,
            origin,
            queue,
            whereabouts: Whereabouts::Gone,
            moved: 0,
            order: 0,
            failures: 0,
            is_uncertain: false,
            visible_after: 0,
            not_before: Duration::ZERO,
            holds: Holds::Lane,
            dead: None,
            arrived: 0,
            history: Vec::new(),
        }
    }

    pub(super) fn stored(&self) -> Option<Stored> {
        self.history.last().and_then(|(_, stored)| *stored)
    }

    pub(super) fn stored_at(&self, ticket: u64) -> Option<Stored> {
        let known = self.history.iter().rev().find(|(at, _)| *at <= ticket);
        known.and_then(|(_, stored)| *stored)
    }

    pub(super) fn is_expired(&self, now: Now) -> bool {
        self.expires_ms != 0 && self.expires_ms <= now.wall_ms
    }

    /// Its place in its queue.
    pub(super) fn place(&self) -> (usize, i64) {
        (self.rank, self.order)
    }
}

impl Model {
    pub(super) fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0]
    }

    pub(super) fn entry_mut(&mut self, id: EntryId) -> &mut Entry {
        &mut self.entries[id.0]
    }

    pub(super) fn add(&mut self, entry: Entry) -> EntryId {
        let id = EntryId(self.entries.len());
        self.by_message.entry(entry.facts.id).or_default().push(id);
        self.entries.push(entry);
        id
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        let all = self.entries.iter().enumerate();
        all.map(|(index, entry)| (EntryId(index), entry))
    }

    /// The copies of a message that this is true of.
    pub(super) fn copies(
        &self,
        message: MessageId,
        is_meant: impl Fn(&Entry) -> bool,
    ) -> Vec<EntryId> {
        let all = self.by_message.get(&message).into_iter().flatten();
        all.copied()
            .filter(|id| is_meant(self.entry(*id)))
            .collect()
    }

    /// Whether an entry may be of the message with this number: firings of one message look alike otherwise.
    pub(super) fn may_be(&self, entry: &Entry, number: MessageNumber) -> bool {
        let known = self.numbers.get(&entry.facts.key());
        known.is_none_or(|known| *known == number)
    }

    /// A message has this number, here as everywhere.
    pub(super) fn is_numbered(&mut self, key: (MessageId, u32), number: MessageNumber) {
        let known = *self.numbers.entry(key).or_insert(number);
        assert_eq!(known, number, "{key:?} changed its number");
    }

    /// A message takes its place in its lane.
    pub(super) fn put(&mut self, id: EntryId) {
        self.move_to(id, Whereabouts::Waiting);
        let entry = self.entry(id);
        let (queue, (rank, order)) = (entry.queue, entry.place());
        let expires_ms = entry.expires_ms;
        let may_fade = !entry.is_stored && expires_ms != 0;
        let before = self.queues[queue].lanes[rank].insert(order, id);
        assert_eq!(before, None, "two messages in one place");
        if may_fade {
            self.fading.insert((expires_ms, id));
        }
    }

    /// A message leaves its lane.
    pub(super) fn take(&mut self, id: EntryId, whereabouts: Whereabouts) {
        let entry = self.entry(id);
        assert!(entry.whereabouts.may_expire(), "{id:?} {entry:?}");
        let (queue, (rank, order)) = (entry.queue, entry.place());
        self.queues[queue].lanes[rank].remove(&order);
        self.move_to(id, whereabouts);
    }

    pub(super) fn set(&mut self, id: EntryId, whereabouts: Whereabouts) {
        self.move_to(id, whereabouts);
        self.touched.insert(id);
    }

    pub(super) fn move_to(&mut self, id: EntryId, whereabouts: Whereabouts) {
        let turn = self.turn;
        let entry = self.entry_mut(id);
        entry.whereabouts = whereabouts;
        entry.moved = turn;
    }

    pub(super) fn is_in_sight(&self, entry: &Entry) -> bool {
        entry.visible_after <= self.watermark && entry.not_before <= self.now.uptime
    }
}
