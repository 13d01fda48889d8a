//! Subscriptions of topics that do not keep up: what waits for each, exactly, and who pays when it is too much.
//!
//! All of it is foretold: what a subscription is given of its topics, in which order, what is dropped for it and how
//! often that was counted, whom it holds back, and when it loses its connection.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use stompbox_broker::core::message::Publication;
use stompbox_broker::core::port::ConnectionId;

use super::advise::is_advisory;
use super::topic::Copy;
use super::{Model, Seat};
use crate::policy::{Amount, Rules, SlowConsumer};
use crate::trace;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Slow {
    /// What subscriptions have lost since the start, by topic.
    pub(super) dropped: BTreeMap<Rc<str>, u64>,
}

fn rules_of(topic: &str) -> Rules {
    Rules::of(topic.strip_prefix("/topic/").unwrap_or(topic))
}

impl Model {
    /// Whether more waits for a subscription than this topic allows, or than it wants.
    fn is_over(&mut self, name: &str, seat: Seat) -> bool {
        let mut max = rules_of(name).pending;
        let live = self.live(seat);
        if let Some(own) = live.pending_max {
            max.messages = max.messages.min(own);
        }
        !live.pending.amount().fits(max)
    }

    /// To these a copy was added that waits. What they can take at once is not too much.
    pub(super) fn curb_slow(&mut self, name: &Rc<str>, mut waiting: Vec<Seat>) {
        waiting.retain(|seat| self.is_over(name, *seat));
        for seat in &waiting {
            self.give_what_waits(*seat);
        }
        for seat in waiting {
            if self.is_over(name, seat) {
                self.curb(name, seat);
            } else {
                trace::count("topic: not slow, it could take what waited");
            }
        }
    }

    /// Too much waits for a subscription: the policy says who pays.
    fn curb(&mut self, name: &Rc<str>, seat: Seat) {
        let live = self.live(seat);
        if !std::mem::replace(&mut live.pending.is_slow, true) {
            trace::count("topic: slow subscription");
            let waiting = live.pending.amount();
            let is_over_own = live.pending_max.is_some_and(|own| waiting.messages > own);
            let usage = if is_over_own {
                trace::count("topic: slow by its own limit");
                "activemq.maximumPendingMessageLimit"
            } else if waiting.bytes > rules_of(name).pending.bytes {
                "policy.pending_bytes"
            } else {
                "policy.pending_messages"
            };
            self.advise_slow(name, seat, usage);
        }
        let live = self.live(seat);
        let policy = match live.pending_max {
            // Whoever says how much is kept for it, for it nobody waits.
            Some(_) => SlowConsumer::DropOldest,
            None => rules_of(name).slow_consumer,
        };
        match policy {
            SlowConsumer::Block => {
                if live.pending.full_for.insert(Rc::clone(name)) {
                    trace::count("topic: full for a subscription");
                }
            }
            SlowConsumer::DropOldest => {
                while self.is_over(name, seat)
                    && let Some(copy) = self.oldest_to_drop(name, seat)
                {
                    trace::count("topic: dropped the oldest");
                    self.count_dropped(seat, &copy);
                }
                self.note_recovery(seat);
            }
            SlowConsumer::Disconnect => {
                trace::count("topic: slow subscriber disconnected");
                let waited = self.live(seat).pending.take_all();
                waited
                    .iter()
                    .for_each(|copy| self.count_dropped(seat, copy));
                if self.peers[&seat.0].is_open {
                    self.refuse(seat.0);
                }
            }
        }
    }

    /// What waits longest and was never delivered. Where that is another topic's, which drops nothing, the newcomer.
    fn oldest_to_drop(&mut self, name: &str, seat: Seat) -> Option<Copy> {
        let live = self.live(seat);
        let wishes = live.pending_max.is_some();
        let fresh = &mut live.pending.fresh;
        let drops = |copy: &Copy| rules_of(&copy.topic).slow_consumer == SlowConsumer::DropOldest;
        match fresh.front() {
            Some(oldest) if wishes || drops(oldest) => fresh.pop_front(),
            _ => fresh.pop_back_if(|copy| &*copy.topic == name),
        }
    }

