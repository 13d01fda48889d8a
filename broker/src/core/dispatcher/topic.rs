//! A topic: the subscriptions that each get a copy, and what has to wait before it is copied.

use std::collections::VecDeque;
use std::sync::Arc;

use stompbox_store::{DestinationId, MessageNumber, Sender, Sequence, Ticket};

use super::idle::LastUse;
use super::key::{PeerKey, SubscriptionKey};
use super::retained::Retained;
use super::topic_log::TopicLog;
use crate::config::Policy;
use crate::core::destination::DestinationName;
use crate::core::message::Publication;
use crate::core::pattern_index::Generation;

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TopicCounters {
    pub(super) enqueued: u64,
    pub(super) dispatched: u64,
    pub(super) dropped: u64,
}

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<DestinationName>,
    /// Its row in the store, once something that is stored refers to it.
    pub(super) id: Option<DestinationId>,
    /// For subscriptions that last, while there are any.
    pub(super) log: Option<Box<TopicLog>>,
    pub(super) policy: Arc<Policy>,
    /// Its last messages, for those that begin with them.
    pub(super) retained: Option<Box<Retained>>,
    /// Those that named it.
    pub(super) subscriptions: Vec<SubscriptionKey>,
    /// All that hear it, as of `audience_at`.
    pub(super) audience: Vec<SubscriptionKey>,
    /// None when `subscriptions` has changed since.
    pub(super) audience_at: Option<Generation>,
    /// Whether any of them has a selector.
    pub(super) is_selective: bool,
    /// Published when the watermark has reached the ticket and the topic is not crowded: what a COMMIT sent, and
    /// whatever came behind it.
    pub(super) held: VecDeque<(Ticket, (Sequence, MessageNumber), Sender, Publication)>,
    /// Subscriptions at their pending limit, and one more while `is_crowded`.
    pub(super) full_count: usize,
    /// Whether it keeps its messages back because there are too many copies.
    pub(super) is_crowded: bool,
    /// Connections whose SENDs wait for `full_count` to be 0.
    pub(super) blocked: Vec<PeerKey>,
    /// Whether something may be scheduled for it.
    pub(super) is_scheduled_for: bool,
    /// When it was last seen to be used.
    pub(super) last_use: Option<LastUse>,
    pub(super) counters: TopicCounters,
}

impl Topic {
    pub(super) fn new(name: Arc<DestinationName>, policy: Arc<Policy>) -> Self {
        Self {
            name,
            id: None,
            log: None,
            policy,
            retained: None,
            subscriptions: Vec::new(),
            audience: Vec::new(),
            audience_at: None,
            is_selective: false,
            held: VecDeque::new(),
            full_count: 0,
            is_crowded: false,
            blocked: Vec::new(),
            is_scheduled_for: false,
            last_use: None,
            counters: TopicCounters::default(),
        }
    }

    /// Whether its persistent messages are stored for durable subscriptions.
    pub(super) fn is_kept(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.is_kept())
    }
}
