//! A topic: the subscriptions that each get a copy, and what a COMMIT holds back.

use std::collections::VecDeque;
use std::sync::Arc;

use stompbox_store::{MessageNumber, Ticket};

use super::key::{PeerKey, SubscriptionKey};
use crate::config::Policy;
use crate::core::destination::DestinationName;
use crate::core::message::Publication;

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
    pub(super) subscriptions: Vec<SubscriptionKey>,
    /// Published when the watermark has reached the ticket: what a COMMIT sent, and whatever came behind it.
    pub(super) held: VecDeque<(Ticket, MessageNumber, Publication)>,
    /// Subscriptions at their pending limit.
    pub(super) full_count: usize,
    /// Connections whose SENDs wait for `full_count` to be 0.
    pub(super) blocked: Vec<PeerKey>,
    pub(super) counters: TopicCounters,
}

impl Topic {
    pub(super) fn new(name: Arc<DestinationName>, policy: Arc<Policy>) -> Self {
        Self {
            name,
            policy,
            subscriptions: Vec::new(),
            held: VecDeque::new(),
            full_count: 0,
            blocked: Vec::new(),
            counters: TopicCounters::default(),
        }
    }
}
