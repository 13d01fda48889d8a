//! Connections come and go.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Dispatcher;
use super::advisory::Change;
use super::delivery::{Delivered, Hold, Outcome};
use super::effect::Promise;
use super::key::{PeerKey, SubscriptionKey};
use super::peer::{Claims, Peer, Standing};
use crate::config::ClientIdPolicy;
use crate::core::clock::Now;
use crate::core::port::{
    ConnectionId, DeliveryCounter, Ending, Opening, ReceiptId, Refusal, Reply,
};

impl Dispatcher {
    pub(super) fn open(&mut self, connection: ConnectionId, opening: Opening, now: Now) {
        let opening = Arc::new(opening);
        let peer = Peer::new(connection, Arc::clone(&opening), now.wall_ms);
        let peer = PeerKey(self.peers.insert(peer));
        self.connections.insert(connection, peer);
        self.counters.connections += 1;
        let Some(client_id) = &opening.client_id else {
            return self.opened(peer);
        };
        let older = self.client_ids.get(client_id).copied();
        match (older, self.settings.client_id) {
            (Some(_), ClientIdPolicy::Refuse) => {
                let refusal = Refusal::new(
                    "client-id in use",
                    format!(
                        "a connection with client-id '{client_id}' is open: close it, choose another \
                         client-id, or configure stomp.client_id = \"takeover\""
                    ),
                );
                return self.refuse(peer, refusal, None);
            }
            // Who has been refused before is about to end: an ERROR is the last that it hears.
            (Some(older), ClientIdPolicy::Takeover)
                if self.peers[older.0].standing == Standing::Open =>
            {
                let refusal = Refusal::new(
                    "client-id taken over",
                    format!("another connection has connected with client-id '{client_id}'"),
                );
                self.refuse(older, refusal, None);
            }
            (Some(_), ClientIdPolicy::Takeover) | (None, _) => {}
        }
        self.client_ids.insert(client_id.clone(), peer);
        self.opened(peer);
    }

    fn opened(&mut self, peer: PeerKey) {
        self.peers[peer.0].was_opened = true;
        self.reply(peer, Reply::Opened);
        self.advise_connection(peer, Change::Start);
    }

    pub(super) fn disconnect(
        &mut self,
        peer: PeerKey,
        given: DeliveryCounter,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        self.release(peer, Ending::Disconnect, given, now);
        self.peers[peer.0].standing = Standing::Ending;
        if self.is_all_durable() {
            self.answer(peer, receipt, Promise::Kept);
            self.reply(peer, Reply::Close);
        } else {
            self.answer(peer, receipt, Promise::WithBatch);
            self.reply_when_durable(peer, Reply::Close, Promise::WithBatch);
        }
    }

    pub(super) fn close(
        &mut self,
        peer: PeerKey,
        ending: Ending,
        written: DeliveryCounter,
        now: Now,
    ) {
        self.release(peer, ending, written, now);
        if self.peers[peer.0].was_opened {
            self.advise_connection(peer, Change::Stop);
        }
        let gone = self.peers.remove(peer.0);
        self.connections.remove(&gone.connection);
        self.replied.retain(|replied| *replied != peer);
    }

    /// Takes everything back that a connection holds: its transactions abort, its subscriptions end.
    fn release(&mut self, peer: PeerKey, ending: Ending, seen: DeliveryCounter, now: Now) {
        let mut returning = self.take_claims(peer);
        let mut subscriptions: Vec<_> =
            self.peers[peer.0].subscriptions.values().copied().collect();
        subscriptions.sort_unstable();
        self.end_subscriptions(&subscriptions, &mut returning, now);
        if ending == Ending::Lost {
            blame_oldest(&mut returning, seen);
        }
        returning.sort_unstable_by_key(|(delivered, _)| delivered.counter);
        for (delivered, outcome) in returning {
            self.conclude_unseen(delivered, outcome, seen, now);
        }
        self.end_producer(peer);
        self.remove_temporaries(peer);
        self.unblock_gone(peer);
        self.free_client_id(peer);
    }

    /// From its DISCONNECT on a connection has no claim to its `client-id`: its RECEIPT says so.
    fn free_client_id(&mut self, peer: PeerKey) {
        if let Some(client_id) = &self.peers[peer.0].opening.client_id
            && self.client_ids.get(client_id) == Some(&peer)
        {
            self.client_ids.remove(client_id);
        }
    }

    /// Takes the claims of all transactions of a connection.
    fn take_claims(&mut self, peer: PeerKey) -> Vec<(Delivered, Outcome)> {
        let transactions = std::mem::take(&mut self.peers[peer.0].transactions);
        transactions
            .values()
            .flat_map(Claims::slots)
            .filter_map(|slot| self.deliveries.close(slot))
            .inspect(|delivered| debug_assert!(matches!(delivered.hold, Hold::Claimed(_))))
            .map(|delivered| (delivered, Outcome::Returned))
            .collect()
    }

    /// Concludes a delivery; one that the client cannot have seen is as if it had not been made.
    pub(super) fn conclude_unseen(
        &mut self,
        mut delivered: Delivered,
        outcome: Outcome,
        seen: DeliveryCounter,
        now: Now,
    ) {
        if delivered.counter > seen {
            delivered.entry.deliveries -= 1;
        }
        self.conclude(delivered, outcome, now);
    }
}

/// A subscription that broke off counts one failure: for the oldest message that its client had seen.
fn blame_oldest(returning: &mut [(Delivered, Outcome)], seen: DeliveryCounter) {
    let mut oldest: FxHashMap<SubscriptionKey, (DeliveryCounter, usize)> = FxHashMap::default();
    for (index, (delivered, _)) in returning.iter().enumerate() {
        if delivered.counter <= seen
            && let Some(key) = delivered.subscription
        {
            let first = oldest.entry(key).or_insert((delivered.counter, index));
            *first = (*first).min((delivered.counter, index));
        }
    }
    for (_, index) in oldest.into_values() {
        if let Some((_, outcome)) = returning.get_mut(index) {
            *outcome = Outcome::Broken;
        }
    }
}
