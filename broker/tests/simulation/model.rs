//! A naive broker: it is told what the dispatcher is told, and says what the dispatcher must then ask of the store
//! and may then hand out.
//!
//! It keeps whole collections where the dispatcher keeps cursors, knows no pages, and has one record for each
//! message, wherever that is.

mod request;
mod restart;
mod turn;
mod view;

pub(crate) use restart::LifeEnd;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use stompbox_broker::core::clock::Now;
use stompbox_broker::core::port::{
    AckMode, ConnectionId, SubscriptionHandle, TransactionHandle, Verdict,
};
use stompbox_store::{DestinationId, EntryKey, MessageNumber};

use crate::policy::Rules;
use crate::wire::MessageId;

/// Place in the model's list of queues.
type QueueIndex = usize;

const RANKS: usize = 10;

/// Why a message becomes a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    RedeliveryLimit,
    Nack,
    Expired,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Reason::RedeliveryLimit => "redelivery-limit",
            Reason::Nack => "nack",
            Reason::Expired => "expired",
        }
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
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
    fn may_expire(self) -> bool {
        matches!(self, Whereabouts::Waiting | Whereabouts::Delayed(_))
    }
}

/// What the store has, or will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stored {
    key: EntryKey,
    deliveries: u32,
    failures: u32,
}

/// A message.
#[derive(Debug)]
struct Message {
    queue: QueueIndex,
    rank: usize,
    is_persistent: bool,
    bytes: usize,
    expires_ms: i64,
    /// What its sender said; a dead letter has none.
    sent_expires_ms: i64,
    whereabouts: Whereabouts,
    /// Its place in its lane.
    order: i64,
    deliveries: u32,
    failures: u32,
    /// Recovered after a crash and not delivered since.
    is_uncertain: bool,
    /// Not handed out before the dispatcher knows this ticket to be durable.
    visible_after: u64,
    not_before: Duration,
    dead: Option<Reason>,
    /// The turn in which it came into its queue.
    arrived: u64,
    number: Option<MessageNumber>,
    /// What the store has after each ticket; only the latest durable one and those behind it.
    history: Vec<(u64, Option<Stored>)>,
}

impl Message {
    fn stored(&self) -> Option<Stored> {
        self.history.last().and_then(|(_, stored)| *stored)
    }

    fn stored_at(&self, ticket: u64) -> Option<Stored> {
        let known = self.history.iter().rev().find(|(at, _)| *at <= ticket);
        known.and_then(|(_, stored)| *stored)
    }

    fn is_expired(&self, now: Now) -> bool {
        self.expires_ms != 0 && self.expires_ms <= now.wall_ms
    }
}

/// A queue.
#[derive(Debug)]
struct Queue {
    name: String,
    rules: Rules,
    dead_letter: Option<QueueIndex>,
    lanes: [BTreeMap<i64, MessageId>; RANKS],
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed(Verdict),
    Returned,
    Broken,
}

/// A delivery.
#[derive(Debug, Clone, Copy)]
struct Open {
    message: MessageId,
    counter: u64,
    slot: u32,
    number: MessageNumber,
}

/// A delivery that a transaction has acknowledged.
#[derive(Debug, Clone, Copy)]
struct Claim {
    open: Open,
    subscription: Option<SubscriptionHandle>,
    outcome: Outcome,
}

