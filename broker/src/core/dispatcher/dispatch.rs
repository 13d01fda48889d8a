//! Messages go out of queues: round-robin among the consumers that have credit.

use std::sync::Arc;

use stompbox_store::{Rank, Sequence};

use super::Dispatcher;
use super::claim::Serving;
use super::consumer::{Consumer, ConsumerPriority, Seat, Standing};
use super::delivery::{Delivered, Origin, Slot};
use super::entry::Entry;
use super::group::{Claim, Membership};
use super::key::{ConsumerKey, PeerKey, QueueKey, ScanKey, ShortTopic, SubscriptionKey};
use super::queue::{Next, Purpose};
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::port::{Delivery, DeliveryCounter, DeliveryTag, Reply, SubscriptionHandle};

/// Expired messages that one turn takes out of a queue for a consumer that waits; then it is the others' turn.
const EXPIRED_A_TURN: u64 = 1_000;

/// The slot of a delivery that nobody acknowledges by name.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// A delivery that has been counted.
pub(super) struct Dealt {
    pub(super) peer: PeerKey,
    pub(super) handle: SubscriptionHandle,
    pub(super) counter: DeliveryCounter,
}

impl Dispatcher {
    /// A queue has to be looked at before the turn ends.
    pub(super) fn mark(&mut self, key: QueueKey) {
        let Some(queue) = self.queues.get_mut(key.0) else {
            return;
        };
        if !queue.dirty {
            queue.dirty = true;
            self.dirty_queues.push(key);
        }
    }

    /// A queue has to be looked at again in the next turn: this one has done enough for it.
    pub(super) fn mark_for_next_turn(&mut self, key: QueueKey) {
        self.unfinished.push(key);
    }

    /// A subscription has to be looked at before the turn ends.
    pub(super) fn look_at(&mut self, key: SubscriptionKey) {
        if let Some(subscription) = self.subscriptions.get_mut(key.0)
            && !subscription.queued
        {
            subscription.queued = true;
            self.dirty_subscriptions.push(key);
        }
    }

    /// A subscription may have credit again.
    pub(super) fn offer(&mut self, key: SubscriptionKey) {
        let Some(subscription) = self.subscriptions.get_mut(key.0) else {
            return;
        };
        if !subscription.credit.is_left() {
            return;
        }
        let walks = subscription
            .walk
            .as_ref()
            .is_some_and(|walk| walk.goes_on());
        if walks || subscription.pending.len() > 0 {
            self.look_at(key);
        }
        let Some(subscription) = self.subscriptions.get_mut(key.0) else {
            return;
        };
        // One at a time, the one that has waited longest: there may be credit for no more.
        let Some(consumer) = subscription.parked.pop_front() else {
            return;
        };
        if !subscription.parked.is_empty() && !std::mem::replace(&mut subscription.is_offered, true)
        {
            self.offered.push(key);
            self.offered_priority = self.offered_priority.max(subscription.priority);
        }
        self.has_credit(consumer);
    }

    /// Hands out what can be handed out.
    pub(super) fn dispatch_dirty(&mut self, now: Now) {
        loop {
            while let Some(key) = self.dirty_subscriptions.pop() {
                self.drain_pending(key, now);
            }
            let Some(key) = self.dirty_queues.pop() else {
                if self.offered.is_empty() {
                    return;
                }
                self.offered_priority = ConsumerPriority::NOBODYS;
                for key in std::mem::take(&mut self.offered) {
                    if let Some(subscription) = self.subscriptions.get_mut(key.0) {
                        subscription.is_offered = false;
                        self.offer(key);
                    }
                }
                continue;
            };
            if let Some(queue) = self.queues.get_mut(key.0) {
                queue.dirty = false;
                self.dispatch_queue(key, now);
            }
        }
    }

    pub(super) fn dispatch_queue(&mut self, key: QueueKey, now: Now) {
        if self.queues[key.0].opens_at > self.watermark {
            return;
        }
        self.queues[key.0].page_turn.begin();
        self.advance_scans(key, now);
        self.serve_parked(key, Serving::InTheirTurn, now);
        // The first consumer without a selector for which there was nothing: behind it only selectors may have something.
        let mut dry = None;
        // Turns in a row for which there was nothing: when all have had one, there is nothing for anybody.
        let mut barren_count = 0;
        let expired_before = self.counters.expired;
        while let Some(consumer) = self.next_consumer(key) {
            if dry == Some(consumer) || barren_count > self.queues[key.0].consumers.len() {
                break;
            }
            if self.counters.expired - expired_before >= EXPIRED_A_TURN {
                self.mark_for_next_turn(key);
                break;
            }
            let found = match self.consumers[consumer.0].scan {
                _ if self.queues[key.0].groups.is_full() => None,
                Some(scan) => self.next_found(key, consumer, scan, now),
                None if dry.is_some() => None,
                None => self.next_front(key, consumer, now),
            };
            if let Some((rank, sequence)) = found {
                barren_count = 0;
                self.take_and_give(key, consumer, rank, sequence, now);
            } else if self.consumers[consumer.0].standing == Standing::InRound {
                dry = dry.or(Some(consumer));
                barren_count += 1;
                if !self.queues[key.0].scans.has_found() {
                    break;
                }
                self.queues[key.0].round.rotate();
            }
        }
        // What was parked meanwhile has to wait where its owner's credit will find it.
        self.serve_parked(key, Serving::AtLast, now);
        self.keep_bound(key, now);
        self.read_values(key);
        self.read_ahead(key);
        self.begin_page(key);
    }

