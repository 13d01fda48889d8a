//! Who sends where: a connection is a producer of a destination from its first SEND there to its end.
//!
//! *Invariant*: the count of a destination is that of the connections that have it in their set. Temporary destinations
//! are not counted: they go while their producers stay.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Dispatcher;
use super::advisory::Change;
use super::key::PeerKey;
use crate::core::destination::DestinationName;

/// Destinations of which one connection is counted as a producer; of later ones it is not.
pub(super) const PRODUCED_MAX: usize = 1_000;

/// Destinations that a connection has sent to.
pub(super) type Produced = BTreeSet<Arc<DestinationName>>;

/// Producers by destination; those of none are not in it.
#[derive(Debug, Default)]
pub(super) struct Producers {
    counts: HashMap<Arc<DestinationName>, u64>,
    total: u64,
}

impl Producers {
    fn add(&mut self, name: &Arc<DestinationName>) {
        *self.counts.entry(Arc::clone(name)).or_default() += 1;
        self.total += 1;
    }

    fn remove(&mut self, name: &Arc<DestinationName>) {
        if let Some(count) = self.counts.get_mut(name) {
            *count -= 1;
            self.total -= 1;
            if *count == 0 {
                self.counts.remove(name);
            }
        }
    }

    /// Of this destination.
    pub(super) fn of(&self, name: &DestinationName) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Of all destinations.
    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

impl Dispatcher {
    /// A connection sends to these.
    pub(super) fn note_producer(&mut self, peer: PeerKey, names: &[Arc<DestinationName>]) {
        for name in names {
            let produced = &mut self.peers[peer.0].produced;
            let is_known = produced.contains(name) || name.is_temporary();
            if is_known || produced.len() >= PRODUCED_MAX {
                continue;
            }
            produced.insert(Arc::clone(name));
            self.producers.add(name);
            self.advise_producer(peer, name, Change::Start);
        }
    }

    /// A connection sends no more.
    pub(super) fn end_producer(&mut self, peer: PeerKey) {
        for name in std::mem::take(&mut self.peers[peer.0].produced) {
            self.producers.remove(&name);
            self.advise_producer(peer, &name, Change::Stop);
        }
    }
}
