//! Random operations on both engines and on a naive model: all three must show the same at every turn, also when the
//! disk is full. What is refused then, the memory engine says: SQLite must say the same.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use stompbox_store::{Append, Batch, EntryKey, Haste, Medium, Operation, PageRow, Tally, Ticket};

use crate::harness::{Harness, MemoryHarness, SqliteHarness};
use crate::message::*;
use crate::session::Session;
use crate::small_disk::on_small_disk;

const DESTINATIONS: i64 = 3;
const RANKS: u8 = 2;
/// Would hold what finds no room.
const BALLAST: i64 = 1_000_000;

/// One turn; `pick` chooses among what is there.
#[derive(Debug, Clone)]
enum Turn {
    Append {
        destination: i64,
        rank: u8,
        expires_ms: i64,
        large: bool,
        medium: Medium,
    },
    Copy {
        pick: usize,
        destination: i64,
        medium: Medium,
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
    /// The last operations of the batch become a unit.
    Unit {
        length: usize,
    },
    Submit(Haste),
    Compare,
    Clear {
        destination: i64,
    },
    Fill,
    Free,
    Close,
    Crash,
}

fn turn() -> impl Strategy<Value = Turn> {
    let destination = || 1..=DESTINATIONS;
    let pick = || any::<usize>();
    let medium = || prop_oneof![3 => Just(Medium::Database), 1 => Just(Medium::Scratch)];
    prop_oneof![
        30 => (destination(), 0..RANKS, prop_oneof![3 => Just(0), 1 => 1..1_000_i64], prop::bool::weighted(0.01), medium())
            .prop_map(|(destination, rank, expires_ms, large, medium)| {
                Turn::Append { destination, rank, expires_ms, large, medium }
            }),
        3 => (pick(), destination(), medium())
            .prop_map(|(pick, destination, medium)| Turn::Copy { pick, destination, medium }),
        15 => pick().prop_map(|pick| Turn::Settle { pick }),
        4 => (pick(), 1..20_usize).prop_map(|(pick, length)| Turn::SettleRange { pick, length }),
        4 => (pick(), any::<u32>()).prop_map(|(pick, deliveries)| Turn::Count { pick, deliveries }),
        5 => (pick(), destination(), 0..RANKS)
            .prop_map(|(pick, destination, rank)| Turn::Move { pick, destination, rank }),
        8 => (1..6_usize).prop_map(|length| Turn::Unit { length }),
        12 => prop_oneof![Just(Haste::Awaited), Just(Haste::Patient)].prop_map(Turn::Submit),
        2 => Just(Turn::Compare),
        1 => destination().prop_map(|destination| Turn::Clear { destination }),
        1 => Just(Turn::Fill),
        1 => Just(Turn::Free),
        1 => Just(Turn::Close),
        1 => Just(Turn::Crash),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    medium: Medium,
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
    units: Vec<Range<usize>>,
    /// The entries when the batch was empty.
    before: BTreeMap<EntryKey, Entry>,
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
        self.ask(queue(self.next_id, &format!("queue {destination}")));
    }

    fn append(&mut self, key: EntryKey, entry: &Entry) {
        let body = vec![b'0' + (entry.number % 10) as u8; entry.body_bytes];
        self.ask(Operation::Append(Append {
            expires_ms: entry.expires_ms,
            medium: entry.medium,
            ..append_sized(key, entry.number, body)
        }));
    }

    fn settle(&mut self, key: EntryKey) {
        let medium = self.entries[&key].medium;
        self.ask(Operation::Settle { key, medium });
    }

    fn ask(&mut self, operation: Operation) {
        apply(&mut self.entries, &operation);
        self.batch.push(operation);
    }

    /// The batch as it is, leaving an empty one.
    fn take_batch(&mut self, haste: Haste) -> Batch {
        self.before = self.entries.clone();
        Batch {
            operations: std::mem::take(&mut self.batch),
            haste,
            units: std::mem::take(&mut self.units),
        }
    }

    /// The batch was carried out but for what was refused.
    fn correct(&mut self, before: BTreeMap<EntryKey, Entry>, batch: &Batch, refused: &[Operation]) {
        self.entries = before;
        let mut refused = refused
            .iter()
            .map(|operation| format!("{operation:?}"))
            .peekable();
        for operation in &batch.operations {
            if refused.next_if_eq(&format!("{operation:?}")).is_none() {
                apply(&mut self.entries, operation);
            }
        }
        assert_eq!(refused.next(), None, "refused what nobody asked for");
        self.before = self.entries.clone();
    }

    /// Does what one turn asks for, unless it concerns the engines only.
    fn take(&mut self, turn: &Turn) {
        match *turn {
            Turn::Append {
                destination,
                rank,
                expires_ms,
                large,
                medium,
            } => {
                let key = self.new_key(destination, rank);
                let number = key.sequence.0;
                let body_bytes = if large {
                    (1 << 20) + 70_000
                } else {
                    (number % 90) as usize
                };
                let entry = Entry {
                    medium,
                    number,
                    body_bytes,
                    expires_ms,
                    deliveries: 0,
                };
                self.append(key, &entry);
            }
            Turn::Copy {
                pick,
                destination,
                medium,
            } => {
                let Some(source) = self.pick(pick) else {
                    return;
                };
                let entry = Entry {
                    medium,
                    ..self.entries[&source].clone()
                };
                let key = self.new_key(destination, 0);
                self.append(key, &entry);
            }
            Turn::Settle { pick } => {
                if let Some(key) = self.pick(pick) {
                    self.settle(key);
                }
            }
            Turn::SettleRange { pick, length } => {
                let Some(from) = self.pick(pick) else { return };
                let keys = self.entries.range(from..).take(length);
                let keys: Vec<_> = keys.map(|(key, _)| *key).collect();
                keys.into_iter().rev().for_each(|key| self.settle(key));
            }
            Turn::Count { pick, deliveries } => {
                let Some(key) = self.pick(pick) else { return };
                self.ask(count(key, deliveries, deliveries / 2));
            }
            Turn::Move {
                pick,
                destination,
                rank,
            } => {
                let Some(from) = self.pick(pick) else { return };
                let to = self.new_key(destination, rank);
                self.ask(relocate(from, to));
            }
            Turn::Unit { length } => {
                let free = self.units.last().map_or(0, |unit| unit.end);
                let start = self.batch.len().saturating_sub(length).max(free);
                if start < self.batch.len() {
                    self.units.push(start..self.batch.len());
                }
            }
            Turn::Clear { destination } => {
                let id = key(self.ids[&destination], 0, 0).destination;
                self.ask(Operation::Remove(id));
                self.create(destination);
            }
            Turn::Submit(_) | Turn::Compare | Turn::Fill | Turn::Free => {}
            Turn::Close | Turn::Crash => {}
        }
    }

    fn tallies(&self) -> Vec<Tally> {
        let mut tallies: BTreeMap<_, Tally> = BTreeMap::new();
        let stored = |entry: &Entry| entry.medium == Medium::Database;
        for (key, entry) in self.entries.iter().filter(|(_, entry)| stored(entry)) {
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

/// What one operation does.
fn apply(entries: &mut BTreeMap<EntryKey, Entry>, operation: &Operation) {
    match operation {
        Operation::Create(_) => {}
        Operation::Remove(destination) => entries.retain(|key, _| key.destination != *destination),
        Operation::Append(append) => {
            let entry = Entry {
                medium: append.medium,
                number: append.number.0,
                body_bytes: append.payload.body().len(),
                expires_ms: append.expires_ms,
                deliveries: 0,
            };
            entries.insert(append.key, entry);
        }
        Operation::Settle { key, .. } => {
            entries.remove(key);
        }
        Operation::Count {
            key, deliveries, ..
        } => {
            if let Some(entry) = entries.get_mut(key)
                && entry.medium == Medium::Database
            {
                entry.deliveries = *deliveries;
            }
        }
        Operation::Move(change) => {
            let stored = |entry: &&Entry| entry.medium == Medium::Database;
            if entries.get(&change.from).filter(stored).is_some()
                && let Some(entry) = entries.remove(&change.from)
            {
                let entry = Entry {
                    expires_ms: 0,
                    deliveries: 0,
                    ..entry
                };
                entries.insert(change.to, entry);
            }
        }
        Operation::Log(_)
        | Operation::Subscribe(_)
        | Operation::Unsubscribe(_)
        | Operation::Pass { .. }
        | Operation::Floor { .. }
        | Operation::LogCount { .. }
        | Operation::Trim { .. } => unreachable!("random_log has those"),
        Operation::Schedule(_) | Operation::Reschedule { .. } | Operation::Unschedule(_) => {
            unreachable!("random_schedule has those")
        }
        Operation::Remember(_) => unreachable!("the contract has those"),
    }
}

/// The engines side by side.
struct Engines {
    harnesses: [Box<dyn Harness>; 2],
    sessions: Vec<Session>,
    tickets: Vec<Ticket>,
    is_full: bool,
    ballast: i64,
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
            is_full: false,
            ballast: 0,
        }
    }

    /// On a full disk each batch is a commit of its own: which are refused together depends on that.
    fn submit(&mut self, model: &mut Model, haste: Haste) {
        let before = model.before.clone();
        let batch = model.take_batch(haste);
        for (session, ticket) in self.sessions.iter_mut().zip(&mut self.tickets) {
            *ticket = session.store.submit(batch.clone());
        }
        if self.is_full {
            self.wait();
            let [sqlite, memory] = [0, 1].map(|engine| self.sessions[engine].refused());
            assert_eq!(format!("{sqlite:?}"), format!("{memory:?}"));
            model.correct(before, &batch, &memory);
        }
    }

    fn wait(&mut self) {
        for (session, ticket) in self.sessions.iter_mut().zip(&self.tickets) {
            if ticket.0 > 0 {
                session.wait(*ticket);
            }
        }
    }

    /// Fills the disks, and lets both engines find out with what is in the batch and an entry that finds no room, also
    /// not inside of the database.
    fn fill(&mut self, model: &mut Model) {
        if self.is_full {
            return;
        }
        self.wait();
        self.is_full = true;
        self.harnesses
            .iter_mut()
            .for_each(|harness| harness.fill(Medium::Database));
        self.ballast += 1;
        let free = self.sessions[0].store.statistics().database_free_bytes;
        let body = vec![b'b'; usize::try_from(free).expect("a size") + (4 << 20)];
        let ballast = append_sized(key(BALLAST, 0, self.ballast), BALLAST + self.ballast, body);
        model.batch.push(Operation::Append(ballast));
        self.submit(model, Haste::Awaited);
        for session in &self.sessions {
            assert!(session.store.statistics().is_full);
        }
    }

    fn free(&mut self, model: &mut Model) {
        self.submit(model, Haste::Awaited);
        self.wait();
        if std::mem::take(&mut self.is_full) {
            for (harness, session) in self.harnesses.iter_mut().zip(&mut self.sessions) {
                harness.free(Medium::Database);
                session.wait_resumed();
            }
        }
    }

    /// Everything that the engines show must be what the model holds.
    fn compare(&mut self, model: &Model) {
        self.wait();
        for session in &mut self.sessions {
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
            for row in &expired.rows {
                assert_eq!(model.entries[&row.key].medium, row.medium);
            }
            assert_eq!(session.refused().len(), 0);
        }
        for harness in &self.harnesses {
            assert_eq!(harness.recount(), model.tallies());
            harness.check_bodies();
        }
    }

    fn reopen(&mut self, model: &mut Model, end: &Turn) {
        self.submit(model, Haste::Awaited);
        self.compare(model);
        model
            .entries
            .retain(|_, entry| entry.medium == Medium::Database);
        model.before = model.entries.clone();
        for (session, harness) in self.sessions.drain(..).zip(&mut self.harnesses) {
            if matches!(end, Turn::Crash) {
                session.crash();
            } else {
                session.close(patient([])).expect("a clean stop");
            }
            assert_eq!(harness.recount(), model.tallies());
            if self.is_full {
                // Less than a reserve, more than a start needs.
                harness.leave(8 << 20);
            }
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
            assert_eq!(session.store.statistics().is_full, self.is_full);
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
        medium: row.medium,
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

fn check(turns: &[Turn]) {
    let mut model = Model::default();
    let mut engines = Engines::new(SqliteHarness::new());
    (1..=DESTINATIONS).for_each(|destination| model.create(destination));
    for turn in turns {
        model.take(turn);
        match turn {
            Turn::Submit(haste) => engines.submit(&mut model, *haste),
            Turn::Compare => {
                engines.submit(&mut model, Haste::Awaited);
                engines.compare(&model);
            }
            Turn::Fill => engines.fill(&mut model),
            Turn::Free => engines.free(&mut model),
            Turn::Close | Turn::Crash => engines.reopen(&mut model, turn),
            _ => {}
        }
    }
    engines.reopen(&mut model, &Turn::Close);
}

#[test]
fn engines_and_model_agree_at_every_turn() {
    on_small_disk(|| {
        let config = ProptestConfig {
            cases: 48,
            ..ProptestConfig::with_source_file(file!())
        };
        let turns = prop::collection::vec(turn(), 1..400);
        let run = |turns: Vec<Turn>| {
            check(&turns);
            Ok(())
        };
        if let Err(failure) = TestRunner::new(config).run(&turns, run) {
            panic!("{failure}");
        }
    });
}
