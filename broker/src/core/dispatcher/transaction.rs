//! COMMIT and ABORT (dialect, ACK, NACK, redelivery: Transactions).

use std::sync::Arc;

use super::delivery::{Delivered, Hold, Outcome};
use super::effect::Promise;
use super::entry::AT_ONCE;
use super::full::Undo;
use super::key::PeerKey;
use super::peer::Claims;
use super::publish::{AllPlaced, Places, Routing, Untaken};
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::{DestinationKind, DestinationName};
use crate::core::message::{DeliveryMode, Publication};
use crate::core::port::{ReceiptId, Refusal, Request, TransactionHandle};
use stompbox_store::{Haste, Sender};

impl Dispatcher {
    pub(super) fn commit(
        &mut self,
        peer: PeerKey,
        transaction: TransactionHandle,
        sends: Vec<Publication>,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        let names = sends.iter().flat_map(|send| send.target.names());
        let has_unknown = match self.check_unknown(names) {
            Ok(has_unknown) => has_unknown,
            Err(refusal) => return self.refuse(peer, refusal, receipt),
        };
        if let Err(refusal) = self.check_copies(&sends) {
            return self.refuse(peer, refusal, receipt);
        }
        if self.all_wait_in_burst(&sends) {
            let commit = Request::Commit {
                transaction,
                sends,
                receipt,
            };
            return self.wait_for_turn(peer, commit);
        }
        match self.can_judge_all(&sends, now) {
            Ok(true) => {}
            Ok(false) => {
                let commit = Request::Commit {
                    transaction,
                    sends,
                    receipt,
                };
                return self.wait_for_window(peer, commit);
            }
            Err(refusal) => return self.refuse(peer, refusal, receipt),
        }
        if has_unknown && let Err(refusal) = self.make_all(&sends, now) {
            return self.refuse(peer, refusal, receipt);
        }
        let claims = self.peers[peer.0]
            .transactions
            .remove(&transaction)
            .unwrap_or_default();
        let claimed = self.take_claimed(&claims);
        if let Err(refusal) = self.check_room_for_all(&sends, now) {
            self.return_claimed(claimed, now);
            return self.refuse(peer, refusal, receipt);
        }
        let grows = sends.iter().any(|send| self.may_be_stored(send));
        if grows && self.is_disk_full {
            self.return_claimed(claimed, now);
            return self.refuse_for_disk(peer, receipt);
        }
        let may_be_refused = grows
            || claimed
                .iter()
                .any(|(_, outcome)| *outcome != Outcome::Acked);
        let mut acknowledged: Vec<_> = claimed
            .iter()
            .filter(|(_, outcome)| may_be_refused && *outcome == Outcome::Acked)
            .filter_map(|(delivered, _)| self.acknowledged(delivered))
            .collect();
        let operations = self.batch.operations.len();
        self.replaced.clear();
        self.is_in_unit = may_be_refused;
        for (delivered, outcome) in claimed {
            self.conclude(delivered, outcome, now);
        }
        self.is_in_unit = false;
        // Only a batch that is really written makes visible what waits for it.
        let is_stored = grows || self.promise_since(operations) != Promise::Kept;
        let visible_after = if is_stored { self.next_ticket } else { AT_ONCE };
        let connection = self.peers[peer.0].connection;
        let mut placed = AllPlaced::new();
        let routing = Routing {
            sender: Sender(connection.0),
            visible_after,
        };
        for publication in sends {
            if self.query_in_transaction(peer, &publication, now) {
                continue;
            }
            if Self::is_for_scheduler(&publication.target) {
                self.counters.dropped += 1;
                continue;
            }
            // They were counted before: none is refused.
            let is_special = publication.later.is_some() || publication.duplicate_id.is_some();
            let places = match is_special {
                true => self.places(&publication.target, now),
                false => self.routed(&publication, now),
            };
            let Ok(places) = places else {
                continue;
            };
            let mode = publication.mode;
            self.note_producer(peer, publication.target.names());
            if places.is_empty() {
                self.counters.dropped += 1;
                continue;
            }
            let filled = match is_special {
                true => self.filled_by(&places, &publication),
                false => places.clone(),
            };
            if is_special {
                match self.publish_specially(&places, publication, routing, &mut placed, now) {
                    Ok(_) => {}
                    Err(Untaken::Repeat(_)) => self.counters.duplicates += 1,
                    Err(Untaken::Unrouted) => self.counters.dropped += 1,
                }
            } else {
                self.publish(&places, publication, routing, &mut placed, now);
            }
            for place in filled {
                self.hold_producer_back(peer, place, mode);
            }
        }
        if is_stored && self.batch.operations.is_empty() {
            // Nothing but repeats was stored: what else was sent waits for the batch all the same.
            self.batch.haste = Haste::Awaited;
        }
        if may_be_refused {
            acknowledged.append(&mut self.replaced);
            let undo = Undo::Commit {
                connection,
                placed,
                acknowledged,
            };
            self.as_one(operations, undo);
        }
        let promise = if is_stored {
            Promise::WithAppend
        } else {
            Promise::Kept
        };
        self.answer(peer, receipt, promise);
    }

