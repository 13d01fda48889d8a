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

#[test]
fn a_damaged_row_that_is_also_in_memory_is_delivered_and_counted_once() {
    let mut bench = Bench::paging(1, 10);
    for connection in [1, 2, 3] {
        bench.open(connection);
    }
    for text in ["i", "j"] {
        bench.send(3, QUEUE, draft(text).non_persistent().priority(0));
    }
    for text in ["d", "e", "f"] {
        bench.send(3, QUEUE, draft(text));
    }
    bench.subscribe(1, 0, QUEUE, AckMode::Client, 1);
    bench.subscribe(2, 0, QUEUE, AckMode::Client, 1);
    bench.turn();
    assert_eq!(bench.heard(), ["1<d#1", "2<e#1"]);
    bench.lose(1, 0);
    bench.commit();
    bench.lose(2, 1);
    bench.rest();
    // `e` came back between `d` and `f`, which are on the disk only.
    assert_eq!((bench.view("q").depth, bench.view("q").paged), (5, 2));
    bench.disk.corrupt(bench.number_of("e"));
    bench.subscribe(3, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.rest();
    assert_eq!(bench.heard(), ["3<d#1", "3<e#2", "3<f#1", "3<i#1", "3<j#1"]);
    assert_eq!(bench.view("q").depth, 5);
    for text in ["d", "e", "f", "i", "j"] {
        bench.ack(3, text);
    }
    bench.rest();
    assert_eq!(bench.view("q").depth, 0);
}

/// `b` and `c` are on disk behind `l`, `a` stands between them in memory, and a page with `b` and `c` is being read when memory
/// becomes short.
fn spilled_while_a_page_is_read(wishes: impl FnOnce(&mut Subscribing)) -> Vec<String> {
    let window = Window {
        messages: 0,
        page_messages: 10,
        ..Window::default()
    };
    let mut bench = Bench::with_memory(window, Policies::default(), 2_570);
    bench.open(1);
    bench.open(2);
    bench.send(1, QUEUE, draft("l").non_persistent());
    bench.send(1, QUEUE, draft("b"));
    bench.send(1, QUEUE, draft("a").non_persistent());
    bench.send(1, QUEUE, draft("c"));
    bench.turn();
    bench.commit();
    assert_eq!(bench.view("q").paged, 2);
    bench.subscribe_with(2, 0, QUEUE, AckMode::Client, 10, wishes);
    bench.turn();
    assert_eq!(bench.disk.pending_reads(), 1);
    bench.disk.begin_read(0);
    for text in ["d", "e", "f", "g", "h", "i"] {
        bench.send(1, "/queue/other", draft(text).non_persistent());
    }
    bench.turn();
    assert_eq!(bench.disk.pending_batches(), 1, "memory is short");
    bench.rest();
    bench.heard()
}

#[test]
fn what_leaves_memory_while_a_page_is_read_is_not_lost_behind_it() {
    let heard = spilled_while_a_page_is_read(|_| {});
    assert_eq!(heard, ["2<l#1", "2<b#1", "2<a#1", "2<c#1"]);
}

#[test]
fn what_leaves_memory_while_a_selector_reads_is_looked_at() {
    let heard = spilled_while_a_page_is_read(|wish| {
        let selector = crate::core::selector::Selector::parse("JMSPriority = 4");
        wish.selector = selector.expect("a selector").map(Arc::new);
    });
    let mut heard: Vec<_> = heard.iter().map(String::as_str).collect();
    heard.sort_unstable();
    assert_eq!(heard, ["2<a#1", "2<b#1", "2<c#1", "2<l#1"]);
}

#[test]
fn what_leaves_memory_while_a_browser_reads_is_shown() {
    let heard = spilled_while_a_page_is_read(|wish| wish.intent = Intent::Browse);
    assert_eq!(heard, ["2<l#1", "2<b#1", "2<a#1", "2<c#1", "2<end"]);
}

#[test]
fn a_wait_for_a_page_that_a_queue_before_it_left_behind_does_not_let_it_read_too_early() {
    let mut bench = Bench::paging(0, 10);
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.send(1, QUEUE, draft("a"));
    bench.turn();
    for text in ["b", "c"] {
        bench.send(1, QUEUE, draft(text));
        bench.turn();
    }
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.view("q").paged, 1);
    let key = bench.dispatcher.queue_ids.values().next().copied();
    let stale = (bench.dispatcher.watermark, key.expect("a queue"));
    bench.dispatcher.page_waits.push_back(stale);
    // The settlement of `b` is on its way when the page is wanted.
    bench.ack(1, "b");
    bench.turn();
    assert_eq!(bench.disk.pending_reads(), 0);
    bench.dispatcher.request_waiting_pages();
    bench.turn();
    assert_eq!(bench.disk.pending_reads(), 0, "not before it is durable");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<c#1"]);
}
