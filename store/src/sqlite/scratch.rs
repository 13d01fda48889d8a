//! The scratch file: entries that memory has no room for and that need not outlive the process.
//!
//! A database of its own with the same tables, of which `entry`, `body`, `body_part` and `shared` have rows. It is
//! deleted at every start, made when the first entry comes, and deleted again once it has been empty for a moment.
//! It belongs to the writer's thread alone, reads included: so it needs no log, is changed in place, and a change
//! that only deletes finds room on a full disk.
//!
//! ```text
//!            first insert              last entry goes           a moment later
//!   Absent ────────────────▶ In use ────────────────────▶ Empty ────────────────▶ Absent, in the next generation
//!                             │  ▲                          │                        ▲
//!                             │  └────── next insert ───────┘                        │
//!                             └──────── any failure but a full disk ──▶ Lost ────────┘ a moment later
//! ```
//!
//! *Invariants.* Nothing here is ever synced. A failure never stops the store: what the file held is lost, which is
//! logged; inserts are refused as on a full disk until a new file takes them. Must never be asked for a promise.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Statement};

use crate::sqlite::connection::folder_of;
use crate::sqlite::entry::{Entries, Run};
use crate::sqlite::folder;
use crate::sqlite::gauge::Gauge;
use crate::sqlite::page::{Found, Queries};
use crate::sqlite::plan::{Insert, Spill};
use crate::sqlite::quarantine::{BadEntry, Place};
use crate::sqlite::schema;
use crate::sqlite::space::lacks_room;
use crate::{DestinationId, EntryKey, Expired, Medium, PageRequest, Rank, Sequence};

/// So long must the file have been empty before it is given up: a queue that hovers about its limit needs it again.
const EMPTY_FOR: Duration = Duration::from_secs(1);
/// So many entries go in one transaction: their pages stand twice in memory until it ends.
const SLICE_ENTRIES: usize = 1_000;
const PAGE_BYTES: u32 = 16_384;
const CACHE_KIB: u32 = 16_384;

/// Where the file of one generation is, and its connection once there is one.
pub(super) struct Generation {
    file: PathBuf,
    connection: OnceCell<Connection>,
}

impl Generation {
    /// Deletes what an earlier generation left.
    pub(super) fn begin(file: &Path) -> Self {
        match std::fs::remove_file(file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, file = %file.display(), "the scratch file cannot be deleted");
            }
        }
        Self {
            file: file.to_owned(),
            connection: OnceCell::new(),
        }
    }

    fn open(&self) -> rusqlite::Result<&Connection> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection);
        }
        // Emptied, not only deleted: whatever is still there is not ours any more.
        folder::open_private_file(&self.file)
            .and_then(|file| file.set_len(0))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.execute_batch(&format!(
            "PRAGMA page_size={PAGE_BYTES}; PRAGMA cache_size=-{CACHE_KIB};
             PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;
             PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF; PRAGMA mmap_size=0; BEGIN;"
        ))?;
        schema::create(&connection)?;
        connection.execute_batch("COMMIT")?;
        Ok(self.connection.get_or_init(|| connection))
    }
}

/// An insert that the disk has no room for; nothing of its kind was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom;

enum State<'g> {
    Absent,
    Open(Box<Tables<'g>>),
    Lost,
}

/// See the module.
pub(super) struct Scratch<'g> {
    generation: &'g Generation,
    state: State<'g>,
    entries: u64,
    /// Since when it has been empty.
    empty: Option<Instant>,
    gauge: Arc<Gauge>,
}

struct Tables<'g> {
    connection: &'g Connection,
    begin: Statement<'g>,
    commit: Statement<'g>,
    entries: Entries<'g>,
    queries: Queries<'g>,
    select_slice: Statement<'g>,
}

impl<'g> Scratch<'g> {
    pub(super) fn new(generation: &'g Generation, gauge: Arc<Gauge>) -> Self {
        Self {
            generation,
            state: State::Absent,
            entries: 0,
            empty: None,
            gauge,
        }
    }

