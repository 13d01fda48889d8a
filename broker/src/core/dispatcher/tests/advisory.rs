//! Advisories: nothing is made where nobody listens, counts are right, nobody waits for a listener.

use stompbox_protocol::canonical;

use super::*;
use crate::core::port::Lasting;

const ALL: &str = "/topic/ActiveMQ.Advisory.>";

/// What was told since the last time: to whom, on which topic, and these of its headers.
fn told(bench: &mut Bench, headers: &[&str]) -> Vec<String> {
    let heard = std::mem::take(&mut bench.heard);
    let mut seen = Vec::new();
    for (connection, reply) in heard {
        let Reply::Deliver(delivery) = reply else {
            continue;
        };
        let Some(topic) = &delivery.destination else {
            continue;
        };
        let Some(topic) = topic.name().strip_prefix("ActiveMQ.Advisory.") else {
            continue;
        };
        let mut line = format!("{}<{topic}", connection.0);
        for header in headers {
            let value = canonical::find(delivery.message.head(), header.as_bytes());
            if let Some(value) = value {
                line = format!("{line} {}", String::from_utf8_lossy(&value));
            }
        }
        seen.push(line);
    }
    seen
}

fn listen(bench: &mut Bench, to: &str) {
    bench.open(1);
    bench.subscribe(1, 0, to, AckMode::Auto, 10_000);
    bench.rest();
    bench.heard();
}

fn advisory_topics(bench: &Bench) -> usize {
    let names = bench.dispatcher.names.keys();
    names
        .filter(|name| name.name().starts_with("ActiveMQ."))
        .count()
}

#[test]
fn nothing_is_made_where_nobody_listens() {
    let mut bench = Bench::new();
    // These hear something, but nothing of the kind.
    listen(
        &mut bench,
        "/topic/>,/queue/ActiveMQ.>,/topic/ActiveMQ.Other.>",
    );
    assert!(!bench.dispatcher.is_advised());
    bench.open(2);
    bench.subscribe(2, 0, "/queue/a,/topic/b", AckMode::Auto, 1);
    bench.send(2, "/queue/a,/topic/b", draft("a"));
    bench.lose(2, 0);
    bench.rest();
    assert_eq!(advisory_topics(&bench), 0);
    // Whoever listens to one thing has only that made.
    listen(&mut bench, "/topic/ActiveMQ.Advisory.Connection");
    bench.open(2);
    bench.subscribe(2, 0, "/queue/c", AckMode::Auto, 1);
    bench.rest();
    assert_eq!(advisory_topics(&bench), 1);
    bench.lose(1, 0);
    assert!(!bench.dispatcher.is_advised(), "the listener has gone");
}

#[test]
fn consumers_and_producers_are_told_with_their_counts() {
    let mut bench = Bench::new();
    listen(&mut bench, ALL);
    let headers = [
        "event",
        "consumerCount",
        "producerCount",
        "originalDestination",
    ];
    for connection in [2, 3] {
        bench.open(connection);
        bench.subscribe(connection, 0, "/queue/q,/topic/t", AckMode::Auto, 1);
        bench.send(connection, "/queue/q", draft("a"));
        bench.send(connection, "/queue/q", draft("b"));
    }
    bench.turn();
    assert_eq!(
        told(&mut bench, &headers),
        [
            "1<Connection start",
            "1<Queue start queue://q",
            "1<Topic start topic://t",
            "1<Consumer.Queue.q start 1 queue://q",
            "1<Consumer.Topic.t start 1 topic://t",
            "1<Producer.Queue.q start 1 queue://q",
            "1<Connection start",
            "1<Consumer.Queue.q start 2 queue://q",
            "1<Consumer.Topic.t start 2 topic://t",
            "1<Producer.Queue.q start 2 queue://q",
        ]
    );
    bench.lose(3, 0);
    bench.turn();
    assert_eq!(
        told(&mut bench, &headers),
        [
            "1<Consumer.Queue.q stop 1 queue://q",
            "1<Consumer.Topic.t stop 1 topic://t",
            "1<Producer.Queue.q stop 1 queue://q",
            "1<Connection stop",
        ]
    );
}

#[test]
fn a_pattern_is_told_of_each_queue_that_it_takes_from() {
    let mut bench = Bench::new();
    bench.open(2);
    bench.send(2, "/queue/a.x", draft("a"));
    listen(&mut bench, "/topic/ActiveMQ.Advisory.Consumer.>");
    bench.subscribe(2, 0, "/queue/a.>", AckMode::Auto, 1);
    bench.send(2, "/queue/a.y", draft("b"));
    bench.turn();
    let headers = ["event", "consumerCount"];
    assert_eq!(
        told(&mut bench, &headers),
        [
            "1<Consumer.Queue.a.x start 1",
            "1<Consumer.Queue.a.y start 1"
        ]
    );
}

