//! Body rows: written once a message, counted when it has several owners, deleted with the last of them.
//!
//! *Invariant.* A body has a row in `shared` exactly when more than one owner refers to it: an entry, a log row or a
//! scheduled message.

use rusqlite::{Connection, OptionalExtension, Statement};

use crate::sqlite::entry::Held;
use crate::{Append, LogAppend, MessageNumber, Payload, ScheduleRecord};

/// A larger body is stored in parts, so that no single row is long in writing or reading.
pub(super) const INLINE_BYTES_MAX: usize = 1 << 20;
const PART_BYTES: usize = 256 << 10;

/// The checksum that a body row carries.
pub(super) fn checksum(head: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(head), body)
}

/// A message to be written.
pub(super) struct Message<'a> {
    number: MessageNumber,
    timestamp_ms: i64,
    payload: &'a dyn Payload,
}

impl<'a> From<&'a Append> for Message<'a> {
    fn from(append: &'a Append) -> Self {
        Self {
            number: append.number,
            timestamp_ms: append.timestamp_ms,
            payload: &*append.payload,
        }
    }
}

impl<'a> From<&'a LogAppend> for Message<'a> {
    fn from(log: &'a LogAppend) -> Self {
        Self {
            number: log.number,
            timestamp_ms: log.timestamp_ms,
            payload: &*log.payload,
        }
    }
}

impl<'a> From<&'a ScheduleRecord> for Message<'a> {
    fn from(record: &'a ScheduleRecord) -> Self {
        Self {
            number: record.number,
            timestamp_ms: record.timestamp_ms,
            payload: &*record.payload,
        }
    }
}

/// The body tables, as the writer changes them.
pub(super) struct Bodies<'c> {
    insert: Statement<'c>,
    delete: Statement<'c>,
    insert_part: Statement<'c>,
    delete_parts: Statement<'c>,
    share: Statement<'c>,
    unshare: Statement<'c>,
    delete_shared: Statement<'c>,
    exists_shared: Statement<'c>,
    /// Whether `shared` may have rows. While it has none, which is the normal case, nobody asks it.
    any_shared: bool,
    /// Bodies without an owner, to be deleted at the end of the commit.
    orphans: Vec<i64>,
}

impl<'c> Bodies<'c> {
    pub(super) fn prepare(connection: &'c Connection, any_shared: bool) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        Ok(Self {
            insert: prepare("INSERT OR IGNORE INTO body VALUES (?, ?, ?, ?, ?, ?)")?,
            delete: prepare("DELETE FROM body WHERE id BETWEEN ? AND ?")?,
            insert_part: prepare("INSERT INTO body_part VALUES (?, ?, ?)")?,
            delete_parts: prepare("DELETE FROM body_part WHERE id = ?")?,
            share: prepare(
                "INSERT INTO shared VALUES (?, 2) ON CONFLICT DO UPDATE SET refs = refs + 1",
            )?,
            unshare: prepare("UPDATE shared SET refs = refs - 1 WHERE body = ? RETURNING refs")?,
            delete_shared: prepare("DELETE FROM shared WHERE body = ?")?,
            exists_shared: prepare("SELECT EXISTS (SELECT 1 FROM shared)")?,
            any_shared,
            orphans: Vec::new(),
        })
    }

    /// Writes the message of an owner, or counts one more owner when it is already there.
    pub(super) fn write<'a>(&mut self, message: impl Into<Message<'a>>) -> rusqlite::Result<Held> {
        let message = message.into();
        // The new owner may refer to a body that lost its last owner earlier in this commit.
        self.sweep()?;
        let (head, body) = (message.payload.head(), message.payload.body());
        let number = message.number.0;
        let crc = i64::from(checksum(head, body));
        let (inline, parted): (&[u8], &[u8]) = if body.len() > INLINE_BYTES_MAX {
            (&[], body)
        } else {
            (body, &[])
        };
        let parts = parted.len().div_ceil(PART_BYTES) as i64;
        let row = (number, message.timestamp_ms, crc, parts, head, inline);
        if self.insert.execute(row)? == 0 {
            self.share.execute([number])?;
            self.any_shared = true;
        } else {
            for (n, part) in (0_i64..).zip(parted.chunks(PART_BYTES)) {
                self.insert_part.execute((number, n, part))?;
            }
        }
        Ok(Held {
            number: message.number,
            bytes: (head.len() + body.len()) as u64,
        })
    }

    /// An owner has let go of its message.
    pub(super) fn release(&mut self, held: Held) -> rusqlite::Result<()> {
        if self.any_shared && self.has_other_owner(held.number)? {
            return Ok(());
        }
        if held.bytes > INLINE_BYTES_MAX as u64 {
            self.delete_parts.execute([held.number.0])?;
        }
        self.orphans.push(held.number.0);
        Ok(())
    }

    /// Deletes what has no owner any more: neighbours in one statement, since they went in one behind the other.
    pub(super) fn sweep(&mut self) -> rusqlite::Result<()> {
        if self.orphans.is_empty() {
            return Ok(());
        }
        self.orphans.sort_unstable();
        for run in self.orphans.chunk_by(|a, b| a + 1 == *b) {
            self.delete.execute((run[0], run[run.len() - 1]))?;
        }
        self.orphans.clear();
        if self.any_shared {
            self.any_shared = self.exists_shared.query_row([], |row| row.get(0))?;
        }
        Ok(())
    }

    /// What was changed has not been after all.
    pub(super) fn rolled_back(&mut self) {
        self.orphans.clear();
        self.any_shared = true;
    }

    fn has_other_owner(&mut self, number: MessageNumber) -> rusqlite::Result<bool> {
        let refs: Option<i64> = self
            .unshare
            .query_row([number.0], |row| row.get(0))
            .optional()?;
        if refs == Some(1) {
            self.delete_shared.execute([number.0])?;
        }
        Ok(refs.is_some())
    }
}
