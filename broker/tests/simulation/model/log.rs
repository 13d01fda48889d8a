//! What topics feed to the subscriptions that last, and what the store is told of it: a log for all of them, and how far
//! each has come.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::rc::Rc;

use stompbox_store::{
    DestinationId, LogAppend, LogPageRequest, MessageNumber, PageId, Recovered, Sequence,
    SubscriptionId, SubscriptionRecord,
};

use super::entry::{Entry, EntryId, Facts, Reason, Spot, Stored, Whereabouts, message_of};
use super::{Model, QueueIndex};
use crate::catalogue::{is_among, is_topic_set};
use crate::policy::Rules;
use crate::trace;
use crate::wire::MessageId;

impl Model {
    fn fed_by(&self, topic: &str) -> Vec<QueueIndex> {
        let all = self.lasting.values().copied();
        all.filter(|queue| is_among(topic, &self.lasting_at(*queue).topic))
            .collect()
    }

    /// How many durable subscriptions a topic's messages are stored for.
    pub(super) fn durables_of(&self, topic: &str) -> usize {
        let fed = self.fed_by(topic).into_iter();
        let fed = fed.map(|queue| self.lasting_at(queue));
        fed.filter(|own| own.identity.is_durable()).count()
    }

    /// Whether a topic's messages are stored for somebody.
    pub(super) fn is_kept(&self, topic: &str) -> bool {
        self.durables_of(topic) > 0
    }

    /// One message to all subscriptions of a topic that last. Answers when that is durable.
    pub(super) fn feed_lasting(
        &mut self,
        topic: &str,
        facts: &Rc<Facts>,
        visible_after: u64,
    ) -> u64 {
        let mut ticket = 0;
        for queue in self.fed_by(topic) {
            let own = self.lasting_at(queue);
            let is_durable = own.identity.is_durable();
            if is_durable && facts.is_persistent {
                ticket = self.ticket;
            }
            let is_chosen = own.choice.is_none_or(|(_, chooses)| chooses(&facts.traits));
            let is_own = self.queues[queue].members.iter().any(|seat| {
                let live = self.subscription(*seat);
                seat.0 == facts.publisher && live.is_some_and(|live| live.no_local)
            });
            if is_own {
                trace::count("lasting: not heard by its own connection");
                self.is_unsettled = true;
                continue;
            }
            if is_chosen {
                self.feed(queue, topic, facts, visible_after);
            }
        }
        ticket
    }

    fn feed(&mut self, queue: QueueIndex, topic: &str, facts: &Rc<Facts>, visible_after: u64) {
        trace::count("lasting: fed");
        let own = self.lasting_at(queue);
        let (is_durable, opens_at) = (own.identity.is_durable(), own.made);
        if *own.topic != *topic {
            trace::count("lasting: fed by one of several");
        }
        let origin = topic.into();
        let is_persistent = is_durable && facts.is_persistent;
        let waits = self.queues[queue].rules.is_dispatched_when_durable && is_persistent;
        self.next_order += 1;
        let mut entry = Entry::new(Rc::clone(facts), origin, queue);
        entry.is_persistent = is_persistent;
        entry.is_stored = is_durable;
        if is_durable {
            entry.rank = 0;
        }
        entry.order = self.next_order;
        let visible_after = if waits { self.ticket } else { visible_after };
        entry.visible_after = visible_after.max(opens_at);
        entry.arrived = self.turn;
        let entry = self.add(entry);
        self.touched.insert(entry);
        self.put(entry);
    }

    /// The store is told of a new subscription.
    pub(super) fn subscribed(&mut self, record: &SubscriptionRecord) {
        trace::count("store: subscribe");
        let ticket = self.ticket;
        let topic = &self.topic_ids[&record.topic];
        let new = self
            .queues
            .iter_mut()
            .filter_map(|queue| queue.lasting.as_mut());
        let mut new = new
            .filter(|own| own.made == ticket && own.id.is_none() && *own.text == *record.identity);
        let Some(own) = new.next() else {
            panic!("nobody asked for {record:?}");
        };
        assert_eq!(own.topic, *topic, "{record:?}");
        let words = own.choice.map(|(words, _)| words);
        assert_eq!(record.selector.as_deref(), words, "{record:?}");
        own.id = Some(record.id);
    }

    fn queue_of(&self, subscription: SubscriptionId) -> QueueIndex {
        let is_it = |queue: &super::Queue| {
            let lasting = queue.lasting.as_ref();
            lasting.is_some_and(|own| own.id == Some(subscription))
        };
        let found = self.queues.iter().position(is_it);
        found.unwrap_or_else(|| panic!("{subscription:?} is not there"))
    }

