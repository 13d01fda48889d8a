//! Values: arithmetic, literals, identifiers, parentheses.

use super::{Parser, Part};
use crate::core::selector::NESTING_MAX;
use crate::core::selector::error::{SelectorError, SelectorLimit};
use crate::core::selector::expression::{Condition, Link, Operand};
use crate::core::selector::identifier::IdentifierIndex;
use crate::core::selector::number::{Arithmetic, Number};
use crate::core::selector::token::Token;

const A_VALUE: &str = "a value: an identifier, a number, a string in ', TRUE, FALSE or (";

impl Parser<'_> {
    pub(super) fn sum(&mut self) -> Result<Part, SelectorError> {
        self.chain(Self::product, |token| match token {
            Token::Plus => Some(Arithmetic::Add),
            Token::Minus => Some(Arithmetic::Subtract),
            _ => None,
        })
    }

    fn product(&mut self) -> Result<Part, SelectorError> {
        self.chain(Self::signed, |token| match token {
            Token::Star => Some(Arithmetic::Multiply),
            Token::Slash => Some(Arithmetic::Divide),
            Token::Percent => Some(Arithmetic::Remainder),
            _ => None,
        })
    }

    fn chain(
        &mut self,
        link: fn(&mut Self) -> Result<Part, SelectorError>,
        operator_of: fn(&Token<'_>) -> Option<Arithmetic>,
    ) -> Result<Part, SelectorError> {
        let first = link(self)?;
        let mut rest: Vec<Link> = Vec::new();
        while let Some(operator) = operator_of(self.cursor.peek()) {
            self.cursor.advance();
            self.check_operand(&first)?;
            let operand = link(self)?;
            self.check_operand(&operand)?;
            rest.push((operator, operand.operand));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Part {
            at: first.at,
            operand: Operand::chain(first.operand, rest),
        })
    }

    fn signed(&mut self) -> Result<Part, SelectorError> {
        let at = self.cursor.place();
        let (mut minus_count, mut is_signed, mut is_negative) = (0, false, false);
        loop {
            match self.cursor.peek() {
                Token::Minus => (minus_count, is_negative) = (minus_count + 1, true),
                Token::Plus => is_negative = false,
                _ => break,
            }
            is_signed = true;
            self.cursor.advance();
        }
        if !is_signed {
            return self.primary();
        }
        let part = match self.cursor.peek() {
            &Token::Integer(magnitude) if is_negative => {
                minus_count -= 1;
                Part {
                    at,
                    operand: self.integer(Number::negative(magnitude))?,
                }
            }
            _ => self.nested(minus_count, Self::primary)?,
        };
        self.check_operand(&part)?;
        let operand = (0..minus_count).fold(part.operand, |operand, _| operand.negated());
        Ok(Part { at, operand })
    }

    fn primary(&mut self) -> Result<Part, SelectorError> {
        let at = self.cursor.place();
        let operand = match self.cursor.peek() {
            Token::Text(_) => Operand::Text(self.cursor.text(A_VALUE)?),
            &Token::Integer(magnitude) => {
                self.integer(i64::try_from(magnitude).ok().map(Number::Integer))?
            }
            &Token::Float(number) => {
                self.cursor.advance();
                Operand::Number(number)
            }
            Token::True | Token::False => {
                let holds = self.cursor.accept(&Token::True);
                if !holds {
                    self.cursor.advance();
                }
                Operand::Condition(Box::new(Condition::Constant(holds)))
            }
            Token::Identifier(_) => Operand::Identifier(self.identifier()?),
            Token::Open => {
                self.cursor.advance();
                let inner = self.nested(1, Self::disjunction)?;
                self.cursor
                    .expect(&Token::Close, "an operator, AND, OR or )")?;
                inner.operand
            }
            Token::Null => {
                return Err(self
                    .cursor
                    .unexpected("a value: whether there is none is asked by IS NULL"));
            }
            _ => return Err(self.cursor.unexpected(A_VALUE)),
        };
        Ok(Part { at, operand })
    }

    /// Parses what stands inside so many levels.
    fn nested(
        &mut self,
        levels: usize,
        inner: fn(&mut Self) -> Result<Part, SelectorError>,
    ) -> Result<Part, SelectorError> {
        if self.depth + levels > NESTING_MAX {
            return Err(self.cursor.over(SelectorLimit::Nesting));
        }
        self.depth += levels;
        let part = inner(self)?;
        self.depth -= levels;
        Ok(part)
    }

    fn integer(&mut self, number: Option<Number>) -> Result<Operand, SelectorError> {
        let Some(number) = number else {
            return Err(SelectorError::Number {
                column: self.cursor.column(self.cursor.place()),
                literal: self.cursor.found(),
            });
        };
        self.cursor.advance();
        Ok(Operand::Number(number))
    }

    fn identifier(&mut self) -> Result<IdentifierIndex, SelectorError> {
        let Token::Identifier(name) = self.cursor.peek().clone() else {
            return Err(self.cursor.unexpected("an identifier"));
        };
        let unsupported = |what| SelectorError::Unsupported {
            column: self.cursor.column(self.cursor.place()),
            what,
        };
        let is_body_language = |name: &str| {
            ["XPATH", "XQUERY"]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(name))
        };
        match self.cursor.peek_behind() {
            Token::Open => return Err(unsupported("functions are")),
            Token::Text(_) if is_body_language(&name) => {
                return Err(unsupported("selecting by what is in the body is"));
            }
            _ => {}
        }
        let added = self.identifiers.add(&name);
        let index = added.map_err(|_| self.cursor.over(SelectorLimit::Identifiers))?;
        self.cursor.advance();
        Ok(index)
    }
}
