//! Composite destinations, patterns, virtual topics, temporary destinations.

use super::*;

fn opened(mut bench: Bench) -> Bench {
    for connection in [1, 2, 3, 9] {
        bench.open(connection);
    }
    bench
}

/// Deliveries since the last time, with where they came from.
fn from(bench: &mut Bench) -> Vec<String> {
    let heard = std::mem::take(&mut bench.heard);
    let mut seen = Vec::new();
    for (connection, reply) in heard {
        if let Reply::Deliver(delivery) = reply {
            let from = delivery
                .destination
                .as_ref()
                .map_or("-", |name| name.wire());
            seen.push(format!("{}<{} {from}", connection.0, text_of(&delivery)));
        }
    }
    seen
}

fn consume(bench: &mut Bench, connection: u64, subscription: u32, to: &str) {
    bench.subscribe(connection, subscription, to, AckMode::ClientIndividual, 100);
    bench.rest();
}

#[test]
fn what_is_declared_is_there_from_the_start_and_nothing_else_where_use_makes_nothing() {
    let mut bench = opened(Bench::configured(
        Window::default(),
        "[policy]\nauto_create = false\n\
         [[destination]]\nmatch = 'orders'\nkind = 'queue'\n\
         [[destination]]\nmatch = 'prices'\nkind = 'topic'\n\
         [[destination]]\nmatch = 'only.policy'\nmax_messages = 1\n\
         [[destination]]\nmatch = 'free.>'\nauto_create = true\n",
    ));
    bench.rest();
    assert_eq!(bench.view("orders").depth, 0);
    assert_eq!(bench.dispatcher.overview().topics, 1);
    bench.send(9, "/queue/orders", draft("a"));
    bench.send(9, "/topic/prices", draft("b"));
    bench.send(9, "/queue/free.a", draft("c"));
    // Patterns and temporary destinations make nothing that stays.
    bench.subscribe(9, 0, "/queue/>", AckMode::ClientIndividual, 10);
    bench.ask(9, Request::MakeTemporary(name("/remote-temp-queue/x")));
    bench.send(9, "/remote-temp-queue/x", draft("d"));
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["9<a#1", "9<c#1"]);
    // A dead letter finds its queue, whoever makes it.
    let forbidden = Verdict::Nack {
        delay: None,
        requeue: crate::core::port::Requeue::Forbidden,
    };
    bench.acknowledge(9, "a", forbidden, None);
    bench.rest();
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 1);
    let refused = |connection: u64| [format!("{connection}<refused: unknown destination")];
    bench.send(1, "/queue/free.b,/queue/only.policy", draft("e"));
    bench.rest();
    assert_eq!(bench.heard(), refused(1));
    bench.subscribe(2, 0, "/topic/ActiveMQ.Advisory.Queue", AckMode::Auto, 10);
    bench.rest();
    assert_eq!(bench.heard(), [""; 0], "the broker's own");
    bench.subscribe(2, 1, "/topic/orders", AckMode::Auto, 10);
    bench.rest();
    assert_eq!(bench.heard(), refused(2));
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends: ["/queue/free.b", "/queue/other"]
            .map(|to| bench.publication(to, &draft("f")))
            .into(),
        receipt: None,
    };
    bench.ask(3, commit);
    bench.rest();
    assert_eq!(bench.heard(), refused(3));
    let queues = bench.dispatcher.list_queues(&ListQuery::default());
    let names: Vec<_> = queues
        .items
        .iter()
        .map(|queue| queue.name.as_str())
        .collect();
    assert_eq!(names, ["ActiveMQ.DLQ", "free.a", "orders", "x"]);
}

#[test]
fn a_send_to_several_destinations_is_one_message_in_each() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 0, "/topic/t");
    bench.send(9, "/queue/a,/topic/t,/queue/b", draft("a").receipt("r"));
    bench.turn();
    assert!(
        !bench.heard().contains(&"9<receipt r".to_owned()),
        "not durable yet"
    );
    bench.rest();
    assert_eq!(bench.heard(), ["9<receipt r"]);
    assert_eq!((bench.view("a").depth, bench.view("b").depth), (1, 1));
    let first = bench.number_of("a");
    consume(&mut bench, 2, 0, "/queue/a");
    assert_eq!(bench.number_of("a"), first);
    consume(&mut bench, 2, 1, "/queue/b");
    assert_eq!(bench.number_of("a"), first);
    let stored: u64 = bench.disk.tallies().iter().map(|tally| tally.count).sum();
    assert_eq!(stored, 2);
}

#[test]
fn a_send_to_several_destinations_is_refused_for_all_when_it_is_for_one() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 0, "/topic/t");
    bench.heard();
    bench.disk.fill(stompbox_store::Medium::Database);
    bench.send(9, "/queue/a,/queue/b", draft("a"));
    bench.rest();
    assert_eq!(bench.heard(), ["9<refused: disk is full"]);
    assert_eq!((bench.view("a").depth, bench.view("b").depth), (0, 0));
}

