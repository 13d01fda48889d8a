//! ACK, NACK, hand-overs, transactions, and the end of a connection.

use stompbox_broker::core::message::Publication;
use stompbox_broker::core::port::{
    AckMode, AckTarget, ConnectionId, Ending, ReceiptId, SubscriptionHandle, TransactionHandle,
    Verdict,
};

use super::failure::{Failure, Outcome};
use super::{Claim, Model, Open};
use crate::trace;

impl Model {
    fn find(
        &self,
        connection: ConnectionId,
        target: AckTarget,
    ) -> Option<(SubscriptionHandle, usize)> {
        let peer = &self.peers[&connection];
        let matches = |handle: SubscriptionHandle, open: &Open| match target {
            AckTarget::Delivery(tag) => open.counter == tag.counter.0 && open.slot == tag.slot,
            AckTarget::Message {
                subscription,
                number,
            } => open.number == number && subscription.is_none_or(|named| named == handle),
        };
        peer.subscriptions
            .iter()
            .filter(|(_, live)| live.mode != AckMode::Auto)
            .flat_map(|(handle, live)| {
                let places = live.open.iter().enumerate();
                places.map(move |(place, open)| (*handle, place, open))
            })
            .filter(|(handle, _, open)| matches(*handle, open))
            .min_by_key(|(_, _, open)| open.counter)
            .map(|(handle, place, _)| (handle, place))
    }

    pub(super) fn acknowledge(
        &mut self,
        connection: ConnectionId,
        target: AckTarget,
        verdict: Verdict,
        transaction: Option<TransactionHandle>,
        receipt: Option<&ReceiptId>,
    ) {
        let Some((handle, place)) = self.find(connection, target) else {
            trace::count("stale acknowledgement");
            self.answered_late(connection, target);
            if receipt.is_some() {
                let peer = self.peer(connection);
                peer.is_open = false;
                peer.must_be_refused = true;
            }
            return;
        };
        self.answered((connection, handle));
        let names_messages = self.peers[&connection].names_messages;
        assert_eq!(names_messages, matches!(target, AckTarget::Message { .. }));
        let live = self.live((connection, handle));
        let meant: Vec<Open> = match live.mode {
            AckMode::Client => live.open.drain(..=place).collect(),
            AckMode::ClientIndividual | AckMode::Auto => vec![live.open.remove(place)],
        };
        let named = meant.last().map(|open| open.counter);
        let mut ticket = 0;
        for open in meant {
            let outcome = match verdict {
                Verdict::Nack { .. } if Some(open.counter) != named => Outcome::Returned,
                verdict => Outcome::from(verdict),
            };
            if let Some(transaction) = transaction {
                let claim = Claim {
                    open,
                    subscription: Some(handle),
                    outcome,
                };
                let claims = &mut self.peer(connection).transactions;
                claims.entry(transaction).or_default().push(claim);
            } else {
                let seat = Some((connection, handle));
                ticket = ticket.max(self.conclude(open.what, seat, outcome));
            }
        }
        self.owe(connection, receipt, ticket);
    }

    pub(super) fn written(
        &mut self,
        connection: ConnectionId,
        handle: SubscriptionHandle,
        count: usize,
    ) {
        let Some(live) = self.peer(connection).subscriptions.get_mut(&handle) else {
            return;
        };
        assert!(
            count <= live.open.len(),
            "more was written than was delivered"
        );
        for open in live.open.drain(..count).collect::<Vec<_>>() {
            trace::count("auto hand-over");
            self.conclude(open.what, None, Outcome::Done);
        }
    }

    pub(super) fn commit(
        &mut self,
        connection: ConnectionId,
        transaction: TransactionHandle,
        sends: &[Publication],
    ) -> u64 {
        let grows = sends.iter().any(|send| self.is_stored(send));
        let claims = self.peer(connection).transactions.remove(&transaction);
        let claims = claims.unwrap_or_default();
        let mut ticket = if grows { self.ticket } else { 0 };
        self.begin_unit(connection);
        self.is_in_unit = grows || claims.iter().any(|claim| claim.outcome != Outcome::Done);
        for claim in claims {
            let seat = claim.subscription.map(|handle| (connection, handle));
            ticket = ticket.max(self.conclude(claim.open.what, seat, claim.outcome));
        }
        self.is_in_unit = false;
        if self.is_unsettled {
            // Whatever the batch is for, it is waited for.
            ticket = self.ticket;
        }
        for send in sends {
            let mut names = send.target.names().iter();
            if names.any(|name| !name.is_temporary() || self.is_there(name.wire())) {
                self.note_producer(connection, send);
            }
            // Nothing is said of repeats.
            let is_taken = self.publish(connection, send, ticket).is_ok();
            if is_taken {
                self.note_filled(connection, send);
            }
            self.hold_back_by_topics(connection, send);
        }
        self.end_unit();
        ticket
    }

    /// A COMMIT was refused: what it acknowledged is as if it had not been.
    pub(super) fn give_back_claims(
        &mut self,
        connection: ConnectionId,
        transaction: TransactionHandle,
    ) {
        let claims = self.peer(connection).transactions.remove(&transaction);
        for claim in claims.unwrap_or_default() {
            let seat = claim.subscription.map(|handle| (connection, handle));
            self.conclude(claim.open.what, seat, Outcome::Returned);
        }
    }

    pub(super) fn abort(
        &mut self,
        connection: ConnectionId,
        transaction: TransactionHandle,
    ) -> u64 {
        let claims = self.peer(connection).transactions.remove(&transaction);
        let mut ticket = 0;
        for claim in claims.unwrap_or_default() {
            let seat = claim.subscription.map(|handle| (connection, handle));
            let failed = Outcome::Failed(Failure::PLAIN);
            ticket = ticket.max(self.conclude(claim.open.what, seat, failed));
        }
        ticket
    }

    /// A connection lets go of everything.
    pub(super) fn release(&mut self, connection: ConnectionId, ending: Ending, seen: u64) {
        let peer = self.peer(connection);
        let claims = std::mem::take(&mut peer.transactions);
        let handles: Vec<_> = peer.subscriptions.keys().copied().collect();
        let mut returning: Vec<(Open, Option<SubscriptionHandle>)> = claims
            .into_values()
            .flatten()
            .map(|claim| (claim.open, claim.subscription))
            .collect();
        for handle in handles {
            let open = self.end_subscription((connection, handle), Some(connection));
            returning.extend(open.into_iter().map(|open| (open, Some(handle))));
        }
        returning.sort_by_key(|(open, _)| open.counter);
        let mut blamed = Vec::new();
        for (open, handle) in returning {
            let is_oldest = handle.is_some() && !blamed.contains(&handle);
            let outcome = if ending == Ending::Lost && is_oldest && open.counter <= seen {
                blamed.push(handle);
                trace::count("lost: oldest fails");
                Outcome::Broken
            } else {
                Outcome::Returned
            };
            self.come_back(open, None, outcome, seen);
        }
        self.end_producer(connection);
        self.remove_temporaries(connection);
        self.client_ids.retain(|_, owner| *owner != connection);
    }
}
