//! Cron: times that come again by the calendar. Five fields, as in ActiveMQ; names, `L`, `W` and `#` besides.
//!
//! What the clock skips in spring comes at the first moment after the gap, what it repeats in autumn comes once, if
//! minute and hour are numbers; what has a wildcard in them comes as often as the clock shows it.

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::CronError;
use crate::core::excerpt::excerpt;

/// Bytes of an expression.
pub const CRON_BYTES_MAX: usize = 255;

/// A checked expression. It is kept as text and read at each use, which takes 15 us: what is read from it takes 5 KB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron(Box<str>);

/// What is allowed in one of the five fields.
struct Field {
    name: &'static str,
    allowed: &'static str,
    /// Beside digits and `*?,-/`.
    letters: &'static [&'static str],
    signs: &'static [char],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        allowed: "write 0 to 59, as in 5, 0,30, 10-20 or */15",
        letters: &[],
        signs: &[],
    },
    Field {
        name: "hour",
        allowed: "write 0 to 23, as in 5, 6,18, 8-17 or */2",
        letters: &[],
        signs: &[],
    },
    Field {
        name: "day of the month",
        allowed: "write 1 to 31, as in 1, 1,15 or 1-7, L for the last, 15W for the working day nearest",
        letters: &["L", "W", "LW"],
        signs: &[],
    },
    Field {
        name: "month",
        allowed: "write 1 to 12 or JAN to DEC, as in 3, 1,7 or JUN-AUG",
        letters: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
        signs: &[],
    },
    Field {
        name: "day of the week",
        allowed: "write 0 to 7 or SUN to SAT, 0 and 7 being Sunday, as in 1-5, 1#2 for the second Monday, 5L for the last Friday",
        letters: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "L"],
        signs: &['#'],
    },
];

impl Cron {
    /// Reads an expression.
    pub(super) fn parse(text: &str) -> Result<Self, CronError> {
        if text.len() > CRON_BYTES_MAX {
            return Err(CronError::TooLong { bytes: text.len() });
        }
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let Ok(parts) = <[&str; 5]>::try_from(parts) else {
            let count = text.split_ascii_whitespace().count();
            return Err(CronError::FieldCount { count });
        };
        for (index, (part, field)) in parts.iter().zip(&FIELDS).enumerate() {
            if !field.takes(part, index) {
                return Err(CronError::Field {
                    field: field.name,
                    text: excerpt(part),
                    position: position(text, index),
                    allowed: field.allowed,
                });
            }
        }
        Ok(Self(parts.join(" ").into_boxed_str()))
    }

    /// As it was written, with single spaces.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Its first time after that one, both in ms since 1970; [`None`] if there is none.
    pub(super) fn next_after(&self, after_ms: i64, zone: &TimeZone) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?;
        let next = read(&self.0)?
            .find_next_occurrence(&after.to_zoned(zone.clone()), false)
            .ok()?;
        // Later in any case, or a firing would follow itself for ever.
        Some(next.timestamp().as_millisecond()).filter(|next_ms| *next_ms > after_ms)
    }
}

/// `?` is another spelling of `*` in every field.
fn read(text: &str) -> Option<croner::Cron> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Optional)
        .build()
        .parse(&text.replace('?', "*"))
        .ok()
}

impl Field {
    /// Whether it means something in this field, all others being `*`.
    fn takes(&self, part: &str, index: usize) -> bool {
        let is_sign = |sign: char| "*?,-/".contains(sign) || self.signs.contains(&sign);
        let is_spelt = part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || is_sign(c))
            // The parser passes over what is not there in `1,,2`.
            && part.split(',').all(|item| !item.is_empty())
            && part
                .split(|c: char| !c.is_ascii_alphabetic())
                .all(|word| self.knows(word));
        let mut alone = ["*"; 5];
        alone[index] = part;
        is_spelt && read(&alone.join(" ")).is_some()
    }

    /// The parser would take any name in any field.
    fn knows(&self, word: &str) -> bool {
        word.is_empty()
            || self
                .letters
                .iter()
                .any(|known| word.eq_ignore_ascii_case(known))
    }
}

/// Where a field begins, in characters from 1.
fn position(text: &str, index: usize) -> usize {
    let mut starts = text
        .char_indices()
        .enumerate()
        .filter_map(|(at, (byte, c))| {
            let before = text[..byte].chars().next_back();
            let is_start =
                !c.is_ascii_whitespace() && before.is_none_or(|c| c.is_ascii_whitespace());
            is_start.then_some(at + 1)
        });
    starts.nth(index).unwrap_or(1)
}
