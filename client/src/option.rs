//! What a caller may choose about a connection.

use std::time::Duration;

use stompbox_protocol::Limits;

/// How to connect.
///
/// ```
/// use std::time::Duration;
/// use stompbox_client::{ConnectOptions, HeartBeat};
///
/// let options = ConnectOptions {
///     client_id: Some("billing-1".to_owned()),
///     heart_beat: HeartBeat { send: Duration::from_secs(5), receive: Duration::from_secs(5) },
///     ..ConnectOptions::default()
/// };
/// ```
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Header `host`; many brokers ignore it. Default: the host of the address.
    pub host: Option<String>,
    /// Header `login`.
    pub login: Option<String>,
    /// Header `passcode`.
    pub passcode: Option<Passcode>,
    /// Header `client-id`: the identity of durable subscriptions, one live connection each.
    pub client_id: Option<String>,
    /// The heart-beats to agree on. Default: 10 s in both directions.
    pub heart_beat: HeartBeat,
    /// How long to wait for the session. Default: 10 s.
    pub timeout: Duration,
    /// How many messages wait for [`Connection::next_message`](crate::Connection::next_message) before the connection
    /// is no longer read. Default: 1,000.
    pub inbox_messages: usize,
    /// How many bytes of messages may come while a receipt is waited for. Default: 64 MiB.
    pub inbox_bytes: usize,
    /// The largest frames to accept.
    pub limits: Limits,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            host: None,
            login: None,
            passcode: None,
            client_id: None,
            heart_beat: HeartBeat::default(),
            timeout: Duration::from_secs(10),
            inbox_messages: 1_000,
            inbox_bytes: 64 << 20,
            limits: Limits::default(),
        }
    }
}

/// A secret that no log shows.
#[derive(Clone)]
pub struct Passcode(String);

impl Passcode {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Passcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passcode(..)")
    }
}

/// Wishes for heart-beats; zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartBeat {
    /// How often we can send something.
    pub send: Duration,
    /// How often we want the broker to send something.
    pub receive: Duration,
}

impl Default for HeartBeat {
    fn default() -> Self {
        let interval = Duration::from_secs(10);
        Self {
            send: interval,
            receive: interval,
        }
    }
}
