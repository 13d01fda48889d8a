//! What requests do.

use std::time::Duration;

use stompbox_broker::core::message::{DeliveryMode, Publication};
use stompbox_broker::core::port::{
    AckMode, AckTarget, ConnectionId, Ending, ReceiptId, Request, Requeue, Source, Subscribing,
    SubscriptionHandle, TransactionHandle, Verdict,
};
use stompbox_protocol::Version;

use super::{
    Claim, Message, MessageId, Model, Open, Outcome, Peer, QueueIndex, Reason, Subscription,
    Whereabouts,
};
use crate::trace;

/// The message that a body belongs to.
pub(super) fn message_of(body: &[u8]) -> MessageId {
    let bytes = body[..8].try_into().expect("eight bytes");
    MessageId(usize::from_le_bytes(bytes))
}

impl Model {
    /// The dispatcher is about to act on these.
    pub(crate) fn requests(&mut self, connection: ConnectionId, requests: &[Request]) {
        for request in requests {
            trace::note(|| match request {
                Request::Send { publication, .. } => format!(
                    "  request {}: Send {:?}",
                    connection.0,
                    message_of(publication.message.body())
                ),
                request => format!("  request {}: {request:?}", connection.0),
            });
            if let Request::Open(opening) = request {
                let peer = Peer {
                    names_messages: opening.version < Version::V1_2,
                    is_open: true,
                    must_be_refused: false,
                    may_close_after: None,
                    last_counter: 0,
                    last_ticket: 0,
                    subscriptions: Default::default(),
                    transactions: Default::default(),
                };
                self.peers.insert(connection, peer);
                continue;
            }
            let Some(peer) = self.peers.get(&connection) else {
                return;
            };
            if let Request::Closed { ending, written } = request {
                self.release(connection, *ending, written.0);
                self.peers.remove(&connection);
                self.owed.retain(|(owner, _), _| *owner != connection);
            } else if peer.is_open || matches!(request, Request::Written { .. }) {
                self.act(connection, request);
            }
        }
    }

    fn act(&mut self, connection: ConnectionId, request: &Request) {
        match request {
            Request::Open(_) | Request::Closed { .. } => {}
            Request::MakeTemporary(name) => panic!("nobody wants {name}"),
            Request::Send {
                publication,
                receipt,
            } => {
                let ticket = self.publish(publication, 0);
                self.owe(connection, receipt.as_ref(), ticket);
            }
            Request::Subscribe(subscribing) => {
                let Subscribing {
                    subscription,
                    sources,
                    mode,
                    prefetch,
                    receipt,
                    ..
                } = &**subscribing;
                let [Source::One(source)] = &sources[..] else {
                    panic!("clients name one queue");
                };
                let queue = self.queue(source.name());
                let prefetch = prefetch.messages.expect("every client says it") as usize;
                let made = Subscription {
                    queue,
                    mode: *mode,
                    prefetch,
                    open: Vec::new(),
                };
                self.peer(connection)
                    .subscriptions
                    .insert(*subscription, made);
                self.owe(connection, receipt.as_ref(), 0);
            }
            Request::Unsubscribe {
                subscription,
                deletes,
                given,
                receipt,
            } => {
                let (Some(subscription), None) = (subscription, deletes) else {
                    panic!("clients end what they have");
                };
                self.unsubscribe(connection, *subscription, given.0);
                self.owe(connection, receipt.as_ref(), 0);
            }
            Request::Acknowledge {
                target,
                verdict,
                transaction,
                receipt,
            } => {
                self.acknowledge(
                    connection,
                    *target,
                    *verdict,
                    *transaction,
                    receipt.as_ref(),
                );
            }
            Request::Written {
                subscription,
                count,
                ..
            } => {
                self.written(connection, *subscription, *count as usize);
            }
            Request::Commit {
                transaction,
                sends,
                receipt,
            } => {
                let ticket = self.commit(connection, *transaction, sends);
                self.owe(connection, receipt.as_ref(), ticket);
            }
            Request::Abort {
                transaction,
                receipt,
            } => {
                let ticket = self.abort(connection, *transaction);
                self.owe(connection, receipt.as_ref(), ticket);
            }
            Request::Disconnect { given, receipt } => {
                self.release(connection, Ending::Disconnect, given.0);
                let ticket = self.peer(connection).last_ticket.max(self.ticket - 1);
                self.owe(connection, receipt.as_ref(), ticket);
                let peer = self.peer(connection);
                peer.is_open = false;
                peer.may_close_after = Some(ticket);
            }
        }
    }

    fn peer(&mut self, connection: ConnectionId) -> &mut Peer {
        self.peers.get_mut(&connection).expect("a live connection")
    }

