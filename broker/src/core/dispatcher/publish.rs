//! A message comes in: into its queue, to each subscription of its topic, or to several destinations at once.

use std::sync::Arc;

use smallvec::SmallVec;
use stompbox_store::{MessageNumber, Operation, Rank, Sender, Sequence, Ticket};

use super::duplicate::Sifted;
use super::effect::Promise;
use super::entry::{AT_ONCE, Durability, Entry};
use super::full::{NOBODY, Placed, Undo};
use super::key::{PeerKey, QueueKey, TopicKey};
use super::topic::Topic;
use super::{Dispatcher, Place};
use crate::config::Dispatch;
use crate::core::clock::Now;
use crate::core::destination::{StatisticsQuery, is_schedule_topic};
use crate::core::message::{DeliveryMode, Publication, Target};
use crate::core::port::{ReceiptId, Refusal, Reply, Request};

/// The destinations of one SEND that are there.
pub(super) type Places = SmallVec<[Place; 1]>;

/// Where the copies of what was sent were put.
pub(super) type AllPlaced = SmallVec<[Placed; 1]>;

/// Why nothing came of a SEND that is there all the same.
#[derive(Debug)]
pub(super) enum Untaken {
    /// All of its destinations know its id, or some and no route takes it from the others.
    Repeat(Sifted),
    /// No route takes it.
    Unrouted,
}

/// One SEND on its way to its destinations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Routing {
    /// Whom a refusal concerns.
    pub(super) sender: Sender,
    /// Not seen before the watermark has reached this.
    pub(super) visible_after: Ticket,
}

impl Dispatcher {
    pub(super) fn send(
        &mut self,
        peer: PeerKey,
        publication: Publication,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        if self.all_wait_in_burst(std::slice::from_ref(&publication)) {
            let send = Request::Send {
                publication,
                receipt,
            };
            return self.wait_for_turn(peer, send);
        }
        let places = match self.places_of(peer, &publication.target, now) {
            Ok(places) => places,
            Err(refusal) => return self.refuse(peer, refusal, receipt),
        };
        let is_special = publication.later.is_some() || publication.duplicate_id.is_some();
        if is_special {
            return self.send_specially(peer, &places, publication, receipt, now);
        }
        let places = self.forward(places, &publication);
        if let Err(refusal) = self.check_room(&places, publication.message.bytes(), now) {
            return self.refuse(peer, refusal, receipt);
        }
        let mode = publication.mode;
        if self.is_disk_full && self.is_any_stored(&places, mode) {
            self.advise_disk_full(peer, &places);
            return self.refuse_for_disk(peer, receipt);
        }
        if places.is_empty() {
            return self.send_nowhere(peer, &publication, receipt, now);
        }
        let routing = Routing {
            sender: Sender(self.peers[peer.0].connection.0),
            visible_after: AT_ONCE,
        };
        let start = self.batch.operations.len();
        self.replaced.clear();
        let mut placed = AllPlaced::new();
        let promise = self.publish(&places, publication, routing, &mut placed, now);
        if placed.len() > 1 || !self.replaced.is_empty() {
            let connection = self.peers[peer.0].connection;
            let undo = Undo::Commit {
                connection,
                placed,
                acknowledged: std::mem::take(&mut self.replaced),
            };
            self.as_one(start, undo);
        }
        self.answer(peer, receipt, promise);
        for place in places {
            self.hold_producer_back(peer, place, mode);
        }
    }

    /// A SEND to what is no destination: a request of the broker's own, or to what has gone.
    fn send_nowhere(
        &mut self,
        peer: PeerKey,
        publication: &Publication,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        if Self::is_for_scheduler(&publication.target) {
            return self.manage_schedule(peer, publication, receipt);
        }
        if let Some(query) = Self::query_in(&publication.target) {
            return self.query(peer, &query, &publication.message, receipt, now);
        }
        self.drop_unrouted(peer, receipt);
    }

    fn drop_unrouted(&mut self, peer: PeerKey, receipt: Option<ReceiptId>) {
        self.counters.dropped += 1;
        if let Some(receipt) = receipt {
            self.reply(peer, Reply::Unrouted(receipt));
        }
    }

