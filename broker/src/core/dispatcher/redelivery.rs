//! What comes back: to its place, after a delay, or to the dead-letter queue (dialect, ACK, NACK, redelivery).

use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::canonical;
use stompbox_store::{Medium, Move, Operation, Rank, Sequence};

use super::delivery::{Delivered, Origin, Outcome};
use super::entry::Entry;
use super::full::{Home, NOBODY, Undo};
use super::group::GroupId;
use super::key::{QueueKey, SubscriptionKey, TopicKey};
use super::timer::Timer;
use super::{Dispatcher, Place};
use crate::config::{Policy, RedeliveryOrder};
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::message::DeliveryMode;
use crate::core::port::Requeue;

/// Why a message became a dead letter (`dlq-reason`).
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

/// The header lines that a dead letter carries before its sender's own.
pub(super) fn annotate(
    original: &DestinationName,
    reason: Reason,
    deliveries: u32,
    now: Now,
) -> Box<[u8]> {
    let mut block = Vec::new();
    canonical::push_decoded(
        &mut block,
        b"original-destination",
        original.wire().as_bytes(),
    );
    canonical::push_decoded(&mut block, b"dlq-reason", reason.as_str().as_bytes());
    canonical::push_decoded(&mut block, b"dlq-time", now.wall_ms.to_string().as_bytes());
    canonical::push_decoded(
        &mut block,
        b"dlq-delivery-count",
        deliveries.to_string().as_bytes(),
    );
    block.into_boxed_slice()
}

/// The delay before the redelivery that follows the given failure, from 1.
fn delay_after(failures: u32, policy: &Policy) -> Duration {
    if failures <= 1 {
        return policy.redelivery_delay_first;
    }
    // Times an infinite factor it would be no number.
    if policy.redelivery_delay.is_zero() {
        return Duration::ZERO;
    }
    let exponent = i32::try_from(failures - 2).unwrap_or(i32::MAX);
    let factor = policy.redelivery_multiplier.powi(exponent);
    let seconds = policy.redelivery_delay.as_secs_f64() * factor;
    let limit = policy.redelivery_delay_max;
    if seconds < limit.as_secs_f64() {
        Duration::from_secs_f64(seconds)
    } else {
        limit
    }
}

impl Dispatcher {
    /// Ends a delivery that is in no list any more.
    pub(super) fn conclude(&mut self, delivered: Delivered, outcome: Outcome, now: Now) {
        if outcome == Outcome::Acked {
            return self.settle(delivered);
        }
        match delivered.origin {
            Origin::Queue(key, rank) => {
                self.queues[key.0].came_back(&delivered.entry);
                self.take_back(key, rank, delivered.sequence, delivered.entry, outcome, now);
            }
            Origin::Walk => {}
            Origin::Topic(topic) => {
                if let Some(key) = delivered.subscription
                    && self.subscriptions.contains(key.0)
                {
                    let (sequence, entry) = (delivered.sequence, delivered.entry);
                    self.take_back_to_subscription(topic, key, sequence, entry, outcome, now);
                }
            }
        }
    }

    fn take_back(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        mut entry: Entry,
        outcome: Outcome,
        now: Now,
    ) {
        if self.drop_superseded(key, rank, sequence, &entry) {
            return;
        }
        if entry.is_expired(now.wall_ms) {
            return self.expire(key, rank, sequence, entry, now);
        }
        let (delay, requeue) = match outcome {
            Outcome::Acked => return,
            Outcome::Returned => return self.put_back(key, rank, sequence, entry),
            Outcome::Broken => (Some(Duration::ZERO), Requeue::Allowed),
            Outcome::Failed { delay, requeue } => (delay, requeue),
        };
        entry.failures = entry.failures.saturating_add(1);
        let queue = &self.queues[key.0];
        if queue.dead_letter.is_some() {
            if requeue == Requeue::Forbidden {
                return self.bury(key, rank, sequence, entry, Reason::Nack, now);
            }
            if entry.failures > queue.policy.redeliveries_max {
                return self.bury(key, rank, sequence, entry, Reason::RedeliveryLimit, now);
            }
        }
        let delay = delay.unwrap_or_else(|| delay_after(entry.failures, &queue.policy));
        if let Some(count) = queue.count_of(rank, sequence, &entry) {
            self.store(key, count);
        }
        if delay.is_zero() {
            self.put_back(key, rank, sequence, entry);
        } else {
            self.put_off(key, rank, sequence, entry, now.uptime + delay, now);
        }
    }

