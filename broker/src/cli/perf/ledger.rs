//! What a consumer has received, checked by what the messages say of themselves.
//!
//! *Invariant.* A message that the broker marks `redelivered:true` is neither a duplicate nor out of order: it is counted
//! apart, and what it brings is not lost.

use rustc_hash::FxHashMap;

use super::content::{RunId, SourceId, Stamp};

/// Whose messages count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    /// Those of one run.
    Run(RunId),
    /// Those of any: a backlog is drained.
    Any,
}

/// How many messages had what happen to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Delivered, as often as they were.
    pub(super) delivered: u64,
    /// Delivered twice or more without being marked as redelivered.
    pub(super) duplicated: u64,
    /// Delivered behind a later one of the same source.
    pub(super) out_of_order: u64,
    /// Marked as redelivered.
    pub(super) redelivered: u64,
    /// Not of this run.
    pub(super) foreign: u64,
}

impl Tally {
    /// Both together.
    pub(super) fn plus(self, other: Tally) -> Tally {
        Tally {
            delivered: self.delivered + other.delivered,
            duplicated: self.duplicated + other.duplicated,
            out_of_order: self.out_of_order + other.out_of_order,
            redelivered: self.redelivered + other.redelivered,
            foreign: self.foreign + other.foreign,
        }
    }
}

/// The messages of one source, a bit for each.
#[derive(Debug, Clone, Default)]
struct Source {
    /// Delivered as new.
    seen: Bits,
    /// Delivered as redelivered.
    again: Bits,
    /// One more than the highest sequence delivered as new.
    next: u64,
}

/// What one consumer received.
#[derive(Debug)]
pub(super) struct Ledger {
    accept: Accept,
    sources: FxHashMap<SourceId, Source>,
    /// What happened.
    pub(super) tally: Tally,
    distinct: u64,
}

impl Ledger {
    pub(super) fn new(accept: Accept) -> Ledger {
        Ledger {
            accept,
            sources: FxHashMap::default(),
            tally: Tally::default(),
            distinct: 0,
        }
    }

    /// Different messages received so far.
    pub(super) fn distinct(&self) -> u64 {
        self.distinct
    }

    /// Enters a delivery. Returns its stamp when it counts.
    pub(super) fn enter(&mut self, body: &[u8], redelivered: bool) -> Option<Stamp> {
        let stamp = Stamp::read(body).filter(|stamp| match self.accept {
            Accept::Run(run) => stamp.source.run == run,
            Accept::Any => true,
        });
        let Some(stamp) = stamp else {
            self.tally.foreign += 1;
            return None;
        };
        self.tally.delivered += 1;
        let source = self.sources.entry(stamp.source).or_default();
        let known = source.seen.has(stamp.sequence) || source.again.has(stamp.sequence);
        if !known {
            self.distinct += 1;
        }
        if redelivered {
            self.tally.redelivered += 1;
            source.again.set(stamp.sequence);
        } else if source.seen.set(stamp.sequence) {
            self.tally.duplicated += 1;
        } else if stamp.sequence < source.next {
            self.tally.out_of_order += 1;
        } else {
            source.next = stamp.sequence + 1;
        }
        Some(stamp)
    }

    /// Adds what another consumer of the same queue received: what both have as new is a duplicate.
    pub(super) fn merge(&mut self, other: Ledger) {
        self.tally = self.tally.plus(other.tally);
        self.distinct = 0;
        for (id, theirs) in other.sources {
            let ours = self.sources.entry(id).or_default();
            self.tally.duplicated += ours.seen.unite(&theirs.seen);
            ours.again.unite(&theirs.again);
        }
        for source in self.sources.values() {
            let mut all = source.seen.clone();
            all.unite(&source.again);
            self.distinct += all.count();
        }
    }
}

/// A set of sequence numbers.
#[derive(Debug, Clone, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn place(sequence: u64) -> (usize, u64) {
        let word = usize::try_from(sequence / 64).unwrap_or(usize::MAX);
        (word, 1 << (sequence % 64))
    }

    fn has(&self, sequence: u64) -> bool {
        let (word, bit) = Self::place(sequence);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds a number, below `SEQUENCE_END`. Returns whether it was there.
    fn set(&mut self, sequence: u64) -> bool {
        let (word, bit) = Self::place(sequence);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let had = self.0[word] & bit != 0;
        self.0[word] |= bit;
        had
    }

    /// Adds all of `other`. Returns how many were there.
    fn unite(&mut self, other: &Bits) -> u64 {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        let mut both = 0;
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            both += u64::from((*ours & theirs).count_ones());
            *ours |= theirs;
        }
        both
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

#[cfg(test)]
#[path = "ledger/tests.rs"]
mod tests;
