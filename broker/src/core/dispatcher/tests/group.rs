//! Message groups: one consumer, in order, and others pass a group that waits.

use super::*;

const QUEUE: &str = "/queue/q";
const RED: &str = "JMSXGroupID:red\n";
const BLUE: &str = "JMSXGroupID:blue\n";

fn opened(mut bench: Bench) -> Bench {
    for connection in [1, 2, 3, 9] {
        bench.open(connection);
    }
    bench
}

fn send(bench: &mut Bench, text: &'static str, head: &'static str) {
    bench.send(9, QUEUE, draft(text).head(head));
    bench.rest();
}

fn consume(bench: &mut Bench, connection: u64, prefetch: u32) {
    bench.subscribe(connection, 0, QUEUE, AckMode::ClientIndividual, prefetch);
    bench.rest();
}

#[test]
fn a_group_sticks_to_its_consumer_and_others_pass_it() {
    for paging in [false, true] {
        let bench = if paging {
            Bench::paging(1, 2)
        } else {
            Bench::new()
        };
        let mut bench = opened(bench);
        consume(&mut bench, 1, 1);
        consume(&mut bench, 2, 2);
        for (text, head) in [
            ("a", RED),
            ("b", RED),
            ("c", RED),
            ("d", BLUE),
            ("e", RED),
            ("f", ""),
        ] {
            send(&mut bench, text, head);
        }
        assert_eq!(
            bench.heard(),
            ["1<a#1", "2<d#1", "2<f#1"],
            "paging: {paging}"
        );
        assert_eq!(bench.view("q").parked, 3);
        for (acked, next) in [("a", "b"), ("b", "c"), ("c", "e")] {
            bench.ack(1, acked);
            bench.rest();
            assert_eq!(bench.heard(), [format!("1<{next}#1")]);
        }
        bench.ack(1, "e");
        bench.ack(2, "d");
        bench.ack(2, "f");
        bench.rest();
        assert_eq!((bench.view("q").depth, bench.view("q").parked), (0, 0));
        assert!(bench.disk.tallies().is_empty());
    }
}

#[test]
fn a_group_fails_over_in_order_when_its_consumer_goes() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    consume(&mut bench, 2, 100);
    for (text, head) in [("a", RED), ("b", RED), ("c", RED)] {
        send(&mut bench, text, head);
    }
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.lose(1, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#2", "2<b#1", "2<c#1"]);
}

#[test]
fn a_closed_group_goes_to_whoever_takes_it_next() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 100);
    consume(&mut bench, 2, 100);
    send(&mut bench, "a", RED);
    send(&mut bench, "b", "");
    send(&mut bench, "c", RED);
    send(&mut bench, "d", "JMSXGroupID:red\nJMSXGroupSeq:-1\n");
    send(&mut bench, "e", RED);
    let heard = bench.heard();
    let owner = &heard[0][..1];
    assert_eq!(heard[2], format!("{owner}<c#1"));
    assert_eq!(heard[3], format!("{owner}<d#1"));
    assert_ne!(&heard[4][..1], owner, "{heard:?}");
}

#[test]
fn a_redelivery_that_waits_holds_back_its_group_and_nothing_else() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    for (text, head) in [("a", RED), ("b", RED), ("c", "")] {
        send(&mut bench, text, head);
    }
    assert_eq!(bench.heard(), ["1<a#1"]);
    let later = Verdict::Nack {
        delay: Some(Duration::from_secs(5)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(1, "a", later, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#1"], "b waits behind a");
    bench.ack(1, "c");
    bench.rest();
    assert!(bench.heard().is_empty());
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2"]);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#1"]);
}

#[test]
fn a_new_consumer_gets_groups_by_policy() {
    for (policy, owner) in [("false", "1"), ("true", "2")] {
        let mut bench = opened(Bench::policy("group_rebalance", policy));
        consume(&mut bench, 1, 100);
        send(&mut bench, "a", RED);
        bench.ack(1, "a");
        bench.rest();
        bench.subscribe_with(2, 0, QUEUE, AckMode::ClientIndividual, 100, |wish| {
            wish.priority = ConsumerPriority(9);
        });
        bench.rest();
        bench.heard();
        send(&mut bench, "b", RED);
        assert_eq!(bench.heard(), [format!("{owner}<b#1")]);
    }
}
