//! Durable and shared subscriptions: who they are, and when they come and go.

use std::rc::Rc;

use stompbox_broker::core::dispatcher::Dispatcher;
use stompbox_broker::core::port::{
    ConnectionId, Deletion, Lasting as Named, Locality, Source, Subscribing, SubscriptionHandle,
};
use stompbox_console::ListQuery;
use stompbox_store::SubscriptionId;

use super::entry::Whereabouts;
use super::view::Recount;
use super::{Model, QueueIndex};
use crate::catalogue::{Choice, choice_of, is_topic_set, set_of_topics};
use crate::identity::{Form, Identity};
use crate::trace;

/// What a queue is that a topic feeds.
#[derive(Debug)]
pub(super) struct Lasting {
    pub(super) identity: Identity,
    pub(super) text: String,
    /// What feeds it: a topic, or the name of a pattern or list.
    pub(super) topic: Rc<str>,
    pub(super) choice: Option<Choice>,
    /// What the store calls it.
    pub(super) id: Option<SubscriptionId>,
    /// The ticket that made it, and the one that ended it.
    pub(super) made: u64,
    pub(super) ended: Option<u64>,
}

/// What a SUBSCRIBE or UNSUBSCRIBE names.
fn identity_of(named: &Named, client_id: Option<&str>, topic: &str) -> Identity {
    let (form, name) = match named {
        Named::Durable(name) => (Form::Durable, name),
        Named::SharedDurable(name) => (Form::SharedDurable, name),
        Named::ById(id) => (Form::ById, id),
        Named::Shared(name) => (Form::Shared, name),
    };
    Identity {
        form,
        owner: client_id.map(str::to_owned),
        name: name.to_string(),
        topic: topic.to_owned(),
    }
}

/// What such a subscription takes from: one topic, or several as one; none if there is something else among them.
fn topic_of(sources: &[Source]) -> Option<String> {
    let names: Option<Vec<String>> = sources
        .iter()
        .map(|source| match source {
            Source::One(name) if name.is_temporary() => None,
            Source::One(name) => Some(name.wire().to_owned()),
            Source::Matching(pattern) => Some(pattern.to_string()),
        })
        .collect();
    let names = names?;
    let are_topics = names.iter().all(|name| name.starts_with("/topic/"));
    are_topics.then(|| set_of_topics(names.iter().map(|name| &**name)))
}

impl Model {
    /// Who connects with a `client-id` that is in use takes it over, or is refused.
    pub(crate) fn with_take_over(mut self, takes_over: bool) -> Self {
        self.takes_over = takes_over;
        self
    }

    /// Whether another connection has the `client-id` already; otherwise this one has it from now on.
    pub(super) fn takes_client_id(
        &mut self,
        connection: ConnectionId,
        client_id: Option<&str>,
    ) -> bool {
        let Some(client_id) = client_id else {
            return false;
        };
        if let Some(older) = self.client_ids.get(client_id).copied() {
            if !self.takes_over {
                trace::count("client-id in use");
                return true;
            }
            trace::count("client-id taken over");
            // It has been told otherwise already, and is about to end.
            if self.peers[&older].is_open {
                self.refuse(older);
            }
        }
        self.client_ids.insert(client_id.into(), connection);
        false
    }

    /// The queue of the subscription that a SUBSCRIBE names; none if it is to be refused.
    pub(super) fn lasting_of(
        &mut self,
        connection: ConnectionId,
        named: &Named,
        subscribing: &Subscribing,
    ) -> Option<QueueIndex> {
        let topic = topic_of(&subscribing.sources)?;
        let topic = &*topic;
        let identity = identity_of(named, self.client_id_of(connection), topic);
        let text = identity.text()?;
        if !identity.is_durable() && is_topic_set(topic) {
            return None;
        }
        if identity.is_shared() && subscribing.locality == Locality::NoLocal {
            return None;
        }
        let choice = subscribing.selector.as_ref().map(choice_of);
        if let Some(queue) = self.lasting.get(&text).copied() {
            let is_active = !self.queues[queue].members.is_empty();
            if is_active && !identity.is_shared() {
                trace::count("lasting: in use");
                return None;
            }
            let words = |choice: Option<Choice>| choice.map(|(words, _)| words);
            let own = self.lasting_at(queue);
            if *own.topic == *topic && words(own.choice) == words(choice) {
                trace::count("lasting: found again");
                return Some(queue);
            }
            if is_active || self.is_out(queue) {
                trace::count("lasting: cannot be changed now");
                return None;
            }
            trace::count("lasting: made anew");
            self.remove_lasting(queue);
        }
        Some(self.make_lasting(identity, text, topic, choice))
    }

    fn client_id_of(&self, connection: ConnectionId) -> Option<&str> {
        self.peers.get(&connection)?.client_id.as_deref()
    }

    fn make_lasting(
        &mut self,
        identity: Identity,
        text: String,
        topic: &str,
        choice: Option<Choice>,
    ) -> QueueIndex {
        trace::count("lasting: made");
        let name: Rc<str> = format!("{text} of {topic}").into();
        let policy = topic.strip_prefix("/topic/").unwrap_or(topic);
        let queue = self.add_queue(&name, policy);
        self.lasting.insert(text.clone(), queue);
        let made = if identity.is_durable() {
            self.ticket
        } else {
            0
        };
        self.queues[queue].exists = true;
        self.queues[queue].lasting = Some(Lasting {
            identity,
            text,
            topic: topic.into(),
            choice,
            id: None,
            made,
            ended: None,
        });
        queue
    }

    pub(super) fn lasting_at(&self, queue: QueueIndex) -> &Lasting {
        let lasting = self.queues[queue].lasting.as_ref();
        lasting.expect("a durable or shared subscription")
    }

