//! Statistics on request, as ActiveMQ's statistics plugin gives them: a SEND to `ActiveMQ.Statistics.…` with a
//! `reply-to` is answered there, one message for the broker, each destination or each subscription.
//!
//! *Invariants.* A query goes into no queue. It is answered at once or refused, and never with more than
//! [`ANSWERS_MAX`] messages. What is not known is left out.

mod fact;

use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::canonical;

use super::effect::Promise;
use super::entry::AT_ONCE;
use super::full::NOBODY;
use super::key::{PeerKey, SubscriptionKey};
use super::publish::{AllPlaced, Routing};
use super::report::Report;
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::{DestinationName, StatisticsQuery, names_matching, reply_name};
use crate::core::message::{DeliveryMode, Message, Publication, Target};
use crate::core::port::{ReceiptId, Refusal, Reply};

/// Destinations, or subscriptions, that one query is told of; the last answer says when there are more.
pub(super) const ANSWERS_MAX: usize = 256;

/// What one read of a connection, or one COMMIT, may ask for, in answers; a query that looks for what it is about counts
/// as [`ANSWERS_MAX`] of them. A query is a hundred bytes, an answer a few microseconds: what is read at once must not
/// keep the others waiting.
pub(super) const ANSWERS_AT_ONCE: usize = 1_024;

/// What a connection has asked for at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    at: Duration,
    answers: usize,
}

/// What is added up over all queues, once for all queries of one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    at: Duration,
    depth: u64,
    in_flight: u64,
}

/// Whether a query was answered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Yes,
    /// What it asks about is not there, or whoever asks has gone.
    Nothing,
}

impl Dispatcher {
    /// What a SEND asks for, if it asks for statistics.
    pub(super) fn query_in(target: &Target) -> Option<StatisticsQuery> {
        match target {
            Target::One(name) => StatisticsQuery::of(name),
            Target::Each(_) => None,
        }
    }

    /// A SEND that asks for statistics.
    pub(super) fn query(
        &mut self,
        peer: PeerKey,
        query: &StatisticsQuery,
        message: &Message,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        match (self.answer_query(peer, query, message, now), receipt) {
            (Err(refusal), receipt) => self.refuse(peer, refusal, receipt),
            (Ok(Answered::Yes), receipt) => self.answer(peer, receipt, Promise::Kept),
            (Ok(Answered::Nothing), Some(receipt)) => self.reply(peer, Reply::Unrouted(receipt)),
            (Ok(Answered::Nothing), None) => {}
        }
    }

    /// The same within a COMMIT, which one that cannot be answered does not undo; whether it was one.
    pub(super) fn query_in_transaction(
        &mut self,
        peer: PeerKey,
        publication: &Publication,
        now: Now,
    ) -> bool {
        let Some(query) = Self::query_in(&publication.target) else {
            return false;
        };
        if self
            .answer_query(peer, &query, &publication.message, now)
            .is_err()
        {
            self.counters.dropped += 1;
        }
        true
    }

    /// Answers a query.
    fn answer_query(
        &mut self,
        peer: PeerKey,
        query: &StatisticsQuery,
        message: &Message,
        now: Now,
    ) -> Result<Answered, Refusal> {
        if self.settings.budget.is_over() {
            return Err(Refusal::new(
                "memory is full",
                "messages in memory have reached limits.memory_bytes, and answers would be more of \
                 them: ask again later",
            ));
        }
        self.check_asked(peer, query, now)?;
        let reply_to = canonical::find(message.head(), b"reply-to").unwrap_or_default();
        let to = reply_name(&reply_to)
            .map_err(|error| Refusal::new("reply-to is invalid", format!("reply-to: {error}")))?;
        let Some(place) = self.ensure(&Arc::new(to), now)? else {
            return Ok(Answered::Nothing);
        };
        let reports = self.reports(query, now);
        if reports.is_empty() {
            return Ok(Answered::Nothing);
        }
        let correlation_id = canonical::find(message.head(), b"correlation-id");
        let answers = reports.len();
        for (index, report) in reports.into_iter().enumerate() {
            let report = report
                .with("answerCount", answers)
                .answering(correlation_id.as_deref());
            match (self.publish_answer(place, report, now), index) {
                (Ok(()), _) => {}
                (Err(refusal), 0) => return Err(refusal),
                (Err(_), _) => self.counters.dropped += 1,
            }
        }
        self.hold_producer_back(peer, place, DeliveryMode::NonPersistent);
        Ok(Answered::Yes)
    }

