//! The policies of a run: as the configuration says it, and as the model understands it.

use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use stompbox_broker::config::{CommandLine, Config, load};

const TEXT: &str = r#"
[policy]
redeliveries_max = 2
redelivery_delay = "400ms"
redelivery_delay_max = "1s"
prefetch_max = 9
prefetch_queue = 9
prefetch_topic = 9
prefetch_browser = 9

[[destination]]
match = "durable"
dispatch = "durable"
dead_letter_queue = "DLQ.{name}"
redelivery_delay_first = "300ms"

[[destination]]
match = "held"
redelivery_order = "hold"
redelivery_delay_first = "200ms"

[[destination]]
match = "hasty"
ack_timeout = "1s"

[[destination]]
match = "careless"
ack_timeout = "2500ms"
redeliveries_max = 0
dead_letter_expired = false
dead_letter_non_persistent = false

[[destination]]
match = "ring"
max_messages = 5
when_full = "drop-oldest"

[[destination]]
match = "narrow"
max_messages = 6
when_full = "block"

[[destination]]
match = "heavy"
max_bytes = 500
when_full = "block"

[[destination]]
match = "hoop"
max_bytes = 500
when_full = "drop-oldest"

[[destination]]
match = "strict"
max_messages = 5
max_bytes = 400
when_full = "reject"

[[destination]]
match = "Consumer.c.VirtualTopic.v"
max_messages = 4
when_full = "reject"

[[destination]]
match = "levels"
last_value = "colour"

[[destination]]
match = "prices.>"
retained_messages = 3
retained_bytes = "1 KiB"

[[destination]]
match = "slow.shed"
slow_consumer = "drop-oldest"
pending_messages = 3
retained_messages = 5

[[destination]]
match = "slow.slim"
slow_consumer = "drop-oldest"
pending_bytes = "1 KiB"

[[destination]]
match = "slow.dam"
slow_consumer = "block"
pending_messages = 4
retained_messages = 8

[[destination]]
match = "slow.sluice"
slow_consumer = "block"
pending_bytes = "1 KiB"

[[destination]]
match = "slow.cliff"
slow_consumer = "disconnect"
pending_messages = 3
pending_bytes = "2 KiB"
retained_messages = 5

[[destination]]
match = "VirtualTopic.v"
slow_consumer = "drop-oldest"
pending_messages = 8
"#;

/// What drops for a subscriber that does not keep up.
pub(crate) const SHED: &str = "/topic/slow.shed";
pub(crate) const BYTE_SHED: &str = "/topic/slow.slim";

/// Where producers wait for it.
pub(crate) const DAM: &str = "/topic/slow.dam";
pub(crate) const BYTE_DAM: &str = "/topic/slow.sluice";

/// Where it loses its connection.
pub(crate) const CLIFF: &str = "/topic/slow.cliff";

/// The most that a subscription may hold, whatever it asks for.
pub(crate) const PREFETCH_MAX: usize = 9;

/// What waits in the rings.
pub(crate) const RING: &str = "/queue/ring";
pub(crate) const BYTE_RING: &str = "/queue/hoop";

/// Where producers are held back.
pub(crate) const NARROW: &str = "/queue/narrow";
pub(crate) const BYTE_NARROW: &str = "/queue/heavy";

/// Where they are refused.
pub(crate) const STRICT: &str = "/queue/strict";
pub(crate) const STRICT_CONSUMER: &str = "/queue/Consumer.c.VirtualTopic.v";

/// What consumers may not hold for ever.
pub(crate) const HASTY: &str = "/queue/hasty";

/// The shortest `ack_timeout`.
pub(crate) const ACK_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// What keeps the last message of each colour.
pub(crate) const LEVELS: &str = "/queue/levels";

/// Whether a queue may drop what it was sent without anybody seeing it.
pub(crate) fn may_drop(name: &str) -> bool {
    is_ring(name) || name == LEVELS
}

/// Whether a queue keeps so much and no more.
pub(crate) fn is_ring(name: &str) -> bool {
    [RING, BYTE_RING].contains(&name)
}

/// Whether what is sent there may be refused.
pub(crate) fn may_refuse(name: &str) -> bool {
    [STRICT, STRICT_CONSUMER].contains(&name) || name == "/topic/VirtualTopic.v"
}

/// Whether what a consumer holds of it may be taken back from it.
pub(crate) fn may_time_out(name: &str) -> bool {
    let bare = name.split_once("/queue/").or(name.split_once("/topic/"));
    bare.is_some_and(|(_, bare)| Rules::of(bare).ack_timeout.is_some())
}

const SHARED: &str = "ActiveMQ.DLQ";

/// The configuration.
pub(crate) fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| read(TEXT))
}

/// The same where one thing is said wrongly.
pub(crate) fn wrong_config(right: &str, wrong: &str) -> Config {
    assert!(TEXT.contains(right), "nothing says {right}");
    read(&TEXT.replace(right, wrong))
}

fn read(text: &str) -> Config {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("a written file");
    load(
        Some(file.path()),
        std::iter::empty(),
        CommandLine::default(),
    )
    .expect("a valid configuration")
}

/// What the model knows of a destination's policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) is_dispatched_when_durable: bool,
    pub(crate) holds_order: bool,
    pub(crate) redeliveries_max: u32,
    pub(crate) dead_letter: Option<&'static str>,
    pub(crate) keeps_expired: bool,
    pub(crate) keeps_failed_non_persistent: bool,
    /// How much may wait in it, and who pays beyond that.
    pub(crate) bound: Option<Bound>,
    /// What a topic keeps for those that begin with it.
    pub(crate) retained: Amount,
    /// Whether of each colour only the last message stays.
    pub(crate) keeps_last_values: bool,
    /// How long a consumer may hold something.
    pub(crate) ack_timeout: Option<Duration>,
    /// What of a topic may wait for one subscription, and who pays beyond that.
    pub(crate) pending: Amount,
    pub(crate) slow_consumer: SlowConsumer,
    delays_ms: [u64; 3],
}

