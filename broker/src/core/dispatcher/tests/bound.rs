//! A queue at its limit: who waits, who is refused, what is dropped.

use super::*;

const QUEUE: &str = "/queue/q";
const DEAD_LETTERS: &str = "/queue/ActiveMQ.DLQ";

fn bounded(when_full: &str, messages: u32) -> Bench {
    bounded_in(Window::default(), when_full, messages)
}

fn bounded_in(window: Window, when_full: &str, messages: u32) -> Bench {
    let mut bench = Bench::configured(
        window,
        &format!(
            "[[destination]]\nmatch = 'q'\nmax_messages = {messages}\nwhen_full = '{when_full}'\n\
             [[destination]]\nmatch = 'ActiveMQ.DLQ'\nmax_messages = 1\nwhen_full = 'reject'\n\
             [[destination]]\nmatch = 'bytes'\nmax_bytes = 2\nwhen_full = '{when_full}'\n\
             [[destination]]\nmatch = 'Consumer.>'\nmax_messages = 1\nwhen_full = '{when_full}'\n"
        ),
    );
    for connection in 1..=4 {
        bench.open(connection);
    }
    bench.rest();
    bench.heard();
    bench
}

fn send_all(bench: &mut Bench, texts: &[&'static str]) {
    for text in texts {
        bench.send(1, QUEUE, draft(text));
    }
    bench.rest();
}

fn take_all(bench: &mut Bench, connection: u64, from: &str) -> Vec<String> {
    bench.subscribe(connection, 9, from, AckMode::ClientIndividual, 100);
    bench.rest();
    let mut heard = bench.heard();
    heard.retain(|heard| heard.contains('#'));
    heard
}

#[test]
fn with_block_producers_wait_until_a_quarter_is_free() {
    let mut bench = bounded("block", 4);
    send_all(&mut bench, &["a", "b", "c"]);
    assert_eq!(bench.heard(), [""; 0]);
    send_all(&mut bench, &["d"]);
    assert_eq!(bench.heard(), ["1<block"]);
    // What had reached the dispatcher is taken; other producers go on until they send there.
    bench.send(2, QUEUE, draft("e").receipt("re"));
    bench.send(3, "/queue/other", draft("f").receipt("rf"));
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["2<block", "2<receipt re", "3<receipt rf"]);
    assert_eq!(bench.view("q").depth, 5);
    let connections = bench.dispatcher.list_connections(&ListQuery::default());
    assert_eq!(connections.items[0].blocked_by, [QUEUE]);
    // In flight does not count: one is handed out, four wait; another, three wait.
    bench.subscribe(4, 0, QUEUE, AckMode::Client, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["4<a#1"]);
    bench.ack(4, "a");
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<unblock", "2<unblock", "4<b#1"]);
}

#[test]
fn what_consumers_can_take_never_fills_a_queue() {
    for when_full in ["block", "reject", "drop-oldest"] {
        let mut bench = bounded(when_full, 2);
        bench.subscribe(4, 0, QUEUE, AckMode::Client, 100);
        for text in ["a", "b", "c", "d", "e"] {
            bench.send(1, QUEUE, draft(text));
        }
        bench.rest();
        let mut heard = bench.heard();
        heard.retain(|heard| heard.contains('#') || heard.contains("refused"));
        assert_eq!(
            heard,
            ["4<a#1", "4<b#1", "4<c#1", "4<d#1", "4<e#1"],
            "{when_full}"
        );
        bench.send(1, QUEUE, draft("f").receipt("rf"));
        bench.rest();
        assert!(
            bench.heard().contains(&"1<receipt rf".to_owned()),
            "{when_full}"
        );
    }
}

#[test]
fn with_reject_a_send_that_is_too_much_is_refused_and_names_the_key() {
    let mut bench = bounded("reject", 2);
    send_all(&mut bench, &["a", "b"]);
    bench.send(1, QUEUE, draft("c").receipt("rc"));
    bench.turn();
    assert_eq!(bench.heard(), ["1<refused: queue is full"]);
    // A copy for each or none.
    bench.send(2, "/queue/other,/queue/q", draft("c"));
    bench.turn();
    assert_eq!(bench.heard(), ["2<refused: queue is full"]);
    assert_eq!(bench.view("other").depth, 0);
    bench.send(3, "/queue/bytes", draft("a"));
    bench.send(3, "/queue/bytes", draft("b"));
    bench.send(3, "/queue/bytes", draft("c"));
    bench.turn();
    assert_eq!(bench.heard(), ["3<refused: queue is full"]);
    assert_eq!((bench.view("q").depth, bench.view("bytes").depth), (2, 2));
}

/// What was said but that SENDs were held back while ids were read.
fn said(bench: &mut Bench) -> Vec<String> {
    let mut heard = bench.heard();
    heard.retain(|heard| !heard.ends_with("block"));
    heard
}

fn commit<const N: usize>(bench: &mut Bench, drafts: [Draft; N]) {
    let sends = drafts.map(|draft| bench.publication(QUEUE, &draft));
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends: sends.into(),
        receipt: Some(ReceiptId(b"rc"[..].into())),
    };
    bench.ask(1, commit);
    bench.rest();
}

