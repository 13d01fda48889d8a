//! What a connection leaves behind when it ends, and what it never had.

use super::*;

const QUEUE: &str = "/queue/q";

/// Connection 1 holds `a`, `b` and `c`; connection 2 would take them.
fn three_out(mode: AckMode) -> Bench {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    bench.subscribe(1, 0, QUEUE, mode, 3);
    for text in ["a", "b", "c"] {
        bench.send(2, QUEUE, draft(text));
    }
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<c#1"]);
    bench
}

#[test]
fn what_was_not_written_whole_was_not_delivered() {
    let mut bench = three_out(AckMode::Client);
    bench.lose(1, 2);
    bench.subscribe(2, 0, QUEUE, AckMode::Client, 3);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#2", "2<b#2", "2<c#1"]);
}

#[test]
fn only_the_oldest_message_of_a_broken_subscription_fails() {
    let mut bench = three_out(AckMode::Client);
    // Six redeliveries are allowed: the seventh failure buries.
    for _ in 0..7 {
        bench.lose(1, 3);
        bench.open(1);
        bench.subscribe(1, 0, QUEUE, AckMode::Client, 3);
        bench.rest();
    }
    assert_eq!(bench.view("q").depth, 2);
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 1);
}

#[test]
fn a_connection_that_broke_before_anything_was_written_fails_nothing() {
    let mut bench = three_out(AckMode::Client);
    for _ in 0..20 {
        bench.lose(1, 0);
        bench.open(1);
        bench.subscribe(1, 0, QUEUE, AckMode::Client, 3);
        bench.rest();
    }
    assert_eq!(bench.view("q").in_flight, 3);
    let heard = bench.heard();
    assert!(heard.iter().all(|text| text.ends_with("#1")), "{heard:?}");
}

#[test]
fn a_cumulative_ack_covers_all_before_it_and_nothing_behind() {
    let mut bench = three_out(AckMode::Client);
    bench.ack(1, "b");
    bench.rest();
    let view = bench.view("q");
    assert_eq!((view.depth, view.in_flight), (1, 1));
    bench.ack(1, "a");
    bench.rest();
    assert!(
        bench.heard().is_empty(),
        "stale, and without a receipt ignored"
    );
    assert_eq!(bench.dispatcher.overview().stale_acks_total, 1);
}

#[test]
fn a_connection_that_is_gone_leaves_nothing() {
    let mut bench = three_out(AckMode::ClientIndividual);
    bench.acknowledge(1, "a", Verdict::Ack, Some(0));
    bench.lose(1, 3);
    bench.lose(2, 0);
    bench.rest();
    let overview = bench.dispatcher.overview();
    assert_eq!((overview.connections, overview.subscriptions), (0, 0));
    assert_eq!((overview.depth, overview.in_flight), (3, 0));
    assert!(bench.dispatcher.is_quiet());
}

#[test]
fn memory_is_given_back_with_the_last_holder() {
    let mut bench = three_out(AckMode::ClientIndividual);
    for text in ["a", "b", "c"] {
        bench.ack(1, text);
    }
    bench.rest();
    bench.heard();
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[test]
fn who_was_refused_is_not_told_again_that_its_name_was_taken_over() {
    let mut bench = Bench::new();
    bench.dispatcher.settings.client_id = ClientIdPolicy::Takeover;
    bench.open_as(1, Version::V1_2, Some("c"));
    bench.open_as(2, Version::V1_2, Some("c"));
    bench.open_as(3, Version::V1_2, Some("c"));
    bench.rest();
    assert_eq!(
        bench.heard(),
        [
            "1<refused: client-id taken over",
            "2<refused: client-id taken over"
        ]
    );
    // It has been refused for something else, and its end has not come yet.
    bench.subscribe_with(3, 0, "/queue/a,/queue/b", AckMode::Client, 1, |wish| {
        wish.intent = Intent::Browse;
    });
    bench.open_as(4, Version::V1_2, Some("c"));
    bench.rest();
    assert_eq!(bench.heard(), ["3<refused: a browser walks one queue"]);
}
