//! What one commit does: the batches merged into it, less what cancels itself.
//!
//! An append and a settle of the same key vanish together, a count or a move of an appended entry becomes part of
//! its insert, and a move whose target is settled becomes a settle of its source. Everything else keeps its order,
//! with one licence: settles are gathered into runs and may pass inserts. They commute, since a key is never used
//! twice.

use rustc_hash::FxHashMap;

use crate::sqlite::ledger::{Counts, Ledger};
use crate::sqlite::refusal::Refusal;
use crate::sqlite::timetable::{Timetable, Turn};
use crate::{
    Append, Batch, DestinationId, DestinationRecord, DuplicateRecord, EntryKey, LogAppend, Medium,
    Move, Operation,
};

/// One change to the database.
#[derive(Debug)]
pub(super) enum Step<'b> {
    Create(&'b DestinationRecord),
    Remove(DestinationId),
    Insert(Insert<'b>),
    Settle(Vec<EntryKey>),
    Count {
        key: EntryKey,
        deliveries: u32,
        failures: u32,
    },
    Move(Relocation<'b>),
    Log(&'b LogAppend),
    /// An insert that was settled or moved on before it was written.
    Cancelled,
}

/// An entry to be written, with what was counted on it since it was appended, and where it was moved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insert<'b> {
    pub(super) append: &'b Append,
    pub(super) key: EntryKey,
    pub(super) expires_ms: i64,
    pub(super) annotations: &'b [u8],
    pub(super) deliveries: u32,
    pub(super) failures: u32,
}

/// An entry of the database that moves: over several places, perhaps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation<'b> {
    pub(super) from: EntryKey,
    pub(super) last: &'b Move,
}

/// What a commit does to the scratch file: inserts first, then removals and settles.
#[derive(Debug, Default)]
pub(super) struct Spill<'b> {
    /// `None` was cancelled.
    pub(super) inserts: Vec<Option<Insert<'b>>>,
    pub(super) removed: Vec<DestinationId>,
    pub(super) settled: Vec<EntryKey>,
}

/// What kinds of operations a batch or commit has: decides whether it is urgent and whether pairs can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// Some entry is appended.
    pub(super) appends: bool,
    /// Some operation names an entry that is already there.
    pub(super) references: bool,
    /// Something else than settles and counts.
    pub(super) beyond_settles: bool,
}

impl Contents {
    pub(super) fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Append(_) => Self {
                appends: true,
                references: false,
                beyond_settles: true,
            },
            Operation::Settle { .. } | Operation::Count { .. } => Self {
                appends: false,
                references: true,
                beyond_settles: false,
            },
            Operation::Pass { .. }
            | Operation::Floor { .. }
            | Operation::LogCount { .. }
            | Operation::Trim { .. } => Self::default(),
            Operation::Move(_) => Self {
                appends: false,
                references: true,
                beyond_settles: true,
            },
            Operation::Create(_)
            | Operation::Remove(_)
            | Operation::Subscribe(_)
            | Operation::Unsubscribe(_)
            | Operation::Log(_)
            | Operation::Schedule(_)
            | Operation::Reschedule { .. }
            | Operation::Unschedule(_)
            | Operation::Remember(_) => Self {
                appends: false,
                references: false,
                beyond_settles: true,
            },
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            appends: self.appends | other.appends,
            references: self.references | other.references,
            beyond_settles: self.beyond_settles | other.beyond_settles,
        }
    }
}

/// Where the step stands that puts an entry where it is.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Inserted(usize),
    Spilt(usize),
    Moved(usize),
}

/// The changes of one commit, in order.
#[derive(Debug, Default)]
pub(super) struct Plan<'b> {
    steps: Vec<Step<'b>>,
    spill: Spill<'b>,
    ledger: Ledger<'b>,
    timetable: Timetable<'b>,
    remembered: Vec<&'b DuplicateRecord>,
    settles: Vec<EntryKey>,
    /// What this commit puts where; without the inserts when nothing else refers to an entry.
    origins: FxHashMap<EntryKey, Origin>,
    cancelled_count: usize,
}

