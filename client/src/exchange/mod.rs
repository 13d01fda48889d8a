//! What is said to a broker and what it says, as a state machine: commands and frames go in, frames come out in the
//! [`Output`]. No socket, no clock.
//!
//! ```text
//!            restore                      lost
//!   unheard --------> in session --------------------> waiting --restore--> in session ..
//!                         |                               |
//!                         +-- RECEIPT of DISCONNECT       +-- conclude
//!                         v                               v
//!                       over                            over
//! ```
//!
//! It owns the subscriptions, the receipts that are waited for, and the open transactions.
//!
//! *Invariants*
//! - Every reply is given exactly once, at the latest when the connection is over.
//! - What is not confirmed when a connection is lost is either sent again or reported; never both, never neither.
//! - It never waits: whoever calls it makes sure that the output has room.

mod deliver;
mod loss;
mod receipt;
mod send;
mod settle;
mod subscribe;
mod transaction;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use stompbox_protocol::{Command as Verb, FrameRef, encode};

use self::deliver::{Doubtful, Staged};
use self::receipt::{Call, Pending, ReceiptId};
use self::subscribe::Entry;
use self::transaction::Ledger;
use crate::ClientError;
use crate::command::Command;
use crate::dialect::Dialect;
use crate::event::ConnectionEvent;
use crate::events::Events;
use crate::handshake::Agreement;
use crate::shared::{ConsumerId, SessionId, Shared};
use crate::transport::{Framing, Output};

/// Whether there is a connection after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prospect {
    /// One will be tried for.
    Reconnect,
    /// There is none.
    None,
}

/// The exchange with brokers over the life of a connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    shared: Arc<Shared>,
    events: Events,
    prospect: Prospect,
    pub(crate) output: Output,
    agreement: Agreement,
    /// A message asks for its consumer: there are few, and this finds one without a hash.
    consumers: BTreeMap<ConsumerId, Entry>,
    /// Those whose id on the wire is not their number.
    named: HashMap<String, ConsumerId>,
    pending: BTreeMap<ReceiptId, Pending>,
    receipts: u64,
    ledgers: HashMap<SessionId, Ledger>,
    transactions: u64,
    doubtful: Doubtful,
    staged: Staged,
    /// Whose mailbox is full.
    stalled: Option<ConsumerId>,
    /// The last thing that the broker said was this ERROR.
    refusal: Option<ClientError>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// DISCONNECT is written.
    Closing,
    /// Its receipt has come.
    Over,
}

impl Exchange {
    pub(crate) fn new(shared: Arc<Shared>, events: Events, prospect: Prospect) -> Self {
        Self {
            shared,
            events,
            prospect,
            output: Output::new(Framing::Stream),
            agreement: Agreement::none(),
            consumers: BTreeMap::new(),
            named: HashMap::new(),
            pending: BTreeMap::new(),
            receipts: 0,
            ledgers: HashMap::new(),
            transactions: 0,
            doubtful: Doubtful::default(),
            staged: Staged::default(),
            stalled: None,
            refusal: None,
            phase: Phase::Open,
        }
    }