#[test]
fn with_reject_a_repeat_takes_no_room_and_is_answered_as_one() {
    let mut bench = bounded("reject", 2);
    bench.send(1, QUEUE, draft("a").id("x").receipt("r1"));
    bench.send(1, QUEUE, draft("b").id("y").receipt("r2"));
    bench.send(1, QUEUE, draft("b").id("y").receipt("r3"));
    bench.rest();
    assert_eq!(
        said(&mut bench),
        ["1<receipt r1", "1<receipt r2", "1<duplicate r3"]
    );
    // The same in a transaction, also of what it brings itself.
    commit(&mut bench, [draft("a").id("x"), draft("a").id("x")]);
    assert_eq!(said(&mut bench), ["1<receipt rc"]);
    bench.send(1, QUEUE, draft("c").id("z"));
    bench.rest();
    assert_eq!(said(&mut bench), ["1<refused: queue is full"]);
    assert_eq!(bench.view("q").depth, 2);
}

#[test]
fn with_reject_a_commit_takes_no_room_for_what_comes_later() {
    let mut bench = bounded("reject", 1);
    send_all(&mut bench, &["a"]);
    commit(&mut bench, [draft("b").schedule("delay=1000")]);
    assert_eq!(bench.heard(), ["1<receipt rc"]);
    assert_eq!(bench.dispatcher.overview().scheduled, 1);
}

#[test]
fn with_reject_a_transaction_is_refused_as_a_whole() {
    let mut bench = bounded("reject", 2);
    bench.send(1, "/queue/work", draft("a"));
    bench.rest();
    assert_eq!(take_all(&mut bench, 2, "/queue/work"), ["2<a#1"]);
    bench.acknowledge(2, "a", Verdict::Ack, Some(1));
    // The queue is not there yet, and each alone would fit.
    let sends =
        ["b", "c", "d"].map(|text| bench.publication("/queue/other,/queue/q", &draft(text)));
    bench.ask(
        2,
        Request::Commit {
            transaction: TransactionHandle(1),
            sends: sends.into(),
            receipt: None,
        },
    );
    bench.rest();
    assert_eq!(bench.heard(), ["2<refused: queue is full"]);
    assert_eq!((bench.view("q").depth, bench.view("other").depth), (0, 0));
    bench.lose(2, 1);
    bench.rest();
    assert_eq!(
        take_all(&mut bench, 3, "/queue/work"),
        ["3<a#2"],
        "what it acknowledged has returned"
    );
}

#[test]
fn a_full_consumer_queue_of_a_virtual_topic_stops_or_refuses_the_topics_producers() {
    for (when_full, expected) in [("block", "1<block"), ("reject", "1<refused: queue is full")] {
        let mut bench = bounded(when_full, 9);
        bench.send(2, "/queue/Consumer.A.VirtualTopic.X", draft("a"));
        bench.rest();
        bench.heard();
        bench.send(1, "/topic/VirtualTopic.X", draft("b"));
        bench.rest();
        assert_eq!(bench.heard(), [expected; 1], "{when_full}");
    }
}

#[test]
fn with_drop_oldest_the_oldest_of_the_lowest_priority_goes_and_is_settled() {
    let mut bench = bounded("drop-oldest", 3);
    bench.send(1, QUEUE, draft("a").priority(9));
    bench.send(1, QUEUE, draft("b"));
    bench.send(1, QUEUE, draft("c").priority(2));
    bench.send(1, QUEUE, draft("d"));
    bench.send(1, QUEUE, draft("e").non_persistent());
    bench.rest();
    assert_eq!(bench.heard(), [""; 0], "nobody waits, nobody is refused");
    let view = bench.view("q");
    assert_eq!((view.depth, view.dropped_total), (3, 2));
    assert_eq!(bench.dispatcher.overview().dropped_total, 2);
    assert_eq!(take_all(&mut bench, 2, QUEUE), ["2<a#1", "2<d#1", "2<e#1"]);
    for text in ["a", "d", "e"] {
        bench.ack(2, text);
    }
    bench.rest();
    let stored: u64 = bench.disk.tallies().iter().map(|tally| tally.count).sum();
    assert_eq!(stored, 0, "what was dropped is not stored");
}

#[test]
fn with_drop_oldest_what_is_with_a_consumer_stays_with_it() {
    let mut bench = bounded("drop-oldest", 1);
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 2);
    send_all(&mut bench, &["a", "b", "c", "d"]);
    assert_eq!(bench.heard(), ["2<a#1", "2<b#1"]);
    assert_eq!(bench.view("q").depth, 3);
    // One that returns counts again.
    bench.lose(2, 2);
    bench.rest();
    let view = bench.view("q");
    assert_eq!((view.depth, view.dropped_total), (1, 3));
    assert_eq!(take_all(&mut bench, 3, QUEUE), ["3<d#1"]);
}

