//! The dispatcher: the single owner of all destinations of a virtual host.
//!
//! It takes requests of sessions and events of the store, one at a time, and leaves replies, one batch for the
//! store and page requests behind. Whatever touches several destinations is one step here and one batch there.
//!
//! *Invariants.* Everything that one turn asks of the store is one batch, whose ticket is known while the turn
//! runs. A receipt that promises durability leaves when the watermark has reached its ticket, never otherwise.
//! Nothing here waits.

mod acknowledge;
mod advisory;
mod agenda;
mod bound;
mod browse;
mod burst;
mod claim;
mod connect;
mod consume;
mod consumer;
mod crowd;
mod cursor;
mod deferred;
mod delivery;
mod directory;
mod dispatch;
mod duplicate;
mod effect;
mod entry;
mod expiry;
mod fan_out;
mod feed;
mod flow;
mod full;
mod group;
mod held;
mod hung;
mod identity;
mod idle;
mod inquiry;
mod inspect;
mod key;
mod lane;
mod last_value;
mod lasting;
mod look;
mod page_turn;
mod paging;
mod parked;
mod peer;
mod pressure;
mod producer;
mod property;
mod publish;
mod queue;
mod recount;
mod redelivery;
mod report;
mod retained;
mod round;
mod route;
mod scan;
mod scheduler;
mod statistics;
mod subscription;
mod timer;
mod topic;
mod topic_log;
mod transaction;
mod withheld;

pub use consumer::{ConsumerPriority, Exclusivity};
pub use effect::{Read, Turn};
pub use flow::DiskLimits;
pub use inquiry::{Finding, Inquiry, InquiryId};
pub use paging::Window;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use stompbox_store::{
    Batch, DestinationId, DestinationKind, Epoch, PageId, Recovered, Sequence, StoreEvent,
    SubscriptionId, Ticket,
};

use super::clock::Now;
use super::destination::{DestinationName, is_topic_set};
use super::memory::MemoryBudget;
use super::pattern_index::PatternIndex;
use super::port::{ConnectionId, Reply, Request};
use super::schedule::TimeZone;
use crate::config::{ClientIdPolicy, Limits, Policies};
use consumer::{Consumer, Serial};
use crowd::Crowd;
use delivery::Deliveries;
use effect::AwaitedReply;
use key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use lane::Range;
use peer::Peer;
use queue::Queue;
use subscription::Subscription;
use timer::Timers;
use topic::Topic;

/// What the dispatcher is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Per destination.
    pub policies: Policies,
    /// Per connection and in all.
    pub limits: Limits,
    /// What a second connection with a live `client-id` meets.
    pub client_id: ClientIdPolicy,
    /// What messages are charged to.
    pub budget: Arc<MemoryBudget>,
    /// What of a queue is resident.
    pub window: Window,
    /// What may be stored.
    pub disk: DiskLimits,
    /// Where the cron expressions of scheduled messages are read.
    pub zone: TimeZone,
}

/// A destination's place in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Queue(QueueKey),
    Topic(TopicKey),
}

/// Counts since the start that belong to no single destination.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    connections: u64,
    enqueued: u64,
    dispatched: u64,
    acknowledged: u64,
    redelivered: u64,
    dead_lettered: u64,
    expired: u64,
    dropped: u64,
    stale_acks: u64,
    duplicates: u64,
}

/// The single owner of all destinations.
#[derive(Debug)]
pub struct Dispatcher {
    settings: Settings,
    /// The database's random name.
    instance: Arc<str>,
    /// Rows with a position of this epoch or an earlier one may have been delivered by a life that crashed.
    uncertain_through: Epoch,
    last_sequence: Sequence,
    next_destination: DestinationId,

