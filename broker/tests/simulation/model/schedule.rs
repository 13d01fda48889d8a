//! What is to be delivered later: when it fires, how often, and that it does so once.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use stompbox_broker::core::message::{Later, Publication};
use stompbox_broker::core::schedule::Schedule;
use stompbox_store::{
    DestinationId, Due, DueRow, Recovered, ScheduleId, ScheduleRecord, ScheduleTally,
};

use super::Model;
use super::entry::Facts;
use super::manage::Requests;
use crate::cron;
use crate::trace;

/// Where requests are sent to manage the schedule.
pub(super) const MANAGEMENT: &str = "/topic/ActiveMQ.Scheduler.Management";

/// When a message fires next, and how often after that; -1 is for ever.
pub(super) type Firing = (i64, i64);

/// A message that is to be delivered later.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) facts: Rc<Facts>,
    pub(super) place: Rc<str>,
    schedule: Schedule,
    /// The same as listings say it.
    pub(super) text: String,
    was_cancelled: bool,
    pub(super) id: Option<ScheduleId>,
    /// When it has fired.
    past: Vec<Firing>,
    /// What the store has after each ticket: only the latest durable one and those behind it.
    history: Vec<(u64, Option<Firing>)>,
}

impl Job {
    pub(super) fn next(&self) -> Option<Firing> {
        self.history.last().and_then(|(_, next)| *next)
    }

    /// What the store has when this ticket is durable.
    pub(super) fn next_at(&self, ticket: u64) -> Option<Firing> {
        let known = self.history.iter().rev().find(|(at, _)| *at <= ticket);
        known.and_then(|(_, next)| *next)
    }

    /// Whether the store has it so, or had a moment ago.
    pub(super) fn was(&self, firing: Firing) -> bool {
        self.next() == Some(firing) || self.past.contains(&firing)
    }
}

/// From a time on, be it of the SEND or of cron, so long it takes to the first firing.
fn first_ms(schedule: &Schedule) -> i64 {
    match schedule.delay_ms() {
        0 => schedule.period_ms(),
        delay_ms => delay_ms,
    }
}

/// When a message fires first.
fn first_firing(schedule: &Schedule, sent_ms: i64, zone_s: i64) -> Firing {
    let start_ms = match schedule.cron() {
        Some(cron) => cron::next_after(cron.text(), sent_ms, zone_s),
        None => sent_ms,
    };
    let due_ms = start_ms + first_ms(schedule);
    (due_ms, schedule.repeats().number())
}

/// When it fires after a firing that happens now: what was missed is left out.
fn next_firing(
    schedule: &Schedule,
    (due_ms, left): Firing,
    now_ms: i64,
    zone_s: i64,
) -> Option<Firing> {
    let mut again_ms = due_ms;
    while schedule.period_ms() > 0 && again_ms <= now_ms {
        again_ms += schedule.period_ms();
    }
    let repeat = (left != 0).then_some((again_ms, if left > 0 { left - 1 } else { left }));
    let Some(cron) = schedule.cron() else {
        return repeat;
    };
    let first_ms = first_ms(schedule);
    let start_ms = cron::next_after(cron.text(), now_ms - first_ms, zone_s);
    let anew = (start_ms + first_ms, schedule.repeats().number());
    repeat
        .filter(|(again_ms, _)| *again_ms < anew.0)
        .or(Some(anew))
}

/// Times between which scheduled messages are taken off.
pub(super) type Span = (i64, i64);

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    pub(super) jobs: Vec<Job>,
    /// Counts those that are messages of their own, and answers to listings.
    pub(super) firings: u32,
    pub(super) requests: Requests,
    /// Where cron is read: seconds east of Greenwich.
    zone_s: i64,
    /// What the store has still to be told in this turn: the next time, or that it is gone.
    changes: VecDeque<(ScheduleId, Option<Firing>)>,
}

impl Agenda {
    pub(super) fn job(&self, id: ScheduleId) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == Some(id))
    }

    fn job_mut(&mut self, id: ScheduleId) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == Some(id))
    }
}

impl Model {
    /// Cron is read in this zone.
    pub(crate) fn in_zone(mut self, zone_s: i64) -> Self {
        self.agenda.zone_s = zone_s;
        self
    }

    /// A message is kept until its time, for each of its destinations.
    pub(super) fn schedule(
        &mut self,
        publication: &Publication,
        facts: &Rc<Facts>,
        to: &[Rc<str>],
    ) {
        let Later { schedule, firing } = &**publication.later.as_ref().expect("it is for later");
        let next = (firing.due_ms, firing.left.number());
        let expected = first_firing(schedule, publication.sent_ms, self.agenda.zone_s);
        assert_eq!(next, expected, "{:?}: its first time", facts.id);
        let text = match facts.is_persistent {
            true => schedule.to_string(),
            false => format!("non-persistent {schedule}"),
        };
        for place in to {
            trace::count(match schedule.cron() {
                Some(_) => "schedule: booked by cron",
                None => "schedule: booked",
            });
            let job = Job {
                facts: Rc::clone(facts),
                place: Rc::clone(place),
                schedule: schedule.clone(),
                text: text.clone(),
                was_cancelled: false,
                id: None,
                past: Vec::new(),
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
        if self.is_listed(due) {
            return;
        }
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
        let zone_s = self.agenda.zone_s;
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
        let next = next_firing(&job.schedule, (due_ms, left), now_ms, zone_s);
        trace::count(match (next, job.schedule.cron()) {
            (None, _) => "schedule: fired",
            (Some(_), None) => "schedule: fired, to come again",
            (Some(_), Some(_)) => "schedule: fired by cron",
        });
        job.past.push((due_ms, left));
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
        for name in self.forward(&[place], &facts) {
            self.route(&name, &facts, ticket);
        }
    }

    /// The store is told when it fires next, or that it is gone.
    pub(super) fn rebooked(&mut self, id: ScheduleId, next: Option<Firing>) {
        let asked = self.agenda.changes.pop_front();
        assert_eq!(asked, Some((id, next)), "a change of the schedule");
    }

    /// Takes a message off, if it is there. The store is to be told in this turn.
    pub(super) fn take_off(&mut self, id: ScheduleId) -> bool {
        let ticket = self.ticket;
        let job = self.agenda.job_mut(id).filter(|job| job.next().is_some());
        let Some(job) = job else { return false };
        job.history.push((ticket, None));
        job.was_cancelled = true;
        self.agenda.changes.push_back((id, None));
        true
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
        self.agenda.requests = Requests::default();
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
