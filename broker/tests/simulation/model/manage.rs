//! The schedule is managed over messages: what a listing answers with, and what is taken off.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use stompbox_broker::core::dispatcher::{Finding, InquiryId};
use stompbox_broker::core::message::{Message, Publication};
use stompbox_broker::core::port::{ConnectionId, ReceiptId, Request};
use stompbox_protocol::canonical;
use stompbox_store::{
    Due, DueRequest, DueRow, PageId, ScheduleFilter, ScheduleId, ScheduleList, ScheduleListRequest,
    Sequence,
};

use super::Model;
use super::schedule::{Firing, Job, MANAGEMENT, Span};
use crate::trace;

/// Bytes that a listing reads at the most: no other look at what is due asks for as many.
const LISTING_BYTES: usize = 4 * 1024 * 1024;

/// Whether it is a BROWSE that looks for what is due.
pub(crate) fn is_listing(request: &DueRequest) -> bool {
    request.bytes_max == LISTING_BYTES
}

/// A BROWSE.
#[derive(Debug)]
struct Listing {
    to: Rc<str>,
    correlation_id: Option<Vec<u8>>,
    span: Span,
    /// What the store had when it was asked.
    expected: Vec<(ScheduleId, Firing)>,
}

/// Requests that wait for the store.
#[derive(Debug, Default)]
pub(super) struct Requests {
    listings: VecDeque<Listing>,
    listing: BTreeMap<PageId, Listing>,
    /// Removals whose read has not been seen yet, and those that are read.
    removals: VecDeque<Span>,
    removing: BTreeMap<PageId, Span>,
    /// The same of those that name one; and whether that was there.
    looks: VecDeque<(Looker, ScheduleId)>,
    looking: BTreeMap<PageId, (Looker, ScheduleId)>,
    found: BTreeMap<ConnectionId, bool>,
    /// What the console is to hear: whether something was there, and when it may.
    inquiries: HashMap<InquiryId, Option<(bool, u64)>>,
}

/// Who looks for one.
#[derive(Debug, Clone, Copy)]
enum Looker {
    /// A connection, whose REMOVE waits.
    Client(ConnectionId),
    Console(InquiryId),
}

fn text_in(message: &Message, name: &str) -> Option<String> {
    let value = canonical::find(message.head(), name.as_bytes())?;
    Some(String::from_utf8(value.into_owned()).expect("text"))
}

fn span_of(message: &Message) -> Span {
    let time = |name: &str| text_in(message, name)?.parse().ok();
    (
        time("AMQ_SCHEDULER_ACTION_START_TIME").unwrap_or(0),
        time("AMQ_SCHEDULER_ACTION_END_TIME").unwrap_or(i64::MAX),
    )
}

/// What clients call it.
fn name_of(id: ScheduleId) -> String {
    let sequence = Sequence(id.0);
    format!("{}-{}", sequence.epoch().0, sequence.counter())
}

/// The scheduled message that a REMOVE names.
fn removed_by(message: &Message) -> Option<ScheduleId> {
    if text_in(message, "AMQ_SCHEDULER_ACTION")? != "REMOVE" {
        return None;
    }
    id_of(&text_in(message, "scheduledJobId")?)
}

/// What [`name_of`] called it.
fn id_of(name: &str) -> Option<ScheduleId> {
    let (epoch, counter) = name.split_once('-')?;
    let (epoch, counter): (i64, i64) = (epoch.parse().ok()?, counter.parse().ok()?);
    Some(ScheduleId((epoch << 40) + counter))
}

impl Model {
    /// Whether a request has to wait until the store has said whether what it takes off is there.
    pub(super) fn looks_first(&mut self, connection: ConnectionId, request: &Request) -> bool {
        let Request::Send { publication, .. } = request else {
            return false;
        };
        if *publication.target.names()[0].wire() != *MANAGEMENT {
            return false;
        }
        let requests = &mut self.agenda.requests;
        match removed_by(&publication.message) {
            Some(id) if !requests.found.contains_key(&connection) => {
                requests.looks.push_back((Looker::Client(connection), id));
                true
            }
            _ => false,
        }
    }

    /// A SEND that manages the schedule.
    pub(super) fn manage(
        &mut self,
        connection: ConnectionId,
        publication: &Publication,
        receipt: Option<&ReceiptId>,
    ) {
        let message = &*publication.message;
        let span = span_of(message);
        let mut ticket = 0;
        match text_in(message, "AMQ_SCHEDULER_ACTION").as_deref() {
            Some("BROWSE") => {
                let to = text_in(message, "reply-to").expect("where the answers go");
                let correlation_id = canonical::find(message.head(), b"correlation-id");
                self.agenda.requests.listings.push_back(Listing {
                    to: to.into(),
                    correlation_id: correlation_id.map(|id| id.into_owned()),
                    span,
                    expected: Vec::new(),
                });
            }
            Some("REMOVE") => {
                let id = removed_by(message).expect("which one");
                let was_found = self.agenda.requests.found.remove(&connection);
                if was_found == Some(true) && self.take_off(id) {
                    trace::count("schedule: taken off by name");
                    ticket = self.ticket;
                }
            }
            _ => self.agenda.requests.removals.push_back(span),
        }
        self.owe(connection, receipt, ticket);
    }

    /// The schedule is looked through: for when the next one fires, for what to take off, or for one.
    pub(crate) fn schedule_asked_for(&mut self, request: &ScheduleListRequest) {
        let requests = &mut self.agenda.requests;
        match request.filter {
            ScheduleFilter::One(id) => {
                let look = requests.looks.pop_front();
                let look = look.expect("somebody named one");
                assert_eq!(look.1, id, "another one is looked for");
                requests.looking.insert(request.id, look);
            }
            _ if request.rows_max > 1 => {
                let span = requests.removals.pop_front();
                let span = span.expect("somebody asked for a removal");
                requests.removing.insert(request.id, span);
            }
            _ => {}
        }
    }

