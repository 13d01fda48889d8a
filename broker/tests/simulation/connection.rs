//! The broker's side of a connection without its socket: what the connection's task does, one move at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use stompbox_broker::core::clock::Now;
use stompbox_broker::core::port::{ConnectionId, Ending, Reply, Request};
use stompbox_broker::core::session::{End, OutputBuffer, Session, SessionSettings};
use stompbox_protocol::{Command, Decoder, InputRef, Limits, Role};

use crate::client::Client;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    HalfClosed,
    Finishing,
}

/// How the connection's task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Gone,
    Closed,
    Refused,
}

/// See the module.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) client: Client,
    /// What the client has written and the broker has not read.
    pub(crate) arriving: Vec<u8>,
    pub(crate) inbox: VecDeque<Vec<Reply>>,
    session: Session,
    decoder: Decoder,
    buffer: OutputBuffer,
    phase: Phase,
    was_opened: bool,
    /// Whether the broker ended it, so that some of what was said has not been read.
    pub(crate) was_stopped: bool,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        settings: &Arc<SessionSettings>,
        client: Client,
        arriving: Vec<u8>,
    ) -> Self {
        Self {
            id,
            client,
            arriving,
            inbox: VecDeque::new(),
            session: Session::new(Arc::clone(settings), id.0, 0, "simulated".to_owned()),
            decoder: Decoder::new(Role::Server, Limits::default()),
            buffer: OutputBuffer::default(),
            phase: Phase::Running,
            was_opened: false,
            was_stopped: false,
        }
    }

    fn reads(&self) -> bool {
        self.phase == Phase::Running && self.session.takes_input(&self.buffer.output)
    }

    /// Reads so many of the bytes that have arrived.
    pub(crate) fn read(&mut self, bytes_max: usize) {
        if self.reads() {
            let count = bytes_max.min(self.arriving.len());
            self.decoder.extend(&self.arriving[..count]);
            self.arriving.drain(..count);
        }
    }

    /// Decodes as far as the session listens, and takes what the dispatcher is to be asked.
    pub(crate) fn advance(&mut self, now: Now) -> Vec<Request> {
        self.decode(now);
        let requests = std::mem::take(&mut self.buffer.output.requests);
        self.was_opened |= requests
            .iter()
            .any(|request| matches!(request, Request::Open(_)));
        requests
    }

    fn decode(&mut self, now: Now) {
        while self.reads() {
            match self.decoder.next_ref() {
                Ok(Some(InputRef::HeartBeat)) => {}
                Ok(Some(InputRef::Frame(frame))) => {
                    let is_connect = matches!(frame.command(), Command::Connect | Command::Stomp);
                    self.session.frame(&frame, now, &mut self.buffer.output);
                    if is_connect && let Some(version) = self.session.version() {
                        self.decoder.set_version(version);
                    }
                }
                Ok(None) => return,
                Err(error) => return self.session.malformed(&error, &mut self.buffer.output),
            }
        }
        if self.session.has_disconnected() && self.phase == Phase::Running {
            self.phase = Phase::Finishing;
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let is_empty = self.buffer.is_empty();
        match self.buffer.output.end {
            Some(End::Refused) => Some(Outcome::Refused),
            Some(End::Close) if is_empty => Some(Outcome::Closed),
            Some(End::Close) => None,
            None if self.phase == Phase::HalfClosed && is_empty && !self.session.is_owed() => {
                Some(Outcome::Gone)
            }
            None => None,
        }
    }

    /// The session takes the replies of one turn.
    pub(crate) fn reply(&mut self, now: Now) {
        let was_open = self.session.is_open();
        for reply in self.inbox.pop_front().unwrap_or_default() {
            self.session.reply(reply, now, &mut self.buffer.output);
        }
        if !was_open && self.session.is_open() {
            self.decoder.authenticated();
        }
    }

    /// The kernel takes so many bytes.
    pub(crate) fn write(&mut self, bytes_max: usize) -> Vec<u8> {
        let taken: Vec<u8> = self.last_bytes().into_iter().take(bytes_max).collect();
        self.buffer.advance(taken.len());
        taken
    }

    /// Whether nothing is on its way in either direction.
    pub(crate) fn is_idle(&self) -> bool {
        let is_read = self.arriving.is_empty() || !self.listens();
        is_read && self.inbox.is_empty() && self.buffer.is_empty()
    }

    /// The client has shut its side.
    pub(crate) fn half_close(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::HalfClosed;
        }
    }

    pub(crate) fn is_half_closed(&self) -> bool {
        self.phase == Phase::HalfClosed
    }

    /// The broker stops.
    pub(crate) fn stop(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Finishing;
            self.was_stopped = true;
            if !self.session.stop(&mut self.buffer.output) {
                self.buffer.output.end = self.buffer.output.end.max(Some(End::Close));
            }
        }
    }

    /// Whether the broker still reads what this client says.
    pub(crate) fn listens(&self) -> bool {
        self.phase == Phase::Running && self.client.stage != crate::client::Stage::Refused
    }

    /// The last requests of a connection that is over.
    pub(crate) fn close(&mut self, outcome: Outcome) -> Vec<Request> {
        let mut requests = std::mem::take(&mut self.buffer.output.requests);
        let ending = match (outcome, self.phase) {
            (Outcome::Closed, _) => Ending::Disconnect,
            (_, Phase::Finishing) => Ending::Stop,
            _ => Ending::Lost,
        };
        let written = match outcome {
            Outcome::Refused | Outcome::Closed => self.session.given(),
            Outcome::Gone => self.buffer.delivered,
        };
        if self.was_opened || !requests.is_empty() {
            requests.push(Request::Closed { ending, written });
        }
        requests
    }

    /// What a refused client may still get.
    pub(crate) fn last_bytes(&self) -> Vec<u8> {
        self.buffer.unwritten().flatten().copied().collect()
    }
}
