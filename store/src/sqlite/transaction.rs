//! One transaction on the database: all of a plan or nothing of it.
//!
//! *Invariant.* When there is no room, the database and what is kept in memory about it are as before. Any other
//! failure leaves them undefined: the store is poisoned.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::StoreError;
use crate::sqlite::apply::Tables;
use crate::sqlite::connection::{disk, folder_of, is_busy};
use crate::sqlite::plan::Plan;
use crate::sqlite::quarantine::BadEntry;
use crate::sqlite::space::{Space, lacks_room};
use crate::sqlite::trim::Trim;

/// How often it is said that somebody else holds the database: SQLite waits for half a second at a time.
const BUSY_SAID_EVERY: Duration = Duration::from_secs(10);

/// What one transaction does.
pub(super) struct Work<'a, 'b> {
    pub(super) plan: &'a Plan<'b>,
    /// How long it may remove what nobody needs.
    pub(super) trim: Trim,
    /// Entries to be put aside.
    pub(super) bad: Vec<&'a BadEntry>,
    pub(super) now_ms: i64,
    /// It is the last of this life.
    pub(super) closing: bool,
    /// It must overwrite what an attempt before it has left in the log: that may be a whole commit, which a start
    /// after a crash would take for one.
    pub(super) buries: bool,
}

impl Work<'_, '_> {
    fn is_nothing(&self) -> bool {
        self.plan.is_empty() && self.bad.is_empty() && !self.closing && !self.buries
    }
}

/// What became of work that did not fail.
pub(super) enum Written {
    /// There was nothing to write.
    Nothing,
    All(Duration),
    /// The owner let go while it waited for the database.
    GivenUp,
}

/// Why nothing was written.
pub(super) enum Unwritten {
    NoRoom(NoRoom),
    Failed(StoreError),
}

/// What found no room.
pub(super) enum NoRoom {
    /// The commit would have outgrown what is free.
    Growth { bytes: u64 },
    /// SQLite, in writing.
    Write(rusqlite::Error),
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Growth { bytes } => write!(f, "the database must grow by {bytes} bytes"),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// The database as the writer sees it.
pub(super) struct Database<'c> {
    tables: Tables<'c>,
    file: PathBuf,
    page_bytes: u64,
    /// Bytes in it that nothing uses, as of the last commit.
    free_bytes: u64,
    /// When it was last said that somebody else holds it.
    busy_said: Option<Instant>,
}

impl<'c> Database<'c> {
    pub(super) fn new(tables: Tables<'c>, file: &Path, page_bytes: u64) -> Self {
        Self {
            tables,
            file: file.to_owned(),
            page_bytes,
            free_bytes: 0,
            busy_said: None,
        }
    }

    /// Does all of it or, when there is no room, nothing. `stopped` ends the wait for somebody else's lock.
    pub(super) fn write(
        &mut self,
        work: &Work<'_, '_>,
        space: &Space,
        stopped: impl Fn() -> bool,
    ) -> Result<Written, Unwritten> {
        if work.is_nothing() && !(work.trim == Trim::Alone && self.are_due()) {
            return Ok(Written::Nothing);
        }
        let begun = Instant::now();
        if self.begin(stopped)?.is_break() {
            return Ok(Written::GivenUp);
        }
        match self.attempt(work, space) {
            Ok(()) => Ok(Written::All(begun.elapsed())),
            Err(Unwritten::NoRoom(why)) => {
                self.tables.roll_back().map_err(disk("a rollback"))?;
                Err(Unwritten::NoRoom(why))
            }
            failed => failed.map(|()| Written::Nothing),
        }
    }

    /// Whether there is something that nobody needs any more.
    pub(super) fn are_due(&self) -> bool {
        self.tables.are_due()
    }

    /// Frames in the log, and how many of them are folded back already.
    pub(super) fn log_frames(&mut self) -> Result<(u64, u64), StoreError> {
        let frames = self.tables.statements.log_frames();
        frames.map_err(disk("a look at the log"))
    }

    /// Bytes in the database that nothing uses.
    pub(super) fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// As [`Database::free_bytes`], looked up.
    pub(super) fn look_for_free_bytes(&mut self) -> Result<u64, StoreError> {
        let pages = self.tables.statements.pages();
        let (_, free) = pages.map_err(disk("a look at the database"))?;
        self.free_bytes = free * self.page_bytes;
        Ok(self.free_bytes)
    }

    fn attempt(&mut self, work: &Work<'_, '_>, space: &Space) -> Result<(), Unwritten> {
        let folder = folder_of(&self.file);
        let unwritten = |during| {
            move |error| match lacks_room(&error, folder) {
                true => Unwritten::NoRoom(NoRoom::Write(error)),
                false => Unwritten::Failed(disk(during)(error)),
            }
        };
        for entry in &work.bad {
            let put_aside = self.tables.put_aside(entry, work.now_ms);
            put_aside.map_err(unwritten("a quarantine"))?;
        }
        let begun = Instant::now();
        let carried_out = self.tables.carry_out(work.plan);
        carried_out.map_err(unwritten("a change"))?;
        if let Some(budget) = work.trim.budget(begun.elapsed()) {
            let trimmed = self.tables.trim(budget);
            trimmed.map_err(unwritten("a trim"))?;
        }
        self.tables
            .finish(work.closing)
            .map_err(unwritten("a change"))?;
        if work.buries {
            let counted = self.tables.statements.count_full();
            counted.map_err(unwritten("a change"))?;
        }
        let pages = self.tables.statements.pages();
        let (all, free) = pages.map_err(unwritten("a change"))?;
        // What the log cannot be folded back into would keep it from ever starting anew.
        let bytes = (all * self.page_bytes).saturating_sub(self.file_bytes());
        let has_room = match space.is_full() {
            false => space.has_room_for(bytes),
            true => !work.plan.ledger().grows() || space.has_spare_room_for(bytes),
        };
        if !has_room {
            return Err(Unwritten::NoRoom(NoRoom::Growth { bytes }));
        }
        self.tables
            .statements
            .commit()
            .map_err(unwritten("a commit"))?;
        self.free_bytes = free * self.page_bytes;
        Ok(())
    }

    /// By name: closing another handle of the file would drop SQLite's locks on it.
    fn file_bytes(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(u64::MAX, |metadata| metadata.len())
    }

    /// Begins the transaction. While somebody else holds the database nothing is lost: waits and says so.
    fn begin(&mut self, stopped: impl Fn() -> bool) -> Result<ControlFlow<()>, StoreError> {
        loop {
            match self.tables.statements.begin() {
                Ok(()) => return Ok(ControlFlow::Continue(())),
                Err(error) if is_busy(&error) && stopped() => return Ok(ControlFlow::Break(())),
                Err(error) if is_busy(&error) => {
                    if self
                        .busy_said
                        .is_none_or(|said| said.elapsed() >= BUSY_SAID_EVERY)
                    {
                        self.busy_said = Some(Instant::now());
                        tracing::warn!("another process holds the database; commits wait for it");
                    }
                }
                Err(error) => return Err(disk("beginning a commit")(error)),
            }
        }
    }
}
