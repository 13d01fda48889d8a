//! The writer's thread: owns the only connection that changes the database, and commits.
//!
//! *Invariant.* A watermark is reported after COMMIT has returned, once per commit, in order. After the first
//! failure nothing is committed and nothing is reported any more.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::sqlite::apply::Tables;
use crate::sqlite::checkpoint::{Checkpoint, Checkpointer};
use crate::sqlite::connection::disk;
use crate::sqlite::gather::{Gathered, HalfRead, Inbox, Next, Room};
use crate::sqlite::gauge::Gauge;
use crate::sqlite::page::merge_expired;
use crate::sqlite::plan::{Contents, Plan};
use crate::sqlite::quarantine::BadEntry;
use crate::sqlite::refusal::{Full, Refusal};
use crate::sqlite::report::Reporter;
use crate::sqlite::scratch::{self, Generation, Scratch};
use crate::sqlite::space::Space;
use crate::sqlite::tally::TallyBook;
use crate::sqlite::transaction::{Database, NoRoom, Unwritten, Work, Written};
use crate::sqlite::trim::{Pace, Trim};
use crate::{Backlog, Batch, Medium, StoreError, StoreEvent};

/// What the writer is given.
pub(super) struct Writer {
    pub(super) connection: Connection,
    /// The database.
    pub(super) file: PathBuf,
    /// The scratch file, whether it is there or not.
    pub(super) scratch: PathBuf,
    pub(super) inbox: Inbox,
    pub(super) tallies: TallyBook,
    pub(super) any_shared: bool,
    pub(super) checkpointer: Checkpointer,
    pub(super) space: Space,
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
        file,
        scratch,
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
        database: Database::new(tables, &file, checkpoint.page_bytes()),
        checkpoint,
        space: writer.space,
        pace: Pace::new(),
        clock: writer.clock,
        gauge: writer.gauge,
        reporter: writer.reporter,
        abandoned: writer.abandoned,
    };
    if commits.space.is_full()
        && let Err(error) = commits.checkpoint.fold_back()
    {
        commits.reporter.fail(error);
    }
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
        checkpoint,
        database,
        ..
    } = commits;
    drop(database);
    checkpoint.last()
}

fn was_over() -> StoreError {
    StoreError::Disk {
        during: "closing",
        detail: "the store had failed or was abandoned before".to_owned(),
    }
}

/// What a commit did.
struct Done {
    written: Written,
    refusal: Refusal,
    /// Damaged entries stay where they are.
    put_off: bool,
}

/// What has been tried for the room that a commit needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    First,
    /// The log is folded back.
    Folded,
    /// The reserve is given up.
    Again,
}

type Quarantines = Vec<(StoreEvent, Vec<BadEntry>)>;

