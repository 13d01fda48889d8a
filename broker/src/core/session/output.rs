//! What a session leaves behind, and how frames to the client are written.

use std::collections::VecDeque;
use std::sync::Arc;

use stompbox_protocol::{Command, Version, canonical, encode};
use stompbox_store::Sequence;

use super::Session;
use super::acknowledge::write_ack_id;
use super::connect::VERSIONS;
use crate::core::message::{DeliveryMode, Message, Priority};
use crate::core::port::{
    AckMode, Delivery, DeliveryCounter, ReceiptId, Refusal, Request, SubscriptionHandle,
};

/// The summary of the one ERROR that tells which versions are spoken.
pub(super) const UNSUPPORTED_VERSION: &str = "no common version";

/// Written behind every frame, as ActiveMQ and RabbitMQ do (STOMP allows EOLs between frames): PHP's extension
/// reads a byte more than the frame, and waits for it or fails when it is the next frame's.
const FRAME_GAP: u8 = b'\n';

/// More than the headers take that the broker writes itself, the lines of the subscription aside.
const HEADERS_BYTES_MAX: usize = 512;

/// A body from this length on is written from its message.
const LONG_BODY_BYTES: usize = 32 * 1024;

/// How a connection ends. The later one outweighs the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Everything written, then closed.
    Close,
    /// ERROR written, then closed with patience for a client that is still sending.
    Refused,
}

/// Where the frame of a delivery ends in the output. One for each delivery: what a broken connection has been
/// given is counted in whole frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of output, from the connection's beginning, after which the delivery is written.
    pub end: u64,
    /// Which delivery.
    pub counter: DeliveryCounter,
    /// Whose.
    pub subscription: SubscriptionHandle,
    /// Bytes of its message.
    pub bytes: usize,
    /// Whether the hand-over acknowledges it.
    pub mode: AckMode,
}

/// Where a RECEIPT ends in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenReceipt {
    /// Bytes of output, from the connection's beginning, after which it is written.
    pub end: u64,
    /// Its length.
    pub bytes: usize,
}

/// A body that is written from its message.
#[derive(Debug)]
pub struct LongBody {
    /// Bytes of [`Output::bytes`], from the connection's beginning, behind which it stands.
    pub at: u64,
    /// Whose body it is.
    pub message: Arc<Message>,
}

/// What a session leaves behind.
#[derive(Debug, Default)]
pub struct Output {
    /// For the dispatcher, in order.
    pub requests: Vec<Request>,
    /// For the socket. The owner takes from the front and counts what it took in `taken`.
    pub bytes: Vec<u8>,
    /// Bytes that the owner has taken out of `bytes` so far.
    pub taken: u64,
    /// Bodies that stand between the bytes, in order, and are written from their messages.
    pub bodies: VecDeque<LongBody>,
    /// Bytes of all bodies that ever stood there.
    pub body_bytes: u64,
    /// Receipts in `bytes`, in order.
    pub receipts: VecDeque<WrittenReceipt>,
    /// Bytes of them.
    pub receipt_bytes: usize,
    /// Deliveries in `bytes`, in order.
    pub marks: VecDeque<Mark>,
    /// Whether it is over when `bytes` is written.
    pub end: Option<End>,
}

impl Output {
    /// How long everything is that was ever written to it.
    pub(super) fn position(&self) -> u64 {
        self.taken + self.bytes.len() as u64 + self.body_bytes
    }

    /// Appends the body of a message. A long one is not copied: it would be once for each of its receivers.
    fn push_body(&mut self, message: &Arc<Message>) {
        let body = message.body();
        if body.len() < LONG_BODY_BYTES {
            return self.bytes.extend_from_slice(body);
        }
        self.bodies.push_back(LongBody {
            at: self.taken + self.bytes.len() as u64,
            message: Arc::clone(message),
        });
        self.body_bytes += body.len() as u64;
    }

    fn mark(&mut self, delivery: &Delivery, mode: AckMode) {
        self.marks.push_back(Mark {
            end: self.position(),
            counter: delivery.tag.counter,
            subscription: delivery.subscription,
            bytes: delivery.message.bytes(),
            mode,
        });
    }
}

impl Session {
    /// Writes a MESSAGE. One for a subscription that has gone is dropped: the dispatcher takes it back.
    pub(super) fn deliver(&mut self, delivery: &Delivery, output: &mut Output) {
        let Some(subscribed) = self.subscriptions.get(&delivery.subscription) else {
            return;
        };
        let bytes = &mut output.bytes;
        let message = &delivery.message;
        let body_bytes = message.body().len();
        let copied_bytes = if body_bytes < LONG_BODY_BYTES {
            body_bytes
        } else {
            0
        };
        let head_bytes = subscribed.opening.len() + message.head().len() + HEADERS_BYTES_MAX;
        bytes.reserve(head_bytes + copied_bytes);
        bytes.extend_from_slice(&subscribed.opening);
        write_number(bytes, Sequence(delivery.number.0));
        if let Some(destination) = &delivery.destination {
            let own = self.temporaries.own_name(destination);
            let wire = own.unwrap_or(destination.wire()).as_bytes();
            encode::header(bytes, self.version, b"destination", wire);
        }
        if self.version == Version::V1_2 && subscribed.mode != AckMode::Auto {
            write_ack_id(bytes, &self.name, delivery.tag);
        }
        write_properties(bytes, delivery);
        bytes.extend_from_slice(itoa::Buffer::new().format(body_bytes).as_bytes());
        bytes.push(b'\n');
        if let Some(annotations) = &delivery.annotations {
            let has_escapes = canonical::has_escapes(annotations);
            canonical::write(bytes, annotations, self.version, has_escapes);
        }
        canonical::write(bytes, message.head(), self.version, message.has_escapes());
        bytes.push(b'\n');
        output.push_body(message);
        output.bytes.push(0);
        self.given = delivery.tag.counter;
        let mode = subscribed.mode;
        // The client has the message when it has the NUL.
        output.mark(delivery, mode);
        output.bytes.push(FRAME_GAP);
    }
}