#[test]
fn a_producer_is_counted_up_to_a_limit_and_in_transactions_too() {
    let mut bench = Bench::new();
    bench.open(2);
    let committed = bench.publication("/queue/committed", &draft("a"));
    bench.ask(
        2,
        Request::Commit {
            transaction: TransactionHandle(1),
            sends: vec![committed],
            receipt: None,
        },
    );
    let produced = |bench: &Bench, text: &str| bench.dispatcher.producers.of(&name(text));
    assert_eq!(produced(&bench, "/queue/committed"), 1);
    let limit = super::super::producer::PRODUCED_MAX;
    for number in 0..limit {
        let to = format!("/topic/t{number}");
        bench.send(2, &to, draft("a"));
    }
    assert_eq!(produced(&bench, &format!("/topic/t{}", limit - 2)), 1);
    assert_eq!(produced(&bench, &format!("/topic/t{}", limit - 1)), 0);
    assert_eq!(bench.dispatcher.producers.total(), limit as u64);
    bench.lose(2, 0);
    assert_eq!(bench.dispatcher.producers.total(), 0);
}

#[test]
fn a_refused_connection_is_neither_told_to_come_nor_to_go() {
    let mut bench = Bench::new();
    bench.open_as(2, Version::V1_2, Some("c"));
    listen(
        &mut bench,
        "/topic/ActiveMQ.Advisory.Connection,/topic/nobody",
    );
    bench.open_as(3, Version::V1_2, Some("c"));
    bench.lose(3, 0);
    bench.lose(2, 0);
    bench.turn();
    assert_eq!(
        told(&mut bench, &["event", "clientId"]),
        ["1<Connection stop c"]
    );
}

#[test]
fn a_slow_listener_loses_the_oldest_and_holds_nobody_back() {
    let mut bench = Bench::policy("pending_messages", "2");
    bench.open(1);
    bench.subscribe(1, 0, ALL, AckMode::Client, 1);
    bench.turn();
    for connection in 2..=9 {
        bench.open(connection);
    }
    bench.turn();
    assert!(bench.heard().iter().all(|line| !line.contains("block")));
    let dropped = bench.dispatcher.counters.dropped;
    assert_eq!(dropped, 5, "of 8: one is out and two wait");
    assert_eq!(bench.dispatcher.subscriptions[0].discarded, 5);
    // That it is slow is not told on these topics: it would be more of the same.
    assert_eq!(advisory_topics(&bench), 1);
}

#[test]
fn an_advisory_does_not_push_out_what_another_topic_keeps() {
    let mut bench = Bench::policy("pending_messages", "2");
    bench.open(1);
    bench.subscribe(1, 0, &format!("{ALL},/topic/t"), AckMode::Client, 1);
    bench.open(2);
    bench.turn();
    bench.heard();
    for text in ["a", "b", "c"] {
        bench.send(2, "/topic/t", draft(text));
    }
    bench.turn();
    let waiting: Vec<_> = {
        let subscription = &bench.dispatcher.subscriptions[0];
        let topics = subscription
            .pending
            .fresh
            .iter()
            .map(|(_, topic, _)| *topic);
        topics
            .map(|topic| bench.dispatcher.topics[topic.0].name.wire().to_owned())
            .collect()
    };
    let kept = waiting.iter().filter(|topic| *topic == "/topic/t").count();
    assert_eq!(kept, 3, "{waiting:?}");
}

#[test]
fn advisory_topics_are_a_part_of_all_destinations_and_no_more() {
    let mut bench = Bench::new();
    bench.dispatcher.settings.limits.destinations = 30;
    listen(&mut bench, ALL);
    for number in 0..20 {
        bench.send(1, &format!("/queue/q{number}"), draft("a"));
    }
    bench.turn();
    assert_eq!(advisory_topics(&bench), 3, "a tenth of 30");
    assert!(bench.dispatcher.counters.dropped > 0, "counted");
}

