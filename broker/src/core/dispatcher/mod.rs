//! The dispatcher: the single owner of all destinations of a virtual host.
//!
//! It takes requests of sessions and events of the store, one at a time, and leaves replies, one batch for the
//! store and page requests behind. Whatever touches several destinations is one step here and one batch there.
//!
//! *Invariants.* Everything that one turn asks of the store is one batch, whose ticket is known while the turn
//! runs. A receipt that promises durability leaves when the watermark has reached its ticket, never otherwise.
//! Nothing here waits.

mod acknowledge;
mod connect;
mod consume;
mod delivery;
mod dispatch;
mod effect;
mod entry;
mod expiry;
mod flow;
mod inspect;
mod key;
mod lane;
mod paging;
mod peer;
mod publish;
mod queue;
mod redelivery;
mod subscription;
mod timer;
mod topic;
mod transaction;

pub use effect::{Read, Turn};
pub use paging::Window;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;
use stompbox_store::{
    Batch, DestinationId, DestinationKind, DestinationRecord, Epoch, Operation, PageId, Recovered,
    Sequence, StoreEvent, Ticket,
};

use super::clock::Now;
use super::destination::DestinationName;
use super::memory::MemoryBudget;
use super::port::{ConnectionId, Refusal, Reply, Request};
use crate::config::{ClientIdPolicy, Limits, Policies};
use delivery::Deliveries;
use effect::AwaitedReply;
use key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use lane::Range;
use peer::{Peer, Standing};
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
}

/// A destination's place in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// The single owner of all destinations.
#[derive(Debug)]
pub struct Dispatcher {
    settings: Settings,
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
    peers: Slab<Peer>,
    connections: BTreeMap<ConnectionId, PeerKey>,
    client_ids: HashMap<Box<str>, PeerKey>,
    subscriptions: Slab<Subscription>,
    deliveries: Deliveries,

    /// What this turn asks of the store; its ticket will be `next_ticket`.
    batch: Batch,
    next_ticket: Ticket,
    watermark: Ticket,
    reads: Vec<Read>,
    replied: Vec<PeerKey>,
    awaited: VecDeque<AwaitedReply>,

    dirty_queues: Vec<QueueKey>,
    dirty_subscriptions: Vec<SubscriptionKey>,
    /// Destinations with something that becomes visible at a ticket.
    hidden: VecDeque<(Ticket, Place)>,
    page_outs: VecDeque<paging::PageOut>,
    page_waits: VecDeque<(Ticket, QueueKey)>,
    page_reads: FxHashMap<PageId, QueueKey>,
    next_page: PageId,
    timers: Timers,
    expiring_queues: FxHashSet<QueueKey>,
    expired_read: expiry::ExpiredRead,
    /// Whether the memory was at its limit when the last requests came.
    is_memory_over: bool,
    memory_blocked: Vec<PeerKey>,
    memory_starved: Vec<QueueKey>,
    counters: Counters,
}

impl Dispatcher {
    /// A dispatcher on what a store knows at its opening.
    #[must_use]
    pub fn new(settings: Settings, recovered: &Recovered) -> Self {
        let mut dispatcher = Self {
            settings,
            uncertain_through: recovered.uncertain_through,
            last_sequence: recovered.epoch.first(),
            next_destination: recovered.next_destination,
            names: HashMap::new(),
            ordered_names: BTreeMap::new(),
            queues: Slab::new(),
            queue_ids: FxHashMap::default(),
            topics: Slab::new(),
            peers: Slab::new(),
            connections: BTreeMap::new(),
            client_ids: HashMap::new(),
            subscriptions: Slab::new(),
            deliveries: Deliveries::default(),
            batch: Batch::default(),
            next_ticket: Ticket(1),
            watermark: Ticket(0),
            reads: Vec::new(),
            replied: Vec::new(),
            awaited: VecDeque::new(),
            dirty_queues: Vec::new(),
            dirty_subscriptions: Vec::new(),
            hidden: VecDeque::new(),
            page_outs: VecDeque::new(),
            page_waits: VecDeque::new(),
            page_reads: FxHashMap::default(),
            next_page: PageId(1),
            timers: Timers::default(),
            expiring_queues: FxHashSet::default(),
            expired_read: expiry::ExpiredRead::default(),
            is_memory_over: false,
            memory_blocked: Vec::new(),
            memory_starved: Vec::new(),
            counters: Counters::default(),
        };
        dispatcher.recover(recovered);
        dispatcher
    }

    fn recover(&mut self, recovered: &Recovered) {
        for record in &recovered.destinations {
            if record.kind == DestinationKind::Queue {
                let name = Arc::new(DestinationName::new(record.kind, &record.name));
                self.insert_queue(record.id, name);
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
                self.expiring_queues.insert(QueueKey(queue));
            }
        }
    }