impl Session {
    /// Tells a browser that it has seen everything, as ActiveMQ does: a MESSAGE with `browser:end` and no body.
    pub(super) fn browse_end(&self, subscription: SubscriptionHandle, output: &mut Output) {
        let Some(subscribed) = self.subscriptions.get(&subscription) else {
            return;
        };
        let bytes = &mut output.bytes;
        bytes.extend_from_slice(&subscribed.opening);
        bytes.extend_from_slice(b"0-0\nbrowser:end\ncontent-length:0\n\n");
        bytes.extend_from_slice(&[0, FRAME_GAP]);
    }
}

/// What the broker says of a message, up to the colon of `content-length`. What most messages are is one piece.
fn write_properties(bytes: &mut Vec<u8>, delivery: &Delivery) {
    let Delivery {
        message,
        deliveries,
        expires_ms,
        mode,
        ..
    } = delivery;
    if *deliveries <= 1 {
        bytes.extend_from_slice(b"redelivered:false\nJMSXDeliveryCount:1\ntimestamp:");
    } else {
        let name = b"redelivered:true\nJMSXDeliveryCount:";
        integer(bytes, name, (*deliveries).into());
        bytes.extend_from_slice(b"\ntimestamp:");
    }
    integer(bytes, b"", message.timestamp_ms);
    if message.priority == Priority::DEFAULT && *expires_ms == 0 {
        bytes.extend_from_slice(b"\npriority:4\nexpires:0\npersistent:");
    } else {
        integer(bytes, b"\npriority:", message.priority.get().into());
        integer(bytes, b"\nexpires:", *expires_ms);
        bytes.extend_from_slice(b"\npersistent:");
    }
    bytes.extend_from_slice(match mode {
        DeliveryMode::Persistent => b"true\ncontent-length:",
        DeliveryMode::NonPersistent => b"false\ncontent-length:",
    });
}

fn integer(bytes: &mut Vec<u8>, name: &[u8], value: i64) {
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_number(bytes: &mut Vec<u8>, number: Sequence) {
    let mut digits = itoa::Buffer::new();
    bytes.extend_from_slice(digits.format(number.epoch().0).as_bytes());
    bytes.push(b'-');
    bytes.extend_from_slice(digits.format(number.counter()).as_bytes());
    bytes.push(b'\n');
}

/// What a RECEIPT says beside its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Routed {
    /// Nothing: it means what it promises.
    Yes,
    /// The message went nowhere (`x-routed:0`).
    Nowhere,
    /// It repeats one that came before (`x-duplicate:true`).
    Before,
}

pub(super) fn write_receipt(
    output: &mut Output,
    version: Version,
    receipt: &ReceiptId,
    routed: Routed,
) {
    let start = output.position();
    let bytes = &mut output.bytes;
    bytes.extend_from_slice(b"RECEIPT\n");
    encode::header(bytes, version, b"receipt-id", &receipt.0);
    match routed {
        Routed::Yes => {}
        Routed::Nowhere => bytes.extend_from_slice(b"x-routed:0\n"),
        Routed::Before => bytes.extend_from_slice(b"x-duplicate:true\n"),
    }
    bytes.extend_from_slice(&[b'\n', 0, FRAME_GAP]);
    let end = output.position();
    let bytes = (end - start) as usize;
    output.receipts.push_back(WrittenReceipt { end, bytes });
    output.receipt_bytes += bytes;
}

pub(super) fn write_error(bytes: &mut Vec<u8>, version: Version, refusal: &Refusal) {
    let mut headers: Vec<(&[u8], &[u8])> = vec![
        (b"message", refusal.summary.as_bytes()),
        (b"content-type", b"text/plain"),
    ];
    if refusal.summary == UNSUPPORTED_VERSION {
        headers.push((b"version", VERSIONS));
    }
    if let Some(receipt) = &refusal.receipt {
        headers.push((b"receipt-id", &receipt.0));
    }
    let body = format!("{}\n", refusal.detail);
    write_frame(bytes, version, Command::Error, &headers, body.as_bytes());
}

/// Writes any other frame.
pub(super) fn write_frame(
    bytes: &mut Vec<u8>,
    version: Version,
    command: Command,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
) {
    encode::frame(bytes, version, command, headers, body);
    bytes.push(FRAME_GAP);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_follows_every_frame() {
        let mut output = Output::default();
        write_receipt(
            &mut output,
            Version::V1_2,
            &ReceiptId(b"r"[..].into()),
            Routed::Yes,
        );
        assert_eq!(output.bytes, b"RECEIPT\nreceipt-id:r\n\n\0\n");
        let mut error = Vec::new();
        write_error(&mut error, Version::V1_2, &Refusal::new("no", "not so"));
        assert!(error.ends_with(b"\n\nnot so\n\0\n"));
    }
}
