//! The memory disk: what survives a crash of the store on it, and the handle with which a test drives it.
//!
//! *Invariant.* Nothing happens by itself: no thread, no clock. A commit or an answer comes when it is asked for,
//! and events are reported after the disk's own lock is released.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::memory::engine::Engine;
use crate::memory::state::State;
use crate::{EventSink, LogTally, Medium, MessageNumber, ScheduleTally, StoreEvent, Tally};

/// What goes wrong, once each, in the order in which it was injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next commit fails and nothing of it is durable: the store is poisoned.
    CommitLost,
    /// The next commit reports a failure, though it is durable: what a sync that fails late may do.
    CommitKept,
    /// The next read fails: the store is poisoned.
    Read,
    /// The next so many calls of [`MemoryDisk::step`] do nothing.
    Delay(usize),
}

/// A disk in memory. Clones are the same disk; it outlives the [`MemoryStore`](super::MemoryStore)s opened on it.
#[derive(Clone)]
pub struct MemoryDisk {
    engine: Arc<Mutex<Engine>>,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new("memory")
    }
}

impl MemoryDisk {
    /// An empty disk whose database has this instance.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        Self {
            engine: Arc::new(Mutex::new(Engine::new(State::new(instance)))),
        }
    }

    /// Batches that are submitted and not committed.
    #[must_use]
    pub fn pending_batches(&self) -> usize {
        self.engine().pending_batches()
    }

    /// Reads that are asked for and not answered.
    #[must_use]
    pub fn pending_reads(&self) -> usize {
        self.engine().pending_reads()
    }

    /// Commits the next `batches_max` batches as one commit and reports the watermark. Returns how many they were.
    pub fn commit(&self, batches_max: usize) -> usize {
        self.perform(|engine, events| engine.commit(batches_max, events))
    }

    /// Lets the pending read at `index` see the disk as it is now; [`MemoryDisk::finish_read`] answers it. Whatever
    /// is committed between the two is reported before an answer that does not have it.
    pub fn begin_read(&self, index: usize) {
        self.engine().begin_read(index);
    }

    /// Answers the pending read at `index`; reads may be answered in any order. `false` when there is none.
    pub fn finish_read(&self, index: usize) -> bool {
        self.perform(|engine, events| engine.finish_read(index, events))
    }

    /// Does the next thing: commits all pending batches, or else answers the oldest read. `false` when idle.
    pub fn step(&self) -> bool {
        self.perform(Engine::step)
    }

    /// Steps until nothing is pending.
    pub fn run_until_idle(&self) {
        while self.step() {}
    }

    /// From now on, does everything within the call that asks for it (`true`), or only when driven (`false`). Events
    /// are then reported before `submit` has returned the ticket they are about.
    pub fn run_immediately(&self, immediately: bool) {
        self.engine().run_immediately(immediately);
        if immediately {
            self.run_until_idle();
        }
    }

    /// Ends the life of the open store: what is not committed is lost, and nothing is reported any more.
    pub fn crash(&self) {
        self.crash_after(0);
    }

    /// As [`MemoryDisk::crash`], after the next `batches_max` batches became durable without anybody being told.
    pub fn crash_after(&self, batches_max: usize) {
        self.engine().crash(batches_max);
    }

    /// Plans a fault.
    pub fn inject(&self, fault: Fault) {
        self.engine().inject(fault);
    }

    /// From now on there is no room on `medium`: commits refuse what must be written there. Once the database has
    /// refused something, the store is full and takes nothing for either medium.
    pub fn fill(&self, medium: Medium) {
        self.engine().fill(medium);
    }

    /// From now on a full database has no room either for what departs from a subscription's floor, until
    /// [`MemoryDisk::free`].
    pub fn tighten(&self) {
        self.engine().tighten();
    }

    /// There is room on `medium` again. The open store resumes at once when it has refused for the want of it.
    pub fn free(&self, medium: Medium) {
        self.perform(|engine, events| engine.free(medium, events));
    }

    /// The scratch file fails: what it held is gone, which the store tells nobody. A page does not have it any more.
    pub fn lose_scratch(&self) {
        self.engine().state_mut().empty_scratch();
    }

    /// Makes the body of a message that is stored in the database fail its checksum.
    pub fn corrupt(&self, number: MessageNumber) {
        self.engine().state_mut().corrupt(number);
    }

    /// Counts what the database holds, in order of destination and rank.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        self.engine().state_mut().tallies()
    }

    /// Counts what the logs hold, in order of topic.
    #[must_use]
    pub fn log_tallies(&self) -> Vec<LogTally> {
        self.engine().state_mut().log_tallies()
    }

    /// Counts what is scheduled, in order of destination.
    #[must_use]
    pub fn schedule_tallies(&self) -> Vec<ScheduleTally> {
        self.engine().state_mut().schedule_tallies()
    }

    /// Whether the last life ended with a clean stop.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.engine().state_mut().is_clean()
    }

    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        // Engine methods leave the engine consistent at every point where they can panic.
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `action` under the lock and reports what came of it without the lock.
    pub(super) fn perform<T>(&self, action: impl FnOnce(&mut Engine, &mut Events) -> T) -> T {
        let mut events = Events::default();
        let mut engine = self.engine();
        let result = action(&mut engine, &mut events);
        let sink = engine.sink();
        drop(engine);
        if let Some(sink) = sink {
            events.report(&sink);
        }
        result
    }
}

impl std::fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryDisk").finish_non_exhaustive()
    }
}

/// Events that wait until the lock is released.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<StoreEvent>,
}

impl Events {
    pub(super) fn push(&mut self, event: StoreEvent) {
        self.queue.push_back(event);
    }

    fn report(self, sink: &EventSink) {
        for event in self.queue {
            sink(event);
        }
    }
}
