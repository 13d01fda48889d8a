//! What has to happen later, and when the dispatcher wants to be woken.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use stompbox_store::{Rank, Sequence};

use super::Dispatcher;
use super::key::QueueKey;
use crate::core::clock::Now;
use crate::core::port::{ConnectionId, SubscriptionHandle};

/// How soon a broker at its memory limit looks again: messages are dropped by connections, which do not tell.
const MEMORY_RECHECK: Duration = Duration::from_millis(20);

/// Something that is due at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A delayed entry returns to its lane.
    Redeliver(QueueKey, Rank, Sequence),
    /// A delayed copy returns to its subscription.
    RedeliverCopy(ConnectionId, SubscriptionHandle, Sequence),
    /// The front of a lane has become due.
    Look(QueueKey),
}

/// What is due, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Duration, Timer)>>,
}

impl Timers {
    pub(super) fn set(&mut self, due: Duration, timer: Timer) {
        self.heap.push(Reverse((due, timer)));
    }

    fn pop_due(&mut self, uptime: Duration) -> Option<Timer> {
        let Reverse((due, timer)) = *self.heap.peek()?;
        if due > uptime {
            return None;
        }
        self.heap.pop();
        Some(timer)
    }

    fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }
}

impl Dispatcher {
    /// When a turn is wanted even if nothing comes in: an uptime.
    #[must_use]
    pub fn next_wake(&self, now: Now) -> Option<Duration> {
        let memory = self
            .is_memory_blocking()
            .then(|| now.uptime + MEMORY_RECHECK);
        [self.timers.next(), memory, self.next_sweep()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn run_timers(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_due(now.uptime) {
            match timer {
                Timer::Redeliver(queue, rank, sequence) => {
                    self.redeliver(queue, rank, sequence, now);
                }
                Timer::RedeliverCopy(connection, handle, sequence) => {
                    self.redeliver_copy(connection, handle, sequence);
                }
                Timer::Look(queue) => self.mark(queue),
            }
        }
        self.sweep(now);
    }

    fn redeliver_copy(
        &mut self,
        connection: ConnectionId,
        handle: SubscriptionHandle,
        sequence: Sequence,
    ) {
        let Some(&peer) = self.connections.get(&connection) else {
            return;
        };
        let Some(&key) = self.peers[peer.0].subscriptions.get(&handle) else {
            return;
        };
        let subscription = &mut self.subscriptions[key.0];
        if let Some(entry) = subscription.delayed.remove(&sequence) {
            subscription.pending.put_back(sequence, entry);
            self.offer(key);
        }
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
