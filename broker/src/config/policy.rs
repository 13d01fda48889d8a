//! Section `[policy]`: how a destination treats its messages and consumers.

use std::time::Duration;

use super::choice::{Delivery, Dispatch, RedeliveryOrder, SlowConsumer, WhenFull};
use super::form::{Bytes, Choice, Count, Flag, Number, Span, Text};
use super::given::Contradiction;
use super::section::section;
use crate::core::destination::{DestinationName, NAME_BYTES_MAX, has_prefix};
use crate::core::session::is_senders_own;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// What stands for the queue's own name in [`Policy::dead_letter_queue`].
const NAME_MARK: &str = "{name}";

section! {
    /// How a destination treats its messages and consumers.
    pub struct Policy, given PolicyGiven {
        /// What a SEND without the header `persistent` is.
        pub default_delivery: Delivery = Delivery::Persistent, Choice(&[
            ("persistent", Delivery::Persistent),
            ("non-persistent", Delivery::NonPersistent),
        ]);
        /// How long a message lives whose SEND says nothing of it; "0s" = for ever.
        pub ttl_default: Duration = Duration::ZERO, Span { min: Duration::ZERO, max: 3_650 * DAY };
        /// How long a message lives at the most, whatever its SEND says; "0s" = for ever.
        pub ttl_max: Duration = Duration::ZERO, Span { min: Duration::ZERO, max: 3_650 * DAY };
        /// When a persistent message may go to a consumer: "eager" at once, "durable" when it is on the disk. Its
        /// receipt waits for the disk in both.
        pub dispatch: Dispatch = Dispatch::Eager, Choice(&[
            ("eager", Dispatch::Eager),
            ("durable", Dispatch::Durable),
        ]);
        /// Whether the first SEND or SUBSCRIBE makes a destination that is not there; if not, it is refused.
        pub auto_create: bool = true, Flag;
        /// When a destination goes that is empty, that nobody takes from and nobody has sent to for so long, unless it is
        /// declared; "0s" = never.
        pub remove_unused_after: Duration = Duration::ZERO, Span { min: Duration::ZERO, max: 365 * DAY };
        /// Unacknowledged messages of a consumer of a queue or a durable subscription that asks for no number.
        pub prefetch_queue: u32 = 1_000, Count { min: 1, max: 10_000_000 };
        /// Unacknowledged messages of a subscriber of a topic that asks for no number.
        pub prefetch_topic: u32 = 32_766, Count { min: 1, max: 10_000_000 };
        /// Unacknowledged messages of a browser that asks for no number.
        pub prefetch_browser: u32 = 500, Count { min: 1, max: 10_000_000 };
        /// The most that a consumer may ask for.
        pub prefetch_max: u32 = 100_000, Count { min: 1, max: 10_000_000 };
        /// Unacknowledged bytes of a consumer; always at least one message.
        pub prefetch_bytes: usize = 16 * MIB, Bytes { min: KIB, max: 64 * GIB };
        /// How long a consumer of a queue may hold a message unacknowledged; "0s" = for ever. What it has held longer
        /// goes back to the queue, and it gets no more until it answers.
        pub ack_timeout: Duration = Duration::ZERO, Span { min: Duration::ZERO, max: 365 * DAY };
        /// Redeliveries of a message that fails, before it goes to the dead-letter queue.
        pub redeliveries_max: u32 = 6, Count { min: 0, max: 1_000_000 };
        /// Delay of the first redelivery.
        pub redelivery_delay_first: Duration = Duration::ZERO, Span { min: Duration::ZERO, max: DAY };
        /// Delay of the second redelivery.
        pub redelivery_delay: Duration = SECOND, Span { min: Duration::ZERO, max: DAY };
        /// What each delay after that is multiplied by.
        pub redelivery_multiplier: f64 = 2.0, Number { min: 1.0, max: 10.0 };
        /// The longest delay of a redelivery.
        pub redelivery_delay_max: Duration = 60 * SECOND, Span { min: Duration::ZERO, max: DAY };
        /// What a message that waits out its delay does to those behind it: "pass" lets them pass it, except in
        /// its message group and behind an exclusive consumer for as long as there is one, "hold" holds them
        /// back.
        pub redelivery_order: RedeliveryOrder = RedeliveryOrder::Pass, Choice(&[
            ("pass", RedeliveryOrder::Pass),
            ("hold", RedeliveryOrder::Hold),
        ]);
        /// Whether a new consumer of a queue takes part at once: message groups with nothing in flight get a new owner.
        pub group_rebalance: bool = false, Flag;
        /// The queue for messages that failed or expired. "{name}" in it stands for the name of the destination
        /// that they come from; those of temporary ones go to "ActiveMQ.DLQ" then.
        pub dead_letter_queue: String = "ActiveMQ.DLQ".to_owned(), Text {
            allowed: "the name of a queue without its prefix, in which \"{name}\" may stand for the destination's name, \
                      but is not all of it",
            valid: is_dead_letter_queue,
        };
        /// Whether persistent messages that expire go to the dead-letter queue.
        pub dead_letter_expired: bool = true, Flag;
        /// Whether non-persistent messages that fail go to the dead-letter queue.
        pub dead_letter_non_persistent: bool = true, Flag;
        /// Messages that may wait in a queue, those with consumers not counted; 0 = as many as the disk holds.
        pub max_messages: u64 = 0, Count { min: 0, max: 1_000_000_000_000_u64 };
        /// Bytes of such messages; 0 = as many as the disk holds.
        pub max_bytes: usize = 0, Bytes { min: 0, max: 1024 * GIB };
        /// What a queue at one of these two limits does: "block" holds its producers back, "reject" answers a SEND
        /// with an ERROR, "drop-oldest" drops the oldest message of the lowest priority that waits.
        pub when_full: WhenFull = WhenFull::Block, Choice(&[
            ("block", WhenFull::Block),
            ("reject", WhenFull::Reject),
            ("drop-oldest", WhenFull::DropOldest),
        ]);
        /// The header by whose value a newer message replaces an older one that waits in a queue; "" = none.
        pub last_value: String = String::new(), Text {
            allowed: "the name of a header that is the sender's own (not message-id, priority, ...), or \"\"",
            valid: is_header_name,
        };
        /// Values of it that a queue tells apart; messages with further ones stand beside each other.
        pub last_values_max: usize = 100_000, Count { min: 1, max: 100_000_000 };
        /// What a topic does when a subscriber reaches its pending limit: "block" stops the topic's producers,
        /// "drop-oldest" drops the oldest message that waits for it, "disconnect" closes its connection.
        pub slow_consumer: SlowConsumer = SlowConsumer::Block, Choice(&[
            ("block", SlowConsumer::Block),
            ("drop-oldest", SlowConsumer::DropOldest),
            ("disconnect", SlowConsumer::Disconnect),
        ]);
        /// Messages that may wait for a subscriber of a topic beyond its prefetch.
        pub pending_messages: usize = 100_000, Count { min: 1, max: 100_000_000 };
        /// Bytes of such messages.
        pub pending_bytes: usize = 32 * MIB, Bytes { min: KIB, max: 64 * GIB };
        /// The last messages of a topic that are kept in memory for subscriptions that ask for them
        /// (`activemq.retroactive`). 0 keeps none.
        pub retained_messages: usize = 0, Count { min: 0, max: 1_000 };
        /// Bytes of such messages; the last one is kept however large.
        pub retained_bytes: usize = MIB, Bytes { min: KIB, max: GIB };
    }
}