    fn count_dropped(&mut self, seat: Seat, copy: &Copy) {
        self.advise_discarded(seat, copy);
        let dropped = &mut self.slow.dropped;
        *dropped.entry(Rc::clone(&copy.topic)).or_default() += 1;
    }

    /// Everybody is given what waits for it of its topics, as far as its credit goes.
    pub(super) fn give_all_what_waits(&mut self) {
        for seat in self.seats() {
            self.give_what_waits(seat);
        }
    }

    fn give_what_waits(&mut self, seat: Seat) {
        let now_ms = self.now.wall_ms;
        while self.has_credit(seat) {
            let pending = &mut self.live(seat).pending;
            let Some(copy) = pending.next() else {
                break;
            };
            if copy.facts.expires_ms != 0 && copy.facts.expires_ms <= now_ms {
                trace::count("topic: expired while it waited");
                self.advise_message("Expired", &copy.topic);
            } else {
                pending.sent.push_back(copy);
            }
        }
        self.note_recovery(seat);
    }

    /// Topics are full no more of which three quarters of the limit wait.
    fn note_recovery(&mut self, seat: Seat) {
        let pending = &mut self.live(seat).pending;
        let amount = pending.amount();
        if amount.messages == 0 {
            pending.is_slow = false;
        }
        pending
            .full_for
            .retain(|name| !amount.fits(rules_of(name).pending.three_quarters()));
        self.let_go_on();
    }

    fn is_full(&self, topic: &str) -> bool {
        let mut all = self
            .peers
            .values()
            .flat_map(|peer| peer.subscriptions.values());
        all.any(|live| live.pending.full_for.contains(topic))
    }

    /// Connections that wait for topics which are full no more.
    pub(super) fn let_go_on(&mut self) {
        let waited_for = self.peers.values().flat_map(|peer| peer.blocked_by.iter());
        let mut free: BTreeSet<Rc<str>> = waited_for.cloned().collect();
        free.retain(|topic| !self.is_full(topic));
        for topic in free {
            trace::count("topic: producers go on");
            for peer in self.peers.values_mut() {
                peer.blocked_by.remove(&topic);
            }
        }
    }

    /// A SEND was taken: its connection waits before the next one if a topic of it is full.
    pub(super) fn hold_back_by_topics(&mut self, publisher: ConnectionId, sent: &Publication) {
        for name in sent.target.names() {
            if self.is_full(name.wire()) {
                trace::count("topic: producer held back");
                let name = name.wire().into();
                self.peer(publisher).blocked_by.insert(name);
            }
        }
    }

    /// At the end of a turn: whoever has filled a topic knows it, and whose connection a topic ends.
    pub(super) fn check_slow(&self) {
        for (connection, peer) in &self.peers {
            assert!(
                peer.is_blocked || !peer.is_open || peer.blocked_by.is_empty(),
                "{connection:?} is not held back although {:?} are full",
                peer.blocked_by
            );
            assert!(!peer.must_be_refused, "{connection:?} was not refused");
        }
    }

    /// What waits for those that hear a topic.
    pub(super) fn waiting_for(&self, topic: &str) -> Amount {
        let all = self
            .peers
            .values()
            .flat_map(|peer| peer.subscriptions.values());
        let hearing = all.filter(|live| live.hears(topic));
        hearing.fold(Amount::default(), |sum, live| {
            sum.plus(live.pending.amount())
        })
    }

    /// The console's figures of a topic.
    pub(super) fn check_topic_view(&self, name: &str, pending: u64, dropped: u64) {
        if is_advisory(name) {
            return;
        }
        assert_eq!(pending, self.waiting_for(name).messages as u64, "{name}");
        let own = self.slow.dropped.get(name).copied().unwrap_or(0);
        assert_eq!(dropped, own, "what was dropped of {name}");
    }
}
