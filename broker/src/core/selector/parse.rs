//! From tokens to the tree, by recursive descent: a method a level of precedence.
//!
//! OR, AND, NOT, then one comparison, BETWEEN, IN, LIKE or IS NULL, then `+ -`, `* / %`, signs, and what stands alone or
//! in parentheses. A condition in parentheses and a value in parentheses look alike until they end, so each method
//! yields an [`Operand`], and its caller says what it needs.
//!
//! *Invariant*: `depth` counts what is open around a token and is at most [`NESTING_MAX`]. Nothing else recurses.

use super::error::{SelectorError, SelectorLimit, column, excerpt};
use super::expression::{Comparison, Condition, Link, Members, Operand, Sense};
use super::identifier::{IdentifierIndex, Identifiers};
use super::like::Pattern;
use super::number::{Arithmetic, Number};
use super::token::{Hyphen, Spanned, Token, tokenize};
use super::{MEMBERS_MAX, NESTING_MAX, PATTERNS_MAX};

const A_VALUE: &str = "a value: an identifier, a number, a string in ', TRUE, FALSE or (";

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Spanned<'t>>,
    next: usize,
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
        text,
        tokens,
        next: 0,
        depth: 0,
        pattern_count: 0,
        identifiers: Identifiers::default(),
    };
    if parser.peek() == &Token::End {
        return Ok(None);
    }
    let whole = parser.disjunction()?;
    parser.expect(&Token::End, "an operator, AND, OR or the end")?;
    let root = parser.as_condition(whole)?;
    Ok(Some((root, parser.identifiers)))
}

impl<'t> Parser<'t> {
    fn disjunction(&mut self) -> Result<Part, SelectorError> {
        let first = self.conjunction()?;
        if self.peek() != &Token::Or {
            return Ok(first);
        }
        let at = first.at;
        let mut terms = vec![self.as_condition(first)?];
        while self.accept(&Token::Or) {
            let term = self.conjunction()?;
            terms.push(self.as_condition(term)?);
        }
        Ok(Part::condition(at, Condition::any(terms)))
    }

    fn conjunction(&mut self) -> Result<Part, SelectorError> {
        let first = self.negation()?;
        if self.peek() != &Token::And {
            return Ok(first);
        }
        let at = first.at;
        let mut terms = vec![self.as_condition(first)?];
        while self.accept(&Token::And) {
            let term = self.negation()?;
            terms.push(self.as_condition(term)?);
        }
        Ok(Part::condition(at, Condition::all(terms)))
    }

