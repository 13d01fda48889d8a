//! Section `[stomp]`: the STOMP listener and the life of a connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::choice::ClientIdPolicy;
use super::form::{Addresses, Choice, Span, Text};
use super::section::section;
use crate::core::schedule::TimeZone;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

section! {
    /// The STOMP listener and the life of a connection.
    pub struct StompConfig, given StompGiven {
        /// Where STOMP clients connect. There is no authentication yet: keep it on a loopback address, or behind
        /// something that authenticates.
        pub listen: Vec<SocketAddr> = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 61613))], Addresses;
        /// How long a connection may take to send a complete CONNECT.
        pub connect_timeout: Duration = 10 * SECOND, Span { min: 10 * MS, max: HOUR };
        /// The shortest heart-beat interval that the broker agrees to: shorter wishes are raised to it.
        pub heart_beat_min: Duration = 500 * MS, Span { min: MS, max: HOUR };
        /// What a CONNECT with the `client-id` of a live connection does: "refuse" answers it with an ERROR,
        /// "takeover" closes the older connection.
        pub client_id: ClientIdPolicy = ClientIdPolicy::Refuse, Choice(&[
            ("refuse", ClientIdPolicy::Refuse),
            ("takeover", ClientIdPolicy::Takeover),
        ]);
        /// The time zone of `AMQ_SCHEDULED_CRON`: "system" for the machine's own, or a name such as "UTC" and
        /// "Europe/Berlin".
        pub cron_time_zone: String = "system".to_owned(), Text {
            allowed: "\"system\", or the name of a time zone",
            valid: is_zone,
        };
        /// Silence after which TCP asks whether the peer is still there. It finds vanished peers that asked for no
        /// heart-beats.
        pub keep_alive: Duration = 60 * SECOND, Span { min: SECOND, max: 2 * HOUR };
        /// A subscriber of a topic that takes no byte for this long although something waits for it is disconnected:
        /// it must not stop the topic for the others.
        pub stalled_after: Duration = 10 * SECOND, Span { min: 10 * MS, max: HOUR };
        /// How long what a client still sends after an ERROR is read and thrown away, so that a reset does not
        /// swallow the ERROR.
        pub linger: Duration = 2 * SECOND, Span { min: Duration::ZERO, max: 60 * SECOND };
        /// How long a stop may take. What is not done by then is left to the recovery at the next start.
        pub stop_deadline: Duration = 10 * SECOND, Span { min: 10 * MS, max: HOUR };
    }
}

const SYSTEM: &str = "system";

fn is_zone(name: &str) -> bool {
    name == SYSTEM || TimeZone::get(name).is_ok()
}

impl StompConfig {
    /// The time zone of `cron_time_zone`.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        match self.cron_time_zone.as_str() {
            SYSTEM => TimeZone::system(),
            name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
        }
    }
}
