//! Messages that go to several queues or logs at once: by a virtual topic, a route, a list of destinations, or as several
//! durable subscriptions have a pattern that matches.
//!
//! A SEND of a few bytes for ten thousand queues is a millisecond of work for each hundred of them. *Invariants*: one turn
//! makes about [`COPIES_A_TURN`], and no more than those of one SEND or one COMMIT beyond that; whoever sends more waits
//! for the next turn, and while the store or the memory is behind. Every copy is charged to the memory limit with its
//! message.

use std::sync::Arc;

use super::entry::Entry;
use super::flow::Blocker;
use super::key::PeerKey;
use super::publish::Places;
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::message::Publication;
use crate::core::port::{ConnectionId, Refusal, Request};

/// Copies beside the first of their messages: of so many a turn takes some thirty milliseconds.
const COPIES_A_TURN: usize = 4_096;

/// What a copy costs beside its message: its entry, its places in maps and lists.
const COPY_BYTES: usize = size_of::<Entry>() + 96;

/// How many copies this turn has made, and who waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Burst {
    made: usize,
    waiting: Vec<ConnectionId>,
    /// Others have had a turn since the store had nothing to do.
    is_due: bool,
}

impl Burst {
    /// Whether this turn makes no more copies.
    pub(super) fn is_spent(&self) -> bool {
        self.made >= COPIES_A_TURN
    }
}

impl Dispatcher {
    /// Whether a message for these places has to wait for the next turn.
    pub(super) fn waits_in_burst(&self, places: &[Place]) -> bool {
        self.burst.is_spent() && self.copies_at(places) > 0
    }

    /// The same for what a COMMIT sends.
    pub(super) fn all_wait_in_burst(&self, sends: &[Publication]) -> bool {
        self.burst.is_spent() && self.copies_of(sends) > 0
    }

    /// A request waits for the next turn.
    pub(super) fn wait_for_turn(&mut self, peer: PeerKey, request: Request) {
        let connection = self.peers[peer.0].connection;
        if !self.burst.waiting.contains(&connection) {
            self.burst.waiting.push(connection);
        }
        self.defer(peer, request, Blocker::Burst);
    }

    /// Whether what waits in deferred requests can go on: an acknowledgement frees the memory that they may wait for.
    pub(super) fn overtakes_burst(&self, peer: PeerKey, request: &Request) -> bool {
        let may = matches!(
            request,
            Request::Written { .. }
                | Request::Acknowledge {
                    transaction: None,
                    ..
                }
        );
        may && self.peers[peer.0].blocked_by.contains(&Blocker::Burst)
    }

    /// Whether there is a next turn that somebody waits for.
    pub(super) fn goes_on_with_burst(&self) -> bool {
        !self.burst.waiting.is_empty() && self.watermark.0 + 1 == self.next_ticket.0
    }

    /// A new turn: those who waited for it go on. Not in the one in which the store has come to rest, since the requests of
    /// others are not taken as long as it is busy.
    pub(super) fn go_on_with_burst(&mut self, now: Now) {
        self.burst.made = 0;
        if !self.goes_on_with_burst() || !std::mem::replace(&mut self.burst.is_due, true) {
            return;
        }
        self.burst.is_due = false;
        let waiting = std::mem::take(&mut self.burst.waiting);
        let mut rest = Vec::new();
        for connection in waiting {
            if self.burst.is_spent() || self.waits_for_memory(connection) {
                rest.push(connection);
            } else {
                self.resume_deferred(connection, now);
            }
        }
        // Those who had no turn come before those who had one.
        rest.append(&mut self.burst.waiting);
        self.burst.waiting = rest;
    }

    /// A connection that has gone does not: its end stands behind what it sent, and what it held returns then.
    fn waits_for_memory(&self, connection: ConnectionId) -> bool {
        let Some(peer) = self.connections.get(&connection) else {
            return false;
        };
        let mut deferred = self.peers[peer.0].deferred.iter();
        self.settings.budget.is_over()
            && !deferred.any(|request| matches!(request, Request::Closed { .. }))
    }

    /// Copies of one message are about to be made, in so many queues.
    pub(super) fn begin_copies(&mut self, publication: &mut Publication, queues: usize) {
        let copies = queues.saturating_sub(1);
        self.burst.made += copies;
        // Nobody else has it before it is published.
        if let Some(message) = Arc::get_mut(&mut publication.message) {
            message.charge_more(copies * COPY_BYTES);
        }
    }

    /// Queues that a message for these places goes to, and logs beside a topic's own.
    pub(super) fn queue_count(&self, places: &[Place]) -> usize {
        let queues = places.iter().map(|place| match place {
            Place::Queue(_) => 1,
            Place::Topic(key) => self.virtual_queue_count(*key) + self.feeds_of(*key).len(),
        });
        queues.sum()
    }

    fn copies_at(&self, places: &[Place]) -> usize {
        self.queue_count(places).saturating_sub(1)
    }

    fn copies_of(&self, sends: &[Publication]) -> usize {
        let copies = sends.iter().map(|send| {
            let mut there = Places::new();
            let mut queues = 0;
            for name in send.target.names() {
                match self.names.get(name) {
                    Some(place) => there.push(*place),
                    // A topic that nobody has named yet may feed queues.
                    None => {
                        queues += self.virtual_queues.get(&**name).map_or(1, Vec::len);
                        queues += self.feeds.about(name).len();
                    }
                }
            }
            queues += self.queue_count(&self.forward(there, send));
            queues.saturating_sub(1)
        });
        copies.sum()
    }

    /// Whether a COMMIT of these makes no more copies than it may.
    pub(super) fn check_copies(&self, sends: &[Publication]) -> Result<(), Refusal> {
        let (copies, limit) = (
            self.copies_of(sends),
            self.settings.limits.transaction_frames,
        );
        if copies <= limit {
            return Ok(());
        }
        Err(Refusal::new(
            "transaction is too large",
            format!(
                "its messages go to so many queues that {copies} copies would be made at once, and \
                 limits.transaction_frames is {limit}: send fewer messages in a transaction, or raise the limit"
            ),
        ))
    }
}
