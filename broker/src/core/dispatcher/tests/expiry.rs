//! What becomes of messages whose time has passed.

use super::*;

/// What was delivered, with its expiry.
fn expiries(bench: &mut Bench) -> Vec<(&'static str, i64)> {
    let heard = std::mem::take(&mut bench.heard);
    let delivered = heard.iter().filter_map(|(_, reply)| match reply {
        Reply::Deliver(delivery) => Some((text_of(delivery), delivery.expires_ms)),
        _ => None,
    });
    delivered.collect()
}

#[test]
fn a_destinations_own_time_to_live_counts_from_the_send() {
    let mut bench = Bench::configured(
        Window::default(),
        "[policy]\nttl_default = '10s'\n\
         [[destination]]\nmatch = 'short'\nttl_max = '1s'\n\
         [[destination]]\nmatch = 'ActiveMQ.DLQ'\nttl_max = '1s'",
    );
    bench.open(1);
    for (subscription, name) in [(0, "/queue/long"), (1, "/queue/short"), (2, "/topic/short")] {
        bench.subscribe(1, subscription, name, AckMode::ClientIndividual, 10);
    }
    let sent_ms = bench.now.wall_ms;
    // Each destination's own, also in one SEND, and also when COMMIT comes later.
    let in_transaction = bench.publication("/queue/short", &draft("d"));
    bench.send(1, "/queue/long,/queue/short", draft("a"));
    bench.send(1, "/topic/short", draft("b").ttl_ms(5_000));
    bench.send(1, "/queue/short", draft("c").ttl_ms(500));
    bench.turn();
    bench.pass(300);
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends: vec![in_transaction],
        receipt: None,
    };
    bench.ask(1, commit);
    bench.rest();
    let mut heard = expiries(&mut bench);
    heard.sort_unstable();
    let after = |ms| sent_ms + ms;
    assert_eq!(
        heard,
        [
            ("a", after(1_000)),
            ("a", after(10_000)),
            ("b", after(1_000)),
            ("c", after(500)),
            ("d", after(1_000))
        ]
    );
    // A dead letter lives for ever.
    bench.send(1, "/queue/alone", draft("e").ttl_ms(100));
    bench.rest();
    bench.pass(2_000);
    bench.rest();
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 1);
    bench.pass(20_000);
    bench.rest();
    bench.heard();
    bench.subscribe(1, 3, "/queue/ActiveMQ.DLQ", AckMode::ClientIndividual, 10);
    bench.rest();
    assert_eq!(expiries(&mut bench), [("e", 0)]);
}
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
