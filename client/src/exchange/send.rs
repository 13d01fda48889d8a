//! SEND frames.

use std::time::{Duration, SystemTime};

use stompbox_protocol::{canonical, encode};

use super::receipt::{Pending, ReceiptId};
use super::{Exchange, number_header, text_header};
use crate::command::Send;
use crate::dialect::{Dialect, Feature};
use crate::handshake::Agreement;
use crate::{ClientError, DeliveryMode};

/// Says that a broker which does not know the message by its id may have delivered it and forgotten that in a crash.
/// Others than stompbox pass it on.
const RESENT: &[u8] = b"x-resent:true\n";

impl Exchange {
    /// Sends a message, or makes it part of its session's transaction.
    pub(super) fn send(&mut self, send: Box<Send>) {
        if send.transaction.is_some() {
            self.send_in_transaction(send);
            return;
        }
        if let Err(error) = self.check(&send) {
            if let Some(completer) = send.completer {
                completer.complete(Err(error));
            } else {
                tracing::warn!(%error, destination = %send.destination, "a message was not sent");
            }
            return;
        }
        if send.completer.is_none() {
            self.write_send(&send, None, None);
            return;
        }
        self.receipts += 1;
        let receipt = ReceiptId(self.receipts);
        self.write_send(&send, Some(receipt), None);
        self.pending.insert(receipt, Pending::Send(send));
    }

    /// Refuses what the broker would do otherwise than asked.
    fn check(&self, send: &Send) -> Result<(), ClientError> {
        if send.message.delay.is_none() || self.agreement.has(Feature::Delay) {
            return Ok(());
        }
        Err(self.agreement.unsupported(Feature::Delay))
    }

    /// Writes a SEND.
    pub(super) fn write_send(
        &mut self,
        send: &Send,
        receipt: Option<ReceiptId>,
        transaction: Option<u64>,
    ) {
        let Self {
            output,
            agreement,
            shared,
            ..
        } = self;
        let message = &send.message;
        output.frame(&message.body, |out| {
            out.extend_from_slice(b"SEND\n");
            text_header(out, agreement, "destination", send.destination.as_str());
            if let Some(receipt) = receipt {
                receipt.write(out);
            }
            if let Some(number) = transaction {
                number_header(out, "transaction", number);
            }
            write_delivery(out, agreement, send);
            if send.is_resent {
                out.extend_from_slice(RESENT);
            }
            write_deduplication(out, agreement, &shared.instance, send);
            if let Some(trace) = &message.trace {
                text_header(out, agreement, "traceparent", &trace.to_string());
                if let Some(state) = trace.state() {
                    text_header(out, agreement, "tracestate", state);
                }
            }
            let own = &message.headers;
            canonical::write(out, own, agreement.version, canonical::has_escapes(own));
            number_header(out, "content-length", message.body.len());
            out.push(b'\n');
        });
    }
}

/// How the message is to be delivered.
fn write_delivery(out: &mut Vec<u8>, agreement: &Agreement, send: &Send) {
    let message = &send.message;
    match message.delivery_mode.unwrap_or_default() {
        DeliveryMode::Persistent => out.extend_from_slice(b"persistent:true\n"),
        // RabbitMQ would take the header for a property of the queue; there it is what goes without saying.
        DeliveryMode::NonPersistent if agreement.dialect == Dialect::RabbitMq => {}
        DeliveryMode::NonPersistent => out.extend_from_slice(b"persistent:false\n"),
    }
    if let Some(priority) = message.priority {
        number_header(out, "priority", priority);
    }
    if let Some(expires) = send.expires {
        if agreement.dialect == Dialect::RabbitMq {
            let left = expires
                .duration_since(SystemTime::now())
                .unwrap_or_default();
            number_header(out, "expiration", left.as_millis());
        } else {
            let since = expires
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or(Duration::ZERO);
            number_header(out, "expires", since.as_millis());
        }
    }
    if let Some(delay) = message.delay {
        number_header(out, "AMQ_SCHEDULED_DELAY", delay.as_millis());
    }
}

/// The id by which the broker recognises the message if it is sent again.
fn write_deduplication(out: &mut Vec<u8>, agreement: &Agreement, instance: &str, send: &Send) {
    const HEADER: &str = "_AMQ_DUPL_ID";
    if let Some(id) = &send.message.deduplication_id {
        text_header(out, agreement, HEADER, id);
    } else if let Some(number) = send.number
        && agreement.has(Feature::DuplicateDetection)
    {
        encode::header(
            out,
            agreement.version,
            HEADER.as_bytes(),
            instance.as_bytes(),
        );
        // In place of the line end.
        out.pop();
        out.push(b'-');
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.push(b'\n');
    }
}
