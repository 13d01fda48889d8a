//! Numbers that the store's threads leave for its owner: what is in flight and what has been done.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::{Backlog, StoreStatistics};

/// Counters, each written by one thread and read by any. They guard nothing, hence relaxed.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    operations: AtomicUsize,
    bytes: AtomicUsize,
    commit_count: AtomicU64,
    operation_count: AtomicU64,
    cancelled_count: AtomicU64,
    last_commit_us: AtomicU64,
    wal_bytes: AtomicU64,
    quarantined_count: AtomicU64,
    scratch_entries: AtomicU64,
    database_free_bytes: AtomicU64,
    is_full: AtomicBool,
}

impl Gauge {
    pub(super) fn enter(&self, load: Backlog) {
        self.operations.fetch_add(load.operations, Relaxed);
        self.bytes.fetch_add(load.bytes, Relaxed);
    }

    pub(super) fn leave(&self, load: Backlog) {
        self.operations.fetch_sub(load.operations, Relaxed);
        self.bytes.fetch_sub(load.bytes, Relaxed);
    }

    pub(super) fn backlog(&self) -> Backlog {
        Backlog {
            operations: self.operations.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }

    pub(super) fn committed(&self, operations: usize, took: Duration) {
        self.commit_count.fetch_add(1, Relaxed);
        self.operation_count.fetch_add(operations as u64, Relaxed);
        self.last_commit_us
            .store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn cancelled(&self, appends: usize) {
        self.cancelled_count.fetch_add(appends as u64, Relaxed);
    }

    pub(super) fn quarantined(&self, entries: usize) {
        self.quarantined_count.fetch_add(entries as u64, Relaxed);
    }

    /// Written before the watermark of the commit that changes it is reported.
    pub(super) fn scratch_entries_are(&self, entries: u64) {
        self.scratch_entries.store(entries, Relaxed);
    }

    /// Whether the scratch file has any entry.
    pub(super) fn has_scratch_entries(&self) -> bool {
        self.scratch_entries.load(Relaxed) > 0
    }

    pub(super) fn database_free_is(&self, bytes: u64) {
        self.database_free_bytes.store(bytes, Relaxed);
    }

    pub(super) fn full_is(&self, is_full: bool) {
        self.is_full.store(is_full, Relaxed);
    }

    /// What was last reported of the log.
    pub(super) fn log_bytes(&self) -> u64 {
        self.wal_bytes.load(Relaxed)
    }

    pub(super) fn log_is(&self, bytes: u64) {
        self.wal_bytes.store(bytes, Relaxed);
    }

    pub(super) fn statistics(&self, database_bytes: u64, scratch_bytes: u64) -> StoreStatistics {
        StoreStatistics {
            commit_count: self.commit_count.load(Relaxed),
            operation_count: self.operation_count.load(Relaxed),
            cancelled_count: self.cancelled_count.load(Relaxed),
            last_commit_us: self.last_commit_us.load(Relaxed),
            database_bytes,
            database_free_bytes: self.database_free_bytes.load(Relaxed),
            scratch_bytes,
            is_full: self.is_full.load(Relaxed),
            wal_bytes: self.wal_bytes.load(Relaxed),
            quarantined_count: self.quarantined_count.load(Relaxed),
        }
    }
}
