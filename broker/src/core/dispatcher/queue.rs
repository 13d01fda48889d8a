//! A queue: ten lanes of waiting messages, those that wait out a delay, and the consumers that compete.
//!
//! Owns what waits; what is with a consumer is owned by [`super::delivery::Deliveries`]. *Invariant*: every
//! stored entry of the queue is in exactly one of: a lane's resident entries, a lane's range, `held`.

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stompbox_store::{DestinationId, EntryKey, Medium, Operation, PageId, Rank, Sequence, Ticket};

use super::bound::Bound;
use super::cursor::Cursor;
use super::entry::Entry;
use super::group::{GroupId, Groups};
use super::held::Held;
use super::idle::LastUse;
use super::key::{ConsumerKey, ScanKey, SubscriptionKey, TopicKey};
use super::lane::{Front, Lane};
use super::last_value::LastValues;
use super::page_turn::PageTurn;
use super::paging::Window;
use super::parked::Position;
use super::round::Round;
use super::scan::Scans;
use super::topic_log::LOG_RANK;
use crate::config::Policy;
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::memory::Charge;
use crate::core::selector::Selector;

/// What an entry in memory costs beside its message.
const ENTRY_BYTES: usize = 192;

/// Priorities 0 to 9.
pub(super) const LANE_COUNT: usize = 10;

/// What a queue would hand out next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This one, the front of its lane.
    Ready(Rank, Sequence),
    /// Something of this lane that must be read first.
    Paged(Rank),
    /// Nothing now.
    Nothing,
}

/// Reading back: one page at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Paging {
    /// Nothing is asked for.
    Idle,
    /// Asked for when the watermark has reached this ticket: what was settled before must not come back.
    Waiting {
        rank: Rank,
        after: Ticket,
        purpose: Purpose,
    },
    /// Asked for.
    Reading {
        rank: Rank,
        id: PageId,
        through: Sequence,
        purpose: Purpose,
    },
}

/// What a page is read for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be resident at the front.
    Head,
    /// To be looked at by a selector, from this position on.
    Scan(ScanKey, Sequence),
    /// Parked messages of a group.
    Group(GroupId),
    /// To be entered by their last values, from this position on.
    Values(Sequence),
    /// To be shown to a browser that stands here.
    Walk(SubscriptionKey, Sequence),
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QueueCounters {
    pub(super) enqueued: u64,
    pub(super) dispatched: u64,
    pub(super) acknowledged: u64,
    pub(super) redelivered: u64,
    pub(super) dead_lettered: u64,
    pub(super) expired: u64,
    pub(super) dropped: u64,
    pub(super) replaced: u64,
}

/// What a queue is.
#[derive(Debug)]
pub(super) enum Role {
    /// A destination, which has its messages for itself.
    Destination,
    /// What waits for a durable subscription: its messages stand in the log of its topic.
    Durable(Box<Cursor>),
    /// What waits for a subscription that lives as long as its consumers: never stored.
    Shared {
        topic: TopicKey,
        identity: Box<str>,
        selector: Option<Arc<Selector>>,
    },
}

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) id: DestinationId,
    pub(super) name: Arc<DestinationName>,
    pub(super) role: Role,
    /// What entries in memory are charged to where each is one of many copies: those of a subscription's queue.
    pub(super) copies: Option<Charge>,
    pub(super) policy: Arc<Policy>,
    /// Where its failures go; none when it is a dead-letter queue itself.
    pub(super) dead_letter: Option<Arc<DestinationName>>,
    pub(super) lanes: [Lane; LANE_COUNT],
    /// Bit n: lane n is not empty.
    occupied: u16,
    resident_bytes: usize,
    /// Resident entries that wait and expire, the earliest first.
    expiring: BTreeSet<(i64, Rank, Sequence)>,
    pub(super) delayed: BTreeMap<(Rank, Sequence), Entry>,
    /// Stored entries that are not in a lane: with a consumer, claimed, delayed, parked, or leaving.
    held: Held,
    /// Those of `held` that were settled while a page was being read: forgotten when it has come.
    leaving: Vec<(Rank, Sequence)>,
    /// Rows that are to be part of a range again when the page that is being read has come.
    regained: Vec<(Rank, Sequence)>,
    /// Entries in lanes that wait out a redelivery delay, or have: they hold back what is behind them.
    waiting_out: BTreeSet<Position>,
    /// Resident entries that may leave memory when the page that is being read has come: it may have been read
    /// without them, and says how far the range has been read.
    staying: Vec<(Rank, Sequence)>,
    pub(super) paging: Paging,
    /// The last batch that put something on disk that was never resident: a page that is read before sees
    /// less than the ranges span.
    pub(super) paged_ticket: Ticket,
    /// Some row on disk may expire unseen.
    pub(super) paged_may_expire: bool,
    /// All consumers, the oldest first.
    pub(super) consumers: Vec<ConsumerKey>,
    /// Subscriptions that look through it and take nothing.
    pub(super) browser_count: usize,
    /// Those that may be given something.
    pub(super) round: Round,
    /// The one that has the queue for itself.
    pub(super) exclusive: Option<ConsumerKey>,
    /// What selectors have seen.
    pub(super) scans: Scans,
    pub(super) groups: Groups,
    /// Who wants something that is on disk.
    pub(super) page_turn: PageTurn,
    /// The last batch with a change of this queue.
    pub(super) last_ticket: Ticket,
    /// So many messages are scheduled for it, at the most: it has to be there then.
    pub(super) scheduled_count: u64,
    /// Nothing is handed out before the watermark has reached this: it is not stored yet.
    pub(super) opens_at: Ticket,
    /// Whether it stands in the dispatcher's list of those that have something to tell the store.
    pub(super) is_unsettled: bool,
    /// Whether it stands in the dispatcher's list of queues to look at.
    pub(super) dirty: bool,
    /// Whether its consumers wait for memory before anything more is read back.
    pub(super) is_starved: bool,
    pub(super) depth: u64,
    pub(super) depth_bytes: u64,
    pub(super) in_flight: u64,
    pub(super) in_flight_bytes: u64,
    /// Who waits for room in it.
    pub(super) bound: Bound,
    /// The newest message of each value, where only that is kept.
    pub(super) last_values: Option<Box<LastValues>>,
    /// When it was last seen to be used.
    pub(super) last_use: Option<LastUse>,
    pub(super) counters: QueueCounters,
}

