//! How often a message comes again.

/// The most repeats that a SEND may ask for by number, as in ActiveMQ.
pub const REPEATS_MAX: u16 = 1_000;

/// How often a message comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// So many times, at most [`REPEATS_MAX`].
    Times(u16),
    /// Until it is cancelled.
    Endless,
}

impl Repeats {
    /// Not once more.
    pub const NONE: Repeats = Repeats::Times(0);

    /// As clients write it and the store keeps it; -1 is for ever. [`None`] if it is out of range.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            -1 => Some(Self::Endless),
            _ => u16::try_from(number)
                .ok()
                .filter(|times| *times <= REPEATS_MAX)
                .map(Self::Times),
        }
    }

    /// As clients write it and the store keeps it.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Times(times) => i64::from(times),
            Self::Endless => -1,
        }
    }

    /// What is left when one of them is used; [`None`] if there was none.
    #[must_use]
    pub(super) fn less_one(self) -> Option<Self> {
        match self {
            Self::Times(times) => times.checked_sub(1).map(Self::Times),
            Self::Endless => Some(Self::Endless),
        }
    }
}
