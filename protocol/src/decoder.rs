//! The decoder: a state machine over the bytes of one connection, resumable at any byte.
//!
//! ```text
//!            EOLs: heart-beat                  line by line
//!              +---+                             +---+
//!              v   |                             v   |
//!   start --> Between --> CommandLine --> Headers --> Body --+
//!                ^                                           |
//!                +------------ NUL: one frame ---------------+
//!
//!   any state -- error --> Dead: the same error again, whatever comes
//! ```
//!
//! *Invariant*: each state knows how far it has scanned, so that a byte is scanned once.

mod body;
mod header_lines;
mod inbound;
mod long_body;

use bytes::BytesMut;
use bytes::buf::Limit;
use nom::Err as NomErr;

use self::body::Body;
use self::header_lines::HeaderLines;
use self::inbound::Inbound;
use crate::error::{DecodeError, Reason};
use crate::foreign::{Foreign, quote};
use crate::head::Head;
use crate::limits::Ceilings;
use crate::line::{self, LineEnd};
use crate::{Command, Frame, Limits, Role, Version};

/// A body longer than this gets memory of its own.
const SHORT_BODY_BYTES_MAX: usize = 8 << 10;

/// What a decoder found.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once, and nearly always a frame"
)]
pub enum Input {
    /// One or more line ends between frames: the peer lives.
    HeartBeat,
    /// A whole frame.
    Frame(Frame),
}

/// Turns what one peer sends into frames.
///
/// Read into [`read_space`](Self::read_space), then call [`next_input`](Self::next_input) until it
/// answers `None`. After an error the decoder is dead: it repeats the error.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    limits: Limits,
    version: Option<Version>,
    /// Bytes that may still come before the login; `None` once logged in.
    login_left: Option<usize>,
    inbound: Inbound,
    state: State,
}

#[derive(Debug)]
enum State {
    Between,
    CommandLine { scanned: usize },
    Headers(HeaderLines),
    Body(Head, Body),
    Dead(DecodeError),
}

impl Decoder {
    /// A decoder that does not know the version yet: until [`set_version`](Self::set_version)
    /// nothing is unescaped, and CRLF is accepted as a line end.
    pub fn new(role: Role, mut limits: Limits) -> Self {
        // Header ranges are 32 bits wide, counted from the start of the command line.
        const HEAD_PART_BYTES_MAX: usize = 1 << 30;
        limits.command_bytes_max = limits.command_bytes_max.min(HEAD_PART_BYTES_MAX);
        limits.header_block_bytes_max = limits.header_block_bytes_max.min(HEAD_PART_BYTES_MAX);
        let login_left = Some(limits.unauthenticated_bytes_max);
        let inbound = Inbound::default();
        Self {
            role,
            limits,
            version: None,
            login_left,
            inbound,
            state: State::Between,
        }
    }

    /// Decodes what follows the last frame taken by the rules of `version`.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Lifts [`Limits::unauthenticated_bytes_max`].
    pub fn authenticated(&mut self) {
        self.login_left = None;
    }

    /// Room for the next read, never empty. A long body of declared length is read straight into
    /// its own memory, and no further than to its NUL.
    pub fn read_space(&mut self) -> Limit<&mut BytesMut> {
        match &mut self.state {
            State::Body(_, Body::Long(long)) if long.missing_bytes() > 0 => long.room(),
            State::Dead(_) => {
                self.inbound.clear();
                self.inbound.room()
            }
            State::Between | State::CommandLine { .. } | State::Headers(_) | State::Body(..) => {
                self.inbound.room()
            }
        }
    }

    /// Takes bytes as if they had been read: for transports that bring their own buffers.
    pub fn extend(&mut self, mut bytes: &[u8]) {
        match &mut self.state {
            State::Body(_, Body::Long(long)) => bytes = long.append(bytes),
            State::Dead(_) => return,
            State::Between | State::CommandLine { .. } | State::Headers(_) | State::Body(..) => {}
        }
        self.inbound.append(bytes);
    }

    /// The next frame or heart-beat; `None` when more bytes are needed. Not called `next`, since a
    /// decoder is no iterator: `None` is not its end.
    pub fn next_input(&mut self) -> Result<Option<Input>, DecodeError> {
        let result = self.step();
        if let Err(error) = &result {
            self.state = State::Dead(error.clone());
            self.inbound.clear();
        }
        result
    }

    /// Whether part of a frame has come: an end of the stream now breaks that frame off. Ask when
    /// [`next_input`](Self::next_input) has answered `None`.
    pub fn is_mid_frame(&self) -> bool {
        match &self.state {
            State::Between | State::Dead(_) => false,
            State::CommandLine { .. } | State::Headers(_) | State::Body(..) => true,
        }
    }

    /// The memory that half-arrived input occupies.
    pub fn buffered_bytes(&self) -> usize {
        let partial = match &self.state {
            State::Body(head, body) => head.bytes.len() + body.own_bytes(),
            State::Between | State::CommandLine { .. } | State::Headers(_) | State::Dead(_) => 0,
        };
        partial + self.inbound.held().len()
    }

    /// Gives the read buffer back if nothing is in it.
    pub fn release_idle(&mut self) {
        self.inbound.release_if_empty();
    }

