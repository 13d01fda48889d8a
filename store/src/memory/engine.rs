//! What a memory store has been asked for and when it is done, in front of the durable [`State`].

use std::collections::VecDeque;

use crate::memory::disk::{Events, Fault};
use crate::memory::refusal::{Full, refuse};
use crate::memory::state::State;
use crate::{
    Backlog, Batch, Due, DueRequest, DuplicateRequest, Duplicates, EntryKey, EventSink, Expired,
    LogPageRequest, Medium, Operation, Page, PageRequest, Recovered, ScheduleList,
    ScheduleListRequest, StoreError, StoreEvent, StoreStatistics, Ticket,
};

/// A life of a store on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life(u64);

/// A read that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    Page(PageRequest),
    Expired { now_ms: i64, rows_max: usize },
    Log(LogPageRequest),
    Due(DueRequest),
    Schedule(ScheduleListRequest),
    Duplicates(DuplicateRequest),
}

/// A read, and what it has seen once it has begun.
struct PendingRead {
    read: Read,
    seen: Option<Answer>,
}

enum Answer {
    Page(PageRequest, Page),
    Expired(Expired),
    Log(LogPageRequest, Page),
    Due(Due),
    Schedule(ScheduleList),
    Duplicates(Duplicates),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Poisoned,
}

/// See the module.
pub(super) struct Engine {
    state: State,
    life: Life,
    /// `None` while no store is open.
    sink: Option<EventSink>,
    health: Health,
    last_ticket: Ticket,
    batches: VecDeque<(Ticket, Batch)>,
    reads: VecDeque<PendingRead>,
    faults: VecDeque<Fault>,
    immediately: bool,
    full: Full,
    statistics: StoreStatistics,
}

