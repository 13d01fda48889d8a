//! When more than the memory is used, nothing more comes from the disk.

use super::*;

const LIMIT: usize = 1 << 20;

/// Ten messages in a queue, most of them on the disk alone.
fn stored() -> Bench {
    let window = Window {
        messages: 1,
        page_messages: 1,
        page_bytes: 1_024,
        ..Window::default()
    };
    let mut bench = Bench::with_memory(window, Policies::default(), LIMIT);
    bench.open(1);
    bench.open(2);
    for text in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        bench.send(1, "/queue/q", draft(text));
        bench.rest();
    }
    // What was resident is out of the way.
    bench.subscribe(1, 1, "/queue/q", AckMode::ClientIndividual, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#1"]);
    bench
}

#[test]
fn a_consumer_that_holds_nothing_gets_one_message_of_full_memory_and_none_beyond_its_ceiling() {
    let mut bench = stored();
    let full = bench.budget.charge_bytes(LIMIT);
    bench.subscribe(2, 1, "/queue/q", AckMode::ClientIndividual, 5);
    bench.rest();
    let heard = bench.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    let beyond = bench.budget.charge_bytes(LIMIT / 4);
    bench.open(3);
    bench.subscribe(3, 1, "/queue/q", AckMode::ClientIndividual, 5);
    // What was read ahead is in memory already.
    bench.rest();
    let ahead = bench.heard().len();
    assert!(ahead <= 1, "{ahead}");
    bench.open(4);
    bench.subscribe(4, 1, "/queue/q", AckMode::ClientIndividual, 5);
    for _ in 0..3 {
        bench.pass(1_000);
        bench.rest();
        assert_eq!(bench.heard(), [""; 0]);
    }
    drop(beyond);
    drop(full);
    bench.pass(1_000);
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard.len(), 10 - 2 - 1 - ahead, "{heard:?}");
    assert!(heard.iter().any(|line| line.starts_with("4<")), "{heard:?}");
}

#[test]
fn a_browser_that_holds_something_waits_for_memory_and_goes_on() {
    let mut bench = stored();
    let full = bench.budget.charge_bytes(LIMIT);
    let browse = |subscribing: &mut Subscribing| subscribing.intent = Intent::Browse;
    bench.subscribe_with(2, 1, "/queue/q", AckMode::Auto, 500, browse);
    bench.rest();
    let shown = bench.heard().len();
    assert!((1..=2).contains(&shown), "{shown}");
    drop(full);
    bench.pass(1_000);
    bench.rest();
    assert_eq!(bench.heard().last().map(String::as_str), Some("2<end"));
}
