//! A full disk: what it refuses is undone, what makes room goes on.

use super::*;
use crate::core::port::Requeue;
use stompbox_store::Medium;

const QUEUE: &str = "/queue/q";
const DEAD_LETTERS: &str = "/queue/ActiveMQ.DLQ";

const TO_DEAD_LETTERS: Verdict = Verdict::Nack {
    delay: None,
    requeue: Requeue::Forbidden,
};

const AT_ONCE: Verdict = Verdict::Nack {
    delay: Some(Duration::ZERO),
    requeue: Requeue::Allowed,
};

/// Three connections and a queue with `a`, which is stored.
fn with_a_stored() -> Bench {
    let mut bench = Bench::new();
    for connection in [1, 2, 3] {
        bench.open(connection);
    }
    bench.send(1, QUEUE, draft("a"));
    bench.rest();
    bench.heard();
    bench
}

fn take(bench: &mut Bench, connection: u64, from: &str) -> Vec<String> {
    bench.subscribe(connection, 9, from, AckMode::ClientIndividual, 100);
    bench.rest();
    let mut heard = bench.heard();
    heard.retain(|heard| heard.contains('#'));
    heard
}

#[test]
fn a_send_that_finds_the_disk_full_is_refused_and_nothing_else_is() {
    let mut bench = with_a_stored();
    bench.disk.fill(Medium::Database);
    bench.send(1, QUEUE, draft("b").receipt("rb"));
    bench.send(2, QUEUE, draft("c").non_persistent().receipt("rc"));
    bench.rest();
    let heard = bench.heard();
    assert!(heard.contains(&"2<receipt rc".to_owned()), "{heard:?}");
    let refused = heard
        .iter()
        .position(|heard| heard == "1<refused: disk is full");
    let receipt = heard.iter().position(|heard| heard == "1<receipt rb");
    assert!(
        refused.is_some() && (receipt.is_none() || refused < receipt),
        "{heard:?}"
    );
    assert_eq!(bench.view("q").depth, 2);
    bench.send(2, QUEUE, draft("d").receipt("rd"));
    bench.rest();
    assert_eq!(bench.heard(), ["2<refused: disk is full"], "at once");
    assert_eq!(take(&mut bench, 3, QUEUE), ["3<a#1", "3<c#1"]);
    for text in ["a", "c"] {
        bench.ack(3, text);
    }
    bench.rest();
    assert_eq!(bench.view("q").depth, 0);
}

#[test]
fn messages_are_accepted_again_when_there_is_room() {
    let mut bench = with_a_stored();
    bench.disk.fill(Medium::Database);
    bench.send(1, QUEUE, draft("b"));
    bench.rest();
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.heard();
    bench.send(2, QUEUE, draft("c").receipt("rc"));
    bench.rest();
    assert_eq!(bench.heard(), ["2<receipt rc"]);
    assert_eq!(take(&mut bench, 3, QUEUE), ["3<a#1", "3<c#1"]);
}

#[test]
fn what_was_dispatched_before_it_was_refused_stays_with_its_consumer_and_is_forgotten() {
    let mut bench = with_a_stored();
    bench.subscribe(3, 9, QUEUE, AckMode::ClientIndividual, 100);
    bench.rest();
    bench.heard();
    bench.disk.fill(Medium::Database);
    bench.send(1, QUEUE, draft("b").receipt("rb"));
    bench.rest();
    assert_eq!(bench.heard()[..2], ["3<b#1", "1<refused: disk is full"]);
    assert_eq!(bench.view("q").in_flight, 2);
    bench.ack(3, "b");
    bench.rest();
    assert_eq!(
        bench.disk.tallies()[0].count,
        1,
        "a, and nothing else was ever stored"
    );
    bench.ack(3, "a");
    bench.rest();
    assert!(bench.disk.tallies().is_empty());
    assert_eq!(bench.view("q").depth, 0);
}

