//! The loads of the suite.

use std::num::NonZeroU64;
use std::time::Duration;

use super::super::link::Target;
use super::super::plan::{AckMode, Kind, Pace, Plan};

/// What is left out of the figures: connections, caches and compilers warm up.
const WARMUP: Duration = Duration::from_millis(500);

/// Consumers that have received nothing for this long have received everything.
const QUIET: Duration = Duration::from_secs(5);

/// How long a drain may take, for each second that the backlog took.
const DRAIN_FACTOR: u32 = 12;

/// What counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// Deliveries a second.
    Received,
    /// Confirmed messages a second.
    Sent,
    /// Percentiles of the time to the receipt.
    Receipt,
}

/// What is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The relay in this row.
    Relay(&'static str),
    /// A figure of the store probe.
    Probe(&'static str),
}

/// What is to be reached; of two the easier counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Aim {
    /// A share of the bound.
    pub(super) share: f64,
    /// A figure of its own.
    pub(super) absolute: Option<f64>,
}

const fn share(share: f64) -> Aim {
    Aim {
        share,
        absolute: None,
    }
}

const fn either(absolute: f64, share: f64) -> Aim {
    Aim {
        share,
        absolute: Some(absolute),
    }
}

/// A load of the suite.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// What the tables call it.
    pub(super) id: &'static str,
    /// What it does.
    pub(super) work: &'static str,
    /// What counts.
    pub(super) figure: Figure,
    /// What that is compared with.
    pub(super) bound: Bound,
    /// What it should be.
    pub(super) aim: Aim,
    /// The load, but for broker, destinations and time.
    load: Load,
}

/// What differs between the loads.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Load {
    kind: Kind,
    destinations: usize,
    producers: usize,
    consumers: usize,
    body_bytes: usize,
    persistent: bool,
    pace: Pace,
    acks: AckMode,
    messages: Option<u64>,
}

/// A persistent load of one queue.
const QUEUE: Load = Load {
    kind: Kind::Queue,
    destinations: 1,
    producers: 1,
    consumers: 1,
    body_bytes: 1024,
    persistent: true,
    pace: Pace::Stream,
    acks: AckMode::Auto,
    messages: Some(1_000_000),
};

/// A load of a topic.
const TOPIC: Load = Load {
    kind: Kind::Topic,
    persistent: false,
    messages: Some(4_000_000),
    ..QUEUE
};

const fn window(messages: u64) -> Pace {
    match NonZeroU64::new(messages) {
        Some(messages) => Pace::Window(messages),
        None => Pace::Stream,
    }
}

const fn transaction(messages: u64) -> Pace {
    match NonZeroU64::new(messages) {
        Some(messages) => Pace::Transaction(messages),
        None => Pace::Stream,
    }
}

