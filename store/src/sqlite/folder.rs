//! The data folder: its permissions, its lock and its files.
//!
//! *Invariant.* Nobody opens the database of a folder without holding its [`Folder`].

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::sqlite::space::is_about_room;

const DATABASE: &str = "stompbox.db";
const LOCK: &str = "stompbox.lock";
const SCRATCH: &str = "scratch.db";
/// What the lock file holds once the database has been used.
const USED: &[u8] = b"stompbox.db has been used\n";

/// A data folder that this process has to itself until the value is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Creates the folder when missing and locks it.
    pub(super) fn claim(path: &Path) -> Result<Self, StoreError> {
        let unusable = |source| unusable(path, source);
        create_private_folder(path).map_err(unusable)?;
        let lock = open_private_file(&path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    folder: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let database = path.join(DATABASE);
        let is_new = !database.exists();
        // Before SQLite does it: the log and its index inherit the permissions of this file.
        let file = open_private_file(&database).map_err(unusable)?;
        let is_empty = file.metadata().map_err(unusable)?.len() == 0;
        let was_used = lock.metadata().map_err(unusable)?.len() > 0;
        if is_empty && was_used && !is_new {
            return Err(StoreError::Corrupt {
                file: database,
                detail: format!(
                    "it is empty, which no broker has left it (remove {DATABASE} to begin anew)"
                ),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            lock,
        })
    }

    /// Writes down that the database is no longer empty: SQLite would take one that was truncated for a new one.
    pub(super) fn mark_used(&mut self) -> Result<(), StoreError> {
        let marked = self.lock.rewind().and_then(|()| self.lock.write_all(USED));
        marked.map_err(|source| unusable(&self.path, source))
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.path.join(SCRATCH)
    }
}

fn unusable(folder: &Path, source: std::io::Error) -> StoreError {
    let folder = folder.to_owned();
    match is_about_room(&source) {
        true => StoreError::Full {
            folder,
            detail: source.to_string(),
        },
        false => StoreError::Folder { folder, source },
    }
}

fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_file() => {
            Err(std::io::Error::other("it is no folder"))
        }
        done => done,
    }
}

/// Opens a file that nobody else may read, and creates it when missing.
pub(super) fn open_private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
