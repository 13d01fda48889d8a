//! How a run goes: drawn from its seed.

use stompbox_broker::core::dispatcher::Window;

use crate::client::Appetite;
use crate::cron::ZONES;
use crate::random::Random;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) connections_max: usize,
    pub(super) window: Window,
    /// Of a hundred steps, those that drive the disk.
    pub(super) disk_share: usize,
    /// Of a thousand steps, those that break a connection.
    pub(super) loss_share: usize,
    /// Of ten thousand steps, those that shake everything.
    pub(super) upheaval_share: usize,
    /// Whether who connects with a `client-id` that is in use takes it over.
    pub(super) takes_over: bool,
    /// Where cron is read: seconds east of Greenwich.
    pub(super) zone_s: i64,
    /// Whether a minute passes at once now and then.
    pub(super) leaps: bool,
    /// Clients send more than they acknowledge.
    pub(super) appetite: Appetite,
}

impl Plan {
    pub(super) fn draw(random: &mut Random) -> Self {
        let messages = random.between(4, 24);
        let appetite = Appetite::draw(random);
        Self {
            takes_over: random.percent(50),
            zone_s: ZONES[random.below(ZONES.len())],
            leaps: appetite.knows_calendar(),
            connections_max: random.between(1, 5),
            window: Window {
                messages,
                bytes: [600, 4_000, 100_000][random.below(3)],
                page_messages: random.between(1, messages),
                page_bytes: [50, 300, 100_000][random.below(3)],
            },
            disk_share: random.between(1, 30),
            loss_share: [0, 1, 3, 10][random.below(4)],
            upheaval_share: [2, 5, 20][random.below(3)],
            appetite,
        }
    }
}