#[test]
fn a_transaction_is_refused_as_a_whole_and_what_it_acknowledged_returns() {
    for known in [false, true] {
        let mut bench = with_a_stored();
        bench.send(1, QUEUE, draft("b").non_persistent());
        bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 100);
        bench.rest();
        for text in ["a", "b"] {
            bench.acknowledge(1, text, Verdict::Ack, Some(7));
        }
        bench.rest();
        bench.heard();
        bench.disk.fill(Medium::Database);
        if known {
            bench.send(2, "/queue/other", draft("l"));
            bench.rest();
            bench.heard();
        }
        let sends = [
            bench.publication("/queue/r", &draft("c").non_persistent()),
            bench.publication("/queue/r", &draft("d")),
            bench.publication("/topic/t", &draft("e")),
        ];
        bench.ask(
            1,
            Request::Commit {
                transaction: TransactionHandle(7),
                sends: sends.into(),
                receipt: Some(ReceiptId(b"rc"[..].into())),
            },
        );
        bench.subscribe(3, 1, "/topic/t", AckMode::Auto, 100);
        bench.rest();
        assert_eq!(
            bench.heard()[0],
            "1<refused: disk is full",
            "known: {known}"
        );
        assert_eq!(bench.view("q").depth, 2);
        bench.lose(1, 2);
        bench.subscribe(3, 2, "/queue/r", AckMode::Auto, 100);
        assert_eq!(
            take(&mut bench, 3, QUEUE),
            ["3<a#2", "3<b#2"],
            "known: {known}"
        );
        assert_eq!(bench.disk.tallies()[0].count, 1);
        for text in ["a", "b"] {
            bench.ack(3, text);
        }
        bench.rest();
        assert!(bench.disk.tallies().is_empty());
    }
}

#[test]
fn a_dead_letter_that_cannot_be_written_stays_and_is_tried_again() {
    for (sent, known) in [
        (draft("a"), false),
        (draft("a"), true),
        (draft("a").non_persistent(), false),
        (draft("a").non_persistent(), true),
    ] {
        let mut bench = Bench::new();
        for connection in [1, 2] {
            bench.open(connection);
        }
        bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
        bench.send(1, QUEUE, sent);
        bench.rest();
        bench.disk.fill(Medium::Database);
        if known {
            bench.send(2, QUEUE, draft("l"));
            bench.rest();
        }
        bench.acknowledge(1, "a", TO_DEAD_LETTERS, None);
        bench.rest();
        let view = bench.view("q");
        assert_eq!(
            (view.depth, view.delayed, view.dead_lettered_total),
            (1, 1, 0)
        );
        bench.disk.free(Medium::Database);
        bench.hear();
        bench.heard();
        bench.pass(61_000);
        bench.rest();
        assert_eq!(bench.view("q").depth, 0);
        assert_eq!(bench.view("ActiveMQ.DLQ").depth, 1);
        assert_eq!(take(&mut bench, 1, DEAD_LETTERS), ["1<a#1"]);
    }
}

#[test]
fn what_expired_unread_on_the_disk_becomes_a_dead_letter_when_there_is_room() {
    let mut bench = Bench::paging(0, 10);
    bench.open(1);
    bench.send(1, QUEUE, draft("c"));
    bench.send(1, QUEUE, draft("a").ttl_ms(500));
    bench.send(1, QUEUE, draft("b"));
    bench.rest();
    assert_eq!(bench.view("q").paged, 2);
    bench.disk.fill(Medium::Database);
    for _ in 0..3 {
        bench.pass(1_000);
        bench.rest();
    }
    let view = bench.view("q");
    assert_eq!((view.depth, view.paged), (3, 2));
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 0);
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.pass(1_000);
    bench.rest();
    assert_eq!(
        (bench.view("q").depth, bench.view("ActiveMQ.DLQ").depth),
        (2, 1)
    );
    assert_eq!(take(&mut bench, 1, QUEUE), ["1<c#1", "1<b#1"]);
}

#[test]
fn what_expired_on_the_disk_and_was_refused_does_not_hide_what_stands_behind_it() {
    let mut bench = Bench::paging(0, 1);
    bench.open(1);
    bench.open(2);
    bench.send(1, QUEUE, draft("c"));
    bench.send(1, QUEUE, draft("a").ttl_ms(500));
    bench.send(1, QUEUE, draft("b"));
    bench.rest();
    // `a` is on its way to the dead letters, and a page waits for that.
    bench.pass(1_000);
    bench.turn();
    bench.answer();
    bench.turn();
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 10);
    bench.turn();
    bench.disk.fill(Medium::Database);
    bench.rest();
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.rest();
    assert_eq!(bench.heard(), ["2<c#1", "2<b#1"]);
    bench.pass(60_000);
    bench.rest();
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 1);
}

const ANSWERS: &str = "/remote-temp-queue/secret";

#[test]
fn a_temporary_queue_that_has_gone_meanwhile_takes_nothing_back() {
    let mut bench = with_a_stored();
    bench.ask(2, Request::MakeTemporary(name(ANSWERS)));
    for text in ["b", "c"] {
        bench.send(3, ANSWERS, draft(text));
    }
    bench.subscribe(2, 0, ANSWERS, AckMode::ClientIndividual, 100);
    bench.turn();
    bench.disk.fill(Medium::Database);
    bench.acknowledge(2, "b", TO_DEAD_LETTERS, None);
    bench.acknowledge(2, "c", Verdict::Ack, Some(5));
    let sends = vec![bench.publication("/queue/q", &draft("d"))];
    let transaction = TransactionHandle(5);
    bench.ask(
        2,
        Request::Commit {
            transaction,
            sends,
            receipt: None,
        },
    );
    bench.turn();
    bench.lose(2, 2);
    bench.send(3, "/queue/other", draft("e").non_persistent());
    bench.rest();
    let depths = ["q", "other", "ActiveMQ.DLQ"].map(|queue| bench.view(queue).depth);
    assert_eq!(depths, [1, 1, 0], "'b' and 'c' went with their queue");
    assert_eq!(bench.dispatcher.overview().depth, 2);
}

