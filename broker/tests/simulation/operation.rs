//! What clients can do: every operation that a run counts, so that one that never came shows as well.

use crate::trace;

/// How often each must have come in a long run.
pub(crate) const COUNT_MIN: u64 = 1_000;

/// Names under which operations are counted.
pub(crate) const OPERATIONS: [&str; 87] = [
    "op: SEND persistent",
    "op: SEND non-persistent",
    "op: SEND priority",
    "op: SEND ttl",
    "op: SEND expiration",
    "op: SEND expires",
    "op: SEND delayed",
    "op: SEND repeatedly",
    "op: SEND repeatedly for ever",
    "op: SEND by cron",
    "op: SEND BROWSE",
    "op: SEND BROWSE within a span",
    "op: SEND REMOVE",
    "op: SEND REMOVE unknown",
    "op: SEND REMOVEALL",
    "op: SEND REMOVEALL within a span",
    "op: SEND duplicate id",
    "op: SEND repeated",
    "op: SEND reply-to",
    "op: SEND JMSXGroupID",
    "op: SEND JMSXGroupSeq:-1",
    "op: SEND in a transaction",
    "op: SEND to a queue",
    "op: SEND to a ring",
    "op: SEND to a queue that holds back",
    "op: SEND to a queue that holds back by bytes",
    "op: SEND to a queue that refuses",
    "queue: refuses",
    "op: SEND to a topic",
    "op: SEND to a virtual topic",
    "op: SEND to several",
    "op: SEND to its own temporary destination",
    "op: SEND to another's temporary destination",
    "op: SUBSCRIBE ack:auto",
    "op: SUBSCRIBE ack:client",
    "op: SUBSCRIBE ack:client-individual",
    "op: SUBSCRIBE to a queue",
    "op: SUBSCRIBE to a topic",
    "op: SUBSCRIBE to several",
    "op: SUBSCRIBE to a pattern",
    "op: SUBSCRIBE to a temporary destination",
    "op: SUBSCRIBE selector",
    "op: SUBSCRIBE exclusive",
    "op: SUBSCRIBE priority",
    "op: SUBSCRIBE no-local",
    "op: SUBSCRIBE pending limit",
    "op: SUBSCRIBE activemq.prefetchSize:0",
    "op: SUBSCRIBE prefetch-count:0",
    "op: SUBSCRIBE consumer-window-size",
    "op: SUBSCRIBE without id",
    "op: SUBSCRIBE browser",
    "op: SUBSCRIBE option in the destination",
    "op: CONNECT client-id",
    "op: SUBSCRIBE durable",
    "op: SUBSCRIBE durable and shared",
    "op: SUBSCRIBE durable by id",
    "op: SUBSCRIBE shared",
    "op: SUBSCRIBE durable changed",
    "op: UNSUBSCRIBE durable",
    "op: UNSUBSCRIBE durable unused",
    "op: UNSUBSCRIBE",
    "op: UNSUBSCRIBE by destination",
    "op: ACK",
    "op: ACK by message-id",
    "op: ACK by message-id and subscription",
    "op: ACK cumulative",
    "op: ACK in a transaction",
    "op: ACK stale",
    "op: ACK stale with a receipt",
    "op: NACK",
    "op: NACK cumulative",
    "op: NACK in a transaction",
    "op: NACK requeue:false",
    "op: NACK x-delay",
    "op: BEGIN",
    "op: COMMIT",
    "op: ABORT",
    "op: DISCONNECT",
    "op: blunder",
    "op: heart-beat",
    "op: console cancels",
    "connection lost",
    "connection refused",
    "client-id in use",
    "client-id taken over",
    "crash",
    "clean stop",
];

/// Whether runs leave it out that name nothing else.
pub(crate) fn is_left_out(what: &str) -> bool {
    what.contains("JMSXGroup") || what.contains("a ring")
}

/// Operations, with how often each has come.
pub(crate) fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    let counts = trace::counts();
    let count = move |name: &'static str| (name, counts.get(name).copied().unwrap_or(0));
    OPERATIONS.into_iter().map(count)
}
