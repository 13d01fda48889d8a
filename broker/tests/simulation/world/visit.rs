//! Visits of the console: what it does to messages and durable subscriptions. Each is a connection without a socket that
//! asks for the same, in the same order, as the runtime's visits do.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use stompbox_broker::core::destination::{DestinationKind, DestinationName};
use stompbox_broker::core::dispatcher::{ConsumerPriority, Dispatcher, Exclusivity};
use stompbox_broker::core::message::{DeliveryMode, Publication, Target};
use stompbox_broker::core::port::{
    AckMode, AckTarget, ConnectionId, Deletion, Delivery, DeliveryCounter, DeliveryTag, Ending,
    Intent, Locality, Memory, Opening, Prefetch, ReceiptId, Reply, Request, Source, Subscribing,
    SubscriptionHandle, TransactionHandle, Verdict,
};
use stompbox_broker::core::selector::Selector;
use stompbox_protocol::{Version, canonical};
use stompbox_store::MessageNumber;

use crate::catalogue::message_name;
use crate::model::message_of;
use crate::policy::may_drop;
use crate::trace;
use crate::wire::MessageId;

const BROWSER: SubscriptionHandle = SubscriptionHandle(1);
const CONSUMER: SubscriptionHandle = SubscriptionHandle(2);
const TRANSACTION: TransactionHandle = TransactionHandle(1);

/// More than any queue has.
const PREFETCH: u32 = 1_000;

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) enum Errand {
    /// So many messages go, or all.
    Purge(usize),
    Delete(usize),
    Move(usize, Arc<DestinationName>),
    Retry(usize),
    /// A durable subscription goes; it is its client that visits.
    Forget(Deletion, Option<Box<str>>),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Looking,
    Taking,
    Purging,
    /// The last receipt.
    Answer,
}

/// See the module.
pub(super) struct Visit {
    pub(super) connection: ConnectionId,
    queue: Arc<DestinationName>,
    errand: Errand,
    instance: Arc<str>,
    pub(super) arrived: VecDeque<Reply>,
    stage: Stage,
    /// Messages that were found and are to be had.
    chosen: Vec<MessageNumber>,
    /// Those that have come, and what is sent in their place.
    taken: Vec<MessageId>,
    sends: Vec<Publication>,
    purged: usize,
    last: Option<DeliveryTag>,
    /// Whether an acknowledgement is not answered yet.
    is_owed: bool,
}

/// What a visit comes to.
pub(super) enum Step {
    Asks(Vec<Request>),
    IsOver,
}

impl Visit {
    pub(super) fn new(
        connection: ConnectionId,
        queue: &str,
        errand: Errand,
        instance: &Arc<str>,
    ) -> Self {
        let bare = queue.strip_prefix("/queue/").unwrap_or(queue);
        Self {
            connection,
            queue: Arc::new(DestinationName::new(DestinationKind::Queue, bare)),
            errand,
            instance: Arc::clone(instance),
            arrived: VecDeque::new(),
            stage: Stage::Opening,
            chosen: Vec::new(),
            taken: Vec::new(),
            sends: Vec::new(),
            purged: 0,
            last: None,
            is_owed: false,
        }
    }

    pub(super) fn opening(&self) -> Request {
        let client_id = match &self.errand {
            Errand::Forget(_, client_id) => client_id.clone(),
            _ => None,
        };
        Request::Open(Box::new(Opening {
            session: format!("console-{}", self.connection.0).into(),
            client_id,
            login: None,
            version: Version::V1_2,
            peer: "console".to_owned(),
        }))
    }

    /// What it holds goes back uncounted.
    pub(super) fn ending() -> Request {
        Request::Closed {
            ending: Ending::Disconnect,
            written: DeliveryCounter(0),
        }
    }

    fn wanted(&self) -> usize {
        match self.errand {
            Errand::Purge(wanted) | Errand::Delete(wanted) | Errand::Retry(wanted) => wanted,
            Errand::Move(wanted, _) => wanted,
            Errand::Forget(..) => 0,
        }
    }

