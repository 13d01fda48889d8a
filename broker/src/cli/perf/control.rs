//! What the threads of a load share: its clock, its phase, and how far each has come.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Messages go out and come in.
    Running,
    /// All that is expected has come: what comes now is too much.
    Finishing,
    /// Interrupted, or a thread failed: end at once.
    Aborted,
}

/// The clock and the phase of a load.
pub(super) struct Control {
    epoch: Instant,
    start_ns: OnceLock<u64>,
    phase: AtomicU8,
}

impl Control {
    pub(super) fn new() -> Control {
        Control {
            epoch: Instant::now(),
            start_ns: OnceLock::new(),
            phase: AtomicU8::new(0),
        }
    }

    /// Now, on the clock of the run.
    pub(super) fn now_ns(&self) -> u64 {
        as_ns(self.epoch.elapsed())
    }

    /// Begins; only the first call counts.
    pub(super) fn start(&self) {
        self.start_ns.get_or_init(|| self.now_ns());
    }

    /// When the load began, if it did.
    pub(super) fn start_ns(&self) -> Option<u64> {
        self.start_ns.get().copied()
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Running,
            1 => Phase::Finishing,
            _ => Phase::Aborted,
        }
    }

    /// Everything has come.
    pub(super) fn finish(&self) {
        self.phase.fetch_max(1, Ordering::Relaxed);
    }

    /// Stop everything.
    pub(super) fn abort(&self) {
        self.phase.fetch_max(2, Ordering::Relaxed);
    }
}

/// A duration in whole nanoseconds: enough for 584 years.
pub(super) fn as_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many messages a thread has dealt with; on a cache line of its own, as each thread writes its own all the time.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Gauge(AtomicU64);

impl Gauge {
    pub(super) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts over a time that ends with the last of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// How many.
    pub(super) count: u64,
    /// When the last one was, on the clock of the run.
    pub(super) last_ns: u64,
}

impl Span {
    pub(super) fn add(&mut self, count: u64, now_ns: u64) {
        self.count += count;
        self.last_ns = self.last_ns.max(now_ns);
    }

    /// Both together.
    pub(super) fn plus(self, other: Span) -> Span {
        Span {
            count: self.count + other.count,
            last_ns: self.last_ns.max(other.last_ns),
        }
    }

    /// How many a second since then.
    pub(super) fn rate(self, since_ns: u64) -> f64 {
        let ns = self.last_ns.saturating_sub(since_ns);
        if ns == 0 {
            return 0.0;
        }
        self.count as f64 * 1e9 / ns as f64
    }
}
