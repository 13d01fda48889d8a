//! Queues that hold but so much: what they drop, and whom they hold back.

use super::entry::{Entry, EntryId, Whereabouts};
use super::room::amount_of;
use super::{Model, QueueIndex};
use crate::policy::{Amount, Bound, WhenFull};
use crate::trace;

/// What a ring has dropped in this turn.
#[derive(Debug)]
pub(super) struct Dropped {
    pub(super) queue: QueueIndex,
    /// Where it stood.
    pub(super) place: (usize, i64),
    bytes: usize,
}

impl Model {
    /// What waits in a queue: what a consumer has does not count.
    fn waiting_in(&self, queue: QueueIndex) -> Amount {
        let waiting = self.all_waiting_in(queue);
        amount_of(waiting.iter().map(|id| self.entry(*id)))
    }

    /// Whether a message that leaves the store without another cause was dropped by its ring.
    pub(super) fn is_dropped(&mut self, id: EntryId) -> bool {
        let entry = self.entry(id);
        let (queue, place) = (entry.queue, entry.place());
        let is_ring = matches!(
            self.queues[queue].rules.bound,
            Some(Bound {
                when_full: WhenFull::DropOldest,
                ..
            })
        );
        let waits_out = entry.not_before > self.now.uptime;
        if !is_ring || entry.whereabouts != Whereabouts::Waiting || waits_out {
            return false;
        }
        trace::count("ring: dropped");
        let bytes = self.entry(id).facts.bytes;
        self.dropped.push(Dropped {
            queue,
            place,
            bytes,
        });
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
    pub(super) fn check_dropped(&mut self, handed: impl Fn(QueueIndex) -> Amount) {
        // Before each went too much was there, and when the last of a queue went no more than is left.
        let mut gone = Vec::new();
        for dropped in std::mem::take(&mut self.dropped).into_iter().rev() {
            let Dropped {
                queue,
                place: (rank, order),
                bytes,
            } = dropped;
            let own = &self.queues[queue];
            let max = own.rules.bound.expect("a ring").max;
            // What has expired counts as well until it is met.
            let expired = self.expired_now.iter().filter(|(own, _)| *own == queue);
            let expired = expired.fold(Amount::default(), |sum, (_, bytes)| {
                sum.plus(Amount::of_one(*bytes))
            });
            let left = self.waiting_in(queue).plus(handed(queue)).plus(expired);
            gone.push((queue, bytes));
            let own_gone = gone.iter().filter(|(own, _)| *own == queue);
            let before = own_gone.fold(left, |sum, (_, bytes)| sum.plus(Amount::of_one(*bytes)));
            let name = &own.name;
            assert!(
                !before.fits(max),
                "{name} dropped more than it had to, {left:?} wait"
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
                Some(Bound {
                    max,
                    when_full: WhenFull::DropOldest,
                }) => {
                    let mut ids = own.lanes.iter().flat_map(|lane| lane.values());
                    let has_more = ids.any(|id| self.may_be_dropped(*id));
                    let fits = waiting.fits(max);
                    assert!(fits || !has_more, "{waiting:?} wait in {}", own.name);
                    holds_back |= !fits;
                }
                Some(Bound {
                    max,
                    when_full: WhenFull::Block,
                }) => {
                    // What has expired and was never stored may be there still.
                    let is_fading = |entry: &&Entry| {
                        entry.queue == queue && entry.whereabouts == Whereabouts::Fading
                    };
                    let fading = self.all().map(|(_, entry)| entry).filter(is_fading);
                    let most = waiting.plus(amount_of(fading));
                    holds_back |= !most.fits(max.three_quarters());
                }
                Some(_) | None => {}
            }
        }
        for (connection, peer) in &self.peers {
            let waits = peer.is_blocked || !peer.deferred.is_empty();
            assert!(
                !waits || holds_back || !peer.blocked_by.is_empty(),
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