    /// Does what a handle asks for.
    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Send(send) => self.send(send),
            Command::Subscribe(subscribe) => self.subscribe(*subscribe),
            Command::Unsubscribe { consumer, reply } => {
                self.unsubscribe(consumer, Some(reply));
            }
            Command::Delete {
                subscription,
                reply,
            } => self.delete(&subscription, reply),
            Command::Settle { settlement, reply } => self.settle(&settlement, Some(reply)),
            Command::Commit { session, reply } => self.commit(session, reply),
            Command::Rollback { session, reply } => self.rollback(session, Some(reply)),
            Command::Resolve { session, reply } => self.resolve(session, reply),
        }
    }

    /// Begins the end: everything that was written before is dealt with when the receipt comes.
    pub(crate) fn disconnect(&mut self) {
        if self.phase != Phase::Open {
            return;
        }
        self.phase = Phase::Closing;
        let receipt = self.expect(Pending::Disconnect);
        self.frame(Verb::Disconnect, Some(receipt), |_, _, _| {});
    }

    /// Whether DISCONNECT is written.
    pub(crate) fn is_closing(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether the session has ended as it should.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether nothing may be read now: a mailbox is full.
    pub(crate) fn is_stalled(&mut self) -> bool {
        if self.phase != Phase::Open {
            return false;
        }
        let is_stalling = |id| {
            self.consumers
                .get(id)
                .is_some_and(|entry: &Entry| entry.mailbox.is_stalling())
        };
        if !self.stalled.as_ref().is_some_and(is_stalling) {
            self.stalled = None;
        }
        self.stalled.is_some()
    }

    /// Whether the broker has said that it will close the connection: what is written now is not heard.
    pub(crate) fn is_doomed(&self) -> bool {
        self.refusal.is_some() && self.agreement.dialect == Dialect::Stompbox
    }

    /// What the broker said last, if that was an ERROR.
    pub(crate) fn take_refusal(&mut self) -> Option<ClientError> {
        self.refusal.take()
    }

    /// Deals with a frame. An error is the end of this connection.
    pub(crate) fn take_frame(&mut self, frame: &FrameRef<'_>) -> Result<(), ClientError> {
        match frame.command() {
            Verb::Message => {
                self.deliver(frame);
                Ok(())
            }
            Verb::Receipt => {
                self.refusal = None;
                self.receipt(frame);
                Ok(())
            }
            Verb::Error => self.error(frame),
            command => Err(ClientError::Unexpected { command }),
        }
    }

    /// An ERROR is about the call whose receipt it names; about the connection if there is none.
    fn error(&mut self, frame: &FrameRef<'_>) -> Result<(), ClientError> {
        let error = refusal(frame);
        tracing::debug!(%error, "the broker sent an ERROR");
        if self.agreement.dialect == Dialect::RabbitMq && is_late_delivery(&error) {
            return Ok(());
        }
        let known = ReceiptId::of(frame).and_then(|id| self.pending.remove(&id));
        let known = known.or_else(|| self.presumably_refused());
        self.refusal = Some(error.clone());
        match known {
            Some(pending) => {
                self.refuse(pending, &error);
                Ok(())
            }
            None => {
                self.events.emit(&ConnectionEvent::Refused {
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }

    /// RabbitMQ names no receipt and goes on. It deals with frames in turn, so that the oldest call is meant.
    fn presumably_refused(&mut self) -> Option<Pending> {
        if self.agreement.dialect != Dialect::RabbitMq {
            return None;
        }
        let is_call = |pending: &Pending| !matches!(pending, Pending::Send(_));
        let oldest = self.pending.iter().find(|(_, pending)| is_call(pending));
        let id = *oldest?.0;
        self.pending.remove(&id)
    }

    /// Will wait for a receipt.
    fn expect(&mut self, pending: Pending) -> ReceiptId {
        self.receipts += 1;
        let id = ReceiptId(self.receipts);
        self.pending.insert(id, pending);
        id
    }

    /// Will wait for a receipt that only one caller is interested in.
    fn expect_call(&mut self, call: Option<Call>) -> Option<ReceiptId> {
        call.map(|call| self.expect(Pending::Call(call)))
    }

    /// Writes a frame without body.
    fn frame(
        &mut self,
        verb: Verb,
        receipt: Option<ReceiptId>,
        headers: impl FnOnce(&mut Vec<u8>, &Agreement, &BTreeMap<ConsumerId, Entry>),
    ) {
        let Self {
            output,
            agreement,
            consumers,
            ..
        } = self;
        output.frame(&Bytes::new(), |out| {
            out.extend_from_slice(verb.as_str().as_bytes());
            out.push(b'\n');
            if let Some(receipt) = receipt {
                receipt.write(out);
            }
            headers(out, agreement, consumers);
            out.push(b'\n');
        });
    }
}

/// Appends `name:number`.
fn number_header(out: &mut Vec<u8>, name: &str, number: impl itoa::Integer) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.push(b'\n');
}

/// Appends `name:value`, escaped.
fn text_header(out: &mut Vec<u8>, agreement: &Agreement, name: &str, value: &str) {
    encode::header(out, agreement.version, name.as_bytes(), value.as_bytes());
}

/// RabbitMQ's complaint to itself that it had a message for a subscription which has just ended. Nobody has asked for
/// anything; the message returns with the connection.
fn is_late_delivery(error: &ClientError) -> bool {
    const COMPLAINT: &str = "There is no current subscription with tag";
    matches!(error, ClientError::Refused { detail, .. } if detail.starts_with(COMPLAINT))
}

/// What an ERROR frame says.
pub(crate) fn refusal(frame: &FrameRef<'_>) -> ClientError {
    ClientError::Refused {
        message: frame
            .text("message")
            .map_or_else(|| "no reason given".to_owned(), |text| text.into_owned()),
        detail: String::from_utf8_lossy(frame.body()).into_owned(),
    }
}