    fn check_asked(
        &mut self,
        peer: PeerKey,
        query: &StatisticsQuery,
        now: Now,
    ) -> Result<(), Refusal> {
        let asked = &mut self.peers[peer.0].asked;
        if asked.at != now.uptime {
            *asked = Asked {
                at: now.uptime,
                answers: 0,
            };
        }
        asked.answers += match query {
            StatisticsQuery::Broker | StatisticsQuery::One(_) => 1,
            StatisticsQuery::Matching(_) | StatisticsQuery::Subscriptions => ANSWERS_MAX,
        };
        if asked.answers <= ANSWERS_AT_ONCE {
            return Ok(());
        }
        Err(Refusal::new(
            "too many statistics at once",
            format!(
                "a connection is given at most {ANSWERS_AT_ONCE} answers at once, and a query about a pattern or all \
                 subscriptions counts as {ANSWERS_MAX}: wait for the answers before you ask again"
            ),
        ))
    }

    /// # Errors
    /// When its queue is full and refuses what comes.
    fn publish_answer(&mut self, place: Place, report: Report, now: Now) -> Result<(), Refusal> {
        let name = match place {
            Place::Queue(key) => Arc::clone(&self.queues[key.0].name),
            Place::Topic(key) => Arc::clone(&self.topics[key.0].name),
        };
        let publication: Publication = report.into_publication(name, &self.settings.budget, now);
        self.check_room(&[place], publication.message.bytes(), now)?;
        let routing = Routing {
            sender: NOBODY,
            visible_after: AT_ONCE,
        };
        self.publish(&[place], publication, routing, &mut AllPlaced::new(), now);
        Ok(())
    }

    fn reports(&mut self, query: &StatisticsQuery, now: Now) -> Vec<Report> {
        match query {
            StatisticsQuery::Broker => {
                let totals = self.totals(now);
                vec![self.broker_report(totals)]
            }
            StatisticsQuery::One(name) => self
                .place_of(name)
                .map(|place| self.report_of(place))
                .into_iter()
                .collect(),
            StatisticsQuery::Matching(pattern) => {
                let walked = self.burst.meter();
                let named = names_matching(pattern, &self.ordered_names, walked);
                let places = named.map(|(_, place)| *place);
                bounded(places.map(|place| self.report_of(place)))
            }
            StatisticsQuery::Subscriptions => {
                let keys = self
                    .subscriptions
                    .iter()
                    .map(|(key, _)| SubscriptionKey(key));
                bounded(keys.map(|key| self.subscription_report(key)))
            }
        }
    }

    fn place_of(&self, name: &DestinationName) -> Option<Place> {
        self.names.get(name).copied()
    }

    fn report_of(&self, place: Place) -> Report {
        match place {
            Place::Queue(key) => self.queue_report(key),
            Place::Topic(key) => self.topic_report(key),
        }
    }

    fn totals(&mut self, now: Now) -> Totals {
        if let Some(totals) = self.totals.filter(|totals| totals.at == now.uptime) {
            return totals;
        }
        let queues = || self.destinations();
        let totals = Totals {
            at: now.uptime,
            depth: queues().map(|queue| queue.depth).sum(),
            in_flight: queues().map(|queue| queue.in_flight).sum(),
        };
        self.totals = Some(totals);
        totals
    }
}

/// As many as one query is told of; the last one says if there are more.
fn bounded(mut reports: impl Iterator<Item = Report>) -> Vec<Report> {
    let mut told: Vec<Report> = reports.by_ref().take(ANSWERS_MAX).collect();
    if reports.next().is_some()
        && let Some(last) = told.pop()
    {
        told.push(last.with("truncated", true));
    }
    told
}
