//! A connection's task: the only owner of its socket, codec, session and buffers.
//!
//! *Invariant*: while nothing happens on it, a connection holds no buffer, and of what only a busy or an ending one
//! needs as little as can be: ten thousand idle ones have to fit into a small machine.

mod deadline;
mod parting;
mod step;
mod waiting;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::{Command, Decoder, InputRef, Limits, Role};
use tokio::net::TcpStream;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, Sleep};

use self::waiting::Waiting;
use super::clock::Clock;
use super::dispatcher::{Inbox, Message, ToConnection};
use super::place::Places;
use crate::config::StompConfig;
use crate::core::memory::{Charge, Share};
use crate::core::port::{ConnectionId, Reply, Request};
use crate::core::session::{End, OutputBuffer, Session, SessionSettings};

/// While so much is unwritten, replies stay where they are: as references, not as bytes.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// Empty buffers are kept this long for the next burst. An idle connection holds none.
const BUFFERS_KEPT: Duration = Duration::from_secs(1);

/// So much of a frame may have arrived without being charged to the memory limit: what a usual read buffer holds.
const ARRIVING_FREE_BYTES: usize = 32 * 1024;

/// What connections need of the broker.
pub(super) struct Context {
    pub(super) settings: Arc<SessionSettings>,
    pub(super) stomp: StompConfig,
    pub(super) dispatcher: Inbox,
    pub(super) clock: Clock,
}

/// How far a connection's end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It lives.
    Running,
    /// The peer sends no more; what it is owed is still given.
    HalfClosed,
    /// DISCONNECT, or the broker stops: the dispatcher will say when. A peer that then takes nothing for so long
    /// is given up.
    Finishing { since: Instant, patience: Duration },
}

/// See the module.
pub(super) struct Connection {
    id: ConnectionId,
    stream: TcpStream,
    context: Arc<Context>,
    session: Session,
    decoder: Decoder,
    buffer: OutputBuffer,
    inbox: mpsc::UnboundedReceiver<ToConnection>,
    places: Arc<Places>,
    /// Whether requests stay here until the dispatcher has taken earlier ones.
    waits_for_place: bool,
    waiting: Waiting,
    /// How many subscriptions had ended when `waiting` was last looked through.
    ended_subscriptions: u64,
    /// How many requests the last read brought: there will be about as many again.
    request_count: usize,
    phase: Phase,
    /// Whether no complete frame is left in the decoder.
    is_drained: bool,
    accepted: Instant,
    last_read: Instant,
    /// When the kernel last took something, or a heart-beat was last due.
    last_write: Instant,
    /// Since when the kernel has taken nothing although something waits.
    waiting_since: Option<Instant>,
    end_by: Option<Instant>,
    /// When to look whether the buffers are idle.
    release_at: Option<Instant>,
    /// Rings when something may have to be done by time; none where nothing will.
    alarm: Option<Pin<Box<Sleep>>>,
    /// The share of the memory limit that a half-arrived frame holds.
    arriving: Option<Charge>,
    /// Since when it arrives or waits while memory is full.
    starved_since: Option<Instant>,
    was_opened: bool,
    /// Whether it has been read since it last was not, or the dispatcher was waited for.
    was_reading: bool,
    /// Its place among those that may be open.
    _permit: OwnedSemaphorePermit,
}

/// Why the loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The peer is gone or has been given up.
    Gone,
    /// Everything is written.
    Closed,
    /// ERROR is in the buffer.
    Refused,
}

/// What nobody can guess.
fn random() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_ne_bytes(bytes))
}

impl Connection {
    /// A connection that has just been accepted. Nothing happens before it is [served](Self::serve).
    pub(super) fn new(
        id: ConnectionId,
        stream: TcpStream,
        peer: String,
        context: Arc<Context>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Self, mpsc::UnboundedSender<ToConnection>), getrandom::Error> {
        let secret = random()?;
        let (outbox, inbox) = mpsc::unbounded_channel();
        let now = Instant::now();
        let connection = Self {
            id,
            stream,
            session: Session::new(Arc::clone(&context.settings), id.0, secret, peer),
            decoder: Decoder::new(Role::Server, codec_limits(&context.settings)),
            buffer: OutputBuffer::default(),
            inbox,
            places: Arc::default(),
            waits_for_place: false,
            waiting: Waiting::default(),
            ended_subscriptions: 0,
            request_count: 0,
            phase: Phase::Running,
            is_drained: true,
            accepted: now,
            last_read: now,
            last_write: now,
            waiting_since: None,
            end_by: None,
            release_at: None,
            alarm: None,
            arriving: None,
            starved_since: None,
            was_opened: false,
            was_reading: false,
            context,
            _permit: permit,
        };
        Ok((connection, outbox))
    }

