//! What a turn hands out: which copy each delivery is of, and what that says about it.

use std::rc::Rc;

use stompbox_broker::core::message::DeliveryMode;
use stompbox_broker::core::port::{AckMode, ConnectionId, Delivery, Reply};
use stompbox_protocol::canonical;

use super::advise::is_advisory;
use super::entry::{Entry, EntryId, Reason, Whereabouts, message_of};
use super::room::amount_of;
use super::{Model, Open, QueueIndex, Seat, What};
use crate::policy::Amount;
use crate::trace;

/// A message of a queue that was handed out in this turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handed {
    pub(super) seat: Seat,
    pub(super) id: EntryId,
}

/// Where a dead letter comes from, as it says.
pub(super) fn origin_of(delivery: &Delivery) -> Option<String> {
    annotation(delivery, b"original-destination")
}

fn annotation(delivery: &Delivery, name: &[u8]) -> Option<String> {
    let annotations = delivery.annotations.as_ref()?;
    let value = canonical::find(annotations, name)?;
    Some(String::from_utf8(value.into_owned()).expect("text"))
}

impl Model {
    /// What was handed out is what stood first, and went to whom it may go.
    pub(super) fn check_deliveries(&mut self, replies: &[(ConnectionId, Vec<Reply>)]) {
        self.give_all_what_waits();
        self.publish_advisories();
        let mut handed = Vec::new();
        let mut ended = Vec::new();
        for (connection, replies) in replies {
            for reply in replies {
                match reply {
                    Reply::Deliver(delivery) => {
                        let seat = (*connection, delivery.subscription);
                        let what = self.what(seat, delivery);
                        if let What::Entry(id) = what {
                            handed.push(Handed { seat, id });
                        }
                        self.open(seat, delivery, what);
                    }
                    Reply::BrowseEnd(handle) => {
                        self.browse_ended((*connection, *handle));
                        ended.push((*connection, *handle));
                    }
                    _ => {}
                }
            }
        }
        for seat in ended {
            self.check_seen(seat);
        }
        for seat in self.seats() {
            let sent = &self.live(seat).pending.sent;
            assert!(sent.is_empty(), "published, not delivered: {sent:?}");
        }
        self.check_told();
        self.check_order(&handed);
        let of = |queue: QueueIndex| {
            let own = handed
                .iter()
                .filter(|one| self.entry(one.id).queue == queue);
            amount_of(own.map(|one| self.entry(one.id)))
        };
        let counts: Vec<Amount> = match self.dropped.is_empty() {
            true => Vec::new(),
            false => (0..self.queues.len()).map(of).collect(),
        };
        self.check_dropped(|queue| counts[queue]);
    }

    /// Which copy of its message a delivery is of.
    fn what(&mut self, seat: Seat, delivery: &Delivery) -> What {
        let id = message_of(delivery.message.body());
        let peer = &self.peers[&seat.0];
        let has_ended = peer.ended.contains_key(&seat.1);
        let live = peer.subscriptions.get(&seat.1).or(peer.ended.get(&seat.1));
        let Some(live) = live else {
            panic!("{id:?} was handed to a subscription that has gone");
        };
        if live.browse.is_some() {
            self.shown(seat, delivery);
            return What::Shown;
        }
        if let Some(queue) = live.lasting {
            assert!(
                !has_ended,
                "{id:?} was handed to a subscription that has gone"
            );
            let id = self.entry_in(queue, delivery);
            self.check_topic(queue, id, delivery);
            self.deliver(id, delivery);
            return What::Entry(id);
        }
        let name: Rc<str> = match &delivery.destination {
            Some(name) => name.wire().into(),
            None => Rc::clone(live.only_origin().expect("the destination is not said")),
        };
        assert!(live.hears(&name), "{id:?} came from {name}");
        if is_advisory(&name) {
            self.advisory_came(seat, &name, delivery);
            return What::Shown;
        }
        if name.contains("topic/") {
            let copy = self.topic_delivery(seat, &name, delivery);
            return What::Copy(Box::new(copy));
        }
        let queue = self.by_name.get(&name).copied();
        let queue = queue.expect("a queue that was named");
        if has_ended && self.is_served_early(queue) {
            // It has come back.
            return What::Shown;
        }
        assert!(
            !has_ended,
            "{id:?} was handed to a subscription that has gone"
        );
        let id = self.entry_in(queue, delivery);
        self.deliver(id, delivery);
        What::Entry(id)
    }

    /// What is fed by several topics says by which.
    fn check_topic(&self, queue: QueueIndex, id: EntryId, delivery: &Delivery) {
        let own = &self.lasting_at(queue).topic;
        let said = delivery
            .destination
            .as_ref()
            .map_or(&**own, |name| name.wire());
        let entry = self.entry(id);
        assert_eq!(*said, *entry.origin, "{:?}: its topic", entry.facts.id);
    }

