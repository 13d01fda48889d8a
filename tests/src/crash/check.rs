//! Which promises of the wire contract a history breaks.
//!
//! A pure function. A promise exists from the event on that shows its RECEIPT; what was issued and never receipted
//! is *in doubt*: it may have happened or not, but as a whole, and once the history proves which it stays so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::history::{
    ConsumerId, Delivery, DeliveryId, Event, History, Life, Name, OperationId, ProducerId, Scope,
    TransactionId, Verdict,
};

/// The shared dead-letter queue.
pub const DEAD_LETTERS: &str = "/queue/ActiveMQ.DLQ";

/// Failures after which a message is dead: the first delivery and 6 redeliveries (dialect, section 6).
pub const FAILURES_MAX: usize = 7;

/// A kind of broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A message whose SEND or COMMIT was receipted is gone and nobody acknowledged it.
    Lost,
    /// A message came back after the receipt of what settled it.
    SettledReturned,
    /// A second delivery from a destination without `redelivered:true`.
    RepeatUnmarked,
    /// `redelivered` and `JMSXDeliveryCount` contradict each other, or the deliveries of this life.
    WrongCount,
    /// A message was delivered again while an earlier delivery of this life was still open or acknowledged.
    DeliveredTwice,
    /// A transaction in doubt took effect in part.
    SplitTransaction,
    /// A message was delivered that nobody sent, or before the COMMIT of its transaction was issued.
    Phantom,
    /// First deliveries out of order.
    OutOfOrder,
    /// A message is in the dead-letter queue without reason.
    WronglyDead,
    /// One message had two ids, or one id two messages.
    WrongId,
    /// The broker broke a connection.
    Broken,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its kind.
    pub kind: Kind,
    /// The message that shows it.
    pub name: Option<Name>,
    /// What happened.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ", self.kind)?;
        if let Some(name) = self.name {
            write!(f, "{name}: ")?;
        }
        write!(f, "{}", self.detail)
    }
}

/// All broken promises of a history in which, at the end, every destination was drained and acknowledged.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let index = Index::of(history);
    let mut found = index.violations.clone();
    for (name, message) in &index.messages {
        check_identity(*name, message, &mut found);
        check_settled(&index, *name, message, &mut found);
        check_repeats(*name, message, &mut found);
        check_dead(&index, *name, message, &mut found);
        check_lost(&index, *name, message, &mut found);
    }
    check_transactions(&index, &mut found);
    check_order(&index, &mut found);
    check_ids(&index, &mut found);
    found
}

/// A position in the history.
type At = usize;

/// How far an operation got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Part of a transaction whose COMMIT was never issued: without effect.
    Void,
    /// Issued, not receipted.
    InDoubt,
    /// Receipted at that position.
    Promised(At),
}

#[derive(Debug)]
struct Sending {
    life: Life,
    destination: Arc<str>,
    scope: Scope,
}

#[derive(Debug)]
struct Settlement {
    at: At,
    verdict: Verdict,
    scope: Scope,
    delivery: DeliveryId,
}

#[derive(Debug, Default)]
struct Message {
    sending: Option<Sending>,
    deliveries: Vec<(At, Delivery)>,
    settlements: Vec<Settlement>,
}

impl Message {
    fn origin(&self) -> &str {
        self.sending
            .as_ref()
            .map_or("", |sending| &sending.destination)
    }

    fn delivery(&self, id: DeliveryId) -> Option<&Delivery> {
        self.deliveries
            .iter()
            .map(|(_, delivery)| delivery)
            .find(|delivery| delivery.id == id)
    }

    /// Deliveries from a destination after a position.
    fn returns<'m>(
        &'m self,
        after: At,
        destination: &'m str,
    ) -> impl Iterator<Item = &'m Delivery> {
        self.deliveries
            .iter()
            .filter(move |(at, delivery)| *at > after && *delivery.destination == *destination)
            .map(|(_, delivery)| delivery)
    }

    /// Whether a delivery was followed by one from the same destination in a later life, which proves that what
    /// was said of it did not take effect.
    fn came_back(&self, id: DeliveryId) -> bool {
        self.delivery(id).is_some_and(|settled| {
            self.deliveries.iter().any(|(_, later)| {
                later.life > settled.life && later.destination == settled.destination
            })
        })
    }
}

