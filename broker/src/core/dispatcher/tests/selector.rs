//! Consumers that take a part of a queue.

use super::*;
use crate::core::selector::Selector;

const QUEUE: &str = "/queue/q";
const TEXTS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn select(bench: &mut Bench, connection: u64, subscription: u32, text: &str, prefetch: u32) {
    let selector = Selector::parse(text).expect("a selector").map(Arc::new);
    let mode = AckMode::ClientIndividual;
    bench.subscribe_with(connection, subscription, QUEUE, mode, prefetch, |wish| {
        wish.selector = selector;
    });
}

/// Every third message has `kind:x`.
fn head_of(index: usize) -> &'static str {
    if index % 3 == 2 {
        "kind:x\n"
    } else {
        "kind:y\n"
    }
}

fn send_all(bench: &mut Bench) {
    for (index, text) in TEXTS.into_iter().enumerate() {
        bench.send(9, QUEUE, draft(text).head(head_of(index)));
        bench.rest();
    }
}

fn opened(mut bench: Bench) -> Bench {
    for connection in [1, 2, 3, 9] {
        bench.open(connection);
    }
    bench
}

#[test]
fn what_does_not_match_stays_for_others_and_does_not_stand_in_the_way() {
    for paging in [false, true] {
        for sent_first in [false, true] {
            let bench = if paging {
                Bench::paging(1, 2)
            } else {
                Bench::new()
            };
            let mut bench = opened(bench);
            if sent_first {
                send_all(&mut bench);
                assert_eq!(bench.view("q").paged > 0, paging);
            }
            select(&mut bench, 1, 0, "kind = 'x'", 100);
            bench.rest();
            if !sent_first {
                send_all(&mut bench);
            }
            bench.rest();
            assert_eq!(
                bench.heard(),
                ["1<c#1", "1<f#1", "1<i#1", "1<l#1"],
                "paging: {paging}"
            );
            bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 100);
            bench.rest();
            let rest = ["a", "b", "d", "e", "g", "h", "j", "k"].map(|text| format!("2<{text}#1"));
            assert_eq!(bench.heard(), rest);
            for text in ["c", "f", "i", "l"] {
                bench.ack(1, text);
            }
            for text in ["a", "b", "d", "e", "g", "h", "j", "k"] {
                bench.ack(2, text);
            }
            bench.rest();
            let view = bench.view("q");
            assert_eq!((view.depth, view.paged, view.in_flight), (0, 0, 0));
            assert!(bench.disk.tallies().is_empty());
        }
    }
}

#[test]
fn what_returns_is_looked_at_again() {
    let mut bench = opened(Bench::paging(1, 2));
    send_all(&mut bench);
    select(&mut bench, 1, 0, "kind = 'x'", 1);
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#1"]);
    select(&mut bench, 2, 0, "JMSXDeliveryCount > 1", 100);
    bench.rest();
    assert!(bench.heard().is_empty());
    bench.lose(1, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["2<c#2"]);
    select(&mut bench, 3, 0, "kind = 'x'", 100);
    bench.rest();
    assert_eq!(bench.heard(), ["3<f#1", "3<i#1", "3<l#1"]);
}

#[test]
fn selectors_and_others_take_turns_and_nothing_comes_twice() {
    let mut bench = opened(Bench::paging(2, 2));
    select(&mut bench, 1, 0, "kind = 'x'", 2);
    select(&mut bench, 3, 0, "kind = 'x'", 2);
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 2);
    send_all(&mut bench);
    let mut all = Vec::new();
    for _ in 0..30 {
        for heard in bench.heard() {
            let connection = u64::from(heard.as_bytes()[0] - b'0');
            let text = TEXTS.into_iter().find(|text| heard[2..].starts_with(text));
            let text = text.expect("a delivery");
            let is_x = head_of(
                TEXTS
                    .iter()
                    .position(|other| *other == text)
                    .expect("known"),
            ) == "kind:x\n";
            assert!(connection == 2 || is_x, "{heard}");
            bench.ack(connection, text);
            all.push(text);
        }
        bench.rest();
    }
    all.sort_unstable();
    assert_eq!(all, TEXTS);
    assert_eq!(bench.view("q").depth, 0);
}

