//! Subscriptions come and go: what they take from, which of it they choose, who is first.

use std::collections::BTreeSet;
use std::rc::Rc;

use stompbox_broker::core::destination::Pattern;
use stompbox_broker::core::dispatcher::Exclusivity;
use stompbox_broker::core::port::{
    AckMode, ConnectionId, Intent, Locality, Memory, Source, Subscribing, SubscriptionHandle,
};
use stompbox_store::DestinationKind;

use super::browse::Browse;
use super::entry::Facts;
use super::failure::Outcome;
use super::topic::Pending;
use super::visit::Key;
use super::{Model, Open, QueueIndex, Seat};
use crate::catalogue::{Choice, matches};
use crate::policy::PREFETCH_MAX;
use crate::trace;

/// What a subscription takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Name(Rc<str>),
    Pattern(String),
}

impl Origin {
    fn of(source: &Source) -> Self {
        match source {
            Source::One(name) => Self::Name(name.wire().into()),
            Source::Matching(pattern) => Self::Pattern(text_of(pattern)),
        }
    }

    pub(super) fn includes(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => **own == *name,
            Self::Pattern(pattern) => matches(pattern, name),
        }
    }
}

fn text_of(pattern: &Pattern) -> String {
    pattern.to_string()
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Ascends with every SUBSCRIBE.
    pub(super) age: u64,
    pub(super) origins: Vec<Origin>,
    pub(super) mode: AckMode,
    pub(super) prefetch: usize,
    /// Beyond so many bytes it is given no more.
    pub(super) bytes_max: usize,
    pub(super) choice: Option<Choice>,
    /// The messages that it names, if it does.
    pub(super) named: Option<BTreeSet<Key>>,
    pub(super) priority: i32,
    pub(super) is_exclusive: bool,
    pub(super) no_local: bool,
    /// How much of topics it wants kept for it.
    pub(super) pending_max: Option<usize>,
    pub(super) browse: Option<Browse>,
    /// What it consumes from if that is durable or shared.
    pub(super) lasting: Option<QueueIndex>,
    pub(super) open: Vec<Open>,
    /// Set while it is given nothing because it does not answer: what was taken back from it.
    pub(super) passed_over: Option<Vec<u64>>,
    pub(super) pending: Pending,
}

impl Subscription {
    /// What it holds, and what it is about to get.
    pub(super) fn out(&self) -> usize {
        self.open.len() + self.pending.sent.len()
    }

    /// Whether it may be given one more: if it holds nothing, however large.
    pub(super) fn has_room(&self) -> bool {
        let held: usize = self.open.iter().map(|open| open.bytes).sum();
        let sent = self.pending.sent.iter().map(|copy| copy.facts.bytes);
        let bytes = held + sent.sum::<usize>();
        let out = self.out();
        self.passed_over.is_none() && out < self.prefetch && (out == 0 || bytes < self.bytes_max)
    }

    /// How many more it is given in any case, if it has room.
    pub(super) fn surely_takes(&self) -> usize {
        match self.bytes_max {
            usize::MAX => self.prefetch - self.out(),
            _ => 1,
        }
    }

    pub(super) fn chooses(&self, facts: &Facts) -> bool {
        let is_named = |named: &BTreeSet<Key>| named.contains(&facts.key());
        self.named.as_ref().is_none_or(is_named)
            && self
                .choice
                .is_none_or(|(_, chooses)| chooses(&facts.traits))
    }

    /// Whether it wants this of a topic.
    pub(super) fn wants(&self, facts: &Facts, own: ConnectionId) -> bool {
        let is_own = self.no_local && facts.publisher == own;
        if is_own && self.chooses(facts) {
            trace::count("topic: not heard by its own connection");
        }
        !is_own && self.chooses(facts)
    }

    /// Whether it takes from a destination itself, and does not just look.
    pub(super) fn hears(&self, name: &str) -> bool {
        let takes = self.browse.is_none() && self.lasting.is_none();
        takes && self.origins.iter().any(|origin| origin.includes(name))
    }

