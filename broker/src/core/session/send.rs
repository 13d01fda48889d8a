//! SEND: a frame becomes a message (dialect, SEND).

use std::sync::Arc;

use stompbox_protocol::{FrameRef, Header, canonical, unescape};

use super::output::Output;
use super::temporary::invalid;
use super::{Session, field};
use crate::config::Delivery;
use crate::core::clock::Now;
use crate::core::destination::{TemporaryName, is_schedule_topic, reply_name, without_spaces};
use crate::core::duplicate_id::DuplicateId;
use crate::core::message::{
    Body, DeliveryMode, Later, Message, Priority, Publication, Target, mark_as_resent,
};
use crate::core::message_group::{GroupHeaders, MessageGroup};
use crate::core::port::{ReceiptId, Refusal, Request};
use crate::core::schedule::{Schedule, ScheduleError, ScheduleHeaders};

/// What the headers of a SEND say to the broker. Of a repeated header the first counts.
#[derive(Debug, Default)]
struct Fields<'a> {
    destination: Option<&'a [u8]>,
    transaction: Option<&'a [u8]>,
    persistent: Option<&'a [u8]>,
    priority: Option<&'a [u8]>,
    expires: Option<&'a [u8]>,
    expiration: Option<&'a [u8]>,
    ttl: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
    schedule: ScheduleHeaders<'a>,
    amq_dupl_id: Option<&'a [u8]>,
    x_dedup_id: Option<&'a [u8]>,
    group_id: Option<&'a [u8]>,
    group_seq: Option<&'a [u8]>,
    resent: Option<&'a [u8]>,
}

/// What becomes of a header.
enum Use {
    /// The broker consumes it.
    Consumed,
    /// It belongs to the message.
    Kept,
    /// It belongs to the message, under the name by which others find the sender's temporary destination.
    ReplyTo,
}

impl<'a> Fields<'a> {
    fn take(&mut self, header: &Header<'a>) -> Use {
        let field = match header.name {
            b"destination" => &mut self.destination,
            b"transaction" => &mut self.transaction,
            b"persistent" => &mut self.persistent,
            b"priority" => &mut self.priority,
            b"expires" => &mut self.expires,
            b"expiration" => &mut self.expiration,
            b"ttl" => &mut self.ttl,
            b"timestamp" => &mut self.timestamp,
            b"x-resent" => &mut self.resent,
            b"JMSXGroupID" => {
                self.group_id.get_or_insert(header.value);
                return Use::Kept;
            }
            b"JMSXGroupSeq" => {
                self.group_seq.get_or_insert(header.value);
                return Use::Kept;
            }
            b"content-length" | b"receipt" | b"message-id" | b"subscription" | b"redelivered"
            | b"ack" | b"JMSXDeliveryCount" | b"JMSXUserID" => return Use::Consumed,
            b"AMQ_SCHEDULED_DELAY" => &mut self.schedule.delay,
            b"AMQ_SCHEDULED_PERIOD" => &mut self.schedule.period,
            b"AMQ_SCHEDULED_REPEAT" => &mut self.schedule.repeat,
            b"AMQ_SCHEDULED_CRON" => &mut self.schedule.cron,
            b"x-delay" => &mut self.schedule.x_delay,
            b"_AMQ_DUPL_ID" => {
                self.amq_dupl_id.get_or_insert(header.value);
                return Use::Kept;
            }
            b"x-dedup-id" => {
                self.x_dedup_id.get_or_insert(header.value);
                return Use::Kept;
            }
            b"reply-to" if without_spaces(header.value).starts_with(b"/temp-") => {
                return Use::ReplyTo;
            }
            _ => return Use::Kept,
        };
        field.get_or_insert(header.value);
        Use::Consumed
    }

    fn priority(&self) -> Result<Priority, Refusal> {
        match self.priority {
            None => Ok(Priority::DEFAULT),
            Some(value) => Ok(Priority::clamped(field::parse_clamped("priority", value)?)),
        }
    }

    /// Whether it may have come before.
    fn is_resent(&self) -> Result<bool, Refusal> {
        match self.resent {
            None => Ok(false),
            Some(value) => field::parse_flag("x-resent", value),
        }
    }