    names: HashMap<Arc<DestinationName>, Place>,
    /// The same in order, for lists.
    ordered_names: BTreeMap<Arc<DestinationName>, Place>,
    queues: Slab<Queue>,
    queue_ids: FxHashMap<DestinationId, QueueKey>,
    topics: Slab<Topic>,
    /// Topics that have a row in the store.
    topic_ids: FxHashMap<DestinationId, TopicKey>,
    feeds: feed::Feeds,
    /// Queues of durable and shared subscriptions, by identity.
    lasting: HashMap<Box<str>, QueueKey>,
    /// The durable ones.
    durables: FxHashMap<SubscriptionId, QueueKey>,
    next_subscription: SubscriptionId,
    /// Those whose last consumer has gone in this turn.
    deserted: Vec<QueueKey>,
    /// Those that have something to tell the store at the end of this turn.
    unsettled: Vec<QueueKey>,
    /// What durable subscriptions have done with in a batch that may be refused.
    passes: VecDeque<(Ticket, DestinationId, Sequence)>,
    /// Positions of logs that are not durable yet.
    logging: VecDeque<(Ticket, TopicKey, Sequence)>,
    /// Whether what is done now is refused by a full disk together with something else.
    is_in_unit: bool,
    peers: Slab<Peer>,
    connections: BTreeMap<ConnectionId, PeerKey>,
    client_ids: HashMap<Box<str>, PeerKey>,
    /// Subscriptions by the patterns that they take from.
    patterns: PatternIndex<SubscriptionKey>,
    /// Queues that get a copy of what a virtual topic gets, whether or not the topic is there.
    virtual_queues: HashMap<DestinationName, Vec<QueueKey>>,
    subscriptions: Slab<Subscription>,
    consumers: Slab<Consumer>,
    /// What subscriptions to several destinations take by their places at queues.
    places_bytes: usize,
    last_serial: Serial,
    deliveries: Deliveries,

    /// What this turn asks of the store; its ticket will be `next_ticket`.
    batch: Batch,
    next_ticket: Ticket,
    watermark: Ticket,
    reads: Vec<Read>,
    replied: Vec<PeerKey>,
    awaited: VecDeque<AwaitedReply>,

    dirty_queues: Vec<QueueKey>,
    /// Queues that a turn has not finished with.
    unfinished: Vec<QueueKey>,
    /// The same of browsers.
    walks_unfinished: Vec<SubscriptionKey>,
    dirty_subscriptions: Vec<SubscriptionKey>,
    /// Subscriptions that may have credit for more of their queues.
    offered: Vec<SubscriptionKey>,
    /// The highest priority among them.
    offered_priority: ConsumerPriority,
    /// Destinations with something that becomes visible at a ticket.
    hidden: VecDeque<(Ticket, Place)>,
    page_outs: VecDeque<paging::PageOut>,
    page_waits: VecDeque<(Ticket, QueueKey)>,
    page_reads: FxHashMap<PageId, QueueKey>,
    next_page: PageId,
    timers: Timers,
    expiring_queues: FxHashSet<QueueKey>,
    expired_read: expiry::ExpiredRead,
    routes: route::Routes,
    watch: hung::Watch,
    caretaker: idle::Caretaker,
    /// As of the last request or turn.
    uptime: Duration,
    flow: flow::Flow,
    pressure: pressure::Pressure,
    is_disk_full: bool,
    /// Whether the memory was at its limit when the last requests came.
    is_memory_over: bool,
    crowd: Crowd,
    burst: burst::Burst,
    looks: look::Looks,
    revocable: VecDeque<full::Revocable>,
    withheld: withheld::Withheld,
    /// What the messages that came in last have replaced in last-value queues.
    replaced: Vec<full::Acknowledged>,
    advisories: advisory::Advisories,
    producers: producer::Producers,
    agenda: agenda::Agenda,
    /// Requests to manage the schedule that wait for the store.
    jobs: FxHashMap<PageId, scheduler::Job>,
    listings: scheduler::Listings,
    windows: duplicate::Windows,
    inquiries: inquiry::Inquiries,
    totals: Option<statistics::Totals>,
    counters: Counters,
}

