//! Escapes in header names and values (STOMP 1.2 §Value Encoding).
//!
//! | octet | 1.0 | 1.1 | 1.2 |
//! |---|---|---|---|
//! | `\` | as it is | `\\` | `\\` |
//! | LF | cannot be carried | `\n` | `\n` |
//! | `:` | as it is in values, cannot be carried in names | `\c` | `\c` |
//! | CR | cannot be carried | as it is | `\r` |
//! | NUL | cannot be carried | cannot be carried | cannot be carried |
//!
//! What cannot be carried is written as a space, so that it never ends a header or a frame.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr3};

use crate::Version;

/// A backslash that does not begin an escape which the version defines.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("undefined escape in a header")]
pub struct UndefinedEscape {
    /// The octet behind the backslash; `None` where the text ends there.
    pub octet: Option<u8>,
}

/// Decodes the escapes of `version` in a raw header name or value. Borrows where there are none.
pub fn unescape(version: Version, raw: &[u8]) -> Result<Cow<'_, [u8]>, UndefinedEscape> {
    let first = match version {
        Version::V1_0 => None,
        Version::V1_1 | Version::V1_2 => memchr(b'\\', raw),
    };
    let Some(mut escape) = first else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    loop {
        let (plain, escaped) = rest.split_at(escape);
        decoded.extend_from_slice(plain);
        decoded.push(decode_octet(version, escaped.get(1).copied())?);
        rest = escaped.get(2..).unwrap_or_default();
        match memchr(b'\\', rest) {
            Some(next) => escape = next,
            None => break,
        }
    }
    decoded.extend_from_slice(rest);
    Ok(Cow::Owned(decoded))
}

fn decode_octet(version: Version, octet: Option<u8>) -> Result<u8, UndefinedEscape> {
    match octet {
        Some(b'\\') => Ok(b'\\'),
        Some(b'n') => Ok(b'\n'),
        Some(b'c') => Ok(b':'),
        Some(b'r') if version == Version::V1_2 => Ok(b'\r'),
        octet => Err(UndefinedEscape { octet }),
    }
}

/// Where a piece of text stands in its header: a colon ends a name, but not a value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Name,
    Value,
}

/// Appends `text` in the escapes of `version`.
pub(crate) fn escape_into(out: &mut Vec<u8>, version: Version, place: Place, text: &[u8]) {
    let is_plain = memchr3(b'\\', b'\n', b':', text).is_none() && memchr2(b'\r', 0, text).is_none();
    if is_plain {
        out.extend_from_slice(text);
        return;
    }
    for &octet in text {
        match (octet, version) {
            (0, _) => out.push(b' '),
            (b'\n' | b'\r', Version::V1_0) => out.push(b' '),
            (b':', Version::V1_0) if place == Place::Name => out.push(b' '),
            (b'\\', Version::V1_1 | Version::V1_2) => out.extend_from_slice(b"\\\\"),
            (b'\n', Version::V1_1 | Version::V1_2) => out.extend_from_slice(b"\\n"),
            (b':', Version::V1_1 | Version::V1_2) => out.extend_from_slice(b"\\c"),
            (b'\r', Version::V1_2) => out.extend_from_slice(b"\\r"),
            (octet, _) => out.push(octet),
        }
    }
}
