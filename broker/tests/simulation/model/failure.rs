//! A delivery ends: done, failed or given back.

use std::rc::Rc;
use std::time::Duration;

use stompbox_broker::core::port::{Requeue, Verdict};

use super::entry::{Entry, EntryId, Holds, Reason, Whereabouts};
use super::last_value::Newer;
use super::{Model, Open, QueueIndex, Seat, What};
use crate::policy::Rules;
use crate::trace;

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Failed(Failure),
    Returned,
    Broken,
}

/// How it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) delay: Option<Duration>,
    requeue: Requeue,
}

impl Failure {
    /// By the policy.
    pub(super) const PLAIN: Failure = Failure {
        delay: None,
        requeue: Requeue::Allowed,
    };

    /// Why it does not come again.
    pub(super) fn reason(self, failures: u32, rules: &Rules) -> Option<Reason> {
        match self.requeue {
            _ if rules.dead_letter.is_none() => None,
            Requeue::Forbidden => Some(Reason::Nack),
            Requeue::Allowed if failures > rules.redeliveries_max => Some(Reason::RedeliveryLimit),
            Requeue::Allowed => None,
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ack => Outcome::Done,
            Verdict::Nack { delay, requeue } => Outcome::Failed(Failure { delay, requeue }),
        }
    }
}

impl Model {
    /// A delivery ends without an answer; what its client cannot have seen has not happened.
    pub(super) fn come_back(
        &mut self,
        open: Open,
        seat: Option<Seat>,
        outcome: Outcome,
        seen: u64,
    ) {
        if open.counter > seen
            && let What::Entry(id) = open.what
        {
            trace::count("return unseen");
            self.entry_mut(id).deliveries -= 1;
        }
        self.conclude(open.what, seat, outcome);
    }

    /// A delivery ends. Answers when that is durable.
    pub(super) fn conclude(&mut self, what: What, seat: Option<Seat>, outcome: Outcome) -> u64 {
        match what {
            What::Entry(id) => self.conclude_entry(id, outcome),
            What::Copy(copy) => self.conclude_copy(seat, *copy, outcome),
            What::Shown => 0,
        }
    }

    fn conclude_entry(&mut self, id: EntryId, outcome: Outcome) -> u64 {
        let entry = self.entry(id);
        assert_eq!(entry.whereabouts, Whereabouts::Held, "{id:?}");
        let ticket_if_stored = if entry.is_stored { self.ticket } else { 0 };
        let outcome = match outcome {
            Outcome::Done => {
                self.done_with(id, self.is_in_unit);
                self.set(id, Whereabouts::Gone);
                return ticket_if_stored;
            }
            _ if self.newer_value(entry) == Newer::Known => {
                trace::count("last value: replaced");
                self.set(id, Whereabouts::Gone);
                return ticket_if_stored;
            }
            outcome if self.newer_value(entry) == Newer::Perhaps => {
                self.doubt(id, outcome);
                return match outcome {
                    Outcome::Failed(_) => self.ticket,
                    _ => 0,
                };
            }
            outcome => outcome,
        };
        self.come_to_terms(id, outcome, ticket_if_stored)
    }

    /// It did not go for the sake of a newer one.
    pub(super) fn come_to_terms(
        &mut self,
        id: EntryId,
        outcome: Outcome,
        ticket_if_stored: u64,
    ) -> u64 {
        let ticket = self.take_back(id, outcome, ticket_if_stored);
        if self.entry(id).whereabouts.may_expire() {
            self.replace_values(id);
        }
        ticket
    }

    fn take_back(&mut self, id: EntryId, outcome: Outcome, ticket_if_stored: u64) -> u64 {
        let now = self.now;
        let failure = match outcome {
            Outcome::Done => unreachable!("it is done with"),
            _ if self.entry(id).is_expired(now) => {
                trace::count("expired on return");
                self.expire(id);
                return ticket_if_stored;
            }
            Outcome::Returned => {
                self.touched.insert(id);
                self.put(id);
                return 0;
            }
            Outcome::Broken => Failure {
                delay: Some(Duration::ZERO),
                requeue: Requeue::Allowed,
            },
            Outcome::Failed(failure) => failure,
        };
        if self.fail(id, failure) {
            self.ticket
        } else {
            ticket_if_stored
        }
    }

    /// Whether it becomes a dead letter.
    fn fail(&mut self, id: EntryId, failure: Failure) -> bool {
        let entry = self.entry_mut(id);
        entry.failures += 1;
        let (failures, queue, is_persistent) = (entry.failures, entry.queue, entry.is_persistent);
        let rules = self.queues[queue].rules;
        if let Some(reason) = failure.reason(failures, &rules) {
            let is_kept = is_persistent || rules.keeps_failed_non_persistent;
            trace::count(if is_kept {
                "failed: dead letter"
            } else {
                "failed: dropped"
            });
            if is_kept {
                self.bury(id, reason);
            } else {
                self.done_with(id, self.is_in_unit);
                self.set(id, Whereabouts::Gone);
            }
            return is_kept;
        }
        let delay = failure.delay.unwrap_or_else(|| rules.delay_after(failures));
        self.touched.insert(id);
        if delay.is_zero() {
            self.put(id);
        } else {
            self.put_off(id, self.now.uptime + delay);
        }
        false
    }

