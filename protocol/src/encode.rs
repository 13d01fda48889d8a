//! Writes frames into a buffer that the caller owns.
//!
//! *Invariant*: what is written is one frame with the headers given, whatever octets they hold.

use crate::escape::{Place, escape_into};
use crate::{Command, Version};

const CONTENT_LENGTH: &[u8] = b"content-length";

/// Appends `name:value` and LF, escaped for `version`. What the version cannot carry becomes a
/// space: NUL in all of them; LF and CR in 1.0, and there also a colon in the name.
pub fn header(out: &mut Vec<u8>, version: Version, name: &[u8], value: &[u8]) {
    escape_into(out, version, Place::Name, name);
    out.push(b':');
    escape_into(out, version, Place::Value, value);
    out.push(b'\n');
}

/// Appends a whole frame. The headers of CONNECT, STOMP and CONNECTED are not escaped: they are
/// written as 1.0 would write them.
///
/// `content-length` is added to a body and to every SEND, MESSAGE and ERROR; one among `headers`
/// is left out, since it could contradict the body.
pub fn frame(
    out: &mut Vec<u8>,
    version: Version,
    command: Command,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
) {
    let version = if command.is_handshake() {
        Version::V1_0
    } else {
        version
    };
    out.extend_from_slice(command.as_str().as_bytes());
    out.push(b'\n');
    for &(name, value) in headers {
        if name != CONTENT_LENGTH {
            header(out, version, name, value);
        }
    }
    if command.carries_body() || !body.is_empty() {
        let mut digits = itoa::Buffer::new();
        header(
            out,
            version,
            CONTENT_LENGTH,
            digits.format(body.len()).as_bytes(),
        );
    }
    out.push(b'\n');
    out.extend_from_slice(body);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::{frame, header};
    use crate::{Command, Version};

    fn lines(name: &[u8], value: &[u8]) -> [String; 3] {
        [Version::V1_0, Version::V1_1, Version::V1_2].map(|version| {
            let mut out = Vec::new();
            header(&mut out, version, name, value);
            out.escape_ascii().to_string()
        })
    }

    #[test]
    fn a_header_is_escaped_for_its_version() {
        let check = |name: &[u8], value: &[u8], expected: [&str; 3]| {
            assert_eq!(
                lines(name, value),
                expected.map(|line| format!(r"{line}\n"))
            );
        };
        check(b"a", b"b", ["a:b"; 3]);
        check(b"a", b"", ["a:"; 3]);
        check(b"a", b"x:y", ["a:x:y", r"a:x\\cy", r"a:x\\cy"]);
        check(b"a:b", b"c", ["a b:c", r"a\\cb:c", r"a\\cb:c"]);
        check(b"a", b"x\ny", ["a:x y", r"a:x\\ny", r"a:x\\ny"]);
        check(b"a", b"x\ry", ["a:x y", r"a:x\ry", r"a:x\\ry"]);
        check(b"a", b"x\\y", [r"a:x\\y", r"a:x\\\\y", r"a:x\\\\y"]);
        check(b"a\0", b"x\0y", ["a :x y"; 3]);
        check(
            b"a\nb",
            b"\xc3\xa9",
            [r"a b:\xc3\xa9", r"a\\nb:\xc3\xa9", r"a\\nb:\xc3\xa9"],
        );
    }

    fn whole(version: Version, command: Command, body: &[u8]) -> String {
        let headers: [(&[u8], &[u8]); 2] = [(b"a", b"x:\ny"), (b"content-length", b"99")];
        let mut out = Vec::new();
        frame(&mut out, version, command, &headers, body);
        out.escape_ascii().to_string()
    }

    #[test]
    fn a_frame_states_the_length_of_its_body_and_only_that() {
        let version = Version::V1_2;
        let sent = whole(version, Command::Send, b"b\0");
        assert_eq!(sent, r"SEND\na:x\\c\\ny\ncontent-length:2\n\nb\x00\x00");
        let empty = whole(version, Command::Message, b"");
        assert_eq!(empty, r"MESSAGE\na:x\\c\\ny\ncontent-length:0\n\n\x00");
        assert_eq!(
            whole(version, Command::Ack, b""),
            r"ACK\na:x\\c\\ny\n\n\x00"
        );
    }

    #[test]
    fn what_opens_a_session_is_not_escaped_and_cannot_grow_a_header() {
        for command in [Command::Connect, Command::Stomp, Command::Connected] {
            let expected = format!(r"{command}\na:x: y\n\n\x00");
            assert_eq!(whole(Version::V1_2, command, b""), expected);
        }
    }
}
