//! What sessions and the dispatcher say to each other. Requests travel in batches, one a read; replies travel
//! in batches, one a turn of the dispatcher.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use stompbox_store::MessageNumber;

use super::destination::{DestinationKind, DestinationName, Pattern};
use super::dispatcher::{ConsumerPriority, Exclusivity};
use super::message::{Message, Publication};
use super::selector::Selector;

/// Names a connection for the life of the process; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Names a subscription within its connection; never reused there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionHandle(pub u32);

/// Names a transaction within its connection; never reused there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionHandle(pub u32);

/// The value of a `receipt` header, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptId(pub SmallVec<[u8; 16]>);

/// Counts a connection's deliveries, ascending from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeliveryCounter(pub u64);

/// Names one delivery: where the dispatcher keeps it, and its number, which proves that it is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryTag {
    /// Place in the dispatcher's table; `u32::MAX` for a delivery that is never acknowledged.
    pub slot: u32,
    /// Its number on the connection.
    pub counter: DeliveryCounter,
}

/// How a subscription acknowledges (`ack` header).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckMode {
    /// By the hand-over to the kernel.
    Auto,
    /// Cumulatively, by the client.
    Client,
    /// One by one, by the client.
    ClientIndividual,
}

/// How much a subscription may hold unacknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefetch {
    /// Messages; none asks for the policy's default.
    pub messages: Option<u32>,
    /// Bytes; none asks for the policy's limit.
    pub bytes: Option<usize>,
}

/// What a frame failed with. One pointer long, as it travels in the result of every step of every frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<RefusalText>);

/// The text of an ERROR frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalText {
    /// One line, for the `message` header.
    pub summary: String,
    /// What was wrong and what to do, for the body.
    pub detail: String,
    /// The receipt that the failing frame asked for.
    pub receipt: Option<ReceiptId>,
}

impl Refusal {
    /// A refusal of a frame that asked for no receipt, or whose receipt is added later.
    #[must_use]
    pub fn new(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(RefusalText {
            summary: summary.into(),
            detail: detail.into(),
            receipt: None,
        }))
    }

    /// The same, of a frame that asked for a receipt.
    #[must_use]
    pub fn of(mut self, receipt: Option<ReceiptId>) -> Self {
        self.0.receipt = receipt;
        self
    }

    /// A transaction has passed one of its limits: `key` under `[limits]`.
    #[must_use]
    pub fn transaction_too_large(what: &str, limit: usize, key: &str) -> Self {
        Self::new(
            "transaction is too large",
            format!(
                "a transaction holds at most {limit} {what} (limits.{key}): COMMIT more often, or \
                 raise the limit"
            ),
        )
    }
}

impl Deref for Refusal {
    type Target = RefusalText;

    fn deref(&self) -> &RefusalText {
        &self.0
    }
}

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The `session` header of CONNECTED.
    pub session: Arc<str>,
    /// `client-id`, unique among live connections.
    pub client_id: Option<Box<str>>,
    /// `login`.
    pub login: Option<Box<str>>,
    /// Negotiated version.
    pub version: stompbox_protocol::Version,
    /// Peer address.
    pub peer: String,
}

/// Which delivery an ACK or NACK means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckTarget {
    /// STOMP 1.2: by `id`.
    Delivery(DeliveryTag),
    /// STOMP 1.1: by `message-id` and `subscription`. STOMP 1.0: by `message-id`, the oldest open delivery.
    Message {
        /// The subscription, where the frame names it.
        subscription: Option<SubscriptionHandle>,
        /// The message.
        number: MessageNumber,
    },
}

/// What an acknowledgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Ack,
    /// Failed: redeliver by policy.
    Nack {
        /// This message's own redelivery delay.
        delay: Option<Duration>,
        /// Whether it may come again (`requeue:false` sends it to the dead-letter queue now).
        requeue: Requeue,
    },
}

/// Whether a failed message may be delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeue {
    /// By the redelivery policy.
    Allowed,
    /// To the dead-letter queue now.
    Forbidden,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client said DISCONNECT.
    Disconnect,
    /// It broke off, was refused or fell silent.
    Lost,
    /// The broker stops.
    Stop,
}

/// One of the places that a subscription takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This destination.
    One(Arc<DestinationName>),
    /// Whatever matches, now and later.
    Matching(Arc<Pattern>),
}

impl Source {
    /// Whether it names queues, not topics.
    #[must_use]
    pub fn is_of_queues(&self) -> bool {
        let kind = match self {
            Self::One(name) => name.kind(),
            Self::Matching(pattern) => pattern.kind(),
        };
        kind == DestinationKind::Queue
    }
}

/// Whether a subscription hears what its own connection publishes (`no-local`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locality {
    /// It does.
    #[default]
    All,
    /// It does not. Topics only, as in JMS.
    NoLocal,
}

/// Whether a subscription begins with the last messages of its topics (`activemq.retroactive`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Memory {
    /// With what comes from now on.
    #[default]
    Prospective,
    /// With those that the policy keeps (`retained_messages`).
    Retroactive,
}

/// What a subscription does with what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Intent {
    /// It takes it.
    #[default]
    Consume,
    /// It looks at it (`browser:true`).
    Browse,
}

/// What outlives its consumer, or is shared by several (JMS, durable and shared subscriptions).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lasting {
    /// Durable, one consumer at a time: named by the connection's `client-id` and by this.
    Durable(Box<str>),
    /// Durable, its consumers compete: named by this, and by the `client-id` where the connection has one.
    SharedDurable(Box<str>),
    /// The same in RabbitMQ's form: named by its destination and the SUBSCRIBE's `id`.
    ById(Box<str>),
    /// Its consumers compete, and it lives as long as they: named by this, and by the `client-id` where there is one.
    Shared(Box<str>),
}

