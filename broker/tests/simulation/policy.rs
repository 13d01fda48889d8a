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
match = "careless"
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
"#;

/// What waits in the ring, and where producers are held back.
pub(crate) const RING: &str = "/queue/ring";

const SHARED: &str = "ActiveMQ.DLQ";

/// The configuration.
pub(crate) fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(TEXT.as_bytes()).expect("a written file");
        load(
            Some(file.path()),
            std::iter::empty(),
            CommandLine::default(),
        )
        .expect("a valid configuration")
    })
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
    pub(crate) bound: Option<(usize, WhenFull)>,
    delays_ms: [u64; 3],
}

/// Who pays when a queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Producers wait until a quarter is free.
    Block,
    /// The oldest message of the lowest priority goes.
    DropOldest,
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
            "careless" => Self {
                redeliveries_max: 0,
                keeps_expired: false,
                keeps_failed_non_persistent: false,
                ..common
            },
            "ring" => Self {
                bound: Some((5, WhenFull::DropOldest)),
                ..common
            },
            "narrow" => Self {
                bound: Some((6, WhenFull::Block)),
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
