//! What a load came to: figures for people and programs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::consumer::Received;
use super::control::Span;
use super::latency::{Latency, Summary};
use super::ledger::{Ledger, Tally};
use super::plan::{Kind, Plan};
use super::producer::Sent;
use super::run::{Ending, Measurement};
use crate::cli::output::chain;

/// The result of a load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    /// The broker.
    pub(super) to: String,
    /// Whether it was neither interrupted nor out of time.
    pub(super) complete: bool,
    /// Time from the start, or the end of the warm-up, to the last message or receipt.
    pub(super) seconds: f64,
    /// Messages written.
    pub(super) sent: u64,
    /// Messages that the broker answered for.
    pub(super) confirmed: u64,
    /// Messages delivered, to all consumers together.
    pub(super) received: u64,
    /// Messages sent a second; confirmed ones where each is.
    pub(super) send_rate: f64,
    /// Deliveries a second.
    pub(super) receive_rate: f64,
    /// Deliveries that did not come; [`None`] where that cannot be said.
    pub(super) lost: Option<u64>,
    /// Deliveries too many.
    pub(super) duplicated: u64,
    /// Deliveries behind a later message of the same producer.
    pub(super) out_of_order: u64,
    /// Deliveries marked as such, which count for none of the above.
    pub(super) redelivered: u64,
    /// Messages that are not of this load.
    pub(super) foreign: u64,
    /// From sending to arrival, in microseconds.
    pub(super) delivery_us: Option<Summary>,
    /// From sending to the receipt, in microseconds.
    pub(super) receipt_us: Option<Summary>,
    /// Why connections failed.
    pub(super) errors: Vec<String>,
}

impl Report {
    /// Puts together what the threads measured.
    pub(super) fn new(plan: &Plan, measurement: Measurement) -> Report {
        let Measurement {
            since_ns,
            sent,
            received,
            ending,
        } = measurement;
        let failures = sent.iter().map(|sent| &sent.failure);
        let failures = failures.chain(received.iter().map(|received| &received.failure));
        let errors: Vec<String> = failures.flatten().map(|error| chain(error)).collect();
        let complete = ending == Ending::Complete && errors.is_empty();
        let sent_span = sent
            .iter()
            .map(|sent| sent.span)
            .fold(Span::default(), Span::plus);
        let received_span = received
            .iter()
            .map(|one| one.span)
            .fold(Span::default(), Span::plus);
        let end_ns = sent_span.last_ns.max(received_span.last_ns);
        let written = |sent: &[Sent]| sent.iter().map(|sent| sent.written).sum();
        let expected = expected(plan, &sent);
        let (total, confirmed) = (written(&sent), sent.iter().map(|sent| sent.confirmed).sum());
        let receipt = merged(sent.into_iter().map(|sent| sent.receipt));
        let (ledgers, delivery) = by_destination(plan, received);
        let tally = ledgers
            .iter()
            .map(|(_, ledger)| ledger.tally)
            .fold(Tally::default(), Tally::plus);
        let lost = expected.map(|expected| missing(&expected, &ledgers));
        Report {
            to: plan.target.address.clone(),
            complete,
            seconds: end_ns.saturating_sub(since_ns) as f64 / 1e9,
            sent: total,
            confirmed,
            received: tally.delivered,
            send_rate: sent_span.rate(since_ns),
            receive_rate: received_span.rate(since_ns),
            lost: lost.filter(|_| complete && plan.consumers > 0),
            duplicated: tally.duplicated,
            out_of_order: tally.out_of_order,
            redelivered: tally.redelivered,
            foreign: tally.foreign,
            delivery_us: delivery.summary(),
            receipt_us: receipt.summary(),
            errors,
        }
    }

    /// Whether everything arrived as it should.
    pub(super) fn is_clean(&self) -> bool {
        let wrong = self.lost.unwrap_or(0) + self.duplicated + self.out_of_order;
        wrong == 0 && self.errors.is_empty()
    }
}

/// Messages that each destination was sent; [`None`] for a drain of nobody knows how many.
fn expected(plan: &Plan, sent: &[Sent]) -> Option<BTreeMap<usize, u64>> {
    let mut expected = BTreeMap::new();
    if plan.producers == 0 {
        expected.insert(0, plan.messages?);
        return Some(expected);
    }
    for sent in sent {
        *expected
            .entry(plan.destination_index(sent.producer))
            .or_default() += sent.written;
    }
    Some(expected)
}

/// A ledger for each consumer of a topic, or for each queue, with its destination.
fn by_destination(plan: &Plan, received: Vec<Received>) -> (Vec<(usize, Ledger)>, Latency) {
    let mut ledgers: Vec<(usize, Ledger)> = Vec::new();
    let mut delivery = Latency::new();
    for received in received {
        delivery.merge(received.delivery);
        // What is drained may be spread over queues in any way.
        let destination = match plan.producers {
            0 => 0,
            _ => plan.destination_index(received.consumer),
        };
        let known = ledgers.iter_mut().find(|(index, _)| *index == destination);
        match (plan.kind, known) {
            (Kind::Queue, Some((_, ledger))) => ledger.merge(received.ledger),
            _ => ledgers.push((destination, received.ledger)),
        }
    }
    (ledgers, delivery)
}

fn missing(expected: &BTreeMap<usize, u64>, ledgers: &[(usize, Ledger)]) -> u64 {
    let missing = ledgers.iter().map(|(destination, ledger)| {
        let expected = expected.get(destination).copied().unwrap_or(0);
        expected.saturating_sub(ledger.distinct())
    });
    missing.sum()
}

fn merged(parts: impl Iterator<Item = Latency>) -> Latency {
    parts.fold(Latency::new(), |mut all, part| {
        all.merge(part);
        all
    })
}
