//! What leaves memory comes back once, whatever happens to it in between.

use super::*;

const QUEUE: &str = "/queue/q";
const DEAD_LETTERS: &str = "ActiveMQ.DLQ";

#[test]
fn what_expires_on_disk_is_buried_once_although_a_second_look_still_finds_it() {
    let mut bench = Bench::paging(1, 1);
    bench.open(1);
    bench.send(1, QUEUE, draft("a"));
    bench.turn();
    bench.send(1, QUEUE, draft("b"));
    bench.turn();
    bench.send(1, QUEUE, draft("c").ttl_ms(100));
    bench.turn();
    bench.send(1, QUEUE, draft("d"));
    bench.turn();
    bench.commit();
    assert_eq!(bench.view("q").paged, 2);
    for _ in 0..2 {
        // The move stays uncommitted, so that the store names the row again.
        bench.pass(1_000);
        bench.turn();
        bench.answer();
    }
    assert_eq!((bench.view("q").depth, bench.view("q").paged), (3, 1));
    assert_eq!(bench.view(DEAD_LETTERS).depth, 1);
    bench.rest();
    bench.subscribe(1, 0, "/queue/ActiveMQ.DLQ", AckMode::Client, 10);
    bench.subscribe(1, 1, QUEUE, AckMode::Client, 10);
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<a#1", "1<b#1", "1<c#1", "1<d#1"]);
}

#[test]
fn a_page_waits_for_what_came_onto_the_disk_while_it_was_wanted() {
    let mut bench = Bench::paging(0, 10);
    bench.open(1);
    bench.send(1, QUEUE, draft("a"));
    bench.turn();
    bench.send(1, QUEUE, draft("b").ttl_ms(500));
    bench.send(1, QUEUE, draft("c").ttl_ms(1_500));
    bench.turn();
    bench.commit();
    assert_eq!(bench.view("q").paged, 2);
    bench.subscribe(1, 0, "/queue/ActiveMQ.DLQ", AckMode::Client, 10);
    bench.rest();
    for _ in 0..2 {
        // First `b` becomes a dead letter and a page is wanted, then `c`.
        bench.pass(1_000);
        bench.turn();
        bench.answer();
    }
    assert_eq!(bench.view(DEAD_LETTERS).paged, 2);
    // Of the two moves one is durable.
    bench.disk.commit(1);
    bench.hear();
    bench.answer();
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#1", "1<c#1"]);
    assert_eq!(bench.view(DEAD_LETTERS).in_flight, 2);
}
