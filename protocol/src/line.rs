//! The grammar of a head: command line and header lines.
//!
//! nom composes, memchr scans: nom's own predicate scanners test byte by byte and cost an order of
//! magnitude more. Every parser here works on slices and allocates nothing.

use memchr::{memchr, memchr2};
use nom::bytes::complete::tag;
use nom::error::{ErrorKind, ParseError};
use nom::sequence::terminated;
use nom::{Err, IResult, Needed, Parser};

/// What a line can be wrong in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A NUL, this far into the line, before its end.
    Nul { at: usize },
    /// A header line without a colon.
    NoColon,
    /// A header line that begins with its colon.
    EmptyName,
    /// A combinator did not match; never leaves this module.
    NoMatch,
}

impl<I> ParseError<I> for Fault {
    fn from_error_kind(_: I, _: ErrorKind) -> Self {
        Self::NoMatch
    }

    fn append(_: I, _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What a parser of this module makes of its input.
pub(crate) type Parsed<'a, O> = IResult<&'a [u8], O, Fault>;

/// What may stand at the end of a line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// LF. A CR belongs to the line.
    Lf,
    /// LF or CRLF.
    LfOrCrLf,
}

impl LineEnd {
    /// The line without what its end has left on it.
    pub(crate) fn strip(self, line: &[u8]) -> &[u8] {
        match self {
            Self::Lf => line,
            Self::LfOrCrLf => line.strip_suffix(b"\r").unwrap_or(line),
        }
    }
}

/// A header line, its parts still escaped.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderLine<'a> {
    /// The blank line that ends a head.
    Blank,
    /// A name and a value.
    Header { name: &'a [u8], value: &'a [u8] },
}

/// Everything up to an LF. `scanned`: how many bytes earlier calls have seen without finding it.
pub(crate) fn line<'a>(scanned: usize) -> impl Fn(&'a [u8]) -> Parsed<'a, &'a [u8]> {
    move |input| {
        let unseen = input.get(scanned..).unwrap_or_default();
        let Some(end) = memchr2(b'\n', 0, unseen).map(|at| scanned + at) else {
            return Err(Err::Incomplete(Needed::Unknown));
        };
        match input.split_at(end) {
            (line, [b'\n', rest @ ..]) => Ok((rest, line)),
            _ => Err(Err::Failure(Fault::Nul { at: end })),
        }
    }
}

/// How long the line is as far as [`line`] has seen it: to its LF, to a NUL, or all of the input.
pub(crate) fn bytes_seen(input: &[u8], parsed: &Parsed<'_, &[u8]>) -> usize {
    match parsed {
        Ok((_, line)) => line.len(),
        Err(Err::Failure(Fault::Nul { at })) => *at,
        Err(Err::Incomplete(_) | Err::Error(_) | Err::Failure(_)) => input.len(),
    }
}

/// Takes a line, already cut from its LF, apart.
pub(crate) fn header_line<'a>(
    line_end: LineEnd,
) -> impl Fn(&'a [u8]) -> Parsed<'a, HeaderLine<'a>> {
    move |line| match line_end.strip(line) {
        [] => Ok((&[], HeaderLine::Blank)),
        header => {
            let (value, name) = terminated(name, colon).parse(header)?;
            Ok((&[], HeaderLine::Header { name, value }))
        }
    }
}

/// A header name: what stands before the first colon.
fn name(input: &[u8]) -> Parsed<'_, &[u8]> {
    match memchr(b':', input) {
        None => Err(Err::Failure(Fault::NoColon)),
        Some(0) => Err(Err::Failure(Fault::EmptyName)),
        Some(colon) => {
            let (name, rest) = input.split_at(colon);
            Ok((rest, name))
        }
    }
}

fn colon(input: &[u8]) -> Parsed<'_, &[u8]> {
    tag(":")(input)
}