    /// The store is told that a subscription is gone, and forgets what waits for it.
    pub(super) fn unsubscribed(&mut self, subscription: SubscriptionId) {
        trace::count("store: unsubscribe");
        let queue = self.queue_of(subscription);
        assert_eq!(
            self.lasting_at(queue).ended,
            Some(self.ticket),
            "nobody deleted {subscription:?}"
        );
        for id in self.take_spots(subscription, Sequence(i64::MIN)..=Sequence::MAX) {
            self.remember(id, None);
        }
    }

    /// Takes what the store has for a subscription at these positions.
    fn take_spots(
        &mut self,
        subscription: SubscriptionId,
        range: RangeInclusive<Sequence>,
    ) -> Vec<EntryId> {
        let at = |sequence: &Sequence| Spot::Log(subscription, *sequence);
        let range = at(range.start())..=at(range.end());
        let taken = self.keys.extract_if(range, |_, _| true);
        taken.map(|(_, id)| id).collect()
    }

    /// The store is told of a message, once for all durable subscriptions of its topic.
    pub(super) fn logged(&mut self, append: &LogAppend) {
        trace::count("store: log");
        let topic = Rc::clone(&self.topic_ids[&append.topic]);
        let message = message_of(append.payload.body());
        let is_copy = |entry: &Entry| {
            let lasting = self.queues[entry.queue].lasting.as_ref();
            let is_of_it =
                lasting.is_some_and(|own| own.topic == topic && own.identity.is_durable());
            is_of_it
                && entry.is_stored
                && entry.stored().is_none()
                && entry.whereabouts.may_expire()
                && self.may_be(entry, append.number)
        };
        // One that several of its topics were sent has a place for each, in their order.
        let mut met = BTreeSet::new();
        for id in self.copies(message, is_copy) {
            let entry = self.entry(id);
            if !met.insert(entry.queue) {
                continue;
            }
            assert_eq!(append.expires_ms, entry.expires_ms, "{message:?}");
            let own = self.lasting_at(entry.queue);
            let spot = Spot::Log(own.id.expect("told before"), append.sequence);
            assert_eq!(
                self.keys.insert(spot, id),
                None,
                "a position was used twice"
            );
            let stored = Stored {
                spot,
                deliveries: 0,
                failures: 0,
            };
            self.remember(id, Some(stored));
            self.is_numbered(self.entry(id).facts.key(), append.number);
        }
    }

    /// A subscription has done with these positions.
    pub(super) fn passed(&mut self, subscription: SubscriptionId, range: RangeInclusive<Sequence>) {
        trace::count("store: floor or exception");
        for id in self.take_spots(subscription, range) {
            self.remember(id, None);
            let entry = self.entry(id);
            if !entry.whereabouts.may_expire() || !entry.is_expired(self.now) {
                // What is still there must not have left the store: looked at when the turn ends.
                continue;
            }
            trace::count("lasting: expired unseen");
            if self.becomes_a_letter(entry) {
                let key = (entry.facts.id, entry.facts.firing, Rc::clone(&entry.origin));
                *self.expired_copies.entry(key).or_default() -= 1;
            }
            self.take(id, Whereabouts::Gone);
        }
    }

    fn becomes_a_letter(&self, entry: &Entry) -> bool {
        let rules = self.queues[entry.queue].rules;
        entry.is_persistent && rules.keeps_expired && rules.dead_letter.is_some()
    }

    /// The dead letter of a copy that has expired while it waited, and goes in the same batch.
    pub(super) fn expired_unseen(
        &mut self,
        message: MessageId,
        number: MessageNumber,
        topic: &str,
    ) -> Option<EntryId> {
        let expired = self.copies(message, |entry| {
            self.queues[entry.queue].lasting.is_some()
                && *entry.origin == *topic
                && entry.is_expired(self.now)
                && self.may_be(entry, number)
                && self.becomes_a_letter(entry)
        });
        // Of several firings that have expired the one of this number, where that is known.
        let is_other =
            |id: &EntryId| self.numbers.get(&self.entry(*id).facts.key()) != Some(&number);
        let first = self.entry(expired.into_iter().min_by_key(is_other)?);
        let (facts, origin) = (Rc::clone(&first.facts), Rc::clone(&first.origin));
        let queue = first.queue;
        let grave = self.grave_of_topic(&origin);
        let key = (message, facts.firing, Rc::clone(&origin));
        *self.expired_copies.entry(key).or_default() += 1;
        self.passing.push((self.ticket, queue));
        let mut letter = Entry::new(facts, origin, grave);
        letter.is_persistent = false;
        letter.is_stored = false;
        let letter = self.add(letter);
        self.move_to(letter, Whereabouts::Burying(Reason::Expired));
        Some(letter)
    }

    /// A durable subscription has done with a message that the store has.
    pub(super) fn done_with(&mut self, id: EntryId, is_in_unit: bool) {
        let queue = self.entry(id).queue;
        let is_durable = self.entry(id).is_stored && self.queues[queue].lasting.is_some();
        if is_durable && is_in_unit {
            self.passing.push((self.ticket, queue));
        } else if is_durable {
            self.is_unsettled = true;
        }
    }

