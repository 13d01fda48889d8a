//! Messages for many queues at once: what one turn makes, who waits, and that others do not.

use super::*;
use crate::core::port::Lasting;
use crate::core::selector::Selector;

const TOPIC: &str = "/topic/VirtualTopic.t";
const QUEUES: usize = 1_000;

/// Connections 1 to 3, and so many queues that the topic feeds.
fn fed(memory_bytes: usize) -> Bench {
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), memory_bytes);
    for connection in 1..=3 {
        bench.open(connection);
    }
    for number in 0..QUEUES {
        let queue = format!("/queue/Consumer.{number}.VirtualTopic.t");
        bench.subscribe(3, number as u32, &queue, AckMode::ClientIndividual, 1);
    }
    bench.rest();
    bench.heard();
    bench
}

/// Those who wait for the next turn get one.
fn come_to_rest(bench: &mut Bench) {
    bench.rest();
    while bench
        .dispatcher
        .next_wake(bench.now)
        .is_some_and(|wake| wake <= bench.now.uptime)
    {
        bench.rest();
    }
}

fn queued(bench: &Bench) -> u64 {
    bench.view("Consumer.7.VirtualTopic.t").depth
}

#[test]
fn one_turn_makes_a_bounded_number_of_copies_and_the_next_ones_the_rest() {
    let mut bench = fed(1 << 30);
    for _ in 0..12 {
        bench.send(1, TOPIC, draft("a").non_persistent().receipt("r"));
    }
    bench.turn();
    assert_eq!(queued(&bench), 5, "999 copies each, of 4,096");
    come_to_rest(&mut bench);
    assert_eq!(queued(&bench), 12);
    let heard = bench.heard();
    let receipts = heard.iter().filter(|reply| **reply == "1<receipt r");
    assert_eq!(receipts.count(), 12);
}

#[test]
fn what_others_send_does_not_wait_behind_it() {
    let mut bench = fed(1 << 30);
    for _ in 0..12 {
        bench.send(1, TOPIC, draft("a"));
    }
    bench.send(2, "/queue/other", draft("b"));
    bench.turn();
    assert_eq!(bench.view("other").depth, 1);
    assert_eq!(queued(&bench), 5);
}

#[test]
fn a_connection_keeps_its_order_behind_what_waits() {
    let mut bench = fed(1 << 30);
    for text in ["a", "b", "c", "d", "e", "f"] {
        bench.send(1, TOPIC, draft(text));
    }
    bench.send(1, "/queue/other", draft("g").receipt("after"));
    bench.ask(
        1,
        Request::Closed {
            ending: Ending::Stop,
            written: DeliveryCounter(u64::MAX),
        },
    );
    bench.turn();
    assert!(
        !bench
            .dispatcher
            .names
            .keys()
            .any(|name| name.name() == "other")
    );
    come_to_rest(&mut bench);
    assert_eq!(queued(&bench), 6);
    assert_eq!(bench.view("other").depth, 1);
    assert!(!bench.dispatcher.connections.contains_key(&ConnectionId(1)));
}

#[test]
fn copies_are_charged_and_given_back_with_their_message() {
    let mut bench = fed(1 << 30);
    let before = bench.budget.used_bytes();
    bench.send(1, TOPIC, draft("a").non_persistent());
    bench.turn();
    let charged = bench.budget.used_bytes() - before;
    assert!(
        charged > QUEUES * size_of::<crate::core::dispatcher::entry::Entry>(),
        "{charged}"
    );
    for number in 0..QUEUES {
        let tag = bench.tags[bench.tags.len() - QUEUES + number].2;
        bench.ask(
            3,
            Request::Acknowledge {
                target: AckTarget::Delivery(tag),
                verdict: Verdict::Ack,
                transaction: None,
                receipt: None,
            },
        );
    }
    bench.rest();
    bench.heard();
    bench.rest();
    assert!(bench.budget.used_bytes() - before < 70_000);
}

#[test]
fn copies_wait_for_memory_that_an_acknowledgement_behind_them_frees() {
    let mut bench = fed(2 << 20);
    bench.limit_disk(1);
    for _ in 0..40 {
        bench.send(3, TOPIC, draft("a").non_persistent());
    }
    bench.rest();
    let stuck = queued(&bench);
    assert!((5..40).contains(&stuck), "{stuck}");
    assert!(bench.budget.used_bytes() < 4 << 20);
    // Everything is on one connection; what it acknowledges overtakes what it sends.
    let mut acknowledged = 0;
    for _ in 0..100 {
        let tags: Vec<_> = bench.tags.drain(..).collect();
        acknowledged += tags.len();
        for (.., tag) in tags {
            bench.ask(
                3,
                Request::Acknowledge {
                    target: AckTarget::Delivery(tag),
                    verdict: Verdict::Ack,
                    transaction: None,
                    receipt: None,
                },
            );
        }
        bench.heard();
        come_to_rest(&mut bench);
    }
    assert_eq!(acknowledged, 40 * QUEUES);
}

#[test]
fn a_commit_that_would_make_too_many_copies_is_refused() {
    let mut bench = fed(1 << 30);
    let sends = (0..101).map(|_| bench.publication(TOPIC, &draft("a")));
    let sends: Vec<_> = sends.collect();
    bench.ask(
        1,
        Request::Commit {
            transaction: TransactionHandle(1),
            sends,
            receipt: Some(ReceiptId(b"c"[..].into())),
        },
    );
    bench.rest();
    let heard = bench.heard();
    assert!(
        heard
            .iter()
            .any(|reply| reply.contains("transaction is too large")),
        "{:?}",
        heard.first()
    );
    assert_eq!(queued(&bench), 0);
}

