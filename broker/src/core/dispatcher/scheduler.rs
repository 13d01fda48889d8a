//! Managing the schedule over messages, as ActiveMQ does: a SEND to `/topic/ActiveMQ.Scheduler.Management` with
//! `AMQ_SCHEDULER_ACTION` lists what is scheduled, to its `reply-to`, or takes it off.
//!
//! *Invariants.* A request goes into no topic. A listing answers with at most [`JOBS_MAX`] messages and says when there are
//! more; what removes many goes on page by page. No connection has more than [`REQUESTS_A_CONNECTION_MAX`] requests
//! under way, and the store reads [`LISTINGS_AT_ONCE`].

use std::collections::VecDeque;
use std::sync::Arc;

use stompbox_protocol::canonical;
use stompbox_store::{
    Due, DueKey, DueRequest, DueRow, PageId, ScheduleFilter, ScheduleId, ScheduleList,
    ScheduleListRequest, ScheduleListRow, Sequence,
};

use super::effect::Read;
use super::entry::AT_ONCE;
use super::flow::Blocker;
use super::full::NOBODY;
use super::inquiry::{InquiryId, Wanted};
use super::key::PeerKey;
use super::publish::{AllPlaced, Routing};
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::{DestinationName, is_schedule_topic, reply_name};
use crate::core::message::{
    Body, DeliveryMode, Message, Priority, Publication, Target, without_mark,
};
use crate::core::port::{ConnectionId, ReceiptId, Refusal, Request};

/// Messages that one listing answers with: the next one goes on with `AMQ_SCHEDULER_ACTION_START_TIME`.
const JOBS_MAX: usize = 1_000;
const JOBS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows that one step takes off.
const REMOVED_A_STEP: usize = 1_000;

/// Listings and removals that a connection may have under way.
const REQUESTS_A_CONNECTION_MAX: usize = 64;

/// Those of all connections; some that have gone may still be under way.
const REQUESTS_MAX: usize = 4_096;

/// Listings that the store is asked for at a time, so that what it has read and nobody has taken is at most so often
/// [`JOBS_BYTES_MAX`].
const LISTINGS_AT_ONCE: usize = 4;

const ACTION: &[u8] = b"AMQ_SCHEDULER_ACTION";
const JOB_ID: &str = "scheduledJobId";

/// A request that waits for the store.
#[derive(Debug)]
pub(super) enum Job {
    /// What is found goes there.
    List {
        connection: ConnectionId,
        to: Arc<DestinationName>,
        correlation_id: Option<Vec<u8>>,
        from_ms: i64,
    },
    /// The console asks.
    Inquiry(InquiryId, Wanted),
    /// What is found until then goes.
    Remove {
        connection: ConnectionId,
        from_ms: i64,
        until_ms: i64,
    },
    /// A connection waits to hear whether what its REMOVE names is there.
    Find(ConnectionId),
}

impl Job {
    /// Whose request it is, of those that are counted.
    fn requested_by(&self) -> Option<ConnectionId> {
        match self {
            Self::List { connection, .. } | Self::Remove { connection, .. } => Some(*connection),
            Self::Inquiry(..) | Self::Find(_) => None,
        }
    }
}

/// Listings on their way to the store.
#[derive(Debug, Default)]
pub(super) struct Listings {
    reading_count: usize,
    waiting: VecDeque<DueRequest>,
}

/// Whether a listing ends with a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// More is scheduled than it could name.
    More,
}

/// Whether a request has been acted on.
enum Step {
    Done,
    /// It comes again when the store has answered.
    Waits,
}

/// What a request asks for.
enum Action {
    List(Arc<DestinationName>),
    Remove(ScheduleId),
    RemoveAll,
}

impl Dispatcher {
    /// Whether a SEND is such a request.
    pub(super) fn is_for_scheduler(target: &Target) -> bool {
        matches!(target, Target::One(name) if is_schedule_topic(name))
    }

