//! Random operations on logs, subscriptions and a queue beside them, on both engines and on a naive model.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use stompbox_store::{
    DestinationId, Haste, LogPageRequest, LogTally, Operation, Sequence, SubscriptionId,
    SubscriptionRecord, Ticket,
};

use crate::harness::{Harness, MemoryHarness, SqliteHarness};
use crate::message::*;
use crate::session::Session;

const TOPICS: i64 = 2;
const QUEUE: i64 = 1;

/// One turn; `pick` and `at` choose among what is there.
#[derive(Debug, Clone)]
enum Turn {
    Publish {
        topic: i64,
        also_to_queue: bool,
        large: bool,
    },
    Subscribe {
        topic: i64,
        behind: usize,
    },
    Resubscribe {
        pick: usize,
        behind: usize,
    },
    Unsubscribe {
        pick: usize,
    },
    Acknowledge {
        pick: usize,
        at: usize,
    },
    Advance {
        pick: usize,
        at: usize,
    },
    Count {
        pick: usize,
        at: usize,
        deliveries: u32,
    },
    Bury {
        pick: usize,
        at: usize,
    },
    Settle {
        pick: usize,
    },
    Trim {
        topic: i64,
        behind: usize,
    },
    Clear {
        topic: i64,
    },
    Submit(Haste),
    Compare,
    Close,
    Crash,
}

