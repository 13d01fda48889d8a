//! Comparison, BETWEEN, IN, LIKE, IS NULL.

use super::{Parser, Part};
use crate::core::selector::error::{SelectorError, SelectorLimit};
use crate::core::selector::expression::{Comparison, Condition, Members, Sense};
use crate::core::selector::like::Pattern;
use crate::core::selector::token::Token;
use crate::core::selector::{MEMBERS_MAX, PATTERNS_MAX};

impl Parser<'_> {
    pub(super) fn predicate(&mut self) -> Result<Part, SelectorError> {
        let left = self.sum()?;
        let at = left.at;
        let condition = match self.cursor.peek() {
            Token::Not => {
                self.cursor.advance();
                self.negatable(left, Sense::Negated)?
            }
            Token::Between | Token::In | Token::Like => self.negatable(left, Sense::Affirmed)?,
            Token::Is => self.is_null(left)?,
            token => match comparison_of(token) {
                Some(operator) => self.comparison(left, operator)?,
                None => return Ok(left),
            },
        };
        let chains = matches!(
            self.cursor.peek(),
            Token::Not | Token::Between | Token::In | Token::Like | Token::Is
        );
        if chains || comparison_of(self.cursor.peek()).is_some() {
            return Err(self
                .cursor
                .unexpected("AND, OR or the end: a comparison within another needs parentheses"));
        }
        Ok(Part::condition(at, condition))
    }

    fn comparison(&mut self, left: Part, operator: Comparison) -> Result<Condition, SelectorError> {
        self.cursor.advance();
        let right = self.sum()?;
        if operator.is_ordering() {
            const EXPECTED: &str =
                "a number or an identifier, since strings and booleans only compare by = and <>";
            self.check_number(&left, EXPECTED)?;
            self.check_number(&right, EXPECTED)?;
        }
        Ok(Condition::comparison(left.operand, operator, right.operand))
    }

    fn negatable(&mut self, left: Part, sense: Sense) -> Result<Condition, SelectorError> {
        match self.cursor.peek() {
            Token::Between => self.between(left, sense),
            Token::In => {
                self.cursor.advance();
                let identifier = self.as_identifier(&left)?;
                let members = self.members()?;
                Ok(Condition::In {
                    identifier,
                    members,
                    sense,
                })
            }
            Token::Like => {
                self.cursor.advance();
                let identifier = self.as_identifier(&left)?;
                let pattern = self.pattern()?;
                Ok(Condition::Like {
                    identifier,
                    pattern,
                    sense,
                })
            }
            _ => Err(self.cursor.unexpected("BETWEEN, IN or LIKE")),
        }
    }

    fn between(&mut self, operand: Part, sense: Sense) -> Result<Condition, SelectorError> {
        const EXPECTED: &str = "a number or an identifier, since BETWEEN is about numbers";
        self.cursor.advance();
        let low = self.sum()?;
        self.cursor
            .expect(&Token::And, "AND and the upper bound of BETWEEN")?;
        let high = self.sum()?;
        for part in [&operand, &low, &high] {
            self.check_number(part, EXPECTED)?;
        }
        Ok(Condition::Between {
            operand: operand.operand,
            low: low.operand,
            high: high.operand,
            sense,
        })
    }

    fn members(&mut self) -> Result<Members, SelectorError> {
        self.cursor.expect(&Token::Open, "( and the list of IN")?;
        let mut members = Vec::new();
        loop {
            if members.len() == MEMBERS_MAX {
                return Err(self.cursor.over(SelectorLimit::Members));
            }
            members.push(self.cursor.text("a string in ', since IN lists strings")?);
            if !self.cursor.accept(&Token::Comma) {
                self.cursor
                    .expect(&Token::Close, "a comma or ) in the list of IN")?;
                return Ok(Members::new(members));
            }
        }
    }

    fn pattern(&mut self) -> Result<Pattern, SelectorError> {
        let at = self.cursor.place();
        if self.pattern_count == PATTERNS_MAX {
            return Err(self.cursor.over(SelectorLimit::Patterns));
        }
        self.pattern_count += 1;
        let pattern = self.cursor.text("a pattern in '")?;
        let escape = if self.cursor.accept(&Token::Escape) {
            Some(self.escape()?)
        } else {
            None
        };
        Pattern::new(pattern, escape).map_err(|_| self.cursor.over_at(at, SelectorLimit::Stretch))
    }

    fn escape(&mut self) -> Result<char, SelectorError> {
        const EXPECTED: &str = "a string of one character";
        let unexpected = self.cursor.unexpected(EXPECTED);
        let escape = self.cursor.text(EXPECTED)?;
        let mut characters = escape.chars();
        match (characters.next(), characters.next()) {
            (Some(escape), None) => Ok(escape),
            _ => Err(unexpected),
        }
    }

    fn is_null(&mut self, left: Part) -> Result<Condition, SelectorError> {
        self.cursor.advance();
        let identifier = self.as_identifier(&left)?;
        let sense = if self.cursor.accept(&Token::Not) {
            Sense::Negated
        } else {
            Sense::Affirmed
        };
        self.cursor.expect(&Token::Null, "NULL or NOT NULL")?;
        Ok(Condition::IsNull { identifier, sense })
    }
}

fn comparison_of(token: &Token<'_>) -> Option<Comparison> {
    match token {
        Token::Equal => Some(Comparison::Equal),
        Token::NotEqual => Some(Comparison::NotEqual),
        Token::Less => Some(Comparison::Less),
        Token::LessOrEqual => Some(Comparison::LessOrEqual),
        Token::Greater => Some(Comparison::Greater),
        Token::GreaterOrEqual => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}
