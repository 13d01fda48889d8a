//! Message groups: one consumer, in order, and others pass a group that waits.

use super::*;

const QUEUE: &str = "/queue/q";
const RED: &str = "JMSXGroupID:red\n";
const BLUE: &str = "JMSXGroupID:blue\n";

fn opened(mut bench: Bench) -> Bench {
    for connection in [1, 2, 3, 9] {
        bench.open(connection);
    }
    bench
}

fn send(bench: &mut Bench, text: &'static str, head: &'static str) {
    bench.send(9, QUEUE, draft(text).head(head));
    bench.rest();
}

fn consume(bench: &mut Bench, connection: u64, prefetch: u32) {
    bench.subscribe(connection, 0, QUEUE, AckMode::ClientIndividual, prefetch);
    bench.rest();
}

#[test]
fn a_group_sticks_to_its_consumer_and_others_pass_it() {
    for paging in [false, true] {
        let bench = if paging {
            Bench::paging(1, 2)
        } else {
            Bench::new()
        };
        let mut bench = opened(bench);
        consume(&mut bench, 1, 1);
        consume(&mut bench, 2, 2);
        for (text, head) in [
            ("a", RED),
            ("b", RED),
            ("c", RED),
            ("d", BLUE),
            ("e", RED),
            ("f", ""),
        ] {
            send(&mut bench, text, head);
        }
        assert_eq!(
            bench.heard(),
            ["1<a#1", "2<d#1", "2<f#1"],
            "paging: {paging}"
        );
        assert_eq!(bench.view("q").parked, 3);
        for (acked, next) in [("a", "b"), ("b", "c"), ("c", "e")] {
            bench.ack(1, acked);
            bench.rest();
            assert_eq!(bench.heard(), [format!("1<{next}#1")]);
        }
        bench.ack(1, "e");
        bench.ack(2, "d");
        bench.ack(2, "f");
        bench.rest();
        assert_eq!((bench.view("q").depth, bench.view("q").parked), (0, 0));
        assert!(bench.disk.tallies().is_empty());
    }
}

#[test]
fn a_group_fails_over_in_order_when_its_consumer_goes() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    consume(&mut bench, 2, 100);
    for (text, head) in [("a", RED), ("b", RED), ("c", RED)] {
        send(&mut bench, text, head);
    }
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.lose(1, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#2", "2<b#1", "2<c#1"]);
}

#[test]
fn a_closed_group_goes_to_whoever_takes_it_next() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 100);
    consume(&mut bench, 2, 100);
    send(&mut bench, "a", RED);
    send(&mut bench, "b", "");
    send(&mut bench, "c", RED);
    send(&mut bench, "d", "JMSXGroupID:red\nJMSXGroupSeq:-1\n");
    send(&mut bench, "e", RED);
    let heard = bench.heard();
    let owner = &heard[0][..1];
    assert_eq!(heard[2], format!("{owner}<c#1"));
    assert_eq!(heard[3], format!("{owner}<d#1"));
    assert_ne!(&heard[4][..1], owner, "{heard:?}");
}

#[test]
fn a_redelivery_that_waits_holds_back_its_group_and_nothing_else() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    for (text, head) in [("a", RED), ("b", RED), ("c", "")] {
        send(&mut bench, text, head);
    }
    assert_eq!(bench.heard(), ["1<a#1"]);
    let later = Verdict::Nack {
        delay: Some(Duration::from_secs(5)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(1, "a", later, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#1"], "b waits behind a");
    bench.ack(1, "c");
    bench.rest();
    assert!(bench.heard().is_empty());
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2"]);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#1"]);
}

#[test]
fn a_new_consumer_gets_groups_by_policy() {
    for (policy, owner) in [("false", "1"), ("true", "2")] {
        let mut bench = opened(Bench::policy("group_rebalance", policy));
        consume(&mut bench, 1, 100);
        send(&mut bench, "a", RED);
        bench.ack(1, "a");
        bench.rest();
        bench.subscribe_with(2, 0, QUEUE, AckMode::ClientIndividual, 100, |wish| {
            wish.priority = ConsumerPriority(9);
        });
        bench.rest();
        bench.heard();
        send(&mut bench, "b", RED);
        assert_eq!(bench.heard(), [format!("{owner}<b#1")]);
    }
}

const X: &str = "JMSXGroupID:red\nkind:x\n";
const Y: &str = "JMSXGroupID:red\nkind:y\n";
const LAST_RED: &str = "JMSXGroupID:red\nJMSXGroupSeq:-1\n";

