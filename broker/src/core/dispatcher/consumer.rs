//! A consumer: a subscription's place at one queue. A subscription to several queues has one at each, and one credit.
//!
//! Owns whether it may be given something now:
//!
//! ```text
//!              no credit                   credit again
//!   InRound --------------> Parked ------------------------> InRound
//!      |  ^
//!      |  +--- its selector has found something ---+
//!      +--- nothing there that it may take ----> Idle
//!   Excluded: another one has the queue for itself
//! ```

use super::key::{ConsumerKey, QueueKey, ScanKey, SubscriptionKey};
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::port::Refusal;

/// Which consumers are served first (`activemq.priority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ConsumerPriority(pub i32);

impl ConsumerPriority {
    /// Below that of any consumer.
    pub(super) const NOBODYS: ConsumerPriority = ConsumerPriority(i32::MIN);
}

/// Whether a consumer wants a queue for itself (`activemq.exclusive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exclusivity {
    /// It shares.
    #[default]
    Shared,
    /// It does not.
    Exclusive,
}

/// Whether a consumer may be given something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stands in its queue's round.
    InRound,
    /// It waits for credit, in its subscription's list.
    Parked,
    /// It waits until its selector finds something, in its scan's list.
    Idle,
    /// An exclusive one has the queue.
    Excluded,
}

/// Names a consumer or a subscription for the life of the process, which its key does not. Older ones have lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Serial(pub(super) u64);

/// Where a consumer stands in a list. It counts only while the consumer that took it lives: another may have its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) key: ConsumerKey,
    pub(super) serial: Serial,
}

/// A subscription's place at one queue.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) serial: Serial,
    /// Where it stands among the consumers of its queue.
    place: usize,
    /// Whether it stands in its subscription's list of those that wait for credit.
    pub(super) waits_for_credit: bool,
    pub(super) subscription: SubscriptionKey,
    pub(super) queue: QueueKey,
    pub(super) priority: ConsumerPriority,
    pub(super) exclusivity: Exclusivity,
    pub(super) standing: Standing,
    /// What its selector has seen of the queue.
    pub(super) scan: Option<ScanKey>,
}

/// What the place of a subscription to several destinations costs, and what its selector keeps of the queue.
const PLACE_BYTES: usize = 256;
const SCAN_BYTES: usize = 512;

/// Part of the memory that such places may take.
const PLACES_SHARE: usize = 4;

/// What a place of a subscription to several destinations costs.
pub(super) fn place_bytes(has_selector: bool) -> usize {
    PLACE_BYTES + if has_selector { SCAN_BYTES } else { 0 }
}