    fn entry_in(&self, queue: QueueIndex, delivery: &Delivery) -> EntryId {
        let id = message_of(delivery.message.body());
        let name = &self.queues[queue].name;
        let topic = match self.queues[queue].lasting {
            Some(_) => delivery
                .destination
                .as_ref()
                .map(|name| name.wire().to_owned()),
            None => None,
        };
        let origin = topic.or_else(|| origin_of(delivery));
        let reason = annotation(delivery, b"dlq-reason");
        let choices = self.copies(id, |entry| {
            let is_it = origin
                .as_deref()
                .is_none_or(|origin| *entry.origin == *origin);
            entry.queue == queue
                && self.may_be(entry, delivery.number)
                && entry.whereabouts == Whereabouts::Waiting
                && entry.dead.map(Reason::as_str) == reason.as_deref()
                && is_it
        });
        // Of dead letters that look alike the one that was delivered so often before.
        let looks_else = |entry: &Entry| {
            let is_it = match entry.is_uncertain {
                true => delivery.deliveries >= 2,
                false => delivery.deliveries == entry.deliveries + 1,
            };
            !is_it
        };
        // And of the firings of one message the one that has this number.
        let is_other =
            |entry: &Entry| self.numbers.get(&entry.facts.key()) != Some(&delivery.number);
        let rank = |id: &EntryId| {
            let entry = self.entry(*id);
            (looks_else(entry), is_other(entry), entry.place())
        };
        let first = choices.into_iter().min_by_key(rank);
        let copies = self.copies(id, |_| true);
        let story = || copies.iter().map(|id| self.entry(*id)).collect::<Vec<_>>();
        first.unwrap_or_else(|| {
            panic!(
                "{id:?}, {:?} does not wait in {name}: {:?}",
                delivery.number,
                story()
            )
        })
    }

    fn deliver(&mut self, id: EntryId, delivery: &Delivery) {
        self.take(id, Whereabouts::Held);
        let entry = self.entry_mut(id);
        let message = entry.facts.id;
        trace::count(if delivery.deliveries > 1 {
            "redelivery"
        } else {
            "first delivery"
        });
        if entry.is_uncertain {
            assert!(
                delivery.deliveries >= 2,
                "{message:?} may have been delivered before the crash"
            );
            entry.is_uncertain = false;
        } else {
            let expected = entry.deliveries + 1;
            assert_eq!(
                delivery.deliveries, expected,
                "{message:?}: number of this delivery"
            );
        }
        entry.deliveries = delivery.deliveries;
        assert_eq!(delivery.expires_ms, entry.expires_ms, "{message:?}");
        let is_persistent = delivery.mode == DeliveryMode::Persistent;
        assert_eq!(is_persistent, entry.is_persistent, "{message:?}");
        assert_eq!(delivery.message.bytes(), entry.facts.bytes, "{message:?}");
        entry.facts.check_lines(&delivery.message);
    }

    /// The delivery is with its subscription from now on.
    fn open(&mut self, seat: Seat, delivery: &Delivery, what: What) {
        let id = message_of(delivery.message.body());
        trace::note(|| {
            format!(
                "  deliver {} to {:?}: {id:?} as {} in slot {}, delivery {}, number {}",
                seat.0.0,
                seat.1,
                delivery.tag.counter.0,
                delivery.tag.slot,
                delivery.deliveries,
                delivery.number.0
            )
        });
        let (number, since) = (delivery.number, self.now.uptime);
        let was_early = match what {
            What::Entry(id) => self.is_served_early(self.entry(id).queue),
            // Of a topic it may have been published before.
            What::Copy(_) => true,
            What::Shown => false,
        };
        let key = match &what {
            What::Entry(id) => Some(self.entry(*id).facts.key()),
            What::Copy(copy) => Some(copy.facts.key()),
            What::Shown => None,
        };
        if let Some(key) = key {
            self.is_numbered(key, number);
        }
        let counter = delivery.tag.counter.0;
        let peer = self.peer(seat.0);
        peer.last_counter += 1;
        assert_eq!(
            counter, peer.last_counter,
            "numbers of deliveries are dense"
        );
        let Some(live) = peer.subscriptions.get_mut(&seat.1) else {
            return;
        };
        let held: usize = live.open.iter().map(|open| open.bytes).sum();
        let max = live.bytes_max;
        assert!(
            live.open.is_empty() || held < max,
            "{held} bytes are out, and {max} are to be"
        );
        assert!(
            live.passed_over.is_none() || was_early,
            "{id:?} went to {seat:?}, which does not answer"
        );
        live.open.push(Open {
            what,
            counter,
            slot: delivery.tag.slot,
            number,
            bytes: delivery.message.bytes(),
            since,
        });
        let (out, prefetch) = (live.open.len(), live.prefetch);
        assert!(out <= prefetch, "{out} are out, prefetch is {prefetch}");
        if live.mode == AckMode::Auto {
            trace::count("auto delivery");
        }
    }
}
