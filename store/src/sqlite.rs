//! The SQLite engine: a writer that commits in groups, a reader beside it, a checkpointer behind both.
//!
//! Each is a thread with a connection of its own; they meet in the database and in an [`EventSink`]. The scratch file
//! is the writer's alone.
//!
//! *Invariant.* No watermark before COMMIT has returned, no failure is retried, and one process has the folder.

mod apply;
mod body;
mod checkpoint;
mod connection;
mod due;
mod duplicate;
mod entry;
mod folder;
mod gather;
mod gauge;
mod ledger;
mod log;
mod log_page;
mod options;
mod page;
mod plan;
mod quarantine;
mod reader;
mod refusal;
mod report;
mod schedule;
mod schema;
mod scratch;
mod space;
mod statement;
mod subscription;
mod takeover;
mod tally;
mod timetable;
mod transaction;
mod trim;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

pub use options::{Durability, SqliteOptions};

use crate::sqlite::checkpoint::Checkpointer;
use crate::sqlite::connection::{Role, unopened};
use crate::sqlite::folder::Folder;
use crate::sqlite::gather::{Inbox, Limits, Submission, Submitted};
use crate::sqlite::gauge::Gauge;
use crate::sqlite::reader::{ReadRequest, Reader};
use crate::sqlite::report::{Reporter, Watch};
use crate::sqlite::space::Space;
use crate::sqlite::takeover::Takeover;
use crate::sqlite::writer::{Clock, Writer};
use crate::{
    Backlog, Batch, DueRequest, DuplicateRequest, EventSink, LogPageRequest, PageRequest,
    Recovered, ScheduleListRequest, Store, StoreError, StoreStatistics, Ticket,
};

/// Durable state in one SQLite file.
///
/// Dropping it without [`Store::close`] is what a crash does to the database: what was submitted and not yet
/// committed is gone, and the next life knows that this one did not end cleanly.
pub struct SqliteStore {
    file: PathBuf,
    scratch: PathBuf,
    last_ticket: Ticket,
    gauge: Arc<Gauge>,
    abandoned: Arc<AtomicBool>,
    /// Gone once the store is closed.
    threads: Option<Threads>,
    _folder: Folder,
}

struct Threads {
    submissions: Sender<Submission>,
    reads: Sender<ReadRequest>,
    writer: JoinHandle<Result<(), StoreError>>,
    reader: JoinHandle<()>,
}

impl SqliteStore {
    /// Opens or creates the database in the options' folder and begins a new life on it: when this returns, the
    /// new epoch is durable. Events go to `events`, on the store's threads.
    ///
    /// # Errors
    /// When the folder is in use or not usable, or the file is foreign, newer or damaged.
    pub fn open(
        options: SqliteOptions,
        now_ms: i64,
        events: EventSink,
    ) -> Result<(Self, Recovered), StoreError> {
        let mut folder = Folder::claim(&options.folder)?;
        let file = folder.database();
        let (connection, takeover) = patiently(|| begin_life(&file, &options))?;
        folder.mark_used()?;
        let space = Space::claim(&options);
        let reporter = Arc::new(Reporter::new(events));
        let gauge = Arc::new(Gauge::default());
        gauge.full_is(space.is_full());
        let abandoned = Arc::new(AtomicBool::new(false));
        let (submissions, submitted) = mpsc::channel();
        let (reads, requests) = mpsc::channel();
        let (half_reads, half_read) = mpsc::channel();
        let reader = Reader {
            connection: connection::open(&file, Role::Reader, options.durability)
                .map_err(unopened(&file))?,
            requests,
            writer: submissions.clone(),
            half_reads,
            gauge: Arc::clone(&gauge),
            reporter: Arc::clone(&reporter),
        };
        let limits = Limits {
            operations_max: options.commit_operations_max,
            bytes_max: options.commit_bytes_max,
            settle_delay: options.settle_delay,
        };
        let writer = Writer {
            connection,
            inbox: Inbox::new(submitted, half_read, limits),
            tallies: takeover.tallies,
            any_shared: takeover.any_shared,
            checkpointer: Checkpointer::start(&file, &options, &reporter)?,
            file: file.clone(),
            scratch: folder.scratch(),
            space,
            clock: Clock {
                opened_ms: now_ms,
                opened: Instant::now(),
            },
            gauge: Arc::clone(&gauge),
            reporter: Arc::clone(&reporter),
            abandoned: Arc::clone(&abandoned),
        };
        let threads = Threads {
            submissions,
            reads,
            writer: spawn("store-writer", &reporter, move || writer::run(writer))?,
            reader: spawn("store-reader", &reporter, move || reader::run(&reader))?,
        };
        let store = Self {
            file,
            scratch: folder.scratch(),
            last_ticket: Ticket(0),
            gauge,
            abandoned,
            threads: Some(threads),
            _folder: folder,
        };
        Ok((store, takeover.recovered))
    }