    /// An entry that is in no lane returns: to its place, or with its group, if something of that is parked or its owner
    /// may yet put off what stands behind it.
    pub(super) fn put_back(&mut self, key: QueueKey, rank: Rank, sequence: Sequence, entry: Entry) {
        if self.drop_superseded(key, rank, sequence, &entry) {
            return;
        }
        self.enter_value(key, rank, sequence, &entry);
        if let Some(group) = self.group_to_wait_with(key, &entry)
            && self.returns_with_group(key, &group)
        {
            self.park(key, &group, (rank, sequence), entry);
            return self.mark(key);
        }
        self.put_in_lane(key, rank, sequence, entry);
    }

    fn returns_with_group(&self, key: QueueKey, group: &GroupId) -> bool {
        let groups = &self.queues[key.0].groups;
        let may_put_off = self.redelivery_order(key) == RedeliveryOrder::Pass;
        groups.has_parked(group) || (may_put_off && groups.owner_of(group).is_some())
    }

    /// What a redelivery that waits does to those behind it.
    fn redelivery_order(&self, key: QueueKey) -> RedeliveryOrder {
        let queue = &self.queues[key.0];
        match queue.exclusive {
            Some(_) => RedeliveryOrder::Hold,
            None => queue.policy.redelivery_order,
        }
    }

    pub(super) fn put_in_lane(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        entry: Entry,
    ) {
        if entry.expires_ms != 0 {
            self.expiring_queues.insert(key);
        }
        self.queues[key.0].put(rank, sequence, entry);
        self.mark(key);
    }

    /// It waits until it is due, with its group or by itself.
    pub(super) fn put_off(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        mut entry: Entry,
        due: Duration,
        now: Now,
    ) {
        entry.not_before = due;
        self.enter_value(key, rank, sequence, &entry);
        let order = self.redelivery_order(key);
        let group = self.group_to_wait_with(key, &entry);
        // It waits there, and a ring may be too full with it.
        self.mark(key);
        match (order, group) {
            (RedeliveryOrder::Pass, Some(group)) if !entry.is_expired(now.wall_ms) => {
                // It holds its group back, and nothing else.
                self.park(key, &group, (rank, sequence), entry);
                self.timers.set(due, Timer::Look(key));
            }
            (RedeliveryOrder::Pass, _) => {
                // Whichever is first: what expires while it waits is not kept until it is due.
                let look = due.min(entry.expires_at(now));
                self.queues[key.0].delayed.insert((rank, sequence), entry);
                self.timers.set(look, Timer::Redeliver(key, rank, sequence));
            }
            (RedeliveryOrder::Hold, group) => {
                // What is parked of its group stands behind it again.
                if let Some(group) = group {
                    self.unpark_group(key, &group);
                }
                self.put_in_lane(key, rank, sequence, entry);
                self.timers.set(due, Timer::Look(key));
            }
        }
    }

    /// Nobody has the queue for itself any more: what has waited out its delay there in front of all others waits aside
    /// from now on, or with its group.
    pub(super) fn let_others_pass(&mut self, key: QueueKey, now: Now) {
        if self.redelivery_order(key) == RedeliveryOrder::Hold {
            return;
        }
        for (rank, sequence, due) in self.queues[key.0].waiting_until_after(now.uptime) {
            if let Some(entry) = self.queues[key.0].take_at(rank, sequence) {
                self.put_off(key, rank, sequence, entry, due, now);
            }
        }
    }

    /// What waits out a delay, if its queue is still there.
    pub(super) fn take_delayed(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
    ) -> Option<Entry> {
        let queue = self.queues.get_mut(key.0)?;
        queue.delayed.remove(&(rank, sequence))
    }

    /// A redelivery delay is over, or its message has expired.
    pub(super) fn redeliver(&mut self, key: QueueKey, rank: Rank, sequence: Sequence, now: Now) {
        let Some(entry) = self.take_delayed(key, rank, sequence) else {
            return;
        };
        if entry.is_expired(now.wall_ms) {
            self.expire(key, rank, sequence, entry, now);
        } else if now.uptime < entry.not_before {
            // The wall clock was set back.
            let due = entry.not_before;
            self.put_off(key, rank, sequence, entry, due, now);
        } else {
            self.put_back(key, rank, sequence, entry);
        }
    }