#[test]
fn with_drop_oldest_what_waits_out_a_delay_stays_whatever_it_holds_back() {
    let mut bench = bounded("drop-oldest", 2);
    // Behind an exclusive consumer a redelivery waits in its lane.
    bench.subscribe_with(4, 0, QUEUE, AckMode::ClientIndividual, 1, |wish| {
        wish.exclusivity = Exclusivity::Exclusive;
    });
    send_all(&mut bench, &["a"]);
    assert_eq!(bench.heard(), ["4<a#1"]);
    let later = Verdict::Nack {
        delay: Some(Duration::from_secs(5)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(4, "a", later, None);
    send_all(&mut bench, &["b", "c", "d"]);
    let view = bench.view("q");
    assert_eq!((view.depth, view.dropped_total), (2, 2));
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["4<a#2"]);
    bench.ack(4, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["4<d#1"]);
}

#[test]
fn with_drop_oldest_what_stands_behind_a_message_that_was_not_to_be_seen_yet_is_given() {
    let mut bench = bounded("drop-oldest", 1);
    bench.subscribe(4, 0, QUEUE, AckMode::ClientIndividual, 9);
    bench.rest();
    let hidden = bench.publication(QUEUE, &draft("a"));
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends: vec![hidden],
        receipt: None,
    };
    bench.ask(1, commit);
    bench.turn();
    bench.send(1, QUEUE, draft("b"));
    bench.turn();
    assert_eq!(bench.view("q").dropped_total, 1);
    assert_eq!(bench.heard(), ["4<b#1"]);
}

#[test]
fn with_drop_oldest_what_returns_to_wait_out_a_delay_makes_others_go() {
    let mut bench = bounded("drop-oldest", 2);
    bench.subscribe(4, 0, QUEUE, AckMode::ClientIndividual, 1);
    send_all(&mut bench, &["a"]);
    let later = Verdict::Nack {
        delay: Some(Duration::from_secs(5)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(4, "a", later, Some(1));
    send_all(&mut bench, &["b", "c", "d"]);
    assert_eq!(bench.heard(), ["4<a#1", "4<b#1"]);
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends: Vec::new(),
        receipt: None,
    };
    bench.ask(4, commit);
    bench.rest();
    let view = bench.view("q");
    assert_eq!((view.depth, view.in_flight, view.dropped_total), (3, 1, 1));
}

#[test]
fn with_drop_oldest_what_is_on_disk_only_is_dropped_too() {
    let window = Window {
        messages: 1,
        page_messages: 2,
        ..Window::default()
    };
    let mut bench = bounded_in(window, "drop-oldest", 6);
    for text in ["a", "b", "c", "d", "e", "f"] {
        bench.send(1, QUEUE, draft(text).priority(3));
        bench.rest();
    }
    assert!(bench.view("q").paged >= 4, "{:?}", bench.view("q"));
    for text in ["g", "h", "i", "j", "k"] {
        bench.send(1, QUEUE, draft(text));
        bench.turn();
    }
    assert!(
        bench.heard().contains(&"1<block".to_owned()),
        "while the oldest is being read nobody adds without end"
    );
    bench.rest();
    assert_eq!(bench.heard(), ["1<unblock"]);
    let view = bench.view("q");
    assert_eq!((view.depth, view.dropped_total), (6, 5));
    let mut heard = take_all(&mut bench, 2, QUEUE);
    heard.sort();
    assert_eq!(
        heard,
        ["2<f#1", "2<g#1", "2<h#1", "2<i#1", "2<j#1", "2<k#1"]
    );
}

#[test]
fn dead_letters_and_returns_are_never_refused() {
    let mut bench = bounded("reject", 2);
    send_all(&mut bench, &["a", "b"]);
    assert_eq!(take_all(&mut bench, 2, QUEUE).len(), 2);
    send_all(&mut bench, &["c", "d"]);
    let forbidden = Verdict::Nack {
        delay: None,
        requeue: crate::core::port::Requeue::Forbidden,
    };
    for text in ["a", "b"] {
        bench.acknowledge(2, text, forbidden, None);
    }
    bench.rest();
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 2, "of at most 1");
    bench.subscribe(3, 0, DEAD_LETTERS, AckMode::Client, 1);
    bench.rest();
    assert!(bench.heard().contains(&"3<a#1".to_owned()));
}

#[test]
fn producers_go_on_when_the_temporary_queue_that_was_full_has_gone() {
    let mut bench = Bench::configured(
        Window::default(),
        "[policy]\nmax_messages = 1\n[[destination]]\nmatch = 'q'\nmax_messages = 0\n",
    );
    for connection in [1, 2] {
        bench.open(connection);
    }
    bench.ask(1, Request::MakeTemporary(name("/remote-temp-queue/x")));
    bench.send(2, "/remote-temp-queue/x", draft("a"));
    bench.turn();
    assert_eq!(bench.heard(), ["2<block"]);
    bench.lose(1, 0);
    bench.turn();
    assert_eq!(bench.heard(), ["2<unblock"]);
}
