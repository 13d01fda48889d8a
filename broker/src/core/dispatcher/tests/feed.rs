//! Durable subscriptions to patterns and lists: what any of their topics gets waits for them.

use super::*;
use crate::core::port::{Deletion, Lasting, Requeue};
use crate::core::selector::Selector;
use stompbox_store::Medium;

const PATTERN: &str = "/topic/prices.>";

fn open_as(bench: &mut Bench, connection: u64, client_id: &str) {
    bench.open_as(connection, Version::V1_2, Some(client_id));
}

fn subscribe(bench: &mut Bench, subscription: u32, to: &str, lasting: Lasting) {
    let mode = AckMode::ClientIndividual;
    bench.subscribe_with(1, subscription, to, mode, 100, |wish| {
        wish.lasting = Some(lasting);
    });
}

fn durable(bench: &mut Bench, subscription: u32, to: &str, name: &str) {
    subscribe(bench, subscription, to, Lasting::Durable(name.into()));
}

fn unsubscribe(bench: &mut Bench, subscription: u32) {
    let request = Request::Unsubscribe {
        subscription: Some(SubscriptionHandle(subscription)),
        deletes: None,
        given: DeliveryCounter(u64::MAX),
        receipt: None,
    };
    bench.ask(1, request);
    bench.rest();
}

fn delete(bench: &mut Bench, lasting: Lasting, topic: Option<Arc<DestinationName>>) {
    let request = Request::Unsubscribe {
        subscription: None,
        deletes: Some(Deletion { lasting, topic }),
        given: DeliveryCounter(0),
        receipt: Some(ReceiptId(b"deleted"[..].into())),
    };
    bench.ask(1, request);
    bench.rest();
}

fn send(bench: &mut Bench, to: &str, text: &'static str) {
    bench.send(9, to, draft(text));
    bench.rest();
}

/// Subscriptions of connection 1, client `c`, that have gone, named `n0`, `n1`...; connection 9 sends.
fn asleep(destinations: &[&str]) -> Bench {
    let mut bench = Bench::new();
    begin(&mut bench);
    for (number, to) in destinations.iter().enumerate() {
        durable(&mut bench, number as u32, to, &format!("n{number}"));
        bench.rest();
        unsubscribe(&mut bench, number as u32);
    }
    bench.heard();
    bench
}

fn begin(bench: &mut Bench) {
    bench.open(9);
    open_as(bench, 1, "c");
}

/// What waits for a subscription, and where it was sent to. It stays.
fn wake(bench: &mut Bench, subscription: u32, to: &str, name: &str) -> Vec<String> {
    durable(bench, subscription, to, name);
    bench.rest();
    let from = bench.heard_from();
    bench.heard();
    from
}

fn logged(bench: &Bench) -> u64 {
    let tallies = bench.disk.log_tallies();
    tallies.iter().map(|tally| tally.count).sum()
}

#[test]
fn what_any_matching_topic_gets_waits_also_of_topics_that_come_later() {
    let mut bench = asleep(&[PATTERN]);
    send(&mut bench, "/topic/prices.eu", "a");
    send(&mut bench, "/topic/other", "b");
    send(&mut bench, "/topic/prices", "c");
    bench.restart();
    begin(&mut bench);
    send(&mut bench, "/topic/prices.us.ny", "d");
    send(&mut bench, "/topic/prices.eu", "e");
    let all = [
        "a</topic/prices.eu",
        "c</topic/prices",
        "d</topic/prices.us.ny",
        "e</topic/prices.eu",
    ];
    assert_eq!(wake(&mut bench, 5, PATTERN, "n0"), all);
    // And what comes while it is there.
    send(&mut bench, "/topic/prices.f", "f");
    assert_eq!(bench.heard_from(), ["f</topic/prices.f"]);
    bench.heard();
    for text in ["a", "d", "f", "c"] {
        bench.ack(1, text);
    }
    bench.rest();
    bench.restart();
    begin(&mut bench);
    assert_eq!(wake(&mut bench, 6, PATTERN, "n0"), ["e</topic/prices.eu"]);
    bench.ack(1, "e");
    bench.rest();
    assert_eq!(logged(&bench), 0, "nothing stays that it has done with");
}

#[test]
fn a_list_is_the_same_in_any_order_and_takes_a_copy_for_each_of_its_topics() {
    let mut bench = asleep(&["/topic/x,/topic/y.*"]);
    bench.send(9, "/topic/x,/topic/y.z,/topic/w", draft("a").receipt("ra"));
    bench.rest();
    assert_eq!(bench.heard(), ["9<receipt ra"]);
    let both = ["a</topic/x", "a</topic/y.z"];
    assert_eq!(wake(&mut bench, 5, "/topic/y.*,/topic/x", "n0"), both);
    unsubscribe(&mut bench, 5);
    bench.restart();
    begin(&mut bench);
    assert_eq!(wake(&mut bench, 6, "/topic/x,/topic/y.*", "n0"), both);
}

