//! How much of a bounded proof runs: a share in every `cargo test`, all of it on demand.
//!
//! `STOMPBOX_SCALE=full` asks for all of it. The share proves that the test works and finds what is broken outright;
//! bounds and ratios are worth something at full scale, on a release build and an idle machine.

/// How much runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// A share that takes seconds in a debug build.
    Share,
    /// Everything.
    Full,
}

impl Scale {
    /// What the environment asks for.
    ///
    /// # Panics
    /// When `STOMPBOX_SCALE` is neither `share` nor `full`.
    #[must_use]
    pub fn asked_for() -> Scale {
        match std::env::var("STOMPBOX_SCALE").as_deref() {
            Err(std::env::VarError::NotPresent) | Ok("share") => Scale::Share,
            Ok("full") => Scale::Full,
            other => panic!("STOMPBOX_SCALE is share or full, not {other:?}"),
        }
    }

    /// The one or the other.
    #[must_use]
    pub fn of<T>(self, share: T, full: T) -> T {
        match self {
            Scale::Share => share,
            Scale::Full => full,
        }
    }
}