    /// A message becomes a dead letter: removal and arrival are one change of the store. It is not seen before
    /// that is durable: a crash would undo its way here, and its counts begin anew with every arrival.
    pub(super) fn bury(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        entry: Entry,
        reason: Reason,
        now: Now,
    ) {
        let queue = &self.queues[key.0];
        let may = entry.mode == DeliveryMode::Persistent || queue.policy.dead_letter_non_persistent;
        let place = self.source_of(key, &entry);
        let Some(target) = self.dead_letter_of(key, &entry).filter(|_| may) else {
            self.counters.dropped += 1;
            self.advise_dropped(place, entry.number);
            return self.remove(key, rank, sequence, &entry);
        };
        if self.is_disk_full {
            // Its failure is counted all the same, and that is what a receipt waits for.
            let count = self.queues[key.0].count_of(rank, sequence, &entry);
            if let Some(count) = count.filter(|_| reason != Reason::Expired) {
                self.store(key, count);
            }
            return self.stay(key, rank, sequence, entry, reason, now);
        }
        let from = self.destination_of(key, &entry);
        let annotations = annotate(from, reason, entry.deliveries, now);
        self.queues[key.0].counters.dead_lettered += 1;
        self.advise_dead_letter(place, entry.number, reason.as_str(), &target);
        let target = self.ensure_queue(&target, now);
        let to = self.next_sequence();
        let queue = &mut self.queues[key.0];
        queue.forget(rank, sequence, &entry);
        let from_key = queue.key(rank, sequence);
        // A log has one lane, whatever the priority of its messages.
        let to_rank = entry.message.priority.rank();
        let to_key = self.queues[target.0].key(to_rank, to);
        let medium = entry.medium();
        if medium.is_some() {
            self.queues[key.0].last_ticket = self.next_ticket;
            self.leaves(from_key, entry.expires_ms);
        }
        let undo = Undo::Burial {
            home: Home::Queue(from_key, reason),
            entry: Some(entry.clone()),
        };
        self.remember(to_key, undo);
        let is_logged = self.queues[key.0].is_durable() && entry.is_stored();
        let arrived = entry.into_dead_letter(&annotations, self.next_ticket);
        if is_logged {
            let append = arrived.to_append(to_key, annotations, NOBODY);
            self.bury_logged(key, sequence, target, append);
        } else if medium == Some(Medium::Database) {
            let moved = Move {
                from: from_key,
                to: to_key,
                expires_ms: 0,
                annotations,
            };
            self.store(target, Operation::Move(moved));
        } else {
            let append = arrived.to_append(to_key, annotations, NOBODY);
            self.store(target, Operation::Append(append));
        }
        if let Some(medium @ Medium::Scratch) = medium
            && !is_logged
        {
            let settle = Operation::Settle {
                key: from_key,
                medium,
            };
            self.store(key, settle);
        }
        self.counters.dead_lettered += 1;
        self.queues[target.0].counters.enqueued += 1;
        self.add(target, to_rank, to, arrived);
    }

    /// Out of a log nothing can be moved, since others have it too: one subscription has done with it, and the dead-letter
    /// queue gets it, or neither.
    fn bury_logged(
        &mut self,
        key: QueueKey,
        sequence: Sequence,
        target: QueueKey,
        append: stompbox_store::Append,
    ) {
        let start = self.batch.operations.len();
        self.store(target, Operation::Append(append));
        let was_in_unit = std::mem::replace(&mut self.is_in_unit, true);
        self.done_with(key, sequence);
        self.is_in_unit = was_in_unit;
        if !was_in_unit {
            self.batch.units.push(start..self.batch.operations.len());
        }
    }