fn turn() -> impl Strategy<Value = Turn> {
    let topic = || 1..=TOPICS;
    let pick = || any::<usize>();
    prop_oneof![
        40 => (topic(), prop::bool::weighted(0.2), prop::bool::weighted(0.01))
            .prop_map(|(topic, also_to_queue, large)| Turn::Publish { topic, also_to_queue, large }),
        2 => (topic(), 0..9_usize).prop_map(|(topic, behind)| Turn::Subscribe { topic, behind }),
        1 => (pick(), 0..9_usize).prop_map(|(pick, behind)| Turn::Resubscribe { pick, behind }),
        1 => pick().prop_map(|pick| Turn::Unsubscribe { pick }),
        15 => (pick(), 0..6_usize).prop_map(|(pick, at)| Turn::Acknowledge { pick, at }),
        8 => (pick(), pick()).prop_map(|(pick, at)| Turn::Advance { pick, at }),
        4 => (pick(), 0..9_usize, 1..9_u32)
            .prop_map(|(pick, at, deliveries)| Turn::Count { pick, at, deliveries }),
        4 => (pick(), 0..9_usize).prop_map(|(pick, at)| Turn::Bury { pick, at }),
        6 => pick().prop_map(|pick| Turn::Settle { pick }),
        6 => (topic(), 0..9_usize).prop_map(|(topic, behind)| Turn::Trim { topic, behind }),
        1 => topic().prop_map(|topic| Turn::Clear { topic }),
        12 => prop_oneof![Just(Haste::Awaited), Just(Haste::Patient)].prop_map(Turn::Submit),
        3 => Just(Turn::Compare),
        1 => Just(Turn::Close),
        1 => Just(Turn::Crash),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Message {
    number: i64,
    body_bytes: usize,
}

impl Message {
    fn bytes(self) -> u64 {
        (format!("number:{}\n", self.number).len() + self.body_bytes) as u64
    }
}

#[derive(Debug, Clone)]
struct Subscription {
    record: SubscriptionRecord,
    passed: Vec<i64>,
    counts: BTreeMap<i64, u32>,
}

/// What the turns so far amount to.
#[derive(Default)]
struct Model {
    /// Topics get a new id each time they are cleared.
    ids: BTreeMap<i64, i64>,
    logs: BTreeMap<i64, BTreeMap<i64, Message>>,
    trimmed: BTreeMap<i64, i64>,
    subscriptions: BTreeMap<i64, Subscription>,
    queue: BTreeMap<i64, Message>,
    last_id: i64,
    last_subscription: i64,
    last_sequence: i64,
    batch: Vec<Operation>,
}

impl Model {
    fn new() -> Self {
        let mut model = Self {
            last_id: QUEUE,
            ..Self::default()
        };
        model.batch.push(queue(QUEUE, "dead"));
        (1..=TOPICS).for_each(|topic| model.create(topic));
        model
    }

    fn create(&mut self, name: i64) {
        self.last_id += 1;
        self.ids.insert(name, self.last_id);
        self.logs.insert(self.last_id, BTreeMap::new());
        self.batch
            .push(topic(self.last_id, &format!("topic {name}")));
    }

    fn next_sequence(&mut self) -> i64 {
        self.last_sequence += 1;
        self.last_sequence
    }

    fn pick(&self, pick: usize) -> Option<i64> {
        let index = pick.checked_rem(self.subscriptions.len())?;
        self.subscriptions.keys().nth(index).copied()
    }

    /// What a subscription has not acknowledged.
    fn unacknowledged(&self, id: i64) -> Vec<i64> {
        let subscription = &self.subscriptions[&id];
        let log = &self.logs[&subscription.record.topic.0];
        let above = log.range(subscription.record.floor.0 + 1..);
        above
            .map(|(sequence, _)| *sequence)
            .filter(|sequence| !subscription.passed.contains(sequence))
            .collect()
    }

    /// A position so many messages behind the last one of a log.
    fn behind(&self, topic: i64, behind: usize) -> i64 {
        let positions = self.logs[&topic].keys().rev();
        positions.copied().nth(behind).unwrap_or(0)
    }

    /// Up to where nobody needs a log.
    fn free(&self, topic: i64) -> i64 {
        let of_topic = |it: &&Subscription| it.record.topic.0 == topic;
        let floors = self.subscriptions.values().filter(of_topic);
        let lowest = floors.map(|it| it.record.floor.0).min();
        let trimmed = self.trimmed.get(&topic).copied().unwrap_or(-1);
        trimmed.min(lowest.unwrap_or(i64::MAX))
    }

    /// Removes what nobody needs.
    fn trim(&mut self) {
        for topic in self.ids.values().copied() {
            let free = self.free(topic);
            if let Some(log) = self.logs.get_mut(&topic) {
                log.retain(|sequence, _| *sequence > free);
            }
        }
        for subscription in self.subscriptions.values_mut() {
            let floor = subscription.record.floor.0;
            subscription.passed.retain(|sequence| *sequence > floor);
            subscription.counts.retain(|sequence, _| *sequence > floor);
        }
    }

    fn raise(&mut self, id: i64, to: i64) {
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            let floor = &mut subscription.record.floor;
            *floor = (*floor).max(Sequence(to));
        }
    }

    fn publish(&mut self, name: i64, also_to_queue: bool, large: bool) {
        let sequence = self.next_sequence();
        let body_bytes = if large {
            (1 << 20) + 7
        } else {
            3 + (sequence % 50) as usize
        };
        let message = Message {
            number: sequence,
            body_bytes,
        };
        let topic = self.ids[&name];
        if let Some(log) = self.logs.get_mut(&topic) {
            log.insert(sequence, message);
        }
        self.batch.push(Operation::Log(log_append_sized(
            topic, sequence, body_bytes,
        )));
        if also_to_queue {
            self.enqueue(message);
        }
    }

    fn enqueue(&mut self, message: Message) {
        let sequence = self.next_sequence();
        let body = vec![b'x'; message.body_bytes];
        let append = append_sized(key(QUEUE, 4, sequence), message.number, body);
        self.batch.push(Operation::Append(append));
        self.queue.insert(sequence, message);
    }

    fn subscribe(&mut self, record: SubscriptionRecord) {
        self.batch.push(Operation::Subscribe(record.clone()));
        let subscription = Subscription {
            record,
            passed: Vec::new(),
            counts: BTreeMap::new(),
        };
        self.subscriptions
            .insert(self.last_subscription, subscription);
    }

    /// Acknowledges one message: the first of all by raising the floor, as the broker does.
    fn acknowledge(&mut self, id: i64, sequence: i64) {
        let waiting = self.unacknowledged(id);
        if waiting.first() == Some(&sequence) {
            let end = self.logs[&self.subscriptions[&id].record.topic.0]
                .keys()
                .next_back();
            let to = waiting.get(1).map(|next| next - 1);
            let to = to.or(end.copied()).unwrap_or(sequence);
            self.batch.push(floor(id, to));
            self.raise(id, to);
        } else if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.passed.push(sequence);
            self.batch.push(pass(id, sequence));
        }
    }

    /// The subscription and the message that a turn is about.
    fn chosen(&self, pick: usize, at: usize) -> Option<(i64, i64)> {
        let id = self.pick(pick)?;
        let waiting = self.unacknowledged(id);
        let index = at.checked_rem(waiting.len())?;
        Some((id, waiting[index]))
    }

    /// Does what one turn asks for, unless it concerns the engines only.
    fn take(&mut self, turn: &Turn) {
        self.carry_out(turn);
        self.trim();
    }

    fn carry_out(&mut self, turn: &Turn) {
        match *turn {
            Turn::Publish {
                topic,
                also_to_queue,
                large,
            } => self.publish(topic, also_to_queue, large),
            Turn::Subscribe { topic, behind } => {
                self.last_subscription += 1;
                let topic = self.ids[&topic];
                // What has been let go of may be gone.
                let floor = self.behind(topic, behind).max(self.free(topic));
                self.subscribe(subscription(self.last_subscription, topic, floor));
            }
            Turn::Resubscribe { pick, behind } => {
                let Some(id) = self.pick(pick) else { return };
                let topic = self.subscriptions[&id].record.topic.0;
                let to = self.behind(topic, behind);
                let selector: Option<Box<str>> = Some(format!("behind {behind}").into());
                let again = SubscriptionRecord {
                    selector: selector.clone(),
                    ..subscription(id, topic, to)
                };
                self.batch.push(Operation::Subscribe(again));
                self.raise(id, to);
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.record.selector = selector;
                }
            }
            Turn::Unsubscribe { pick } => {
                let Some(id) = self.pick(pick) else { return };
                self.subscriptions.remove(&id);
                self.batch.push(unsubscribe(id));
            }
            Turn::Acknowledge { pick, at } => {
                if let Some((id, sequence)) = self.chosen(pick, at) {
                    self.acknowledge(id, sequence);
                }
            }
            Turn::Advance { pick, at } => {
                if let Some((id, sequence)) = self.chosen(pick, at) {
                    self.batch.push(floor(id, sequence));
                    self.raise(id, sequence);
                }
            }
            Turn::Count {
                pick,
                at,
                deliveries,
            } => {
                let Some((id, sequence)) = self.chosen(pick, at) else {
                    return;
                };
                self.batch
                    .push(log_count(id, sequence, deliveries, deliveries / 2));
                if let Some(subscription) = self.subscriptions.get_mut(&id) {
                    subscription.counts.insert(sequence, deliveries);
                }
            }
            Turn::Bury { pick, at } => {
                let Some((id, sequence)) = self.chosen(pick, at) else {
                    return;
                };
                let topic = self.subscriptions[&id].record.topic.0;
                self.enqueue(self.logs[&topic][&sequence]);
                self.acknowledge(id, sequence);
            }
            Turn::Settle { pick } => {
                let index = pick.checked_rem(self.queue.len());
                let chosen = index.and_then(|index| self.queue.keys().nth(index).copied());
                if let Some(sequence) = chosen {
                    self.queue.remove(&sequence);
                    self.batch.push(settle(key(QUEUE, 4, sequence)));
                }
            }
            Turn::Trim { topic, behind } => {
                let topic = self.ids[&topic];
                let through = self.behind(topic, behind);
                self.batch.push(trim(topic, through));
                let trimmed = self.trimmed.entry(topic).or_insert(through);
                *trimmed = through.max(*trimmed);
            }
            Turn::Clear { topic } => {
                let id = self.ids[&topic];
                self.batch.push(Operation::Remove(DestinationId(id)));
                self.logs.remove(&id);
                self.subscriptions.retain(|_, it| it.record.topic.0 != id);
                self.create(topic);
            }
            Turn::Submit(_) | Turn::Compare | Turn::Close | Turn::Crash => {}
        }
    }

    fn tallies(&self) -> Vec<LogTally> {
        let tally = |(topic, log): (&i64, &BTreeMap<i64, Message>)| {
            Some(LogTally {
                topic: DestinationId(*topic),
                count: log.len() as u64,
                bytes: log.values().map(|message| message.bytes()).sum(),
                first: Sequence(*log.first_key_value()?.0),
                last: Sequence(*log.last_key_value()?.0),
            })
        };
        self.logs.iter().filter_map(tally).collect()
    }
}

