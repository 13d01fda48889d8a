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
            Operation::Settle(_) | Operation::Count { .. } => Self {
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
            Operation::Settle(key) => match self.inserts.remove(&key) {
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