/// All rows, in the order in which they run.
pub(super) static ALL: [Row; 13] = [
    Row {
        id: "S1",
        work: "topic, 1 producer, 1 consumer, 32 B",
        figure: Figure::Received,
        bound: Bound::Relay("S1"),
        aim: share(0.7),
        load: Load {
            body_bytes: 32,
            messages: Some(10_000_000),
            ..TOPIC
        },
    },
    Row {
        id: "S2",
        work: "topic, 1 producer, 1 consumer, 1 KiB",
        figure: Figure::Received,
        bound: Bound::Relay("S2"),
        aim: share(0.7),
        load: TOPIC,
    },
    Row {
        id: "S3",
        work: "topic, 1 producer, 10 consumers, 1 KiB, deliveries",
        figure: Figure::Received,
        bound: Bound::Relay("S3"),
        aim: share(0.7),
        load: Load {
            consumers: 10,
            messages: Some(1_000_000),
            ..TOPIC
        },
    },
    Row {
        id: "S4",
        work: "queue, non-persistent, receipts in a window of 1,000",
        figure: Figure::Received,
        bound: Bound::Relay("S2"),
        aim: share(0.5),
        load: Load {
            persistent: false,
            pace: window(1000),
            messages: Some(4_000_000),
            ..QUEUE
        },
    },
    Row {
        id: "S5",
        work: "queue, persistent, window 1,000, auto",
        figure: Figure::Received,
        bound: Bound::Probe("pairs_1000"),
        aim: either(120_000.0, 0.8),
        load: Load {
            pace: window(1000),
            ..QUEUE
        },
    },
    Row {
        id: "S6",
        work: "queue, persistent, window 256, client-individual",
        figure: Figure::Received,
        bound: Bound::Probe("pairs_1000"),
        aim: either(80_000.0, 0.6),
        load: Load {
            pace: window(256),
            acks: AckMode::ClientIndividual,
            ..QUEUE
        },
    },
    Row {
        id: "S7",
        work: "queue, persistent, 1 producer waits for each receipt",
        figure: Figure::Sent,
        bound: Bound::Probe("insert_1"),
        aim: share(0.8),
        load: Load {
            pace: window(1),
            ..QUEUE
        },
    },
    Row {
        id: "S8",
        work: "queue, persistent, 16 producers wait for each receipt",
        figure: Figure::Sent,
        bound: Bound::Probe("insert_16"),
        aim: share(0.6),
        load: Load {
            producers: 16,
            pace: window(1),
            ..QUEUE
        },
    },
    Row {
        id: "S9",
        work: "10 producers, 10 queues, 10 consumers, persistent, window 64",
        figure: Figure::Received,
        bound: Bound::Probe("pairs_1000"),
        aim: either(80_000.0, 0.6),
        load: Load {
            destinations: 10,
            producers: 10,
            consumers: 10,
            pace: window(64),
            ..QUEUE
        },
    },
    Row {
        id: "S10",
        work: "persistent load of a queue that nobody consumes, window 1,000",
        figure: Figure::Sent,
        bound: Bound::Probe("insert_1000"),
        aim: share(0.75),
        load: Load {
            consumers: 0,
            pace: window(1000),
            ..QUEUE
        },
    },
    Row {
        id: "S10d",
        work: "drain of that backlog, client-individual",
        figure: Figure::Received,
        bound: Bound::Probe("delete_1000"),
        aim: either(80_000.0, 0.55),
        load: Load {
            producers: 0,
            acks: AckMode::ClientIndividual,
            ..QUEUE
        },
    },
    Row {
        id: "S11",
        work: "transactions of 100 persistent sends, receipt of each COMMIT",
        figure: Figure::Sent,
        bound: Bound::Probe("insert_100"),
        aim: share(0.6),
        load: Load {
            pace: transaction(100),
            ..QUEUE
        },
    },
    Row {
        id: "S12",
        work: "1,000/s persistent, time to the receipt, p50 / p99 in us",
        figure: Figure::Receipt,
        bound: Bound::Probe("commit_p50_us"),
        aim: share(1.0),
        load: Load {
            pace: Pace::Rate {
                per_second: 1000.0,
                receipts: true,
            },
            messages: None,
            ..QUEUE
        },
    },
];

/// The row of this name.
pub(super) fn find(id: &str) -> Option<&'static Row> {
    ALL.iter().find(|row| row.id.eq_ignore_ascii_case(id))
}

/// How much of a load there is to be.
pub(super) struct Scale {
    /// How long producers send at the most.
    pub(super) time: Duration,
    /// Messages that the last load without consumers left.
    pub(super) backlog: u64,
}

impl Row {
    /// The row whose bound it shares, if that is the relay's.
    pub(super) fn relay_row(&self) -> Option<&'static Row> {
        match self.bound {
            Bound::Relay(id) => find(id),
            Bound::Probe(_) => None,
        }
    }

    /// The row whose destination it works on.
    pub(super) fn backlog_id(&self) -> &'static str {
        if self.drains() { "S10" } else { self.id }
    }

    fn drains(&self) -> bool {
        self.load.producers == 0
    }

    /// The load, on destinations whose names begin with `name`.
    pub(super) fn plan(&self, target: Target, name: &str, scale: &Scale) -> Plan {
        let load = self.load;
        let prefix = match load.kind {
            Kind::Queue => "/queue/",
            Kind::Topic => "/topic/",
        };
        let (messages, time, warmup) = if self.drains() {
            let time = scale.time.saturating_mul(DRAIN_FACTOR);
            (Some(scale.backlog), time, Duration::ZERO)
        } else {
            (load.messages, scale.time + WARMUP, WARMUP)
        };
        Plan {
            target,
            destinations: (0..load.destinations)
                .map(|index| format!("{prefix}{name}.{index}"))
                .collect(),
            kind: load.kind,
            producers: load.producers,
            consumers: load.consumers,
            body_bytes: load.body_bytes,
            persistent: load.persistent,
            headers: Vec::new(),
            pace: load.pace,
            acks: load.acks,
            prefetch: None,
            messages,
            time,
            warmup,
            quiet: QUIET,
        }
    }
}