#[test]
fn a_pattern_takes_from_what_is_there_and_from_what_comes() {
    let mut bench = opened(Bench::new());
    for text in ["/queue/a.x", "/queue/b.x"] {
        bench.send(9, text, draft("a"));
    }
    consume(&mut bench, 1, 0, "/queue/a.>");
    assert_eq!(from(&mut bench), ["1<a /queue/a.x"]);
    for (to, text) in [
        ("/queue/a.y.z", "b"),
        ("/queue/a", "c"),
        ("/queue/ab", "d"),
        ("/topic/a.x", "e"),
    ] {
        bench.send(9, to, draft(text));
        bench.rest();
    }
    assert_eq!(from(&mut bench), ["1<b /queue/a.y.z", "1<c /queue/a"]);
    // One credit for all of them.
    bench.subscribe(2, 0, "/queue/c.*,/topic/u.>", AckMode::ClientIndividual, 2);
    bench.rest();
    for (to, text) in [
        ("/queue/c.1", "f"),
        ("/topic/u", "g"),
        ("/queue/c.2", "h"),
        ("/topic/u.v", "i"),
    ] {
        bench.send(9, to, draft(text));
        bench.rest();
    }
    assert_eq!(from(&mut bench), ["2<f /queue/c.1", "2<g /topic/u"]);
    for text in ["f", "g"] {
        bench.ack(2, text);
    }
    bench.rest();
    let mut rest = from(&mut bench);
    rest.sort();
    assert_eq!(rest, ["2<h /queue/c.2", "2<i /topic/u.v"]);
}

#[test]
fn a_subscription_that_matches_twice_gets_one_copy() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 0, "/topic/a,/topic/*,/topic/>");
    consume(&mut bench, 1, 1, "/queue/a,/queue/*");
    bench.send(9, "/topic/a", draft("a"));
    bench.send(9, "/queue/a", draft("b"));
    bench.rest();
    assert_eq!(from(&mut bench), ["1<a /topic/a", "1<b /queue/a"]);
}

#[test]
fn what_a_pattern_held_returns_when_its_subscription_ends() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 0, "/queue/>");
    bench.send(9, "/queue/a", draft("a"));
    bench.send(9, "/queue/b", draft("b"));
    bench.rest();
    bench.lose(1, 2);
    bench.rest();
    bench.heard();
    assert_eq!(
        (bench.view("a").in_flight, bench.view("b").in_flight),
        (0, 0)
    );
    consume(&mut bench, 2, 0, "/queue/b");
    assert_eq!(bench.heard(), ["2<b#2"]);
    bench.send(9, "/queue/c", draft("c"));
    bench.rest();
    assert_eq!(bench.view("c").consumers, 0);
}

#[test]
fn a_virtual_topic_fills_the_queues_of_its_consumers_from_their_making_on() {
    let mut bench = opened(Bench::new());
    bench.send(9, "/topic/VirtualTopic.X", draft("a"));
    consume(&mut bench, 1, 0, "/queue/Consumer.A.VirtualTopic.X");
    consume(&mut bench, 2, 0, "/queue/Consumer.A.VirtualTopic.X");
    bench.send(9, "/queue/Consumer.B.VirtualTopic.X", draft("b"));
    consume(&mut bench, 3, 0, "/topic/VirtualTopic.X");
    bench.send(9, "/topic/VirtualTopic.X", draft("c").receipt("r"));
    bench.send(9, "/topic/VirtualTopic.X", draft("d"));
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<c#1", "2<d#1", "3<c#1", "3<d#1", "9<receipt r"]);
    assert_eq!(bench.view("Consumer.B.VirtualTopic.X").depth, 3);
}

#[test]
fn nobody_hears_itself_who_does_not_want_to() {
    let mut bench = opened(Bench::new());
    for (connection, locality) in [(1, Locality::NoLocal), (2, Locality::All)] {
        bench.subscribe_with(connection, 0, "/topic/t", AckMode::Auto, 100, |wish| {
            wish.locality = locality;
        });
    }
    bench.send(1, "/topic/t", draft("a"));
    bench.send(2, "/topic/t", draft("b"));
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<b#1", "2<a#1", "2<b#1"]);
}

const ANSWERS: &str = "/remote-temp-queue/secret";

fn with_a_temporary_queue() -> Bench {
    let mut bench = opened(Bench::paging(1, 2));
    bench.ask(1, Request::MakeTemporary(name(ANSWERS)));
    bench
}

