//! What can go wrong, split by what the caller can do about it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::{Command, DecodeError, Version};

/// Why a call failed.
///
/// Once a connection has ended, every further call on it fails with the error that ended it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection could be made.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The broker did not answer CONNECT in time.
    #[error("no session with {address} within {timeout:?}")]
    ConnectTimeout {
        /// Where to.
        address: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The broker answered with an ERROR and closed the connection.
    #[error("the broker refused: {message}")]
    Refused {
        /// Its header `message`.
        message: String,
        /// Its body: what was wrong, and what to do about it.
        detail: String,
        /// The receipt that the refused frame had asked for.
        receipt: Option<String>,
    },
    /// The broker closed the connection without a word.
    #[error("the broker closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Broken {
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The broker has been silent for twice the agreed heart-beat interval.
    #[error("nothing came from the broker for {silence:?}")]
    Silent {
        /// For how long.
        silence: Duration,
    },
    /// What came is not STOMP, or over a limit of [`ConnectOptions::limits`](crate::ConnectOptions::limits).
    #[error("the peer does not keep to the protocol")]
    Malformed {
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// A frame that is legal, but not here.
    #[error("unexpected {command} frame")]
    Unexpected {
        /// Its command.
        command: Command,
    },
    /// The broker chose a version that was not offered.
    #[error("the broker speaks STOMP {version:?}, which was not offered")]
    UnknownVersion {
        /// The version that it named.
        version: String,
    },
    /// The buffer for messages ran full while the answer to a call was waited for. The outcome of the call is unknown;
    /// the connection is intact.
    #[error("more than {inbox_bytes} bytes of messages came before the receipt")]
    InboxFull {
        /// [`ConnectOptions::inbox_bytes`](crate::ConnectOptions::inbox_bytes).
        inbox_bytes: usize,
    },
    /// The message needs no acknowledgement: its subscription is [`Acknowledge::Auto`](crate::Acknowledge::Auto).
    #[error("the message cannot be acknowledged")]
    NothingToAcknowledge,
    /// The session's version has no such frame.
    #[error("{command} does not exist in STOMP {version}")]
    Unsupported {
        /// The frame.
        command: Command,
        /// The version.
        version: Version,
    },
}

/// Whether to call again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// A new connection may succeed. What the call was about may have happened all the same: a message that is sent
    /// again may arrive twice, and so may one that was received and not acknowledged.
    OnNewConnection,
    /// The connection works again when messages have been taken from it.
    AfterTakingMessages,
    /// The same call fails again.
    Never,
}

impl ClientError {
    /// Whether a retry can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unreachable { .. }
            | Self::ConnectTimeout { .. }
            | Self::Closed
            | Self::Broken { .. }
            | Self::Silent { .. } => Retry::OnNewConnection,
            Self::InboxFull { .. } => Retry::AfterTakingMessages,
            Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Unexpected { .. }
            | Self::UnknownVersion { .. }
            | Self::NothingToAcknowledge
            | Self::Unsupported { .. } => Retry::Never,
        }
    }
}