#[derive(Debug)]
struct Subscription {
    queue: QueueIndex,
    mode: AckMode,
    prefetch: usize,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Peer {
    names_messages: bool,
    is_open: bool,
    must_be_refused: bool,
    may_close_after: Option<u64>,
    last_counter: u64,
    /// The last that asked the store for something on its behalf.
    last_ticket: u64,
    subscriptions: BTreeMap<SubscriptionHandle, Subscription>,
    transactions: BTreeMap<TransactionHandle, Vec<Claim>>,
}

/// See the module.
pub(crate) struct Model {
    messages: Vec<Option<Message>>,
    queues: Vec<Queue>,
    by_name: HashMap<String, QueueIndex>,
    by_id: HashMap<DestinationId, QueueIndex>,
    ids: HashMap<QueueIndex, DestinationId>,
    keys: HashMap<EntryKey, MessageId>,
    peers: BTreeMap<ConnectionId, Peer>,
    owed: HashMap<(ConnectionId, Vec<u8>), u64>,
    touched: BTreeSet<MessageId>,
    delayed: BTreeSet<(Duration, MessageId)>,
    /// Never stored, may expire.
    fading: BTreeSet<(i64, MessageId)>,
    now: Now,
    turn: u64,
    /// This turn's batch will have it.
    ticket: u64,
    /// The dispatcher knows that this is durable.
    watermark: u64,
    /// This is durable.
    pub(crate) committed: u64,
    next_order: i64,
}

impl Model {
    pub(crate) fn new(now: Now) -> Self {
        let mut model = Self {
            messages: Vec::new(),
            queues: Vec::new(),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            ids: HashMap::new(),
            keys: HashMap::new(),
            peers: BTreeMap::new(),
            owed: HashMap::new(),
            touched: BTreeSet::new(),
            delayed: BTreeSet::new(),
            fading: BTreeSet::new(),
            now,
            turn: 0,
            ticket: 1,
            watermark: 0,
            committed: 0,
            next_order: 0,
        };
        for name in crate::policy::DEAD_LETTER_QUEUES {
            model.queue(name);
        }
        model
    }

    fn queue(&mut self, name: &str) -> QueueIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let rules = Rules::of(name);
        let dead_letter = rules.dead_letter.map(|name| self.queue(name));
        let index = self.queues.len();
        self.queues.push(Queue {
            name: name.to_owned(),
            rules,
            dead_letter,
            lanes: std::array::from_fn(|_| BTreeMap::new()),
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }

    fn message(&self, id: MessageId) -> &Message {
        self.messages[id.0]
            .as_ref()
            .expect("a message that was routed")
    }

    fn message_mut(&mut self, id: MessageId) -> &mut Message {
        self.messages[id.0]
            .as_mut()
            .expect("a message that was routed")
    }

    fn all(&self) -> impl Iterator<Item = (MessageId, &Message)> {
        let routed = |(index, message): (usize, _)| {
            let message: &Option<Message> = message;
            message.as_ref().map(|message| (MessageId(index), message))
        };
        self.messages.iter().enumerate().filter_map(routed)
    }

    /// The dispatcher is about to act at this time.
    pub(crate) fn begin_turn(&mut self, now: Now) {
        self.now = now;
        self.turn += 1;
    }

    /// The dispatcher is told that this is durable.
    pub(crate) fn durable(&mut self, ticket: u64) {
        assert!(ticket <= self.committed, "a watermark ahead of the disk");
        self.watermark = self.watermark.max(ticket);
    }

    /// A message takes its place in its lane.
    fn put(&mut self, id: MessageId) {
        let message = self.message_mut(id);
        message.whereabouts = Whereabouts::Waiting;
        let (queue, rank, order) = (message.queue, message.rank, message.order);
        let expires_ms = message.expires_ms;
        let may_fade = !message.is_persistent && expires_ms != 0;
        let before = self.queues[queue].lanes[rank].insert(order, id);
        assert_eq!(before, None, "two messages in one place");
        if may_fade {
            self.fading.insert((expires_ms, id));
        }
    }

    /// A message leaves its lane.
    fn take(&mut self, id: MessageId, whereabouts: Whereabouts) {
        let message = self.message_mut(id);
        assert!(message.whereabouts.may_expire(), "{id:?} {message:?}");
        message.whereabouts = whereabouts;
        let (queue, rank, order) = (message.queue, message.rank, message.order);
        self.queues[queue].lanes[rank].remove(&order);
    }

    fn set(&mut self, id: MessageId, whereabouts: Whereabouts) {
        self.message_mut(id).whereabouts = whereabouts;
        self.touched.insert(id);
    }
}
