//! Statistics on request: bounded, never in a queue, in a transaction at its COMMIT.

use stompbox_protocol::canonical;

use super::super::statistics::{ANSWERS_AT_ONCE, ANSWERS_MAX};
use super::*;

const ASKED: &str = "reply-to:/queue/answers\ncorrelation-id:7\n";

fn query(bench: &Bench, to: &str, head: &'static str) -> Publication {
    let draft = draft("a").head(head).non_persistent();
    let mut publication = bench.publication("/queue/x", &draft);
    publication.target = Target::One(Arc::new(DestinationName::new(DestinationKind::Queue, to)));
    publication
}

fn ask(bench: &mut Bench, to: &str, head: &'static str) {
    let publication = query(bench, to, head);
    let receipt = Some(ReceiptId(b"r"[..].into()));
    bench.ask(
        9,
        Request::Send {
            publication,
            receipt,
        },
    );
    bench.turn();
}

/// These of the facts of every answer since the last time.
fn answers(bench: &mut Bench, facts: &[&str]) -> Vec<String> {
    let heard = std::mem::take(&mut bench.heard);
    let deliveries = heard.iter().filter_map(|(_, reply)| match reply {
        Reply::Deliver(delivery) => Some(delivery),
        _ => None,
    });
    let of = |delivery: &Delivery| {
        let head = delivery.message.head();
        let values = facts
            .iter()
            .filter_map(|fact| canonical::find(head, fact.as_bytes()));
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(&value).into_owned())
            .collect();
        values.join(" ")
    };
    deliveries.map(of).collect()
}

fn opened() -> Bench {
    let mut bench = Bench::new();
    bench.open(9);
    bench.open(1);
    bench.subscribe(1, 0, "/queue/answers", AckMode::Auto, 100_000);
    bench
}

#[test]
fn a_pattern_is_answered_for_so_many_and_the_last_answer_says_that_there_are_more() {
    let mut bench = opened();
    let facts = ["answerCount", "truncated"];
    for number in 0..ANSWERS_MAX {
        bench.send(
            9,
            &format!("/queue/q.{number}"),
            draft("a").non_persistent(),
        );
    }
    ask(&mut bench, "ActiveMQ.Statistics.Destination.q.>", ASKED);
    let all = answers(&mut bench, &facts);
    assert_eq!(all.len(), ANSWERS_MAX);
    assert!(all.iter().all(|answer| *answer == ANSWERS_MAX.to_string()));
    bench.send(9, "/queue/q.more", draft("a").non_persistent());
    ask(&mut bench, "ActiveMQ.Statistics.Destination.q.>", ASKED);
    let some = answers(&mut bench, &facts);
    assert_eq!(some.len(), ANSWERS_MAX);
    let told: Vec<_> = some
        .iter()
        .filter(|answer| answer.ends_with(" true"))
        .collect();
    assert_eq!(told, [&some[ANSWERS_MAX - 1]]);
}

#[test]
fn a_query_makes_no_queue_and_one_of_nothing_says_so() {
    let mut bench = opened();
    bench.turn();
    bench.heard();
    ask(&mut bench, "ActiveMQ.Statistics.Destination.none", ASKED);
    assert_eq!(bench.heard(), ["9<unrouted r"]);
    ask(
        &mut bench,
        "ActiveMQ.Statistics.Broker",
        "reply-to:/remote-temp-queue/gone\n",
    );
    assert_eq!(bench.heard(), ["9<unrouted r"]);
    let made = bench.dispatcher.names.keys().map(|name| name.name());
    assert_eq!(made.collect::<Vec<_>>(), ["answers"]);
}

#[test]
fn a_commit_asks_too() {
    let mut bench = opened();
    let publication = query(&bench, "ActiveMQ.Statistics.Broker", ASKED);
    let lost = query(
        &bench,
        "ActiveMQ.Statistics.Broker",
        "reply-to:/queue/a..b\n",
    );
    bench.ask(
        9,
        Request::Commit {
            transaction: TransactionHandle(1),
            sends: vec![lost, publication],
            receipt: Some(ReceiptId(b"r"[..].into())),
        },
    );
    bench.rest();
    assert_eq!(
        answers(&mut bench, &["correlation-id", "producerCount"]),
        ["7 0"]
    );
    assert_eq!(bench.dispatcher.counters.dropped, 1);
}

#[test]
fn a_full_memory_refuses_queries() {
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), 2_000);
    bench.open(9);
    let held = bench.budget.charge(2_000);
    ask(&mut bench, "ActiveMQ.Statistics.Broker", ASKED);
    assert_eq!(bench.heard(), ["9<refused: memory is full"]);
    drop(held);
}

#[test]
fn a_connection_is_answered_so_much_at_once_and_the_next_moment_again() {
    let mut bench = opened();
    for number in 0..5 {
        bench.send(
            9,
            &format!("/queue/q.{number}"),
            draft("a").non_persistent(),
        );
    }
    bench.turn();
    bench.heard();
    let patterns = ANSWERS_AT_ONCE / ANSWERS_MAX;
    for _ in 0..2 {
        for _ in 0..patterns {
            ask(&mut bench, "ActiveMQ.Statistics.Destination.q.>", ASKED);
        }
        assert_eq!(answers(&mut bench, &["answerCount"]).len(), 5 * patterns);
        bench.pass(1);
    }
    for _ in 0..=ANSWERS_AT_ONCE {
        ask(&mut bench, "ActiveMQ.Statistics.Broker", ASKED);
    }
    let heard = bench.heard();
    let refused = "9<refused: too many statistics at once".to_owned();
    assert_eq!(heard.last(), Some(&refused));
    assert_eq!(
        heard.iter().filter(|line| line.contains('#')).count(),
        ANSWERS_AT_ONCE
    );
}
