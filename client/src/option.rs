//! What a caller may choose about a connection.

use std::time::Duration;

/// A secret that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Passcode(pub(crate) String);

impl std::fmt::Debug for Passcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passcode(..)")
    }
}

/// Wishes for heart-beats; zero is none.
///
/// ```
/// use std::time::Duration;
/// use stompbox_client::HeartBeat;
///
/// let eager = HeartBeat { send: Duration::from_secs(2), receive: Duration::from_secs(2) };
/// assert_ne!(eager, HeartBeat::default());
/// assert_eq!(HeartBeat::NONE.send, Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeartBeat {
    /// How often we can send something.
    pub send: Duration,
    /// How often we want the broker to send something.
    pub receive: Duration,
}

impl HeartBeat {
    /// None in either direction: a peer that has vanished is noticed only when something is sent to it.
    pub const NONE: Self = Self {
        send: Duration::ZERO,
        receive: Duration::ZERO,
    };
}

/// 10 s in both directions.
impl Default for HeartBeat {
    fn default() -> Self {
        let interval = Duration::from_secs(10);
        Self {
            send: interval,
            receive: interval,
        }
    }
}

/// What happens when a connection is lost: whether, where and how fast another one is made.
///
/// By default attempts never end. They come after 100 ms, 200 ms and so on up to 30 s, each shortened at random by up to
/// half, so that a thousand clients do not return in the same instant. A list of addresses is tried as a whole before
/// each delay, from a place chosen at random.
///
/// ```
/// use std::time::Duration;
/// use stompbox_client::Reconnect;
///
/// let patient = Reconnect::default().attempts(Some(100)).longest_delay(Duration::from_secs(5));
/// assert_ne!(patient, Reconnect::never());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnect {
    pub(crate) attempts: Option<u32>,
    pub(crate) first_attempts: Option<u32>,
    pub(crate) initial_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) randomize: bool,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            attempts: None,
            first_attempts: Some(1),
            initial_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(30),
            randomize: true,
        }
    }
}

impl Reconnect {
    /// A connection that is lost stays lost, and every call on it fails.
    ///
    /// ```
    /// # use stompbox_client::Reconnect;
    /// assert_eq!(Reconnect::never(), Reconnect::default().attempts(Some(0)));
    /// ```
    #[must_use]
    pub fn never() -> Self {
        Self::default().attempts(Some(0))
    }

    pub(crate) fn is_never(&self) -> bool {
        self.attempts == Some(0)
    }

    /// How many rounds through the addresses are made after a loss; [`None`] is without end.
    ///
    /// ```
    /// # use stompbox_client::Reconnect;
    /// let ten_times = Reconnect::default().attempts(Some(10));
    /// ```
    #[must_use]
    pub fn attempts(mut self, rounds: Option<u32>) -> Self {
        self.attempts = rounds;
        self
    }

    /// How many rounds are made for the first connection. Default: one, so that a mistake in the address shows at once.
    ///
    /// ```
    /// # use stompbox_client::Reconnect;
    /// let waits_for_its_broker = Reconnect::default().first_attempts(None);
    /// ```
    #[must_use]
    pub fn first_attempts(mut self, rounds: Option<u32>) -> Self {
        // A first connection that is not tried is no connection.
        self.first_attempts = rounds.map(|rounds| rounds.max(1));
        self
    }

    /// The delay after the first round that failed; it doubles from round to round.
    ///
    /// ```
    /// # use {stompbox_client::Reconnect, std::time::Duration};
    /// let eager = Reconnect::default().initial_delay(Duration::from_millis(10));
    /// ```
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// The longest delay between two rounds.
    ///
    /// ```
    /// # use {stompbox_client::Reconnect, std::time::Duration};
    /// let restless = Reconnect::default().longest_delay(Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn longest_delay(mut self, delay: Duration) -> Self {
        self.longest_delay = delay;
        self
    }

    /// Whether a list of addresses is tried from a random place, or always from its first.
    ///
    /// ```
    /// # use stompbox_client::Reconnect;
    /// let first_choice_first = Reconnect::default().randomize(false);
    /// ```
    #[must_use]
    pub fn randomize(mut self, randomize: bool) -> Self {
        self.randomize = randomize;
        self
    }
}