#[derive(Debug, Default)]
struct Transaction {
    committed: Option<(At, OperationId)>,
    outputs: Vec<Name>,
    inputs: Vec<(Name, DeliveryId)>,
}

#[derive(Debug, Default)]
struct Index {
    messages: BTreeMap<Name, Message>,
    transactions: BTreeMap<TransactionId, Transaction>,
    receipts: HashMap<OperationId, At>,
    violations: Vec<Violation>,
}

impl Index {
    fn of(history: &History) -> Index {
        let mut index = Index::default();
        let mut names = HashMap::new();
        for (at, event) in history.events.iter().enumerate() {
            match event {
                Event::Started(_) => {}
                Event::Sent {
                    life,
                    name,
                    destination,
                    scope,
                } => {
                    index.enter_sending(*name, *life, destination, *scope);
                }
                Event::Settled {
                    verdict,
                    deliveries,
                    scope,
                } => {
                    for delivery in deliveries {
                        if let Some(name) = names.get(delivery) {
                            index.enter_settlement(at, *name, *verdict, *delivery, *scope);
                        }
                    }
                }
                Event::Committed {
                    transaction,
                    operation,
                } => {
                    index
                        .transactions
                        .entry(*transaction)
                        .or_default()
                        .committed = Some((at, *operation));
                }
                Event::Aborted {
                    transaction,
                    operation,
                } => index.enter_abort(at, *transaction, *operation),
                Event::Receipted(operation) => {
                    index.receipts.insert(*operation, at);
                }
                Event::Delivered(delivery) => {
                    names.insert(delivery.id, delivery.name);
                    let message = index.messages.entry(delivery.name).or_default();
                    message.deliveries.push((at, delivery.clone()));
                }
                Event::Broken(detail) => index.violations.push(Violation {
                    kind: Kind::Broken,
                    name: None,
                    detail: detail.clone(),
                }),
            }
        }
        index
    }

    fn enter_sending(&mut self, name: Name, life: Life, destination: &Arc<str>, scope: Scope) {
        if let Scope::In(transaction) = scope {
            self.transactions
                .entry(transaction)
                .or_default()
                .outputs
                .push(name);
        }
        let destination = destination.clone();
        self.messages.entry(name).or_default().sending = Some(Sending {
            life,
            destination,
            scope,
        });
    }

    fn enter_settlement(
        &mut self,
        at: At,
        name: Name,
        verdict: Verdict,
        delivery: DeliveryId,
        scope: Scope,
    ) {
        if let Scope::In(transaction) = scope {
            self.transactions
                .entry(transaction)
                .or_default()
                .inputs
                .push((name, delivery));
        }
        let settlements = &mut self.messages.entry(name).or_default().settlements;
        settlements.push(Settlement {
            at,
            verdict,
            scope,
            delivery,
        });
    }

    /// ABORT takes acknowledgements back as NACK would.
    fn enter_abort(&mut self, at: At, transaction: TransactionId, operation: OperationId) {
        let known = self.transactions.get(&transaction);
        let inputs = known.map_or_else(Vec::new, |known| known.inputs.clone());
        for (name, delivery) in inputs {
            let scope = Scope::Alone(operation);
            self.enter_settlement(at, name, Verdict::Failed, delivery, scope);
        }
    }

    /// Whether the message of a delivery was on disk for certain: its sending was receipted, or it had come back in a
    /// later life. Any other may be delivered before it is durable, and vanish in a crash without anybody's doing.
    fn was_durable(&self, message: &Message, delivery: DeliveryId) -> bool {
        let Some(sending) = &message.sending else {
            return false;
        };
        let survived = |delivery: &Delivery| delivery.life > sending.life;
        message.delivery(delivery).is_some_and(survived)
            || matches!(self.standing(sending.scope), Standing::Promised(_))
    }

