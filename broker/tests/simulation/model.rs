//! A naive broker: it is told what the dispatcher is told, and says what the dispatcher must then ask of the store
//! and may then hand out.
//!
//! It keeps whole collections where the dispatcher keeps cursors, knows no pages, and has one record for each
//! copy of a message, wherever that is. Of what the dispatcher hands out it does not foretell whom each message goes
//! to: it says who may have it, and who must not be passed over.

mod acknowledge;
mod advise;
mod bound;
mod browse;
mod consume;
mod duplicate;
mod entry;
mod failure;
mod full;
mod group;
mod handout;
mod hung;
mod last_value;
mod lasting;
mod log;
mod manage;
mod order;
mod publish;
mod request;
mod restart;
mod retained;
mod room;
mod schedule;
mod slow;
mod store;
mod topic;
mod turn;
mod view;
mod visit;

pub(crate) use entry::message_of;
pub(crate) use manage::is_listing;
pub(crate) use restart::LifeEnd;
pub(crate) use visit::FIRST_VISIT;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use stompbox_broker::core::clock::Now;
use stompbox_broker::core::port::{ConnectionId, Request, SubscriptionHandle, TransactionHandle};
use stompbox_store::{DestinationId, MessageNumber, PageId, SubscriptionId};

use crate::policy::Rules;
use crate::wire::MessageId;
use advise::Told;
use bound::Dropped;
use consume::Subscription;
use duplicate::Windows;
use entry::{Entry, EntryId, Spot};
use failure::Outcome;
use full::FullDisk;
use group::Owner;
use hung::Watch;
use last_value::LastValues;
use lasting::Lasting;
use room::Room;
use schedule::Agenda;
use slow::Slow;
use topic::{Copy, Topic};

/// Place in the model's list of queues.
type QueueIndex = usize;

const RANKS: usize = 10;

/// A subscription, as everybody else names it.
type Seat = (ConnectionId, SubscriptionHandle);

/// A queue.
#[derive(Debug)]
struct Queue {
    /// With its prefix.
    name: Rc<str>,
    rules: Rules,
    dead_letter: Option<QueueIndex>,
    lanes: [BTreeMap<i64, EntryId>; RANKS],
    /// Whether somebody has named it.
    exists: bool,
    /// Whose it is, if it is temporary.
    owner: Option<ConnectionId>,
    /// Its consumers, the oldest first.
    members: Vec<Seat>,
    /// Who may have which message group.
    groups: BTreeMap<Vec<u8>, BTreeSet<Owner>>,
    /// Whether somebody who chooses has been among them since the start.
    is_looked_into: bool,
    /// Groups that somebody had and lost since the start.
    released: BTreeSet<Vec<u8>>,
    /// What it is if a topic feeds it.
    lasting: Option<Lasting>,
}

/// What a delivery is of.
#[derive(Debug, Clone)]
enum What {
    Entry(EntryId),
    Copy(Box<Copy>),
    Shown,
}

/// A delivery.
#[derive(Debug, Clone)]
struct Open {
    what: What,
    counter: u64,
    slot: u32,
    number: MessageNumber,
    bytes: usize,
    /// When it was made: an uptime.
    since: Duration,
}

/// A delivery that a transaction has acknowledged.
#[derive(Debug, Clone)]
struct Claim {
    open: Open,
    subscription: Option<SubscriptionHandle>,
    outcome: Outcome,
}

#[derive(Debug)]
struct Peer {
    session: String,
    /// Where it has sent to.
    produced: BTreeSet<Rc<str>>,
    /// Whether it was let in.
    was_opened: bool,
    names_messages: bool,
    client_id: Option<Box<str>>,
    is_open: bool,
    must_be_refused: bool,
    may_close_after: Option<u64>,
    /// What waits until it is known whether it is a repeat.
    deferred: VecDeque<Request>,
    /// Whether it was told to hold back.
    is_blocked: bool,
    /// Topics that hold it back.
    blocked_by: BTreeSet<Rc<str>>,
    last_counter: u64,
    /// The last that asked the store for something on its behalf.
    last_ticket: u64,
    subscriptions: BTreeMap<SubscriptionHandle, Subscription>,
    /// Subscriptions that ended in this turn: something may be on its way to them.
    ended: BTreeMap<SubscriptionHandle, Subscription>,
    transactions: BTreeMap<TransactionHandle, Vec<Claim>>,
}

/// What a receipt promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// This ticket is durable.
    Durable(u64),
    /// The message went nowhere.
    Unrouted,
    /// It repeats another one, which this ticket brought.
    Repeat { ticket: u64, first: MessageId },
}

