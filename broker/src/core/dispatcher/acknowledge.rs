//! ACK, NACK, and what counts as one: the hand-over of an `auto` delivery.

use super::Dispatcher;
use super::delivery::{Delivered, Hold, Origin, Outcome, Slot};
use super::key::{PeerKey, QueueKey, SubscriptionKey};
use crate::core::clock::Now;
use crate::core::port::{
    AckMode, AckTarget, ReceiptId, Refusal, SubscriptionHandle, TransactionHandle, Verdict,
};
use stompbox_store::{MessageNumber, Operation, Rank, Sequence};

impl Dispatcher {
    pub(super) fn acknowledge(
        &mut self,
        peer: PeerKey,
        target: AckTarget,
        verdict: Verdict,
        transaction: Option<TransactionHandle>,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        let Some((slot, key)) = self.find(peer, target) else {
            self.answered_late(peer, target);
            return self.stale(peer, receipt);
        };
        self.answered(key);
        let operations = self.batch.operations.len();
        for (slot, outcome) in self.meant(key, slot, verdict) {
            match transaction {
                Some(transaction) => self.claim(peer, transaction, key, slot, outcome),
                None => {
                    if let Some(delivered) = self.take_open(key, slot) {
                        self.conclude(delivered, outcome, now);
                    }
                }
            }
        }
        self.offer(key);
        if let Err(refusal) = self.check_claims(peer, transaction) {
            return self.refuse(peer, refusal, receipt);
        }
        let promise = self.promise_since(operations);
        self.answer(peer, receipt, promise);
    }

    fn find(&self, peer: PeerKey, target: AckTarget) -> Option<(Slot, SubscriptionKey)> {
        let slot = match target {
            AckTarget::Delivery(tag) => self.deliveries.find(peer, tag)?,
            AckTarget::Message {
                subscription: Some(handle),
                number,
            } => {
                let key = *self.peers[peer.0].subscriptions.get(&handle)?;
                self.oldest_open(key, number)?
            }
            AckTarget::Message {
                subscription: None,
                number,
            } => self.peers[peer.0].by_number.as_ref()?.oldest(number)?,
        };
        Some((slot, self.deliveries.get(slot)?.subscription?))
    }

    fn oldest_open(&self, key: SubscriptionKey, number: MessageNumber) -> Option<Slot> {
        self.subscriptions[key.0].by_number.as_ref()?.oldest(number)
    }

    /// An ACK that comes too late promises nothing, so it cannot be answered by a RECEIPT.
    fn stale(&mut self, peer: PeerKey, receipt: Option<ReceiptId>) {
        self.counters.stale_acks += 1;
        if receipt.is_some() {
            let refusal = Refusal::new(
                "stale acknowledgement",
                "the delivery that this frame acknowledges is no longer open: it was acknowledged \
                 before, or taken back by UNSUBSCRIBE, ABORT, ack_timeout or an administrator; the message \
                 may be delivered again",
            );
            self.refuse(peer, refusal, receipt);
        }
    }

    /// Which deliveries an acknowledgement means: in `client` mode all up to the one that it names.
    fn meant(&self, key: SubscriptionKey, named: Slot, verdict: Verdict) -> Vec<(Slot, Outcome)> {
        let subscription = &self.subscriptions[key.0];
        let outcome = Outcome::from(verdict);
        if subscription.mode != AckMode::Client {
            return vec![(named, outcome)];
        }
        let before = match verdict {
            Verdict::Ack => Outcome::Acked,
            Verdict::Nack { .. } => Outcome::Returned,
        };
        let mut meant = Vec::new();
        let mut next = subscription.open.first;
        while let Some(slot) = next
            && slot != named
        {
            meant.push((slot, before));
            next = self.deliveries.after(slot);
        }
        meant.push((named, outcome));
        meant
    }

    /// Takes an open delivery out of its subscription, which gets its credit back.
    pub(super) fn take_open(&mut self, key: SubscriptionKey, slot: Slot) -> Option<Delivered> {
        self.free(key, slot);
        self.deliveries.close(slot)
    }

