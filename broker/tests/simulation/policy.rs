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
"#;

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
            delays_ms: [0, 400, 800],
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