    /// Acts on what one connection asked for.
    pub fn handle(&mut self, connection: ConnectionId, requests: Vec<Request>, now: Now) {
        // What these requests brought is charged already: that it is full shows now, or not before the next ones.
        self.is_memory_over = self.settings.budget.is_over();
        let mut peer = self.connections.get(&connection).copied();
        for request in requests {
            if let Request::Open(opening) = request {
                self.open(connection, *opening, now);
                peer = self.connections.get(&connection).copied();
                continue;
            }
            let Some(peer) = peer else { return };
            if let Request::Closed { ending, written } = request {
                return self.close(peer, ending, written, now);
            }
            if self.peers[peer.0].standing == Standing::Open
                || matches!(request, Request::Written { .. })
            {
                self.act(peer, request, now);
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
            Request::Subscribe(subscribing) => self.subscribe(peer, *subscribing, now),
            Request::Unsubscribe {
                subscription,
                given,
                receipt,
            } => {
                self.unsubscribe(peer, subscription, given, receipt, now);
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
        match event {
            StoreEvent::Durable(ticket) => self.durable(ticket, now),
            StoreEvent::Page(page) => self.page_came(page),
            StoreEvent::Expired(expired) => self.expired_came(&expired, now),
            _ => {}
        }
    }

    /// Ends a turn: hands out what can be handed out and returns what the store is asked for.
    pub fn finish_turn(&mut self, now: Now) -> Turn {
        self.run_timers(now);
        self.unblock_by_memory();
        self.dispatch_dirty(now);
        self.take_turn()
    }

    /// Hands every connection its replies of this turn.
    pub fn drain_replies(&mut self, mut deliver: impl FnMut(ConnectionId, Vec<Reply>)) {
        for peer in self.replied.drain(..) {
            if let Some(peer) = self.peers.get_mut(peer.0)
                && !peer.replies.is_empty()
            {
                peer.reply_count = peer.replies.len();
                deliver(peer.connection, std::mem::take(&mut peer.replies));
            }
        }
    }

    fn next_sequence(&mut self) -> Sequence {
        self.last_sequence = self.last_sequence.next();
        self.last_sequence
    }

    fn insert_queue(&mut self, id: DestinationId, name: Arc<DestinationName>) -> QueueKey {
        let policy = self
            .settings
            .policies
            .effective(DestinationKind::Queue, name.name());
        let dead_letter = (!self.settings.policies.is_dead_letter_queue(name.name())).then(|| {
            let target = policy.dead_letter_queue_of(name.name());
            Arc::new(DestinationName::new(DestinationKind::Queue, &target))
        });
        let queue = Queue::new(id, Arc::clone(&name), Arc::new(policy), dead_letter);
        let key = QueueKey(self.queues.insert(queue));
        self.queue_ids.insert(id, key);
        self.names.insert(Arc::clone(&name), Place::Queue(key));
        self.ordered_names.insert(name, Place::Queue(key));
        key
    }

    /// The queue of this name, made and stored if need be.
    fn ensure_queue(&mut self, name: &Arc<DestinationName>, now: Now) -> QueueKey {
        if let Some(Place::Queue(key)) = self.names.get(name) {
            return *key;
        }
        let id = self.next_destination;
        self.next_destination = DestinationId(id.0 + 1);
        self.batch
            .operations
            .push(Operation::Create(DestinationRecord {
                id,
                kind: DestinationKind::Queue,
                name: name.name().into(),
                created_ms: now.wall_ms,
            }));
        self.insert_queue(id, Arc::clone(name))
    }

    fn ensure_topic(&mut self, name: &Arc<DestinationName>) -> TopicKey {
        if let Some(Place::Topic(key)) = self.names.get(name) {
            return *key;
        }
        let policy = self
            .settings
            .policies
            .effective(DestinationKind::Topic, name.name());
        let key = TopicKey(
            self.topics
                .insert(Topic::new(Arc::clone(name), Arc::new(policy))),
        );
        self.names.insert(Arc::clone(name), Place::Topic(key));
        self.ordered_names
            .insert(Arc::clone(name), Place::Topic(key));
        key
    }

    /// The destination of this name, made if need be.
    fn ensure(&mut self, name: &Arc<DestinationName>, now: Now) -> Result<Place, Refusal> {
        if let Some(place) = self.names.get(name) {
            return Ok(*place);
        }
        self.check_destinations(1)?;
        Ok(match name.kind() {
            DestinationKind::Queue => Place::Queue(self.ensure_queue(name, now)),
            DestinationKind::Topic => Place::Topic(self.ensure_topic(name)),
        })
    }

    /// The destination of a SEND. A producer's next one nearly always goes where its last one went.
    fn ensure_of(
        &mut self,
        peer: PeerKey,
        name: &Arc<DestinationName>,
        now: Now,
    ) -> Result<Place, Refusal> {
        if let Some((latest, place)) = &self.peers[peer.0].latest
            && latest == name
        {
            return Ok(*place);
        }
        let place = self.ensure(name, now)?;
        self.peers[peer.0].latest = Some((Arc::clone(name), place));
        Ok(place)
    }

    /// Whether so many more destinations may be made.
    fn check_destinations(&self, more: usize) -> Result<(), Refusal> {
        let limit = self.settings.limits.destinations;
        if self.names.len() + more <= limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many destinations",
            format!(
                "the broker holds {} destinations and limits.destinations is {limit}: use one that \
                 exists, or raise the limit",
                self.names.len()
            ),
        ))
    }
}

#[cfg(test)]
mod tests;
