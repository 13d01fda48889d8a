//! Selectors in masses: what they look at is spread over turns.

use super::*;
use crate::core::selector::Selector;

fn select(bench: &mut Bench, connection: u64, subscription: u32, queue: &str, text: &str) {
    let selector = Selector::parse(text).expect("a selector").map(Arc::new);
    let mode = AckMode::ClientIndividual;
    bench.subscribe_with(connection, subscription, queue, mode, 100, |wish| {
        wish.selector = selector;
    });
}

fn head_of(number: u32) -> &'static str {
    Box::leak(format!("k:{number}\n").into_boxed_str())
}

/// Turns until nothing is left to do at once.
fn turns(bench: &mut Bench) -> usize {
    let mut count = 0;
    loop {
        bench.rest();
        count += 1;
        if bench.dispatcher.next_wake(bench.now) != Some(bench.now.uptime) {
            return count;
        }
        assert!(count < 10_000, "there is always something left");
    }
}

#[test]
fn each_of_thousands_of_selectors_finds_its_message_a_part_of_them_a_turn() {
    const SELECTORS: u32 = 3_000;
    let mut bench = Bench::new();
    bench.open(1);
    for number in 0..SELECTORS {
        select(
            &mut bench,
            1,
            number,
            "/queue/q",
            &format!("k = '{number}'"),
        );
    }
    turns(&mut bench);
    for (text, number) in [("a", SELECTORS - 1), ("b", 1_500), ("c", 0)] {
        let draft = draft(text).head(head_of(number));
        bench.send(1, "/queue/q", draft.non_persistent());
    }
    bench.turn();
    let first = bench.heard();
    assert!(first.len() < 3, "all in one turn: {first:?}");
    let more = turns(&mut bench);
    assert!(more > 3, "{more} turns for {} looks", 3 * SELECTORS);
    let mut heard = first;
    heard.extend(bench.heard());
    heard.sort();
    assert_eq!(heard, ["1<a#1", "1<b#1", "1<c#1"]);
}

#[test]
fn a_selector_of_another_queue_is_served_while_masses_of_them_go_on() {
    const QUEUES: u32 = 5;
    const SELECTORS: u32 = 400;
    const MESSAGES: u32 = 100;
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    let queue_of = |queue: u32| format!("/queue/many.{queue}");
    for queue in 0..QUEUES {
        for number in 0..SELECTORS {
            let handle = queue * SELECTORS + number;
            let text = format!("k = 'none {number}'");
            select(&mut bench, 1, handle, &queue_of(queue), &text);
        }
    }
    select(&mut bench, 2, 0, "/queue/other", "k = '7'");
    turns(&mut bench);
    for queue in 0..QUEUES {
        for number in 0..MESSAGES {
            let draft = draft("a").head(head_of(number));
            bench.send(1, &queue_of(queue), draft.non_persistent());
        }
    }
    bench.turn();
    let draft = draft("a").head("k:7\n").non_persistent();
    bench.send(2, "/queue/other", draft);
    bench.turn();
    assert_eq!(bench.heard(), ["2<a#1"]);
    assert!(turns(&mut bench) > 10, "the others were through");
    assert!(bench.heard().is_empty());
}

#[test]
fn what_returns_is_looked_at_by_each_of_many_selectors() {
    const SELECTORS: u32 = 100;
    for paging in [false, true] {
        let mut bench = match paging {
            true => Bench::paging(1, 2),
            false => Bench::new(),
        };
        for connection in 1..=3 {
            bench.open(connection);
        }
        for number in 0..SELECTORS {
            let text = format!("JMSXDeliveryCount > 1 AND k = '{number}'");
            select(&mut bench, 1, number, "/queue/q", &text);
        }
        turns(&mut bench);
        for number in 0..SELECTORS {
            let draft = draft("a").head(head_of(number));
            bench.send(3, "/queue/q", draft);
        }
        turns(&mut bench);
        assert!(bench.heard().is_empty());
        bench.subscribe(2, 0, "/queue/q", AckMode::ClientIndividual, 1_000);
        turns(&mut bench);
        assert_eq!(bench.heard().len(), SELECTORS as usize);
        bench.lose(2, 1_000);
        turns(&mut bench);
        // One each, since no two select the same.
        let all = vec!["1<a#2"; SELECTORS as usize];
        assert_eq!(bench.heard(), all, "paging: {paging}");
    }
}

#[test]
fn different_selectors_with_a_long_queue_on_disk_each_find_theirs() {
    const SELECTORS: u32 = 60;
    let mut bench = Bench::paging(1, 1_000);
    bench.open(1);
    bench.open(2);
    for number in 0..2_000 {
        let number = number % 100;
        bench.send(2, "/queue/q", draft("a").head(head_of(number)));
    }
    bench.rest();
    for number in 0..SELECTORS {
        let text = format!("k = '{number}'");
        select(&mut bench, 1, number, "/queue/q", &text);
    }
    turns(&mut bench);
    assert_eq!(bench.heard().len(), 20 * SELECTORS as usize);
    assert!(bench.view("q").paged > 0);
}

#[test]
fn who_has_gone_leaves_nothing_that_keeps_a_message_in_memory() {
    let mut bench = Bench::paging(0, 10);
    bench.open(1);
    bench.open(2);
    for number in 0..20 {
        let text = format!("k <> 'no {number}'");
        bench.subscribe_with(1, number, "/queue/q", AckMode::Client, 1, |wish| {
            wish.selector = Selector::parse(&text).expect("a selector").map(Arc::new);
        });
    }
    for number in 0..100 {
        bench.send(2, "/queue/q", draft("a").head(head_of(number)));
    }
    turns(&mut bench);
    assert_eq!(bench.heard().len(), 20);
    bench.lose(1, 20);
    turns(&mut bench);
    let queues = &bench.dispatcher.queues;
    assert!(queues.iter().all(|(_, queue)| queue.scans.is_empty()));
    assert!(queues.iter().all(|(_, queue)| !queue.scans.has_found()));
    bench.subscribe(2, 1, "/queue/q", AckMode::ClientIndividual, 1_000);
    turns(&mut bench);
    assert_eq!(bench.heard().len(), 100);
}