    /// A receipt is due, not before this ticket is durable.
    fn owe(&mut self, connection: ConnectionId, receipt: Option<&ReceiptId>, ticket: u64) {
        let peer = self.peer(connection);
        peer.last_ticket = peer.last_ticket.max(ticket);
        if let Some(receipt) = receipt {
            self.owed.insert((connection, receipt.0.to_vec()), ticket);
        }
    }

    fn publish(&mut self, publication: &Publication, visible_after: u64) -> u64 {
        let id = message_of(publication.message.body());
        let queue = self.queue(publication.target.names()[0].name());
        let is_persistent = publication.mode == DeliveryMode::Persistent;
        let waits = self.queues[queue].rules.is_dispatched_when_durable && is_persistent;
        self.next_order += 1;
        let message = Message {
            queue,
            rank: usize::from(publication.message.priority.rank().0),
            is_persistent,
            bytes: publication.message.bytes(),
            expires_ms: publication.expires_ms,
            sent_expires_ms: publication.expires_ms,
            whereabouts: Whereabouts::Waiting,
            order: self.next_order,
            deliveries: 0,
            failures: 0,
            is_uncertain: false,
            visible_after: if waits { self.ticket } else { visible_after },
            not_before: Duration::ZERO,
            dead: None,
            arrived: self.turn,
            number: None,
            history: Vec::new(),
        };
        if self.messages.len() <= id.0 {
            self.messages.resize_with(id.0 + 1, || None);
        }
        assert!(self.messages[id.0].is_none(), "{id:?} was routed twice");
        self.messages[id.0] = Some(message);
        self.touched.insert(id);
        self.put(id);
        if is_persistent { self.ticket } else { 0 }
    }

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

    fn acknowledge(
        &mut self,
        connection: ConnectionId,
        target: AckTarget,
        verdict: Verdict,
        transaction: Option<TransactionHandle>,
        receipt: Option<&ReceiptId>,
    ) {
        let Some((handle, place)) = self.find(connection, target) else {
            trace::count("stale acknowledgement");
            if receipt.is_some() {
                let peer = self.peer(connection);
                peer.is_open = false;
                peer.must_be_refused = true;
            }
            return;
        };
        let names_messages = self.peers[&connection].names_messages;
        assert_eq!(names_messages, matches!(target, AckTarget::Message { .. }));
        let live = self
            .peer(connection)
            .subscriptions
            .get_mut(&handle)
            .expect("found above");
        let meant: Vec<Open> = match live.mode {
            AckMode::Client => live.open.drain(..=place).collect(),
            AckMode::ClientIndividual | AckMode::Auto => vec![live.open.remove(place)],
        };
        let named = meant.last().map(|open| open.counter);
        let mut ticket = 0;
        for open in meant {
            let outcome = match verdict {
                Verdict::Ack => Outcome::Done,
                Verdict::Nack { .. } if Some(open.counter) == named => Outcome::Failed(verdict),
                Verdict::Nack { .. } => Outcome::Returned,
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
                ticket = ticket.max(self.conclude(open.message, outcome));
            }
        }
        self.owe(connection, receipt, ticket);
    }

    fn written(&mut self, connection: ConnectionId, handle: SubscriptionHandle, count: usize) {
        let Some(live) = self.peer(connection).subscriptions.get_mut(&handle) else {
            return;
        };
        assert!(
            count <= live.open.len(),
            "more was written than was delivered"
        );
        for open in live.open.drain(..count).collect::<Vec<_>>() {
            trace::count("auto hand-over");
            self.conclude(open.message, Outcome::Done);
        }
    }

    fn unsubscribe(&mut self, connection: ConnectionId, handle: SubscriptionHandle, given: u64) {
        let peer = self.peer(connection);
        for claim in peer.transactions.values_mut().flatten() {
            if claim.subscription == Some(handle) {
                claim.subscription = None;
            }
        }
        let Some(gone) = peer.subscriptions.remove(&handle) else {
            return;
        };
        for open in gone.open {
            self.come_back(open, Outcome::Returned, given);
        }
    }

    fn commit(
        &mut self,
        connection: ConnectionId,
        transaction: TransactionHandle,
        sends: &[Publication],
    ) -> u64 {
        let claims = self.peer(connection).transactions.remove(&transaction);
        let claims = claims.unwrap_or_default();
        let mut ticket = 0;
        for claim in claims {
            ticket = ticket.max(self.conclude(claim.open.message, claim.outcome));
        }
        if sends
            .iter()
            .any(|send| send.mode == DeliveryMode::Persistent)
        {
            ticket = self.ticket;
        }
        for send in sends {
            self.publish(send, ticket);
        }
        ticket
    }

