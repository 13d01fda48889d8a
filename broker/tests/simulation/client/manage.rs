//! Managing the schedule over messages: looking at it, taking one off, or all.

use stompbox_protocol::{Command, Frame};

use super::receive::text;
use super::send::OWN;
use super::{Asked, Client, Draft, Mode};
use crate::random::Random;
use crate::trace;
use crate::wire::{MessageId, Place, Wire};

/// Where the schedule is managed.
const MANAGEMENT: &str = "/topic/ActiveMQ.Scheduler.Management";

const ACTION: &str = "AMQ_SCHEDULER_ACTION";

/// What a request says of itself, and its answers say after it.
const CORRELATION: &str = "schedule-";

fn request(action: &str) -> Draft {
    Draft::new(Command::Send)
        .with("destination", MANAGEMENT)
        .with(ACTION, action)
}

/// What fires within a while.
fn within_a_span(draft: Draft, random: &mut Random, now_ms: i64) -> Draft {
    let from_ms = now_ms + random.below(1_000) as i64;
    let until_ms = from_ms + random.below(1_000) as i64;
    draft
        .with("AMQ_SCHEDULER_ACTION_START_TIME", from_ms)
        .with("AMQ_SCHEDULER_ACTION_END_TIME", until_ms)
}

impl Client {
    pub(super) fn manage(
        &mut self,
        random: &mut Random,
        now_ms: i64,
        judge: &Wire,
        wire: &mut Vec<u8>,
    ) {
        // Names are soon forgotten.
        let draft = match random.below(10) {
            _ if judge.job(0).is_some() && random.percent(40) => remove(random, judge),
            0..3 => {
                trace::count("op: SEND REMOVEALL");
                if random.percent(80) {
                    trace::count("op: SEND REMOVEALL within a span");
                    within_a_span(request("REMOVEALL"), random, now_ms)
                } else {
                    request("REMOVEALL")
                }
            }
            3..7 if self.appetite.taste.manage => self.browse(random, now_ms, wire),
            3..7 => return,
            _ if judge.job(0).is_none() && random.percent(70) => return,
            _ => remove(random, judge),
        };
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }

    fn browse(&mut self, random: &mut Random, now_ms: i64, wire: &mut Vec<u8>) -> Draft {
        trace::count("op: SEND BROWSE");
        let to = OWN[random.below(OWN.len())];
        if self.subscriptions.len() < 3 && random.percent(90) {
            let id = self.fresh("s");
            let mode = Mode::any(random);
            let listening = self.subscription(id, to, mode);
            let listening = listening.with("activemq.prefetchSize", random.between(1, 5));
            self.write(listening, wire);
        }
        let mut draft = request("BROWSE").with("reply-to", to);
        if random.percent(50) {
            let correlation = self.fresh(CORRELATION);
            draft = draft.with("correlation-id", correlation);
        }
        match random.percent(30) {
            true => {
                trace::count("op: SEND BROWSE within a span");
                within_a_span(draft, random, now_ms)
            }
            false => draft,
        }
    }

    /// Takes off all that is scheduled.
    pub(crate) fn clear_schedule(&mut self, wire: &mut Vec<u8>) {
        self.write(request("REMOVEALL"), wire);
    }

    /// Which answer to a BROWSE this is, and what of it, if it is one. Dead, it is still one.
    pub(super) fn place_of_answer(
        &self,
        frame: &Frame,
        subscription: &str,
        judge: &mut Wire,
    ) -> Option<Place> {
        let job = text(frame, "scheduledJobId")?;
        judge.learn_job(job);
        trace::count("wire: MESSAGE of the schedule");
        let says = |name: &str, value: &str| frame.text(name).as_deref() == Some(value);
        let due_ms = text(frame, "scheduledTime").and_then(|due| due.parse::<i64>().ok());
        assert!(due_ms.is_some(), "a time at which it fires");
        assert!(says("expires", "0"), "an answer does not expire");
        let asked = text(frame, "correlation-id");
        assert!(asked.is_none_or(|asked| asked.starts_with(CORRELATION)));
        let number = text(frame, "message-id").unwrap_or_default();
        let origin = text(frame, "original-destination");
        let is_dead = if origin.is_some() { "true" } else { "false" };
        let id = text(frame, "x-id").and_then(|id| id.parse().ok());
        let is_touched = id.is_some_and(|id| judge.is_touched(MessageId(id)));
        let is_as_expected = says("persistent", is_dead) || is_touched;
        assert!(is_as_expected, "an answer is not persistent");
        let destination = text(frame, "destination").unwrap_or_default();
        let place = match origin {
            Some(origin) if origin.contains("topic/") => Place::DeadCopies(origin),
            Some(origin) => Place::DeadLetters(origin),
            None if destination.contains("topic/") => {
                Place::Subscription(format!("{subscription} hears {destination}"))
            }
            None => Place::Own(self.name),
        };
        Some(Place::Firing(Box::new(place), number))
    }
}

/// Takes off one that somebody was told of; or one that nobody ever scheduled.
fn remove(random: &mut Random, judge: &Wire) -> Draft {
    trace::count("op: SEND REMOVE");
    let known = judge.job(random.below(10));
    let id = known.map(str::to_owned).unwrap_or_else(|| {
        trace::count("op: SEND REMOVE unknown");
        format!("1-{}", 100_000 + random.below(100_000))
    });
    request("REMOVE").with("scheduledJobId", id)
}
