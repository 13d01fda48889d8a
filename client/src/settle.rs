//! Acknowledgements on their way from the program to the connection.
//!
//! They never wait: there are at most as many as messages have been handed out, which the prefetch bounds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stompbox_protocol::{Frame, Version};

use crate::consumer::Mailbox;
use crate::dialect::Feature;
use crate::shared::{ConsumerId, Left, SessionId, Shared};
use crate::{AcknowledgeMode, ClientError, Message};

/// What is said of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ack,
    Nack {
        delay: Option<Duration>,
        requeue: Requeue,
    },
}

/// Whether a message is to be delivered again at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requeue {
    Yes,
    No,
}

/// By what an ACK or NACK names a delivery: the header `ack` in STOMP 1.2, `message-id` before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token(Box<[u8]>);

impl Token {
    pub(crate) fn of(frame: &Frame) -> Option<Self> {
        let header = match frame.version() {
            Version::V1_2 => "ack",
            Version::V1_0 | Version::V1_1 => "message-id",
        };
        frame
            .header(header)
            .map(|value| Self(value.into_owned().into_boxed_slice()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Settlement {
    pub(crate) consumer: ConsumerId,
    /// Of the consumer when the message came; of another one it is stale.
    pub(crate) generation: u32,
    pub(crate) verdict: Verdict,
    pub(crate) token: Token,
    /// The session whose transaction it belongs to, and the message's id for when that is in doubt.
    pub(crate) transaction: Option<(SessionId, Box<str>)>,
}

/// Settles the messages of one consumer.
#[derive(Debug)]
pub(crate) struct Settler {
    pub(crate) shared: Arc<Shared>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) consumer: ConsumerId,
    pub(crate) session: SessionId,
    pub(crate) mode: AcknowledgeMode,
}

impl Settler {
    /// What the program says of a message.
    pub(crate) fn settle(&self, message: &Message, verdict: Verdict) -> Result<(), ClientError> {
        let settlement = self.by_program(message, verdict)?;
        if let Some(settlement) = settlement {
            self.shared.leave(Left::Settlement(settlement));
        }
        Ok(())
    }

    /// The settlement that the program asks for; [`None`] where the broker has forgotten the message by itself.
    pub(crate) fn by_program(
        &self,
        message: &Message,
        verdict: Verdict,
    ) -> Result<Option<Settlement>, ClientError> {
        match self.mode {
            AcknowledgeMode::Client | AcknowledgeMode::Individual => {}
            AcknowledgeMode::Auto
            | AcknowledgeMode::Transacted
            | AcknowledgeMode::Unacknowledged => return Err(ClientError::NothingToAcknowledge),
        }
        if let Some(error) = self.shared.end() {
            return Err(error);
        }
        let version = message.frame().version();
        if verdict != Verdict::Ack && version == Version::V1_0 {
            return Err(ClientError::Unsupported {
                feature: Feature::Nack,
                server: format!("STOMP {version}"),
            });
        }
        let token = Token::of(message.frame()).ok_or(ClientError::NothingToAcknowledge)?;
        if !message.mark_settled() {
            return Err(ClientError::AlreadySettled);
        }
        if message.generation() != self.mailbox.generation.load(Ordering::Acquire) {
            return if message.returns() {
                Err(ClientError::Stale)
            } else {
                Ok(None)
            };
        }
        Ok(Some(self.settlement(message, verdict, token)))
    }

    /// What the session says of a message by itself: after a listener, or when it is handed out.
    pub(crate) fn by_session(&self, message: &Message, verdict: Verdict) {
        let Some(token) = Token::of(message.frame()) else {
            return;
        };
        let is_possible = verdict == Verdict::Ack || message.frame().version() > Version::V1_0;
        if is_possible && message.mark_settled() {
            let settlement = self.settlement(message, verdict, token);
            self.shared.leave(Left::Settlement(settlement));
        }
    }

    fn settlement(&self, message: &Message, verdict: Verdict, token: Token) -> Settlement {
        let transaction = (self.mode == AcknowledgeMode::Transacted).then(|| {
            let id = message.message_id().into_owned().into_boxed_str();
            (self.session, id)
        });
        Settlement {
            consumer: self.consumer,
            generation: message.generation(),
            verdict,
            token,
            transaction,
        }
    }
}
