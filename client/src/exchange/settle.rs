//! ACK and NACK frames.

use std::sync::atomic::Ordering;

use stompbox_protocol::{Command as Verb, Version, encode};

use super::receipt::{Call, OnLoss, answer};
use super::{Exchange, number_header, text_header};
use crate::ClientError;
use crate::dialect::Dialect;
use crate::settle::{Requeue, Settlement, Token, Verdict};
use crate::shared::{ConsumerId, Reply};

impl Exchange {
    /// Tells the broker of one message. Of one that came before a loss there is nothing to tell: it comes again.
    pub(crate) fn settle(&mut self, settlement: &Settlement, reply: Option<Reply<()>>) {
        let is_current = self
            .consumers
            .get(&settlement.consumer)
            .is_some_and(|entry| {
                entry.mailbox.generation.load(Ordering::Acquire) == settlement.generation
            });
        if !is_current {
            if let Some(reply) = reply {
                answer(reply, Err(ClientError::Stale));
            }
            return;
        }
        let transaction = match &settlement.transaction {
            None => None,
            Some((session, message_id)) => {
                let (consumer, token) = (settlement.consumer, settlement.token.clone());
                Some(self.settle_in_transaction(*session, consumer, token, message_id.clone()))
            }
        };
        let call = reply.map(|reply| Call {
            reply,
            on_loss: OnLoss::Stale,
        });
        let receipt = self.expect_call(call);
        self.write_settlement(
            settlement.consumer,
            settlement.verdict,
            &settlement.token,
            receipt,
            transaction,
        );
    }

    /// Writes an ACK or NACK.
    pub(super) fn write_settlement(
        &mut self,
        consumer: ConsumerId,
        verdict: Verdict,
        token: &Token,
        receipt: Option<super::ReceiptId>,
        transaction: Option<u64>,
    ) {
        let verb = match verdict {
            Verdict::Ack => Verb::Ack,
            Verdict::Nack { .. } => Verb::Nack,
        };
        self.frame(verb, receipt, |out, agreement, consumers| {
            let name: &[u8] = match agreement.version {
                Version::V1_2 => b"id",
                Version::V1_0 | Version::V1_1 => b"message-id",
            };
            encode::header(out, agreement.version, name, token.as_bytes());
            if agreement.version == Version::V1_1
                && let Some(entry) = consumers.get(&consumer)
            {
                text_header(out, agreement, "subscription", &entry.wire_id);
            }
            if let Some(number) = transaction {
                number_header(out, "transaction", number);
            }
            let Verdict::Nack { delay, requeue } = verdict else {
                return;
            };
            if let Some(delay) = delay {
                number_header(out, "x-delay", delay.as_millis());
            }
            match requeue {
                Requeue::No => out.extend_from_slice(b"requeue:false\n"),
                Requeue::Yes if agreement.dialect == Dialect::RabbitMq => {
                    out.extend_from_slice(b"requeue:true\n");
                }
                Requeue::Yes => {}
            }
        });
    }
}
