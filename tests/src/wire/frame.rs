//! A frame, and its parser: not the product's, and as small as the specification allows.

use std::fmt;

use super::{TRANSCRIPT_CHARS_MAX, WireError};

/// A version of the protocol, for what a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// STOMP 1.0: no escapes.
    V10,
    /// STOMP 1.1: `\n`, `\c`, `\\`.
    V11,
    /// STOMP 1.2: also `\r`.
    V12,
}

impl Version {
    /// The version as `accept-version` and `version` spell it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Version::V10 => "1.0",
            Version::V11 => "1.1",
            Version::V12 => "1.2",
        }
    }
}

/// One frame as it was read, header values decoded by the connection's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The command line.
    pub command: String,
    /// Headers in their order, repeats included.
    pub headers: Vec<(String, String)>,
    /// The body without its NUL.
    pub body: Vec<u8>,
}

impl Frame {
    /// The first header of that name, as STOMP 1.2 (Repeated Header Entries) says.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.command)?;
        for (name, value) in &self.headers {
            write!(f, " | {name}:{}", value.escape_debug())?;
        }
        if !self.body.is_empty() {
            // Every frame goes into a transcript: more than that shows is not worth its time.
            let shown = &self.body[..self.body.len().min(TRANSCRIPT_CHARS_MAX)];
            write!(f, " || {}", shown.escape_ascii())?;
        }
        Ok(())
    }
}

/// The first frame in `input` and how many bytes it took; `None` when it is not complete yet.
pub(super) fn parse(input: &[u8], version: Version) -> Result<Option<(Frame, usize)>, WireError> {
    let start = input
        .iter()
        .position(|byte| !matches!(byte, b'\n' | b'\r'))
        .unwrap_or(input.len());
    let mut at = start;
    let mut lines = Vec::new();
    loop {
        let Some(length) = input[at..].iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(&input[at..at + length]).into_owned();
        at += length + 1;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut lines = lines.into_iter();
    let command = lines.next().unwrap_or_default();
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Err(WireError::Malformed(format!(
                "header line without colon: {line:?}"
            )));
        };
        let escapes = if command == "CONNECTED" {
            Version::V10
        } else {
            version
        };
        headers.push((unescape(name, escapes)?, unescape(value, escapes)?));
    }
    let mut frame = Frame {
        command,
        headers,
        body: Vec::new(),
    };
    let length = match frame.header("content-length") {
        Some(text) => text.parse().map_err(|_| {
            WireError::Malformed(format!("content-length {text:?} is not a number"))
        })?,
        None => match input[at..].iter().position(|byte| *byte == 0) {
            Some(length) => length,
            None => return Ok(None),
        },
    };
    if input.len() <= at + length {
        return Ok(None);
    }
    if input[at + length] != 0 {
        return Err(WireError::Malformed(format!(
            "no NUL behind the body of {frame}"
        )));
    }
    frame.body = input[at..at + length].to_vec();
    Ok(Some((frame, at + length + 1)))
}

fn unescape(text: &str, version: Version) -> Result<String, WireError> {
    if version == Version::V10 || !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut decoded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            decoded.push(character);
            continue;
        }
        decoded.push(match (characters.next(), version) {
            (Some('n'), _) => '\n',
            (Some('c'), _) => ':',
            (Some('\\'), _) => '\\',
            (Some('r'), Version::V12) => '\r',
            (other, _) => {
                return Err(WireError::Malformed(format!(
                    "escape \\{other:?} in {text:?}"
                )));
            }
        });
    }
    Ok(decoded)
}

pub(super) fn escape(text: &str, version: Version) -> String {
    match version {
        Version::V10 => text.to_owned(),
        Version::V11 => text
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace(':', "\\c"),
        Version::V12 => escape(text, Version::V11).replace('\r', "\\r"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(input: &[u8]) -> Frame {
        match parse(input, Version::V12) {
            Ok(Some((frame, used))) => {
                assert_eq!(used, input.len());
                frame
            }
            other => panic!("no frame: {other:?}"),
        }
    }

    #[test]
    fn parses_escapes_and_a_body_with_nul() {
        let frame = whole(b"\n\r\nMESSAGE\na\\cb:c:d\\r\\n\ncontent-length:3\n\nx\0y\0");
        assert_eq!(frame.command, "MESSAGE");
        assert_eq!(frame.header("a:b"), Some("c:d\r\n"));
        assert_eq!(frame.body, b"x\0y");
    }

    #[test]
    fn waits_for_every_byte_of_a_frame() {
        let input = b"MESSAGE\nname:value\n\nbody\0";
        for length in 0..input.len() {
            assert!(
                matches!(parse(&input[..length], Version::V12), Ok(None)),
                "{length}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_frame() {
        for (input, version) in [
            (&b"MESSAGE\nno colon\n\n\0"[..], Version::V12),
            (b"MESSAGE\na:\\t\n\n\0", Version::V12),
            (b"MESSAGE\na:\\r\n\n\0", Version::V11),
            (b"MESSAGE\ncontent-length:1\n\nab\0", Version::V12),
            (b"MESSAGE\ncontent-length:x\n\n\0", Version::V12),
        ] {
            let got = parse(input, version);
            assert!(matches!(got, Err(WireError::Malformed(_))), "{got:?}");
        }
    }
}
