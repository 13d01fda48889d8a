//! The typed tree that a selector is, and how its nodes are made.
//!
//! *Invariants*
//! - What can be computed from literals alone is one, unless it is NULL.
//! - Terms of one level of AND, OR, `+ -` or `* / %` are one node: however many, they do not nest.

use super::identifier::IdentifierIndex;
use super::like::Pattern;
use super::number::{Arithmetic, Level, Number};
use super::truth::Truth;
use super::value::{Value, compare};

/// Something that is true, false or unknown.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Constant(bool),
    /// An identifier alone.
    Flag(IdentifierIndex),
    Not(Box<Condition>),
    /// Two at least.
    And(Vec<Condition>),
    /// Two at least.
    Or(Vec<Condition>),
    Comparison {
        left: Operand,
        operator: Comparison,
        right: Operand,
    },
    Between {
        operand: Operand,
        low: Operand,
        high: Operand,
        sense: Sense,
    },
    In {
        identifier: IdentifierIndex,
        members: Members,
        sense: Sense,
    },
    Like {
        identifier: IdentifierIndex,
        pattern: Pattern,
        sense: Sense,
    },
    IsNull {
        identifier: IdentifierIndex,
        sense: Sense,
    },
}

/// Something that has a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Text(Box<str>),
    Number(Number),
    Identifier(IdentifierIndex),
    Condition(Box<Condition>),
    Negated(Box<Operand>),
    /// From left to right; all operators are of one level.
    Chain {
        first: Box<Operand>,
        /// One at least.
        rest: Vec<Link>,
    },
}

/// A step of a chain.
pub(super) type Link = (Arithmetic, Operand);

/// Whether NOT stands before BETWEEN, IN, LIKE or NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    Affirmed,
    Negated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it asks for an order, which strings and booleans have not.
    pub(super) fn is_ordering(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// The strings of an IN, each once, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members(Box<[Box<str>]>);

impl Members {
    pub(super) fn new(mut members: Vec<Box<str>>) -> Self {
        members.sort_unstable();
        members.dedup();
        Self(members.into())
    }

    pub(super) fn contains(&self, text: &[u8]) -> bool {
        self.0
            .binary_search_by(|member| member.as_bytes().cmp(text))
            .is_ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl Condition {
    pub(super) fn all(terms: Vec<Condition>) -> Self {
        Self::And(flatten(terms, |term| match term {
            Self::And(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    pub(super) fn any(terms: Vec<Condition>) -> Self {
        Self::Or(flatten(terms, |term| match term {
            Self::Or(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Constant(holds) => Self::Constant(!holds),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    pub(super) fn comparison(left: Operand, operator: Comparison, right: Operand) -> Self {
        if let (Some(left), Some(right)) = (left.constant(), right.constant()) {
            return Self::Constant(compare(operator, &left, &right) == Truth::True);
        }
        Self::Comparison {
            left,
            operator,
            right,
        }
    }
}

fn flatten(
    terms: Vec<Condition>,
    inner: impl Fn(Condition) -> Result<Vec<Condition>, Condition>,
) -> Vec<Condition> {
    let mut flat = Vec::with_capacity(terms.len());
    for term in terms {
        match inner(term) {
            Ok(terms) => flat.extend(terms),
            Err(term) => flat.push(term),
        }
    }
    flat
}

impl Operand {
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Number(number) => Self::Number(number.negated()),
            other => Self::Negated(Box::new(other)),
        }
    }

    /// `links`: one at least, all of one level.
    pub(super) fn chain(first: Operand, mut links: Vec<Link>) -> Self {
        let level = links.first().map(|(operator, _)| operator.level());
        let (mut first, mut rest) = match first {
            Self::Chain { first, rest } if level == level_of(&rest) => (*first, rest),
            first => (first, Vec::new()),
        };
        rest.append(&mut links);
        let mut folded_count = 0;
        for (operator, operand) in &rest {
            let (Self::Number(left), Self::Number(right)) = (&first, operand) else {
                break;
            };
            let Some(number) = left.apply(*operator, *right) else {
                break;
            };
            first = Self::Number(number);
            folded_count += 1;
        }
        rest.drain(..folded_count);
        if rest.is_empty() {
            return first;
        }
        Self::Chain {
            first: Box::new(first),
            rest,
        }
    }

    /// Its value, where it is a literal.
    fn constant(&self) -> Option<Value<'_>> {
        match self {
            Self::Text(text) => Some(Value::Literal(text.as_bytes())),
            Self::Number(number) => Some(Value::Number(*number)),
            Self::Condition(condition) => match **condition {
                Condition::Constant(holds) => Some(Value::Boolean(holds)),
                _ => None,
            },
            Self::Identifier(_) | Self::Negated(_) | Self::Chain { .. } => None,
        }
    }
}

pub(super) fn level_of(links: &[Link]) -> Option<Level> {
    links.first().map(|(operator, _)| operator.level())
}
