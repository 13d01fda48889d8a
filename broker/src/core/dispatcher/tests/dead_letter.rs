//! What fails for good, and what is seen of it.

use super::*;
use crate::core::port::Requeue;

const QUEUE: &str = "/queue/q";
const DEAD_LETTERS: &str = "/queue/ActiveMQ.DLQ";

const TO_DEAD_LETTERS: Verdict = Verdict::Nack {
    delay: None,
    requeue: Requeue::Forbidden,
};

#[test]
fn a_dead_letter_is_seen_when_its_move_is_durable() {
    for sent in [draft("a"), draft("a").non_persistent()] {
        let mut bench = Bench::new();
        bench.open(1);
        bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
        bench.subscribe(1, 1, DEAD_LETTERS, AckMode::ClientIndividual, 1);
        bench.send(1, QUEUE, sent);
        bench.rest();
        assert_eq!(bench.heard(), ["1<a#1"]);
        bench.acknowledge(1, "a", TO_DEAD_LETTERS, None);
        bench.turn();
        assert_eq!(
            (bench.view("q").depth, bench.view("ActiveMQ.DLQ").depth),
            (0, 1)
        );
        assert!(bench.heard().is_empty(), "a crash would undo it");
        bench.commit();
        assert_eq!(bench.heard(), ["1<a#1"]);
    }
}

#[test]
fn dead_letters_leave_memory_as_other_messages_do() {
    for sent in [draft, |text| draft(text).non_persistent()] {
        let mut bench = Bench::paging(1, 10);
        bench.open(1);
        bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
        for text in ["a", "b", "c", "d"] {
            bench.send(1, QUEUE, sent(text));
            bench.rest();
            bench.acknowledge(1, text, TO_DEAD_LETTERS, None);
            bench.rest();
        }
        bench.heard();
        let view = bench.view("ActiveMQ.DLQ");
        assert_eq!((view.depth, view.paged), (4, 2));
        bench.subscribe(1, 1, DEAD_LETTERS, AckMode::ClientIndividual, 10);
        bench.rest();
        assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<c#1", "1<d#1"]);
    }
}

#[test]
fn a_dead_letter_queue_counts_what_enters_it() {
    let mut bench = Bench::paging(1, 10);
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.subscribe(1, 1, "/topic/t", AckMode::ClientIndividual, 10);
    bench.send(1, QUEUE, draft("a"));
    bench.send(1, "/topic/t", draft("b"));
    bench.rest();
    for text in ["a", "b"] {
        bench.acknowledge(1, text, TO_DEAD_LETTERS, None);
    }
    bench.rest();
    assert_eq!(bench.view("ActiveMQ.DLQ").enqueued_total, 2);
    // What has expired on the disk, unread.
    for text in ["c", "d", "e", "f"] {
        bench.send(1, "/queue/other", draft(text).ttl_ms(100));
    }
    bench.rest();
    bench.pass(100_000);
    bench.rest();
    bench.rest();
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 6);
    assert_eq!(bench.view("ActiveMQ.DLQ").enqueued_total, 6);
    bench.disk.fill(stompbox_store::Medium::Database);
    bench.send(1, "/topic/t", draft("g").non_persistent());
    bench.rest();
    bench.acknowledge(1, "g", TO_DEAD_LETTERS, None);
    bench.rest();
    let view = bench.view("ActiveMQ.DLQ");
    assert_eq!(view.depth, 6, "there is no room for it");
    assert_eq!(view.enqueued_total, 6, "what was refused has not entered");
}