    /// Ends a subscription's part in a delivery.
    fn free(&mut self, key: SubscriptionKey, slot: Slot) {
        let subscription = &mut self.subscriptions[key.0];
        self.deliveries.unlink(&mut subscription.open, slot);
        let Some(delivered) = self.deliveries.get(slot) else {
            return;
        };
        subscription
            .credit
            .regain(1, delivered.entry.message.bytes());
        let peer = &mut self.peers[delivered.peer.0];
        let by_number = [&mut subscription.by_number, &mut peer.by_number];
        for by_number in by_number.into_iter().flatten() {
            by_number.forget(delivered.entry.number, slot);
        }
        peer.in_flight -= 1;
    }

    fn claim(
        &mut self,
        peer: PeerKey,
        transaction: TransactionHandle,
        key: SubscriptionKey,
        slot: Slot,
        outcome: Outcome,
    ) {
        self.free(key, slot);
        if let Some(delivered) = self.deliveries.get_mut(slot) {
            delivered.hold = Hold::Claimed(outcome);
            let bytes = delivered.entry.message.bytes();
            self.subscriptions[key.0].has_claims = true;
            let claims = self.peers[peer.0]
                .transactions
                .entry(transaction)
                .or_default();
            claims.push(slot, bytes);
        }
    }

    /// A transaction that acknowledges without end would keep everything that it was given.
    fn check_claims(
        &self,
        peer: PeerKey,
        transaction: Option<TransactionHandle>,
    ) -> Result<(), Refusal> {
        let claims = transaction.and_then(|handle| self.peers[peer.0].transactions.get(&handle));
        let limits = &self.settings.limits;
        match claims {
            Some(claims) if claims.count() > limits.transaction_frames => {
                Err(Refusal::transaction_too_large(
                    "deliveries",
                    limits.transaction_frames,
                    "transaction_frames",
                ))
            }
            Some(claims) if claims.bytes() > limits.transaction_bytes => {
                Err(Refusal::transaction_too_large(
                    "bytes of deliveries",
                    limits.transaction_bytes,
                    "transaction_bytes",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Frames of an `auto` subscription were handed to the kernel: they are acknowledged.
    pub(super) fn written(
        &mut self,
        peer: PeerKey,
        handle: SubscriptionHandle,
        count: u32,
        bytes: usize,
    ) {
        let Some(&key) = self.peers[peer.0].subscriptions.get(&handle) else {
            return;
        };
        if self.subscriptions[key.0].keeps_deliveries {
            for _ in 0..count {
                let Some(slot) = self.subscriptions[key.0].open.first else {
                    break;
                };
                if let Some(delivered) = self.take_open(key, slot) {
                    self.settle(delivered);
                }
            }
        } else {
            self.subscriptions[key.0].credit.regain(count, bytes);
            let peer = &mut self.peers[peer.0];
            peer.in_flight = peer.in_flight.saturating_sub(u64::from(count));
            self.crowd.arrived(count);
            if self.subscriptions[key.0].walk.is_none() {
                self.counters.acknowledged += u64::from(count);
            }
        }
        self.offer(key);
    }

    /// A delivery is acknowledged: its entry is gone.
    pub(super) fn settle(&mut self, delivered: Delivered) {
        if delivered.origin != Origin::Walk {
            self.counters.acknowledged += 1;
        }
        if let Origin::Queue(key, rank) = delivered.origin {
            let queue = &mut self.queues[key.0];
            queue.counters.acknowledged += 1;
            queue.came_back(&delivered.entry);
            self.remove(key, rank, delivered.sequence, &delivered.entry);
        }
    }

    /// An entry that is in no lane leaves its queue for good.
    pub(super) fn remove(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        entry: &super::entry::Entry,
    ) {
        let queue = &mut self.queues[key.0];
        queue.forget(rank, sequence, entry);
        if queue.is_durable() {
            if entry.is_stored() {
                self.done_with(key, sequence);
            }
        } else if let Some(medium) = entry.medium() {
            let stored = queue.key(rank, sequence);
            self.leaves(stored, entry.expires_ms);
            self.store(
                key,
                Operation::Settle {
                    key: stored,
                    medium,
                },
            );
        }
    }
}
