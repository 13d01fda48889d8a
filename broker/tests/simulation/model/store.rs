//! What the store is asked for in a batch, each operation justified by what came in.

use std::collections::BTreeMap;
use std::time::Duration;

use stompbox_protocol::canonical;
use stompbox_store::{Append, DestinationKind, EntryKey, Move, Operation, Sequence};

use super::Model;
use super::entry::{Entry, EntryId, Holds, Reason, Spot, Stored, Whereabouts, message_of};
use crate::trace;

impl Model {
    pub(super) fn operation(&mut self, operation: &Operation) {
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
            Operation::Remove(id) => self.forgotten(*id),
            Operation::Append(append) => self.appended(append),
            Operation::Settle { key, .. } | Operation::Count { key, .. } if self.is_idle(*key) => {}
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
            Operation::Schedule(record) => self.booked(record),
            Operation::Reschedule {
                id,
                due_ms,
                repeats_left,
            } => self.rebooked(*id, Some((*due_ms, *repeats_left))),
            Operation::Unschedule(id) => self.rebooked(*id, None),
            Operation::Remember(record) => self.remembered(record),
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
        if self.is_told_again(spot) {
            return;
        }
        let id = self.owner_that(spot, |entry| {
            let is_delivered = entry.is_uncertain || entry.deliveries == deliveries;
            entry.failures == failures && is_delivered
        });
        let stored = Stored {
            spot,
            deliveries,
            failures,
        };
        self.remember(id, Some(stored));
    }

    /// The owner of a key that has a cause for what happens to it. Dead letters of one message in one queue look alike: of
    /// two that were handed out in the same turn it is not seen which went where, until one of them ends or fails. Then
    /// they change places.
    fn owner_that(&mut self, key: Spot, has_cause: impl Fn(&Entry) -> bool) -> EntryId {
        let id = self.owner(key);
        let entry = self.entry(id);
        if entry.dead.is_none() || has_cause(entry) {
            return id;
        }
        let twin = self.copies(entry.facts.id, |other| {
            has_cause(other)
                && (&other.origin, other.queue, other.dead)
                    == (&entry.origin, entry.queue, entry.dead)
                && other.facts.firing == entry.facts.firing
                && other.stored().is_some()
        });
        let Some(twin) = twin.first().copied() else {
            return id;
        };
        trace::count("dead letters that look alike change places");
        let other = self.entry(twin).stored().expect("chosen so").spot;
        self.keys.insert(key, twin);
        self.keys.insert(other, id);
        self.change_places(id, twin);
        self.touched.extend([id, twin]);
        twin
    }