    /// A topic's message failed: it comes again to the same subscription.
    fn take_back_to_subscription(
        &mut self,
        topic: TopicKey,
        key: SubscriptionKey,
        sequence: Sequence,
        mut entry: Entry,
        outcome: Outcome,
        now: Now,
    ) {
        let policy = Arc::clone(&self.topics[topic.0].policy);
        let (delay, requeue) = match outcome {
            Outcome::Acked => return,
            Outcome::Returned | Outcome::Broken => (Some(Duration::ZERO), None),
            Outcome::Failed { delay, requeue } => (delay, Some(requeue)),
        };
        if let Some(requeue) = requeue {
            entry.failures = entry.failures.saturating_add(1);
            let reason = match requeue {
                Requeue::Forbidden => Some(Reason::Nack),
                Requeue::Allowed => {
                    (entry.failures > policy.redeliveries_max).then_some(Reason::RedeliveryLimit)
                }
            };
            if let Some(reason) = reason {
                return self.bury_copy(topic, key, sequence, entry, reason, now);
            }
        }
        let delay = delay.unwrap_or_else(|| delay_after(entry.failures, &policy));
        let subscription = &mut self.subscriptions[key.0];
        if delay.is_zero() {
            subscription.pending.put_back(sequence, topic, entry);
            self.offer(key);
        } else {
            let copy = Timer::RedeliverCopy(key, sequence, topic);
            let timer = self.timers.set(now.uptime + delay, copy);
            subscription.pending.delay(sequence, timer, topic, entry);
        }
    }

    /// A topic's message failed for good: one subscription's copy becomes a dead letter.
    fn bury_copy(
        &mut self,
        key: TopicKey,
        subscription: SubscriptionKey,
        sequence: Sequence,
        entry: Entry,
        reason: Reason,
        now: Now,
    ) {
        let topic = &self.topics[key.0];
        let persistent = entry.mode == DeliveryMode::Persistent;
        if !persistent && !topic.policy.dead_letter_non_persistent {
            self.counters.dropped += 1;
            self.advise_dropped(Place::Topic(key), entry.number);
            return;
        }
        if self.is_disk_full {
            return self.copy_stays(subscription, sequence, key, entry, now);
        }
        let target = topic.policy.dead_letter_queue_of(&topic.name);
        let target = Arc::new(DestinationName::new(
            crate::core::destination::DestinationKind::Queue,
            &target,
        ));
        let annotations = annotate(&topic.name, reason, entry.deliveries, now);
        self.advise_dead_letter(Place::Topic(key), entry.number, reason.as_str(), &target);
        let target = self.ensure_queue(&target, now);
        let rank = entry.message.priority.rank();
        let to = self.next_sequence();
        let to_key = self.queues[target.0].key(rank, to);
        let owner = &self.subscriptions[subscription.0];
        let home = Home::Copy {
            connection: self.peers[owner.peer.0].connection,
            subscription,
            handle: owner.handle,
            topic: key,
            sequence,
        };
        let undo = Undo::Burial {
            home,
            entry: Some(entry.clone()),
        };
        self.remember(to_key, undo);
        let arrived = entry.into_dead_letter(&annotations, self.next_ticket);
        let append = arrived.to_append(to_key, annotations, NOBODY);
        self.store(target, Operation::Append(append));
        self.counters.dead_lettered += 1;
        self.queues[target.0].counters.enqueued += 1;
        self.add(target, rank, to, arrived);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_redelivery_comes_at_once_and_later_ones_ever_later() {
        let policy = Policy::default();
        let delays = [1, 2, 3, 4, 7, 8, 9, 1_000, u32::MAX];
        let seconds = delays.map(|failures| delay_after(failures, &policy).as_secs());
        assert_eq!(seconds, [0, 1, 2, 4, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn without_a_delay_every_redelivery_comes_at_once() {
        let policy = Policy {
            redelivery_delay: Duration::ZERO,
            ..Policy::default()
        };
        for failures in [2, 1_025, 1_026, u32::MAX] {
            assert_eq!(delay_after(failures, &policy), Duration::ZERO, "{failures}");
        }
    }

    #[test]
    fn a_multiplier_of_one_keeps_the_delay() {
        let policy = Policy {
            redelivery_multiplier: 1.0,
            redelivery_delay_first: Duration::from_millis(5),
            ..Policy::default()
        };
        assert_eq!(delay_after(1, &policy), Duration::from_millis(5));
        assert_eq!(delay_after(u32::MAX, &policy), Duration::from_secs(1));
    }
}
