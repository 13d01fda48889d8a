//! A connection as the dispatcher knows it.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use stompbox_protocol::Version;
use stompbox_store::DestinationId;

use super::Place;
use super::delivery::Slot;
use super::flow::Blocker;
use super::key::SubscriptionKey;
use super::producer::Produced;
use super::statistics::Asked;
use super::subscription::ByNumber;
use crate::core::destination::DestinationName;
use crate::core::port::{
    ConnectionId, DeliveryCounter, Opening, Reply, Request, SubscriptionHandle, TransactionHandle,
};

/// What an open transaction has acknowledged.
#[derive(Debug, Default)]
pub(super) struct Claims {
    slots: Vec<Slot>,
    bytes: usize,
}

impl Claims {
    pub(super) fn push(&mut self, slot: Slot, bytes: usize) {
        self.slots.push(slot);
        self.bytes += bytes;
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slots.iter().copied()
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the messages.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Whether requests of a connection are still acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are.
    Open,
    /// It was refused or has disconnected: only its end is.
    Ending,
}

/// Replies that are handed over in one piece.
const BATCH_REPLIES: usize = 1_024;

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) connection: ConnectionId,
    pub(super) opening: Arc<Opening>,
    pub(super) connected_ms: i64,
    pub(super) standing: Standing,
    pub(super) subscriptions: FxHashMap<SubscriptionHandle, SubscriptionKey>,
    /// Open deliveries of all its subscriptions, where its ACKs need not name one.
    pub(super) by_number: Option<ByNumber>,
    /// What open transactions have claimed.
    pub(super) transactions: FxHashMap<TransactionHandle, Claims>,
    /// The last delivery made.
    pub(super) counter: DeliveryCounter,
    pub(super) in_flight: u64,
    /// What holds its SENDs back.
    pub(super) blocked_by: Vec<Blocker>,
    /// What it asked for behind a SEND that waits.
    pub(super) deferred: VecDeque<Request>,
    /// What the store has said of the scheduled message that its first deferred SEND is to remove: where it goes, if it is
    /// there.
    pub(super) was_found: Option<Option<DestinationId>>,
    /// Temporary destinations that go with it.
    pub(super) temporaries: Vec<Place>,
    /// Not yet handed over.
    pub(super) replies: Vec<Reply>,
    /// The same, before those: in pieces, so that a great many take no more room than they need.
    pub(super) reply_batches: Vec<Vec<Reply>>,
    /// How many were handed over the last time: there will be about as many again.
    pub(super) reply_count: usize,
    /// Where its last SEND outside of a transaction went, if that is still there. Not a temporary destination.
    pub(super) latest: Option<(Arc<DestinationName>, Place)>,
    /// Where it has sent to, in a transaction or not.
    pub(super) produced: Produced,
    /// What statistics it has asked for lately.
    pub(super) asked: Asked,
    /// Whether it was let in: what advisories say has come, they say has gone.
    pub(super) was_opened: bool,
}

impl Peer {
    pub(super) fn new(connection: ConnectionId, opening: Arc<Opening>, connected_ms: i64) -> Self {
        Self {
            connection,
            by_number: (opening.version == Version::V1_0).then(Default::default),
            opening,
            connected_ms,
            standing: Standing::Open,
            subscriptions: FxHashMap::default(),
            transactions: FxHashMap::default(),
            counter: DeliveryCounter(0),
            in_flight: 0,
            blocked_by: Vec::new(),
            deferred: VecDeque::new(),
            was_found: None,
            temporaries: Vec::new(),
            replies: Vec::new(),
            reply_batches: Vec::new(),
            reply_count: 0,
            latest: None,
            produced: Produced::new(),
            asked: Asked::default(),
            was_opened: false,
        }
    }

    /// One more reply, for the end of the turn.
    pub(super) fn push(&mut self, reply: Reply) {
        if self.replies.is_empty() {
            self.replies.reserve(self.reply_count.min(BATCH_REPLIES));
        } else if self.replies.len() == BATCH_REPLIES {
            let next = Vec::with_capacity(BATCH_REPLIES);
            let full = std::mem::replace(&mut self.replies, next);
            self.reply_batches.push(full);
        }
        self.replies.push(reply);
    }

    /// Whether anything holds its SENDs back.
    pub(super) fn is_blocked(&self) -> bool {
        !self.blocked_by.is_empty()
    }
}
