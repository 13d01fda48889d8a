//! Repeated messages are enqueued once.

use super::*;
use stompbox_store::Medium;

const QUEUE: &str = "/queue/q";

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    bench
}

fn depth(bench: &Bench) -> u64 {
    bench.view("q").depth
}

#[test]
fn a_repeat_is_answered_and_not_enqueued() {
    let mut bench = bench();
    for (connection, receipt) in [(1, "r1"), (1, "r2"), (2, "r3")] {
        bench.send(connection, QUEUE, draft("a").id("x").receipt(receipt));
    }
    bench.rest();
    let mut heard = said(&mut bench);
    heard.sort();
    assert_eq!(heard, ["1<duplicate r2", "1<receipt r1", "2<duplicate r3"]);
    assert_eq!(depth(&bench), 1);
    assert_eq!(bench.dispatcher.overview().duplicates_total, 2);
}

/// What was said but that SENDs were held back while the window was read.
fn said(bench: &mut Bench) -> Vec<String> {
    let mut heard = bench.heard();
    heard.retain(|heard| !heard.ends_with("block"));
    heard
}

#[test]
fn what_a_connection_sends_meanwhile_keeps_its_order() {
    let mut bench = bench();
    bench.subscribe(2, 0, QUEUE, AckMode::Auto, 10);
    bench.send(1, QUEUE, draft("a").id("x"));
    bench.send(1, QUEUE, draft("b"));
    bench.send(1, QUEUE, draft("c").id("y"));
    bench.rest();
    assert_eq!(said(&mut bench), ["2<a#1", "2<b#1", "2<c#1"]);
}

#[test]
fn the_receipt_of_a_repeat_waits_until_the_first_is_durable() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").id("w"));
    bench.rest();
    bench.heard();
    bench.send(1, QUEUE, draft("a").id("x"));
    bench.send(2, QUEUE, draft("a").id("x").receipt("r"));
    bench.turn();
    assert!(bench.heard().is_empty());
    bench.commit();
    assert_eq!(bench.heard(), ["2<duplicate r"]);
}

#[test]
fn ids_outlive_their_messages_and_the_broker() {
    let mut bench = bench();
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.send(1, QUEUE, draft("a").id("x"));
    bench.turn();
    bench.answer();
    bench.ack(2, "a");
    bench.rest();
    assert_eq!(depth(&bench), 0);
    bench.restart();
    bench.open(1);
    bench.send(1, QUEUE, draft("a").id("x").receipt("r"));
    bench.send(1, QUEUE, draft("b").id("y").receipt("s"));
    bench.rest();
    assert_eq!(said(&mut bench), ["1<duplicate r", "1<receipt s"]);
}

#[test]
fn each_destination_has_a_window_of_its_own() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").id("x"));
    bench.send(1, "/queue/other,/queue/q", draft("a").id("x").receipt("r"));
    bench.send(1, "/topic/t", draft("a").id("x").receipt("s"));
    bench.send(1, "/topic/t", draft("a").id("x").receipt("t"));
    bench.rest();
    assert_eq!(
        said(&mut bench),
        ["1<receipt r", "1<receipt s", "1<duplicate t"]
    );
    assert_eq!((depth(&bench), bench.view("other").depth), (1, 1));
}

#[test]
fn a_window_forgets_its_oldest_id() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").id("first"));
    for number in 0..20_000 {
        let id: &'static str = format!("{number}").leak();
        bench.send(1, QUEUE, draft("b").non_persistent().id(id));
    }
    bench.send(1, QUEUE, draft("a").id("0").receipt("known"));
    bench.send(1, QUEUE, draft("a").id("first").receipt("forgotten"));
    bench.rest();
    assert_eq!(
        said(&mut bench),
        ["1<duplicate known", "1<receipt forgotten"]
    );
}

#[test]
fn windows_that_grow_leave_memory_and_are_still_known() {
    const MEMORY: usize = 4 << 20;
    const OF_A_TOPIC: usize = 5_000;
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), MEMORY);
    bench.open(1);
    for number in 0..OF_A_TOPIC {
        let id: &'static str = format!("{number}").leak();
        for topic in ["/topic/a", "/topic/b"] {
            bench.send(1, topic, draft("x").id(id));
        }
        if number % 500 == 0 {
            bench.rest();
        }
    }
    bench.rest();
    let bytes = bench.dispatcher.windows.bytes;
    assert!(bytes > 0 && bytes <= MEMORY / 4, "{bytes}");
    bench.heard();
    bench.send(1, "/topic/a", draft("x").id("0").receipt("a"));
    bench.send(1, "/topic/b", draft("x").id("0").receipt("b"));
    bench.rest();
    assert_eq!(said(&mut bench), ["1<duplicate a", "1<duplicate b"]);
}

