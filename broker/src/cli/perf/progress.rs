//! The line that shows how far a load is, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::run::Progress;
use super::text::grouped;

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(500);

/// The line, which writes over itself.
pub(super) struct ProgressLine {
    shown: Option<Progress>,
    enabled: bool,
    name: String,
}

impl ProgressLine {
    /// A line that begins with `name`.
    pub(super) fn new(name: impl Into<String>) -> ProgressLine {
        ProgressLine {
            shown: None,
            enabled: io::stderr().is_terminal(),
            name: name.into(),
        }
    }

    /// Shows how far it is, now and then.
    pub(super) fn show(&mut self, now: Progress) {
        let before = self.shown.unwrap_or(Progress {
            elapsed: Duration::ZERO,
            sent: 0,
            received: 0,
        });
        let passed = now.elapsed.saturating_sub(before.elapsed);
        if !self.enabled || passed < EVERY {
            return;
        }
        let rate = |count: u64, before: u64| {
            let count = count.saturating_sub(before) as f64;
            grouped((count / passed.as_secs_f64()) as u64)
        };
        let line = format!(
            "\r{}{:>4} s  sent {} ({}/s)  received {} ({}/s)\x1b[K",
            self.name,
            now.elapsed.as_secs(),
            grouped(now.sent),
            rate(now.sent, before.sent),
            grouped(now.received),
            rate(now.received, before.received),
        );
        self.shown = Some(now);
        // If standard error is closed nobody watches.
        io::stderr().write_all(line.as_bytes()).ok();
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown.is_some() {
            io::stderr().write_all(b"\r\x1b[K").ok();
        }
    }
}
