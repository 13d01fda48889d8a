//! A queue's own limit: how much may wait in it, and who pays beyond that.
//!
//! What is with a consumer does not count: its prefetch bounds it. What returns and what becomes a dead letter is never
//! refused, and counts. *Invariant*: nothing is dropped that is with a consumer, waits out a delay or waits for the
//! owner of its group; where nothing else is left, or must be read first, producers wait meanwhile.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::{SmallVec, smallvec};
use stompbox_store::{Rank, Sequence};

use super::entry::Entry;
use super::flow::Blocker;
use super::key::{PeerKey, QueueKey};
use super::lane::Front;
use super::queue::{Purpose, Queue, Role};
use super::{Dispatcher, Place};
use crate::config::WhenFull;
use crate::core::clock::Now;
use crate::core::message::Publication;
use crate::core::port::Refusal;

/// Messages that one turn drops from one queue; then it is the others' turn.
const DROPS_A_TURN: usize = 10_000;

/// The state of a queue's limit.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// Connections whose SENDs wait for room.
    pub(super) blocked: Vec<PeerKey>,
    /// More waits than may, and what is to be dropped must be read first or may not be dropped.
    is_stuck: bool,
}

/// What is to be put into a queue.
#[derive(Debug, Clone, Copy, Default)]
struct Demand {
    messages: u64,
    bytes: u64,
}

/// What would be dropped next.
enum Oldest {
    Resident(Rank, Sequence),
    Paged(Rank),
}

/// A queue's limits; none where the policy says 0.
#[derive(Debug, Clone, Copy)]
struct Limits {
    messages: u64,
    bytes: u64,
}

impl Queue {
    /// A subscription's queue has none of its own.
    fn limits(&self) -> Limits {
        let is_limited = matches!(self.role, Role::Destination);
        let or_none = |limit: u64| match limit {
            limit if limit > 0 && is_limited => limit,
            _ => u64::MAX,
        };
        Limits {
            messages: or_none(self.policy.max_messages),
            bytes: or_none(self.policy.max_bytes as u64),
        }
    }

    /// Messages that wait.
    fn waiting(&self) -> u64 {
        self.depth.saturating_sub(self.in_flight)
    }

    fn waiting_bytes(&self) -> u64 {
        self.depth_bytes.saturating_sub(self.in_flight_bytes)
    }

    fn has_room_for(&self, more: Demand) -> bool {
        let limits = self.limits();
        self.waiting().saturating_add(more.messages) <= limits.messages
            && self.waiting_bytes().saturating_add(more.bytes) <= limits.bytes
    }

    fn is_full(&self) -> bool {
        let limits = self.limits();
        self.waiting() >= limits.messages || self.waiting_bytes() >= limits.bytes
    }

    /// The key of the limit that it has reached, or would with the next message.
    pub(super) fn limit_reached(&self) -> &'static str {
        if self.waiting() >= self.limits().messages {
            "policy.max_messages"
        } else {
            "policy.max_bytes"
        }
    }

    /// Whether those that wait for room may go on.
    fn has_recovered(&self) -> bool {
        let limits = self.limits();
        let three_quarters = |limit: u64| limit - limit.div_ceil(4);
        match self.policy.when_full {
            WhenFull::Block => {
                self.waiting() <= three_quarters(limits.messages)
                    && self.waiting_bytes() <= three_quarters(limits.bytes)
            }
            WhenFull::DropOldest => !self.bound.is_stuck,
            WhenFull::Reject => true,
        }
    }

    /// The oldest of the lowest priority that waits in a lane, and for nothing but a consumer.
    fn oldest(&self, now: Now) -> Option<Oldest> {
        let waits_out = |entry: &Entry| entry.not_before > now.uptime;
        let mut ranks = self.occupied().rev();
        ranks.find_map(|rank| match self.lane(rank).front_beside(waits_out) {
            Front::Entry(sequence, _) => Some(Oldest::Resident(rank, sequence)),
            Front::Paged => Some(Oldest::Paged(rank)),
            Front::Empty => None,
        })
    }

    fn too_much(&self, more: Demand) -> Refusal {
        let policy = &self.policy;
        let detail = if self.waiting().saturating_add(more.messages) > self.limits().messages {
            format!(
                "{} messages wait in {}, and its policy says max_messages = {}",
                self.waiting(),
                self.name,
                policy.max_messages
            )
        } else {
            format!(
                "messages of {} bytes wait in {}, and its policy says max_bytes = {}",
                self.waiting_bytes(),
                self.name,
                policy.max_bytes
            )
        };
        let advice =
            "when_full = \"reject\": send again when consumers have made room, or raise the limit";
        Refusal::new("queue is full", format!("{detail}, {advice}"))
    }
}

