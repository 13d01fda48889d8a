//! Last-value queues: which message of a value is there, wherever it stands.

use super::*;
use stompbox_store::Medium;

const QUEUE: &str = "/queue/q";

fn keeping(window: Window, more: &str) -> Bench {
    let mut bench = Bench::configured(
        window,
        &format!("[[destination]]\nmatch = 'q'\nlast_value = 'key'\n{more}"),
    );
    for connection in 1..=3 {
        bench.open(connection);
    }
    bench.rest();
    bench.heard();
    bench
}

fn paging() -> Window {
    Window {
        messages: 1,
        page_messages: 2,
        ..Window::default()
    }
}

fn x(text: &'static str) -> Draft {
    draft(text).head("key:x\n")
}

fn y(text: &'static str) -> Draft {
    draft(text).head("key:y\n")
}

fn send_all(bench: &mut Bench, drafts: impl IntoIterator<Item = Draft>) {
    for draft in drafts {
        bench.send(1, QUEUE, draft);
        bench.rest();
    }
}

fn stored(bench: &Bench) -> u64 {
    bench.disk.tallies().iter().map(|tally| tally.count).sum()
}

fn take_all(bench: &mut Bench, connection: u64) -> Vec<String> {
    bench.heard();
    bench.subscribe(connection, 9, QUEUE, AckMode::ClientIndividual, 100);
    bench.rest();
    bench.heard()
}

#[test]
fn the_newest_of_each_value_waits_and_messages_without_one_all_do() {
    let mut bench = keeping(Window::default(), "");
    send_all(
        &mut bench,
        [
            x("a"),
            y("b"),
            draft("c"),
            x("d").priority(9),
            x("e").priority(0),
            draft("f"),
            y("g").non_persistent(),
        ],
    );
    let view = bench.view("q");
    assert_eq!(
        (view.depth, view.replaced_total, view.dropped_total),
        (4, 3, 0)
    );
    assert_eq!(stored(&bench), 3, "c, e and f");
    assert_eq!(
        take_all(&mut bench, 2),
        ["2<c#1", "2<f#1", "2<g#1", "2<e#1"]
    );
    for text in ["c", "f", "g", "e"] {
        bench.ack(2, text);
    }
    send_all(&mut bench, [x("h")]);
    assert_eq!(bench.heard(), ["2<h#1"], "what is gone replaces nothing");
}

