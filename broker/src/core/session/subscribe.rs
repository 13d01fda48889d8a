//! SUBSCRIBE and UNSUBSCRIBE (dialect, SUBSCRIBE, UNSUBSCRIBE).

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;
use stompbox_protocol::{FrameRef, Version, encode};

use super::lasting::lasting;
use super::output::Output;
use super::temporary::invalid;
use super::wish::{self, Wishes};
use super::{Session, field, next_handle};
use crate::core::destination::{DestinationKind, Source as SubscribeSource, SubscribeTarget};
use crate::core::memory::{Held, Share};
use crate::core::port::{
    AckMode, Deletion, Lasting, ReceiptId, Refusal, Request, Source, SubscriptionHandle,
};

/// What a client calls its subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum SubscriptionName {
    /// By its `id`.
    Id(Box<[u8]>),
    /// STOMP 1.0 without `id`: by what it takes from.
    Sources(Box<[SubscribeSource]>),
}

impl SubscriptionName {
    fn of(target: &SubscribeTarget) -> Self {
        Self::Sources(target.sources.clone())
    }
}

/// A live subscription, as the session knows it.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) mode: AckMode,
    pub(super) hears_topics: bool,
    /// Names and patterns that it takes from.
    source_count: usize,
    /// What of each MESSAGE never changes: command, `subscription`, `destination` if it is one, and `message-id` up
    /// to its numbers.
    pub(super) opening: Box<[u8]>,
    /// What its selector takes of the memory.
    _selector: Option<Box<Held>>,
}

/// Bytes of a subscription's id: it is kept as long as the subscription lives, and part of each of its messages.
const ID_BYTES_MAX: usize = 255;

/// What the tree of a selector takes for each byte of its text, at the most: two of them are a node.
const SELECTOR_BYTES_PER_CHARACTER: usize = 32;

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