#[test]
fn a_temporary_queue_belongs_to_its_connection_and_goes_with_it() {
    let mut bench = with_a_temporary_queue();
    bench.subscribe(2, 0, ANSWERS, AckMode::Auto, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["2<refused: not your temporary destination"]);
    bench.send(3, ANSWERS, draft("a").receipt("r"));
    bench.rest();
    assert_eq!(bench.heard(), ["3<receipt r"]);
    assert!(bench.disk.tallies().is_empty(), "never stored");
    bench.subscribe(1, 0, ANSWERS, AckMode::ClientIndividual, 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.send(3, ANSWERS, draft("b"));
    bench.lose(1, 2);
    bench.rest();
    bench.heard();
    bench.send(3, ANSWERS, draft("c").receipt("gone"));
    bench.rest();
    assert_eq!(bench.heard(), ["3<unrouted gone"]);
    assert_eq!(bench.dispatcher.overview().queues, 0);
    assert_eq!(bench.budget.used_bytes(), 0, "what was in it is gone");
}

#[test]
fn a_name_that_another_queue_takes_over_is_not_confused_with_the_one_that_has_gone() {
    let mut bench = with_a_temporary_queue();
    for text in ["a", "b", "c"] {
        bench.send(3, ANSWERS, draft(text));
    }
    bench.subscribe(1, 0, ANSWERS, AckMode::ClientIndividual, 1);
    bench.turn();
    let later = Verdict::Nack {
        delay: Some(Duration::from_secs(1)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(1, "a", later, None);
    bench.turn();
    bench.lose(1, 3);
    bench.send(3, "/queue/q", draft("d"));
    bench.rest();
    bench.pass(2_000);
    bench.rest();
    consume(&mut bench, 2, 0, "/queue/q");
    let heard = bench.heard();
    assert_eq!(heard.last().map(String::as_str), Some("2<d#1"), "{heard:?}");
    assert_eq!(bench.view("q").depth, 1);
}

#[test]
fn patterns_do_not_see_temporary_destinations() {
    let mut bench = with_a_temporary_queue();
    consume(&mut bench, 2, 0, "/queue/>");
    bench.send(3, ANSWERS, draft("a"));
    bench.rest();
    assert!(bench.heard().is_empty());
}

#[test]
fn a_topic_is_listed_with_those_that_hear_it_also_when_one_has_just_gone() {
    let mut bench = opened(Bench::new());
    let topic = |bench: &Bench| {
        let listed = bench.dispatcher.list_topics(&ListQuery::default());
        let view = listed.items.first().expect("a topic");
        (view.consumers, view.in_flight)
    };
    consume(&mut bench, 1, 0, "/topic/a");
    consume(&mut bench, 2, 0, "/topic/*");
    assert_eq!(topic(&bench), (2, 0), "before anything was published");
    bench.send(9, "/topic/a", draft("a"));
    bench.rest();
    assert_eq!(topic(&bench), (2, 2));
    bench.lose(1, 1);
    assert_eq!(topic(&bench), (1, 1));
    bench.lose(2, 1);
    assert_eq!(topic(&bench), (0, 0));
}

#[test]
fn a_hand_over_acknowledges_what_it_handed_over_also_when_queues_join_later() {
    let mut bench = opened(Bench::new());
    bench.subscribe(1, 0, "/topic/t,/queue/a.>", AckMode::Auto, 2);
    bench.send(9, "/topic/t", draft("a"));
    bench.rest();
    bench.send(9, "/queue/a.b", draft("b"));
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1"]);
    bench.written(1, 0, 1);
    bench.send(9, "/queue/a.b", draft("c"));
    bench.send(9, "/queue/a.b", draft("d"));
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#1"], "one credit is back");
    assert_eq!(bench.view("a.b").depth, 3, "only 'a' was handed over");
    bench.written(1, 0, 2);
    bench.rest();
    bench.written(1, 0, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["1<d#1"]);
    let connections = bench.dispatcher.list_connections(&ListQuery::default());
    let first = connections.items.first().expect("a connection");
    assert_eq!((bench.view("a.b").depth, first.in_flight), (0, 0));
}

#[test]
fn copies_of_a_message_from_several_topics_of_a_subscription_all_return() {
    for delay in [0, 500] {
        let mut bench = Bench::new();
        bench.open(1);
        bench.subscribe(1, 0, "/topic/a,/topic/b", AckMode::ClientIndividual, 4);
        bench.send(1, "/topic/a,/topic/b", draft("a"));
        bench.rest();
        assert_eq!(bench.heard(), ["1<a#1", "1<a#1"]);
        let tags: Vec<DeliveryTag> = bench.tags.iter().map(|(.., tag)| *tag).collect();
        for tag in tags {
            let request = Request::Acknowledge {
                target: AckTarget::Delivery(tag),
                verdict: Verdict::Nack {
                    delay: Some(Duration::from_millis(delay)),
                    requeue: crate::core::port::Requeue::Allowed,
                },
                transaction: None,
                receipt: None,
            };
            bench.ask(1, request);
        }
        bench.rest();
        bench.pass(delay);
        bench.rest();
        assert_eq!(bench.heard(), ["1<a#2", "1<a#2"], "after {delay} ms");
    }
}