    fn standing(&self, scope: Scope) -> Standing {
        let operation = match scope {
            Scope::Alone(operation) => operation,
            Scope::In(transaction) => {
                match self
                    .transactions
                    .get(&transaction)
                    .and_then(|known| known.committed)
                {
                    Some((_, operation)) => operation,
                    None => return Standing::Void,
                }
            }
        };
        match self.receipts.get(&operation) {
            Some(at) => Standing::Promised(*at),
            None => Standing::InDoubt,
        }
    }
}

/// Nothing is delivered that was not sent, and not before its transaction was to be committed.
fn check_identity(name: Name, message: &Message, found: &mut Vec<Violation>) {
    let mut report = |kind, detail| {
        found.push(Violation {
            kind,
            name: Some(name),
            detail,
        })
    };
    let Some(sending) = &message.sending else {
        report(Kind::Phantom, "delivered, but never sent".to_owned());
        return;
    };
    for (_, delivery) in &message.deliveries {
        if delivery.destination != sending.destination && *delivery.destination != *DEAD_LETTERS {
            let detail = format!("sent to {}, got {delivery:?}", sending.destination);
            report(Kind::Phantom, detail);
        }
    }
}

/// What was settled with a receipt does not come back to where it was.
fn check_settled(index: &Index, name: Name, message: &Message, found: &mut Vec<Violation>) {
    let mut report = |detail| {
        found.push(Violation {
            kind: Kind::SettledReturned,
            name: Some(name),
            detail,
        });
    };
    let mut failures_promised = Vec::new();
    for settlement in &message.settlements {
        let Some(settled) = message.delivery(settlement.delivery) else {
            continue;
        };
        let Standing::Promised(at) = index.standing(settlement.scope) else {
            continue;
        };
        match settlement.verdict {
            Verdict::Consumed | Verdict::Dead => {
                if let Some(again) = message.returns(at, &settled.destination).next() {
                    let verdict = settlement.verdict;
                    report(format!(
                        "{verdict:?} was receipted for {settled:?}, then {again:?}"
                    ));
                }
            }
            // A failure in the dead-letter queue moves nothing.
            Verdict::Failed if *settled.destination == *DEAD_LETTERS => {}
            Verdict::Failed => failures_promised.push(at),
        }
    }
    failures_promised.sort_unstable();
    if let Some(at) = failures_promised.get(FAILURES_MAX - 1)
        && let Some(again) = message.returns(*at, message.origin()).next()
    {
        report(format!(
            "{FAILURES_MAX} failures were receipted, then {again:?}"
        ));
    }
    // What has been seen in the dead-letter queue had left its origin in the same commit.
    if let Some((at, _)) = message
        .deliveries
        .iter()
        .find(|(_, delivery)| *delivery.destination == *DEAD_LETTERS)
        && message.origin() != DEAD_LETTERS
        && let Some(again) = message.returns(*at, message.origin()).next()
    {
        report(format!("was in {DEAD_LETTERS}, then {again:?}"));
    }
}

/// A repeat says so; counts tell the truth where the broker can know it; nothing is delivered while it is out.
fn check_repeats(name: Name, message: &Message, found: &mut Vec<Violation>) {
    let mut report = |kind, detail| {
        found.push(Violation {
            kind,
            name: Some(name),
            detail,
        })
    };
    for (index, (at, delivery)) in message.deliveries.iter().enumerate() {
        let earlier: Vec<&Delivery> = message.deliveries[..index]
            .iter()
            .map(|(_, earlier)| earlier)
            .filter(|earlier| earlier.destination == delivery.destination)
            .collect();
        if !earlier.is_empty() && !delivery.redelivered {
            report(
                Kind::RepeatUnmarked,
                format!("delivery {}: {delivery:?}", earlier.len() + 1),
            );
        }
        if delivery.redelivered != (delivery.count >= 2) {
            report(
                Kind::WrongCount,
                format!("redelivered and count differ: {delivery:?}"),
            );
        }
        let sent_in_this_life = message.sending.as_ref().is_some_and(|sending| {
            sending.life == delivery.life && sending.destination == delivery.destination
        });
        if sent_in_this_life && delivery.count as usize != earlier.len() + 1 {
            let detail = format!("delivery {} of this life: {delivery:?}", earlier.len() + 1);
            report(Kind::WrongCount, detail);
        }
        if let Some(last) = earlier.last()
            && last.life == delivery.life
            && !was_returned(message, last.id, *at)
        {
            report(
                Kind::DeliveredTwice,
                format!("{last:?} was not returned, then {delivery:?}"),
            );
        }
    }
}