#[test]
fn a_message_is_once_in_the_log_of_each_pattern_whoever_has_it() {
    let mut bench = asleep(&[PATTERN, PATTERN, "/topic/*.eu", "/topic/prices.eu"]);
    send(&mut bench, "/topic/prices.eu", "a");
    assert_eq!(logged(&bench), 3, "two have the same pattern");
    for (number, to) in [PATTERN, PATTERN, "/topic/*.eu", "/topic/prices.eu"]
        .iter()
        .enumerate()
    {
        let woken = wake(&mut bench, 10 + number as u32, to, &format!("n{number}"));
        assert!(woken[0].starts_with('a'), "{woken:?}");
        assert_eq!(woken.len(), 1);
        bench.ack(1, "a");
        bench.rest();
    }
    assert_eq!(logged(&bench), 0);
}

#[test]
fn receipts_wait_for_the_disk_where_only_a_pattern_keeps_a_message() {
    let mut bench = asleep(&[PATTERN]);
    bench.send(9, "/topic/prices.new", draft("a").receipt("ra"));
    bench.turn();
    assert!(bench.heard().is_empty());
    let commit = Request::Commit {
        transaction: TransactionHandle(7),
        sends: vec![bench.publication("/topic/prices.newer", &draft("b"))],
        receipt: Some(ReceiptId(b"rb"[..].into())),
    };
    bench.ask(9, commit);
    bench.turn();
    assert!(bench.heard().is_empty());
    bench.rest();
    assert_eq!(bench.heard(), ["9<receipt ra", "9<receipt rb"]);
    bench.restart();
    begin(&mut bench);
    assert_eq!(
        wake(&mut bench, 5, PATTERN, "n0"),
        ["a</topic/prices.new", "b</topic/prices.newer"]
    );
}

#[test]
fn deleting_the_last_one_forgets_the_pattern_and_what_waits() {
    let mut bench = asleep(&[PATTERN, PATTERN]);
    bench.dispatcher.settings.limits.durable_patterns = 1;
    send(&mut bench, "/topic/prices.eu", "a");
    open_as(&mut bench, 2, "d");
    bench.subscribe_with(2, 0, "/topic/*", AckMode::Auto, 10, |wish| {
        wish.lasting = Some(Lasting::Durable("other".into()));
    });
    bench.rest();
    assert_eq!(
        bench.heard(),
        ["2<refused: too many patterns of durable subscriptions"]
    );
    for name in ["n0", "n1"] {
        assert_eq!(logged(&bench), 1, "before {name} goes");
        delete(&mut bench, Lasting::Durable(name.into()), None);
        assert_eq!(bench.heard(), ["1<receipt deleted"]);
    }
    assert_eq!(logged(&bench), 0);
    send(&mut bench, "/topic/prices.eu", "b");
    assert_eq!(logged(&bench), 0);
    durable(&mut bench, 6, "/topic/*", "other");
    send(&mut bench, "/topic/c", "c");
    assert_eq!(
        bench.heard(),
        ["1<c#1"],
        "there is room for another pattern"
    );
    bench.restart();
    begin(&mut bench);
    assert!(wake(&mut bench, 7, PATTERN, "n0").is_empty());
}

#[test]
fn rabbitmqs_form_is_named_by_its_pattern_and_deleted_by_it() {
    let mut bench = Bench::new();
    begin(&mut bench);
    let by_id = || Lasting::ById("i".into());
    subscribe(&mut bench, 0, PATTERN, by_id());
    unsubscribe(&mut bench, 0);
    send(&mut bench, "/topic/prices.eu", "a");
    let set = DestinationName::new(DestinationKind::Topic, "prices.>");
    delete(&mut bench, by_id(), Some(Arc::new(set)));
    assert_eq!(bench.heard(), ["1<receipt deleted"]);
    subscribe(&mut bench, 1, PATTERN, by_id());
    bench.rest();
    assert!(bench.heard().is_empty(), "it begins anew");
}

#[test]
fn another_pattern_makes_another_subscription_while_nobody_uses_it() {
    let mut bench = asleep(&[PATTERN]);
    send(&mut bench, "/topic/prices.eu", "a");
    assert!(wake(&mut bench, 5, "/topic/prices.*", "n0").is_empty());
    send(&mut bench, "/topic/prices.eu", "b");
    assert_eq!(bench.heard_from(), ["b</topic/prices.eu"]);
    bench.heard();
    let shared = |bench: &mut Bench, connection, to: &str| {
        bench.subscribe_with(connection, 0, to, AckMode::Auto, 10, |wish| {
            wish.lasting = Some(Lasting::SharedDurable("s".into()));
        });
        bench.rest();
    };
    shared(&mut bench, 9, PATTERN);
    assert!(bench.heard().is_empty());
    bench.open(3);
    shared(&mut bench, 3, "/topic/prices");
    assert_eq!(
        bench.heard(),
        ["3<refused: subscription has another topic or selector"]
    );
}

