//! What a topic keeps for its durable and shared subscriptions, and how messages get into it.
//!
//! A message stands in the log once, however many durable subscriptions there are; those that nobody uses are not
//! looked at. *Invariant*: a position that some subscription has not done with is not trimmed.

use std::collections::BTreeMap;
use std::sync::Arc;

use stompbox_store::{
    DestinationId, LogAppend, MessageNumber, Operation, Payload, Rank, Sender, Sequence, Ticket,
};

use super::Dispatcher;
use super::burst::LASTING_STEPS;
use super::effect::Promise;
use super::entry::{Durability, Entry};
use super::full::NOBODY;
use super::key::{QueueKey, ShortTopic, TopicKey};
use super::property::{Place, Seen};
use super::publish::Routing;
use crate::config::Dispatch;
use crate::core::clock::Now;
use crate::core::message::{DeliveryMode, Priority, Publication};
use crate::core::port::Locality;
use crate::core::selector::Selector;

/// The lane of a durable subscription: a log is in order of publication.
pub(super) const LOG_RANK: Rank = Rank(0);

/// Where a message of a feed came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) id: DestinationId,
    pub(super) topic: Option<ShortTopic>,
}

/// What a topic keeps for subscriptions that last.
#[derive(Debug)]
pub(super) struct TopicLog {
    /// Queues of durable subscriptions that have a consumer.
    pub(super) active: Vec<QueueKey>,
    /// Queues of shared subscriptions that are not durable.
    pub(super) shared: Vec<QueueKey>,
    /// Where the durable subscriptions stand: floors, and how many have each.
    floors: BTreeMap<Sequence, usize>,
    /// Positions up to here are gone, or going.
    trimmed: Sequence,
    /// The last position, and the last one that is durable.
    pub(super) last: Sequence,
    pub(super) durable: Sequence,
    /// Queues whose consumers wait for what is not durable yet.
    pub(super) waiting: Vec<QueueKey>,
    /// Messages that were ever in it, since the start.
    pub(super) count: u64,
}

impl Default for TopicLog {
    fn default() -> Self {
        Self {
            active: Vec::new(),
            shared: Vec::new(),
            floors: BTreeMap::new(),
            trimmed: Sequence(0),
            last: Sequence(0),
            durable: Sequence(0),
            waiting: Vec::new(),
            count: 0,
        }
    }
}

impl TopicLog {
    /// A log that recovery knows.
    pub(super) fn recovered(first: Sequence, last: Sequence, count: u64) -> Self {
        Self {
            trimmed: Sequence(first.0 - 1),
            last,
            durable: last,
            count,
            ..Self::default()
        }
    }

    /// Whether messages have to be kept.
    pub(super) fn is_kept(&self) -> bool {
        !self.floors.is_empty()
    }

    /// Whether nobody wants anything of it.
    pub(super) fn is_idle(&self) -> bool {
        self.floors.is_empty() && self.shared.is_empty()
    }

    /// Durable subscriptions.
    pub(super) fn durable_count(&self) -> usize {
        self.floors.values().sum()
    }

    /// A durable subscription stands here from now on, or no longer.
    pub(super) fn floor_moves(&mut self, from: Option<Sequence>, to: Option<Sequence>) {
        if let Some(to) = to {
            *self.floors.entry(to).or_default() += 1;
        }
        if let Some(from) = from
            && let Some(count) = self.floors.get_mut(&from)
        {
            *count -= 1;
            if *count == 0 {
                self.floors.remove(&from);
            }
        }
    }

    /// What nobody needs any more and is not gone yet: up to here.
    fn next_trim(&mut self) -> Option<Sequence> {
        let lowest = self.floors.first_key_value();
        let through = lowest.map_or(self.last, |(floor, _)| *floor);
        let through = through.min(self.last);
        if through <= self.trimmed {
            return None;
        }
        self.trimmed = through;
        Some(through)
    }
}

impl Dispatcher {
    /// One message to all subscriptions of a topic that last.
    pub(super) fn feed_lasting(
        &mut self,
        key: TopicKey,
        (sequence, number): (Sequence, MessageNumber),
        publication: &Publication,
        routing: Routing,
        now: Now,
    ) -> Promise {
        let in_feeds = self.write_to_feeds(key, number, publication, routing, now);
        let Some(log) = &self.topics[key.0].log else {
            return in_feeds;
        };
        let is_kept = log.is_kept();
        let shared = log.shared.clone();
        let mut promise = in_feeds;
        if is_kept {
            let identity = (sequence, number);
            let own = self.append_to_log(key, identity, publication, routing, None);
            promise = promise.and(own);
        }
        self.burst.spend(shared.len() * LASTING_STEPS);
        for queue in shared {
            let is_own = self.is_own(queue, routing);
            if !is_own && self.is_for_lasting(queue, number, publication, None) {
                self.enqueue(queue, sequence, number, publication, routing);
            }
        }
        promise
    }