/// Whether a delivery was refused, and not for good, before a position.
fn was_returned(message: &Message, delivery: DeliveryId, before: At) -> bool {
    message.settlements.iter().any(|settlement| {
        settlement.delivery == delivery
            && settlement.at < before
            && settlement.verdict == Verdict::Failed
    })
}

/// A message is dead only when it was refused for good or often enough.
fn check_dead(index: &Index, name: Name, message: &Message, found: &mut Vec<Violation>) {
    for (at, delivery) in &message.deliveries {
        if *delivery.destination != *DEAD_LETTERS || message.origin() == DEAD_LETTERS {
            continue;
        }
        let before: Vec<&Settlement> = message
            .settlements
            .iter()
            .filter(|settlement| {
                settlement.at < *at && index.standing(settlement.scope) != Standing::Void
            })
            .collect();
        let condemned = before
            .iter()
            .any(|settlement| settlement.verdict == Verdict::Dead);
        let failures = before
            .iter()
            .filter(|settlement| settlement.verdict == Verdict::Failed)
            .count();
        if !condemned && failures < FAILURES_MAX {
            let detail = format!("dead after {failures} failures: {delivery:?}");
            found.push(Violation {
                kind: Kind::WronglyDead,
                name: Some(name),
                detail,
            });
        }
    }
}

/// What was accepted is consumed in the end: the history ends with everything drained.
fn check_lost(index: &Index, name: Name, message: &Message, found: &mut Vec<Violation>) {
    let Some(sending) = &message.sending else {
        return;
    };
    let Standing::Promised(_) = index.standing(sending.scope) else {
        return;
    };
    let consumed = message.settlements.iter().any(|settlement| {
        settlement.verdict == Verdict::Consumed
            && match index.standing(settlement.scope) {
                Standing::Void => false,
                Standing::InDoubt => !message.came_back(settlement.delivery),
                Standing::Promised(_) => true,
            }
    });
    if !consumed {
        let count = message.deliveries.len();
        let detail = format!(
            "sent to {} with a receipt, {count} deliveries, gone",
            sending.destination
        );
        found.push(Violation {
            kind: Kind::Lost,
            name: Some(name),
            detail,
        });
    }
}

/// A transaction shows nothing before its COMMIT, and one in doubt happened as a whole or not at all.
fn check_transactions(index: &Index, found: &mut Vec<Violation>) {
    for (id, transaction) in &index.transactions {
        let committed_at = transaction.committed.map(|(at, _)| at);
        for (name, message) in outputs(index, transaction) {
            let early = |(at, _): &&(At, Delivery)| committed_at.is_none_or(|commit| *at < commit);
            if let Some((_, delivery)) = message.deliveries.iter().find(early) {
                let detail = format!("{id:?} was not committed, but {delivery:?}");
                found.push(Violation {
                    kind: Kind::Phantom,
                    name: Some(name),
                    detail,
                });
            }
        }
        let Some((_, operation)) = transaction.committed else {
            continue;
        };
        if index.receipts.contains_key(&operation) {
            // Every part is promised: the checks of single messages hold for it.
            continue;
        }
        if let Some(detail) = split(index, transaction) {
            let name = transaction.outputs.first().copied();
            let detail = format!("{id:?} {detail}");
            found.push(Violation {
                kind: Kind::SplitTransaction,
                name,
                detail,
            });
        }
    }
}

