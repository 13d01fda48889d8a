//! What requests do.

use stompbox_broker::core::port::{ConnectionId, Ending, ReceiptId, Request};
use stompbox_protocol::Version;
use stompbox_store::DestinationKind;

use super::entry::{Whereabouts, message_of};
use super::topic::Topic;
use super::{Model, Peer, Promise};
use crate::trace;

impl Model {
    /// The dispatcher is about to act on these.
    pub(crate) fn requests(&mut self, connection: ConnectionId, requests: &[Request]) {
        for request in requests {
            trace::note(|| match request {
                Request::Send { publication, .. } if !publication.message.body().is_empty() => {
                    format!(
                        "  request {}: Send {:?}",
                        connection.0,
                        message_of(publication.message.body())
                    )
                }
                request => format!("  request {}: {request:?}", connection.0),
            });
            if let Request::Open(opening) = request {
                let client_id = opening.client_id.clone();
                let is_taken = self.takes_client_id(connection, client_id.as_deref());
                let peer = Peer {
                    session: opening.session.to_string(),
                    produced: Default::default(),
                    was_opened: !is_taken,
                    names_messages: opening.version < Version::V1_2,
                    client_id,
                    is_open: !is_taken,
                    must_be_refused: is_taken,
                    may_close_after: None,
                    deferred: Default::default(),
                    is_blocked: false,
                    blocked_by: Default::default(),
                    last_counter: 0,
                    last_ticket: 0,
                    subscriptions: Default::default(),
                    ended: Default::default(),
                    transactions: Default::default(),
                };
                self.peers.insert(connection, peer);
                if !is_taken {
                    self.advise_connection(connection, "start");
                }
                continue;
            }
            let Some(peer) = self.peers.get_mut(&connection) else {
                return;
            };
            if !peer.deferred.is_empty() {
                peer.deferred.push_back(request.clone());
            } else {
                self.perform(connection, request);
            }
        }
    }

    pub(super) fn perform(&mut self, connection: ConnectionId, request: &Request) {
        if matches!(
            request,
            Request::Closed { .. } | Request::Disconnect { .. } | Request::Unsubscribe { .. }
        ) {
            self.room.is_disturbed = true;
        }
        if let Request::Closed { ending, written } = request {
            self.release(connection, *ending, written.0);
            if self.peers[&connection].was_opened {
                self.advise_connection(connection, "stop");
            }
            self.peers.remove(&connection);
            self.let_go_on();
            self.owed.retain(|(owner, _), _| *owner != connection);
        } else if self.peers[&connection].is_open || matches!(request, Request::Written { .. }) {
            self.act_or_wait(connection, request);
        }
    }

    pub(super) fn act(&mut self, connection: ConnectionId, request: &Request) {
        match request {
            Request::Open(_) | Request::Closed { .. } => {}
            Request::MakeTemporary(name) => match name.kind() {
                DestinationKind::Queue => {
                    let index = self.queue(name.wire());
                    self.queues[index].owner = Some(connection);
                    self.queues[index].exists = true;
                }
                DestinationKind::Topic => {
                    let topic = Topic {
                        owner: Some(connection),
                        ..Topic::default()
                    };
                    self.topics.insert(name.wire().into(), topic);
                }
            },
            Request::Send {
                publication,
                receipt,
            } => self.send(connection, publication, receipt.as_ref()),
            Request::Subscribe(subscribing) => self.subscribe(connection, subscribing),
            Request::Unsubscribe {
                subscription,
                deletes,
                given,
                receipt,
            } => {
                let doomed = match deletes {
                    None => None,
                    Some(deletion) => match self.doomed(connection, *subscription, deletion) {
                        Some(identity) => Some(identity),
                        None => return self.refuse(connection),
                    },
                };
                if let Some(subscription) = subscription {
                    self.unsubscribe(connection, *subscription, given.0);
                }
                let mut ticket = 0;
                if let Some(identity) = doomed {
                    if !self.delete_lasting(&identity) {
                        return self.refuse(connection);
                    }
                    ticket = self.ticket;
                }
                self.owe(connection, receipt.as_ref(), ticket);
            }
            Request::Acknowledge {
                target,
                verdict,
                transaction,
                receipt,
            } => self.acknowledge(
                connection,
                *target,
                *verdict,
                *transaction,
                receipt.as_ref(),
            ),
            Request::Written {
                subscription,
                count,
                ..
            } => self.written(connection, *subscription, *count as usize),
            Request::Commit {
                transaction,
                sends,
                receipt,
            } => {
                // All that it names is there before any of it gets a copy.
                for send in sends {
                    self.make_named_queues(send);
                }
                let is_too_full = self.is_known_full();
                let is_too_full = is_too_full && sends.iter().any(|send| self.is_stored(send));
                if self.is_refused(connection, sends, receipt.as_ref()) || is_too_full {
                    self.give_back_claims(connection, *transaction);
                    return self.refuse(connection);
                }
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

    /// A receipt is due, not before this ticket is durable.
    pub(super) fn owe(
        &mut self,
        connection: ConnectionId,
        receipt: Option<&ReceiptId>,
        ticket: u64,
    ) {
        let peer = self.peer(connection);
        peer.last_ticket = peer.last_ticket.max(ticket);
        if let Some(receipt) = receipt {
            let key = (connection, receipt.0.to_vec());
            self.owed.insert(key, Promise::Durable(ticket));
        }
    }

    /// What is a connection's own goes with it.
    pub(super) fn remove_temporaries(&mut self, connection: ConnectionId) {
        self.topics
            .retain(|_, topic| topic.owner != Some(connection));
        for queue in &mut self.queues {
            if queue.owner == Some(connection) {
                queue.exists = false;
                queue
                    .lanes
                    .iter_mut()
                    .for_each(std::collections::BTreeMap::clear);
            }
        }
        let is_lost = |entry: &super::Entry| {
            self.queues[entry.queue].owner == Some(connection)
                && !matches!(
                    entry.whereabouts,
                    Whereabouts::Gone | Whereabouts::Burying(_)
                )
        };
        let lost: Vec<_> = self
            .all()
            .filter(|(_, entry)| is_lost(entry))
            .map(|(id, _)| id)
            .collect();
        for id in lost {
            trace::count("temporary: dropped with its queue");
            self.move_to(id, Whereabouts::Gone);
        }
    }
}