    pub(super) fn passes_hold(&mut self, ticket: u64) {
        for (_, queue) in self.passing.extract_if(.., |(passed, _)| *passed <= ticket) {
            self.is_unsettled |= self.queues[queue].exists;
        }
    }

    /// A page of a log is asked for.
    pub(crate) fn log_asked_for(&mut self, request: &LogPageRequest) {
        self.log_pages.insert(request.id, request.subscription);
    }

    /// A page has come: what a durable subscription passes over in it is told the store.
    pub(crate) fn page_came(&mut self, id: PageId) {
        if let Some(subscription) = self.log_pages.remove(&id) {
            let queue = self.queue_of(subscription);
            self.is_unsettled |= self.queues[queue].exists;
        }
    }

    /// What a turn asked for them was in its batch.
    pub(super) fn end_turn_of_lasting(&mut self) {
        self.is_unsettled = false;
        self.expired_copies.retain(|_, letters| *letters > 0);
        let letters = &self.expired_copies;
        assert!(
            letters.is_empty(),
            "dead letters, and not gone: {letters:?}"
        );
        for queue in self.lasting.values() {
            let own = self.lasting_at(*queue);
            let is_stored = own.id.is_some() || !own.identity.is_durable();
            assert!(is_stored, "{} was not stored", own.text);
        }
        self.check_sets();
    }

    /// Those are there that were committed, and nothing is lost that they have not done with.
    pub(super) fn restart_lasting(&mut self, recovered: &Recovered) {
        self.lasting.clear();
        self.deserted.clear();
        self.expired_copies.clear();
        self.passing.clear();
        self.log_pages.clear();
        self.is_unsettled = false;
        let committed = self.committed;
        let mut expected = Vec::new();
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let Some(own) = &mut queue.lasting else {
                continue;
            };
            let has_ended = own.ended.is_some_and(|ended| ended <= committed);
            let lives = own.identity.is_durable() && own.made <= committed && !has_ended;
            own.made = 0;
            own.ended = (!lives).then_some(0);
            // The store may give its number to another.
            own.id = own.id.filter(|_| lives);
            queue.exists = lives;
            if lives {
                self.lasting.insert(own.text.clone(), index);
                expected.push((own.id, own.text.clone()));
            }
        }
        let found = recovered.subscriptions.iter();
        let mut found: Vec<_> = found
            .map(|record| (Some(record.id), record.identity.to_string()))
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "durable subscriptions after a restart");
        for (_, entry) in self.all() {
            let stored = entry.stored_at(committed);
            if let Some(Spot::Log(id, sequence)) = stored.map(|stored| stored.spot) {
                let mut records = recovered.subscriptions.iter();
                let record = records.find(|record| record.id == id);
                let floor = record.map(|record| record.floor);
                assert!(
                    floor.is_some_and(|floor| floor < sequence),
                    "{:?} is not done with, the floor is {floor:?}",
                    entry.facts.id
                );
            }
        }
    }

    /// Where the dead letters of a topic go, whoever failed them.
    pub(super) fn grave_of_topic(&mut self, topic: &str) -> QueueIndex {
        let rules = Rules::of(topic.strip_prefix("/topic/").unwrap_or(topic));
        let grave = rules.dead_letter.expect("a topic has a dead-letter queue");
        self.queue(&format!("/queue/{grave}"))
    }

    /// The store forgets a topic: a pattern or list that nobody is durably subscribed to.
    pub(super) fn forgotten(&mut self, id: DestinationId) {
        trace::count("store: pattern forgotten");
        let name = self.topic_ids.remove(&id);
        let name = name.unwrap_or_else(|| panic!("nobody asked to remove {id:?}"));
        assert!(is_topic_set(&name), "{name} is one topic");
        let mut own = self.lasting.values().map(|queue| self.lasting_at(*queue));
        // Who is subscribed to it later in the same turn has it made anew.
        let is_wanted = own.any(|own| own.topic == name && own.id.is_some());
        assert!(!is_wanted, "{name} is still wanted");
    }

    /// The store knows patterns and lists only while somebody is durably subscribed to them.
    fn check_sets(&self) {
        for name in self.topic_ids.values().filter(|name| is_topic_set(name)) {
            let mut own = self.lasting.values().map(|queue| self.lasting_at(*queue));
            let is_wanted = own.any(|own| own.topic == *name && own.identity.is_durable());
            assert!(is_wanted, "{name} is known, and nobody wants it");
        }
    }

    /// Where the store has an entry.
    pub(super) fn queue_at(&self, id: EntryId, spot: Spot) -> QueueIndex {
        match spot {
            Spot::Queue(key) => self.by_id[&key.destination],
            Spot::Log(..) => self.entry(id).queue,
        }
    }
}
