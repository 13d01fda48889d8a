//! What has to happen later, and when the dispatcher wants to be woken.

use std::collections::BTreeMap;
use std::time::Duration;

use stompbox_store::{Rank, Sequence};

use super::Dispatcher;
use super::key::{QueueKey, SubscriptionKey, TopicKey};
use super::redelivery::Reason;
use crate::core::clock::Now;

/// How soon a broker at its memory limit looks again: messages are dropped by connections, which do not tell.
const MEMORY_RECHECK: Duration = Duration::from_millis(20);

/// Something that is due at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// A delayed entry returns to its lane.
    Redeliver(QueueKey, Rank, Sequence),
    /// A delayed entry becomes a dead letter, if the disk has room for it by then.
    Bury(QueueKey, Rank, Sequence, Reason),
    /// A delayed copy returns to its subscription, whose end cancels it.
    RedeliverCopy(SubscriptionKey, Sequence, TopicKey),
    /// The front of a lane has become due.
    Look(QueueKey),
}

/// Names a timer until it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TimerKey {
    due: Duration,
    number: u64,
}

/// What is due, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    waiting: BTreeMap<TimerKey, Timer>,
    last_number: u64,
}

impl Timers {
    pub(super) fn set(&mut self, due: Duration, timer: Timer) -> TimerKey {
        self.last_number += 1;
        let key = TimerKey {
            due,
            number: self.last_number,
        };
        self.waiting.insert(key, timer);
        key
    }

    pub(super) fn cancel(&mut self, key: TimerKey) {
        self.waiting.remove(&key);
    }

    fn pop_due(&mut self, uptime: Duration) -> Option<Timer> {
        let first = self.waiting.first_entry()?;
        (first.key().due <= uptime).then(|| first.remove())
    }

    fn next(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|(key, _)| key.due)
    }
}

impl Dispatcher {
    /// When a turn is wanted even if nothing comes in: an uptime.
    #[must_use]
    pub fn next_wake(&self, now: Now) -> Option<Duration> {
        let memory = self
            .is_waiting_for_room()
            .then(|| now.uptime + MEMORY_RECHECK);
        let is_unfinished = !(self.unfinished.is_empty() && self.walks_unfinished.is_empty())
            || self.looks.are_wanted();
        let unfinished = is_unfinished.then_some(now.uptime);
        let pause = match self.settings.budget.is_over() {
            true => MEMORY_RECHECK,
            false => Duration::ZERO,
        };
        let burst = self.goes_on_with_burst().then_some(now.uptime + pause);
        let wakes = [
            self.timers.next(),
            memory,
            unfinished,
            burst,
            self.next_pressure(now),
            self.next_sweep(),
            self.next_firing(now),
            self.next_watch(now),
            self.next_look_at_unused(now),
        ];
        wakes.into_iter().flatten().min()
    }

    pub(super) fn run_timers(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_due(now.uptime) {
            match timer {
                Timer::Redeliver(queue, rank, sequence) => {
                    self.redeliver(queue, rank, sequence, now);
                }
                Timer::Bury(queue, rank, sequence, reason) => {
                    if let Some(entry) = self.take_delayed(queue, rank, sequence) {
                        self.bury(queue, rank, sequence, entry, reason, now);
                    }
                }
                Timer::RedeliverCopy(key, sequence, topic) => {
                    self.redeliver_copy(key, sequence, topic)
                }
                Timer::Look(queue) => self.mark(queue),
            }
        }
        self.sweep(now);
    }

    fn redeliver_copy(&mut self, key: SubscriptionKey, sequence: Sequence, topic: TopicKey) {
        let Some(subscription) = self.subscriptions.get_mut(key.0) else {
            return;
        };
        subscription.pending.come_due(sequence, topic);
        self.offer(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fall_due_in_order_and_not_before_their_time() {
        let look = |queue| Timer::Look(QueueKey(queue));
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        for (due, queue) in [(30, 3), (10, 1), (20, 2)] {
            timers.set(Duration::from_secs(due), look(queue));
        }
        assert_eq!(timers.next(), Some(Duration::from_secs(10)));
        let mut due = |seconds| timers.pop_due(Duration::from_secs(seconds));
        assert_eq!(due(9), None);
        assert_eq!(due(20), Some(look(1)));
        assert_eq!(due(20), Some(look(2)));
        assert_eq!(due(20), None);
    }
}
