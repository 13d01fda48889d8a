//! The ids by which destinations know repeated messages, as the writer changes them.
//!
//! *Invariant.* The positions of a destination's ids are dense: how many there are is known from the first and the last.

use rusqlite::{Connection, Statement};
use rustc_hash::FxHashMap;

use crate::{
    DUPLICATE_WINDOW, DestinationId, DuplicateRecord, DuplicateRequest, DuplicateRow, Duplicates,
    MessageNumber,
};

/// A commit lets so many go beside twice as many as it brings: a window that has become smaller must not make it long.
const GONE_MAX: i64 = 100;

/// Positions of one destination.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: i64,
    next: i64,
    /// In this commit.
    added: i64,
}

impl Span {
    /// How many of the oldest a commit lets go.
    fn gone(self) -> i64 {
        let excess = self.next - self.first - DUPLICATE_WINDOW as i64;
        excess.clamp(0, 2 * self.added + GONE_MAX)
    }
}

/// See the module.
pub(super) struct DuplicateBook<'c> {
    insert: Statement<'c>,
    bounds: Statement<'c>,
    delete_before: Statement<'c>,
    delete_destination: Statement<'c>,
    /// Of the destinations that have been sent an id since the start.
    spans: FxHashMap<DestinationId, Span>,
    changed: Vec<DestinationId>,
}

impl<'c> DuplicateBook<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        Ok(Self {
            insert: prepare("INSERT INTO duplicate VALUES (?, ?, ?, ?)")?,
            bounds: prepare(
                "SELECT (SELECT min(position) FROM duplicate WHERE destination = ?1),
                        (SELECT max(position) FROM duplicate WHERE destination = ?1)",
            )?,
            delete_before: prepare("DELETE FROM duplicate WHERE destination = ? AND position < ?")?,
            delete_destination: prepare("DELETE FROM duplicate WHERE destination = ?")?,
            spans: FxHashMap::default(),
            changed: Vec::new(),
        })
    }

    pub(super) fn remember(&mut self, record: &DuplicateRecord) -> rusqlite::Result<()> {
        let destination = record.destination;
        let mut span = match self.spans.get(&destination) {
            Some(span) => *span,
            None => self.look_up(destination)?,
        };
        self.insert
            .execute((destination.0, span.next, record.number.0, &*record.id))?;
        if span.added == 0 {
            self.changed.push(destination);
        }
        span.next += 1;
        span.added += 1;
        self.spans.insert(destination, span);
        Ok(())
    }

    /// Forgets all ids of a destination.
    pub(super) fn remove(&mut self, destination: DestinationId) -> rusqlite::Result<()> {
        self.spans.remove(&destination);
        self.delete_destination.execute([destination.0]).map(drop)
    }

    /// Once at the end of a commit: lets those go that have left their window.
    pub(super) fn sweep(&mut self) -> rusqlite::Result<()> {
        for destination in self.changed.drain(..) {
            let Some(span) = self.spans.get_mut(&destination) else {
                continue;
            };
            let gone = span.gone();
            span.added = 0;
            if gone > 0 {
                span.first += gone;
                self.delete_before.execute((destination.0, span.first))?;
            }
        }
        Ok(())
    }

    /// What was changed has not been after all.
    pub(super) fn rolled_back(&mut self) {
        self.spans.clear();
        self.changed.clear();
    }

    fn look_up(&mut self, destination: DestinationId) -> rusqlite::Result<Span> {
        self.bounds.query_row([destination.0], |row| {
            let first = row.get::<_, Option<i64>>(0)?.unwrap_or(1);
            let last = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
            Ok(Span {
                first,
                next: last.max(first - 1) + 1,
                added: 0,
            })
        })
    }
}

/// The prepared query on the ids.
pub(super) struct DuplicateQuery<'c> {
    newest: Statement<'c>,
}

impl<'c> DuplicateQuery<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let newest = connection.prepare(
            "SELECT number, id FROM duplicate WHERE destination = ? ORDER BY position DESC LIMIT ?",
        )?;
        Ok(Self { newest })
    }

    pub(super) fn newest(&mut self, request: &DuplicateRequest) -> rusqlite::Result<Duplicates> {
        let limit = request.rows_max.min(DUPLICATE_WINDOW) as i64;
        let rows = self
            .newest
            .query_map((request.destination.0, limit), |row| {
                Ok(DuplicateRow {
                    number: MessageNumber(row.get(0)?),
                    id: row.get_ref(1)?.as_blob()?.into(),
                })
            })?;
        Ok(Duplicates {
            id: request.id,
            rows: rows.collect::<rusqlite::Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sender;
    use crate::sqlite::schema;

    const DESTINATION: DestinationId = DestinationId(7);

    fn remember(book: &mut DuplicateBook<'_>, ids: std::ops::Range<i64>) {
        for number in ids {
            let record = DuplicateRecord {
                destination: DESTINATION,
                number: MessageNumber(number),
                id: number.to_string().into_bytes().into(),
                sender: Sender::default(),
            };
            book.remember(&record).expect("no failure");
        }
        book.sweep().expect("no failure");
    }

    fn span(connection: &Connection) -> (i64, i64) {
        let query = "SELECT min(position), max(position) FROM duplicate WHERE destination = 7";
        connection
            .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("bounds")
    }

    #[test]
    fn window_that_has_become_smaller_is_reached_by_and_by() {
        let connection = Connection::open_in_memory().expect("a database");
        schema::create(&connection).expect("a schema");
        let window = DUPLICATE_WINDOW as i64;
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
             INSERT INTO duplicate SELECT 7, i, i, CAST(i AS BLOB) FROM n",
            window + 250
        );
        connection.execute_batch(&fill).expect("too many ids");
        let mut book = DuplicateBook::prepare(&connection).expect("statements");
        remember(&mut book, 0..1);
        assert_eq!(span(&connection), (103, window + 251));
        remember(&mut book, 1..101);
        assert_eq!(span(&connection), (352, window + 351));
        remember(&mut book, 101..102);
        assert_eq!(span(&connection), (353, window + 352));
    }

    #[test]
    fn positions_go_on_after_a_rollback() {
        let connection = Connection::open_in_memory().expect("a database");
        schema::create(&connection).expect("a schema");
        let mut book = DuplicateBook::prepare(&connection).expect("statements");
        remember(&mut book, 0..3);
        connection.execute_batch("BEGIN").expect("a transaction");
        remember(&mut book, 3..9);
        connection.execute_batch("ROLLBACK").expect("a rollback");
        book.rolled_back();
        remember(&mut book, 3..5);
        assert_eq!(span(&connection), (1, 5));
    }
}