#[test]
fn what_a_consumer_has_stays_with_it_and_goes_when_it_comes_back_too_late() {
    let mut bench = keeping(Window::default(), "");
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 2);
    send_all(&mut bench, [x("a"), y("b"), x("c"), x("d")]);
    assert_eq!(bench.heard(), ["2<a#1", "2<b#1"]);
    assert_eq!(bench.view("q").depth, 3, "a, b and d");
    bench.lose(2, 2);
    bench.rest();
    assert_eq!(bench.view("q").depth, 2, "a was replaced, b was not");
    assert_eq!(take_all(&mut bench, 3), ["3<b#2", "3<d#1"]);
    // Neither a delay nor the way to the dead letters keeps what was replaced.
    let later = Verdict::Nack {
        delay: Some(Duration::from_secs(5)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(3, "b", later, None);
    bench.rest();
    assert_eq!(bench.view("q").delayed, 1);
    send_all(&mut bench, [y("e"), x("f")]);
    assert_eq!(bench.view("q").delayed, 0);
    let never = Verdict::Nack {
        delay: None,
        requeue: crate::core::port::Requeue::Forbidden,
    };
    bench.acknowledge(3, "d", never, None);
    bench.rest();
    assert_eq!(bench.dispatcher.overview().dead_lettered_total, 0);
    assert_eq!(bench.heard(), ["3<e#1", "3<f#1"]);
    assert_eq!(stored(&bench), 2);
}

#[test]
fn what_failed_after_its_successor_had_gone_is_replaced_while_it_waits_out_its_delay() {
    let mut bench = keeping(Window::default(), "");
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 2);
    send_all(&mut bench, [x("a"), x("b")]);
    assert_eq!(bench.heard(), ["2<a#1", "2<b#1"]);
    bench.ack(2, "b");
    let later = Verdict::Nack {
        delay: Some(Duration::from_secs(5)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(2, "a", later, None);
    bench.rest();
    assert_eq!(bench.view("q").delayed, 1);
    send_all(&mut bench, [x("c")]);
    assert_eq!(bench.view("q").delayed, 0);
    assert_eq!(bench.heard(), ["2<c#1"]);
}

#[test]
fn what_is_on_disk_only_is_replaced_too() {
    let mut bench = keeping(paging(), "");
    send_all(
        &mut bench,
        [draft("a"), draft("b"), x("c"), y("d"), draft("e")],
    );
    assert_eq!(bench.view("q").paged, 3);
    send_all(&mut bench, [x("f"), y("g"), x("h")]);
    assert_eq!((bench.view("q").depth, stored(&bench)), (5, 5));
    let mut heard = take_all(&mut bench, 2);
    heard.sort();
    assert_eq!(heard, ["2<a#1", "2<b#1", "2<e#1", "2<g#1", "2<h#1"]);
    for text in ["a", "b", "e", "g", "h"] {
        bench.ack(2, text);
    }
    bench.rest();
    let view = bench.view("q");
    assert_eq!((view.depth, view.depth_bytes, view.paged), (0, 0, 0));
    assert_eq!(stored(&bench), 0);
}

#[test]
fn a_start_reads_the_values_of_what_is_on_disk_a_page_at_a_time() {
    let mut bench = keeping(paging(), "");
    send_all(
        &mut bench,
        [
            draft("a"),
            x("b"),
            draft("c"),
            y("d").priority(7),
            draft("e"),
        ],
    );
    bench.restart();
    for connection in 1..=3 {
        bench.open(connection);
    }
    // Before the rows have been read.
    bench.send(1, QUEUE, x("f"));
    bench.rest();
    assert_eq!(bench.view("q").depth, 5, "a, c, d, e and f");
    // And after.
    send_all(&mut bench, [y("g")]);
    assert_eq!((bench.view("q").depth, stored(&bench)), (5, 5));
    let mut heard = take_all(&mut bench, 2);
    heard.sort();
    assert_eq!(heard, ["2<a#2", "2<c#2", "2<e#2", "2<f#1", "2<g#1"]);
}

#[test]
fn a_transaction_replaces_with_its_last_and_in_its_own_commit() {
    let mut bench = keeping(Window::default(), "");
    send_all(&mut bench, [x("a")]);
    let sends = [x("b"), x("c")].map(|draft| bench.publication(QUEUE, &draft));
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends: sends.into(),
        receipt: None,
    };
    bench.ask(1, commit);
    bench.turn();
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.turn();
    assert_eq!(bench.heard(), [""; 0], "a is gone, c not there yet");
    bench.restart();
    for connection in 1..=3 {
        bench.open(connection);
    }
    assert_eq!(take_all(&mut bench, 2), ["2<a#2"], "none of it was durable");
}

#[test]
fn what_a_refused_message_replaced_is_there_again() {
    let mut bench = keeping(Window::default(), "");
    send_all(&mut bench, [x("a")]);
    bench.disk.fill(Medium::Database);
    bench.send(1, QUEUE, x("b"));
    bench.rest();
    assert_eq!(bench.heard(), ["1<refused: disk is full"]);
    assert_eq!(take_all(&mut bench, 2), ["2<a#1"]);
    send_all(&mut bench, []);
    assert_eq!((bench.view("q").depth, stored(&bench)), (1, 1));
}

#[test]
fn beyond_the_values_that_a_queue_tells_apart_messages_stand_beside_each_other() {
    let mut bench = keeping(Window::default(), "last_values_max = 1\n");
    send_all(&mut bench, [x("a"), y("b"), y("c"), x("d")]);
    assert_eq!(take_all(&mut bench, 2), ["2<b#1", "2<c#1", "2<d#1"]);
    for text in ["b", "c", "d"] {
        bench.ack(2, text);
    }
    bench.lose(2, 99);
    send_all(&mut bench, [y("e"), y("f")]);
    assert_eq!(
        take_all(&mut bench, 3),
        ["3<f#1"],
        "when one goes another has room"
    );
}

#[test]
fn what_has_expired_on_disk_is_not_replaced_a_second_time() {
    let mut bench = keeping(paging(), "dead_letter_expired = false\n");
    send_all(
        &mut bench,
        [draft("a"), draft("b"), x("c").ttl_ms(500), draft("d")],
    );
    bench.pass(2_000);
    bench.rest();
    assert_eq!(bench.view("q").depth, 3);
    send_all(&mut bench, [x("e"), x("f")]);
    assert_eq!((bench.view("q").depth, stored(&bench)), (4, 4));
    let mut heard = take_all(&mut bench, 2);
    heard.sort();
    assert_eq!(heard, ["2<a#1", "2<b#1", "2<d#1", "2<f#1"]);
    assert_eq!(bench.view("q").paged, 0);
}

fn red(text: &'static str) -> Draft {
    draft(text).head("key:x\nJMSXGroupID:red\n")
}

#[test]
fn what_waits_with_its_group_is_replaced_in_memory_and_on_disk() {
    for window in [Window::default(), paging()] {
        let mut bench = keeping(window, "");
        let mode = AckMode::ClientIndividual;
        bench.subscribe(1, 1, QUEUE, mode, 1);
        send_all(&mut bench, [draft("a").head("JMSXGroupID:red\n")]);
        bench.subscribe(2, 1, QUEUE, mode, 100);
        let others = ["b", "c", "d", "e"].map(|text| draft(text).head("JMSXGroupID:red\n"));
        send_all(&mut bench, others);
        send_all(&mut bench, [red("f"), red("g"), red("h")]);
        assert_eq!(bench.heard(), ["1<a#1"]);
        if window == Window::default() {
            assert_eq!(bench.view("q").parked, 5, "at once");
        }
        let mut heard = Vec::new();
        for text in ["a", "b", "c", "d", "e"] {
            bench.ack(1, text);
            bench.rest();
            heard.extend(bench.heard());
        }
        assert_eq!(heard, ["1<b#1", "1<c#1", "1<d#1", "1<e#1", "1<h#1"]);
        bench.ack(1, "h");
        bench.rest();
        let view = bench.view("q");
        assert_eq!((view.depth, view.parked, view.replaced_total), (0, 0, 2));
        assert_eq!(stored(&bench), 0);
    }
}

/// A consumer of one at a time has read `b` from the disk behind `a`, and `c` replaces it: before that, or after.
fn check_replaced_once_read(selector: Option<&str>, is_known_before: bool) {
    let mut bench = keeping(paging(), "");
    let old = draft("b").head("key:x\nn:1\n");
    send_all(&mut bench, [draft("a").head("n:1\n"), old]);
    bench.restart();
    for connection in 1..=3 {
        bench.open(connection);
    }
    if is_known_before {
        bench.send(1, QUEUE, x("c"));
    }
    let selector = selector.map(crate::core::selector::Selector::parse);
    let selector = selector.and_then(|parsed| parsed.expect("a selector"));
    bench.subscribe_with(2, 0, QUEUE, AckMode::ClientIndividual, 1, |wish| {
        wish.selector = selector.map(Arc::new);
    });
    bench.rest();
    if !is_known_before {
        bench.send(1, QUEUE, x("c"));
        bench.rest();
    }
    assert_eq!(bench.heard(), ["2<a#2"]);
    assert_eq!((bench.view("q").depth, stored(&bench)), (2, 2), "a and c");
}

#[test]
fn what_was_read_for_a_consumer_is_replaced_by_what_comes_then() {
    check_replaced_once_read(None, false);
    check_replaced_once_read(Some("n = 1"), false);
}

#[test]
fn what_is_read_for_a_selector_is_not_there_when_it_was_replaced() {
    check_replaced_once_read(None, true);
    check_replaced_once_read(Some("n = 1"), true);
}