/// See the module.
pub(crate) struct Model {
    entries: Vec<Entry>,
    by_message: HashMap<MessageId, Vec<EntryId>>,
    /// By message and firing.
    numbers: HashMap<(MessageId, u32), MessageNumber>,
    queues: Vec<Queue>,
    by_name: HashMap<Rc<str>, QueueIndex>,
    by_id: HashMap<DestinationId, QueueIndex>,
    ids: HashMap<QueueIndex, DestinationId>,
    keys: BTreeMap<Spot, EntryId>,
    topic_ids: HashMap<DestinationId, Rc<str>>,
    client_ids: HashMap<Box<str>, ConnectionId>,
    /// Whether a second connection of one `client-id` takes it over.
    takes_over: bool,
    windows: Windows,
    agenda: Agenda,
    dropped: Vec<Dropped>,
    room: Room,
    last_values: LastValues,
    watch: Watch,
    full: FullDisk,
    /// The queues in which something has expired in this turn, once for each message, and its bytes.
    expired_now: Vec<(QueueIndex, usize)>,
    /// Durable and shared subscriptions by identity.
    lasting: BTreeMap<String, QueueIndex>,
    /// Those that may have lost their last consumer.
    deserted: Vec<QueueIndex>,
    /// Dead letters of what had expired unseen, by message and topic, less the copies that went: none when a turn ends.
    expired_copies: BTreeMap<(MessageId, u32, Rc<str>), i64>,
    /// What durable subscriptions have done with in a batch that may be refused: their floors rise when it is durable.
    passing: Vec<(u64, QueueIndex)>,
    /// Pages of logs that were asked for.
    log_pages: HashMap<PageId, SubscriptionId>,
    /// Whether a durable subscription has something to tell the store when the turn ends.
    is_unsettled: bool,
    /// Whether what happens now may be refused as a whole.
    is_in_unit: bool,
    topics: BTreeMap<Rc<str>, Topic>,
    slow: Slow,
    /// Advisories of this turn.
    told: Vec<Told>,
    /// Topics with something held back, once for each ticket that something of them waits for.
    hidden_topics: VecDeque<(u64, Rc<str>)>,
    peers: BTreeMap<ConnectionId, Peer>,
    owed: HashMap<(ConnectionId, Vec<u8>), Promise>,
    touched: BTreeSet<EntryId>,
    delayed: BTreeSet<(Duration, EntryId)>,
    /// Never stored, may expire.
    fading: BTreeSet<(i64, EntryId)>,
    now: Now,
    turn: u64,
    /// This turn's batch will have it.
    ticket: u64,
    /// The dispatcher knows that this is durable.
    watermark: u64,
    /// This is durable.
    pub(crate) committed: u64,
    next_order: i64,
    next_age: u64,
}

impl Model {
    pub(crate) fn new(now: Now) -> Self {
        Self {
            entries: Vec::new(),
            by_message: HashMap::new(),
            numbers: HashMap::new(),
            queues: Vec::new(),
            by_name: HashMap::new(),
            by_id: HashMap::new(),
            ids: HashMap::new(),
            keys: BTreeMap::new(),
            topic_ids: HashMap::new(),
            client_ids: HashMap::new(),
            takes_over: false,
            windows: Windows::default(),
            agenda: Agenda::default(),
            dropped: Vec::new(),
            room: Room::default(),
            last_values: LastValues::default(),
            watch: Watch::default(),
            full: FullDisk::default(),
            expired_now: Vec::new(),
            lasting: BTreeMap::new(),
            deserted: Vec::new(),
            expired_copies: BTreeMap::new(),
            passing: Vec::new(),
            log_pages: HashMap::new(),
            is_unsettled: false,
            is_in_unit: false,
            topics: BTreeMap::new(),
            slow: Slow::default(),
            told: Vec::new(),
            hidden_topics: VecDeque::new(),
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
            next_age: 0,
        }
    }

    /// The queue of this name, whether anybody has made it or not.
    fn queue(&mut self, name: &str) -> QueueIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let bare = name.strip_prefix("/queue/").unwrap_or(name);
        let name: Rc<str> = name.into();
        let index = self.add_queue(&name, bare);
        self.by_name.insert(name, index);
        index
    }

    /// A queue that goes by the policy of this name.
    fn add_queue(&mut self, name: &Rc<str>, policy: &str) -> QueueIndex {
        let rules = Rules::of(policy);
        let dead_letter = rules
            .dead_letter
            .map(|bare| self.queue(&format!("/queue/{bare}")));
        let index = self.queues.len();
        self.queues.push(Queue {
            name: Rc::clone(name),
            rules,
            dead_letter,
            lanes: std::array::from_fn(|_| BTreeMap::new()),
            exists: false,
            owner: None,
            members: Vec::new(),
            groups: BTreeMap::new(),
            is_looked_into: false,
            released: BTreeSet::new(),
            lasting: None,
        });
        index
    }

    /// The same, and it is there from now on.
    fn make_queue(&mut self, name: &str) -> QueueIndex {
        let index = self.queue(name);
        if !self.queues[index].exists {
            self.queues[index].exists = true;
            self.welcome_patterns(index);
        }
        index
    }

    fn subscription(&self, (connection, handle): Seat) -> Option<&Subscription> {
        self.peers.get(&connection)?.subscriptions.get(&handle)
    }

    fn peer(&mut self, connection: ConnectionId) -> &mut Peer {
        self.peers.get_mut(&connection).expect("a live connection")
    }

    /// Whether a subscription may be given one more.
    fn has_credit(&self, seat: Seat) -> bool {
        let is_open = self.peers.get(&seat.0).is_some_and(|peer| peer.is_open);
        let live = self.subscription(seat);
        is_open && live.is_some_and(Subscription::has_room)
    }

    /// The dispatcher is about to act at this time.
    pub(crate) fn begin_turn(&mut self, now: Now) {
        self.now = now;
        self.turn += 1;
        self.expired_now.clear();
        self.room.begin_turn();
        self.peers.values_mut().for_each(|peer| peer.ended.clear());
    }

    /// Whether a connection is there.
    pub(crate) fn knows(&self, connection: ConnectionId) -> bool {
        self.peers.contains_key(&connection)
    }

    /// The dispatcher is told that this is durable.
    pub(crate) fn durable(&mut self, ticket: u64) {
        assert!(ticket <= self.committed, "a watermark ahead of the disk");
        self.watermark = self.watermark.max(ticket);
        self.passes_hold(ticket);
        self.publish_held();
    }
}