impl Dispatcher {
    /// A dispatcher on what a store knows at its opening.
    #[must_use]
    pub fn new(settings: Settings, recovered: &Recovered) -> Self {
        let crowd = Crowd::new(&settings.budget);
        let advisories = advisory::Advisories::new(&settings.budget);
        let mut dispatcher = Self {
            routes: route::Routes::default(),
            watch: hung::Watch::new(&settings.policies),
            caretaker: idle::Caretaker::new(&settings.policies),
            uptime: Duration::ZERO,
            settings,
            instance: recovered.instance.as_str().into(),
            uncertain_through: recovered.uncertain_through,
            last_sequence: recovered.epoch.first(),
            next_destination: recovered.next_destination,
            names: HashMap::new(),
            ordered_names: BTreeMap::new(),
            queues: Slab::new(),
            queue_ids: FxHashMap::default(),
            topics: Slab::new(),
            topic_ids: FxHashMap::default(),
            feeds: feed::Feeds::default(),
            lasting: HashMap::new(),
            durables: FxHashMap::default(),
            next_subscription: recovered.next_subscription,
            deserted: Vec::new(),
            unsettled: Vec::new(),
            passes: VecDeque::new(),
            logging: VecDeque::new(),
            is_in_unit: false,
            peers: Slab::new(),
            connections: BTreeMap::new(),
            client_ids: HashMap::new(),
            patterns: PatternIndex::default(),
            virtual_queues: HashMap::new(),
            subscriptions: Slab::new(),
            consumers: Slab::new(),
            places_bytes: 0,
            last_serial: Serial::default(),
            deliveries: Deliveries::default(),
            batch: Batch::default(),
            next_ticket: Ticket(1),
            watermark: Ticket(0),
            reads: Vec::new(),
            replied: Vec::new(),
            awaited: VecDeque::new(),
            dirty_queues: Vec::new(),
            unfinished: Vec::new(),
            walks_unfinished: Vec::new(),
            dirty_subscriptions: Vec::new(),
            offered: Vec::new(),
            offered_priority: ConsumerPriority::NOBODYS,
            hidden: VecDeque::new(),
            page_outs: VecDeque::new(),
            page_waits: VecDeque::new(),
            page_reads: FxHashMap::default(),
            next_page: PageId(1),
            timers: Timers::default(),
            expiring_queues: FxHashSet::default(),
            expired_read: expiry::ExpiredRead::default(),
            flow: flow::Flow::default(),
            pressure: pressure::Pressure::default(),
            is_disk_full: false,
            is_memory_over: false,
            crowd,
            burst: burst::Burst::default(),
            looks: look::Looks::default(),
            revocable: VecDeque::new(),
            withheld: withheld::Withheld::default(),
            replaced: Vec::new(),
            advisories,
            producers: producer::Producers::default(),
            agenda: agenda::Agenda::recovered(recovered),
            jobs: FxHashMap::default(),
            listings: scheduler::Listings::default(),
            windows: duplicate::Windows::default(),
            inquiries: inquiry::Inquiries::default(),
            totals: None,
            counters: Counters::default(),
        };
        dispatcher.recover(recovered);
        dispatcher
    }

    fn recover(&mut self, recovered: &Recovered) {
        for record in &recovered.destinations {
            let name = Arc::new(DestinationName::new(record.kind, &record.name));
            match record.kind {
                DestinationKind::Queue => {
                    self.insert_queue(record.id, name);
                }
                DestinationKind::Topic => {
                    let topic = match is_topic_set(&name) {
                        true => self.ensure_feed(&name),
                        false => self.ensure_topic(&name),
                    };
                    self.topics[topic.0].id = Some(record.id);
                    self.topic_ids.insert(record.id, topic);
                }
            }
        }
        for tally in &recovered.tallies {
            if let Some(&QueueKey(queue)) = self.queue_ids.get(&tally.destination) {
                let range = Range {
                    first: tally.first,
                    last: tally.last,
                    count: tally.count,
                };
                self.queues[queue].recover(tally.rank, range, tally.bytes);
                self.queues[queue].has_unread_values();
                self.mark(QueueKey(queue));
                self.expiring_queues.insert(QueueKey(queue));
            }
        }
        for tally in &recovered.scheduled {
            if let Some(&QueueKey(queue)) = self.queue_ids.get(&tally.destination) {
                self.queues[queue].scheduled_count = tally.count;
            }
            if let Some(&TopicKey(topic)) = self.topic_ids.get(&tally.destination) {
                self.topics[topic].is_scheduled_for = true;
            }
        }
        self.recover_subscriptions(recovered);
    }