    /// A SEND that is to be delivered later, or that may repeat another one.
    fn send_specially(
        &mut self,
        peer: PeerKey,
        places: &[Place],
        publication: Publication,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        if places.is_empty() {
            return self.send_nowhere(peer, &publication, receipt, now);
        }
        if publication.later.is_some()
            && let Err(refusal) = self.check_schedulable(&publication.target)
        {
            return self.refuse(peer, refusal, receipt);
        }
        if self.is_disk_full {
            self.advise_disk_full(peer, places);
            return self.refuse_for_disk(peer, receipt);
        }
        if !self.can_judge(&publication, places, now) {
            let send = Request::Send {
                publication,
                receipt,
            };
            return self.wait_for_window(peer, send);
        }
        if let Err(refusal) = self.check_room_for_all(std::slice::from_ref(&publication), now) {
            return self.refuse(peer, refusal, receipt);
        }
        let routing = Routing {
            sender: Sender(self.peers[peer.0].connection.0),
            visible_after: AT_ONCE,
        };
        let start = self.batch.operations.len();
        self.replaced.clear();
        let mode = publication.mode;
        let filled = self.filled_by(places, &publication);
        let mut placed = AllPlaced::new();
        let promise = match self.publish_specially(places, publication, routing, &mut placed, now) {
            Ok(promise) => promise,
            Err(Untaken::Repeat(sifted)) => return self.answer_repeat(peer, receipt, &sifted),
            Err(Untaken::Unrouted) => return self.drop_unrouted(peer, receipt),
        };
        let undo = Undo::Commit {
            connection: self.peers[peer.0].connection,
            placed,
            acknowledged: std::mem::take(&mut self.replaced),
        };
        self.as_one(start, undo);
        self.answer(peer, receipt, promise);
        for place in filled {
            self.hold_producer_back(peer, place, mode);
        }
    }

    /// What a message fills that is sent to these: what comes later follows its routes only then.
    pub(super) fn filled_by(&self, places: &[Place], publication: &Publication) -> Places {
        let places = Places::from_slice(places);
        match publication.later {
            Some(_) => places,
            None => self.forward(places, publication),
        }
    }

    /// The same within a COMMIT. Nothing happens to a repeat, and what no route takes leaves no id. What was scheduled
    /// follows its routes when it comes.
    pub(super) fn publish_specially(
        &mut self,
        places: &[Place],
        mut publication: Publication,
        routing: Routing,
        placed: &mut AllPlaced,
        now: Now,
    ) -> Result<Promise, Untaken> {
        let id = publication.duplicate_id.take();
        let mut sifted = Sifted::all(places);
        if let Some(id) = &id {
            sifted = self.sift(id, places, now);
        }
        let to = self.filled_by(&sifted.fresh, &publication);
        if to.is_empty() {
            return Err(match sifted.is_repeat() {
                true => Untaken::Repeat(sifted),
                false => Untaken::Unrouted,
            });
        }
        let later = publication.later.take();
        let (fresh, mode) = (&sifted.fresh, publication.mode);
        let sequence = self.next_sequence();
        let number = MessageNumber(sequence.0);
        let identity = (sequence, number);
        let sender = routing.sender;
        let promise = match later {
            Some(later) => self.schedule(fresh, &publication, number, &later, sender, now),
            None => {
                self.counters.enqueued += 1;
                self.publish_as(&to, publication, identity, routing, placed, now)
            }
        };
        let Some(id) = &id else { return Ok(promise) };
        self.remember_id(id, fresh, number, sender, now);
        // Its id is promised with a persistent message, also where that is stored for nobody.
        Ok(match mode {
            DeliveryMode::Persistent => promise.and(Promise::WithAppend),
            DeliveryMode::NonPersistent => promise,
        })
    }

    /// The same as [`Self::places`]. A producer's next SEND nearly always goes where its last one went.
    fn places_of(&mut self, peer: PeerKey, target: &Target, now: Now) -> Result<Places, Refusal> {
        let Target::One(name) = target else {
            let places = self.places(target, now)?;
            self.note_producer(peer, target.names());
            return Ok(places);
        };
        if let Some((latest, place)) = &self.peers[peer.0].latest
            && latest == name
        {
            return Ok(Places::from_slice(&[*place]));
        }
        if StatisticsQuery::is_asked_by(name) || is_schedule_topic(name) {
            return Ok(Places::new());
        }
        let place = self.ensure(name, now)?;
        if let Some(place) = place
            && !name.is_temporary()
        {
            self.note_producer(peer, std::slice::from_ref(name));
            self.peers[peer.0].latest = Some((Arc::clone(name), place));
        }
        Ok(place.into_iter().collect())
    }

