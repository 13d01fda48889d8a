//! What a client reads, and what it makes of it.

use stompbox_protocol::{Command, Frame, Input};

use super::acknowledge::{NO_TRANSACTION, Word};
use super::{Asked, Client, Got, Mode, Stage};
use crate::catalogue::is_consumer_queue_of;
use crate::policy::may_time_out;
use crate::random::Random;
use crate::route::reach;
use crate::trace;
use crate::wire::{MessageId, Place, Sent, Wire};

/// Addresses of others that a client remembers.
const ANSWERS_MAX: usize = 4;

pub(super) fn text(frame: &Frame, name: &str) -> Option<String> {
    frame.text(name).map(std::borrow::Cow::into_owned)
}

impl Client {
    /// Bytes have come.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        judge: &mut Wire,
        random: &mut Random,
        wire: &mut Vec<u8>,
    ) {
        self.decoder.extend(bytes);
        loop {
            match self.decoder.next_input() {
                Ok(Some(Input::Frame(frame))) => self.frame(&frame, judge, random, wire),
                Ok(Some(Input::HeartBeat)) => {}
                Ok(None) => return,
                Err(error) => panic!("client {} cannot read the broker: {error}", self.name),
            }
        }
    }

    fn frame(&mut self, frame: &Frame, judge: &mut Wire, random: &mut Random, wire: &mut Vec<u8>) {
        trace::note(|| {
            let headers: Vec<_> = frame
                .headers()
                .map(|header| {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    format!("{}:{}", text(header.name), text(header.value))
                })
                .collect();
            format!("client {}: got {} {headers:?}", self.name, frame.command())
        });
        assert_ne!(self.stage, Stage::Refused, "a frame came behind ERROR");
        match frame.command() {
            Command::Connected => {
                assert_eq!(self.stage, Stage::Connecting);
                let version = frame.text("version");
                assert_eq!(version.as_deref(), Some(self.version.as_str()));
                self.decoder.set_version(self.version);
                self.decoder.authenticated();
                self.stage = Stage::Open;
            }
            Command::Message => self.message(frame, judge, random, wire),
            Command::Receipt => self.receipt(frame, judge),
            _ => {
                trace::count("wire: ERROR");
                let is_slow = frame.text("message").as_deref() == Some("slow consumer");
                assert!(
                    if is_slow {
                        self.may_be_cut
                    } else {
                        self.may_be_refused
                    },
                    "an ERROR without cause: {:?} {:?}",
                    frame.text("message"),
                    String::from_utf8_lossy(frame.body())
                );
                self.stage = Stage::Refused;
            }
        }
    }

    fn receipt(&mut self, frame: &Frame, judge: &mut Wire) {
        trace::count("wire: RECEIPT");
        let id = frame.text("receipt-id").unwrap_or_default();
        let asked = self.owed.remove(&*id);
        if frame.text("x-routed").is_some() {
            trace::count("wire: RECEIPT x-routed:0");
            let Some(Asked::Sent(messages)) = asked else {
                panic!("client {}: {id} asked for no SEND", self.name);
            };
            return messages.into_iter().for_each(|id| judge.went_nowhere(id));
        }
        if frame.text("x-duplicate").is_some() {
            trace::count("wire: RECEIPT x-duplicate:true");
            let Some(Asked::Sent(messages)) = asked else {
                panic!("client {}: {id} asked for no SEND", self.name);
            };
            return messages.into_iter().for_each(|id| judge.was_repeat(id));
        }
        match asked {
            None => panic!(
                "client {}: receipt {id} was not asked for, or came twice",
                self.name
            ),
            Some(Asked::Nothing) => {}
            Some(Asked::Sent(messages)) => messages.into_iter().for_each(|id| judge.promise(id)),
            Some(Asked::Done(copies)) => copies.into_iter().for_each(|copy| judge.finish(copy)),
            Some(Asked::Committed(messages, copies)) => {
                messages.into_iter().for_each(|id| judge.promise(id));
                copies.into_iter().for_each(|copy| judge.finish(copy));
            }
        }
    }

    fn message(
        &mut self,
        frame: &Frame,
        judge: &mut Wire,
        random: &mut Random,
        wire: &mut Vec<u8>,
    ) {
        let destination = text(frame, "destination").unwrap_or_default();
        let subscription = text(frame, "subscription")
            .or_else(|| self.unnamed.get(&destination).cloned())
            .expect("a subscription");
        let at = self
            .subscriptions
            .iter()
            .position(|live| live.id == subscription);
        let browses = self.browsers.contains(&subscription);
        if frame.text("browser").as_deref() == Some("end") {
            trace::count("wire: MESSAGE browser:end");
            assert!(browses, "nobody browses as {subscription}");
            return;
        }
        trace::count("wire: MESSAGE");
        if destination.starts_with("/topic/ActiveMQ.Advisory.") {
            trace::count("wire: MESSAGE of the broker's own");
            assert_eq!(frame.text("type").as_deref(), Some("Advisory"));
            assert_eq!(frame.body().first(), Some(&b'{'), "{destination}");
            return;
        }
        let (prefix, rest) = frame.body().split_at(8);
        let prefix = prefix.try_into().expect("eight bytes");
        let id = MessageId(usize::from_le_bytes(prefix));
        let sent = &judge.sent[id.0];
        assert_eq!(frame.body().len(), sent.body_bytes, "{id:?}: body");
        assert!(rest.iter().all(|byte| *byte == 0), "{id:?}: body");
        check_headers(frame, id, sent);
        let is_only_copy = sent.is_for_one_queue();
        let answer = self.place_of_answer(frame, &subscription, judge);
        let is_answer = answer.is_some();
        let sent = &judge.sent[id.0];
        let is_touched = judge.is_touched(id);
        let mut place =
            answer.unwrap_or_else(|| self.place(frame, sent, &subscription, browses, is_touched));
        if browses && is_answer {
            place = Place::Subscription(format!("{subscription} shows {place:?}"));
        }
        if (sent.comes_again || is_touched) && !is_answer {
            let name = text(frame, "message-id").unwrap_or_default();
            place = Place::Firing(Box::new(place), name);
        }
        let deliveries = text(frame, "JMSXDeliveryCount").and_then(|count| count.parse().ok());
        let deliveries = deliveries.expect("a count");
        let is_redelivered = frame.text("redelivered").as_deref() == Some("true");
        judge.received((id, place.clone()), deliveries, is_redelivered, is_answer);
        if let Some(address) = text(frame, "reply-to")
            && self.answers.len() < ANSWERS_MAX
        {
            self.answers.push(address);
        }
        // Otherwise UNSUBSCRIBE is on its way.
        let Some(at) = at else { return };
        let live = &mut self.subscriptions[at];
        if live.mode == Mode::Auto {
            return;
        }
        self.received += 1;
        let is_of_queue =
            destination.contains("queue/") || self.lasting.contains_key(&subscription);
        let may_time_out = is_of_queue && may_time_out(&destination);
        live.limit.check(&live.open);
        live.open.push(Got {
            delivered: ((id, place), deliveries),
            message_id: text(frame, "message-id").expect("a message-id"),
            ack: text(frame, "ack"),
            body_bytes: frame.body().len(),
            turn: self.received,
            is_only_copy: is_only_copy && !is_answer && !is_touched && !may_time_out,
            may_time_out,
        });
        if self.is_draining {
            let index = self.subscriptions[at].open.len() - 1;
            self.acknowledge_one((at, index), Word::Ack, NO_TRANSACTION, random, wire);
        }
    }

    /// Which copy of its message this is.
    fn place(
        &self,
        frame: &Frame,
        sent: &Sent,
        subscription: &str,
        browses: bool,
        is_touched: bool,
    ) -> Place {
        let destination = text(frame, "destination").expect("a destination");
        let origin = text(frame, "original-destination");
        let is_temporary = |name: &str| name.starts_with("/temp-") || name.starts_with("/remote-");
        let routed_to = origin.as_deref().unwrap_or(&destination);
        let all = sent.targets.iter().flat_map(|target| reach(target));
        let is_expected = all.into_iter().any(|target| {
            target == routed_to
                || is_consumer_queue_of(target, routed_to)
                || (is_temporary(target) && is_temporary(routed_to))
        });
        assert!(
            is_expected || is_touched,
            "{sent:?} came from {destination}, {origin:?}"
        );
        let says = |name: &str, value: &str| frame.text(name).as_deref() == Some(value);
        if origin.is_some() {
            for header in ["dlq-reason", "dlq-time", "dlq-delivery-count"] {
                assert!(
                    frame.text(header).is_some(),
                    "a dead letter says its {header}"
                );
            }
            assert!(says("expires", "0"), "a dead letter expires");
            assert!(says("persistent", "true"), "a dead letter is persistent");
        } else if !is_touched {
            assert_eq!(!says("expires", "0"), sent.may_expire);
            let lasting = self.lasting.get(subscription);
            let is_volatile = destination.contains("temp-queue/")
                || lasting.is_some_and(|identity| !identity.is_durable());
            let is_stored = sent.is_persistent && !is_volatile;
            assert!(says("persistent", if is_stored { "true" } else { "false" }));
        }
        if let Some(topic) = origin.as_ref().filter(|origin| origin.contains("topic/")) {
            return Place::DeadCopies(topic.clone());
        }
        if let (Some(lasting), None) = (self.lasting.get(subscription), &origin) {
            // It has one copy for each of its topics that a message was sent to.
            let name = lasting.text().unwrap_or_default();
            return Place::Lasting(format!("{name} of {destination}"));
        }
        if browses {
            let shown = format!("{subscription} shows {origin:?}");
            return Place::Subscription(shown);
        }
        match origin {
            Some(origin) => Place::DeadLetters(origin),
            None if destination.contains("topic/") => {
                Place::Subscription(format!("{subscription} hears {destination}"))
            }
            None if is_temporary(&destination) => Place::Own(self.name),
            None => Place::Queue(destination),
        }
    }
}

fn check_headers(frame: &Frame, id: MessageId, sent: &Sent) {
    let own = text(frame, "x-id");
    assert_eq!(own, Some(id.0.to_string()), "the sender's own header");
    let priority = sent.priority.unwrap_or(4).to_string();
    assert_eq!(text(frame, "priority"), Some(priority));
    assert_eq!(frame.text("JMSXGroupID").as_deref(), sent.group);
    for leaked in [
        "receipt",
        "transaction",
        "ttl",
        "expiration",
        "x-delay",
        "AMQ_SCHEDULED_DELAY",
        "AMQ_SCHEDULED_PERIOD",
        "AMQ_SCHEDULED_REPEAT",
        "AMQ_SCHEDULED_CRON",
        "AMQ_SCHEDULER_ACTION",
    ] {
        assert_eq!(text(frame, leaked), None, "{leaked} leaked");
    }
    let reply_to = text(frame, "reply-to");
    let is_rewritten = reply_to.is_none_or(|address| address.starts_with("/remote-temp-"));
    assert!(is_rewritten, "{id:?}: nobody but its sender can answer");
}
