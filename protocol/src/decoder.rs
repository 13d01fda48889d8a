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
//!   CommandLine -- no command, of a peer that is logged in --> Refused: its headers, for the receipt
//!   any state -- error --> Dead: the same error again, whatever comes
//! ```
//!
//! *Invariant*: each state knows how far it has scanned, so that a byte is scanned once.

mod body;
mod command_line;
mod header_lines;
mod inbound;
mod long_body;

use bytes::buf::Limit;
use bytes::{Bytes, BytesMut};

use self::body::{Arrived, Body};
use self::header_lines::HeaderLines;
use self::inbound::Inbound;
use crate::error::{DecodeError, Reason};
use crate::limits::Ceilings;
use crate::{Command, Frame, FrameRef, Limits, Role, Version};

pub(crate) use self::body::ArrivedBody;

/// A body longer than this gets memory of its own.
const SHORT_BODY_BYTES_MAX: usize = 8 << 10;

/// What a decoder found.
#[derive(Clone, Debug)]
pub enum Input {
    /// One or more line ends between frames: the peer lives.
    HeartBeat,
    /// A whole frame.
    Frame(Frame),
}

/// What a decoder found, in the decoder's own memory.
#[derive(Debug)]
pub enum InputRef<'a> {
    /// One or more line ends between frames: the peer lives.
    HeartBeat,
    /// A whole frame.
    Frame(FrameRef<'a>),
}

/// The same, while it may still move.
enum Found {
    HeartBeat,
    Frame(Arrived),
}

/// Turns what one peer sends into frames.
///
/// Read into [`read_space`](Self::read_space), then call [`next_ref`](Self::next_ref) or
/// [`next_input`](Self::next_input) until it answers `None`. After an error the decoder is dead: it
/// repeats the error.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    limits: Limits,
    version: Option<Version>,
    /// Bytes that may still come before the login; `None` once logged in.
    login_left: Option<usize>,
    inbound: Inbound,
    /// The head of the frame that is arriving, or of the last one.
    lines: HeaderLines,
    /// The head of the last frame, where it is not in `inbound`.
    head: Option<Bytes>,
    state: State,
}

