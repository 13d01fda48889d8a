//! The reader's thread: pages and expired entries, on a connection of its own, each in one short snapshot.
//!
//! A snapshot begins after the request was made, so it sees whatever was durable then.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use rusqlite::Connection;

use crate::sqlite::connection::{disk, is_busy};
use crate::sqlite::due::DueQueries;
use crate::sqlite::duplicate::DuplicateQuery;
use crate::sqlite::gather::{HalfRead, Submission};
use crate::sqlite::gauge::Gauge;
use crate::sqlite::log_page::{LogFound, LogQueries};
use crate::sqlite::page::{Found, Queries};
use crate::sqlite::quarantine::BadEntry;
use crate::sqlite::report::Reporter;
use crate::{
    DueRequest, DuplicateRequest, Expired, LogPageRequest, Medium, PageRequest,
    ScheduleListRequest, StoreEvent,
};

/// What the reader is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadRequest {
    Page(PageRequest),
    Expired { now_ms: i64, rows_max: usize },
    Log(LogPageRequest),
    Due(DueRequest),
    Schedule(ScheduleListRequest),
    Duplicates(DuplicateRequest),
}

/// What the database is asked with.
struct Sources<'c> {
    entries: Queries<'c>,
    logs: LogQueries<'c>,
    schedule: DueQueries<'c>,
    duplicates: DuplicateQuery<'c>,
}

impl<'c> Sources<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            entries: Queries::prepare(connection, Medium::Database)?,
            logs: LogQueries::prepare(connection)?,
            schedule: DueQueries::prepare(connection)?,
            duplicates: DuplicateQuery::prepare(connection)?,
        })
    }
}

/// What the reader is given.
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) requests: Receiver<ReadRequest>,
    /// Where entries go that cannot be trusted: only the writer may move them.
    pub(super) writer: Sender<Submission>,
    /// Where answers go that the scratch file may add to: only the writer reads it.
    pub(super) half_reads: Sender<HalfRead>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) reporter: Arc<Reporter>,
}

/// Answers until the owner lets go. Only preparing can fail here; later failures are reported.
pub(super) fn run(reader: &Reader) {
    let mut sources = match Sources::prepare(&reader.connection) {
        Ok(sources) => sources,
        Err(error) => return reader.reporter.fail(disk("preparing")(error)),
    };
    while let Ok(request) = reader.requests.recv() {
        if reader.reporter.is_poisoned() {
            continue;
        }
        if let Err(error) = reader.read(&mut sources, &request) {
            reader.reporter.fail(disk("a read")(error));
        }
    }
}

impl Reader {
    /// Answers one request. A foreign lock has lost nothing: it is waited for.
    fn read(&self, sources: &mut Sources<'_>, request: &ReadRequest) -> rusqlite::Result<()> {
        loop {
            let done = match *request {
                ReadRequest::Page(request) => sources
                    .entries
                    .page(&request)
                    .map(|found| self.answer_page(request, found)),
                ReadRequest::Expired { now_ms, rows_max } => sources
                    .entries
                    .expired(now_ms, rows_max)
                    .map(|expired| self.answer_expired(now_ms, rows_max, expired)),
                ReadRequest::Log(request) => sources
                    .logs
                    .page(&request)
                    .map(|found: LogFound| found.into_page(&request))
                    .map(|(page, bad)| self.give(StoreEvent::Page(page), bad)),
                ReadRequest::Due(request) => sources
                    .schedule
                    .due(&request)
                    .map(|(due, bad)| self.give(StoreEvent::Due(due), bad)),
                ReadRequest::Schedule(request) => sources
                    .schedule
                    .list(&request)
                    .map(|list| self.reporter.report(StoreEvent::Schedule(list))),
                ReadRequest::Duplicates(request) => sources
                    .duplicates
                    .newest(&request)
                    .map(|found| self.reporter.report(StoreEvent::Duplicates(found))),
            };
            match done {
                Err(error) if is_busy(&error) && !self.reporter.is_poisoned() => {
                    tracing::warn!(%error, "another process locks the database: a read waits");
                }
                done => return done,
            }
        }
    }

    fn answer_page(&self, request: PageRequest, found: Found) {
        if self.gauge.has_scratch_entries() {
            return self.complete(HalfRead::Page(request, found));
        }
        let (page, bad) = found.into_page(&request);
        self.give(StoreEvent::Page(page), bad);
    }

    /// An answer with untrustworthy entries is given by the writer, once they have left their place.
    fn give(&self, answer: StoreEvent, bad: Vec<BadEntry>) {
        if bad.is_empty() {
            self.reporter.report(answer);
        } else {
            self.hand_over(Submission::Quarantine(answer, bad));
        }
    }

    fn answer_expired(&self, now_ms: i64, rows_max: usize, expired: Expired) {
        if self.gauge.has_scratch_entries() {
            self.complete(HalfRead::Expired {
                now_ms,
                rows_max,
                expired,
            });
        } else {
            self.reporter.report(StoreEvent::Expired(expired));
        }
    }

    fn complete(&self, read: HalfRead) {
        // As below.
        let _abandoned = self.half_reads.send(read);
        self.hand_over(Submission::Wake);
    }

    fn hand_over(&self, submission: Submission) {
        // Refused only when the store is being abandoned, and then nobody waits for the answer.
        let _abandoned = self.writer.send(submission);
    }
}
