//! Messages that have come for one consumer and wait to be taken.
//!
//! *Invariants.* The lock is a leaf, held to move messages and no longer. What waits is bounded: by the prefetch where
//! messages are acknowledged, and where they are not by [`Room::Full`], after which the connection is not read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::shared::Shared;
use crate::{ClientError, Message};

/// What unacknowledged messages may take before the connection is not read.
const BYTES_MAX: usize = 64 << 20;

/// Whether more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Left,
    Full,
}

/// The mailbox of a consumer.
#[derive(Debug)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    /// Counts how often what has come became stale: with each loss of the connection, and each new SUBSCRIBE.
    pub(crate) generation: AtomicU32,
    /// How many may wait; [`None`] where the broker sees to it.
    messages_max: Option<usize>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Who waits, each by its number.
    wakers: Vec<(usize, Waker)>,
    end: Option<End>,
    /// The connection's task waits for room.
    is_stalling: bool,
    /// What comes again is no longer handed out.
    is_stopped: bool,
}

#[derive(Debug, Clone)]
enum End {
    /// There is nothing more to browse.
    Finished,
    Failed(ClientError),
}

impl Mailbox {
    pub(crate) fn new(shared: Arc<Shared>, messages_max: Option<usize>) -> Self {
        Self {
            state: Mutex::default(),
            generation: AtomicU32::new(0),
            messages_max,
            shared,
        }
    }

    /// Takes what has come; empties `staged`.
    pub(crate) fn put(&self, staged: &mut Vec<Message>) -> Room {
        let mut state = self.state();
        if self.messages_max.is_some() {
            state.bytes += staged.iter().map(Message::wire_bytes).sum::<usize>();
        }
        state.messages.extend(staged.drain(..));
        let is_full = self
            .messages_max
            .is_some_and(|most| state.messages.len() >= most || state.bytes >= BYTES_MAX);
        state.is_stalling = is_full;
        wake(state);
        if is_full { Room::Full } else { Room::Left }
    }

    /// Whether the connection's task must still wait for room.
    pub(crate) fn is_stalling(&self) -> bool {
        self.state().is_stalling
    }

    /// Takes everything that waits into `into`, which is empty; false when nothing comes any more.
    pub(crate) fn poll_take(
        &self,
        context: &mut Context<'_>,
        into: &mut VecDeque<Message>,
    ) -> Poll<Result<bool, ClientError>> {
        let mut state = self.state();
        if !state.messages.is_empty() {
            std::mem::swap(&mut state.messages, into);
            self.made_room(&mut state);
            return Poll::Ready(Ok(true));
        }
        Self::poll_end(&mut state, context, 0)
    }

    /// Takes one message, for the waiter of a number.
    pub(crate) fn poll_pop(
        &self,
        context: &mut Context<'_>,
        waiter: usize,
    ) -> Poll<Result<Option<Message>, ClientError>> {
        let mut state = self.state();
        loop {
            let is_stopped = state.is_stopped;
            let next = state
                .messages
                .pop_front_if(|message| !(is_stopped && message.returns()));
            let Some(message) = next else {
                let end = Self::poll_end(&mut state, context, waiter);
                return end.map(|end| end.map(|_nothing| None));
            };
            if state.messages.is_empty() || self.messages_max.is_some() {
                self.made_room(&mut state);
            }
            if self.is_current(&message) {
                return Poll::Ready(Ok(Some(message)));
            }
        }
    }

    /// Whether a message may still be handed out: one that will come again is not.
    pub(crate) fn is_current(&self, message: &Message) -> bool {
        !message.returns() || message.generation() == self.generation.load(Ordering::Acquire)
    }

    /// Puts messages back that were taken and not handed out.
    pub(crate) fn put_back(&self, messages: &mut VecDeque<Message>) {
        let mut state = self.state();
        while let Some(message) = messages.pop_back() {
            state.messages.push_front(message);
        }
        wake(state);
    }

    /// Makes what has come stale; what will come again is thrown away.
    pub(crate) fn renew(&self) {
        let mut state = self.state();
        self.generation.fetch_add(1, Ordering::AcqRel);
        state.messages.retain(|message| !message.returns());
        self.made_room(&mut state);
        // Those who wait may want to know.
        wake(state);
    }

    /// Hands out nothing more of what would come again.
    pub(crate) fn stop(&self) {
        self.state().is_stopped = true;
        self.end(End::Finished);
    }

    /// There is nothing more to browse.
    pub(crate) fn finish(&self) {
        self.end(End::Finished);
    }

    /// Nothing comes any more. What has come and will not come again may still be taken.
    pub(crate) fn fail(&self, error: ClientError) {
        self.renew();
        self.end(End::Failed(error));
    }

    /// Throws away and returns what has come.
    pub(crate) fn clear(&self) -> VecDeque<Message> {
        let mut state = self.state();
        let messages = std::mem::take(&mut state.messages);
        self.made_room(&mut state);
        messages
    }

    fn end(&self, end: End) {
        let mut state = self.state();
        // The first reason stays.
        state.end.get_or_insert(end);
        wake(state);
    }

    fn poll_end(
        state: &mut State,
        context: &mut Context<'_>,
        waiter: usize,
    ) -> Poll<Result<bool, ClientError>> {
        match &state.end {
            Some(End::Finished) => return Poll::Ready(Ok(false)),
            Some(End::Failed(error)) => return Poll::Ready(Err(error.clone())),
            None => {}
        }
        let waker = context.waker();
        match state
            .wakers
            .iter_mut()
            .find(|(number, _)| *number == waiter)
        {
            Some((_, known)) => known.clone_from(waker),
            None => state.wakers.push((waiter, waker.clone())),
        }
        Poll::Pending
    }

    fn made_room(&self, state: &mut State) {
        if state.messages.is_empty() {
            state.bytes = 0;
        }
        let is_low = self
            .messages_max
            .is_some_and(|most| state.messages.len() <= most / 2);
        if state.is_stalling && is_low {
            state.is_stalling = false;
            self.shared.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes all who wait: a waker of a call that was given up must not take the place of another.
fn wake(mut state: MutexGuard<'_, State>) {
    if state.wakers.is_empty() {
        return;
    }
    let wakers = std::mem::take(&mut state.wakers);
    drop(state);
    for (_, waker) in wakers {
        waker.wake();
    }
}
