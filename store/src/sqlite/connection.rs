//! Connections to the database file: which pragmas each role sets, and what SQLite's errors mean to us.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::StoreError;
use crate::sqlite::Durability;
use crate::sqlite::space::lacks_room;

/// How long the writer waits inside SQLite for a foreign lock before it says so and waits on.
const WRITER_BUSY: Duration = Duration::from_millis(500);
/// How long the others wait: they meet a lock only while the log is recovered or reset.
const OTHERS_BUSY: Duration = Duration::from_secs(5);
/// 4096 commits a lone message faster than 8192, which is only better in batches of hundreds.
const PAGE_BYTES: u32 = 4096;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// All changes.
    Writer,
    /// Pages and expiry.
    Reader,
    /// Folding the log back beside the commits.
    Checkpointer,
}

/// How long a role waits inside SQLite for somebody else's lock.
pub(super) fn busy_timeout(role: Role) -> Duration {
    match role {
        Role::Writer => WRITER_BUSY,
        Role::Reader | Role::Checkpointer => OTHERS_BUSY,
    }
}

/// Opens the file for one role. Each thread has its own connection, hence no mutex inside.
pub(super) fn open(
    file: &Path,
    role: Role,
    durability: Durability,
) -> rusqlite::Result<Connection> {
    let access = match role {
        Role::Writer | Role::Checkpointer => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let connection = Connection::open_with_flags(file, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let cache_kib = match role {
        Role::Writer => 65_536,
        Role::Reader => 8_192,
        Role::Checkpointer => 512,
    };
    connection.busy_timeout(busy_timeout(role))?;
    let synchronous = match durability {
        Durability::Power => "FULL",
        Durability::Process => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA cache_size=-{cache_kib}; PRAGMA synchronous={synchronous}; PRAGMA temp_store=MEMORY;
         PRAGMA foreign_keys=OFF; PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0;"
    ))?;
    Ok(connection)
}

/// Turns an empty or existing file into a write-ahead logged one. The page size holds for an empty file only.
pub(super) fn enable_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA page_size={PAGE_BYTES}; PRAGMA journal_mode=WAL;"
    ))
}

/// The error of something that failed while the store runs.
pub(super) fn disk(during: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |error| StoreError::Disk {
        during,
        detail: error.to_string(),
    }
}

/// The error of something that failed while the store was opened.
pub(super) fn unopened(file: &Path) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
    move |error| match error.sqlite_error_code() {
        _ if lacks_room(&error, folder_of(file)) => StoreError::Full {
            folder: folder_of(file).to_owned(),
            detail: error.to_string(),
        },
        Some(ErrorCode::NotADatabase) => StoreError::Foreign {
            file: file.to_owned(),
            detail: error.to_string(),
        },
        // Without a code it is a value, with this one a table that does not fit: not as any version left it.
        None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) => StoreError::Corrupt {
            file: file.to_owned(),
            detail: error.to_string(),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked {
            file: file.to_owned(),
        },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Folder {
                folder: folder_of(file).to_owned(),
                source: std::io::Error::other(error),
            }
        }
        _ => StoreError::Disk {
            during: "opening the database",
            detail: error.to_string(),
        },
    }
}

/// The data folder that a file stands in.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

/// Whether somebody else holds a lock: nothing was done and nothing is lost.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}
