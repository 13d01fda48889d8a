//! Receipts that are waited for, and what each stands for.

use stompbox_protocol::FrameRef;

use super::transaction::Log;
use super::{Exchange, Phase, number_header};
use crate::command::Send;
use crate::producer::SendReceipt;
use crate::shared::{ConsumerId, Reply, SessionId};
use crate::{ClientError, Resolution};

/// Names a receipt; unique over all connections of an [`Exchange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReceiptId(pub(super) u64);

impl ReceiptId {
    pub(super) fn of(frame: &FrameRef<'_>) -> Option<Self> {
        frame.text("receipt-id")?.parse().ok().map(Self)
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        number_header(out, "receipt", self.0);
    }
}

/// What a receipt will confirm.
#[derive(Debug)]
pub(super) enum Pending {
    Send(Box<Send>),
    Subscribe(ConsumerId),
    Call(Call),
    Commit {
        session: SessionId,
        log: Log,
        reply: Reply<()>,
    },
    Resolve {
        session: SessionId,
        log: Log,
        reply: Reply<Resolution>,
    },
    Disconnect,
}

/// A call that is made once and not again.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) reply: Reply<()>,
    pub(super) on_loss: OnLoss,
}

/// What the loss of the connection means for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLoss {
    /// It has the same effect.
    Done,
    /// It was about a message that comes again.
    Stale,
    /// It is not known whether it was carried out.
    Interrupted,
}

impl Exchange {
    /// Deals with a RECEIPT.
    pub(super) fn receipt(&mut self, frame: &FrameRef<'_>) {
        let pending = ReceiptId::of(frame).and_then(|id| self.pending.remove(&id));
        match pending {
            // Of a restored subscription, or of a call of before the loss.
            None => {}
            Some(Pending::Send(mut send)) => {
                if let Some(completer) = send.completer.take() {
                    completer.complete(Ok(SendReceipt::of(frame)));
                }
            }
            Some(Pending::Subscribe(consumer)) => self.subscribed(consumer),
            Some(Pending::Call(call)) => answer(call.reply, Ok(())),
            Some(Pending::Commit { reply, .. }) => answer(reply, Ok(())),
            Some(Pending::Resolve { log, reply, .. }) => {
                answer(reply, Ok(Resolution::new(log.sends.len())));
            }
            Some(Pending::Disconnect) => self.phase = Phase::Over,
        }
    }

    /// The broker has refused what a receipt was to confirm: none of it has happened.
    pub(super) fn refuse(&mut self, pending: Pending, error: &ClientError) {
        match pending {
            Pending::Send(mut send) => {
                if let Some(completer) = send.completer.take() {
                    completer.complete(Err(error.clone()));
                }
            }
            Pending::Subscribe(consumer) => self.fail_consumer(consumer, error),
            Pending::Call(call) => answer(call.reply, Err(error.clone())),
            Pending::Commit { reply, .. } => answer(reply, Err(error.clone())),
            Pending::Resolve {
                session,
                log,
                reply,
            } => {
                self.ledgers.entry(session).or_default().in_doubt = Some(log);
                answer(reply, Err(error.clone()));
            }
            Pending::Disconnect => {}
        }
    }
}

/// Answers a caller.
pub(super) fn answer<T>(reply: Reply<T>, outcome: Result<T, ClientError>) {
    // Fails if the caller no longer waits: then nobody wants to know.
    reply.send(outcome).ok();
}