    fn step(&mut self) -> Result<Option<Input>, DecodeError> {
        loop {
            let ceilings = Ceilings {
                limits: &self.limits,
                login_left: self.login_left,
            };
            match &mut self.state {
                State::Between => {
                    let eol_bytes = eol_run_bytes(self.inbound.held());
                    if eol_bytes > 0 {
                        ceilings.heart_beats(eol_bytes).map_err(bare)?;
                        self.inbound.skip(eol_bytes);
                        self.spend(eol_bytes);
                        return Ok(Some(Input::HeartBeat));
                    }
                    // A CR may yet become a CRLF.
                    if matches!(self.inbound.held(), [] | [b'\r']) {
                        return Ok(None);
                    }
                    self.state = State::CommandLine { scanned: 0 };
                }
                State::CommandLine { scanned } => {
                    let held = self.inbound.held();
                    let line = first_line(held, *scanned, ceilings).map_err(bare)?;
                    let Some(line) = line else {
                        *scanned = held.len();
                        return Ok(None);
                    };
                    let (command, line_end) =
                        parse_command(line, self.version, self.role).map_err(bare)?;
                    let block_start = line.len() + 1;
                    self.state = State::Headers(HeaderLines::new(
                        command,
                        self.version,
                        line_end,
                        block_start,
                    ));
                }
                State::Headers(lines) => {
                    let Some(head_bytes) = lines.advance(self.inbound.held(), ceilings)? else {
                        return Ok(None);
                    };
                    let mut head = lines.finish(self.inbound.take(head_bytes));
                    let body = Body::begin(&mut head, &mut self.inbound, ceilings)
                        .map_err(|reason| head_error(&head, reason))?;
                    self.state = State::Body(head, body);
                }
                State::Body(head, body) => {
                    let arrived = body
                        .advance(head, &mut self.inbound, ceilings)
                        .map_err(|reason| head_error(head, reason))?;
                    let Some(arrived) = arrived else {
                        return Ok(None);
                    };
                    let wire_bytes = head.bytes.len() + arrived.wire_bytes;
                    let frame = Frame::new(head.take(), arrived.bytes, wire_bytes);
                    self.state = State::Between;
                    self.inbound.settle(wire_bytes);
                    self.spend(wire_bytes);
                    return Ok(Some(Input::Frame(frame)));
                }
                State::Dead(error) => return Err(error.clone()),
            }
        }
    }

    fn spend(&mut self, bytes: usize) {
        if let Some(left) = &mut self.login_left {
            *left = left.saturating_sub(bytes);
        }
    }
}

/// An error in a frame of which no header is known.
fn bare(reason: Reason) -> DecodeError {
    DecodeError::new(reason, None)
}

fn head_error(head: &Head, reason: Reason) -> DecodeError {
    DecodeError::new(reason, head.headers().decoded(b"receipt").map(Into::into))
}

/// Line ends before a frame. CRLF counts in every version: there is no value that its CR could
/// belong to, and a telnet user's CONNECT ends in one before any version is agreed on.
fn eol_run_bytes(held: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match held.get(at..) {
            Some([b'\n', ..]) => at += 1,
            Some([b'\r', b'\n', ..]) => at += 2,
            _ => return at,
        }
    }
}

/// The line that should be a command, once it is there.
fn first_line<'a>(
    held: &'a [u8],
    scanned: usize,
    ceilings: Ceilings<'_>,
) -> Result<Option<&'a [u8]>, Reason> {
    let parsed = line::line(scanned)(held);
    let line = held.get(..line::bytes_seen(held, &parsed)).unwrap_or(held);
    if let Err(over_limit) = ceilings.command_line(line.len()) {
        // Request lines are longer than any command: what the peer speaks says more than a limit.
        let shown = line
            .get(..ceilings.limits.command_bytes_max)
            .unwrap_or(line);
        return Err(match Foreign::recognise(shown) {
            Some(foreign) => unknown_command(shown, Some(foreign)),
            None => over_limit,
        });
    }
    match parsed {
        Ok((_, line)) => Ok(Some(line)),
        Err(NomErr::Incomplete(_)) => Ok(None),
        Err(NomErr::Error(_) | NomErr::Failure(_)) => Err(match Command::parse(line) {
            Some(_) => Reason::NulInHead,
            None => unknown_command(line, Foreign::recognise(line)),
        }),
    }
}

fn unknown_command(line: &[u8], foreign: Option<Foreign>) -> Reason {
    Reason::UnknownCommand {
        quoted: quote(line),
        foreign,
    }
}

/// The command of a line, and what ends the lines of its frame.
fn parse_command(
    line: &[u8],
    version: Option<Version>,
    role: Role,
) -> Result<(Command, LineEnd), Reason> {
    let stripped = LineEnd::LfOrCrLf.strip(line);
    let command = Command::parse(stripped);
    // STOMP 1.1 knows LF only; what opens a session is read before its version counts.
    let line_end = match version {
        Some(Version::V1_1) if !command.is_some_and(Command::is_handshake) => LineEnd::Lf,
        Some(Version::V1_0 | Version::V1_1 | Version::V1_2) | None => LineEnd::LfOrCrLf,
    };
    match command {
        Some(command) if line_end.strip(line) == stripped => {
            if command.decoded_by() == role {
                Ok((command, line_end))
            } else {
                Err(Reason::WrongSide { command })
            }
        }
        Some(_) | None => Err(unknown_command(line, Foreign::recognise(line))),
    }
}
