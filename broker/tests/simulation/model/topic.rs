//! Topics: a copy to each subscription that hears, in the order of publishing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use stompbox_broker::core::message::DeliveryMode;
use stompbox_broker::core::port::{ConnectionId, Delivery, SubscriptionHandle};

use super::advise::Untold;
use super::entry::{Entry, Facts, Reason, Whereabouts};
use super::failure::Outcome;
use super::{Model, Seat};
use crate::policy::{Amount, Rules};
use crate::trace;

/// A topic.
#[derive(Debug, Default)]
pub(super) struct Topic {
    /// Whose it is, if it is temporary.
    pub(super) owner: Option<ConnectionId>,
    /// What a COMMIT holds back, and everything behind it, with the ticket that it waits for.
    pub(super) held: VecDeque<(u64, Rc<Facts>, i64)>,
    /// What it has kept, the oldest first, with its place among what was published.
    pub(super) retained: VecDeque<(Rc<Facts>, i64)>,
}

/// What one subscription gets of a message.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) facts: Rc<Facts>,
    pub(super) topic: Rc<str>,
    /// Counts what was published: what returns is in that order, whatever a COMMIT held back.
    order: i64,
    pub(super) deliveries: u32,
    failures: u32,
}

/// What waits for one subscription of its topics.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Handed over when it was published: the subscription had credit and nothing waited.
    pub(super) sent: VecDeque<Copy>,
    pub(super) fresh: VecDeque<Copy>,
    /// What came back, which goes first.
    returned: BTreeMap<(i64, Rc<str>), Copy>,
    delayed: Vec<(Duration, Copy)>,
    /// Whether too much has waited since it last had nothing waiting.
    pub(super) is_slow: bool,
    /// Messages that it has lost because it did not keep up.
    pub(super) discarded: u64,
    /// Advisories that it has to be told.
    pub(super) untold: Untold,
    /// Topics that are full because of it.
    pub(super) full_for: BTreeSet<Rc<str>>,
}

impl Model {
    /// A topic's messages keep their order: behind one that a COMMIT holds back, others wait too.
    pub(super) fn publish_in_turn(&mut self, name: &str, facts: &Rc<Facts>, visible_after: u64) {
        let watermark = self.watermark;
        self.next_order += 1;
        let order = self.next_order;
        let topic = self.topics.entry(name.into()).or_default();
        if visible_after <= watermark && topic.held.is_empty() {
            return self.fan_out(name, facts, order);
        }
        trace::count("topic: held back by a COMMIT");
        let before = topic.held.back().map_or(0, |(ticket, ..)| *ticket);
        let ticket = visible_after.max(before);
        topic.held.push_back((ticket, Rc::clone(facts), order));
        self.note_held(name, order);
        if ticket != before {
            self.hidden_topics.push_back((ticket, name.into()));
        }
    }

    pub(super) fn publish_held(&mut self) {
        let watermark = self.watermark;
        let is_due = |(ticket, _): &mut (u64, Rc<str>)| *ticket <= watermark;
        while let Some((_, name)) = self.hidden_topics.pop_front_if(is_due) {
            while let Some(topic) = self.topics.get_mut(&name)
                && let Some((_, facts, order)) =
                    topic.held.pop_front_if(|(ticket, ..)| *ticket <= watermark)
            {
                self.fan_out(&name, &facts, order);
            }
        }
    }

    fn fan_out(&mut self, name: &str, facts: &Rc<Facts>, order: i64) {
        if facts.expires_ms != 0 && facts.expires_ms <= self.now.wall_ms {
            trace::count("topic: expired");
            self.advise_message("Expired", name);
            return;
        }
        self.retain(name, facts, order);
        let copy = Copy::new(facts, name, order);
        self.advise_no_consumer(name);
        let mut waiting = Vec::new();
        for seat in self.seats() {
            let Some(live) = self.subscription(seat) else {
                continue;
            };
            let is_open = self.peers[&seat.0].is_open;
            if !is_open || !live.hears(name) || !live.wants(facts, seat.0) {
                continue;
            }
            let goes_out = self.has_credit(seat) && live.pending.is_empty();
            let live = self.live(seat);
            if goes_out {
                live.pending.sent.push_back(copy.clone());
            } else {
                trace::count("topic: waits for a subscription");
                live.pending.fresh.push_back(copy.clone());
                waiting.push(seat);
            }
        }
        self.curb_slow(&copy.topic, waiting);
    }

    pub(super) fn seats(&self) -> Vec<Seat> {
        let of = |(connection, peer): (&ConnectionId, &super::Peer)| {
            let handles: Vec<SubscriptionHandle> = peer.subscriptions.keys().copied().collect();
            let connection = *connection;
            handles.into_iter().map(move |handle| (connection, handle))
        };
        self.peers.iter().flat_map(of).collect()
    }

    /// Redelivery delays that are over.
    pub(super) fn wake_copies(&mut self) {
        let now = self.now.uptime;
        for seat in self.seats() {
            let pending = &mut self.live(seat).pending;
            let (due, later) = std::mem::take(&mut pending.delayed)
                .into_iter()
                .partition(|(due, _)| *due <= now);
            pending.delayed = later;
            for (_, copy) in due {
                pending.put_back(copy);
            }
        }
    }

