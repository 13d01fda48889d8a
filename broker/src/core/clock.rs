//! Time as the core sees it: handed in with every input, never asked for.

use std::time::Duration;

/// The time of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, ms since 1970: expiry and time stamps. May jump.
    pub wall_ms: i64,
    /// Since the start of the process: delays. Never goes back.
    pub uptime: Duration,
}
