//! One message in one place: what differs between the copies of a message.
//!
//! An entry is owned by whoever is responsible for it, and that ownership is its dispatch state:
//!
//! ```text
//!                 dispatch                 ACK, hand-over (auto)
//!   Ready (lane) ----------> Acquired (deliveries) ------------> gone
//!     ^   ^  ^                 |        |  \ ACK, NACK in a transaction
//!     |   |  +--- return ------+        |   +--> Claimed (deliveries, with its transaction)
//!     |   |   (lost, UNSUBSCRIBE)       |           |  COMMIT: gone, or failed as by NACK
//!     |   +--- due --- Delayed <- NACK -+           |  ABORT: failed as by NACK
//!     +--------------------------------------------+
//! ```
//!
//! An entry is a value that is moved, never shared: it cannot be in two states.

use std::sync::Arc;
use std::time::Duration;

use stompbox_store::{Append, EntryKey, Medium, MessageNumber, Payload, Sender, Ticket};

use super::key::ShortTopic;
use crate::core::clock::Now;
use crate::core::message::{DeliveryMode, Message};

/// Visible as soon as it is there.
pub(super) const AT_ONCE: Ticket = Ticket(0);

/// Where the disk stands with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Not stored.
    Volatile,
    /// Stored when the watermark reaches this ticket.
    Pending(Ticket),
}

impl Durability {
    /// An entry that came from the store.
    pub(super) const DURABLE: Durability = Durability::Pending(Ticket(0));
}

/// Where the store keeps messages of this mode, if it is asked to.
fn kept_in(mode: DeliveryMode) -> Medium {
    match mode {
        DeliveryMode::Persistent => Medium::Database,
        DeliveryMode::NonPersistent => Medium::Scratch,
    }
}

/// One message in one place.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) number: MessageNumber,
    pub(super) message: Arc<Message>,
    pub(super) mode: DeliveryMode,
    /// ms since 1970; 0 is never.
    pub(super) expires_ms: i64,
    pub(super) durability: Durability,
    /// The topic that it came from, where its queue does not tell.
    pub(super) topic: Option<ShortTopic>,
    /// How often it was handed to a consumer, or may have been.
    pub(super) deliveries: u32,
    /// How often that failed.
    pub(super) failures: u32,
    /// Not dispatched before the watermark has reached this ticket.
    pub(super) visible_after: Ticket,
    /// Not dispatched before this uptime: a redelivery delay.
    pub(super) not_before: Duration,
    /// Header lines of this copy alone: why it became a dead letter.
    pub(super) annotations: Option<Arc<[u8]>>,
}

impl Entry {
    /// A message that was never delivered from this place, visible at once.
    pub(super) fn new(
        number: MessageNumber,
        message: Arc<Message>,
        mode: DeliveryMode,
        expires_ms: i64,
        durability: Durability,
    ) -> Self {
        Self {
            number,
            deliveries: message.deliveries_before(),
            message,
            mode,
            expires_ms,
            durability,
            topic: None,
            failures: 0,
            visible_after: AT_ONCE,
            not_before: Duration::ZERO,
            annotations: None,
        }
    }

    /// Whether it was neither delivered nor failed since it came to this place: what the store does not know of it
    /// stands in its message.
    pub(super) fn is_untouched(&self) -> bool {
        self.deliveries == self.message.deliveries_before() && self.failures == 0
    }

    /// The same message as a dead letter: persistent, for ever, and visible when its arrival is durable. A crash
    /// before that would show it in both queues, and in this one twice without saying so.
    pub(super) fn into_dead_letter(self, annotations: &[u8], ticket: Ticket) -> Self {
        Self {
            visible_after: ticket,
            annotations: Some(Arc::from(annotations)),
            ..Self::new(
                self.number,
                self.message,
                DeliveryMode::Persistent,
                0,
                Durability::Pending(ticket),
            )
        }
    }

    /// What the store is asked to keep of it.
    pub(super) fn to_append(
        &self,
        key: EntryKey,
        annotations: Box<[u8]>,
        sender: Sender,
    ) -> Append {
        Append {
            key,
            number: self.number,
            payload: Arc::clone(&self.message) as Arc<dyn Payload>,
            timestamp_ms: self.message.timestamp_ms,
            expires_ms: self.expires_ms,
            annotations,
            medium: kept_in(self.mode),
            sender,
        }
    }

    /// Whether its time has passed.
    pub(super) fn is_expired(&self, wall_ms: i64) -> bool {
        self.expires_ms != 0 && self.expires_ms <= wall_ms
    }

    /// The uptime at which its time has passed, as far as the clocks tell now.
    pub(super) fn expires_at(&self, now: Now) -> Duration {
        if self.expires_ms == 0 {
            return Duration::MAX;
        }
        let left_ms = self.expires_ms.saturating_sub(now.wall_ms).max(0);
        now.uptime
            .saturating_add(Duration::from_millis(left_ms.unsigned_abs()))
    }

    /// Where the store has it or will have it.
    pub(super) fn medium(&self) -> Option<Medium> {
        self.is_stored().then(|| kept_in(self.mode))
    }

    /// Whether the store has it or will have it.
    pub(super) fn is_stored(&self) -> bool {
        self.durability != Durability::Volatile
    }

    /// Whether the store has it.
    pub(super) fn is_durable(&self, watermark: Ticket) -> bool {
        match self.durability {
            Durability::Volatile => false,
            Durability::Pending(ticket) => ticket <= watermark,
        }
    }
}