/// The engines side by side.
struct Engines {
    harnesses: [Box<dyn Harness>; 2],
    sessions: Vec<Session>,
    tickets: Vec<Ticket>,
}

impl Engines {
    fn new() -> Self {
        let mut harnesses: [Box<dyn Harness>; 2] = [
            Box::new(SqliteHarness::new()),
            Box::new(MemoryHarness::new()),
        ];
        let sessions = harnesses.iter_mut().map(|harness| harness.open()).collect();
        Self {
            harnesses,
            sessions,
            tickets: vec![Ticket(0); 2],
        }
    }

    fn submit(&mut self, operations: &mut Vec<Operation>, haste: Haste) {
        let operations = std::mem::take(operations);
        for (session, ticket) in self.sessions.iter_mut().zip(&mut self.tickets) {
            let operations = operations.clone();
            *ticket = session.store.submit(stompbox_store::Batch {
                operations,
                haste,
                ..Default::default()
            });
        }
    }

    /// Everything that the engines show must be what the model holds.
    fn compare(&mut self, model: &Model) {
        for (session, ticket) in self.sessions.iter_mut().zip(&self.tickets) {
            session.wait(*ticket);
            for (id, subscription) in &model.subscriptions {
                let topic = subscription.record.topic.0;
                let held: Vec<_> = model
                    .unacknowledged(*id)
                    .into_iter()
                    .map(|sequence| {
                        let message = model.logs[&topic][&sequence];
                        let deliveries = subscription.counts.get(&sequence).copied();
                        (sequence, message, deliveries.unwrap_or(0))
                    })
                    .collect();
                assert_eq!(shown(session, topic, *id), held, "subscription {id}");
            }
            let rows = session.read(page(QUEUE, 4)).rows;
            let dead: Vec<_> = rows
                .iter()
                .map(|row| (row.sequence.0, row.number.0))
                .collect();
            let held: Vec<_> = model
                .queue
                .iter()
                .map(|(sequence, message)| (*sequence, message.number))
                .collect();
            assert_eq!(dead, held);
        }
        for harness in &self.harnesses {
            wait_for(&**harness, model);
        }
    }