#[test]
fn nothing_is_told_about_temporary_destinations_beyond_their_coming_and_going() {
    let mut bench = Bench::new();
    listen(&mut bench, ALL);
    bench.open(2);
    let own = name("/remote-temp-queue/8f");
    bench.ask(2, Request::MakeTemporary(own));
    bench.subscribe(2, 0, "/remote-temp-queue/8f", AckMode::Auto, 1);
    bench.send(2, "/remote-temp-queue/8f", draft("a"));
    bench.lose(2, 0);
    bench.turn();
    assert_eq!(
        told(&mut bench, &["event", "originalDestination"]),
        [
            "1<Connection start",
            "1<TempQueue start temp-queue://8f",
            "1<TempQueue stop temp-queue://8f",
            "1<Connection stop",
        ]
    );
}

#[test]
fn a_durable_subscriber_counts_as_a_consumer_of_its_topic_and_cannot_keep_advisories() {
    let mut bench = Bench::new();
    listen(&mut bench, ALL);
    bench.open_as(2, Version::V1_2, Some("c"));
    let durable = |wish: &mut Subscribing| wish.lasting = Some(Lasting::Durable("d".into()));
    bench.subscribe_with(2, 0, "/topic/t", AckMode::Client, 1, durable);
    bench.subscribe(2, 1, "/topic/t", AckMode::Auto, 1);
    bench.rest();
    bench.lose(2, 0);
    bench.rest();
    let consumers = told(&mut bench, &["event", "consumerCount"]);
    let consumers = consumers.iter().filter(|line| line.contains("Consumer"));
    assert_eq!(
        consumers.collect::<Vec<_>>(),
        [
            "1<Consumer.Topic.t start 1",
            "1<Consumer.Topic.t start 2",
            "1<Consumer.Topic.t stop 1",
            "1<Consumer.Topic.t stop 0",
        ]
    );
    // The durable one, though away, is somebody; of a topic that has none nobody hears.
    for to in ["/topic/t", "/topic/u"] {
        bench.send(1, to, draft("a"));
    }
    bench.rest();
    let unheard = told(&mut bench, &[]);
    let unheard = unheard.iter().filter(|line| line.contains("NoConsumer"));
    assert_eq!(unheard.collect::<Vec<_>>(), ["1<NoConsumer.Topic.u"]);
    bench.open_as(3, Version::V1_2, Some("e"));
    let to = "/topic/ActiveMQ.Advisory.Queue";
    bench.subscribe_with(3, 0, to, AckMode::Client, 1, durable);
    bench.turn();
    assert!(
        bench
            .heard()
            .contains(&"3<refused: advisories are not kept".to_owned())
    );
}

#[test]
fn what_a_full_disk_refuses_is_told() {
    let mut bench = Bench::new();
    listen(&mut bench, "/topic/ActiveMQ.Advisory.FULL.>");
    bench.open(2);
    bench.send(2, "/queue/q", draft("a"));
    bench.rest();
    bench.disk.fill(stompbox_store::Medium::Database);
    // The first one is refused by the disk, those behind it at once.
    for connection in [2, 3] {
        bench.open(connection);
        bench.send(connection, "/queue/q", draft("b"));
        bench.rest();
    }
    let headers = ["usageName", "originalDestination"];
    assert_eq!(
        told(&mut bench, &headers),
        ["1<FULL.Queue.q disk queue://q"]
    );
}

#[test]
fn whoever_hears_a_topic_is_counted_once() {
    let mut bench = Bench::new();
    bench.open(1);
    for (number, to) in [
        "/topic/t",
        "/topic/*",
        "/topic/t,/topic/>",
        "/topic/*,/topic/>",
        "/topic/u,/topic/v.>",
    ]
    .iter()
    .enumerate()
    {
        bench.subscribe(1, number as u32, to, AckMode::Auto, 1);
    }
    bench.send(1, "/topic/t", draft("a"));
    let dispatcher = &bench.dispatcher;
    let place = dispatcher.names[&*name("/topic/t")];
    let Place::Topic(topic) = place else {
        panic!("a topic");
    };
    assert_eq!(dispatcher.consumer_count(place), 4);
    assert_eq!(dispatcher.audience_of(topic).len(), 4);
}

#[test]
fn listeners_that_do_not_read_hold_a_part_of_the_memory_and_no_more() {
    let limit = 1 << 20;
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), limit);
    listen(&mut bench, ALL);
    for connection in 2..5_000 {
        bench.open(connection);
        bench.turn();
    }
    let used = bench.budget.used_bytes();
    assert!(used > limit / 10 && used < limit / 4, "{used}");
    assert!(bench.dispatcher.counters.dropped > 1_000);
    // It is given back when they have read.
    bench.heard();
    bench.lose(1, 0);
    bench.turn();
    assert!(bench.budget.used_bytes() < limit / 100);
}