    /// What is scheduled has been read.
    pub(crate) fn schedule_came(&mut self, list: &ScheduleList) {
        if let Some((looker, id)) = self.agenda.requests.looking.remove(&list.id) {
            return self.was_looked_for(looker, id, !list.rows.is_empty());
        }
        let Some((from_ms, until_ms)) = self.agenda.requests.removing.remove(&list.id) else {
            return;
        };
        for row in &list.rows {
            // It may have fired since it was read.
            if (from_ms..=until_ms).contains(&row.key.due_ms) && self.take_off(row.key.id) {
                trace::count("schedule: taken off");
            }
        }
    }

    fn was_looked_for(&mut self, looker: Looker, id: ScheduleId, is_there: bool) {
        match looker {
            Looker::Client(connection) => {
                self.agenda.requests.found.insert(connection, is_there);
                self.go_on(connection);
            }
            Looker::Console(inquiry) => {
                if is_there && self.take_off(id) {
                    trace::count("schedule: cancelled by the console");
                }
                let ticket = if is_there { self.ticket } else { 0 };
                let inquiries = &mut self.agenda.requests.inquiries;
                inquiries.insert(inquiry, Some((is_there, ticket)));
            }
        }
    }

    /// The name of something that is scheduled.
    pub(crate) fn job_name(&self, index: usize) -> Option<String> {
        self.agenda.jobs.get(index)?.id.map(name_of)
    }

    /// The console wants something cancelled.
    pub(crate) fn inquired(&mut self, inquiry: InquiryId, name: &str) {
        let id = id_of(name).expect("a name");
        let requests = &mut self.agenda.requests;
        requests.looks.push_back((Looker::Console(inquiry), id));
        requests.inquiries.insert(inquiry, None);
    }

    /// The console is answered.
    pub(crate) fn finding_came(&mut self, inquiry: InquiryId, finding: &Finding) {
        let expected = self.agenda.requests.inquiries.remove(&inquiry);
        let Some(Some((was_there, ticket))) = expected else {
            panic!("{inquiry:?} was not looked for: {finding:?}");
        };
        assert_eq!(*finding, Finding::Cancelled(was_there), "{inquiry:?}");
        assert!(ticket <= self.committed, "{inquiry:?} is not stored yet");
    }

    /// At rest everybody is answered.
    pub(super) fn check_inquiries(&self) {
        let inquiries = &self.agenda.requests.inquiries;
        assert!(inquiries.is_empty(), "never answered: {inquiries:?}");
    }

    /// What is due is looked for, or what a BROWSE asks for.
    pub(crate) fn due_asked_for(&mut self, request: &DueRequest) {
        if !is_listing(request) {
            return;
        }
        let listing = self.agenda.requests.listings.pop_front();
        let mut listing = listing.expect("somebody asked for a listing");
        let (from_ms, until_ms) = listing.span;
        let committed = self.committed;
        let durable = |job: &Job| {
            let (due_ms, left) = job.next_at(committed)?;
            let is_meant = (from_ms..=until_ms).contains(&due_ms);
            is_meant.then_some((job.id?, (due_ms, left)))
        };
        listing.expected = self.agenda.jobs.iter().filter_map(durable).collect();
        self.agenda.requests.listing.insert(request.id, listing);
    }

    /// Whether what has come answers a BROWSE: then that goes to whoever asked.
    pub(super) fn is_listed(&mut self, due: &Due) -> bool {
        let Some(listing) = self.agenda.requests.listing.remove(&due.id) else {
            return false;
        };
        for (id, firing) in &listing.expected {
            let is_there = self
                .agenda
                .job(*id)
                .is_some_and(|job| job.next() == Some(*firing));
            assert!(
                !is_there || due.rows.iter().any(|row| row.key.id == *id),
                "{id:?} is scheduled all the time and was not listed"
            );
        }
        if !self.is_there(&listing.to) {
            trace::count("schedule: nobody to be answered");
            return true;
        }
        for row in &due.rows {
            self.answer(&listing, row);
        }
        true
    }

    /// One answer: the message as it was sent, and what is known of its time.
    fn answer(&mut self, listing: &Listing, row: &DueRow) {
        let (from_ms, until_ms) = listing.span;
        assert!(row.key.due_ms <= until_ms, "{row:?} comes later");
        let Some(job) = self.agenda.job(row.key.id) else {
            return;
        };
        if row.key.due_ms < from_ms || job.next().is_none() {
            return;
        }
        let shown = (row.key.due_ms, row.repeats_left);
        assert!(job.was(shown), "{row:?} is not when it fires");
        trace::count("schedule: listed");
        let facts = [
            ("scheduledJobId", name_of(row.key.id)),
            ("scheduledTime", row.key.due_ms.to_string()),
            ("scheduledRepeat", row.repeats_left.to_string()),
            ("scheduledText", job.text.clone()),
            ("scheduledDestination", job.place.to_string()),
        ];
        let mut lines = Vec::new();
        for (name, value) in facts {
            canonical::push_decoded(&mut lines, name.as_bytes(), value.as_bytes());
        }
        if let Some(id) = &listing.correlation_id {
            canonical::push_decoded(&mut lines, b"correlation-id", id);
        }
        let facts = Rc::clone(&job.facts);
        self.agenda.firings += 1;
        let facts = Rc::new(facts.as_answer(self.agenda.firings, lines));
        self.route(&listing.to, &facts, 0);
    }
}
