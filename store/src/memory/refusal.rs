//! What a full disk refuses of a commit, found out by trying until nothing more is refused.
//!
//! As naive as the rest of this engine: a unit that is refused takes its settles back, whereupon what they cancelled
//! must be written after all and is refused as well.

use std::collections::BTreeMap;

use crate::{Batch, EntryKey, Medium, Operation, ScheduleId};

/// Which media take nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Full {
    pub(super) database: bool,
    pub(super) scratch: bool,
    /// Not even what a full disk takes of what makes it grow.
    pub(super) spare: bool,
}

impl Full {
    /// What a store that has found its disk full refuses.
    pub(super) fn found(self) -> Self {
        Self {
            database: true,
            scratch: true,
            ..self
        }
    }

    pub(super) fn medium(&mut self, medium: Medium) -> &mut bool {
        match medium {
            Medium::Database => &mut self.database,
            Medium::Scratch => &mut self.scratch,
        }
    }

    fn has(self, medium: Medium) -> bool {
        match medium {
            Medium::Database => self.database,
            Medium::Scratch => self.scratch,
        }
    }
}

/// An operation, where it stands and the unit that it belongs to.
struct Placed<'a> {
    operation: &'a Operation,
    /// Of the batch, and of the unit within it.
    unit: Option<(usize, usize)>,
    refused: bool,
}

/// Takes what `full` refuses out of the batches of one commit.
pub(super) fn refuse(batches: &mut [Batch], full: Full) -> Vec<Operation> {
    if full == Full::default() {
        return Vec::new();
    }
    let mut placed: Vec<Placed<'_>> = batches.iter().enumerate().flat_map(placed).collect();
    while let Some(index) = next_refused(&placed, full) {
        let unit = placed[index].unit;
        placed[index].refused = true;
        for other in &mut placed {
            let stays = other.operation.is_never_refused();
            other.refused |= unit.is_some() && other.unit == unit && !stays;
        }
    }
    let mut refused = placed
        .iter()
        .map(|placed| placed.refused)
        .collect::<Vec<_>>()
        .into_iter();
    let mut out = Vec::new();
    for batch in batches {
        for operation in std::mem::take(&mut batch.operations) {
            match refused.next() {
                Some(true) => out.push(operation),
                _ => batch.operations.push(operation),
            }
        }
    }
    out
}

fn placed((at, batch): (usize, &Batch)) -> impl Iterator<Item = Placed<'_>> {
    let unit = move |index: usize| batch.units.iter().position(|unit| unit.contains(&index));
    batch
        .operations
        .iter()
        .enumerate()
        .map(move |(index, operation)| Placed {
            operation,
            unit: unit(index).map(|unit| (at, unit)),
            refused: false,
        })
}

/// An operation that would have to be written and cannot be.
fn next_refused(placed: &[Placed<'_>], full: Full) -> Option<usize> {
    // By the key under which an entry ends up: the operations that have to be written for that.
    let mut written: BTreeMap<(EntryKey, Medium), Vec<usize>> = BTreeMap::new();
    let mut scheduled: BTreeMap<ScheduleId, usize> = BTreeMap::new();
    let (mut others, mut spare) = (None, None);
    for (index, placed) in placed.iter().enumerate().filter(|(_, one)| !one.refused) {
        match placed.operation {
            Operation::Append(append) => {
                written.insert((append.key, append.medium), vec![index]);
            }
            Operation::Move(change) => {
                let from = (change.from, Medium::Database);
                let mut indices = written.remove(&from).unwrap_or_default();
                indices.push(index);
                written.insert((change.to, Medium::Database), indices);
            }
            Operation::Settle { key, medium } => {
                written.remove(&(*key, *medium));
            }
            Operation::Log(_) | Operation::Remember(_) => others = others.or(Some(index)),
            Operation::Pass { .. } | Operation::LogCount { .. } => spare = spare.or(Some(index)),
            Operation::Schedule(record) => {
                scheduled.insert(record.id, index);
            }
            Operation::Unschedule(id) => {
                scheduled.remove(id);
            }
            Operation::Reschedule { .. }
            | Operation::Create(_)
            | Operation::Remove(_)
            | Operation::Count { .. }
            | Operation::Subscribe(_)
            | Operation::Unsubscribe(_)
            | Operation::Floor { .. }
            | Operation::Trim { .. } => {}
        }
    }
    let blocked = written.iter().filter(|((_, medium), _)| full.has(*medium));
    let blocked = blocked.flat_map(|(_, indices)| indices).copied();
    let others = others.into_iter().chain(scheduled.into_values());
    let spare = spare.filter(|_| full.spare);
    let blocked = blocked.chain(others.filter(|_| full.database));
    blocked.chain(spare).min()
}
