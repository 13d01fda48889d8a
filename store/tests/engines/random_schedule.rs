//! Random operations on the schedule and the queues that it fires into, on both engines and on a naive model.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stompbox_store::{
    DestinationId, DueRequest, Haste, Operation, ScheduleFilter, ScheduleListRequest, Ticket,
};

use crate::harness::{Harness, MemoryHarness, SqliteHarness};
use crate::message::*;
use crate::session::Session;

const QUEUES: i64 = 3;

/// One turn; `pick` chooses among what is there.
#[derive(Debug, Clone)]
enum Turn {
    Schedule {
        queue: i64,
        due_ms: i64,
        copies: i64,
    },
    PutOff {
        pick: usize,
        due_ms: i64,
    },
    Cancel {
        pick: usize,
    },
    /// For the last time, or as a repeat.
    Fire {
        pick: usize,
        is_last: bool,
        unschedules_first: bool,
    },
    Settle {
        pick: usize,
    },
    Clear {
        queue: i64,
    },
    Submit(Haste),
    Compare,
    Close,
    Crash,
}

fn turn() -> impl Strategy<Value = Turn> {
    let pick = || any::<usize>();
    prop_oneof![
        30 => (1..=QUEUES, 0..20_i64, 1..3_i64)
            .prop_map(|(queue, due_ms, copies)| Turn::Schedule { queue, due_ms, copies }),
        10 => (pick(), 0..20_i64).prop_map(|(pick, due_ms)| Turn::PutOff { pick, due_ms }),
        6 => pick().prop_map(|pick| Turn::Cancel { pick }),
        20 => (pick(), any::<bool>(), any::<bool>()).prop_map(|(pick, is_last, unschedules_first)| {
            Turn::Fire { pick, is_last, unschedules_first }
        }),
        10 => pick().prop_map(|pick| Turn::Settle { pick }),
        1 => (1..=QUEUES).prop_map(|queue| Turn::Clear { queue }),
        12 => prop_oneof![Just(Haste::Awaited), Just(Haste::Patient)].prop_map(Turn::Submit),
        3 => Just(Turn::Compare),
        1 => Just(Turn::Close),
        1 => Just(Turn::Crash),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Booked {
    due_ms: i64,
    repeats_left: i64,
    destination: i64,
    number: i64,
}

/// What the turns so far amount to.
#[derive(Default)]
struct Model {
    /// Queues get a new id each time they are cleared.
    ids: BTreeMap<i64, i64>,
    scheduled: BTreeMap<i64, Booked>,
    /// By destination and position.
    entries: BTreeMap<(i64, i64), i64>,
    last_id: i64,
    last_number: i64,
    batch: Vec<Operation>,
}

fn chosen<K: Copy, V: Copy>(map: &BTreeMap<K, V>, pick: usize) -> Option<(K, V)> {
    let index = pick.checked_rem(map.len())?;
    map.iter().nth(index).map(|(key, value)| (*key, *value))
}

impl Model {
    fn new() -> Self {
        let mut model = Self::default();
        (1..=QUEUES).for_each(|name| model.create(name));
        model
    }

    fn create(&mut self, name: i64) {
        self.last_id += 1;
        self.ids.insert(name, self.last_id);
        self.batch
            .push(queue(self.last_id, &format!("queue {name}")));
    }

    fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    fn take(&mut self, turn: &Turn) {
        match turn {
            Turn::Schedule {
                queue,
                due_ms,
                copies,
            } => self.schedule(*queue, *due_ms, *copies),
            Turn::PutOff { pick, due_ms } => {
                if let Some((id, _)) = chosen(&self.scheduled, *pick) {
                    self.put_off(id, *due_ms);
                }
            }
            Turn::Cancel { pick } => {
                if let Some((id, _)) = chosen(&self.scheduled, *pick) {
                    self.scheduled.remove(&id);
                    self.batch.push(unschedule(id));
                }
            }
            Turn::Fire {
                pick,
                is_last,
                unschedules_first,
            } => {
                if let Some((id, booked)) = chosen(&self.scheduled, *pick) {
                    self.fire(id, booked, *is_last, *unschedules_first);
                }
            }
            Turn::Settle { pick } => {
                if let Some(((destination, sequence), _)) = chosen(&self.entries, *pick) {
                    self.entries.remove(&(destination, sequence));
                    self.batch.push(settle(key(destination, 4, sequence)));
                }
            }
            Turn::Clear { queue } => {
                let id = self.ids[queue];
                self.batch.push(Operation::Remove(DestinationId(id)));
                self.scheduled.retain(|_, booked| booked.destination != id);
                self.entries
                    .retain(|(destination, _), _| *destination != id);
                self.create(*queue);
            }
            Turn::Submit(_) | Turn::Compare | Turn::Close | Turn::Crash => {}
        }
    }

    fn schedule(&mut self, queue: i64, due_ms: i64, copies: i64) {
        let number = self.next_number();
        for copy in 0..copies {
            let id = self.next_number();
            let destination = self.ids[&(1 + (queue + copy) % QUEUES)];
            let record = schedule(id, number, due_ms, destination);
            self.batch.push(Operation::Schedule(record));
            let booked = Booked {
                due_ms,
                repeats_left: 0,
                destination,
                number,
            };
            self.scheduled.insert(id, booked);
        }
    }

    fn put_off(&mut self, id: i64, due_ms: i64) {
        if let Some(booked) = self.scheduled.get_mut(&id) {
            booked.due_ms = due_ms;
            booked.repeats_left += 1;
            self.batch.push(reschedule(id, due_ms, booked.repeats_left));
        }
    }

    fn fire(&mut self, id: i64, booked: Booked, is_last: bool, unschedules_first: bool) {
        let sequence = self.next_number();
        let number = match is_last {
            true => booked.number,
            false => sequence,
        };
        let at = key(booked.destination, 4, sequence);
        let append = Operation::Append(append(at, number));
        self.entries.insert((booked.destination, sequence), number);
        match is_last {
            false => {
                self.batch.push(append);
                self.put_off(id, booked.due_ms + 5);
            }
            true => {
                self.scheduled.remove(&id);
                let mut unit = [append, unschedule(id)];
                if unschedules_first {
                    unit.reverse();
                }
                self.batch.extend(unit);
            }
        }
    }

    /// In the order of firing.
    fn due(&self) -> Vec<(i64, Booked)> {
        let mut due: Vec<_> = self.scheduled.iter().map(|(id, it)| (*id, *it)).collect();
        due.sort_by_key(|(id, booked)| (booked.due_ms, *id));
        due
    }

    fn counts(&self) -> Vec<(i64, u64, u64)> {
        let mut counts: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for booked in self.scheduled.values() {
            let count = counts.entry(booked.destination).or_default();
            let number = booked.number;
            count.0 += 1;
            count.1 += format!("number:{number}\nbody of {number}").len() as u64;
        }
        let flat = counts.into_iter();
        flat.map(|(id, (count, bytes))| (id, count, bytes))
            .collect()
    }
}

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
        let sessions: Vec<_> = harnesses.iter_mut().map(|harness| harness.open()).collect();
        let tickets = vec![Ticket(0); sessions.len()];
        Self {
            harnesses,
            sessions,
            tickets,
        }
    }

    fn submit(&mut self, batch: &mut Vec<Operation>, haste: Haste) {
        let operations = std::mem::take(batch);
        for (session, ticket) in self.sessions.iter_mut().zip(&mut self.tickets) {
            let batch = stompbox_store::Batch {
                haste,
                ..awaited(operations.clone())
            };
            *ticket = session.store.submit(batch);
        }
    }

    fn compare(&mut self, model: &Model) {
        let due = model.due();
        for (session, ticket) in self.sessions.iter_mut().zip(&self.tickets) {
            session.wait(*ticket);
            assert_eq!(shown(session), due);
            for name in 1..=QUEUES {
                let id = model.ids[&name];
                let of = due.iter().filter(|(_, booked)| booked.destination == id);
                let of: Vec<_> = of.map(|(id, booked)| (*id, booked.repeats_left)).collect();
                assert_eq!(listed(session, id), of);
                let entries = model.entries.keys().filter(|(of, _)| *of == id);
                let entries: Vec<_> = entries.map(|(_, sequence)| *sequence).collect();
                assert_eq!(session.sequences(id, 4), entries);
            }
        }
        for harness in &self.harnesses {
            harness.check_bodies();
        }
    }

    fn reopen(&mut self, model: &mut Model, turn: &Turn) {
        self.submit(&mut model.batch, Haste::Awaited);
        self.compare(model);
        for session in self.sessions.drain(..) {
            match turn {
                Turn::Crash => session.crash(),
                _ => session.close(patient([])).expect("a clean stop"),
            }
        }
        let harnesses = self.harnesses.iter_mut();
        self.sessions = harnesses.map(|harness| harness.open()).collect();
        self.tickets.fill(Ticket(0));
        let next_due_ms = model.due().first().map(|(_, booked)| booked.due_ms);
        for session in &self.sessions {
            assert_eq!(session.recovered.next_due_ms, next_due_ms);
            let counted = session.recovered.scheduled.iter();
            let mut counted: Vec<_> = counted
                .map(|tally| (tally.destination.0, tally.count, tally.bytes))
                .collect();
            counted.sort_unstable();
            assert_eq!(counted, model.counts());
        }
        self.submit(&mut model.batch, Haste::Awaited);
        self.compare(model);
    }
}

/// Everything that is due some time, page by page.
fn shown(session: &mut Session) -> Vec<(i64, Booked)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let due = session.due(DueRequest {
            after,
            rows_max: 7,
            ..due_request(i64::MAX)
        });
        found.extend(due.rows.iter().map(|row| {
            let booked = Booked {
                due_ms: row.key.due_ms,
                repeats_left: row.repeats_left,
                destination: row.destination.0,
                number: row.number.0,
            };
            (row.key.id.0, booked)
        }));
        if due.exhausted {
            return found;
        }
        after = due.rows.last().map(|row| row.key);
    }
}

/// What is scheduled for a destination, page by page.
fn listed(session: &mut Session, destination: i64) -> Vec<(i64, i64)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let list = session.schedule(ScheduleListRequest {
            after,
            rows_max: 5,
            ..schedule_list(ScheduleFilter::Destination(DestinationId(destination)))
        });
        found.extend(list.rows.iter().map(|row| (row.key.id.0, row.repeats_left)));
        if list.exhausted {
            return found;
        }
        after = list.rows.last().map(|row| row.key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn engines_and_model_agree_on_the_schedule_at_every_turn(turns in prop::collection::vec(turn(), 1..400)) {
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