    /// Nothing is handed out, and its SUBSCRIBE not answered, before this is durable.
    pub(super) fn opens_at(&self, queue: QueueIndex) -> u64 {
        self.lasting_at(queue).made
    }

    /// Whether something of it is with a consumer or claimed.
    fn is_out(&self, queue: QueueIndex) -> bool {
        self.all()
            .any(|(_, entry)| entry.queue == queue && entry.whereabouts == Whereabouts::Held)
    }

    fn remove_lasting(&mut self, queue: QueueIndex) {
        let ticket = self.ticket;
        let gone = &mut self.queues[queue];
        gone.exists = false;
        gone.lanes
            .iter_mut()
            .for_each(std::collections::BTreeMap::clear);
        if let Some(lasting) = &mut gone.lasting {
            lasting.ended = Some(ticket);
            self.lasting.remove(&lasting.text);
        }
        let left = |whereabouts: Whereabouts| {
            whereabouts.may_expire() || whereabouts == Whereabouts::Fading
        };
        let lost: Vec<_> = self
            .all()
            .filter(|(_, entry)| entry.queue == queue && left(entry.whereabouts))
            .map(|(id, _)| id)
            .collect();
        for id in lost {
            trace::count("lasting: dropped with its subscription");
            self.set(id, Whereabouts::Gone);
        }
    }

    /// What an UNSUBSCRIBE is to delete: what its own subscription is, or what it names. None if it is to be refused.
    pub(super) fn doomed(
        &self,
        connection: ConnectionId,
        own: Option<SubscriptionHandle>,
        deletion: &Deletion,
    ) -> Option<String> {
        let live = own.and_then(|handle| self.subscription((connection, handle)));
        if let Some(queue) = live.and_then(|live| live.lasting) {
            let lasting = self.lasting_at(queue);
            if lasting.identity.is_durable() {
                return Some(lasting.text.clone());
            }
        }
        let topic = deletion.topic.as_ref().map(|topic| topic.wire());
        if topic.is_none() && matches!(deletion.lasting, Named::ById(_)) {
            return None;
        }
        let client_id = self.client_id_of(connection);
        identity_of(&deletion.lasting, client_id, topic.unwrap_or("")).text()
    }

    /// Whether that could be done.
    pub(super) fn delete_lasting(&mut self, text: &str) -> bool {
        let Some(queue) = self.lasting.get(text).copied() else {
            return false;
        };
        if !self.queues[queue].members.is_empty() || self.is_out(queue) {
            trace::count("lasting: cannot be deleted now");
            return false;
        }
        trace::count("lasting: deleted");
        self.remove_lasting(queue);
        true
    }

    /// What is shared and not durable goes with its last consumer, and when no transaction has any of it.
    pub(super) fn part_from_deserted(&mut self) {
        for queue in std::mem::take(&mut self.deserted) {
            let own = &self.queues[queue];
            let is_over = !own.exists || self.lasting_at(queue).identity.is_durable();
            if is_over || !own.members.is_empty() {
                continue;
            }
            if self.is_out(queue) {
                self.deserted.push(queue);
                continue;
            }
            trace::count("lasting: gone with its last consumer");
            self.remove_lasting(queue);
        }
    }

    /// Durable subscriptions, with their selectors: what is left of them is to be taken out at the end.
    pub(crate) fn durables(&self) -> Vec<(Identity, Option<&'static str>)> {
        let all = self.lasting.values().map(|queue| self.lasting_at(*queue));
        all.filter(|own| own.identity.is_durable())
            .map(|own| (own.identity.clone(), own.choice.map(|(words, _)| words)))
            .collect()
    }

    /// Whether somebody consumes from a durable subscription, or its client is connected.
    pub(crate) fn is_used(&self, identity: &Identity) -> bool {
        let owner = identity.owner.as_deref();
        let is_connected = owner.is_some_and(|owner| self.client_ids.contains_key(owner));
        let queue = identity
            .text()
            .and_then(|text| self.lasting.get(&text).copied());
        let has_members = queue.is_some_and(|queue| !self.queues[queue].members.is_empty());
        is_connected || has_members
    }

    /// The console's figures of them are right.
    pub(super) fn check_lasting(&self, dispatcher: &Dispatcher, recounts: &[Recount]) {
        let all = ListQuery {
            limit: Some(1_000),
            ..ListQuery::default()
        };
        let views = dispatcher.list_subscriptions(&all).items;
        let names: Vec<&str> = views.iter().map(|view| &*view.identity).collect();
        let own: Vec<&str> = self.lasting.keys().map(|text| &**text).collect();
        assert_eq!(names, own, "durable and shared subscriptions");
        for view in views {
            let queue = self.lasting[&view.identity];
            let (own, recount) = (self.lasting_at(queue), recounts[queue]);
            assert_eq!(view.durable, own.identity.is_durable(), "{view:?}");
            assert_eq!(view.shared, own.identity.is_shared(), "{view:?}");
            assert_eq!(format!("/topic/{}", view.topic), *own.topic, "{view:?}");
            let consumers = self.queues[queue].members.len();
            assert_eq!(view.consumers, consumers as u64, "{view:?}");
            assert_eq!(view.in_flight, recount.held, "{view:?} {recount:?}");
            let certain = recount.waiting + recount.delayed + recount.held;
            // What of its log a durable one has not read is not known exactly.
            assert!(view.pending >= certain, "{view:?} {recount:?}");
            let most = certain + recount.fading;
            assert!(view.durable || view.pending <= most, "{view:?} {recount:?}");
        }
    }
}