#[test]
fn a_transaction_enters_its_ids_at_its_commit_and_none_if_it_ends_otherwise() {
    let mut bench = bench();
    let send = |bench: &mut Bench| vec![bench.publication(QUEUE, &draft("a").id("x")); 2];
    let commit = |bench: &mut Bench| {
        let sends = send(bench);
        bench.ask(
            1,
            Request::Commit {
                transaction: TransactionHandle(1),
                sends,
                receipt: Some(ReceiptId(b"r"[..].into())),
            },
        );
        bench.rest();
    };
    bench.disk.fill(Medium::Database);
    bench.send(2, "/queue/other", draft("b"));
    bench.rest();
    commit(&mut bench);
    assert!(said(&mut bench).contains(&"1<refused: disk is full".to_owned()));
    bench.lose(1, 0);
    bench.open(1);
    bench.disk.free(Medium::Database);
    bench.hear();
    commit(&mut bench);
    assert_eq!(said(&mut bench), ["1<receipt r"]);
    assert_eq!(depth(&bench), 1);
}

#[test]
fn a_refused_message_leaves_no_id_and_a_repeat_of_it_is_refused_with_it() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").id("w"));
    bench.rest();
    said(&mut bench);
    bench.disk.fill(Medium::Database);
    bench.send(1, QUEUE, draft("b").id("x").receipt("r"));
    bench.send(2, QUEUE, draft("b").id("x").receipt("s"));
    bench.rest();
    let heard = said(&mut bench);
    for connection in [1, 2] {
        // What a session hears behind that it does not pass on.
        let own = format!("{connection}<");
        let first = heard.iter().find(|heard| heard.starts_with(&own));
        assert_eq!(first, Some(&format!("{own}refused: disk is full")));
    }
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.open(3);
    bench.send(3, QUEUE, draft("b").id("x").receipt("t"));
    bench.rest();
    assert_eq!(said(&mut bench), ["3<receipt t"]);
}

#[test]
fn a_connection_that_ends_while_its_send_waits_has_sent_it() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").id("x"));
    bench.lose(1, 0);
    bench.rest();
    assert_eq!(depth(&bench), 1);
}

#[test]
fn the_receipt_of_a_repeat_to_several_waits_for_the_last_that_knew_it() {
    let mut bench = bench();
    bench.send(1, "/queue/early", draft("a").id("x"));
    bench.send(1, "/queue/late", draft("b").id("w"));
    bench.rest();
    bench.send(1, "/queue/late", draft("a").id("x"));
    bench.heard();
    bench.send(
        1,
        "/queue/late,/queue/early",
        draft("a").id("x").receipt("r"),
    );
    bench.turn();
    assert!(bench.heard().is_empty(), "one of the first is not durable");
    bench.commit();
    assert_eq!(bench.heard(), ["1<duplicate r"]);
}

#[test]
fn a_commit_that_stores_nothing_but_repeats_shows_what_else_was_sent_in_it() {
    let mut bench = bench();
    bench.subscribe(2, 0, "/queue/other", AckMode::Auto, 10);
    bench.send(1, QUEUE, draft("a").id("x"));
    bench.rest();
    said(&mut bench);
    let sends = vec![
        bench.publication(QUEUE, &draft("a").id("x")),
        bench.publication("/queue/other", &draft("b").non_persistent()),
    ];
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends,
        receipt: None,
    };
    bench.ask(1, commit);
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#1"]);
}

#[test]
fn disconnect_leaves_no_receipt_of_nothing_but_repeats_behind() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").id("x"));
    bench.rest();
    said(&mut bench);
    let sends = vec![bench.publication(QUEUE, &draft("a").id("x"))];
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends,
        receipt: Some(ReceiptId(b"done"[..].into())),
    };
    bench.ask(1, commit);
    let disconnect = Request::Disconnect {
        given: DeliveryCounter(u64::MAX),
        receipt: None,
    };
    bench.ask(1, disconnect);
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt done", "1<close"]);
}
