//! A sender's headers as the broker keeps them: lines of `name:value` and LF in STOMP 1.2 escapes.
//!
//! One block serves receivers of every version. Where it holds no escape, and most hold none, it
//! is right for all of them as it stands.
//!
//! *Invariants* of a block made by [`push`] and [`push_decoded`]
//! - LF only ends lines, the first colon of a line ends the name, CR and NUL do not occur.
//! - A backslash always begins an escape that 1.2 defines.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

use crate::escape::{Place, escape_into};
use crate::{Header, Version, encode, unescape};

/// Appends a header of a frame of `version`, as it came.
pub fn push(block: &mut Vec<u8>, version: Version, header: &Header<'_>) {
    block.reserve(header.name.len() + header.value.len() + 2);
    push_raw(block, version, Place::Name, header.name);
    block.push(b':');
    push_raw(block, version, Place::Value, header.value);
    block.push(b'\n');
}

/// Appends a header from its decoded name and value.
pub fn push_decoded(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    encode::header(block, Version::V1_2, name, value);
}

/// Whether any line holds an escape.
pub fn has_escapes(block: &[u8]) -> bool {
    memchr(b'\\', block).is_some()
}

/// Appends the block for a receiver of `version`. `has_escapes`: what [`has_escapes`] said of it.
///
/// 1.1 gets CR as it is, which that version carries so. 1.0 gets all text decoded; what would end
/// a line there, or a name, becomes a space.
pub fn write(out: &mut Vec<u8>, block: &[u8], version: Version, has_escapes: bool) {
    match version {
        Version::V1_0 if has_escapes => write_decoded(out, block),
        Version::V1_1 if has_escapes => write_with_raw_cr(out, block),
        Version::V1_0 | Version::V1_1 | Version::V1_2 => out.extend_from_slice(block),
    }
}

/// The headers of a block, decoded.
pub fn headers(block: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    // A block that was tampered with on disk yields its text as it stands.
    let decode = |raw| unescape(Version::V1_2, raw).unwrap_or(Cow::Borrowed(raw));
    lines(block).map(move |(name, value)| (decode(name), decode(value)))
}

/// The names and values of a block, as they stand in it.
fn lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let (line, behind) = rest.split_at(memchr(b'\n', rest)?);
        rest = behind.get(1..).unwrap_or_default();
        let (name, value) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
        Some((name, value.get(1..).unwrap_or_default()))
    })
}

/// Appends raw text of a frame of `version` in the escapes of 1.2.
fn push_raw(block: &mut Vec<u8>, version: Version, place: Place, raw: &[u8]) {
    let is_canonical = match version {
        Version::V1_0 => memchr3(b'\\', b':', b'\r', raw).is_none(),
        Version::V1_1 | Version::V1_2 => memchr(b'\r', raw).is_none(),
    };
    if is_canonical {
        block.extend_from_slice(raw);
    } else if version == Version::V1_0 {
        escape_into(block, Version::V1_2, place, raw);
    } else {
        for &octet in raw {
            match octet {
                b'\r' => block.extend_from_slice(b"\\r"),
                octet => block.push(octet),
            }
        }
    }
}

fn write_decoded(out: &mut Vec<u8>, block: &[u8]) {
    for (name, value) in headers(block) {
        encode::header(out, Version::V1_0, &name, &value);
    }
}

/// The escapes of 1.1 are those of 1.2 without the one for CR.
fn write_with_raw_cr(out: &mut Vec<u8>, block: &[u8]) {
    let mut rest = block;
    while let Some(escape) = memchr(b'\\', rest) {
        let (plain, escaped) = rest.split_at(escape);
        out.extend_from_slice(plain);
        let (escape, behind) = escaped.split_at(escaped.len().min(2));
        out.extend_from_slice(if escape == b"\\r" { b"\r" } else { escape });
        rest = behind;
    }
    out.extend_from_slice(rest);
}
