//! Frames that wait to be written.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Small frames are put together in a block of this size, the buffer of a socket.
const BLOCK_BYTES: usize = 64 << 10;

/// Longer bodies are not copied.
const COPY_BYTES_MAX: usize = 32 << 10;

/// Whether frames may be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// They may: the transport is a stream of bytes.
    Stream,
    /// Each must be one piece.
    Frames,
}

/// Frames in the order in which they are to be written.
///
/// *Invariant.* `segments` come before `tail`; nothing of it is written twice.
#[derive(Debug)]
pub(crate) struct Output {
    framing: Framing,
    segments: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How much of `tail` is written.
    written: usize,
    segment_bytes: usize,
}

impl Output {
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            segments: VecDeque::new(),
            tail: Vec::new(),
            written: 0,
            segment_bytes: 0,
        }
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        self.segment_bytes + self.tail.len() - self.written
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a frame: what `head` writes, then the body and its NUL.
    pub(crate) fn frame(&mut self, body: &Bytes, head: impl FnOnce(&mut Vec<u8>)) {
        if self.tail.capacity() == 0 && self.framing == Framing::Stream {
            self.tail.reserve_exact(BLOCK_BYTES);
        }
        head(&mut self.tail);
        if body.len() > COPY_BYTES_MAX && self.framing == Framing::Stream {
            self.close_tail();
            self.push_segment(body.clone());
        } else {
            self.tail.extend_from_slice(body);
        }
        self.tail.push(0);
        if self.framing == Framing::Frames {
            self.close_tail();
        }
    }

    /// Appends a heart-beat.
    pub(crate) fn heart_beat(&mut self) {
        self.tail.push(b'\n');
        if self.framing == Framing::Frames {
            self.close_tail();
        }
    }

    /// The next bytes to write.
    pub(crate) fn front(&self) -> &[u8] {
        match self.segments.front() {
            Some(segment) => segment,
            None => self.tail.get(self.written..).unwrap_or_default(),
        }
    }

    /// Drops what was written from the front; no more than [`front`](Self::front) has shown.
    pub(crate) fn advance(&mut self, count: usize) {
        match self.segments.front_mut() {
            Some(segment) => {
                segment.advance(count.min(segment.len()));
                self.segment_bytes -= count;
                if segment.is_empty() {
                    self.segments.pop_front();
                }
            }
            None => {
                self.written += count;
                if self.written >= self.tail.len() {
                    self.tail.clear();
                    self.written = 0;
                }
            }
        }
    }

    /// The next whole frame, where each is one piece.
    #[cfg(feature = "websocket")]
    pub(crate) fn take_frame(&mut self) -> Option<Bytes> {
        let frame = self.segments.pop_front()?;
        self.segment_bytes -= frame.len();
        Some(frame)
    }

    /// Gives memory back if nothing waits.
    pub(crate) fn release_idle(&mut self) {
        if self.is_empty() {
            *self = Self::new(self.framing);
        }
    }

    fn close_tail(&mut self) {
        let written = std::mem::take(&mut self.written);
        let mut segment = Bytes::from(std::mem::take(&mut self.tail));
        segment.advance(written);
        if !segment.is_empty() {
            self.push_segment(segment);
        }
    }

    fn push_segment(&mut self, segment: Bytes) {
        self.segment_bytes += segment.len();
        self.segments.push_back(segment);
    }
}

/// Writes all of it to a stream of bytes.
pub(super) fn poll_write_out(
    stream: &mut (impl AsyncWrite + Unpin),
    context: &mut Context<'_>,
    output: &mut Output,
) -> Poll<io::Result<()>> {
    while !output.is_empty() {
        let written = Pin::new(&mut *stream).poll_write(context, output.front());
        match ready!(written)? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => output.advance(count),
        }
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::{COPY_BYTES_MAX, Framing, Output};
    use bytes::Bytes;

    /// Takes everything out, `step` bytes at a time.
    fn drained(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !output.is_empty() {
            let count = output.front().len().min(step);
            all.extend_from_slice(&output.front()[..count]);
            output.advance(count);
        }
        assert!(output.front().is_empty());
        all
    }

    #[test]
    fn what_goes_in_comes_out_in_order_however_it_is_cut() {
        let long = Bytes::from(vec![b'x'; COPY_BYTES_MAX + 1]);
        for step in [1_000, 7, usize::MAX] {
            let mut output = Output::new(Framing::Stream);
            let mut expected = Vec::new();
            for body in [&Bytes::from_static(b"a"), &long, &Bytes::new(), &long] {
                output.frame(body, |out| out.extend_from_slice(b"head"));
                expected.extend_from_slice(b"head");
                expected.extend_from_slice(body);
                expected.push(0);
            }
            output.heart_beat();
            expected.push(b'\n');
            assert_eq!(output.len(), expected.len());
            assert_eq!(drained(&mut output, step), expected, "{step}");
        }
    }

    #[test]
    fn a_frame_that_follows_a_half_written_one_is_kept_apart_from_it() {
        let mut output = Output::new(Framing::Stream);
        let frame = |output: &mut Output, body: &'static [u8]| {
            output.frame(&Bytes::from_static(body), |_| {});
        };
        frame(&mut output, b"first");
        output.advance(3);
        frame(&mut output, b"second");
        assert_eq!(drained(&mut output, 100), b"st\0second\0");
    }

    #[test]
    fn memory_is_given_back_only_when_nothing_waits() {
        let mut output = Output::new(Framing::Stream);
        output.heart_beat();
        output.release_idle();
        assert_eq!(output.front(), b"\n");
        output.advance(1);
        output.release_idle();
        assert_eq!(output.tail.capacity(), 0);
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn frames_stay_whole_where_the_transport_wants_them() {
        let mut output = Output::new(Framing::Frames);
        let long = Bytes::from(vec![b'x'; COPY_BYTES_MAX + 1]);
        output.frame(&long, |out| out.extend_from_slice(b"head"));
        output.heart_beat();
        let first = output.take_frame().expect("a frame");
        assert_eq!(first.len(), long.len() + 5);
        assert_eq!(output.take_frame().as_deref(), Some(&b"\n"[..]));
        assert_eq!(output.take_frame(), None);
        assert!(output.is_empty());
    }
}