impl Dispatcher {
    /// Whether a message of so many bytes may be put there.
    pub(super) fn check_room(
        &mut self,
        places: &[Place],
        bytes: usize,
        now: Now,
    ) -> Result<(), Refusal> {
        if !self.settings.policies.may_reject() {
            return Ok(());
        }
        let more = Demand {
            messages: 1,
            bytes: bytes as u64,
        };
        for place in places {
            for queue in self.queues_at(*place) {
                self.check_room_in(queue, more, now)?;
            }
        }
        Ok(())
    }

    /// Whether all that a transaction sends may be put where it goes. The destinations may be made. What comes later and
    /// what repeats something takes no room.
    pub(super) fn check_room_for_all(
        &mut self,
        sends: &[Publication],
        now: Now,
    ) -> Result<(), Refusal> {
        if !self.settings.policies.may_reject() {
            return Ok(());
        }
        let mut demands: FxHashMap<QueueKey, Demand> = FxHashMap::default();
        let mut met: FxHashSet<(Place, &[u8])> = FxHashSet::default();
        for send in sends {
            let mut places = self.places(&send.target, now)?;
            if send.later.is_some() {
                continue;
            }
            if let Some(id) = &send.duplicate_id {
                places = self.sift(id, &places, now).fresh;
                places.retain(|place| met.insert((*place, id.as_bytes())));
            }
            for place in self.forward(places, send) {
                for queue in self.queues_at(place) {
                    let demand = demands.entry(queue).or_default();
                    demand.messages += 1;
                    demand.bytes += send.message.bytes() as u64;
                }
            }
        }
        for (queue, demand) in demands {
            self.check_room_in(queue, demand, now)?;
        }
        Ok(())
    }

    /// The queues that a SEND to this place puts something into.
    fn queues_at(&self, place: Place) -> SmallVec<[QueueKey; 1]> {
        match place {
            Place::Queue(key) => smallvec![key],
            Place::Topic(key) => self.virtual_queues_of(key).into(),
        }
    }

    fn check_room_in(&mut self, key: QueueKey, more: Demand, now: Now) -> Result<(), Refusal> {
        let has_room =
            |queue: &Queue| queue.policy.when_full != WhenFull::Reject || queue.has_room_for(more);
        if has_room(&self.queues[key.0]) {
            return Ok(());
        }
        // What consumers can take at once does not wait.
        self.dispatch_queue(key, now);
        if has_room(&self.queues[key.0]) {
            return Ok(());
        }
        self.advise_rejecting(key);
        Err(self.queues[key.0].too_much(more))
    }

    /// After a SEND: holds the connection's next ones back if a queue that it filled is full.
    pub(super) fn hold_back_by_bound(&mut self, peer: PeerKey, place: Place) {
        for key in self.queues_at(place) {
            let queue = &self.queues[key.0];
            let holds = match queue.policy.when_full {
                WhenFull::Block => queue.is_full(),
                WhenFull::DropOldest => queue.bound.is_stuck,
                WhenFull::Reject => false,
            };
            if holds {
                self.block(peer, Blocker::Queue(key));
            }
        }
    }

    /// After consumers have got what they can take: drops what is too much, and lets producers go on.
    pub(super) fn keep_bound(&mut self, key: QueueKey, now: Now) {
        if self.queues[key.0].policy.when_full == WhenFull::DropOldest {
            self.shed(key, now);
        }
        let queue = &self.queues[key.0];
        if !queue.bound.blocked.is_empty() && queue.has_recovered() {
            self.unblock(Blocker::Queue(key));
        }
    }

    fn shed(&mut self, key: QueueKey, now: Now) {
        let mut steps = 0;
        while !self.queues[key.0].has_room_for(Demand::default()) {
            steps += 1;
            if steps > DROPS_A_TURN {
                self.mark_for_next_turn(key);
                break;
            }
            match self.queues[key.0].oldest(now) {
                Some(Oldest::Resident(rank, sequence)) => self.drop_waiting(key, rank, sequence),
                Some(Oldest::Paged(rank)) => {
                    self.want_page(key, rank, Purpose::Head);
                    break;
                }
                None => break,
            }
        }
        let queue = &mut self.queues[key.0];
        queue.bound.is_stuck = !queue.has_room_for(Demand::default());
    }

    /// A message that waits in a lane is dropped, and counted.
    pub(super) fn drop_waiting(&mut self, key: QueueKey, rank: Rank, sequence: Sequence) {
        let queue = &mut self.queues[key.0];
        let Some(entry) = queue.take_at(rank, sequence) else {
            return;
        };
        queue.counters.dropped += 1;
        self.counters.dropped += 1;
        if entry.visible_after > self.watermark {
            // It held back what is behind it.
            self.mark(key);
        }
        self.advise_dropped(Place::Queue(key), entry.number);
        self.remove(key, rank, sequence, &entry);
    }
}
