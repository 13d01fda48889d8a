//! The writer's thread: owns the only connection that changes the database, and commits.
//!
//! *Invariant.* A watermark is reported after COMMIT has returned, once per commit, in order. After the first
//! failure nothing is committed and nothing is reported any more.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::sqlite::apply::Tables;
use crate::sqlite::checkpoint::{Checkpoint, Checkpointer};
use crate::sqlite::connection::{disk, is_busy};
use crate::sqlite::gather::{Gathered, HalfRead, Inbox, Next};
use crate::sqlite::gauge::Gauge;
use crate::sqlite::page::merge_expired;
use crate::sqlite::plan::{Plan, Step};
use crate::sqlite::quarantine::BadEntry;
use crate::sqlite::refusal::{Full, Refusal};
use crate::sqlite::report::Reporter;
use crate::sqlite::scratch::{Generation, NoRoom, Scratch};
use crate::sqlite::tally::TallyBook;
use crate::{Medium, Page, StoreError, StoreEvent};

/// What the writer is given.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) inbox: Inbox,
    pub(super) tallies: TallyBook,
    pub(super) any_shared: bool,
    pub(super) checkpointer: Checkpointer,
    /// The scratch file, whether it is there or not.
    pub(super) scratch: PathBuf,
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
        scratch,
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
    let closed = loop {
        let generation = Generation::begin(&scratch);
        if let Some(closed) = commits.serve(&inbox, &generation) {
            break closed;
        }
    };
    // What it held was for this life.
    drop(Generation::begin(&scratch));
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

    /// Commits with one generation of the scratch file. `Some` at the end: whether the store was closed.
    fn serve(&mut self, inbox: &Inbox, generation: &Generation) -> Option<bool> {
        let mut scratch = Scratch::new(generation, Arc::clone(&self.gauge));
        while !scratch.is_spent() {
            let gathered = match inbox.next(scratch.patience()) {
                Next::Commit(gathered) => gathered,
                Next::Idle => continue,
                Next::Gone => return Some(false),
            };
            let closing = gathered.closing;
            if self.stopped() {
                self.gauge.leave(gathered.load);
            } else if let Err(error) = self.commit(gathered, &mut scratch) {
                self.reporter.fail(error);
            }
            if closing {
                return Some(true);
            }
        }
        None
    }

    /// Makes one commit's worth durable and reports it.
    fn commit(&mut self, gathered: Gathered, scratch: &mut Scratch<'_>) -> Result<(), StoreError> {
        let Gathered {
            mut batches,
            through,
            load,
            contents,
            mut quarantines,
            reads,
            closing,
            ..
        } = gathered;
        for read in reads {
            quarantines.extend(self.answer(read, scratch));
        }
        let mut full = Full::default();
        let (written, refusal) = loop {
            let refusal = Refusal::of(&batches, full);
            let plan = Plan::new(&batches, &refusal, contents);
            // Before the database: a unit that is refused for it must leave no trace there.
            if scratch.insert(&plan.spill().inserts) == Err(NoRoom) {
                full.scratch = true;
                continue;
            }
            self.gauge.cancelled(plan.cancelled_count());
            let writes = closing || !plan.spares_database() || !quarantines.is_empty();
            let bad = quarantines.iter().flat_map(|(_, entries)| entries);
            let written = if writes {
                self.write(plan.steps(), bad, closing)
            } else {
                Ok(Written::Nothing)
            };
            // Behind it: what is deleted cannot be brought back.
            scratch.delete(plan.spill());
            break (written, refusal);
        };
        self.gauge.leave(load);
        let wrote = match written? {
            Written::Nothing => false,
            Written::All(took) => {
                self.gauge.committed(load.operations, took);
                true
            }
            Written::GivenUp => return Ok(()),
        };
        let refused = refusal.take_from(&mut batches);
        if !refused.is_empty() {
            self.reporter.report(StoreEvent::Refused(refused));
        }
        if let Some(ticket) = through {
            self.reporter.report(StoreEvent::Durable(ticket));
        }
        for (page, entries) in quarantines {
            self.gauge.quarantined(entries.len());
            self.reporter.report(StoreEvent::Page(page));
        }
        // Last: freeing a thousand messages must not hold up the watermark.
        drop(batches);
        if wrote && !closing {
            self.look_after_log()
        } else {
            Ok(())
        }
    }

    /// Adds what the scratch file has to an answer and gives it, unless entries of it must be put aside before.
    fn answer(
        &mut self,
        read: HalfRead,
        scratch: &mut Scratch<'_>,
    ) -> Option<(Page, Vec<BadEntry>)> {
        match read {
            HalfRead::Expired {
                now_ms,
                rows_max,
                expired,
            } => {
                let spilt = scratch.expired(now_ms, rows_max).unwrap_or_default();
                let expired = merge_expired(expired, spilt, rows_max);
                self.reporter.report(StoreEvent::Expired(expired));
                None
            }
            HalfRead::Page(request, found) => {
                let found = match scratch.page(&request) {
                    Some(spilt) => found.merge(spilt, &request),
                    None => found,
                };
                let (page, bad) = found.into_page(&request);
                let (lost, bad): (Vec<_>, Vec<_>) = bad
                    .into_iter()
                    .partition(|entry| entry.medium == Medium::Scratch);
                scratch.drop_bad(&lost);
                if bad.is_empty() {
                    self.reporter.report(StoreEvent::Page(page));
                    return None;
                }
                Some((page, bad))
            }
        }
    }

    /// One transaction.
    fn write<'b>(
        &mut self,
        steps: &[Step<'_>],
        bad: impl Iterator<Item = &'b BadEntry>,
        closing: bool,
    ) -> Result<Written, StoreError> {
        let begun = Instant::now();
        if self.begin()?.is_break() {
            return Ok(Written::GivenUp);
        }
        for entry in bad {
            tracing::error!(?entry.key, entry.number = entry.number.0, ?entry.fault, "quarantined");
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
