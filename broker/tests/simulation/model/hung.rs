//! Consumers that hang (`ack_timeout`): what they have held too long goes back to its queue, and they get nothing more
//! until they answer.

use std::time::Duration;

use stompbox_broker::core::port::{AckMode, AckTarget, ConnectionId, Reply};

use super::failure::Outcome;
use super::{Model, Open, QueueIndex, Seat, What};
use crate::policy::ACK_TIMEOUT_MIN;
use crate::trace;

/// When consumers are looked at.
#[derive(Debug, Default)]
pub(super) struct Watch {
    next: Duration,
    /// Whether something was handed out before the turn ended, to somebody who is still there.
    has_early: bool,
}

impl Model {
    /// What the dispatcher has handed out in this turn so far.
    pub(crate) fn handed_out_early(&mut self, replies: &[(ConnectionId, Vec<Reply>)]) {
        let is_kept = |connection: ConnectionId, reply: &Reply| match reply {
            Reply::Deliver(delivery) => {
                let live = self.subscription((connection, delivery.subscription));
                live.is_some_and(|live| live.keeps_deliveries())
            }
            _ => false,
        };
        let mut early = replies.iter();
        self.watch.has_early = early.any(|(connection, replies)| {
            let mut replies = replies.iter();
            replies.any(|reply| is_kept(*connection, reply))
        });
    }

    /// Whether anything is with a consumer.
    fn is_anything_out(&self) -> bool {
        self.watch.has_early
            || self.peers.values().any(|peer| {
                let mut live = peer.subscriptions.values();
                let mut claims = peer.transactions.values().flatten();
                live.any(|live| live.keeps_deliveries() && !live.open.is_empty())
                    || claims.next().is_some()
            })
    }

    /// Consumers are looked at four times in the shortest timeout, while there is something to look at.
    pub(super) fn pass_over_hung(&mut self) {
        if self.now.uptime < self.watch.next || !self.is_anything_out() {
            return;
        }
        self.watch.next = self.now.uptime + ACK_TIMEOUT_MIN / 4;
        for seat in self.seats() {
            let overdue = self.take_overdue(seat);
            if !overdue.is_empty() {
                self.pass_over(seat, overdue);
            }
        }
    }

    fn take_overdue(&mut self, seat: Seat) -> Vec<Open> {
        let now = self.now.uptime;
        let timeout_of = |open: &Open| match open.what {
            What::Entry(id) => self.queues[self.entry(id).queue].rules.ack_timeout,
            What::Copy(_) | What::Shown => None,
        };
        let live = self.subscription(seat).expect("a live subscription");
        if live.mode == AckMode::Auto {
            return Vec::new();
        }
        let is_overdue = |open: &Open| {
            let timeout = timeout_of(open);
            timeout.is_some_and(|timeout| now - open.since >= timeout)
        };
        let overdue: Vec<bool> = live.open.iter().map(is_overdue).collect();
        let mut overdue = overdue.into_iter();
        let open = &mut self.live(seat).open;
        open.extract_if(.., |_| overdue.next() == Some(true))
            .collect()
    }

    /// The oldest has failed, the others had not been begun.
    fn pass_over(&mut self, seat: Seat, overdue: Vec<Open>) {
        let returned = overdue.iter().map(|open| open.counter);
        let own = self.queues_of(seat).into_iter();
        let own: Vec<_> = own
            .map(|own| (own, self.exclusive(own).is_some()))
            .collect();
        let passed_over = &mut self.live(seat).passed_over;
        passed_over.get_or_insert_default().extend(returned);
        for (queue, had_owner) in own {
            self.release_groups(queue, |owner| owner == seat);
            self.take_over_groups(queue);
            if had_owner {
                self.let_others_pass(queue);
            }
        }
        let mut outcome = Outcome::Broken;
        for open in overdue {
            trace::count("hung: taken back");
            self.conclude(open.what, Some(seat), outcome);
            outcome = Outcome::Returned;
        }
    }

    fn queues_of(&self, seat: Seat) -> Vec<QueueIndex> {
        let all = self.queues.iter().enumerate();
        let own = all.filter(|(_, queue)| queue.members.contains(&seat));
        own.map(|(index, _)| index).collect()
    }

    /// A subscription has answered: it may get messages again, and what it wants for itself.
    pub(super) fn answered(&mut self, seat: Seat) {
        if self.live(seat).passed_over.take().is_none() {
            return;
        }
        trace::count("hung: answers");
        for queue in self.queues_of(seat) {
            self.take_over_groups(queue);
        }
    }

    /// A stale acknowledgement is an answer, too, if it is of something that was taken back. By its `message-id` that
    /// cannot be seen.
    pub(super) fn answered_late(&mut self, connection: ConnectionId, target: AckTarget) {
        let own = self.seats().into_iter();
        for seat in own.filter(|seat| seat.0 == connection) {
            let live = self.live(seat);
            let is_meant = live
                .passed_over
                .as_ref()
                .is_some_and(|returned| match target {
                    AckTarget::Delivery(tag) => returned.contains(&tag.counter.0),
                    AckTarget::Message { subscription, .. } => {
                        subscription.is_none_or(|named| named == seat.1)
                    }
                });
            if is_meant {
                trace::count("hung: answers late");
                self.answered(seat);
            }
        }
    }
}
