//! The budget that all messages in memory are charged to.
//!
//! A message holds its [`Charge`] from its making to the drop of its last reference, so that nothing that is
//! held anywhere can hide.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a message costs beside its bytes: its entry, its place in maps and lists.
pub const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// A count that is alone on its cache lines: who writes to it does not slow down who writes to another one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicUsize);

/// What was charged and what was given back.
///
/// Counted apart: messages are made by one task and dropped by another, on another core, and a count that both write
/// to would go to and fro with each message. Both wrap; their difference does not.
#[derive(Debug, Default)]
struct Counts {
    charged_bytes: Count,
    released_bytes: Count,
}

impl Counts {
    fn grow(&self, bytes: usize) {
        self.charged_bytes.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn shrink(&self, bytes: usize) {
        // Behind the charge that it takes back, also for who reads both.
        self.released_bytes.0.fetch_add(bytes, Ordering::Release);
    }
}

/// How much is charged, and the limit.
///
/// *Invariant*: its counts are never freed. A charge may outlive everything else; if it had to count who needs them,
/// that count would go to and fro between cores with each message. A process makes one budget.
#[derive(Debug)]
pub struct MemoryBudget {
    counts: &'static Counts,
    shares: [Count; Share::COUNT],
    limit_bytes: usize,
}

/// What may have only a part of the memory, for all connections together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Frames of held-back producers: a quarter of the limit, beyond it. Not charged, as who waits for memory must not
    /// wait for its own stash.
    Stashes,
    /// What open transactions have sent, which nobody else can make an end of: half of the limit, within it. Charged
    /// as messages.
    Transactions,
    /// Selectors: a quarter of the limit, beyond it.
    Selectors,
}

impl Share {
    const COUNT: usize = 3;

    fn of(self, limit_bytes: usize) -> usize {
        match self {
            Self::Stashes | Self::Selectors => limit_bytes / 4,
            Self::Transactions => limit_bytes / 2,
        }
    }
}

impl MemoryBudget {
    /// An empty budget.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            counts: Box::leak(Box::default()),
            shares: Default::default(),
            limit_bytes,
        })
    }

    /// Charges a message of so many bytes. Never fails: who lets messages in looks at [`Self::is_over`].
    #[must_use]
    pub fn charge(&self, message_bytes: usize) -> Charge {
        self.charge_bytes(message_bytes + MESSAGE_OVERHEAD_BYTES)
    }

    /// Charges bytes that are no message yet.
    #[must_use]
    pub fn charge_bytes(&self, bytes: usize) -> Charge {
        self.counts.grow(bytes);
        Charge {
            counts: self.counts,
            bytes,
        }
    }

    /// Bytes charged now.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        // In this order: a charge that is taken back in between is seen twice rather than not at all.
        let released = self.counts.released_bytes.0.load(Ordering::Acquire);
        let charged = self.counts.charged_bytes.0.load(Ordering::Relaxed);
        charged.wrapping_sub(released)
    }

    /// The limit.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    /// Whether the limit has been reached.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.used_bytes() >= self.limit_bytes
    }

    /// Whether a quarter more is used than the limit: what is let in beyond it, because it may be what makes room, is
    /// not let in beyond this.
    #[must_use]
    pub fn is_at_ceiling(&self) -> bool {
        self.is_at_ceiling_with(0)
    }

    /// The same, with what is sure to come.
    #[must_use]
    pub fn is_at_ceiling_with(&self, coming_bytes: usize) -> bool {
        self.used_bytes().saturating_add(coming_bytes) >= self.limit_bytes / 4 * 5
    }

    /// Nothing yet of a share.
    #[must_use]
    pub fn hold(self: &Arc<Self>, share: Share) -> Held {
        Held {
            budget: Arc::clone(self),
            share,
            bytes: 0,
        }
    }

    /// Whether a share is taken as a whole.
    #[must_use]
    pub fn is_taken(&self, share: Share) -> bool {
        let taken = self.shares[share as usize].0.load(Ordering::Relaxed);
        taken >= share.of(self.limit_bytes)
    }

    /// Whether enough is free again for producers to go on.
    #[must_use]
    pub fn has_recovered(&self) -> bool {
        self.used_bytes() < self.limit_bytes / 10 * 9
    }
}

/// A message's share of the budget, given back on drop.
#[derive(Debug)]
pub struct Charge {
    counts: &'static Counts,
    bytes: usize,
}

impl Charge {
    /// Charges so much more.
    pub fn grow(&mut self, bytes: usize) {
        self.counts.grow(bytes);
        self.bytes += bytes;
    }

    /// Gives so much back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.counts.shrink(bytes);
        self.bytes -= bytes;
    }

    /// How much was charged.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.counts.shrink(self.bytes);
    }
}

/// What one owner has of a share, given back on drop.
#[derive(Debug)]
pub struct Held {
    budget: Arc<MemoryBudget>,
    share: Share,
    bytes: usize,
}

impl Held {
    /// So much more.
    pub fn grow(&mut self, bytes: usize) {
        self.budget.shares[self.share as usize]
            .0
            .fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    /// So much less.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.budget.shares[self.share as usize]
            .0
            .fetch_sub(bytes, Ordering::Relaxed);
        self.bytes -= bytes;
    }

    /// Whether all owners together have as much as they may.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.budget.is_taken(self.share)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_that_of_all_its_owners_and_comes_back() {
        let budget = MemoryBudget::new(1_000);
        let (mut first, mut second) = (budget.hold(Share::Stashes), budget.hold(Share::Stashes));
        first.grow(200);
        assert!(!second.is_taken());
        second.grow(50);
        assert!(first.is_taken());
        assert!(!budget.is_taken(Share::Transactions));
        second.shrink(1);
        assert!(!first.is_taken());
        drop(first);
        second.grow(200);
        assert!(!second.is_taken());
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_dropped_charge_gives_its_bytes_back() {
        let budget = MemoryBudget::new(1_000);
        let first = budget.charge(100);
        let second = budget.charge(700);
        assert_eq!(budget.used_bytes(), 800 + 2 * MESSAGE_OVERHEAD_BYTES);
        assert!(budget.is_over());
        drop(second);
        assert!(budget.has_recovered());
        drop(first);
        assert_eq!(budget.used_bytes(), 0);
    }
}
