//! The only randomness: ids that nobody else has, and delays that nobody else keeps to.

use std::fmt::Write as _;
use std::time::Duration;

/// 128 random bits as text.
pub(crate) fn hex() -> String {
    bytes::<16>().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("invariant: the operating system has random bytes");
    bytes
}

/// Between half of a time and all of it.
pub(crate) fn jittered(time: Duration) -> Duration {
    let part = f64::from(u32::from_le_bytes(bytes())) / f64::from(u32::MAX);
    time.mul_f64(0.5 + part / 2.0)
}

/// A number below `end`; 0 if there is none.
pub(crate) fn below(end: usize) -> usize {
    let number = u32::from_le_bytes(bytes());
    usize::try_from(number).unwrap_or_default() % end.max(1)
}

#[cfg(test)]
mod tests {
    use super::{below, hex, jittered};
    use std::time::Duration;

    #[test]
    fn ids_differ_and_delays_stay_within_half() {
        assert_eq!(hex().len(), 32);
        assert_ne!(hex(), hex());
        for _ in 0..1_000 {
            let delay = jittered(Duration::from_millis(100));
            assert!((50..=100).contains(&delay.as_millis()), "{delay:?}");
            assert!(below(3) < 3);
        }
        assert_eq!(below(0), 0);
    }
}