const LATER: Verdict = Verdict::Nack {
    delay: Some(Duration::from_secs(5)),
    requeue: crate::core::port::Requeue::Allowed,
};

fn select(bench: &mut Bench, connection: u64, selector: &str, prefetch: u32) {
    let selector = crate::core::selector::Selector::parse(selector).expect("a selector");
    let mode = AckMode::ClientIndividual;
    bench.subscribe_with(connection, 0, QUEUE, mode, prefetch, |wish| {
        wish.selector = selector.map(Arc::new);
    });
    bench.rest();
}

/// What is heard, while everything that is delivered is acknowledged in turn.
fn drain(bench: &mut Bench) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        bench.rest();
        let heard = bench.heard();
        if heard.is_empty() {
            return all;
        }
        for delivered in &heard {
            let connection = u64::from(delivered.as_bytes()[0] - b'0');
            bench.ack(connection, &delivered[2..3]);
        }
        all.extend(heard);
    }
}

#[test]
fn an_owner_without_credit_gets_what_is_parked_although_its_turn_never_came() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    consume(&mut bench, 2, 2);
    send(&mut bench, "a", RED);
    send(&mut bench, "b", RED);
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#1"]);
}

#[test]
fn a_group_that_was_closed_is_its_new_owners_alone() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    send(&mut bench, "a", RED);
    send(&mut bench, "b", LAST_RED);
    send(&mut bench, "c", RED);
    consume(&mut bench, 2, 1);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "2<c#1"]);
    send(&mut bench, "d", RED);
    bench.ack(1, "b");
    bench.rest();
    assert!(bench.heard().is_empty(), "d waits for 2");
    bench.ack(2, "c");
    bench.rest();
    assert_eq!(bench.heard(), ["2<d#1"]);
}

#[test]
fn what_returns_goes_before_what_is_parked_behind_it() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 2);
    consume(&mut bench, 2, 100);
    for text in ["a", "b", "c", "d"] {
        send(&mut bench, text, RED);
    }
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1"]);
    let again = Verdict::Nack {
        delay: None,
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(1, "a", again, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2"]);
    bench.ack(1, "b");
    assert_eq!(drain(&mut bench), ["1<c#1", "1<d#1"]);
}

#[test]
fn an_exclusive_consumer_takes_over_the_groups_of_those_that_it_excludes() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    send(&mut bench, "a", RED);
    send(&mut bench, "b", RED);
    bench.subscribe_with(2, 0, QUEUE, AckMode::ClientIndividual, 100, |wish| {
        wish.exclusivity = Exclusivity::Exclusive;
    });
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "2<b#1"]);
    bench.ack(1, "a");
    send(&mut bench, "c", RED);
    assert_eq!(bench.heard(), ["2<c#1"]);
}

#[test]
fn what_the_owners_selector_does_not_match_goes_past_its_group() {
    let mut bench = opened(Bench::new());
    select(&mut bench, 1, "kind = 'x'", 1);
    send(&mut bench, "a", X);
    consume(&mut bench, 2, 100);
    send(&mut bench, "b", Y);
    send(&mut bench, "c", X);
    send(
        &mut bench,
        "d",
        "JMSXGroupID:red\nkind:y\nJMSXGroupSeq:-1\n",
    );
    assert_eq!(bench.heard(), ["1<a#1", "2<b#1", "2<d#1"]);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#1"], "its owner still has the group");
    // What went past returns on its own, too.
    bench.acknowledge(2, "b", LATER, None);
    send(&mut bench, "e", X);
    bench.ack(1, "c");
    bench.rest();
    assert_eq!(bench.heard(), ["1<e#1"]);
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#2"]);
}

#[test]
fn a_redelivery_that_waits_holds_its_group_back_when_its_owner_goes() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    for (text, head) in [("a", RED), ("b", RED), ("c", RED)] {
        send(&mut bench, text, head);
    }
    bench.acknowledge(1, "a", LATER, None);
    bench.lose(1, 1);
    consume(&mut bench, 2, 100);
    send(&mut bench, "d", "");
    assert_eq!(bench.heard(), ["1<a#1", "2<d#1"]);
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#2", "2<b#1", "2<c#1"]);
}

#[test]
fn a_redelivery_that_waits_holds_its_group_back_although_nobody_has_it() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 100);
    send(&mut bench, "a", LAST_RED);
    bench.acknowledge(1, "a", LATER, None);
    send(&mut bench, "b", RED);
    send(&mut bench, "c", BLUE);
    assert_eq!(bench.heard(), ["1<a#1", "1<c#1"]);
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2", "1<b#1"]);
}

