//! Reading what is scheduled, in the order in which it fires.

use rusqlite::{Connection, Row, Statement};

use crate::sqlite::page::{SELECT_PARTS, Stored, stored};
use crate::sqlite::quarantine::{BadEntry, Place};
use crate::{
    DestinationId, Due, DueKey, DueRequest, DueRow, Medium, MessageNumber, Rank, ScheduleFilter,
    ScheduleId, ScheduleList, ScheduleListRequest, ScheduleListRow,
};

const SELECT_DUE: &str = "SELECT s.id, s.body, s.due_ms, s.destination, s.rank, s.expires_ms,
        b.sent_ms, b.crc, b.parts, b.head, b.body, s.repeats_left, s.text
 FROM schedule s LEFT JOIN body b ON b.id = s.body
 WHERE (s.due_ms, s.id) > (?1, ?2) AND s.due_ms <= ?3
 ORDER BY s.due_ms, s.id";
const SELECT_ALL: &str =
    "SELECT id, body, due_ms, destination, rank, expires_ms, bytes, repeats_left, text
 FROM schedule WHERE (due_ms, id) > (?1, ?2) ORDER BY due_ms, id LIMIT ?3";
const SELECT_DESTINATION: &str =
    "SELECT id, body, due_ms, destination, rank, expires_ms, bytes, repeats_left, text
 FROM schedule WHERE destination = ?4 AND (due_ms, id) > (?1, ?2) ORDER BY due_ms, id LIMIT ?3";
const SELECT_ONE: &str =
    "SELECT id, body, due_ms, destination, rank, expires_ms, bytes, repeats_left, text
 FROM schedule WHERE id = ?4 AND (due_ms, id) > (?1, ?2) LIMIT ?3";

/// The prepared queries on the schedule.
pub(super) struct DueQueries<'c> {
    due: Statement<'c>,
    parts: Statement<'c>,
    all: Statement<'c>,
    destination: Statement<'c>,
    one: Statement<'c>,
}

impl<'c> DueQueries<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            due: connection.prepare(SELECT_DUE)?,
            parts: connection.prepare(SELECT_PARTS)?,
            all: connection.prepare(SELECT_ALL)?,
            destination: connection.prepare(SELECT_DESTINATION)?,
            one: connection.prepare(SELECT_ONE)?,
        })
    }

    /// The answer, and the messages that cannot be served.
    pub(super) fn due(&mut self, request: &DueRequest) -> rusqlite::Result<(Due, Vec<BadEntry>)> {
        let mut due = Due {
            id: request.id,
            rows: Vec::new(),
            exhausted: true,
            quarantined: Vec::new(),
        };
        let (mut bad, mut bytes) = (Vec::new(), 0);
        let (due_ms, id) = behind(request.after);
        let mut rows = self.due.query((due_ms, id, request.until_ms))?;
        while let Some(row) = rows.next()? {
            let is_full = due.rows.len() + bad.len() >= request.rows_max;
            if is_full || bytes > request.bytes_max {
                due.exhausted = false;
                break;
            }
            match read(row, &mut self.parts)? {
                Ok(row) => {
                    bytes += row.data.len();
                    due.rows.push(row);
                }
                Err(entry) => {
                    due.quarantined.push(key(row)?);
                    bad.push(entry);
                }
            }
        }
        Ok((due, bad))
    }

    pub(super) fn list(&mut self, request: &ScheduleListRequest) -> rusqlite::Result<ScheduleList> {
        let (due_ms, id) = behind(request.after);
        // One more tells whether there is more.
        let limit = i64::try_from(request.rows_max.saturating_add(1)).unwrap_or(i64::MAX);
        let mut rows = match request.filter {
            ScheduleFilter::All => self.all.query((due_ms, id, limit))?,
            ScheduleFilter::Destination(destination) => {
                let of = (due_ms, id, limit, destination.0);
                self.destination.query(of)?
            }
            ScheduleFilter::One(one) => self.one.query((due_ms, id, limit, one.0))?,
        };
        let mut list = ScheduleList {
            id: request.id,
            rows: Vec::new(),
            exhausted: true,
        };
        while let Some(row) = rows.next()? {
            if list.rows.len() == request.rows_max {
                list.exhausted = false;
                break;
            }
            list.rows.push(ScheduleListRow {
                key: key(row)?,
                number: MessageNumber(row.get(1)?),
                destination: DestinationId(row.get(3)?),
                rank: Rank(row.get(4)?),
                expires_ms: row.get(5)?,
                bytes: row.get::<_, i64>(6)?.unsigned_abs(),
                repeats_left: row.get(7)?,
                text: row.get::<_, String>(8)?.into_boxed_str(),
            });
        }
        Ok(list)
    }
}

fn behind(after: Option<DueKey>) -> (i64, i64) {
    after.map_or((i64::MIN, i64::MIN), |key| (key.due_ms, key.id.0))
}

fn key(row: &Row<'_>) -> rusqlite::Result<DueKey> {
    Ok(DueKey {
        id: ScheduleId(row.get(0)?),
        due_ms: row.get(2)?,
    })
}

fn read(row: &Row<'_>, parts: &mut Statement<'_>) -> rusqlite::Result<Result<DueRow, BadEntry>> {
    let key = key(row)?;
    let number = MessageNumber(row.get(1)?);
    let good = match stored(row, number, parts)? {
        Stored::Good(good) => good,
        Stored::Bad(fault, remains) => {
            return Ok(Err(BadEntry {
                place: Place::Schedule(key.id),
                number,
                medium: Medium::Database,
                fault,
                remains,
            }));
        }
    };
    Ok(Ok(DueRow {
        key,
        destination: DestinationId(row.get(3)?),
        rank: Rank(row.get(4)?),
        number,
        timestamp_ms: good.timestamp_ms,
        expires_ms: row.get(5)?,
        repeats_left: row.get(11)?,
        text: row.get::<_, String>(12)?.into_boxed_str(),
        data: good.data,
        head_bytes: good.head_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    /// However many fire at the same moment: all of both columns must be looked up in an index that is in order.
    #[test]
    fn going_on_is_an_index_look_up() {
        let connection = Connection::open_in_memory().expect("a database");
        schema::create(&connection).expect("a schema");
        let plan = |query: &str| -> String {
            let mut explained = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
                .expect("a plan");
            let mut steps = explained.raw_query();
            let mut plan = String::new();
            while let Some(step) = steps.next().expect("a step") {
                plan += &step.get::<_, String>(3).expect("its words");
                plan += "; ";
            }
            plan
        };
        for query in [SELECT_DUE, SELECT_ALL, SELECT_DESTINATION] {
            let plan = plan(query);
            assert!(plan.contains("(due_ms,id)>(?,?)"), "{plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        }
        let first = plan("SELECT min(due_ms) FROM schedule");
        assert!(
            first.contains("SEARCH") && first.contains("COVERING INDEX"),
            "{first}"
        );
    }
}