    /// A SEND that manages the schedule.
    pub(super) fn manage_schedule(
        &mut self,
        peer: PeerKey,
        publication: &Publication,
        receipt: Option<ReceiptId>,
    ) {
        let operations = self.batch.operations.len();
        match self.begin_job(peer, &publication.message) {
            Ok(Step::Waits) => {
                let send = Request::Send {
                    publication: publication.clone(),
                    receipt,
                };
                self.defer(peer, send, Blocker::Recall);
            }
            Ok(Step::Done) => {
                let promise = self.promise_since(operations);
                self.answer(peer, receipt, promise);
            }
            Err(refusal) => self.refuse(peer, refusal, receipt),
        }
    }

    fn begin_job(&mut self, peer: PeerKey, message: &Message) -> Result<Step, Refusal> {
        let head = message.head();
        let from_ms = time_in(head, "AMQ_SCHEDULER_ACTION_START_TIME")?.unwrap_or(0);
        let until_ms = time_in(head, "AMQ_SCHEDULER_ACTION_END_TIME")?.unwrap_or(i64::MAX);
        let action = action_in(head)?;
        if let Action::Remove(id) = action {
            return Ok(self.remove_if_there(peer, id));
        }
        let connection = self.peers[peer.0].connection;
        self.check_requests(connection)?;
        match action {
            Action::Remove(_) => {}
            Action::List(to) => {
                let id = self.new_page();
                let correlation_id = canonical::find(head, b"correlation-id");
                self.jobs.insert(
                    id,
                    Job::List {
                        connection,
                        to,
                        correlation_id: correlation_id.map(|id| id.into_owned()),
                        from_ms,
                    },
                );
                self.listings.waiting.push_back(DueRequest {
                    id,
                    after: before(from_ms),
                    until_ms,
                    rows_max: JOBS_MAX,
                    bytes_max: JOBS_BYTES_MAX,
                });
                self.read_listings();
            }
            Action::RemoveAll => {
                let job = Job::Remove {
                    connection,
                    from_ms,
                    until_ms,
                };
                self.find_to_remove(job, before(from_ms));
            }
        }
        Ok(Step::Done)
    }

    fn check_requests(&self, connection: ConnectionId) -> Result<(), Refusal> {
        let (mut own, mut all) = (0, 0);
        for requested_by in self.jobs.values().filter_map(Job::requested_by) {
            all += 1;
            own += usize::from(requested_by == connection);
        }
        let (count, whose) = match (own, all) {
            (REQUESTS_A_CONNECTION_MAX.., _) => (own, "of this connection "),
            (_, REQUESTS_MAX..) => (all, ""),
            _ => return Ok(()),
        };
        Err(Refusal::new(
            "too many requests of the schedule",
            format!(
                "{count} listings and removals {whose}are under way: send the next one when they are answered"
            ),
        ))
    }

    fn read_listings(&mut self) {
        while self.listings.reading_count < LISTINGS_AT_ONCE
            && let Some(request) = self.listings.waiting.pop_front()
        {
            self.listings.reading_count += 1;
            self.reads.push(Read::Due(request));
        }
    }

    /// Only the store knows what is scheduled: what is not there must not be counted out.
    fn remove_if_there(&mut self, peer: PeerKey, id: ScheduleId) -> Step {
        match self.peers[peer.0].was_found.take() {
            Some(Some(destination)) => self.unschedule(id, destination),
            Some(None) => {}
            None => {
                let page = self.new_page();
                let connection = self.peers[peer.0].connection;
                self.jobs.insert(page, Job::Find(connection));
                self.reads.push(Read::Schedule(ScheduleListRequest {
                    id: page,
                    filter: ScheduleFilter::One(id),
                    after: None,
                    rows_max: 1,
                }));
                return Step::Waits;
            }
        }
        Step::Done
    }

    /// It is known whether what a REMOVE names is there: its connection goes on.
    fn found_for_removal(&mut self, connection: ConnectionId, list: &ScheduleList, now: Now) {
        if let Some(peer) = self.connections.get(&connection) {
            self.peers[peer.0].was_found = Some(list.rows.first().map(|row| row.destination));
            self.resume_deferred(connection, now);
        }
    }

