//! What one commit does: the batches merged into it, less what cancels itself.
//!
//! An append and a settle of the same key vanish together, a count or a move of an appended entry becomes part of
//! its insert. Everything else keeps its order, with one licence: settles are gathered into runs and may pass
//! inserts. They commute, since a key is never used twice.

use rustc_hash::FxHashMap;

use crate::{Append, Batch, DestinationId, DestinationRecord, EntryKey, Move, Operation};

/// One change to the database.
#[derive(Debug)]
pub(super) enum Step {
    Create(DestinationRecord),
    Remove(DestinationId),
    Insert(Insert),
    Settle(Vec<EntryKey>),
    Count {
        key: EntryKey,
        deliveries: u32,
        failures: u32,
    },
    Move(Move),
    /// An insert that was settled or moved on before it was written.
    Cancelled,
}

/// An entry to be written, with what was counted on it since it was appended.
#[derive(Debug)]
pub(super) struct Insert {
    pub(super) append: Append,
    pub(super) deliveries: u32,
    pub(super) failures: u32,
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
            Operation::Move(_) => Self {
                appends: false,
                references: true,
                beyond_settles: true,
            },
            Operation::Create(_) | Operation::Remove(_) => Self {
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

/// The changes of one commit, in order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    steps: Vec<Step>,
    settles: Vec<EntryKey>,
    /// Where the insert of a key stands in `steps`; empty when no pairs can be.
    inserts: FxHashMap<EntryKey, usize>,
    cancelled_count: usize,
}

impl Plan {
    /// Merges `batches`, whose contents together are `contents`.
    pub(super) fn new(batches: Vec<Batch>, contents: Contents) -> Self {
        let mut plan = Self::default();
        let pairs = contents.appends && contents.references;
        for operation in batches.into_iter().flat_map(|batch| batch.operations) {
            plan.add(operation, pairs);
        }
        plan.end_run();
        plan
    }

    /// Whether nothing is left to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.steps
            .iter()
            .all(|step| matches!(step, Step::Cancelled))
    }

    /// Appends that will never be written.
    pub(super) fn cancelled_count(&self) -> usize {
        self.cancelled_count
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    fn add(&mut self, operation: Operation, pairs: bool) {
        match operation {
            Operation::Append(append) => {
                self.insert(
                    Insert {
                        append,
                        deliveries: 0,
                        failures: 0,
                    },
                    pairs,
                );
            }
            Operation::Settle { key, .. } => match self.inserts.remove(&key) {
                Some(index) => {
                    self.steps[index] = Step::Cancelled;
                    self.cancelled_count += 1;
                }
                None => self.settles.push(key),
            },
            Operation::Count {
                key,
                deliveries,
                failures,
            } => self.count(key, deliveries, failures),
            Operation::Move(change) => self.relocate(change),
            Operation::Create(record) => self.push(Step::Create(record)),
            Operation::Remove(destination) => self.push(Step::Remove(destination)),
        }
    }

    fn insert(&mut self, insert: Insert, pairs: bool) {
        if pairs {
            self.inserts.insert(insert.append.key, self.steps.len());
        }
        self.steps.push(Step::Insert(insert));
    }

    fn count(&mut self, key: EntryKey, deliveries: u32, failures: u32) {
        let index = self.inserts.get(&key).copied();
        match index.map(|index| &mut self.steps[index]) {
            Some(Step::Insert(insert)) => {
                (insert.deliveries, insert.failures) = (deliveries, failures);
            }
            _ => self.push(Step::Count {
                key,
                deliveries,
                failures,
            }),
        }
    }

    /// The insert moves to the end of the steps: its target may have been created only now.
    fn relocate(&mut self, change: Move) {
        let index = self.inserts.remove(&change.from);
        match index.map(|index| std::mem::replace(&mut self.steps[index], Step::Cancelled)) {
            Some(Step::Insert(Insert { append, .. })) => {
                let append = Append {
                    key: change.to,
                    expires_ms: change.expires_ms,
                    annotations: change.annotations,
                    ..append
                };
                self.insert(
                    Insert {
                        append,
                        deliveries: 0,
                        failures: 0,
                    },
                    true,
                );
            }
            _ => self.push(Step::Move(change)),
        }
    }

    /// Adds a step that settles must not pass.
    fn push(&mut self, step: Step) {
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

    fn short(step: &Step) -> String {
        match step {
            Step::Create(_) => "create".to_owned(),
            Step::Remove(_) => "remove".to_owned(),
            Step::Insert(Insert {
                append, deliveries, ..
            }) => {
                format!("insert {} x{deliveries}", append.key.sequence.0)
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
            Step::Move(Move { from, to, .. }) => {
                format!("move {} {}", from.sequence.0, to.sequence.0)
            }
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
        let batches = batches
            .into_iter()
            .map(|operations| Batch {
                operations,
                ..Batch::default()
            })
            .collect();
        let plan = Plan::new(batches, contents);
        assert_eq!(plan.is_empty(), steps.iter().all(|step| *step == "-"));
        assert_eq!(
            plan.into_steps().iter().map(short).collect::<Vec<_>>(),
            steps
        );
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
                settle(5),
            ]],
            &[
                "settle [9]",
                "count 3 x1",
                "settle [3]",
                "move 4 5",
                "settle [5]",
            ],
        );
    }
}
