//! A connection's task: the only owner of its socket, codec, session and buffers.

mod deadline;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::{Command, Decoder, Input, Limits, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::dispatcher::{Inbox, Message};
use crate::config::StompConfig;
use crate::core::memory::Charge;
use crate::core::port::{ConnectionId, Ending, Reply, Request};
use crate::core::session::{End, OutputBuffer, Session, SessionSettings};

/// While so much is unwritten, replies stay where they are: as references, not as bytes.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// Empty buffers are kept this long for the next burst. An idle connection holds none.
const BUFFERS_KEPT: Duration = Duration::from_secs(1);

/// So much of a frame may have arrived without being charged to the memory limit.
const ARRIVING_FREE_BYTES: usize = 64 * 1024;

/// What a connection needs of the broker.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) settings: Arc<SessionSettings>,
    pub(super) stomp: Arc<StompConfig>,
    pub(super) dispatcher: Inbox,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
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

struct Connection {
    id: ConnectionId,
    context: Context,
    session: Session,
    decoder: Decoder,
    buffer: OutputBuffer,
    inbox: mpsc::UnboundedReceiver<Vec<Reply>>,
    /// Replies that have come and are not written yet.
    waiting: VecDeque<Reply>,
    /// How many subscriptions had ended when `waiting` was last looked through.
    ended_subscriptions: u64,
    phase: Phase,
    accepted: Instant,
    last_read: Instant,
    /// When the kernel last took something, or a heart-beat was last due.
    last_write: Instant,
    /// Since when the kernel has taken nothing although something waits.
    waiting_since: Option<Instant>,
    end_by: Option<Instant>,
    /// When to look whether the buffers are idle.
    release_at: Option<Instant>,
    /// The share of the memory limit that a half-arrived frame holds.
    arriving: Option<Charge>,
    /// Since when it waits for memory.
    starved_since: Option<Instant>,
    was_opened: bool,
    /// Whether it has been read since it last was not, or the dispatcher was waited for.
    was_reading: bool,
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

/// Serves one connection until it ends.
pub(super) async fn serve(mut stream: TcpStream, id: ConnectionId, peer: String, context: Context) {
    let (outbox, inbox) = mpsc::unbounded_channel();
    let attach = Message::Attach(id, outbox);
    if context.dispatcher.send(attach).await.is_err() {
        return;
    }
    let Ok(secret) = random() else {
        tracing::error!(%peer, "the system gives no random numbers: connection closed");
        return;
    };
    let now = Instant::now();
    let mut connection = Connection {
        id,
        session: Session::new(Arc::clone(&context.settings), id.0, secret, peer),
        decoder: Decoder::new(Role::Server, codec_limits(&context.settings)),
        buffer: OutputBuffer::default(),
        inbox,
        waiting: VecDeque::new(),
        ended_subscriptions: 0,
        phase: Phase::Running,
        accepted: now,
        last_read: now,
        last_write: now,
        waiting_since: None,
        end_by: None,
        release_at: None,
        arriving: None,
        starved_since: None,
        was_opened: false,
        was_reading: false,
        context,
    };
    let outcome = connection.run(&mut stream).await;
    connection.close(outcome).await;
    match outcome {
        Outcome::Gone => {}
        Outcome::Closed => {
            // The peer may have gone first.
            let _ = stream.shutdown().await;
        }
        Outcome::Refused => connection.part(&mut stream).await,
    }
}

/// What nobody can guess.
fn random() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_ne_bytes(bytes))
}

