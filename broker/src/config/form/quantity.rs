//! Quantities: durations, sizes, counts and factors, each with its range.

use std::fmt::Display;
use std::time::Duration;

use super::{Form, Scalar};

const UNITS_MS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const UNITS_BYTES: [(&str, usize); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A duration: a whole number and its unit.
pub(in super::super) struct Span {
    /// The shortest allowed.
    pub(in super::super) min: Duration,
    /// The longest allowed.
    pub(in super::super) max: Duration,
}

impl Form for Span {
    type Value = Duration;

    fn read(&self, scalar: &Scalar) -> Option<Duration> {
        let duration = parse_duration(scalar.text()?)?;
        (self.min..=self.max)
            .contains(&duration)
            .then_some(duration)
    }

    fn write(&self, value: &Duration) -> String {
        format!("\"{}\"", duration_text(*value))
    }

    fn allowed(&self) -> String {
        let (min, max) = (duration_text(self.min), duration_text(self.max));
        format!("a duration (\"500ms\", \"10s\", \"1m\", \"2h\") from {min} to {max}")
    }
}

/// Reads `500ms`, `10s`, `1m` or `2h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let (_, unit_ms) = UNITS_MS.into_iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.checked_mul(unit_ms)?))
}

/// Writes a duration in the largest unit that leaves no remainder; what is finer than a millisecond is not written.
fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    let fits = |unit_ms: u64| ms >= u128::from(unit_ms) && ms.is_multiple_of(unit_ms.into());
    match UNITS_MS.into_iter().find(|(_, unit_ms)| fits(*unit_ms)) {
        Some((unit, unit_ms)) => format!("{}{unit}", ms / u128::from(unit_ms)),
        None => "0s".to_owned(),
    }
}

/// A size in bytes: a number, or a number and its unit.
pub(in super::super) struct Bytes {
    /// The smallest allowed.
    pub(in super::super) min: usize,
    /// The largest allowed.
    pub(in super::super) max: usize,
}

impl Form for Bytes {
    type Value = usize;

    fn read(&self, scalar: &Scalar) -> Option<usize> {
        let bytes = match scalar {
            Scalar::Integer(integer) => usize::try_from(*integer).ok()?,
            Scalar::Text(text) | Scalar::Bare(text) => parse_bytes(text)?,
            Scalar::Float(_) | Scalar::Boolean(_) | Scalar::List(_) | Scalar::Other(_) => {
                return None;
            }
        };
        (self.min..=self.max).contains(&bytes).then_some(bytes)
    }

    fn write(&self, value: &usize) -> String {
        match bytes_text(*value) {
            (number, "B") => number.to_string(),
            (number, unit) => format!("\"{number} {unit}\""),
        }
    }

    fn allowed(&self) -> String {
        let ((min, min_unit), (max, max_unit)) = (bytes_text(self.min), bytes_text(self.max));
        format!("a size (\"64 KiB\", \"100 MiB\", bytes) from {min} {min_unit} to {max} {max_unit}")
    }
}

/// Reads `100 MiB`, `64KiB` or `4096`. Decimal units are refused: half their writers mean the binary ones.
fn parse_bytes(text: &str) -> Option<usize> {
    if let Ok(bytes) = text.trim().parse() {
        return Some(bytes);
    }
    let (number, unit) = split_unit(text)?;
    let known = |(name, _): &(&str, usize)| name.eq_ignore_ascii_case(unit);
    let (_, unit_bytes) = UNITS_BYTES.into_iter().find(known)?;
    usize::try_from(number).ok()?.checked_mul(unit_bytes)
}

/// A size in the largest unit that leaves no remainder.
fn bytes_text(bytes: usize) -> (usize, &'static str) {
    let fits = |unit: usize| bytes >= unit && bytes.is_multiple_of(unit);
    let unit = UNITS_BYTES
        .into_iter()
        .find(|(_, unit_bytes)| fits(*unit_bytes));
    unit.map_or((bytes, "B"), |(name, unit_bytes)| {
        (bytes / unit_bytes, name)
    })
}

/// Splits `10 s` into the number and the unit.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A whole number.
pub(in super::super) struct Count<T> {
    /// The smallest allowed.
    pub(in super::super) min: T,
    /// The largest allowed.
    pub(in super::super) max: T,
}

impl<T: Copy + Display + PartialOrd + TryFrom<i64>> Form for Count<T> {
    type Value = T;

    fn read(&self, scalar: &Scalar) -> Option<T> {
        let integer = match scalar {
            Scalar::Integer(integer) => *integer,
            Scalar::Bare(text) => text.trim().parse().ok()?,
            Scalar::Text(_)
            | Scalar::Float(_)
            | Scalar::Boolean(_)
            | Scalar::List(_)
            | Scalar::Other(_) => return None,
        };
        let count = T::try_from(integer).ok()?;
        (self.min..=self.max).contains(&count).then_some(count)
    }

    fn write(&self, value: &T) -> String {
        group_digits(&value.to_string())
    }

    fn allowed(&self) -> String {
        let (min, max) = (self.min.to_string(), self.max.to_string());
        format!(
            "a whole number from {} to {}",
            group_digits(&min),
            group_digits(&max)
        )
    }
}

/// Writes `1000000` as `1_000_000`, which TOML allows.
fn group_digits(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number that may have a fraction.
pub(in super::super) struct Number {
    /// The smallest allowed.
    pub(in super::super) min: f64,
    /// The largest allowed.
    pub(in super::super) max: f64,
}

impl Form for Number {
    type Value = f64;

    fn read(&self, scalar: &Scalar) -> Option<f64> {
        let number = match scalar {
            Scalar::Float(float) => *float,
            Scalar::Integer(integer) => f64::from(i32::try_from(*integer).ok()?),
            Scalar::Bare(text) => text.trim().parse().ok()?,
            Scalar::Text(_) | Scalar::Boolean(_) | Scalar::List(_) | Scalar::Other(_) => {
                return None;
            }
        };
        (self.min..=self.max).contains(&number).then_some(number)
    }

    fn write(&self, value: &f64) -> String {
        format!("{value:?}")
    }

    fn allowed(&self) -> String {
        format!("a number from {:?} to {:?}", self.min, self.max)
    }
}