struct Commits<'c> {
    database: Database<'c>,
    checkpoint: Checkpoint<'c>,
    space: Space,
    pace: Pace,
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
            let patience = [
                scratch.patience(),
                self.space.patience(),
                self.checkpoint.patience(self.gauge.log_bytes()),
                self.trim_patience(),
            ];
            let patience = patience.into_iter().flatten().min();
            let room = match self.space.is_full() {
                true => Room::None,
                false => Room::Ample,
            };
            let next = inbox.next(patience, room);
            let (closing, load) = match &next {
                Next::Commit(gathered) => (gathered.closing, gathered.load),
                Next::Idle => (false, Backlog::default()),
                Next::Gone => return Some(false),
            };
            if self.stopped() {
                self.gauge.leave(load);
            } else if let Err(error) = self.proceed(next, &mut scratch) {
                self.reporter.fail(error);
            }
            if closing {
                return Some(true);
            }
        }
        None
    }

    fn proceed(&mut self, next: Next, scratch: &mut Scratch<'_>) -> Result<(), StoreError> {
        if self.checkpoint.has_found_no_room() && !self.space.is_full() {
            self.find_full(&"a checkpoint found no room")?;
        }
        if self.space.is_look_due() {
            self.look()?;
        }
        match next {
            Next::Commit(gathered) => self.commit(gathered, scratch),
            Next::Idle if self.trim_patience() == Some(Duration::ZERO) => self.trim(),
            Next::Idle if self.checkpoint.patience(self.gauge.log_bytes()).is_some() => {
                self.checkpoint.fold_back()?;
                self.look_after_log()
            }
            Next::Idle | Next::Gone => Ok(()),
        }
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
        let done = self.carry_out(&batches, contents, &quarantines, closing, scratch);
        self.gauge.leave(load);
        let done = done?;
        match done.written {
            Written::Nothing => {}
            Written::All(took) => {
                self.gauge.committed(load.operations, took);
                self.pace.committed();
            }
            Written::GivenUp => return Ok(()),
        }
        let refused = done.refusal.take_from(&mut batches);
        if !refused.is_empty() {
            self.reporter.report(StoreEvent::Refused(refused));
        }
        if let Some(ticket) = through {
            self.reporter.report(StoreEvent::Durable(ticket));
        }
        for (answer, entries) in quarantines {
            self.gauge
                .quarantined(if done.put_off { 0 } else { entries.len() });
            self.reporter.report(answer);
        }
        // Last: freeing a thousand messages must not hold up the watermark.
        drop(batches);
        if matches!(done.written, Written::All(_)) && !closing {
            self.look_after_log()
        } else {
            Ok(())
        }
    }

    /// Carries the batches out as far as there is room.
    fn carry_out(
        &mut self,
        batches: &[Batch],
        contents: Contents,
        quarantines: &Quarantines,
        closing: bool,
        scratch: &mut Scratch<'_>,
    ) -> Result<Done, StoreError> {
        let mut scratch_is_full = false;
        let mut effort = Effort::First;
        let (mut trim, mut buries) = (self.pace.in_passing(), false);
        loop {
            let is_full = self.space.is_full();
            let full = Full {
                database: is_full,
                scratch: is_full || scratch_is_full,
                spare: self.space.is_tight(),
            };
            let refusal = Refusal::of(batches, full);
            let plan = Plan::new(batches, &refusal, contents);
            // Before the database: a unit that is refused for it must leave no trace there.
            if scratch.insert(&plan.spill().inserts) == Err(scratch::NoRoom) {
                scratch_is_full = true;
                continue;
            }
            let put_off = self.space.is_full();
            let bad = quarantines.iter().flat_map(|(_, entries)| entries);
            let work = Work {
                plan: &plan,
                trim,
                bad: bad.filter(|_| !put_off).collect(),
                now_ms: self.clock.now_ms(),
                closing,
                buries,
            };
            let (abandoned, reporter) = (&self.abandoned, &self.reporter);
            let stopped = || abandoned.load(Ordering::Relaxed) || reporter.is_poisoned();
            match self.database.write(&work, &self.space, stopped) {
                Ok(written) => {
                    self.gauge.cancelled(plan.cancelled_count());
                    // Behind it: what is deleted cannot be brought back.
                    scratch.delete(plan.spill());
                    return Ok(Done {
                        written,
                        refusal,
                        put_off,
                    });
                }
                Err(Unwritten::Failed(error)) => return Err(error),
                Err(Unwritten::NoRoom(why)) => {
                    scratch.take_back(&plan.spill().inserts);
                    let in_writing = matches!(why, NoRoom::Write(_));
                    buries |= in_writing;
                    // What can wait must not cost an attempt.
                    let tried = std::mem::replace(&mut trim, Trim::Never) != Trim::Never;
                    if tried && in_writing && self.database.are_due() {
                        self.let_trims_rest()?;
                        continue;
                    }
                    let is_last_try = effort == Effort::Folded || !in_writing;
                    if self.space.is_full() && is_last_try && plan.ledger().grows() {
                        self.space.find_tight();
                        continue;
                    }
                    effort = self.make_room(&why, effort)?;
                }
            }
        }
    }

    /// Removes some of what nobody needs, when there is nothing else to do.
    fn trim(&mut self) -> Result<(), StoreError> {
        let plan = Plan::default();
        let work = Work {
            plan: &plan,
            trim: Trim::Alone,
            bad: Vec::new(),
            now_ms: self.clock.now_ms(),
            closing: false,
            // What an attempt without room has left in the log may be carried out.
            buries: false,
        };
        let mut effort = Effort::First;
        loop {
            let (abandoned, reporter) = (&self.abandoned, &self.reporter);
            let stopped = || abandoned.load(Ordering::Relaxed) || reporter.is_poisoned();
            match self.database.write(&work, &self.space, stopped) {
                Ok(Written::All(took)) => {
                    self.gauge.committed(0, took);
                    self.pace.committed();
                    return self.look_after_log();
                }
                Ok(Written::Nothing | Written::GivenUp) => return Ok(()),
                Err(Unwritten::Failed(error)) => return Err(error),
                Err(Unwritten::NoRoom(_)) if self.space.is_full() => return self.let_trims_rest(),
                Err(Unwritten::NoRoom(why)) => effort = self.make_room(&why, effort)?,
            }
        }
    }

    fn let_trims_rest(&mut self) -> Result<(), StoreError> {
        self.pace.rest();
        self.checkpoint.fold_back()
    }

    /// How long until [`Commits::trim`] is due.
    fn trim_patience(&self) -> Option<Duration> {
        self.database.are_due().then(|| self.pace.patience())
    }

    /// A commit found no room: the log has some when it starts anew, the reserve for deletes.
    fn make_room(&mut self, why: &NoRoom, effort: Effort) -> Result<Effort, StoreError> {
        let is_full = self.space.is_full();
        // What grows the database beyond the disk does so with a log of any length.
        if effort != Effort::Folded && (is_full || matches!(why, NoRoom::Write(_))) {
            self.checkpoint.fold_back()?;
            return Ok(Effort::Folded);
        }
        if is_full {
            return Err(StoreError::Disk {
                during: "a commit on a full disk",
                detail: format!("there is no room even to delete: {why}"),
            });
        }
        self.find_full(why)?;
        Ok(Effort::Again)
    }

    fn find_full(&mut self, why: &dyn std::fmt::Display) -> Result<(), StoreError> {
        self.space.find_full(why);
        self.gauge.full_is(true);
        // As long as the reserve's room is there: afterwards the log goes round in the room that it has.
        self.checkpoint.fold_back()
    }

    /// Looks whether a full disk has room again.
    fn look(&mut self) -> Result<(), StoreError> {
        let free_bytes = self.database.look_for_free_bytes()?;
        if self.space.lacks_reserve_alone(free_bytes) {
            self.checkpoint.truncate()?;
        }
        if self.space.look(free_bytes) {
            self.gauge.full_is(false);
            self.reporter.report(StoreEvent::Resumed);
        }
        Ok(())
    }

    /// Adds what the scratch file has to an answer and gives it, unless entries of it must be put aside before.
    fn answer(
        &mut self,
        read: HalfRead,
        scratch: &mut Scratch<'_>,
    ) -> Option<(StoreEvent, Vec<BadEntry>)> {
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
                Some((StoreEvent::Page(page), bad))
            }
        }
    }

    fn look_after_log(&mut self) -> Result<(), StoreError> {
        let frames = self.database.log_frames()?;
        let bytes = match self.space.is_full() {
            true => self.checkpoint.after_commit_without_room(frames)?,
            false => self.checkpoint.after_commit(frames)?,
        };
        self.gauge.log_is(bytes);
        self.gauge.database_free_is(self.database.free_bytes());
        Ok(())
    }
}
