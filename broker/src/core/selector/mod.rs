//! Message selectors: the SQL-92 subset of JMS, as the header `selector` of SUBSCRIBE carries it.
//!
//! A text is parsed once into a [`Selector`], a typed tree. That is evaluated against a message's [`Properties`] as often
//! as need be, without allocating. `docs/selectors.md` is the language as its users see it.
//!
//! *Invariants*
//! - Whatever the text and the message, parsing and evaluating end, in time that the limits below bound and on a bounded
//!   stack; neither panics.
//! - A message is asked for each identifier at most once an evaluation.
//! - What [`Selector`] displays parses to an equal one, as long as it is not over [`SELECTOR_BYTES_MAX`].
//!
//! Deliberately absent: where a message keeps its headers, a cache of parsed texts, anything that looks at a body.

mod digest;
mod display;
mod error;
mod evaluate;
mod expression;
mod identifier;
mod like;
mod number;
mod parse;
mod property;
mod token;
mod truth;
mod value;

#[cfg(test)]
mod tests;

pub use error::{SelectorError, SelectorLimit};
pub use identifier::JmsHeader;
pub use property::{HeaderValue, Properties};
pub use truth::Truth;

use expression::Condition;
use identifier::Identifiers;
use token::Hyphen;

/// Bytes of a selector's text. Below the 10 KiB that a header line may have, so that it is this limit that speaks.
pub const SELECTOR_BYTES_MAX: usize = 8 * 1024;

/// Words, literals and signs of a selector.
pub const TOKENS_MAX: usize = 4_096;

/// Parentheses and minus signs around one another. So deep, a selector takes up to 1 MiB of stack where nothing is
/// optimised and a quarter of that where it is; threads here have 2 MiB.
pub const NESTING_MAX: usize = 64;

/// Members of one IN list.
pub const MEMBERS_MAX: usize = 1_000;

/// Different identifiers of a selector: what an evaluation may look up in a message's headers.
pub const IDENTIFIERS_MAX: usize = 32;

/// LIKE conditions of a selector: each may have to read all of a header's value.
pub const PATTERNS_MAX: usize = 32;

/// Characters of a stretch between two `%` if a `_` is among them: what is looked for in one pass has a bit each.
pub const STRETCH_MAX: usize = 64;

/// Which messages a subscription takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    root: Condition,
    identifiers: Identifiers,
    digest: u64,
}

impl Selector {
    /// Parses a selector. A text that is empty or blank selects everything: `None`.
    ///
    /// # Errors
    /// Whatever is wrong with it, and at which column.
    pub fn parse(text: &str) -> Result<Option<Self>, SelectorError> {
        if text.len() > SELECTOR_BYTES_MAX {
            let at = text.floor_char_boundary(SELECTOR_BYTES_MAX);
            return Err(SelectorLimit::Bytes.passed(text, at));
        }
        let (start, hyphen) = skip_prefixes(text);
        Ok(
            parse::parse(text, start, hyphen)?.map(|(root, identifiers)| {
                let digest = 0;
                let selector = Self {
                    root,
                    identifiers,
                    digest,
                };
                let digest = digest::of(&selector);
                Self { digest, ..selector }
            }),
        )
    }

    /// A number that equal selectors share, and different ones hardly ever.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Parses a selector as it came in a header.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and if it is not UTF-8.
    pub fn parse_header(value: &[u8]) -> Result<Option<Self>, SelectorError> {
        match str::from_utf8(value) {
            Ok(text) => Self::parse(text),
            Err(error) => Err(SelectorError::not_utf8(value, error.valid_up_to())),
        }
    }

    /// Whether the message is selected: unknown is not.
    #[must_use]
    pub fn matches<P: Properties + ?Sized>(&self, message: &P) -> bool {
        self.evaluate(message) == Truth::True
    }

    /// What the selector says of a message.
    #[must_use]
    pub fn evaluate<P: Properties + ?Sized>(&self, message: &P) -> Truth {
        evaluate::evaluate(&self.root, &self.identifiers, message)
    }
}

/// Artemis has two switches that clients put before a selector. What the first turns on always holds here.
fn skip_prefixes(text: &str) -> (usize, Hyphen) {
    let mut rest = text;
    let mut hyphen = Hyphen::Minus;
    loop {
        if let Some(behind) = rest.strip_prefix("convert_string_expressions:") {
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("hyphenated_props:") {
            rest = behind;
            hyphen = Hyphen::PartOfName;
        } else {
            return (text.len() - rest.len(), hyphen);
        }
    }
}