impl Queue {
    pub(super) fn new(
        id: DestinationId,
        name: Arc<DestinationName>,
        policy: Arc<Policy>,
        dead_letter: Option<Arc<DestinationName>>,
    ) -> Self {
        Self {
            id,
            name,
            role: Role::Destination,
            copies: None,
            policy,
            dead_letter,
            lanes: std::array::from_fn(|_| Lane::default()),
            occupied: 0,
            resident_bytes: 0,
            expiring: BTreeSet::new(),
            delayed: BTreeMap::new(),
            held: Held::default(),
            leaving: Vec::new(),
            regained: Vec::new(),
            waiting_out: BTreeSet::new(),
            staying: Vec::new(),
            paging: Paging::Idle,
            paged_ticket: Ticket(0),
            paged_may_expire: false,
            consumers: Vec::new(),
            browser_count: 0,
            round: Round::default(),
            exclusive: None,
            scans: Scans::default(),
            groups: Groups::default(),
            page_turn: PageTurn::default(),
            last_ticket: Ticket(0),
            scheduled_count: 0,
            opens_at: Ticket(0),
            is_unsettled: false,
            dirty: false,
            is_starved: false,
            depth: 0,
            depth_bytes: 0,
            in_flight: 0,
            in_flight_bytes: 0,
            bound: Bound::default(),
            last_values: None,
            last_use: None,
            counters: QueueCounters::default(),
        }
    }

    /// The store's name for an entry of this queue.
    pub(super) fn key(&self, rank: Rank, sequence: Sequence) -> EntryKey {
        EntryKey {
            destination: self.id,
            rank,
            sequence,
        }
    }

    pub(super) fn lane(&self, rank: Rank) -> &Lane {
        &self.lanes[usize::from(rank.0) % LANE_COUNT]
    }

    fn lane_mut(&mut self, rank: Rank) -> &mut Lane {
        &mut self.lanes[usize::from(rank.0) % LANE_COUNT]
    }

    /// Ranks whose lane is not empty, the first to be delivered first.
    pub(super) fn occupied(&self) -> impl DoubleEndedIterator<Item = Rank> + use<> {
        let bits = self.occupied;
        (0..LANE_COUNT as u8)
            .filter(move |rank| bits & (1 << rank) != 0)
            .map(Rank)
    }

    fn note_occupied(&mut self, rank: Rank) {
        if self.lane(rank).is_empty() {
            self.occupied &= !(1 << rank.0);
        } else {
            self.occupied |= 1 << rank.0;
        }
    }

