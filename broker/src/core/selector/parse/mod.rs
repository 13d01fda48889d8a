//! From tokens to the tree, by recursive descent: a method a level of precedence.
//!
//! OR, AND, NOT, then one comparison, BETWEEN, IN, LIKE or IS NULL, then `+ -`, `* / %`, signs, and what stands alone or
//! in parentheses. A condition in parentheses and a value in parentheses look alike until they end, so each method
//! yields an [`Operand`], and its caller says what it needs.
//!
//! *Invariant*: `depth` counts what is open around a token and is at most
//! [`NESTING_MAX`](super::NESTING_MAX). Nothing else recurses.

mod cursor;
mod operand;
mod predicate;

use super::error::SelectorError;
use super::expression::{Condition, Operand};
use super::identifier::{IdentifierIndex, Identifiers};
use super::token::{Hyphen, Token, tokenize};
use cursor::Cursor;

struct Parser<'t> {
    cursor: Cursor<'t>,
    depth: usize,
    pattern_count: usize,
    identifiers: Identifiers,
}

/// A part of the selector, and where it begins.
struct Part {
    at: usize,
    operand: Operand,
}

impl Part {
    fn condition(at: usize, condition: Condition) -> Self {
        Self {
            at,
            operand: Operand::Condition(Box::new(condition)),
        }
    }
}

/// `None` if there is nothing in the text from `start` on.
pub(super) fn parse(
    text: &str,
    start: usize,
    hyphen: Hyphen,
) -> Result<Option<(Condition, Identifiers)>, SelectorError> {
    let tokens = tokenize(text, start, hyphen)?;
    let mut parser = Parser {
        cursor: Cursor::new(text, tokens),
        depth: 0,
        pattern_count: 0,
        identifiers: Identifiers::default(),
    };
    if parser.cursor.peek() == &Token::End {
        return Ok(None);
    }
    let whole = parser.disjunction()?;
    parser
        .cursor
        .expect(&Token::End, "an operator, AND, OR or the end")?;
    let root = parser.as_condition(whole)?;
    Ok(Some((root, parser.identifiers)))
}

impl Parser<'_> {
    fn disjunction(&mut self) -> Result<Part, SelectorError> {
        let first = self.conjunction()?;
        if self.cursor.peek() != &Token::Or {
            return Ok(first);
        }
        let at = first.at;
        let mut terms = vec![self.as_condition(first)?];
        while self.cursor.accept(&Token::Or) {
            let term = self.conjunction()?;
            terms.push(self.as_condition(term)?);
        }
        Ok(Part::condition(at, Condition::any(terms)))
    }

    fn conjunction(&mut self) -> Result<Part, SelectorError> {
        let first = self.negation()?;
        if self.cursor.peek() != &Token::And {
            return Ok(first);
        }
        let at = first.at;
        let mut terms = vec![self.as_condition(first)?];
        while self.cursor.accept(&Token::And) {
            let term = self.negation()?;
            terms.push(self.as_condition(term)?);
        }
        Ok(Part::condition(at, Condition::all(terms)))
    }

    fn negation(&mut self) -> Result<Part, SelectorError> {
        let at = self.cursor.place();
        let mut not_count = 0;
        while self.cursor.accept(&Token::Not) {
            not_count += 1;
        }
        let inner = self.predicate()?;
        if not_count == 0 {
            return Ok(inner);
        }
        let mut condition = self.as_condition(inner)?;
        if not_count % 2 == 1 {
            condition = condition.negated();
        }
        Ok(Part::condition(at, condition))
    }

    fn as_condition(&self, part: Part) -> Result<Condition, SelectorError> {
        match part.operand {
            Operand::Condition(condition) => Ok(*condition),
            Operand::Identifier(identifier) => Ok(Condition::Flag(identifier)),
            other => Err(self.mistyped(part.at, "a condition such as price > 10", &other)),
        }
    }

    fn as_identifier(&self, part: &Part) -> Result<IdentifierIndex, SelectorError> {
        match &part.operand {
            Operand::Identifier(identifier) => Ok(*identifier),
            other => Err(self.mistyped(part.at, "an identifier before IN, LIKE and IS", other)),
        }
    }

    fn check_operand(&self, part: &Part) -> Result<(), SelectorError> {
        self.check_number(
            part,
            "a number or an identifier, since + - * / % compute with numbers",
        )
    }

    fn check_number(&self, part: &Part, expected: &'static str) -> Result<(), SelectorError> {
        match &part.operand {
            Operand::Text(_) | Operand::Condition(_) => {
                Err(self.mistyped(part.at, expected, &part.operand))
            }
            Operand::Number(_)
            | Operand::Identifier(_)
            | Operand::Negated(_)
            | Operand::Chain { .. } => Ok(()),
        }
    }

    fn mistyped(&self, at: usize, expected: &'static str, operand: &Operand) -> SelectorError {
        SelectorError::Type {
            column: self.cursor.column(at),
            expected,
            found: match operand {
                Operand::Text(_) => "a string",
                Operand::Number(_) | Operand::Negated(_) | Operand::Chain { .. } => "a number",
                Operand::Identifier(_) => "an identifier",
                Operand::Condition(_) => "a boolean",
            },
        }
    }
}
