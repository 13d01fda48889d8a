//! Subscriptions of topics that do not keep up: what counts as waiting, who pays, and that each loss is told.

use super::*;

const DROPS: &str = "[policy]\nslow_consumer = \"drop-oldest\"\n";
const DISCONNECTS: &str = "[policy]\nslow_consumer = \"disconnect\"\n";

/// A bench on which 2 messages may wait for a subscription, with a subscriber 1 and a publisher 2.
fn bench(policy: &str, to: &str, pending_max: Option<u32>) -> Bench {
    let toml = format!("{policy}pending_messages = 2\nretained_messages = 4\n");
    let mut bench = Bench::configured(Window::default(), &toml);
    bench.open(1);
    bench.open(2);
    bench.subscribe_with(1, 0, to, AckMode::ClientIndividual, 1, |wish| {
        wish.pending_max = pending_max;
    });
    bench
}

fn publish(bench: &mut Bench, to: &str, texts: &[&'static str]) {
    for text in texts {
        bench.send(2, to, draft(text).non_persistent());
    }
}

#[test]
fn what_a_subscription_has_credit_for_does_not_wait() {
    for policy in [DROPS, DISCONNECTS, "[policy]\n"] {
        let mut bench = bench(policy, "/topic/t", None);
        publish(&mut bench, "/topic/t", &["a", "b", "c"]);
        bench.turn();
        assert_eq!(bench.heard(), ["1<a#1"]);
        bench.ack(1, "a");
        publish(&mut bench, "/topic/t", &["d"]);
        bench.turn();
        assert_eq!(bench.heard(), ["1<b#1"], "{policy}");
        for (acked, next) in [("b", "c"), ("c", "d")] {
            bench.ack(1, acked);
            bench.turn();
            assert_eq!(bench.heard(), [format!("1<{next}#1")], "{policy}");
        }
        assert_eq!(bench.dispatcher.counters.dropped, 0);
    }
}

#[test]
fn what_a_topic_has_kept_does_not_make_a_new_subscription_slow() {
    let mut bench = bench(DISCONNECTS, "/topic/other", None);
    publish(&mut bench, "/topic/t", &["a", "b", "c", "d"]);
    bench.subscribe_with(1, 1, "/topic/t", AckMode::Auto, 9, |wish| {
        wish.memory = Memory::Retroactive;
    });
    publish(&mut bench, "/topic/t", &["e"]);
    bench.turn();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<c#1", "1<d#1", "1<e#1"]);
}

#[test]
fn nobody_waits_for_a_subscription_with_a_limit_of_its_own() {
    for policy in ["[policy]\n", DISCONNECTS] {
        for (own, last) in [(1, ["f"].as_slice()), (2, &["e", "f"]), (9, &["e", "f"])] {
            let mut bench = bench(policy, "/topic/t", Some(own));
            publish(&mut bench, "/topic/t", &["a", "b", "c", "d", "e", "f"]);
            bench.turn();
            assert_eq!(bench.heard(), ["1<a#1"], "nobody is held back or refused");
            let mut open = "a";
            for next in last {
                bench.ack(1, open);
                bench.turn();
                assert_eq!(bench.heard(), [format!("1<{next}#1")], "{policy}, {own}");
                open = next;
            }
            let lost = 5 - last.len() as u64;
            assert_eq!(bench.dispatcher.counters.dropped, lost);
        }
    }
}

#[test]
fn producers_go_on_when_drops_of_another_topic_have_made_room() {
    let toml = "[[destination]]\nmatch = \"dam\"\npending_messages = 4\n\
                [[destination]]\nmatch = \"shed\"\npending_messages = 2\nslow_consumer = \"drop-oldest\"\n";
    let mut bench = Bench::configured(Window::default(), toml);
    (1..=3).for_each(|connection| bench.open(connection));
    let both = "/topic/dam,/topic/shed";
    bench.subscribe(1, 0, both, AckMode::ClientIndividual, 1);
    publish(&mut bench, "/topic/shed", &["a", "b", "c"]);
    for text in ["d", "e", "f"] {
        bench.send(3, "/topic/dam", draft(text));
    }
    bench.turn();
    assert_eq!(bench.heard(), ["1<a#1", "3<block"], "five wait");
    publish(&mut bench, "/topic/shed", &["h"]);
    bench.turn();
    assert_eq!(bench.dispatcher.counters.dropped, 3, "the topic's own");
    assert_eq!(bench.heard(), ["3<unblock"], "three wait");
}

#[test]
fn producers_go_on_at_three_quarters_of_the_limit() {
    let mut bench = Bench::policy("pending_messages", "6");
    bench.open(1);
    bench.subscribe(1, 0, "/topic/t", AckMode::ClientIndividual, 1);
    bench.open(2);
    let texts = ["a", "b", "c", "d", "e", "f", "g", "h"];
    publish(&mut bench, "/topic/t", &texts);
    bench.turn();
    assert_eq!(bench.heard(), ["1<a#1", "2<block"]);
    for (acked, next) in [("a", "b"), ("b", "c")] {
        bench.ack(1, acked);
        bench.turn();
        assert_eq!(bench.heard(), [format!("1<{next}#1")], "five wait at least");
    }
    bench.ack(1, "c");
    bench.turn();
    assert_eq!(bench.heard(), ["1<d#1", "2<unblock"]);
}

#[test]
fn who_passes_its_own_limit_is_said_to_pass_that() {
    for (own, expected) in [
        (Some(1), "activemq.maximumPendingMessageLimit"),
        (Some(9), "policy.pending_messages"),
        (None, "policy.pending_messages"),
    ] {
        let mut bench = bench(DROPS, "/topic/t", own);
        bench.open(3);
        let slow = "/topic/ActiveMQ.Advisory.SlowConsumer.>";
        bench.subscribe(3, 0, slow, AckMode::Auto, 9);
        publish(&mut bench, "/topic/t", &["a", "b", "c", "d"]);
        bench.turn();
        assert_eq!(bench.heard_heads("usageName"), [expected]);
    }
}

#[test]
fn a_subscription_for_which_nothing_waits_is_slow_no_more_also_when_all_of_it_was_dropped() {
    let toml = "[policy]\nslow_consumer = \"drop-oldest\"\npending_bytes = \"1 KiB\"\n";
    let mut bench = Bench::configured(Window::default(), toml);
    (1..=3).for_each(|connection| bench.open(connection));
    bench.subscribe(1, 0, "/topic/t", AckMode::ClientIndividual, 1);
    let slow = "/topic/ActiveMQ.Advisory.SlowConsumer.>";
    bench.subscribe(3, 0, slow, AckMode::Auto, 9);
    publish(&mut bench, "/topic/t", &["a"]);
    let large: &'static str = Box::leak("x:".repeat(600).into_boxed_str());
    for times in 1..=2 {
        bench.send(2, "/topic/t", draft("b").head(large));
        bench.turn();
        assert_eq!(bench.dispatcher.counters.dropped, times);
        assert_eq!(bench.heard_heads("usageName"), ["policy.pending_bytes"]);
        bench.heard();
    }
}

#[test]
fn what_a_disconnect_loses_is_told_one_by_one() {
    let mut bench = bench(DISCONNECTS, "/topic/t", None);
    bench.open(3);
    let discards = "/topic/ActiveMQ.Advisory.MessageDiscarded.>";
    bench.subscribe(3, 0, discards, AckMode::Auto, 9);
    publish(&mut bench, "/topic/t", &["a", "b", "c", "d"]);
    bench.turn();
    assert_eq!(bench.heard_heads("discardedCount"), ["1", "2", "3"]);
    let heard = bench.heard();
    assert!(
        heard.contains(&"1<refused: slow consumer".to_owned()),
        "{heard:?}"
    );
    assert_eq!(bench.dispatcher.counters.dropped, 3);
}
