//! Entries whose body cannot be trusted: put aside with whatever is known, so that the rest is served.

use rusqlite::{Connection, Statement};

use crate::{DestinationId, EntryKey, Medium, MessageNumber, ScheduleId, Sequence};

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

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Entry(EntryKey),
    Log {
        topic: DestinationId,
        sequence: Sequence,
    },
    Schedule(ScheduleId),
}

impl Place {
    pub(super) fn sequence(self) -> Sequence {
        match self {
            Self::Entry(key) => key.sequence,
            Self::Log { sequence, .. } => sequence,
            Self::Schedule(id) => Sequence(id.0),
        }
    }
}

/// An entry that a page came upon.
#[derive(Debug)]
pub(super) struct BadEntry {
    pub(super) place: Place,
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
    insert_entry: Statement<'c>,
    insert_log: Statement<'c>,
    insert_scheduled: Statement<'c>,
}

impl<'c> Quarantine<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let insert_entry = connection.prepare(
            "INSERT INTO quarantine
             SELECT NULL, ?1, ?2, destination, rank, sequence, body, ?3, expires_ms, deliveries, failures,
                    annotations, ?4, ?5
             FROM entry WHERE destination = ?6 AND rank = ?7 AND sequence = ?8",
        )?;
        let insert_log = connection.prepare(
            "INSERT INTO quarantine
             SELECT NULL, ?1, ?2, topic, NULL, sequence, body, ?3, expires_ms, 0, 0, NULL, ?4, ?5
             FROM log WHERE topic = ?6 AND sequence = ?7",
        )?;
        let insert_scheduled = connection.prepare(
            "INSERT INTO quarantine
             SELECT NULL, ?1, 'scheduled: ' || ?2, destination, rank, id, body, ?3, expires_ms, 0, 0, NULL, ?4, ?5
             FROM schedule WHERE id = ?6",
        )?;
        Ok(Self {
            insert_entry,
            insert_log,
            insert_scheduled,
        })
    }

    /// Copies the entry; it is still to be deleted. Does nothing when it has gone meanwhile.
    pub(super) fn put_aside(&mut self, entry: &BadEntry, now_ms: i64) -> rusqlite::Result<()> {
        let reason = entry.fault.reason();
        let remains = entry.remains.as_ref();
        let sent_ms = remains.map(|remains| remains.sent_ms);
        let head = remains.map(|remains| &*remains.head);
        let body = remains.map(|remains| &*remains.body);
        let inserted = match entry.place {
            Place::Entry(key) => {
                let EntryKey {
                    destination,
                    rank,
                    sequence,
                } = key;
                let row = (
                    now_ms,
                    reason,
                    sent_ms,
                    head,
                    body,
                    destination.0,
                    rank.0,
                    sequence.0,
                );
                self.insert_entry.execute(row)
            }
            Place::Log { topic, sequence } => self
                .insert_log
                .execute((now_ms, reason, sent_ms, head, body, topic.0, sequence.0)),
            Place::Schedule(id) => self
                .insert_scheduled
                .execute((now_ms, reason, sent_ms, head, body, id.0)),
        };
        inserted.map(drop)
    }
}
