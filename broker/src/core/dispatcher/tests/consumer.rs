//! Who is served first: consumer priority, exclusive consumers.

use super::*;

const QUEUE: &str = "/queue/q";

fn with_consumers(wishes: &[(u64, i32, Exclusivity)]) -> Bench {
    let mut bench = Bench::new();
    bench.open(9);
    for (connection, priority, exclusivity) in wishes {
        bench.open(*connection);
        bench.subscribe_with(
            *connection,
            0,
            QUEUE,
            AckMode::ClientIndividual,
            2,
            |wish| {
                wish.priority = ConsumerPriority(*priority);
                wish.exclusivity = *exclusivity;
            },
        );
    }
    bench
}

fn send_all(bench: &mut Bench, texts: &[&'static str]) -> Vec<String> {
    for text in texts {
        bench.send(9, QUEUE, draft(text));
        bench.rest();
    }
    bench.heard()
}

#[test]
fn a_higher_priority_is_served_while_it_has_credit_and_equals_take_turns() {
    let shared = Exclusivity::Shared;
    let mut bench = with_consumers(&[(1, 0, shared), (2, 7, shared), (3, 7, shared)]);
    assert_eq!(
        send_all(&mut bench, &["a", "b", "c", "d", "e", "f", "g"]),
        ["2<a#1", "3<b#1", "2<c#1", "3<d#1", "1<e#1", "1<f#1"]
    );
    bench.ack(3, "b");
    bench.rest();
    assert_eq!(bench.heard(), ["3<g#1"]);
}

#[test]
fn an_exclusive_consumer_has_the_queue_for_itself_until_it_goes() {
    let mut bench = with_consumers(&[
        (1, 0, Exclusivity::Shared),
        (2, 0, Exclusivity::Exclusive),
        (3, 0, Exclusivity::Exclusive),
        (4, 0, Exclusivity::Shared),
    ]);
    assert_eq!(
        send_all(&mut bench, &["a", "b", "c", "d"]),
        ["2<a#1", "2<b#1"]
    );
    bench.lose(2, 2);
    bench.rest();
    assert_eq!(bench.heard(), ["3<a#2", "3<b#2"], "fails over, in order");
    bench.lose(3, 2);
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(
        heard,
        ["1<a#3", "1<c#1", "4<b#3", "4<d#1"],
        "nobody is exclusive any more"
    );
}

#[test]
fn the_exclusive_consumer_of_the_highest_priority_takes_over() {
    let mut bench = with_consumers(&[(1, 1, Exclusivity::Exclusive)]);
    assert_eq!(send_all(&mut bench, &["a"]), ["1<a#1"]);
    bench.open(2);
    bench.subscribe_with(2, 0, QUEUE, AckMode::ClientIndividual, 2, |wish| {
        wish.priority = ConsumerPriority(5);
        wish.exclusivity = Exclusivity::Exclusive;
    });
    assert_eq!(send_all(&mut bench, &["b", "c", "d"]), ["2<b#1", "2<c#1"]);
    bench.ask(
        2,
        Request::Unsubscribe {
            subscription: Some(SubscriptionHandle(0)),
            deletes: None,
            given: DeliveryCounter(2),
            receipt: None,
        },
    );
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#2"]);
}

#[test]
fn a_redelivery_that_waits_holds_others_back_behind_an_exclusive_consumer() {
    for (exclusivity, behind) in [
        (Exclusivity::Exclusive, &[][..]),
        (Exclusivity::Shared, &["1<c#1"]),
    ] {
        let mut bench = with_consumers(&[(1, 0, exclusivity)]);
        send_all(&mut bench, &["a", "b", "c"]);
        let later = Verdict::Nack {
            delay: Some(Duration::from_secs(5)),
            requeue: crate::core::port::Requeue::Allowed,
        };
        bench.acknowledge(1, "a", later, None);
        bench.rest();
        assert_eq!(bench.heard(), behind, "{exclusivity:?}");
        bench.ack(1, "b");
        bench.pass(5_000);
        bench.rest();
        assert!(
            bench.heard().contains(&"1<a#2".to_owned()),
            "{exclusivity:?}"
        );
    }
}
