//! The budget that all messages in memory are charged to.
//!
//! A message holds its [`Charge`] from its making to the drop of its last reference, so that nothing that is
//! held anywhere can hide.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a message costs beside its bytes: its entry, its place in maps and lists.
pub const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// How much is charged, and the limit.
#[derive(Debug)]
pub struct MemoryBudget {
    used_bytes: AtomicUsize,
    limit_bytes: usize,
}

impl MemoryBudget {
    /// An empty budget.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            used_bytes: AtomicUsize::new(0),
            limit_bytes,
        })
    }

    /// Charges a message of so many bytes. Never fails: who lets messages in looks at [`Self::is_over`].
    #[must_use]
    pub fn charge(self: &Arc<Self>, message_bytes: usize) -> Charge {
        self.charge_bytes(message_bytes + MESSAGE_OVERHEAD_BYTES)
    }

    /// Charges bytes that are no message yet.
    #[must_use]
    pub fn charge_bytes(self: &Arc<Self>, bytes: usize) -> Charge {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: Arc::clone(self),
            bytes,
        }
    }

    /// Bytes charged now.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
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

    /// Whether enough is free again for producers to go on.
    #[must_use]
    pub fn has_recovered(&self) -> bool {
        self.used_bytes() < self.limit_bytes / 10 * 9
    }
}

/// A message's share of the budget, given back on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Charge {
    /// Charges so much more.
    pub fn grow(&mut self, bytes: usize) {
        self.budget.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    /// Gives so much back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.budget.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
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
        self.budget
            .used_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
