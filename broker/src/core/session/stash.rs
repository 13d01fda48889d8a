//! Frames of a producer that is held back (dialect, Flow control). ACK and NACK pass them, also in a transaction, which
//! may begin then: what it sends takes effect at its end, as they do. Behind the end of a transaction of the same name they
//! wait; everything else keeps its order. An acknowledgement that waited would be overtaken by later ones, which may cover it.
//!
//! *Invariant*: every frame that waits counts in the share of all stashes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stompbox_protocol::{Command, Frame, FrameRef};

use crate::config::Limits;
use crate::core::memory::{Held, MESSAGE_OVERHEAD_BYTES, MemoryBudget, Share};

/// What a connection may keep in its stash when all stashes together are full.
const SMALL_BYTES: usize = 4 * 1024;

/// Frames that wait.
#[derive(Debug)]
pub(super) struct Stash {
    frames: VecDeque<Frame>,
    /// How many of them begin, end or acknowledge in a transaction.
    transactions: HashMap<Box<[u8]>, usize>,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
    is_held_back: bool,
    held: Held,
}

impl Stash {
    pub(super) fn new(limits: &Limits, budget: &Arc<MemoryBudget>) -> Self {
        Self {
            frames: VecDeque::new(),
            transactions: HashMap::new(),
            bytes: 0,
            frames_max: limits.stash_frames,
            bytes_max: limits.stash_bytes,
            is_held_back: false,
            held: budget.hold(Share::Stashes),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether nothing more may be read.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= self.frames_max
            || self.bytes >= self.bytes_max
            || self.bytes >= SMALL_BYTES && self.held.is_taken()
    }

    /// Whether frames wait, and those that come would have to.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    pub(super) fn hold_back(&mut self) {
        self.is_held_back = true;
    }

    pub(super) fn go_on(&mut self) {
        self.is_held_back = false;
    }

    /// Whether this frame has to wait for those before it.
    /// One that begins a transaction has, too, while as many are open as may be: what ends some waits itself.
    pub(super) fn must_wait(&self, frame: &FrameRef<'_>, may_begin: bool) -> bool {
        if !self.is_held_back && self.frames.is_empty() {
            return false;
        }
        let may_pass = match frame.command() {
            Command::Ack | Command::Nack => true,
            Command::Begin => may_begin,
            _ => false,
        };
        !may_pass
            || frame
                .header("transaction")
                .is_some_and(|id| self.transactions.contains_key(&*id))
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.wire_bytes();
        self.held.grow(cost(&frame));
        if let Some(id) = transaction_of(&frame) {
            *self.transactions.entry(id.as_ref().into()).or_default() += 1;
        }
        self.frames.push_back(frame);
    }

    /// The next frame that need not wait any more.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        if self.is_held_back {
            return None;
        }
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.wire_bytes();
        self.held.shrink(cost(&frame));
        if let Some(id) = transaction_of(&frame)
            && let Some(count) = self.transactions.get_mut(&*id)
        {
            *count -= 1;
            if *count == 0 {
                self.transactions.remove(&*id);
            }
        }
        Some(frame)
    }

    pub(super) fn clear(&mut self) {
        self.held
            .shrink(self.frames.drain(..).map(|frame| cost(&frame)).sum());
        self.transactions.clear();
        self.bytes = 0;
    }
}

/// The transaction whose course a frame changes.
fn transaction_of(frame: &Frame) -> Option<std::borrow::Cow<'_, [u8]>> {
    let sends = frame.command() == Command::Send;
    frame.header("transaction").filter(|_| !sends)
}

fn cost(frame: &Frame) -> usize {
    frame.wire_bytes() + MESSAGE_OVERHEAD_BYTES
}
