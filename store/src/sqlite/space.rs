//! Room on the disk: whether there is any, and the reserve that deletes and acknowledgements live on when there is
//! none.
//!
//! ```text
//!                 a commit that grows, or a checkpoint, finds no room: the reserve is deleted
//!   start ──▶ Ample ──────────────────────────────────────────────────────────────────▶ Full
//!     │         ▲                                                                        │ ▲
//!     │         └────────────────────────────────────────────────────────────────────────┘ │
//!     │          every `look_every`: there are `resume_bytes`, and the reserve is refilled   │
//!     └────────────────────────────────────────────────────────────────────────────────────┘
//!       there is no room for the reserve, or not even for the first commit
//! ```
//!
//! Most of what is done on a full disk deletes, and what makes the database grow is refused. What a subscription
//! acknowledges out of order does grow it: that may take three quarters of the reserve's room, and is refused as well,
//! until the next look, when the disk is *tight* beyond that.
//!
//! What is free inside of the database counts as free: it never shrinks, so a disk that it has filled would otherwise
//! stay full when everything is consumed.
//!
//! *Invariant.* The reserve is there exactly while the state is `Ample`, unless it is configured to be none.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_WRITE};

use crate::sqlite::SqliteOptions;
use crate::sqlite::folder::open_private_file;

const RESERVE: &str = "reserve";
/// What SQLite says as well when a quota or the index of the log finds no room.
const WRITE_ERRORS: [i32; 3] = [
    SQLITE_IOERR_WRITE,
    SQLITE_IOERR_SHMSIZE,
    SQLITE_IOERR_SHMOPEN,
];
const PROBE: &str = "probe";
/// More than what SQLite writes at once into any file that has to grow.
const PROBE_BYTES: usize = 128 << 10;

/// The share of the reserve that is left to deletes: their log, and what they split.
const DELETES_SHARE: u64 = 4;

/// Whether there is room.
#[derive(Debug)]
enum State {
    Ample,
    Full { next_look: Instant, is_tight: bool },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Space {
    folder: PathBuf,
    reserve_bytes: u64,
    resume_bytes: u64,
    look_every: Duration,
    state: State,
}

impl Space {
    /// Finds out at a start whether there is room. What the reserve takes is taken now, if it is not there already.
    pub(super) fn claim(options: &SqliteOptions) -> Self {
        let mut space = Self {
            folder: options.folder.clone(),
            reserve_bytes: options.reserve_bytes,
            resume_bytes: options.resume_bytes,
            look_every: options.look_every,
            state: State::Ample,
        };
        if let Err(error) = space.fill_reserve(0) {
            space.find_full(&error);
        }
        space
    }

    /// Gives the reserve up before there is a [`Space`]: for the first commit of a life.
    pub(super) fn release_reserve(folder: &Path) -> bool {
        std::fs::remove_file(folder.join(RESERVE)).is_ok()
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.state, State::Full { .. })
    }

