//! Logs and durable subscriptions of a memory disk. Messages are another's: what a log lets go of is returned.

use std::collections::BTreeMap;

use crate::{
    DestinationId, LogAppend, LogPageRequest, MessageNumber, Recovered, Sequence, SubscriptionId,
    SubscriptionRecord,
};

/// A message in a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogRow {
    pub(super) number: MessageNumber,
    pub(super) expires_ms: i64,
    pub(super) tag: i64,
}

/// What departs from a subscription's floor.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Exception {
    pub(super) acknowledged: bool,
    pub(super) deliveries: u32,
    pub(super) failures: u32,
}

type Place = (DestinationId, Sequence);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Logs {
    rows: BTreeMap<Place, LogRow>,
    subscriptions: BTreeMap<SubscriptionId, SubscriptionRecord>,
    exceptions: BTreeMap<(SubscriptionId, Sequence), Exception>,
    /// Up to where nobody will ask for a topic's rows.
    trimmed: BTreeMap<DestinationId, Sequence>,
}

impl Logs {
    /// A new life trims every log to its lowest floor.
    pub(super) fn begin_life(&mut self) -> Vec<MessageNumber> {
        self.trimmed.clear();
        let ends: BTreeMap<_, _> = self.rows.keys().copied().collect();
        let trims = ends
            .into_iter()
            .map(|(topic, last)| self.trim(topic, last))
            .collect::<Vec<_>>();
        trims.concat()
    }

    pub(super) fn recover(&self, recovered: &mut Recovered) {
        recovered.subscriptions = self.subscriptions.values().cloned().collect();
        let last = self.subscriptions.keys().next_back();
        recovered.next_subscription = SubscriptionId(last.map_or(1, |id| id.0 + 1));
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (Place, LogRow)> {
        self.rows.iter().map(|(place, row)| (*place, *row))
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.rows.contains_key(&place)
    }

    /// Another subscription that has the identity of this one.
    pub(super) fn namesake(&self, record: &SubscriptionRecord) -> Option<&SubscriptionRecord> {
        let same = |other: &&SubscriptionRecord| other.identity == record.identity;
        self.subscriptions
            .values()
            .filter(|other| other.id != record.id)
            .find(same)
    }

    /// `false` when nobody will ask for it.
    pub(super) fn append(&mut self, log: &LogAppend) -> bool {
        if log.sequence <= self.free(log.topic) {
            return false;
        }
        let row = LogRow {
            number: log.number,
            expires_ms: log.expires_ms,
            tag: log.tag,
        };
        self.rows.insert((log.topic, log.sequence), row);
        true
    }

    pub(super) fn take(&mut self, place: Place) -> Option<LogRow> {
        self.rows.remove(&place)
    }

    pub(super) fn subscribe(&mut self, record: SubscriptionRecord) -> Vec<MessageNumber> {
        let topic = record.topic;
        match self.subscriptions.get_mut(&record.id) {
            Some(known) => {
                known.selector = record.selector;
                known.floor = known.floor.max(record.floor);
                self.drop_exceptions(record.id);
            }
            None => {
                self.subscriptions.insert(record.id, record);
            }
        }
        self.remove_free(topic)
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) -> Vec<MessageNumber> {
        let Some(record) = self.subscriptions.remove(&id) else {
            return Vec::new();
        };
        self.exceptions.retain(|(of, _), _| *of != id);
        self.remove_free(record.topic)
    }

    pub(super) fn remove_topic(&mut self, topic: DestinationId) -> Vec<MessageNumber> {
        let of_topic = |record: &&SubscriptionRecord| record.topic == topic;
        let subscriptions = self.subscriptions.values().filter(of_topic);
        let ids: Vec<_> = subscriptions.map(|record| record.id).collect();
        let mut gone: Vec<_> = ids.into_iter().map(|id| self.unsubscribe(id)).collect();
        gone.push(self.trim(topic, Sequence::MAX));
        gone.concat()
    }

    pub(super) fn raise(&mut self, id: SubscriptionId, floor: Sequence) -> Vec<MessageNumber> {
        let Some(record) = self.subscriptions.get_mut(&id) else {
            return Vec::new();
        };
        record.floor = record.floor.max(floor);
        let topic = record.topic;
        self.drop_exceptions(id);
        self.remove_free(topic)
    }

    /// The exception of a message above the floor.
    pub(super) fn exception(
        &mut self,
        id: SubscriptionId,
        sequence: Sequence,
    ) -> Option<&mut Exception> {
        let floor = self.subscriptions.get(&id)?.floor;
        (sequence > floor).then(|| self.exceptions.entry((id, sequence)).or_default())
    }

    pub(super) fn trim(&mut self, topic: DestinationId, through: Sequence) -> Vec<MessageNumber> {
        let trimmed = self.trimmed.entry(topic).or_insert(through);
        *trimmed = through.max(*trimmed);
        self.remove_free(topic)
    }

    /// What a page looks at, with what departs from the floor.
    pub(super) fn range(
        &self,
        request: LogPageRequest,
    ) -> impl Iterator<Item = (Sequence, LogRow, Exception)> {
        let floor = self
            .subscriptions
            .get(&request.subscription)
            .map(|record| record.floor);
        let above = move |sequence: Sequence| floor.is_none_or(|floor| sequence > floor);
        let rows = (request.from <= request.through).then(|| {
            self.rows
                .range((request.topic, request.from)..=(request.topic, request.through))
        });
        rows.into_iter()
            .flatten()
            .filter(move |((_, sequence), _)| above(*sequence))
            .map(move |((_, sequence), row)| {
                let key = (request.subscription, *sequence);
                let exception = self.exceptions.get(&key).copied().unwrap_or_default();
                (*sequence, *row, exception)
            })
    }

    /// Nobody will ask for rows up to here, and no floor holds them.
    fn free(&self, topic: DestinationId) -> Sequence {
        let of_topic = |record: &&SubscriptionRecord| record.topic == topic;
        let floors = self.subscriptions.values().filter(of_topic);
        let lowest = floors.map(|record| record.floor).min();
        let trimmed = self.trimmed.get(&topic).copied();
        let trimmed = trimmed.unwrap_or(Sequence(i64::MIN));
        trimmed.min(lowest.unwrap_or(Sequence::MAX))
    }

    fn remove_free(&mut self, topic: DestinationId) -> Vec<MessageNumber> {
        let free = self.free(topic);
        let first = (topic, Sequence(i64::MIN));
        let places = self.rows.range(first..=(topic, free));
        let places: Vec<_> = places.map(|(place, _)| *place).collect();
        let taken = places.iter().filter_map(|place| self.rows.remove(place));
        taken.map(|row| row.number).collect()
    }

    fn drop_exceptions(&mut self, id: SubscriptionId) {
        let Some(floor) = self.subscriptions.get(&id).map(|record| record.floor) else {
            return;
        };
        self.exceptions
            .retain(|(of, sequence), _| *of != id || *sequence > floor);
    }
}