    /// Acts on what one connection asked for.
    pub fn handle(&mut self, connection: ConnectionId, requests: Vec<Request>, now: Now) {
        // What these requests brought is charged already: that it is full shows now, or not before the next ones.
        self.uptime = now.uptime;
        self.is_memory_over = self.settings.budget.is_over();
        let mut peer = self.connections.get(&connection).copied();
        for request in requests {
            if let Request::Open(opening) = request {
                self.open(connection, *opening, now);
                peer = self.connections.get(&connection).copied();
                continue;
            }
            let Some(peer) = peer else { return };
            let waits = !self.peers[peer.0].deferred.is_empty();
            if waits && !self.overtakes_burst(peer, &request) {
                self.peers[peer.0].deferred.push_back(request);
            } else if !self.perform(peer, request, now) {
                return;
            }
        }
    }

    fn act(&mut self, peer: PeerKey, request: Request, now: Now) {
        match request {
            Request::Open(_) | Request::Closed { .. } => {}
            Request::Send {
                publication,
                receipt,
            } => self.send(peer, publication, receipt, now),
            Request::MakeTemporary(name) => self.make_temporary(peer, &name),
            Request::Subscribe(subscribing) => self.subscribe(peer, *subscribing, now),
            Request::Unsubscribe {
                subscription,
                deletes,
                given,
                receipt,
            } => {
                self.unsubscribe(peer, subscription, deletes, given, receipt, now);
            }
            Request::Acknowledge {
                target,
                verdict,
                transaction,
                receipt,
            } => {
                self.acknowledge(peer, target, verdict, transaction, receipt, now);
            }
            Request::Written {
                subscription,
                count,
                bytes,
            } => {
                self.written(peer, subscription, count, bytes);
            }
            Request::Commit {
                transaction,
                sends,
                receipt,
            } => {
                self.commit(peer, transaction, sends, receipt, now);
            }
            Request::Abort {
                transaction,
                receipt,
            } => self.abort(peer, transaction, receipt, now),
            Request::Disconnect { given, receipt } => self.disconnect(peer, given, receipt, now),
        }
    }

    /// Acts on what the store reports. A failed store is the runtime's affair.
    pub fn store_event(&mut self, event: StoreEvent, now: Now) {
        self.uptime = now.uptime;
        match event {
            StoreEvent::Durable(ticket) => self.durable(ticket, now),
            StoreEvent::Page(page) => self.page_came(page, now),
            StoreEvent::Expired(expired) => self.expired_came(&expired, now),
            StoreEvent::Refused(operations) => self.refused(&operations, now),
            StoreEvent::Resumed => self.disk_resumed(now),
            StoreEvent::Due(due) => self.due_came(due, now),
            StoreEvent::Schedule(list) => self.schedule_came(&list, now),
            StoreEvent::Duplicates(found) => self.duplicates_came(found, now),
            StoreEvent::Failed(_) => {}
        }
    }

    /// Ends a turn: hands out what can be handed out and returns what the store is asked for.
    pub fn finish_turn(&mut self, now: Now) -> Turn {
        self.uptime = now.uptime;
        self.go_on_with_burst(now);
        self.run_timers(now);
        self.look_at_agenda(now);
        self.watch_consumers(now);
        self.remove_unused(now);
        self.relieve_crowd(now);
        self.unblock_by_memory();
        self.part_from_deserted();
        for queue in std::mem::take(&mut self.unfinished) {
            self.mark(queue);
        }
        for walker in std::mem::take(&mut self.walks_unfinished) {
            self.look_at(walker);
        }
        self.go_on_looking(now);
        self.dispatch_dirty(now);
        self.publish_advisories(now);
        self.relieve_pressure(now);
        self.shrink_windows();
        self.settle_cursors();
        self.take_turn()
    }

    /// Hands every connection its replies of this turn.
    pub fn drain_replies(&mut self, mut deliver: impl FnMut(ConnectionId, Vec<Reply>)) {
        for peer in self.replied.drain(..) {
            if let Some(peer) = self.peers.get_mut(peer.0)
                && !peer.replies.is_empty()
            {
                for batch in std::mem::take(&mut peer.reply_batches) {
                    deliver(peer.connection, batch);
                }
                peer.reply_count = peer.replies.len();
                deliver(peer.connection, std::mem::take(&mut peer.replies));
            }
        }
    }

    fn next_sequence(&mut self) -> Sequence {
        self.last_sequence = self.last_sequence.next();
        self.last_sequence
    }
}

#[cfg(test)]
mod tests;