    /// Whether it names a destination.
    pub(super) fn names(&self, name: &str) -> bool {
        let is_it = |origin: &Origin| matches!(origin, Origin::Name(own) if **own == *name);
        self.origins.iter().any(is_it)
    }

    /// Whether its deliveries are known until they are acknowledged: those of topics are not, where the hand-over does that.
    pub(super) fn keeps_deliveries(&self) -> bool {
        let is_queue = |origin: &Origin| match origin {
            Origin::Name(name) => name.contains("queue/"),
            Origin::Pattern(pattern) => pattern.starts_with("/queue/"),
        };
        let has_queues = self.lasting.is_some() || self.origins.iter().any(is_queue);
        self.mode != AckMode::Auto || (has_queues && self.browse.is_none())
    }

    /// The only place that it takes from.
    pub(super) fn only_origin(&self) -> Option<&Rc<str>> {
        match &self.origins[..] {
            [Origin::Name(name)] => Some(name),
            _ => None,
        }
    }
}

impl Model {
    pub(super) fn live(&mut self, (connection, handle): Seat) -> &mut Subscription {
        let live = self.peer(connection).subscriptions.get_mut(&handle);
        live.expect("a live subscription")
    }

    pub(super) fn subscribe(&mut self, connection: ConnectionId, subscribing: &Subscribing) {
        let is_strangers = subscribing.sources.iter().any(|source| match source {
            Source::One(name) if name.is_temporary() => {
                self.owner_of(name.wire()) != Some(connection)
            }
            Source::One(_) | Source::Matching(_) => false,
        });
        self.make_named(subscribing, connection);
        let browses = subscribing.intent == Intent::Browse;
        let is_of_one_queue = matches!(&subscribing.sources[..], [Source::One(name)]
            if name.kind() == DestinationKind::Queue);
        if is_strangers || (browses && !is_of_one_queue) {
            return self.refuse(connection);
        }
        let recalls = subscribing.memory == Memory::Retroactive && !browses;
        if recalls && subscribing.lasting.is_some() {
            return self.refuse(connection);
        }
        let lasting = match &subscribing.lasting {
            None => None,
            Some(lasting) => match self.lasting_of(connection, lasting, subscribing) {
                Some(queue) => Some(queue),
                None => return self.refuse(connection),
            },
        };
        self.next_age += 1;
        let origins: Vec<Origin> = subscribing.sources.iter().map(Origin::of).collect();
        let browse = browses.then(|| self.begin_browse(&origins, subscribing.selector.as_ref()));
        let (choice, named) = match lasting {
            Some(_) => (None, None),
            None => self.choice_for(subscribing.selector.as_ref()),
        };
        let made = Subscription {
            age: self.next_age,
            origins,
            mode: subscribing.mode,
            prefetch: subscribing
                .prefetch
                .messages
                .map_or(PREFETCH_MAX, |messages| PREFETCH_MAX.min(messages as usize)),
            bytes_max: subscribing.prefetch.bytes.unwrap_or(usize::MAX),
            choice,
            named,
            priority: subscribing.priority.0,
            is_exclusive: subscribing.exclusivity == Exclusivity::Exclusive,
            no_local: subscribing.locality == Locality::NoLocal,
            pending_max: subscribing.pending_max.map(|max| max as usize),
            browse,
            lasting,
            open: Vec::new(),
            passed_over: None,
            pending: Pending::default(),
        };
        let seat = (connection, subscribing.subscription);
        let subscriptions = &mut self.peer(connection).subscriptions;
        subscriptions.insert(subscribing.subscription, made);
        self.advise_named(seat);
        for index in 0..self.queues.len() {
            self.may_join(index, seat);
        }
        if recalls {
            self.recall(seat);
        }
        let opens_at = lasting.map_or(0, |queue| self.opens_at(queue));
        self.owe(connection, subscribing.receipt.as_ref(), opens_at);
    }

