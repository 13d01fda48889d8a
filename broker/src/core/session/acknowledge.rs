//! ACK and NACK: which delivery a frame means, in each version's way of saying it.

use std::time::Duration;

use stompbox_protocol::{FrameRef, Version};
use stompbox_store::{Epoch, MessageNumber};

use super::output::Output;
use super::subscribe::SubscriptionName;
use super::{Session, field};
use crate::core::port::{
    AckTarget, DeliveryCounter, DeliveryTag, ReceiptId, Refusal, Request, Requeue, Verdict,
};

/// Which of the two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Ack,
    Nack,
}

impl Session {
    pub(super) fn acknowledge(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        word: Word,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let verdict = match word {
            Word::Ack => Verdict::Ack,
            Word::Nack if self.version == Version::V1_0 => {
                return Err(Refusal::new(
                    "NACK is unknown in STOMP 1.0",
                    "STOMP 1.0 has no NACK: connect with accept-version:1.1,1.2",
                ));
            }
            Word::Nack => nack(frame)?,
        };
        let target = self.target(frame)?;
        let transaction = self.transaction_of_ack(frame)?;
        output.requests.push(Request::Acknowledge {
            target,
            verdict,
            transaction,
            receipt,
        });
        Ok(())
    }

    fn target(&self, frame: &FrameRef<'_>) -> Result<AckTarget, Refusal> {
        match self.version {
            Version::V1_2 => self.by_ack_id(frame),
            Version::V1_1 => {
                let subscription = field::required(frame, "subscription")?;
                let name = SubscriptionName::Id(subscription);
                let ended = || self.ended.get(&name);
                let Some(handle) = self.names.get(&name).copied().or_else(ended) else {
                    return Err(Refusal::new(
                        "no such subscription",
                        "the header 'subscription' names no subscription of this connection",
                    ));
                };
                let number = self.message_number(frame)?;
                Ok(AckTarget::Message {
                    subscription: Some(handle),
                    number,
                })
            }
            Version::V1_0 => {
                let subscription = frame
                    .header("subscription")
                    .and_then(|id| self.names.get(&SubscriptionName::Id(id.as_ref().into())))
                    .copied();
                Ok(AckTarget::Message {
                    subscription,
                    number: self.message_number(frame)?,
                })
            }
        }
    }

    fn by_ack_id(&self, frame: &FrameRef<'_>) -> Result<AckTarget, Refusal> {
        let Some(id) = frame.header("id") else {
            let detail = if frame.header("message-id").is_some() {
                "STOMP 1.2 acknowledges by 'id', the value of the MESSAGE's 'ack' header; \
                 'message-id' is STOMP 1.1"
            } else {
                "ACK and NACK need the header 'id': the value of the MESSAGE's 'ack' header"
            };
            return Err(Refusal::new("id is missing", detail));
        };
        let tag = parse_ack_id(&id, self.name.as_bytes())
            .filter(|tag| tag.counter <= self.given)
            .ok_or_else(|| {
                Refusal::new(
                    "unknown ack id",
                    format!(
                        "'{}' was never given to this connection: acknowledge on the connection that \
                         received the message, with the value of its 'ack' header",
                        field::excerpt(&id)
                    ),
                )
            })?;
        Ok(AckTarget::Delivery(tag))
    }

    fn message_number(&self, frame: &FrameRef<'_>) -> Result<MessageNumber, Refusal> {
        let id = field::required(frame, "message-id")?;
        id.strip_prefix(&*self.message_id_prefix)
            .and_then(|rest| std::str::from_utf8(rest).ok())
            .and_then(|rest| {
                let (epoch, counter) = rest.split_once('-')?;
                let first = Epoch(epoch.parse().ok()?).first();
                Some(MessageNumber(first.0.checked_add(counter.parse().ok()?)?))
            })
            .ok_or_else(|| {
                Refusal::new(
                    "unknown message-id",
                    format!("'{}' is no message-id of this broker", field::excerpt(&id)),
                )
            })
    }
}

/// Appends the `ack` header of a delivery: session, number, place.
pub(super) fn write_ack_id(bytes: &mut Vec<u8>, session: &str, tag: DeliveryTag) {
    let mut digits = itoa::Buffer::new();
    bytes.extend_from_slice(b"ack:");
    bytes.extend_from_slice(session.as_bytes());
    bytes.push(b'.');
    bytes.extend_from_slice(digits.format(tag.counter.0).as_bytes());
    bytes.push(b'.');
    bytes.extend_from_slice(digits.format(tag.slot).as_bytes());
    bytes.push(b'\n');
}

fn parse_ack_id(id: &[u8], session: &[u8]) -> Option<DeliveryTag> {
    let rest = std::str::from_utf8(id.strip_prefix(session)?.strip_prefix(b".")?).ok()?;
    let (counter, slot) = rest.split_once('.')?;
    let counter = DeliveryCounter(counter.parse().ok().filter(|counter| *counter > 0)?);
    Some(DeliveryTag {
        counter,
        slot: slot.parse().ok()?,
    })
}

fn nack(frame: &FrameRef<'_>) -> Result<Verdict, Refusal> {
    let delay = frame
        .header("x-delay")
        .map(|value| field::parse_natural("x-delay", &value))
        .transpose()?
        .map(|ms| Duration::from_millis(ms.unsigned_abs()));
    let requeue = match frame.header("requeue") {
        Some(value) if !field::parse_flag("requeue", &value)? => Requeue::Forbidden,
        _ => Requeue::Allowed,
    };
    Ok(Verdict::Nack { delay, requeue })
}
