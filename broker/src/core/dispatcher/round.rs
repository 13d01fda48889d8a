//! The consumers of a queue that have credit, in the order of their turns.
//!
//! A consumer that ends leaves its seat behind, and another subscription may get its key: a seat counts only while the
//! subscription that took it lives. *Invariant*: empty seats are never more than those that count, or than
//! [`VACANT_MAX`], so that leaving costs the same however many others there are.

use std::collections::VecDeque;

use slab::Slab;

use super::key::SubscriptionKey;
use super::subscription::{Serial, Subscription};

/// So many empty seats are not worth a look.
const VACANT_MAX: usize = 16;

/// The seats.
#[derive(Debug, Default)]
pub(super) struct Round {
    seats: VecDeque<(SubscriptionKey, Serial)>,
    vacant: usize,
}

impl Round {
    /// A consumer takes the last seat.
    pub(super) fn join(&mut self, key: SubscriptionKey, serial: Serial) {
        self.seats.push_back((key, serial));
    }

    /// A consumer that had a seat has ended; it is no longer among `subscriptions`.
    pub(super) fn left(&mut self, subscriptions: &Slab<Subscription>) {
        self.vacant += 1;
        if self.vacant > VACANT_MAX && self.vacant > self.seats.len() / 2 {
            self.seats.retain(|(key, serial)| {
                let taken = subscriptions.get(key.0);
                taken.is_some_and(|subscription| subscription.serial == *serial)
            });
            self.vacant = 0;
        }
    }

    /// The consumer whose turn it is; those without credit leave the round.
    pub(super) fn next(
        &mut self,
        subscriptions: &mut Slab<Subscription>,
    ) -> Option<SubscriptionKey> {
        while let Some(&(key, serial)) = self.seats.front() {
            match subscriptions.get_mut(key.0) {
                Some(subscription) if subscription.serial == serial => {
                    if subscription.credit.is_left() {
                        return Some(key);
                    }
                    subscription.queued = false;
                }
                Some(_) | None => self.vacant -= 1,
            }
            self.seats.pop_front();
        }
        None
    }

    /// Whose turn it was is the last now.
    pub(super) fn pass_on(&mut self) {
        self.seats.rotate_left(1);
    }
}
