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
    lines(block).map(move |(name, value)| (decode(name), decode(value)))
}

/// The value of the first header of this decoded name, decoded. Allocates only for a value with escapes.
pub fn find<'b>(block: &'b [u8], name: &[u8]) -> Option<Cow<'b, [u8]>> {
    let (_, value) = lines(block).find(|(raw, _)| match memchr(b'\\', raw) {
        None => *raw == name,
        Some(_) => decode(raw).as_ref() == name,
    })?;
    Some(decode(value))
}

/// A block that was tampered with on disk yields its text as it stands.
fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    unescape(Version::V1_2, raw).unwrap_or(Cow::Borrowed(raw))
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

#[cfg(test)]
mod tests {
    use super::{find, has_escapes, headers, push, push_decoded, write};
    use crate::{Header, Version};

    /// The block that a header of `version` becomes.
    fn block(version: Version, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut block = Vec::new();
        push(&mut block, version, &Header { name, value });
        block
    }

    #[test]
    fn a_header_is_found_by_its_decoded_name_and_the_first_one_counts() {
        let block = b"a\\cb:x\\ny\nplain:1\nplain:2\n";
        let text = |name: &[u8]| find(block, name).map(|value| value.into_owned());
        assert_eq!(text(b"a:b"), Some(b"x\ny".to_vec()));
        assert_eq!(text(b"plain"), Some(b"1".to_vec()));
        assert_eq!(text(b"a\\cb"), None);
        assert_eq!(text(b"other"), None);
    }

    #[test]
    fn headers_of_every_version_become_lines_of_1_2() {
        let check = |version, name: &[u8], value: &[u8], expected: &[u8]| {
            let block = block(version, name, value);
            assert_eq!(
                block.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        };
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            check(version, b"a", b"b", b"a:b\n");
            check(version, b"a", b"", b"a:\n");
            check(version, b"a", b"x\ry", b"a:x\\ry\n");
        }
        check(Version::V1_0, b"a\\b", b"x\\n:y", b"a\\\\b:x\\\\n\\cy\n");
        check(
            Version::V1_1,
            b"a\\cb",
            b"x\\n\\\\\r",
            b"a\\cb:x\\n\\\\\\r\n",
        );
        check(Version::V1_2, b"a\\cb", b"x\\n\\r:y", b"a\\cb:x\\n\\r:y\n");
    }

    #[test]
    fn a_block_is_rewritten_only_where_the_receiver_needs_it() {
        let check = |line: &[u8], expected: [&[u8]; 3]| {
            for (version, expected) in [Version::V1_0, Version::V1_1, Version::V1_2]
                .into_iter()
                .zip(expected)
            {
                let mut out = Vec::new();
                write(&mut out, line, version, has_escapes(line));
                assert_eq!(
                    out.escape_ascii().to_string(),
                    expected.escape_ascii().to_string(),
                    "{version}"
                );
            }
        };
        check(b"", [b""; 3]);
        check(b"a:b\nc:x:y\n", [b"a:b\nc:x:y\n"; 3]);
        check(b"a:x\\ny\n", [b"a:x y\n", b"a:x\\ny\n", b"a:x\\ny\n"]);
        check(b"a:x\\ry\n", [b"a:x y\n", b"a:x\ry\n", b"a:x\\ry\n"]);
        check(
            b"a:\\\\r\\c\n",
            [b"a:\\r:\n", b"a:\\\\r\\c\n", b"a:\\\\r\\c\n"],
        );
        check(b"a\\cb:c\n", [b"a b:c\n", b"a\\cb:c\n", b"a\\cb:c\n"]);
    }

    #[test]
    fn a_block_is_read_back_decoded() {
        let mut block = Vec::new();
        push_decoded(&mut block, b"a:b", b"x\n\r\\y");
        push_decoded(&mut block, b"empty", b"");
        assert!(has_escapes(&block));
        let read: Vec<_> = headers(&block).collect();
        let expected: [(&[u8], &[u8]); 2] = [(b"a:b", b"x\n\r\\y"), (b"empty", b"")];
        assert!(
            read.iter()
                .map(|(name, value)| (name.as_ref(), value.as_ref()))
                .eq(expected)
        );
    }

    #[test]
    fn a_damaged_block_yields_what_it_holds() {
        let read = |block| headers(block).map(|(n, v)| (n.into_owned(), v.into_owned()));
        assert!(read(b"nocolon\na:\\x\ncut").eq([
            (b"nocolon".to_vec(), Vec::new()),
            (b"a".to_vec(), b"\\x".to_vec()),
        ]));
    }
}
