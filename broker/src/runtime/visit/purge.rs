//! Emptying a queue: whatever comes is acknowledged, a read at a time.

use std::time::{Duration, Instant};

use stompbox_console::{AdminError, Purged};

use super::{Visit, receipt_id, subscribing};
use crate::core::port::{
    AckMode, AckTarget, Delivery, Intent, Reply, Request, SubscriptionHandle, Verdict,
};

/// What waits comes without a pause; after this one nothing does.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long one request purges: a visit has an end, and its asker wants to hear how it goes.
const PURGE_TIME_MAX: Duration = Duration::from_secs(2);

/// Messages that are on their way at a time.
const PREFETCH: usize = 1_000;

const CONSUMER: SubscriptionHandle = SubscriptionHandle(1);

/// Deletes what waits in a queue until there is no more, it was as many as are wanted, or the time is over.
pub(in crate::runtime) async fn purge(
    visit: &mut Visit,
    queue: String,
    limit: Option<u64>,
) -> Result<Purged, AdminError> {
    let mut consuming = subscribing(CONSUMER, &queue, Intent::Consume, PREFETCH, None);
    consuming.mode = AckMode::Client;
    visit
        .request(Request::Subscribe(Box::new(consuming)))
        .await?;
    let end = Instant::now() + PURGE_TIME_MAX;
    let mut purged = Purged::default();
    while !purged.more && limit != Some(purged.done) {
        let Ok(reply) = tokio::time::timeout(PATIENCE, visit.reply()).await else {
            break;
        };
        let Reply::Deliver(delivery) = reply? else {
            continue;
        };
        purged.done += 1;
        if visit.arrived.is_empty() || limit == Some(purged.done) {
            visit.acknowledge_through(&delivery).await?;
            purged.more = Instant::now() >= end;
        }
    }
    Ok(purged)
}

impl Visit {
    async fn acknowledge_through(&mut self, delivery: &Delivery) -> Result<(), AdminError> {
        let receipt = receipt_id("purge");
        let acknowledge = Request::Acknowledge {
            target: AckTarget::Delivery(delivery.tag),
            verdict: Verdict::Ack,
            transaction: None,
            receipt: Some(receipt.clone()),
        };
        self.request(acknowledge).await?;
        self.receipt(&receipt).await
    }
}
