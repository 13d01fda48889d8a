//! What of a commit is refused when a medium has no room: what must be written there, and each unit of it as a whole.
//!
//! An append that is moved on and settled in the same commit need not be written: its operations are a *chain* with
//! an end. So are a message that is scheduled and its end. A chain without one must be written. A refused unit may take a chain's end along, and then the chain, and
//! then the units of its operations: each is looked at once.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::{Batch, EntryKey, Medium, Operation, ScheduleId};

/// What there is no room for. A full disk takes no scratch entries either: they would take the room that deletes live on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Full {
    pub(super) database: bool,
    pub(super) scratch: bool,
    /// Not even for what a full disk takes.
    pub(super) spare: bool,
}

impl Full {
    fn has(self, need: Need) -> bool {
        match need {
            Need::Room(Medium::Database) => self.database,
            Need::Room(Medium::Scratch) => self.scratch,
            Need::Spare => self.spare,
        }
    }
}

/// What an operation needs room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Room(Medium),
    /// In the database, little, and the reserve has it for a while: what departs from a subscription's floor.
    Spare,
}

/// Which operations of a commit are refused, numbered through all its batches.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    refused: Vec<bool>,
}

impl Refusal {
    /// What `full` means for a commit of these batches.
    pub(super) fn of(batches: &[Batch], full: Full) -> Self {
        if full == Full::default() {
            return Self::default();
        }
        let mut commit = Commit::new(batches);
        commit.refuse(full);
        Self {
            refused: commit.links.iter().map(|link| link.refused).collect(),
        }
    }

    /// Whether the operation of this number is refused.
    pub(super) fn has(&self, index: usize) -> bool {
        self.refused.get(index).is_some_and(|refused| *refused)
    }

    /// Takes the refused operations out of the batches, in their order.
    pub(super) fn take_from(&self, batches: &mut [Batch]) -> Vec<Operation> {
        if !self.refused.contains(&true) {
            return Vec::new();
        }
        let operations = batches
            .iter_mut()
            .flat_map(|batch| batch.operations.drain(..));
        let refused = operations
            .enumerate()
            .filter(|(index, _)| self.has(*index))
            .map(|(_, operation)| operation);
        refused.collect()
    }
}

const DATABASE: Need = Need::Room(Medium::Database);

/// What puts one entry where it ends up in this commit.
struct Chain {
    need: Need,
    /// An append or a move, and the moves that follow it.
    writes: Vec<usize>,
    /// It is settled or unscheduled in this commit.
    ends: bool,
}

/// What an operation belongs to.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    unit: Option<usize>,
    chain: Option<usize>,
    refused: bool,
}

/// Operations of all batches, numbered through.
struct Commit<'b> {
    operations: Vec<&'b Operation>,
    links: Vec<Link>,
    units: Vec<Range<usize>>,
    chains: Vec<Chain>,
}

impl<'b> Commit<'b> {
    fn new(batches: &'b [Batch]) -> Self {
        let mut commit = Self {
            operations: Vec::new(),
            links: Vec::new(),
            units: Vec::new(),
            chains: Vec::new(),
        };
        for batch in batches {
            commit.add_batch(batch);
        }
        commit.add_chains();
        commit
    }

    fn add_batch(&mut self, batch: &'b Batch) {
        let offset = self.operations.len();
        self.operations.extend(&batch.operations);
        self.links.resize(self.operations.len(), Link::default());
        for unit in &batch.units {
            let end = unit.end.min(batch.operations.len());
            let unit = offset + unit.start.min(end)..offset + end;
            for link in &mut self.links[unit.clone()] {
                link.unit = Some(self.units.len());
            }
            self.units.push(unit);
        }
    }

