//! One connection as its task sees it: the transport, the decoder, and the clock of heart-beats.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use stompbox_protocol::Decoder;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::ClientError;
use crate::handshake::Opened;
use crate::transport::{BoxedTransport, Output};

/// How long an ERROR is waited for when writing has failed: it may say why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// After so long without traffic memory is given back.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// A timer that is not needed sleeps for so long.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// What has come of waiting.
pub(super) enum Progress {
    /// Something was read or written.
    Moved,
    /// The connection is lost.
    End(ClientError),
}

/// A connection.
pub(super) struct Wire {
    pub(super) io: Io,
    /// Set once for as long as nothing can be due, not with each frame.
    pub(super) timer: Pin<Box<Sleep>>,
}

pub(super) struct Io {
    transport: BoxedTransport,
    pub(super) decoder: Decoder,
    send_every: Option<Duration>,
    silence: Option<Duration>,
    written: Instant,
    heard: Instant,
    is_idle: bool,
    /// It is no longer idle, and the timer does not know yet.
    has_woken: bool,
    failure: Option<(io::Error, Instant)>,
}

impl Wire {
    pub(super) fn new(opened: Opened) -> Self {
        let now = Instant::now();
        let io = Io {
            transport: opened.transport,
            decoder: opened.decoder,
            send_every: opened.agreement.send_every,
            silence: opened.agreement.silence,
            written: now,
            heard: now,
            is_idle: false,
            has_woken: false,
            failure: None,
        };
        Self {
            io,
            timer: Box::pin(sleep(IDLE_AFTER)),
        }
    }

    /// The timer has run out: sends a heart-beat if it is time, gives the broker up if it is silent, and sets the timer
    /// again.
    pub(super) fn beat(&mut self, output: &mut Output) -> Result<(), ClientError> {
        let io = &mut self.io;
        let now = Instant::now();
        if let Some((_, until)) = &io.failure
            && *until <= now
        {
            return Err(io.reason(ClientError::Closed));
        }
        if let Some(silence) = io.silence
            && io.heard + silence <= now
        {
            return Err(ClientError::Silent { silence });
        }
        if let Some(interval) = io.send_every
            && io.written + interval <= now
            && output.is_empty()
        {
            output.heart_beat();
        }
        let last = io.written.max(io.heard);
        if last + IDLE_AFTER <= now {
            io.is_idle = true;
            output.release_idle();
            io.decoder.release_idle();
        }
        self.timer.as_mut().reset(self.io.next_beat(now));
        Ok(())
    }

    /// Ends it properly, as far as that can be done soon.
    pub(super) async fn finish(&mut self) {
        let transport = &mut self.io.transport;
        let finish = poll_fn(|context| transport.poll_finish(context));
        // The broker has confirmed DISCONNECT: nothing depends on this any more.
        timeout(LAST_WORDS, finish).await.ok();
    }

    /// Sets the timer for a connection that was idle and is no longer.
    pub(super) fn rearm(&mut self) {
        if std::mem::take(&mut self.io.has_woken) {
            let soon = Instant::now() + IDLE_AFTER;
            let deadline = self.timer.deadline().min(soon);
            self.timer.as_mut().reset(deadline);
        }
    }
}

impl Io {
    /// Writes and reads what can be written and read, and waits for some of it.
    pub(super) async fn progress(&mut self, output: &mut Output, may_read: bool) -> Progress {
        poll_fn(|context| self.poll_progress(context, output, may_read)).await
    }

    fn poll_progress(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Output,
        may_read: bool,
    ) -> Poll<Progress> {
        let mut has_moved = false;
        if !output.is_empty() && self.failure.is_none() {
            let before = output.len();
            match self.transport.poll_drain(context, output) {
                Poll::Ready(Ok(())) | Poll::Pending => {
                    has_moved = output.len() < before;
                }
                Poll::Ready(Err(error)) => {
                    self.failure = Some((error, Instant::now() + LAST_WORDS));
                }
            }
            if has_moved {
                self.written = Instant::now();
                self.wake();
            }
        }
        if !may_read {
            // While nothing is read, nothing can be heard.
            self.heard = Instant::now();
        } else if let Poll::Ready(read) = self.transport.poll_fill(context, &mut self.decoder) {
            return Poll::Ready(match read {
                Ok(0) => Progress::End(self.reason(ClientError::Closed)),
                Err(error) => Progress::End(self.reason(ClientError::broken(error))),
                Ok(_) => {
                    self.heard = Instant::now();
                    self.wake();
                    Progress::Moved
                }
            });
        }
        if has_moved {
            Poll::Ready(Progress::Moved)
        } else {
            Poll::Pending
        }
    }

    fn wake(&mut self) {
        self.has_woken |= self.is_idle;
        self.is_idle = false;
    }

    /// Why it is lost: a failure to write comes first, the rest only followed it.
    fn reason(&mut self, error: ClientError) -> ClientError {
        match self.failure.take() {
            Some((source, _)) => ClientError::broken(source),
            None => error,
        }
    }

    /// When something can be due at the earliest.
    fn next_beat(&self, now: Instant) -> Instant {
        let heart_beat = self.send_every.map(|interval| self.written + interval);
        let silence = self.silence.map(|silence| self.heard + silence);
        let idle = (!self.is_idle).then(|| self.written.max(self.heard) + IDLE_AFTER);
        [heart_beat, silence, idle]
            .into_iter()
            .flatten()
            .min()
            .map_or(now + NEVER, |at| at.max(now + Duration::from_millis(1)))
    }
}