    /// A subscription is given a message of a topic.
    pub(super) fn topic_delivery(&mut self, seat: Seat, topic: &str, delivery: &Delivery) -> Copy {
        let peer = self.peers.get_mut(&seat.0).expect("a live connection");
        let live = match peer.subscriptions.get_mut(&seat.1) {
            Some(live) => live,
            None => peer.ended.get_mut(&seat.1).expect("looked up before"),
        };
        let id = super::entry::message_of(delivery.message.body());
        let Some(mut copy) = live.pending.take_sent(topic) else {
            panic!("{delivery:?} was not published, or not to this subscription");
        };
        let expected = (copy.facts.id, &*copy.topic);
        assert_eq!(
            (id, topic),
            expected,
            "what came next of the topics for {seat:?}"
        );
        copy.deliveries += 1;
        assert_eq!(
            delivery.deliveries, copy.deliveries,
            "{id:?}: number of this delivery"
        );
        assert_eq!(delivery.expires_ms, copy.facts.expires_ms, "{id:?}");
        let is_persistent = delivery.mode == DeliveryMode::Persistent;
        assert_eq!(is_persistent, copy.facts.is_persistent, "{id:?}");
        copy.facts.check_lines(&delivery.message);
        trace::count("topic: delivery");
        copy
    }

    /// A delivery of a topic's message ends. Answers when that is durable.
    pub(super) fn conclude_copy(
        &mut self,
        seat: Option<Seat>,
        copy: Copy,
        outcome: Outcome,
    ) -> u64 {
        let Some(seat) = seat.filter(|seat| self.subscription(*seat).is_some()) else {
            return 0;
        };
        let verdict = match outcome {
            Outcome::Done => return 0,
            Outcome::Returned | Outcome::Broken => {
                self.live(seat).pending.put_back(copy);
                return 0;
            }
            Outcome::Failed(verdict) => verdict,
        };
        let mut copy = copy;
        copy.failures += 1;
        let rules = Rules::of(copy.topic.strip_prefix("/topic/").unwrap_or(&copy.topic));
        if let Some(reason) = verdict.reason(copy.failures, &rules) {
            return self.bury_copy(seat, copy, reason, &rules);
        }
        let delay = verdict
            .delay
            .unwrap_or_else(|| rules.delay_after(copy.failures));
        let due = self.now.uptime + delay;
        let pending = &mut self.live(seat).pending;
        if delay.is_zero() {
            pending.put_back(copy);
        } else {
            trace::count("topic: redelivery delayed");
            pending.delayed.push((due, copy));
        }
        0
    }

    fn bury_copy(&mut self, seat: Seat, copy: Copy, reason: Reason, rules: &Rules) -> u64 {
        if !copy.facts.is_persistent && !rules.keeps_failed_non_persistent {
            trace::count("topic: failed, dropped");
            self.advise_message("MessageDiscarded", &copy.topic);
            return 0;
        }
        if self.is_known_full() {
            self.copy_stays(seat, copy);
            return 0;
        }
        trace::count("topic: failed, dead letter");
        let queue = self.grave_of_topic(&copy.topic);
        let again = copy.clone();
        let mut entry = Entry::new(copy.facts, copy.topic, queue);
        entry.is_persistent = false;
        entry.is_stored = false;
        entry.deliveries = copy.deliveries;
        let id = self.add(entry);
        self.note_buried_copy(id, seat, again);
        self.set(id, Whereabouts::Burying(reason));
        self.ticket
    }
}

impl Copy {
    pub(super) fn new(facts: &Rc<Facts>, topic: &str, order: i64) -> Self {
        Self {
            facts: Rc::clone(facts),
            topic: topic.into(),
            order,
            deliveries: facts.deliveries_before,
            failures: 0,
        }
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    pub(super) fn delay(&mut self, due: Duration, copy: Copy) {
        self.delayed.push((due, copy));
    }

    fn put_back(&mut self, copy: Copy) {
        let place = (copy.order, Rc::clone(&copy.topic));
        self.returned.insert(place, copy);
    }

    pub(super) fn amount(&self) -> Amount {
        let waiting = self.fresh.iter().chain(self.returned.values());
        waiting.fold(Amount::default(), |sum, copy| {
            sum.plus(Amount::of_one(copy.facts.bytes))
        })
    }

    /// The next one that waits.
    pub(super) fn next(&mut self) -> Option<Copy> {
        let returned = self.returned.pop_first().map(|(_, copy)| copy);
        returned.or_else(|| self.fresh.pop_front())
    }

    /// Everything that waits for nothing but credit.
    pub(super) fn take_all(&mut self) -> Vec<Copy> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// What was to be handed over next. Of a message that was sent to several topics the copies return in any order.
    fn take_sent(&mut self, topic: &str) -> Option<Copy> {
        let next = self.sent.pop_front()?;
        if *next.topic == *topic {
            return Some(next);
        }
        let is_it = |copy: &Copy| copy.facts.key() == next.facts.key() && *copy.topic == *topic;
        if let Some(other) = self.sent.iter_mut().find(|copy| is_it(copy)) {
            return Some(std::mem::replace(other, next));
        }
        let other = self.returned.extract_if(.., |_, copy| is_it(copy)).next();
        let (_, other) = other?;
        self.put_back(next);
        Some(other)
    }

    /// Whether something waits that has not expired.
    pub(super) fn has_ready(&self, now_ms: i64) -> bool {
        let is_ready = |copy: &Copy| copy.facts.expires_ms == 0 || copy.facts.expires_ms > now_ms;
        self.fresh.iter().any(is_ready) || self.returned.values().any(is_ready)
    }
}