/// How the parts of a transaction contradict each other; `None` when they agree.
fn split(index: &Index, transaction: &Transaction) -> Option<String> {
    let (mut happened, mut did_not) = (Vec::new(), Vec::new());
    for (name, message) in outputs(index, transaction) {
        if message.deliveries.is_empty() {
            did_not.push(format!("output {name} never appeared"));
        } else {
            happened.push(format!("output {name} appeared"));
        }
    }
    for (name, delivery) in &transaction.inputs {
        let message = index.messages.get(name)?;
        if message.came_back(*delivery) {
            did_not.push(format!("input {name} came back"));
        } else if index.was_durable(message, *delivery) {
            happened.push(format!("input {name} is gone"));
        }
    }
    (!happened.is_empty() && !did_not.is_empty())
        .then(|| format!("happened: {happened:?}; did not: {did_not:?}"))
}

fn outputs<'i>(
    index: &'i Index,
    transaction: &'i Transaction,
) -> impl Iterator<Item = (Name, &'i Message)> {
    transaction
        .outputs
        .iter()
        .filter_map(|name| index.messages.get(name).map(|message| (*name, message)))
}

/// Messages of one producer come in their order within a destination and a priority, each when it is seen first.
///
/// Among competing consumers only what one of them saw can be compared. Where a destination had one consumer at a
/// time the order holds across lives too: what was before a message on the wire was read before it.
fn check_order(index: &Index, found: &mut Vec<Violation>) {
    let mut consumers: HashMap<(&str, Life), HashSet<ConsumerId>> = HashMap::new();
    let mut firsts: Vec<(At, &Delivery)> = Vec::new();
    for message in index.messages.values() {
        let mut seen = HashSet::new();
        for (at, delivery) in &message.deliveries {
            let place = (&*delivery.destination, delivery.life);
            consumers
                .entry(place)
                .or_default()
                .insert(delivery.consumer);
            // Into the dead-letter queue messages come by their failures, not by their senders' order.
            if seen.insert(&delivery.destination) && *delivery.destination != *DEAD_LETTERS {
                firsts.push((*at, delivery));
            }
        }
    }
    firsts.sort_unstable_by_key(|(at, _)| *at);
    let shared: HashSet<&str> = consumers
        .iter()
        .filter(|(_, consumers)| consumers.len() > 1)
        .map(|((destination, _), _)| *destination)
        .collect();

    type Lane<'d> = (&'d str, u8, ProducerId, Option<ConsumerId>);
    let mut newest: HashMap<Lane<'_>, &Delivery> = HashMap::new();
    for (_, delivery) in firsts {
        let destination = &*delivery.destination;
        let consumer = shared.contains(destination).then_some(delivery.consumer);
        let lane = (
            destination,
            delivery.priority,
            delivery.name.producer,
            consumer,
        );
        if let Some(before) = newest.get(&lane)
            && before.name.number > delivery.name.number
        {
            let detail = format!("first delivered after {before:?}: {delivery:?}");
            let name = Some(delivery.name);
            found.push(Violation {
                kind: Kind::OutOfOrder,
                name,
                detail,
            });
            continue;
        }
        newest.insert(lane, delivery);
    }
}

/// One message, one id; one id, one message.
fn check_ids(index: &Index, found: &mut Vec<Violation>) {
    let mut owners: HashMap<&str, Name> = HashMap::new();
    for (name, message) in &index.messages {
        let mut ids = HashSet::new();
        for (_, delivery) in &message.deliveries {
            if ids.insert(&*delivery.message_id) && ids.len() > 1 {
                let detail = format!("has the ids {ids:?}");
                found.push(Violation {
                    kind: Kind::WrongId,
                    name: Some(*name),
                    detail,
                });
            }
            if let Some(owner) = owners.insert(&delivery.message_id, *name)
                && owner != *name
            {
                let detail = format!("shares the id {} with {owner}", delivery.message_id);
                found.push(Violation {
                    kind: Kind::WrongId,
                    name: Some(*name),
                    detail,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
