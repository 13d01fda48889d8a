//! What a sender sends again may have been delivered before, wherever it goes and however long it waits.

use super::*;
use crate::core::port::{Lasting, Requeue};

const QUEUE: &str = "/queue/q";
const TOPIC: &str = "/topic/t";

fn again(text: &'static str) -> Draft {
    draft(text).head("x-resent:true\n")
}

fn durable(bench: &mut Bench, subscription: u32, prefetch: u32) {
    let mode = AckMode::ClientIndividual;
    bench.subscribe_with(1, subscription, TOPIC, mode, prefetch, |wish| {
        wish.lasting = Some(Lasting::Durable("n".into()));
    });
}

#[test]
fn its_first_delivery_is_the_second_and_no_failure() {
    let mut bench = Bench::policy("redeliveries_max", "1");
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.subscribe(1, 1, TOPIC, AckMode::Auto, 10);
    bench.send(1, "/queue/q,/topic/t", again("a"));
    bench.send(1, "/queue/q,/topic/t", draft("b").non_persistent());
    bench.send(1, QUEUE, again("c").non_persistent());
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<a#2", "1<a#2", "1<b#1", "1<b#1", "1<c#2"]);
    let failed = Verdict::Nack {
        delay: None,
        requeue: Requeue::Allowed,
    };
    bench.acknowledge(1, "c", failed, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#3"], "one failure is allowed");
}

#[test]
fn it_leaves_memory_like_any_other_and_comes_back_as_it_was() {
    let mut bench = Bench::paging(1, 10);
    bench.open(1);
    for text in ["a", "b", "c"] {
        bench.send(1, QUEUE, again(text));
    }
    bench.send(1, QUEUE, draft("d"));
    bench.rest();
    assert_eq!(bench.view("q").paged, 2);
    bench.stop_and_start();
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2", "1<b#2", "1<c#2", "1<d#1"]);
    bench.stop_and_start();
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#3", "1<b#3", "1<c#3", "1<d#2"]);
}

#[test]
fn what_was_not_stored_for_itself_spills_with_it() {
    let window = Window {
        messages: 0,
        page_messages: 10,
        ..Window::default()
    };
    let mut bench = Bench::with_memory(window, Policies::default(), 1_024);
    bench.open(1);
    for text in ["a", "b", "c", "d"] {
        bench.send(1, QUEUE, again(text).non_persistent());
        bench.rest();
    }
    assert!(bench.view("q").paged > 0, "{:?}", bench.view("q"));
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2", "1<b#2", "1<c#2", "1<d#2"]);
}

#[test]
fn it_waits_for_a_durable_subscription_and_for_its_time() {
    let mut bench = Bench::new();
    bench.open(9);
    bench.open_as(1, Version::V1_2, Some("c"));
    durable(&mut bench, 0, 10);
    bench.rest();
    bench.lose(1, 0);
    bench.send(9, TOPIC, again("a"));
    bench.send(9, TOPIC, draft("b"));
    bench.send(9, TOPIC, again("c").schedule("delay=500"));
    bench.rest();
    bench.stop_and_start();
    bench.open_as(1, Version::V1_2, Some("c"));
    durable(&mut bench, 0, 10);
    bench.pass(1_000);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2", "1<b#1", "1<c#2"]);
}

#[test]
fn a_commit_sends_it_and_a_repeat_that_is_known_goes_nowhere() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 10);
    let sends = [draft("a").id("1"), again("b").id("1"), again("c").id("2")];
    let commit = Request::Commit {
        transaction: TransactionHandle(0),
        sends: sends
            .iter()
            .map(|draft| bench.publication(QUEUE, draft))
            .collect(),
        receipt: None,
    };
    bench.ask(1, commit);
    bench.send(1, QUEUE, again("d").id("2"));
    bench.rest();
    let heard = bench.heard();
    let messages = heard.iter().filter(|line| line.contains('#'));
    assert_eq!(messages.collect::<Vec<_>>(), ["1<a#1", "1<c#2"]);
}

#[test]
fn the_mark_is_the_brokers_own() {
    let mut bench = Bench::new();
    bench.open(1);
    let marked = bench.publication(QUEUE, &draft("a").head("x-resent:true\nown:1\n"));
    assert_eq!(marked.message.head(), b"own:1\n");
    let other = bench.publication(QUEUE, &draft("a").head("own:1\nx-resent:true\n"));
    assert_eq!(other.message.deliveries_before(), 0);
}
