//! What is wrong with a selector, in words for whoever wrote it. Columns count characters from 1.

use std::fmt;

use super::{
    IDENTIFIERS_MAX, MEMBERS_MAX, NESTING_MAX, PATTERNS_MAX, SELECTOR_BYTES_MAX, STRETCH_MAX,
    TOKENS_MAX,
};

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// Something else should stand there.
    #[error("column {column}: expected {expected}, found {found}")]
    Unexpected {
        /// Where.
        column: usize,
        /// What should.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// An operand of a type that its operator cannot take.
    #[error("column {column}: expected {expected}, found {found}")]
    Type {
        /// Where it begins.
        column: usize,
        /// What the operator takes.
        expected: &'static str,
        /// What kind of thing stands there.
        found: &'static str,
    },
    /// A character that begins nothing.
    #[error("column {column}: unexpected {character:?}{hint}")]
    Character {
        /// Where.
        column: usize,
        /// Which.
        character: char,
        /// What to write instead, where that can be guessed.
        hint: &'static str,
    },
    /// A literal that begins like a number and is none.
    #[error(
        "column {column}: {literal} is not a number: integers have 64 bit, 0x begins hexadecimal and 0 octal ones; \
         1.5 and 2E3 are floating point"
    )]
    Number {
        /// Where it begins.
        column: usize,
        /// Its text.
        literal: String,
    },
    /// A string, a quoted name or a comment without its end.
    #[error("column {column}: the {what} that begins here has no end: {advice}")]
    Unterminated {
        /// Where it begins.
        column: usize,
        /// What it is.
        what: &'static str,
        /// How it would end.
        advice: &'static str,
    },
    /// Something that other brokers have.
    #[error("column {column}: {what} not supported")]
    Unsupported {
        /// Where.
        column: usize,
        /// What, with its verb.
        what: &'static str,
    },
    /// Too much of something.
    #[error("column {column}: this goes over the limit of {limit}")]
    OverLimit {
        /// Where it is passed.
        column: usize,
        /// Which.
        limit: SelectorLimit,
    },
    /// The text is not UTF-8.
    #[error("column {column}: the text is not UTF-8 here")]
    NotUtf8 {
        /// Where it ceases to be.
        column: usize,
    },
}

/// The limits of a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorLimit {
    /// [`SELECTOR_BYTES_MAX`].
    Bytes,
    /// [`TOKENS_MAX`].
    Tokens,
    /// [`NESTING_MAX`].
    Nesting,
    /// [`MEMBERS_MAX`].
    Members,
    /// [`IDENTIFIERS_MAX`].
    Identifiers,
    /// [`PATTERNS_MAX`].
    Patterns,
    /// [`STRETCH_MAX`].
    Stretch,
}

impl SelectorLimit {
    /// Its value.
    #[must_use]
    pub fn max(self) -> usize {
        match self {
            Self::Bytes => SELECTOR_BYTES_MAX,
            Self::Tokens => TOKENS_MAX,
            Self::Nesting => NESTING_MAX,
            Self::Members => MEMBERS_MAX,
            Self::Identifiers => IDENTIFIERS_MAX,
            Self::Patterns => PATTERNS_MAX,
            Self::Stretch => STRETCH_MAX,
        }
    }

    /// It is passed at that byte of the text.
    pub(super) fn passed(self, text: &str, at: usize) -> SelectorError {
        SelectorError::OverLimit {
            column: column(text, at),
            limit: self,
        }
    }
}

impl fmt::Display for SelectorLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, name) = match self {
            Self::Bytes => ("bytes a selector", "SELECTOR_BYTES_MAX"),
            Self::Tokens => ("words, literals and signs a selector", "TOKENS_MAX"),
            Self::Nesting => ("levels of parentheses and minus signs", "NESTING_MAX"),
            Self::Members => ("members of one IN", "MEMBERS_MAX"),
            Self::Identifiers => ("different identifiers a selector", "IDENTIFIERS_MAX"),
            Self::Patterns => ("LIKE a selector", "PATTERNS_MAX"),
            Self::Stretch => (
                "characters between two % where a _ is among them",
                "STRETCH_MAX",
            ),
        };
        write!(f, "{} {what} ({name})", self.max())
    }
}

impl SelectorError {
    /// Where in the text it went wrong, in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        match *self {
            Self::Unexpected { column, .. }
            | Self::Type { column, .. }
            | Self::Character { column, .. }
            | Self::Number { column, .. }
            | Self::Unterminated { column, .. }
            | Self::Unsupported { column, .. }
            | Self::OverLimit { column, .. }
            | Self::NotUtf8 { column } => column,
        }
    }

    pub(super) fn not_utf8(text: &[u8], valid_bytes: usize) -> Self {
        let (valid, _) = text.split_at(valid_bytes);
        Self::NotUtf8 {
            column: String::from_utf8_lossy(valid).chars().count() + 1,
        }
    }
}

/// The column of a byte of a text.
pub(super) fn column(text: &str, at: usize) -> usize {
    text.char_indices()
        .take_while(|&(start, _)| start < at)
        .count()
        + 1
}

/// A peer's text, short and printable.
pub(super) fn excerpt(text: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let printable = |character: char| match character {
        character if character.is_control() => ' ',
        character => character,
    };
    text.chars().map(printable).take(CHARACTERS_MAX).collect()
}
