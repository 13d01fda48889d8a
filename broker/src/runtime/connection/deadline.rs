//! What happens to a connection by time: it is refused, given up, beaten for, or its buffers are given back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{BUFFERS_KEPT, Connection, Outcome, Phase};
use crate::core::port::Refusal;

/// A client's silence is forgiven up to this many times the agreed interval.
const HEART_BEAT_GRACE: u32 = 2;

/// How long a half-arrived frame may hold memory, or wait for it, while it is full.
const ARRIVING_PATIENCE: Duration = Duration::from_secs(10);

/// How often one that waits looks: memory that becomes free tells nobody.
const ARRIVING_RECHECK: Duration = Duration::from_millis(20);

/// How often one that holds some looks whether others wait for it.
const HOLDING_RECHECK: Duration = Duration::from_secs(1);

impl Connection {
    /// When something has to be looked at: the earliest of all that may happen by time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let recheck = self.arriving.as_ref().map(|_| {
            let every = if self.waits_for_memory() {
                ARRIVING_RECHECK
            } else {
                HOLDING_RECHECK
            };
            Instant::now() + every
        });
        let [late, beat, silent] = self.by_session();
        [
            self.end_by,
            self.release_at,
            recheck,
            self.stalled_at(),
            late,
            beat,
            silent,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When CONNECT is late, a heart-beat due, a client silent for too long.
    fn by_session(&self) -> [Option<Instant>; 3] {
        if !self.session.is_open() {
            let late = self.accepted + self.context.stomp.connect_timeout;
            return [(self.phase == Phase::Running).then_some(late), None, None];
        }
        let heart_beat = self.session.heart_beat();
        let beat = heart_beat
            .send_every
            .map(|every| self.last_write + every / 2);
        let silent = heart_beat
            .expect_every
            .filter(|_| self.judges_silence())
            .map(|every| self.last_read + every * HEART_BEAT_GRACE);
        [None, beat, silent]
    }

    /// When a peer that takes no byte is given up: one that would stop a topic, or whose end waits for it.
    fn stalled_at(&self) -> Option<Instant> {
        let waiting = self.waiting_since?;
        match self.phase {
            Phase::Finishing { since, patience } => Some(waiting.max(since) + patience),
            Phase::Running | Phase::HalfClosed => self
                .session
                .subscribes_to_topics()
                .then(|| waiting + self.context.stomp.stalled_after),
        }
    }

    /// A connection that is not read is not judged.
    fn judges_silence(&self) -> bool {
        self.reads()
    }

    pub(super) fn alarm(&mut self) -> Option<Outcome> {
        let now = Instant::now();
        let context = Arc::clone(&self.context);
        let stomp = &context.stomp;
        self.release_idle(now);
        if self.end_by.is_some_and(|end| end <= now) {
            return Some(Outcome::Gone);
        }
        let is_over = |since: Instant| since + ARRIVING_PATIENCE <= now;
        if self.starved_since.is_some_and(is_over) && !self.has_memory() {
            self.refuse_starved();
            return None;
        }
        if self.stalled_at().is_some_and(|stalled| stalled <= now) {
            tracing::info!(session = self.session.name(), "takes no byte: closed");
            return Some(Outcome::Gone);
        }
        if !self.session.is_open() {
            if self.phase == Phase::Running && self.accepted + stomp.connect_timeout <= now {
                self.refuse_late();
            }
            return None;
        }
        let heart_beat = self.session.heart_beat();
        if let Some(every) = heart_beat.expect_every
            && self.judges_silence()
            && self.last_read + every * HEART_BEAT_GRACE <= now
        {
            tracing::info!(
                session = self.session.name(),
                ?every,
                "silent for too long: closed"
            );
            return Some(Outcome::Gone);
        }
        if let Some(every) = heart_beat.send_every
            && self.last_write + every / 2 <= now
        {
            self.last_write = now;
            if self.buffer.is_empty() {
                self.buffer.output.bytes.push(b'\n');
            }
        }
        None
    }

    fn release_idle(&mut self, now: Instant) {
        if self.release_at.is_none_or(|release| now < release) {
            return;
        }
        let last = self.last_read.max(self.last_write);
        if now < last + BUFFERS_KEPT {
            self.release_at = Some(last + BUFFERS_KEPT);
        } else {
            self.release_at = None;
            self.decoder.release_idle();
            self.buffer.release_idle();
            self.waiting.release_idle();
            self.request_count = 0;
        }
    }

    fn refuse_starved(&mut self) {
        let refusal = Refusal::new(
            "memory is full",
            format!(
                "the frame has not arrived within {} s, and the memory that it needs is full \
                 (limits.memory_bytes = {}): \
                 send it again when consumers have caught up, send smaller messages, or raise the limit",
                ARRIVING_PATIENCE.as_secs(),
                self.context.settings.limits.memory_bytes
            ),
        );
        self.session.refuse(refusal, &mut self.buffer.output);
    }

    fn refuse_late(&mut self) {
        let seconds = self.context.stomp.connect_timeout.as_secs_f64();
        let refusal = Refusal::new(
            "connect timeout",
            format!("no CONNECT came within {seconds} s (stomp.connect_timeout)"),
        );
        self.session.refuse(refusal, &mut self.buffer.output);
    }
}
