//! What is to be delivered later: when it fires, how often, and that it does so once.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use stompbox_broker::core::message::{Later, Message, Publication};
use stompbox_protocol::canonical;
use stompbox_store::{
    DestinationId, Due, DueRow, Recovered, ScheduleId, ScheduleList, ScheduleListRequest,
    ScheduleRecord, ScheduleTally,
};

use super::Model;
use super::entry::Facts;
use crate::trace;

/// Where requests are sent to manage the schedule.
pub(super) const MANAGEMENT: &str = "/topic/ActiveMQ.Scheduler.Management";

/// When a message fires next, and how often after that; -1 is for ever.
type Firing = (i64, i64);

/// A message that is to be delivered later.
#[derive(Debug)]
pub(super) struct Job {
    facts: Rc<Facts>,
    place: Rc<str>,
    period_ms: i64,
    was_cancelled: bool,
    id: Option<ScheduleId>,
    /// What the store has after each ticket: only the latest durable one and those behind it.
    history: Vec<(u64, Option<Firing>)>,
}

impl Job {
    fn next(&self) -> Option<Firing> {
        self.history.last().and_then(|(_, next)| *next)
    }
}

/// Times between which scheduled messages are taken off.
type Span = (i64, i64);

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    jobs: Vec<Job>,
    /// Counts those that are messages of their own.
    firings: u32,
    /// Removals whose read has not been seen yet, and those that are read.
    removals: VecDeque<Span>,
    reading: BTreeMap<stompbox_store::PageId, Span>,
    /// What the store has still to be told in this turn: the next time, or that it is gone.
    changes: VecDeque<(ScheduleId, Option<Firing>)>,
}

impl Model {
    /// A message is kept until its time, for each of its destinations.
    pub(super) fn schedule(
        &mut self,
        publication: &Publication,
        facts: &Rc<Facts>,
        to: &[Rc<str>],
    ) {
        let Later { schedule, firing } = &**publication.later.as_ref().expect("it is for later");
        for place in to {
            trace::count("schedule: booked");
            let next = (firing.due_ms, firing.left.number());
            let job = Job {
                facts: Rc::clone(facts),
                place: Rc::clone(place),
                period_ms: schedule.period_ms(),
                was_cancelled: false,
                id: None,
                history: vec![(self.ticket, Some(next))],
            };
            self.agenda.jobs.push(job);
        }
    }

    fn name_of(&self, destination: DestinationId) -> Rc<str> {
        match self.topic_ids.get(&destination) {
            Some(topic) => Rc::clone(topic),
            None => Rc::clone(&self.queues[self.by_id[&destination]].name),
        }
    }

    /// The store is told of it.
    pub(super) fn booked(&mut self, record: &ScheduleRecord) {
        trace::count("store: schedule");
        let place = self.name_of(record.destination);
        let message = super::entry::message_of(record.payload.body());
        let ticket = self.ticket;
        let is_it = |job: &&mut Job| {
            job.id.is_none()
                && job.facts.id == message
                && job.place == place
                && job.history.last().is_some_and(|(made, _)| *made == ticket)
        };
        let Some(job) = self.agenda.jobs.iter_mut().find(is_it) else {
            panic!("nobody scheduled {record:?}");
        };
        let asked = job.next();
        assert_eq!(
            Some((record.due_ms, record.repeats_left)),
            asked,
            "{message:?}"
        );
        assert_eq!(usize::from(record.rank.0), job.facts.rank, "{message:?}");
        assert_eq!(record.expires_ms, job.facts.expires_ms, "{message:?}");
        job.id = Some(record.id);
        self.is_numbered((message, 0), record.number);
    }

    /// Messages have come whose time it is.
    pub(crate) fn due_came(&mut self, due: &Due) {
        for row in &due.rows {
            // It may have been cancelled since it was read.
            let mut jobs = self.agenda.jobs.iter();
            let job = jobs.find(|job| job.id == Some(row.key.id));
            if job.is_some_and(|job| job.was_cancelled && job.next().is_none()) {
                trace::count("schedule: cancelled while it was read");
                continue;
            }
            self.fire(row);
        }
    }

    fn fire(&mut self, row: &DueRow) {
        let (now_ms, ticket) = (self.now.wall_ms, self.ticket);
        let is_it = |job: &&mut Job| job.id == Some(row.key.id);
        let job = self.agenda.jobs.iter_mut().find(is_it);
        let Some((job, (due_ms, left))) = job.and_then(|job| job.next().map(|next| (job, next)))
        else {
            panic!("{row:?} fires although it has gone, fired or cancelled");
        };
        assert_eq!(
            row.key.due_ms, due_ms,
            "{:?} has another time",
            job.facts.id
        );
        assert!(due_ms <= now_ms, "{:?} comes too early", job.facts.id);
        trace::count(match left {
            0 => "schedule: fired",
            _ => "schedule: fired, to come again",
        });
        let mut again = due_ms;
        while left != 0 && job.period_ms > 0 && again <= now_ms {
            again += job.period_ms;
        }
        let next = (left != 0).then_some((again, if left > 0 { left - 1 } else { left }));
        job.history.push((ticket, next));
        // The last one is the message itself.
        let firing = match next {
            Some(_) => {
                self.agenda.firings += 1;
                self.agenda.firings
            }
            None => 0,
        };
        let facts = Rc::new(job.facts.as_fired(firing));
        let place = Rc::clone(&job.place);
        self.agenda.changes.push_back((row.key.id, next));
        self.route(&place, &facts, ticket);
    }

