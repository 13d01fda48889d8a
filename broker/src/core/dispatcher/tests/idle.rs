//! Destinations that nobody uses go (`remove_unused_after`), and their names and keys are used again.

use super::*;
use crate::core::port::{Deletion, Lasting};

fn tidy() -> Bench {
    let mut bench = Bench::configured(
        Window::default(),
        "[policy]\nremove_unused_after = '60s'\n\
         [[destination]]\nmatch = 'declared'\nkind = 'queue'\n\
         [[destination]]\nmatch = 'kept.>'\nremove_unused_after = '0s'\n",
    );
    for connection in 1..=3 {
        bench.open(connection);
    }
    bench.rest();
    bench.heard();
    bench
}

fn wait(bench: &mut Bench, seconds: u64) {
    for _ in 0..seconds.div_ceil(5) {
        bench.pass(5_000);
        bench.rest();
    }
}

/// All there are, with their prefix.
fn names(bench: &Bench) -> Vec<String> {
    let names = bench.dispatcher.ordered_names.keys();
    names.map(|name| name.wire().to_owned()).collect()
}

#[test]
fn what_is_empty_and_unused_goes_and_nothing_else_does() {
    let mut bench = tidy();
    bench.send(1, "/queue/full", draft("a"));
    bench.send(1, "/queue/kept.a", draft("a"));
    bench.send(1, "/queue/emptied", draft("b"));
    bench.send(1, "/topic/quiet", draft("c"));
    bench.subscribe(1, 1, "/queue/consumed", AckMode::Client, 10);
    bench.subscribe(1, 2, "/topic/heard", AckMode::Client, 10);
    bench.subscribe(
        1,
        3,
        "/queue/kept.a,/queue/emptied",
        AckMode::ClientIndividual,
        10,
    );
    bench.rest();
    bench.ack(1, "a");
    bench.ack(1, "b");
    bench.ask(
        1,
        Request::Unsubscribe {
            subscription: Some(SubscriptionHandle(3)),
            deletes: None,
            given: DeliveryCounter(99),
            receipt: None,
        },
    );
    wait(&mut bench, 50);
    assert_eq!(names(&bench).len(), 7, "{:?}", names(&bench));
    wait(&mut bench, 40);
    assert_eq!(
        names(&bench),
        [
            "/queue/consumed",
            "/queue/declared",
            "/queue/full",
            "/queue/kept.a",
            "/topic/heard"
        ]
    );
    bench.lose(1, 99);
    wait(&mut bench, 90);
    assert_eq!(
        names(&bench),
        ["/queue/declared", "/queue/full", "/queue/kept.a"]
    );
}

#[test]
fn a_send_is_use_and_a_name_that_has_gone_may_come_again() {
    let mut bench = tidy();
    bench.send(1, "/topic/t", draft("a"));
    bench.rest();
    for _ in 0..5 {
        wait(&mut bench, 30);
        bench.send(2, "/topic/t", draft("a"));
        bench.rest();
    }
    assert_eq!(names(&bench), ["/queue/declared", "/topic/t"]);
    for round in 0..3 {
        // The producers' short cuts to it must not lead to what has its place now.
        bench.send(1, "/queue/q", draft("a"));
        bench.subscribe(3, round, "/queue/q", AckMode::ClientIndividual, 10);
        bench.rest();
        bench.ack(3, "a");
        bench.lose(3, 99);
        bench.open(3);
        bench.rest();
        bench.heard();
        wait(&mut bench, 90);
        assert_eq!(names(&bench), ["/queue/declared"]);
        bench.send(2, "/queue/other", draft("b"));
        bench.rest();
        bench.send(1, "/queue/q", draft("c"));
        bench.rest();
        bench.subscribe(3, 9, "/queue/q", AckMode::ClientIndividual, 10);
        bench.subscribe(3, 10, "/queue/other", AckMode::ClientIndividual, 10);
        bench.rest();
        let mut heard = bench.heard();
        heard.sort();
        assert_eq!(heard, ["3<b#1", "3<c#1"]);
        bench.ack(3, "b");
        bench.ack(3, "c");
        bench.lose(3, 99);
        bench.open(3);
        wait(&mut bench, 90);
    }
}

#[test]
fn a_consumer_queue_that_has_gone_gets_no_more_copies() {
    let mut bench = tidy();
    let queue = "/queue/Consumer.A.VirtualTopic.X";
    bench.subscribe(1, 0, queue, AckMode::Auto, 10);
    bench.rest();
    bench.lose(1, 0);
    wait(&mut bench, 90);
    assert_eq!(names(&bench), ["/queue/declared"]);
    bench.send(2, "/queue/elsewhere", draft("a"));
    bench.send(2, "/topic/VirtualTopic.X", draft("b"));
    bench.rest();
    assert_eq!(bench.view("elsewhere").depth, 1);
    assert_eq!(bench.dispatcher.overview().depth, 1);
}

