//! What a turn leaves behind: the batch and the replies, each justified by what came in.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use stompbox_broker::core::port::{AckMode, ConnectionId, Delivery, Reply, SubscriptionHandle};
use stompbox_protocol::canonical;
use stompbox_store::{Append, Batch, EntryKey, Move, Operation};

use super::request::message_of;
use super::{Message, MessageId, Model, Open, QueueIndex, Reason, Stored, Whereabouts};
use crate::trace;

impl Model {
    /// The dispatcher has ended its turn.
    pub(crate) fn end_turn(
        &mut self,
        batch: Option<&Batch>,
        replies: &[(ConnectionId, Vec<Reply>)],
    ) {
        self.wake();
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
        self.ticket += u64::from(batch.is_some());
    }

    /// Redelivery delays that are over.
    fn wake(&mut self) {
        while let Some((due, id)) = self.delayed.first().copied()
            && due <= self.now.uptime
        {
            self.delayed.pop_first();
            if self.message(id).whereabouts != Whereabouts::Delayed(due) {
                continue;
            }
            if self.message(id).is_expired(self.now) {
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
            let message = self.message(id);
            if !message.whereabouts.may_expire() || message.is_persistent {
                continue;
            }
            let is_delayed = message.whereabouts != Whereabouts::Waiting;
            if is_delayed || self.is_in_sight(message) {
                trace::count("expired, never stored");
                self.take(id, Whereabouts::Fading);
            } else {
                unseen.push((expires_ms, id));
            }
        }
        self.fading.extend(unseen);
    }

    pub(super) fn is_in_sight(&self, message: &Message) -> bool {
        message.visible_after <= self.watermark && message.not_before <= self.now.uptime
    }

    fn operation(&mut self, operation: &Operation) {
        trace::note(|| format!("    ticket {}: {operation:?}", self.ticket));
        match operation {
            Operation::Create(record) => {
                let queue = self.queue(&record.name);
                self.by_id.insert(record.id, queue);
                assert_eq!(self.ids.insert(queue, record.id), None, "created twice");
            }
            Operation::Remove(_) => panic!("nobody asked to remove a queue"),
            Operation::Append(append) => self.appended(append),
            Operation::Settle { key, .. } => self.settled(*key),
            Operation::Count {
                key,
                deliveries,
                failures,
            } => {
                let id = self.owner(*key);
                let stored = Stored {
                    key: *key,
                    deliveries: *deliveries,
                    failures: *failures,
                };
                self.remember(id, Some(stored));
            }
            Operation::Move(change) => self.moved(change),
            Operation::Log(_)
            | Operation::Subscribe(_)
            | Operation::Unsubscribe(_)
            | Operation::Pass { .. }
            | Operation::Floor { .. }
            | Operation::LogCount { .. }
            | Operation::Trim { .. } => panic!("nobody subscribed durably"),
            Operation::Schedule(_) | Operation::Reschedule { .. } | Operation::Unschedule(_) => {
                panic!("nobody scheduled anything")
            }
            Operation::Remember(_) => panic!("nobody sent an id"),
        }
    }

    fn owner(&self, key: EntryKey) -> MessageId {
        match self.keys.get(&key) {
            Some(id) => *id,
            None => panic!("{key:?} is not in the store, or has left it already"),
        }
    }

    pub(super) fn remember(&mut self, id: MessageId, stored: Option<Stored>) {
        let (ticket, committed) = (self.ticket, self.committed);
        let history = &mut self.message_mut(id).history;
        history.retain(|(at, _)| *at != ticket);
        if let Some(durable) = history.iter().rposition(|(at, _)| *at <= committed) {
            history.drain(..durable);
        }
        history.push((ticket, stored));
        self.touched.insert(id);
    }

    fn appended(&mut self, append: &Append) {
        let id = message_of(append.payload.body());
        let stored = Stored {
            key: append.key,
            deliveries: 0,
            failures: 0,
        };
        assert_eq!(self.message(id).stored(), None, "{id:?} is stored already");
        assert_eq!(
            self.keys.insert(append.key, id),
            None,
            "a key was used twice"
        );
        self.remember(id, Some(stored));
        if append.annotations.is_empty() {
            trace::count("store: append");
            let message = self.message(id);
            assert!(message.is_persistent, "{id:?} is not to be stored");
            assert_eq!(self.by_id[&append.key.destination], message.queue);
            assert_eq!(usize::from(append.key.rank.0), message.rank);
            assert_eq!(append.expires_ms, message.expires_ms);
            return;
        }
        trace::count("store: append of a dead letter");
        assert!(!self.message(id).is_persistent);
        self.buried(id, append.key, append.expires_ms, &append.annotations);
    }

    fn settled(&mut self, key: EntryKey) {
        trace::count("store: settle");
        let id = self.owner(key);
        self.keys.remove(&key);
        self.remember(id, None);
        let message = self.message(id);
        let rules = self.queues[message.queue].rules;
        if message.whereabouts == Whereabouts::Gone {
            return;
        }
        let may_go = message.whereabouts.may_expire()
            && message.is_expired(self.now)
            && !(rules.keeps_expired && rules.dead_letter.is_some());
        assert!(may_go, "{id:?} was settled without cause: {message:?}");
        trace::count("expired: dropped");
        self.take(id, Whereabouts::Gone);
    }

    fn moved(&mut self, change: &Move) {
        trace::count("store: move");
        let id = self.owner(change.from);
        self.keys.remove(&change.from);
        assert_eq!(
            self.keys.insert(change.to, id),
            None,
            "a key was used twice"
        );
        let stored = Stored {
            key: change.to,
            deliveries: 0,
            failures: 0,
        };
        self.remember(id, Some(stored));
        let message = self.message(id);
        let rules = self.queues[message.queue].rules;
        if message.whereabouts.may_expire() {
            let may_go = message.is_expired(self.now) && rules.keeps_expired;
            assert!(may_go, "{id:?} was moved without cause: {message:?}");
            trace::count("expired: dead letter");
            self.take(id, Whereabouts::Burying(Reason::Expired));
        }
        self.buried(id, change.to, change.expires_ms, &change.annotations);
    }

    fn buried(&mut self, id: MessageId, to: EntryKey, expires_ms: i64, annotations: &[u8]) {
        let message = self.message(id);
        let Whereabouts::Burying(reason) = message.whereabouts else {
            panic!("{id:?} became a dead letter without cause: {message:?}");
        };
        assert_eq!(message.dead, None, "{id:?} became a dead letter twice");
        assert_eq!(expires_ms, 0, "a dead letter does not expire");
        assert_eq!(
            usize::from(to.rank.0),
            message.rank,
            "a dead letter keeps its priority"
        );
        let lines: BTreeMap<String, String> = canonical::headers(annotations)
            .map(|(name, value)| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                (text(&name), text(&value))
            })
            .collect();
        let origin = format!("/queue/{}", self.queues[message.queue].name);
        assert_eq!(lines["original-destination"], origin);
        assert_eq!(lines["dlq-reason"], reason.as_str());
        assert_eq!(lines["dlq-time"], self.now.wall_ms.to_string());
        if reason != Reason::Expired && !message.is_uncertain {
            assert_eq!(lines["dlq-delivery-count"], message.deliveries.to_string());
        }
        let queue = self.dead_letter_queue(message.queue);
        assert_eq!(
            self.by_id.get(&to.destination),
            Some(&queue),
            "the wrong queue"
        );
        let (turn, ticket) = (self.turn, self.ticket);
        let message = self.message_mut(id);
        message.dead = Some(reason);
        message.queue = queue;
        message.order = to.sequence.0;
        message.is_persistent = true;
        message.expires_ms = 0;
        message.deliveries = 0;
        message.failures = 0;
        message.is_uncertain = false;
        message.visible_after = ticket;
        message.not_before = Duration::ZERO;
        message.arrived = turn;
        self.touched.insert(id);
        self.put(id);
    }

