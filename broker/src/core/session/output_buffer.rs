//! The part of a session's output that the socket has not taken yet, and which deliveries that leaves unwritten.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::output::{Mark, Output};
use crate::core::port::{AckMode, DeliveryCounter, Request};

/// Written bytes are cut off the front when they are more than this and more than what is left.
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
    /// Bytes of the first of `output.bodies` that the kernel has.
    body_written: usize,
    /// Bytes of output that the kernel has, from the connection's beginning.
    sent: u64,
    /// The last delivery that the kernel has.
    pub delivered: DeliveryCounter,
}

impl OutputBuffer {
    /// How much the kernel does not have yet.
    #[must_use]
    pub fn unwritten_bytes(&self) -> usize {
        usize::try_from(self.output.position() - self.sent).unwrap_or(usize::MAX)
    }

    /// Whether the kernel has everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.output.position() == self.sent
    }

    /// What the kernel does not have yet, in pieces: the buffer, and between its parts the long bodies.
    pub fn unwritten(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = &self.output.bytes;
        let mut from = self.written;
        let mut bodies = self.output.bodies.iter();
        let mut body_from = self.body_written;
        let mut between = None;
        let mut is_over = false;
        let pieces = std::iter::from_fn(move || {
            if let Some(body) = between.take() {
                return Some(body);
            }
            if is_over {
                return None;
            }
            let to = match bodies.next() {
                Some(body) => {
                    between = body.message.body().get(body_from..);
                    body_from = 0;
                    // Behind what was cut off, which ended before.
                    usize::try_from(body.at - self.output.taken).unwrap_or(bytes.len())
                }
                None => {
                    is_over = true;
                    bytes.len()
                }
            };
            let piece = bytes.get(from..to).unwrap_or_default();
            from = to;
            Some(piece)
        });
        pieces.filter(|piece| !piece.is_empty())
    }

    /// The beginning of [`Self::unwritten`] for one vectored write. Returns how many slices there are.
    pub fn unwritten_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(self.unwritten()) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    /// The kernel has taken so many bytes. Deliveries of `auto` subscriptions among them are acknowledged.
    pub fn advance(&mut self, count: usize) {
        self.sent += count as u64;
        self.take(count);
        let end = self.sent;
        while let Some(mark) = self.output.marks.pop_front_if(|mark| mark.end <= end) {
            self.delivered = mark.counter;
            if mark.mode == AckMode::Auto {
                self.acknowledge(mark);
            }
        }
        let receipts = &mut self.output.receipts;
        while let Some(receipt) = receipts.pop_front_if(|receipt| receipt.end <= end) {
            self.output.receipt_bytes -= receipt.bytes;
        }
        let length = self.output.bytes.len();
        let is_worth_it = self.written > FRONT_BYTES_MAX && self.written > length / 2;
        if self.written == length || is_worth_it {
            self.cut();
        }
    }

    /// Counts bytes off the pieces.
    fn take(&mut self, mut count: usize) {
        while let Some(body) = self.output.bodies.front() {
            let at = usize::try_from(body.at - self.output.taken).unwrap_or(usize::MAX);
            let before = (at - self.written).min(count);
            self.written += before;
            count -= before;
            let of_body = (body.message.body().len() - self.body_written).min(count);
            self.body_written += of_body;
            count -= of_body;
            if self.written < at || self.body_written < body.message.body().len() {
                return;
            }
            self.output.bodies.pop_front();
            self.body_written = 0;
        }
        self.written += count;
    }

    /// Hand-overs of one subscription that follow one another are one request.
    fn acknowledge(&mut self, mark: Mark) {
        let requests = &mut self.output.requests;
        if let Some(Request::Written {
            subscription,
            count,
            bytes,
        }) = requests.last_mut()
            && *subscription == mark.subscription
        {
            *count += 1;
            *bytes += mark.bytes;
            return;
        }
        requests.push(Request::Written {
            subscription: mark.subscription,
            count: 1,
            bytes: mark.bytes,
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

    /// Gives back what is empty.
    pub fn release_idle(&mut self) {
        let output = &mut self.output;
        if output.bytes.is_empty() {
            output.bytes = Vec::new();
        }
        if output.requests.is_empty() {
            output.requests = Vec::new();
        }
        release(&mut output.bodies);
        release(&mut output.marks);
        release(&mut output.receipts);
    }
}

fn release<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::session::tests::Bench;
    use stompbox_protocol::Version;

    /// Behind a frame's NUL a line feed stands, which is none of the client's business.
    const GAP: usize = 1;

    /// A subscription with two deliveries written behind one another, and where the first ends.
    fn two_deliveries(mode: &str) -> (Bench, usize) {
        let mut bench = Bench::open(Version::V1_2);
        bench.say(&format!(
            "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:{mode}\n\n\0"
        ));
        bench.requests();
        bench.deliver(0, 10);
        let first = bench.buffer.unwritten_bytes() - GAP;
        bench.deliver(0, 20);
        (bench, first)
    }

    #[test]
    fn a_delivery_counts_as_given_when_its_last_byte_is() {
        let (mut bench, first) = two_deliveries("client");
        bench.buffer.advance(first - 1);
        assert_eq!(bench.buffer.delivered, DeliveryCounter(0));
        bench.buffer.advance(1);
        assert_eq!(bench.buffer.delivered, DeliveryCounter(1));
        bench.buffer.advance(5);
        assert_eq!(bench.buffer.delivered, DeliveryCounter(1));
        bench.buffer.advance(bench.buffer.unwritten_bytes());
        assert_eq!(bench.buffer.delivered, DeliveryCounter(2));
        assert!(bench.requests().is_empty());
    }

    #[test]
    fn auto_deliveries_that_were_handed_over_together_are_one_request() {
        let (mut bench, first) = two_deliveries("auto");
        bench.buffer.advance(first + 1);
        let written = "Written { subscription: SubscriptionHandle(0), count: 1, bytes: 10 }";
        assert_eq!(bench.requests(), [written]);

        let (mut bench, _) = two_deliveries("auto");
        bench.buffer.advance(bench.buffer.unwritten_bytes());
        let written = "Written { subscription: SubscriptionHandle(0), count: 2, bytes: 30 }";
        assert_eq!(bench.requests(), [written]);
    }

    #[test]
    fn what_was_written_is_cut_off_and_still_counted() {
        let (mut bench, _) = two_deliveries("client");
        let before = bench.buffer.output.taken;
        let all = bench.buffer.unwritten_bytes();
        bench.buffer.advance(all);
        assert_eq!(bench.buffer.output.taken, before + all as u64);
        assert!(bench.buffer.output.bytes.is_empty());
        bench.deliver(0, 30);
        let rest = bench.buffer.unwritten_bytes() - GAP;
        bench.buffer.advance(rest - 1);
        assert_eq!(bench.buffer.delivered, DeliveryCounter(2));
        bench.buffer.advance(1);
        assert_eq!(bench.buffer.delivered, DeliveryCounter(3));
    }
}