impl Policy {
    /// The name of the dead-letter queue of a destination. The shared queue takes the place of one of its own that would
    /// outlive a temporary destination, or whose name would be too long to subscribe to.
    #[must_use]
    pub fn dead_letter_queue_of(&self, destination: &DestinationName) -> String {
        let own = self
            .dead_letter_queue
            .replace(NAME_MARK, destination.name());
        let is_passing = destination.is_temporary() && self.dead_letter_queue.contains(NAME_MARK);
        if own.len() <= NAME_BYTES_MAX && !is_passing {
            own
        } else {
            Self::default().dead_letter_queue
        }
    }

    /// When a message expires that was sent at this time and says `own_ms` of it. 0 is never.
    #[must_use]
    pub fn expires_ms(&self, own_ms: i64, sent_ms: i64) -> i64 {
        if self.ttl_default.is_zero() && self.ttl_max.is_zero() {
            return own_ms;
        }
        let after = |ttl: Duration| {
            let ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            (!ttl.is_zero()).then(|| sent_ms.saturating_add(ms))
        };
        let own = match own_ms {
            0 => after(self.ttl_default),
            _ => Some(own_ms),
        };
        let moments = [own, after(self.ttl_max)];
        moments.into_iter().flatten().min().unwrap_or(0)
    }

