//! What durable subscriptions have done with out of their turn while the full disk had no room even for that.
//!
//! They have done with it in this life, and the store is told when there is room; a life that begins before gives it to
//! them again. *Invariant*: nobody gets a receipt for it. Bounded by the messages that are in logs already: there
//! is one place for each of them and subscription, and a full disk takes no more messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stompbox_store::{Operation, Sequence, SubscriptionId, Ticket};

use super::Dispatcher;
use super::key::{ConsumerKey, PeerKey};
use super::peer::Standing;
use crate::core::port::{ConnectionId, Refusal};

/// What the store is to be told.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    passed: BTreeSet<(SubscriptionId, Sequence)>,
    /// Deliveries and failures.
    counts: BTreeMap<(SubscriptionId, Sequence), (u32, u32)>,
    departed: VecDeque<Departed>,
}

/// Who has left a subscription while the store may still refuse what was acknowledged before.
#[derive(Debug)]
struct Departed {
    /// The last batch that may have something of that.
    ticket: Ticket,
    subscription: SubscriptionId,
    connection: ConnectionId,
}

/// Whether it was refused for itself: a full disk carries these out for as long as the reserve has room for them.
pub(super) fn is_spare(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Pass { .. } | Operation::LogCount { .. }
    )
}

impl Withheld {
    fn add(&mut self, operation: &Operation) -> Option<SubscriptionId> {
        match *operation {
            Operation::Pass {
                subscription,
                sequence,
            } => {
                self.passed.insert((subscription, sequence));
                Some(subscription)
            }
            Operation::LogCount {
                subscription,
                sequence,
                deliveries,
                failures,
            } => {
                let place = (subscription, sequence);
                self.counts.insert(place, (deliveries, failures));
                None
            }
            _ => None,
        }
    }

    fn take(&mut self) -> impl Iterator<Item = Operation> + use<> {
        let counts = std::mem::take(&mut self.counts).into_iter().map(
            |((subscription, sequence), (deliveries, failures))| Operation::LogCount {
                subscription,
                sequence,
                deliveries,
                failures,
            },
        );
        let passed = std::mem::take(&mut self.passed).into_iter();
        counts.chain(passed.map(|(subscription, sequence)| Operation::Pass {
            subscription,
            sequence,
        }))
    }
}

impl Dispatcher {
    /// The disk has no room for these.
    pub(super) fn withhold(&mut self, operations: &[Operation]) {
        let subscriptions: BTreeSet<SubscriptionId> = operations
            .iter()
            .filter_map(|operation| self.withheld.add(operation))
            .collect();
        tracing::error!(
            withheld = operations.len(),
            "the disk is full: durable subscriptions cannot acknowledge out of order until some of it is free"
        );
        for peer in self.peers_of(&subscriptions) {
            if self.peers[peer.0].standing == Standing::Open {
                self.refuse_withheld(peer);
            }
        }
        // One that has disconnected meanwhile waits for the receipt of that, which promises as much.
        for peer in self.departed_from(&subscriptions) {
            self.refuse_withheld(peer);
        }
    }

    fn refuse_withheld(&mut self, peer: PeerKey) {
        let refusal = Refusal::new(
            "disk is full",
            "the disk that holds the data folder is full, and what this subscription acknowledged before older \
             messages could not be kept: acknowledge the older ones first, or connect again when \
             store.disk_resume bytes are free",
        );
        self.refuse(peer, refusal, None);
    }

    /// A consumer of this connection leaves its queue: if that is a durable subscription's, it may still be told that
    /// what it has acknowledged could not be kept.
    pub(super) fn departs(&mut self, peer: PeerKey, consumer: ConsumerKey) {
        let queue = self.consumers[consumer.0].queue;
        let Some(cursor) = self.queues[queue.0].cursor() else {
            return;
        };
        if self.is_all_durable() {
            return;
        }
        self.withheld.departed.push_back(Departed {
            ticket: self.next_ticket,
            subscription: cursor.subscription,
            connection: self.peers[peer.0].connection,
        });
    }

    /// Up to this batch nothing will be refused any more.
    pub(super) fn departures_hold(&mut self, ticket: Ticket) {
        // A turn that asks nothing of the store has no batch: the one before was the last.
        let last = match self.is_all_durable() {
            true => self.next_ticket,
            false => ticket,
        };
        let departed = &mut self.withheld.departed;
        while departed.pop_front_if(|one| one.ticket <= last).is_some() {}
    }

    fn departed_from(&self, subscriptions: &BTreeSet<SubscriptionId>) -> Vec<PeerKey> {
        let departed = self.withheld.departed.iter();
        let meant = departed.filter(|one| subscriptions.contains(&one.subscription));
        let peers = meant.filter_map(|one| self.connections.get(&one.connection));
        peers.copied().collect()
    }

    /// There is room again.
    pub(super) fn tell_withheld(&mut self) {
        self.batch.operations.extend(self.withheld.take());
    }

    fn peers_of(&self, subscriptions: &BTreeSet<SubscriptionId>) -> Vec<PeerKey> {
        let queues = subscriptions.iter().filter_map(|id| self.durables.get(id));
        let consumers = queues.flat_map(|key| &self.queues[key.0].consumers);
        let subscribers = consumers.map(|key| self.consumers[key.0].subscription);
        subscribers
            .map(|key| self.subscriptions[key.0].peer)
            .collect()
    }
}
