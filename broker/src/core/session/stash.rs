//! Frames of a producer that is held back (dialect, Flow control). ACK and NACK outside a transaction pass them;
//! everything else keeps its order.

use std::collections::VecDeque;

use stompbox_protocol::{Command, Frame};

use crate::config::Limits;

/// Frames that wait.
#[derive(Debug)]
pub(super) struct Stash {
    frames: VecDeque<Frame>,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
    is_held_back: bool,
}

impl Stash {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            frames_max: limits.stash_frames,
            bytes_max: limits.stash_bytes,
            is_held_back: false,
        }
    }

    pub(super) fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether nothing more may be read.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= self.frames_max || self.bytes >= self.bytes_max
    }

    pub(super) fn hold_back(&mut self) {
        self.is_held_back = true;
    }

    pub(super) fn go_on(&mut self) {
        self.is_held_back = false;
    }

    /// Whether this frame has to wait for those before it.
    pub(super) fn must_wait(&self, frame: &Frame) -> bool {
        let passes = matches!(frame.command(), Command::Ack | Command::Nack)
            && frame.header("transaction").is_none();
        (self.is_held_back || !self.frames.is_empty()) && !passes
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.wire_bytes();
        self.frames.push_back(frame);
    }

    /// The next frame that need not wait any more.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        if self.is_held_back {
            return None;
        }
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.wire_bytes();
        Some(frame)
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}
