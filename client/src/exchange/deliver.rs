//! MESSAGE frames, sorted into the mailboxes of their consumers.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;

use stompbox_protocol::FrameRef;

use super::Exchange;
use super::subscribe::{Entry, Returns};
use crate::Message;
use crate::consumer::Room;
use crate::destination::outlives_connection;
use crate::shared::ConsumerId;
use crate::subscription::Purpose;

/// Messages whose acknowledgement was in doubt are remembered up to this number, the oldest forgotten first.
const DOUBTFUL_MAX: usize = 100_000;

/// Messages of one read for one consumer, so that its mailbox is locked once for all of them.
#[derive(Debug, Default)]
pub(super) struct Staged {
    consumer: Option<ConsumerId>,
    messages: Vec<Message>,
}

/// The ids of messages that were acknowledged in a COMMIT that is in doubt.
#[derive(Debug, Default)]
pub(super) struct Doubtful {
    ids: HashSet<Box<str>>,
    order: VecDeque<Box<str>>,
}

impl Doubtful {
    pub(super) fn add(&mut self, id: &str) {
        if self.ids.insert(id.into()) {
            self.order.push_back(id.into());
        }
        if self.order.len() > DOUBTFUL_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

impl Exchange {
    /// Sorts a message to those for its consumer. One for a subscription that has ended is dropped: it is
    /// unacknowledged, so that it returns.
    pub(super) fn deliver(&mut self, frame: &FrameRef<'_>) {
        let Some(id) = self.consumer_of(frame) else {
            return;
        };
        if self.staged.consumer != Some(id) {
            self.hand_over();
        }
        let Some(entry) = self.consumers.get(&id) else {
            return;
        };
        if entry.purpose == Purpose::Browse && frame.header("browser").as_deref() == Some(b"end") {
            self.hand_over();
            if let Some(entry) = self.consumers.get(&id) {
                entry.mailbox.finish();
            }
            return;
        }
        let generation = entry.mailbox.generation.load(Ordering::Acquire);
        let mut message = Message::new(frame, generation);
        message.set_returns(returns(entry, frame));
        if !self.doubtful.ids.is_empty()
            && message.is_redelivered()
            && self.doubtful.contains(&message.message_id())
        {
            message.set_in_doubt();
        }
        self.staged.consumer = Some(id);
        self.staged.messages.push(message);
    }

    /// Puts what has been sorted into its mailbox.
    pub(crate) fn hand_over(&mut self) {
        let Some(id) = self.staged.consumer.take() else {
            return;
        };
        match self.consumers.get(&id) {
            Some(entry) => {
                if entry.mailbox.put(&mut self.staged.messages) == Room::Full {
                    self.stalled = Some(id);
                }
            }
            None => self.staged.messages.clear(),
        }
    }

    pub(super) fn drop_staged(&mut self) {
        self.staged.consumer = None;
        self.staged.messages.clear();
    }

    fn consumer_of(&self, frame: &FrameRef<'_>) -> Option<ConsumerId> {
        let Some(subscription) = frame.text("subscription") else {
            return self.only_consumer_of(frame);
        };
        let number = subscription.parse().ok().map(ConsumerId);
        number
            .filter(|id| self.consumers.contains_key(id))
            .or_else(|| self.named.get(&*subscription).copied())
    }

    /// In STOMP 1.0 a message need not name its subscription.
    fn only_consumer_of(&self, frame: &FrameRef<'_>) -> Option<ConsumerId> {
        let destination = frame.text("destination")?;
        let is_meant = |entry: &Entry| entry.subscription.destination.as_str() == destination;
        let mut meant = self.consumers.iter().filter(|(_, entry)| is_meant(entry));
        let (id, _) = meant.next()?;
        meant.next().is_none().then_some(*id)
    }
}

fn returns(entry: &Entry, frame: &FrameRef<'_>) -> bool {
    match entry.returns {
        Returns::Always => true,
        Returns::Never => false,
        Returns::ByDestination => {
            outlives_connection(&frame.text("destination").unwrap_or_default())
        }
    }
}