    /// A message that is not persistent is kept in the log too, as long as the disk has room, but nothing is promised.
    pub(super) fn append_to_log(
        &mut self,
        key: TopicKey,
        (sequence, number): (Sequence, MessageNumber),
        publication: &Publication,
        routing: Routing,
        origin: Option<Origin>,
    ) -> Promise {
        let from = origin.and_then(|origin| origin.topic);
        let is_persistent = publication.mode == DeliveryMode::Persistent;
        let is_logged = is_persistent || self.has_room_on_disk();
        let ticket = self.next_ticket;
        let topic = &mut self.topics[key.0];
        let (Some(log), Some(id)) = (&mut topic.log, topic.id) else {
            return Promise::Kept;
        };
        if is_logged {
            log.last = sequence;
            log.count += 1;
            let sender = if is_persistent {
                routing.sender
            } else {
                NOBODY
            };
            let append = log_append(id, (sequence, number), publication, sender, origin);
            self.batch.operations.push(Operation::Log(append));
        }
        if is_logged {
            self.logging.push_back((ticket, key, sequence));
        }
        let mut visible_after = routing.visible_after;
        if is_persistent && topic.policy.dispatch == Dispatch::Durable {
            visible_after = ticket;
        }
        let durability = if is_logged {
            Durability::Pending(ticket)
        } else {
            Durability::Volatile
        };
        let active = log.active.clone();
        self.burst.spend(active.len() * LASTING_STEPS);
        // Read back one by one when they are wanted: their copies would be too many.
        let is_for_disk_only = is_logged && active.len() > 1 && self.is_crowded_by_copies();
        for queue in active {
            let is_own = self.is_own(queue, routing);
            let is_wanted = !is_own && self.is_for_lasting(queue, number, publication, from);
            if let Some(cursor) = self.queues[queue.0].cursor_mut() {
                if is_logged {
                    cursor.seen = sequence;
                    cursor.counted += 1;
                }
                if is_own {
                    // What the store would bring back, nobody could tell whose it was.
                    cursor.done(sequence);
                    self.settle_later(queue);
                    continue;
                }
                if !is_wanted {
                    if cursor.passed_over() {
                        self.settle_later(queue);
                    }
                    continue;
                }
                if is_for_disk_only {
                    cursor.unread += 1;
                    self.queues[queue.0].append_log(sequence, sequence);
                    self.mark(queue);
                    continue;
                }
            }
            let message = Arc::clone(&publication.message);
            let (mode, expires_ms) = (publication.mode, publication.expires_ms);
            let mut entry = Entry::new(number, message, mode, expires_ms, durability);
            entry.visible_after = visible_after;
            entry.topic = from;
            self.queues[queue.0].counters.enqueued += 1;
            self.add(queue, LOG_RANK, sequence, entry);
        }
        if is_persistent {
            Promise::WithAppend
        } else {
            Promise::Kept
        }
    }

    /// Whether a message comes from the connection of a subscription that does not hear its own.
    fn is_own(&self, key: QueueKey, routing: Routing) -> bool {
        self.queues[key.0].consumers.iter().any(|consumer| {
            let subscription = &self.subscriptions[self.consumers[consumer.0].subscription.0];
            subscription.locality == Locality::NoLocal
                && self.peers[subscription.peer.0].connection.0 == routing.sender.0
        })
    }

    /// Whether a subscription's selector takes a message.
    fn is_for_lasting(
        &self,
        key: QueueKey,
        number: MessageNumber,
        publication: &Publication,
        from: Option<ShortTopic>,
    ) -> bool {
        let queue = &self.queues[key.0];
        let Some(selector) = queue.own_selector() else {
            return true;
        };
        let message = Arc::clone(&publication.message);
        let (mode, expires_ms) = (publication.mode, publication.expires_ms);
        let mut entry = Entry::new(number, message, mode, expires_ms, Durability::Volatile);
        entry.topic = from;
        self.is_selected(key, selector, &entry)
    }

    pub(super) fn is_selected(&self, key: QueueKey, selector: &Selector, entry: &Entry) -> bool {
        let place = Place {
            destination: self.destination_of(key, entry),
            instance: &self.instance,
        };
        selector.matches(&Seen { entry, place })
    }

    /// A durable subscription has done with a message that was taken out of its lane.
    pub(super) fn done_with(&mut self, key: QueueKey, sequence: Sequence) {
        let ticket = self.next_ticket;
        let is_in_unit = self.is_in_unit;
        let queue = &mut self.queues[key.0];
        let id = queue.id;
        let Some(cursor) = queue.cursor_mut() else {
            return;
        };
        if !is_in_unit {
            cursor.done(sequence);
            return self.settle_later(key);
        }
        let pass = cursor.pass(sequence);
        self.store(key, pass);
        self.passes.push_back((ticket, id, sequence));
    }

    /// What was done with in batches up to this one holds.
    pub(super) fn passes_hold(&mut self, ticket: Ticket) {
        while let Some((_, id, sequence)) =
            self.passes.pop_front_if(|(passed, ..)| *passed <= ticket)
        {
            if let Some(&key) = self.queue_ids.get(&id)
                && let Some(cursor) = self.queues[key.0].cursor_mut()
                && cursor.passed(sequence)
            {
                self.settle_later(key);
            }
        }
    }

