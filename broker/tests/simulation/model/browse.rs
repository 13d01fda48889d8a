//! Browsers: what they must show, and what they may.

use std::sync::Arc;

use stompbox_broker::core::port::Delivery;
use stompbox_broker::core::selector::Selector;

use super::consume::Origin;
use super::entry::{EntryId, Whereabouts, message_of};
use super::{Model, QueueIndex, Seat};
use crate::catalogue::choice_of;
use crate::trace;

/// How far a browser has come.
#[derive(Debug)]
pub(super) struct Browse {
    queue: QueueIndex,
    begun: u64,
    /// What could be seen in the queue when it began, and is to its liking.
    seen_at_first: Vec<EntryId>,
    shown: Vec<EntryId>,
    last: Option<(usize, i64)>,
    has_ended: bool,
}

impl Model {
    pub(super) fn begin_browse(
        &mut self,
        origins: &[Origin],
        selector: Option<&Arc<Selector>>,
    ) -> Browse {
        let [Origin::Name(name)] = origins else {
            panic!("a browser walks one queue");
        };
        let queue = self.queue(name);
        let choice = selector.map(choice_of);
        let seen_at_first = self
            .all()
            .filter(|(_, entry)| {
                entry.queue == queue
                    && entry.whereabouts == Whereabouts::Waiting
                    && entry.visible_after <= self.watermark
                    && choice.is_none_or(|(_, chooses)| chooses(&entry.facts.traits))
            })
            .map(|(id, _)| id)
            .collect();
        Browse {
            queue,
            begun: self.turn,
            seen_at_first,
            shown: Vec::new(),
            last: None,
            has_ended: false,
        }
    }

    /// A browser is shown something: what waits there, or did a moment ago; in order, and each once.
    pub(super) fn shown(&mut self, seat: Seat, delivery: &Delivery) {
        trace::count("browser: shown");
        let id = message_of(delivery.message.body());
        let (now, turn) = (self.now, self.turn);
        let Some(live) = self.subscription(seat) else {
            return;
        };
        let browse = live.browse.as_ref().expect("a browser");
        assert!(!browse.has_ended, "{id:?} was shown behind the end");
        let origin = super::handout::origin_of(delivery);
        let choices = self.copies(id, |entry| {
            let is_there = entry.whereabouts == Whereabouts::Waiting || entry.moved == turn;
            let is_it = origin
                .as_deref()
                .is_none_or(|origin| *entry.origin == *origin);
            entry.queue == browse.queue
                && self.may_be(entry, delivery.number)
                && is_there
                && is_it
                && entry.dead.is_some() == origin.is_some()
        });
        let next = |id: &&EntryId| {
            let place = Some(self.entry(**id).place());
            !browse.shown.contains(id) && place > browse.last
        };
        let Some(shown) = choices.iter().find(next).copied() else {
            panic!("{id:?} was shown out of turn, twice or without being there: {choices:?}");
        };
        let entry = self.entry(shown);
        assert!(live.chooses(&entry.facts), "{id:?} was not to be shown");
        assert!(!entry.is_expired(now), "{id:?} has expired and was shown");
        assert!(
            entry.arrived <= browse.begun,
            "{id:?} came later and was shown"
        );
        let place = entry.place();
        let browse = self.live(seat).browse.as_mut().expect("a browser");
        browse.shown.push(shown);
        browse.last = Some(place);
        // The console may name it.
        if let [_] = choices[..] {
            let key = self.entry(shown).facts.key();
            self.is_numbered(key, delivery.number);
        }
    }

    /// A browser is told that it has seen everything.
    pub(super) fn browse_ended(&mut self, seat: Seat) {
        trace::count("browser: end");
        if !self.peers[&seat.0].subscriptions.contains_key(&seat.1) {
            return;
        }
        let browse = self.live(seat).browse.as_mut().expect("a browser");
        assert!(!browse.has_ended, "a browser ends once");
        browse.has_ended = true;
    }

    /// What waited all the time, also in the turn in which a browser has ended, was shown to it. What is stored may be
    /// missed while it is read for others.
    pub(super) fn check_seen(&self, seat: Seat) {
        let live = self.subscription(seat);
        let Some(browse) = live.and_then(|live| live.browse.as_ref()) else {
            return;
        };
        for id in &browse.seen_at_first {
            let entry = self.entry(*id);
            let has_waited = entry.queue == browse.queue
                && entry.whereabouts == Whereabouts::Waiting
                && entry.moved <= browse.begun;
            let was_shown = browse.shown.contains(id);
            if has_waited && entry.is_persistent && !was_shown && !entry.is_expired(self.now) {
                trace::count("browser: missed what is stored");
                continue;
            }
            assert!(
                !has_waited || entry.is_expired(self.now) || was_shown,
                "{:?} waited all the time and was not shown",
                entry.facts.id
            );
        }
    }

    /// A browser that has credit has come to its end.
    pub(super) fn check_browsers(&self) {
        for seat in self.seats() {
            let live = self.subscription(seat);
            if let Some(browse) = live.and_then(|live| live.browse.as_ref()) {
                assert!(
                    browse.has_ended || !self.has_credit(seat),
                    "{seat:?} browses and is not told more"
                );
            }
        }
    }
}
