//! One step of a connection: waits until something can be done and does all that can: takes replies, writes, reads,
//! looks at the time.
//!
//! A hand-written poll rather than a `select!`: nothing but a waker stays behind while it waits, and what comes
//! together is done together. *Invariant*: it answers `Pending` only if every source was asked and is pending.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::{Connection, Outcome};
use crate::runtime::dispatcher::ToConnection;

/// Pieces of one vectored write: a few long bodies and what stands between them.
const SLICES_MAX: usize = 16;

/// What one source came to.
enum Done {
    /// There was nothing to do.
    Nothing,
    /// Something has changed.
    Something,
    /// The connection is over.
    Over(Outcome),
}

impl Connection {
    pub(super) async fn step(&mut self) -> Option<Outcome> {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let mut has_changed = false;
        let sources = [
            Self::take_replies,
            Self::write_some,
            Self::read_some,
            Self::find_place,
            Self::look_at_time,
        ];
        for source in sources {
            match source(self, cx) {
                Done::Nothing => {}
                Done::Something => has_changed = true,
                Done::Over(outcome) => return Poll::Ready(Some(outcome)),
            }
        }
        if has_changed {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    /// Takes what the dispatcher says, at once, so that nothing gathers between the two.
    fn take_replies(&mut self, cx: &mut Context<'_>) -> Done {
        let mut done = Done::Nothing;
        // Ends: the runtime answers `Pending` when a task has taken its share.
        while let Poll::Ready(message) = self.inbox.poll_recv(cx) {
            match message {
                Some(ToConnection::Replies(replies)) => self.reply(replies),
                Some(ToConnection::Stop) => self.stop(),
                None => return Done::Over(Outcome::Gone),
            }
            done = Done::Something;
        }
        done
    }

    fn write_some(&mut self, cx: &mut Context<'_>) -> Done {
        if self.buffer.is_empty() {
            return Done::Nothing;
        }
        match self.poll_write(cx) {
            Poll::Pending => Done::Nothing,
            Poll::Ready(Ok(0) | Err(_)) => Done::Over(Outcome::Gone),
            Poll::Ready(Ok(count)) => {
                self.wrote(count);
                Done::Something
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        match self.buffer.unwritten_slices(&mut slices) {
            0 | 1 => stream.poll_write(cx, &slices[0]),
            count => stream.poll_write_vectored(cx, &slices[..count]),
        }
    }

    fn read_some(&mut self, cx: &mut Context<'_>) -> Done {
        if !self.reads() {
            return Done::Nothing;
        }
        match self.poll_read(cx) {
            Poll::Pending => Done::Nothing,
            Poll::Ready(Ok(0)) => {
                self.half_close();
                Done::Something
            }
            Poll::Ready(Ok(_)) => {
                self.read();
                Done::Something
            }
            Poll::Ready(Err(_)) => Done::Over(Outcome::Gone),
        }
    }

    /// What could not be forwarded waits for a place.
    fn find_place(&mut self, cx: &mut Context<'_>) -> Done {
        if !self.waits_for_place || self.places.poll_free(cx).is_pending() {
            return Done::Nothing;
        }
        Done::Something
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Asked first, so that no buffer is made for a connection that brings nothing.
        ready!(self.stream.poll_read_ready(cx))?;
        let mut space = self.decoder.read_space();
        pin!(self.stream.read_buf(&mut space)).poll(cx)
    }

    fn look_at_time(&mut self, cx: &mut Context<'_>) -> Done {
        let Some(alarm) = &mut self.alarm else {
            return Done::Nothing;
        };
        if alarm.as_mut().poll(cx).is_pending() {
            return Done::Nothing;
        }
        // A sleep that has ended must not be polled again.
        let rang = self.alarm.take();
        match self.alarm() {
            Some(outcome) => Done::Over(outcome),
            None => {
                self.alarm = rang;
                Done::Something
            }
        }
    }

    /// Sees to it that the alarm rings in time. It may ring too early, which costs less than to set it anew whenever
    /// something is written. With nothing to wait for there is none: one that has rung would ring for ever.
    pub(super) fn set_alarm(&mut self) {
        let Some(deadline) = self.deadline() else {
            self.alarm = None;
            return;
        };
        match &mut self.alarm {
            Some(alarm) if !alarm.is_elapsed() && alarm.deadline() <= deadline => {}
            Some(alarm) => alarm.as_mut().reset(deadline),
            None => self.alarm = Some(Box::pin(sleep_until(deadline))),
        }
    }

    /// Silence is counted from when reading begins: what the client sent before stood in the socket.
    pub(super) fn note_reading(&mut self) {
        let reads = self.reads();
        if reads && !self.was_reading {
            self.last_read = Instant::now();
        }
        self.was_reading = reads;
    }
}