/// A durable subscription that an UNSUBSCRIBE deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Its name.
    pub lasting: Lasting,
    /// Its topic, where the frame names it.
    pub topic: Option<Arc<DestinationName>>,
}

/// What a SUBSCRIBE asks for.
#[derive(Debug, Clone)]
pub struct Subscribing {
    /// Named by the session.
    pub subscription: SubscriptionHandle,
    /// Where from: at least one.
    pub sources: SmallVec<[Source; 1]>,
    /// How it acknowledges.
    pub mode: AckMode,
    /// How much it holds.
    pub prefetch: Prefetch,
    /// Which messages it takes; none takes all.
    pub selector: Option<Arc<Selector>>,
    /// The same as text, where it has to be kept.
    pub selector_text: Option<Box<str>>,
    /// What it is if it is durable or shared.
    pub lasting: Option<Lasting>,
    /// Who is served before it.
    pub priority: ConsumerPriority,
    /// Whether it wants a queue for itself.
    pub exclusivity: Exclusivity,
    /// Whether it hears its own connection.
    pub locality: Locality,
    /// How many messages of its topics may wait for it beyond its prefetch; none for as many as the policy says.
    pub pending_max: Option<u32>,
    /// Whether it begins with what its topics have kept.
    pub memory: Memory,
    /// What becomes of what it gets.
    pub intent: Intent,
    /// Answered before the first delivery.
    pub receipt: Option<ReceiptId>,
}

/// From a session to the dispatcher.
#[derive(Debug, Clone)]
pub enum Request {
    /// CONNECT was read. Answered by [`Reply::Opened`] or [`Reply::Refused`].
    Open(Box<Opening>),
    /// SEND outside a transaction.
    Send {
        /// What and where.
        publication: Publication,
        /// Answered when its promise holds.
        receipt: Option<ReceiptId>,
    },
    /// A temporary destination of this connection comes into being.
    MakeTemporary(Arc<DestinationName>),
    /// SUBSCRIBE.
    Subscribe(Box<Subscribing>),
    /// UNSUBSCRIBE.
    Unsubscribe {
        /// Which of its own; none if it only deletes a durable one that nobody uses.
        subscription: Option<SubscriptionHandle>,
        /// A durable subscription that goes with it.
        deletes: Option<Deletion>,
        /// The last delivery that the session has passed on; later ones were never seen by the client.
        given: DeliveryCounter,
        /// Answered when done.
        receipt: Option<ReceiptId>,
    },
    /// ACK or NACK.
    Acknowledge {
        /// Which delivery.
        target: AckTarget,
        /// What about it.
        verdict: Verdict,
        /// In which transaction.
        transaction: Option<TransactionHandle>,
        /// Answered when committed; at once in a transaction.
        receipt: Option<ReceiptId>,
    },
    /// Frames of an `auto` subscription were handed to the kernel.
    Written {
        /// Which subscription.
        subscription: SubscriptionHandle,
        /// How many deliveries, the oldest first.
        count: u32,
        /// Bytes of their messages.
        bytes: usize,
    },
    /// COMMIT.
    Commit {
        /// Which.
        transaction: TransactionHandle,
        /// What was sent in it, in order.
        sends: Vec<Publication>,
        /// Answered when all of it is committed.
        receipt: Option<ReceiptId>,
    },
    /// ABORT.
    Abort {
        /// Which.
        transaction: TransactionHandle,
        /// Answered when done.
        receipt: Option<ReceiptId>,
    },
    /// DISCONNECT. Answered by the receipt, when everything before is durable, and [`Reply::Close`].
    Disconnect {
        /// The last delivery that the session has passed on.
        given: DeliveryCounter,
        /// Answered when everything before is durable.
        receipt: Option<ReceiptId>,
    },
    /// The connection is gone, or goes.
    Closed {
        /// Why.
        ending: Ending,
        /// The last delivery that was handed to the kernel.
        written: DeliveryCounter,
    },
}

/// One message for one subscription.
#[derive(Debug)]
pub struct Delivery {
    /// For which subscription.
    pub subscription: SubscriptionHandle,
    /// Its name until it is acknowledged.
    pub tag: DeliveryTag,
    /// The message's number, the same for every receiver.
    pub number: MessageNumber,
    /// The message.
    pub message: Arc<Message>,
    /// The number of this delivery of this message, from 1.
    pub deliveries: u32,
    /// Its expiry, ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Its delivery mode.
    pub mode: super::message::DeliveryMode,
    /// Header lines that belong to this copy alone. Boxed, since few have any and all are moved.
    pub annotations: Option<Box<Arc<[u8]>>>,
    /// Where it comes from, if the subscription takes from several places.
    pub destination: Option<Arc<DestinationName>>,
}

/// From the dispatcher to a session.
#[derive(Debug)]
pub enum Reply {
    /// The connection is open: CONNECTED may be sent.
    Opened,
    /// A message.
    Deliver(Delivery),
    /// A promise that holds now.
    Receipt(ReceiptId),
    /// The same, of a SEND to a temporary destination that has gone: it was dropped.
    Unrouted(ReceiptId),
    /// The same, of a SEND that repeats another one: it was not enqueued again.
    Duplicate {
        /// What is answered.
        receipt: ReceiptId,
        /// The message that came first.
        original: MessageNumber,
    },
    /// A browser has seen everything.
    BrowseEnd(SubscriptionHandle),
    /// ERROR, then close.
    Refused(Refusal),
    /// Close without ERROR: the answer to DISCONNECT, or the broker stops.
    Close,
    /// A destination or the memory is full: hold SENDs back.
    Block,
    /// They may go on.
    Unblock,
}