    fn put_off(&mut self, id: EntryId, due: Duration) {
        let entry = self.entry(id);
        let queue = entry.queue;
        let is_member = entry.facts.group.is_some() && !self.is_stranger(queue, entry);
        let holds = if self.exclusive(queue).is_some() || self.queues[queue].rules.holds_order {
            trace::count("redelivery held");
            Holds::Lane
        } else if is_member {
            trace::count("redelivery held within its group");
            Holds::Group
        } else {
            trace::count("redelivery delayed");
            return self.put_aside(id, due);
        };
        if holds == Holds::Lane && is_member {
            self.return_group(id);
        }
        let entry = self.entry_mut(id);
        entry.not_before = due;
        entry.holds = holds;
        self.put(id);
    }

    /// If nobody has a queue for itself any more, what holds it back waits aside, or with its group.
    pub(super) fn let_others_pass(&mut self, queue: QueueIndex) {
        if self.exclusive(queue).is_some() || self.queues[queue].rules.holds_order {
            return;
        }
        let now = self.now.uptime;
        let lanes = self.queues[queue].lanes.iter();
        let waiting = lanes.flat_map(|lane| lane.values()).filter(|id| {
            let entry = self.entry(**id);
            entry.holds == Holds::Lane && entry.not_before > now
        });
        for id in waiting.copied().collect::<Vec<_>>() {
            trace::count("redelivery held no more");
            self.take(id, Whereabouts::Held);
            let due = std::mem::take(&mut self.entry_mut(id).not_before);
            self.put_off(id, due);
        }
    }

    /// What waits out a delay with its group stands in its lane from now on, behind one of the group that holds its lane
    /// back.
    fn return_group(&mut self, id: EntryId) {
        let entry = self.entry(id);
        let group = entry.facts.group.as_ref().map(|group| &group.id);
        let lanes = self.queues[entry.queue].lanes.iter();
        let mates = lanes.flat_map(|lane| lane.values()).filter(|other| {
            let other = self.entry(**other);
            other.holds == Holds::Group
                && other.facts.group.as_ref().map(|group| &group.id) == group
        });
        for mate in mates.copied().collect::<Vec<_>>() {
            self.entry_mut(mate).holds = Holds::Lane;
        }
    }

    fn put_aside(&mut self, id: EntryId, due: Duration) {
        self.move_to(id, Whereabouts::Delayed(due));
        let entry = self.entry(id);
        if !entry.is_stored && entry.expires_ms != 0 {
            let fades = (entry.expires_ms, id);
            self.fading.insert(fades);
        }
        self.delayed.insert((due, id));
    }

    /// A message that is in no lane has expired.
    pub(super) fn expire(&mut self, id: EntryId) {
        let entry = self.entry(id);
        let rules = self.queues[entry.queue].rules;
        let is_kept = entry.is_persistent && rules.keeps_expired && rules.dead_letter.is_some();
        if is_kept {
            self.bury(id, Reason::Expired);
        } else {
            self.done_with(id, self.is_in_unit);
            self.set(id, Whereabouts::Gone);
        }
    }

    /// A message is to become a dead letter. Out of what a topic feeds nothing moves, since others have it too: the
    /// subscription has done with it, and its copy goes.
    fn bury(&mut self, id: EntryId, reason: Reason) {
        let entry = self.entry(id);
        let from = &self.queues[entry.queue];
        if from.lasting.is_none() {
            return self.set(id, Whereabouts::Burying(reason));
        }
        let origin = Rc::clone(&entry.origin);
        let grave = self.grave_of_topic(&origin);
        let entry = self.entry(id);
        let mut copy = Entry::new(Rc::clone(&entry.facts), origin, grave);
        copy.is_persistent = false;
        copy.is_stored = false;
        copy.deliveries = entry.deliveries;
        copy.is_uncertain = entry.is_uncertain;
        self.done_with(id, true);
        self.set(id, Whereabouts::Gone);
        let copy = self.add(copy);
        self.set(copy, Whereabouts::Burying(reason));
    }

    /// The dead-letter queue of an entry; a topic's copy was made for one.
    pub(super) fn grave_of(&self, id: EntryId) -> QueueIndex {
        let entry = self.entry(id);
        if entry.origin.contains("topic/") {
            return entry.queue;
        }
        let grave = self.queues[entry.queue].dead_letter;
        grave.expect("a queue with a dead-letter queue")
    }
}
