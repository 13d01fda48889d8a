//! What a turn leaves behind: replies, one batch for the store, requests for pages; and the replies that wait
//! for the disk.

use stompbox_store::{
    Batch, DueRequest, DuplicateRequest, Haste, LogPageRequest, Operation, PageRequest,
    ScheduleListRequest, Ticket,
};

use super::key::{PeerKey, QueueKey};
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::port::{ConnectionId, ReceiptId, Refusal, Reply};

/// A request to read from the store.
#[derive(Debug)]
pub enum Read {
    /// Entries in order.
    Page(PageRequest),
    /// Messages of a topic's log, as one subscription has them.
    Log(LogPageRequest),
    /// Scheduled messages whose time has come.
    Due(DueRequest),
    /// What is scheduled.
    Schedule(ScheduleListRequest),
    /// The ids that a destination knows.
    Duplicates(DuplicateRequest),
    /// Entries that have expired by now.
    Expired {
        /// Now, ms since 1970.
        now_ms: i64,
        /// At most so many.
        rows_max: usize,
    },
}

/// What the runtime carries out after a turn.
#[derive(Debug)]
pub struct Turn {
    /// To be submitted; the store must give it this ticket.
    pub batch: Option<(Ticket, Batch)>,
    /// To be read. The batch goes first.
    pub reads: Vec<Read>,
}

/// A reply that leaves when the watermark has reached its ticket.
#[derive(Debug)]
pub(super) struct AwaitedReply {
    ticket: Ticket,
    /// A connection's id, not its key: the key may have been given to another by then.
    pub(super) connection: ConnectionId,
    pub(super) reply: Reply,
    pub(super) promise: Promise,
}

/// Whether a receipt may leave now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// What it promises holds already.
    Kept,
    /// It holds when this turn's batch is durable.
    WithBatch,
    /// The same, if the disk has room for what it appends.
    WithAppend,
}

impl Promise {
    /// What holds when both do.
    pub(super) fn and(self, other: Promise) -> Promise {
        match (self, other) {
            (Promise::Kept, other) => other,
            (Promise::WithAppend, _) | (_, Promise::WithAppend) => Promise::WithAppend,
            (Promise::WithBatch, _) => Promise::WithBatch,
        }
    }
}

impl Dispatcher {
    pub(super) fn reply(&mut self, key: PeerKey, reply: Reply) {
        let peer = &mut self.peers[key.0];
        if peer.replies.is_empty() {
            self.replied.push(key);
        }
        peer.push(reply);
    }

    /// What may be promised after changes that began when the batch had so many operations.
    pub(super) fn promise_since(&self, operations: usize) -> Promise {
        if self.batch.operations.len() > operations || !self.unsettled.is_empty() {
            Promise::WithBatch
        } else {
            Promise::Kept
        }
    }

    /// Answers a receipt, now or with this turn's batch.
    pub(super) fn answer(&mut self, peer: PeerKey, receipt: Option<ReceiptId>, promise: Promise) {
        let Some(receipt) = receipt else { return };
        match promise {
            Promise::Kept => self.reply(peer, Reply::Receipt(receipt)),
            Promise::WithBatch | Promise::WithAppend => {
                self.reply_when_durable(peer, Reply::Receipt(receipt), promise);
            }
        }
    }

    /// Sends a reply when everything up to and including this turn's batch is durable.
    pub(super) fn reply_when_durable(&mut self, peer: PeerKey, reply: Reply, promise: Promise) {
        self.batch.haste = Haste::Awaited;
        let connection = self.peers[peer.0].connection;
        self.awaited.push_back(AwaitedReply {
            ticket: self.next_ticket,
            connection,
            reply,
            promise,
        });
    }

    /// Refuses a frame: ERROR and close. Nothing more of this connection is acted on but its end.
    pub(super) fn refuse(&mut self, peer: PeerKey, refusal: Refusal, receipt: Option<ReceiptId>) {
        self.peers[peer.0].standing = super::peer::Standing::Ending;
        // It is dealt nothing more.
        for key in self.peers[peer.0].subscriptions.values() {
            self.subscriptions[key.0].credit.messages_max = 0;
        }
        self.reply(peer, Reply::Refused(refusal.of(receipt)));
    }

    /// Asks the store for a change of a queue.
    pub(super) fn store(&mut self, queue: QueueKey, operation: Operation) {
        self.queues[queue.0].last_ticket = self.next_ticket;
        self.batch.operations.push(operation);
    }

    /// Whether everything that was asked of the store so far is durable, also what durable subscriptions have yet to tell
    /// it of this turn, and no answer waits for a batch that says nothing.
    pub(super) fn is_all_durable(&self) -> bool {
        let is_asked = !self.batch.operations.is_empty() || !self.unsettled.is_empty();
        let is_awaited = self.batch.haste == Haste::Awaited;
        !is_asked && !is_awaited && self.watermark.0 + 1 == self.next_ticket.0
    }

    /// The watermark has risen.
    pub(super) fn durable(&mut self, ticket: Ticket, now: Now) {
        self.watermark = self.watermark.max(ticket);
        while let Some(awaited) = self
            .awaited
            .pop_front_if(|awaited| awaited.ticket <= ticket)
        {
            if let Some(&peer) = self.connections.get(&awaited.connection) {
                self.reply(peer, awaited.reply);
            }
        }
        while let Some((_, place)) = self.hidden.pop_front_if(|(hidden, _)| *hidden <= ticket) {
            match place {
                Place::Queue(queue) => self.mark(queue),
                Place::Topic(topic) => self.publish_held(topic, now),
            }
        }
        while self
            .revocable
            .pop_front_if(|revocable| revocable.ticket <= ticket)
            .is_some()
        {}
        self.passes_hold(ticket);
        self.logs_hold(ticket);
        self.departures_hold(ticket);
        self.go_on_with_agenda(now);
        self.inquiries_hold(ticket);
        self.page_out_durable();
        self.request_waiting_pages();
    }

    pub(super) fn take_turn(&mut self) -> Turn {
        self.replaced.clear();
        let wanted = !self.batch.operations.is_empty() || self.batch.haste == Haste::Awaited;
        let batch = wanted.then(|| {
            let ticket = self.next_ticket;
            self.next_ticket = Ticket(ticket.0 + 1);
            (ticket, std::mem::take(&mut self.batch))
        });
        Turn {
            batch,
            reads: std::mem::take(&mut self.reads),
        }
    }
}
