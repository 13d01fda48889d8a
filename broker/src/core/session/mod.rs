//! A session: what one connection has said and what it may say next (STOMP's state machine).
//!
//! Takes frames and the dispatcher's replies; leaves requests, bytes to write and, in the end, how to close in
//! an [`Output`]. Owns the subscriptions by id, the open transactions and the stash of a held-back producer.
//! Does no I/O and never asks the time.

mod acknowledge;
mod connect;
mod destination_cache;
mod field;
mod lasting;
mod output;
mod output_buffer;
mod send;
mod stash;
mod subscribe;
mod temporary;
mod transaction;
mod wish;

pub use connect::HeartBeat;
use output::Routed;
pub use output::{End, LongBody, Mark, Output, WrittenReceipt};
pub use output_buffer::OutputBuffer;
pub use send::is_senders_own;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use stompbox_protocol::{Command, DecodeError, FrameRef, Version};
use stompbox_store::Epoch;

use super::clock::Now;
use super::memory::MemoryBudget;
use super::port::{DeliveryCounter, ReceiptId, Refusal, Reply, Request, SubscriptionHandle};
use super::schedule::TimeZone;
use crate::config::{Limits, Policies};
use destination_cache::DestinationCache;
use stash::Stash;
use subscribe::{Ended, Subscribed, SubscriptionName};
use temporary::Temporaries;
use transaction::OpenTransaction;

/// What all sessions of a broker share.
#[derive(Debug)]
pub struct SessionSettings {
    /// Limits of a connection.
    pub limits: Limits,
    /// Per destination.
    pub policies: Policies,
    /// No heart-beat is agreed that comes more often.
    pub heart_beat_min: Duration,
    /// The database's random name.
    pub instance: Box<str>,
    /// This life of the broker.
    pub epoch: Epoch,
    /// What messages are charged to.
    pub budget: Arc<MemoryBudget>,
    /// Where `AMQ_SCHEDULED_CRON` is read.
    pub zone: TimeZone,
}

/// Where a session stands.
///
/// ```text
///   Fresh --CONNECT--> Opening --Opened--> Open --DISCONNECT--> Ending
///     |                   |                  |                    ^
///     +------ error ------+------ error -----+--------------------+
/// ```
#[derive(Debug)]
enum Stage {
    Fresh,
    /// CONNECTED waits for the dispatcher, and is built already.
    Opening(Vec<u8>),
    Open,
    Ending,
}

/// One connection's state.
#[derive(Debug)]
pub struct Session {
    settings: Arc<SessionSettings>,
    /// `session` of CONNECTED; part of every `ack` id.
    name: Arc<str>,
    peer: String,
    stage: Stage,
    version: Version,
    heart_beat: HeartBeat,
    subscriptions: FxHashMap<SubscriptionHandle, Subscribed>,
    names: HashMap<SubscriptionName, SubscriptionHandle>,
    ended: Ended,
    next_subscription: SubscriptionHandle,
    transactions: HashMap<Box<[u8]>, OpenTransaction>,
    next_transaction: super::port::TransactionHandle,
    destinations: DestinationCache,
    temporaries: Temporaries,
    /// The last delivery that was put into the output.
    given: DeliveryCounter,
    unanswered: Unanswered,
    stash: Stash,
    /// `message-id` up to its counter.
    message_id_prefix: Box<[u8]>,
    topic_subscriptions: usize,
    /// Names and patterns that its subscriptions take from.
    source_count: usize,
    scratch: Vec<u8>,
}

/// Receipts that were asked for and not yet given.
#[derive(Debug, Default)]
struct Unanswered {
    frames: usize,
    bytes: usize,
}

impl Session {
    /// The session of a connection that has just been accepted. `number` is unique in this life of the broker,
    /// `secret` is random: who does not know it cannot guess the names of its temporary destinations.
    #[must_use]
    pub fn new(settings: Arc<SessionSettings>, number: u64, secret: u128, peer: String) -> Self {
        let (instance, epoch) = (&settings.instance, settings.epoch.0);
        Self {
            name: format!("{instance}-{epoch}-{number}").into(),
            message_id_prefix: format!("ID:{instance}-").into_bytes().into_boxed_slice(),
            stash: Stash::new(&settings.limits, &settings.budget),
            settings,
            peer,
            stage: Stage::Fresh,
            version: Version::V1_0,
            heart_beat: HeartBeat::default(),
            subscriptions: FxHashMap::default(),
            names: HashMap::new(),
            ended: Ended::default(),
            next_subscription: SubscriptionHandle(0),
            transactions: HashMap::new(),
            next_transaction: super::port::TransactionHandle(0),
            destinations: DestinationCache::default(),
            temporaries: Temporaries::new(secret),
            given: DeliveryCounter(0),
            unanswered: Unanswered::default(),
            topic_subscriptions: 0,
            source_count: 0,
            scratch: Vec::new(),
        }
    }

