//! SUBSCRIBE and UNSUBSCRIBE (dialect, SUBSCRIBE, UNSUBSCRIBE).

use std::collections::HashMap;
use std::sync::Arc;

use stompbox_protocol::{FrameRef, Version, encode};
use stompbox_store::DestinationKind;

use super::output::Output;
use super::{Session, field};
use crate::core::destination::DestinationName;
use crate::core::port::{
    AckMode, Prefetch, ReceiptId, Refusal, Request, Subscribing, SubscriptionHandle,
};

/// What a client calls its subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum SubscriptionName {
    /// By its `id`.
    Id(Box<[u8]>),
    /// STOMP 1.0 without `id`: by its destination.
    Destination(Arc<DestinationName>),
}

/// A live subscription, as the session knows it.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) mode: AckMode,
    pub(super) kind: DestinationKind,
    /// What of each MESSAGE never changes: command, `subscription`, `destination`, and `message-id` up to its
    /// numbers.
    pub(super) opening: Box<[u8]>,
}

/// So many ended subscriptions are remembered; then all are forgotten: names are the client's, memory is ours.
const ENDED_MAX: usize = 256;

/// Subscriptions of a STOMP 1.1 session that ended lately: an ACK that names one may still be on its way, and is
/// stale rather than wrong. (1.2 names deliveries, 1.0 messages.)
#[derive(Debug, Default)]
pub(super) struct Ended {
    handles: HashMap<SubscriptionName, SubscriptionHandle>,
}

impl Ended {
    pub(super) fn get(&self, name: &SubscriptionName) -> Option<SubscriptionHandle> {
        self.handles.get(name).copied()
    }

    fn insert(&mut self, name: SubscriptionName, handle: SubscriptionHandle) {
        if self.handles.len() == ENDED_MAX {
            self.handles.clear();
        }
        self.handles.insert(name, handle);
    }
}

/// Headers that change which messages come and that this version does not know: refused, not ignored.
const UNSUPPORTED: [(&str, &str); 8] = [
    ("selector", "selectors are"),
    ("activemq.subscriptionName", "durable subscriptions are"),
    ("durable-subscription-name", "durable subscriptions are"),
    ("durable-subscriber-name", "durable subscriptions are"),
    ("x-shared-name", "shared subscriptions are"),
    (
        "activemq.maximumPendingMessageLimit",
        "a limit of a subscription's own is",
    ),
    ("activemq.priority", "consumer priority is"),
    ("x-priority", "consumer priority is"),
];

const UNSUPPORTED_FLAGS: [(&str, &str); 8] = [
    ("browser", "browsing is"),
    ("durable", "durable subscriptions are"),
    ("persistent", "durable subscriptions are"),
    ("x-shared", "shared subscriptions are"),
    ("activemq.exclusive", "exclusive consumers are"),
    ("activemq.noLocal", "no-local subscriptions are"),
    ("no-local", "no-local subscriptions are"),
    ("activemq.retroactive", "retroactive subscriptions are"),
];

impl Session {
    pub(super) fn subscribe(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        refuse_unsupported(frame)?;
        let text = field::required(frame, "destination")?;
        let (name, options) = split_options(&text);
        let destination = self.destination(name)?.name;
        let mode = ack_mode(frame)?;
        let prefetch = prefetch(frame, options)?;
        let id = frame.header("id");
        let name = match &id {
            Some(id) => SubscriptionName::Id(id.as_ref().into()),
            None if self.version == Version::V1_0 => {
                SubscriptionName::Destination(Arc::clone(&destination))
            }
            None => return Err(missing_id("SUBSCRIBE")),
        };
        self.check_new(&name)?;
        let handle = self.next_subscription;
        self.next_subscription = SubscriptionHandle(handle.0 + 1);
        self.names.insert(name, handle);
        let opening = self.opening(id.as_deref(), &destination);
        if destination.kind() == DestinationKind::Topic {
            self.topic_subscriptions += 1;
        }
        let subscribed = Subscribed {
            mode,
            kind: destination.kind(),
            opening,
        };
        self.subscriptions.insert(handle, subscribed);
        let subscribing = Subscribing {
            subscription: handle,
            destination,
            mode,
            prefetch,
            receipt,
        };
        output
            .requests
            .push(Request::Subscribe(Box::new(subscribing)));
        Ok(())
    }

    fn opening(&self, id: Option<&[u8]>, destination: &DestinationName) -> Box<[u8]> {
        let mut lines = b"MESSAGE\n".to_vec();
        if let Some(id) = id {
            encode::header(&mut lines, self.version, b"subscription", id);
        }
        let destination = destination.wire().as_bytes();
        encode::header(&mut lines, self.version, b"destination", destination);
        lines.extend_from_slice(b"message-id:");
        lines.extend_from_slice(&self.message_id_prefix);
        lines.into_boxed_slice()
    }