    fn next(&mut self, batch: Batch) -> Submitted {
        self.last_ticket = Ticket(self.last_ticket.0 + 1);
        let submitted = Submitted::new(self.last_ticket, batch);
        self.gauge.enter(submitted.load);
        submitted
    }

    fn read(&self, request: ReadRequest) {
        if let Some(threads) = &self.threads {
            // Refused only after a thread failed, which has been reported.
            let _failed_before = threads.reads.send(request);
        }
    }
}

impl Store for SqliteStore {
    fn submit(&mut self, batch: Batch) -> Ticket {
        let submitted = self.next(batch);
        if let Some(threads) = &self.threads {
            // Refused only after the writer failed, which has been reported.
            let _failed_before = threads.submissions.send(Submission::Batch(submitted));
        }
        self.last_ticket
    }

    fn backlog(&self) -> Backlog {
        self.gauge.backlog()
    }

    fn read_page(&mut self, request: PageRequest) {
        self.read(ReadRequest::Page(request));
    }

    fn read_expired(&mut self, now_ms: i64, rows_max: usize) {
        self.read(ReadRequest::Expired { now_ms, rows_max });
    }

    fn read_log(&mut self, request: LogPageRequest) {
        self.read(ReadRequest::Log(request));
    }

    fn read_due(&mut self, request: DueRequest) {
        self.read(ReadRequest::Due(request));
    }

    fn read_schedule(&mut self, request: ScheduleListRequest) {
        self.read(ReadRequest::Schedule(request));
    }

    fn read_duplicates(&mut self, request: DuplicateRequest) {
        self.read(ReadRequest::Duplicates(request));
    }

    fn statistics(&self) -> StoreStatistics {
        let size = |file| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        self.gauge.statistics(size(&self.file), size(&self.scratch))
    }

    fn close(mut self: Box<Self>, last: Batch) -> Result<(), StoreError> {
        let last = self.next(last);
        let Some(threads) = self.threads.take() else {
            return Ok(());
        };
        drop(threads.reads);
        // The reader first: a page it is busy with may still hand entries to the writer.
        join(threads.reader)?;
        // Refused only after the writer failed; joining it tells.
        let _failed_before = threads.submissions.send(Submission::Close(last));
        drop(threads.submissions);
        join(threads.writer)?
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        if let Some(threads) = self.threads.take() {
            drop((threads.reads, threads.submissions));
            // Whatever they came to, nobody is left to be told.
            let _unheard = (join(threads.reader), join(threads.writer));
        }
    }
}

/// How long a start looks away from a lock for which SQLite itself does not wait.
const LOCKED_PAUSE: Duration = Duration::from_millis(100);
/// How often a start that waits for another program says so.
const LOCKED_WARNING: Duration = Duration::from_secs(10);

/// Tries again while another program keeps the database locked: nothing is lost meanwhile, and nothing is announced.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let mut warned: Option<Instant> = None;
    loop {
        match attempt() {
            Err(error @ StoreError::Locked { .. }) => {
                if warned.is_none_or(|warned| warned.elapsed() >= LOCKED_WARNING) {
                    tracing::warn!("the start waits: {error}");
                    warned = Some(Instant::now());
                }
                std::thread::sleep(LOCKED_PAUSE);
            }
            done => return done,
        }
    }
}

/// Everything that happens before the first thread: afterwards the new epoch is durable. On a full disk the reserve
/// is given up for it.
fn begin_life(file: &Path, options: &SqliteOptions) -> Result<(Connection, Takeover), StoreError> {
    match first_commit(file, options) {
        Err(StoreError::Full { folder, detail }) => {
            if !Space::release_reserve(&folder) {
                return Err(StoreError::Full { folder, detail });
            }
            first_commit(file, options)
        }
        done => done,
    }
}

fn first_commit(
    file: &Path,
    options: &SqliteOptions,
) -> Result<(Connection, Takeover), StoreError> {
    let failed = unopened(file);
    let mut connection =
        connection::open(file, Role::Writer, options.durability).map_err(&failed)?;
    schema::check(&connection, file)?;
    connection::enable_log(&connection).map_err(&failed)?;
    schema::migrate(&mut connection, file)?;
    let takeover = takeover::take_over(&mut connection).map_err(&failed)?;
    Ok((connection, takeover))
}

/// Starts a thread whose panic is a failure of the store.
fn spawn<T: Send + 'static>(
    name: &str,
    reporter: &Arc<Reporter>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    let watch = Watch(Arc::clone(reporter));
    let watched = move || {
        let _watch = watch;
        body()
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(watched)
        .map_err(|error| StoreError::Disk {
            during: "starting a thread",
            detail: error.to_string(),
        })
}

fn join<T>(thread: JoinHandle<T>) -> Result<T, StoreError> {
    thread.join().map_err(|_| StoreError::Disk {
        during: "stopping a thread",
        detail: "the thread had panicked".to_owned(),
    })
}
