//! The part of a session's output that the socket has not taken yet, and which deliveries that leaves unwritten.

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

    /// Gives an empty buffer back.
    pub fn release_idle(&mut self) {
        if self.output.bytes.is_empty() {
            self.output.bytes = Vec::new();
        }
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
        let first = bench.buffer.unwritten().len() - GAP;
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
        bench.buffer.advance(bench.buffer.unwritten().len());
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
        bench.buffer.advance(bench.buffer.unwritten().len());
        let written = "Written { subscription: SubscriptionHandle(0), count: 2, bytes: 30 }";
        assert_eq!(bench.requests(), [written]);
    }

    #[test]
    fn what_was_written_is_cut_off_and_still_counted() {
        let (mut bench, _) = two_deliveries("client");
        let before = bench.buffer.output.taken;
        let all = bench.buffer.unwritten().len();
        bench.buffer.advance(all);
        assert_eq!(bench.buffer.output.taken, before + all as u64);
        assert!(bench.buffer.output.bytes.is_empty());
        bench.deliver(0, 30);
        let rest = bench.buffer.unwritten().len() - GAP;
        bench.buffer.advance(rest - 1);
        assert_eq!(bench.buffer.delivered, DeliveryCounter(2));
        bench.buffer.advance(1);
        assert_eq!(bench.buffer.delivered, DeliveryCounter(3));
    }
}
