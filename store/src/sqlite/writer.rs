//! The writer's thread: owns the only connection that changes the database, and commits.
//!
//! *Invariant.* A watermark is reported after COMMIT has returned, once per commit, in order. After the first
//! failure nothing is committed and nothing is reported any more.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::sqlite::apply::Tables;
use crate::sqlite::checkpoint::{Checkpoint, Checkpointer};
use crate::sqlite::connection::{disk, is_busy};
use crate::sqlite::gather::{Gathered, Inbox};
use crate::sqlite::gauge::Gauge;
use crate::sqlite::plan::{Plan, Step};
use crate::sqlite::quarantine::BadEntry;
use crate::sqlite::report::Reporter;
use crate::sqlite::tally::TallyBook;
use crate::{StoreError, StoreEvent};

/// What the writer is given.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) inbox: Inbox,
    pub(super) tallies: TallyBook,
    pub(super) any_shared: bool,
    pub(super) checkpointer: Checkpointer,
    pub(super) clock: Clock,
    pub(super) gauge: Arc<Gauge>,
    pub(super) reporter: Arc<Reporter>,
    /// Set when the owner lets go of the store without closing it.
    pub(super) abandoned: Arc<AtomicBool>,
}

/// Wall time from the owner's time at the start: the store reads no clock of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) opened_ms: i64,
    pub(super) opened: Instant,
}

impl Clock {
    fn now_ms(self) -> i64 {
        let elapsed = i64::try_from(self.opened.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.opened_ms.saturating_add(elapsed)
    }
}

/// Runs until the store is closed, abandoned or failed. Only a clean stop is `Ok`.
pub(super) fn run(writer: Writer) -> Result<(), StoreError> {
    let Writer {
        connection,
        inbox,
        tallies,
        any_shared,
        checkpointer,
        ..
    } = writer;
    let prepared = Checkpoint::new(&connection, checkpointer)
        .and_then(|log| Ok((log, Tables::prepare(&connection, tallies, any_shared)?)));
    let (checkpoint, tables) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            writer.reporter.fail(disk("preparing")(error));
            return Err(was_over());
        }
    };
    let mut commits = Commits {
        checkpoint,
        tables,
        clock: writer.clock,
        gauge: writer.gauge,
        reporter: writer.reporter,
        abandoned: writer.abandoned,
    };
    let mut closed = false;
    while !closed && let Some(gathered) = inbox.next() {
        closed = gathered.closing;
        if commits.stopped() {
            commits.gauge.leave(gathered.load);
        } else if let Err(error) = commits.commit(gathered) {
            commits.reporter.fail(error);
        }
    }
    if !closed || commits.stopped() {
        return Err(was_over());
    }
    let Commits {
        checkpoint, tables, ..
    } = commits;
    drop(tables);
    checkpoint.last()
}

fn was_over() -> StoreError {
    StoreError::Disk {
        during: "closing",
        detail: "the store had failed or was abandoned before".to_owned(),
    }
}

/// What became of a transaction that did not fail.
enum Written {
    /// There was nothing to write.
    Nothing,
    All(Duration),
    /// The owner let go while it waited for the database.
    GivenUp,
}

struct Commits<'c> {
    tables: Tables<'c>,
    checkpoint: Checkpoint<'c>,
    clock: Clock,
    gauge: Arc<Gauge>,
    reporter: Arc<Reporter>,
    abandoned: Arc<AtomicBool>,
}

impl Commits<'_> {
    fn stopped(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.reporter.is_poisoned()
    }

    /// Makes one commit's worth durable and reports it.
    fn commit(&mut self, gathered: Gathered) -> Result<(), StoreError> {
        let Gathered {
            batches,
            through,
            load,
            contents,
            quarantines,
            closing,
            ..
        } = gathered;
        let plan = Plan::new(batches, contents);
        self.gauge.cancelled(plan.cancelled_count());
        let writes = closing || !plan.is_empty() || !quarantines.is_empty();
        let steps = plan.into_steps();
        let bad = quarantines.iter().flat_map(|(_, entries)| entries);
        let written = if writes {
            self.write(&steps, bad, closing)
        } else {
            Ok(Written::Nothing)
        };
        self.gauge.leave(load);
        match written? {
            Written::Nothing => {}
            Written::All(took) => self.gauge.committed(load.operations, took),
            Written::GivenUp => return Ok(()),
        }
        if let Some(ticket) = through {
            self.reporter.report(StoreEvent::Durable(ticket));
        }
        for (page, entries) in quarantines {
            self.gauge.quarantined(entries.len());
            self.reporter.report(StoreEvent::Page(page));
        }
        // Last: freeing a thousand messages must not hold up the watermark.
        drop(steps);
        if writes && !closing {
            self.look_after_log()
        } else {
            Ok(())
        }
    }

    /// One transaction.
    fn write<'b>(
        &mut self,
        steps: &[Step],
        bad: impl Iterator<Item = &'b BadEntry>,
        closing: bool,
    ) -> Result<Written, StoreError> {
        let begun = Instant::now();
        if self.begin()?.is_break() {
            return Ok(Written::GivenUp);
        }
        for entry in bad {
            let now_ms = self.clock.now_ms();
            self.tables
                .put_aside(entry, now_ms)
                .map_err(disk("a quarantine"))?;
        }
        for step in steps {
            self.tables.apply(step).map_err(disk("a change"))?;
        }
        self.tables.finish(closing).map_err(disk("a change"))?;
        self.tables.statements.commit().map_err(disk("a commit"))?;
        Ok(Written::All(begun.elapsed()))
    }

    fn look_after_log(&mut self) -> Result<(), StoreError> {
        let frames = self
            .tables
            .statements
            .log_frames()
            .map_err(disk("a look at the log"))?;
        let bytes = self.checkpoint.after_commit(frames)?;
        self.gauge.log_is(bytes);
        Ok(())
    }

    /// Begins the transaction. While somebody else holds the database nothing is lost: waits and says so.
    fn begin(&mut self) -> Result<ControlFlow<()>, StoreError> {
        loop {
            match self.tables.statements.begin() {
                Ok(()) => return Ok(ControlFlow::Continue(())),
                Err(error) if is_busy(&error) && self.stopped() => {
                    return Ok(ControlFlow::Break(()));
                }
                Err(error) if is_busy(&error) => {
                    tracing::warn!("another process holds the database; commits wait for it");
                }
                Err(error) => return Err(disk("beginning a commit")(error)),
            }
        }
    }
}
