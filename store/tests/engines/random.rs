//! Random operations on both engines and on a naive model: all three must show the same at every turn.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stompbox_store::{Append, EntryKey, Haste, Operation, PageRow, Tally, Ticket};

use crate::harness::{Harness, MemoryHarness, SqliteHarness};
use crate::message::*;
use crate::session::Session;

const DESTINATIONS: i64 = 3;
const RANKS: u8 = 2;

/// One turn; `pick` chooses among what is there.
#[derive(Debug, Clone)]
enum Turn {
    Append {
        destination: i64,
        rank: u8,
        expires_ms: i64,
        large: bool,
    },
    Copy {
        pick: usize,
        destination: i64,
    },
    Settle {
        pick: usize,
    },
    SettleRange {
        pick: usize,
        length: usize,
    },
    Count {
        pick: usize,
        deliveries: u32,
    },
    Move {
        pick: usize,
        destination: i64,
        rank: u8,
    },
    Submit(Haste),
    Compare,
    Clear {
        destination: i64,
    },
    Close,
    Crash,
}

fn turn() -> impl Strategy<Value = Turn> {
    let destination = || 1..=DESTINATIONS;
    let pick = || any::<usize>();
    prop_oneof![
        30 => (destination(), 0..RANKS, prop_oneof![3 => Just(0), 1 => 1..1_000_i64], prop::bool::weighted(0.01))
            .prop_map(|(destination, rank, expires_ms, large)| Turn::Append { destination, rank, expires_ms, large }),
        3 => (pick(), destination()).prop_map(|(pick, destination)| Turn::Copy { pick, destination }),
        15 => pick().prop_map(|pick| Turn::Settle { pick }),
        4 => (pick(), 1..20_usize).prop_map(|(pick, length)| Turn::SettleRange { pick, length }),
        4 => (pick(), any::<u32>()).prop_map(|(pick, deliveries)| Turn::Count { pick, deliveries }),
        5 => (pick(), destination(), 0..RANKS)
            .prop_map(|(pick, destination, rank)| Turn::Move { pick, destination, rank }),
        12 => prop_oneof![Just(Haste::Awaited), Just(Haste::Patient)].prop_map(Turn::Submit),
        2 => Just(Turn::Compare),
        1 => destination().prop_map(|destination| Turn::Clear { destination }),
        1 => Just(Turn::Close),
        1 => Just(Turn::Crash),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    number: i64,
    body_bytes: usize,
    expires_ms: i64,
    deliveries: u32,
}

/// What the turns so far amount to.
#[derive(Default)]
struct Model {
    entries: BTreeMap<EntryKey, Entry>,
    /// Destinations get a new id each time they are cleared.
    ids: BTreeMap<i64, i64>,
    next_id: i64,
    next_sequence: i64,
    batch: Vec<Operation>,
}

impl Model {
    fn pick(&self, pick: usize) -> Option<EntryKey> {
        let index = pick.checked_rem(self.entries.len())?;
        self.entries.keys().nth(index).copied()
    }

    fn new_key(&mut self, destination: i64, rank: u8) -> EntryKey {
        self.next_sequence += 1;
        key(self.ids[&destination], rank, self.next_sequence)
    }

    fn create(&mut self, destination: i64) {
        self.next_id += 1;
        self.ids.insert(destination, self.next_id);
        self.batch
            .push(queue(self.next_id, &format!("queue {destination}")));
    }

    fn append(&mut self, key: EntryKey, entry: Entry) {
        let body = vec![b'0' + (entry.number % 10) as u8; entry.body_bytes];
        let append = append_sized(key, entry.number, body);
        self.batch.push(Operation::Append(Append {
            expires_ms: entry.expires_ms,
            ..append
        }));
        self.entries.insert(key, entry);
    }

    fn settle(&mut self, key: EntryKey) {
        self.entries.remove(&key);
        self.batch.push(settle(key));
    }

    /// Does what one turn asks for, unless it concerns the engines only.
    fn take(&mut self, turn: &Turn) {
        match *turn {
            Turn::Append {
                destination,
                rank,
                expires_ms,
                large,
            } => {
                let key = self.new_key(destination, rank);
                let number = key.sequence.0;
                let body_bytes = if large {
                    (1 << 20) + 70_000
                } else {
                    (number % 90) as usize
                };
                self.append(
                    key,
                    Entry {
                        number,
                        body_bytes,
                        expires_ms,
                        deliveries: 0,
                    },
                );
            }
            Turn::Copy { pick, destination } => {
                let Some(source) = self.pick(pick) else {
                    return;
                };
                let entry = Entry {
                    deliveries: 0,
                    ..self.entries[&source].clone()
                };
                let key = self.new_key(destination, 0);
                self.append(key, entry);
            }
            Turn::Settle { pick } => {
                if let Some(key) = self.pick(pick) {
                    self.settle(key);
                }
            }
            Turn::SettleRange { pick, length } => {
                let Some(from) = self.pick(pick) else { return };
                let keys: Vec<_> = self
                    .entries
                    .range(from..)
                    .take(length)
                    .map(|(key, _)| *key)
                    .collect();
                keys.into_iter().rev().for_each(|key| self.settle(key));
            }
            Turn::Count { pick, deliveries } => {
                let Some(key) = self.pick(pick) else { return };
                self.batch.push(count(key, deliveries, deliveries / 2));
                self.entries
                    .entry(key)
                    .and_modify(|entry| entry.deliveries = deliveries);
            }
            Turn::Move {
                pick,
                destination,
                rank,
            } => {
                let Some(from) = self.pick(pick) else { return };
                let to = self.new_key(destination, rank);
                let Some(entry) = self.entries.remove(&from) else {
                    return;
                };
                self.batch.push(relocate(from, to));
                self.entries.insert(
                    to,
                    Entry {
                        expires_ms: 0,
                        deliveries: 0,
                        ..entry
                    },
                );
            }
            Turn::Clear { destination } => {
                let id = key(self.ids[&destination], 0, 0).destination;
                self.entries.retain(|key, _| key.destination != id);
                self.batch.push(Operation::Remove(id));
                self.create(destination);
            }
            Turn::Submit(_) | Turn::Compare | Turn::Close | Turn::Crash => {}
        }
    }

    fn tallies(&self) -> Vec<Tally> {
        let mut tallies: BTreeMap<_, Tally> = BTreeMap::new();
        for (key, entry) in &self.entries {
            let head = format!("number:{}\n", entry.number);
            let tally = tallies.entry((key.destination, key.rank)).or_insert(Tally {
                destination: key.destination,
                rank: key.rank,
                count: 0,
                bytes: 0,
                first: key.sequence,
                last: key.sequence,
            });
            tally.count += 1;
            tally.bytes += (head.len() + entry.body_bytes) as u64;
            tally.last = key.sequence;
        }
        tallies.into_values().collect()
    }
}

/// The engines side by side.
struct Engines {
    harnesses: [Box<dyn Harness>; 2],
    sessions: Vec<Session>,
    tickets: Vec<Ticket>,
}

impl Engines {
    fn new(sqlite: SqliteHarness) -> Self {
        let mut harnesses: [Box<dyn Harness>; 2] =
            [Box::new(sqlite), Box::new(MemoryHarness::new())];
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
            for (place, rank) in model
                .ids
                .values()
                .flat_map(|id| (0..RANKS).map(move |rank| (*id, rank)))
            {
                let request = page(place, rank);
                let shown: Vec<_> = session.read(request).rows.iter().map(shown).collect();
                let held: Vec<_> = model
                    .entries
                    .iter()
                    .filter(|(key, _)| (key.destination.0, key.rank.0) == (place, rank))
                    .map(|(key, entry)| (key.sequence.0, entry.clone()))
                    .collect();
                assert_eq!(shown, held);
            }
            let expired = session.expired(500, usize::MAX);
            let due = |entry: &&Entry| entry.expires_ms > 0 && entry.expires_ms <= 500;
            assert_eq!(
                expired.rows.len(),
                model.entries.values().filter(due).count()
            );
            assert!(expired.rows.is_sorted_by_key(|row| row.expires_ms));
        }
        for harness in &self.harnesses {
            assert_eq!(harness.recount(), model.tallies());
            harness.check_bodies();
        }
    }

    fn reopen(&mut self, model: &mut Model, end: &Turn) {
        self.submit(&mut model.batch, Haste::Awaited);
        self.compare(model);
        for (session, harness) in self.sessions.drain(..).zip(&mut self.harnesses) {
            if matches!(end, Turn::Crash) {
                session.crash();
            } else {
                session.close(patient([])).expect("a clean stop");
            }
            assert_eq!(harness.recount(), model.tallies());
        }
        self.sessions = self
            .harnesses
            .iter_mut()
            .map(|harness| harness.open())
            .collect();
        self.tickets.fill(Ticket(0));
        let mut recovered = self.sessions.iter().map(|session| {
            let recovered = &session.recovered;
            let mut tallies = recovered.tallies.clone();
            tallies.sort_by_key(|tally| (tally.destination, tally.rank));
            assert_eq!(tallies, model.tallies());
            assert_eq!(recovered.next_destination.0, model.next_id + 1);
            (
                recovered.destinations.clone(),
                recovered.epoch,
                recovered.uncertain_through,
            )
        });
        assert_eq!(recovered.next(), recovered.next());
    }
}

fn shown(row: &PageRow) -> (i64, Entry) {
    let entry = Entry {
        number: row.number.0,
        body_bytes: row.data.len() - row.head_bytes,
        expires_ms: row.expires_ms,
        deliveries: row.deliveries,
    };
    assert_eq!(row.failures, row.deliveries / 2);
    assert_eq!(
        row.data[..row.head_bytes],
        *format!("number:{}\n", row.number.0).as_bytes()
    );
    (row.sequence.0, entry)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn engines_and_model_agree_at_every_turn(turns in prop::collection::vec(turn(), 1..400)) {
        let mut model = Model::default();
        let mut engines = Engines::new(SqliteHarness::new());
        (1..=DESTINATIONS).for_each(|destination| model.create(destination));
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
