//! What can go wrong, split by what the caller can do about it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::{Command, DecodeError};

use crate::dialect::Feature;

/// Why a call failed. [`retry`](Self::retry) says whether to call again.
///
/// ```
/// use stompbox_client::ClientError;
///
/// fn report(error: &ClientError) {
///     if error.is_transient() {
///         eprintln!("trying again later: {error}");
///     } else {
///         eprintln!("giving up: {error}");
///     }
/// }
/// # report(&ClientError::Stale);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address of a broker cannot be understood.
    #[error("{url:?} is no address of a broker: {reason}")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it, and what is right.
        reason: String,
    },
    /// A header, a certificate or another value cannot be used.
    #[error("{what}: {reason}")]
    Invalid {
        /// What was given.
        what: &'static str,
        /// Why it cannot be used.
        reason: String,
    },
    /// No connection could be made.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The broker's certificate, or the handshake, is not acceptable to one of the sides.
    #[error("no secure connection to {address}")]
    Insecure {
        /// Where to.
        address: String,
        /// What was wrong.
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
    /// The broker answered with an ERROR.
    #[error("the broker refused: {message}")]
    Refused {
        /// Its header `message`.
        message: String,
        /// Its body: what was wrong, and what to do about it.
        detail: String,
    },
    /// The broker closed the connection without a word.
    #[error("the broker closed the connection")]
    Closed,
    /// This program has closed the connection, the session, or the last handle of it.
    #[error("closed by this program")]
    Ended,
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
    /// What came is not STOMP, or over a limit of [`ConnectionBuilder::limits`](crate::ConnectionBuilder::limits).
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
    /// [`Reconnect`](crate::Reconnect) allows no further attempt.
    #[error("given up after {attempts} attempts to reconnect")]
    GivenUp {
        /// How many were made.
        attempts: u32,
        /// Why the last one failed.
        #[source]
        source: Box<ClientError>,
    },
    /// The connection was lost while the call was under way. It may have been carried out.
    #[error("the connection was lost meanwhile")]
    Interrupted {
        /// How it was lost.
        #[source]
        source: Box<ClientError>,
    },
    /// The broker, or the version of STOMP that it speaks, has no such thing.
    #[error("{feature} does not exist with {server}")]
    Unsupported {
        /// What was asked for.
        feature: Feature,
        /// The broker as it names itself, and the version.
        server: String,
    },
    /// The message needs no acknowledgement: its session does that, or nobody.
    #[error("the message is not for this program to acknowledge")]
    NothingToAcknowledge,
    /// The message was acknowledged before.
    #[error("the message is acknowledged already")]
    AlreadySettled,
    /// The connection was lost since the message came. The broker delivers it again, marked as redelivered.
    #[error("the message came on a connection that is lost")]
    Stale,
    /// The session has no transactions: its mode is not
    /// [`Transacted`](crate::AcknowledgeMode::Transacted).
    #[error("the session is not transacted")]
    NotTransacted,
    /// The transaction was lost with the connection: nothing of it has happened, its messages come again.
    #[error("the transaction was rolled back, as its connection was lost")]
    RolledBack,
    /// The connection was lost between COMMIT and its receipt: all of it has happened, or nothing.
    /// [`Session::resolve`](crate::Session::resolve) makes sure of the sends; acknowledgements that did not happen
    /// show as messages with [`is_in_doubt`](crate::Message::is_in_doubt).
    #[error("the connection was lost before COMMIT was confirmed")]
    CommitInDoubt {
        /// How many messages were sent in it.
        sends: usize,
        /// How many were acknowledged in it.
        acknowledgements: usize,
    },
    /// The transaction outgrew what is kept to resolve it. It was rolled back.
    #[error("the transaction was rolled back: it is over {limit}")]
    TransactionTooLarge {
        /// Which limit it met.
        limit: &'static str,
    },
    /// No reply came in time.
    #[error("no reply within {timeout:?}")]
    NoReply {
        /// How long was waited.
        timeout: Duration,
    },
}

/// Whether to call again.
///
/// ```
/// use stompbox_client::{ClientError, Retry};
///
/// assert_eq!(ClientError::Closed.retry(), Retry::Later);
/// assert_eq!(ClientError::RolledBack.retry(), Retry::Transaction);
/// assert_eq!(ClientError::NotTransacted.retry(), Retry::Never);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// The same call may succeed later. What it was about may have happened all the same.
    Later,
    /// Everything since the last commit must be done again; none of it has happened.
    Transaction,
    /// First find out what has happened: [`Session::resolve`](crate::Session::resolve).
    Resolve,
    /// The same call fails again.
    Never,
}

impl ClientError {
    /// Whether a retry can help, and which.
    ///
    /// ```
    /// # use stompbox_client::{ClientError, Retry};
    /// assert_eq!(ClientError::Stale.retry(), Retry::Never);
    /// ```
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unreachable { .. }
            | Self::ConnectTimeout { .. }
            | Self::Closed
            | Self::Broken { .. }
            | Self::Silent { .. }
            | Self::GivenUp { .. }
            | Self::Interrupted { .. }
            | Self::NoReply { .. } => Retry::Later,
            Self::RolledBack => Retry::Transaction,
            Self::CommitInDoubt { .. } => Retry::Resolve,
            Self::InvalidUrl { .. }
            | Self::Invalid { .. }
            | Self::Insecure { .. }
            | Self::Refused { .. }
            | Self::Ended
            | Self::Malformed { .. }
            | Self::Unexpected { .. }
            | Self::UnknownVersion { .. }
            | Self::Unsupported { .. }
            | Self::NothingToAcknowledge
            | Self::AlreadySettled
            | Self::Stale
            | Self::NotTransacted
            | Self::TransactionTooLarge { .. } => Retry::Never,
        }
    }

    /// Whether any retry can help.
    ///
    /// ```
    /// # use stompbox_client::ClientError;
    /// assert!(ClientError::Closed.is_transient());
    /// ```
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.retry() != Retry::Never
    }

    /// What a call gets that the loss of the connection cut short.
    pub(crate) fn interrupted(&self) -> Self {
        Self::Interrupted {
            source: Box::new(self.clone()),
        }
    }

    pub(crate) fn broken(source: io::Error) -> Self {
        Self::Broken {
            source: Arc::new(source),
        }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl ToString) -> Self {
        Self::Invalid {
            what,
            reason: reason.to_string(),
        }
    }
}