impl Session {
    pub(super) fn subscribe(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let text = field::required(frame, "destination")?;
        let target = SubscribeTarget::parse(&text).map_err(|error| invalid(&error))?;
        let wishes = Wishes::read(frame, &target)?;
        let id = frame.header("id");
        let name = match &id {
            Some(id) => SubscriptionName::Id(id.as_ref().into()),
            None if self.version == Version::V1_0 => SubscriptionName::of(&target),
            None => return Err(missing_id("SUBSCRIBE")),
        };
        self.check_new(&name, target.sources.len())?;
        let selector = self.hold_selector(frame, target.options.selector.as_deref())?;
        let mut sources: SmallVec<[Source; 1]> = SmallVec::new();
        for source in &target.sources {
            let source = self.source(source, output);
            // A temporary one may be named as its owner does and as others do.
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        let handle = self.next_subscription;
        self.next_subscription = SubscriptionHandle(next_handle(handle.0, "SUBSCRIBE")?);
        self.names.insert(name, handle);
        let hears_topics = target
            .sources
            .iter()
            .any(|source| source.kind() == DestinationKind::Topic);
        self.topic_subscriptions += usize::from(hears_topics);
        self.source_count += sources.len();
        let subscribed = Subscribed {
            mode: wishes.mode,
            hears_topics,
            source_count: sources.len(),
            opening: self.opening(id.as_deref(), &sources),
            _selector: selector,
        };
        self.subscriptions.insert(handle, subscribed);
        let subscribing = wishes.of(handle, sources, receipt);
        output
            .requests
            .push(Request::Subscribe(Box::new(subscribing)));
        Ok(())
    }

    fn source(&mut self, source: &SubscribeSource, output: &mut Output) -> Source {
        match source {
            SubscribeSource::One(address) => Source::One(self.resolve(address, output)),
            SubscribeSource::Matching(pattern) => Source::Matching(Arc::new(pattern.clone())),
        }
    }

    /// The lines of each MESSAGE that never change. A subscription to several places names each message's own.
    fn opening(&self, id: Option<&[u8]>, sources: &[Source]) -> Box<[u8]> {
        let mut lines = b"MESSAGE\n".to_vec();
        if let Some(id) = id {
            encode::header(&mut lines, self.version, b"subscription", id);
        }
        if let [Source::One(name)] = sources {
            let wire = self.temporaries.own_name(name).unwrap_or(name.wire());
            encode::header(&mut lines, self.version, b"destination", wire.as_bytes());
        }
        lines.extend_from_slice(b"message-id:");
        lines.extend_from_slice(&self.message_id_prefix);
        lines.into_boxed_slice()
    }

    /// A selector's share of the memory. A consumer without one can always subscribe: it may be what empties it.
    fn hold_selector(
        &self,
        frame: &FrameRef<'_>,
        option: Option<&str>,
    ) -> Result<Option<Box<Held>>, Refusal> {
        let header = frame.header("selector");
        let text_bytes = match (&header, option) {
            (Some(text), _) => text.len(),
            (None, option) => option.map_or(0, str::len),
        };
        if text_bytes == 0 {
            return Ok(None);
        }
        let mut held = self.settings.budget.hold(Share::Selectors);
        if held.is_taken() {
            return Err(Refusal::new(
                "too many selectors",
                format!(
                    "the selectors of all subscriptions fill a quarter of limits.memory_bytes = {}: end some, \
                     use shorter ones, or raise the limit",
                    self.settings.limits.memory_bytes
                ),
            ));
        }
        held.grow(text_bytes * SELECTOR_BYTES_PER_CHARACTER);
        Ok(Some(Box::new(held)))
    }

    fn check_new(&self, name: &SubscriptionName, source_count: usize) -> Result<(), Refusal> {
        if let SubscriptionName::Id(id) = name
            && id.len() > ID_BYTES_MAX
        {
            return Err(Refusal::new(
                "subscription id is too long",
                format!(
                    "the header 'id' has {} bytes, at most {ID_BYTES_MAX} are allowed: choose a shorter one",
                    id.len()
                ),
            ));
        }
        if self.names.contains_key(name) {
            return Err(Refusal::new(
                "subscription id in use",
                "this connection has a live subscription with that id: UNSUBSCRIBE it first, or \
                 choose another id",
            ));
        }
        let limit = self.settings.limits.subscriptions;
        if self.source_count + source_count <= limit {
            return Ok(());
        }
        Err(Refusal::new(
            "too many subscriptions",
            format!(
                "this connection has {} subscriptions and limits.subscriptions is {limit}, where each name \
                 of a list counts: UNSUBSCRIBE some, use another connection, or raise the limit",
                self.source_count
            ),
        ))
    }

    pub(super) fn unsubscribe(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let target = frame
            .header("destination")
            .map(|text| SubscribeTarget::parse(&text).map_err(|error| invalid(&error)))
            .transpose()?;
        let deletes = self.deletion(frame, target.as_ref(), output)?;
        let name = match (frame.header("id"), &target) {
            (Some(id), _) => Some(SubscriptionName::Id(id.as_ref().into())),
            (None, Some(target)) if self.version == Version::V1_0 => {
                Some(SubscriptionName::of(target))
            }
            (None, _) if deletes.is_some() => None,
            (None, None) if self.version == Version::V1_0 => {
                return Err(field::missing(frame, "destination"));
            }
            (None, _) => return Err(missing_id("UNSUBSCRIBE")),
        };
        let handle = name.as_ref().and_then(|name| self.names.remove(name));
        if handle.is_none() && deletes.is_none() {
            let by = match name {
                Some(SubscriptionName::Sources(_)) => "to that destination",
                Some(SubscriptionName::Id(_)) | None => "with that id",
            };
            return Err(Refusal::new(
                "no such subscription",
                format!(
                    "this connection has no live subscription {by}: it was never made, or ended"
                ),
            ));
        }
        if let Some(handle) = handle {
            self.forget(name, handle);
        }
        let given = self.given;
        output.requests.push(Request::Unsubscribe {
            subscription: handle,
            deletes,
            given,
            receipt,
        });
        Ok(())
    }

    fn forget(&mut self, name: Option<SubscriptionName>, handle: SubscriptionHandle) {
        if self.version == Version::V1_1
            && let Some(name) = name
        {
            self.ended.insert(name, handle);
        }
        if let Some(gone) = self.subscriptions.remove(&handle) {
            self.topic_subscriptions -= usize::from(gone.hears_topics);
            self.source_count -= gone.source_count;
        }
    }

    /// The durable subscription that an UNSUBSCRIBE deletes.
    fn deletion(
        &mut self,
        frame: &FrameRef<'_>,
        target: Option<&SubscribeTarget>,
        output: &mut Output,
    ) -> Result<Option<Deletion>, Refusal> {
        let kind = target.map_or(DestinationKind::Topic, wish::kind_of);
        let lasting = match lasting(frame, kind)? {
            None | Some(Lasting::Shared(_)) => return Ok(None),
            Some(lasting) => lasting,
        };
        let topic = match target.map(|target| (&target.sources[..], target)) {
            Some(([SubscribeSource::One(address)], _)) => Some(self.resolve(address, output)),
            Some((_, target)) => target.topic_set().map(Arc::new),
            None => None,
        };
        Ok(Some(Deletion { lasting, topic }))
    }
}

fn missing_id(command: &str) -> Refusal {
    Refusal::new(
        "id is missing",
        format!("{command} needs the header 'id' from STOMP 1.1 on, unique within the connection"),
    )
}
