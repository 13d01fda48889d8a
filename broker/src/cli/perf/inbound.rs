//! Frames from a broker, as fast as a load tool needs them.
//!
//! Not the codec of `stompbox-protocol`: nothing is unescaped or kept, only the few headers that count are looked at,
//! and a body is found by its `content-length`. An `ack` header goes back as it came, escapes and all.
//!
//! *Invariant.* What a broker declares allocates nothing: the space grows by what arrives, up to a limit.

use std::io::{self, Read};

use memchr::memchr;

/// Space for one read, and a little more than brokers write at once.
const READ_BYTES: usize = 256 * 1024;

/// The longest frame: the largest body that can be sent, and its headers.
const FRAME_BYTES_MAX: usize = 1025 * 1024 * 1024;

/// A frame that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inbound<'a> {
    /// A message.
    Message(Message<'a>),
    /// A receipt, by its id.
    Receipt(&'a [u8]),
    /// The session has begun: the lines that say so.
    Connected(&'a [u8]),
    /// The broker refuses something and closes: its `message` header, else its body.
    Error(&'a [u8]),
}

/// What counts of a MESSAGE.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// Names it in an ACK; empty when it needs none.
    pub(super) ack: &'a [u8],
    /// The broker says that it may have been delivered before.
    pub(super) redelivered: bool,
    /// What was sent.
    pub(super) body: &'a [u8],
}

/// What is no STOMP.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// A frame that no broker sends.
    #[error("the broker sent '{0}', which is no frame for a client")]
    Command(String),
    /// A body without its NUL, or a length that is none.
    #[error("the content-length of a frame is wrong")]
    Length,
    /// Longer than anything that was sent.
    #[error("a frame is longer than {FRAME_BYTES_MAX} bytes")]
    TooLong,
}

/// The headers that count, as they are on the wire.
#[derive(Default)]
struct Head<'a> {
    command: &'a [u8],
    content_length: Option<&'a [u8]>,
    ack: &'a [u8],
    receipt_id: &'a [u8],
    message: &'a [u8],
    redelivered: bool,
    /// All of it, up to the body.
    lines: &'a [u8],
}

impl<'a> Head<'a> {
    /// The head of the frame that `bytes` begin with; [`None`] while its blank line is missing.
    fn parse(bytes: &'a [u8]) -> Option<Head<'a>> {
        let mut head = Head::default();
        let mut at = memchr(b'\n', bytes)?;
        head.command = trim(&bytes[..at]);
        loop {
            let start = at + 1;
            at = start + memchr(b'\n', &bytes[start..])?;
            let line = trim(&bytes[start..at]);
            // The first letter sorts out most lines. Of repeated headers the first counts.
            match line.first() {
                None => break,
                Some(b'c') if head.content_length.is_none() => {
                    head.content_length = line.strip_prefix(b"content-length:");
                }
                Some(b'a') if head.ack.is_empty() => {
                    head.ack = line.strip_prefix(b"ack:").unwrap_or_default();
                }
                Some(b'r') if line.starts_with(b"redelivered:") => {
                    head.redelivered = line == b"redelivered:true";
                }
                Some(b'r') if head.receipt_id.is_empty() => {
                    head.receipt_id = line.strip_prefix(b"receipt-id:").unwrap_or_default();
                }
                Some(b'm') if head.message.is_empty() => {
                    head.message = line.strip_prefix(b"message:").unwrap_or_default();
                }
                Some(_) => {}
            }
        }
        head.lines = &bytes[..=at];
        Some(head)
    }

    /// The body, once all of it and its NUL have come.
    fn body(&self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &bytes[self.lines.len()..];
        let Some(declared) = self.content_length else {
            return Ok(memchr(0, rest).map(|end| &rest[..end]));
        };
        let length = parse_natural(declared).ok_or(Malformed::Length)?;
        let length = usize::try_from(length).map_err(|_| Malformed::TooLong)?;
        if length >= FRAME_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        match rest.get(length) {
            None => Ok(None),
            Some(0) => Ok(Some(&rest[..length])),
            Some(_) => Err(Malformed::Length),
        }
    }

    fn frame(self, body: &'a [u8]) -> Result<Inbound<'a>, Malformed> {
        match self.command {
            b"MESSAGE" => Ok(Inbound::Message(Message {
                ack: self.ack,
                redelivered: self.redelivered,
                body,
            })),
            b"RECEIPT" => Ok(Inbound::Receipt(self.receipt_id)),
            b"CONNECTED" => Ok(Inbound::Connected(self.lines)),
            b"ERROR" if self.message.is_empty() => Ok(Inbound::Error(body)),
            b"ERROR" => Ok(Inbound::Error(self.message)),
            command => Err(Malformed::Command(command.escape_ascii().to_string())),
        }
    }
}

/// STOMP 1.2 lines may end in CR LF.
fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A number in decimal digits.
pub(super) fn parse_natural(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = digit.wrapping_sub(b'0');
        (value < 10).then_some(())?;
        number.checked_mul(10)?.checked_add(value.into())
    })
}

/// The frame that `bytes` begin with and where the next begins; [`None`] while it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<(Inbound<'_>, usize)>, Malformed> {
    // Line ends between frames are heart-beats.
    let blank = bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\n' | b'\r'))
        .count();
    let frame = &bytes[blank..];
    let Some(head) = Head::parse(frame) else {
        return Ok(None);
    };
    let Some(body) = head.body(frame)? else {
        return Ok(None);
    };
    let end = blank + head.lines.len() + body.len() + 1;
    Ok(Some((head.frame(body)?, end)))
}

/// What has been read and not yet been looked at.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn new() -> Buffer {
        Buffer {
            bytes: vec![0; READ_BYTES],
            start: 0,
            end: 0,
        }
    }

    /// Reads once. Returns how many bytes came, 0 at the end of the stream.
    pub(super) fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.make_space()?;
        let count = source.read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// The next complete frame.
    pub(super) fn next(&mut self) -> Result<Option<Inbound<'_>>, Malformed> {
        let Some((frame, length)) = parse(&self.bytes[self.start..self.end])? else {
            return Ok(None);
        };
        self.start += length;
        Ok(Some(frame))
    }

    /// Moves what is left to the front, and grows when a single frame fills everything.
    fn make_space(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end < self.bytes.len() {
            return Ok(());
        }
        if self.bytes.len() >= FRAME_BYTES_MAX {
            return Err(io::Error::other(Malformed::TooLong));
        }
        self.bytes.resize(self.bytes.len() * 2, 0);
        Ok(())
    }
}

#[cfg(test)]
#[path = "inbound/tests.rs"]
mod tests;
