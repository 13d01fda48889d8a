//! What a selector says of a message.
//!
//! *Invariants*: nothing is allocated; a message is asked at most once for each identifier. Recursion is as deep as the
//! selector nests, which the parser bounds.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use super::IDENTIFIERS_MAX;
use super::expression::{Comparison, Condition, Operand, Sense};
use super::identifier::{IdentifierIndex, Identifiers, Target};
use super::number::Number;
use super::property::{HeaderValue, Properties};
use super::truth::Truth;

/// So many slots are cheaper to prepare than all that there can be.
const FEW: usize = 4;

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

pub(super) fn evaluate<P: Properties + ?Sized>(
    root: &Condition,
    identifiers: &Identifiers,
    message: &P,
) -> Truth {
    let with = |slots: &[OnceCell<_>]| {
        Evaluation {
            identifiers,
            message,
            slots,
        }
        .truth(root)
    };
    match identifiers.slot_count() {
        0 => with(&[]),
        1..=FEW => with(&[const { OnceCell::new() }; FEW]),
        _ => with(&[const { OnceCell::new() }; IDENTIFIERS_MAX]),
    }
}

struct Evaluation<'e, 'm, P: ?Sized> {
    identifiers: &'e Identifiers,
    message: &'m P,
    slots: &'e [OnceCell<HeaderValue<'m>>],
}

impl<'e, 'm: 'e, P: Properties + ?Sized> Evaluation<'e, 'm, P> {
    fn truth(&self, condition: &'e Condition) -> Truth {
        match condition {
            Condition::Constant(holds) => Truth::from(*holds),
            Condition::Flag(identifier) => is_set(&self.read(*identifier)),
            Condition::Not(inner) => !self.truth(inner),
            Condition::And(terms) => Truth::all(terms.iter().map(|term| self.truth(term))),
            Condition::Or(terms) => Truth::any(terms.iter().map(|term| self.truth(term))),
            Condition::Comparison {
                left,
                operator,
                right,
            } => compare(*operator, &self.value(left), &self.value(right)),
            Condition::Between {
                operand,
                low,
                high,
                sense,
            } => self.between([operand, low, high], *sense),
            Condition::In {
                identifier,
                members,
                sense,
            } => examine(&self.read(*identifier), *sense, |text| {
                members.contains(text)
            }),
            Condition::Like {
                identifier,
                pattern,
                sense,
            } => examine(&self.read(*identifier), *sense, |text| {
                pattern.matches(text)
            }),
            Condition::IsNull { identifier, sense } => {
                let is_absent = matches!(self.read(*identifier), Value::Absent);
                Truth::from(is_absent == (*sense == Sense::Affirmed))
            }
        }
    }

    /// JMS defines it by comparisons, so that it is false of what cannot be compared, with NOT as well.
    fn between(&self, operands: [&'e Operand; 3], sense: Sense) -> Truth {
        let [value, low, high] = operands.map(|operand| self.value(operand));
        match sense {
            Sense::Affirmed => Truth::all(
                [
                    (Comparison::GreaterOrEqual, low),
                    (Comparison::LessOrEqual, high),
                ]
                .iter()
                .map(|(operator, bound)| compare(*operator, &value, bound)),
            ),
            Sense::Negated => Truth::any(
                [(Comparison::Less, low), (Comparison::Greater, high)]
                    .iter()
                    .map(|(operator, bound)| compare(*operator, &value, bound)),
            ),
        }
    }

    fn value(&self, operand: &'e Operand) -> Value<'e> {
        match operand {
            Operand::Text(text) => Value::Literal(text.as_bytes()),
            Operand::Number(number) => Value::Number(*number),
            Operand::Identifier(identifier) => self.read(*identifier),
            Operand::Condition(condition) => match self.truth(condition) {
                Truth::True => Value::Boolean(true),
                Truth::False => Value::Boolean(false),
                Truth::Unknown => Value::Absent,
            },
            Operand::Negated(_) | Operand::Chain { .. } => {
                self.number(operand).map_or(Value::Absent, Value::Number)
            }
        }
    }

    /// What is no number is NULL to arithmetic.
    fn number(&self, operand: &'e Operand) -> Option<Number> {
        match operand {
            Operand::Negated(inner) => self.number(inner).map(Number::negated),
            Operand::Chain { first, rest } => rest
                .iter()
                .try_fold(self.number(first)?, |left, (operator, right)| {
                    left.apply(*operator, self.number(right)?)
                }),
            other => match self.value(other) {
                Value::Number(number) => Some(number),
                Value::Text(text) => Number::of_text(&text),
                Value::Absent | Value::Boolean(_) | Value::Literal(_) => None,
            },
        }
    }

    fn read(&self, identifier: IdentifierIndex) -> Value<'e> {
        match self.identifiers.slot(identifier) {
            None => self.ask(identifier).into(),
            Some(slot) => self.slots[slot].get_or_init(|| self.ask(identifier)).into(),
        }
    }

    fn ask(&self, identifier: IdentifierIndex) -> HeaderValue<'m> {
        match self.identifiers.target(identifier) {
            Target::Header(header) => self.message.header(*header),
            Target::Property(name) => self.message.property(name).into(),
        }
    }
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
        Some(Relation::Unlike) => operator == Comparison::NotEqual,
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
fn examine(value: &Value<'_>, sense: Sense, is_met: impl Fn(&[u8]) -> bool) -> Truth {
    match value {
        Value::Absent => Truth::Unknown,
        Value::Text(text) => Truth::from(is_met(text) == (sense == Sense::Affirmed)),
        Value::Boolean(_) | Value::Number(_) | Value::Literal(_) => Truth::False,
    }
}

fn is_set(value: &Value<'_>) -> Truth {
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
