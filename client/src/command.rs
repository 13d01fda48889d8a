//! What handles ask of the connection's task.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use crate::consumer::Mailbox;
use crate::producer::SendReceipt;
use crate::settle::Settlement;
use crate::shared::{ConsumerId, Reply, SessionId, Shared};
use crate::subscription::{Purpose, Subscription};
use crate::{ClientError, Destination, OutgoingMessage, Resolution};

/// A command.
#[derive(Debug)]
pub(crate) enum Command {
    Send(Box<Send>),
    Subscribe(Box<Subscribe>),
    Unsubscribe {
        consumer: ConsumerId,
        reply: Reply<()>,
    },
    /// Ends a durable subscription for good.
    Delete {
        subscription: Box<Subscription>,
        reply: Reply<()>,
    },
    /// An acknowledgement that is to be confirmed.
    Settle {
        settlement: Box<Settlement>,
        reply: Reply<()>,
    },
    Commit {
        session: SessionId,
        reply: Reply<()>,
    },
    Rollback {
        session: SessionId,
        reply: Reply<()>,
    },
    Resolve {
        session: SessionId,
        reply: Reply<Resolution>,
    },
}

/// A message on its way to the broker.
#[derive(Debug)]
pub(crate) struct Send {
    pub(crate) destination: Destination,
    pub(crate) message: OutgoingMessage,
    pub(crate) expires: Option<SystemTime>,
    /// Numbers it within the connection, for a duplicate-detection id where the message has none of its own.
    pub(crate) number: Option<u64>,
    pub(crate) transaction: Option<SessionId>,
    /// Who waits for the receipt.
    pub(crate) completer: Option<Completer>,
    /// Whether it was sent before, and nobody knows what became of that.
    pub(crate) is_resent: bool,
    /// How often the connection ended with an ERROR while it was under way.
    pub(crate) refusals: u8,
}

/// A subscription to be made.
#[derive(Debug)]
pub(crate) struct Subscribe {
    pub(crate) consumer: ConsumerId,
    pub(crate) session: SessionId,
    pub(crate) subscription: Subscription,
    pub(crate) purpose: Purpose,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) reply: Reply<()>,
}

/// Tells a sender what became of a message, and makes room for the next one.
#[derive(Debug)]
pub(crate) struct Completer {
    reply: Option<oneshot::Sender<Result<SendReceipt, ClientError>>>,
    shared: Arc<Shared>,
}

impl Completer {
    /// Takes over a permit of [`Shared::in_flight`] that was forgotten.
    pub(crate) fn new(
        reply: oneshot::Sender<Result<SendReceipt, ClientError>>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            reply: Some(reply),
            shared,
        }
    }

    pub(crate) fn complete(mut self, outcome: Result<SendReceipt, ClientError>) {
        if let Some(reply) = self.reply.take() {
            // Fails if the sender no longer waits: then nobody wants to know.
            reply.send(outcome).ok();
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        self.shared.in_flight.add_permits(1);
    }
}
