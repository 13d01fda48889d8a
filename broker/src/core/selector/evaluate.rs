//! What a selector says of a message.
//!
//! *Invariants*: nothing is allocated; a message is asked at most once for each identifier. Recursion is as deep as the
//! selector nests, which the parser bounds.

use std::cell::OnceCell;

use super::IDENTIFIERS_MAX;
use super::expression::{Comparison, Condition, Operand, Sense};
use super::identifier::{IdentifierIndex, Identifiers, Target};
use super::number::Number;
use super::property::{HeaderValue, Properties};
use super::truth::Truth;
use super::value::{Value, compare, examine, is_set};

/// So many slots are cheaper to prepare than all that there can be.
const FEW: usize = 4;

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