    fn reopen(&mut self, model: &mut Model, end: &Turn) {
        self.submit(&mut model.batch, Haste::Awaited);
        self.compare(model);
        for session in self.sessions.drain(..) {
            if matches!(end, Turn::Crash) {
                session.crash();
            } else {
                session.close(patient([])).expect("a clean stop");
            }
        }
        for (topic, log) in &model.logs {
            if let Some((last, _)) = log.last_key_value() {
                model.trimmed.insert(*topic, *last);
            }
        }
        model.trim();
        self.sessions = self
            .harnesses
            .iter_mut()
            .map(|harness| harness.open())
            .collect();
        self.tickets.fill(Ticket(0));
        let records: Vec<_> = model
            .subscriptions
            .values()
            .map(|subscription| subscription.record.clone())
            .collect();
        let used = records.last().map_or(SubscriptionId(0), |record| record.id);
        for session in &self.sessions {
            assert_eq!(session.recovered.subscriptions, records);
            assert!(session.recovered.next_subscription > used);
        }
        self.submit(&mut model.batch, Haste::Awaited);
        self.compare(model);
    }
}

/// What a subscription is shown, page by page.
fn shown(session: &mut Session, topic: i64, id: i64) -> Vec<(i64, Message, u32)> {
    let (mut found, mut from) = (Vec::new(), Sequence(0));
    loop {
        let page = session.read_log(LogPageRequest {
            from,
            rows_max: 7,
            ..log_page(topic, id)
        });
        for row in page.rows {
            assert_eq!(row.failures, row.deliveries / 2);
            let message = Message {
                number: row.number.0,
                body_bytes: row.data.len() - row.head_bytes,
            };
            found.push((row.sequence.0, message, row.deliveries));
        }
        if page.exhausted {
            return found;
        }
        from = page.through.next();
    }
}

/// Waits until what a trim has to remove is gone.
fn wait_for(harness: &dyn Harness, model: &Model) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let expected = model.tallies();
    while harness.recount_logs() != expected {
        assert!(
            Instant::now() < deadline,
            "{:?} is not {expected:?}",
            harness.recount_logs()
        );
        std::thread::yield_now();
    }
    harness.check_bodies();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn engines_and_model_agree_on_logs_at_every_turn(turns in prop::collection::vec(turn(), 1..400)) {
        let mut model = Model::new();
        let mut engines = Engines::new();
        for turn in &turns {
            model.take(turn);
            match turn {
                Turn::Submit(haste) => engines.submit(&mut model.batch, *haste),
                Turn::Compare => {
                    engines.submit(&mut model.batch, Haste::Awaited);
                    engines.compare(&model);
                }
                Turn::Close | Turn::Crash => engines.reopen(&mut model, turn),
                _ => {}
            }
        }
        engines.reopen(&mut model, &Turn::Close);
    }
}
