//! Section `[limits]`: what a client may ask of the broker.

use super::form::{Bytes, Count};
use super::given::Contradiction;
use super::section::section;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

section! {
    /// What a client may ask of the broker. A frame over a limit is answered with an ERROR that names it.
    pub struct Limits, given LimitsGiven {
        /// Length of a command, in bytes.
        pub command_bytes: usize = 32, Bytes { min: 16, max: KIB };
        /// Length of a header line, in bytes.
        pub header_line_bytes: usize = 10 * KIB, Bytes { min: 256, max: 16 * MIB };
        /// Headers of a frame.
        pub headers: usize = 1_000, Count { min: 16, max: 100_000 };
        /// Length of all header lines of a frame, in bytes.
        pub header_block_bytes: usize = MIB, Bytes { min: KIB, max: 64 * MIB };
        /// Length of a body, in bytes.
        pub body_bytes: usize = 100 * MIB, Bytes { min: KIB, max: 800 * MIB };
        /// Everything that a connection may send before it is connected, in bytes.
        pub unauthenticated_bytes: usize = 64 * KIB, Bytes { min: KIB, max: 16 * MIB };
        /// Subscriptions of a connection; each name or pattern of a list counts.
        pub subscriptions: usize = 10_000, Count { min: 1, max: 1_000_000 };
        /// Subscriptions of the broker.
        pub all_subscriptions: usize = 1_000_000, Count { min: 1, max: 100_000_000 };
        /// Open transactions of a connection.
        pub transactions: usize = 16, Count { min: 1, max: 10_000 };
        /// Frames in a transaction.
        pub transaction_frames: usize = 100_000, Count { min: 1, max: 10_000_000 };
        /// Bytes in a transaction.
        pub transaction_bytes: usize = 64 * MIB, Bytes { min: KIB, max: 64 * GIB };
        /// Destinations of the broker, durable and shared subscriptions included.
        pub destinations: usize = 1_000_000, Count { min: 1, max: 100_000_000 };
        /// Queues that one virtual topic feeds.
        pub virtual_queues: usize = 10_000, Count { min: 1, max: 1_000_000 };
        /// Different patterns and lists of topics that durable subscriptions have: a message is written once for each that
        /// matches.
        pub durable_patterns: usize = 1_000, Count { min: 1, max: 1_000_000 };
        /// Connections of the broker; 0 = as many as file handles allow.
        pub connections: usize = 0, Count { min: 0, max: 10_000_000 };
        /// Frames other than MESSAGE that may wait to be written to a connection before it is no longer read.
        pub control_frames: usize = 10_000, Count { min: 16, max: 1_000_000 };
        /// Bytes of such frames.
        pub control_bytes: usize = MIB, Bytes { min: 64 * KIB, max: GIB };
        /// Memory for messages. Over it producers are held back; what cannot wait, a SEND in a transaction, is refused.
        pub memory_bytes: usize = GIB, Bytes { min: 16 * MIB, max: 1024 * GIB };
        /// Frames that are read from a stopped producer, for the acknowledgements among them.
        pub stash_frames: usize = 1_000, Count { min: 1, max: 1_000_000 };
        /// Bytes of such frames.
        pub stash_bytes: usize = MIB, Bytes { min: 4 * KIB, max: GIB };
    }
}

impl Limits {
    /// Keys that contradict each other: a smaller thing that would not fit into what holds it.
    pub(super) fn contradictions(&self) -> Vec<Contradiction> {
        let header_block = ("header_block_bytes", self.header_block_bytes);
        let memory = ("memory_bytes", self.memory_bytes);
        let pairs = [
            (("header_line_bytes", self.header_line_bytes), header_block),
            (("body_bytes", self.body_bytes), memory),
            (("transaction_bytes", self.transaction_bytes), memory),
        ];
        let wrong = pairs
            .into_iter()
            .filter(|((_, part), (_, whole))| part > whole);
        wrong
            .map(|((part, part_bytes), (whole, whole_bytes))| Contradiction {
                keys: [part, whole],
                text: format!("{part_bytes} bytes are over {whole}, which is {whole_bytes} bytes"),
            })
            .collect()
    }
}