impl Engine {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            life: Life(0),
            sink: None,
            health: Health::Sound,
            last_ticket: Ticket(0),
            batches: VecDeque::new(),
            reads: VecDeque::new(),
            faults: VecDeque::new(),
            immediately: false,
            full: Full::default(),
            statistics: StoreStatistics::default(),
        }
    }

    /// Begins a life, unless one is going on.
    pub(super) fn open(&mut self, sink: EventSink) -> Result<(Life, Recovered), StoreError> {
        if self.sink.is_some() {
            return Err(StoreError::InUse {
                folder: "memory".into(),
            });
        }
        self.life = Life(self.life.0 + 1);
        self.sink = Some(sink);
        self.health = Health::Sound;
        self.last_ticket = Ticket(0);
        self.statistics = StoreStatistics {
            is_full: self.full.database,
            ..StoreStatistics::default()
        };
        Ok((self.life, self.state.take_over()))
    }

    pub(super) fn sink(&self) -> Option<EventSink> {
        self.sink.clone()
    }

    pub(super) fn is_alive(&self, life: Life) -> bool {
        self.life == life && self.sink.is_some()
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    pub(super) fn run_immediately(&mut self, immediately: bool) {
        self.immediately = immediately;
    }

    pub(super) fn inject(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    pub(super) fn fill(&mut self, medium: Medium) {
        *self.full.medium(medium) = true;
    }

    pub(super) fn tighten(&mut self) {
        self.full.spare = true;
    }

    pub(super) fn free(&mut self, medium: Medium, events: &mut Events) {
        *self.full.medium(medium) = false;
        self.full.spare &= self.full.database;
        if !self.full.database && std::mem::take(&mut self.statistics.is_full) {
            events.push(StoreEvent::Resumed);
        }
    }

    pub(super) fn pending_batches(&self) -> usize {
        self.batches.len()
    }

    pub(super) fn pending_reads(&self) -> usize {
        self.reads.len()
    }

    pub(super) fn statistics(&self) -> StoreStatistics {
        StoreStatistics {
            scratch_bytes: self.state.scratch_bytes(),
            ..self.statistics
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        let operations = self.batches.iter().flat_map(|(_, batch)| &batch.operations);
        operations.fold(Backlog::default(), |sum, operation| Backlog {
            operations: sum.operations + 1,
            bytes: sum.bytes + operation.payload_bytes(),
        })
    }

    pub(super) fn submit(&mut self, batch: Batch, events: &mut Events) {
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        if self.health == Health::Sound {
            self.batches.push_back((self.last_ticket, batch));
        }
        self.keep_pace(events);
    }

    pub(super) fn ask(&mut self, read: Read, events: &mut Events) {
        if self.health == Health::Sound {
            self.reads.push_back(PendingRead { read, seen: None });
        }
        self.keep_pace(events);
    }

    pub(super) fn step(&mut self, events: &mut Events) -> bool {
        if let Some(Fault::Delay(steps)) = self.faults.front_mut() {
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                self.faults.pop_front();
            }
            return true;
        }
        self.commit(usize::MAX, events) > 0 || self.finish_read(0, events)
    }

    /// One commit. Returns how many batches it took, also when it failed.
    pub(super) fn commit(&mut self, batches_max: usize, events: &mut Events) -> usize {
        let taken = self.batches.len().min(batches_max);
        let Some((ticket, _)) = taken.checked_sub(1).and_then(|last| self.batches.get(last)) else {
            return 0;
        };
        let ticket = *ticket;
        match self.write(taken, events) {
            Ok(()) => events.push(StoreEvent::Durable(ticket)),
            Err(error) => self.poison(error, events),
        }
        taken
    }

    pub(super) fn begin_read(&mut self, index: usize) {
        if let Some(pending) = self.reads.get_mut(index) {
            pending
                .seen
                .get_or_insert_with(|| see(&self.state, pending.read));
        }
    }

    pub(super) fn finish_read(&mut self, index: usize, events: &mut Events) -> bool {
        let Some(pending) = self.reads.remove(index) else {
            return false;
        };
        if self.strikes(Fault::Read) {
            self.poison(failure("a read"), events);
            return true;
        }
        let answer = pending
            .seen
            .unwrap_or_else(|| see(&self.state, pending.read));
        match answer {
            Answer::Page(request, page) => {
                for sequence in &page.quarantined {
                    let (destination, rank) = (request.destination, request.rank);
                    let key = EntryKey {
                        destination,
                        rank,
                        sequence: *sequence,
                    };
                    self.statistics.quarantined_count += u64::from(self.state.put_aside(key));
                }
                events.push(StoreEvent::Page(page));
            }
            Answer::Expired(expired) => events.push(StoreEvent::Expired(expired)),
            Answer::Log(request, page) => {
                for sequence in &page.quarantined {
                    let aside = self.state.put_log_aside(request.topic, *sequence);
                    self.statistics.quarantined_count += u64::from(aside);
                }
                events.push(StoreEvent::Page(page));
            }
            Answer::Due(due) => {
                for key in &due.quarantined {
                    let aside = self.state.unschedule(key.id);
                    self.statistics.quarantined_count += u64::from(aside);
                }
                events.push(StoreEvent::Due(due));
            }
            Answer::Schedule(list) => events.push(StoreEvent::Schedule(list)),
            Answer::Duplicates(found) => events.push(StoreEvent::Duplicates(found)),
        }
        true
    }

    /// Commits everything and then `last` with the mark of a clean stop.
    pub(super) fn close(&mut self, last: Batch, events: &mut Events) -> Result<(), StoreError> {
        if self.health == Health::Poisoned {
            return Err(failure("closing"));
        }
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        self.batches.push_back((self.last_ticket, last));
        self.write(self.batches.len(), events)?;
        self.state.mark_clean();
        events.push(StoreEvent::Durable(self.last_ticket));
        Ok(())
    }

    /// Ends the life that is going on.
    pub(super) fn crash(&mut self, batches_max: usize) {
        let mut batches = self.take(batches_max);
        self.refuse(&mut batches);
        for operation in batches.into_iter().flat_map(|batch| batch.operations) {
            self.state.apply(operation);
        }
        self.end();
    }

    pub(super) fn end(&mut self) {
        self.batches.clear();
        self.reads.clear();
        self.sink = None;
    }

    fn keep_pace(&mut self, events: &mut Events) {
        while self.immediately && self.step(events) {}
    }

    /// A store that has found its disk full takes no scratch entries either.
    fn refuse(&mut self, batches: &mut [Batch]) -> Vec<Operation> {
        if self.full.database && !self.statistics.is_full {
            let refused = refuse(&mut batches.to_vec(), self.full);
            self.statistics.is_full = refused.iter().any(fills_database);
        }
        let full = match self.statistics.is_full {
            true => self.full.found(),
            false => self.full,
        };
        refuse(batches, full)
    }

    fn take(&mut self, batches_max: usize) -> Vec<Batch> {
        let count = self.batches.len().min(batches_max);
        self.batches
            .drain(..count)
            .map(|(_, batch)| batch)
            .collect()
    }

    /// Carries the first `count` batches out as far as there is room, or fails as was planned.
    fn write(&mut self, count: usize, events: &mut Events) -> Result<(), StoreError> {
        if self.strikes(Fault::CommitLost) {
            return Err(failure("a commit"));
        }
        let failed_late = self.strikes(Fault::CommitKept);
        let mut batches = self.take(count);
        let refused = self.refuse(&mut batches);
        for batch in batches {
            if let Some(detail) = self.state.conflict(&batch) {
                return Err(StoreError::Disk {
                    during: "a change",
                    detail,
                });
            }
            self.statistics.operation_count += batch.operations.len() as u64;
            batch
                .operations
                .into_iter()
                .for_each(|operation| self.state.apply(operation));
        }
        self.statistics.commit_count += 1;
        if failed_late {
            return Err(failure("a commit"));
        }
        if !refused.is_empty() {
            events.push(StoreEvent::Refused(refused));
        }
        Ok(())
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        let due = self.faults.front() == Some(&fault);
        if due {
            self.faults.pop_front();
        }
        due
    }

    fn poison(&mut self, error: StoreError, events: &mut Events) {
        self.health = Health::Poisoned;
        self.batches.clear();
        self.reads.clear();
        events.push(StoreEvent::Failed(error));
    }
}

fn see(state: &State, read: Read) -> Answer {
    match read {
        Read::Page(request) => Answer::Page(request, state.page(request)),
        Read::Expired { now_ms, rows_max } => Answer::Expired(state.expired(now_ms, rows_max)),
        Read::Log(request) => Answer::Log(request, state.log_page(request)),
        Read::Due(request) => Answer::Due(state.due(request)),
        Read::Schedule(request) => Answer::Schedule(state.schedule_list(request)),
        Read::Duplicates(request) => Answer::Duplicates(state.duplicates(request)),
    }
}

fn fills_database(operation: &Operation) -> bool {
    match operation {
        Operation::Append(append) => append.medium == Medium::Database,
        Operation::Move(_)
        | Operation::Log(_)
        | Operation::Schedule(_)
        | Operation::Remember(_)
        | Operation::Pass { .. }
        | Operation::LogCount { .. } => true,
        _ => false,
    }
}

fn failure(during: &'static str) -> StoreError {
    StoreError::Disk {
        during,
        detail: "a planned fault".to_owned(),
    }
}
