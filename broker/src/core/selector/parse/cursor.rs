//! A place among the tokens, and what is said of what stands there.

use crate::core::selector::error::{SelectorError, SelectorLimit, column, excerpt};
use crate::core::selector::token::{Spanned, Token};

/// Goes through the tokens of a text once.
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Spanned<'t>>,
    next: usize,
}

impl<'t> Cursor<'t> {
    /// `tokens`: those of the text; [`Token::End`] is the last one.
    pub(super) fn new(text: &'t str, tokens: Vec<Spanned<'t>>) -> Self {
        Self {
            text,
            tokens,
            next: 0,
        }
    }

    pub(super) fn peek(&self) -> &Token<'t> {
        self.tokens
            .get(self.next)
            .map_or(&Token::End, |it| &it.token)
    }

    /// The token behind the next one.
    pub(super) fn peek_behind(&self) -> &Token<'t> {
        self.tokens
            .get(self.next + 1)
            .map_or(&Token::End, |it| &it.token)
    }

    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    pub(super) fn accept(&mut self, token: &Token<'_>) -> bool {
        let is_there = self.peek() == token;
        self.next += usize::from(is_there);
        is_there
    }

    pub(super) fn expect(
        &mut self,
        token: &Token<'_>,
        expected: &'static str,
    ) -> Result<(), SelectorError> {
        if self.accept(token) {
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }

    /// Takes a string.
    pub(super) fn text(&mut self, expected: &'static str) -> Result<Box<str>, SelectorError> {
        let Token::Text(text) = self.peek() else {
            return Err(self.unexpected(expected));
        };
        let text = text.as_ref().into();
        self.advance();
        Ok(text)
    }

    /// Where the next token begins.
    pub(super) fn place(&self) -> usize {
        self.tokens
            .get(self.next)
            .map_or(self.text.len(), |it| it.start)
    }

    pub(super) fn found(&self) -> String {
        match self.tokens.get(self.next) {
            Some(Spanned { start, end, .. }) if start < end => {
                excerpt(self.text.get(*start..*end).unwrap_or_default())
            }
            _ => "the end".to_owned(),
        }
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> SelectorError {
        SelectorError::Unexpected {
            column: column(self.text, self.place()),
            expected,
            found: self.found(),
        }
    }

    /// A limit is passed here.
    pub(super) fn over(&self, limit: SelectorLimit) -> SelectorError {
        limit.passed(self.text, self.place())
    }

    pub(super) fn over_at(&self, at: usize, limit: SelectorLimit) -> SelectorError {
        limit.passed(self.text, at)
    }

    pub(super) fn column(&self, at: usize) -> usize {
        column(self.text, at)
    }
}
