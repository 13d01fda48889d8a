//! What clients have seen of each message and been promised about it: the judge at the far end of the wire, who
//! knows nothing of the broker.

use std::collections::{HashMap, HashSet};

use crate::trace;

/// Names a message in all its copies: the first bytes of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageId(pub usize);

/// A dead letter counts its deliveries anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// The queue that it was sent to.
    Queue,
    /// A dead-letter queue.
    DeadLetters,
}

/// A message in one place.
pub(crate) type Copy = (MessageId, Place);

/// A message in one place, and the number of its delivery.
pub(crate) type Delivered = (Copy, u32);

/// What a client sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) queue: &'static str,
    pub(crate) priority: Option<u8>,
    pub(crate) is_persistent: bool,
    pub(crate) may_expire: bool,
    pub(crate) body_bytes: usize,
}

/// Everything that clients know together.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) sent: Vec<Sent>,
    /// Every `JMSXDeliveryCount` since the last crash; 0 when it was seen before that. Two connections may take
    /// their bytes in another order than they were written in.
    seen: HashMap<Copy, Vec<u32>>,
    /// SENDs and COMMITs whose receipt has come.
    promised: HashSet<MessageId>,
    /// ACKs whose receipt has come, with the number of the delivery; 0 after a crash. An earlier delivery may still
    /// be on its way to a client that has unsubscribed.
    done: HashMap<Copy, u32>,
    /// Handed over for good, or acknowledged without waiting for the answer.
    given_up: HashSet<MessageId>,
}

impl Wire {
    /// A message is about to be sent.
    pub(crate) fn register(&mut self, sent: Sent) -> MessageId {
        self.sent.push(sent);
        MessageId(self.sent.len() - 1)
    }

    pub(crate) fn promise(&mut self, message: MessageId) {
        self.promised.insert(message);
    }

    pub(crate) fn finish(&mut self, (copy, deliveries): Delivered) {
        self.done.insert(copy, deliveries);
    }

    /// `auto`: from its hand-over on nobody promises anything.
    pub(crate) fn give_up(&mut self, message: MessageId) {
        self.given_up.insert(message);
    }

    /// A client has a whole MESSAGE.
    pub(crate) fn received(&mut self, copy: Copy, deliveries: u32, is_redelivered: bool) {
        assert!(
            self.done.get(&copy).is_none_or(|done| deliveries <= *done),
            "{copy:?} came again although its ACK was answered"
        );
        assert_eq!(
            is_redelivered,
            deliveries >= 2,
            "{copy:?}: redelivered contradicts JMSXDeliveryCount {deliveries}"
        );
        let counts = self.seen.entry(copy).or_default();
        if !counts.is_empty() {
            trace::count("wire: seen again");
        }
        assert!(
            is_redelivered || counts.iter().all(|count| *count > 1),
            "{copy:?} came twice without redelivered:true"
        );
        assert!(
            !counts.contains(&deliveries),
            "{copy:?} came twice as delivery {deliveries}"
        );
        counts.push(deliveries);
    }

    /// The broker crashed: it cannot know how often it had delivered what.
    pub(crate) fn broker_crashed(&mut self) {
        self.seen.values_mut().for_each(|counts| *counts = vec![0]);
    }

    /// Everything has been drained: what was promised was seen by somebody.
    pub(crate) fn check_end(&self) {
        for message in &self.promised {
            let sent = &self.sent[message.0];
            let was_seen = [Place::Queue, Place::DeadLetters]
                .iter()
                .any(|place| self.seen.contains_key(&(*message, *place)));
            assert!(
                was_seen
                    || sent.may_expire
                    || !sent.is_persistent
                    || self.given_up.contains(message),
                "{message:?} {sent:?} was promised and never seen"
            );
        }
    }
}