#[test]
fn a_topic_gives_each_subscription_what_it_selects() {
    let mut bench = opened(Bench::new());
    for (connection, text) in [(1, "kind = 'x'"), (2, "kind <> 'x'")] {
        let selector = Selector::parse(text).expect("a selector").map(Arc::new);
        bench.subscribe_with(connection, 0, "/topic/t", AckMode::Auto, 100, |wish| {
            wish.selector = selector;
        });
    }
    for (text, kind) in [("a", "kind:x\n"), ("b", "kind:y\n"), ("c", "other:x\n")] {
        bench.send(9, "/topic/t", draft(text).head(kind));
    }
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "2<b#1"]);
}

const LATER: Verdict = Verdict::Nack {
    delay: Some(Duration::from_secs(5)),
    requeue: crate::core::port::Requeue::Allowed,
};

#[test]
fn what_is_held_back_does_not_hold_back_lower_priorities_from_a_selector() {
    let mut bench = opened(Bench::policy("redelivery_order", "hold"));
    for text in ["c", "a"] {
        bench.send(9, QUEUE, draft(text).head("kind:x\n").priority(9));
    }
    select(&mut bench, 1, 0, "kind = 'x'", 1);
    bench.rest();
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#1", "2<a#1"]);
    bench.acknowledge(2, "a", LATER, None);
    bench.lose(2, 1);
    bench.ack(1, "c");
    bench.send(9, QUEUE, draft("b").head("kind:x\n"));
    bench.rest();
    assert_eq!(
        bench.heard(),
        ["1<b#1"],
        "a is not due, and of a higher priority"
    );
    bench.ack(1, "b");
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2"]);
}

#[test]
fn a_turn_ends_although_a_selector_waits_with_what_it_has_found() {
    let mut bench = opened(Bench::policy("redelivery_order", "hold"));
    bench.open(4);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.send(9, QUEUE, draft("a").head("JMSXGroupID:red\n"));
    bench.rest();
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.send(9, QUEUE, draft("b"));
    bench.rest();
    for (text, head) in [
        ("c", "kind:z\n"),
        ("d", "kind:z\n"),
        ("g", "kind:x\n"),
        ("f", "kind:x\nJMSXGroupID:red\n"),
    ] {
        bench.send(9, QUEUE, draft(text).head(head));
    }
    select(&mut bench, 3, 0, "kind = 'z'", 1);
    bench.rest();
    select(&mut bench, 4, 0, "kind = 'x'", 1);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "2<b#1", "3<c#1", "4<g#1"]);
    // 1 finds nothing at the front, then loses its credit to a message of its group that 4 has found; 2 finds
    // nothing either, and 3 has found `d` but has no credit.
    bench.ack(1, "a");
    bench.acknowledge(2, "b", LATER, None);
    bench.ack(4, "g");
    bench.turn();
    assert!(bench.heard().is_empty(), "b holds back what is behind it");
    bench.pass(5_000);
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<b#2", "2<d#1"]);
}

#[test]
fn a_match_goes_to_the_highest_priority_and_then_to_whom_it_has_kept_waiting() {
    let mut bench = opened(Bench::new());
    for (connection, priority) in [(1, 0), (2, 5), (3, 5)] {
        let selector = Selector::parse("kind = 'x'")
            .expect("a selector")
            .map(Arc::new);
        let mode = AckMode::ClientIndividual;
        bench.subscribe_with(connection, 0, QUEUE, mode, 1, |wish| {
            wish.selector = selector;
            wish.priority = ConsumerPriority(priority);
        });
    }
    bench.rest();
    for text in ["a", "b", "c"] {
        bench.send(9, QUEUE, draft(text).head("kind:x\n"));
        bench.rest();
    }
    assert_eq!(bench.heard(), ["2<a#1", "3<b#1", "1<c#1"]);
}