    /// Acts on what has come; `is_patient` says whether it waits for more. `knows` says which messages can be named,
    /// `meets` hears of those that it holds.
    pub(super) fn act(
        &mut self,
        dispatcher: &Dispatcher,
        is_patient: bool,
        now_ms: i64,
        knows: impl Fn(MessageNumber) -> bool,
        mut meets: impl FnMut(MessageId),
    ) -> Step {
        let mut asks = Vec::new();
        while let Some(reply) = self.arrived.pop_front() {
            if let Reply::Deliver(delivery) = &reply
                && delivery.subscription == CONSUMER
            {
                meets(message_of(delivery.message.body()));
            }
            let is_over = match reply {
                Reply::Refused(_) | Reply::Close => true,
                Reply::Opened => {
                    asks.push(self.begin());
                    false
                }
                Reply::Deliver(delivery) => self.delivered(&delivery, now_ms, &knows, &mut asks),
                Reply::BrowseEnd(_) => self.has_looked(&mut asks),
                Reply::Receipt(_) if self.stage == Stage::Purging => {
                    self.is_owed = false;
                    self.purged >= self.wanted()
                }
                Reply::Receipt(_) => true,
                Reply::Unrouted(_) | Reply::Duplicate { .. } | Reply::Block | Reply::Unblock => {
                    false
                }
            };
            if is_over {
                return Step::IsOver;
            }
        }
        let has_all = self.stage == Stage::Taking && self.taken.len() >= self.chosen.len();
        match self.stage {
            Stage::Purging if !self.is_owed => match self.last.take() {
                Some(last) => asks.push(self.acknowledge_through(last)),
                None if !is_patient => return Step::IsOver,
                None => {}
            },
            Stage::Taking if has_all || !is_patient => {
                let is_lost = self.sends.iter().any(|send| !dispatcher.is_taken(send));
                if self.taken.is_empty() || is_lost {
                    return Step::IsOver;
                }
                asks.push(self.commit());
            }
            Stage::Looking if !is_patient => return Step::IsOver,
            _ => {}
        }
        Step::Asks(asks)
    }

    fn begin(&mut self) -> Request {
        match self.errand.clone() {
            Errand::Purge(_) => {
                self.stage = Stage::Purging;
                let mut subscribing = self.subscribing(CONSUMER, Intent::Consume, None);
                subscribing.mode = AckMode::Client;
                Request::Subscribe(Box::new(subscribing))
            }
            Errand::Forget(deletion, _) => {
                self.stage = Stage::Answer;
                Request::Unsubscribe {
                    subscription: None,
                    deletes: Some(deletion),
                    given: DeliveryCounter(0),
                    receipt: Some(receipt("forget")),
                }
            }
            Errand::Delete(_) | Errand::Move(..) | Errand::Retry(_) => {
                self.stage = Stage::Looking;
                Request::Subscribe(Box::new(self.subscribing(BROWSER, Intent::Browse, None)))
            }
        }
    }

    /// Whether that ends the visit.
    fn delivered(
        &mut self,
        delivery: &Delivery,
        now_ms: i64,
        knows: impl Fn(MessageNumber) -> bool,
        asks: &mut Vec<Request>,
    ) -> bool {
        match self.stage {
            Stage::Looking if delivery.subscription == BROWSER => {
                if knows(delivery.number) && !self.chosen.contains(&delivery.number) {
                    self.chosen.push(delivery.number);
                }
                if self.chosen.len() >= self.wanted() {
                    return self.has_looked(asks);
                }
                asks.push(Request::Written {
                    subscription: BROWSER,
                    count: 1,
                    bytes: delivery.message.bytes(),
                });
            }
            Stage::Taking if delivery.subscription == CONSUMER => {
                return self.take(delivery, now_ms, asks);
            }
            Stage::Purging if self.purged < self.wanted() => {
                self.purged += 1;
                self.last = Some(delivery.tag);
            }
            _ => {}
        }
        false
    }

