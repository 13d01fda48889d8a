//! From text to tokens: words, literals and signs. What is wrong with a character or a literal is said here.
//!
//! *Invariant*: every byte is looked at a bounded number of times, and there are at most [`TOKENS_MAX`] tokens.

use std::borrow::Cow;

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_till, take_until, take_while, take_while1};
use nom::character::complete::{char, digit1, hex_digit1, one_of, satisfy};
use nom::combinator::{map, map_opt, not, opt, recognize, value, verify};
use nom::multi::many0_count;
use nom::sequence::{delimited, pair, preceded, terminated};
use nom::{IResult, Parser};

use super::TOKENS_MAX;
use super::error::{SelectorError, SelectorLimit, column, excerpt};
use super::number::Number;

/// A word, a literal or a sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    And,
    Or,
    Not,
    Between,
    In,
    Like,
    Escape,
    Is,
    Null,
    True,
    False,
    Identifier(Cow<'t, str>),
    Text(Cow<'t, str>),
    /// Without a sign, so that it may be one more than fits.
    Integer(u64),
    Float(Number),
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Open,
    Close,
    Comma,
    End,
}

/// A token and the bytes of the text that it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned<'t> {
    pub(super) token: Token<'t>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What `-` within a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hyphen {
    Minus,
    PartOfName,
}

/// The tokens of the text from `start` on; the last one is [`Token::End`].
pub(super) fn tokenize(
    text: &str,
    start: usize,
    hyphen: Hyphen,
) -> Result<Vec<Spanned<'_>>, SelectorError> {
    let mut tokens = Vec::new();
    let mut rest = text.split_at(start).1;
    loop {
        (rest, _) = blank(rest).unwrap_or((rest, 0));
        let start = text.len() - rest.len();
        if tokens.len() == TOKENS_MAX {
            return Err(SelectorLimit::Tokens.passed(text, start));
        }
        if rest.is_empty() {
            tokens.push(Spanned {
                token: Token::End,
                start,
                end: start,
            });
            return Ok(tokens);
        }
        let Ok((behind, token)) = token(hyphen).parse(rest) else {
            return Err(diagnose(text, start));
        };
        rest = behind;
        let end = text.len() - rest.len();
        tokens.push(Spanned { token, start, end });
    }
}

/// Whether a name can stand without quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    matches!(
        word(Hyphen::Minus).parse(name),
        Ok(("", Token::Identifier(_)))
    )
}

/// White space and comments.
fn blank(text: &str) -> IResult<&str, usize> {
    let line_comment = (tag("--"), take_till(is_line_end), satisfy(is_line_end));
    let comment = (tag("/*"), take_until("*/"), tag("*/"));
    many0_count(alt((
        take_while1(is_white),
        recognize(line_comment),
        recognize(comment),
    )))
    .parse(text)
}

fn token<'t>(
    hyphen: Hyphen,
) -> impl Parser<&'t str, Output = Token<'t>, Error = nom::error::Error<&'t str>> {
    let comment = alt((tag("--"), tag("/*")));
    alt((
        word(hyphen),
        terminated(number, not(satisfy(may_be_number))),
        map(quoted("'", "''"), Token::Text),
        map(
            verify(quoted("\"", "\"\""), |name: &str| !name.is_empty()),
            Token::Identifier,
        ),
        preceded(not(comment), sign),
    ))
}

fn word<'t>(
    hyphen: Hyphen,
) -> impl Parser<&'t str, Output = Token<'t>, Error = nom::error::Error<&'t str>> {
    let is_part =
        move |character| is_part(character) || (character == '-' && hyphen == Hyphen::PartOfName);
    map(
        recognize(pair(satisfy(is_start), take_while(is_part))),
        keyword_or_name,
    )
}

fn keyword_or_name(word: &str) -> Token<'_> {
    const KEYWORDS: [(&str, Token<'static>); 11] = [
        ("AND", Token::And),
        ("OR", Token::Or),
        ("NOT", Token::Not),
        ("BETWEEN", Token::Between),
        ("IN", Token::In),
        ("LIKE", Token::Like),
        ("ESCAPE", Token::Escape),
        ("IS", Token::Is),
        ("NULL", Token::Null),
        ("TRUE", Token::True),
        ("FALSE", Token::False),
    ];
    KEYWORDS
        .into_iter()
        .find(|(keyword, _)| keyword.eq_ignore_ascii_case(word))
        .map_or(Token::Identifier(word.into()), |(_, token)| token)
}

fn number(text: &str) -> IResult<&str, Token<'_>> {
    alt((hexadecimal, floating_point, integer)).parse(text)
}

fn hexadecimal(text: &str) -> IResult<&str, Token<'_>> {
    let digits = delimited(tag_no_case("0x"), hex_digit1, opt(one_of("lL")));
    map_opt(digits, |digits| signless(digits, 16)).parse(text)
}

