//! Advisories: what must be told of what has happened, and to whom, with its counts.
//!
//! What a turn tells is published when it ends, to all that hear it by then, if anybody did when it happened. In which
//! order a turn's events are told is not foretold.

use std::collections::VecDeque;
use std::rc::Rc;

use stompbox_broker::core::message::Publication;
use stompbox_broker::core::port::{ConnectionId, Delivery};
use stompbox_protocol::canonical;

use super::consume::Origin;
use super::schedule::MANAGEMENT;
use super::topic::Copy;
use super::{Model, QueueIndex, Seat};
use crate::catalogue::{is_among, is_topic_set};
use crate::trace;

const PREFIX: &str = "/topic/ActiveMQ.Advisory.";

/// Whether a name, with its prefix, is that of an advisory topic.
pub(super) fn is_advisory(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// What an advisory says, beside other things.
pub(super) type Fact = (&'static str, String);

/// Something that is told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    topic: String,
    facts: Vec<Fact>,
    /// Whether it is told in any case.
    is_certain: bool,
}

/// What a listener has to be told yet, turn by turn.
pub(super) type Untold = VecDeque<Vec<Told>>;

/// `Queue.NAME` or `Topic.NAME`; none of what nothing is told about.
fn ending(name: &str) -> Option<String> {
    if is_advisory(name) || is_topic_set(name) {
        return None;
    }
    let queue = name
        .strip_prefix("/queue/")
        .map(|name| format!("Queue.{name}"));
    queue.or_else(|| Some(format!("Topic.{}", name.strip_prefix("/topic/")?)))
}

/// As ActiveMQ writes it.
fn qualified(name: &str) -> String {
    let (kind, name) = name[1..].split_once('/').expect("a prefix");
    format!("{kind}://{name}")
}

impl Model {
    /// Tells on `ActiveMQ.Advisory.WHAT.KIND.NAME`. Of subscriptions that end together it is not known which one went
    /// first: who hears it may be gone.
    fn advise(
        &mut self,
        what: &str,
        about: &str,
        mut facts: Vec<Fact>,
        dying: Option<ConnectionId>,
    ) {
        if let Some(ending) = ending(about) {
            facts.push(("originalDestination", qualified(about)));
            self.tell(format!("{PREFIX}{what}.{ending}"), facts, dying);
        }
    }

    fn tell(&mut self, topic: String, facts: Vec<Fact>, dying: Option<ConnectionId>) {
        let seats = self.seats().into_iter();
        let hearing = seats.filter(|seat| {
            self.subscription(*seat)
                .is_some_and(|live| live.hears(&topic))
        });
        let hearing: Vec<Seat> = hearing.collect();
        let heard_it = |peer: &super::Peer| peer.ended.values().any(|live| live.hears(&topic));
        let may_have_heard = dying.is_some_and(|dying| heard_it(&self.peers[&dying]));
        if hearing.is_empty() && !may_have_heard {
            return;
        }
        let is_certain = hearing
            .iter()
            .any(|(connection, _)| Some(*connection) != dying);
        trace::note(|| format!("  to be told: {topic} {facts:?}"));
        self.told.push(Told {
            topic,
            facts,
            is_certain,
        });
    }

    pub(super) fn advise_connection(&mut self, connection: ConnectionId, event: &'static str) {
        let peer = &self.peers[&connection];
        let mut facts = vec![
            ("event", event.to_owned()),
            ("connectionId", peer.session.clone()),
        ];
        facts.extend(
            peer.client_id
                .as_deref()
                .map(|id| ("clientId", id.to_owned())),
        );
        self.tell(format!("{PREFIX}Connection"), facts, None);
    }

    /// A subscription takes from a queue, which may be that of a durable or shared one.
    pub(super) fn advise_joined(&mut self, queue: QueueIndex) {
        let name = self.consumed_from(queue);
        self.advise_consumer(&name, "start", None);
    }

    fn consumed_from(&self, queue: QueueIndex) -> Rc<str> {
        let own = &self.queues[queue];
        match &own.lasting {
            Some(lasting) => Rc::clone(&lasting.topic),
            None => Rc::clone(&own.name),
        }
    }

    /// A subscription has named topics.
    pub(super) fn advise_named(&mut self, seat: Seat) {
        for name in self.named_topics(seat) {
            self.advise_consumer(&name, "start", None);
        }
    }

    pub(super) fn named_topics(&self, seat: Seat) -> Vec<Rc<str>> {
        let Some(live) = self.subscription(seat) else {
            return Vec::new();
        };
        let names = live.origins.iter().filter_map(|origin| match origin {
            Origin::Name(name) if name.starts_with("/topic/") => Some(Rc::clone(name)),
            Origin::Name(_) | Origin::Pattern(_) => None,
        });
        match live.lasting {
            Some(_) => Vec::new(),
            None => names.collect(),
        }
    }

    /// What a subscription takes from, to be told when it has gone.
    pub(super) fn places_of_consumer(&self, seat: Seat) -> Vec<Rc<str>> {
        let all = 0..self.queues.len();
        let own = all.filter(|queue| self.queues[*queue].members.contains(&seat));
        let queues = own.map(|queue| self.consumed_from(queue));
        queues.chain(self.named_topics(seat)).collect()
    }

    /// A subscription is gone, by itself or with its connection.
    pub(super) fn advise_gone(&mut self, places: &[Rc<str>], dying: Option<ConnectionId>) {
        for name in places {
            self.advise_consumer(name, "stop", dying);
        }
    }

    fn advise_consumer(&mut self, name: &Rc<str>, event: &str, dying: Option<ConnectionId>) {
        let mut facts = vec![("event", event.to_owned())];
        if !dying.is_some_and(|dying| self.heard_by_pattern(name, dying)) {
            facts.push(("consumerCount", self.consumers_of(name).to_string()));
        }
        self.advise("Consumer", name, facts, dying);
    }

    /// Whether a subscription to a pattern, which is counted and not told, is among those that end with a connection:
    /// which of them goes first is not known.
    fn heard_by_pattern(&self, name: &str, dying: ConnectionId) -> bool {
        let peer = &self.peers[&dying];
        let mut all = peer.subscriptions.values().chain(peer.ended.values());
        all.any(|live| {
            let set = live.lasting.map(|queue| self.consumed_from(queue));
            let is_counted = set.is_some_and(|set| is_topic_set(&set) && is_among(name, &set));
            is_counted || (live.hears(name) && !live.names(name))
        })
    }

    fn consumers_of(&self, name: &str) -> usize {
        if let Some(queue) = self.by_name.get(name) {
            return self.queues[*queue].members.len();
        }
        let all = self
            .peers
            .values()
            .flat_map(|peer| peer.subscriptions.values());
        let hearing = all.filter(|live| live.hears(name)).count();
        let lasting = self.queues.iter().filter(|queue| {
            let topic = queue.lasting.as_ref().map(|lasting| &*lasting.topic);
            topic.is_some_and(|topic| is_among(name, topic))
        });
        hearing + lasting.map(|queue| queue.members.len()).sum::<usize>()
    }

    /// A connection sends to these.
    pub(super) fn note_producer(&mut self, connection: ConnectionId, sent: &Publication) {
        for name in sent.target.names() {
            let name: Rc<str> = name.wire().into();
            if name.contains("temp-") || *name == *MANAGEMENT {
                continue;
            }
            if self.peer(connection).produced.insert(Rc::clone(&name)) {
                self.advise_producer(&name, "start");
            }
        }
    }

    pub(super) fn end_producer(&mut self, connection: ConnectionId) {
        for name in std::mem::take(&mut self.peer(connection).produced) {
            self.advise_producer(&name, "stop");
        }
    }

    fn advise_producer(&mut self, name: &Rc<str>, event: &str) {
        let producers = self
            .peers
            .values()
            .filter(|peer| peer.produced.contains(name));
        let facts = vec![
            ("event", event.to_owned()),
            ("producerCount", producers.count().to_string()),
        ];
        self.advise("Producer", name, facts, None);
    }

    fn consumer_id(&self, (connection, handle): Seat) -> Fact {
        let session = &self.peers[&connection].session;
        ("consumerId", format!("{session}:{}", handle.0))
    }

    /// A message was dropped for a subscription that does not keep up.
    pub(super) fn advise_discarded(&mut self, seat: Seat, copy: &Copy) {
        let pending = &mut self.live(seat).pending;
        pending.discarded += 1;
        let count = ("discardedCount", pending.discarded.to_string());
        let facts = vec![self.consumer_id(seat), count];
        self.advise("MessageDiscarded", &copy.topic, facts, None);
    }

    pub(super) fn advise_slow(&mut self, topic: &str, seat: Seat, usage: &str) {
        let facts = vec![self.consumer_id(seat), ("usageName", usage.to_owned())];
        self.advise("SlowConsumer", topic, facts, None);
    }

    /// Something else became of one message of a topic.
    pub(super) fn advise_message(&mut self, what: &str, topic: &str) {
        self.advise(what, topic, Vec::new(), None);
    }

    /// A message of a topic found nobody who listens.
    pub(super) fn advise_no_consumer(&mut self, topic: &str) {
        if self.consumers_of(topic) == 0
            && self.consumer_queues_of(topic).is_empty()
            && !self.has_fed(topic)
        {
            self.advise_message("NoConsumer", topic);
        }
    }

    /// Whether a durable or shared subscription takes from a topic, or has.
    fn has_fed(&self, topic: &str) -> bool {
        let mut lasting = self
            .queues
            .iter()
            .filter_map(|queue| queue.lasting.as_ref());
        lasting.any(|lasting| is_among(topic, &lasting.topic))
    }

    /// The turn ends: who hears by now is told.
    pub(super) fn publish_advisories(&mut self) {
        let told = std::mem::take(&mut self.told);
        for seat in self.seats() {
            let live = self.live(seat);
            let own = told.iter().filter(|told| live.hears(&told.topic));
            let own: Vec<Told> = own.cloned().collect();
            if !own.is_empty() && self.peers[&seat.0].is_open {
                self.live(seat).pending.untold.push_back(own);
            }
        }
    }

    /// A listener hears an advisory.
    pub(super) fn advisory_came(&mut self, seat: Seat, name: &str, delivery: &Delivery) {
        trace::count("advisory");
        let head = delivery.message.head();
        let says = |(fact, value): &Fact| {
            let said = canonical::find(head, fact.as_bytes());
            said.as_deref() == Some(value.as_bytes())
        };
        let is_it = |told: &Told| told.topic == *name && told.facts.iter().all(says);
        let may_come_unasked = self.may_come_unasked(name);
        let Some(live) = self.peer(seat.0).subscriptions.get_mut(&seat.1) else {
            return;
        };
        let untold = &mut live.pending.untold;
        let is_sure = |told: &Vec<Told>| told.iter().any(|told| told.is_certain);
        let next = untold.iter().position(is_sure);
        let last = next.map_or(untold.len(), |next| next + 1);
        for turn in 0..last {
            let found = untold[turn]
                .iter()
                .enumerate()
                .filter(|(_, told)| is_it(told));
            if let Some((at, _)) = found.max_by_key(|(_, told)| told.facts.len()) {
                trace::count(kind_of(name));
                untold[turn].remove(at);
                untold.drain(..turn);
                return;
            }
        }
        let first = next.map(|next| &untold[next]);
        let said = String::from_utf8_lossy(head);
        assert!(
            may_come_unasked,
            "{seat:?} is told {name} {said:?}, and first {first:?}"
        );
    }

    /// Advisories that are not foretold: what is made and what is held back, and what comes of queues, where it is not
    /// known when something expires that was never stored. Durable and shared subscriptions are queues, too.
    fn may_come_unasked(&self, name: &str) -> bool {
        let name = &name[PREFIX.len()..];
        let (what, about) = name.split_once('.').unwrap_or((name, ""));
        match what {
            "Queue" | "Topic" | "TempQueue" | "TempTopic" | "FULL" | "MessageDLQd" => true,
            "Expired" | "MessageDiscarded" | "NoConsumer" => match about.strip_prefix("Topic.") {
                Some(topic) => self.has_fed(&format!("/topic/{topic}")),
                None => true,
            },
            _ => false,
        }
    }

    /// At the end of a turn: who has credit has been told everything.
    pub(super) fn check_told(&self) {
        for seat in self.seats() {
            let live = self.subscription(seat).expect("a live subscription");
            if !self.has_credit(seat) {
                continue;
            }
            let mut lost = live
                .pending
                .untold
                .iter()
                .flatten()
                .filter(|told| told.is_certain);
            let lost = lost.next();
            assert!(lost.is_none(), "{seat:?} was not told {lost:?}");
        }
    }
}

/// What an advisory is counted as.
fn kind_of(name: &str) -> &'static str {
    let name = &name[PREFIX.len()..];
    match name.split_once('.').map_or(name, |(what, _)| what) {
        "Connection" => "advisory: connection",
        "Consumer" => "advisory: consumer",
        "Producer" => "advisory: producer",
        "MessageDiscarded" => "advisory: discarded",
        "SlowConsumer" => "advisory: slow consumer",
        "Expired" => "advisory: expired",
        "NoConsumer" => "advisory: no consumer",
        _ => "advisory: another",
    }
}
