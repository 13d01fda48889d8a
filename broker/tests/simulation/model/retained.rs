//! What topics keep for subscriptions that begin with it.

use std::rc::Rc;

use super::consume::Origin;
use super::entry::Facts;
use super::topic::Copy;
use super::{Model, Seat};
use crate::policy::{Amount, Rules};
use crate::trace;

impl Model {
    /// A topic keeps what is published: so many messages and bytes, the last one however large.
    pub(super) fn retain(&mut self, name: &str, facts: &Rc<Facts>, order: i64) {
        let max = Rules::of(name.strip_prefix("/topic/").unwrap_or(name)).retained;
        if max.messages == 0 {
            return;
        }
        let topic = self.topics.entry(name.into()).or_default();
        let kept = &mut topic.retained;
        kept.push_back((Rc::clone(facts), order));
        let amount = |kept: &std::collections::VecDeque<(Rc<Facts>, i64)>| {
            let all = kept.iter().map(|(facts, _)| Amount::of_one(facts.bytes));
            all.fold(Amount::default(), Amount::plus)
        };
        while kept.len() > 1 && !amount(kept).fits(max) {
            kept.pop_front();
        }
    }

    /// A new subscription begins with what its topics have kept: first those that it names, then those that match.
    pub(super) fn recall(&mut self, seat: Seat) {
        let live = self.live(seat);
        let (mut origins, patterns): (Vec<_>, Vec<_>) = std::mem::take(&mut live.origins)
            .into_iter()
            .partition(|origin| matches!(origin, Origin::Name(_)));
        origins.extend(patterns);
        let mut names: Vec<Rc<str>> = Vec::new();
        for origin in &origins {
            let all = self.topics.keys().filter(|name| origin.includes(name));
            let new: Vec<_> = all.filter(|name| !names.contains(name)).cloned().collect();
            names.extend(new);
        }
        self.live(seat).origins = origins;
        for name in names {
            for (facts, order) in self.topics[&name].retained.clone() {
                let has_expired = facts.expires_ms != 0 && facts.expires_ms <= self.now.wall_ms;
                let live = self.live(seat);
                if !has_expired && live.wants(&facts, seat.0) {
                    trace::count("topic: recalled");
                    live.pending
                        .fresh
                        .push_back(Copy::new(&facts, &name, order));
                }
            }
        }
    }
}