    fn find_to_remove(&mut self, job: Job, after: Option<DueKey>) {
        let id: PageId = self.new_page();
        self.jobs.insert(id, job);
        self.reads.push(Read::Schedule(ScheduleListRequest {
            id,
            filter: ScheduleFilter::All,
            after,
            rows_max: REMOVED_A_STEP,
        }));
    }

    /// Scheduled messages have come that somebody asked for.
    pub(super) fn jobs_came(&mut self, due: Due, now: Now) {
        let Some(Job::List {
            to,
            correlation_id,
            from_ms,
            ..
        }) = self.jobs.remove(&due.id)
        else {
            return;
        };
        self.listings.reading_count -= 1;
        self.read_listings();
        let Ok(Some(place)) = self.ensure(&to, now) else {
            self.counters.dropped += 1;
            return;
        };
        let mut rows = due.rows;
        // What was taken off may have been read before that was stored.
        rows.retain(|row| row.key.due_ms >= from_ms && !self.agenda.is_gone(row.key.id));
        let last = rows.last().map(|row| row.key).filter(|_| !due.exhausted);
        for row in rows {
            let rest = match last == Some(row.key) {
                true => Rest::More,
                false => Rest::Nothing,
            };
            self.answer_with_job(place, &to, row, rest, correlation_id.as_deref(), now);
        }
    }

    fn answer_with_job(
        &mut self,
        place: Place,
        to: &Arc<DestinationName>,
        row: DueRow,
        rest: Rest,
        correlation_id: Option<&[u8]>,
        now: Now,
    ) {
        let (head, body) = row.data.split_at(row.head_bytes.min(row.data.len()));
        let mut lines = Vec::new();
        let facts = [
            (JOB_ID, name_of(row.key.id)),
            ("scheduledTime", row.key.due_ms.to_string()),
            ("scheduledRepeat", row.repeats_left.to_string()),
            ("scheduledText", row.text.to_string()),
            ("scheduledDestination", self.wire_of(row.destination)),
        ];
        for (key, value) in facts {
            canonical::push_decoded(&mut lines, key.as_bytes(), value.as_bytes());
        }
        if rest == Rest::More {
            canonical::push_decoded(&mut lines, b"scheduledMore", b"true");
        }
        if let Some(correlation_id) = correlation_id {
            canonical::push_decoded(&mut lines, b"correlation-id", correlation_id);
        }
        lines.extend_from_slice(without_mark(head));
        let charge = self.settings.budget.charge(lines.len() + body.len());
        let priority = Priority::of(row.rank);
        let body = Body::Borrowed(body);
        let message = Message::new(&lines, body, priority, row.timestamp_ms, charge);
        let publication = Publication {
            target: Target::One(Arc::clone(to)),
            message: Arc::new(message.in_own_group()),
            mode: DeliveryMode::NonPersistent,
            expires_ms: 0,
            sent_ms: now.wall_ms,
            later: None,
            duplicate_id: None,
        };
        let routing = Routing {
            sender: NOBODY,
            visible_after: AT_ONCE,
        };
        self.publish(&[place], publication, routing, &mut AllPlaced::new(), now);
    }

    pub(super) fn wire_of(&self, destination: stompbox_store::DestinationId) -> String {
        let queue = self.queue_ids.get(&destination);
        let queue = queue.map(|key| &self.queues[key.0].name);
        let topic = self.topic_ids.get(&destination);
        let topic = topic.map(|key| &self.topics[key.0].name);
        queue
            .or(topic)
            .map_or_else(String::new, |name| name.wire().to_owned())
    }

