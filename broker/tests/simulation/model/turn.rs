//! What a turn leaves behind: the batch and the replies, each justified by what came in.

use stompbox_broker::core::port::{ConnectionId, Reply};
use stompbox_store::Batch;

use super::entry::{Stored, Whereabouts};
use super::{Model, Promise};
use crate::trace;

impl Model {
    /// The dispatcher has ended its turn.
    pub(crate) fn end_turn(
        &mut self,
        batch: Option<&Batch>,
        replies: &[(ConnectionId, Vec<Reply>)],
    ) {
        self.settle_doubts(batch);
        self.wake();
        self.wake_copies();
        self.pass_over_hung();
        self.part_from_deserted();
        if let Some(batch) = batch {
            for operation in &batch.operations {
                self.operation(operation);
            }
        }
        self.fade();
        self.check_deliveries(replies);
        for (connection, replies) in replies {
            for reply in replies {
                self.reply(*connection, reply);
            }
        }
        self.check_touched();
        self.check_room();
        self.check_slow();
        self.check_replaced();
        self.end_turn_of_lasting();
        self.end_turn_of_duplicates();
        self.end_turn_of_schedule();
        self.ticket += u64::from(batch.is_some());
        if batch.is_none() {
            // What a COMMIT of nothing but repeats would have waited for.
            let last = self.ticket - 1;
            for peer in self.peers.values_mut() {
                peer.last_ticket = peer.last_ticket.min(last);
                peer.may_close_after = peer.may_close_after.map(|after| after.min(last));
            }
        }
    }

    /// Redelivery delays that are over.
    fn wake(&mut self) {
        while let Some((due, id)) = self.delayed.first().copied()
            && due <= self.now.uptime
        {
            self.delayed.pop_first();
            if self.entry(id).whereabouts != Whereabouts::Delayed(due) {
                continue;
            }
            if let Some(reason) = self.awaited_burial(id) {
                match self.is_known_full() {
                    true => self.stay(id, reason),
                    false => self.bury(id, reason),
                }
            } else if self.entry(id).is_expired(self.now) && self.full.fills {
                // It may have been found expired before, when there was no room.
                self.put(id);
            } else if self.entry(id).is_expired(self.now) {
                self.expire(id);
            } else {
                self.put(id);
            }
        }
    }

    /// What was never stored and has expired may have gone. Until it could be seen it may also stay, and hold
    /// back what is behind it.
    fn fade(&mut self) {
        let mut unseen = Vec::new();
        while let Some((expires_ms, id)) = self.fading.first().copied()
            && expires_ms <= self.now.wall_ms
        {
            self.fading.pop_first();
            let entry = self.entry(id);
            if !entry.whereabouts.may_expire() || entry.is_stored || self.awaits_burial(id) {
                continue;
            }
            let is_delayed = entry.whereabouts != Whereabouts::Waiting;
            if is_delayed || self.is_in_sight(entry) {
                trace::count("expired, never stored");
                self.take(id, Whereabouts::Fading);
            } else {
                unseen.push((expires_ms, id));
            }
        }
        self.fading.extend(unseen);
    }

    fn reply(&mut self, connection: ConnectionId, reply: &Reply) {
        let committed = self.committed;
        match reply {
            Reply::Deliver(_) | Reply::BrowseEnd(_) => {}
            Reply::Duplicate { receipt, original } => {
                self.check_repeat(connection, receipt, *original);
            }
            Reply::Opened => trace::count("connection opened"),
            Reply::Unrouted(receipt) => {
                trace::count("temporary: gone");
                let owed = self.owed.remove(&(connection, receipt.0.to_vec()));
                assert_eq!(owed, Some(Promise::Unrouted), "{connection:?} {receipt:?}");
            }
            Reply::Receipt(receipt) => {
                let owed = self.owed.remove(&(connection, receipt.0.to_vec()));
                let Some(Promise::Durable(ticket)) = owed else {
                    panic!("a receipt that is not due: {connection:?} {receipt:?} {owed:?}");
                };
                assert!(
                    ticket <= committed,
                    "{receipt:?} promises ticket {ticket}, durable is {committed}"
                );
            }
            Reply::Refused(refusal) => {
                let peer = self.peers.get_mut(&connection).expect("a live connection");
                assert!(peer.must_be_refused, "refused without cause: {refusal:?}");
                peer.must_be_refused = false;
            }
            Reply::Close => {
                let after = self.peers[&connection].may_close_after;
                assert!(
                    after.is_some_and(|ticket| ticket <= committed),
                    "closed too early"
                );
            }
            Reply::Block => {
                trace::count("flow: held back");
                let peer = self.peer(connection);
                assert!(!peer.is_blocked, "{connection:?} is told twice");
                peer.is_blocked = true;
            }
            Reply::Unblock => {
                let peer = self.peer(connection);
                assert!(peer.is_blocked, "{connection:?} was not held back");
                peer.is_blocked = false;
            }
        }
    }

    /// Whatever happened to a message in this turn, the store was asked for it in the same batch.
    fn check_touched(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let entry = self.entry(id);
            let stored = entry.stored();
            let queue_of = |stored: Stored| (self.queue_at(id, stored.spot), stored.failures);
            match entry.whereabouts {
                Whereabouts::Gone | Whereabouts::Fading => {
                    assert_eq!(stored, None, "{id:?} is gone and stays in the store");
                }
                Whereabouts::Burying(reason) => {
                    panic!("{id:?} did not become a dead letter: {reason:?}");
                }
                Whereabouts::Waiting | Whereabouts::Delayed(_) | Whereabouts::Held => {
                    let known = stored.map(queue_of);
                    let expected = entry.is_stored.then_some((entry.queue, entry.failures));
                    assert_eq!(known, expected, "{id:?}: what the store knows of it");
                }
            }
        }
    }
}
