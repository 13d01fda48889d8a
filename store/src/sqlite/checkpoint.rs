//! Folding the log back into the database, off the way of commits as long as that is enough.
//!
//! | log | who | how |
//! |---|---|---|
//! | `wal_checkpoint_bytes` | a thread of its own | PASSIVE, beside the commits |
//! | `wal_pause_bytes` | the writer, between two commits | PASSIVE: comes to the end, so that the log starts anew |
//! | `wal_restart_bytes` | the writer | RESTART: waits a moment for readers, and warns |
//!
//! A log that starts anew is overwritten in place; only [`Checkpoint::last`] truncates it, and the writer on a full
//! disk when the log's room is needed elsewhere.
//!
//! A checkpoint that finds no room on the disk has done no harm: the log keeps what it has. The writer is told, and
//! folds back early while the disk is full, so that deletes go on in the room that the log
//! has already.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};

use crate::StoreError;
use crate::sqlite::connection::{self, Role, disk, folder_of, is_busy};
use crate::sqlite::report::Reporter;
use crate::sqlite::space::lacks_room;
use crate::sqlite::{SqliteOptions, spawn};

/// How long the writer waits for readers of an overlong log, and for strangers when it closes.
const RESTART_BUSY: Duration = Duration::from_millis(100);
/// How often an idle writer looks whether an overlong log can be folded back.
const RETRY_EVERY: Duration = Duration::from_secs(1);
const CLOSE_BUSY: Duration = Duration::from_secs(1);
/// How much of the reserve the log may take on a full disk before it is folded back.
const RESERVE_SHARE: u64 = 8;
/// What a frame has beside its page.
const FRAME_HEADER_BYTES: u64 = 24;

/// The thread that folds back beside the commits.
pub(super) struct Checkpointer {
    /// One place: a wake-up that finds one waiting already has nothing to add.
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
    marks: Marks,
    folder: PathBuf,
    /// A checkpoint has found no room since the writer last asked.
    found_no_room: Arc<AtomicBool>,
    /// Held while the thread folds back: SQLite would turn a second one away.
    folding: Arc<Mutex<()>>,
}

#[derive(Debug, Clone, Copy)]
struct Marks {
    checkpoint: u64,
    pause: u64,
    restart: u64,
    full: u64,
}

impl Checkpointer {
    pub(super) fn start(
        file: &Path,
        options: &SqliteOptions,
        reporter: &Arc<Reporter>,
    ) -> Result<Self, StoreError> {
        let connection = connection::open(file, Role::Checkpointer, options.durability)
            .map_err(connection::unopened(file))?;
        let (wake, woken) = sync_channel(1);
        let folder = folder_of(file).to_owned();
        let found_no_room = Arc::new(AtomicBool::new(false));
        let folding = Arc::new(Mutex::new(()));
        let fold = Fold {
            connection,
            folding: Arc::clone(&folding),
            folder: folder.clone(),
            found_no_room: Arc::clone(&found_no_room),
            reporter: Arc::clone(reporter),
        };
        let thread = spawn("store-checkpoint", reporter, move || fold.run(&woken))?;
        let marks = Marks {
            checkpoint: options.wal_checkpoint_bytes,
            pause: options.wal_pause_bytes,
            restart: options.wal_restart_bytes,
            full: options.reserve_bytes / RESERVE_SHARE,
        };
        Ok(Self {
            wake,
            thread,
            marks,
            folder,
            found_no_room,
            folding,
        })
    }

    fn join(self) {
        drop(self.wake);
        // A panic in it has been printed; there is nothing to add to the log of a closing store.
        let _panicked = self.thread.join();
    }
}

/// What the thread has.
struct Fold {
    connection: Connection,
    folder: PathBuf,
    found_no_room: Arc<AtomicBool>,
    folding: Arc<Mutex<()>>,
    reporter: Arc<Reporter>,
}

impl Fold {
    fn run(&self, woken: &Receiver<()>) {
        while woken.recv().is_ok() {
            let turn = self.folding.lock().unwrap_or_else(PoisonError::into_inner);
            let done = self
                .connection
                .wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE);
            drop(turn);
            match done {
                Ok(_) => {}
                Err(error) if is_busy(&error) => {}
                Err(error) if lacks_room(&error, &self.folder) => {
                    self.found_no_room.store(true, Ordering::Relaxed);
                }
                Err(error) => self.reporter.fail(disk("a checkpoint")(error)),
            }
        }
    }
}

/// The writer's view of the log.
pub(super) struct Checkpoint<'c> {
    connection: &'c Connection,
    checkpointer: Checkpointer,
    page_bytes: u64,
    frame_bytes: u64,
    /// From which size on the writer pauses again: beyond the pause mark while readers hold the log.
    pause_at: u64,
    restart_at: u64,
}

