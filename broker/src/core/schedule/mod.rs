//! When a message comes that is not to come at once (dialect, SEND): what the headers of a SEND ask for, and the
//! arithmetic of its times.
//!
//! A schedule never changes; where it has got to is a [`Firing`], the next one. *Invariants.* The same schedule, firing
//! and time give the same answer, whether the broker ran meanwhile or not: what was missed is one firing, and the
//! times after it lie where they always lay. No times overflow: what is too far away is the end of time. Nothing in
//! here knows messages, or what time it is.

mod cron;
mod error;
mod header;
mod repeat;
mod text;

pub use cron::{CRON_BYTES_MAX, Cron};
pub use error::{CronError, ScheduleError, TextError};
pub use header::ScheduleHeaders;
pub use jiff::tz::TimeZone;
pub use repeat::{REPEATS_MAX, Repeats};

/// When a message comes, relative to its SEND.
///
/// ```text
/// without cron    SEND + first, then REPEAT times PERIOD later
/// with cron       for each time of it: that + first, then REPEAT times PERIOD later, until the next one is due
/// first           DELAY, or PERIOD where DELAY is 0 or not there; 0 without either
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    delay_ms: i64,
    period_ms: i64,
    repeats: Repeats,
    cron: Option<Cron>,
}

/// The next time that a message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firing {
    /// When, ms since 1970.
    pub due_ms: i64,
    /// How often it comes again after that; with cron, until its next time.
    pub left: Repeats,
}

impl Firing {
    /// Whether it is time.
    #[must_use]
    pub fn is_due(self, now_ms: i64) -> bool {
        self.due_ms <= now_ms
    }
}

impl Schedule {
    /// The first firing of what was sent at that time.
    ///
    /// # Errors
    /// When there is none, since no such day exists.
    pub fn first(&self, sent_ms: i64, zone: &TimeZone) -> Result<Firing, ScheduleError> {
        let start_ms = match &self.cron {
            None => sent_ms,
            Some(cron) => cron
                .next_after(sent_ms, zone)
                .ok_or_else(|| ScheduleError::NeverComes(cron.text().to_owned()))?,
        };
        Ok(Firing {
            due_ms: start_ms.saturating_add(self.first_ms()),
            left: self.repeats,
        })
    }

    /// The firing after one that happens now; [`None`] if that was the last one.
    ///
    /// It is later than now, however late now is: times that were missed are not made up for, but each firing counts as
    /// one repeat, so that as many come as were asked for. Only repeats without a period come all at once.
    #[must_use]
    pub fn next(&self, fired: Firing, now_ms: i64, zone: &TimeZone) -> Option<Firing> {
        let now_ms = now_ms.max(fired.due_ms);
        let repeat = fired.left.less_one().map(|left| Firing {
            due_ms: self.on_grid(fired.due_ms, now_ms),
            left,
        });
        let Some(cron) = &self.cron else {
            return repeat;
        };
        let anew = cron
            .next_after(now_ms.saturating_sub(self.first_ms()), zone)
            .map(|start_ms| Firing {
                due_ms: start_ms.saturating_add(self.first_ms()),
                left: self.repeats,
            });
        match (repeat, anew) {
            (Some(repeat), Some(anew)) if repeat.due_ms < anew.due_ms => Some(repeat),
            (Some(repeat), None) => Some(repeat),
            (_, anew) => anew,
        }
    }

    fn first_ms(&self) -> i64 {
        if self.delay_ms > 0 {
            self.delay_ms
        } else {
            self.period_ms
        }
    }

    /// The first of `due_ms`, one period later, two.. that is not over.
    fn on_grid(&self, due_ms: i64, now_ms: i64) -> i64 {
        if self.period_ms == 0 {
            return due_ms;
        }
        let late_ms = now_ms.saturating_sub(due_ms);
        let rest_ms = late_ms % self.period_ms;
        now_ms.saturating_add(self.period_ms - rest_ms)
    }

    /// `AMQ_SCHEDULED_DELAY`, 0 where it is not there.
    #[must_use]
    pub fn delay_ms(&self) -> i64 {
        self.delay_ms
    }

    /// `AMQ_SCHEDULED_PERIOD`, 0 where it is not there.
    #[must_use]
    pub fn period_ms(&self) -> i64 {
        self.period_ms
    }

    /// `AMQ_SCHEDULED_REPEAT`.
    #[must_use]
    pub fn repeats(&self) -> Repeats {
        self.repeats
    }

    /// `AMQ_SCHEDULED_CRON`.
    #[must_use]
    pub fn cron(&self) -> Option<&Cron> {
        self.cron.as_ref()
    }
}

#[cfg(test)]
mod tests;
