//! Sessions from frame to request and from reply to bytes, in every version.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stompbox_protocol::{Decoder, Input, Limits as WireLimits, Role, Version};
use stompbox_store::{Epoch, MessageNumber};

use super::*;
use crate::core::message::{DeliveryMode, Message, Priority};
use crate::core::port::{Delivery, DeliveryTag};

const NOW: Now = Now {
    wall_ms: 1_000_000,
    uptime: Duration::ZERO,
};

/// A session with what a connection's task has around it.
pub(super) struct Bench {
    pub(super) session: Session,
    pub(super) buffer: OutputBuffer,
    decoder: Decoder,
    counter: u64,
}

impl Bench {
    /// A session that has not connected.
    pub(super) fn fresh(limits: Limits) -> Self {
        let settings = SessionSettings {
            limits,
            policies: Policies::default(),
            heart_beat_min: Duration::from_millis(500),
            instance: "i".into(),
            epoch: Epoch(1),
            budget: MemoryBudget::new(1 << 20),
        };
        Self {
            session: Session::new(Arc::new(settings), 7, "peer".to_owned()),
            buffer: OutputBuffer::default(),
            decoder: Decoder::new(Role::Server, WireLimits::default()),
            counter: 0,
        }
    }

    /// A session that is open.
    pub(super) fn open(version: Version) -> Self {
        let mut bench = Self::fresh(Limits::default());
        bench.say(&format!("CONNECT\naccept-version:{version}\n\n\0"));
        bench.decoder.set_version(version);
        bench.reply(Reply::Opened);
        bench.requests();
        bench.told();
        bench
    }

    /// The client says this.
    pub(super) fn say(&mut self, frames: &str) {
        self.decoder.extend(frames.as_bytes());
        while let Ok(Some(input)) = self.decoder.next_input() {
            if let Input::Frame(frame) = input {
                self.session.frame(frame, NOW, &mut self.buffer.output);
            }
        }
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        self.session.reply(reply, NOW, &mut self.buffer.output);
    }

    /// The dispatcher hands out a message of so many bytes.
    pub(super) fn deliver(&mut self, subscription: u32, body_bytes: usize) {
        self.counter += 1;
        let budget = MemoryBudget::new(1 << 20);
        let body = Bytes::from(vec![b'x'; body_bytes]);
        let message = Message::new(b"", &body, Priority::DEFAULT, 5, &budget);
        self.reply(Reply::Deliver(Delivery {
            subscription: SubscriptionHandle(subscription),
            tag: DeliveryTag {
                slot: 3,
                counter: DeliveryCounter(self.counter),
            },
            number: MessageNumber(Epoch(1).first().0 + 9),
            message: Arc::new(message),
            deliveries: 1,
            expires_ms: 0,
            mode: DeliveryMode::Persistent,
            annotations: None,
        }));
    }

    /// What the dispatcher has been asked since the last time, in short.
    pub(super) fn requests(&mut self) -> Vec<String> {
        let requests = std::mem::take(&mut self.buffer.output.requests);
        requests
            .iter()
            .map(|request| format!("{request:?}"))
            .collect()
    }

    /// What the client has been told since the last time.
    pub(super) fn told(&mut self) -> String {
        let told = String::from_utf8_lossy(self.buffer.unwritten()).into_owned();
        self.buffer.advance(told.len());
        told
    }
}

#[test]
fn no_message_follows_a_disconnect() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
    bench.deliver(0, 10);
    bench.say("DISCONNECT\nreceipt:r\n\n\0");
    let given = bench.session.given();
    bench.told();
    bench.deliver(0, 10);
    assert_eq!(
        bench.told(),
        "",
        "the dispatcher takes it back as never seen"
    );
    assert_eq!(bench.session.given(), given);
    bench.reply(Reply::Receipt(ReceiptId(b"r"[..].into())));
    assert_eq!(bench.told(), "RECEIPT\nreceipt-id:r\n\n\0\n");
}

#[test]
fn nothing_follows_an_error() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
    bench.reply(Reply::Refused(Refusal::new("no", "because")));
    assert!(bench.told().starts_with("ERROR\nmessage:no\n"));
    bench.deliver(0, 10);
    bench.reply(Reply::Receipt(ReceiptId(b"r"[..].into())));
    assert_eq!(bench.told(), "");
    assert_eq!(bench.session.given(), DeliveryCounter(0));
}
