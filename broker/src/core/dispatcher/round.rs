//! Whose turn it is at a queue: consumers of the highest priority that have credit, one after the other.
//!
//! *Invariant*: a consumer stands in here at most once ([`super::consumer::Standing::InRound`]).

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::consumer::ConsumerPriority;
use super::key::ConsumerKey;

/// Consumers of one priority, the next one first.
#[derive(Debug)]
struct Level {
    priority: ConsumerPriority,
    waiting: VecDeque<ConsumerKey>,
}

/// The consumers of a queue that may be given something.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Highest priority first. Nearly always one.
    levels: SmallVec<[Level; 1]>,
}

impl Round {
    /// Enters a consumer behind the others of its priority.
    pub(super) fn push(&mut self, priority: ConsumerPriority, key: ConsumerKey) {
        let at = self
            .levels
            .iter()
            .position(|level| level.priority <= priority)
            .unwrap_or(self.levels.len());
        match self.levels.get_mut(at) {
            Some(level) if level.priority == priority => level.waiting.push_back(key),
            _ => self.levels.insert(
                at,
                Level {
                    priority,
                    waiting: VecDeque::from([key]),
                },
            ),
        }
    }

    /// The consumer whose turn it is.
    pub(super) fn first(&self) -> Option<ConsumerKey> {
        self.levels
            .iter()
            .find_map(|level| level.waiting.front().copied())
    }

    /// The one whose turn it is steps out.
    pub(super) fn pop(&mut self) {
        if let Some(level) = self.occupied() {
            level.waiting.pop_front();
        }
    }

    /// The one whose turn it is goes to the end of its priority.
    pub(super) fn rotate(&mut self) {
        if let Some(level) = self.occupied()
            && let Some(first) = level.waiting.pop_front()
        {
            level.waiting.push_back(first);
        }
    }

    /// Keeps only these.
    pub(super) fn retain(&mut self, keep: impl Fn(ConsumerKey) -> bool) {
        for level in &mut self.levels {
            level.waiting.retain(|key| keep(*key));
        }
        self.levels.retain(|level| !level.waiting.is_empty());
    }

    fn occupied(&mut self) -> Option<&mut Level> {
        self.levels
            .iter_mut()
            .find(|level| !level.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(value: i32) -> ConsumerPriority {
        ConsumerPriority(value)
    }

    #[test]
    fn higher_priorities_come_first_and_equals_take_turns() {
        let mut round = Round::default();
        for (value, key) in [(0, 1), (5, 2), (5, 3), (-1, 4)] {
            round.push(priority(value), ConsumerKey(key));
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.extend(round.first());
            round.rotate();
        }
        assert_eq!(seen, [2, 3, 2].map(ConsumerKey));
        for expected in [3, 2, 1, 4] {
            assert_eq!(round.first(), Some(ConsumerKey(expected)));
            round.pop();
        }
        assert_eq!(round.first(), None);
    }

    #[test]
    fn those_that_have_gone_are_forgotten() {
        let mut round = Round::default();
        for key in 1..=4 {
            round.push(priority(0), ConsumerKey(key));
        }
        round.retain(|key| key.0 % 2 == 0);
        assert_eq!(round.first(), Some(ConsumerKey(2)));
        round.pop();
        assert_eq!(round.first(), Some(ConsumerKey(4)));
    }
}