    /// Serves it until it ends.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would keep the connection twice: as its argument and as its own"
    )]
    pub(super) fn serve(
        mut self,
        outbox: mpsc::UnboundedSender<ToConnection>,
    ) -> impl Future<Output = ()> + Send {
        async move {
            let attach = Message::Attach(self.id, outbox);
            if self.context.dispatcher.send(attach).await.is_err() {
                return;
            }
            let outcome = self.run().await;
            // Apart, so that a living connection has no room for it.
            Box::pin(self.end(outcome)).await;
        }
    }

    async fn run(&mut self) -> Outcome {
        loop {
            self.decode();
            self.forget_ended();
            if self.forward().await.is_err() {
                return Outcome::Gone;
            }
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            self.note_waiting();
            self.charge_arriving();
            self.note_reading();
            self.set_alarm();
            if let Some(outcome) = self.step().await {
                return outcome;
            }
        }
    }

    /// Takes every frame that has arrived, as far as the session listens.
    fn decode(&mut self) {
        let now = self.context.clock.now();
        if self.buffer.output.requests.is_empty() && self.decoder.buffered_bytes() > 0 {
            self.buffer.output.requests.reserve(self.request_count);
        }
        self.is_drained = false;
        // A peer that has shut its side has still said what stands in the buffer.
        let is_finishing = matches!(self.phase, Phase::Finishing { .. });
        while !is_finishing && self.session.takes_input(&self.buffer.output) {
            match self.decoder.next_ref() {
                Ok(Some(InputRef::HeartBeat)) => {}
                Ok(Some(InputRef::Frame(frame))) => {
                    // The next one has its own time.
                    self.starved_since = None;
                    let is_connect = matches!(frame.command(), Command::Connect | Command::Stomp);
                    self.session.frame(&frame, now, &mut self.buffer.output);
                    if is_connect && let Some(version) = self.session.version() {
                        self.decoder.set_version(version);
                    }
                }
                Ok(None) => {
                    self.is_drained = true;
                    return;
                }
                Err(error) => {
                    return self.session.malformed(&error, &mut self.buffer.output);
                }
            }
        }
        if self.session.has_disconnected() && !is_finishing {
            self.finish(self.context.stomp.stalled_after);
        }
    }

    fn finish(&mut self, patience: Duration) {
        let since = Instant::now();
        self.phase = Phase::Finishing { since, patience };
    }

    /// Hands the dispatcher what has gathered, unless all places there are taken.
    async fn forward(&mut self) -> Result<(), ()> {
        if self.buffer.output.requests.is_empty() {
            return Ok(());
        }
        let place = self.places.take();
        self.waits_for_place = place.is_none();
        if self.waits_for_place {
            return Ok(());
        }
        let requests = std::mem::take(&mut self.buffer.output.requests);
        let opens = |request: &Request| matches!(request, Request::Open(_));
        self.was_opened = self.was_opened || requests.iter().any(opens);
        self.request_count = requests.len();
        let message = Message::Requests(self.id, requests, place);
        match self.context.dispatcher.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => {
                self.was_reading = false;
                self.context.dispatcher.send(message).await.map_err(|_| ())
            }
            Err(TrySendError::Closed(_)) => Err(()),
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        let is_empty = self.buffer.is_empty();
        match self.buffer.output.end {
            Some(End::Refused) => Some(Outcome::Refused),
            Some(End::Close) if is_empty => Some(Outcome::Closed),
            Some(End::Close) => None,
            None if self.phase == Phase::HalfClosed && is_empty && self.is_answered() => {
                Some(Outcome::Gone)
            }
            None => None,
        }
    }

    /// Whether everything that the peer has said was acted on and answered.
    fn is_answered(&self) -> bool {
        self.is_drained && !self.session.is_owed()
    }

    /// What cannot be written yet waits here, where the end of a subscription ends its deliveries as well.
    fn reply(&mut self, mut replies: Vec<Reply>) {
        let is_refused = matches!(replies.last(), Some(Reply::Refused(_)));
        if self.ended_subscriptions > 0 {
            // Some may have been on their way when theirs ended.
            replies.retain(|reply| self.session.wants(reply));
        }
        self.waiting.push(replies);
        if is_refused {
            self.refuse_at_once();
        }
        self.pass_on();
    }

    /// An ERROR does not wait for a client that reads nothing: a connection that was taken over holds what another
    /// has a right to. What it was not given returns.
    fn refuse_at_once(&mut self) {
        let now = self.context.clock.now();
        while let Some(reply) = self.waiting.pop() {
            if !matches!(reply, Reply::Deliver(_)) {
                self.session.reply(reply, now, &mut self.buffer.output);
            }
        }
    }

    /// Drops the waiting deliveries of subscriptions that have ended.
    fn forget_ended(&mut self) {
        let ended = self.session.ended_subscriptions();
        if ended != self.ended_subscriptions {
            self.ended_subscriptions = ended;
            self.waiting.retain(|reply| self.session.wants(reply));
        }
    }

    /// Hands the session what waits, as far as there is room for what it writes.
    fn pass_on(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = self.context.clock.now();
        let was_open = self.session.is_open();
        while self.buffer.unwritten_bytes() < UNWRITTEN_BYTES_MAX
            && let Some(reply) = self.waiting.pop()
        {
            self.session.reply(reply, now, &mut self.buffer.output);
        }
        if !was_open && self.session.is_open() {
            self.decoder.authenticated();
        }
    }

    fn note_waiting(&mut self) {
        if self.waiting_since.is_none() && !self.buffer.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
    }

    fn reads(&self) -> bool {
        self.phase == Phase::Running
            && self.session.takes_input(&self.buffer.output)
            && !self.waits_for_memory()
            && !self.waits_for_place
    }

    /// Charges what a long frame has brought so far, and looks whether memory is full meanwhile.
    fn charge_arriving(&mut self) {
        let held = self.decoder.buffered_bytes();
        if held <= ARRIVING_FREE_BYTES || !self.decoder.is_mid_frame() {
            self.arriving = None;
            self.starved_since = None;
            return;
        }
        if self.arriving.as_ref().map(Charge::bytes) != Some(held) {
            self.arriving = Some(self.context.settings.budget.charge_bytes(held));
        }
        if self.has_memory() || !self.session.takes_input(&self.buffer.output) {
            // Where the session does not listen, it is the broker that lets it wait.
            self.starved_since = None;
        } else if self.starved_since.is_none() {
            self.starved_since = Some(Instant::now());
        }
    }

    /// Whether a long frame may go on: as much memory is free as held-back producers wait for, and where it would have
    /// to wait with theirs, there is room for that.
    fn has_memory(&self) -> bool {
        let budget = &self.context.settings.budget;
        budget.has_recovered() && !(self.session.is_held_back() && budget.is_taken(Share::Stashes))
    }

    /// A frame that is larger than the stash is not read on without memory. Behind a smaller one an ACK may stand that
    /// frees some, but not at any price.
    fn waits_for_memory(&self) -> bool {
        let settings = &self.context.settings;
        self.starved_since.is_some()
            && (self.decoder.buffered_bytes() > settings.limits.stash_bytes
                || settings.budget.is_at_ceiling())
    }

    fn read(&mut self) {
        self.last_read = Instant::now();
        self.release_at.get_or_insert(self.last_read + BUFFERS_KEPT);
    }

    fn wrote(&mut self, count: usize) {
        self.buffer.advance(count);
        self.last_write = Instant::now();
        self.release_at
            .get_or_insert(self.last_write + BUFFERS_KEPT);
        self.pass_on();
        self.waiting_since = (!self.buffer.is_empty()).then_some(self.last_write);
    }

    /// The peer has shut its side: what it is owed is given for a while.
    fn half_close(&mut self) {
        if self.decoder.is_mid_frame() {
            tracing::debug!(
                session = self.session.name(),
                "closed in the middle of a frame"
            );
        }
        self.phase = Phase::HalfClosed;
        self.end_by = Some(Instant::now() + self.context.stomp.linger);
    }

    /// The broker stops.
    fn stop(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        // One client that does not read must not make the stop of a broker an unclean one.
        self.finish(self.context.stomp.linger);
        self.end_by = Some(Instant::now() + self.context.stomp.stop_deadline * 3 / 4);
        if !self.session.stop(&mut self.buffer.output) {
            self.buffer.output.end = self.buffer.output.end.max(Some(End::Close));
        }
    }
}

fn codec_limits(settings: &SessionSettings) -> Limits {
    let limits = &settings.limits;
    Limits {
        command_bytes_max: limits.command_bytes,
        header_line_bytes_max: limits.header_line_bytes,
        header_count_max: limits.headers,
        header_block_bytes_max: limits.header_block_bytes,
        body_bytes_max: limits.body_bytes,
        unauthenticated_bytes_max: limits.unauthenticated_bytes,
    }
}

#[cfg(test)]
mod tests;