    /// What would be handed out next. A lane whose front is not yet visible or due holds back what is behind it
    /// in that lane only; a lane whose front is on disk holds back lower priorities too.
    pub(super) fn next(&self, watermark: Ticket, now: Now) -> Next {
        let returning = self.regained.iter().min().copied();
        for rank in self.occupied() {
            match self.lane(rank).front() {
                Front::Entry(sequence, entry) => {
                    if returning.is_some_and(|first| first < (rank, sequence)) {
                        return Next::Nothing;
                    }
                    if entry.visible_after <= watermark && entry.not_before <= now.uptime {
                        return Next::Ready(rank, sequence);
                    }
                }
                Front::Paged => return Next::Paged(rank),
                Front::Empty => {}
            }
        }
        Next::Nothing
    }

    /// The first row from here on that is about to be part of the range again.
    pub(super) fn first_returning(&self, rank: Rank, from: Sequence) -> Option<Sequence> {
        let returning = self.regained.iter();
        let own = returning.filter(|(own, sequence)| *own == rank && *sequence >= from);
        own.map(|(_, sequence)| *sequence).min()
    }

    /// Whether something that stands before a message is about to be part of the range again, when the page that is being
    /// read has come.
    pub(super) fn is_returning_before(&self, position: Position) -> bool {
        self.regained.iter().any(|first| *first < position)
    }

    /// Whether something that stands before a message must be given first: it is about to be part of the range again, or
    /// waits out a delay in its lane.
    pub(super) fn is_held_back(
        &self,
        (rank, sequence): Position,
        is_ready: impl Fn(&Entry) -> bool,
    ) -> bool {
        let first = (rank, Sequence(i64::MIN));
        let mut before = self.waiting_out.range(first..(rank, sequence));
        self.is_returning_before((rank, sequence))
            || before.any(|(rank, sequence)| {
                let entry = self.lane(*rank).get(*sequence);
                entry.is_some_and(|entry| !is_ready(entry))
            })
    }

    /// Entries in lanes that are not due yet, in order, with when they are.
    pub(super) fn waiting_until_after(&self, now: Duration) -> Vec<(Rank, Sequence, Duration)> {
        let waiting = self.waiting_out.iter().filter_map(|(rank, sequence)| {
            let due = self.lane(*rank).get(*sequence)?.not_before;
            (due > now).then_some((*rank, *sequence, due))
        });
        waiting.collect()
    }

    /// Takes a resident entry. A stored one is held from here on.
    pub(super) fn take_at(&mut self, rank: Rank, sequence: Sequence) -> Option<Entry> {
        let entry = self.lane_mut(rank).remove(sequence)?;
        self.taken(rank, sequence, &entry);
        Some(entry)
    }

    fn taken(&mut self, rank: Rank, sequence: Sequence, entry: &Entry) {
        self.note_occupied(rank);
        self.leaves_memory();
        if !entry.not_before.is_zero() {
            self.waiting_out.remove(&(rank, sequence));
        }
        self.resident_bytes -= entry.message.bytes();
        self.expires_elsewhere((rank, sequence), entry);
        if entry.is_stored() {
            self.hold(rank, sequence);
        }
    }

    fn comes_to_memory(&mut self) {
        if let Some(copies) = &mut self.copies {
            copies.grow(ENTRY_BYTES);
        }
    }

    fn leaves_memory(&mut self) {
        if let Some(copies) = &mut self.copies {
            copies.shrink(ENTRY_BYTES);
        }
    }

    /// A stored entry is known by name, and in no lane.
    fn hold(&mut self, rank: Rank, sequence: Sequence) {
        self.held.insert((rank, sequence));
        if let Role::Durable(cursor) = &mut self.role {
            cursor.took(sequence);
        }
    }

    /// An entry that waits in memory is in the store from here on: one that is parked is held.
    pub(super) fn parked_is_stored(&mut self, (rank, sequence): Position) {
        if !self.lane(rank).contains(sequence) {
            self.hold(rank, sequence);
        }
    }

    fn unhold(&mut self, rank: Rank, sequence: Sequence) {
        self.held.remove((rank, sequence));
        if let Role::Durable(cursor) = &mut self.role {
            cursor.let_go(sequence);
        }
    }

    /// Puts an entry in its place: a new one, or one that returns.
    pub(super) fn put(&mut self, rank: Rank, sequence: Sequence, entry: Entry) {
        if entry.is_stored() {
            self.unhold(rank, sequence);
        }
        self.comes_to_memory();
        self.resident_bytes += entry.message.bytes();
        self.expires_at_place((rank, sequence), &entry);
        if !entry.not_before.is_zero() {
            self.waiting_out.insert((rank, sequence));
        }
        self.lane_mut(rank).insert(sequence, entry);
        self.look_again(rank, sequence);
        self.occupied |= 1 << rank.0;
    }