#[test]
fn what_a_new_owner_does_not_choose_waits_for_it_no_more() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 100);
    send(&mut bench, "a", X);
    send(&mut bench, "b", X);
    send(&mut bench, "c", Y);
    bench.acknowledge(1, "b", LATER, None);
    bench.acknowledge(1, "c", LATER, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<c#1"]);
    // `a` makes the next one that wants an `x` the owner, and that is busy with it; `b` is its own and waits for it.
    select(&mut bench, 2, "kind = 'x'", 1);
    bench.lose(1, 3);
    consume(&mut bench, 3, 100);
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#2", "3<c#2"]);
    assert_eq!(drain(&mut bench), Vec::<String>::new());
    bench.ack(2, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#2"]);
}

#[test]
fn a_message_before_a_redelivery_that_waits_is_not_held_back_by_it() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 2);
    for text in ["a", "b", "c"] {
        send(&mut bench, text, RED);
    }
    // `b` waits out its delay, `a` returns and stands before it.
    bench.acknowledge(1, "b", LATER, None);
    bench.lose(1, 2);
    consume(&mut bench, 2, 100);
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "2<a#2"]);
    bench.pass(5_000);
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#2", "2<c#1"]);
}

#[test]
fn a_queue_that_holds_for_a_redelivery_holds_its_group_in_order() {
    let mut bench = opened(Bench::policy("redelivery_order", "hold"));
    consume(&mut bench, 1, 1);
    for (text, head) in [("a", RED), ("b", RED), ("c", "")] {
        send(&mut bench, text, head);
    }
    bench.acknowledge(1, "a", LATER, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.pass(5_000);
    assert_eq!(drain(&mut bench), ["1<a#2", "1<b#1", "1<c#1"]);
}

#[test]
fn a_parked_message_that_the_disk_refuses_is_taken_back() {
    use stompbox_store::Medium;
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    consume(&mut bench, 2, 100);
    send(&mut bench, "a", RED);
    bench.disk.fill(Medium::Database);
    bench.send(9, QUEUE, draft("b").head(RED));
    bench.turn();
    assert_eq!(bench.view("q").parked, 1);
    bench.rest();
    let view = bench.view("q");
    assert_eq!((view.depth, view.parked), (1, 0));
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "9<refused: disk is full"]);
    assert_eq!(bench.view("q").depth, 0);
}

#[test]
fn parked_messages_expire_and_let_their_group_go_on() {
    for bench in [Bench::new(), Bench::paging(0, 2)] {
        let mut bench = opened(bench);
        consume(&mut bench, 1, 1);
        consume(&mut bench, 2, 100);
        send(&mut bench, "a", RED);
        for (text, ttl_ms) in [("b", 100), ("c", 0), ("d", 100)] {
            bench.send(9, QUEUE, draft(text).head(RED).ttl_ms(ttl_ms));
            bench.rest();
        }
        assert_eq!(bench.view("q").parked, 3);
        for _ in 0..3 {
            bench.pass(1_000);
            bench.rest();
        }
        let view = bench.view("q");
        assert_eq!((view.parked, view.expired_total, view.depth), (1, 2, 2));
        assert_eq!(bench.view("ActiveMQ.DLQ").depth, 2);
        bench.ack(1, "a");
        bench.rest();
        assert_eq!(bench.heard(), ["1<a#1", "1<c#1"]);
        bench.ack(1, "c");
        bench.rest();
        assert_eq!((bench.view("q").depth, bench.view("q").depth_bytes), (0, 0));
    }
}

#[test]
fn a_browser_sees_what_is_parked_in_its_place() {
    for bench in [Bench::new(), Bench::paging(0, 2), Bench::paging(1, 2)] {
        let mut bench = opened(bench);
        consume(&mut bench, 1, 1);
        consume(&mut bench, 2, 1);
        for (text, head) in [
            ("a", RED),
            ("b", RED),
            ("c", BLUE),
            ("d", RED),
            ("e", BLUE),
            ("f", ""),
            ("g", RED),
            ("h", ""),
        ] {
            send(&mut bench, text, head);
        }
        assert_eq!(bench.heard(), ["1<a#1", "2<c#1"]);
        bench.subscribe_with(3, 0, QUEUE, AckMode::Auto, 100, |wish| {
            wish.intent = Intent::Browse;
        });
        bench.rest();
        let expected = ["b", "d", "e", "f", "g", "h"].map(|text| format!("3<{text}#1"));
        let heard = bench.heard();
        assert_eq!(heard[..6], expected);
        assert_eq!(heard[6..], ["3<end"]);
    }
}

