//! Transactions of sessions.
//!
//! ```text
//!         first SEND or ACK           commit                RECEIPT
//!   none -------------------> open -----------> committing ---------> none
//!                              |  |                 |
//!                    rollback  |  | loss            | loss
//!                              v  v                 v
//!                            none doomed         in doubt --resolve--> resolving --RECEIPT--> none
//!                                   |
//!                                   +-- commit says so, and all that was taken is given back
//! ```

use std::collections::BTreeSet;

use stompbox_protocol::Command as Verb;

use super::receipt::{Call, OnLoss, Pending, answer};
use super::{Exchange, Prospect, number_header};
use crate::command::Send;
use crate::dialect::{Feature, TakeBack};
use crate::settle::{Requeue, Token, Verdict};
use crate::shared::{ConsumerId, Reply, SessionId};
use crate::{ClientError, Resolution};

/// The limits of stompbox for a transaction, as they bound what is kept here to resolve it.
const FRAMES_MAX: usize = 100_000;
const BYTES_MAX: usize = 64 << 20;

/// The transactions of one session.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    current: Option<Open>,
    pub(super) in_doubt: Option<Log>,
}

/// One that has begun here.
#[derive(Debug)]
struct Open {
    number: u64,
    /// BEGIN is written on this connection.
    has_begun: bool,
    doom: Option<Doom>,
    log: Log,
}

/// Why it can only be rolled back.
#[derive(Debug, Clone, Copy)]
enum Doom {
    Lost,
    TooLarge { limit: &'static str },
    Unsupported(Feature),
}

/// What was done in it.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) sends: Vec<Send>,
    acknowledged: Vec<(ConsumerId, Token, Box<str>)>,
    bytes: usize,
}

impl Log {
    fn limit_met(&self) -> Option<&'static str> {
        if self.sends.len() + self.acknowledged.len() > FRAMES_MAX {
            Some("100,000 messages")
        } else if self.bytes > BYTES_MAX {
            Some("64 MiB")
        } else {
            None
        }
    }

    pub(super) fn in_doubt(&self) -> ClientError {
        ClientError::CommitInDoubt {
            sends: self.sends.len(),
            acknowledgements: self.acknowledged.len(),
        }
    }

    pub(super) fn message_ids(&self) -> impl Iterator<Item = &str> {
        self.acknowledged.iter().map(|(_, _, id)| &**id)
    }
}

impl Ledger {
    /// The connection is lost, and with it what was not committed.
    pub(super) fn lose(&mut self) {
        if let Some(open) = &mut self.current {
            open.doom.get_or_insert(Doom::Lost);
            open.has_begun = false;
            open.log = Log::default();
        }
    }
}

impl Exchange {
    pub(super) fn send_in_transaction(&mut self, send: Box<Send>) {
        let Some(session) = send.transaction else {
            return;
        };
        let missing = (send.message.delay.is_some() && !self.agreement.has(Feature::Delay))
            .then_some(Doom::Unsupported(Feature::Delay));
        let open = self.open(session);
        if let Some(doom) = missing {
            open.doom.get_or_insert(doom);
        }
        if open.doom.is_some() {
            return;
        }
        let number = self.begun(session);
        self.write_send(&send, None, Some(number));
        let prospect = self.prospect;
        let log = &mut self.open(session).log;
        log.bytes += send.message.body.len() + send.message.headers.len();
        log.sends.push(*send);
        if prospect == Prospect::None {
            // Nothing can be resolved: only the count matters.
            if let Some(last) = log.sends.last_mut() {
                last.message = crate::OutgoingMessage::default();
            }
        }
        self.check_limits(session);
    }

    /// Returns the transaction's number.
    pub(super) fn settle_in_transaction(
        &mut self,
        session: SessionId,
        consumer: ConsumerId,
        token: Token,
        message_id: Box<str>,
    ) -> u64 {
        let number = self.begun(session);
        let log = &mut self.open(session).log;
        log.acknowledged.push((consumer, token, message_id));
        self.check_limits(session);
        number
    }

    pub(super) fn commit(&mut self, session: SessionId, reply: Reply<()>) {
        let current = self.ledgers.entry(session).or_default().current.take();
        let Some(open) = current else {
            answer(reply, Ok(()));
            return;
        };
        if let Some(doom) = open.doom {
            let error = match doom {
                Doom::Lost => ClientError::RolledBack,
                Doom::TooLarge { limit } => ClientError::TransactionTooLarge { limit },
                Doom::Unsupported(feature) => self.agreement.unsupported(feature),
            };
            self.abort(open, None);
            answer(reply, Err(error));
            return;
        }
        let receipt = self.expect(Pending::Commit {
            session,
            log: open.log,
            reply,
        });
        self.write_transaction(Verb::Commit, open.number, Some(receipt));
    }

