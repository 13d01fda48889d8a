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

use stompbox_store::{MessageNumber, Ticket};

use crate::core::clock::Now;
use crate::core::message::{DeliveryMode, Message};

/// Where the disk stands with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Never stored.
    Volatile,
    /// Stored when the watermark reaches this ticket.
    Pending(Ticket),
}

impl Durability {
    /// An entry that came from the store.
    pub(super) const DURABLE: Durability = Durability::Pending(Ticket(0));
}

/// One message in one place.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: MessageNumber,
    pub(super) message: Arc<Message>,
    pub(super) mode: DeliveryMode,
    /// ms since 1970; 0 is never.
    pub(super) expires_ms: i64,
    pub(super) durability: Durability,
    /// How often it was handed to a consumer.
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
