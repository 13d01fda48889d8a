//! Requests of a few bytes that are much work: messages that go to many queues, logs or selectors at once, and whatever
//! goes through many names or patterns.
//!
//! A SEND for ten thousand queues is a millisecond of work for each hundred of them, and so is a SUBSCRIBE with a
//! wildcard among a hundred thousand names. *Invariants*: one turn does about [`STEPS_A_TURN`], and no more than
//! those of one request beyond that; whatever is more than a few steps waits for the next turn then, and while the
//! store or the memory is behind. Every copy is charged to the memory limit with its message.

use std::cell::Cell;
use std::sync::Arc;

use super::entry::Entry;
use super::flow::Blocker;
use super::key::{PeerKey, TopicKey};
use super::publish::Places;
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::message::{Message, Publication, Target};
use crate::core::port::{ConnectionId, Refusal, Request, Source, Subscribing};

/// So many steps take some thirty milliseconds. One is to look at a name or at a node of the patterns: a tenth of a
/// microsecond.
const STEPS_A_TURN: usize = 1 << 18;

/// Steps of a copy in a queue or a log.
const COPY_STEPS: usize = 64;

/// Steps of what a durable or shared subscription that is in use gets.
pub(super) const LASTING_STEPS: usize = 24;

/// Steps to begin to take from a queue.
pub(super) const JOIN_STEPS: usize = 32;

/// Headers that a selector reads in a step.
const SELECTED_BYTES: usize = 256;

/// What a copy costs beside its message: its entry, its places in maps and lists.
const COPY_BYTES: usize = size_of::<Entry>() + 96;

/// What this turn has done, and who waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// Counted also by those who only look.
    steps: Cell<usize>,
    waiting: Vec<ConnectionId>,
    /// Others have had a turn since the store had nothing to do.
    is_due: bool,
}

impl Burst {
    /// Whether this turn has done enough.
    pub(super) fn is_spent(&self) -> bool {
        self.steps.get() >= STEPS_A_TURN
    }

    /// Notes work.
    pub(super) fn spend(&self, steps: usize) {
        self.steps.set(self.steps.get().saturating_add(steps));
    }

    /// Where those count who go through many names.
    pub(super) fn meter(&self) -> &Cell<usize> {
        &self.steps
    }
}

/// Steps to ask a selector about a message.
pub(super) fn selection_steps(message: &Message) -> usize {
    2 + message.head().len() / SELECTED_BYTES
}

impl Dispatcher {
    /// Whether what is sent has to wait for the next turn.
    pub(super) fn all_wait_in_burst(&self, sends: &[Publication]) -> bool {
        self.burst.is_spent()
            && (self.copies_of(sends) > 0 || !sends.iter().all(|send| self.is_light(&send.target)))
    }

    /// The same for a subscription.
    pub(super) fn subscribes_in_burst(&self, subscribing: &Subscribing) -> bool {
        let is_light = |source: &Source| match source {
            Source::One(name) => self.is_light_name(name),
            Source::Matching(_) => false,
        };
        self.burst.is_spent() && !subscribing.sources.iter().all(is_light)
    }

    /// Whether it is known who gets a message, and takes no selector to find out.
    fn is_light(&self, target: &Target) -> bool {
        Self::query_in(target).is_none()
            && target.names().iter().all(|name| self.is_light_name(name))
    }

    fn is_light_name(&self, name: &DestinationName) -> bool {
        // Who listens to advisories may do so by many patterns, and much is advised.
        let is_advised = self.is_advised() && !self.patterns.is_empty();
        match self.names.get(name) {
            _ if is_advised => false,
            Some(Place::Queue(_)) => true,
            Some(Place::Topic(key)) => {
                let is_selective = self.topics[key.0].is_selective;
                self.is_audience_known(*key) && !is_selective && self.feeds.is_empty()
            }
            None => self.patterns.is_empty() && self.feeds.is_empty(),
        }
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
        self.burst.steps.set(0);
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
        self.burst.spend(copies * COPY_STEPS);
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

    /// As many, and the durable and shared subscriptions in use.
    fn count_at(&self, places: &[Place]) -> usize {
        let lasting = places.iter().map(|place| match place {
            Place::Queue(_) => 0,
            Place::Topic(key) => self.lasting_count(*key),
        });
        self.queue_count(places) + lasting.sum::<usize>()
    }

    /// Durable and shared subscriptions in use that get a topic's messages.
    fn lasting_count(&self, key: TopicKey) -> usize {
        let feeds = self.feeds_of(key).into_iter();
        let logs = feeds
            .chain([key])
            .filter_map(|key| self.topics[key.0].log.as_ref());
        logs.map(|log| log.active.len() + log.shared.len()).sum()
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
                        queues += self.feeds.about(name, self.burst.meter()).len();
                    }
                }
            }
            queues += self.count_at(&self.forward(there, send));
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
