//! What becomes of messages whose time has passed.

use super::*;
use crate::core::port::Requeue;

const QUEUE: &str = "/queue/q";

const LATER: Verdict = Verdict::Nack {
    delay: Some(Duration::from_secs(60)),
    requeue: Requeue::Allowed,
};

#[test]
fn what_waited_behind_a_message_that_expired_is_delivered_at_once() {
    let mut bench = Bench::policy("redelivery_order", "hold");
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.send(1, QUEUE, draft("a").ttl_ms(500));
    bench.send(1, QUEUE, draft("b"));
    bench.rest();
    bench.acknowledge(1, "a", LATER, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"], "the order is held");
    bench.pass(1_000);
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#1"]);
}

#[test]
fn a_message_that_expires_with_its_consumer_is_acknowledged_as_any_other() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::Client, 1);
    bench.send(1, QUEUE, draft("a").ttl_ms(500));
    bench.rest();
    bench.pass(5_000);
    bench.rest();
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    let overview = bench.dispatcher.overview();
    assert_eq!((overview.expired_total, overview.depth), (0, 0));
}