    /// The earliest of the three ways to say it; 0 is never.
    fn expires_ms(&self, now: Now) -> Result<i64, Refusal> {
        if let (None, None, None) = (self.expires, self.expiration, self.ttl) {
            return Ok(0);
        }
        let absolute = self
            .expires
            .map(|value| field::parse_natural("expires", value))
            .transpose()?;
        let relative = |name, value: Option<&[u8]>| {
            let ms = value
                .map(|value| field::parse_natural(name, value))
                .transpose()?;
            Ok(ms
                .filter(|ms| *ms > 0)
                .map(|ms| now.wall_ms.saturating_add(ms)))
        };
        let candidates = [
            absolute.filter(|ms| *ms > 0),
            relative("expiration", self.expiration)?,
            relative("ttl", self.ttl)?,
        ];
        Ok(candidates.into_iter().flatten().min().unwrap_or(0))
    }

    fn timestamp_ms(&self, now: Now) -> Result<i64, Refusal> {
        self.timestamp.map_or(Ok(now.wall_ms), |value| {
            field::parse_integer("timestamp", value)
        })
    }
}

/// Whether a header of a SEND stays on its message as the sender wrote it.
#[must_use]
pub fn is_senders_own(name: &str) -> bool {
    let (name, value) = (name.as_bytes(), &b""[..]);
    matches!(Fields::default().take(&Header { name, value }), Use::Kept)
}

impl Session {
    pub(super) fn send(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        now: Now,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let mut fields = Fields::default();
        let mut head = std::mem::take(&mut self.scratch);
        head.clear();
        for header in frame.headers() {
            match fields.take(&header) {
                Use::Consumed => {}
                Use::Kept => canonical::push(&mut head, self.version, &header),
                Use::ReplyTo => self.push_reply_to(&mut head, header.value, output)?,
            }
        }
        let Some(destination) = fields.destination else {
            return Err(Refusal::new(
                "destination is missing",
                "SEND needs the header 'destination', as in destination:/queue/NAME",
            ));
        };
        let destination = if frame.has_escapes() {
            let text = self.decoded(destination)?;
            self.known_target(&text, output)?
        } else {
            self.known_target(destination, output)?
        };
        let later = self.later(&fields, now)?;
        let duplicate_id = self.duplicate_id(&fields)?;
        if destination.is_query {
            check_query(&head, later.is_some() || duplicate_id.is_some())?;
        }
        if fields.transaction.is_some() {
            check_in_transaction(&destination.target)?;
        }
        if fields.is_resent()? {
            mark_as_resent(&mut head);
        }
        let (priority, expires_ms) = (fields.priority()?, fields.expires_ms(now)?);
        let timestamp_ms = fields.timestamp_ms(now)?;
        let persistent = fields
            .persistent
            .map(|value| field::parse_flag("persistent", value))
            .transpose()?
            .unwrap_or(destination.default_delivery == Delivery::Persistent);
        let transaction = fields
            .transaction
            .map(|raw| self.decoded(raw))
            .transpose()?;
        let body = match frame.own_body() {
            Some(body) => Body::Shared(body),
            None => Body::Borrowed(frame.body()),
        };
        let charge = self.settings.budget.charge(head.len() + frame.body().len());
        let message = Message::new(&head, body, priority, timestamp_ms, charge);
        let message = match fields.group_id {
            Some(id) => message.in_group(self.group(id, fields.group_seq)?),
            None => message,
        };
        self.scratch = head;
        // A query is answered, not kept.
        let mode = if persistent && !destination.is_query {
            DeliveryMode::Persistent
        } else {
            DeliveryMode::NonPersistent
        };
        let publication = Publication {
            target: destination.target,
            message: Arc::new(message),
            mode,
            expires_ms,
            sent_ms: now.wall_ms,
            later,
            duplicate_id,
        };
        match transaction {
            Some(transaction) => {
                self.send_in_transaction(&transaction, publication, receipt, output)
            }
            None => {
                output.requests.push(Request::Send {
                    publication,
                    receipt,
                });
                Ok(())
            }
        }
    }