#[test]
fn consumers_of_a_shared_one_compete() {
    let mut bench = Bench::new();
    for connection in [2, 3, 9] {
        bench.open(connection);
    }
    for connection in [2, 3] {
        let mode = AckMode::ClientIndividual;
        bench.subscribe_with(connection, 0, PATTERN, mode, 1, |wish| {
            wish.lasting = Some(Lasting::SharedDurable("s".into()));
        });
    }
    bench.rest();
    send(&mut bench, "/topic/prices.a", "a");
    send(&mut bench, "/topic/prices.b", "b");
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["2<a#1", "3<b#1"]);
}

#[test]
fn its_selector_sees_the_topic_asleep_and_awake() {
    let mut bench = Bench::new();
    begin(&mut bench);
    let text = "JMSDestination = '/topic/prices.eu'";
    let choosy = |bench: &mut Bench, subscription| {
        let selector = Selector::parse(text).expect("a selector").map(Arc::new);
        let mode = AckMode::ClientIndividual;
        bench.subscribe_with(1, subscription, PATTERN, mode, 10, |wish| {
            wish.lasting = Some(Lasting::Durable("n".into()));
            wish.selector = selector;
            wish.selector_text = Some(text.into());
        });
        bench.rest();
    };
    choosy(&mut bench, 0);
    send(&mut bench, "/topic/prices.us", "a");
    send(&mut bench, "/topic/prices.eu", "b");
    assert_eq!(bench.heard(), ["1<b#1"]);
    bench.ack(1, "b");
    unsubscribe(&mut bench, 0);
    send(&mut bench, "/topic/prices.eu", "c");
    send(&mut bench, "/topic/prices.us", "d");
    bench.restart();
    begin(&mut bench);
    choosy(&mut bench, 1);
    assert_eq!(bench.heard(), ["1<c#2"]);
    bench.ack(1, "c");
    bench.rest();
    assert_eq!(logged(&bench), 0, "what it does not want does not stay");
}

#[test]
fn a_failed_message_becomes_a_dead_letter_of_its_topic() {
    let toml = "[[destination]]\nmatch = \"prices.eu\"\nkind = \"topic\"\ndead_letter_queue = \"DLQ.prices.eu\"\n";
    for restarts in [false, true] {
        let mut bench = Bench::configured(Window::default(), toml);
        begin(&mut bench);
        durable(&mut bench, 0, PATTERN, "n");
        bench.rest();
        if restarts {
            unsubscribe(&mut bench, 0);
            send(&mut bench, "/topic/prices.eu", "a");
            bench.restart();
            begin(&mut bench);
            durable(&mut bench, 1, PATTERN, "n");
            bench.rest();
        } else {
            send(&mut bench, "/topic/prices.eu", "a");
        }
        let refused = Verdict::Nack {
            delay: None,
            requeue: Requeue::Forbidden,
        };
        bench.acknowledge(1, "a", refused, None);
        bench.rest();
        assert_eq!(bench.view("DLQ.prices.eu").depth, 1);
        bench.heard();
        bench.subscribe(9, 0, "/queue/DLQ.prices.eu", AckMode::Auto, 10);
        bench.rest();
        let origin = bench.heard.iter().find_map(|(_, reply)| match reply {
            Reply::Deliver(delivery) => delivery.annotations.clone(),
            _ => None,
        });
        let origin = String::from_utf8_lossy(&origin.expect("a dead letter")).into_owned();
        assert!(
            origin.contains("original-destination:/topic/prices.eu\n"),
            "{origin}"
        );
        assert_eq!(logged(&bench), 0);
    }
}

#[test]
fn a_full_disk_refuses_a_message_for_all_patterns_or_none() {
    let mut bench = asleep(&[PATTERN, "/topic/*.eu", "/topic/prices.eu"]);
    send(&mut bench, "/topic/prices.eu", "a");
    bench.heard();
    bench.disk.fill(Medium::Database);
    bench.send(9, "/topic/prices.eu", draft("b").receipt("rb"));
    bench.send(9, "/topic/prices.new", draft("c").receipt("rc"));
    bench.rest();
    assert!(
        bench
            .heard()
            .contains(&"9<refused: disk is full".to_owned()),
        "its sender is told"
    );
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.open(9);
    bench.send(9, "/topic/prices.new", draft("d").receipt("rd"));
    bench.rest();
    bench.restart();
    begin(&mut bench);
    let found = [
        wake(&mut bench, 5, PATTERN, "n0"),
        wake(&mut bench, 6, "/topic/*.eu", "n1"),
        wake(&mut bench, 7, "/topic/prices.eu", "n2"),
    ];
    assert_eq!(
        found,
        [
            vec!["a</topic/prices.eu", "d</topic/prices.new"],
            vec!["a</topic/prices.eu"],
            vec!["a"],
        ]
    );
}

