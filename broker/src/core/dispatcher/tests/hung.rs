//! A consumer that holds messages longer than it may (`ack_timeout`).

use super::*;

const QUEUE: &str = "/queue/q";

fn timed() -> Bench {
    let mut bench = Bench::configured(
        Window::default(),
        "[[destination]]\nmatch = 'q'\nack_timeout = '10s'\nredeliveries_max = 1\n",
    );
    for connection in 1..=3 {
        bench.open(connection);
    }
    bench.rest();
    bench.heard();
    bench
}

fn send(bench: &mut Bench, texts: &[&'static str]) {
    for text in texts {
        bench.send(1, QUEUE, draft(text));
    }
    bench.rest();
}

/// Seconds pass, a turn each.
fn wait(bench: &mut Bench, seconds: u64) {
    for _ in 0..seconds {
        bench.pass(1_000);
        bench.rest();
    }
}

#[test]
fn what_a_hung_consumer_holds_goes_to_others_and_it_gets_no_more_until_it_answers() {
    let mut bench = timed();
    bench.subscribe(2, 0, QUEUE, AckMode::Client, 2);
    send(&mut bench, &["a", "b", "c"]);
    assert_eq!(bench.heard(), ["2<a#1", "2<b#1"]);
    wait(&mut bench, 9);
    assert_eq!(bench.heard(), [""; 0], "not yet");
    bench.subscribe(3, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.rest();
    assert_eq!(bench.heard(), ["3<c#1"]);
    wait(&mut bench, 4);
    assert_eq!(bench.heard(), ["3<a#2", "3<b#2"]);
    for text in ["a", "b", "c"] {
        bench.ack(3, text);
    }
    bench.lose(3, 99);
    send(&mut bench, &["d"]);
    assert_eq!(bench.heard(), [""; 0], "it is passed over");
    // Its ACK is stale, and an answer.
    bench.ack(2, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["2<d#1"]);
    assert_eq!(bench.dispatcher.overview().stale_acks_total, 1);
}

#[test]
fn each_message_has_its_own_time_and_a_consumer_that_answers_is_left_alone() {
    let mut bench = timed();
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 10);
    send(&mut bench, &["a"]);
    wait(&mut bench, 6);
    send(&mut bench, &["b"]);
    wait(&mut bench, 6);
    assert_eq!(bench.heard(), ["2<a#1", "2<b#1"]);
    assert_eq!(bench.view("q").in_flight, 1, "only a was held too long");
    bench.ack(2, "b");
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#2"], "one that answers gets it again");
    wait(&mut bench, 8);
    bench.ack(2, "a");
    wait(&mut bench, 8);
    assert_eq!(bench.view("q").depth, 0);
    assert_eq!(bench.heard(), [""; 0]);
}

#[test]
fn only_the_oldest_counts_a_failure_and_what_hangs_consumers_becomes_a_dead_letter() {
    let mut bench = timed();
    send(&mut bench, &["a", "b"]);
    for connection in [2, 3] {
        bench.subscribe(connection, 0, QUEUE, AckMode::ClientIndividual, 10);
        bench.rest();
        wait(&mut bench, 13);
    }
    assert_eq!(
        bench.heard(),
        ["2<a#1", "2<b#1", "3<a#2", "3<b#2"],
        "one redelivery of a"
    );
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 1);
    assert_eq!(bench.view("q").depth, 1, "b is innocent");
}

#[test]
fn a_hung_consumer_gives_up_its_groups_and_its_exclusivity() {
    let mut bench = timed();
    let exclusive = |subscribing: &mut Subscribing| {
        subscribing.exclusivity = Exclusivity::Exclusive;
    };
    bench.subscribe_with(2, 0, QUEUE, AckMode::ClientIndividual, 1, exclusive);
    bench.subscribe_with(3, 0, QUEUE, AckMode::ClientIndividual, 9, exclusive);
    for text in ["a", "b"] {
        bench.send(1, QUEUE, draft(text).head("JMSXGroupID:g\n"));
    }
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
    wait(&mut bench, 13);
    assert_eq!(bench.heard(), ["3<a#2", "3<b#1"]);
    bench.ack(3, "a");
    bench.ack(3, "b");
    bench.lose(3, 99);
    // A shared queue, a group that its owner holds.
    bench.lose(2, 99);
    bench.open(4);
    bench.open(5);
    bench.subscribe(4, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.send(1, QUEUE, draft("c").head("JMSXGroupID:h\n"));
    bench.send(1, QUEUE, draft("d").head("JMSXGroupID:h\n"));
    bench.rest();
    bench.subscribe(5, 0, QUEUE, AckMode::ClientIndividual, 9);
    bench.rest();
    assert_eq!(bench.heard(), ["4<c#1"]);
    wait(&mut bench, 13);
    assert_eq!(bench.heard(), ["5<c#2", "5<d#1"]);
}

#[test]
fn neither_automatic_acknowledgement_nor_a_transaction_is_a_hung_consumer() {
    let mut bench = timed();
    bench.subscribe(2, 0, QUEUE, AckMode::Auto, 10);
    send(&mut bench, &["a"]);
    wait(&mut bench, 15);
    assert_eq!(bench.view("q").in_flight, 1);
    bench.lose(2, 0);
    bench.subscribe(3, 0, QUEUE, AckMode::Client, 10);
    bench.rest();
    bench.heard();
    bench.acknowledge(3, "a", Verdict::Ack, Some(1));
    wait(&mut bench, 15);
    assert_eq!(bench.heard(), [""; 0]);
    assert_eq!(bench.view("q").in_flight, 1);
}
