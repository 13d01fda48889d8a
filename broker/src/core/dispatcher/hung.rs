//! A consumer that holds messages longer than `ack_timeout`: they go back to their queue, and it is passed over.
//!
//! Owns when consumers are looked at. *Invariant*: one that is passed over is given nothing, and neither has a queue for
//! itself nor owns a group, until it answers something: an ACK or NACK of its subscription, also one that is stale.

use std::time::Duration;

use super::Dispatcher;
use super::delivery::{Origin, Outcome, Slot};
use super::key::{PeerKey, SubscriptionKey};
use crate::config::Policies;
use crate::core::clock::Now;
use crate::core::port::{AckMode, AckTarget, DeliveryCounter};

/// Consumers are looked at four times in the shortest timeout, within these bounds.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(20);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(10);

/// Subscriptions that one turn looks at: however many there are, the others' requests come in between.
const STEPS_A_TURN: usize = 10_000;

/// When consumers are looked at.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The shortest timeout of any policy; none if there is none.
    shortest: Option<Duration>,
    next: Duration,
    /// Where a look that is under way goes on.
    at: Option<usize>,
}

impl Watch {
    pub(super) fn new(policies: &Policies) -> Self {
        Self {
            shortest: policies.shortest_ack_timeout(),
            ..Self::default()
        }
    }
}

/// What a subscription that is passed over gets back when it answers.
#[derive(Debug)]
pub(super) struct PassedOver {
    messages_max: u32,
    /// What it held, in ascending order.
    returned: Vec<DeliveryCounter>,
}

impl Dispatcher {
    pub(super) fn next_watch(&self, now: Now) -> Option<Duration> {
        self.watch.shortest?;
        match self.watch.at {
            Some(_) => Some(now.uptime),
            None => (!self.deliveries.is_empty()).then_some(self.watch.next),
        }
    }

    /// Takes back what consumers have held too long, a part of them each turn.
    pub(super) fn watch_consumers(&mut self, now: Now) {
        let Some(shortest) = self.watch.shortest else {
            return;
        };
        let from = match self.watch.at {
            Some(at) => at,
            None if now.uptime < self.watch.next || self.deliveries.is_empty() => return,
            None => {
                let pause = (shortest / 4).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
                self.watch.next = now.uptime + pause;
                0
            }
        };
        let end = self.subscriptions.capacity().min(from + STEPS_A_TURN);
        for key in (from..end).map(SubscriptionKey) {
            let overdue = self.overdue(key, shortest, now);
            if !overdue.is_empty() {
                self.pass_over(key, &overdue, now);
            }
        }
        self.watch.at = (end < self.subscriptions.capacity()).then_some(end);
    }

    /// What a subscription has held too long, the oldest first.
    fn overdue(&self, key: SubscriptionKey, shortest: Duration, now: Now) -> Vec<Slot> {
        let mut overdue = Vec::new();
        let Some(subscription) = self.subscriptions.get(key.0) else {
            return overdue;
        };
        if subscription.mode == AckMode::Auto {
            return overdue;
        }
        let mut next = subscription.open.first;
        while let Some(slot) = next
            && let Some(delivered) = self.deliveries.get(slot)
        {
            let held = now.uptime.saturating_sub(delivered.since);
            if held < shortest {
                break;
            }
            if let Origin::Queue(queue, _) = delivered.origin {
                let timeout = self.queues[queue.0].policy.ack_timeout;
                if !timeout.is_zero() && held >= timeout {
                    overdue.push(slot);
                }
            }
            next = self.deliveries.after(slot);
        }
        overdue
    }

    /// Only the oldest counts a failure, as when a connection breaks: the others had not been begun.
    fn pass_over(&mut self, key: SubscriptionKey, overdue: &[Slot], now: Now) {
        let mut outcome = Outcome::Broken;
        let mut returning = Vec::new();
        for slot in overdue {
            if let Some(delivered) = self.take_open(key, *slot) {
                returning.push((delivered, outcome));
                outcome = Outcome::Returned;
            }
        }
        let subscription = &mut self.subscriptions[key.0];
        tracing::warn!(
            session = %self.peers[subscription.peer.0].opening.session,
            returned = returning.len(),
            "a consumer has held messages longer than ack_timeout: they go back to their queue"
        );
        let counters = returning.iter().map(|(delivered, _)| delivered.counter);
        match &mut subscription.passed_over {
            Some(passed_over) => passed_over.returned.extend(counters),
            None => {
                subscription.passed_over = Some(Box::new(PassedOver {
                    messages_max: subscription.credit.messages_max,
                    returned: counters.collect(),
                }));
                subscription.credit.messages_max = 0;
            }
        }
        for consumer in subscription.consumers.clone() {
            let queue = self.consumers[consumer.0].queue;
            self.queues[queue.0].groups.release(consumer);
            self.mark(queue);
            let had_owner = self.queues[queue.0].exclusive.is_some();
            self.choose_exclusive(queue);
            if had_owner && self.queues[queue.0].exclusive.is_none() {
                self.let_others_pass(queue, now);
            }
        }
        for (delivered, outcome) in returning {
            self.conclude(delivered, outcome, now);
        }
    }

    /// A subscription has answered: it is given messages again.
    pub(super) fn answered(&mut self, key: SubscriptionKey) {
        let Some(subscription) = self.subscriptions.get_mut(key.0) else {
            return;
        };
        let Some(passed_over) = subscription.passed_over.take() else {
            return;
        };
        subscription.credit.messages_max = passed_over.messages_max;
        for consumer in subscription.consumers.clone() {
            let queue = self.consumers[consumer.0].queue;
            self.choose_exclusive(queue);
        }
        self.offer(key);
    }

    /// An acknowledgement came too late: it may be one of those that were waited for.
    pub(super) fn answered_late(&mut self, peer: PeerKey, target: AckTarget) {
        if self.watch.shortest.is_none() {
            return;
        }
        let mine = self.peers[peer.0].subscriptions.iter();
        let meant: Vec<SubscriptionKey> = mine
            .filter(|(handle, key)| {
                let passed_over = self.subscriptions[key.0].passed_over.as_ref();
                passed_over.is_some_and(|passed_over| match target {
                    AckTarget::Delivery(tag) => {
                        passed_over.returned.binary_search(&tag.counter).is_ok()
                    }
                    AckTarget::Message { subscription, .. } => {
                        subscription.is_none_or(|named| named == **handle)
                    }
                })
            })
            .map(|(_, key)| *key)
            .collect();
        for key in meant {
            self.answered(key);
        }
    }
}
