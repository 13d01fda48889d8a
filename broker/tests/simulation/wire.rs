//! What clients have seen of each message and been promised about it: the judge at the far end of the wire, who
//! knows nothing of the broker.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::policy::may_drop;
use crate::trace;

/// Scheduled messages that clients remember.
const JOBS_MAX: usize = 16;

/// Names a message in all its copies: the first bytes of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageId(pub usize);

/// Where a copy of a message is: each counts its deliveries by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// The queue of this name.
    Queue(String),
    /// A temporary queue of this client.
    Own(u64),
    /// A dead-letter queue, where it came to from this queue.
    DeadLetters(String),
    /// The same from this topic: as many copies as subscriptions have failed it.
    DeadCopies(String),
    /// One firing, by its `message-id`, of what comes again and again.
    Firing(Box<Place>, String),
    /// A durable or shared subscription.
    Lasting(String),
    /// What one subscription hears of a topic, or is shown of a queue.
    Subscription(String),
}

impl Place {
    fn of_firing(&self) -> &Place {
        match self {
            Place::Firing(place, _) => place,
            place => place,
        }
    }
}

/// A message in one place.
pub(crate) type Copy = (MessageId, Place);

/// A message in one place, and the number of its delivery.
pub(crate) type Delivered = (Copy, u32);

/// What a client sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Where to, as the client called it.
    pub(crate) targets: Vec<String>,
    pub(crate) priority: Option<u8>,
    pub(crate) group: Option<&'static str>,
    pub(crate) is_persistent: bool,
    pub(crate) may_expire: bool,
    /// Whether it says that it was sent before.
    pub(crate) is_resent: bool,
    /// Whether it may repeat another one, so that nobody gets it.
    pub(crate) may_repeat: bool,
    /// Whether it is to come later, and may be taken off before that.
    pub(crate) is_later: bool,
    /// Whether it comes again and again.
    pub(crate) comes_again: bool,
    pub(crate) body_bytes: usize,
}

impl Sent {
    /// Whether there is one copy of it.
    pub(crate) fn is_for_one_queue(&self) -> bool {
        let is_one = matches!(&self.targets[..], [only] if only.starts_with("/queue/"));
        is_one && !self.comes_again
    }
}

/// Everything that clients know together.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) sent: Vec<Sent>,
    /// Ids for duplicate detection that were given out.
    pub(crate) ids: usize,
    /// Scheduled messages by name, as listings told them lately.
    jobs: VecDeque<String>,
    /// Messages that the console has held: where they are from then on, and as which, is its affair.
    touched: HashSet<MessageId>,
    /// Messages that were said to be repeats.
    repeats: HashSet<MessageId>,
    /// Every `JMSXDeliveryCount` since the last crash; 0 when it was seen before that. Two connections may take
    /// their bytes in another order than they were written in.
    seen: HashMap<Copy, Vec<u32>>,
    /// SENDs and COMMITs whose receipt has come.
    promised: HashSet<MessageId>,
    /// ACKs whose receipt has come, with the number of the delivery; 0 after a crash. An earlier delivery may still
    /// be on its way to a client that has unsubscribed.
    done: HashMap<Copy, u32>,
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

    /// A listing has told of a scheduled message.
    pub(crate) fn learn_job(&mut self, job: String) {
        if !self.jobs.contains(&job) {
            self.jobs.push_back(job);
        }
        if self.jobs.len() > JOBS_MAX {
            self.jobs.pop_front();
        }
    }

    /// One of those that were told.
    pub(crate) fn job(&self, index: usize) -> Option<&str> {
        self.jobs.get(index).map(|job| &**job)
    }

    /// The console has a message in its hands.
    pub(crate) fn touch(&mut self, message: MessageId) {
        self.touched.insert(message);
    }

    pub(crate) fn is_touched(&self, message: MessageId) -> bool {
        self.touched.contains(&message)
    }

    /// The receipt said `x-routed:0`.
    pub(crate) fn went_nowhere(&mut self, message: MessageId) {
        let targets = &self.sent[message.0].targets;
        let is_possible = targets
            .iter()
            .all(|target| target.starts_with("/remote-temp-"));
        assert!(is_possible, "{message:?} to {targets:?} went nowhere");
    }

    /// The receipt said `x-duplicate:true`.
    pub(crate) fn was_repeat(&mut self, message: MessageId) {
        assert!(self.sent[message.0].may_repeat, "{message:?} has no id");
        assert!(
            self.seen.keys().all(|(seen, _)| *seen != message),
            "{message:?} was said to be a repeat, and seen"
        );
        self.repeats.insert(message);
    }

    pub(crate) fn finish(&mut self, (copy, deliveries): Delivered) {
        self.done.insert(copy, deliveries);
    }

    /// A client has a whole MESSAGE.
    pub(crate) fn received(
        &mut self,
        copy: Copy,
        deliveries: u32,
        is_redelivered: bool,
        is_answer: bool,
    ) {
        assert_eq!(
            is_redelivered,
            deliveries >= 2,
            "{copy:?}: redelivered contradicts JMSXDeliveryCount {deliveries}"
        );
        assert!(
            is_redelivered || is_answer || !self.sent[copy.0.0].is_resent,
            "{copy:?} was sent again and says that it is new"
        );
        assert!(
            !self.repeats.contains(&copy.0),
            "{copy:?} was said to be a repeat"
        );
        if matches!(copy.1.of_firing(), Place::DeadCopies(_)) {
            // Nobody can tell one from the other.
            self.seen.entry(copy).or_default().push(deliveries);
            return;
        }
        assert!(
            self.done.get(&copy).is_none_or(|done| deliveries <= *done),
            "{copy:?} came again although its ACK was answered"
        );
        let is_shown =
            matches!(copy.1.of_firing(), Place::Subscription(name) if name.contains(" shows "));
        let counts = self.seen.entry(copy.clone()).or_default();
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
        assert!(
            counts.is_empty() || !is_shown,
            "{copy:?} was shown twice by one browser"
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
            // What the console has deleted nobody sees: the model knows where it went.
            let may_be_unseen =
                self.is_touched(*message) || sent.may_expire || sent.may_repeat || sent.is_later;
            if may_be_unseen || !sent.is_persistent {
                continue;
            }
            for target in sent
                .targets
                .iter()
                .filter(|name| name.starts_with("/queue/") && !may_drop(name))
            {
                let places = [
                    Place::Queue(target.clone()),
                    Place::DeadLetters(target.clone()),
                ];
                let was_seen = places
                    .into_iter()
                    .any(|place| self.seen.contains_key(&(*message, place)));
                assert!(
                    was_seen,
                    "{message:?} {sent:?} was promised and never seen in {target}"
                );
            }
        }
    }
}