/// How much may wait in a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) max: Amount,
    pub(crate) when_full: WhenFull,
}

impl Bound {
    fn new(messages: usize, bytes: usize, when_full: WhenFull) -> Self {
        let max = Amount { messages, bytes };
        Self { max, when_full }
    }
}

/// Messages, and bytes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Amount {
    pub(crate) fn of_one(bytes: usize) -> Amount {
        Amount { messages: 1, bytes }
    }

    pub(crate) fn plus(self, other: Amount) -> Amount {
        Amount {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
        }
    }

    /// Whether both are within these.
    pub(crate) fn fits(self, max: Amount) -> bool {
        self.messages <= max.messages && self.bytes <= max.bytes
    }

    /// Whether one of them has reached this.
    pub(crate) fn reaches(self, max: Amount) -> bool {
        self.messages >= max.messages || self.bytes >= max.bytes
    }

    /// From here on those that are held back go on.
    pub(crate) fn three_quarters(self) -> Amount {
        let of = |whole: usize| whole - whole.div_ceil(4);
        Amount {
            messages: of(self.messages),
            bytes: of(self.bytes),
        }
    }
}

/// As much as there is.
const ANY: usize = usize::MAX;

/// Who pays when a queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Producers wait until a quarter is free.
    Block,
    /// The oldest message of the lowest priority goes.
    DropOldest,
    /// Producers are refused.
    Reject,
}

/// Who pays when a subscription of a topic does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlowConsumer {
    /// Producers wait until a quarter is free.
    Block,
    /// What has waited longest goes.
    DropOldest,
    /// The subscriber goes.
    Disconnect,
}

impl Rules {
    pub(crate) fn of(name: &str) -> Self {
        let common = Self {
            is_dispatched_when_durable: false,
            holds_order: false,
            redeliveries_max: 2,
            dead_letter: Some(SHARED),
            keeps_expired: true,
            keeps_failed_non_persistent: true,
            bound: None,
            retained: Amount::default(),
            keeps_last_values: false,
            ack_timeout: None,
            pending: Amount {
                messages: 100_000,
                bytes: 32 << 20,
            },
            slow_consumer: SlowConsumer::Block,
            delays_ms: [0, 400, 800],
        };
        let shed = |messages| Amount {
            messages,
            ..common.pending
        };
        let slim = Amount {
            bytes: 1_024,
            ..common.pending
        };
        let last = |messages| Amount {
            messages,
            bytes: 1 << 20,
        };
        match name {
            "durable" => Self {
                is_dispatched_when_durable: true,
                dead_letter: Some("DLQ.durable"),
                delays_ms: [300, 400, 800],
                ..common
            },
            "held" => Self {
                holds_order: true,
                delays_ms: [200, 400, 800],
                ..common
            },
            "hasty" => Self {
                ack_timeout: Some(ACK_TIMEOUT_MIN),
                ..common
            },
            "careless" => Self {
                ack_timeout: Some(Duration::from_millis(2_500)),
                redeliveries_max: 0,
                keeps_expired: false,
                keeps_failed_non_persistent: false,
                ..common
            },
            "ring" => Self {
                bound: Some(Bound::new(5, ANY, WhenFull::DropOldest)),
                ..common
            },
            "hoop" => Self {
                bound: Some(Bound::new(ANY, 500, WhenFull::DropOldest)),
                ..common
            },
            "narrow" => Self {
                bound: Some(Bound::new(6, ANY, WhenFull::Block)),
                ..common
            },
            "heavy" => Self {
                bound: Some(Bound::new(ANY, 500, WhenFull::Block)),
                ..common
            },
            "strict" => Self {
                bound: Some(Bound::new(5, 400, WhenFull::Reject)),
                ..common
            },
            "Consumer.c.VirtualTopic.v" => Self {
                bound: Some(Bound::new(4, ANY, WhenFull::Reject)),
                ..common
            },
            "levels" => Self {
                keeps_last_values: true,
                ..common
            },
            prices if prices.starts_with("prices.") => Self {
                retained: Amount {
                    messages: 3,
                    bytes: 1_024,
                },
                ..common
            },
            "slow.shed" => Self {
                slow_consumer: SlowConsumer::DropOldest,
                pending: shed(3),
                retained: last(5),
                ..common
            },
            "slow.slim" => Self {
                slow_consumer: SlowConsumer::DropOldest,
                pending: slim,
                ..common
            },
            "slow.dam" => Self {
                pending: shed(4),
                retained: last(8),
                ..common
            },
            "slow.sluice" => Self {
                pending: slim,
                ..common
            },
            "slow.cliff" => Self {
                slow_consumer: SlowConsumer::Disconnect,
                pending: Amount {
                    messages: 3,
                    bytes: 2_048,
                },
                retained: last(5),
                ..common
            },
            "VirtualTopic.v" => Self {
                slow_consumer: SlowConsumer::DropOldest,
                pending: shed(8),
                ..common
            },
            SHARED | "DLQ.durable" => Self {
                dead_letter: None,
                ..common
            },
            _ => common,
        }
    }

    /// The delay of the redelivery after so many failures.
    pub(crate) fn delay_after(&self, failures: u32) -> Duration {
        let by_place = |place: usize| self.delays_ms.get(place).copied().unwrap_or(1_000);
        Duration::from_millis(by_place(failures.saturating_sub(1) as usize))
    }
}
