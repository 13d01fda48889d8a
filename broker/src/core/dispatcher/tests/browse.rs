//! Browsers.

use super::*;
use crate::core::selector::Selector;

const QUEUE: &str = "/queue/q";
const TEXTS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn filled(mut bench: Bench) -> Bench {
    for connection in [1, 2, 9] {
        bench.open(connection);
    }
    for (index, text) in TEXTS.into_iter().enumerate() {
        let draft = draft(text).priority(if index % 4 == 3 { 9 } else { 4 });
        bench.send(
            9,
            QUEUE,
            if index % 5 == 0 {
                draft.non_persistent()
            } else {
                draft
            },
        );
        bench.rest();
    }
    bench
}

fn browse(bench: &mut Bench, connection: u64, mode: AckMode, prefetch: u32) {
    bench.subscribe_with(connection, 7, QUEUE, mode, prefetch, |wish| {
        wish.intent = Intent::Browse;
    });
    bench.rest();
}

fn in_order() -> Vec<String> {
    let urgent = ["d", "h", "l"];
    let rest = TEXTS.into_iter().filter(|text| !urgent.contains(text));
    let all = urgent.into_iter().chain(rest);
    all.map(|text| format!("1<{text}#1")).collect()
}

#[test]
fn a_browser_sees_everything_in_order_and_takes_nothing() {
    for bench in [Bench::new(), Bench::paging(1, 2), Bench::paging(0, 3)] {
        let mut bench = filled(bench);
        browse(&mut bench, 1, AckMode::ClientIndividual, 100);
        let mut expected = in_order();
        expected.push("1<end".to_owned());
        assert_eq!(bench.heard(), expected);
        for text in TEXTS {
            bench.ack(1, text);
        }
        bench.rest();
        let view = bench.view("q");
        assert_eq!((view.depth, view.in_flight, view.consumers), (12, 0, 0));
        bench.subscribe(1, 0, QUEUE, AckMode::ClientIndividual, 100);
        bench.rest();
        assert_eq!(bench.heard(), in_order());
    }
}

#[test]
fn a_browser_walks_as_far_as_its_credit_goes() {
    for bench in [Bench::new(), Bench::paging(1, 2)] {
        let mut bench = filled(bench);
        browse(&mut bench, 1, AckMode::ClientIndividual, 2);
        let mut seen = Vec::new();
        for _ in 0..20 {
            for heard in bench.heard() {
                if let Some(text) = TEXTS
                    .into_iter()
                    .find(|text| heard == format!("1<{text}#1"))
                {
                    bench.ack(1, text);
                }
                seen.push(heard);
            }
            bench.rest();
        }
        assert_eq!(seen.pop().as_deref(), Some("1<end"));
        assert_eq!(seen, in_order());
    }
}

#[test]
fn what_others_take_or_send_meanwhile_is_not_shown() {
    for bench in [Bench::new(), Bench::paging(1, 2)] {
        let mut bench = filled(bench);
        browse(&mut bench, 1, AckMode::ClientIndividual, 4);
        assert_eq!(bench.heard(), in_order()[..4]);
        bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 7);
        bench.rest();
        bench.heard();
        bench.lose(9, 0);
        bench.open(9);
        bench.send(9, QUEUE, draft("a"));
        bench.rest();
        bench.heard();
        for text in ["d", "h", "l", "a"] {
            bench.ack(1, text);
        }
        bench.rest();
        assert_eq!(bench.heard(), ["1<f#1", "1<g#1", "1<i#1", "1<j#1"]);
        bench.ack(1, "f");
        bench.ack(1, "g");
        bench.rest();
        assert_eq!(bench.heard(), ["1<k#1", "1<end"]);
    }
}

#[test]
fn a_browser_selects_and_an_empty_queue_ends_at_once() {
    let mut bench = filled(Bench::paging(1, 2));
    let selector = Selector::parse("JMSPriority = 9")
        .expect("a selector")
        .map(Arc::new);
    bench.subscribe_with(1, 7, QUEUE, AckMode::Auto, 100, |wish| {
        wish.intent = Intent::Browse;
        wish.selector = selector;
    });
    bench.rest();
    assert_eq!(bench.heard(), ["1<d#1", "1<h#1", "1<l#1", "1<end"]);
    bench.subscribe_with(1, 8, "/queue/empty", AckMode::Auto, 100, |wish| {
        wish.intent = Intent::Browse;
    });
    bench.rest();
    assert_eq!(bench.heard(), ["1<end"]);
    bench.subscribe_with(2, 8, "/topic/t", AckMode::Auto, 100, |wish| {
        wish.intent = Intent::Browse;
    });
    bench.rest();
    assert_eq!(bench.heard(), ["2<refused: a browser walks one queue"]);
}

#[test]
fn a_browser_that_leaves_in_the_middle_leaves_nothing_behind() {
    let mut bench = filled(Bench::paging(1, 2));
    browse(&mut bench, 1, AckMode::Client, 5);
    bench.lose(1, 5);
    bench.rest();
    let view = bench.view("q");
    assert_eq!((view.depth, view.in_flight), (12, 0));
    bench.heard();
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 1);
    bench.rest();
    assert_eq!(bench.heard(), ["2<d#1"], "it has not been delivered before");
}

#[test]
fn browsers_and_a_consumer_take_turns_at_the_disk() {
    let mut bench = filled(Bench::paging(0, 1));
    bench.open(3);
    for connection in [1, 3] {
        bench.subscribe_with(connection, 7, QUEUE, AckMode::Auto, 100, |wish| {
            wish.intent = Intent::Browse;
        });
    }
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 1);
    let (mut taken, mut shown) = (Vec::new(), [0, 0]);
    bench.turn();
    while taken.len() < 6 {
        bench.commit();
        bench.answer();
        for heard in bench.heard() {
            match &heard[..1] {
                "2" => {
                    bench.ack(2, &heard[2..3]);
                    taken.push(heard);
                }
                "1" => shown[0] += 1,
                _ => shown[1] += 1,
            }
        }
        bench.turn();
    }
    assert!(
        shown.iter().sum::<usize>() < 12,
        "{shown:?} of 24 are shown already"
    );
    assert!(
        shown.iter().all(|shown| *shown > 2),
        "{shown:?}: neither starves"
    );
}

#[test]
fn who_looks_counts_in_no_statistics() {
    for mode in [AckMode::Auto, AckMode::ClientIndividual] {
        let mut bench = filled(Bench::paging(1, 2));
        browse(&mut bench, 1, mode, 100);
        match mode {
            AckMode::Auto => bench.written(1, 7, 12),
            _ => TEXTS.into_iter().for_each(|text| bench.ack(1, text)),
        }
        bench.rest();
        let overview = bench.dispatcher.overview();
        let counts = (overview.dispatched_total, overview.acknowledged_total);
        assert_eq!(counts, (0, 0), "{mode:?}");
        assert_eq!(overview.redelivered_total, 0);
        assert_eq!(bench.view("q").dispatched_total, 0);
    }
}