impl<'b> Plan<'b> {
    /// Merges `batches`, whose contents together are `contents`, but for what is refused.
    pub(super) fn new(batches: &'b [Batch], refusal: &Refusal, contents: Contents) -> Self {
        let mut plan = Self::default();
        let pairs = contents.appends && contents.references;
        let operations = batches.iter().flat_map(|batch| &batch.operations);
        for (_, operation) in operations
            .enumerate()
            .filter(|(index, _)| !refusal.has(*index))
        {
            plan.add(operation, pairs);
        }
        plan.end_run();
        plan
    }

    /// Appends that will never be written.
    pub(super) fn cancelled_count(&self) -> usize {
        self.cancelled_count
    }

    /// What happens in the database.
    pub(super) fn steps(&self) -> &[Step<'b>] {
        &self.steps
    }

    /// What happens in the scratch file.
    pub(super) fn spill(&self) -> &Spill<'b> {
        &self.spill
    }

    /// What happens to subscriptions, before everything else.
    pub(super) fn ledger(&self) -> &Ledger<'b> {
        &self.ledger
    }

    /// What happens to the schedule, around the steps.
    pub(super) fn timetable(&self) -> &Timetable<'b> {
        &self.timetable
    }

    /// Ids that destinations are to know, before the steps.
    pub(super) fn remembered(&self) -> &[&'b DuplicateRecord] {
        &self.remembered
    }

    /// Whether the database has to be touched for it.
    pub(super) fn is_empty(&self) -> bool {
        let idle = |step: &Step<'_>| matches!(step, Step::Cancelled);
        self.steps.iter().all(idle)
            && self.ledger.is_empty()
            && self.timetable.is_empty()
            && self.remembered.is_empty()
    }

    fn add(&mut self, operation: &'b Operation, pairs: bool) {
        match operation {
            Operation::Append(append) => self.append(append, pairs),
            Operation::Settle { key, medium } => self.settle(*key, *medium),
            Operation::Count {
                key,
                deliveries,
                failures,
            } => self.count(*key, *deliveries, *failures),
            Operation::Move(change) => self.relocate(change),
            Operation::Create(record) => self.push(Step::Create(record)),
            Operation::Remove(destination) => {
                self.spill.removed.push(*destination);
                self.ledger.remove_topic(*destination);
                self.push(Step::Remove(*destination));
            }
            Operation::Log(log) => self.steps.push(Step::Log(log)),
            Operation::Subscribe(record) => self.ledger.subscribe(record),
            Operation::Unsubscribe(id) => self.ledger.unsubscribe(*id),
            Operation::Pass {
                subscription,
                sequence,
            } => self.ledger.pass(*subscription, *sequence),
            Operation::Floor {
                subscription,
                floor,
            } => self.ledger.floor(*subscription, *floor),
            Operation::LogCount {
                subscription,
                sequence,
                deliveries,
                failures,
            } => {
                let counts = Counts {
                    deliveries: *deliveries,
                    failures: *failures,
                };
                self.ledger.count(*subscription, *sequence, counts);
            }
            Operation::Trim { topic, through } => self.ledger.trim(*topic, *through),
            Operation::Schedule(record) => self.timetable.schedule(record),
            Operation::Reschedule {
                id,
                due_ms,
                repeats_left,
            } => {
                let turn = Turn {
                    due_ms: *due_ms,
                    repeats_left: *repeats_left,
                };
                self.timetable.put_off(*id, turn);
            }
            Operation::Unschedule(id) => self.timetable.unschedule(*id),
            Operation::Remember(record) => self.remembered.push(record),
        }
    }

    fn append(&mut self, append: &'b Append, pairs: bool) {
        let insert = Insert {
            append,
            key: append.key,
            expires_ms: append.expires_ms,
            annotations: &append.annotations,
            deliveries: 0,
            failures: 0,
        };
        let origin = match append.medium {
            Medium::Database => {
                self.steps.push(Step::Insert(insert));
                Origin::Inserted(self.steps.len() - 1)
            }
            Medium::Scratch => {
                self.spill.inserts.push(Some(insert));
                Origin::Spilt(self.spill.inserts.len() - 1)
            }
        };
        if pairs {
            self.origins.insert(append.key, origin);
        }
    }

    fn settle(&mut self, key: EntryKey, medium: Medium) {
        let origin = self.origins.get(&key).copied();
        match (origin, medium) {
            (Some(Origin::Inserted(index)), Medium::Database) => {
                self.steps[index] = Step::Cancelled;
                self.cancelled_count += 1;
            }
            (Some(Origin::Moved(index)), Medium::Database) => {
                if let Step::Move(Relocation { from, .. }) = self.steps[index] {
                    self.steps[index] = Step::Settle(vec![from]);
                }
            }
            (Some(Origin::Spilt(index)), Medium::Scratch) => {
                self.spill.inserts[index] = None;
                self.cancelled_count += 1;
            }
            (_, Medium::Database) => return self.settles.push(key),
            (_, Medium::Scratch) => return self.spill.settled.push(key),
        }
        self.origins.remove(&key);
    }

    fn count(&mut self, key: EntryKey, deliveries: u32, failures: u32) {
        if let Some(Origin::Inserted(index)) = self.origins.get(&key)
            && let Step::Insert(insert) = &mut self.steps[*index]
        {
            (insert.deliveries, insert.failures) = (deliveries, failures);
            return;
        }
        self.push(Step::Count {
            key,
            deliveries,
            failures,
        });
    }

    fn relocate(&mut self, change: &'b Move) {
        let origin = self.origins.get(&change.from).copied();
        let origin = match origin {
            // To the end of the steps: its target may have been created only now.
            Some(Origin::Inserted(index)) => {
                if let Step::Insert(insert) =
                    std::mem::replace(&mut self.steps[index], Step::Cancelled)
                {
                    self.steps.push(Step::Insert(Insert {
                        key: change.to,
                        expires_ms: change.expires_ms,
                        annotations: &change.annotations,
                        deliveries: 0,
                        failures: 0,
                        ..insert
                    }));
                }
                Origin::Inserted(self.steps.len() - 1)
            }
            // Where it stands: its source may be removed further on.
            Some(Origin::Moved(index)) => {
                if let Step::Move(relocation) = &mut self.steps[index] {
                    relocation.last = change;
                }
                Origin::Moved(index)
            }
            Some(Origin::Spilt(_)) | None => {
                self.push(Step::Move(Relocation {
                    from: change.from,
                    last: change,
                }));
                self.origins
                    .insert(change.to, Origin::Moved(self.steps.len() - 1));
                return;
            }
        };
        self.origins.remove(&change.from);
        self.origins.insert(change.to, origin);
    }

    /// Adds a step that settles must not pass.
    fn push(&mut self, step: Step<'b>) {
        self.end_run();
        self.steps.push(step);
    }

    fn end_run(&mut self) {
        if !self.settles.is_empty() {
            let mut run = std::mem::take(&mut self.settles);
            run.sort_unstable();
            self.steps.push(Step::Settle(run));
        }
    }
}
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Medium, MessageNumber, Payload, Rank, Sender, Sequence};

    struct Nothing;

    impl Payload for Nothing {
        fn head(&self) -> &[u8] {
            &[]
        }

        fn body(&self) -> &[u8] {
            &[]
        }
    }

    fn key(sequence: i64) -> EntryKey {
        EntryKey {
            destination: DestinationId(1),
            rank: Rank(4),
            sequence: Sequence(sequence),
        }
    }

    fn append(sequence: i64) -> Operation {
        Operation::Append(Append {
            key: key(sequence),
            number: MessageNumber(sequence),
            payload: Arc::new(Nothing),
            timestamp_ms: 0,
            expires_ms: 0,
            annotations: Box::default(),
            medium: Medium::Database,
            sender: Sender::default(),
        })
    }

    fn settle(sequence: i64) -> Operation {
        Operation::Settle {
            key: key(sequence),
            medium: Medium::Database,
        }
    }

    fn relocate(from: i64, to: i64) -> Operation {
        let change = Move {
            from: key(from),
            to: key(to),
            expires_ms: 9,
            annotations: Box::default(),
        };
        Operation::Move(change)
    }

    fn count(sequence: i64, deliveries: u32) -> Operation {
        Operation::Count {
            key: key(sequence),
            deliveries,
            failures: 0,
        }
    }

    fn short(step: &Step<'_>) -> String {
        match step {
            Step::Create(_) => "create".to_owned(),
            Step::Remove(_) => "remove".to_owned(),
            Step::Insert(Insert {
                key, deliveries, ..
            }) => {
                format!("insert {} x{deliveries}", key.sequence.0)
            }
            Step::Settle(keys) => {
                format!(
                    "settle {:?}",
                    keys.iter().map(|key| key.sequence.0).collect::<Vec<_>>()
                )
            }
            Step::Count {
                key, deliveries, ..
            } => format!("count {} x{deliveries}", key.sequence.0),
            Step::Move(Relocation { from, last }) => {
                format!("move {} {}", from.sequence.0, last.to.sequence.0)
            }
            Step::Log(log) => format!("log {}", log.sequence.0),
            Step::Cancelled => "-".to_owned(),
        }
    }

    /// `batches` of one commit must come to `steps`.
    fn check(batches: Vec<Vec<Operation>>, steps: &[&str]) {
        let contents = batches
            .iter()
            .flatten()
            .fold(Contents::default(), |sum, operation| {
                sum.and(Contents::of(operation))
            });
        let batches: Vec<_> = batches
            .into_iter()
            .map(|operations| Batch {
                operations,
                ..Batch::default()
            })
            .collect();
        let plan = Plan::new(&batches, &Refusal::default(), contents);
        assert_eq!(plan.steps().iter().map(short).collect::<Vec<_>>(), steps);
    }

    #[test]
    fn append_and_settle_vanish_together_over_batches() {
        check(
            vec![vec![append(1), append(2)], vec![settle(1)]],
            &["-", "insert 2 x0"],
        );
        check(
            vec![vec![append(1)], vec![count(1, 3)], vec![settle(1)]],
            &["-"],
        );
    }

    #[test]
    fn counts_and_moves_become_part_of_the_insert() {
        check(vec![vec![append(1), count(1, 2)]], &["insert 1 x2"]);
        check(
            vec![vec![append(1), count(1, 2), relocate(1, 5)]],
            &["-", "insert 5 x0"],
        );
        check(
            vec![vec![append(1), relocate(1, 5), count(5, 4)]],
            &["-", "insert 5 x4"],
        );
        check(
            vec![vec![append(1), relocate(1, 5), settle(5)]],
            &["-", "-"],
        );
    }

    #[test]
    fn settles_are_gathered_in_order_and_pass_inserts_only() {
        check(
            vec![vec![settle(9), append(20), settle(7)], vec![settle(8)]],
            &["insert 20 x0", "settle [7, 8, 9]"],
        );
        check(
            vec![vec![
                settle(9),
                count(3, 1),
                settle(3),
                relocate(4, 5),
                settle(6),
            ]],
            &[
                "settle [9]",
                "count 3 x1",
                "settle [3]",
                "move 4 5",
                "settle [6]",
            ],
        );
    }

    #[test]
    fn moves_of_stored_entries_are_one_and_end_with_their_settle() {
        check(
            vec![vec![relocate(4, 5)], vec![count(5, 1), relocate(5, 6)]],
            &["move 4 6", "count 5 x1"],
        );
        check(
            vec![vec![relocate(4, 5), relocate(5, 6), settle(6)]],
            &["settle [4]"],
        );
    }

    #[test]
    fn scratch_entries_keep_apart_and_cancel_among_themselves() {
        let scratched = |sequence| match append(sequence) {
            Operation::Append(append) => Operation::Append(Append {
                medium: Medium::Scratch,
                ..append
            }),
            other => other,
        };
        let settled = |sequence| Operation::Settle {
            key: key(sequence),
            medium: Medium::Scratch,
        };
        let operations = vec![
            scratched(1),
            scratched(2),
            append(3),
            settled(1),
            settled(9),
            settle(2),
            Operation::Remove(DestinationId(7)),
        ];
        let batch = Batch {
            operations,
            ..Batch::default()
        };
        let contents = Contents {
            appends: true,
            references: true,
            beyond_settles: true,
        };
        let batches = [batch];
        let plan = Plan::new(&batches, &Refusal::default(), contents);
        assert_eq!(
            plan.steps().iter().map(short).collect::<Vec<_>>(),
            ["insert 3 x0", "settle [2]", "remove"]
        );
        let spill = plan.spill();
        let inserts = spill
            .inserts
            .iter()
            .map(|insert| insert.map(|it| it.key.sequence.0));
        assert_eq!(inserts.collect::<Vec<_>>(), [None, Some(2)]);
        assert_eq!(spill.settled, [key(9)]);
        assert_eq!(spill.removed, [DestinationId(7)]);
        assert_eq!(plan.cancelled_count(), 1);
    }
}