    /// How long until the file should be asked again whether it is spent. `None` while there is nothing to wait for.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.state {
            State::Absent => None,
            State::Open(_) | State::Lost => self
                .empty
                .map(|since| EMPTY_FOR.saturating_sub(since.elapsed())),
        }
    }

    /// Whether a new generation should begin: the file failed, or nobody seems to need it.
    pub(super) fn is_spent(&self) -> bool {
        self.patience() == Some(Duration::ZERO)
    }

    /// Writes all inserts or none.
    pub(super) fn insert(&mut self, inserts: &[Option<Insert<'_>>]) -> Result<(), NoRoom> {
        let count = inserts.iter().flatten().count();
        if count == 0 {
            return Ok(());
        }
        let written = self.open().and_then(|tables| {
            tables.transact(|tables| {
                for insert in inserts.iter().flatten() {
                    tables.entries.insert(insert)?;
                }
                Ok(())
            })
        });
        match written {
            Ok(()) => {
                self.entries_are(self.entries + count as u64);
                Ok(())
            }
            Err(error) if lacks_room(&error, folder_of(&self.generation.file)) => Err(NoRoom),
            Err(error) => {
                self.lose(&error);
                Err(NoRoom)
            }
        }
    }

    /// Takes back what [`Scratch::insert`] wrote.
    pub(super) fn take_back(&mut self, inserts: &[Option<Insert<'_>>]) {
        let mut keys: Vec<EntryKey> = inserts.iter().flatten().map(|insert| insert.key).collect();
        keys.sort_unstable();
        self.settle(&keys);
    }

    /// Does what a commit deletes.
    pub(super) fn delete(&mut self, spill: &Spill<'_>) {
        for destination in &spill.removed {
            self.remove(*destination);
        }
        let mut keys = spill.settled.clone();
        keys.sort_unstable();
        self.settle(&keys);
    }

    /// Deletes entries whose keys are in order.
    pub(super) fn settle(&mut self, keys: &[EntryKey]) {
        let mut gone = 0;
        let settled = self.with(|tables| {
            for slice in keys.chunks(SLICE_ENTRIES) {
                tables.transact(|tables| {
                    let count = |run: Run| gone += run.entries;
                    tables.entries.settle(slice, count)
                })?;
            }
            Ok(())
        });
        if settled.is_some() && gone > 0 {
            self.entries_are(self.entries.saturating_sub(gone));
        }
    }

    /// Entries whose body cannot be trusted are lost.
    pub(super) fn drop_bad(&mut self, bad: &[BadEntry]) {
        for entry in bad {
            tracing::error!(?entry.place, entry.number = entry.number.0, ?entry.fault, "a scratch entry is lost");
            if let Place::Entry(key) = entry.place {
                self.settle(&[key]);
            }
        }
    }

    /// What the file has of a page.
    pub(super) fn page(&mut self, request: &PageRequest) -> Option<Found> {
        self.with(|tables| tables.queries.page(request))
    }

    /// What the file has that expired.
    pub(super) fn expired(&mut self, now_ms: i64, rows_max: usize) -> Option<Expired> {
        self.with(|tables| tables.queries.expired(now_ms, rows_max))
    }

    fn remove(&mut self, destination: DestinationId) {
        while let Some(keys) = self.with(|tables| tables.slice(destination))
            && !keys.is_empty()
        {
            self.settle(&keys);
        }
    }

    fn open(&mut self) -> rusqlite::Result<&mut Tables<'g>> {
        if matches!(self.state, State::Absent) {
            let tables = Tables::prepare(self.generation.open()?)?;
            self.state = State::Open(Box::new(tables));
        }
        match &mut self.state {
            State::Open(tables) => Ok(tables),
            State::Absent | State::Lost => Err(rusqlite::Error::InvalidQuery),
        }
    }

    /// Does something with the file if there is one.
    fn with<T>(&mut self, work: impl FnOnce(&mut Tables<'g>) -> rusqlite::Result<T>) -> Option<T> {
        let State::Open(tables) = &mut self.state else {
            return None;
        };
        match work(tables) {
            Ok(done) => Some(done),
            Err(error) => {
                self.lose(&error);
                None
            }
        }
    }

    fn lose(&mut self, error: &rusqlite::Error) {
        if !matches!(self.state, State::Lost) {
            tracing::error!(
                %error, entries = self.entries, file = %self.generation.file.display(),
                "the scratch file has failed: the non-persistent messages that it held are lost"
            );
        }
        self.state = State::Lost;
        self.entries_are(0);
    }

    fn entries_are(&mut self, entries: u64) {
        self.entries = entries;
        self.gauge.scratch_entries_are(entries);
        self.empty = (entries == 0).then(Instant::now);
    }
}

impl<'g> Tables<'g> {
    fn prepare(connection: &'g Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            begin: connection.prepare("BEGIN")?,
            commit: connection.prepare("COMMIT")?,
            entries: Entries::prepare(connection, false)?,
            queries: Queries::prepare(connection, Medium::Scratch)?,
            select_slice: connection.prepare(
                "SELECT rank, sequence FROM entry WHERE destination = ? ORDER BY rank, sequence LIMIT ?",
            )?,
        })
    }

    fn transact(
        &mut self,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        self.begin.execute([])?;
        let done = work(self)
            .and_then(|()| self.entries.sweep())
            .and_then(|()| self.commit.execute([]).map(drop));
        if done.is_err() {
            self.entries.rolled_back();
            // A full disk may have rolled it back already.
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
        }
        done
    }

    /// The first keys of a destination.
    fn slice(&mut self, destination: DestinationId) -> rusqlite::Result<Vec<EntryKey>> {
        let rows = self
            .select_slice
            .query_map((destination.0, SLICE_ENTRIES as i64), |row| {
                Ok(EntryKey {
                    destination,
                    rank: Rank(row.get(0)?),
                    sequence: Sequence(row.get(1)?),
                })
            })?;
        rows.collect()
    }
}