#[test]
fn a_queue_that_is_being_looked_through_stays() {
    let mut bench = tidy();
    bench.subscribe_with(1, 0, "/queue/q", AckMode::Auto, 10, |subscribing| {
        subscribing.intent = Intent::Browse;
    });
    bench.rest();
    wait(&mut bench, 90);
    assert!(names(&bench).contains(&"/queue/q".to_owned()));
    bench.lose(1, 0);
    wait(&mut bench, 90);
    assert_eq!(names(&bench), ["/queue/declared"]);
}

fn durable(bench: &mut Bench, subscription: u32, to: &str) {
    bench.subscribe_with(3, subscription, to, AckMode::Client, 10, |wish| {
        wish.lasting = Some(Lasting::SharedDurable(to.into()));
    });
    bench.rest();
    let ended = Request::Unsubscribe {
        subscription: Some(SubscriptionHandle(subscription)),
        deletes: None,
        given: DeliveryCounter(99),
        receipt: None,
    };
    bench.ask(3, ended);
    bench.rest();
}

fn delete(bench: &mut Bench, to: &str) {
    let deleted = Request::Unsubscribe {
        subscription: None,
        deletes: Some(Deletion {
            lasting: Lasting::SharedDurable(to.into()),
            topic: None,
        }),
        given: DeliveryCounter(99),
        receipt: None,
    };
    bench.ask(3, deleted);
    bench.rest();
}

#[test]
fn a_topic_goes_with_its_row_when_nobody_is_durably_subscribed_to_it_any_more() {
    let mut bench = tidy();
    for (number, to) in ["/topic/p.a", "/topic/p.>"].iter().enumerate() {
        durable(&mut bench, number as u32, to);
    }
    for topic in ["/topic/p.a", "/topic/p.b", "/topic/quiet"] {
        bench.send(1, topic, draft("a"));
    }
    bench.send(1, "/topic/later", draft("b").schedule("delay=9000000"));
    bench.rest();
    wait(&mut bench, 90);
    let kept = [
        "/queue/declared",
        "/topic/later",
        "/topic/p.a",
        "/topic/p.b",
    ];
    assert_eq!(names(&bench), kept);
    delete(&mut bench, "/topic/p.>");
    wait(&mut bench, 90);
    let kept = ["/queue/declared", "/topic/later", "/topic/p.a"];
    assert_eq!(names(&bench), kept);
    delete(&mut bench, "/topic/p.a");
    wait(&mut bench, 90);
    assert_eq!(names(&bench), ["/queue/declared", "/topic/later"]);
    bench.restart();
    assert_eq!(
        names(&bench),
        ["/queue/declared", "/topic/later"],
        "nor rows"
    );
    for connection in 1..=3 {
        bench.open(connection);
    }
    wait(&mut bench, 90);
    assert_eq!(names(&bench), ["/queue/declared", "/topic/later"]);
    // The name may come again, and what is durable with it.
    durable(&mut bench, 7, "/topic/p.a");
    bench.send(1, "/topic/p.a", draft("c"));
    bench.rest();
    bench.heard();
    bench.subscribe_with(3, 8, "/topic/p.a", AckMode::Client, 10, |wish| {
        wish.lasting = Some(Lasting::SharedDurable("/topic/p.a".into()));
    });
    bench.rest();
    assert_eq!(bench.heard(), ["3<c#1"]);
}

#[test]
fn what_goes_is_forgotten_by_all_who_sent_there_last() {
    let mut bench = tidy();
    for connection in 1..=3 {
        let queue = format!("/queue/last.{connection}");
        bench.send(
            connection,
            &queue,
            draft("a").non_persistent().ttl_ms(1_000),
        );
    }
    bench.rest();
    wait(&mut bench, 200);
    assert_eq!(names(&bench), ["/queue/declared"]);
    // Whatever has their keys now is not theirs.
    for name in ["x", "y", "z"] {
        bench.send(1, &format!("/queue/kept.{name}"), draft("b"));
    }
    for connection in 1..=3 {
        let queue = format!("/queue/last.{connection}");
        bench.send(connection, &queue, draft("c"));
    }
    bench.rest();
    for name in ["kept.x", "kept.y", "kept.z", "last.1", "last.2", "last.3"] {
        assert_eq!(bench.view(name).depth, 1, "{name}");
    }
}

#[test]
fn a_queue_stays_until_the_last_of_its_browsers_has_left() {
    let mut bench = tidy();
    for (connection, subscription) in [(1, 0), (1, 1), (2, 0)] {
        let mode = AckMode::Auto;
        bench.subscribe_with(connection, subscription, "/queue/q", mode, 10, |wish| {
            wish.intent = Intent::Browse;
        });
    }
    bench.rest();
    bench.lose(1, 0);
    wait(&mut bench, 200);
    assert!(names(&bench).contains(&"/queue/q".to_owned()));
    bench.lose(2, 0);
    wait(&mut bench, 200);
    assert_eq!(names(&bench), ["/queue/declared"]);
}