#[test]
fn a_virtual_topic_feeds_no_more_queues_than_it_may() {
    let mut bench = fed(1 << 30);
    bench.dispatcher.settings.limits.virtual_queues = QUEUES;
    bench.send(
        1,
        "/queue/Consumer.0.VirtualTopic.t",
        draft("there").receipt("r"),
    );
    bench.send(2, "/queue/Consumer.more.VirtualTopic.t", draft("one more"));
    bench.rest();
    let heard = bench.heard();
    assert!(
        heard.iter().any(|reply| reply == "1<receipt r"),
        "{:?}",
        heard.first()
    );
    assert!(
        heard
            .iter()
            .any(|reply| reply.starts_with("2<") && reply.contains("too many queues")),
        "{:?}",
        heard.first()
    );
}

/// Of so many requests of connection 1 that are much work one turn does some, and what connection 2 sends behind them.
fn assert_spread(
    bench: &mut Bench,
    count: usize,
    done: impl Fn(&Bench) -> usize,
    mut ask: impl FnMut(&mut Bench, u32),
) {
    come_to_rest(bench);
    bench.send(2, "/queue/other", draft("a").non_persistent());
    come_to_rest(bench);
    let before = done(bench);
    for number in 0..count {
        ask(bench, number as u32);
    }
    bench.send(2, "/queue/other", draft("b").non_persistent());
    bench.turn();
    assert_eq!(bench.view("other").depth, 2);
    let first = done(bench) - before;
    assert!((1..count / 2).contains(&first), "{first} of {count}");
    come_to_rest(bench);
    assert_eq!(done(bench) - before, count);
}

fn published(bench: &Bench) -> usize {
    // Without what connection 2 sends.
    (bench.dispatcher.counters.enqueued - bench.view("other").depth) as usize
}

fn with_open(connections: u64) -> Bench {
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), 1 << 30);
    for connection in 1..=connections {
        bench.open(connection);
    }
    bench
}

#[test]
fn a_subscribe_that_goes_through_many_names_waits_for_its_turn() {
    const SUBSCRIBES: usize = 300;
    let mut bench = with_open(3);
    for number in 0..4_000 {
        let queue = format!("/queue/many.{number}");
        bench.subscribe(3, number, &queue, AckMode::Auto, 1);
    }
    let done = |bench: &Bench| bench.dispatcher.subscriptions.len();
    assert_spread(&mut bench, SUBSCRIBES, done, |bench, number| {
        bench.subscribe(1, number, "/queue/*.none", AckMode::Auto, 1);
    });
}

#[test]
fn a_send_to_many_shared_subscriptions_waits_for_its_turn() {
    const SENDS: usize = 60;
    for lasting in [Lasting::Shared, Lasting::SharedDurable] {
        let mut bench = with_open(3);
        for number in 0..1_000 {
            let name = number.to_string().into();
            bench.subscribe_with(3, number, "/topic/t", AckMode::Client, 1, |wish| {
                wish.lasting = Some(lasting(name));
            });
        }
        assert_spread(&mut bench, SENDS, published, |bench, _| {
            bench.send(1, "/topic/t", draft("a").non_persistent());
        });
    }
}

#[test]
fn a_send_to_topics_that_many_patterns_may_match_waits_for_its_turn() {
    const SENDS: usize = 400;
    let mut bench = with_open(3);
    for number in 0..2_000_u32 {
        // Eleven segments, of which the bits of a number say whether they are wildcards.
        let segments = (0..11).map(|bit| if number >> bit & 1 == 1 { "*" } else { "a" });
        let pattern = format!("/topic/{}.z", segments.collect::<Vec<_>>().join("."));
        bench.subscribe(3, number, &pattern, AckMode::Auto, 1);
    }
    let prefix = ["a"; 11].join(".");
    assert_spread(&mut bench, SENDS, published, |bench, number| {
        let topic = format!("/topic/{prefix}.{number}");
        bench.send(1, &topic, draft("a").non_persistent());
    });
}

#[test]
fn a_send_to_topics_that_many_durable_patterns_may_match_waits_for_its_turn() {
    const SENDS: usize = 400;
    let mut bench = with_open(3);
    for number in 0..1_000_u32 {
        let segments = (0..10).map(|bit| if number >> bit & 1 == 1 { "*" } else { "a" });
        let pattern = format!("/topic/{}.z", segments.collect::<Vec<_>>().join("."));
        bench.subscribe_with(3, number, &pattern, AckMode::Client, 1, |wish| {
            wish.lasting = Some(Lasting::SharedDurable(number.to_string().into()));
        });
    }
    let topic = format!("/topic/{}.y", ["a"; 10].join("."));
    assert_spread(&mut bench, SENDS, published, |bench, _| {
        bench.send(1, &topic, draft("a").non_persistent());
    });
}

#[test]
fn a_send_that_many_selectors_are_asked_about_waits_for_its_turn() {
    const SENDS: usize = 40;
    let mut bench = with_open(3);
    let selector = Selector::parse("a LIKE '%x%y'").expect("a selector");
    for number in 0..1_000 {
        let selector = selector.clone().map(Arc::new);
        bench.subscribe_with(3, number, "/topic/t", AckMode::Auto, 1, |wish| {
            wish.selector = selector;
        });
    }
    // Who hears it is known.
    bench.send(2, "/topic/t", draft("a").non_persistent());
    let head: &str = format!("a:{}\n", "z".repeat(8_000)).leak();
    assert_spread(&mut bench, SENDS, published, |bench, _| {
        bench.send(1, "/topic/t", draft("a").non_persistent().head(head));
    });
}