    fn check_new(&self, name: &SubscriptionName) -> Result<(), Refusal> {
        if self.names.contains_key(name) {
            return Err(Refusal::new(
                "subscription id in use",
                "this connection has a live subscription with that id: UNSUBSCRIBE it first, or \
                 choose another id",
            ));
        }
        let limit = self.settings.limits.subscriptions;
        if self.subscriptions.len() < limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many subscriptions",
            format!(
                "this connection has {limit} subscriptions, which is limits.subscriptions: \
                 UNSUBSCRIBE some, use another connection, or raise the limit"
            ),
        ))
    }

    pub(super) fn unsubscribe(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let name = match frame.header("id") {
            Some(id) => SubscriptionName::Id(id.as_ref().into()),
            None if self.version == Version::V1_0 => {
                let text = field::required(frame, "destination")?;
                let (name, _) = split_options(&text);
                SubscriptionName::Destination(self.destination(name)?.name)
            }
            None => return Err(missing_id("UNSUBSCRIBE")),
        };
        let Some(handle) = self.names.remove(&name) else {
            return Err(Refusal::new(
                "no such subscription",
                "this connection has no live subscription with that id: it was never made, or ended",
            ));
        };
        if self.version == Version::V1_1 {
            self.ended.insert(name, handle);
        }
        if let Some(gone) = self.subscriptions.remove(&handle)
            && gone.kind == DestinationKind::Topic
        {
            self.topic_subscriptions -= 1;
        }
        let given = self.given;
        output.requests.push(Request::Unsubscribe {
            subscription: handle,
            given,
            receipt,
        });
        Ok(())
    }
}

fn missing_id(command: &str) -> Refusal {
    Refusal::new(
        "id is missing",
        format!("{command} needs the header 'id' from STOMP 1.1 on, unique within the connection"),
    )
}

fn refuse_unsupported(frame: &FrameRef<'_>) -> Result<(), Refusal> {
    let named = UNSUPPORTED
        .iter()
        .filter(|(name, _)| frame.header(name).is_some());
    let mut flagged = Vec::new();
    for flag in &UNSUPPORTED_FLAGS {
        if field::flag(frame, flag.0)? {
            flagged.push(flag);
        }
    }
    match named.chain(flagged).next() {
        None => Ok(()),
        Some((name, what)) => Err(Refusal::new(
            format!("{name} is not supported"),
            format!("{what} not supported by this version: subscribe without the header '{name}'"),
        )),
    }
}

/// Cuts `NAME?OPTIONS`.
fn split_options(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

fn ack_mode(frame: &FrameRef<'_>) -> Result<AckMode, Refusal> {
    match frame.header("ack").as_deref() {
        None | Some(b"auto") => Ok(AckMode::Auto),
        Some(b"client") => Ok(AckMode::Client),
        Some(b"client-individual") => Ok(AckMode::ClientIndividual),
        Some(other) => Err(Refusal::new(
            "ack mode is unknown",
            format!(
                "'{}' is no ack mode: use auto, client or client-individual",
                field::excerpt(other)
            ),
        )),
    }
}

fn prefetch(frame: &FrameRef<'_>, options: &[u8]) -> Result<Prefetch, Refusal> {
    let mut prefetch = Prefetch::default();
    for option in options
        .split(|byte| *byte == b'&')
        .filter(|option| !option.is_empty())
    {
        match option.strip_prefix(b"consumer.prefetchSize=") {
            Some(value) => {
                let size = field::parse_natural("consumer.prefetchSize", value)?;
                prefetch.messages = Some(messages(size.max(1)));
            }
            None => {
                return Err(Refusal::new(
                    "destination option is not supported",
                    format!(
                        "'{}' is not an option of this version: only consumer.prefetchSize is",
                        field::excerpt(option)
                    ),
                ));
            }
        }
    }
    if let Some(size) = natural(frame, "activemq.prefetchSize")? {
        prefetch.messages = Some(messages(size.max(1)));
    }
    if let Some(count) = natural(frame, "prefetch-count")? {
        prefetch.messages = Some(if count == 0 {
            u32::MAX
        } else {
            messages(count)
        });
    }
    match field::integer(frame, "consumer-window-size")? {
        None => {}
        Some(..0) => prefetch.messages = prefetch.messages.or(Some(u32::MAX)),
        Some(0) => prefetch.messages = Some(1),
        Some(bytes) => {
            prefetch.messages = prefetch.messages.or(Some(u32::MAX));
            prefetch.bytes = Some(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
    }
    Ok(prefetch)
}

fn natural(frame: &FrameRef<'_>, name: &str) -> Result<Option<i64>, Refusal> {
    frame
        .header(name)
        .map(|value| field::parse_natural(name, &value))
        .transpose()
}

fn messages(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
