//! The loss of a connection, and what is done on the next one.

use stompbox_protocol::{Command as Verb, FrameRef};

use super::receipt::{OnLoss, Pending, ReceiptId, answer};
use super::{Exchange, Phase, Prospect};
use crate::ClientError;
use crate::command::Send;
use crate::handshake::Agreement;
use crate::shared::ConsumerId;
use crate::subscription::Purpose;
use crate::transport::{Framing, Output};

/// A message under way while the broker ends the connection with an ERROR so often is taken for the reason.
const REFUSALS_MAX: u8 = 3;

impl Exchange {
    /// A connection is made: everything that outlives one is done again on it.
    pub(crate) fn restore(&mut self, agreement: Agreement, framing: Framing) {
        self.agreement = agreement;
        self.output = Output::new(framing);
        self.phase = Phase::Open;
        self.refusal = None;
        self.subscribe_all();
        let pending = std::mem::take(&mut self.pending);
        for (receipt, pending) in pending {
            match pending {
                Pending::Send(send) => {
                    self.write_send(&send, Some(receipt), None);
                    self.pending.insert(receipt, Pending::Send(send));
                }
                // Just made, by `subscribe_all`.
                other => {
                    self.pending.insert(receipt, other);
                }
            }
        }
    }

    /// The connection is lost.
    pub(crate) fn lose(&mut self, error: &ClientError) {
        self.output = Output::new(Framing::Stream);
        self.drop_staged();
        self.stalled = None;
        for entry in self.consumers.values() {
            entry.mailbox.renew();
        }
        for ledger in self.ledgers.values_mut() {
            ledger.lose();
        }
        let pending = std::mem::take(&mut self.pending);
        for (receipt, pending) in pending {
            self.lose_pending(receipt, pending, error);
        }
        self.end_browsers(error);
    }

    /// There is no further connection: everybody is told.
    pub(crate) fn conclude(&mut self, error: &ClientError) {
        let ids: Vec<ConsumerId> = self.consumers.keys().copied().collect();
        for id in ids {
            self.fail_consumer(id, error);
        }
        for (_, pending) in std::mem::take(&mut self.pending) {
            self.refuse(pending, error);
        }
        self.ledgers.clear();
    }

    fn lose_pending(&mut self, receipt: ReceiptId, pending: Pending, error: &ClientError) {
        match pending {
            Pending::Send(send) => self.lose_send(receipt, send, error),
            Pending::Call(call) => answer(
                call.reply,
                match call.on_loss {
                    OnLoss::Done => Ok(()),
                    OnLoss::Stale => Err(ClientError::Stale),
                    OnLoss::Interrupted => Err(error.interrupted()),
                },
            ),
            Pending::Commit {
                session,
                mut log,
                reply,
            } => {
                log.sends.iter_mut().for_each(|send| send.is_resent = true);
                for id in log.message_ids() {
                    self.doubtful.add(id);
                }
                answer(reply, Err(log.in_doubt()));
                self.ledgers.entry(session).or_default().in_doubt = Some(log);
            }
            Pending::Resolve {
                session,
                log,
                reply,
            } => {
                answer(reply, Err(log.in_doubt()));
                self.ledgers.entry(session).or_default().in_doubt = Some(log);
            }
            // The entry says that it is to be made again.
            Pending::Subscribe(_) | Pending::Disconnect => {}
        }
    }

    fn lose_send(&mut self, receipt: ReceiptId, mut send: Box<Send>, error: &ClientError) {
        if self.prospect == Prospect::None {
            if let Some(completer) = send.completer.take() {
                completer.complete(Err(error.clone()));
            }
            return;
        }
        if matches!(error, ClientError::Refused { .. }) {
            send.refusals += 1;
        }
        if send.refusals >= REFUSALS_MAX {
            self.refuse(Pending::Send(send), error);
        } else {
            send.is_resent = true;
            self.pending.insert(receipt, Pending::Send(send));
        }
    }

    /// Where one had got to is not known to another connection.
    fn end_browsers(&mut self, error: &ClientError) {
        let browsers: Vec<ConsumerId> = self
            .consumers
            .iter()
            .filter(|(_, entry)| entry.purpose == Purpose::Browse && entry.reply.is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in browsers {
            self.fail_consumer(id, &error.interrupted());
        }
    }

    /// What comes while the session is being closed only matters as far as somebody waits for it.
    pub(crate) fn take_last_frame(&mut self, frame: &FrameRef<'_>) -> Result<(), ClientError> {
        match frame.command() {
            Verb::Message => Ok(()),
            _ => self.take_frame(frame),
        }
    }
}
