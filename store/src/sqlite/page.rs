//! Reading entries with their messages, from the database or the scratch file, and merging what both have.

use std::iter::Peekable;

use rusqlite::{Connection, Row, Statement};

use crate::sqlite::body::checksum;
use crate::sqlite::quarantine::{BadEntry, Fault, Place, Remains};
use crate::{
    DestinationId, EntryKey, Expired, ExpiredRow, Medium, MessageNumber, Page, PageRequest,
    PageRow, Rank, Sequence,
};

/// The parts of a body.
pub(super) const SELECT_PARTS: &str = "SELECT n, data FROM body_part WHERE id = ? ORDER BY n";

/// An entry, whatever became of its body.
#[derive(Debug)]
pub(super) enum Read {
    Good(PageRow),
    Bad(BadEntry),
}

impl Read {
    fn sequence(&self) -> Sequence {
        match self {
            Self::Good(row) => row.sequence,
            Self::Bad(entry) => entry.place.sequence(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Good(row) => row.data.len(),
            Self::Bad(_) => 0,
        }
    }

    /// What a log's row was tagged with.
    pub(super) fn tag(&mut self, tag: i64) {
        if let Self::Good(row) = self {
            row.tag = tag;
        }
    }
}

/// What one file has of a page, or both have.
#[derive(Debug)]
pub(super) struct Found {
    reads: Vec<Read>,
    /// Nothing stands between the last of them and the end of the request.
    exhausted: bool,
}

impl Found {
    pub(super) fn new(reads: Vec<Read>, exhausted: bool) -> Self {
        Self { reads, exhausted }
    }

    /// The page, and the entries that cannot be served.
    pub(super) fn into_page(self, request: &PageRequest) -> (Page, Vec<BadEntry>) {
        let through = match self.reads.last() {
            _ if self.exhausted => request.through,
            Some(last) => last.sequence(),
            None => Sequence(request.from.0.saturating_sub(1)),
        };
        let mut page = Page {
            id: request.id,
            rows: Vec::with_capacity(self.reads.len()),
            exhausted: self.exhausted,
            through,
            quarantined: Vec::new(),
        };
        let mut bad = Vec::new();
        for read in self.reads {
            match read {
                Read::Good(row) => page.rows.push(row),
                Read::Bad(entry) => {
                    page.quarantined.push(entry.place.sequence());
                    bad.push(entry);
                }
            }
        }
        (page, bad)
    }

    /// What two files have together. What lies behind the last entry of one that is not exhausted is not known of it,
    /// hence not shown of the other.
    pub(super) fn merge(self, other: Self, request: &PageRequest) -> Self {
        let horizon = self.horizon().min(other.horizon());
        let exhausted = self.exhausted && other.exhausted;
        let (mut one, mut two) = (
            self.reads.into_iter().peekable(),
            other.reads.into_iter().peekable(),
        );
        let mut merged = Self {
            reads: Vec::new(),
            exhausted,
        };
        let mut bytes = 0;
        while let Some(sequence) = [first(&mut one), first(&mut two)]
            .into_iter()
            .flatten()
            .min()
        {
            let full = bytes > request.bytes_max || merged.reads.len() >= request.rows_max;
            if full || sequence > horizon {
                merged.exhausted = false;
                break;
            }
            let next = if first(&mut one) == Some(sequence) {
                one.next()
            } else {
                two.next()
            };
            bytes += next.as_ref().map_or(0, Read::bytes);
            merged.reads.extend(next);
        }
        merged
    }

    /// Up to where it is known what stands there.
    fn horizon(&self) -> Sequence {
        match self.reads.last() {
            Some(last) if !self.exhausted => last.sequence(),
            _ => Sequence::MAX,
        }
    }
}

fn first(reads: &mut Peekable<impl Iterator<Item = Read>>) -> Option<Sequence> {
    reads.peek().map(Read::sequence)
}

/// The earliest `rows_max` of two files.
pub(super) fn merge_expired(one: Expired, two: Expired, rows_max: usize) -> Expired {
    let mut rows = one.rows;
    rows.extend(two.rows);
    rows.sort_by_key(|row| row.expires_ms);
    rows.truncate(rows_max);
    Expired { rows }
}

/// The prepared queries on one file.
pub(super) struct Queries<'c> {
    medium: Medium,
    page: Statement<'c>,
    parts: Statement<'c>,
    expired: Statement<'c>,
}