#[test]
fn a_nack_is_answered_when_its_failure_is_stored_also_where_no_dead_letter_can_be_written() {
    let mut bench = with_a_stored();
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.rest();
    bench.disk.fill(Medium::Database);
    bench.send(2, "/queue/other", draft("l"));
    bench.rest();
    bench.heard();
    let nack = Request::Acknowledge {
        target: bench.target(1, "a"),
        verdict: TO_DEAD_LETTERS,
        transaction: None,
        receipt: Some(ReceiptId(b"rn"[..].into())),
    };
    bench.ask(1, nack);
    bench.turn();
    assert_eq!(bench.heard(), [""; 0], "nothing is stored yet");
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt rn"]);
    assert_eq!(bench.view("q").delayed, 1);
}

#[test]
fn who_disconnects_behind_a_send_that_is_refused_gets_an_error_and_no_receipt_before_it() {
    let mut bench = with_a_stored();
    bench.disk.fill(Medium::Database);
    bench.send(1, QUEUE, draft("b").receipt("rb"));
    bench.turn();
    // A second batch that is refused: it is told once all the same.
    bench.send(1, QUEUE, draft("c").receipt("rc"));
    let disconnect = Request::Disconnect {
        given: DeliveryCounter(0),
        receipt: Some(ReceiptId(b"rd"[..].into())),
    };
    bench.ask(1, disconnect);
    bench.rest();
    let heard = bench.heard();
    assert_eq!(heard[0], "1<refused: disk is full", "{heard:?}");
    let refusals = heard.iter().filter(|text| text.starts_with("1<refused"));
    assert_eq!(refusals.count(), 1, "{heard:?}");
}

#[test]
fn what_had_expired_when_it_was_refused_becomes_no_dead_letter() {
    let mut bench = with_a_stored();
    bench.send(1, QUEUE, draft("b").ttl_ms(-1));
    bench.turn();
    bench.disk.fill(Medium::Database);
    bench.rest();
    assert!(
        bench
            .heard()
            .contains(&"1<refused: disk is full".to_owned())
    );
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.pass(61_000);
    bench.rest();
    let depths = ["q", "ActiveMQ.DLQ"].map(|queue| bench.view(queue).depth);
    assert_eq!(depths, [1, 0]);
}

#[test]
fn what_failed_again_before_its_commit_was_refused_keeps_both_failures() {
    let mut bench = Bench::policy("redeliveries_max", "2");
    for connection in [1, 2] {
        bench.open(connection);
    }
    bench.send(1, QUEUE, draft("a"));
    bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.rest();
    bench.acknowledge(1, "a", AT_ONCE, Some(7));
    let sends = vec![bench.publication("/queue/r", &draft("b"))];
    let transaction = TransactionHandle(7);
    let receipt = None;
    bench.ask(
        1,
        Request::Commit {
            transaction,
            sends,
            receipt,
        },
    );
    bench.turn();
    bench.disk.fill(Medium::Database);
    bench.acknowledge(1, "a", AT_ONCE, None);
    bench.turn();
    bench.rest();
    bench.disk.free(Medium::Database);
    bench.restart();
    bench.open(2);
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.rest();
    bench.acknowledge(2, "a", AT_ONCE, None);
    bench.rest();
    let depths = ["q", "ActiveMQ.DLQ"].map(|queue| bench.view(queue).depth);
    assert_eq!(depths, [0, 1], "that was its third failure");
}

#[test]
fn what_is_refused_on_its_way_to_the_dead_letters_does_not_come_there() {
    let mut bench = with_a_stored();
    bench.subscribe(3, 9, QUEUE, AckMode::ClientIndividual, 100);
    bench.rest();
    bench.disk.fill(Medium::Database);
    bench.send(1, QUEUE, draft("b"));
    bench.turn();
    bench.disk.commit(1);
    bench.acknowledge(3, "b", TO_DEAD_LETTERS, None);
    bench.turn();
    bench.disk.free(Medium::Database);
    bench.rest();
    assert!(
        bench
            .heard()
            .contains(&"1<refused: disk is full".to_owned())
    );
    let depths = ["q", "ActiveMQ.DLQ"].map(|queue| bench.view(queue).depth);
    assert_eq!(depths, [1, 0]);
}
