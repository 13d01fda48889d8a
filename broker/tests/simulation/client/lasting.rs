//! Durable and shared subscriptions: made, found again, changed and deleted.

use stompbox_protocol::Command;

use super::subscribe::Wishes;
use super::{Asked, Client, Draft, Mode};
use crate::catalogue::{SELECTORS, SUBSCRIPTION_NAMES, is_topic_set, parts_of_topics};
use crate::identity::{Form, Identity};
use crate::random::Random;
use crate::trace;

impl Client {
    pub(super) fn subscribe_lasting(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        let identity = self.some_identity(random);
        let id = match identity.form {
            Form::ById => identity.name.clone(),
            _ => self.fresh("s"),
        };
        if self.lasting.contains_key(&id) {
            // What comes for the former could not be told from what comes for this one.
            return;
        }
        trace::count(match identity.form {
            Form::Durable => "op: SUBSCRIBE durable",
            Form::SharedDurable => "op: SUBSCRIBE durable and shared",
            Form::ById => "op: SUBSCRIBE durable by id",
            Form::Shared => "op: SUBSCRIBE shared",
        });
        if is_topic_set(&identity.topic) {
            trace::count(match parts_of_topics(&identity.topic).count() {
                1 => "op: SUBSCRIBE durable to a pattern",
                _ => "op: SUBSCRIBE durable to several",
            });
        }
        let mut wishes = Wishes::default();
        wishes.wish_prefetch(self.appetite.taste.prefetch, random);
        self.wish_order(&mut wishes, random);
        // Which is refused.
        let forgets = usize::from(self.appetite.taste.retroactive > 0);
        self.wish_memory(&mut wishes, forgets, random);
        if let Some(selector) = self.own_selector(&identity, random) {
            wishes.headers.push(("selector", selector.to_owned()));
        }
        let may_not_hear = if identity.is_shared() { 1 } else { 20 };
        if self.appetite.taste.no_local > 0 && random.percent(may_not_hear) {
            wishes.headers.push(("no-local", "true".to_owned()));
        }
        wishes.headers.extend(identity.headers());
        let mut destination = identity.destination(random);
        if !wishes.options.is_empty() {
            destination = format!("{destination}?{}", wishes.options.join("&"));
        }
        let mode = Mode::any(random);
        let mut draft = self.subscription(id.clone(), &destination, mode);
        self.limit_latest(wishes.limit);
        for (name, value) in wishes.headers {
            draft = draft.with(name, value);
        }
        // It may be in use, here or elsewhere.
        self.may_be_refused = true;
        self.lasting.insert(id, identity);
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }

    fn some_identity(&self, random: &mut Random) -> Identity {
        let palette = &self.appetite.taste.palette;
        let form = match random.below(10) {
            0..4 if self.client_id.is_some() || random.percent(5) => Form::Durable,
            0..7 => Form::SharedDurable,
            7 => Form::ById,
            _ => Form::Shared,
        };
        let topics: Vec<&str> = palette
            .sets
            .iter()
            .chain(&palette.topics)
            .copied()
            .collect();
        let at = random.below(SUBSCRIPTION_NAMES.len());
        // Mostly each name has its topic: one that changes is made anew.
        let topic = match random.percent(90) {
            true => at % topics.len(),
            false => random.below(topics.len()),
        };
        // A connection has each `id` once, and several topics may have a subscription of one name.
        let name = match form {
            Form::ById => format!("{}-{topic}", SUBSCRIPTION_NAMES[at]),
            _ => SUBSCRIPTION_NAMES[at].to_owned(),
        };
        Identity {
            form,
            owner: self.client_id.map(str::to_owned),
            name,
            topic: topics[topic].to_owned(),
        }
    }

    /// Mostly that of the name.
    fn own_selector(&self, identity: &Identity, random: &mut Random) -> Option<&'static str> {
        if random.percent(8) {
            trace::count("op: SUBSCRIBE durable changed");
            return random
                .percent(50)
                .then(|| SELECTORS[random.below(SELECTORS.len())].0);
        }
        let chooses = self.appetite.taste.selector > 0 && identity.name == SUBSCRIPTION_NAMES[1];
        chooses.then_some(SELECTORS[2].0)
    }

    /// UNSUBSCRIBE deletes it with its headers.
    pub(super) fn may_delete(&mut self, id: &str, draft: Draft, random: &mut Random) -> Draft {
        let Some(identity) = self.lasting.get(id).filter(|_| random.percent(20)) else {
            return draft;
        };
        trace::count("op: UNSUBSCRIBE durable");
        if is_topic_set(&identity.topic) {
            trace::count("op: UNSUBSCRIBE durable of several");
        }
        self.may_be_refused = true;
        let headers = identity.headers();
        let draft = draft.with("destination", identity.destination(random));
        headers
            .into_iter()
            .fold(draft, |draft, (name, value)| draft.with(name, value))
    }

    /// Deletes one that it does not use itself.
    pub(super) fn delete_unused(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        let identity = self.some_identity(random);
        let uses = |live: &super::Subscription| live.id == identity.name;
        if identity.form == Form::Shared || self.subscriptions.iter().any(uses) {
            return;
        }
        trace::count("op: UNSUBSCRIBE durable unused");
        self.may_be_refused = true;
        let destination = identity.destination(random);
        let mut draft = Draft::new(Command::Unsubscribe).with("destination", destination);
        if identity.form == Form::ById {
            draft = draft.with("id", &identity.name);
        }
        for (name, value) in identity.headers() {
            draft = draft.with(name, value);
        }
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }

    /// Takes up a durable subscription as it is.
    pub(super) fn take_up(
        &mut self,
        identity: &Identity,
        selector: Option<&'static str>,
        wire: &mut Vec<u8>,
    ) {
        let id = match identity.form {
            Form::ById => identity.name.clone(),
            _ => self.fresh("s"),
        };
        if self.lasting.contains_key(&id) {
            return;
        }
        let parts: Vec<String> = parts_of_topics(&identity.topic).collect();
        let mut draft = self
            .subscription(id.clone(), &parts.join(","), Mode::Individual)
            .with("activemq.prefetchSize", 5);
        for (name, value) in identity.headers() {
            draft = draft.with(name, value);
        }
        if let Some(selector) = selector {
            draft = draft.with("selector", selector);
        }
        self.lasting.insert(id, identity.clone());
        self.write(draft, wire);
    }

    /// Deletes all durable subscriptions that it has.
    pub(crate) fn delete_all(&mut self, wire: &mut Vec<u8>) {
        let own = std::mem::take(&mut self.lasting);
        for (id, identity) in own {
            let mut draft = Draft::new(Command::Unsubscribe).with("id", &id);
            for (name, value) in identity.headers() {
                draft = draft.with(name, value);
            }
            self.subscriptions.retain(|live| live.id != id);
            self.write(draft, wire);
        }
    }
}
