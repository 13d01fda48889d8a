//! The reader's thread: pages and expired entries, on a connection of its own, each in one short snapshot.
//!
//! A snapshot begins after the request was made, so it sees whatever was durable then.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use rusqlite::{Connection, Row, Statement};

use crate::Medium;
use crate::sqlite::body::checksum;
use crate::sqlite::connection::{disk, is_busy};
use crate::sqlite::gather::Submission;
use crate::sqlite::quarantine::{BadEntry, Fault, Remains};
use crate::sqlite::report::Reporter;
use crate::{
    DestinationId, EntryKey, Expired, ExpiredRow, MessageNumber, Page, PageRequest, PageRow, Rank,
    Sequence, StoreEvent,
};

/// What the reader is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadRequest {
    Page(PageRequest),
    Expired { now_ms: i64, rows_max: usize },
}

/// What the reader is given.
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) requests: Receiver<ReadRequest>,
    /// Where entries go that cannot be trusted: only the writer may move them.
    pub(super) writer: Sender<Submission>,
    pub(super) reporter: Arc<Reporter>,
}

/// Answers until the owner lets go. Only preparing can fail here; later failures are reported.
pub(super) fn run(reader: &Reader) {
    let mut queries = match Queries::prepare(&reader.connection) {
        Ok(queries) => queries,
        Err(error) => return reader.reporter.fail(disk("preparing")(error)),
    };
    while let Ok(request) = reader.requests.recv() {
        if reader.reporter.is_poisoned() {
            continue;
        }
        if let Err(error) = reader.read(&mut queries, &request) {
            reader.reporter.fail(disk("a read")(error));
        }
    }
}

impl Reader {
    /// Answers one request. A foreign lock has lost nothing: it is waited for.
    fn read(&self, queries: &mut Queries<'_>, request: &ReadRequest) -> rusqlite::Result<()> {
        loop {
            let done = match *request {
                ReadRequest::Page(request) => queries
                    .page(request)
                    .map(|(page, bad)| self.answer(page, bad)),
                ReadRequest::Expired { now_ms, rows_max } => queries
                    .expired(now_ms, rows_max)
                    .map(|expired| self.reporter.report(StoreEvent::Expired(expired))),
            };
            match done {
                Err(error) if is_busy(&error) && !self.reporter.is_poisoned() => {
                    tracing::warn!(%error, "another process locks the database: a read waits");
                }
                done => return done,
            }
        }
    }

    /// A page with untrustworthy entries is answered by the writer, once they have left their destination.
    fn answer(&self, page: Page, bad: Vec<BadEntry>) {
        if bad.is_empty() {
            self.reporter.report(StoreEvent::Page(page));
            return;
        }
        for entry in &bad {
            tracing::error!(?entry.key, entry.number = entry.number.0, ?entry.fault, "quarantined");
        }
        // Refused only when the store is being abandoned, and then nobody waits for the page.
        let _abandoned = self.writer.send(Submission::Quarantine(page, bad));
    }
}

struct Queries<'c> {
    page: Statement<'c>,
    parts: Statement<'c>,
    expired: Statement<'c>,
}

/// A row of the page query, whatever became of its body.
enum Read {
    Good(PageRow),
    Bad(BadEntry),
}

