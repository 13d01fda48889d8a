//! The only place where the time is asked for.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::core::clock::Now;

/// Both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) fn now(self) -> Now {
        Now {
            wall_ms: wall_ms(),
            uptime: self.start.elapsed(),
        }
    }

    /// The instant of an uptime.
    pub(super) fn instant(self, uptime: std::time::Duration) -> Instant {
        self.start + uptime
    }
}

/// ms since 1970; a clock before that counts as 1970.
pub(super) fn wall_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