    pub(super) fn abort(
        &mut self,
        peer: PeerKey,
        transaction: TransactionHandle,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        let claims = self.peers[peer.0]
            .transactions
            .remove(&transaction)
            .unwrap_or_default();
        let operations = self.batch.operations.len();
        for (delivered, _) in self.take_claimed(&claims) {
            let failed = Outcome::Failed {
                delay: None,
                requeue: crate::core::port::Requeue::Allowed,
            };
            self.conclude(delivered, failed, now);
        }
        let promise = self.promise_since(operations);
        self.answer(peer, receipt, promise);
    }

    /// Whether a message of this transaction may have to be stored.
    fn may_be_stored(&self, send: &Publication) -> bool {
        let is_stored = |name: &Arc<DestinationName>| match name.kind() {
            DestinationKind::Queue => !name.is_temporary(),
            DestinationKind::Topic => {
                self.virtual_queues.contains_key(&**name)
                    || self.is_kept(name)
                    || self.is_fed_from(name)
            }
        };
        if send.later.is_some() || send.duplicate_id.is_some() {
            return true;
        }
        if send.mode != DeliveryMode::Persistent {
            return false;
        }
        let mut there = Places::new();
        for name in send.target.names() {
            match self.names.get(name) {
                Some(place) => there.push(*place),
                None if is_stored(name) => return true,
                None => {}
            }
        }
        let places = self.forward(there, send);
        places.iter().any(|place| self.is_stored(*place, send.mode))
    }

    /// Whether all windows are in memory that a COMMIT needs.
    fn can_judge_all(&mut self, sends: &[Publication], now: Now) -> Result<bool, Refusal> {
        let mut all = true;
        for send in sends {
            if send.later.is_some() {
                self.check_schedulable(&send.target)?;
            }
            if send.duplicate_id.is_some() {
                let places = self.places(&send.target, now)?;
                all &= self.can_judge(send, &places, now);
            }
        }
        Ok(all)
    }

    /// All that a COMMIT names is there before any of it gets a copy: so what it sends to a virtual topic is also for a
    /// queue that it makes, whichever comes first.
    fn make_all(&mut self, sends: &[Publication], now: Now) -> Result<(), Refusal> {
        let sends = sends.iter().map(|send| &send.target);
        for target in sends.filter(|target| !Self::is_for_scheduler(target)) {
            self.places(target, now)?;
        }
        Ok(())
    }

    fn is_kept(&self, name: &DestinationName) -> bool {
        match self.names.get(name) {
            Some(Place::Topic(key)) => self.topics[key.0].is_kept(),
            Some(Place::Queue(_)) | None => false,
        }
    }

    /// What a refused COMMIT acknowledged is as if it had not been.
    fn return_claimed(&mut self, claimed: Vec<(Delivered, Outcome)>, now: Now) {
        for (delivered, _) in claimed {
            self.conclude(delivered, Outcome::Returned, now);
        }
    }

    fn take_claimed(&mut self, claims: &Claims) -> Vec<(Delivered, Outcome)> {
        claims
            .slots()
            .filter_map(|slot| self.deliveries.close(slot))
            .map(|delivered| {
                let outcome = match delivered.hold {
                    Hold::Claimed(outcome) => outcome,
                    Hold::Acquired => Outcome::Returned,
                };
                (delivered, outcome)
            })
            .collect()
    }
}
