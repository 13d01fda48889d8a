//! The three truth values of SQL.

use std::ops::Not;

/// Whether a condition holds. Where a message lacks what the condition speaks of, that is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell.
    Unknown,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl Truth {
    /// AND over all of them; asks no further once one is false.
    pub(super) fn all(terms: impl Iterator<Item = Truth>) -> Self {
        !Self::any(terms.map(Truth::not))
    }

    /// OR over all of them; asks no further once one is true.
    pub(super) fn any(terms: impl Iterator<Item = Truth>) -> Self {
        let mut any = Self::False;
        for term in terms {
            match term {
                Self::True => return Self::True,
                Self::Unknown => any = Self::Unknown,
                Self::False => {}
            }
        }
        any
    }
}
