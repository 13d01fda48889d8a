//! What one commit does to subscriptions: each is touched once, however often it was acknowledged.
//!
//! Floors only rise and an acknowledgement is not taken back, so the order among them does not matter. All of it is
//! done before the steps of the commit: what nobody will ask for need not be written there.

use std::collections::BTreeMap;

use crate::{DestinationId, Sequence, SubscriptionId, SubscriptionRecord};

/// Subscriptions that come and go, in the order in which they were asked to.
#[derive(Debug)]
pub(super) enum Registration<'b> {
    Subscribe(&'b SubscriptionRecord),
    Unsubscribe(SubscriptionId),
    /// All subscriptions of a topic go, and its log.
    RemoveTopic(DestinationId),
}

/// How far one subscription has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) floor: Option<Sequence>,
    /// Some of them may be below the floor by now.
    pub(super) exceptions: BTreeMap<Sequence, Exception>,
}

/// What is new about one message of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) acknowledged: bool,
    pub(super) counts: Option<Counts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) deliveries: u32,
    pub(super) failures: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger<'b> {
    pub(super) registrations: Vec<Registration<'b>>,
    pub(super) progress: BTreeMap<SubscriptionId, Progress>,
    pub(super) trims: BTreeMap<DestinationId, Sequence>,
}

impl<'b> Ledger<'b> {
    /// Whether the database has to be touched for it.
    pub(super) fn is_empty(&self) -> bool {
        self.registrations.is_empty() && self.progress.is_empty() && self.trims.is_empty()
    }

    /// Whether it takes room in the database: floors do not.
    pub(super) fn grows(&self) -> bool {
        let mut progress = self.progress.values();
        progress.any(|progress| !progress.exceptions.is_empty())
    }

    pub(super) fn subscribe(&mut self, record: &'b SubscriptionRecord) {
        self.registrations.push(Registration::Subscribe(record));
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) {
        self.registrations.push(Registration::Unsubscribe(id));
    }

    pub(super) fn remove_topic(&mut self, topic: DestinationId) {
        self.registrations.push(Registration::RemoveTopic(topic));
    }

    pub(super) fn pass(&mut self, id: SubscriptionId, sequence: Sequence) {
        self.exception(id, sequence).acknowledged = true;
    }

    pub(super) fn count(&mut self, id: SubscriptionId, sequence: Sequence, counts: Counts) {
        self.exception(id, sequence).counts = Some(counts);
    }

    pub(super) fn floor(&mut self, id: SubscriptionId, floor: Sequence) {
        let progress = self.progress.entry(id).or_default();
        progress.floor = progress.floor.max(Some(floor));
    }

    pub(super) fn trim(&mut self, topic: DestinationId, through: Sequence) {
        let trim = self.trims.entry(topic).or_insert(through);
        *trim = through.max(*trim);
    }

    fn exception(&mut self, id: SubscriptionId, sequence: Sequence) -> &mut Exception {
        let progress = self.progress.entry(id).or_default();
        progress.exceptions.entry(sequence).or_default()
    }
}
