//! Values, and how they compare.
//!
//! *Invariant*: text of a message is a number or a boolean only where it meets one; nothing else changes its type.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::expression::{Comparison, Sense};
use super::number::Number;
use super::property::HeaderValue;
use super::truth::Truth;

/// What an operand is worth.
#[derive(Debug)]
pub(super) enum Value<'v> {
    /// NULL.
    Absent,
    Boolean(bool),
    Number(Number),
    /// A string of the selector: only ever a string.
    Literal(&'v [u8]),
    /// Text of the message: a number or a boolean where it is compared with one.
    Text(Cow<'v, [u8]>),
}

impl<'v> From<HeaderValue<'v>> for Value<'v> {
    fn from(value: HeaderValue<'v>) -> Self {
        match value {
            HeaderValue::Absent => Self::Absent,
            HeaderValue::Boolean(value) => Self::Boolean(value),
            HeaderValue::Integer(value) => Self::Number(Number::Integer(value)),
            HeaderValue::Text(text) => Self::Text(text),
        }
    }
}

impl<'v> From<&'v HeaderValue<'_>> for Value<'v> {
    fn from(value: &'v HeaderValue<'_>) -> Self {
        match value {
            HeaderValue::Absent => Self::Absent,
            HeaderValue::Boolean(value) => Self::Boolean(*value),
            HeaderValue::Integer(value) => Self::Number(Number::Integer(*value)),
            HeaderValue::Text(text) => Self::Text(Cow::Borrowed(text)),
        }
    }
}

/// What two values have to do with each other.
enum Relation {
    Ordered(Ordering),
    /// They can be equal, and have no order.
    Same(bool),
    /// They are of types that do not compare.
    Unlike,
}

/// Compares; with NULL that is unknown, and of what does not compare every comparison is false.
pub(super) fn compare(operator: Comparison, left: &Value<'_>, right: &Value<'_>) -> Truth {
    let holds = match relation(left, right) {
        None => return Truth::Unknown,
        Some(Relation::Unlike) => false,
        Some(Relation::Same(is_same)) => match operator {
            Comparison::Equal => is_same,
            Comparison::NotEqual => !is_same,
            Comparison::Less
            | Comparison::LessOrEqual
            | Comparison::Greater
            | Comparison::GreaterOrEqual => false,
        },
        Some(Relation::Ordered(ordering)) => match operator {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        },
    };
    Truth::from(holds)
}

/// `None` if one of them is NULL.
fn relation(left: &Value<'_>, right: &Value<'_>) -> Option<Relation> {
    use Value::{Absent, Boolean, Literal, Number as Numeric, Text};
    let numbers = |left: Option<Number>, right: Option<Number>| match (left, right) {
        (Some(left), Some(right)) => Some(Relation::Ordered(left.compare(right))),
        _ => None,
    };
    Some(match (left, right) {
        (Absent, _) | (_, Absent) => return None,
        (Numeric(left), Numeric(right)) => Relation::Ordered(left.compare(*right)),
        (Numeric(left), Text(right)) => {
            numbers(Some(*left), Number::of_text(right)).unwrap_or(Relation::Unlike)
        }
        (Text(left), Numeric(right)) => {
            numbers(Number::of_text(left), Some(*right)).unwrap_or(Relation::Unlike)
        }
        (Text(left), Text(right)) => numbers(Number::of_text(left), Number::of_text(right))
            .unwrap_or(Relation::Same(left == right)),
        (Boolean(left), Boolean(right)) => Relation::Same(left == right),
        (Boolean(value), Text(text)) | (Text(text), Boolean(value)) => {
            boolean_of_text(text).map_or(Relation::Unlike, |text| Relation::Same(text == *value))
        }
        (Literal(left), Literal(right)) => Relation::Same(left == right),
        (Literal(literal), Text(text)) | (Text(text), Literal(literal)) => {
            Relation::Same(**literal == **text)
        }
        (Numeric(_), Boolean(_) | Literal(_))
        | (Boolean(_), Numeric(_) | Literal(_))
        | (Literal(_), Numeric(_) | Boolean(_)) => Relation::Unlike,
    })
}

/// IN and LIKE are about text, and false of anything else, with NOT as well.
pub(super) fn examine(value: &Value<'_>, sense: Sense, is_met: impl Fn(&[u8]) -> bool) -> Truth {
    match value {
        Value::Absent => Truth::Unknown,
        Value::Text(text) => Truth::from(is_met(text) == (sense == Sense::Affirmed)),
        Value::Boolean(_) | Value::Number(_) | Value::Literal(_) => Truth::False,
    }
}

/// A value that is a condition by itself.
pub(super) fn is_set(value: &Value<'_>) -> Truth {
    match value {
        Value::Absent => Truth::Unknown,
        Value::Boolean(is_set) => Truth::from(*is_set),
        Value::Text(text) => Truth::from(boolean_of_text(text) == Some(true)),
        Value::Number(_) | Value::Literal(_) => Truth::False,
    }
}

fn boolean_of_text(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}