    /// When the message is to be delivered, if not at once. The delay counts from here, also in a transaction.
    fn later(&self, fields: &Fields<'_>, now: Now) -> Result<Option<Box<Later>>, Refusal> {
        if fields.schedule.is_empty() {
            return Ok(None);
        }
        let invalid = |error: ScheduleError| Refusal::new("schedule is invalid", error.to_string());
        // Neither a number nor a cron expression has a character that is escaped.
        let Some(schedule) = Schedule::parse(&fields.schedule).map_err(invalid)? else {
            return Ok(None);
        };
        let firing = schedule
            .first(now.wall_ms, &self.settings.zone)
            .map_err(invalid)?;
        Ok(Some(Box::new(Later { schedule, firing })))
    }

    fn duplicate_id(&self, fields: &Fields<'_>) -> Result<Option<DuplicateId>, Refusal> {
        if fields.amq_dupl_id.is_none() && fields.x_dedup_id.is_none() {
            return Ok(None);
        }
        let decoded = |raw: Option<&_>| raw.map(|raw: &&[u8]| self.decoded(raw)).transpose();
        let amq_dupl_id = decoded(fields.amq_dupl_id.as_ref())?;
        let x_dedup_id = decoded(fields.x_dedup_id.as_ref())?;
        DuplicateId::parse(amq_dupl_id.as_deref(), x_dedup_id.as_deref())
            .map_err(|error| Refusal::new("duplicate id is invalid", error.to_string()))
    }

    /// Others find a temporary destination under another name than its owner.
    fn push_reply_to(
        &mut self,
        head: &mut Vec<u8>,
        raw: &[u8],
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let text = self.decoded(raw)?;
        match TemporaryName::in_reply_to(&text) {
            Ok(Some(own)) => {
                let made = self.temporary(&own, output);
                canonical::push_decoded(head, b"reply-to", made.wire().as_bytes());
            }
            Ok(None) => canonical::push_decoded(head, b"reply-to", &text),
            Err(error) => return Err(invalid(&error)),
        }
        Ok(())
    }

    /// The message group that the values of these headers name.
    fn group(&self, id: &[u8], seq: Option<&[u8]>) -> Result<Option<MessageGroup>, Refusal> {
        let id = self.decoded(id)?;
        let seq = seq.map(|seq| self.decoded(seq)).transpose()?;
        let headers = GroupHeaders {
            id: Some(&id),
            seq: seq.as_deref(),
        };
        MessageGroup::parse(headers)
            .map_err(|error| Refusal::new("message group is invalid", error.to_string()))
    }

    /// A raw value without its escapes. The decoder has refused undefined ones.
    pub(super) fn decoded<'a>(&self, raw: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, Refusal> {
        unescape(self.version, raw)
            .map_err(|error| Refusal::new("undefined escape", error.to_string()))
    }
}

/// What manages the schedule is done or refused at once.
fn check_in_transaction(target: &Target) -> Result<(), Refusal> {
    match target {
        Target::One(name) if is_schedule_topic(name) => Err(Refusal::new(
            "the schedule is managed outside of transactions",
            "schedule requests cannot be part of a transaction: send it without the header 'transaction'",
        )),
        Target::One(_) | Target::Each(_) => Ok(()),
    }
}

/// Statistics need somewhere to go, and are of now.
fn check_query(head: &[u8], is_special: bool) -> Result<(), Refusal> {
    if is_special {
        return Err(Refusal::new(
            "statistics are of now",
            "who asks for statistics is answered at once, every time: send without schedule headers and duplicate ids",
        ));
    }
    let Some(reply_to) = canonical::find(head, b"reply-to") else {
        return Err(Refusal::new(
            "reply-to is missing",
            "who asks for statistics says where the answer goes: send with the header 'reply-to', as in \
             reply-to:/temp-queue/statistics",
        ));
    };
    match reply_name(&reply_to) {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::new(
            "reply-to is invalid",
            format!("reply-to: {error}"),
        )),
    }
}
