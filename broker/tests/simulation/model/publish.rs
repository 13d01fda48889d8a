//! A message comes in: one copy to each queue, and to whoever hears its topics.

use std::rc::Rc;

use stompbox_broker::core::message::Publication;
use stompbox_broker::core::port::{ConnectionId, ReceiptId};
use stompbox_store::DestinationKind;

use super::entry::{Entry, Facts};
use super::schedule::MANAGEMENT;
use super::{Model, Promise, QueueIndex};
use crate::catalogue::is_consumer_queue_of;
use crate::route::{self, is_forked};
use crate::trace;

impl Model {
    pub(super) fn send(
        &mut self,
        publisher: ConnectionId,
        publication: &Publication,
        receipt: Option<&ReceiptId>,
    ) {
        let targets = publication.target.names();
        if *targets[0].wire() == *MANAGEMENT {
            return self.manage(publisher, publication, receipt);
        }
        let places = self.places(publication);
        let is_special = publication.duplicate_id.is_some() || publication.later.is_some();
        let goes_nowhere = match is_special {
            true => places.is_empty(),
            false => self
                .forward(&places, &Facts::of(publication, publisher))
                .is_empty(),
        };
        if goes_nowhere {
            if !places.is_empty() {
                trace::count("route: taken by none");
            }
            if let Some(receipt) = receipt {
                let key = (publisher, receipt.0.to_vec());
                self.owed.insert(key, Promise::Unrouted);
            }
            return;
        }
        self.make_named_queues(publication);
        if self.is_refused(publisher, std::slice::from_ref(publication), receipt) {
            return self.refuse(publisher);
        }
        if self.is_known_full() && self.is_stored(publication) {
            trace::count("full disk: refuses a SEND at once");
            return self.refuse(publisher);
        }
        self.begin_unit(publisher);
        let published = self.publish(publisher, publication, 0);
        self.end_unit();
        let ticket = match published {
            Ok(ticket) => ticket,
            Err(repeat) => {
                if let Some(receipt) = receipt {
                    let key = (publisher, receipt.0.to_vec());
                    self.owed.insert(key, repeat);
                }
                return;
            }
        };
        self.note_filled(publisher, publication);
        self.hold_back_by_topics(publisher, publication);
        self.owe(publisher, receipt, ticket);
    }

    pub(crate) fn is_there(&self, name: &str) -> bool {
        let queue = self.by_name.get(name);
        self.topics.contains_key(name) || queue.is_some_and(|queue| self.queues[*queue].exists)
    }

    /// Whether a message has to be stored for one of its destinations.
    pub(super) fn is_stored(&self, publication: &Publication) -> bool {
        let facts = Facts::of(publication, ConnectionId(0));
        let is_special = publication.duplicate_id.is_some() || publication.later.is_some();
        is_special
            || facts.is_persistent
                && self
                    .forward(&self.places(publication), &facts)
                    .iter()
                    .any(|name| {
                        let is_queue = name.starts_with("/queue/");
                        is_queue || !self.consumer_queues_of(name).is_empty() || self.is_kept(name)
                    })
    }

    /// Where a message goes that is sent to these, by the routes that begin there.
    pub(super) fn forward(&self, places: &[Rc<str>], facts: &Facts) -> Vec<Rc<str>> {
        let names: Vec<&str> = places.iter().map(|place| &**place).collect();
        if names.iter().any(|name| is_forked(name)) {
            trace::count("route: looked at");
        }
        let to = route::forward(&names, &facts.traits);
        to.into_iter().map(Into::into).collect()
    }

    /// All that a message names is there before any of it gets a copy.
    pub(super) fn make_named_queues(&mut self, publication: &Publication) {
        for name in publication.target.names() {
            if name.kind() == DestinationKind::Queue && !name.is_temporary() {
                self.make_queue(name.wire());
            }
        }
    }

    /// Answers when that is durable, or that it repeats another one.
    pub(super) fn publish(
        &mut self,
        publisher: ConnectionId,
        publication: &Publication,
        visible_after: u64,
    ) -> Result<u64, Promise> {
        let facts = Facts::of(publication, publisher);
        let facts = self.is_sent_again(publisher, facts);
        let mut ticket = 0;
        self.make_named_queues(publication);
        let fresh = self.sift(publication, &facts)?;
        if publication.duplicate_id.is_some() {
            self.remember_id(publication, &fresh);
            let is_kept = fresh
                .iter()
                .any(|place| !place.starts_with("/remote-temp-"));
            if facts.is_persistent && is_kept {
                ticket = self.ticket;
            }
        }
        if publication.later.is_some() {
            self.schedule(publication, &facts, &fresh);
            return Ok(if facts.is_persistent {
                self.ticket
            } else {
                ticket
            });
        }
        for name in self.forward(&fresh, &facts) {
            ticket = ticket.max(self.route(&name, &facts, visible_after));
        }
        Ok(ticket)
    }

    /// One message to one of its destinations. Answers when that is durable.
    pub(super) fn route(&mut self, name: &str, facts: &Rc<Facts>, visible_after: u64) -> u64 {
        if !name.contains("topic/") {
            let queue = self.queue(name);
            return self.enqueue(queue, facts, visible_after);
        }
        let mut ticket = 0;
        for queue in self.consumer_queues_of(name) {
            ticket = ticket.max(self.enqueue(queue, facts, visible_after));
        }
        ticket = ticket.max(self.feed_lasting(name, facts, visible_after));
        self.publish_in_turn(name, facts, visible_after);
        ticket
    }

    pub(super) fn consumer_queues_of(&self, topic: &str) -> Vec<QueueIndex> {
        let all = self.queues.iter().enumerate();
        let is_one =
            |queue: &super::Queue| queue.exists && is_consumer_queue_of(topic, &queue.name);
        all.filter(|(_, queue)| is_one(queue))
            .map(|(index, _)| index)
            .collect()
    }

    fn enqueue(&mut self, queue: QueueIndex, facts: &Rc<Facts>, visible_after: u64) -> u64 {
        let id = facts.id;
        let others = self.copies(id, |other| {
            let is_same = other.facts.firing == facts.firing && other.arrived == self.turn;
            other.queue == queue && other.dead.is_none() && is_same
        });
        assert!(others.is_empty(), "{id:?} was routed twice to one queue");
        let to = &self.queues[queue];
        let origin = Rc::clone(&to.name);
        let is_persistent = facts.is_persistent && to.owner.is_none();
        let waits = to.rules.is_dispatched_when_durable && is_persistent;
        self.next_order += 1;
        let mut entry = Entry::new(Rc::clone(facts), origin, queue);
        entry.is_persistent = is_persistent;
        entry.is_stored = is_persistent;
        entry.order = self.next_order;
        entry.visible_after = if waits { self.ticket } else { visible_after };
        entry.arrived = self.turn;
        let entry = self.add(entry);
        self.note_placed(entry);
        self.touched.insert(entry);
        self.put(entry);
        self.replace_values(entry);
        if is_persistent { self.ticket } else { 0 }
    }
}
