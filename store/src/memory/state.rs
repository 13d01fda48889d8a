//! What is durable on a memory disk: every operation carried out one by one, as naively as possible.
//!
//! It cancels nothing and counts afresh whenever it is asked, so that it can be held against the SQLite engine.

mod reading;

use std::collections::{BTreeMap, BTreeSet};

use crate::memory::duplicate::DuplicateBook;
use crate::memory::log::Logs;
use crate::memory::schedule::Schedule;
use crate::{
    Append, Batch, DestinationId, DestinationRecord, EntryKey, Epoch, LogAppend, LogTally, Medium,
    MessageNumber, Move, Operation, Payload, Recovered, ScheduleId, ScheduleTally, Sequence,
    SubscriptionId, Tally,
};

#[derive(Debug, Clone)]
struct Entry {
    medium: Medium,
    number: MessageNumber,
    expires_ms: i64,
    deliveries: u32,
    failures: u32,
    annotations: Box<[u8]>,
}

impl Entry {
    fn body(&self) -> (Medium, MessageNumber) {
        (self.medium, self.number)
    }
}

#[derive(Debug, Clone)]
struct Body {
    refs: usize,
    timestamp_ms: i64,
    data: Box<[u8]>,
    head_bytes: usize,
    intact: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct State {
    instance: String,
    epoch: Epoch,
    clean: bool,
    uncertain_through: Epoch,
    next_destination: DestinationId,
    destinations: BTreeMap<DestinationId, DestinationRecord>,
    entries: BTreeMap<EntryKey, Entry>,
    /// Each medium has its own: a message may stand in both.
    bodies: BTreeMap<(Medium, MessageNumber), Body>,
    logs: Logs,
    schedule: Schedule,
    duplicates: DuplicateBook,
}

impl State {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            instance: instance.to_owned(),
            epoch: Epoch(0),
            clean: false,
            uncertain_through: Epoch(0),
            next_destination: DestinationId(1),
            destinations: BTreeMap::new(),
            entries: BTreeMap::new(),
            bodies: BTreeMap::new(),
            logs: Logs::default(),
            schedule: Schedule::default(),
            duplicates: DuplicateBook::default(),
        }
    }

    /// Begins a new life.
    pub(super) fn take_over(&mut self) -> Recovered {
        if !self.clean {
            self.uncertain_through = self.epoch;
        }
        self.clean = false;
        self.epoch = Epoch(self.epoch.0 + 1);
        self.empty_scratch();
        let gone = self.logs.begin_life();
        self.release_logged(gone);
        let mut recovered = Recovered {
            instance: self.instance.clone(),
            epoch: self.epoch,
            uncertain_through: self.uncertain_through,
            destinations: self.destinations.values().cloned().collect(),
            tallies: self.tallies(),
            next_destination: self.next_destination,
            subscriptions: Vec::new(),
            next_subscription: SubscriptionId(1),
            logs: self.log_tallies(),
            scheduled: self.schedule_tallies(),
            next_due_ms: self
                .schedule
                .behind(None)
                .first()
                .map(|(key, _)| key.due_ms),
        };
        self.logs.recover(&mut recovered);
        recovered
    }

    pub(super) fn mark_clean(&mut self) {
        self.clean = true;
    }

    /// Whether the last life ended with a clean stop.
    pub(super) fn is_clean(&self) -> bool {
        self.clean
    }

    /// What was in the scratch file is no more.
    pub(super) fn empty_scratch(&mut self) {
        self.entries
            .retain(|_, entry| entry.medium == Medium::Database);
        self.bodies
            .retain(|(medium, _), _| *medium == Medium::Database);
    }

    /// Heads and bodies in the scratch file.
    pub(super) fn scratch_bytes(&self) -> u64 {
        let scratch = self
            .bodies
            .iter()
            .filter(|((medium, _), _)| *medium == Medium::Scratch);
        scratch.map(|(_, body)| body.data.len() as u64).sum()
    }

    /// Counts the entries of the database.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = Vec::new();
        let stored = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.medium == Medium::Database);
        for (key, entry) in stored {
            let bytes = self
                .bodies
                .get(&entry.body())
                .map_or(0, |body| body.data.len() as u64);
            match tallies.last_mut() {
                Some(tally) if (tally.destination, tally.rank) == (key.destination, key.rank) => {
                    tally.count += 1;
                    tally.bytes += bytes;
                    tally.last = key.sequence;
                }
                _ => tallies.push(Tally {
                    destination: key.destination,
                    rank: key.rank,
                    count: 1,
                    bytes,
                    first: key.sequence,
                    last: key.sequence,
                }),
            }
        }
        tallies
    }

    /// Counts the rows of the logs.
    pub(super) fn log_tallies(&self) -> Vec<LogTally> {
        let mut tallies: Vec<LogTally> = Vec::new();
        for ((topic, sequence), row) in self.logs.rows() {
            let body = self.bodies.get(&(Medium::Database, row.number));
            let bytes = body.map_or(0, |body| body.data.len() as u64);
            match tallies.last_mut() {
                Some(tally) if tally.topic == topic => {
                    tally.count += 1;
                    tally.bytes += bytes;
                    tally.last = sequence;
                }
                _ => tallies.push(LogTally {
                    topic,
                    count: 1,
                    bytes,
                    first: sequence,
                    last: sequence,
                }),
            }
        }
        tallies
    }

    /// Counts what is scheduled.
    pub(super) fn schedule_tallies(&self) -> Vec<ScheduleTally> {
        let mut tallies: BTreeMap<DestinationId, ScheduleTally> = BTreeMap::new();
        for row in self.schedule.rows() {
            let body = self.bodies.get(&(Medium::Database, row.number));
            let tally = tallies.entry(row.destination).or_insert(ScheduleTally {
                destination: row.destination,
                count: 0,
                bytes: 0,
            });
            tally.count += 1;
            tally.bytes += body.map_or(0, |body| body.data.len() as u64);
        }
        tallies.into_values().collect()
    }

    /// What a unique key would refuse. Checked before anything is changed: a batch is all or nothing.
    pub(super) fn conflict(&self, batch: &Batch) -> Option<String> {
        let mut new = BTreeSet::new();
        let mut removed = BTreeSet::new();
        let mut unsubscribed = BTreeSet::new();
        for operation in &batch.operations {
            let key = match operation {
                Operation::Append(append) => append.key,
                Operation::Move(change) => change.to,
                Operation::Create(record) => {
                    let same = |other: &&DestinationRecord| {
                        let name = (other.kind, &other.name) == (record.kind, &record.name);
                        !removed.contains(&other.id) && (other.id == record.id || name)
                    };
                    if let Some(other) = self.destinations.values().find(same) {
                        return Some(format!("{other:?} exists already"));
                    }
                    continue;
                }
                Operation::Remove(destination) => {
                    removed.insert(*destination);
                    continue;
                }
                Operation::Unsubscribe(id) => {
                    unsubscribed.insert(*id);
                    continue;
                }
                Operation::Subscribe(record) => {
                    let is_there = |id: &SubscriptionId| !unsubscribed.contains(id);
                    match self
                        .logs
                        .namesake(record)
                        .filter(|other| is_there(&other.id))
                    {
                        Some(other) => return Some(format!("{other:?} exists already")),
                        None => continue,
                    }
                }
                Operation::Log(log) => match self.logs.has((log.topic, log.sequence)) {
                    true => return Some(format!("{log:?} exists already")),
                    false => continue,
                },
                Operation::Schedule(record) => match self.schedule.has(record.id) {
                    true => return Some(format!("{record:?} exists already")),
                    false => continue,
                },
                Operation::Settle { .. }
                | Operation::Count { .. }
                | Operation::Reschedule { .. }
                | Operation::Unschedule(_)
                | Operation::Remember(_)
                | Operation::Pass { .. }
                | Operation::Floor { .. }
                | Operation::LogCount { .. }
                | Operation::Trim { .. } => continue,
            };
            if self.entries.contains_key(&key) || !new.insert(key) {
                return Some(format!("{key:?} exists already"));
            }
        }
        None
    }

    pub(super) fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Create(record) => {
                let next = DestinationId(record.id.0 + 1);
                self.next_destination = self.next_destination.max(next);
                self.destinations.insert(record.id, record);
            }
            Operation::Remove(destination) => {
                self.destinations.remove(&destination);
                let all = self
                    .entries
                    .keys()
                    .filter(|key| key.destination == destination);
                for key in all.copied().collect::<Vec<_>>() {
                    self.take(key);
                }
                self.duplicates.remove(destination);
                let gone = self.schedule.remove(destination);
                self.release_logged(gone);
                let gone = self.logs.remove_topic(destination);
                self.release_logged(gone);
            }
            Operation::Append(append) => self.append(append),
            Operation::Settle { key, medium } => {
                if self.holds(key, medium) {
                    self.take(key);
                }
            }
            Operation::Count {
                key,
                deliveries,
                failures,
            } => {
                let stored = |entry: &&mut Entry| entry.medium == Medium::Database;
                if let Some(entry) = self.entries.get_mut(&key).filter(stored) {
                    (entry.deliveries, entry.failures) = (deliveries, failures);
                }
            }
            Operation::Move(change) if self.holds(change.from, Medium::Database) => {
                self.relocate(change);
            }
            Operation::Move(_) => {}
            Operation::Log(log) => self.log(&log),
            Operation::Schedule(record) => {
                let place = (Medium::Database, record.number);
                self.hold(place, record.timestamp_ms, &*record.payload);
                self.schedule.insert(record);
            }
            Operation::Reschedule {
                id,
                due_ms,
                repeats_left,
            } => self.schedule.put_off(id, due_ms, repeats_left),
            Operation::Unschedule(id) => {
                self.unschedule(id);
            }
            Operation::Remember(record) => self.duplicates.remember(record),
            Operation::Subscribe(_)
            | Operation::Unsubscribe(_)
            | Operation::Pass { .. }
            | Operation::Floor { .. }
            | Operation::LogCount { .. }
            | Operation::Trim { .. } => {
                let gone = self.keep(operation);
                self.release_logged(gone);
            }
        }
    }

    /// What happens to subscriptions; answers what their logs let go of.
    fn keep(&mut self, operation: Operation) -> Vec<MessageNumber> {
        match operation {
            Operation::Subscribe(record) => return self.logs.subscribe(record),
            Operation::Unsubscribe(id) => return self.logs.unsubscribe(id),
            Operation::Floor {
                subscription,
                floor,
            } => return self.logs.raise(subscription, floor),
            Operation::Trim { topic, through } => return self.logs.trim(topic, through),
            Operation::Pass {
                subscription,
                sequence,
            } => {
                if let Some(exception) = self.logs.exception(subscription, sequence) {
                    exception.acknowledged = true;
                }
            }
            Operation::LogCount {
                subscription,
                sequence,
                deliveries,
                failures,
            } => {
                if let Some(exception) = self.logs.exception(subscription, sequence) {
                    (exception.deliveries, exception.failures) = (deliveries, failures);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    /// Makes the stored body of a message unreadable.
    pub(super) fn corrupt(&mut self, number: MessageNumber) {
        if let Some(body) = self.bodies.get_mut(&(Medium::Database, number)) {
            body.intact = false;
        }
    }

    /// Takes an entry out because of its body; `false` when it has gone already.
    pub(super) fn put_aside(&mut self, key: EntryKey) -> bool {
        let present = self.entries.contains_key(&key);
        self.take(key);
        present
    }

    pub(super) fn put_log_aside(&mut self, topic: DestinationId, sequence: Sequence) -> bool {
        let row = self.logs.take((topic, sequence));
        self.release_logged(row.map(|row| row.number));
        row.is_some()
    }

    /// Takes a message out of the schedule; `false` when it has gone already.
    pub(super) fn unschedule(&mut self, id: ScheduleId) -> bool {
        let number = self.schedule.take(id);
        self.release_logged(number);
        number.is_some()
    }

    fn log(&mut self, log: &LogAppend) {
        if self.logs.append(log) {
            let place = (Medium::Database, log.number);
            self.hold(place, log.timestamp_ms, &*log.payload);
        }
    }

    fn append(&mut self, append: Append) {
        let place = (append.medium, append.number);
        self.hold(place, append.timestamp_ms, &*append.payload);
        let entry = Entry {
            medium: append.medium,
            number: append.number,
            expires_ms: append.expires_ms,
            deliveries: 0,
            failures: 0,
            annotations: append.annotations,
        };
        self.entries.insert(append.key, entry);
    }

    fn holds(&self, key: EntryKey, medium: Medium) -> bool {
        self.entries
            .get(&key)
            .is_some_and(|entry| entry.medium == medium)
    }

    fn take(&mut self, key: EntryKey) {
        let Some(entry) = self.entries.remove(&key) else {
            return;
        };
        self.release(entry.body());
    }

    /// One more owner of a message.
    fn hold(&mut self, place: (Medium, MessageNumber), timestamp_ms: i64, payload: &dyn Payload) {
        let body = self.bodies.entry(place).or_insert_with(|| {
            let (head, body) = (payload.head(), payload.body());
            Body {
                refs: 0,
                timestamp_ms,
                data: [head, body].concat().into_boxed_slice(),
                head_bytes: head.len(),
                intact: true,
            }
        });
        body.refs += 1;
    }

    fn release(&mut self, place: (Medium, MessageNumber)) {
        let Some(body) = self.bodies.get_mut(&place) else {
            return;
        };
        body.refs -= 1;
        if body.refs == 0 {
            self.bodies.remove(&place);
        }
    }

    fn release_logged(&mut self, gone: impl IntoIterator<Item = MessageNumber>) {
        for number in gone {
            self.release((Medium::Database, number));
        }
    }

    fn relocate(&mut self, change: Move) {
        let Some(entry) = self.entries.remove(&change.from) else {
            return;
        };
        let entry = Entry {
            medium: Medium::Database,
            number: entry.number,
            expires_ms: change.expires_ms,
            deliveries: 0,
            failures: 0,
            annotations: change.annotations,
        };
        self.entries.insert(change.to, entry);
    }
}
