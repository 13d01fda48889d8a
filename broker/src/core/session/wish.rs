//! What a SUBSCRIBE wishes beside where it takes from: by headers, or by options behind the destination's `?`. Of the
//! two the header counts.

use std::sync::Arc;

use smallvec::SmallVec;
use stompbox_protocol::FrameRef;

use super::field;
use super::lasting::lasting;
use crate::core::destination::{ConsumerOptions, DestinationKind, SubscribeTarget};
use crate::core::dispatcher::{ConsumerPriority, Exclusivity};
use crate::core::port::{
    AckMode, Intent, Lasting, Locality, Memory, Prefetch, ReceiptId, Refusal, Source, Subscribing,
    SubscriptionHandle,
};
use crate::core::selector::Selector;

/// What a SUBSCRIBE wishes.
#[derive(Debug)]
pub(super) struct Wishes {
    pub(super) mode: AckMode,
    prefetch: Prefetch,
    selector: Option<Arc<Selector>>,
    selector_text: Option<Box<str>>,
    lasting: Option<Lasting>,
    priority: ConsumerPriority,
    exclusivity: Exclusivity,
    locality: Locality,
    pending_max: Option<u32>,
    memory: Memory,
    intent: Intent,
}

impl Wishes {
    pub(super) fn read(frame: &FrameRef<'_>, target: &SubscribeTarget) -> Result<Self, Refusal> {
        let options = &target.options;
        let (selector, selector_text) = selection(frame, options)?.unzip();
        Ok(Self {
            mode: ack_mode(frame)?,
            prefetch: prefetch(frame, options)?,
            selector,
            selector_text,
            lasting: lasting(frame, kind_of(target))?,
            priority: priority(frame, options)?,
            exclusivity: exclusivity(frame, options)?,
            locality: locality(frame, options)?,
            pending_max: pending_max(frame, options)?,
            memory: memory(frame, options)?,
            intent: intent(frame)?,
        })
    }

    /// The request that they come to.
    pub(super) fn of(
        self,
        subscription: SubscriptionHandle,
        sources: SmallVec<[Source; 1]>,
        receipt: Option<ReceiptId>,
    ) -> Subscribing {
        Subscribing {
            subscription,
            sources,
            mode: self.mode,
            prefetch: self.prefetch,
            selector: self.selector,
            selector_text: self.selector_text,
            lasting: self.lasting,
            priority: self.priority,
            exclusivity: self.exclusivity,
            locality: self.locality,
            pending_max: self.pending_max,
            memory: self.memory,
            intent: self.intent,
            receipt,
        }
    }
}

/// What a subscription takes from. A list of both is of topics.
pub(super) fn kind_of(target: &SubscribeTarget) -> DestinationKind {
    let kinds = target.sources.iter().map(|source| source.kind());
    if kinds.clone().all(|kind| kind == DestinationKind::Queue) {
        DestinationKind::Queue
    } else {
        DestinationKind::Topic
    }
}

/// A selector, parsed and as it came.
type Selection = (Arc<Selector>, Box<str>);

fn selection(
    frame: &FrameRef<'_>,
    options: &ConsumerOptions,
) -> Result<Option<Selection>, Refusal> {
    let header = frame.header("selector");
    let option = options.selector.as_ref().map(|text| text.as_bytes());
    let Some(text) = header.as_deref().or(option) else {
        return Ok(None);
    };
    match Selector::parse_header(text) {
        Ok(selector) => Ok(selector.map(|selector| {
            let text = String::from_utf8_lossy(text).into_owned();
            (Arc::new(selector), text.into_boxed_str())
        })),
        Err(error) => Err(Refusal::new("selector is invalid", error.to_string())),
    }
}

/// ActiveMQ's name of it, or RabbitMQ's.
fn priority(frame: &FrameRef<'_>, options: &ConsumerOptions) -> Result<ConsumerPriority, Refusal> {
    for name in ["activemq.priority", "x-priority"] {
        if let Some(value) = field::integer(frame, name)? {
            let limit = i64::from(i32::MAX);
            return Ok(ConsumerPriority(value.clamp(-limit, limit) as i32));
        }
    }
    Ok(ConsumerPriority(options.priority.unwrap_or(0)))
}

fn exclusivity(frame: &FrameRef<'_>, options: &ConsumerOptions) -> Result<Exclusivity, Refusal> {
    let wants = field::flag(frame, "activemq.exclusive")? || options.exclusive == Some(true);
    Ok(if wants {
        Exclusivity::Exclusive
    } else {
        Exclusivity::Shared
    })
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

fn prefetch(frame: &FrameRef<'_>, options: &ConsumerOptions) -> Result<Prefetch, Refusal> {
    let mut prefetch = Prefetch {
        messages: options.prefetch_size.map(|size| size.max(1)),
        bytes: None,
    };
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

/// ActiveMQ's limit of a subscription of topics: 0 is the policy's, and so is a negative one.
fn pending_max(frame: &FrameRef<'_>, options: &ConsumerOptions) -> Result<Option<u32>, Refusal> {
    Ok(
        match field::integer(frame, "activemq.maximumPendingMessageLimit")? {
            Some(..=0) => None,
            Some(limit) => Some(messages(limit)),
            None => options
                .maximum_pending_message_limit
                .filter(|limit| *limit > 0),
        },
    )
}

fn memory(frame: &FrameRef<'_>, options: &ConsumerOptions) -> Result<Memory, Refusal> {
    let is_wanted =
        field::flag(frame, "activemq.retroactive")? || options.retroactive == Some(true);
    Ok(if is_wanted {
        Memory::Retroactive
    } else {
        Memory::Prospective
    })
}

fn intent(frame: &FrameRef<'_>) -> Result<Intent, Refusal> {
    Ok(if field::flag(frame, "browser")? {
        Intent::Browse
    } else {
        Intent::Consume
    })
}

/// ActiveMQ's name of it, or RabbitMQ's.
fn locality(frame: &FrameRef<'_>, options: &ConsumerOptions) -> Result<Locality, Refusal> {
    let is_wanted = field::flag(frame, "activemq.noLocal")?
        || field::flag(frame, "no-local")?
        || options.no_local == Some(true);
    Ok(if is_wanted {
        Locality::NoLocal
    } else {
        Locality::All
    })
}
