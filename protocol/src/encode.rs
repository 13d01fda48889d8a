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