    /// Keys that contradict each other.
    pub(super) fn contradictions(&self) -> Vec<Contradiction> {
        let prefetches = [
            ("prefetch_queue", self.prefetch_queue),
            ("prefetch_topic", self.prefetch_topic),
        ];
        let over_prefetch = prefetches
            .into_iter()
            .filter(|(_, own)| *own > self.prefetch_max);
        let prefetch = over_prefetch.map(|(key, own)| Contradiction {
            keys: [key, "prefetch_max"],
            text: format!("{own} is over prefetch_max, which is {}", self.prefetch_max),
        });
        let max = self.redelivery_delay_max;
        let delays = [
            ("redelivery_delay_first", self.redelivery_delay_first),
            ("redelivery_delay", self.redelivery_delay),
        ];
        let over_delay = delays.into_iter().filter(|(_, own)| *own > max);
        let delay = over_delay.map(|(key, own)| Contradiction {
            keys: [key, "redelivery_delay_max"],
            text: format!("{own:?} is over redelivery_delay_max, which is {max:?}"),
        });
        prefetch.chain(delay).collect()
    }

    /// Makes what overrides have merged keep to the maxima that they have merged.
    pub(super) fn keep_to_maxima(&mut self) {
        self.prefetch_queue = self.prefetch_queue.min(self.prefetch_max);
        self.prefetch_topic = self.prefetch_topic.min(self.prefetch_max);
        self.prefetch_browser = self.prefetch_browser.min(self.prefetch_max);
        self.redelivery_delay_first = self.redelivery_delay_first.min(self.redelivery_delay_max);
        self.redelivery_delay = self.redelivery_delay.min(self.redelivery_delay_max);
    }
}

impl PolicyGiven {
    /// Keys of one table that contradict each other; a table may set a maximum below what another has for default.
    pub(super) fn contradiction(&self) -> Option<Contradiction> {
        let (own, max) = (self.ttl_default?, self.ttl_max?);
        (own > max && !max.is_zero()).then(|| Contradiction {
            keys: ["ttl_default", "ttl_max"],
            text: format!("{own:?} is over ttl_max, which is {max:?}"),
        })
    }
}

fn is_header_name(text: &str) -> bool {
    text.len() <= 255
        && !text.contains(|letter: char| letter.is_control() || letter == ':')
        && is_senders_own(text)
}

/// A name without the mark must be one that a queue may have; the mark counts as one letter of it.
fn is_dead_letter_queue(text: &str) -> bool {
    let name = text.replace(NAME_MARK, "n");
    let refused = |letter: char| letter.is_control() || matches!(letter, ',' | '{' | '}' | '?');
    let segment = |segment: &str| !matches!(segment, "" | "*" | ">");
    name.len() <= NAME_BYTES_MAX
        && !name.contains(refused)
        && name.split('.').all(segment)
        && !has_prefix(&name)
        && text != NAME_MARK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_lives_as_long_as_it_says_or_by_default_and_never_longer_than_the_ceiling() {
        let lives = |default, max, own_ms| {
            let policy = Policy {
                ttl_default: Duration::from_secs(default),
                ttl_max: Duration::from_secs(max),
                ..Policy::default()
            };
            policy.expires_ms(own_ms, 1_000)
        };
        for (default, max, own_ms, expected) in [
            (0, 0, 0, 0),
            (0, 0, 7_000, 7_000),
            (5, 0, 0, 6_000),
            (5, 0, 7_000, 7_000),
            (0, 3, 0, 4_000),
            (0, 3, 7_000, 4_000),
            (0, 3, 2_000, 2_000),
            (5, 3, 0, 4_000),
            (2, 3, 0, 3_000),
        ] {
            assert_eq!(
                lives(default, max, own_ms),
                expected,
                "{default} {max} {own_ms}"
            );
        }
    }
}
