//! Whose turn it is at a queue: consumers of the highest priority that have credit, one after the other.
//!
//! A consumer that leaves its queue leaves its seat behind. *Invariants*: a consumer has at most one seat
//! ([`Standing::InRound`](super::consumer::Standing)); empty seats are never more than those that count, or than
//! [`VACANT_MAX`], so that leaving costs the same however many others there are.

use std::collections::VecDeque;

use slab::Slab;
use smallvec::SmallVec;

use super::consumer::{Consumer, ConsumerPriority, Seat};
use super::key::ConsumerKey;

/// So many empty seats are not worth a look.
const VACANT_MAX: usize = 16;

/// Consumers of one priority, the next one first.
#[derive(Debug)]
struct Level {
    priority: ConsumerPriority,
    seats: VecDeque<Seat>,
}

/// The consumers of a queue that may be given something.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Highest priority first. Nearly always one.
    levels: SmallVec<[Level; 1]>,
    vacant: usize,
}

impl Round {
    /// A consumer takes the last seat of its priority.
    pub(super) fn push(&mut self, priority: ConsumerPriority, seat: Seat) {
        let at = self
            .levels
            .iter()
            .position(|level| level.priority <= priority)
            .unwrap_or(self.levels.len());
        match self.levels.get_mut(at) {
            Some(level) if level.priority == priority => level.seats.push_back(seat),
            _ => self.levels.insert(
                at,
                Level {
                    priority,
                    seats: VecDeque::from([seat]),
                },
            ),
        }
    }

    /// The consumer whose turn it is.
    pub(super) fn first(&mut self, consumers: &Slab<Consumer>) -> Option<ConsumerKey> {
        for level in &mut self.levels {
            while let Some(seat) = level.seats.front() {
                if is_taken(consumers, seat) {
                    return Some(seat.key);
                }
                level.seats.pop_front();
                self.vacant = self.vacant.saturating_sub(1);
            }
        }
        None
    }

    /// The one whose turn it is steps out.
    pub(super) fn pop(&mut self) {
        if let Some(level) = self.occupied() {
            level.seats.pop_front();
        }
    }

    /// The one whose turn it is goes to the end of its priority.
    pub(super) fn rotate(&mut self) {
        if let Some(level) = self.occupied() {
            level.seats.rotate_left(1);
        }
    }

    /// A consumer that had a seat has left; it is no longer among `consumers`.
    pub(super) fn left(&mut self, consumers: &Slab<Consumer>) {
        self.vacant += 1;
        let seats: usize = self.levels.iter().map(|level| level.seats.len()).sum();
        if self.vacant > VACANT_MAX && self.vacant > seats / 2 {
            self.retain(|seat| is_taken(consumers, seat));
        }
    }

    /// Keeps only these.
    pub(super) fn retain(&mut self, keep: impl Fn(&Seat) -> bool) {
        for level in &mut self.levels {
            level.seats.retain(&keep);
        }
        self.levels.retain(|level| !level.seats.is_empty());
        self.vacant = 0;
    }

    fn occupied(&mut self) -> Option<&mut Level> {
        self.levels.iter_mut().find(|level| !level.seats.is_empty())
    }
}

/// Whether the consumer that took the seat is still there.
pub(super) fn is_taken(consumers: &Slab<Consumer>, seat: &Seat) -> bool {
    consumers
        .get(seat.key.0)
        .is_some_and(|consumer| consumer.serial == seat.serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::dispatcher::consumer::{Serial, Standing};

    /// A round of consumers with these priorities.
    fn round_of(priorities: &[i32]) -> (Round, Slab<Consumer>) {
        let (mut round, mut consumers) = (Round::default(), Slab::new());
        for (index, priority) in priorities.iter().enumerate() {
            let serial = Serial(index as u64 + 1);
            let priority = ConsumerPriority(*priority);
            let consumer = Consumer::of_test(serial, priority, Standing::InRound);
            let key = ConsumerKey(consumers.insert(consumer));
            round.push(priority, Seat { key, serial });
        }
        (round, consumers)
    }

    #[test]
    fn higher_priorities_come_first_and_equals_take_turns() {
        let (mut round, consumers) = round_of(&[0, 5, 5, -1]);
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(round.first(&consumers));
            round.rotate();
        }
        assert_eq!(seen, [1, 2, 1].map(ConsumerKey));
        for expected in [2, 1, 0, 3] {
            assert_eq!(round.first(&consumers), Some(ConsumerKey(expected)));
            round.pop();
        }
        assert_eq!(round.first(&consumers), None);
    }

    #[test]
    fn empty_seats_are_passed_and_swept() {
        let (mut round, mut consumers) = round_of(&[0; 100]);
        for key in 0..99 {
            consumers.remove(key);
            round.left(&consumers);
        }
        assert!(round.levels[0].seats.len() <= 1 + VACANT_MAX);
        assert_eq!(round.first(&consumers), Some(ConsumerKey(99)));
        // Another consumer gets the key of one that has gone, and not its seat.
        let other = Consumer::of_test(Serial(500), ConsumerPriority(0), Standing::Idle);
        consumers.remove(99);
        assert_eq!(consumers.insert(other), 99);
        assert_eq!(round.first(&consumers), None);
    }
}
