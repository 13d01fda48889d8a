//! Commands, and which side of a connection may send them.

use std::fmt;

/// The command of a frame.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Client: opens a session.
    Connect,
    /// Client: opens a session, as CONNECT does.
    Stomp,
    /// Client: sends a message to a destination.
    Send,
    /// Client: registers to listen to a destination.
    Subscribe,
    /// Client: ends a subscription.
    Unsubscribe,
    /// Client: acknowledges a message.
    Ack,
    /// Client: tells that a message was not consumed.
    Nack,
    /// Client: opens a transaction.
    Begin,
    /// Client: commits a transaction.
    Commit,
    /// Client: rolls a transaction back.
    Abort,
    /// Client: ends the session.
    Disconnect,
    /// Server: the session is open.
    Connected,
    /// Server: delivers a message.
    Message,
    /// Server: a frame with a `receipt` header has been dealt with.
    Receipt,
    /// Server: something went wrong; the connection closes.
    Error,
}

/// Which side's frames a decoder accepts.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We are the server: decodes what clients send.
    Server,
    /// We are the client: decodes what servers send.
    Client,
}

/// What becomes of the bytes between a frame's head and its NUL.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// They are the frame's body.
    Kept,
    /// They are read over.
    Skipped,
    /// There must be none.
    Refused,
}

impl Command {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
            Self::Connected => "CONNECTED",
            Self::Message => "MESSAGE",
            Self::Receipt => "RECEIPT",
            Self::Error => "ERROR",
        }
    }

    /// Commands are case-sensitive in every version.
    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"SEND" => Self::Send,
            b"MESSAGE" => Self::Message,
            b"ACK" => Self::Ack,
            b"NACK" => Self::Nack,
            b"SUBSCRIBE" => Self::Subscribe,
            b"UNSUBSCRIBE" => Self::Unsubscribe,
            b"BEGIN" => Self::Begin,
            b"COMMIT" => Self::Commit,
            b"ABORT" => Self::Abort,
            b"CONNECT" => Self::Connect,
            b"STOMP" => Self::Stomp,
            b"DISCONNECT" => Self::Disconnect,
            b"CONNECTED" => Self::Connected,
            b"RECEIPT" => Self::Receipt,
            b"ERROR" => Self::Error,
            _ => return None,
        })
    }

    /// Whether the version is only being agreed on: such frames are never escaped, so that an
    /// older peer can read them (STOMP 1.2 §Value Encoding).
    pub(crate) const fn is_handshake(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }

    /// Whether a `content-length` belongs on the frame even when its body is empty.
    pub(crate) const fn carries_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// The side that decodes this command.
    pub(crate) const fn decoded_by(self) -> Role {
        match self {
            Self::Connected | Self::Message | Self::Receipt | Self::Error => Role::Client,
            Self::Connect
            | Self::Stomp
            | Self::Send
            | Self::Subscribe
            | Self::Unsubscribe
            | Self::Ack
            | Self::Nack
            | Self::Begin
            | Self::Commit
            | Self::Abort
            | Self::Disconnect => Role::Server,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
