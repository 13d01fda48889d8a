//! A message comes in: one copy to each queue, and to whoever hears its topics.

use std::rc::Rc;

use stompbox_broker::core::message::Publication;
use stompbox_broker::core::port::{ConnectionId, ReceiptId};
use stompbox_store::DestinationKind;

use super::entry::{Entry, Facts};
use super::{Model, Promise, QueueIndex};
use crate::catalogue::is_consumer_queue_of;

impl Model {
    pub(super) fn send(
        &mut self,
        publisher: ConnectionId,
        publication: &Publication,
        receipt: Option<&ReceiptId>,
    ) {
        let targets = publication.target.names();
        let goes_nowhere = targets
            .iter()
            .all(|name| name.is_temporary() && !self.is_there(name.wire()));
        let ticket = self.publish(publisher, publication, 0);
        if goes_nowhere {
            if let Some(receipt) = receipt {
                let key = (publisher, receipt.0.to_vec());
                self.owed.insert(key, Promise::Unrouted);
            }
            return;
        }
        self.owe(publisher, receipt, ticket);
    }

    fn is_there(&self, name: &str) -> bool {
        let queue = self.by_name.get(name);
        self.topics.contains_key(name) || queue.is_some_and(|queue| self.queues[*queue].exists)
    }

    /// Whether a message has to be stored for one of its destinations.
    pub(super) fn is_stored(&self, publication: &Publication) -> bool {
        let facts = Facts::of(publication, ConnectionId(0));
        facts.is_persistent
            && publication.target.names().iter().any(|name| {
                let is_queue = name.kind() == DestinationKind::Queue;
                let has_queues = !self.consumer_queues_of(name.wire()).is_empty();
                let is_kept = self.is_kept(name.wire());
                (is_queue && !name.is_temporary()) || has_queues || is_kept
            })
    }

    /// Answers when that is durable.
    pub(super) fn publish(
        &mut self,
        publisher: ConnectionId,
        publication: &Publication,
        visible_after: u64,
    ) -> u64 {
        let facts = Facts::of(publication, publisher);
        let mut ticket = 0;
        // All that it names is there before any of it gets a copy.
        for name in publication.target.names() {
            if name.kind() == DestinationKind::Queue && !name.is_temporary() {
                self.make_queue(name.wire());
            }
        }
        for name in publication.target.names() {
            let wire = name.wire();
            if name.is_temporary() && !self.is_there(wire) {
                continue;
            }
            match name.kind() {
                DestinationKind::Queue => {
                    let queue = self.queue(wire);
                    ticket = ticket.max(self.enqueue(queue, &facts, visible_after));
                }
                DestinationKind::Topic => {
                    for queue in self.consumer_queues_of(wire) {
                        ticket = ticket.max(self.enqueue(queue, &facts, visible_after));
                    }
                    ticket = ticket.max(self.feed_lasting(wire, &facts, visible_after));
                    self.publish_in_turn(wire, &facts, visible_after);
                }
            }
        }
        ticket
    }

    fn consumer_queues_of(&self, topic: &str) -> Vec<QueueIndex> {
        let all = self.queues.iter().enumerate();
        let is_one =
            |queue: &super::Queue| queue.exists && is_consumer_queue_of(topic, &queue.name);
        all.filter(|(_, queue)| is_one(queue))
            .map(|(index, _)| index)
            .collect()
    }

    fn enqueue(&mut self, queue: QueueIndex, facts: &Rc<Facts>, visible_after: u64) -> u64 {
        let id = facts.id;
        let others = self.copies(id, |other| other.queue == queue && other.dead.is_none());
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
        self.touched.insert(entry);
        self.put(entry);
        if is_persistent { self.ticket } else { 0 }
    }
}
