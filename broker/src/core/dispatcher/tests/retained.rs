//! The last messages of a topic, and what may wait for one of its subscriptions.

use super::*;
use crate::core::selector::Selector;

const TOPIC: &str = "/topic/a.t";

/// Topics keep two messages; connection 1 sends.
fn bench() -> Bench {
    let mut bench = Bench::policy("retained_messages", "2");
    for connection in [1, 2, 3] {
        bench.open(connection);
    }
    bench
}

fn send_all(bench: &mut Bench, texts: &[&'static str]) {
    for text in texts {
        bench.send(1, TOPIC, draft(text).head("n:1\n"));
    }
    bench.rest();
}

fn subscribe(bench: &mut Bench, to: &str, memory: Memory, wishes: impl FnOnce(&mut Subscribing)) {
    bench.subscribe_with(2, 0, to, AckMode::Auto, 10, |wish| {
        wish.memory = memory;
        wishes(wish);
    });
}

#[test]
fn a_retroactive_subscription_begins_with_the_last_messages() {
    for to in [TOPIC, "/topic/a.*", "/topic/a.>"] {
        let mut bench = bench();
        send_all(&mut bench, &["a", "b", "c"]);
        subscribe(&mut bench, to, Memory::Retroactive, |_| {});
        send_all(&mut bench, &["d"]);
        assert_eq!(bench.heard(), ["2<b#1", "2<c#1", "2<d#1"], "{to}");
    }
}

#[test]
fn a_topic_that_is_named_twice_is_remembered_once() {
    for to in ["/topic/a.t,/topic/a.*", "/topic/a.*,/topic/a.>"] {
        let mut bench = bench();
        send_all(&mut bench, &["a", "b"]);
        subscribe(&mut bench, to, Memory::Retroactive, |_| {});
        bench.rest();
        assert_eq!(bench.heard(), ["2<a#1", "2<b#1"], "{to}");
    }
}

#[test]
fn what_its_own_connection_sent_is_not_remembered_for_one_that_need_not_hear_it() {
    let mut bench = bench();
    send_all(&mut bench, &["a"]);
    bench.send(2, TOPIC, draft("b"));
    bench.rest();
    subscribe(&mut bench, TOPIC, Memory::Retroactive, |wish| {
        wish.locality = Locality::NoLocal;
    });
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
}

#[test]
fn what_was_remembered_returns_in_the_order_in_which_it_came() {
    let mut bench = bench();
    bench.send(1, TOPIC, draft("a").schedule("delay=100"));
    send_all(&mut bench, &["b"]);
    bench.pass(100);
    bench.rest();
    bench.subscribe_with(2, 0, TOPIC, AckMode::Client, 10, |wish| {
        wish.memory = Memory::Retroactive;
    });
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#1", "2<a#1"]);
    bench.acknowledge(
        2,
        "a",
        Verdict::Nack {
            delay: Some(Duration::ZERO),
            requeue: crate::core::port::Requeue::Allowed,
        },
        None,
    );
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#2", "2<a#2"]);
}

#[test]
fn others_begin_with_what_comes() {
    let mut bench = bench();
    send_all(&mut bench, &["a"]);
    subscribe(&mut bench, TOPIC, Memory::Prospective, |_| {});
    send_all(&mut bench, &["b"]);
    assert_eq!(bench.heard(), ["2<b#1"]);
}

#[test]
fn what_has_expired_or_is_not_selected_is_not_remembered() {
    let mut bench = bench();
    bench.send(1, TOPIC, draft("a").head("n:1\n").ttl_ms(100));
    bench.send(1, TOPIC, draft("b").head("n:2\n"));
    bench.rest();
    bench.pass(100);
    subscribe(&mut bench, TOPIC, Memory::Retroactive, |_| {});
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#1"]);
    bench.lose(2, 1);
    bench.open(2);
    subscribe(&mut bench, TOPIC, Memory::Retroactive, |wish| {
        wish.selector = Selector::parse("n = 1").expect("a selector").map(Arc::new);
    });
    bench.rest();
    assert!(bench.heard().is_empty());
}

#[test]
fn what_is_kept_is_bounded_in_messages_and_bytes() {
    let config = "[policy]\nretained_messages = 1000\nretained_bytes = '1 KiB'\n";
    let mut bench = Bench::configured(Window::default(), config);
    bench.open(1);
    for _ in 0..2_000 {
        bench.send(1, TOPIC, draft("a").head("n:1\n"));
        bench.turn();
    }
    let one = 256 + 5;
    let used = bench.budget.used_bytes();
    assert!((one..=1_024 / 5 * one + one).contains(&used), "{used}");
}

#[test]
fn a_subscription_may_want_less_kept_for_it_than_the_policy_allows() {
    let mut bench = bench();
    bench.subscribe_with(2, 0, TOPIC, AckMode::ClientIndividual, 1, |wish| {
        wish.pending_max = Some(2);
    });
    bench.subscribe(3, 0, TOPIC, AckMode::ClientIndividual, 1);
    send_all(&mut bench, &["a", "b", "c", "d", "e"]);
    for text in ["a", "d", "e"] {
        bench.ack(2, text);
        bench.rest();
    }
    for text in ["a", "b", "c", "d", "e"] {
        bench.ack(3, text);
        bench.rest();
    }
    let heard = bench.heard();
    let own = |connection: &str| {
        let own = heard.iter().filter(|heard| heard.starts_with(connection));
        own.cloned().collect::<Vec<_>>()
    };
    assert_eq!(own("2"), ["2<a#1", "2<d#1", "2<e#1"]);
    assert_eq!(
        own("3").len(),
        5,
        "nobody waits for it, and nobody else loses anything"
    );
}
