//! BEGIN, COMMIT, ABORT: what was sent in an open transaction waits here; what was acknowledged in it waits with
//! the dispatcher, which owns the entries.

use stompbox_protocol::FrameRef;

use super::output::Output;
use super::{Session, field, next_handle};
use crate::core::memory::{Held, MESSAGE_OVERHEAD_BYTES, Share};
use crate::core::message::Publication;
use crate::core::port::{ReceiptId, Refusal, Request, TransactionHandle};

/// A transaction between BEGIN and its end.
#[derive(Debug)]
pub(super) struct OpenTransaction {
    handle: TransactionHandle,
    sends: Vec<Publication>,
    frames: usize,
    bytes: usize,
    held: Held,
}

impl Session {
    pub(super) fn begin(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let id = field::required(frame, "transaction")?;
        if self.transactions.contains_key(&id) {
            return Err(Refusal::new(
                "transaction is open",
                format!("transaction '{}' has begun already", field::excerpt(&id)),
            ));
        }
        let limit = self.settings.limits.transactions;
        if self.transactions.len() >= limit {
            return Err(Refusal::new(
                "too many open transactions",
                format!(
                    "this connection has {limit} open transactions, which is limits.transactions: \
                     COMMIT or ABORT some, or raise the limit"
                ),
            ));
        }
        let handle = self.next_transaction;
        self.next_transaction = TransactionHandle(next_handle(handle.0, "BEGIN")?);
        let open = OpenTransaction {
            handle,
            sends: Vec::new(),
            frames: 0,
            bytes: 0,
            held: self.settings.budget.hold(Share::Transactions),
        };
        self.transactions.insert(id, open);
        if let Some(receipt) = receipt {
            self.receipt(&receipt, output);
        }
        Ok(())
    }

    pub(super) fn commit(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let open = self.end_transaction(frame)?;
        let (transaction, sends) = (open.handle, open.sends);
        output.requests.push(Request::Commit {
            transaction,
            sends,
            receipt,
        });
        Ok(())
    }

    pub(super) fn abort(
        &mut self,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let transaction = self.end_transaction(frame)?.handle;
        output.requests.push(Request::Abort {
            transaction,
            receipt,
        });
        Ok(())
    }

    fn end_transaction(&mut self, frame: &FrameRef<'_>) -> Result<OpenTransaction, Refusal> {
        let id = field::required(frame, "transaction")?;
        self.transactions.remove(&id).ok_or_else(|| unknown(&id))
    }

    pub(super) fn send_in_transaction(
        &mut self,
        id: &[u8],
        publication: Publication,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        // Holding it back would hold its COMMIT back as well, which is what frees the memory.
        let budget = &self.settings.budget;
        let what = if budget.is_over() {
            "messages in memory have reached"
        } else if budget.is_taken(Share::Transactions) {
            "what open transactions have sent has reached half of"
        } else {
            let bytes = publication.message.bytes() + MESSAGE_OVERHEAD_BYTES;
            let open = self.enter(id, bytes)?;
            open.held.grow(bytes);
            open.sends.push(publication);
            if let Some(receipt) = receipt {
                self.receipt(&receipt, output);
            }
            return Ok(());
        };
        Err(Refusal::new(
            "memory is full",
            format!(
                "{what} limits.memory_bytes = {}, and an open transaction cannot wait: try again when \
                 others have come to an end or consumers have caught up, or raise the limit",
                self.settings.limits.memory_bytes
            ),
        ))
    }

    /// The transaction that an ACK or NACK takes part in.
    pub(super) fn transaction_of_ack(
        &mut self,
        frame: &FrameRef<'_>,
    ) -> Result<Option<TransactionHandle>, Refusal> {
        match frame.header("transaction") {
            None => Ok(None),
            Some(id) => Ok(Some(self.enter(&id, 0)?.handle)),
        }
    }

    /// Counts one more frame of a transaction.
    fn enter(&mut self, id: &[u8], bytes: usize) -> Result<&mut OpenTransaction, Refusal> {
        let limits = &self.settings.limits;
        let open = self.transactions.get_mut(id).ok_or_else(|| unknown(id))?;
        open.frames += 1;
        open.bytes += bytes;
        if open.frames > limits.transaction_frames {
            return Err(Refusal::transaction_too_large(
                "frames",
                limits.transaction_frames,
                "transaction_frames",
            ));
        }
        if open.bytes > limits.transaction_bytes {
            return Err(Refusal::transaction_too_large(
                "bytes",
                limits.transaction_bytes,
                "transaction_bytes",
            ));
        }
        Ok(open)
    }
}

fn unknown(id: &[u8]) -> Refusal {
    Refusal::new(
        "unknown transaction",
        format!(
            "transaction '{}' has not begun, or has ended: BEGIN it first",
            field::excerpt(id)
        ),
    )
}