    /// Puts a row in its place that was on disk only. Scans that have passed it have seen it there.
    pub(super) fn put_paged(&mut self, rank: Rank, sequence: Sequence, entry: Entry) {
        self.note_paged_in(entry.message.bytes() as u64);
        self.comes_to_memory();
        self.resident_bytes += entry.message.bytes();
        self.expires_at_place((rank, sequence), &entry);
        self.lane_mut(rank).insert(sequence, entry);
        self.value_paged_in((rank, sequence));
        self.occupied |= 1 << rank.0;
    }

    /// An entry waits here in memory, and the sweep finds it if it expires.
    pub(super) fn expires_at_place(&mut self, (rank, sequence): Position, entry: &Entry) {
        if entry.expires_ms != 0 {
            self.expiring.insert((entry.expires_ms, rank, sequence));
        }
    }

    /// The sweep need not look for it any more.
    pub(super) fn expires_elsewhere(&mut self, (rank, sequence): Position, entry: &Entry) {
        if entry.expires_ms != 0 {
            self.expiring.remove(&(entry.expires_ms, rank, sequence));
        }
    }

    /// Whether anything of it is in the store.
    pub(super) fn has_stored(&self) -> bool {
        let is_resident_stored = || {
            self.occupied().any(|rank| {
                self.lane(rank)
                    .resident()
                    .any(|(_, entry)| entry.is_stored())
            })
        };
        !self.held.is_empty() || self.paged_count() > 0 || is_resident_stored()
    }

    /// An entry goes to a consumer.
    pub(super) fn went_out(&mut self, entry: &Entry) {
        self.in_flight += 1;
        self.in_flight_bytes += entry.message.bytes() as u64;
    }

    /// A delivery has ended.
    pub(super) fn came_back(&mut self, entry: &Entry) {
        self.in_flight -= 1;
        self.in_flight_bytes -= entry.message.bytes() as u64;
        if let Some(group) = entry.message.group() {
            self.groups.came_back(&group.id);
        }
    }

    /// An entry leaves the queue for good.
    pub(super) fn forget(&mut self, rank: Rank, sequence: Sequence, entry: &Entry) {
        self.depth -= 1;
        self.depth_bytes = self
            .depth_bytes
            .saturating_sub(entry.message.bytes() as u64);
        if entry.is_stored() {
            self.release(rank, sequence);
        }
        self.forget_value(rank, sequence);
    }

    /// Its value has no newest message any more.
    pub(super) fn forget_value(&mut self, rank: Rank, sequence: Sequence) {
        if let Some(values) = &mut self.last_values {
            values.forget((rank, sequence));
        }
    }

    /// An entry that had left for good is with its owner again; it is in no lane.
    pub(super) fn recall(&mut self, rank: Rank, sequence: Sequence, entry: &Entry) {
        self.depth += 1;
        self.depth_bytes += entry.message.bytes() as u64;
        if entry.is_stored() {
            self.leaving.retain(|left| *left != (rank, sequence));
            self.hold(rank, sequence);
        }
    }

    /// A stored entry is not stored after all.
    pub(super) fn disown(&mut self, rank: Rank, sequence: Sequence) {
        if self.held.contains((rank, sequence)) {
            self.release(rank, sequence);
        }
    }

    fn release(&mut self, rank: Rank, sequence: Sequence) {
        if let Role::Durable(cursor) = &mut self.role {
            cursor.let_go(sequence);
        }
        if self.paging == Paging::Idle {
            self.held.remove((rank, sequence));
        } else {
            self.leaving.push((rank, sequence));
        }
    }

    /// Whether a row of the store is known by name, so that a page must skip it.
    pub(super) fn knows(&self, rank: Rank, sequence: Sequence) -> bool {
        self.held.contains((rank, sequence)) || self.lane(rank).contains(sequence)
    }

    /// What stands last in memory among those before `at`, in a lane or parked; none for the last of all.
    pub(super) fn resident_before(&self, at: Option<Position>) -> Option<Position> {
        let parked = self.groups.parked().body_before(at);
        self.in_lane_before(at).max(parked)
    }

    fn in_lane_before(&self, at: Option<Position>) -> Option<Position> {
        let last = at.map_or(LANE_COUNT as u8, |(rank, _)| rank.0 + 1);
        (0..last).rev().map(Rank).find_map(|rank| {
            let before = at.filter(|(at, _)| *at == rank);
            let sequence = self
                .lane(rank)
                .resident_before(before.map_or(Sequence::MAX, |(_, sequence)| sequence))?;
            Some((rank, sequence))
        })
    }

