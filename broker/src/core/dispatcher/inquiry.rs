//! What the console asks for that only the store knows: an inquiry is taken in, and its finding is there some turns later.
//!
//! *Invariants*. Each inquiry that is taken in has one finding. No more than [`INQUIRIES_MAX`] are under way: others are
//! not taken.

use std::collections::VecDeque;

use stompbox_console::{ScheduledPage, ScheduledQuery, ScheduledView};
use stompbox_store::{
    DueKey, Haste, ScheduleFilter, ScheduleId, ScheduleList, ScheduleListRequest, Ticket,
};

use super::Dispatcher;
use super::effect::Read;
use super::scheduler::{Job, id_of, name_of};
use crate::core::message::Priority;

/// Inquiries that may be under way.
const INQUIRIES_MAX: usize = 256;

/// Items of a page when the query names no limit, and at the most.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;

/// Names an inquiry for the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InquiryId(u64);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inquiry {
    /// What is scheduled.
    Scheduled(ScheduledQuery),
    /// That this is not scheduled any more.
    Unschedule(String),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// What is scheduled.
    Scheduled(ScheduledPage),
    /// Whether it was scheduled; it is not, and that is stored.
    Cancelled(bool),
}

/// What an inquiry wants of what the store lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    List,
    Removal,
}

/// Inquiries that are under way.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    last: u64,
    count: usize,
    /// Findings that hold when the watermark has reached their ticket.
    awaited: VecDeque<(Ticket, InquiryId)>,
    found: Vec<(InquiryId, Finding)>,
}

impl Dispatcher {
    /// Takes an inquiry in; none when too many are under way.
    pub fn inquire(&mut self, inquiry: Inquiry) -> Option<InquiryId> {
        if self.inquiries.count >= INQUIRIES_MAX {
            return None;
        }
        self.inquiries.last += 1;
        self.inquiries.count += 1;
        let id = InquiryId(self.inquiries.last);
        match inquiry {
            Inquiry::Scheduled(query) => {
                let after = query.after.as_deref().and_then(key_of);
                let limit = query.limit.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX);
                self.list_for_inquiry(id, Wanted::List, ScheduleFilter::All, after, limit);
            }
            Inquiry::Unschedule(name) => match id_of(&name) {
                Some(scheduled) => {
                    let filter = ScheduleFilter::One(scheduled);
                    self.list_for_inquiry(id, Wanted::Removal, filter, None, 1);
                }
                None => self.answer_inquiry(id, Finding::Cancelled(false)),
            },
        }
        Some(id)
    }

    fn list_for_inquiry(
        &mut self,
        id: InquiryId,
        wanted: Wanted,
        filter: ScheduleFilter,
        after: Option<DueKey>,
        rows_max: usize,
    ) {
        let page = self.new_page();
        self.jobs.insert(page, Job::Inquiry(id, wanted));
        self.reads.push(Read::Schedule(ScheduleListRequest {
            id: page,
            filter,
            after,
            rows_max,
        }));
    }

    /// The store has listed what an inquiry asked for.
    pub(super) fn found_for_inquiry(&mut self, id: InquiryId, wanted: Wanted, list: &ScheduleList) {
        match (wanted, list.rows.first()) {
            (Wanted::List, _) => {
                let page = self.page_of(list);
                self.answer_inquiry(id, Finding::Scheduled(page));
            }
            (Wanted::Removal, None) => self.answer_inquiry(id, Finding::Cancelled(false)),
            (Wanted::Removal, Some(row)) => {
                self.unschedule(row.key.id, row.destination);
                self.batch.haste = Haste::Awaited;
                self.inquiries.awaited.push_back((self.next_ticket, id));
            }
        }
    }

    fn page_of(&self, list: &ScheduleList) -> ScheduledPage {
        let last = list.rows.last().filter(|_| !list.exhausted);
        let view = |row: &stompbox_store::ScheduleListRow| ScheduledView {
            id: name_of(row.key.id),
            due_ms: row.key.due_ms,
            repeats_left: row.repeats_left,
            schedule: row.text.to_string(),
            destination: self.wire_of(row.destination),
            priority: Priority::of(row.rank).get(),
            expires_ms: row.expires_ms,
            bytes: row.bytes,
        };
        ScheduledPage {
            total: self.agenda.count(),
            items: list.rows.iter().map(view).collect(),
            next: last.map(|row| format!("{}-{}", row.key.due_ms, name_of(row.key.id))),
        }
    }

    /// What was taken off the schedule up to here is stored.
    pub(super) fn inquiries_hold(&mut self, ticket: Ticket) {
        while let Some((_, id)) = self
            .inquiries
            .awaited
            .pop_front_if(|(awaited, _)| *awaited <= ticket)
        {
            self.answer_inquiry(id, Finding::Cancelled(true));
        }
    }

    fn answer_inquiry(&mut self, id: InquiryId, finding: Finding) {
        self.inquiries.count -= 1;
        self.inquiries.found.push((id, finding));
    }

    /// What was found since the last time.
    pub fn drain_findings(&mut self) -> Vec<(InquiryId, Finding)> {
        std::mem::take(&mut self.inquiries.found)
    }
}

/// Where a page goes on: what `next` of the one before said.
fn key_of(text: &str) -> Option<DueKey> {
    let (due_ms, id) = text.split_once('-')?;
    let id: ScheduleId = id_of(id)?;
    Some(DueKey {
        due_ms: due_ms.parse().ok()?,
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_goes_on_where_the_one_before_ended() {
        let id = id_of("7-12").expect("a name");
        assert_eq!(key_of("99-7-12"), Some(DueKey { due_ms: 99, id }));
        for text in ["", "99", "99-7", "x-7-12"] {
            assert_eq!(key_of(text), None, "{text}");
        }
    }
}
