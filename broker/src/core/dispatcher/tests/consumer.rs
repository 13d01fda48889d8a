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
fn of_exclusive_patterns_the_oldest_has_a_new_queue() {
    let mut bench = Bench::new();
    let exclusive = |wish: &mut Subscribing| wish.exclusivity = Exclusivity::Exclusive;
    for connection in [1, 2, 3, 9] {
        bench.open(connection);
    }
    bench.subscribe(1, 0, "/queue/before", AckMode::Auto, 2);
    bench.subscribe_with(2, 0, "/queue/new.*", AckMode::Auto, 2, exclusive);
    bench.lose(1, 0);
    bench.rest();
    // It takes the key that the first subscription had.
    bench.subscribe_with(3, 0, "/queue/new.*", AckMode::Auto, 2, exclusive);
    bench.send(9, "/queue/new.a", draft("a"));
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
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

#[test]
fn what_waits_behind_an_exclusive_consumer_lets_others_pass_when_that_goes() {
    for (group, order, passing) in [
        ("", "pass", &["2<b#2", "2<c#1"][..]),
        ("JMSXGroupID:g\n", "pass", &["2<c#1"]),
        ("", "hold", &[]),
    ] {
        let mut bench = Bench::policy("redelivery_order", order);
        for connection in [1, 2, 9] {
            bench.open(connection);
        }
        let exclusive = |wish: &mut Subscribing| wish.exclusivity = Exclusivity::Exclusive;
        bench.subscribe_with(1, 0, QUEUE, AckMode::ClientIndividual, 2, exclusive);
        bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 9);
        for (text, head) in [("a", group), ("b", group), ("c", "")] {
            bench.send(9, QUEUE, draft(text).head(head));
        }
        bench.rest();
        let later = Verdict::Nack {
            delay: Some(Duration::from_secs(5)),
            requeue: crate::core::port::Requeue::Allowed,
        };
        bench.acknowledge(1, "a", later, None);
        bench.rest();
        assert_eq!(bench.heard(), ["1<a#1", "1<b#1"]);
        bench.lose(1, 2);
        bench.rest();
        assert_eq!(bench.heard(), passing, "{order} {group}");
        bench.pass(5_000);
        bench.rest();
        let late = bench.heard();
        assert_eq!(late.first().map(String::as_str), Some("2<a#2"), "{late:?}");
        assert_eq!(late.len() + passing.len(), 3, "{late:?}");
    }
}

#[test]
fn a_subscription_to_several_queues_is_served_by_each_in_turn() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(9);
    let queues = ["/queue/q1", "/queue/q2", "/queue/q3", "/queue/q4"];
    let texts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for (index, text) in texts.into_iter().enumerate() {
        bench.send(9, queues[index % 4], draft(text));
    }
    bench.subscribe(1, 0, &queues.join(","), AckMode::ClientIndividual, 1);
    let mut served = Vec::new();
    for _ in texts {
        bench.rest();
        let heard = bench.heard();
        assert_eq!(heard.len(), 1, "one at a time");
        let text = &heard[0][2..3];
        served.push(
            texts
                .iter()
                .position(|other| *other == text)
                .expect("known")
                % 4,
        );
        bench.ack(1, text);
    }
    // The first one was served when the others had not asked yet.
    for round in served[1..].chunks_exact(4) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2, 3], "{served:?}");
    }
}

#[test]
fn places_of_wildcard_subscriptions_are_charged_and_bounded() {
    let window = Window::default();
    let mut bench = Bench::with_memory(window, Policies::default(), 10_000);
    bench.open(1);
    bench.open(2);
    // A quarter of the memory has room for nine.
    for number in 0..9 {
        bench.subscribe(1, number, &format!("/queue/q.{number}"), AckMode::Auto, 1);
    }
    bench.subscribe(2, 0, "/queue/q.>", AckMode::Auto, 1);
    bench.rest();
    assert!(bench.heard().is_empty());
    let used = bench.budget.used_bytes();
    assert!(used >= 9 * 256, "{used}");
    bench.send(1, "/queue/q.9", draft("a"));
    bench.rest();
    assert_eq!(
        bench.heard(),
        ["1<refused: too many places of subscriptions"]
    );
    bench.open(3);
    bench.subscribe(3, 0, "/queue/*.1", AckMode::Auto, 1);
    bench.rest();
    assert_eq!(
        bench.heard(),
        ["3<refused: too many places of subscriptions"]
    );
    bench.lose(2, 0);
    bench.rest();
    assert_eq!(bench.budget.used_bytes(), 0);
    bench.open(4);
    bench.subscribe(4, 0, "/queue/*.1", AckMode::Auto, 1);
    bench.rest();
    assert!(bench.heard().is_empty());
}

#[test]
fn a_preferred_consumer_of_several_queues_comes_first_at_each_when_it_has_credit_again() {
    const QUEUES: [&str; 3] = ["/queue/p.a", "/queue/p.b", "/queue/p.c"];
    for queue in QUEUES {
        let mut bench = Bench::new();
        for connection in [1, 2, 9] {
            bench.open(connection);
        }
        for queue in QUEUES {
            bench.send(9, queue, draft("a"));
        }
        let mode = AckMode::ClientIndividual;
        bench.subscribe_with(1, 0, "/queue/p.*", mode, 1, |wish| {
            wish.priority = ConsumerPriority(5);
        });
        bench.rest();
        assert_eq!(bench.heard(), ["1<a#1"]);
        // The others take the rest, and the preferred one waits for credit at each queue.
        for (subscription, queue) in QUEUES.iter().enumerate() {
            bench.subscribe(2, subscription as u32, queue, AckMode::ClientIndividual, 10);
        }
        bench.rest();
        assert_eq!(bench.heard(), ["2<a#1", "2<a#1"]);
        // Its credit and the next message come in one turn.
        bench.ack(1, "a");
        bench.send(9, queue, draft("b"));
        bench.send(9, queue, draft("c"));
        bench.rest();
        let mut heard = bench.heard();
        heard.sort();
        assert_eq!(heard, ["1<b#1", "2<c#1"], "{queue}");
    }
}