    fn abort(&mut self, connection: ConnectionId, transaction: TransactionHandle) -> u64 {
        let claims = self.peer(connection).transactions.remove(&transaction);
        let mut ticket = 0;
        for claim in claims.unwrap_or_default() {
            let failed = Outcome::Failed(Verdict::Nack {
                delay: None,
                requeue: Requeue::Allowed,
            });
            ticket = ticket.max(self.conclude(claim.open.message, failed));
        }
        ticket
    }

    /// A connection lets go of everything.
    fn release(&mut self, connection: ConnectionId, ending: Ending, seen: u64) {
        let peer = self.peer(connection);
        let claims = std::mem::take(&mut peer.transactions);
        let subscriptions = std::mem::take(&mut peer.subscriptions);
        let claims: Vec<Claim> = claims.into_values().flatten().collect();
        let mut returning: Vec<(Open, Option<SubscriptionHandle>)> = claims
            .iter()
            .map(|claim| (claim.open, claim.subscription))
            .collect();
        for (handle, gone) in subscriptions {
            returning.extend(gone.open.into_iter().map(|open| (open, Some(handle))));
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
            self.come_back(open, outcome, seen);
        }
    }

    /// A delivery ends without an answer; what its client cannot have seen has not happened.
    fn come_back(&mut self, open: Open, outcome: Outcome, seen: u64) {
        if open.counter > seen {
            trace::count("return unseen");
            self.message_mut(open.message).deliveries -= 1;
        }
        self.conclude(open.message, outcome);
    }

    /// A delivery ends. Answers when that is durable.
    fn conclude(&mut self, id: MessageId, outcome: Outcome) -> u64 {
        let now = self.now;
        let message = self.message_mut(id);
        assert_eq!(message.whereabouts, Whereabouts::Held, "{id:?}");
        let ticket_if_stored = if message.is_persistent {
            self.ticket
        } else {
            0
        };
        let message = self.message_mut(id);
        let verdict = match outcome {
            Outcome::Done => {
                self.set(id, Whereabouts::Gone);
                return ticket_if_stored;
            }
            _ if message.is_expired(now) => {
                trace::count("expired on return");
                self.expire(id);
                return ticket_if_stored;
            }
            Outcome::Returned => {
                self.touched.insert(id);
                self.put(id);
                return 0;
            }
            Outcome::Broken => Verdict::Nack {
                delay: Some(Duration::ZERO),
                requeue: Requeue::Allowed,
            },
            Outcome::Failed(verdict) => verdict,
        };
        self.fail(id, verdict);
        match self.message(id).whereabouts {
            Whereabouts::Burying(_) => self.ticket,
            _ => ticket_if_stored,
        }
    }

    fn fail(&mut self, id: MessageId, verdict: Verdict) {
        let Verdict::Nack { delay, requeue } = verdict else {
            return;
        };
        let message = self.message_mut(id);
        message.failures += 1;
        let (failures, queue, is_persistent) =
            (message.failures, message.queue, message.is_persistent);
        let rules = self.queues[queue].rules;
        let reason = match requeue {
            Requeue::Forbidden => Some(Reason::Nack),
            Requeue::Allowed if failures > rules.redeliveries_max => Some(Reason::RedeliveryLimit),
            Requeue::Allowed => None,
        };
        if let Some(reason) = reason.filter(|_| rules.dead_letter.is_some()) {
            let is_kept = is_persistent || rules.keeps_failed_non_persistent;
            trace::count(if is_kept {
                "failed: dead letter"
            } else {
                "failed: dropped"
            });
            return self.set(
                id,
                if is_kept {
                    Whereabouts::Burying(reason)
                } else {
                    Whereabouts::Gone
                },
            );
        }
        let delay = delay.unwrap_or_else(|| rules.delay_after(failures));
        let due = self.now.uptime + delay;
        self.touched.insert(id);
        if delay.is_zero() {
            self.put(id);
        } else if rules.holds_order {
            trace::count("redelivery held");
            self.message_mut(id).not_before = due;
            self.put(id);
        } else {
            trace::count("redelivery delayed");
            let message = self.message_mut(id);
            message.whereabouts = Whereabouts::Delayed(due);
            if !message.is_persistent && message.expires_ms != 0 {
                let fades = (message.expires_ms, id);
                self.fading.insert(fades);
            }
            self.delayed.insert((due, id));
        }
    }

    /// A message that is in no lane has expired.
    pub(super) fn expire(&mut self, id: MessageId) {
        let message = self.message(id);
        let rules = self.queues[message.queue].rules;
        let is_kept = message.is_persistent && rules.keeps_expired && rules.dead_letter.is_some();
        self.set(
            id,
            if is_kept {
                Whereabouts::Burying(Reason::Expired)
            } else {
                Whereabouts::Gone
            },
        );
    }

    pub(super) fn dead_letter_queue(&self, queue: QueueIndex) -> QueueIndex {
        self.queues[queue]
            .dead_letter
            .expect("a queue with a dead-letter queue")
    }
}
