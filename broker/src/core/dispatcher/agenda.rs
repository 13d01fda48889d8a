//! Messages that are to be delivered later (dialect, SEND: the schedule headers). They are in the store; when the time
//! of some has come they are read, and each firing is one change: the message into its destination, and out of the
//! schedule or on to its next time.
//!
//! Owns when to look next. *Invariants.* A firing is not seen before it is durable: a crash would fire it again. What was
//! fired is not read again: a round begins when everything that changed the schedule before is durable, and goes on
//! behind the last row.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use stompbox_store::{
    DestinationId, Due, DueKey, DueRequest, DueRow, Haste, Medium, MessageNumber, Operation,
    PageId, PageRow, Recovered, ScheduleFilter, ScheduleId, ScheduleList, ScheduleListRequest,
    ScheduleRecord, Sender, Sequence, Ticket,
};

use super::effect::{Promise, Read};
use super::full::{NOBODY, Undo};
use super::publish::{AllPlaced, Places, Routing};
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::message::{DeliveryMode, Later, Message, Priority, Publication, Target};
use crate::core::port::{ConnectionId, Refusal};
use crate::core::schedule::{Firing, Repeats, Schedule};

/// Messages that one look takes, and bytes of them: the others' requests come in between.
const ROWS_MAX: usize = 1_000;
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// How soon the clock is looked at again while anything is scheduled: it may be set forwards.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the store's text says before the schedule of a message that was sent as non-persistent.
const NON_PERSISTENT: &str = "non-persistent ";

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// What is due.
    Due,
    /// When the next one is.
    Next,
}

/// Where a round stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle,
    /// The watermark has to reach this first.
    Waiting(Aim, Ticket),
    Reading(Aim, PageId),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Agenda {
    /// When the next one is due, as far as is known; never later.
    next_due_ms: Option<i64>,
    step: Step,
    /// The last batch that changed the schedule.
    last_ticket: Ticket,
    count: u64,
    /// What was taken off, where it was to go, and the batch that says so: what is read before that is durable still shows
    /// it.
    gone: FxHashMap<ScheduleId, (DestinationId, Ticket)>,
}

impl Agenda {
    pub(super) fn recovered(recovered: &Recovered) -> Self {
        Self {
            next_due_ms: recovered.next_due_ms,
            step: Step::Idle,
            last_ticket: Ticket(0),
            count: recovered.scheduled.iter().map(|tally| tally.count).sum(),
            gone: FxHashMap::default(),
        }
    }

    /// Messages that are scheduled.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn comes(&mut self, due_ms: i64) {
        self.next_due_ms = Some(self.next_due_ms.map_or(due_ms, |next| next.min(due_ms)));
    }

    /// Whether what was read shows something that is no longer there.
    pub(super) fn is_gone(&self, id: ScheduleId) -> bool {
        self.gone.contains_key(&id)
    }
}

impl Dispatcher {
    /// Whether what is sent there can be kept until its time.
    ///
    /// # Errors
    /// When one of them is temporary: nothing of those is stored.
    pub(super) fn check_schedulable(&self, target: &Target) -> Result<(), Refusal> {
        match target.names().iter().find(|name| name.is_temporary()) {
            None => Ok(()),
            Some(_) => Err(Refusal::new(
                "temporary destinations have no schedule",
                "a message to a temporary destination cannot be delivered later, since nothing of theirs is stored: \
                 send it without delay, or to another destination",
            )),
        }
    }

    /// Keeps a message until its time, one row for each of its destinations.
    pub(super) fn schedule(
        &mut self,
        places: &[Place],
        publication: &Publication,
        number: MessageNumber,
        later: &Later,
        sender: Sender,
        now: Now,
    ) -> Promise {
        let mode = publication.mode;
        let text = match mode {
            DeliveryMode::Persistent => later.schedule.to_string(),
            DeliveryMode::NonPersistent => format!("{NON_PERSISTENT}{}", later.schedule),
        };
        for place in places {
            let destination = match *place {
                Place::Queue(key) => {
                    let queue = &mut self.queues[key.0];
                    queue.scheduled_count += 1;
                    queue.id
                }
                Place::Topic(key) => {
                    self.topics[key.0].is_scheduled_for = true;
                    self.store_topic(key, now)
                }
            };
            let id = ScheduleId(self.next_sequence().0);
            self.batch
                .operations
                .push(Operation::Schedule(ScheduleRecord {
                    id,
                    due_ms: later.firing.due_ms,
                    repeats_left: later.firing.left.number(),
                    text: text.as_str().into(),
                    destination,
                    rank: publication.message.priority.rank(),
                    number,
                    payload: Arc::clone(&publication.message) as Arc<_>,
                    timestamp_ms: publication.message.timestamp_ms,
                    expires_ms: publication.expires_ms,
                    sender,
                }));
            self.agenda.count += 1;
        }
        self.agenda.last_ticket = self.next_ticket;
        self.agenda.comes(later.firing.due_ms);
        match mode {
            DeliveryMode::Persistent => Promise::WithAppend,
            DeliveryMode::NonPersistent => Promise::Kept,
        }
    }