    /// The consumer whose turn it is; those without credit leave the round.
    fn next_consumer(&mut self, key: QueueKey) -> Option<ConsumerKey> {
        while let Some(next) = self.queues[key.0].round.first(&self.consumers) {
            let queue = &mut self.queues[key.0];
            let consumer = &mut self.consumers[next.0];
            let subscription = &self.subscriptions[consumer.subscription.0];
            if subscription.credit.is_left() {
                let Some(preferred) = self.preferred_to(next) else {
                    return Some(next);
                };
                self.enter_round(preferred);
                continue;
            }
            consumer.standing = Standing::Parked;
            queue.round.pop();
            self.wait_for_credit(next);
        }
        None
    }

    /// A consumer of a higher priority that has credit and has not been told so yet, since it takes from several queues: it
    /// comes first all the same. It stays in its subscription's list, where it is then told what it knows.
    fn preferred_to(&self, next: ConsumerKey) -> Option<ConsumerKey> {
        let Consumer {
            queue, priority, ..
        } = self.consumers[next.0];
        if self.offered_priority <= priority {
            return None;
        }
        let parked = self.offered.iter().filter_map(|key| {
            let subscription = self.subscriptions.get(key.0)?;
            if subscription.priority <= priority || !subscription.credit.is_left() {
                return None;
            }
            let place = *subscription.queues.get(&queue)?;
            let consumer = &self.consumers[place.0];
            (consumer.standing == Standing::Parked).then_some((subscription.priority, place))
        });
        parked.max().map(|(_, place)| place)
    }

    /// What a consumer without a selector would get.
    fn next_front(
        &mut self,
        key: QueueKey,
        consumer: ConsumerKey,
        now: Now,
    ) -> Option<(Rank, Sequence)> {
        let subscription = self.consumers[consumer.0].subscription;
        let holds = self.subscriptions[subscription.0].credit.messages > 0;
        if holds && self.queues[key.0].is_of_copies() && self.is_full_of_copies() {
            self.queue_in_crowd(key);
            return None;
        }
        match self.queues[key.0].next(self.watermark, now) {
            Next::Nothing => None,
            Next::Ready(rank, sequence) => Some((rank, sequence)),
            Next::Paged(rank) => {
                // While the memory is full a consumer gets no more from the disk before it has acknowledged
                // what it holds; one that holds nothing gets something, or nothing would ever move.
                if self.settings.budget.is_over() && holds {
                    self.wait_for_memory(key);
                } else {
                    self.want_page(key, rank, Purpose::Head);
                }
                None
            }
        }
    }

    /// What a consumer's selector has found; if nothing, it leaves the round until something is.
    fn next_found(
        &mut self,
        key: QueueKey,
        consumer: ConsumerKey,
        scan: ScanKey,
        now: Now,
    ) -> Option<(Rank, Sequence)> {
        let watermark = self.watermark;
        let is_ready =
            |entry: &Entry| entry.visible_after <= watermark && entry.not_before <= now.uptime;
        let queue = &mut self.queues[key.0];
        let mut found = queue.first_found(scan, is_ready);
        if let Some((rank, _)) = found
            && rank > Rank(0)
        {
            let allowed = self.looks_left();
            let mut steps = allowed;
            let queue = &mut self.queues[key.0];
            queue.look_ahead_of(scan, rank, is_ready, &mut steps);
            found = queue.first_found(scan, is_ready);
            self.looked(allowed - steps);
        }
        if found.is_none() {
            self.queues[key.0].round.pop();
            let waiting = &mut self.consumers[consumer.0];
            waiting.standing = Standing::Idle;
            let priority = waiting.priority;
            let seat = Seat {
                key: consumer,
                serial: waiting.serial,
            };
            self.queues[key.0].scans.wait(scan, priority, seat);
            self.look_alone(key, scan, now);
        }
        found
    }