    /// Whether so many bytes can be written, as far as the file system says.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        bytes == 0 || free_bytes(&self.folder) >= bytes
    }

    /// Whether nothing that grows is written any more, not even what is never refused to a sender.
    pub(super) fn is_tight(&self) -> bool {
        matches!(self.state, State::Full { is_tight: true, .. })
    }

    /// Whether a full disk has room for this and for the deletes to come.
    pub(super) fn has_spare_room_for(&self, bytes: u64) -> bool {
        self.has_room_for(bytes.saturating_add(self.reserve_bytes / DELETES_SHARE)) || bytes == 0
    }

    /// There is no such room, until the next look.
    pub(super) fn find_tight(&mut self) {
        if let State::Full { is_tight, .. } = &mut self.state {
            *is_tight = true;
            tracing::error!(
                free_bytes = free_bytes(&self.folder), folder = %self.folder.display(),
                "the disk is so full that subscriptions cannot acknowledge out of order"
            );
        }
    }

    /// There is no room for what `why` says: the reserve goes.
    pub(super) fn find_full(&mut self, why: &dyn std::fmt::Display) {
        let free = free_bytes(&self.folder);
        let released = Self::release_reserve(&self.folder);
        self.state = self.full();
        tracing::error!(
            %why, free_bytes = free, reserve_released = released, folder = %self.folder.display(),
            "the disk is full: messages are refused, consuming goes on; free at least {} MiB",
            self.needed_bytes() >> 20
        );
    }

    /// How long until the next look is due.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.state {
            State::Ample => None,
            State::Full { next_look, .. } => {
                Some(next_look.saturating_duration_since(Instant::now()))
            }
        }
    }

    pub(super) fn is_look_due(&self) -> bool {
        self.patience() == Some(Duration::ZERO)
    }

    /// Whether the reserve lacks room although there is enough in the database.
    pub(super) fn lacks_reserve_alone(&self, database_free_bytes: u64) -> bool {
        database_free_bytes >= self.resume_bytes && free_bytes(&self.folder) < self.reserve_bytes
    }

    /// Looks whether there is room again. `true` when the state has become `Ample`.
    pub(super) fn look(&mut self, database_free_bytes: u64) -> bool {
        if !self.is_look_due() {
            return false;
        }
        let outside = self.resume_bytes.saturating_sub(database_free_bytes);
        let free = free_bytes(&self.folder);
        if free >= outside.saturating_add(self.reserve_bytes) && self.fill_reserve(outside).is_ok()
        {
            self.state = State::Ample;
            tracing::warn!(
                free_bytes = free,
                "the disk has room again: messages are taken"
            );
            return true;
        }
        self.state = self.full();
        false
    }

    fn full(&self) -> State {
        State::Full {
            next_look: Instant::now() + self.look_every,
            is_tight: false,
        }
    }

    fn needed_bytes(&self) -> u64 {
        self.resume_bytes.saturating_add(self.reserve_bytes)
    }

    /// Makes the reserve, if so many bytes beside it can be taken as well: a quota shows only then.
    fn fill_reserve(&self, beside: u64) -> std::io::Result<()> {
        let file = self.folder.join(RESERVE);
        if self.reserve_bytes == 0 {
            return match std::fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let filled = open_private_file(&file).and_then(|reserve| {
            if reserve.metadata()?.len() == self.reserve_bytes {
                return Ok(());
            }
            // Not what was there before: it may be a hole.
            reserve.set_len(0)?;
            allocate(&reserve, self.reserve_bytes, beside)?;
            reserve.set_len(self.reserve_bytes)
        });
        if filled.is_err() {
            // Half a reserve is none, and its room is needed.
            Self::release_reserve(&self.folder);
        }
        filled
    }
}

/// Whether an error says that the disk or a quota has no room. What was to be written has not been.
pub(super) fn lacks_room(error: &rusqlite::Error, folder: &Path) -> bool {
    match error {
        rusqlite::Error::ToSqlConversionFailure(source) => source
            .downcast_ref::<std::io::Error>()
            .is_some_and(is_about_room),
        error => match error.sqlite_error() {
            Some(code) if code.code == ErrorCode::DiskFull => true,
            // It does not tell them from a failing disk.
            Some(code)
                if WRITE_ERRORS.contains(&code.extended_code)
                    || code.code == ErrorCode::CannotOpen =>
            {
                cannot_write(folder)
            }
            Some(_) | None => false,
        },
    }
}

/// Whether an error of the system says that there is no room.
pub(super) fn is_about_room(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// Tries whether a small file finds no room.
fn cannot_write(folder: &Path) -> bool {
    let file = folder.join(PROBE);
    let written = open_private_file(&file).and_then(|mut probe| probe.write_all(&[0; PROBE_BYTES]));
    if let Err(error) = std::fs::remove_file(&file) {
        tracing::debug!(%error, "there is no probe to delete");
    }
    written.is_err_and(|error| is_about_room(&error))
}

/// What may still be written into a folder. Without an answer: as much as anybody likes, until it fails.
fn free_bytes(folder: &Path) -> u64 {
    match nix::sys::statvfs::statvfs(folder) {
        // Some file systems have no idea, and say so like this.
        Ok(figures) if figures.blocks() == 0 => u64::MAX,
        Ok(figures) => {
            let blocks: u64 = figures.blocks_available();
            blocks.saturating_mul(figures.fragment_size())
        }
        Err(error) => {
            tracing::warn!(%error, "the free space of the data folder is not known");
            u64::MAX
        }
    }
}

/// Really takes `bytes` of the disk, and `beside` too where that costs no writing.
fn allocate(file: &File, bytes: u64, beside: u64) -> std::io::Result<()> {
    let length = i64::try_from(bytes.saturating_add(beside)).unwrap_or(i64::MAX);
    match nix::fcntl::posix_fallocate(file, 0, length) {
        Err(Errno::EOPNOTSUPP | Errno::EINVAL) => write_zeros(file, bytes),
        done => done.map_err(std::io::Error::from),
    }
}

fn write_zeros(mut file: &File, bytes: u64) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let part = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    Ok(())
}
