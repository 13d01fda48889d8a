//! What a load consists of, once its options have been found to fit together.

use std::num::NonZeroU64;
use std::time::Duration;

use super::link::Target;

/// What destinations do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It goes to one of the consumers.
    Queue,
    /// It goes to all of them.
    Topic,
}

/// What a producer waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// Nothing but the socket.
    Stream,
    /// So many messages may be without their receipt.
    Window(NonZeroU64),
    /// Transactions of so many messages, and the receipt of each COMMIT.
    Transaction(NonZeroU64),
    /// The clock: an open loop.
    Rate {
        /// Messages a second, of all producers together.
        per_second: f64,
        /// Whether each asks for a receipt.
        receipts: bool,
    },
}

/// How a consumer acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum AckMode {
    /// Not at all: what is written to it is acknowledged.
    Auto,
    /// An ACK for all messages of a read.
    Client,
    /// An ACK for each message.
    ClientIndividual,
}

impl AckMode {
    /// As a frame has it.
    pub(super) fn header(self) -> &'static str {
        match self {
            AckMode::Auto => "auto",
            AckMode::Client => "client",
            AckMode::ClientIndividual => "client-individual",
        }
    }
}

/// A load. Producer and consumer number `i` belong to destination `i` modulo their number.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The broker.
    pub(super) target: Target,
    /// Where the messages go: at least one.
    pub(super) destinations: Vec<String>,
    /// What those are.
    pub(super) kind: Kind,
    /// Connections that send; none to drain.
    pub(super) producers: usize,
    /// Connections that receive; none to load.
    pub(super) consumers: usize,
    /// Length of a body.
    pub(super) body_bytes: usize,
    /// Whether the broker is to store the messages.
    pub(super) persistent: bool,
    /// Further headers of each message.
    pub(super) headers: Vec<(String, String)>,
    /// What producers wait for.
    pub(super) pace: Pace,
    /// How consumers acknowledge.
    pub(super) acks: AckMode,
    /// Messages that a consumer may have unacknowledged; as the broker likes otherwise.
    pub(super) prefetch: Option<u32>,
    /// Messages of all producers together, or to drain.
    pub(super) messages: Option<u64>,
    /// How long producers go on at the most, or a drain.
    pub(super) time: Duration,
    /// What happens before counts for no rate and no percentile.
    pub(super) warmup: Duration,
    /// Consumers that have received nothing for this long have received everything.
    pub(super) quiet: Duration,
}

impl Plan {
    /// Where a producer or a consumer works.
    pub(super) fn destination_index(&self, worker: usize) -> usize {
        worker % self.destinations.len()
    }

    /// How many of the messages a producer sends.
    pub(super) fn share(&self, producer: usize) -> Option<u64> {
        let total = self.messages?;
        let producers = self.producers as u64;
        Some(total / producers + u64::from((producer as u64) < total % producers))
    }

    /// How many consumers a destination has.
    pub(super) fn consumers_of(&self, destination: usize) -> u64 {
        let takes = |consumer: &usize| self.destination_index(*consumer) == destination;
        (0..self.consumers).filter(takes).count() as u64
    }

    /// How many deliveries a message to this destination makes.
    pub(super) fn deliveries(&self, destination: usize) -> u64 {
        match self.kind {
            Kind::Queue => self.consumers_of(destination).min(1),
            Kind::Topic => self.consumers_of(destination),
        }
    }
}
