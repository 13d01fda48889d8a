//! When the writer removes what nobody needs any more, and for how long: in passing, or when nothing else comes.

use std::time::{Duration, Instant};

/// It takes a transaction no longer than this, and is not put off for less than that. What the disk takes for it comes on
/// top.
const BUDGET_MAX: Duration = Duration::from_millis(10);
const BUDGET_MIN: Duration = Duration::from_millis(1);
/// How long nothing must have come before it has a commit of its own.
const PAUSE: Duration = Duration::from_millis(10);
/// How long it is not tried again on a disk that had no room for it.
const REST: Duration = Duration::from_secs(1);

/// How long a transaction may remove what nobody needs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trim {
    /// Not at all.
    Never,
    /// As long as the rest of it takes.
    InPassing,
    /// It has nothing else to do.
    Alone,
}

impl Trim {
    /// The time for it in a transaction whose rest has taken `rest`.
    pub(super) fn budget(self, rest: Duration) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::InPassing => Some(rest.clamp(BUDGET_MIN, BUDGET_MAX)),
            Self::Alone => Some(BUDGET_MAX),
        }
    }
}

/// When the next one is.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    rests: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now(),
            rests: false,
        }
    }

    /// Something was committed.
    pub(super) fn committed(&mut self) {
        if !self.rests() {
            self.rests = false;
            self.next = Instant::now() + PAUSE;
        }
    }

    /// It found no room.
    pub(super) fn rest(&mut self) {
        self.rests = true;
        self.next = Instant::now() + REST;
    }

    /// What a commit may do in passing.
    pub(super) fn in_passing(&self) -> Trim {
        match self.rests() {
            true => Trim::Never,
            false => Trim::InPassing,
        }
    }

    /// How long until it has a commit of its own.
    pub(super) fn patience(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    fn rests(&self) -> bool {
        self.rests && Instant::now() < self.next
    }
}
