//! Entries whose body cannot be trusted: put aside with whatever is known, so that the rest is served.

use rusqlite::{Connection, Statement};

use crate::{EntryKey, Medium, MessageNumber};

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Missing,
    PartMissing,
    Checksum,
}

impl Fault {
    fn reason(self) -> &'static str {
        match self {
            Self::Missing => "the body row is missing",
            Self::PartMissing => "a part of the body is missing",
            Self::Checksum => "the checksum of head and body does not match",
        }
    }
}

/// An entry that a page came upon.
#[derive(Debug)]
pub(super) struct BadEntry {
    pub(super) key: EntryKey,
    pub(super) number: MessageNumber,
    pub(super) medium: Medium,
    pub(super) fault: Fault,
    /// Head and body as far as they could be read.
    pub(super) remains: Option<Remains>,
}

/// What is left of a message.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) sent_ms: i64,
    pub(super) head: Box<[u8]>,
    pub(super) body: Box<[u8]>,
}

/// The quarantine table.
pub(super) struct Quarantine<'c> {
    insert: Statement<'c>,
}

impl<'c> Quarantine<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let insert = connection.prepare(
            "INSERT INTO quarantine
             SELECT NULL, ?4, ?5, destination, rank, sequence, body, ?6, expires_ms, deliveries, failures,
                    annotations, ?7, ?8
             FROM entry WHERE destination = ?1 AND rank = ?2 AND sequence = ?3",
        )?;
        Ok(Self { insert })
    }

    /// Copies the entry; it is still to be deleted. Does nothing when it has gone meanwhile.
    pub(super) fn put_aside(&mut self, entry: &BadEntry, now_ms: i64) -> rusqlite::Result<()> {
        let remains = entry.remains.as_ref();
        self.insert
            .execute((
                entry.key.destination.0,
                entry.key.rank.0,
                entry.key.sequence.0,
                now_ms,
                entry.fault.reason(),
                remains.map(|remains| remains.sent_ms),
                remains.map(|remains| &*remains.head),
                remains.map(|remains| &*remains.body),
            ))
            .map(drop)
    }
}