#[test]
fn parked_messages_of_many_groups_leave_memory_and_come_back_in_order() {
    let mut bench = opened(Bench::paging(2, 3));
    consume(&mut bench, 1, 1);
    for (text, head) in [("a", RED), ("b", BLUE)] {
        send(&mut bench, text, head);
        bench.ack(1, text);
    }
    for text in ["c", "e", "g", "i"] {
        send(&mut bench, text, RED);
    }
    consume(&mut bench, 2, 100);
    bench.heard();
    for text in ["d", "f", "h", "j"] {
        send(&mut bench, text, BLUE);
    }
    assert_eq!(bench.view("q").parked, 7);
    let used = bench.budget.used_bytes();
    assert!(used < 5 * 300, "one is out and two are in memory: {used}");
    bench.ack(1, "c");
    let heard = drain(&mut bench);
    let of = |texts: [&str; 3]| texts.map(|text| format!("1<{text}#1"));
    let red: Vec<_> = heard
        .iter()
        .filter(|heard| "egi".contains(&heard[2..3]))
        .collect();
    assert_eq!(red, of(["e", "g", "i"]).iter().collect::<Vec<_>>());
    let blue: Vec<_> = heard
        .iter()
        .filter(|heard| "dfhj".contains(&heard[2..3]))
        .collect();
    assert_eq!(blue.len(), 4);
    assert!(blue.is_sorted(), "{heard:?}");
    let view = bench.view("q");
    assert_eq!((view.depth, view.parked), (0, 0));
    assert!(bench.disk.tallies().is_empty());
}

#[test]
fn non_persistent_messages_that_are_parked_spill_when_memory_is_short() {
    let window = Window {
        messages: 2,
        page_messages: 2,
        ..Window::default()
    };
    let mut bench = opened(Bench::with_memory(window, Policies::default(), 2_570));
    consume(&mut bench, 1, 1);
    consume(&mut bench, 2, 100);
    let texts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for text in texts {
        bench.send(9, QUEUE, draft(text).head(RED).non_persistent());
        for _ in 0..3 {
            bench.pass(100);
            bench.rest();
        }
    }
    assert_eq!(bench.heard(), ["1<a#1"], "nobody is held back");
    assert_eq!(bench.view("q").parked, 11);
    bench.ack(1, "a");
    let mut heard = Vec::new();
    for _ in 0..30 {
        bench.pass(100);
        heard.extend(drain(&mut bench));
    }
    assert_eq!(
        heard,
        texts[1..]
            .iter()
            .map(|text| format!("1<{text}#1"))
            .collect::<Vec<_>>()
    );
    assert!(bench.disk.tallies().is_empty());
}

#[test]
fn parked_messages_that_have_spilled_come_once_although_a_page_of_the_lane_spans_them() {
    let window = Window {
        messages: 0,
        page_messages: 10,
        ..Window::default()
    };
    let mut bench = opened(Bench::with_memory(window, Policies::default(), 1_800));
    consume(&mut bench, 1, 1);
    send(&mut bench, "a", RED);
    // It finds what is parked behind what it leaves in the lane, and before more of that.
    bench.subscribe_with(2, 0, QUEUE, AckMode::ClientIndividual, 100, |wish| {
        let selector = crate::core::selector::Selector::parse("kind = 'x'");
        wish.selector = selector.expect("a selector").map(Arc::new);
    });
    send(&mut bench, "b", "");
    let texts = ["c", "d", "e", "f", "g", "h"];
    for text in texts {
        bench.send(9, QUEUE, draft(text).head(X).non_persistent());
        for _ in 0..3 {
            bench.pass(100);
            bench.rest();
        }
    }
    send(&mut bench, "i", "");
    assert_eq!(bench.heard(), ["1<a#1"]);
    assert_eq!(bench.view("q").parked, 6);
    let used = bench.budget.used_bytes();
    assert!(used < 6 * 250, "some have spilled: {used}");
    bench.ack(1, "a");
    let mut heard = Vec::new();
    for _ in 0..20 {
        bench.pass(100);
        heard.extend(drain(&mut bench));
    }
    heard.sort_unstable();
    let expected = ["b", "c", "d", "e", "f", "g", "h", "i"].map(|text| format!("1<{text}#1"));
    assert_eq!(heard, expected);
    let view = bench.view("q");
    assert_eq!((view.depth, view.parked, view.in_flight), (0, 0, 0));
    assert!(bench.disk.tallies().is_empty());
}