    /// The store is told when it fires next, or that it is gone.
    pub(super) fn rebooked(&mut self, id: ScheduleId, next: Option<Firing>) {
        let asked = self.agenda.changes.pop_front();
        assert_eq!(asked, Some((id, next)), "a change of the schedule");
    }

    /// A SEND that takes off what fires between two times.
    pub(super) fn thin_out(&mut self, message: &Message) {
        let time = |name: &[u8]| {
            let value = canonical::find(message.head(), name)?;
            std::str::from_utf8(&value).ok()?.parse().ok()
        };
        let from_ms = time(b"AMQ_SCHEDULER_ACTION_START_TIME").unwrap_or(0);
        let until_ms = time(b"AMQ_SCHEDULER_ACTION_END_TIME").unwrap_or(i64::MAX);
        self.agenda.removals.push_back((from_ms, until_ms));
    }

    /// The schedule is looked through: for when the next one fires, or for what to take off.
    pub(crate) fn schedule_asked_for(&mut self, request: &ScheduleListRequest) {
        if request.rows_max > 1 {
            let span = self.agenda.removals.pop_front();
            let span = span.expect("somebody asked for a removal");
            self.agenda.reading.insert(request.id, span);
        }
    }

    /// What is scheduled has been read.
    pub(crate) fn schedule_came(&mut self, list: &ScheduleList) {
        let Some((from_ms, until_ms)) = self.agenda.reading.remove(&list.id) else {
            return;
        };
        let ticket = self.ticket;
        for row in &list.rows {
            if !(from_ms..=until_ms).contains(&row.key.due_ms) {
                continue;
            }
            // It may have fired since it was read.
            let mut jobs = self.agenda.jobs.iter_mut();
            let job = jobs.find(|job| job.id == Some(row.key.id));
            if let Some(job) = job.filter(|job| job.next().is_some()) {
                trace::count("schedule: taken off");
                job.history.push((ticket, None));
                job.was_cancelled = true;
                self.agenda.changes.push_back((row.key.id, None));
            }
        }
    }

    pub(super) fn end_turn_of_schedule(&mut self) {
        let changes = &self.agenda.changes;
        assert!(changes.is_empty(), "not told the store: {changes:?}");
        let committed = self.committed;
        for job in &mut self.agenda.jobs {
            assert!(job.id.is_some(), "{:?} was not stored", job.facts.id);
            if let Some(durable) = job.history.iter().rposition(|(at, _)| *at <= committed) {
                job.history.drain(..durable);
            }
        }
        // What was cancelled may still be read.
        self.agenda.jobs.retain(|job| {
            let is_over = matches!(&job.history[..], [(at, None)] if *at <= committed);
            !is_over || job.was_cancelled
        });
    }

    /// At rest nothing is due. The console counts what is scheduled.
    pub(super) fn check_schedule(&self, scheduled: u64, is_at_rest: bool) {
        let live = self.agenda.jobs.iter().filter_map(Job::next);
        assert_eq!(scheduled, live.clone().count() as u64, "what is scheduled");
        for (due_ms, _) in live {
            assert!(
                !is_at_rest || due_ms > self.now.wall_ms,
                "what is due since {due_ms} has not fired"
            );
        }
    }

    /// What was committed is scheduled.
    pub(super) fn restart_schedule(&mut self, recovered: &Recovered) {
        let committed = self.committed;
        self.agenda.removals.clear();
        self.agenda.reading.clear();
        self.agenda.changes.clear();
        for job in &mut self.agenda.jobs {
            job.history.retain(|(at, _)| *at <= committed);
            let next = job.next();
            job.history = vec![(0, next)];
            job.was_cancelled = false;
        }
        self.agenda.jobs.retain(|job| job.next().is_some());
        let due = self.agenda.jobs.iter().filter_map(Job::next);
        assert_eq!(recovered.next_due_ms, due.map(|(due_ms, _)| due_ms).min());
        let mut expected: BTreeMap<DestinationId, (u64, u64)> = BTreeMap::new();
        let ids = recovered.destinations.iter().map(|record| record.id);
        let by_name: BTreeMap<Rc<str>, DestinationId> =
            ids.map(|id| (self.name_of(id), id)).collect();
        for job in &self.agenda.jobs {
            let tally = expected.entry(by_name[&job.place]).or_default();
            tally.0 += 1;
            tally.1 += job.facts.bytes as u64;
        }
        let tallies = recovered.scheduled.iter();
        let found: BTreeMap<DestinationId, (u64, u64)> = tallies
            .map(
                |ScheduleTally {
                     destination,
                     count,
                     bytes,
                 }| (*destination, (*count, *bytes)),
            )
            .collect();
        assert_eq!(found, expected, "what is scheduled after a restart");
    }
}
