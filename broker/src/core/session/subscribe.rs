//! SUBSCRIBE and UNSUBSCRIBE (dialect, SUBSCRIBE, UNSUBSCRIBE).

use std::collections::HashMap;
use std::sync::Arc;

use stompbox_protocol::{Frame, Version, encode};
use stompbox_store::DestinationKind;

use super::output::Output;
use super::{Session, field};
use crate::core::destination::DestinationName;
use crate::core::dispatcher::{ConsumerPriority, Exclusivity};
use crate::core::port::{
    AckMode, Prefetch, ReceiptId, Refusal, Request, Subscribing, SubscriptionHandle,
};
use crate::core::selector::Selector;

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
    /// The lines of each MESSAGE that never change: command, `subscription`, `destination`.
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
const UNSUPPORTED: [(&str, &str); 5] = [
    ("activemq.subscriptionName", "durable subscriptions are"),
    ("durable-subscription-name", "durable subscriptions are"),
    ("durable-subscriber-name", "durable subscriptions are"),
    ("x-shared-name", "shared subscriptions are"),
    (
        "activemq.maximumPendingMessageLimit",
        "a limit of a subscription's own is",
    ),
];

const UNSUPPORTED_FLAGS: [(&str, &str); 7] = [
    ("browser", "browsing is"),
    ("durable", "durable subscriptions are"),
    ("persistent", "durable subscriptions are"),
    ("x-shared", "shared subscriptions are"),
    ("activemq.noLocal", "no-local subscriptions are"),
    ("no-local", "no-local subscriptions are"),
    ("activemq.retroactive", "retroactive subscriptions are"),
];

impl Session {
    pub(super) fn subscribe(
        &mut self,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        refuse_unsupported(frame)?;
        let text = field::required(frame, "destination")?;
        let (name, options) = split_options(&text);
        let destination = self.destination(name)?.name;
        let mode = ack_mode(frame)?;
        let prefetch = prefetch(frame, options)?;
        let (selector, priority, exclusivity) =
            (selector(frame)?, priority(frame)?, exclusivity(frame)?);
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
        let opening = opening(self.version, id.as_deref(), &destination);
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
            selector,
            priority,
            exclusivity,
            receipt,
        };
        output
            .requests
            .push(Request::Subscribe(Box::new(subscribing)));
        Ok(())
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
        frame: &Frame,
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

fn refuse_unsupported(frame: &Frame) -> Result<(), Refusal> {
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

fn selector(frame: &Frame) -> Result<Option<Arc<Selector>>, Refusal> {
    let Some(text) = frame.header("selector") else {
        return Ok(None);
    };
    match Selector::parse_header(&text) {
        Ok(selector) => Ok(selector.map(Arc::new)),
        Err(error) => Err(Refusal::new("selector is invalid", error.to_string())),
    }
}

/// ActiveMQ's name of it, or RabbitMQ's.
fn priority(frame: &Frame) -> Result<ConsumerPriority, Refusal> {
    for name in ["activemq.priority", "x-priority"] {
        if let Some(value) = field::integer(frame, name)? {
            let limit = i64::from(i32::MAX);
            return Ok(ConsumerPriority(value.clamp(-limit, limit) as i32));
        }
    }
    Ok(ConsumerPriority::default())
}

fn exclusivity(frame: &Frame) -> Result<Exclusivity, Refusal> {
    Ok(if field::flag(frame, "activemq.exclusive")? {
        Exclusivity::Exclusive
    } else {
        Exclusivity::Shared
    })
}

fn ack_mode(frame: &Frame) -> Result<AckMode, Refusal> {
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

fn prefetch(frame: &Frame, options: &[u8]) -> Result<Prefetch, Refusal> {
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

fn natural(frame: &Frame, name: &str) -> Result<Option<i64>, Refusal> {
    frame
        .header(name)
        .map(|value| field::parse_natural(name, &value))
        .transpose()
}

fn messages(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn opening(version: Version, id: Option<&[u8]>, destination: &DestinationName) -> Box<[u8]> {
    let mut lines = b"MESSAGE\n".to_vec();
    if let Some(id) = id {
        encode::header(&mut lines, version, b"subscription", id);
    }
    encode::header(
        &mut lines,
        version,
        b"destination",
        destination.wire().as_bytes(),
    );
    lines.into_boxed_slice()
}
