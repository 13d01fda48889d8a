//! Copies of a topic's messages are charged, and topics wait when there are too many.

use super::*;

const SUBSCRIBERS: u32 = 100;

/// Connection 1 sends; connection 2 hears `/topic/t` a hundred times.
fn crowd(mode: AckMode) -> Bench {
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), 512 * 1024);
    bench.open(1);
    bench.open(2);
    for id in 0..SUBSCRIBERS {
        bench.subscribe(2, id, "/topic/t", mode, 1_000);
    }
    bench.turn();
    bench.heard();
    bench
}

/// Sends until the producer is held back; answers after how many and how much was said beside.
fn send_until_blocked(bench: &mut Bench) -> (usize, usize) {
    let mut said = 0;
    for count in 1..=1_000 {
        bench.send(1, "/topic/t", draft("a").non_persistent());
        bench.turn();
        let heard = bench.heard();
        if heard.iter().any(|line| line == "1<block") {
            return (count, said + heard.len() - 1);
        }
        said += heard.len();
    }
    panic!("never blocked");
}

#[test]
fn a_topic_whose_copies_nobody_takes_waits_and_goes_on_where_it_stopped() {
    let mut bench = crowd(AckMode::Auto);
    let (sent, copies) = send_until_blocked(&mut bench);
    assert!(sent < 50, "{sent}");
    assert_eq!(
        copies,
        (sent - 1) * SUBSCRIBERS as usize,
        "the last one waits"
    );
    // Told with a delay of at most 64 KiB.
    assert!(bench.budget.used_bytes() >= 192 * 1024);
    assert!(!bench.budget.is_over());
    // What is sent in spite of it waits too, and costs itself.
    bench.send(1, "/topic/t", draft("b").non_persistent());
    bench.turn();
    assert_eq!(bench.heard(), [""; 0]);
    for id in 0..SUBSCRIBERS {
        bench.written(2, id, sent as u32 - 1);
    }
    bench.turn();
    let heard = bench.heard();
    let of = |line: &str| heard.iter().filter(|heard| *heard == line).count();
    assert_eq!(of("2<a#1"), SUBSCRIBERS as usize);
    assert_eq!(of("2<b#1"), SUBSCRIBERS as usize);
    assert_eq!(of("1<unblock"), 1);
    assert_eq!(heard.len(), 2 * SUBSCRIBERS as usize + 1);
    for id in 0..SUBSCRIBERS {
        bench.written(2, id, 2);
    }
    bench.turn();
    bench.heard();
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[test]
fn who_hears_nothing_of_the_crowded_topic_is_not_held_up() {
    let mut bench = crowd(AckMode::Auto);
    bench.open(3);
    bench.subscribe(3, 1, "/topic/other", AckMode::Auto, 1_000);
    bench.subscribe(3, 2, "/topic/other", AckMode::Auto, 1_000);
    send_until_blocked(&mut bench);
    bench.open(4);
    for _ in 0..100 {
        bench.send(4, "/topic/other", draft("a").non_persistent());
        bench.turn();
        assert_eq!(bench.heard(), ["3<a#1", "3<a#1"]);
        bench.written(3, 1, 1);
        bench.written(3, 2, 1);
    }
}

#[test]
fn a_client_that_goes_gives_back_what_its_copies_cost() {
    for mode in [AckMode::Auto, AckMode::ClientIndividual] {
        let mut bench = crowd(mode);
        send_until_blocked(&mut bench);
        bench.lose(2, 0);
        bench.rest();
        assert_eq!(bench.heard(), ["1<unblock"], "{mode:?}");
        assert_eq!(bench.budget.used_bytes(), 0, "{mode:?}");
    }
}

#[test]
fn copies_beyond_the_credit_and_delayed_ones_are_charged_too() {
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), 512 * 1024);
    bench.open(1);
    bench.open(2);
    for id in 0..SUBSCRIBERS {
        bench.subscribe(2, id, "/topic/t", AckMode::ClientIndividual, 1);
    }
    let (sent, _) = send_until_blocked(&mut bench);
    assert!(sent < 50, "{sent}");
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    bench.subscribe(2, 1, "/topic/t", AckMode::ClientIndividual, 1);
    bench.send(1, "/topic/t", draft("a").non_persistent());
    bench.turn();
    let delay = Some(Duration::from_secs(60));
    let requeue = crate::core::port::Requeue::Allowed;
    bench.acknowledge(2, "a", Verdict::Nack { delay, requeue }, None);
    bench.turn();
    let message = bench.dispatcher.crowd.pending().used_bytes();
    assert!(message > 0, "a delayed copy costs something");
    bench.pass(60_000);
    bench.turn();
    assert_eq!(bench.heard(), ["2<a#1", "2<a#2"]);
    bench.ack(2, "a");
    bench.turn();
    assert_eq!(bench.budget.used_bytes(), 0);
    assert_eq!(bench.dispatcher.crowd.pending().used_bytes(), 0);
}

#[test]
fn browsers_that_do_not_read_are_shown_no_more_than_memory_allows() {
    const MESSAGES: usize = 100;
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), 512 * 1024);
    bench.open(1);
    bench.open(2);
    for _ in 0..MESSAGES {
        bench.send(1, "/queue/q", draft("a").non_persistent());
    }
    bench.rest();
    let before = bench.budget.used_bytes();
    for id in 0..SUBSCRIBERS {
        let browse = |subscribing: &mut Subscribing| subscribing.intent = Intent::Browse;
        bench.subscribe_with(2, id, "/queue/q", AckMode::Auto, 500, browse);
    }
    for _ in 0..10 {
        bench.turn();
    }
    let shown = bench.heard().len();
    // Three quarters of the memory, and one each.
    assert!(shown <= 3_072 + 100, "{shown}");
    assert!(bench.budget.used_bytes() - before < 450 * 1024);
    // Each has at least one, and goes on when there is room.
    let mut seen = shown;
    let mut rounds = 0;
    while seen < (MESSAGES + 1) * SUBSCRIBERS as usize {
        for id in 0..SUBSCRIBERS {
            bench.written(2, id, MESSAGES as u32);
        }
        bench.turn();
        bench.turn();
        seen += bench.heard().len();
        rounds += 1;
        assert!(rounds < 100, "{seen} shown");
    }
}