    /// A resident entry, to note where it is stored.
    pub(super) fn resident_mut(&mut self, rank: Rank, sequence: Sequence) -> Option<&mut Entry> {
        self.lane_mut(rank).get_mut(sequence)
    }

    /// Resident entries that wait.
    pub(super) fn resident_count(&self) -> usize {
        self.occupied()
            .map(|rank| self.lane(rank).resident_count())
            .sum()
    }

    /// What is in memory, in lanes or parked: messages and bytes.
    pub(super) fn in_memory(&self) -> (usize, usize) {
        let parked = self.groups.parked();
        (
            self.resident_count() + parked.body_count(),
            self.resident_bytes + parked.bytes(),
        )
    }

    /// Whether so much is resident that stored entries may be let go of.
    pub(super) fn is_deep(&self, window: &Window) -> bool {
        self.resident_bytes > window.bytes || self.resident_count() > window.messages
    }

    /// Whether so little is resident that a page should be read ahead.
    pub(super) fn is_shallow(&self, window: &Window) -> bool {
        self.resident_bytes < window.bytes / 2 && self.resident_count() < window.messages / 2
    }

    /// The earliest expiry among resident entries that wait.
    pub(super) fn first_expiring(&self) -> Option<(i64, Rank, Sequence)> {
        self.expiring.first().copied()
    }

    /// More of its topic's log is before it.
    pub(super) fn append_log(&mut self, first: Sequence, last: Sequence) {
        let lane = self.lane_mut(LOG_RANK);
        lane.extend_paged(first);
        lane.extend_paged(last);
        self.note_occupied(LOG_RANK);
    }

    /// Whether its messages are copies of those of a topic.
    pub(super) fn is_of_copies(&self) -> bool {
        !matches!(self.role, Role::Destination)
    }

    pub(super) fn is_durable(&self) -> bool {
        matches!(self.role, Role::Durable(_))
    }

    /// Whether nothing of it is in the database, whatever its messages say.
    pub(super) fn is_volatile(&self) -> bool {
        self.name.is_temporary() || matches!(self.role, Role::Shared { .. })
    }

    pub(super) fn cursor(&self) -> Option<&Cursor> {
        match &self.role {
            Role::Durable(cursor) => Some(cursor),
            Role::Destination | Role::Shared { .. } => None,
        }
    }

    pub(super) fn cursor_mut(&mut self) -> Option<&mut Cursor> {
        match &mut self.role {
            Role::Durable(cursor) => Some(cursor),
            Role::Destination | Role::Shared { .. } => None,
        }
    }

    /// The topic that feeds it.
    pub(super) fn topic(&self) -> Option<TopicKey> {
        match &self.role {
            Role::Destination => None,
            Role::Durable(cursor) => Some(cursor.topic),
            Role::Shared { topic, .. } => Some(*topic),
        }
    }

    /// The selector that the subscription has, whoever consumes from it.
    pub(super) fn own_selector(&self) -> Option<&Selector> {
        match &self.role {
            Role::Durable(cursor) => cursor.selector.as_deref(),
            Role::Shared { selector, .. } => selector.as_deref(),
            Role::Destination => None,
        }
    }

    /// What the store is to be told of what a durable subscription has done with: answers its topic and how its floor
    /// rises.
    pub(super) fn settle_cursor(
        &mut self,
        operations: &mut Vec<Operation>,
    ) -> Option<(TopicKey, Sequence, Sequence)> {
        let Role::Durable(cursor) = &mut self.role else {
            return None;
        };
        let before = cursor.settle(&self.lanes[usize::from(LOG_RANK.0)], operations)?;
        Some((cursor.topic, before, cursor.floor))
    }

    /// The operation that stores how often an entry was delivered and failed; none if the store does not have it.
    pub(super) fn count_of(
        &self,
        rank: Rank,
        sequence: Sequence,
        entry: &Entry,
    ) -> Option<Operation> {
        let (deliveries, failures) = (entry.deliveries, entry.failures);
        match &self.role {
            Role::Durable(cursor) => entry.is_stored().then_some(Operation::LogCount {
                subscription: cursor.subscription,
                sequence,
                deliveries,
                failures,
            }),
            Role::Destination | Role::Shared { .. } => (entry.medium() == Some(Medium::Database))
                .then(|| Operation::Count {
                    key: self.key(rank, sequence),
                    deliveries,
                    failures,
                }),
        }
    }
}
