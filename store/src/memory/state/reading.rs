//! What is read of the state: pages, and what is due, expired or known.

use super::{Body, Entry, State};
use crate::{
    Due, DueRequest, DueRow, DuplicateRequest, Duplicates, EntryKey, Expired, ExpiredRow,
    LogPageRequest, Medium, Page, PageRequest, PageRow, ScheduleList, ScheduleListRequest,
    ScheduleListRow, Sequence,
};

impl State {
    pub(in crate::memory) fn page(&self, request: PageRequest) -> Page {
        let mut page = Page {
            id: request.id,
            rows: Vec::new(),
            exhausted: true,
            through: request.through,
            quarantined: Vec::new(),
        };
        if request.from > request.through {
            return page;
        }
        let mut looked = Sequence(request.from.0.saturating_sub(1));
        let at = |sequence| EntryKey {
            destination: request.destination,
            rank: request.rank,
            sequence,
        };
        let mut bytes = 0;
        for (key, entry) in self.entries.range(at(request.from)..=at(request.through)) {
            let taken = page.rows.len() + page.quarantined.len();
            if bytes > request.bytes_max || taken >= request.rows_max {
                (page.exhausted, page.through) = (false, looked);
                break;
            }
            looked = key.sequence;
            match self.bodies.get(&entry.body()).filter(|body| body.intact) {
                Some(body) => {
                    bytes += body.data.len();
                    page.rows.push(row(key.sequence, entry, body));
                }
                None => page.quarantined.push(key.sequence),
            }
        }
        page
    }

    /// Takes a row out of its log because of its body; `false` when it has gone already.
    pub(in crate::memory) fn log_page(&self, request: LogPageRequest) -> Page {
        let mut page = Page {
            id: request.id,
            rows: Vec::new(),
            exhausted: true,
            through: request.through,
            quarantined: Vec::new(),
        };
        let mut bytes = 0;
        let mut looked = Sequence(request.from.0.saturating_sub(1));
        for (sequence, row, exception) in self.logs.range(request) {
            let taken = page.rows.len() + page.quarantined.len();
            if bytes > request.bytes_max || taken >= request.rows_max {
                (page.exhausted, page.through) = (false, looked);
                break;
            }
            looked = sequence;
            if exception.acknowledged {
                continue;
            }
            let place = (Medium::Database, row.number);
            let Some(body) = self.bodies.get(&place).filter(|body| body.intact) else {
                page.quarantined.push(sequence);
                continue;
            };
            bytes += body.data.len();
            page.rows.push(PageRow {
                medium: Medium::Database,
                sequence,
                number: row.number,
                timestamp_ms: body.timestamp_ms,
                expires_ms: row.expires_ms,
                deliveries: exception.deliveries,
                failures: exception.failures,
                annotations: Box::default(),
                data: body.data.clone(),
                head_bytes: body.head_bytes,
                tag: row.tag,
            });
        }
        page
    }

    pub(in crate::memory) fn due(&self, request: DueRequest) -> Due {
        let mut due = Due {
            id: request.id,
            rows: Vec::new(),
            exhausted: true,
            quarantined: Vec::new(),
        };
        let mut bytes = 0;
        let behind = self.schedule.behind(request.after).into_iter();
        for (key, row) in behind.take_while(|(key, _)| key.due_ms <= request.until_ms) {
            let taken = due.rows.len() + due.quarantined.len();
            if bytes > request.bytes_max || taken >= request.rows_max {
                due.exhausted = false;
                break;
            }
            let place = (Medium::Database, row.number);
            let Some(body) = self.bodies.get(&place).filter(|body| body.intact) else {
                due.quarantined.push(key);
                continue;
            };
            bytes += body.data.len();
            due.rows.push(DueRow {
                key,
                repeats_left: row.repeats_left,
                text: row.text.clone(),
                destination: row.destination,
                rank: row.rank,
                number: row.number,
                timestamp_ms: body.timestamp_ms,
                expires_ms: row.expires_ms,
                data: body.data.clone(),
                head_bytes: body.head_bytes,
            });
        }
        due
    }

    pub(in crate::memory) fn schedule_list(&self, request: ScheduleListRequest) -> ScheduleList {
        let listed = self.schedule.listed(request);
        let exhausted = listed.len() <= request.rows_max;
        let rows = listed.into_iter().take(request.rows_max).map(|(key, row)| {
            let body = self.bodies.get(&(Medium::Database, row.number));
            ScheduleListRow {
                key,
                repeats_left: row.repeats_left,
                text: row.text.clone(),
                destination: row.destination,
                rank: row.rank,
                number: row.number,
                expires_ms: row.expires_ms,
                bytes: body.map_or(0, |body| body.data.len() as u64),
            }
        });
        ScheduleList {
            id: request.id,
            rows: rows.collect(),
            exhausted,
        }
    }

    pub(in crate::memory) fn duplicates(&self, request: DuplicateRequest) -> Duplicates {
        self.duplicates.newest(request)
    }

    pub(in crate::memory) fn expired(&self, now_ms: i64, rows_max: usize) -> Expired {
        let due = |entry: &Entry| entry.expires_ms > 0 && entry.expires_ms <= now_ms;
        let due = self.entries.iter().filter(|(_, entry)| due(entry));
        let mut rows: Vec<ExpiredRow> = due
            .map(|(key, entry)| ExpiredRow {
                medium: entry.medium,
                key: *key,
                number: entry.number,
                expires_ms: entry.expires_ms,
                bytes: self
                    .bodies
                    .get(&entry.body())
                    .map_or(0, |body| body.data.len() as u64),
            })
            .collect();
        rows.sort_by_key(|row| (row.expires_ms, row.key));
        rows.truncate(rows_max);
        Expired { rows }
    }
}

fn row(sequence: Sequence, entry: &Entry, body: &Body) -> PageRow {
    PageRow {
        medium: entry.medium,
        sequence,
        number: entry.number,
        timestamp_ms: body.timestamp_ms,
        expires_ms: entry.expires_ms,
        deliveries: entry.deliveries,
        failures: entry.failures,
        annotations: entry.annotations.clone(),
        data: body.data.clone(),
        head_bytes: body.head_bytes,
        tag: 0,
    }
}
