//! Counts of deliveries that stood beside something that a full disk has refused: the store is told them again, as they are
//! by now.

use rustc_hash::{FxHashMap, FxHashSet};
use stompbox_store::{Operation, Rank, Sequence};

use super::Dispatcher;
use super::delivery::Origin;
use super::entry::Entry;
use super::key::QueueKey;
use super::topic_log::LOG_RANK;

/// Where a counted entry belongs.
type Home = (QueueKey, Rank, Sequence);

/// Counted entries that are with consumers.
pub(super) type Counted = FxHashMap<Home, Entry>;

impl Dispatcher {
    fn home_of(&self, count: &Operation) -> Option<Home> {
        match count {
            Operation::Count { key, .. } => {
                let queue = self.queue_ids.get(&key.destination)?;
                Some((*queue, key.rank, key.sequence))
            }
            Operation::LogCount {
                subscription,
                sequence,
                ..
            } => Some((*self.durables.get(subscription)?, LOG_RANK, *sequence)),
            _ => None,
        }
    }

    /// Finds what is with consumers of all that was counted, in one walk.
    pub(super) fn counted_with_consumers(&mut self, operations: &[Operation]) -> Counted {
        let homes = operations.iter().filter_map(|count| self.home_of(count));
        let homes: FxHashSet<Home> = homes.collect();
        if homes.is_empty() {
            return Counted::default();
        }
        let held = self.deliveries.iter_mut().filter_map(|delivered| {
            let Origin::Queue(key, rank) = delivered.origin else {
                return None;
            };
            let home = (key, rank, delivered.sequence);
            homes
                .contains(&home)
                .then(|| (home, delivered.entry.clone()))
        });
        held.collect()
    }

    /// How often something was delivered and failed by now; what was counted then, if it is nowhere in memory.
    pub(super) fn current_count(&mut self, refused: &Operation, counted: &Counted) -> Operation {
        let current = self.home_of(refused).and_then(|home| {
            let (key, rank, sequence) = home;
            let queue = &mut self.queues[key.0];
            let waiting = queue.waiting_mut((rank, sequence)).cloned();
            let waiting = waiting.or_else(|| queue.delayed.get(&(rank, sequence)).cloned());
            let entry = waiting.or_else(|| counted.get(&home).cloned())?;
            queue.count_of(rank, sequence, &entry)
        });
        current.unwrap_or_else(|| refused.clone())
    }
}
