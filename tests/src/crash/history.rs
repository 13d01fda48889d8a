//! What a workload did and saw, in one order.
//!
//! An operation is recorded as issued *before* its bytes are written and as receipted *after* its RECEIPT was read,
//! a delivery after its MESSAGE was read. So if one event caused another they stand in that order, and a promise
//! that the history shows as made had really been made.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A run of the broker, from start to kill; ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life(pub u32);

/// A producing connection; never the same in two lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u32);

/// A subscription; never the same in two lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u32);

/// A message, as its sender named it in its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Who sent it.
    pub producer: ProducerId,
    /// Its number with that producer, ascending over all its destinations.
    pub number: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}#{}", self.producer.0, self.number)
    }
}

/// An operation that asked for a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// A transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u64);

/// A delivery: one MESSAGE that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// How an operation takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// By itself: promised by its own receipt.
    Alone(OperationId),
    /// With its transaction: promised by the receipt of that one's COMMIT.
    In(TransactionId),
}

/// What was said about deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// ACK.
    Consumed,
    /// NACK.
    Failed,
    /// NACK with `requeue:false`.
    Dead,
}

/// A delivery as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its own id.
    pub id: DeliveryId,
    /// In which life.
    pub life: Life,
    /// To whom.
    pub consumer: ConsumerId,
    /// From where.
    pub destination: Arc<str>,
    /// What.
    pub name: Name,
    /// Its priority.
    pub priority: u8,
    /// The broker's name for it.
    pub message_id: Arc<str>,
    /// The `redelivered` header.
    pub redelivered: bool,
    /// The `JMSXDeliveryCount` header.
    pub count: u32,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A broker started.
    Started(Life),
    /// A SEND was issued.
    Sent {
        /// In which life.
        life: Life,
        /// What.
        name: Name,
        /// Where to.
        destination: Arc<str>,
        /// How it takes effect.
        scope: Scope,
    },
    /// An ACK or NACK was issued; a cumulative one names every delivery that it covers.
    Settled {
        /// What was said.
        verdict: Verdict,
        /// Of which deliveries.
        deliveries: Vec<DeliveryId>,
        /// How it takes effect.
        scope: Scope,
    },
    /// A COMMIT was issued.
    Committed {
        /// The transaction.
        transaction: TransactionId,
        /// Its receipt.
        operation: OperationId,
    },
    /// An ABORT was issued: a failure of everything that was acknowledged in the transaction.
    Aborted {
        /// The transaction.
        transaction: TransactionId,
        /// Its receipt.
        operation: OperationId,
    },
    /// A RECEIPT was read.
    Receipted(OperationId),
    /// A MESSAGE was read.
    Delivered(Delivery),
    /// A connection ended, or got an ERROR, although nobody had killed the broker.
    Broken(String),
}

/// Events in one order, and when each was recorded.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The events.
    pub events: Vec<Event>,
    /// The time of each since the beginning, for whoever reads a violation.
    pub times: Vec<Duration>,
}

impl History {
    /// A history of these events, a millisecond apart.
    #[must_use]
    pub fn of(events: Vec<Event>) -> History {
        let times = (0..)
            .map(Duration::from_millis)
            .take(events.len())
            .collect();
        History { events, times }
    }

    /// All that concerns one message, a line an event.
    #[must_use]
    pub fn story(&self, name: Name) -> String {
        let mut deliveries = HashMap::new();
        let mut operations = Vec::new();
        let mut transactions = Vec::new();
        let mut lines = String::new();
        for (event, time) in self.events.iter().zip(&self.times) {
            let concerns = match event {
                Event::Started(_) => true,
                Event::Broken(_) => false,
                Event::Sent {
                    name: sent, scope, ..
                } => *sent == name && follow(*scope, &mut operations, &mut transactions),
                Event::Settled {
                    deliveries: settled,
                    scope,
                    ..
                } => {
                    settled.iter().any(|id| deliveries.contains_key(id))
                        && follow(*scope, &mut operations, &mut transactions)
                }
                Event::Committed {
                    transaction,
                    operation,
                }
                | Event::Aborted {
                    transaction,
                    operation,
                } => {
                    transactions.contains(transaction)
                        && follow(Scope::Alone(*operation), &mut operations, &mut transactions)
                }
                Event::Receipted(operation) => operations.contains(operation),
                Event::Delivered(delivery) => {
                    delivery.name == name && deliveries.insert(delivery.id, ()).is_none()
                }
            };
            if concerns {
                lines.push_str(&format!("    {:>9.3} s {event:?}\n", time.as_secs_f64()));
            }
        }
        lines
    }
}

fn follow(
    scope: Scope,
    operations: &mut Vec<OperationId>,
    transactions: &mut Vec<TransactionId>,
) -> bool {
    match scope {
        Scope::Alone(operation) => operations.push(operation),
        Scope::In(transaction) => transactions.push(transaction),
    }
    true
}

/// Writes a history from many threads.
#[derive(Debug)]
pub struct Recorder {
    history: Mutex<History>,
    began: Instant,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder {
            history: Mutex::default(),
            began: Instant::now(),
        }
    }
}

impl Recorder {
    /// Adds an event.
    pub fn record(&self, event: Event) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.events.push(event);
        history.times.push(self.began.elapsed());
    }

    /// The history so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