    /// A connection is answered by ERROR.
    pub(super) fn refuse(&mut self, connection: ConnectionId) {
        let peer = self.peer(connection);
        peer.is_open = false;
        peer.must_be_refused = true;
    }

    fn owner_of(&self, name: &str) -> Option<ConnectionId> {
        let queue = self.by_name.get(name).map(|queue| &self.queues[*queue]);
        let topic = self.topics.get(name);
        queue
            .filter(|queue| queue.exists)
            .and_then(|queue| queue.owner)
            .or_else(|| topic.and_then(|topic| topic.owner))
    }

    /// Destinations are made by naming them; a stranger's ends the list.
    fn make_named(&mut self, subscribing: &Subscribing, connection: ConnectionId) {
        for source in &subscribing.sources {
            let Source::One(name) = source else { continue };
            if name.is_temporary() {
                if self.owner_of(name.wire()) != Some(connection) {
                    return;
                }
            } else if name.kind() == DestinationKind::Queue {
                self.make_queue(name.wire());
            }
        }
    }

    /// A queue has come into being: whoever takes from a pattern that matches it joins.
    pub(super) fn welcome_patterns(&mut self, queue: QueueIndex) {
        let mut seats = self.seats();
        seats.sort_by_key(|seat| self.subscription(*seat).map(|live| live.age));
        for seat in seats {
            self.may_join(queue, seat);
        }
    }

    fn may_join(&mut self, index: QueueIndex, seat: Seat) {
        let queue = &self.queues[index];
        let live = self.subscription(seat);
        let joins = live.is_some_and(|live| live.hears(&queue.name) || live.lasting == Some(index));
        let chooses = live.is_some_and(|live| live.choice.is_some());
        if queue.exists && joins && !queue.members.contains(&seat) {
            self.queues[index].is_looked_into |= chooses;
            self.queues[index].members.push(seat);
            self.advise_joined(index);
            self.take_over_groups(index);
        }
    }

    /// Who has a queue for itself: of those that want it the one of the highest priority, of these the oldest.
    pub(super) fn exclusive(&self, queue: QueueIndex) -> Option<Seat> {
        let members = self.queues[queue].members.iter().copied();
        let wanting = members.filter_map(|seat| Some((seat, self.subscription(seat)?)));
        wanting
            .filter(|(_, live)| live.is_exclusive && live.passed_over.is_none())
            .min_by_key(|(_, live)| (std::cmp::Reverse(live.priority), live.age))
            .map(|(seat, _)| seat)
    }

    pub(super) fn unsubscribe(
        &mut self,
        connection: ConnectionId,
        handle: SubscriptionHandle,
        given: u64,
    ) {
        let peer = self.peer(connection);
        for claim in peer.transactions.values_mut().flatten() {
            if claim.subscription == Some(handle) {
                claim.subscription = None;
            }
        }
        for open in self.end_subscription((connection, handle), None) {
            self.come_back(open, None, Outcome::Returned, given);
        }
    }

    /// A subscription ends, which may be with a connection: answers what it held.
    pub(super) fn end_subscription(
        &mut self,
        seat: Seat,
        dying: Option<ConnectionId>,
    ) -> Vec<Open> {
        let places = self.places_of_consumer(seat);
        let indices = 0..self.queues.len();
        let had_owner: Vec<bool> = indices.map(|own| self.exclusive(own).is_some()).collect();
        let peer = self.peer(seat.0);
        let Some(mut gone) = peer.subscriptions.remove(&seat.1) else {
            return Vec::new();
        };
        let open = std::mem::take(&mut gone.open);
        self.deserted.extend(gone.lasting);
        let peer = self.peer(seat.0);
        peer.ended.insert(seat.1, gone);
        for queue in &mut self.queues {
            queue.members.retain(|member| *member != seat);
        }
        for (queue, had_owner) in had_owner.into_iter().enumerate() {
            self.release_groups(queue, |owner| owner == seat);
            self.take_over_groups(queue);
            if had_owner {
                self.let_others_pass(queue);
            }
        }
        self.advise_gone(&places, dying);
        self.let_go_on();
        open
    }
}
