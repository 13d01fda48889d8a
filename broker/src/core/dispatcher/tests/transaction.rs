//! COMMIT and ABORT: all of it, or nothing.

use super::*;
use crate::core::port::Requeue;

const QUEUE: &str = "/queue/q";

const NACK: Verdict = Verdict::Nack {
    delay: None,
    requeue: Requeue::Allowed,
};

impl Bench {
    fn commit_transaction(&mut self, transaction: u32, sends: Vec<Publication>, receipt: bool) {
        let receipt = receipt.then(|| ReceiptId(b"r"[..].into()));
        let transaction = TransactionHandle(transaction);
        self.ask(
            1,
            Request::Commit {
                transaction,
                sends,
                receipt,
            },
        );
    }

    fn abort_transaction(&mut self, transaction: u32) {
        let transaction = TransactionHandle(transaction);
        let receipt = None;
        self.ask(
            1,
            Request::Abort {
                transaction,
                receipt,
            },
        );
    }
}

fn with_a_delivery(sent: Draft) -> Bench {
    let mut bench = Bench::new();
    bench.open(1);
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.send(1, QUEUE, sent);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench
}

#[test]
fn what_a_commit_sends_is_seen_at_once_when_nothing_of_it_is_stored() {
    for verdict in [Verdict::Ack, NACK] {
        let mut bench = with_a_delivery(draft("a").non_persistent());
        bench.open(2);
        bench.subscribe(2, 0, "/queue/r", AckMode::Auto, 1);
        bench.rest();
        bench.acknowledge(1, "a", verdict, Some(0));
        let send = bench.publication("/queue/r", &draft("b").non_persistent());
        bench.commit_transaction(0, vec![send], false);
        bench.turn();
        assert!(bench.heard().contains(&"2<b#1".to_owned()), "{verdict:?}");
    }
}

#[test]
fn what_a_commit_sends_is_seen_when_all_of_it_is_durable() {
    let mut bench = with_a_delivery(draft("a"));
    bench.open(2);
    bench.subscribe(2, 0, "/queue/r", AckMode::Auto, 1);
    bench.rest();
    bench.acknowledge(1, "a", Verdict::Ack, Some(0));
    let send = bench.publication("/queue/r", &draft("b").non_persistent());
    bench.commit_transaction(0, vec![send], true);
    bench.turn();
    assert!(bench.heard().is_empty(), "the ACK is not durable");
    bench.commit();
    bench.heard().sort();
    assert_eq!(bench.view("q").depth, 0);
    assert_eq!(bench.view("r").in_flight, 1);
}

#[test]
fn an_acknowledgement_in_a_transaction_frees_credit_and_keeps_the_message() {
    let mut bench = with_a_delivery(draft("a"));
    bench.send(1, QUEUE, draft("b"));
    bench.rest();
    assert!(bench.heard().is_empty(), "no credit");
    bench.acknowledge(1, "a", Verdict::Ack, Some(0));
    bench.turn();
    assert_eq!(bench.heard(), ["1<b#1"]);
    assert_eq!((bench.view("q").depth, bench.view("q").in_flight), (2, 2));
    bench.ack(1, "b");
    bench.abort_transaction(0);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2"]);
}

#[test]
fn what_a_commit_sends_to_a_virtual_topic_is_for_the_queues_that_it_makes() {
    const TOPIC: &str = "/topic/VirtualTopic.v";
    const COPIES: &str = "/queue/Consumer.a.VirtualTopic.v";
    for names in [[TOPIC, COPIES], [COPIES, TOPIC]] {
        let mut bench = Bench::new();
        bench.open(1);
        bench.subscribe(1, 0, TOPIC, AckMode::Auto, 1);
        bench.rest();
        let sends = names.map(|name| match name {
            TOPIC => bench.publication(name, &draft("a")),
            name => bench.publication(name, &draft("b").non_persistent()),
        });
        bench.commit_transaction(0, sends.into(), true);
        bench.turn();
        assert_eq!(bench.heard(), [""; 0], "{names:?}: it is not durable");
        bench.rest();
        let mut heard = bench.heard();
        heard.sort();
        assert_eq!(heard, ["1<a#1", "1<receipt r"], "{names:?}");
        assert_eq!(bench.view("Consumer.a.VirtualTopic.v").depth, 2);
        bench.restart();
        assert_eq!(bench.view("Consumer.a.VirtualTopic.v").depth, 1);
    }
}

#[test]
fn topics_go_on_in_the_order_of_the_commits_that_held_them_back() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    bench.subscribe(2, 0, "/topic/>", AckMode::Auto, 10);
    let commit = |bench: &mut Bench, number: u32, topic: Option<(&str, &'static str)>| {
        let stored = bench.publication(QUEUE, &draft("k"));
        let published = topic.map(|(to, text)| bench.publication(to, &draft(text)));
        let sends = [stored].into_iter().chain(published).collect();
        bench.commit_transaction(number, sends, false);
        bench.turn();
    };
    bench.rest();
    commit(&mut bench, 1, Some(("/topic/a", "a")));
    commit(&mut bench, 2, None);
    bench.send(1, "/topic/a", draft("b"));
    bench.turn();
    commit(&mut bench, 3, Some(("/topic/b", "c")));
    commit(&mut bench, 4, Some(("/topic/a", "d")));
    bench.disk.commit(1);
    bench.hear();
    assert_eq!(bench.heard(), ["2<a#1", "2<b#1"]);
    bench.rest();
    assert_eq!(bench.heard(), ["2<c#1", "2<d#1"]);
}
