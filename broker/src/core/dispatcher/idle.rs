//! Destinations that nobody uses go after a time (`remove_unused_after`).
//!
//! Owns when they are looked at. *Invariant*: nothing goes that holds a message, that somebody takes from or waits for,
//! or that the configuration declares. Keys of queues and topics are used again; whoever may hold one for longer than
//! its destination lives finds something else there, and must not mind.

use std::time::Duration;

use rustc_hash::FxHashSet;

use super::key::{QueueKey, TopicKey};
use super::queue::Paging;
use super::{Dispatcher, Place};
use crate::config::Policies;
use crate::core::clock::Now;
use crate::core::destination::DestinationName;

/// Destinations are looked at four times in the shortest time, within these bounds.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(100);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(60);

/// Destinations that one turn looks at: however many there are, the others' requests come in between.
const STEPS_A_TURN: usize = 2_000;

/// When destinations are looked at.
#[derive(Debug, Default)]
pub(super) struct Caretaker {
    /// The shortest time of any policy; none if there is none.
    shortest: Option<Duration>,
    next: Duration,
    /// What a look that is under way has still to look at.
    left: Vec<Place>,
    /// What this turn has removed.
    removed: FxHashSet<Place>,
}

impl Caretaker {
    pub(super) fn new(policies: &Policies) -> Self {
        Self {
            shortest: policies.shortest_remove_unused_after(),
            ..Self::default()
        }
    }
}

/// What was seen of a destination when somebody last used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastUse {
    at: Duration,
    /// Messages in and out by then.
    passed: u64,
}

/// What is seen of a destination now.
struct Sight {
    passed: u64,
    is_used: bool,
    after: Duration,
}

impl Dispatcher {
    pub(super) fn next_look_at_unused(&self, now: Now) -> Option<Duration> {
        self.caretaker.shortest?;
        if !self.caretaker.left.is_empty() {
            return Some(now.uptime);
        }
        (!self.names.is_empty()).then_some(self.caretaker.next)
    }

    /// Removes what nobody has used for long enough, looking at a part of all destinations each turn.
    pub(super) fn remove_unused(&mut self, now: Now) {
        let Some(shortest) = self.caretaker.shortest else {
            return;
        };
        if self.caretaker.left.is_empty() {
            if now.uptime < self.caretaker.next {
                return;
            }
            let pause = (shortest / 4).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
            self.caretaker.next = now.uptime + pause;
            self.caretaker.left = self.names.values().copied().collect();
        }
        for _ in 0..STEPS_A_TURN {
            let Some(place) = self.caretaker.left.pop() else {
                break;
            };
            self.look_at_use(place, now);
        }
        self.forget_removed();
    }

    /// No producer's next SEND goes where its last one went, if that has gone: once for all that went in this turn, as
    /// there may be as many of each as the limits allow.
    fn forget_removed(&mut self) {
        if self.caretaker.removed.is_empty() {
            return;
        }
        let removed = std::mem::take(&mut self.caretaker.removed);
        for (_, peer) in &mut self.peers {
            peer.latest = peer
                .latest
                .take()
                .filter(|(_, latest)| !removed.contains(latest));
        }
    }

    fn look_at_use(&mut self, place: Place, now: Now) {
        let sight = match place {
            Place::Queue(key) => self.sight_of_queue(key),
            Place::Topic(key) => self.sight_of_topic(key),
        };
        let Some(sight) = sight.filter(|sight| !sight.after.is_zero()) else {
            return;
        };
        let Some(last_use) = self.last_use_mut(place) else {
            return;
        };
        match *last_use {
            Some(last) if !sight.is_used && last.passed == sight.passed => {
                if now.uptime.saturating_sub(last.at) >= sight.after {
                    self.remove_place(place);
                }
            }
            Some(_) | None => {
                *last_use = Some(LastUse {
                    at: now.uptime,
                    passed: sight.passed,
                });
            }
        }
    }

    fn last_use_mut(&mut self, place: Place) -> Option<&mut Option<LastUse>> {
        match place {
            Place::Queue(key) => Some(&mut self.queues.get_mut(key.0)?.last_use),
            Place::Topic(key) => Some(&mut self.topics.get_mut(key.0)?.last_use),
        }
    }

    fn sight_of_queue(&self, key: QueueKey) -> Option<Sight> {
        let queue = self.queues.get(key.0)?;
        Some(Sight {
            passed: queue.counters.enqueued + queue.counters.dispatched,
            is_used: queue.depth > 0
                || queue.scheduled_count > 0
                || !queue.consumers.is_empty()
                || queue.browser_count > 0
                || !queue.bound.blocked.is_empty()
                || queue.paging != Paging::Idle,
            after: self.unused_after(&queue.name, queue.policy.remove_unused_after),
        })
    }

    fn sight_of_topic(&self, key: TopicKey) -> Option<Sight> {
        let topic = self.topics.get(key.0)?;
        Some(Sight {
            passed: topic.counters.enqueued + topic.counters.dispatched,
            // What the log of a pattern has of it refers to its row.
            is_used: topic.is_scheduled_for
                || topic.log.is_some()
                || self.is_fed_from(&topic.name)
                || topic.full_count > 0
                || !topic.held.is_empty()
                || !topic.blocked.is_empty()
                || !self.audience_of(key).is_empty(),
            after: self.unused_after(&topic.name, topic.policy.remove_unused_after),
        })
    }

    /// Temporary destinations go with their connection, and what is declared stays.
    fn unused_after(&self, name: &DestinationName, after: Duration) -> Duration {
        if after.is_zero() || name.is_temporary() || self.settings.policies.declares(name) {
            Duration::ZERO
        } else {
            after
        }
    }

    fn remove_place(&mut self, place: Place) {
        match place {
            Place::Queue(key) => {
                tracing::info!(queue = %self.queues[key.0].name, "unused, and removed");
                self.remove_queue(key);
            }
            Place::Topic(key) => {
                tracing::info!(topic = %self.topics[key.0].name, "unused, and removed");
                self.remove_topic(key);
            }
        }
        self.caretaker.removed.insert(place);
    }
}
