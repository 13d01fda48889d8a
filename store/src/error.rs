//! What can go wrong with durable state, split by who must act.

use std::path::PathBuf;

/// Why a store could not be opened or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the folder.
    #[error("data folder {} is in use by another broker; stop it or choose another folder with --data", .folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be created, read or written.
    #[error("data folder {} cannot be used: {source}; check the path, its owner and its permissions, or choose another folder with --data", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no room for so much as a start.
    #[error("the disk of data folder {} is full ({detail}); free some space, 64 MiB at least, and start again", .folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// What was said.
        detail: String,
    },
    /// The file is a database, but not ours.
    #[error("{} is not a stompbox database ({detail}); choose another folder with --data", .file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
        /// What was found instead.
        detail: String,
    },
    /// The file was written by a newer version.
    #[error("{} has schema version {found}, this program knows up to {known}; use a newer stompbox", .file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Another program keeps the file locked. Nothing was done: it can be tried again.
    #[error("{} is locked by another program; let it finish, or find it with `fuser {}`", .file.display(), .file.display())]
    Locked {
        /// The file.
        file: PathBuf,
    },
    /// The file is damaged.
    #[error("{} is damaged: {detail}; restore a backup, or rescue what is readable with `sqlite3 {} .recover`", .file.display(), .file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// A commit, a sync or a read failed while running.
    #[error(
        "the disk failed during {during}: {detail}; nothing is tried twice: check the disk and start again; if the database is damaged, restore a backup, or rescue what is readable with `sqlite3 stompbox.db .recover`"
    )]
    Disk {
        /// What was being done.
        during: &'static str,
        /// What SQLite said.
        detail: String,
    },
}
