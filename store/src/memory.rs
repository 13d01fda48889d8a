//! The memory engine: the contract of [`Store`] on a [`MemoryDisk`] that a test drives step by step.
//!
//! Deterministic: it has neither threads nor clocks. The disk says when a commit happens, in which order reads are
//! answered, what fails, what is full and when the store crashes; what was committed is there when the next store is
//! opened on it, but for the scratch entries.

mod disk;
mod duplicate;
mod engine;
mod log;
mod refusal;
mod schedule;
mod state;

pub use disk::{Fault, MemoryDisk};

use crate::memory::engine::{Life, Read};
use crate::{
    Backlog, Batch, DueRequest, DuplicateRequest, EventSink, LogPageRequest, PageRequest,
    Recovered, ScheduleListRequest, Store, StoreError, StoreStatistics, Ticket,
};

/// One life of a store on a [`MemoryDisk`]. Dropping it without [`Store::close`] is a crash.
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    life: Life,
    last_ticket: Ticket,
}

impl MemoryStore {
    /// Begins a new life on `disk`.
    ///
    /// # Errors
    /// When another store is open on it: neither closed nor crashed.
    pub fn open(
        disk: MemoryDisk,
        _now_ms: i64,
        events: EventSink,
    ) -> Result<(Self, Recovered), StoreError> {
        let (life, recovered) = disk.engine().open(events)?;
        Ok((
            Self {
                disk,
                life,
                last_ticket: Ticket(0),
            },
            recovered,
        ))
    }

    fn ask(&self, read: Read) {
        self.disk.perform(|engine, events| {
            if engine.is_alive(self.life) {
                engine.ask(read, events);
            }
        });
    }
}

impl Store for MemoryStore {
    fn submit(&mut self, batch: Batch) -> Ticket {
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        self.disk.perform(|engine, events| {
            if engine.is_alive(self.life) {
                engine.submit(batch, events);
            }
        });
        self.last_ticket
    }

    fn backlog(&self) -> Backlog {
        self.disk.engine().backlog()
    }

    fn read_page(&mut self, request: PageRequest) {
        self.ask(Read::Page(request));
    }

    fn read_expired(&mut self, now_ms: i64, rows_max: usize) {
        self.ask(Read::Expired { now_ms, rows_max });
    }

    fn read_log(&mut self, request: LogPageRequest) {
        self.ask(Read::Log(request));
    }

    fn read_due(&mut self, request: DueRequest) {
        self.ask(Read::Due(request));
    }

    fn read_schedule(&mut self, request: ScheduleListRequest) {
        self.ask(Read::Schedule(request));
    }

    fn read_duplicates(&mut self, request: DuplicateRequest) {
        self.ask(Read::Duplicates(request));
    }

    fn statistics(&self) -> StoreStatistics {
        self.disk.engine().statistics()
    }

    fn close(self: Box<Self>, last: Batch) -> Result<(), StoreError> {
        let closed = self
            .disk
            .perform(|engine, events| match engine.is_alive(self.life) {
                true => engine.close(last, events),
                false => Err(StoreError::Disk {
                    during: "closing",
                    detail: "the store had crashed before".to_owned(),
                }),
            });
        if closed.is_ok() {
            self.disk.engine().end();
        }
        closed
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        let mut engine = self.disk.engine();
        if engine.is_alive(self.life) {
            engine.crash(0);
        }
    }
}
