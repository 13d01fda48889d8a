//! What was wrong with a peer's bytes, in words that help whoever sent them.

use std::fmt;

use crate::limits::Limit;
use crate::{Command, Foreign, Role, Version};

/// Why a decoder gave up. The connection cannot be resynchronised: answer with an ERROR frame made
/// of [`summary`](Self::summary), [`detail`](Self::detail) and [`receipt`](Self::receipt), close.
#[derive(Clone, Debug, thiserror::Error)]
pub struct DecodeError {
    // Boxed: the error travels in the result of every decoded frame.
    inner: Box<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    reason: Reason,
    receipt: Option<Vec<u8>>,
}

/// The kinds of [`DecodeError`]. Quoted text is printable ASCII of at most 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A limit was passed.
    OverLimit {
        /// Which one.
        limit: Limit,
        /// Its value.
        max: usize,
    },
    /// The first line of a frame is no command.
    UnknownCommand {
        /// The line.
        quoted: String,
        /// What the peer seems to speak instead.
        foreign: Option<Foreign>,
    },
    /// A command that only the other side may send.
    WrongSide {
        /// The command.
        command: Command,
    },
    /// A header line without a colon.
    HeaderWithoutColon {
        /// The line.
        quoted: String,
    },
    /// A header line without a name.
    EmptyHeaderName,
    /// A NUL inside the head of a frame.
    NulInHead,
    /// A backslash that begins no escape of the version.
    UndefinedEscape {
        /// The name of the header, raw.
        header: String,
        /// What stands behind the backslash, if anything.
        octet: Option<u8>,
        /// The version.
        version: Version,
    },
    /// A `content-length` that is not a number.
    BadContentLength {
        /// Its value.
        value: String,
    },
    /// The octet behind a body of declared length is not NUL.
    BodyNotTerminated {
        /// The declared length.
        body_bytes: usize,
    },
    /// A body on a frame that may not carry one.
    UnexpectedBody {
        /// The command of the frame.
        command: Command,
    },
}

impl DecodeError {
    pub(crate) fn new(reason: Reason, receipt: Option<Vec<u8>>) -> Self {
        Self {
            inner: Box::new(Inner { reason, receipt }),
        }
    }

    /// Another reason for the same frame.
    pub(crate) fn because(mut self, reason: Reason) -> Self {
        self.inner.reason = reason;
        self
    }

    /// What kind of error it is.
    pub fn reason(&self) -> &Reason {
        &self.inner.reason
    }

    /// One line for the `message` header of an ERROR frame.
    pub fn summary(&self) -> &'static str {
        self.inner.reason.summary()
    }

    /// What was wrong and what to do about it, for the body of an ERROR frame.
    pub fn detail(&self) -> String {
        self.inner.reason.detail()
    }

    /// The `receipt` of the failing frame, decoded, if it had been read by then.
    pub fn receipt(&self) -> Option<&[u8]> {
        self.inner.receipt.as_deref()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.summary())
    }
}

impl Reason {
    /// Whether the peer speaks another protocol.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(
            self,
            Self::UnknownCommand {
                foreign: Some(_),
                ..
            }
        )
    }

    fn summary(&self) -> &'static str {
        match self {
            Self::OverLimit { limit, .. } => limit.summary(),
            Self::UnknownCommand { .. } => "unknown command",
            Self::WrongSide { .. } => "command not allowed from this side",
            Self::HeaderWithoutColon { .. } => "header line without a colon",
            Self::EmptyHeaderName => "header without a name",
            Self::NulInHead => "NUL inside the headers",
            Self::UndefinedEscape { .. } => "undefined escape in a header",
            Self::BadContentLength { .. } => "content-length is not a number",
            Self::BodyNotTerminated { .. } => "no NUL after the body",
            Self::UnexpectedBody { .. } => "body not allowed on this frame",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::OverLimit { limit, max } => over_limit(*limit, *max),
            Self::UnknownCommand { quoted, foreign } => unknown_command(quoted, *foreign),
            Self::WrongSide { command } => wrong_side(*command),
            Self::HeaderWithoutColon { quoted } => format!(
                "The header line \"{quoted}\" has no colon. Headers are written name:value, one a \
                 line; a blank line ends them."
            ),
            Self::EmptyHeaderName => {
                "A header line has nothing before its colon. Give the header a name.".to_owned()
            }
            Self::NulInHead => "A NUL stands inside the command line or the headers. A blank line \
                                must end the headers before the NUL that ends the frame."
                .to_owned(),
            Self::UndefinedEscape {
                header,
                octet,
                version,
            } => undefined_escape(header, *octet, *version),
            Self::BadContentLength { value } => format!(
                "The content-length \"{value}\" is not a number. Send the length of the body in \
                 octets, as digits only, or leave the header out."
            ),
            Self::BodyNotTerminated { body_bytes } => format!(
                "The content-length says {body_bytes}, but no NUL follows that many octets of \
                 body. It counts octets, not characters, and leaves the NUL out."
            ),
            Self::UnexpectedBody { command } => format!(
                "{command} may not carry a body: the NUL must follow the blank line at once. Only \
                 SEND, MESSAGE and ERROR have bodies."
            ),
        }
    }
}

fn over_limit(limit: Limit, max: usize) -> String {
    let key = limit.config_key();
    let (what, advice) = match limit {
        Limit::CommandBytes => ("The command line is longer", "Send a STOMP command."),
        Limit::HeaderLineBytes => (
            "A header line is longer",
            "Move large values into the body, or raise the limit.",
        ),
        Limit::HeaderCount => (
            "There are more header lines",
            "Send fewer headers, or raise the limit.",
        ),
        Limit::HeaderBlockBytes => (
            "The headers together are longer",
            "Send fewer or shorter headers, or raise the limit.",
        ),
        Limit::BodyBytes => (
            "The body is longer",
            "Split the message, or raise the limit.",
        ),
        Limit::UnauthenticatedBytes => (
            "More was sent before the login",
            "Send CONNECT first and wait for CONNECTED.",
        ),
    };
    format!("{what} than {key} = {max} allows. {advice}")
}

fn unknown_command(quoted: &str, foreign: Option<Foreign>) -> String {
    let advice = foreign.map_or(
        "A frame begins with a STOMP command in capitals on a line of its own.",
        Foreign::advice,
    );
    format!("\"{quoted}\" is not a STOMP command. {advice}")
}

fn wrong_side(command: Command) -> String {
    let sender = match command.decoded_by() {
        Role::Server => "clients",
        Role::Client => "servers",
    };
    format!("{command} is sent by {sender} only.")
}

fn undefined_escape(header: &str, octet: Option<u8>, version: Version) -> String {
    let found = match octet {
        Some(octet @ b'!'..=b'~') => format!("\\{}", char::from(octet)),
        Some(octet) => format!("a backslash and octet 0x{octet:02x}"),
        None => "a backslash at its end".to_owned(),
    };
    let defined = match version {
        Version::V1_0 => "none",
        Version::V1_1 => "\\n, \\c and \\\\",
        Version::V1_2 => "\\r, \\n, \\c and \\\\",
    };
    format!("The header \"{header}\" holds {found}. STOMP {version} defines {defined}.")
}