    fn has_looked(&mut self, asks: &mut Vec<Request>) -> bool {
        if self.stage != Stage::Looking {
            return false;
        }
        if self.chosen.is_empty() {
            return true;
        }
        self.stage = Stage::Taking;
        asks.push(Request::Unsubscribe {
            subscription: Some(BROWSER),
            deletes: None,
            given: DeliveryCounter(0),
            receipt: None,
        });
        let names = self.chosen.iter();
        let names: Vec<_> = names
            .map(|number| format!("'{}'", message_name(&self.instance, *number)))
            .collect();
        let text = format!("JMSMessageID IN ({})", names.join(","));
        let selector = Selector::parse(&text).expect("a selector");
        let subscribing = self.subscribing(CONSUMER, Intent::Consume, selector);
        asks.push(Request::Subscribe(Box::new(subscribing)));
        false
    }

    /// One of several that look alike is enough: with which of them it has to do nobody could tell.
    fn take(&mut self, delivery: &Delivery, now_ms: i64, asks: &mut Vec<Request>) -> bool {
        let message = message_of(delivery.message.body());
        if self.taken.contains(&message) {
            return false;
        }
        let to = match &self.errand {
            Errand::Move(_, to) => Some(Arc::clone(to)),
            Errand::Retry(_) => match home(delivery) {
                Some(home) => Some(home),
                None => return true,
            },
            _ => None,
        };
        // What such a queue drops is seen only where it was stored.
        let drops = to.as_ref().is_some_and(|to| may_drop(to.wire()));
        if drops && delivery.mode == DeliveryMode::NonPersistent {
            return false;
        }
        self.taken.push(message);
        self.sends.extend(to.map(|to| Publication {
            target: Target::One(to),
            message: Arc::clone(&delivery.message),
            mode: delivery.mode,
            expires_ms: delivery.expires_ms,
            sent_ms: now_ms,
            later: None,
            duplicate_id: None,
        }));
        asks.push(Request::Acknowledge {
            target: AckTarget::Delivery(delivery.tag),
            verdict: Verdict::Ack,
            transaction: Some(TRANSACTION),
            receipt: None,
        });
        false
    }

    fn commit(&mut self) -> Request {
        self.stage = Stage::Answer;
        trace::count(match self.errand {
            Errand::Move(..) => "console: moves",
            Errand::Retry(_) => "console: retries",
            _ => "console: deletes",
        });
        Request::Commit {
            transaction: TRANSACTION,
            sends: std::mem::take(&mut self.sends),
            receipt: Some(receipt("commit")),
        }
    }

    fn acknowledge_through(&mut self, last: DeliveryTag) -> Request {
        trace::count("console: purges");
        self.is_owed = true;
        Request::Acknowledge {
            target: AckTarget::Delivery(last),
            verdict: Verdict::Ack,
            transaction: None,
            receipt: Some(receipt("purge")),
        }
    }

    fn subscribing(
        &self,
        subscription: SubscriptionHandle,
        intent: Intent,
        selector: Option<Selector>,
    ) -> Subscribing {
        Subscribing {
            subscription,
            sources: smallvec![Source::One(Arc::clone(&self.queue))],
            mode: match intent {
                Intent::Browse => AckMode::Auto,
                Intent::Consume => AckMode::ClientIndividual,
            },
            prefetch: Prefetch {
                messages: Some(match self.chosen.len() {
                    0 => PREFETCH,
                    some => some as u32,
                }),
                bytes: None,
            },
            selector: selector.map(Arc::new),
            selector_text: None,
            lasting: None,
            priority: ConsumerPriority::default(),
            exclusivity: Exclusivity::default(),
            locality: Locality::default(),
            pending_max: None,
            memory: Memory::default(),
            intent,
            receipt: None,
        }
    }
}

fn receipt(text: &str) -> ReceiptId {
    ReceiptId(SmallVec::from_slice(text.as_bytes()))
}

/// The queue that a dead letter comes from.
fn home(delivery: &Delivery) -> Option<Arc<DestinationName>> {
    let annotations = delivery.annotations.as_ref()?;
    let origin = canonical::find(annotations, b"original-destination")?;
    let origin = String::from_utf8(origin.into_owned()).expect("text");
    let bare = origin.strip_prefix("/queue/")?;
    Some(Arc::new(DestinationName::new(DestinationKind::Queue, bare)))
}