    pub(super) fn rollback(&mut self, session: SessionId, reply: Option<Reply<()>>) {
        let ledger = self.ledgers.entry(session).or_default();
        match ledger.current.take() {
            Some(open) => self.abort(open, reply),
            None => {
                if let Some(reply) = reply {
                    answer(reply, Ok(()));
                }
            }
        }
    }

    /// Sends the messages of the transaction that is in doubt once more, under the same duplicate-detection ids.
    pub(super) fn resolve(&mut self, session: SessionId, reply: Reply<Resolution>) {
        let ledger = self.ledgers.entry(session).or_default();
        let Some(log) = ledger.in_doubt.take() else {
            answer(reply, Ok(Resolution::new(0)));
            return;
        };
        if log.sends.is_empty() {
            answer(reply, Ok(Resolution::new(0)));
            return;
        }
        if !self.agreement.has(Feature::DuplicateDetection) {
            ledger.in_doubt = Some(log);
            let error = self.agreement.unsupported(Feature::DuplicateDetection);
            answer(reply, Err(error));
            return;
        }
        let number = self.next_transaction();
        self.write_transaction(Verb::Begin, number, None);
        for send in &log.sends {
            self.write_send(send, None, Some(number));
        }
        let receipt = self.expect(Pending::Resolve {
            session,
            log,
            reply,
        });
        self.write_transaction(Verb::Commit, number, Some(receipt));
    }

    /// A session was dropped: its transaction is aborted, its consumers end.
    pub(crate) fn end_session(&mut self, session: SessionId) {
        self.rollback(session, None);
        self.ledgers.remove(&session);
        let of_session =
            |(id, entry): (&ConsumerId, &super::Entry)| (entry.session == session).then_some(*id);
        let consumers: Vec<ConsumerId> = self.consumers.iter().filter_map(of_session).collect();
        for consumer in consumers {
            self.unsubscribe(consumer, None);
        }
    }

    fn abort(&mut self, open: Open, reply: Option<Reply<()>>) {
        if !open.has_begun {
            if let Some(reply) = reply {
                answer(reply, Ok(()));
            }
            return;
        }
        let call = reply.map(|reply| Call {
            reply,
            on_loss: OnLoss::Done,
        });
        let receipt = self.expect_call(call);
        self.write_transaction(Verb::Abort, open.number, receipt);
        self.take_back(open.log);
    }

    /// What was acknowledged in it becomes deliveries again.
    fn take_back(&mut self, log: Log) {
        match self.agreement.dialect.take_back() {
            TakeBack::Broker => {}
            TakeBack::Resubscribe => {
                let consumers: BTreeSet<ConsumerId> =
                    log.acknowledged.iter().map(|(id, _, _)| *id).collect();
                for consumer in consumers {
                    self.resubscribe(consumer);
                }
            }
            TakeBack::Nack => {
                let verdict = Verdict::Nack {
                    delay: None,
                    requeue: Requeue::Yes,
                };
                for (consumer, token, _) in log.acknowledged {
                    self.write_settlement(consumer, verdict, &token, None, None);
                }
            }
        }
    }

    fn check_limits(&mut self, session: SessionId) {
        let open = self.open(session);
        if let Some(limit) = open.log.limit_met() {
            open.doom.get_or_insert(Doom::TooLarge { limit });
            open.log.sends = Vec::new();
        }
    }

    /// The session's transaction, which need not have begun.
    fn open(&mut self, session: SessionId) -> &mut Open {
        let number = self.next_transaction();
        let ledger = self.ledgers.entry(session).or_default();
        ledger.current.get_or_insert_with(|| Open {
            number,
            has_begun: false,
            doom: None,
            log: Log::default(),
        })
    }

    /// The number of the session's transaction, begun.
    fn begun(&mut self, session: SessionId) -> u64 {
        let open = self.open(session);
        let number = open.number;
        if !std::mem::replace(&mut open.has_begun, true) {
            self.write_transaction(Verb::Begin, number, None);
        }
        number
    }

    /// Not each is used: they only have to differ.
    fn next_transaction(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    fn write_transaction(&mut self, verb: Verb, number: u64, receipt: Option<super::ReceiptId>) {
        self.frame(verb, receipt, |out, _, _| {
            number_header(out, "transaction", number);
        });
    }
}