    fn add_chains(&mut self) {
        // By the key where the entry is so far.
        let mut open: FxHashMap<EntryKey, usize> = FxHashMap::default();
        let mut scheduled: FxHashMap<ScheduleId, usize> = FxHashMap::default();
        for index in 0..self.operations.len() {
            match self.operations[index] {
                Operation::Append(append) => {
                    open.insert(
                        append.key,
                        self.begin_chain(Need::Room(append.medium), index),
                    );
                }
                Operation::Move(change) => {
                    let chain = open
                        .get(&change.from)
                        .copied()
                        .filter(|chain| self.chains[*chain].need == DATABASE);
                    let chain = match chain {
                        Some(chain) => {
                            open.remove(&change.from);
                            self.chains[chain].writes.push(index);
                            self.links[index].chain = Some(chain);
                            chain
                        }
                        None => self.begin_chain(DATABASE, index),
                    };
                    open.insert(change.to, chain);
                }
                Operation::Settle { key, medium } => {
                    if let Some(chain) = open.get(key).copied()
                        && self.chains[chain].need == Need::Room(*medium)
                    {
                        open.remove(key);
                        self.chains[chain].ends = true;
                        self.links[index].chain = Some(chain);
                    }
                }
                // Nothing ends it: a full disk refuses it even when nobody needs it any more.
                Operation::Log(_) | Operation::Remember(_) => {
                    self.begin_chain(DATABASE, index);
                }
                Operation::Pass { .. } | Operation::LogCount { .. } => {
                    self.begin_chain(Need::Spare, index);
                }
                Operation::Schedule(record) => {
                    let chain = self.begin_chain(DATABASE, index);
                    scheduled.insert(record.id, chain);
                }
                Operation::Unschedule(id) => {
                    if let Some(chain) = scheduled.remove(id) {
                        self.chains[chain].ends = true;
                        self.links[index].chain = Some(chain);
                    }
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
    }

    fn begin_chain(&mut self, need: Need, index: usize) -> usize {
        self.chains.push(Chain {
            need,
            writes: vec![index],
            ends: false,
        });
        self.links[index].chain = Some(self.chains.len() - 1);
        self.chains.len() - 1
    }

    fn refuse(&mut self, full: Full) {
        let unwritable = self
            .chains
            .iter()
            .filter(|chain| !chain.ends && full.has(chain.need));
        let mut next: Vec<usize> = unwritable
            .flat_map(|chain| chain.writes.iter().copied())
            .collect();
        while let Some(index) = next.pop() {
            let link = &mut self.links[index];
            if std::mem::replace(&mut link.refused, true) {
                continue;
            }
            let link = *link;
            if let Some(unit) = link.unit {
                // Once: a second visit finds it empty.
                let members = std::mem::take(&mut self.units[unit]);
                next.extend(members.filter(|index| !self.operations[*index].is_never_refused()));
            }
            if let Some(chain) = link.chain.map(|chain| &self.chains[chain])
                && full.has(chain.need)
            {
                // What comes before it in its chain has lost its end.
                let before = chain.writes.iter().copied().filter(|write| *write < index);
                next.extend(before.filter(|write| !self.links[*write].refused));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DestinationId, Rank, Sequence};

    const NO_ROOM: Full = Full {
        database: true,
        scratch: false,
        spare: false,
    };

    fn key(sequence: i64) -> EntryKey {
        EntryKey {
            destination: DestinationId(1),
            rank: Rank(4),
            sequence: Sequence(sequence),
        }
    }

    fn moved(from: i64, to: i64) -> Operation {
        Operation::Move(crate::Move {
            from: key(from),
            to: key(to),
            expires_ms: 0,
            annotations: Box::default(),
        })
    }

    fn settled(sequence: i64) -> Operation {
        Operation::Settle {
            key: key(sequence),
            medium: Medium::Database,
        }
    }

    /// What is refused of one batch, by number.
    fn check(operations: Vec<Operation>, units: &[(usize, usize)], refused: &[usize]) {
        let units = units.iter().map(|(start, end)| *start..*end).collect();
        let batch = Batch {
            operations,
            units,
            ..Batch::default()
        };
        // The one before has no unit and shifts the numbers.
        let mut batches = [Batch::default(), batch];
        batches[0].operations.push(settled(99));
        let refusal = Refusal::of(&batches, NO_ROOM);
        let found: Vec<usize> = (0..20).filter(|index| refusal.has(index + 1)).collect();
        assert_eq!(found, refused);
        assert_eq!(refusal.take_from(&mut batches).len(), refused.len());
    }

    #[test]
    fn chains_without_an_end_are_refused() {
        check(
            vec![moved(1, 2), moved(2, 3), moved(4, 5), settled(5)],
            &[],
            &[0, 1],
        );
    }

    #[test]
    fn unit_takes_along_what_hangs_on_it() {
        // The move from 1 is settled by the unit of the move from 4, which is refused.
        let operations = vec![moved(1, 2), settled(2), moved(4, 5), settled(6)];
        check(operations, &[(1, 4)], &[0, 1, 2, 3]);
    }

    #[test]
    fn move_out_of_the_middle_of_a_chain_leaves_what_follows_it() {
        // Without the second move the third has no source, hence needs no room; the first stays where it went.
        let operations = vec![
            moved(1, 2),
            moved(2, 3),
            moved(7, 8),
            moved(3, 4),
            settled(4),
        ];
        check(operations, &[(1, 3)], &[0, 1, 2]);
    }

    #[test]
    fn units_beyond_the_end_of_their_batch_are_cut() {
        check(vec![settled(1), moved(2, 3)], &[(1, 7), (9, 12)], &[1]);
    }
}