    /// Takes a message off the schedule, if it is there.
    pub(super) fn unschedule(&mut self, id: ScheduleId, destination: DestinationId) {
        if self.agenda.is_gone(id) {
            return;
        }
        self.agenda.gone.insert(id, (destination, self.next_ticket));
        self.batch.operations.push(Operation::Unschedule(id));
        self.agenda.last_ticket = self.next_ticket;
        self.count_out_scheduled(destination);
    }

    /// A message is no longer scheduled, or has never come to be.
    pub(super) fn count_out_scheduled(&mut self, destination: DestinationId) {
        self.agenda.count = self.agenda.count.saturating_sub(1);
        if let Some(key) = self.queue_ids.get(&destination) {
            let queue = &mut self.queues[key.0];
            queue.scheduled_count = queue.scheduled_count.saturating_sub(1);
        }
    }

    /// What was taken out in a batch that was refused is still there.
    pub(super) fn is_scheduled_again(&mut self, id: ScheduleId) {
        self.agenda.count += 1;
        let gone = self.agenda.gone.remove(&id);
        if let Some(key) = gone.and_then(|(destination, _)| self.queue_ids.get(&destination)) {
            self.queues[key.0].scheduled_count += 1;
        }
    }

    /// When the schedule wants a turn.
    pub(super) fn next_firing(&self, now: Now) -> Option<Duration> {
        let due_ms = self.agenda.next_due_ms?;
        if self.agenda.step != Step::Idle || self.is_disk_full {
            return None;
        }
        let left_ms = due_ms.saturating_sub(now.wall_ms).max(0);
        let left = Duration::from_millis(left_ms.unsigned_abs());
        Some(now.uptime + left.min(LOOK_EVERY))
    }

    /// Begins a round if something is due. On a full disk nothing could be fired.
    pub(super) fn look_at_agenda(&mut self, now: Now) {
        let is_due = self
            .agenda
            .next_due_ms
            .is_some_and(|due_ms| due_ms <= now.wall_ms);
        if self.agenda.step == Step::Idle && is_due && !self.is_disk_full {
            self.look_when_durable(Aim::Due, now);
        }
    }

    fn look_when_durable(&mut self, aim: Aim, now: Now) {
        self.agenda.step = Step::Waiting(aim, self.agenda.last_ticket);
        self.batch.haste = Haste::Awaited;
        self.go_on_with_agenda(now);
    }

    /// The watermark has risen.
    pub(super) fn go_on_with_agenda(&mut self, now: Now) {
        self.forget_gone();
        let Step::Waiting(aim, ticket) = self.agenda.step else {
            return;
        };
        if ticket > self.watermark {
            return;
        }
        match aim {
            Aim::Due => self.read_due(None, now),
            Aim::Next => {
                let id = self.new_page();
                self.agenda.step = Step::Reading(aim, id);
                self.reads.push(Read::Schedule(ScheduleListRequest {
                    id,
                    filter: ScheduleFilter::All,
                    after: None,
                    rows_max: 1,
                }));
            }
        }
    }

    fn read_due(&mut self, after: Option<DueKey>, now: Now) {
        let id = self.new_page();
        self.agenda.step = Step::Reading(Aim::Due, id);
        self.reads.push(Read::Due(DueRequest {
            id,
            after,
            until_ms: now.wall_ms,
            rows_max: ROWS_MAX,
            bytes_max: BYTES_MAX,
        }));
    }

    pub(super) fn new_page(&mut self) -> PageId {
        let id = self.next_page;
        self.next_page = PageId(id.0 + 1);
        id
    }

    /// Messages have come whose time it is.
    pub(super) fn due_came(&mut self, due: Due, now: Now) {
        if self.agenda.step != Step::Reading(Aim::Due, due.id) {
            return self.jobs_came(due, now);
        }
        let last = due.rows.last().map(|row| row.key);
        let last = last.max(due.quarantined.iter().max().copied());
        for key in &due.quarantined {
            tracing::error!(
                schedule = key.id.0,
                "a scheduled message was damaged and has been put aside; see table quarantine"
            );
            self.agenda.count = self.agenda.count.saturating_sub(1);
        }
        if self.is_disk_full {
            self.agenda.step = Step::Idle;
            return;
        }
        for row in due.rows {
            let fired = row.key;
            // It may have been cancelled while it was read.
            if !self.agenda.is_gone(fired.id) {
                self.fire(row, now);
            }
            if self.burst.is_spent() {
                return self.read_due(Some(fired), now);
            }
        }
        if due.exhausted {
            // What is scheduled from here on says so itself: it need not be durable when the next one is looked for.
            self.agenda.next_due_ms = None;
            self.look_when_durable(Aim::Next, now);
        } else {
            self.read_due(last, now);
        }
    }