    fn negation(&mut self) -> Result<Part, SelectorError> {
        let at = self.place();
        let mut not_count = 0;
        while self.accept(&Token::Not) {
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

    fn predicate(&mut self) -> Result<Part, SelectorError> {
        let left = self.sum()?;
        let at = left.at;
        let condition = match self.peek() {
            Token::Not => {
                self.advance();
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
            self.peek(),
            Token::Not | Token::Between | Token::In | Token::Like | Token::Is
        );
        if chains || comparison_of(self.peek()).is_some() {
            return Err(self
                .unexpected("AND, OR or the end: a comparison within another needs parentheses"));
        }
        Ok(Part::condition(at, condition))
    }

    fn comparison(&mut self, left: Part, operator: Comparison) -> Result<Condition, SelectorError> {
        self.advance();
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
        match self.peek() {
            Token::Between => self.between(left, sense),
            Token::In => {
                self.advance();
                let identifier = self.as_identifier(&left)?;
                let members = self.members()?;
                Ok(Condition::In {
                    identifier,
                    members,
                    sense,
                })
            }
            Token::Like => {
                self.advance();
                let identifier = self.as_identifier(&left)?;
                let pattern = self.pattern()?;
                Ok(Condition::Like {
                    identifier,
                    pattern,
                    sense,
                })
            }
            _ => Err(self.unexpected("BETWEEN, IN or LIKE")),
        }
    }

    fn between(&mut self, operand: Part, sense: Sense) -> Result<Condition, SelectorError> {
        const EXPECTED: &str = "a number or an identifier, since BETWEEN is about numbers";
        self.advance();
        let low = self.sum()?;
        self.expect(&Token::And, "AND and the upper bound of BETWEEN")?;
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
        self.expect(&Token::Open, "( and the list of IN")?;
        let mut members = Vec::new();
        loop {
            if members.len() == MEMBERS_MAX {
                return Err(self.over(SelectorLimit::Members));
            }
            members.push(self.text("a string in ', since IN lists strings")?);
            if !self.accept(&Token::Comma) {
                self.expect(&Token::Close, "a comma or ) in the list of IN")?;
                return Ok(Members::new(members));
            }
        }
    }

    fn pattern(&mut self) -> Result<Pattern, SelectorError> {
        let at = self.place();
        if self.pattern_count == PATTERNS_MAX {
            return Err(self.over(SelectorLimit::Patterns));
        }
        self.pattern_count += 1;
        let pattern = self.text("a pattern in '")?;
        let escape = if self.accept(&Token::Escape) {
            Some(self.escape()?)
        } else {
            None
        };
        Pattern::new(pattern, escape).map_err(|_| SelectorLimit::Stretch.passed(self.text, at))
    }

    fn escape(&mut self) -> Result<char, SelectorError> {
        const EXPECTED: &str = "a string of one character";
        let unexpected = self.unexpected(EXPECTED);
        let escape = self.text(EXPECTED)?;
        let mut characters = escape.chars();
        match (characters.next(), characters.next()) {
            (Some(escape), None) => Ok(escape),
            _ => Err(unexpected),
        }
    }

    fn is_null(&mut self, left: Part) -> Result<Condition, SelectorError> {
        self.advance();
        let identifier = self.as_identifier(&left)?;
        let sense = if self.accept(&Token::Not) {
            Sense::Negated
        } else {
            Sense::Affirmed
        };
        self.expect(&Token::Null, "NULL or NOT NULL")?;
        Ok(Condition::IsNull { identifier, sense })
    }

    fn sum(&mut self) -> Result<Part, SelectorError> {
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
        while let Some(operator) = operator_of(self.peek()) {
            self.advance();
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
        let at = self.place();
        let (mut minus_count, mut is_signed, mut is_negative) = (0, false, false);
        loop {
            match self.peek() {
                Token::Minus => (minus_count, is_negative) = (minus_count + 1, true),
                Token::Plus => is_negative = false,
                _ => break,
            }
            is_signed = true;
            self.advance();
        }
        if !is_signed {
            return self.primary();
        }
        let part = match self.peek() {
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
        let at = self.place();
        let operand = match self.peek() {
            Token::Text(_) => Operand::Text(self.text(A_VALUE)?),
            &Token::Integer(magnitude) => {
                self.integer(i64::try_from(magnitude).ok().map(Number::Integer))?
            }
            &Token::Float(number) => {
                self.advance();
                Operand::Number(number)
            }
            Token::True | Token::False => {
                let holds = self.accept(&Token::True);
                if !holds {
                    self.advance();
                }
                Operand::Condition(Box::new(Condition::Constant(holds)))
            }
            Token::Identifier(_) => Operand::Identifier(self.identifier()?),
            Token::Open => {
                self.advance();
                let inner = self.nested(1, Self::disjunction)?;
                self.expect(&Token::Close, "an operator, AND, OR or )")?;
                inner.operand
            }
            Token::Null => {
                return Err(self.unexpected("a value: whether there is none is asked by IS NULL"));
            }
            _ => return Err(self.unexpected(A_VALUE)),
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
            return Err(self.over(SelectorLimit::Nesting));
        }
        self.depth += levels;
        let part = inner(self)?;
        self.depth -= levels;
        Ok(part)
    }

    fn integer(&mut self, number: Option<Number>) -> Result<Operand, SelectorError> {
        let Some(number) = number else {
            return Err(SelectorError::Number {
                column: column(self.text, self.place()),
                literal: self.found(),
            });
        };
        self.advance();
        Ok(Operand::Number(number))
    }

    fn identifier(&mut self) -> Result<IdentifierIndex, SelectorError> {
        let Token::Identifier(name) = self.peek().clone() else {
            return Err(self.unexpected("an identifier"));
        };
        let unsupported = |what| SelectorError::Unsupported {
            column: column(self.text, self.place()),
            what,
        };
        match self.tokens.get(self.next + 1).map(|behind| &behind.token) {
            Some(Token::Open) => return Err(unsupported("functions are")),
            Some(Token::Text(_))
                if ["XPATH", "XQUERY"]
                    .iter()
                    .any(|it| it.eq_ignore_ascii_case(&name)) =>
            {
                return Err(unsupported("selecting by what is in the body is"));
            }
            _ => {}
        }
        let added = self.identifiers.add(&name);
        let index = added.map_err(|_| self.over(SelectorLimit::Identifiers))?;
        self.advance();
        Ok(index)
    }

    fn text(&mut self, expected: &'static str) -> Result<Box<str>, SelectorError> {
        let Token::Text(text) = self.peek() else {
            return Err(self.unexpected(expected));
        };
        let text = text.as_ref().into();
        self.advance();
        Ok(text)
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

    fn peek(&self) -> &Token<'t> {
        self.tokens
            .get(self.next)
            .map_or(&Token::End, |it| &it.token)
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    fn accept(&mut self, token: &Token<'_>) -> bool {
        let is_there = self.peek() == token;
        self.next += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, token: &Token<'_>, expected: &'static str) -> Result<(), SelectorError> {
        if self.accept(token) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// Where the next token begins.
    fn place(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.text.len(), |it| it.start)
    }

    fn found(&self) -> String {
        match self.tokens.get(self.next) {
            Some(Spanned { start, end, .. }) if start < end => {
                excerpt(self.text.get(*start..*end).unwrap_or_default())
            }
            _ => "the end".to_owned(),
        }
    }

    fn unexpected(&self, expected: &'static str) -> SelectorError {
        SelectorError::Unexpected {
            column: column(self.text, self.place()),
            expected,
            found: self.found(),
        }
    }

    fn mistyped(&self, at: usize, expected: &'static str, operand: &Operand) -> SelectorError {
        SelectorError::Type {
            column: column(self.text, at),
            expected,
            found: match operand {
                Operand::Text(_) => "a string",
                Operand::Number(_) | Operand::Negated(_) | Operand::Chain { .. } => "a number",
                Operand::Identifier(_) => "an identifier",
                Operand::Condition(_) => "a boolean",
            },
        }
    }

    fn over(&self, limit: SelectorLimit) -> SelectorError {
        limit.passed(self.text, self.place())
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
