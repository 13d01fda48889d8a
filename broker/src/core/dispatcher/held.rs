//! The stored entries of a queue that are known by name, and in no lane.
//!
//! Owns one bit for each; whoever has many has them in a row, so that those that come and go touch little memory
//! however many stay.

use rustc_hash::FxHashMap;

use super::parked::Position;

/// Sequences that share a word.
const WORD_BITS: u32 = u64::BITS;

/// Bits that a rank takes.
const RANK_BITS: u32 = 4;

/// A set of positions.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Of each 64 sequences of a rank that have a bit set, no others.
    words: FxHashMap<i64, u64>,
}

/// Where the bit of a position stands: the name of its word, and the bit in it.
fn place_of((rank, sequence): Position) -> (i64, u64) {
    let first = sequence.0.div_euclid(i64::from(WORD_BITS));
    let bit = sequence.0.rem_euclid(i64::from(WORD_BITS));
    (first << RANK_BITS | i64::from(rank.0), 1 << bit)
}

impl Held {
    pub(super) fn insert(&mut self, position: Position) {
        let (name, bit) = place_of(position);
        *self.words.entry(name).or_default() |= bit;
    }

    pub(super) fn remove(&mut self, position: Position) {
        let (name, bit) = place_of(position);
        if let Some(word) = self.words.get_mut(&name) {
            *word &= !bit;
            if *word == 0 {
                self.words.remove(&name);
            }
        }
    }

    pub(super) fn contains(&self, position: Position) -> bool {
        let (name, bit) = place_of(position);
        self.words.get(&name).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use stompbox_store::{Epoch, Rank, Sequence};

    use super::*;

    #[test]
    fn what_is_held_is_what_was_put_there_and_not_taken_out() {
        let starts = [0, 60, (1 << Epoch::COUNTER_BITS) - 5, i64::MAX - 200];
        let positions = || {
            let of_rank = move |rank| {
                let sequences = starts.into_iter().flat_map(|start| start..start + 130);
                sequences.map(move |sequence| (Rank(rank), Sequence(sequence)))
            };
            [0, 4, 9].into_iter().flat_map(of_rank)
        };
        let (mut held, mut expected) = (Held::default(), BTreeSet::new());
        let is_third = |(rank, sequence): Position| (sequence.0 + i64::from(rank.0)) % 3 == 0;
        for position in positions().filter(|position| !is_third(*position)) {
            held.insert(position);
            expected.insert(position);
        }
        for position in positions().filter(|(_, sequence)| sequence.0 % 2 == 0) {
            held.remove(position);
            expected.remove(&position);
        }
        for position in positions() {
            assert_eq!(held.contains(position), expected.contains(&position));
        }
        for position in expected {
            assert!(!held.is_empty());
            held.remove(position);
        }
        assert!(held.is_empty());
    }
}