#[derive(Debug)]
enum State {
    Between,
    CommandLine { scanned: usize },
    Headers,
    Refused(Reason),
    Body(Body),
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
            lines: HeaderLines::new(),
            head: None,
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
            State::Body(Body::Long { long, .. }) if long.missing_bytes() > 0 => long.room(),
            State::Dead(_) => {
                self.inbound.clear();
                self.inbound.room()
            }
            State::Between
            | State::CommandLine { .. }
            | State::Headers
            | State::Refused(_)
            | State::Body(..) => self.inbound.room(),
        }
    }

    /// Takes bytes as if they had been read: for transports that bring their own buffers.
    pub fn extend(&mut self, mut bytes: &[u8]) {
        match &mut self.state {
            State::Body(Body::Long { long, .. }) => bytes = long.append(bytes),
            State::Dead(_) => return,
            State::Between
            | State::CommandLine { .. }
            | State::Headers
            | State::Refused(_)
            | State::Body(..) => {}
        }
        self.inbound.append(bytes);
    }

    /// The next frame or heart-beat; `None` when more bytes are needed. Not called `next`, since a
    /// decoder is no iterator: `None` is not its end.
    pub fn next_input(&mut self) -> Result<Option<Input>, DecodeError> {
        Ok(self.next_ref()?.map(|input| match input {
            InputRef::HeartBeat => Input::HeartBeat,
            InputRef::Frame(frame) => Input::Frame(frame.to_frame()),
        }))
    }

    /// As [`next_input`](Self::next_input), without a copy of the frame.
    pub fn next_ref(&mut self) -> Result<Option<InputRef<'_>>, DecodeError> {
        let found = self.step().inspect_err(|error| {
            self.state = State::Dead(error.clone());
            self.inbound.clear();
        })?;
        Ok(match found {
            Some(Found::Frame(arrived)) => {
                self.spend(arrived.wire_bytes);
                self.head = arrived.head;
                let bytes = match &self.head {
                    Some(head) => head,
                    None => self.inbound.taken(arrived.wire_bytes),
                };
                let head = self.lines.head();
                let frame = FrameRef::new(head, bytes, arrived.body, arrived.wire_bytes);
                Some(InputRef::Frame(frame))
            }
            Some(Found::HeartBeat) => Some(InputRef::HeartBeat),
            None => {
                self.head = None;
                self.inbound.settle();
                None
            }
        })
    }

    /// Whether part of a frame has come: an end of the stream now breaks that frame off. Ask when
    /// [`next_input`](Self::next_input) has answered `None`.
    pub fn is_mid_frame(&self) -> bool {
        match &self.state {
            State::Between | State::Dead(_) => false,
            State::CommandLine { .. } | State::Headers | State::Refused(_) | State::Body(..) => {
                true
            }
        }
    }

    /// The memory that half-arrived input occupies.
    pub fn buffered_bytes(&self) -> usize {
        let partial = match &self.state {
            State::Body(body) => body.own_bytes(),
            State::Between
            | State::CommandLine { .. }
            | State::Headers
            | State::Refused(_)
            | State::Dead(_) => 0,
        };
        partial + self.inbound.held().len()
    }

    /// Gives the read buffer back if nothing is in it.
    pub fn release_idle(&mut self) {
        self.inbound.release_if_empty();
    }

    /// Goes on where the last call had to stop. A stage calls the next one, and is written down only where it has to wait
    /// for more: nearly all frames arrive whole.
    fn step(&mut self) -> Result<Option<Found>, DecodeError> {
        match self.state {
            State::Between => self.between(),
            State::CommandLine { scanned } => self.command_line(scanned),
            State::Headers => self.headers(),
            State::Refused(ref reason) => {
                let reason = reason.clone();
                self.refused(reason)
            }
            State::Body(_) => self.rest_of_body(),
            State::Dead(ref error) => Err(error.clone()),
        }
    }

    fn ceilings(&self) -> Ceilings<'_> {
        Ceilings {
            limits: &self.limits,
            login_left: self.login_left,
        }
    }

    fn between(&mut self) -> Result<Option<Found>, DecodeError> {
        match self.inbound.held() {
            // A CR may yet become a CRLF.
            [] | [b'\r'] => return Ok(None),
            held @ [b'\n' | b'\r', ..] => {
                let eol_bytes = eol_run_bytes(held);
                if eol_bytes > 0 {
                    self.ceilings().heart_beats(eol_bytes).map_err(bare)?;
                    self.inbound.take(eol_bytes);
                    self.spend(eol_bytes);
                    return Ok(Some(Found::HeartBeat));
                }
            }
            _ => {}
        }
        self.command_line(0)
    }

    fn command_line(&mut self, scanned: usize) -> Result<Option<Found>, DecodeError> {
        let held = self.inbound.held();
        let line = command_line::next(held, scanned, self.ceilings()).map_err(bare)?;
        let Some(line) = line else {
            let scanned = held.len();
            self.state = State::CommandLine { scanned };
            return Ok(None);
        };
        let block_start = line.len() + 1;
        match command_line::parse(line, self.version, self.role) {
            Ok((command, line_end)) => {
                self.lines
                    .begin(command, self.version, line_end, block_start);
                self.headers()
            }
            // Before the login nothing is promised, and what speaks may be no STOMP at all.
            Err(reason) if self.login_left.is_some() || reason.is_foreign() => Err(bare(reason)),
            Err(reason) => {
                // The headers are read as those of any frame.
                let line_end = command_line::line_end(None, self.version);
                self.lines
                    .begin(Command::Send, self.version, line_end, block_start);
                self.refused(reason)
            }
        }
    }

    /// Reads on to the end of the head, or to where it is malformed.
    fn refused(&mut self, reason: Reason) -> Result<Option<Found>, DecodeError> {
        let ceilings = Ceilings {
            limits: &self.limits,
            login_left: self.login_left,
        };
        let held = self.inbound.held();
        match self.lines.advance(held, ceilings) {
            Ok(None) => {
                self.state = State::Refused(reason);
                Ok(None)
            }
            Ok(Some(_)) => Err(self.lines.head().error(held, reason)),
            Err(error) => Err(error.because(reason)),
        }
    }

    fn headers(&mut self) -> Result<Option<Found>, DecodeError> {
        let ceilings = Ceilings {
            limits: &self.limits,
            login_left: self.login_left,
        };
        let held = self.inbound.held();
        let Some(head_bytes) = self.lines.advance(held, ceilings)? else {
            self.state = State::Headers;
            return Ok(None);
        };
        let head = self.lines.head();
        let mut body = Body::begin(head, head_bytes, &mut self.inbound, ceilings)
            .map_err(|reason| head.error(self.inbound.held(), reason))?;
        let arrived = body.advance(head, &mut self.inbound, ceilings)?;
        if arrived.is_none() {
            self.state = State::Body(body);
        } else if !matches!(self.state, State::Between) {
            self.state = State::Between;
        }
        Ok(arrived.map(Found::Frame))
    }

    fn rest_of_body(&mut self) -> Result<Option<Found>, DecodeError> {
        let State::Body(body) = &mut self.state else {
            return Ok(None);
        };
        let ceilings = Ceilings {
            limits: &self.limits,
            login_left: self.login_left,
        };
        let arrived = body.advance(self.lines.head(), &mut self.inbound, ceilings)?;
        if arrived.is_some() {
            self.state = State::Between;
        }
        Ok(arrived.map(Found::Frame))
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