impl<'c> Queries<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            page: connection.prepare(
                "SELECT e.sequence, e.body, e.expires_ms, e.deliveries, e.failures, e.annotations,
                        b.sent_ms, b.crc, b.parts, b.head, b.body
                 FROM entry e LEFT JOIN body b ON b.id = e.body
                 WHERE e.destination = ? AND e.rank = ? AND e.sequence BETWEEN ? AND ?
                 ORDER BY e.sequence",
            )?,
            parts: connection.prepare("SELECT n, data FROM body_part WHERE id = ? ORDER BY n")?,
            expired: connection.prepare(
                "SELECT destination, rank, sequence, body, expires_ms, bytes FROM entry
                 WHERE expires_ms > 0 AND expires_ms <= ? ORDER BY expires_ms LIMIT ?",
            )?,
        })
    }

    fn page(&mut self, request: PageRequest) -> rusqlite::Result<(Page, Vec<BadEntry>)> {
        let mut page = Page {
            id: request.id,
            rows: Vec::new(),
            exhausted: true,
            quarantined: Vec::new(),
        };
        let mut bad = Vec::new();
        let mut bytes = 0;
        let range = (
            request.destination.0,
            request.rank.0,
            request.from.0,
            request.through.0,
        );
        let mut rows = self.page.query(range)?;
        while let Some(row) = rows.next()? {
            if bytes > request.bytes_max || page.rows.len() + bad.len() >= request.rows_max {
                page.exhausted = false;
                break;
            }
            match read(row, request, &mut self.parts)? {
                Read::Good(row) => {
                    bytes += row.data.len();
                    page.rows.push(row);
                }
                Read::Bad(entry) => {
                    page.quarantined.push(entry.key.sequence);
                    bad.push(entry);
                }
            }
        }
        Ok((page, bad))
    }

    fn expired(&mut self, now_ms: i64, rows_max: usize) -> rusqlite::Result<Expired> {
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let rows = self.expired.query_map((now_ms, limit), |row| {
            Ok(ExpiredRow {
                medium: Medium::Database,
                key: EntryKey {
                    destination: DestinationId(row.get(0)?),
                    rank: Rank(row.get(1)?),
                    sequence: Sequence(row.get(2)?),
                },
                number: MessageNumber(row.get(3)?),
                expires_ms: row.get(4)?,
                bytes: row.get::<_, i64>(5)?.unsigned_abs(),
            })
        })?;
        Ok(Expired {
            rows: rows.collect::<rusqlite::Result<_>>()?,
        })
    }
}

fn read(row: &Row<'_>, request: PageRequest, parts: &mut Statement<'_>) -> rusqlite::Result<Read> {
    let sequence = Sequence(row.get(0)?);
    let number = MessageNumber(row.get(1)?);
    let key = EntryKey {
        destination: request.destination,
        rank: request.rank,
        sequence,
    };
    let bad = |fault, remains| {
        Ok(Read::Bad(BadEntry {
            key,
            number,
            fault,
            remains,
        }))
    };
    let Some(timestamp_ms) = row.get::<_, Option<i64>>(6)? else {
        return bad(Fault::Missing, None);
    };
    let crc: i64 = row.get(7)?;
    let part_count: i64 = row.get(8)?;
    let (head, inline) = (row.get_ref(9)?.as_blob()?, row.get_ref(10)?.as_blob()?);
    let mut data = Vec::with_capacity(head.len() + inline.len());
    data.extend_from_slice(head);
    data.extend_from_slice(inline);
    let head_bytes = head.len();
    let complete = part_count == 0 || append_parts(parts, number, part_count, &mut data)?;
    let fault = match complete {
        false => Some(Fault::PartMissing),
        true if i64::from(checksum(&data, &[])) != crc => Some(Fault::Checksum),
        true => None,
    };
    if let Some(fault) = fault {
        let (head, body) = data.split_at(head_bytes);
        let remains = Remains {
            sent_ms: timestamp_ms,
            head: head.into(),
            body: body.into(),
        };
        return bad(fault, Some(remains));
    }
    Ok(Read::Good(PageRow {
        medium: Medium::Database,
        sequence,
        number,
        timestamp_ms,
        expires_ms: row.get(2)?,
        deliveries: row.get(3)?,
        failures: row.get(4)?,
        annotations: row
            .get_ref(5)?
            .as_blob_or_null()?
            .unwrap_or_default()
            .into(),
        data: data.into_boxed_slice(),
        head_bytes,
    }))
}

/// Appends the parts of a body that are there; `false` when one is missing.
fn append_parts(
    parts: &mut Statement<'_>,
    number: MessageNumber,
    count: i64,
    data: &mut Vec<u8>,
) -> rusqlite::Result<bool> {
    let mut rows = parts.query([number.0])?;
    let mut expected = 0;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != expected {
            return Ok(false);
        }
        data.extend_from_slice(row.get_ref(1)?.as_blob()?);
        expected += 1;
    }
    Ok(expected == count)
}
