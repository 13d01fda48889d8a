//! How a SQLite store is opened.

use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// What a reported watermark survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// A power cut or a crash of the system: one sync of the log per commit.
    #[default]
    Power,
    /// A crash of the process. After a power cut the last commits may be missing; nothing is damaged.
    Process,
}

/// How a SQLite store is opened. [`SqliteOptions::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Where `stompbox.db` and its companions stand. Created when missing.
    pub folder: PathBuf,
    /// What a watermark survives.
    pub durability: Durability,
    /// A commit takes in no further batch once it has so many operations.
    pub commit_operations_max: usize,
    /// A commit takes in no further batch once its heads and bodies have so many bytes.
    pub commit_bytes_max: usize,
    /// How long a commit of nothing but settles and counts for which nobody waits may be put off.
    pub settle_delay: Duration,
    /// From so many bytes of log on, it is folded back beside the commits.
    pub wal_checkpoint_bytes: u64,
    /// From so many on, between two commits: beside a busy writer the log never comes to an end.
    pub wal_pause_bytes: u64,
    /// From so many on, the writer waits a moment for readers to let go of the log.
    pub wal_restart_bytes: u64,
    /// Size of a file that is deleted when the disk is full, so that deletes have room. 0 is none: a full disk then
    /// stops the store.
    pub reserve_bytes: u64,
    /// A full disk takes messages again when so many bytes beside the reserve are free.
    pub resume_bytes: u64,
    /// How often a full disk is looked at.
    pub look_every: Duration,
}

impl SqliteOptions {
    /// The defaults, for a store in `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            durability: Durability::Power,
            commit_operations_max: 4096,
            commit_bytes_max: 16 << 20,
            settle_delay: Duration::from_millis(20),
            wal_checkpoint_bytes: 16 * MIB,
            wal_pause_bytes: 64 * MIB,
            wal_restart_bytes: 256 * MIB,
            reserve_bytes: 16 * MIB,
            resume_bytes: 256 * MIB,
            look_every: Duration::from_secs(1),
        }
    }
}
