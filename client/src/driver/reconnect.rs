//! The way back to a broker: attempts in rounds, with a delay between them that grows.

use std::sync::Arc;
use std::time::Duration;

use super::Driver;
use crate::ClientError;
use crate::connection::Options;
use crate::event::ConnectionEvent;
use crate::events::Events;
use crate::handshake::{self, Opened};
use crate::{Reconnect, random};

/// One that has lasted so long was a good one: another is tried for at once.
const LASTING: Duration = Duration::from_secs(5);

/// More than these do not lengthen the delay any more.
const REFUSALS_MAX: u32 = 32;

/// No delay is shorter, whatever was asked for.
const DELAY_MIN: Duration = Duration::from_millis(1);

/// A series of attempts.
pub(crate) struct Attempts<'a> {
    options: &'a Options,
    events: &'a Events,
    /// How many rounds may be made.
    rounds_max: Option<u32>,
    rounds: u32,
    delay: Duration,
    /// Whether to wait also before the first round.
    waits_first: bool,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(options: &'a Options, events: &'a Events, rounds_max: Option<u32>) -> Self {
        Self {
            options,
            events,
            rounds_max,
            rounds: 0,
            delay: options.reconnect.initial_delay.max(DELAY_MIN),
            waits_first: false,
        }
    }

    /// After a connection that lasted for this time. One that is lost as soon as it is made must not be made as fast as
    /// the machine can, and ever more slowly where the broker has ended so many in turn with an ERROR.
    fn after(mut self, lasted: Duration, refusals: u32) -> Self {
        self.waits_first = lasted < LASTING;
        for _ in 0..refusals.min(REFUSALS_MAX) {
            self.delay = self.options.reconnect.after(self.delay);
        }
        self
    }

    /// Tries until there is a connection, or no attempt is left.
    pub(crate) async fn connect(mut self) -> Result<Opened, ClientError> {
        loop {
            if self.rounds > 0 || self.waits_first {
                tokio::time::sleep(random::jittered(self.delay)).await;
                self.delay = self.options.reconnect.after(self.delay);
            }
            self.rounds = self.rounds.saturating_add(1);
            let error = match self.round().await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if self.rounds_max.is_some_and(|most| self.rounds >= most) {
                return Err(self.give_up(error));
            }
        }
    }

    /// One that was made once only is told as it is.
    fn give_up(&self, error: ClientError) -> ClientError {
        if self.rounds_max == Some(1) {
            return error;
        }
        ClientError::GivenUp {
            attempts: self.rounds,
            source: Box::new(error),
        }
    }

    /// Tries each address once.
    async fn round(&self) -> Result<Opened, ClientError> {
        let addresses = &self.options.addresses;
        let first = match self.options.reconnect.randomize {
            true => random::below(addresses.len()),
            false => 0,
        };
        let in_turn = addresses.iter().cycle().skip(first).take(addresses.len());
        let mut last = ClientError::Closed;
        for address in in_turn {
            match handshake::open(address, self.options).await {
                Ok(opened) => return Ok(opened),
                Err(error) => {
                    self.events.emit(&ConnectionEvent::AttemptFailed {
                        address: address.to_string(),
                        error: error.clone(),
                    });
                    last = error;
                }
            }
        }
        Err(last)
    }
}

impl Reconnect {
    /// The delay after this one.
    fn after(&self, delay: Duration) -> Duration {
        (delay * 2).min(self.longest_delay).max(DELAY_MIN)
    }
}

impl Driver {
    /// Whether nobody wants a connection any more.
    pub(super) fn wants_end(&mut self) -> bool {
        self.due.add(self.shared.take_left());
        self.due.wants_end() || self.is_abandoned
    }

    /// Makes another connection, unless there must be none, or nobody wants one any more.
    pub(super) async fn reconnect(
        &mut self,
        error: ClientError,
        lasted: Duration,
    ) -> Result<Opened, ClientError> {
        if self.options.reconnect.is_never() {
            return Err(error);
        }
        let rounds_max = self.options.reconnect.attempts;
        let (options, events) = (Arc::clone(&self.options), self.events.clone());
        let attempts = Attempts::new(&options, &events, rounds_max).after(lasted, self.refusals);
        let mut attempts = Box::pin(attempts.connect());
        loop {
            tokio::select! {
                opened = &mut attempts => return opened,
                () = self.shared.wake.notified() => {
                    if self.wants_end() {
                        return Err(error);
                    }
                }
            }
        }
    }
}
