//! A head that is arriving: takes each header line as it is complete.

use nom::Err as NomErr;

use crate::error::{DecodeError, Reason};
use crate::foreign::quote;
use crate::head::{Encoding, Head, HeaderRange, Headers};
use crate::limits::Ceilings;
use crate::line::{self, Fault, HeaderLine, LineEnd};
use crate::{Command, Version};

/// The command and the headers so far. All offsets count from the start of the frame.
///
/// One for all frames of a decoder: what the headers of the last one took is there for the next.
#[derive(Debug)]
pub(super) struct HeaderLines {
    head: Head,
    version: Option<Version>,
    line_end: LineEnd,
    block_start: usize,
    line_start: usize,
    /// Bytes of the unfinished line that are known to hold no LF.
    scanned: usize,
}

enum Line {
    Incomplete,
    Blank,
    Header,
}

impl HeaderLines {
    /// Of no frame yet.
    pub(super) fn new() -> Self {
        Self {
            head: Head::new(Command::Connect),
            version: None,
            line_end: LineEnd::LfOrCrLf,
            block_start: 0,
            line_start: 0,
            scanned: 0,
        }
    }

    /// A new frame. `block_start`: where its first header line begins.
    pub(super) fn begin(
        &mut self,
        command: Command,
        version: Option<Version>,
        line_end: LineEnd,
        block_start: usize,
    ) {
        self.head.begin(command, block_start);
        self.version = version;
        self.line_end = line_end;
        self.block_start = block_start;
        self.line_start = block_start;
        self.scanned = 0;
    }

    /// The head, once [`advance`](Self::advance) has found its end.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// Takes the lines that are complete in `frame`, which begins at the command. The length of
    /// the head once its blank line is there.
    pub(super) fn advance(
        &mut self,
        frame: &[u8],
        ceilings: Ceilings<'_>,
    ) -> Result<Option<usize>, DecodeError> {
        let head_end = ceilings.head_end(self.block_start);
        loop {
            match self.next_line(frame, head_end, ceilings) {
                Ok(Line::Header) => {}
                Ok(Line::Blank) => return self.finish(frame).map(Some),
                Ok(Line::Incomplete) => return Ok(None),
                Err(reason) => return Err(DecodeError::new(reason, self.receipt(frame))),
            }
        }
    }

    /// Ends the head: its text can be read, and is legal.
    fn finish(&mut self, frame: &[u8]) -> Result<usize, DecodeError> {
        let head_bytes = self.line_start;
        let bytes = frame.get(..head_bytes).unwrap_or_default();
        self.head.version = self.version.unwrap_or(Version::V1_0);
        self.head.encoding = self.encoding(bytes);
        self.head
            .check(bytes)
            .map_err(|reason| self.head.error(bytes, reason))?;
        Ok(head_bytes)
    }

    /// `head_end`: no line may end behind this, whatever its own length.
    #[inline]
    fn next_line(
        &mut self,
        frame: &[u8],
        head_end: usize,
        ceilings: Ceilings<'_>,
    ) -> Result<Line, Reason> {
        let start = self.line_start;
        let input = frame.get(start..).unwrap_or_default();
        let parsed = line::line(self.scanned)(input);
        let end = start + line::bytes_seen(input, &parsed);
        if end > head_end || end - start > ceilings.limits.header_line_bytes_max {
            ceilings.header_line(self.block_start, start, end)?;
        }
        let line = match parsed {
            Ok((_, line)) => line,
            Err(NomErr::Incomplete(_)) => {
                self.scanned = input.len();
                return Ok(Line::Incomplete);
            }
            Err(NomErr::Error(fault) | NomErr::Failure(fault)) => return Err(reason(fault, input)),
        };
        self.line_start = end + 1;
        self.scanned = 0;
        match line::header_line(self.line_end)(line) {
            Ok((_, HeaderLine::Blank)) => Ok(Line::Blank),
            Ok((_, HeaderLine::Header { name, value })) => {
                ceilings.header_count(self.head.ranges.len() + 1)?;
                let colon = start + name.len();
                let end = colon + 1 + value.len();
                self.head.ranges.push(name, HeaderRange::new(colon, end));
                Ok(Line::Header)
            }
            Err(NomErr::Incomplete(_)) => Err(reason(Fault::NoMatch, line)),
            Err(NomErr::Error(fault) | NomErr::Failure(fault)) => Err(reason(fault, line)),
        }
    }

    fn encoding(&self, bytes: &[u8]) -> Encoding {
        match self.version {
            _ if self.head.command.is_handshake() => self.handshake_encoding(bytes),
            Some(version @ (Version::V1_1 | Version::V1_2)) => Encoding::Escaped(version),
            Some(Version::V1_0) | None => Encoding::Trimmed,
        }
    }

    /// A peer that offers or names no version speaks 1.0, and 1.0 trims.
    fn handshake_encoding(&self, bytes: &[u8]) -> Encoding {
        let name: &[u8] = match self.head.command {
            Command::Connected => b"version",
            _ => b"accept-version",
        };
        let headers = Headers {
            bytes,
            ranges: &self.head.ranges,
            encoding: Encoding::Verbatim,
            has_escapes: false,
        };
        headers
            .raw(name)
            .map_or(Encoding::Trimmed, |_| Encoding::Verbatim)
    }

    fn receipt(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let headers = Headers {
            bytes,
            ranges: &self.head.ranges,
            encoding: self.encoding(bytes),
            has_escapes: true,
        };
        headers.decoded(b"receipt").map(Into::into)
    }
}

fn reason(fault: Fault, line: &[u8]) -> Reason {
    match fault {
        Fault::Nul { .. } => Reason::NulInHead,
        Fault::EmptyName => Reason::EmptyHeaderName,
        Fault::NoColon | Fault::NoMatch => Reason::HeaderWithoutColon {
            quoted: quote(line),
        },
    }
}