impl<'c> Checkpoint<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        checkpointer: Checkpointer,
    ) -> rusqlite::Result<Self> {
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(Self {
            connection,
            page_bytes: page.unsigned_abs(),
            frame_bytes: page.unsigned_abs() + FRAME_HEADER_BYTES,
            pause_at: checkpointer.marks.pause,
            restart_at: checkpointer.marks.restart,
            checkpointer,
        })
    }

    /// Whether a checkpoint has found no room on the disk since this was last asked.
    pub(super) fn has_found_no_room(&self) -> bool {
        self.checkpointer
            .found_no_room
            .swap(false, Ordering::Relaxed)
    }

    pub(super) fn page_bytes(&self) -> u64 {
        self.page_bytes
    }

    /// Folds back what there is, so that the log starts anew unless readers are in the way.
    pub(super) fn fold_back(&self) -> Result<(), StoreError> {
        let folding = &self.checkpointer.folding;
        let _turn = folding.lock().unwrap_or_else(PoisonError::into_inner);
        self.fold(CheckpointMode::PASSIVE, RESTART_BUSY)
    }

    /// Gives the log's room back to the disk, if no reader is in the way.
    pub(super) fn truncate(&self) -> Result<(), StoreError> {
        let folding = &self.checkpointer.folding;
        let _turn = folding.lock().unwrap_or_else(PoisonError::into_inner);
        self.fold(CheckpointMode::TRUNCATE, RESTART_BUSY)
    }

    /// As [`Checkpoint::after_commit`], on a full disk.
    pub(super) fn after_commit_without_room(
        &mut self,
        (all, folded): (u64, u64),
    ) -> Result<u64, StoreError> {
        if (all - folded.min(all)) * self.frame_bytes >= self.checkpointer.marks.full {
            self.fold_back()?;
        }
        Ok(self.size((all, folded)))
    }

    /// How long an idle writer waits before it tries again to fold back an overlong log: the reader that was in the way
    /// tells nobody when it lets go.
    pub(super) fn patience(&self, log_bytes: u64) -> Option<Duration> {
        (log_bytes >= self.checkpointer.marks.pause).then_some(RETRY_EVERY)
    }

    /// What of the log is in the way: a log that is folded back as a whole starts anew with the next commit.
    fn size(&self, (all, folded): (u64, u64)) -> u64 {
        if folded >= all {
            return 0;
        }
        all * self.frame_bytes
    }

    /// Does what the log's frames `(all, folded back)` call for; returns the log's size in bytes. From the pause mark on
    /// it waits for the checkpointer: a log that grows faster than it is folded back would never end.
    pub(super) fn after_commit(&mut self, frames: (u64, u64)) -> Result<u64, StoreError> {
        let marks = self.checkpointer.marks;
        let (all, folded) = frames;
        let log = self.size(frames);
        if log < marks.pause {
            (self.pause_at, self.restart_at) = (marks.pause, marks.restart);
        }
        if log >= self.restart_at {
            self.restart_at = log + marks.pause;
            tracing::warn!(
                wal_bytes = log,
                "a reader keeps the log from being folded back"
            );
            let folding = Arc::clone(&self.checkpointer.folding);
            let _turn = folding.lock().unwrap_or_else(PoisonError::into_inner);
            self.fold(CheckpointMode::RESTART, RESTART_BUSY)?;
        } else if log >= self.pause_at {
            self.pause_at = log + marks.checkpoint;
            self.fold_back()?;
        } else if (all - folded.min(all)) * self.frame_bytes >= marks.checkpoint {
            // Full: it is already at work or about to be.
            let _already_woken = self.checkpointer.wake.try_send(());
        }
        Ok(log)
    }

    /// The end of a clean stop: no log remains unless a stranger is still reading.
    pub(super) fn last(self) -> Result<(), StoreError> {
        let Self {
            connection,
            checkpointer,
            ..
        } = self;
        let folder = checkpointer.folder.clone();
        checkpointer.join();
        match connection.execute_batch("PRAGMA optimize;") {
            Err(error) if !lacks_room(&error, &folder) => return Err(disk("closing")(error)),
            Ok(()) | Err(_) => {}
        }
        connection
            .busy_timeout(CLOSE_BUSY)
            .map_err(disk("closing"))?;
        match connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE) {
            Ok(_) => Ok(()),
            Err(error) if is_busy(&error) => {
                tracing::warn!("another process reads the database; its log stays");
                Ok(())
            }
            Err(error) if lacks_room(&error, &folder) => {
                tracing::warn!("the disk is full; the log stays");
                Ok(())
            }
            Err(error) => Err(disk("the last checkpoint")(error)),
        }
    }

    fn fold(&self, mode: CheckpointMode, busy: Duration) -> Result<(), StoreError> {
        let usual = connection::busy_timeout(Role::Writer);
        self.connection
            .busy_timeout(busy)
            .map_err(disk("a checkpoint"))?;
        let done = self.connection.wal_checkpoint_v2(Some(MAIN_DB), mode);
        self.connection
            .busy_timeout(usual)
            .map_err(disk("a checkpoint"))?;
        match done {
            Ok(_) => Ok(()),
            Err(error) if is_busy(&error) => Ok(()),
            Err(error) if lacks_room(&error, &self.checkpointer.folder) => {
                self.checkpointer
                    .found_no_room
                    .store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(disk("a checkpoint")(error)),
        }
    }
}