    /// What is to be taken off has been found.
    pub(super) fn listing_came(&mut self, list: &ScheduleList, now: Now) {
        let (connection, from_ms, until_ms) = match self.jobs.remove(&list.id) {
            Some(Job::Remove {
                connection,
                from_ms,
                until_ms,
            }) => (connection, from_ms, until_ms),
            Some(Job::Inquiry(id, wanted)) => return self.found_for_inquiry(id, wanted, list),
            Some(Job::Find(connection)) => return self.found_for_removal(connection, list, now),
            Some(Job::List { .. }) | None => return,
        };
        let is_meant = |row: &&ScheduleListRow| {
            let is_there = !self.agenda.is_gone(row.key.id);
            is_there && (from_ms..=until_ms).contains(&row.key.due_ms)
        };
        let meant = list.rows.iter().filter(is_meant);
        for (id, destination) in meant
            .map(|row| (row.key.id, row.destination))
            .collect::<Vec<_>>()
        {
            self.unschedule(id, destination);
        }
        let last = list.rows.last().map(|row| row.key);
        let goes_on = last.is_some_and(|last| last.due_ms <= until_ms);
        if !list.exhausted && goes_on {
            let job = Job::Remove {
                connection,
                from_ms,
                until_ms,
            };
            self.find_to_remove(job, last);
        }
    }
}

/// Behind everything that is due before this.
fn before(from_ms: i64) -> Option<DueKey> {
    (from_ms > 0).then(|| DueKey {
        due_ms: from_ms - 1,
        id: ScheduleId(i64::MAX),
    })
}

/// What a scheduled message is called: as a message, without the database's name.
pub(super) fn name_of(id: ScheduleId) -> String {
    let sequence = Sequence(id.0);
    format!("{}-{}", sequence.epoch().0, sequence.counter())
}

/// What [`name_of`] called it.
pub(super) fn id_of(name: &str) -> Option<ScheduleId> {
    let (epoch, counter) = name.split_once('-')?;
    let (epoch, counter): (i64, i64) = (epoch.parse().ok()?, counter.parse().ok()?);
    let is_sound = (0..1 << 23).contains(&epoch) && (0..1 << 40).contains(&counter);
    is_sound.then_some(ScheduleId(epoch << 40 | counter))
}

fn action_in(head: &[u8]) -> Result<Action, Refusal> {
    let action = canonical::find(head, ACTION).unwrap_or_default();
    match &*action {
        b"BROWSE" => {
            let Some(reply_to) = canonical::find(head, b"reply-to") else {
                return Err(Refusal::new(
                    "reply-to is missing",
                    "who asks what is scheduled says where the answers go: send with the header 'reply-to', as in \
                     reply-to:/temp-queue/scheduled",
                ));
            };
            let name = reply_name(&reply_to).map_err(|error| {
                Refusal::new("reply-to is invalid", format!("reply-to: {error}"))
            })?;
            Ok(Action::List(Arc::new(name)))
        }
        b"REMOVE" => {
            let name = canonical::find(head, JOB_ID.as_bytes());
            let Some(name) = name else {
                return Err(Refusal::new(
                    "scheduledJobId is missing",
                    "REMOVE needs the header 'scheduledJobId' with what BROWSE called the message",
                ));
            };
            let id = std::str::from_utf8(&name).ok().and_then(id_of);
            id.map(Action::Remove).ok_or_else(|| {
                Refusal::new(
                    "scheduledJobId is malformed",
                    "the header 'scheduledJobId' is no name of a scheduled message: copy it from what BROWSE answers",
                )
            })
        }
        b"REMOVEALL" => Ok(Action::RemoveAll),
        _ => Err(Refusal::new(
            "AMQ_SCHEDULER_ACTION is unknown",
            "send with the header 'AMQ_SCHEDULER_ACTION': BROWSE, REMOVE or REMOVEALL",
        )),
    }
}

fn time_in(head: &[u8], name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = canonical::find(head, name.as_bytes()) else {
        return Ok(None);
    };
    let number = std::str::from_utf8(&value)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::new(
            format!("{name} is not an integer"),
            format!("the header '{name}' must be a time in milliseconds since 1970"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_message_has_a_name_that_finds_it() {
        let id = ScheduleId(Sequence((7 << 40) | 12).0);
        assert_eq!(name_of(id), "7-12");
        assert_eq!(id_of("7-12"), Some(id));
        for text in ["", "7", "7-", "-1-2", "7-1099511627776", "99999999999-1"] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
