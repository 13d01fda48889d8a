//! The part of a session's output that the socket has not taken yet, and which deliveries that leaves unwritten.

use super::output::{Mark, Output};
use crate::core::port::{AckMode, DeliveryCounter, Request};

/// Written bytes are cut off the front when they are more than this.
const FRONT_BYTES_MAX: usize = 256 * 1024;

/// A buffer that has grown beyond this is given back as soon as it is empty.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// Output on its way to the kernel.
#[derive(Debug, Default)]
pub struct OutputBuffer {
    /// What the session writes to.
    pub output: Output,
    /// Bytes at the front of `output.bytes` that the kernel has.
    written: usize,
    /// The last delivery that the kernel has.
    pub delivered: DeliveryCounter,
}

impl OutputBuffer {
    /// What the kernel does not have yet.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        self.output.bytes.get(self.written..).unwrap_or_default()
    }

    /// The kernel has taken so many bytes. Deliveries of `auto` subscriptions among them are acknowledged.
    pub fn advance(&mut self, count: usize) {
        self.written += count;
        let end = self.output.taken + self.written as u64;
        while let Some(mark) = self.output.marks.pop_front_if(|mark| mark.end <= end) {
            self.delivered = mark.counter;
            if mark.mode == AckMode::Auto {
                self.acknowledge(mark);
            }
        }
        if self.written == self.output.bytes.len() || self.written > FRONT_BYTES_MAX {
            self.cut();
        }
    }

    fn acknowledge(&mut self, mark: Mark) {
        let Mark {
            subscription,
            count,
            bytes,
            ..
        } = mark;
        self.output.requests.push(Request::Written {
            subscription,
            count,
            bytes,
        });
    }

    fn cut(&mut self) {
        self.output.taken += self.written as u64;
        self.output.bytes.drain(..self.written);
        self.written = 0;
        if self.output.bytes.is_empty() && self.output.bytes.capacity() > KEPT_BYTES_MAX {
            self.output.bytes = Vec::new();
        }
    }

    /// Gives an empty buffer back.
    pub fn release_idle(&mut self) {
        if self.output.bytes.is_empty() {
            self.output.bytes = Vec::new();
        }
    }
}