    /// Takes a waiting entry, and gives it to the consumer or to whom its group belongs.
    fn take_and_give(
        &mut self,
        key: QueueKey,
        consumer: ConsumerKey,
        rank: Rank,
        sequence: Sequence,
        now: Now,
    ) {
        let Some(entry) = self.queues[key.0].take_at(rank, sequence) else {
            return;
        };
        if entry.is_expired(now.wall_ms) {
            return self.expire(key, rank, sequence, entry, now);
        }
        let Some(group) = entry.message.group() else {
            self.queues[key.0].round.rotate();
            return self.give(key, consumer, rank, sequence, entry, Membership::Stranger);
        };
        let id = Arc::clone(&group.id);
        let position = (rank, sequence);
        match self.claim_group(key, &id, position, &entry, consumer, now) {
            Claim::Park => self.park(key, &id, position, entry),
            Claim::Past => {
                self.queues[key.0].round.rotate();
                self.give(key, consumer, rank, sequence, entry, Membership::Stranger);
            }
            Claim::To(owner) => {
                if owner == consumer {
                    self.queues[key.0].round.rotate();
                }
                self.give(key, owner, rank, sequence, entry, Membership::Member);
            }
        }
    }

    pub(super) fn give(
        &mut self,
        key: QueueKey,
        to: ConsumerKey,
        rank: Rank,
        sequence: Sequence,
        entry: Entry,
        membership: Membership,
    ) {
        self.gave_group(key, &entry, membership);
        let queue = &mut self.queues[key.0];
        queue.went_out(&entry);
        queue.counters.dispatched += 1;
        if entry.deliveries > 0 {
            queue.counters.redelivered += 1;
        }
        let subscription = self.consumers[to.0].subscription;
        self.hand_over(subscription, Origin::Queue(key, rank), sequence, entry);
    }

    /// Makes one delivery. The slot table keeps the entry until it is acknowledged; an `auto` subscription of
    /// a topic needs no more than its count.
    pub(super) fn hand_over(
        &mut self,
        to: SubscriptionKey,
        origin: Origin,
        sequence: Sequence,
        mut entry: Entry,
    ) {
        entry.deliveries = entry.deliveries.saturating_add(1);
        // Who looks at a message does not get it.
        if origin != Origin::Walk {
            self.counters.dispatched += 1;
            self.counters.redelivered += u64::from(entry.deliveries > 1);
        }
        let dealt = self.deal(to, entry.message.bytes());
        let subscription = &mut self.subscriptions[to.0];
        let is_kept = subscription.keeps_deliveries;
        let slot = if is_kept {
            self.deliveries.next_slot().0
        } else {
            NO_SLOT
        };
        let counter = dealt.counter;
        let topic = entry.topic;
        let is_manifold = subscription.is_manifold;
        let mut delivery = Delivery {
            subscription: dealt.handle,
            tag: DeliveryTag { slot, counter },
            number: entry.number,
            message: Arc::clone(&entry.message),
            deliveries: entry.deliveries,
            expires_ms: entry.expires_ms,
            mode: entry.mode,
            annotations: entry.annotations.clone().map(Box::new),
            destination: None,
        };
        if is_kept {
            if let Some(by_number) = &mut subscription.by_number {
                by_number.push(entry.number, Slot(slot));
                if let Some(by_number) = &mut self.peers[dealt.peer.0].by_number {
                    by_number.push(entry.number, Slot(slot));
                }
            }
            let is_copy = match origin {
                Origin::Queue(key, _) => self.queues[key.0].is_of_copies(),
                Origin::Topic(_) | Origin::Walk => true,
            };
            let delivered = Delivered::new(
                dealt.peer,
                to,
                counter,
                origin,
                sequence,
                entry,
                self.uptime,
            );
            let delivered = match is_copy {
                true => delivered.of_a_copy(),
                false => delivered,
            };
            self.deliveries.open(&mut subscription.open, delivered);
        } else {
            self.crowd.set_out();
        }
        if is_manifold {
            delivery.destination = self.name_of_origin(origin, topic);
        }
        self.reply(dealt.peer, Reply::Deliver(delivery));
    }

    fn name_of_origin(
        &self,
        origin: Origin,
        topic: Option<ShortTopic>,
    ) -> Option<Arc<DestinationName>> {
        match origin {
            Origin::Queue(key, _) => Some(Arc::clone(self.destination_at(key, topic))),
            Origin::Topic(key) => Some(Arc::clone(&self.topics[key.0].name)),
            Origin::Walk => None,
        }
    }

    /// Counts a delivery of so many bytes.
    pub(super) fn deal(&mut self, to: SubscriptionKey, message_bytes: usize) -> Dealt {
        let subscription = &mut self.subscriptions[to.0];
        subscription.credit.spend(message_bytes);
        let peer = &mut self.peers[subscription.peer.0];
        peer.counter = DeliveryCounter(peer.counter.0 + 1);
        peer.in_flight += 1;
        Dealt {
            peer: subscription.peer,
            handle: subscription.handle,
            counter: peer.counter,
        }
    }
}