#[test]
fn what_waits_for_a_busy_owner_comes_one_by_one_while_a_later_consumer_takes_other_groups() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    send(&mut bench, "a", RED);
    consume(&mut bench, 2, 100);
    for (text, head) in [("b", RED), ("c", RED), ("d", BLUE)] {
        send(&mut bench, text, head);
    }
    bench.ack(2, "d");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "2<d#1"]);
    for (acked, next) in [("a", "b"), ("b", "c")] {
        bench.ack(1, acked);
        bench.rest();
        assert_eq!(bench.heard(), [format!("1<{next}#1")]);
    }
}

#[test]
fn what_returns_to_the_disk_while_a_page_is_read_keeps_its_place_before_the_rest_of_its_group() {
    let mut bench = opened(Bench::paging(1, 1));
    consume(&mut bench, 1, 1);
    consume(&mut bench, 2, 100);
    for text in ["a", "b", "c", "d", "e"] {
        send(&mut bench, text, RED);
    }
    bench.send(9, QUEUE, draft("f").head(RED).non_persistent());
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.subscribe_with(3, 0, QUEUE, AckMode::Auto, 10, |wish| {
        wish.intent = Intent::Browse;
    });
    bench.turn();
    assert_eq!(bench.disk.pending_reads(), 1);
    bench.lose(1, 1);
    bench.rest();
    let mut heard = bench.heard();
    heard.retain(|heard| heard.starts_with("2<"));
    assert_eq!(
        heard,
        ["2<a#2", "2<b#1", "2<c#1", "2<d#1", "2<e#1", "2<f#1"]
    );
}

#[test]
fn a_higher_priority_comes_before_what_is_parked() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 1);
    for (text, head) in [("a", RED), ("b", RED)] {
        send(&mut bench, text, head);
    }
    consume(&mut bench, 2, 1);
    send(&mut bench, "d", BLUE);
    send(&mut bench, "e", RED);
    bench.send(9, QUEUE, draft("c").priority(9));
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "2<d#1"]);
    for (acked, next) in [("a", "c"), ("c", "b"), ("b", "e")] {
        bench.ack(1, acked);
        bench.rest();
        assert_eq!(bench.heard(), [format!("1<{next}#1")]);
    }
}

#[test]
fn what_is_parked_waits_behind_a_delayed_message_that_holds_its_queue() {
    let mut bench = opened(Bench::policy("redelivery_order", "hold"));
    consume(&mut bench, 1, 1);
    consume(&mut bench, 2, 1);
    send(&mut bench, "a", RED);
    send(&mut bench, "b", "");
    consume(&mut bench, 3, 2);
    send(&mut bench, "c", RED);
    assert_eq!(bench.heard(), ["1<a#1", "2<b#1"]);
    assert_eq!(bench.view("q").parked, 1);
    let nack = Verdict::Nack {
        delay: Some(Duration::from_secs(5)),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(2, "b", nack, None);
    bench.rest();
    bench.ack(1, "a");
    bench.rest();
    assert!(
        bench.heard().is_empty(),
        "the delay holds back what stands behind"
    );
    bench.pass(5_000);
    bench.rest();
    bench.pass(20);
    bench.rest();
    let mut heard = bench.heard();
    heard.retain(|heard| heard.contains('c'));
    assert_eq!(heard, ["1<c#1"]);
}

#[test]
fn what_returned_comes_before_what_was_put_off_behind_it_in_its_group() {
    let mut bench = opened(Bench::new());
    consume(&mut bench, 1, 2);
    for text in ["a", "b"] {
        send(&mut bench, text, RED);
    }
    let at_once = Verdict::Nack {
        delay: Some(Duration::ZERO),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(1, "a", at_once, Some(1));
    send(&mut bench, "c", BLUE);
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<c#1"]);
    // a returns while there is no credit for it, then b is put off in favour of what is of a higher priority.
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends: Vec::new(),
        receipt: None,
    };
    bench.ask(1, commit);
    bench.rest();
    bench.send(9, QUEUE, draft("d").priority(9));
    bench.acknowledge(1, "b", LATER, None);
    bench.rest();
    assert_eq!(bench.heard(), ["1<d#1"]);
    bench.pass(5_000);
    bench.rest();
    bench.ack(1, "d");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2"]);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#2"]);
}