    /// Positions up to this ticket are durable: those who wait for them may read them.
    pub(super) fn logs_hold(&mut self, ticket: Ticket) {
        while let Some((_, key, sequence)) =
            self.logging.pop_front_if(|(logged, ..)| *logged <= ticket)
        {
            let Some(log) = self
                .topics
                .get_mut(key.0)
                .and_then(|topic| topic.log.as_mut())
            else {
                continue;
            };
            log.durable = log.durable.max(sequence);
            for queue in std::mem::take(&mut log.waiting) {
                self.mark(queue);
            }
        }
    }

    /// How far a durable subscription may be read now, up to `last`. If not at all, it is looked at when there is more.
    pub(super) fn readable_through(
        &mut self,
        key: QueueKey,
        (from, last): (Sequence, Sequence),
    ) -> Option<Sequence> {
        let Some(cursor) = self.queues[key.0].cursor() else {
            return Some(last);
        };
        let Some(log) = &mut self.topics[cursor.topic.0].log else {
            return Some(last);
        };
        let through = last.min(log.durable);
        if from > through {
            log.waiting.push(key);
            return None;
        }
        Some(through)
    }

    /// What a durable subscription has done with is told the store at the end of the turn.
    pub(super) fn settle_later(&mut self, key: QueueKey) {
        let queue = &mut self.queues[key.0];
        queue.last_ticket = self.next_ticket;
        if !queue.is_unsettled {
            queue.is_unsettled = true;
            self.unsettled.push(key);
        }
    }

    /// Tells the store what durable subscriptions have done with in this turn.
    pub(super) fn settle_cursors(&mut self) {
        for key in std::mem::take(&mut self.unsettled) {
            let Some(queue) = self.queues.get_mut(key.0) else {
                continue;
            };
            queue.is_unsettled = false;
            let Some((topic, before, floor)) = queue.settle_cursor(&mut self.batch.operations)
            else {
                continue;
            };
            if let Some(log) = &mut self.topics[topic.0].log {
                log.floor_moves(Some(before), Some(floor));
            }
            self.trim(topic);
        }
    }

    /// Lets the store forget what no subscription needs.
    pub(super) fn trim(&mut self, key: TopicKey) {
        let topic = &mut self.topics[key.0];
        if let (Some(log), Some(id)) = (&mut topic.log, topic.id)
            && let Some(through) = log.next_trim()
        {
            self.batch
                .operations
                .push(Operation::Trim { topic: id, through });
        }
    }
}

/// What the store keeps of a message beside its bytes: its priority and 1, so that it is never 0 as an entry's is, whether
/// it was sent as non-persistent, and in a feed the id of the topic that it came from.
const NON_PERSISTENT: i64 = 0x10;
const ORIGIN_SHIFT: u32 = 8;

fn log_append(
    topic: DestinationId,
    (sequence, number): (Sequence, MessageNumber),
    publication: &Publication,
    sender: Sender,
    origin: Option<Origin>,
) -> LogAppend {
    let origin = origin.map_or(0, |origin| origin.id.0 << ORIGIN_SHIFT);
    let mode = match publication.mode {
        DeliveryMode::Persistent => 0,
        DeliveryMode::NonPersistent => NON_PERSISTENT,
    };
    LogAppend {
        topic,
        sequence,
        number,
        payload: Arc::clone(&publication.message) as Arc<dyn Payload>,
        timestamp_ms: publication.message.timestamp_ms,
        expires_ms: publication.expires_ms,
        tag: i64::from(publication.message.priority.get() + 1) | mode | origin,
        sender,
    }
}

/// What [`LogAppend::tag`] said.
pub(super) fn read_tag(tag: i64) -> (Priority, DeliveryMode, Option<DestinationId>) {
    let mode = if tag & NON_PERSISTENT == 0 {
        DeliveryMode::Persistent
    } else {
        DeliveryMode::NonPersistent
    };
    let origin = tag >> ORIGIN_SHIFT;
    let origin = (origin != 0).then_some(DestinationId(origin));
    (Priority::clamped((tag & 0x0F) - 1), mode, origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_trimmed_up_to_its_lowest_floor() {
        let mut log = TopicLog {
            last: Sequence(10),
            ..TopicLog::default()
        };
        log.floor_moves(None, Some(Sequence(3)));
        log.floor_moves(None, Some(Sequence(7)));
        assert_eq!(log.next_trim(), Some(Sequence(3)));
        assert_eq!(log.next_trim(), None);
        log.floor_moves(Some(Sequence(3)), Some(Sequence(20)));
        assert_eq!(log.next_trim(), Some(Sequence(7)));
        log.floor_moves(Some(Sequence(7)), None);
        assert_eq!(
            log.next_trim(),
            Some(Sequence(10)),
            "no further than it goes"
        );
    }
}
