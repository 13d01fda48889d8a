//! Stored counts: one row per destination and rank, kept in memory and written once per commit.
//!
//! *Invariant.* After [`TallyBook::write`] the rows, the book and a recount of the entries agree, bounds included.

use rustc_hash::FxHashMap;

use crate::sqlite::statement::Statements;
use crate::{DestinationId, EntryKey, Rank, Sequence, Tally};

type Place = (DestinationId, Rank);

/// All tallies that are not empty, and which of them changed since they were written.
#[derive(Debug, Default)]
pub(super) struct TallyBook {
    pages: FxHashMap<Place, Count>,
    changed: Vec<Place>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    count: u64,
    bytes: u64,
    first: i64,
    last: i64,
    changed: bool,
    /// The entry at the bound has gone: the next one must be looked up.
    first_gone: bool,
    last_gone: bool,
}

impl TallyBook {
    pub(super) fn new(stored: &[Tally]) -> Self {
        let page = |tally: &Tally| {
            let count = Count {
                count: tally.count,
                bytes: tally.bytes,
                first: tally.first.0,
                last: tally.last.0,
                ..Count::default()
            };
            ((tally.destination, tally.rank), count)
        };
        Self {
            pages: stored.iter().map(page).collect(),
            changed: Vec::new(),
        }
    }

    /// An entry has come.
    pub(super) fn add(&mut self, key: EntryKey, bytes: u64) {
        let sequence = key.sequence.0;
        let count = self.change((key.destination, key.rank));
        if count.count == 0 {
            (count.first, count.last) = (sequence, sequence);
            (count.first_gone, count.last_gone) = (false, false);
        } else {
            // A bound whose entry has gone stays a bound; what lies beyond it is exact again.
            if sequence <= count.first {
                (count.first, count.first_gone) = (sequence, false);
            }
            if sequence >= count.last {
                (count.last, count.last_gone) = (sequence, false);
            }
        }
        count.count += 1;
        count.bytes += bytes;
    }

    /// `entries` between `from` and `through` have gone.
    pub(super) fn subtract(&mut self, from: EntryKey, through: Sequence, entries: u64, bytes: u64) {
        if entries == 0 {
            return;
        }
        let count = self.change((from.destination, from.rank));
        let within = from.sequence.0..=through.0;
        count.first_gone |= within.contains(&count.first);
        count.last_gone |= within.contains(&count.last);
        count.count = count.count.saturating_sub(entries);
        count.bytes = count.bytes.saturating_sub(bytes);
    }

    /// A destination has gone with all its rows.
    pub(super) fn forget(&mut self, destination: DestinationId) {
        for rank in 0..=u8::MAX {
            self.pages.remove(&(destination, Rank(rank)));
        }
    }

    /// Writes what changed, inside the commit that changed it.
    pub(super) fn write(&mut self, statements: &mut Statements<'_>) -> rusqlite::Result<()> {
        for place in self.changed.drain(..) {
            // Gone when the destination was removed in the same commit.
            let Some(count) = self.pages.get_mut(&place) else {
                continue;
            };
            if count.count == 0 {
                self.pages.remove(&place);
                statements.delete_tally(place)?;
                continue;
            }
            if count.first_gone {
                count.first = statements.first_sequence(place)?.unwrap_or(count.first);
            }
            if count.last_gone {
                count.last = statements.last_sequence(place)?.unwrap_or(count.last);
            }
            (count.first_gone, count.last_gone, count.changed) = (false, false, false);
            statements.upsert_tally(&Tally {
                destination: place.0,
                rank: place.1,
                count: count.count,
                bytes: count.bytes,
                first: Sequence(count.first),
                last: Sequence(count.last),
            })?;
        }
        Ok(())
    }

    fn change(&mut self, place: Place) -> &mut Count {
        let count = self.pages.entry(place).or_default();
        if !count.changed {
            count.changed = true;
            self.changed.push(place);
        }
        count
    }
}
