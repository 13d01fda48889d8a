//! Queues that hold but so much: what they drop, and whom they hold back.

use super::entry::{Entry, EntryId, Whereabouts};
use super::{Model, QueueIndex};
use crate::policy::WhenFull;
use crate::trace;

/// What a ring has dropped in this turn: from which queue, and where it stood.
pub(super) type Dropped = (QueueIndex, (usize, i64));

impl Model {
    /// What waits in a queue: what a consumer has does not count.
    fn waiting_in(&self, queue: QueueIndex) -> usize {
        let waits = |id: &EntryId| self.entry(*id).queue == queue;
        let lanes = self.queues[queue].lanes.iter();
        let aside = self.delayed.iter().filter(|(_, id)| {
            let is_aside = matches!(self.entry(*id).whereabouts, Whereabouts::Delayed(_));
            waits(id) && is_aside
        });
        lanes.map(|lane| lane.len()).sum::<usize>() + aside.count()
    }

    /// Whether a message that leaves the store without another cause was dropped by its ring.
    pub(super) fn is_dropped(&mut self, id: EntryId) -> bool {
        let entry = self.entry(id);
        let (queue, place) = (entry.queue, entry.place());
        let is_ring = matches!(
            self.queues[queue].rules.bound,
            Some((_, WhenFull::DropOldest))
        );
        let waits_out = entry.not_before > self.now.uptime;
        if !is_ring || entry.whereabouts != Whereabouts::Waiting || waits_out {
            return false;
        }
        trace::count("ring: dropped");
        self.dropped.push((queue, place));
        self.take(id, Whereabouts::Gone);
        true
    }

    /// Whether a ring has to drop a message when its turn comes: not if it waits out a delay or may wait for the owner
    /// of its group.
    fn may_be_dropped(&self, id: EntryId) -> bool {
        let entry = self.entry(id);
        entry.not_before <= self.now.uptime && !self.may_be_parked(entry)
    }

    /// When everything was handed out: rings dropped what stood last, and no more than they had to.
    pub(super) fn check_dropped(&mut self, handed: impl Fn(QueueIndex) -> usize) {
        for (queue, (rank, order)) in std::mem::take(&mut self.dropped) {
            let own = &self.queues[queue];
            let (max, _) = own.rules.bound.expect("a ring");
            // What has expired counts as well until it is met.
            let expired = self.expired_now.iter().filter(|own| **own == queue).count();
            let left = self.waiting_in(queue) + handed(queue) + expired;
            let name = &own.name;
            assert!(
                left >= max,
                "{name} dropped more than it had to, {left} wait"
            );
            let last = own.lanes[rank + 1..].iter().flat_map(|lane| lane.values());
            let older = own.lanes[rank].range(..order).map(|(_, id)| id);
            let other = last.chain(older).find(|id| self.may_be_dropped(**id));
            assert!(
                other.is_none(),
                "{name} did not drop {other:?}, the oldest of the lowest priority, but {order} of {rank}"
            );
        }
    }

    /// At rest: rings hold no more than they may, and nobody is held back who could go on.
    pub(super) fn check_bounds(&self) {
        let mut holds_back = false;
        for (queue, own) in self.queues.iter().enumerate() {
            let waiting = self.waiting_in(queue);
            match own.rules.bound {
                Some((max, WhenFull::DropOldest)) => {
                    let mut waiting_ids = own.lanes.iter().flat_map(|lane| lane.values());
                    let has_more = waiting_ids.any(|id| self.may_be_dropped(*id));
                    assert!(
                        waiting <= max || !has_more,
                        "{waiting} wait in {}",
                        own.name
                    );
                    holds_back |= waiting > max;
                }
                Some((max, WhenFull::Block)) => {
                    // What has expired and was never stored may be there still.
                    let is_fading = |entry: &Entry| {
                        entry.queue == queue && entry.whereabouts == Whereabouts::Fading
                    };
                    let fading = self.all().filter(|(_, entry)| is_fading(entry)).count();
                    holds_back |= waiting + fading > max - max.div_ceil(4);
                }
                None => {}
            }
        }
        for (connection, peer) in &self.peers {
            let waits = peer.is_blocked || !peer.deferred.is_empty();
            assert!(
                !waits || holds_back,
                "{connection:?} is held back without reason"
            );
        }
    }

    /// Whether a connection has been told to hold its SENDs back.
    pub(crate) fn is_held_back(
        &self,
        connection: stompbox_broker::core::port::ConnectionId,
    ) -> bool {
        let peer = self.peers.get(&connection);
        peer.is_some_and(|peer| peer.is_blocked)
    }
}