impl Dispatcher {
    /// Whether subscriptions to several destinations may have so many bytes of places more.
    pub(super) fn check_places(&self, more_bytes: usize) -> Result<(), Refusal> {
        let limit = self.settings.budget.limit_bytes() / PLACES_SHARE;
        if self.places_bytes + more_bytes <= limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many places of subscriptions",
            format!(
                "subscriptions with wildcards or lists have {} bytes of places at queues, {more_bytes} more are \
                 needed, and a quarter of memory_limit, {limit} bytes, is allowed: subscribe to a narrower pattern, or \
                 raise memory_limit",
                self.places_bytes
            ),
        ))
    }

    /// Gives a subscription a place at a queue.
    pub(super) fn join(&mut self, key: SubscriptionKey, queue: QueueKey) {
        let subscription = &mut self.subscriptions[key.0];
        if subscription.is_manifold {
            if subscription.queues.contains_key(&queue) {
                return;
            }
            let bytes = place_bytes(subscription.selector.is_some());
            subscription.places_charge.grow(bytes);
            self.places_bytes += bytes;
        }
        let subscription = &self.subscriptions[key.0];
        let (priority, exclusivity) = (subscription.priority, subscription.exclusivity);
        let scan = subscription
            .selector
            .clone()
            .map(|selector| self.queues[queue.0].join_scan(selector, &self.instance));
        let serial = self.next_serial();
        let consumer = ConsumerKey(self.consumers.insert(Consumer {
            serial,
            place: self.queues[queue.0].consumers.len(),
            waits_for_credit: false,
            subscription: key,
            queue,
            priority,
            exclusivity,
            standing: Standing::Excluded,
            scan,
        }));
        let subscription = &mut self.subscriptions[key.0];
        subscription.consumers.push(consumer);
        if subscription.is_manifold {
            subscription.queues.insert(queue, consumer);
        }
        let joined = &mut self.queues[queue.0];
        joined.consumers.push(consumer);
        if joined.consumers.len() == 1 {
            self.wake(queue);
        }
        let joined = &mut self.queues[queue.0];
        if joined.policy.group_rebalance {
            joined.groups.rebalance();
        }
        if exclusivity == Exclusivity::Exclusive {
            self.choose_exclusive(queue);
        }
        let exclusive = self.queues[queue.0].exclusive;
        if exclusive.is_none_or(|exclusive| exclusive == consumer) {
            self.enter_round(consumer);
        }
        self.advise_consumer(key, Place::Queue(queue));
    }

    pub(super) fn next_serial(&mut self) -> Serial {
        self.last_serial = Serial(self.last_serial.0 + 1);
        self.last_serial
    }

    /// A consumer may be given something again.
    pub(super) fn enter_round(&mut self, key: ConsumerKey) {
        let consumer = &mut self.consumers[key.0];
        if consumer.standing == Standing::InRound {
            return;
        }
        consumer.standing = Standing::InRound;
        let queue = consumer.queue;
        let seat = Seat {
            key,
            serial: consumer.serial,
        };
        self.queues[queue.0].round.push(consumer.priority, seat);
        self.mark(queue);
    }

    /// Of those that want the queue for themselves one gets it: the one of the highest priority, of these the oldest.
    pub(super) fn choose_exclusive(&mut self, key: QueueKey) {
        let queue = &self.queues[key.0];
        let wants = |consumer: &&ConsumerKey| {
            let consumer = &self.consumers[consumer.0];
            let answers = self.subscriptions[consumer.subscription.0]
                .passed_over
                .is_none();
            consumer.exclusivity == Exclusivity::Exclusive && answers
        };
        let claim = |consumer: &ConsumerKey| {
            let consumer = &self.consumers[consumer.0];
            (consumer.priority, std::cmp::Reverse(consumer.serial))
        };
        let chosen = queue
            .consumers
            .iter()
            .filter(wants)
            .copied()
            .max_by_key(claim);
        if queue.exclusive == chosen {
            return;
        }
        let members = queue.consumers.clone();
        self.queues[key.0].exclusive = chosen;
        for member in members {
            let is_in = chosen.is_none_or(|chosen| chosen == member);
            let standing = self.consumers[member.0].standing;
            match (is_in, standing) {
                (true, Standing::Excluded) => self.enter_round(member),
                (false, _) => {
                    self.consumers[member.0].standing = Standing::Excluded;
                    self.queues[key.0].groups.release(member);
                }
                (true, Standing::InRound | Standing::Parked | Standing::Idle) => {}
            }
        }
        let consumers = &self.consumers;
        self.queues[key.0].round.retain(|seat| {
            let member = consumers.get(seat.key.0);
            member.is_some_and(|member| {
                member.serial == seat.serial && member.standing == Standing::InRound
            })
        });
        self.mark(key);
    }

    /// A consumer leaves its queue: what it had for itself others may have.
    pub(super) fn leave(&mut self, member: ConsumerKey, now: Now) {
        let gone = self.consumers.remove(member.0);
        let queue = &mut self.queues[gone.queue.0];
        queue.consumers.swap_remove(gone.place);
        if let Some(moved) = queue.consumers.get(gone.place) {
            self.consumers[moved.0].place = gone.place;
        }
        if queue.consumers.is_empty() {
            self.lose_consumers(gone.queue);
        }
        let queue = &mut self.queues[gone.queue.0];
        if gone.standing == Standing::InRound {
            queue.round.left(&self.consumers);
        }
        if let Some(scan) = gone.scan {
            queue.leave_scan(scan, &self.consumers);
        }
        queue.groups.release(member);
        if queue.exclusive == Some(member) {
            self.succeed_exclusive(gone.queue, now);
        }
        self.mark(gone.queue);
    }

    fn succeed_exclusive(&mut self, key: QueueKey, now: Now) {
        self.queues[key.0].exclusive = None;
        self.choose_exclusive(key);
        if self.queues[key.0].exclusive.is_some() {
            return;
        }
        self.let_others_pass(key, now);
        for member in self.queues[key.0].consumers.clone() {
            if self.consumers[member.0].standing == Standing::Excluded {
                self.enter_round(member);
            }
        }
    }
}

#[cfg(test)]
impl Consumer {
    /// One that belongs to nobody.
    pub(super) fn of_test(serial: Serial, priority: ConsumerPriority, standing: Standing) -> Self {
        Self {
            serial,
            place: 0,
            waits_for_credit: false,
            subscription: SubscriptionKey(0),
            queue: QueueKey(0),
            priority,
            exclusivity: Exclusivity::Shared,
            standing,
            scan: None,
        }
    }
}