#[test]
fn as_many_wait_no_longer_as_there_are_matches() {
    use crate::core::dispatcher::consumer::Standing;
    let mut bench = opened(Bench::new());
    for subscription in 0..10 {
        select(&mut bench, 1, subscription, "kind = 'x'", 1);
    }
    bench.rest();
    for text in ["a", "b"] {
        bench.send(9, QUEUE, draft(text).head("kind:x\n"));
    }
    let before: Vec<_> = bench
        .dispatcher
        .consumers
        .iter()
        .map(|(key, _)| key)
        .collect();
    bench
        .dispatcher
        .advance_scans(super::super::key::QueueKey(0), bench.now);
    let in_round = before
        .iter()
        .filter(|key| bench.dispatcher.consumers[**key].standing == Standing::InRound);
    assert_eq!(in_round.count(), 2);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1"]);
}

#[test]
fn selectors_that_stand_at_the_same_place_read_the_disk_once() {
    let mut bench = opened(Bench::paging(0, 2));
    send_all(&mut bench);
    assert_eq!(bench.view("q").paged, 11);
    select(&mut bench, 1, 0, "kind = 'x'", 100);
    select(&mut bench, 2, 0, "kind = 'y'", 100);
    bench.turn();
    let mut reads = 0;
    while bench.disk.pending_batches() + bench.disk.pending_reads() > 0 {
        reads += bench.disk.pending_reads();
        bench.commit();
        bench.answer();
    }
    let heard = bench.heard();
    assert_eq!(
        heard.iter().filter(|heard| heard.starts_with('1')).count(),
        4
    );
    assert_eq!(
        heard.iter().filter(|heard| heard.starts_with('2')).count(),
        8
    );
    assert!(reads <= 7, "{reads} reads of two for eleven");
}

#[test]
fn a_selector_sees_why_a_message_is_a_dead_letter() {
    let mut bench = opened(Bench::new());
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
    for text in ["a", "b"] {
        let head = "dlq-reason:mine\nkind:x\n";
        bench.send(
            9,
            QUEUE,
            draft(text)
                .head(head)
                .ttl_ms(if text == "b" { 50 } else { 0 }),
        );
    }
    bench.rest();
    let refusal = Verdict::Nack {
        delay: None,
        requeue: crate::core::port::Requeue::Forbidden,
    };
    bench.acknowledge(1, "a", refusal, None);
    bench.pass(100);
    bench.lose(1, 2);
    bench.rest();
    bench.heard();
    for (connection, text) in [
        (2, "\"dlq-reason\" = 'expired'"),
        (3, "\"original-destination\" = '/queue/q' AND kind = 'x'"),
    ] {
        let selector = Selector::parse(text).expect("a selector").map(Arc::new);
        let mode = AckMode::ClientIndividual;
        bench.subscribe_with(connection, 0, "/queue/ActiveMQ.DLQ", mode, 10, |wish| {
            wish.selector = selector;
        });
        bench.rest();
    }
    assert_eq!(bench.heard(), ["2<b#1", "3<a#1"]);
}

#[test]
fn a_higher_priority_comes_before_what_a_selector_has_found() {
    let mut bench = opened(Bench::new());
    select(&mut bench, 1, 0, "kind = 'x'", 1);
    for (text, priority) in [("a", 4), ("b", 4), ("c", 4), ("d", 9)] {
        let priority = i64::from(priority);
        bench.send(9, QUEUE, draft(text).head("kind:x\n").priority(priority));
        bench.rest();
    }
    assert_eq!(bench.heard(), ["1<a#1"]);
    for (acked, next) in [("a", "d"), ("d", "b"), ("b", "c")] {
        bench.ack(1, acked);
        bench.rest();
        assert_eq!(bench.heard(), [format!("1<{next}#1")]);
    }
}

#[test]
fn what_a_selector_has_found_waits_behind_a_delayed_message_that_holds_its_queue() {
    let mut bench = opened(Bench::policy("redelivery_order", "hold"));
    select(&mut bench, 1, 0, "kind = 'x'", 2);
    for text in ["a", "b", "c", "d"] {
        bench.send(9, QUEUE, draft(text).head("kind:x\n"));
        bench.rest();
    }
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1"]);
    bench.acknowledge(1, "a", LATER, None);
    bench.ack(1, "b");
    bench.rest();
    assert!(bench.heard().is_empty());
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2", "1<c#1"]);
}
