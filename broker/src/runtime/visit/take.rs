//! Deleting and moving messages: they are taken as by a consumer, and acknowledged in one transaction with what is
//! sent in their place.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use stompbox_console::{Action, AdminError, Carried, Order};

use super::view::{message_id, original_destination};
use super::{Visit, receipt_id, selector_of, subscribing};
use crate::core::destination::{
    Address, DestinationKind, DestinationName, SendTarget, StatisticsQuery, is_advisory_topic,
    is_schedule_topic,
};
use crate::core::message::{Publication, Target};
use crate::core::port::{
    AckTarget, Delivery, Intent, Reply, Request, SubscriptionHandle, TransactionHandle, Verdict,
};
use crate::runtime::clock::wall_ms;

/// A message that waits comes at once, unless its group or an exclusive consumer has a claim to it.
const PATIENCE: Duration = Duration::from_secs(1);

const CONSUMER: SubscriptionHandle = SubscriptionHandle(2);

const TRANSACTION: TransactionHandle = TransactionHandle(1);

/// Carries an order out for those of its messages that can be had.
pub(in crate::runtime) async fn carry_out(
    visit: &mut Visit,
    order: Order,
) -> Result<Carried, AdminError> {
    let to = match &order.action {
        Action::Delete | Action::Retry => None,
        Action::Move(to) => Some(Arc::new(target(to)?)),
    };
    let selector = selector_of(&order.ids)?;
    let mut waiting = 0;
    let count = |_: &Delivery| {
        waiting += 1;
        true
    };
    let looked_for = Some(Arc::clone(&selector));
    visit.walk(&order.queue, looked_for, count).await?;

    let mut missing: HashSet<String> = order.ids.iter().cloned().collect();
    let mut sends = Vec::new();
    if waiting > 0 {
        let consuming = subscribing(
            CONSUMER,
            &order.queue,
            Intent::Consume,
            waiting,
            Some(selector),
        );
        visit
            .request(Request::Subscribe(Box::new(consuming)))
            .await?;
    }
    let mut done = 0;
    while done < waiting {
        let Ok(reply) = tokio::time::timeout(PATIENCE, visit.reply()).await else {
            break;
        };
        let delivery = match reply? {
            Reply::Deliver(delivery) if delivery.subscription == CONSUMER => delivery,
            _ => continue,
        };
        let to = match order.action {
            Action::Delete => None,
            Action::Move(_) => to.clone(),
            Action::Retry => Some(Arc::new(home(&delivery)?)),
        };
        missing.remove(&message_id(&visit.instance, &delivery));
        sends.extend(to.map(|to| publication(&delivery, to)));
        visit.request(acknowledged(&delivery)).await?;
        done += 1;
    }
    if done > 0 {
        let sends = visit.taken(sends).await?;
        visit.commit(sends).await?;
    }
    Ok(Carried {
        done: done as u64,
        missing: in_order(order.ids, &missing),
    })
}

impl Visit {
    /// The same, unless one of them would be gone with the COMMIT.
    async fn taken(&self, sends: Vec<Publication>) -> Result<Vec<Publication>, AdminError> {
        let asked = self.look(move |dispatcher, _| {
            let lost = sends.iter().find(|send| !dispatcher.is_taken(send));
            let lost = lost.and_then(|send| send.target.names().first().cloned());
            (sends, lost)
        });
        match asked.await? {
            (sends, None) => Ok(sends),
            (_, Some(to)) => Err(AdminError::Refused(format!(
                "nobody would get what is sent to {to}: subscribe to it first, or name a queue"
            ))),
        }
    }

    async fn commit(&mut self, sends: Vec<Publication>) -> Result<(), AdminError> {
        let receipt = receipt_id("commit");
        let commit = Request::Commit {
            transaction: TRANSACTION,
            sends,
            receipt: Some(receipt.clone()),
        };
        self.request(commit).await?;
        self.receipt(&receipt).await
    }
}

fn acknowledged(delivery: &Delivery) -> Request {
    Request::Acknowledge {
        target: AckTarget::Delivery(delivery.tag),
        verdict: Verdict::Ack,
        transaction: Some(TRANSACTION),
        receipt: None,
    }
}

/// The same message once more. It is not a repeat of itself, and its delay is over.
fn publication(delivery: &Delivery, to: Arc<DestinationName>) -> Publication {
    Publication {
        target: Target::One(to),
        message: Arc::clone(&delivery.message),
        mode: delivery.mode,
        expires_ms: delivery.expires_ms,
        sent_ms: wall_ms(),
        later: None,
        duplicate_id: None,
    }
}

/// Where messages may be moved to: one destination that all mean the same by.
fn target(text: &str) -> Result<DestinationName, AdminError> {
    let refuse = |reason: String| Err(AdminError::Refused(reason));
    let target = match SendTarget::parse(text.as_bytes()) {
        Ok(target) => target,
        Err(error) => return refuse(error.to_string()),
    };
    match target.addresses() {
        [Address::Named(name)] if is_advisory_topic(name) => {
            refuse(format!("on {name} the broker alone publishes"))
        }
        [Address::Named(name)] if StatisticsQuery::is_asked_by(name) || is_schedule_topic(name) => {
            refuse(format!("nothing ever lies in {name}"))
        }
        [Address::Named(name)] => Ok(name.clone()),
        _ => refuse("name one destination, /queue/NAME or /topic/NAME".to_owned()),
    }
}

/// The queue that a dead letter comes from.
fn home(delivery: &Delivery) -> Result<DestinationName, AdminError> {
    let Some(original) = original_destination(delivery) else {
        return Err(AdminError::Refused(
            "one of these is no dead letter and has nowhere to go back to: move it instead"
                .to_owned(),
        ));
    };
    let name = target(&original)?;
    match name.kind() {
        DestinationKind::Queue => Ok(name),
        DestinationKind::Topic => Err(AdminError::Refused(format!(
            "one of these comes from a subscription of {name}, and would go to all others as well: move it there \
             if that is meant, or to a queue"
        ))),
    }
}

fn in_order(ids: Vec<String>, missing: &HashSet<String>) -> Vec<String> {
    ids.into_iter().filter(|id| missing.contains(id)).collect()
}