    fn change_places(&mut self, one: EntryId, other: EntryId) {
        let both = [one, other];
        let waits = both.map(|id| self.entry(id).whereabouts == Whereabouts::Waiting);
        let queue = self.entry(one).queue;
        for id in both {
            let (rank, order) = self.entry(id).place();
            self.queues[queue].lanes[rank].remove(&order);
        }
        let [one, other] = self
            .entries
            .get_disjoint_mut([one.0, other.0])
            .expect("two entries");
        std::mem::swap(&mut one.order, &mut other.order);
        std::mem::swap(&mut one.arrived, &mut other.arrived);
        std::mem::swap(&mut one.visible_after, &mut other.visible_after);
        std::mem::swap(&mut one.history, &mut other.history);
        for (id, waits) in both.into_iter().zip(waits) {
            let (rank, order) = self.entry(id).place();
            if waits {
                self.queues[queue].lanes[rank].insert(order, id);
            }
        }
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
                let is_new = entry.arrived == self.turn && entry.stored().is_none();
                let is_it = is_new && self.may_be(entry, append.number);
                is_it && entry.queue == queue && entry.dead.is_none()
            }),
            Some(origin) => self.dying(append, origin, &lines),
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
        self.is_numbered(self.entry(id).facts.key(), append.number);
        let entry = self.entry(id);
        if origin.is_none() {
            trace::count("store: append");
            assert!(entry.is_persistent, "{message:?} is not to be stored");
            assert_eq!(usize::from(append.key.rank.0), entry.facts.rank);
            assert_eq!(append.expires_ms, entry.expires_ms);
            return;
        }
        trace::count("store: append of a dead letter");
        match self.entry(id).whereabouts {
            Whereabouts::Waiting | Whereabouts::Delayed(_) => {
                self.take(id, Whereabouts::Burying(Reason::Expired));
            }
            Whereabouts::Fading => self.move_to(id, Whereabouts::Burying(Reason::Expired)),
            _ => {}
        }
        let entry = self.entry(id);
        assert!(!entry.is_stored);
        self.buried(id, None, append.key, append.expires_ms, &append.annotations);
    }

    /// Copies of a message that are to become a dead letter for the reason that this one gives. Of what a topic feeds
    /// one may have expired unseen.
    fn dying(
        &mut self,
        append: &Append,
        origin: &str,
        lines: &BTreeMap<String, String>,
    ) -> Vec<EntryId> {
        let message = message_of(append.payload.body());
        let is_meant = |entry: &Entry| {
            let is_numbered = self.may_be(entry, append.number);
            let is_it = matches!(entry.whereabouts, Whereabouts::Burying(reason)
                if reason.as_str() == lines["dlq-reason"]);
            let dies_late = self.dies_unstored(entry) && lines["dlq-reason"] == "expired";
            *entry.origin == *origin && (is_it || dies_late) && is_numbered
        };
        let mut choices = self.copies(message, is_meant);
        let counts = |id: &EntryId| {
            let entry = self.entry(*id);
            !entry.is_uncertain && entry.deliveries.to_string() != lines["dlq-delivery-count"]
        };
        choices.sort_by_key(counts);
        if choices.is_empty() {
            choices.extend(self.expired_unseen(message, append.number, origin));
        }
        choices
    }

    fn settled(&mut self, key: EntryKey) {
        trace::count("store: settle");
        let key = Spot::Queue(key);
        let id = self.owner_that(key, |entry| entry.whereabouts.is_gone());
        self.keys.remove(&key);
        if let Spot::Queue(key) = key {
            self.note_settled(key, id);
        }
        self.remember(id, None);
        let entry = self.entry(id);
        let rules = self.queues[entry.queue].rules;
        if entry.whereabouts == Whereabouts::Gone || self.is_dropped(id) || self.is_replaced(id) {
            return;
        }
        let entry = self.entry(id);
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
        let id = self.owner_that(from, |entry| entry.whereabouts.is_leaving());
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
            let entry = self.entry(id);
            let expired = (entry.queue, entry.facts.bytes);
            self.expired_now.push(expired);
            self.take(id, Whereabouts::Burying(Reason::Expired));
        }
        let from = Some(change.from);
        self.buried(id, from, change.to, change.expires_ms, &change.annotations);
    }

    fn buried(
        &mut self,
        id: EntryId,
        from: Option<EntryKey>,
        to: EntryKey,
        expires_ms: i64,
        annotations: &[u8],
    ) {
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
        self.note_home(id, from, to, reason);
        let (turn, ticket) = (self.turn, self.ticket);
        let entry = self.entry_mut(id);
        entry.dead = Some(reason);
        entry.queue = queue;
        entry.order = to.sequence.0;
        entry.rank = entry.facts.rank;
        entry.is_persistent = true;
        entry.is_stored = true;
        entry.expires_ms = 0;
        entry.deliveries = entry.facts.deliveries_before;
        entry.failures = 0;
        entry.is_uncertain = false;
        entry.visible_after = ticket;
        entry.not_before = Duration::ZERO;
        entry.holds = Holds::Lane;
        entry.arrived = turn;
        self.touched.insert(id);
        self.put(id);
    }
}

fn lines_of(annotations: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    canonical::headers(annotations)
        .map(|(name, value)| (text(&name), text(&value)))
        .collect()
}