    /// It is known when the next one is due.
    pub(super) fn schedule_came(&mut self, list: &ScheduleList, now: Now) {
        if self.agenda.step != Step::Reading(Aim::Next, list.id) {
            return self.listing_came(list, now);
        }
        self.agenda.step = Step::Idle;
        if let Some(row) = list.rows.first() {
            self.agenda.comes(row.key.due_ms);
        }
        self.look_at_agenda(now);
    }

    /// Unless something is being read, nothing shows any more what has durably gone.
    fn forget_gone(&mut self) {
        if self.agenda.step == Step::Idle && self.jobs.is_empty() {
            let watermark = self.watermark;
            self.agenda
                .gone
                .retain(|_, (_, ticket)| *ticket > watermark);
        }
    }

    /// The disk has room again: what was due and could not be fired is looked for.
    pub(super) fn agenda_resumes(&mut self, now: Now) {
        if self.agenda.count > 0 {
            self.agenda.comes(now.wall_ms);
        }
    }

    fn fire(&mut self, row: DueRow, now: Now) {
        let queue = self.queue_ids.get(&row.destination);
        let topic = self.topic_ids.get(&row.destination);
        let place = match (queue, topic) {
            (Some(key), _) => Place::Queue(*key),
            (None, Some(key)) => Place::Topic(*key),
            (None, None) => return self.unschedule(row.key.id, row.destination),
        };
        let next = self.firing_after(&row, now);
        let start = self.batch.operations.len();
        let sequence = self.next_sequence();
        let number = match next {
            Some(_) => MessageNumber(sequence.0),
            None => row.number,
        };
        let (id, destination) = (row.key.id, row.destination);
        let publication = self.publication_of(place, row, now);
        let routing = Routing {
            sender: NOBODY,
            visible_after: self.next_ticket,
        };
        let mut placed = AllPlaced::new();
        self.replaced.clear();
        self.counters.enqueued += 1;
        let to = self.forward(Places::from_slice(&[place]), &publication);
        self.publish_as(
            &to,
            publication,
            (sequence, number),
            routing,
            &mut placed,
            now,
        );
        match next {
            None => self.unschedule(id, destination),
            Some(firing) => {
                self.batch.operations.push(Operation::Reschedule {
                    id,
                    due_ms: firing.due_ms,
                    repeats_left: firing.left.number(),
                });
                self.agenda.last_ticket = self.next_ticket;
            }
        }
        let undo = Undo::Commit {
            connection: ConnectionId(NOBODY.0),
            placed,
            acknowledged: std::mem::take(&mut self.replaced),
        };
        self.as_one(start, undo);
    }

    fn firing_after(&self, row: &DueRow, now: Now) -> Option<Firing> {
        let text = row.text.strip_prefix(NON_PERSISTENT).unwrap_or(&row.text);
        let schedule: Schedule = text
            .parse()
            .inspect_err(|error| {
                tracing::error!(schedule = row.key.id.0, %error,
                    "a stored schedule cannot be read: its message comes this once");
            })
            .ok()?;
        let fired = Firing {
            due_ms: row.key.due_ms,
            left: Repeats::from_number(row.repeats_left).unwrap_or(Repeats::NONE),
        };
        schedule.next(fired, now.wall_ms, &self.settings.zone)
    }

    fn publication_of(&self, place: Place, row: DueRow, now: Now) -> Publication {
        let name = match place {
            Place::Queue(key) => &self.queues[key.0].name,
            Place::Topic(key) => &self.topics[key.0].name,
        };
        let mode = if row.text.starts_with(NON_PERSISTENT) {
            DeliveryMode::NonPersistent
        } else {
            DeliveryMode::Persistent
        };
        let (priority, expires_ms) = (Priority::of(row.rank), row.expires_ms);
        let row = PageRow {
            sequence: Sequence(row.number.0),
            number: row.number,
            timestamp_ms: row.timestamp_ms,
            expires_ms,
            deliveries: 0,
            failures: 0,
            annotations: Box::default(),
            data: row.data,
            head_bytes: row.head_bytes,
            medium: Medium::Database,
            tag: 0,
        };
        Publication {
            target: Target::One(Arc::clone(name)),
            message: Arc::new(Message::from_page(row, priority, &self.settings.budget)),
            mode,
            expires_ms,
            sent_ms: now.wall_ms,
            later: None,
            duplicate_id: None,
        }
    }
}