    /// What was handed out is what stood first, and went to whose turn it was.
    fn check_deliveries(&mut self, replies: &[(ConnectionId, Vec<Reply>)]) {
        let mut handed: BTreeMap<QueueIndex, HashSet<MessageId>> = BTreeMap::new();
        let mut shares: BTreeMap<(ConnectionId, SubscriptionHandle), usize> = BTreeMap::new();
        for (connection, replies) in replies {
            for reply in replies {
                if let Reply::Deliver(delivery) = reply {
                    let id = message_of(delivery.message.body());
                    let handle = delivery.subscription;
                    let Some(live) = self.peers[connection].subscriptions.get(&handle) else {
                        panic!("{id:?} was handed to a subscription that has gone");
                    };
                    let queue = live.queue;
                    let is_new = handed.entry(queue).or_default().insert(id);
                    assert!(is_new, "{id:?} was handed out twice in a turn");
                    *shares.entry((*connection, handle)).or_default() += 1;
                }
            }
        }
        for (queue, handed) in &handed {
            self.check_order(*queue, handed);
            self.check_shares(*queue, &shares);
        }
        self.hand_over(replies);
    }

    fn check_order(&self, queue: QueueIndex, handed: &HashSet<MessageId>) {
        let mut found = 0;
        for lane in &self.queues[queue].lanes {
            let mut may_be_blocked = false;
            for id in lane.values() {
                let message = self.message(*id);
                let is_expired = message.is_expired(self.now);
                assert!(
                    !(is_expired && handed.contains(id)),
                    "{id:?} has expired and was handed out"
                );
                if !self.is_in_sight(message) {
                    assert!(!handed.contains(id), "{id:?} is not to be seen yet");
                    if !is_expired {
                        break;
                    }
                    may_be_blocked = true;
                }
                if is_expired {
                    continue;
                }
                if handed.contains(id) {
                    found += 1;
                } else if message.arrived == self.turn && message.dead.is_some() {
                    // It may have come after the queue was looked at.
                } else if found < handed.len() && !may_be_blocked {
                    let late: Vec<_> = handed.iter().collect();
                    panic!(
                        "{id:?} of {} was passed by some of {late:?}",
                        self.queues[queue].name
                    );
                }
                if found == handed.len() {
                    return;
                }
            }
        }
        let names: Vec<_> = handed
            .iter()
            .map(|id| (id, self.message(*id).whereabouts))
            .collect();
        assert_eq!(found, handed.len(), "handed out, but not ready: {names:?}");
    }