impl<'c> Queries<'c> {
    pub(super) fn prepare(connection: &'c Connection, medium: Medium) -> rusqlite::Result<Self> {
        Ok(Self {
            medium,
            page: connection.prepare(
                "SELECT e.sequence, e.body, e.expires_ms, e.deliveries, e.failures, e.annotations,
                        b.sent_ms, b.crc, b.parts, b.head, b.body
                 FROM entry e LEFT JOIN body b ON b.id = e.body
                 WHERE e.destination = ? AND e.rank = ? AND e.sequence BETWEEN ? AND ?
                 ORDER BY e.sequence",
            )?,
            parts: connection.prepare(SELECT_PARTS)?,
            expired: connection.prepare(
                "SELECT destination, rank, sequence, body, expires_ms, bytes FROM entry
                 WHERE expires_ms > 0 AND expires_ms <= ? ORDER BY expires_ms LIMIT ?",
            )?,
        })
    }

    pub(super) fn page(&mut self, request: &PageRequest) -> rusqlite::Result<Found> {
        let mut found = Found {
            reads: Vec::new(),
            exhausted: true,
        };
        let mut bytes = 0;
        let range = (
            request.destination.0,
            request.rank.0,
            request.from.0,
            request.through.0,
        );
        let mut rows = self.page.query(range)?;
        while let Some(row) = rows.next()? {
            if bytes > request.bytes_max || found.reads.len() >= request.rows_max {
                found.exhausted = false;
                break;
            }
            let place = Place::Entry(EntryKey {
                destination: request.destination,
                rank: request.rank,
                sequence: Sequence(row.get(0)?),
            });
            let read = read(row, place, self.medium, &mut self.parts)?;
            bytes += read.bytes();
            found.reads.push(read);
        }
        Ok(found)
    }

    pub(super) fn expired(&mut self, now_ms: i64, rows_max: usize) -> rusqlite::Result<Expired> {
        let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let medium = self.medium;
        let rows = self.expired.query_map((now_ms, limit), |row| {
            Ok(ExpiredRow {
                medium,
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

/// What a row of a page has, whose columns are those of [`Queries::page`].
pub(super) fn read(
    row: &Row<'_>,
    place: Place,
    medium: Medium,
    parts: &mut Statement<'_>,
) -> rusqlite::Result<Read> {
    let number = MessageNumber(row.get(1)?);
    let good = match stored(row, number, parts)? {
        Stored::Good(good) => good,
        Stored::Bad(fault, remains) => {
            return Ok(Read::Bad(BadEntry {
                place,
                number,
                medium,
                fault,
                remains,
            }));
        }
    };
    Ok(Read::Good(PageRow {
        medium,
        sequence: place.sequence(),
        number,
        timestamp_ms: good.timestamp_ms,
        expires_ms: row.get(2)?,
        deliveries: row.get(3)?,
        failures: row.get(4)?,
        annotations: row
            .get_ref(5)?
            .as_blob_or_null()?
            .unwrap_or_default()
            .into(),
        data: good.data,
        head_bytes: good.head_bytes,
        tag: 0,
    }))
}

/// A message, whatever became of it.
pub(super) enum Stored {
    Good(Message),
    Bad(Fault, Option<Remains>),
}

/// A message that can be served.
pub(super) struct Message {
    pub(super) timestamp_ms: i64,
    pub(super) data: Box<[u8]>,
    pub(super) head_bytes: usize,
}

/// The message of a row, whose columns 6 to 10 are `sent_ms`, `crc`, `parts`, `head` and `body`.
pub(super) fn stored(
    row: &Row<'_>,
    number: MessageNumber,
    parts: &mut Statement<'_>,
) -> rusqlite::Result<Stored> {
    let Some(timestamp_ms) = row.get::<_, Option<i64>>(6)? else {
        return Ok(Stored::Bad(Fault::Missing, None));
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
        return Ok(Stored::Bad(fault, Some(remains)));
    }
    Ok(Stored::Good(Message {
        timestamp_ms,
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