impl Connection {
    async fn run(&mut self, stream: &mut TcpStream) -> Outcome {
        let (mut reader, mut writer) = stream.split();
        let stop = self.context.stop.clone();
        let alarm = tokio::time::sleep_until(self.deadline());
        tokio::pin!(alarm);
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
            let deadline = self.deadline();
            if deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
            }
            let reads = self.reads();
            if reads && !self.was_reading {
                // Silence is counted from here: what the client sent meanwhile stood in the socket.
                self.last_read = Instant::now();
            }
            self.was_reading = reads;
            let unwritten = self.buffer.unwritten();
            let writes = !unwritten.is_empty();
            // Each arm is cancel-safe: a read or write either happened or did not, receiving loses nothing.
            tokio::select! {
                read = async { reader.read_buf(&mut self.decoder.read_space()).await }, if reads => {
                    match read {
                        Ok(0) => self.half_close(),
                        Ok(_) => self.read(),
                        Err(_) => return Outcome::Gone,
                    }
                }
                written = writer.write(unwritten), if writes => match written {
                    Ok(0) | Err(_) => return Outcome::Gone,
                    Ok(count) => self.wrote(count),
                },
                replies = self.inbox.recv() => match replies {
                    Some(replies) => self.reply(replies),
                    None => return Outcome::Gone,
                },
                () = &mut alarm => {
                    if let Some(outcome) = self.alarm() {
                        return outcome;
                    }
                    alarm.as_mut().reset(self.deadline());
                }
                () = stop.cancelled(), if self.phase == Phase::Running => self.stop(),
            }
        }
    }

    /// Takes every frame that has arrived, as far as the session listens.
    fn decode(&mut self) {
        let now = self.context.clock.now();
        while self.phase == Phase::Running && self.session.takes_input(&self.buffer.output) {
            match self.decoder.next_input() {
                Ok(Some(Input::HeartBeat)) => {}
                Ok(Some(Input::Frame(frame))) => {
                    let is_connect = matches!(frame.command(), Command::Connect | Command::Stomp);
                    self.session.frame(frame, now, &mut self.buffer.output);
                    if is_connect && let Some(version) = self.session.version() {
                        self.decoder.set_version(version);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    return self.session.malformed(&error, &mut self.buffer.output);
                }
            }
        }
        if self.session.has_disconnected() && self.phase == Phase::Running {
            self.finish(self.context.stomp.stalled_after);
        }
    }

    fn finish(&mut self, patience: Duration) {
        let since = Instant::now();
        self.phase = Phase::Finishing { since, patience };
    }

    /// Hands the dispatcher what has gathered.
    async fn forward(&mut self) -> Result<(), ()> {
        if self.buffer.output.requests.is_empty() {
            return Ok(());
        }
        let requests = std::mem::take(&mut self.buffer.output.requests);
        self.was_opened |= requests
            .iter()
            .any(|request| matches!(request, Request::Open(_)));
        let message = Message::Requests(self.id, requests);
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
        let is_empty = self.buffer.unwritten().is_empty();
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

    /// Takes what the dispatcher says, at once, so that nothing gathers between the two: what cannot be written yet
    /// waits here, where the end of a subscription ends its deliveries as well.
    fn reply(&mut self, replies: Vec<Reply>) {
        let wanted = replies
            .into_iter()
            .filter(|reply| self.session.wants(reply));
        self.waiting.extend(wanted);
        let refused = |reply: &Reply| matches!(reply, Reply::Refused(_));
        if self.waiting.back().is_some_and(refused) {
            self.refuse_at_once();
        }
        self.pass_on();
    }

    /// An ERROR does not wait for a client that reads nothing: a connection that was taken over holds what another
    /// has a right to. What it was not given returns.
    fn refuse_at_once(&mut self) {
        let now = self.context.clock.now();
        for reply in std::mem::take(&mut self.waiting) {
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
        let now = self.context.clock.now();
        let was_open = self.session.is_open();
        while self.buffer.unwritten().len() < UNWRITTEN_BYTES_MAX
            && let Some(reply) = self.waiting.pop_front()
        {
            self.session.reply(reply, now, &mut self.buffer.output);
        }
        if !was_open && self.session.is_open() {
            self.decoder.authenticated();
        }
    }

    fn note_waiting(&mut self) {
        if self.waiting_since.is_none() && !self.buffer.unwritten().is_empty() {
            self.waiting_since = Some(Instant::now());
        }
    }

    fn reads(&self) -> bool {
        self.phase == Phase::Running
            && self.session.takes_input(&self.buffer.output)
            && self.starved_since.is_none()
    }

    /// Charges what a long frame has brought so far. One that is larger than the stash waits until as much memory is
    /// free as held-back producers wait for; behind a smaller one an ACK may stand that frees some.
    fn charge_arriving(&mut self) {
        let held = self.decoder.buffered_bytes();
        if held <= ARRIVING_FREE_BYTES || !self.decoder.is_mid_frame() {
            self.arriving = None;
            self.starved_since = None;
            return;
        }
        let budget = &self.context.settings.budget;
        if self.arriving.as_ref().map(Charge::bytes) != Some(held) {
            self.arriving = Some(budget.charge_bytes(held));
        }
        if budget.has_recovered() || held <= self.context.settings.limits.stash_bytes {
            self.starved_since = None;
        } else if self.starved_since.is_none() {
            self.starved_since = Some(Instant::now());
        }
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
        self.waiting_since = (!self.buffer.unwritten().is_empty()).then_some(self.last_write);
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

    fn stop(&mut self) {
        // One client that does not read must not make the stop of a broker an unclean one.
        self.finish(self.context.stomp.linger);
        self.end_by = Some(Instant::now() + self.context.stomp.stop_deadline * 3 / 4);
        if !self.session.stop(&mut self.buffer.output) {
            self.buffer.output.end = self.buffer.output.end.max(Some(End::Close));
        }
    }

    /// Tells the dispatcher that the connection is over.
    async fn close(&mut self, outcome: Outcome) {
        let mut requests = std::mem::take(&mut self.buffer.output.requests);
        let ending = match (outcome, self.phase) {
            (Outcome::Closed, _) => Ending::Disconnect,
            (_, Phase::Finishing { .. }) => Ending::Stop,
            _ => Ending::Lost,
        };
        // What is written together with an ERROR may be seen.
        let written = match outcome {
            Outcome::Refused | Outcome::Closed => self.session.given(),
            Outcome::Gone => self.buffer.delivered,
        };
        if self.was_opened || !requests.is_empty() {
            requests.push(Request::Closed { ending, written });
            // Fails only when the dispatcher is gone, and with it everything that would be told.
            let _ = self
                .context
                .dispatcher
                .send(Message::Requests(self.id, requests))
                .await;
        }
        let _ = self.context.dispatcher.send(Message::Detach(self.id)).await;
    }

    /// Writes the ERROR, shuts the write side, and reads on for a while, so that a reset does not swallow it.
    async fn part(&mut self, stream: &mut TcpStream) {
        let linger = self.context.stomp.linger;
        let parting = async {
            if stream.write_all(self.buffer.unwritten()).await.is_err() {
                return;
            }
            if stream.shutdown().await.is_err() {
                return;
            }
            let mut ignored = [0; 4096];
            while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
        };
        // Either way the connection is over.
        let _ = tokio::time::timeout(linger, parting).await;
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