#[test]
fn what_is_no_topic_or_is_not_kept_is_refused() {
    let shared = || Lasting::Shared("n".into());
    let durable = || Lasting::Durable("n".into());
    for (to, lasting, refusal) in [
        (
            "/queue/a.>",
            durable(),
            "a durable or shared subscription is of topics",
        ),
        (
            "/topic/a,/queue/b",
            durable(),
            "a durable or shared subscription is of topics",
        ),
        (
            "/topic/ActiveMQ.Advisory.>",
            durable(),
            "advisories are not kept",
        ),
        (
            "/topic/a,/topic/ActiveMQ.Advisory.Queue",
            durable(),
            "advisories are not kept",
        ),
        (
            PATTERN,
            shared(),
            "a shared subscription that is not durable is of one topic",
        ),
    ] {
        let mut bench = Bench::new();
        begin(&mut bench);
        subscribe(&mut bench, 0, to, lasting);
        bench.rest();
        assert_eq!(bench.heard(), [format!("1<refused: {refusal}")], "{to}");
        assert_eq!(bench.disk.log_tallies().len(), 0);
    }
}

#[test]
fn a_scheduled_message_and_a_transaction_reach_it_too() {
    let mut bench = asleep(&[PATTERN]);
    let schedule = draft("a").schedule("delay=1000");
    bench.send(9, "/topic/prices.eu", schedule);
    bench.rest();
    assert_eq!(logged(&bench), 0);
    let sends = ["b", "c"].map(|text| bench.publication("/topic/prices.us", &draft(text)));
    bench.ask(
        9,
        Request::Commit {
            transaction: TransactionHandle(1),
            sends: sends.into(),
            receipt: None,
        },
    );
    bench.rest();
    bench.pass(1_500);
    bench.rest();
    assert_eq!(
        wake(&mut bench, 5, PATTERN, "n0"),
        [
            "b</topic/prices.us",
            "c</topic/prices.us",
            "a</topic/prices.eu"
        ]
    );
}

#[test]
fn one_turn_writes_a_bounded_number_of_rows() {
    let patterns: Vec<String> = (0..12)
        .map(|n| format!("/topic/prices.>,/topic/x{n}"))
        .collect();
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let mut bench = asleep(&patterns);
    for _ in 0..500 {
        bench.send(9, "/topic/prices.eu", draft("a"));
    }
    let before = bench.disk.pending_batches();
    bench.turn();
    assert!(bench.disk.pending_batches() > before);
    bench.commit();
    let first = logged(&bench);
    assert!((4_096..4_500).contains(&first), "{first} rows in one turn");
    let is_due = |bench: &Bench| {
        let wake = bench.dispatcher.next_wake(bench.now);
        wake.is_some_and(|wake| wake <= bench.now.uptime)
    };
    bench.rest();
    while is_due(&bench) {
        bench.rest();
    }
    assert_eq!(logged(&bench), 6_000);
}

#[test]
fn the_console_counts_it_for_each_of_its_topics_and_shows_its_pattern() {
    let mut bench = asleep(&[PATTERN]);
    send(&mut bench, "/topic/prices.eu", "a");
    send(&mut bench, "/topic/other", "b");
    let topics = bench.dispatcher.list_topics(&ListQuery::default());
    let found: Vec<_> = topics
        .items
        .iter()
        .map(|view| (view.name.as_str(), view.durable))
        .collect();
    assert_eq!(found, [("other", 0), ("prices.eu", 1)]);
    assert_eq!(topics.total, 2);
    let subscriptions = bench.dispatcher.list_subscriptions(&ListQuery::default());
    let view = &subscriptions.items[0];
    assert_eq!((view.topic.as_str(), view.pending), ("prices.>", 1));
}

#[test]
fn a_long_absence_is_read_page_by_page_in_order() {
    let mut bench = Bench::paging(4, 3);
    begin(&mut bench);
    durable(&mut bench, 0, PATTERN, "n");
    bench.rest();
    unsubscribe(&mut bench, 0);
    let topics = ["/topic/prices.x", "/topic/prices.y", "/topic/prices.z"];
    let texts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for (number, text) in texts.into_iter().enumerate() {
        bench.send(9, topics[number % 3], draft(text));
    }
    bench.rest();
    let expected = texts.iter().enumerate();
    let expected = expected.map(|(number, text)| format!("{text}<{}", topics[number % 3]));
    let expected: Vec<String> = expected.collect();
    assert_eq!(wake(&mut bench, 1, PATTERN, "n"), expected);
}
