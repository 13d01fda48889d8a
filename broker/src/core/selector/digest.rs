//! A short name of a text that is displayed: many selectors are told apart without comparing each with each.

use std::fmt::{self, Display, Write};
use std::hash::{DefaultHasher, Hasher};

/// Hashes what is written to it.
struct Digest(DefaultHasher);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// What is displayed, as a number.
pub(super) fn of(displayed: &impl Display) -> u64 {
    let mut digest = Digest(DefaultHasher::new());
    // Whatever is written is taken.
    let _ = write!(digest, "{displayed}");
    digest.0.finish()
}
