//! Reading a topic's log as one subscription has it.

use rusqlite::{Connection, Statement};

use crate::sqlite::page::{Found, SELECT_PARTS, read};
use crate::sqlite::quarantine::{BadEntry, Place};
use crate::{LogPageRequest, Medium, Page, PageRequest, Rank, Sequence};

/// A page looks at no more rows than so many, whatever it finds: a subscription may have acknowledged any number behind
/// one that it has not.
const VISITED_ROWS_MAX: usize = 20_000;

/// The prepared queries on the logs.
pub(super) struct LogQueries<'c> {
    page: Statement<'c>,
    parts: Statement<'c>,
}

impl<'c> LogQueries<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            // The body is not touched where the last column says that it is not asked for.
            page: connection.prepare(
                "SELECT l.sequence, l.body, l.expires_ms, coalesce(x.deliveries, 0), coalesce(x.failures, 0),
                        NULL, b.sent_ms, b.crc, b.parts, b.head, b.body, coalesce(x.acknowledged, 0), l.tag
                 FROM log l
                 LEFT JOIN subscription_exception x ON x.subscription = ?2 AND x.sequence = l.sequence
                 LEFT JOIN body b ON b.id = l.body AND x.acknowledged IS NOT 1
                 WHERE l.topic = ?1 AND l.sequence <= ?4 AND l.sequence >=
                     max(?3, coalesce((SELECT floor + 1 FROM subscription WHERE id = ?2), ?3))
                 ORDER BY l.sequence",
            )?,
            parts: connection.prepare(SELECT_PARTS)?,
        })
    }

    pub(super) fn page(&mut self, request: &LogPageRequest) -> rusqlite::Result<LogFound> {
        let (mut reads, mut exhausted) = (Vec::new(), true);
        let (mut visited, mut bytes, mut through) = (0, 0, None);
        let range = (
            request.topic.0,
            request.subscription.0,
            request.from.0,
            request.through.0,
        );
        let mut rows = self.page.query(range)?;
        while let Some(row) = rows.next()? {
            let full = bytes > request.bytes_max || reads.len() >= request.rows_max;
            if full || visited == VISITED_ROWS_MAX {
                exhausted = false;
                break;
            }
            visited += 1;
            let sequence = Sequence(row.get(0)?);
            through = Some(sequence);
            if row.get(11)? {
                continue;
            }
            let place = Place::Log {
                topic: request.topic,
                sequence,
            };
            let mut read = read(row, place, Medium::Database, &mut self.parts)?;
            read.tag(row.get(12)?);
            bytes += read.bytes();
            reads.push(read);
        }
        let found = Found::new(reads, exhausted);
        Ok(LogFound { found, through })
    }
}

/// What is there of a page.
pub(super) struct LogFound {
    found: Found,
    /// The last row that was looked at.
    through: Option<Sequence>,
}

impl LogFound {
    /// The page, and the rows that cannot be served.
    pub(super) fn into_page(self, request: &LogPageRequest) -> (Page, Vec<BadEntry>) {
        let (mut page, bad) = self.found.into_page(&PageRequest {
            id: request.id,
            destination: request.topic,
            rank: Rank(0),
            from: request.from,
            through: request.through,
            rows_max: request.rows_max,
            bytes_max: request.bytes_max,
        });
        page.through = self.through.map_or(page.through, |at| at.max(page.through));
        (page, bad)
    }
}
