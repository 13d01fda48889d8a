//! The end of a life and the beginning of the next.

use std::time::Duration;

use stompbox_broker::core::clock::Now;
use stompbox_store::{Batch, DestinationKind, Epoch, Operation, Recovered, Tally};

use super::Model;
use super::entry::{Spot, Whereabouts};
use super::slow::Slow;
use crate::trace;

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifeEnd {
    Clean,
    Crash,
}

impl Model {
    /// The dispatcher has written its last batch.
    pub(crate) fn last_batch(&mut self, batch: &Batch) {
        for operation in &batch.operations {
            trace::count("store: last count");
            match operation {
                Operation::Count {
                    key,
                    deliveries,
                    failures,
                } => self.counted(Spot::Queue(*key), *deliveries, *failures),
                Operation::LogCount {
                    subscription,
                    sequence,
                    deliveries,
                    failures,
                } => {
                    let spot = Spot::Log(*subscription, *sequence);
                    self.counted(spot, *deliveries, *failures);
                }
                _ => panic!("the last batch changes more than counts: {operation:?}"),
            }
        }
        assert!(self.peers.is_empty(), "connections outlive the broker");
        self.committed = self.ticket;
        for (id, entry) in self.all() {
            let Some(stored) = entry.stored() else {
                continue;
            };
            if !entry.is_uncertain {
                let told = stored.deliveries.max(entry.facts.deliveries_before);
                assert_eq!(told, entry.deliveries, "{id:?} at a clean stop");
            }
            assert_eq!(stored.failures, entry.failures, "{id:?} at a clean stop");
        }
    }

    /// A new life on what was committed.
    pub(crate) fn restart(&mut self, end: LifeEnd, recovered: &Recovered, now: Now) {
        self.now = now;
        self.peers.clear();
        self.client_ids.clear();
        self.owed.clear();
        self.keys.clear();
        self.touched.clear();
        self.delayed.clear();
        self.fading.clear();
        for queue in &mut self.queues {
            queue
                .lanes
                .iter_mut()
                .for_each(std::collections::BTreeMap::clear);
            queue.exists = false;
            queue.members.clear();
            queue.groups.clear();
            queue.released.clear();
            queue.is_looked_into = false;
        }
        self.topics.clear();
        self.hidden_topics.clear();
        self.slow = Slow::default();
        self.by_id.clear();
        self.ids.clear();
        self.topic_ids.clear();
        for record in &recovered.destinations {
            if record.kind == DestinationKind::Topic {
                let name = format!("/topic/{}", record.name);
                self.topic_ids.insert(record.id, name.into());
                continue;
            }
            let queue = self.make_queue(&format!("/queue/{}", record.name));
            self.by_id.insert(record.id, queue);
            self.ids.insert(queue, record.id);
        }
        self.restart_lasting(recovered);
        self.restart_duplicates();
        self.dropped.clear();
        self.restart_schedule(recovered);
        let committed = self.committed;
        let ids: Vec<_> = self.all().map(|(id, _)| id).collect();
        for id in ids {
            let entry = self.entry_mut(id);
            let stored = entry.stored_at(committed);
            entry.history = vec![(0, stored)];
            let Some(stored) = stored else {
                if entry.whereabouts != Whereabouts::Gone {
                    trace::count("lost in a restart, never promised");
                }
                entry.whereabouts = Whereabouts::Gone;
                continue;
            };
            let queue = self.queue_at(id, stored.spot);
            let entry = self.entry_mut(id);
            entry.queue = queue;
            entry.order = stored.spot.sequence().0;
            entry.deliveries = stored.deliveries.max(entry.facts.deliveries_before);
            entry.failures = stored.failures;
            entry.visible_after = 0;
            entry.not_before = Duration::ZERO;
            entry.is_uncertain |= end == LifeEnd::Crash;
            self.keys.insert(stored.spot, id);
            self.put(id);
        }
        self.revive();
        self.ticket = 1;
        self.watermark = 0;
        self.committed = 0;
        self.next_order = Epoch(recovered.epoch.0).first().0;
        self.watch = super::hung::Watch::default();
        self.last_values.restart(self.next_order);
        self.check_tallies(&recovered.tallies);
    }

    /// A crash undoes what was not committed, also the way to the dead-letter queue.
    fn revive(&mut self) {
        let ids: Vec<_> = self.all().map(|(id, _)| id).collect();
        for id in ids {
            let entry = self.entry(id);
            let is_in_dead_letters = self.queues[entry.queue].rules.dead_letter.is_none();
            if entry.stored().is_some() && entry.dead.is_some() && !is_in_dead_letters {
                trace::count("dead letter undone by a crash");
                let entry = self.entry_mut(id);
                entry.dead = None;
                entry.expires_ms = entry.facts.expires_ms;
            }
        }
    }

    /// The store's own counts are those of its entries.
    pub(crate) fn check_tallies(&self, tallies: &[Tally]) {
        let mut recount: Vec<Tally> = Vec::new();
        let mut stored: Vec<_> = self
            .all()
            .filter_map(|(_, entry)| {
                let Spot::Queue(key) = entry.stored_at(self.committed)?.spot else {
                    return None;
                };
                Some((key, entry.facts.bytes))
            })
            .collect();
        stored.sort_unstable();
        for (key, bytes) in stored {
            match recount.last_mut() {
                Some(tally) if (tally.destination, tally.rank) == (key.destination, key.rank) => {
                    tally.count += 1;
                    tally.bytes += bytes as u64;
                    tally.last = key.sequence;
                }
                _ => recount.push(Tally {
                    destination: key.destination,
                    rank: key.rank,
                    count: 1,
                    bytes: bytes as u64,
                    first: key.sequence,
                    last: key.sequence,
                }),
            }
        }
        assert_eq!(
            tallies, recount,
            "what the store holds, and what it should hold"
        );
    }
}