    /// The name of this session.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The negotiated version, once CONNECT was read.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        (!matches!(self.stage, Stage::Fresh)).then_some(self.version)
    }

    /// What was agreed.
    #[must_use]
    pub fn heart_beat(&self) -> HeartBeat {
        self.heart_beat
    }

    /// Whether CONNECTED was sent and the end has not begun.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Whether DISCONNECT was acted on, or the session was refused or stopped.
    #[must_use]
    pub fn has_disconnected(&self) -> bool {
        matches!(self.stage, Stage::Ending)
    }

    /// Whether receipts are due that have not come yet, or frames wait to be acted on.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.unanswered.frames > 0 || !self.stash.is_empty()
    }

    /// Whether the next frame may be decoded: not while CONNECT is being answered, not while the stash of a
    /// held-back producer is full, not while too many receipts are due or unwritten, not after the end.
    #[must_use]
    pub fn takes_input(&self, output: &Output) -> bool {
        let limits = &self.settings.limits;
        let is_listening = matches!(self.stage, Stage::Fresh | Stage::Open);
        is_listening
            && !self.stash.is_full()
            && self.unanswered.frames + output.receipts.len() < limits.control_frames
            && self.unanswered.bytes + output.receipt_bytes < limits.control_bytes
    }

    /// Whether its SENDs are held back.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.stash.is_held_back()
    }

    /// Whether it has a subscription on a topic, which must not stop reading.
    #[must_use]
    pub fn subscribes_to_topics(&self) -> bool {
        self.topic_subscriptions > 0
    }

    /// The last delivery that was put into the output.
    #[must_use]
    pub fn given(&self) -> DeliveryCounter {
        self.given
    }

    /// Whether a reply still means anything: a delivery does as long as its subscription lives.
    #[must_use]
    pub fn wants(&self, reply: &Reply) -> bool {
        match reply {
            Reply::Deliver(delivery) => self.subscriptions.contains_key(&delivery.subscription),
            Reply::Opened
            | Reply::Receipt(_)
            | Reply::Unrouted(_)
            | Reply::Duplicate { .. }
            | Reply::BrowseEnd(_)
            | Reply::Refused(_)
            | Reply::Close
            | Reply::Block
            | Reply::Unblock => true,
        }
    }

    /// How many subscriptions have ended so far.
    #[must_use]
    pub fn ended_subscriptions(&self) -> u64 {
        u64::from(self.next_subscription.0) - self.subscriptions.len() as u64
    }

    /// Acts on a frame.
    pub fn frame(&mut self, frame: &FrameRef<'_>, now: Now, output: &mut Output) {
        let may_begin = self.transactions.len() < self.settings.limits.transactions;
        if self.stash.must_wait(frame, may_begin) {
            return self.stash.push(frame.to_frame());
        }
        self.act(frame, now, output);
    }

    /// Acts on frames that were held back, as far as they are not held back again.
    fn replay(&mut self, now: Now, output: &mut Output) {
        while let Some(frame) = self.stash.pop() {
            self.act(&frame.as_ref(), now, output);
            if matches!(self.stage, Stage::Ending) {
                return;
            }
        }
    }

    fn act(&mut self, frame: &FrameRef<'_>, now: Now, output: &mut Output) {
        let receipt = field::receipt(frame);
        if let Some(receipt) = &receipt
            && !matches!(frame.command(), Command::Connect | Command::Stomp)
        {
            self.unanswered.frames += 1;
            self.unanswered.bytes += receipt.0.len();
        }
        let acted = match (&self.stage, frame.command()) {
            (Stage::Ending, _) => Ok(()),
            (Stage::Fresh, Command::Connect | Command::Stomp) => self.connect(frame, output),
            (Stage::Fresh | Stage::Opening(_), command) => Err(Refusal::new(
                "not connected",
                format!(
                    "{} came before CONNECTED: send CONNECT or STOMP first",
                    command.as_str()
                ),
            )),
            (Stage::Open, command) => self.command(command, frame, receipt, now, output),
        };
        if let Err(refusal) = acted {
            let receipt = field::receipt(frame);
            self.refuse(refusal.of(receipt), output);
        }
    }

    fn command(
        &mut self,
        command: Command,
        frame: &FrameRef<'_>,
        receipt: Option<ReceiptId>,
        now: Now,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        match command {
            Command::Send => self.send(frame, receipt, now, output),
            Command::Subscribe => self.subscribe(frame, receipt, output),
            Command::Unsubscribe => self.unsubscribe(frame, receipt, output),
            Command::Ack => self.acknowledge(frame, receipt, acknowledge::Word::Ack, output),
            Command::Nack => self.acknowledge(frame, receipt, acknowledge::Word::Nack, output),
            Command::Begin => self.begin(frame, receipt, output),
            Command::Commit => self.commit(frame, receipt, output),
            Command::Abort => self.abort(frame, receipt, output),
            Command::Disconnect => {
                self.stage = Stage::Ending;
                output.requests.push(Request::Disconnect {
                    given: self.given,
                    receipt,
                });
                Ok(())
            }
            Command::Connect | Command::Stomp => Err(Refusal::new(
                "already connected",
                "a connection sends CONNECT once: open another connection for another session",
            )),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                Err(Refusal::new(
                    "not a client's frame",
                    format!("{} is sent by servers only", command.as_str()),
                ))
            }
        }
    }

    /// Acts on a reply of the dispatcher. Nothing follows an ERROR, and no MESSAGE a DISCONNECT: the dispatcher
    /// takes back what was `given` until then and no more.
    pub fn reply(&mut self, reply: Reply, now: Now, output: &mut Output) {
        if output.end == Some(End::Refused) {
            return;
        }
        match reply {
            Reply::Opened => self.opened(output),
            Reply::Deliver(delivery) => {
                if !matches!(self.stage, Stage::Ending) {
                    self.deliver(&delivery, output);
                }
            }
            Reply::Receipt(receipt) => self.receipt(&receipt, output),
            Reply::Unrouted(receipt) => self.answer(&receipt, Routed::Nowhere, output),
            Reply::Duplicate { receipt, .. } => self.answer(&receipt, Routed::Before, output),
            Reply::BrowseEnd(subscription) => {
                if !matches!(self.stage, Stage::Ending) {
                    self.browse_end(subscription, output);
                }
            }
            Reply::Refused(refusal) => self.refuse(refusal, output),
            Reply::Close => {
                self.stage = Stage::Ending;
                output.end = output.end.max(Some(End::Close));
            }
            Reply::Block => self.stash.hold_back(),
            Reply::Unblock => {
                self.stash.go_on();
                self.replay(now, output);
            }
        }
    }

    /// Bytes came that are no frame.
    pub fn malformed(&mut self, error: &DecodeError, output: &mut Output) {
        let receipt = error.receipt().map(|receipt| ReceiptId(receipt.into()));
        let refusal = Refusal::new(error.summary(), error.detail());
        self.refuse(refusal.of(receipt), output);
    }

    /// The broker stops: what is under way is finished as after DISCONNECT. Answers whether there is anything
    /// to finish.
    pub fn stop(&mut self, output: &mut Output) -> bool {
        let was_open = matches!(self.stage, Stage::Open);
        if was_open {
            output.requests.push(Request::Disconnect {
                given: self.given,
                receipt: None,
            });
        }
        if !matches!(self.stage, Stage::Ending) {
            self.stage = Stage::Ending;
        }
        was_open
    }

    /// ERROR, then close.
    pub fn refuse(&mut self, refusal: Refusal, output: &mut Output) {
        if output.end == Some(End::Refused) {
            return;
        }
        self.stage = Stage::Ending;
        self.stash.clear();
        tracing::info!(session = %self.name, peer = %self.peer, reason = %refusal.summary, "refused");
        output::write_error(&mut output.bytes, self.version, &refusal);
        output.end = Some(End::Refused);
    }

    fn receipt(&mut self, receipt: &ReceiptId, output: &mut Output) {
        self.answer(receipt, Routed::Yes, output);
    }

    fn answer(&mut self, receipt: &ReceiptId, routed: Routed, output: &mut Output) {
        self.unanswered.frames = self.unanswered.frames.saturating_sub(1);
        self.unanswered.bytes = self.unanswered.bytes.saturating_sub(receipt.0.len());
        output::write_receipt(output, self.version, receipt, routed);
    }
}

/// The number behind this one. A connection names no two things alike, also one that makes and ends them for days.
fn next_handle(number: u32, command: &str) -> Result<u32, Refusal> {
    number.checked_add(1).ok_or_else(|| {
        Refusal::new(
            "connection is worn out",
            format!("this connection has sent {number} {command} frames: open another one"),
        )
    })
}

#[cfg(test)]
mod tests;
