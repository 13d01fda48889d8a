//! How far a durable subscription has come in its topic's log.
//!
//! Its queue holds in its first lane what it has taken notice of; the store keeps a *floor*, up to which it has done
//! with everything, and what it has done with above that. *Invariant*: the floor is never above a message that it has
//! not done with, and what it has done with is in the same batch as the floor or the exception that says so.

use std::collections::BTreeSet;
use std::sync::Arc;

use stompbox_store::{DestinationId, Operation, Sequence, SubscriptionId};

use super::identity::Identity;
use super::key::TopicKey;
use super::lane::Lane;
use crate::core::selector::Selector;

/// Messages that a subscription passes over because its selector does not match, before its floor says so.
const PASSED_OVER_MAX: u32 = 256;

/// What a durable subscription is in its topic's log.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) topic: TopicKey,
    /// The log.
    pub(super) log: DestinationId,
    pub(super) subscription: SubscriptionId,
    pub(super) identity: Identity,
    pub(super) selector: Option<Arc<Selector>>,
    /// Everything up to here is in the lane, on disk only or resident, or was taken out of it.
    pub(super) seen: Sequence,
    /// What the store was told.
    pub(super) floor: Sequence,
    /// Messages on disk only, as far as is known: after a start those count that it has done with.
    pub(super) unread: u64,
    /// Positions behind the first and up to the second came while it slept: `unread` counts them whether they are wanted or
    /// not, and others only if they are.
    pub(super) slept: (Sequence, Sequence),
    /// What the log's count was when `unread` was right.
    pub(super) counted: u64,
    /// Taken out of the lane, and not done with.
    out: BTreeSet<Sequence>,
    /// Done with in a batch that a full disk may refuse: the floor waits for it.
    passing: BTreeSet<Sequence>,
    /// Done with since the last batch.
    done: Vec<Sequence>,
    /// Passed over since the floor was told.
    passed_over: u32,
}

impl Cursor {
    /// One that has done with everything up to its floor.
    pub(super) fn new(
        topic: TopicKey,
        log: DestinationId,
        subscription: SubscriptionId,
        identity: Identity,
        selector: Option<Arc<Selector>>,
        floor: Sequence,
    ) -> Self {
        Self {
            topic,
            log,
            subscription,
            identity,
            selector,
            seen: floor,
            floor,
            unread: 0,
            slept: (floor, floor),
            counted: 0,
            out: BTreeSet::new(),
            passing: BTreeSet::new(),
            done: Vec::new(),
            passed_over: 0,
        }
    }

    /// A message was taken out of the lane.
    pub(super) fn took(&mut self, sequence: Sequence) {
        self.out.insert(sequence);
        self.passing.remove(&sequence);
    }

    /// It is in the lane again, or for good out of the subscription.
    pub(super) fn let_go(&mut self, sequence: Sequence) {
        self.out.remove(&sequence);
    }

    /// It has done with a message that was taken out.
    pub(super) fn done(&mut self, sequence: Sequence) {
        self.done.push(sequence);
    }

    /// The same in a batch that may be refused. Answers the operation that says so.
    pub(super) fn pass(&mut self, sequence: Sequence) -> Operation {
        self.out.insert(sequence);
        self.passing.insert(sequence);
        Operation::Pass {
            subscription: self.subscription,
            sequence,
        }
    }

    /// That batch is durable. Whether it still holds.
    pub(super) fn passed(&mut self, sequence: Sequence) -> bool {
        let held = self.passing.remove(&sequence);
        if held {
            self.out.remove(&sequence);
        }
        held
    }

    /// One more that the selector does not match. Whether the floor should be told.
    pub(super) fn passed_over(&mut self) -> bool {
        self.passed_over += 1;
        self.passed_over >= PASSED_OVER_MAX
    }

    /// What the store is to be told of what was done with since the last time: answers the former floor if it rises.
    pub(super) fn settle(
        &mut self,
        lane: &Lane,
        operations: &mut Vec<Operation>,
    ) -> Option<Sequence> {
        let subscription = self.subscription;
        let first = [self.out.first().copied(), lane.first()];
        let through = match first.into_iter().flatten().min() {
            Some(first) => Sequence(first.0 - 1),
            None => self.seen,
        };
        self.passed_over = 0;
        let above = self.done.drain(..).filter(|sequence| *sequence > through);
        operations.extend(above.map(|sequence| Operation::Pass {
            subscription,
            sequence,
        }));
        let before = self.floor;
        if through <= before {
            return None;
        }
        self.floor = through;
        operations.push(Operation::Floor {
            subscription,
            floor: through,
        });
        Some(before)
    }
}