    fn check_shares(
        &self,
        queue: QueueIndex,
        shares: &BTreeMap<(ConnectionId, SubscriptionHandle), usize>,
    ) {
        let mut most = 0;
        let mut least_of_willing = usize::MAX;
        for (connection, peer) in &self.peers {
            for (handle, live) in &peer.subscriptions {
                if live.queue != queue {
                    continue;
                }
                let share = shares.get(&(*connection, *handle)).copied().unwrap_or(0);
                let out = live.open.len() + share;
                assert!(
                    out <= live.prefetch,
                    "{out} are out, prefetch is {}",
                    live.prefetch
                );
                most = most.max(share);
                if peer.is_open && out < live.prefetch {
                    least_of_willing = least_of_willing.min(share);
                }
            }
        }
        assert!(
            most <= least_of_willing.saturating_add(1),
            "one consumer got {most}, another with credit {least_of_willing}"
        );
    }

    fn hand_over(&mut self, replies: &[(ConnectionId, Vec<Reply>)]) {
        for (connection, replies) in replies {
            for reply in replies {
                if let Reply::Deliver(delivery) = reply {
                    self.delivered(*connection, delivery);
                }
            }
        }
    }

    fn delivered(&mut self, connection: ConnectionId, delivery: &Delivery) {
        let id = message_of(delivery.message.body());
        trace::note(|| {
            format!(
                "  deliver {}: {id:?} as {} in slot {}, delivery {}",
                connection.0, delivery.tag.counter.0, delivery.tag.slot, delivery.deliveries
            )
        });
        trace::count(if delivery.deliveries > 1 {
            "redelivery"
        } else {
            "first delivery"
        });
        self.take(id, Whereabouts::Held);
        let message = self.message_mut(id);
        if message.is_uncertain {
            assert!(
                delivery.deliveries >= 2,
                "{id:?} may have been delivered before the crash"
            );
            message.is_uncertain = false;
        } else {
            let expected = message.deliveries + 1;
            assert_eq!(
                delivery.deliveries, expected,
                "{id:?}: number of this delivery"
            );
        }
        message.deliveries = delivery.deliveries;
        assert_eq!(delivery.expires_ms, message.expires_ms, "{id:?}");
        assert_eq!(
            delivery.annotations.is_some(),
            message.dead.is_some(),
            "{id:?}"
        );
        assert_eq!(delivery.message.bytes(), message.bytes, "{id:?}");
        let number = *message.number.get_or_insert(delivery.number);
        assert_eq!(number, delivery.number, "{id:?} changed its number");
        let counter = delivery.tag.counter.0;
        let peer = self.peers.get_mut(&connection).expect("checked before");
        peer.last_counter += 1;
        assert_eq!(
            counter, peer.last_counter,
            "numbers of deliveries are dense"
        );
        let handle = delivery.subscription;
        let live = peer.subscriptions.get_mut(&handle).expect("checked before");
        live.open.push(Open {
            message: id,
            counter,
            slot: delivery.tag.slot,
            number,
        });
        if live.mode == AckMode::Auto {
            trace::count("auto delivery");
        }
    }

    fn reply(&mut self, connection: ConnectionId, reply: &Reply) {
        let committed = self.committed;
        match reply {
            Reply::Deliver(_) => {}
            Reply::Unrouted(_) => panic!("no queue goes away"),
            Reply::Duplicate { .. } => panic!("nobody repeats anything"),
            Reply::BrowseEnd(_) => panic!("nobody browses"),
            Reply::Opened => trace::count("connection opened"),
            Reply::Receipt(receipt) => {
                let owed = self.owed.remove(&(connection, receipt.0.to_vec()));
                let Some(ticket) = owed else {
                    panic!("a receipt that is not due: {connection:?} {receipt:?}");
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
            Reply::Block | Reply::Unblock => panic!("nobody is to be held back"),
        }
    }

    /// Whatever happened to a message in this turn, the store was asked for it in the same batch.
    fn check_touched(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let message = self.message(id);
            let stored = message.stored();
            match message.whereabouts {
                Whereabouts::Gone | Whereabouts::Fading => {
                    assert_eq!(stored, None, "{id:?} is gone and stays in the store");
                }
                Whereabouts::Burying(reason) => {
                    panic!("{id:?} did not become a dead letter: {reason:?}");
                }
                Whereabouts::Waiting | Whereabouts::Delayed(_) | Whereabouts::Held => {
                    let known =
                        stored.map(|stored| (self.by_id[&stored.key.destination], stored.failures));
                    let expected = message
                        .is_persistent
                        .then_some((message.queue, message.failures));
                    assert_eq!(known, expected, "{id:?}: what the store knows of it");
                }
            }
        }
    }
}