    /// The destinations of a target, made if need be; a temporary one that has gone is none.
    pub(super) fn places(&mut self, target: &Target, now: Now) -> Result<Places, Refusal> {
        if let Target::Each(names) = target {
            self.check_unknown(names.iter())?;
        }
        let mut places = Places::new();
        for name in target.names() {
            // A temporary one may be named as its owner does and as others do.
            let place = self
                .ensure(name, now)?
                .filter(|place| !places.contains(place));
            places.extend(place);
        }
        Ok(places)
    }

    /// Whether all of these may be made that are not there. Answers whether there are any.
    pub(super) fn check_unknown<'a>(
        &self,
        names: impl Iterator<Item = &'a Arc<crate::core::destination::DestinationName>>,
    ) -> Result<bool, Refusal> {
        let unknown: std::collections::HashSet<_> = names
            .filter(|name| !name.is_temporary() && !self.names.contains_key(*name))
            .filter(|name| !StatisticsQuery::is_asked_by(name))
            .collect();
        for name in &unknown {
            self.check_made_by_use(name)?;
        }
        self.check_destinations(unknown.len())?;
        Ok(!unknown.is_empty())
    }

    fn is_any_stored(&self, places: &[Place], mode: DeliveryMode) -> bool {
        places.iter().any(|place| self.is_stored(*place, mode))
    }

    /// Whether a message of this mode is written to the disk for this destination's sake.
    pub(super) fn is_stored(&self, place: Place, mode: DeliveryMode) -> bool {
        mode == DeliveryMode::Persistent
            && match place {
                Place::Queue(key) => !self.queues[key.0].name.is_temporary(),
                Place::Topic(key) => self.topics[key.0].is_kept() || self.queue_count(&[place]) > 0,
            }
    }

    /// Routes one message: the same number for all of its copies. What it makes is added to `placed`.
    pub(super) fn publish(
        &mut self,
        places: &[Place],
        publication: Publication,
        routing: Routing,
        placed: &mut AllPlaced,
        now: Now,
    ) -> Promise {
        self.counters.enqueued += 1;
        let sequence = self.next_sequence();
        let identity = (sequence, MessageNumber(sequence.0));
        self.publish_as(places, publication, identity, routing, placed, now)
    }

    /// The same for a message that has its number, which is not that of its position when it was stored before.
    pub(super) fn publish_as(
        &mut self,
        places: &[Place],
        mut publication: Publication,
        (sequence, number): (Sequence, MessageNumber),
        routing: Routing,
        placed: &mut AllPlaced,
        now: Now,
    ) -> Promise {
        // By far the most common.
        if let [Place::Queue(key)] = places {
            placed.push(self.placed_in(*key, &publication, sequence));
            return self.enqueue(*key, sequence, number, &publication, routing);
        }
        if let [Place::Topic(key)] = places
            && self.queue_count(places) == 0
        {
            placed.push(Placed::Topic(*key, number));
            let identity = (sequence, number);
            return self.publish_to_topic(*key, identity, publication, routing, now);
        }
        self.begin_copies(&mut publication, self.queue_count(places));
        let mut next = Some(sequence);
        let mut promise = Promise::Kept;
        for place in places {
            match *place {
                Place::Queue(key) => {
                    let sequence = next.take().unwrap_or_else(|| self.next_sequence());
                    placed.push(self.placed_in(key, &publication, sequence));
                    let own = self.enqueue(key, sequence, number, &publication, routing);
                    promise = promise.and(own);
                }
                Place::Topic(key) => {
                    for queue in self.virtual_queues_of(key) {
                        let sequence = next.take().unwrap_or_else(|| self.next_sequence());
                        placed.push(self.placed_in(queue, &publication, sequence));
                        let own = self.enqueue(queue, sequence, number, &publication, routing);
                        promise = promise.and(own);
                    }
                    placed.push(Placed::Topic(key, number));
                    self.place_in_feeds(key, number, publication.mode, placed);
                    let identity = (sequence, number);
                    let publication = publication.clone();
                    let own = self.publish_to_topic(key, identity, publication, routing, now);
                    promise = promise.and(own);
                }
            }
        }
        promise
    }

    fn placed_in(&self, key: QueueKey, publication: &Publication, sequence: Sequence) -> Placed {
        let rank = publication.message.priority.rank();
        Placed::Queue(self.queues[key.0].key(rank, sequence))
    }

    pub(super) fn enqueue(
        &mut self,
        key: QueueKey,
        sequence: Sequence,
        number: MessageNumber,
        publication: &Publication,
        routing: Routing,
    ) -> Promise {
        let queue = &mut self.queues[key.0];
        queue.counters.enqueued += 1;
        let mode = if queue.is_volatile() {
            DeliveryMode::NonPersistent
        } else {
            publication.mode
        };
        let message = Arc::clone(&publication.message);
        let rank = message.priority.rank();
        let expires_ms = queue
            .policy
            .expires_ms(publication.expires_ms, publication.sent_ms);
        let mut entry = Entry::new(number, message, mode, expires_ms, Durability::Volatile);
        entry.visible_after = routing.visible_after;
        let (promise, sender) = match mode {
            DeliveryMode::NonPersistent => (Promise::Kept, NOBODY),
            DeliveryMode::Persistent => (Promise::WithAppend, routing.sender),
        };
        if promise == Promise::WithAppend || self.spills(key) {
            entry.durability = Durability::Pending(self.next_ticket);
            let queue = &self.queues[key.0];
            if promise == Promise::WithAppend && queue.policy.dispatch == Dispatch::Durable {
                entry.visible_after = self.next_ticket;
            }
            let append = entry.to_append(queue.key(rank, sequence), Box::default(), sender);
            self.store(key, Operation::Append(append));
        }
        self.add(key, rank, sequence, entry);
        promise
    }

    /// A new entry of a queue takes its place.
    pub(super) fn add(&mut self, key: QueueKey, rank: Rank, sequence: Sequence, entry: Entry) {
        if entry.visible_after > self.watermark {
            self.hidden
                .push_back((entry.visible_after, Place::Queue(key)));
        }
        if entry.expires_ms != 0 {
            self.expiring_queues.insert(key);
        }
        self.enter_value(key, rank, sequence, &entry);
        self.may_page_out(key, rank, sequence, &entry);
        let queue = &mut self.queues[key.0];
        queue.depth += 1;
        queue.depth_bytes += entry.message.bytes() as u64;
        queue.put(rank, sequence, entry);
        self.mark(key);
    }

    fn publish_to_topic(
        &mut self,
        key: TopicKey,
        (sequence, number): (Sequence, MessageNumber),
        mut publication: Publication,
        routing: Routing,
        now: Now,
    ) -> Promise {
        let topic = &mut self.topics[key.0];
        topic.counters.enqueued += 1;
        publication.expires_ms = topic
            .policy
            .expires_ms(publication.expires_ms, publication.sent_ms);
        let promise = self.feed_lasting(key, (sequence, number), &publication, routing, now);
        self.publish_in_turn(key, (sequence, number), publication, routing, now);
        promise
    }

    /// A topic's messages keep their order: behind one that a COMMIT holds back, others wait too.
    fn publish_in_turn(
        &mut self,
        key: TopicKey,
        identity: (Sequence, MessageNumber),
        publication: Publication,
        Routing {
            sender,
            visible_after,
        }: Routing,
        now: Now,
    ) {
        let topic = &self.topics[key.0];
        let is_visible = visible_after <= self.watermark && topic.held.is_empty();
        let is_crowded = self.is_crowded(key);
        if is_visible && !is_crowded {
            return self.fan_out(key, identity, publication, sender, now);
        }
        let topic = &mut self.topics[key.0];
        let before = topic.held.back().map(|(ticket, ..)| *ticket);
        let visible_after = before.map_or(visible_after, |before| before.max(visible_after));
        topic
            .held
            .push_back((visible_after, identity, sender, publication));
        if visible_after <= self.watermark {
            self.wait_in_crowd(key);
        } else if before != Some(visible_after) {
            // One look at that ticket is for all that wait for it, so that the tickets of looks ascend.
            self.hidden.push_back((visible_after, Place::Topic(key)));
        }
    }

    pub(super) fn publish_held(&mut self, key: TopicKey, now: Now) {
        let watermark = self.watermark;
        let is_due = |topic: &Topic| {
            let front = topic.held.front();
            front.is_some_and(|(ticket, ..)| *ticket <= watermark)
        };
        while self.topics.get(key.0).is_some_and(is_due) {
            if self.is_crowded(key) {
                return self.wait_in_crowd(key);
            }
            let held = self.topics[key.0].held.pop_front();
            if let Some((_, identity, sender, publication)) = held {
                self.fan_out(key, identity, publication, sender, now);
            }
        }
    }
}
