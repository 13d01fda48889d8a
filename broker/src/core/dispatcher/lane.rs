//! The messages of one priority that wait in a queue, in order of their sequence.
//!
//! The head is resident; what is far behind it and durable is only a range of sequences with a count, so that
//! memory follows the head of a queue and not its length. There is at most one range: it may span resident
//! entries (returned ones, non-persistent ones) and rows that are elsewhere; a page that is read back skips
//! whatever is known by name.

use std::collections::BTreeMap;

use stompbox_store::Sequence;

use super::entry::Entry;

/// Entries that are on disk only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// None stands before this.
    pub(super) first: Sequence,
    /// None stands behind this.
    pub(super) last: Sequence,
    /// How many there are.
    pub(super) count: u64,
}

/// What is next in a lane.
#[derive(Debug)]
pub(super) enum Front<'a> {
    /// A resident entry.
    Entry(Sequence, &'a Entry),
    /// Something that must be read first.
    Paged,
    /// Nothing.
    Empty,
}

/// The messages of one priority that wait.
#[derive(Debug, Default)]
pub(super) struct Lane {
    resident: BTreeMap<Sequence, Entry>,
    paged: Option<Range>,
}

impl Lane {
    /// What is next.
    pub(super) fn front(&self) -> Front<'_> {
        self.front_beside(|_| false)
    }

    /// What is next but for these.
    pub(super) fn front_beside(&self, is_passed: impl Fn(&Entry) -> bool) -> Front<'_> {
        let first = self.resident().find(|(_, entry)| !is_passed(entry));
        match (first, self.paged) {
            (Some((sequence, _)), Some(range)) if range.first < sequence => Front::Paged,
            (Some((sequence, entry)), _) => Front::Entry(sequence, entry),
            (None, Some(_)) => Front::Paged,
            (None, None) => Front::Empty,
        }
    }

    /// Puts an entry in its place.
    pub(super) fn insert(&mut self, sequence: Sequence, entry: Entry) {
        self.resident.insert(sequence, entry);
    }

    /// Takes one entry out of the middle.
    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Entry> {
        self.resident.remove(&sequence)
    }

    /// Whether this entry is resident.
    pub(super) fn contains(&self, sequence: Sequence) -> bool {
        self.resident.contains_key(&sequence)
    }

    /// The entry, where it is resident.
    pub(super) fn get(&self, sequence: Sequence) -> Option<&Entry> {
        self.resident.get(&sequence)
    }

    /// The entry, to be changed in place.
    pub(super) fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Entry> {
        self.resident.get_mut(&sequence)
    }

    /// The first resident entry at this position or behind it.
    pub(super) fn resident_from(&self, sequence: Sequence) -> Option<(Sequence, &Entry)> {
        let (at, entry) = self.resident.range(sequence..).next()?;
        Some((*at, entry))
    }

    /// The first position, resident or on disk only.
    pub(super) fn first(&self) -> Option<Sequence> {
        let resident = self.resident.first_key_value();
        let paged = self.paged.map(|range| range.first);
        [resident.map(|(sequence, _)| *sequence), paged]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether something may be on disk only between these positions.
    pub(super) fn has_paged_between(&self, from: Sequence, before: Sequence) -> bool {
        self.paged
            .is_some_and(|range| range.first < before && range.last >= from)
    }

    /// The last resident position before this one.
    pub(super) fn resident_before(&self, sequence: Sequence) -> Option<Sequence> {
        let (before, _) = self.resident.range(..sequence).next_back()?;
        Some(*before)
    }

    /// Resident entries in order.
    pub(super) fn resident(&self) -> impl Iterator<Item = (Sequence, &Entry)> {
        self.resident
            .iter()
            .map(|(sequence, entry)| (*sequence, entry))
    }

    /// How many are resident.
    pub(super) fn resident_count(&self) -> usize {
        self.resident.len()
    }

    /// Those on disk only.
    pub(super) fn paged(&self) -> Option<Range> {
        self.paged
    }

    /// Replaces what is known of those on disk only.
    pub(super) fn set_paged(&mut self, range: Option<Range>) {
        self.paged = range.filter(|range| range.count > 0 && range.first <= range.last);
    }

    /// Lets go of a resident entry that the store has: it becomes part of the range.
    pub(super) fn page_out(&mut self, sequence: Sequence) -> Option<Entry> {
        let entry = self.resident.remove(&sequence)?;
        self.extend_paged(sequence);
        Some(entry)
    }

    /// One more is on disk only.
    pub(super) fn extend_paged(&mut self, sequence: Sequence) {
        self.paged = Some(match self.paged {
            None => Range {
                first: sequence,
                last: sequence,
                count: 1,
            },
            Some(range) => Range {
                first: range.first.min(sequence),
                last: range.last.max(sequence),
                count: range.count + 1,
            },
        });
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.resident.is_empty() && self.paged.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lane: &Lane) -> Option<(i64, i64, u64)> {
        let range = lane.paged()?;
        Some((range.first.0, range.last.0, range.count))
    }

    #[test]
    fn a_range_spans_what_is_on_disk_and_counts_it() {
        let mut lane = Lane::default();
        for sequence in [7, 3, 9] {
            lane.extend_paged(Sequence(sequence));
        }
        assert_eq!(range(&lane), Some((3, 9, 3)));
        assert!(matches!(lane.front(), Front::Paged));
    }

    #[test]
    fn a_range_of_nothing_is_no_range() {
        let mut lane = Lane::default();
        for (first, last, count) in [(1, 5, 0), (6, 5, 2)] {
            let (first, last) = (Sequence(first), Sequence(last));
            lane.set_paged(Some(Range { first, last, count }));
            assert_eq!(range(&lane), None);
            assert!(lane.is_empty());
        }
    }
}