/// As Java writes them; the suffix says nothing here, where there is only one precision.
fn floating_point(text: &str) -> IResult<&str, Token<'_>> {
    let exponent = || recognize((one_of("eE"), opt(one_of("+-")), digit1));
    let suffix = || one_of("fFdD");
    // Not `digit0`: at the end of a text nom 8.0.0 loses its digits within `recognize` (rust-bakery/nom#1808).
    let fraction = || take_while(|character: char| character.is_ascii_digit());
    let digits = alt((
        terminated(
            alt((
                recognize((digit1, char('.'), fraction(), opt(exponent()))),
                recognize((char('.'), digit1, opt(exponent()))),
                recognize((digit1, exponent())),
            )),
            opt(suffix()),
        ),
        terminated(digit1, suffix()),
    ));
    let finite = |digits: &str| Number::float(digits.parse().ok()?).map(Token::Float);
    map_opt(digits, finite).parse(text)
}

fn integer(text: &str) -> IResult<&str, Token<'_>> {
    let digits = terminated(digit1, opt(one_of("lL")));
    map_opt(digits, |digits: &str| match digits.strip_prefix('0') {
        None | Some("") => signless(digits, 10),
        Some(octal) => signless(octal, 8),
    })
    .parse(text)
}

fn signless(digits: &str, radix: u32) -> Option<Token<'static>> {
    u64::from_str_radix(digits, radix).ok().map(Token::Integer)
}

/// Text between two `quote`, in which it is written twice.
fn quoted<'t>(
    quote: &'static str,
    twice: &'static str,
) -> impl Parser<&'t str, Output = Cow<'t, str>, Error = nom::error::Error<&'t str>> {
    let is_plain = move |character| !quote.contains(character);
    let inner = recognize(many0_count(alt((take_while1(is_plain), tag(twice)))));
    map(
        delimited(tag(quote), inner, tag(quote)),
        move |inner: &str| {
            if inner.contains(twice) {
                inner.replace(twice, quote).into()
            } else {
                inner.into()
            }
        },
    )
}

fn sign(text: &str) -> IResult<&str, Token<'_>> {
    alt((
        value(Token::NotEqual, tag("<>")),
        value(Token::LessOrEqual, tag("<=")),
        value(Token::GreaterOrEqual, tag(">=")),
        value(Token::Equal, tag("=")),
        value(Token::Less, tag("<")),
        value(Token::Greater, tag(">")),
        value(Token::Plus, tag("+")),
        value(Token::Minus, tag("-")),
        value(Token::Star, tag("*")),
        value(Token::Slash, tag("/")),
        value(Token::Percent, tag("%")),
        value(Token::Open, tag("(")),
        value(Token::Close, tag(")")),
        value(Token::Comma, tag(",")),
    ))
    .parse(text)
}

fn is_white(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0C')
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r')
}

fn is_start(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | '$')
}

fn is_part(character: char) -> bool {
    is_start(character) || character.is_alphanumeric()
}

/// What cannot stand right behind a number: it was meant to be part of it.
fn may_be_number(character: char) -> bool {
    is_part(character) || character == '.'
}

/// Why no token begins there.
fn diagnose(text: &str, at: usize) -> SelectorError {
    let column = column(text, at);
    let rest = text.split_at(at).1;
    let unterminated = |what, advice| SelectorError::Unterminated {
        column,
        what,
        advice,
    };
    let digit_at = |place| rest.as_bytes().get(place).is_some_and(u8::is_ascii_digit);
    if rest.starts_with('\'') {
        return unterminated("string", "close it with ', and write a ' within it as ''");
    }
    if rest.starts_with("\"\"") && !rest.starts_with("\"\"\"") {
        return SelectorError::Unexpected {
            column,
            expected: "a name in double quotes",
            found: "an empty one".to_owned(),
        };
    }
    if rest.starts_with('"') {
        return unterminated("name", "close it with \", and write a \" within it as \"\"");
    }
    if rest.starts_with("--") {
        return unterminated(
            "comment",
            "it goes to the end of its line; two minus signs are - -",
        );
    }
    if rest.starts_with("/*") {
        return unterminated("comment", "close it with */");
    }
    if digit_at(0) || (rest.starts_with('.') && digit_at(1)) {
        let end = rest
            .find(|character| !may_be_number(character))
            .unwrap_or(rest.len());
        return SelectorError::Number {
            column,
            literal: excerpt(rest.split_at(end).0),
        };
    }
    let character = rest.chars().next().unwrap_or(' ');
    let hint = match character {
        '.' => {
            ": a name with other characters than letters, digits, _ and $ stands in double quotes"
        }
        '!' => ": not equal is <>",
        '&' => ": write AND",
        '|' => ": write OR",
        '?' | ':' => ": there are no parameters",
        '`' | '’' | '‘' => ": a string stands in ', a name in \"",
        _ => "",
    };
    SelectorError::Character {
        column,
        character,
        hint,
    }
}
