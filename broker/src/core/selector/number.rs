//! Numbers: integers of 64 bit, and floating point.
//!
//! *Invariant*: a [`Number::Float`] is finite. What would not be is no number, and evaluates to NULL.

use std::cmp::Ordering;
use std::fmt;

/// More bytes make no number: a peer's text is only scanned so far.
const TEXT_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

/// What is done to two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Which operators bind alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Sum,
    Product,
}

impl Arithmetic {
    pub(super) fn level(self) -> Level {
        match self {
            Self::Add | Self::Subtract => Level::Sum,
            Self::Multiply | Self::Divide | Self::Remainder => Level::Product,
        }
    }

    pub(super) fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Remainder => '%',
        }
    }
}

impl Number {
    pub(super) fn float(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Float(value))
    }

    /// An integer literal behind a minus sign: one more than fits without it.
    pub(super) fn negative(magnitude: u64) -> Option<Self> {
        0_i64.checked_sub_unsigned(magnitude).map(Self::Integer)
    }

    /// The number that a property's text is: `[+-]digits[.digits][E[+-]digits]`, with a digit beside the point at least.
    pub(super) fn of_text(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (whole, behind_whole) = split_digits(strip_sign(text));
        let (fraction, rest) = match behind_whole {
            [b'.', rest @ ..] => split_digits(rest),
            rest => (&[][..], rest),
        };
        let has_digits = !whole.is_empty() || !fraction.is_empty();
        if !has_digits || !strip_exponent(rest).is_empty() {
            return None;
        }
        let text = str::from_utf8(text).ok()?;
        match text.parse() {
            Ok(value) if behind_whole.is_empty() => Some(Self::Integer(value)),
            _ => text.parse().ok().and_then(Self::float),
        }
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left.cmp(&right),
            // Finite: there is always an order.
            (left, right) => left
                .approximate()
                .partial_cmp(&right.approximate())
                .unwrap_or(Ordering::Equal),
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Integer(value) => value
                .checked_neg()
                .map_or(Self::Float(-self.approximate()), Self::Integer),
            Self::Float(value) => Self::Float(-value),
        }
    }

    /// Integers stay integers, except that `/` always divides as floating point, and what does not fit in 64 bit goes on as
    /// floating point. What is not finite then is no number.
    pub(super) fn apply(self, operator: Arithmetic, other: Self) -> Option<Self> {
        if let (Self::Integer(left), Self::Integer(right)) = (self, other) {
            let exact = match operator {
                Arithmetic::Add => left.checked_add(right),
                Arithmetic::Subtract => left.checked_sub(right),
                Arithmetic::Multiply => left.checked_mul(right),
                // What is left of the least integer divided by -1 is 0, although the quotient does not fit.
                Arithmetic::Remainder => (right != 0).then(|| left.wrapping_rem(right)),
                Arithmetic::Divide => None,
            };
            if let Some(exact) = exact {
                return Some(Self::Integer(exact));
            }
        }
        let (left, right) = (self.approximate(), other.approximate());
        Self::float(match operator {
            Arithmetic::Add => left + right,
            Arithmetic::Subtract => left - right,
            Arithmetic::Multiply => left * right,
            Arithmetic::Divide => left / right,
            Arithmetic::Remainder => left % right,
        })
    }

    fn approximate(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// As a literal that reads back as the same number.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

fn strip_sign(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let is_digit = |octet: &&u8| octet.is_ascii_digit();
    text.split_at(text.iter().take_while(is_digit).count())
}

/// Nothing is stripped if no digit follows.
fn strip_exponent(text: &[u8]) -> &[u8] {
    let [b'e' | b'E', exponent @ ..] = text else {
        return text;
    };
    match split_digits(strip_sign(exponent)) {
        ([], _) => text,
        (_, rest) => rest,
    }
}
