//! A topic: the subscriptions that each get a copy, and what a COMMIT holds back.

use std::collections::VecDeque;
use std::sync::Arc;

use stompbox_store::{MessageNumber, Sender, Ticket};

use super::idle::LastUse;
use super::key::{PeerKey, SubscriptionKey};
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
    pub(super) policy: Arc<Policy>,
    /// Those that named it.
    pub(super) subscriptions: Vec<SubscriptionKey>,
    /// All that hear it, as of `audience_at`.
    pub(super) audience: Vec<SubscriptionKey>,
    /// None when `subscriptions` has changed since.
    pub(super) audience_at: Option<Generation>,
    /// Published when the watermark has reached the ticket: what a COMMIT sent, and whatever came behind it.
    pub(super) held: VecDeque<(Ticket, MessageNumber, Sender, Publication)>,
    /// Subscriptions at their pending limit.
    pub(super) full_count: usize,
    /// Connections whose SENDs wait for `full_count` to be 0.
    pub(super) blocked: Vec<PeerKey>,
    /// When it was last seen to be used.
    pub(super) last_use: Option<LastUse>,
    pub(super) counters: TopicCounters,
}

impl Topic {
    pub(super) fn new(name: Arc<DestinationName>, policy: Arc<Policy>) -> Self {
        Self {
            name,
            policy,
            subscriptions: Vec::new(),
            audience: Vec::new(),
            audience_at: None,
            held: VecDeque::new(),
            full_count: 0,
            blocked: Vec::new(),
            last_use: None,
            counters: TopicCounters::default(),
        }
    }
}
