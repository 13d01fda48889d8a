//! What a turn leaves behind: the batch and the replies, each justified by what came in.

use std::collections::BTreeMap;
use std::time::Duration;

use stompbox_broker::core::port::{ConnectionId, Reply};
use stompbox_protocol::canonical;
use stompbox_store::{Append, Batch, DestinationKind, EntryKey, Move, Operation, Sequence};

use super::entry::{Entry, EntryId, Holds, Reason, Spot, Stored, Whereabouts, message_of};
use super::{Model, Promise};
use crate::trace;
use crate::wire::MessageId;

impl Model {
    /// The dispatcher has ended its turn.
    pub(crate) fn end_turn(
        &mut self,
        batch: Option<&Batch>,
        replies: &[(ConnectionId, Vec<Reply>)],
    ) {
        self.wake();
        self.wake_copies();
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
        self.end_turn_of_lasting();
        self.ticket += u64::from(batch.is_some());
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
            if self.entry(id).is_expired(self.now) {
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
            if !entry.whereabouts.may_expire() || entry.is_stored {
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

    fn operation(&mut self, operation: &Operation) {
        trace::note(|| format!("    ticket {}: {operation:?}", self.ticket));
        match operation {
            Operation::Create(record) if record.kind == DestinationKind::Topic => {
                let name = format!("/topic/{}", record.name);
                let before = self.topic_ids.insert(record.id, name.into());
                assert_eq!(before, None, "created twice");
            }
            Operation::Create(record) => {
                let queue = self.make_queue(&format!("/queue/{}", record.name));
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
            } => self.counted(Spot::Queue(*key), *deliveries, *failures),
            Operation::Move(change) => self.moved(change),
            Operation::Log(append) => self.logged(append),
            Operation::Subscribe(record) => self.subscribed(record),
            Operation::Unsubscribe(id) => self.unsubscribed(*id),
            Operation::Pass {
                subscription,
                sequence,
            } => self.passed(*subscription, *sequence..=*sequence),
            Operation::Floor {
                subscription,
                floor,
            } => self.passed(*subscription, Sequence(i64::MIN)..=*floor),
            Operation::LogCount {
                subscription,
                sequence,
                deliveries,
                failures,
            } => {
                let spot = Spot::Log(*subscription, *sequence);
                self.counted(spot, *deliveries, *failures);
            }
            Operation::Trim { .. } => trace::count("store: trim"),
            Operation::Schedule(_) | Operation::Reschedule { .. } | Operation::Unschedule(_) => {
                panic!("nobody scheduled anything")
            }
            Operation::Remember(_) => panic!("nobody sent an id"),
        }
    }

    fn owner(&self, spot: Spot) -> EntryId {
        match self.keys.get(&spot) {
            Some(id) => *id,
            None => panic!("{spot:?} is not in the store, or has left it already"),
        }
    }

    /// The store is told how often something was delivered and failed.
    pub(super) fn counted(&mut self, spot: Spot, deliveries: u32, failures: u32) {
        let id = self.owner(spot);
        let stored = Stored {
            spot,
            deliveries,
            failures,
        };
        self.remember(id, Some(stored));
    }

    /// The owner of a key that has a cause to lose it. Dead letters of one message in one queue look alike: of two that were
    /// handed out in the same turn it is not seen which went where, until one of them ends. Then they change places.
    fn owner_that(&mut self, key: Spot, has_cause: fn(Whereabouts) -> bool) -> EntryId {
        let id = self.owner(key);
        let entry = self.entry(id);
        if entry.whereabouts != Whereabouts::Held || entry.dead.is_none() {
            return id;
        }
        let twin = self.copies(entry.facts.id, |other| {
            has_cause(other.whereabouts)
                && (&other.origin, other.queue, other.dead)
                    == (&entry.origin, entry.queue, entry.dead)
                && other.stored().is_some()
        });
        let Some(twin) = twin.first().copied() else {
            return id;
        };
        trace::count("dead letters that look alike change places");
        let other = self.entry(twin).stored().expect("chosen so").spot;
        self.keys.insert(key, twin);
        self.keys.insert(other, id);
        let [one, two] = self
            .entries
            .get_disjoint_mut([id.0, twin.0])
            .expect("two entries");
        std::mem::swap(&mut one.order, &mut two.order);
        std::mem::swap(&mut one.arrived, &mut two.arrived);
        std::mem::swap(&mut one.visible_after, &mut two.visible_after);
        std::mem::swap(&mut one.history, &mut two.history);
        self.touched.extend([id, twin]);
        twin
    }

    pub(super) fn remember(&mut self, id: EntryId, stored: Option<Stored>) {
        let (ticket, committed) = (self.ticket, self.committed);
        let history = &mut self.entry_mut(id).history;
        history.retain(|(at, _)| *at != ticket);
        if let Some(durable) = history.iter().rposition(|(at, _)| *at <= committed) {
            history.drain(..durable);
        }
        history.push((ticket, stored));
        self.touched.insert(id);
    }

    fn appended(&mut self, append: &Append) {
        let message = message_of(append.payload.body());
        let queue = self.by_id[&append.key.destination];
        let lines = lines_of(&append.annotations);
        let origin = lines.get("original-destination");
        let choices = match origin {
            None => self.copies(message, |entry| {
                entry.queue == queue && entry.dead.is_none() && entry.stored().is_none()
            }),
            Some(origin) => self.dying(message, origin, &lines),
        };
        let Some(id) = choices.first().copied() else {
            panic!("{message:?} is stored already, or has no place in {queue}");
        };
        let spot = Spot::Queue(append.key);
        let stored = Stored {
            spot,
            deliveries: 0,
            failures: 0,
        };
        assert_eq!(self.keys.insert(spot, id), None, "a key was used twice");
        self.remember(id, Some(stored));
        let entry = self.entry(id);
        if origin.is_none() {
            trace::count("store: append");
            assert!(entry.is_persistent, "{message:?} is not to be stored");
            assert_eq!(usize::from(append.key.rank.0), entry.facts.rank);
            assert_eq!(append.expires_ms, entry.expires_ms);
            return;
        }
        trace::count("store: append of a dead letter");
        assert!(!entry.is_persistent);
        self.buried(id, append.key, append.expires_ms, &append.annotations);
    }

    /// Copies of a message that are to become a dead letter for the reason that this one gives. Of what a topic feeds
    /// one may have expired unseen.
    fn dying(
        &mut self,
        message: MessageId,
        origin: &str,
        lines: &BTreeMap<String, String>,
    ) -> Vec<EntryId> {
        let is_meant = |entry: &Entry| {
            let is_it = matches!(entry.whereabouts, Whereabouts::Burying(reason)
                if reason.as_str() == lines["dlq-reason"]);
            *entry.origin == *origin && is_it
        };
        let mut choices = self.copies(message, is_meant);
        let counts = |id: &EntryId| {
            let entry = self.entry(*id);
            !entry.is_uncertain && entry.deliveries.to_string() != lines["dlq-delivery-count"]
        };
        choices.sort_by_key(counts);
        if choices.is_empty() {
            choices.extend(self.expired_unseen(message, origin));
        }
        choices
    }

    fn settled(&mut self, key: EntryKey) {
        trace::count("store: settle");
        let key = Spot::Queue(key);
        let id = self.owner_that(key, Whereabouts::is_gone);
        self.keys.remove(&key);
        self.remember(id, None);
        let entry = self.entry(id);
        let rules = self.queues[entry.queue].rules;
        if entry.whereabouts == Whereabouts::Gone {
            return;
        }
        let may_go = entry.whereabouts.may_expire()
            && entry.is_expired(self.now)
            && !(rules.keeps_expired && rules.dead_letter.is_some());
        assert!(may_go, "{id:?} was settled without cause: {entry:?}");
        trace::count("expired: dropped");
        self.take(id, Whereabouts::Gone);
    }

    fn moved(&mut self, change: &Move) {
        trace::count("store: move");
        let from = Spot::Queue(change.from);
        let id = self.owner_that(from, Whereabouts::is_leaving);
        self.keys.remove(&from);
        let spot = Spot::Queue(change.to);
        assert_eq!(self.keys.insert(spot, id), None, "a key was used twice");
        let stored = Stored {
            spot,
            deliveries: 0,
            failures: 0,
        };
        self.remember(id, Some(stored));
        let entry = self.entry(id);
        let rules = self.queues[entry.queue].rules;
        if entry.whereabouts.may_expire() {
            let may_go = entry.is_expired(self.now) && rules.keeps_expired;
            assert!(may_go, "{id:?} was moved without cause: {entry:?}");
            trace::count("expired: dead letter");
            self.take(id, Whereabouts::Burying(Reason::Expired));
        }
        self.buried(id, change.to, change.expires_ms, &change.annotations);
    }

    fn buried(&mut self, id: EntryId, to: EntryKey, expires_ms: i64, annotations: &[u8]) {
        let entry = self.entry(id);
        let Whereabouts::Burying(reason) = entry.whereabouts else {
            panic!("{id:?} became a dead letter without cause: {entry:?}");
        };
        assert_eq!(entry.dead, None, "{id:?} became a dead letter twice");
        assert_eq!(expires_ms, 0, "a dead letter does not expire");
        assert_eq!(
            usize::from(to.rank.0),
            entry.facts.rank,
            "a dead letter keeps its priority"
        );
        let lines = lines_of(annotations);
        let origin = &*entry.origin;
        assert_eq!(lines["original-destination"], origin);
        assert_eq!(lines["dlq-reason"], reason.as_str());
        assert_eq!(lines["dlq-time"], self.now.wall_ms.to_string());
        if reason != Reason::Expired && !entry.is_uncertain {
            assert_eq!(lines["dlq-delivery-count"], entry.deliveries.to_string());
        }
        let queue = self.grave_of(id);
        assert_eq!(
            self.by_id.get(&to.destination),
            Some(&queue),
            "the wrong queue"
        );
        let (turn, ticket) = (self.turn, self.ticket);
        let entry = self.entry_mut(id);
        entry.dead = Some(reason);
        entry.queue = queue;
        entry.order = to.sequence.0;
        entry.rank = entry.facts.rank;
        entry.is_persistent = true;
        entry.is_stored = true;
        entry.expires_ms = 0;
        entry.deliveries = 0;
        entry.failures = 0;
        entry.is_uncertain = false;
        entry.visible_after = ticket;
        entry.not_before = Duration::ZERO;
        entry.holds = Holds::Lane;
        entry.arrived = turn;
        self.touched.insert(id);
        self.put(id);
    }

    fn reply(&mut self, connection: ConnectionId, reply: &Reply) {
        let committed = self.committed;
        match reply {
            Reply::Deliver(_) | Reply::BrowseEnd(_) => {}
            Reply::Duplicate { .. } => panic!("nobody repeats anything"),
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
            Reply::Block | Reply::Unblock => panic!("nobody is to be held back"),
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

fn lines_of(annotations: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    canonical::headers(annotations)
        .map(|(name, value)| (text(&name), text(&value)))
        .collect()
}
