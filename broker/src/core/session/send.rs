//! SEND: a frame becomes a message (dialect, SEND).

use std::sync::Arc;

use stompbox_protocol::{FrameRef, Header, canonical, unescape};

use super::output::Output;
use super::temporary::invalid;
use super::{Session, field};
use crate::config::Delivery;
use crate::core::clock::Now;
use crate::core::destination::{TemporaryName, reply_name};
use crate::core::message::{Body, DeliveryMode, Message, Priority, Publication};
use crate::core::port::{ReceiptId, Refusal, Request};

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
    has_group: bool,
    /// One that names a temporary destination of the sender's.
    reply_to: Option<&'a [u8]>,
}

/// What becomes of a header.
enum Use {
    /// The broker consumes it.
    Consumed,
    /// It belongs to the message.
    Kept,
    /// It asks for what this version cannot do: better refused than ignored.
    Unsupported,
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
            b"JMSXGroupID" => {
                self.has_group = true;
                return Use::Kept;
            }
            b"content-length" | b"receipt" | b"message-id" | b"subscription" | b"redelivered"
            | b"ack" | b"JMSXDeliveryCount" | b"JMSXUserID" => return Use::Consumed,
            b"AMQ_SCHEDULED_DELAY"
            | b"AMQ_SCHEDULED_PERIOD"
            | b"AMQ_SCHEDULED_REPEAT"
            | b"AMQ_SCHEDULED_CRON"
            | b"x-delay" => return Use::Unsupported,
            b"reply-to" if header.value.starts_with(b"/temp-") => &mut self.reply_to,
            _ => return Use::Kept,
        };
        field.get_or_insert(header.value);
        Use::Consumed
    }

    fn priority(&self) -> Result<Priority, Refusal> {
        match self.priority {
            None => Ok(Priority::DEFAULT),
            Some(value) => Ok(Priority::clamped(field::parse_integer("priority", value)?)),
        }
    }

    /// The earliest of the three ways to say it; 0 is never.
    fn expires_ms(&self, now: Now) -> Result<i64, Refusal> {
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
                Use::Unsupported => return Err(unsupported(&header)),
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
        if let Some(reply_to) = fields.reply_to {
            self.push_reply_to(&mut head, reply_to, output)?;
        }
        if destination.is_query {
            check_query(&head)?;
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
        let charge = self.charger.charge(head.len() + frame.body().len());
        let message = Message::new(&head, body, priority, timestamp_ms, charge);
        let message = if fields.has_group {
            message.in_group()
        } else {
            message
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

    /// A raw value without its escapes. The decoder has refused undefined ones.
    pub(super) fn decoded<'a>(&self, raw: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, Refusal> {
        unescape(self.version, raw)
            .map_err(|error| Refusal::new("undefined escape", error.to_string()))
    }
}

/// Statistics need somewhere to go.
fn check_query(head: &[u8]) -> Result<(), Refusal> {
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

fn unsupported(header: &Header<'_>) -> Refusal {
    let name = String::from_utf8_lossy(header.name).into_owned();
    let detail =
        format!("this version cannot delay or schedule messages: send without the header '{name}'");
    Refusal::new(format!("{name} is not supported"), detail)
}
