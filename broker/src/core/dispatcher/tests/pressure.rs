//! Memory that is short: what nobody is about to be given leaves it and comes back in its place.

use super::*;
use stompbox_store::Medium;

const QUEUE: &str = "/queue/q";
const TEXTS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// Memory for ten messages; two of a queue stay when it is short.
fn tight() -> Bench {
    let window = Window {
        messages: 2,
        page_messages: 2,
        ..Window::default()
    };
    let mut bench = Bench::with_memory(window, Policies::default(), 2_570);
    bench.open(1);
    bench.open(2);
    bench
}

fn settle_down(bench: &mut Bench) {
    for _ in 0..10 {
        bench.pass(100);
        bench.rest();
    }
}

#[test]
fn non_persistent_messages_spill_and_arrive_in_order() {
    let mut bench = tight();
    for (index, text) in TEXTS.into_iter().enumerate() {
        let sent = draft(text).non_persistent();
        bench.send(1, QUEUE, if index % 3 == 2 { draft(text) } else { sent });
        settle_down(&mut bench);
    }
    assert!(
        !bench.heard().contains(&"1<block".to_owned()),
        "memory was made free in time"
    );
    assert!(bench.view("q").paged >= 6, "{:?}", bench.view("q"));
    assert!(bench.budget.used_bytes() < 2_570 / 10 * 8);
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 1);
    for text in TEXTS {
        settle_down(&mut bench);
        assert_eq!(bench.heard(), [format!("2<{text}#1")]);
        bench.ack(2, text);
    }
    settle_down(&mut bench);
    assert_eq!(bench.view("q").depth, 0);
    assert!(bench.disk.tallies().is_empty());
    assert_eq!(bench.budget.used_bytes(), 0);
}

#[test]
fn a_spilled_message_that_expires_is_dropped_and_one_that_fails_becomes_a_dead_letter() {
    let mut bench = tight();
    for text in &TEXTS[..9] {
        let ttl_ms = if *text == "h" { 5_000 } else { 0 };
        bench.send(1, QUEUE, draft(text).non_persistent().ttl_ms(ttl_ms));
        settle_down(&mut bench);
    }
    bench.pass(10_000);
    settle_down(&mut bench);
    assert_eq!(
        (bench.view("q").depth, bench.view("q").expired_total),
        (8, 1)
    );
    bench.subscribe(2, 0, QUEUE, AckMode::ClientIndividual, 100);
    settle_down(&mut bench);
    let refusal = Verdict::Nack {
        delay: None,
        requeue: crate::core::port::Requeue::Forbidden,
    };
    for text in ["a", "b", "c", "d", "e", "f", "g", "i"] {
        bench.acknowledge(2, text, refusal, None);
        settle_down(&mut bench);
    }
    assert_eq!(
        (bench.view("q").depth, bench.view("ActiveMQ.DLQ").depth),
        (0, 8)
    );
    assert_eq!(
        bench.disk.tallies()[0].count,
        8,
        "dead letters are persistent"
    );
}

#[test]
fn persistent_messages_of_many_shallow_queues_leave_memory_too() {
    let mut bench = tight();
    for queue in ["/queue/q1", "/queue/q2"] {
        for text in &TEXTS[..4] {
            bench.send(1, queue, draft(text));
        }
    }
    settle_down(&mut bench);
    assert_eq!((bench.view("q1").paged, bench.view("q2").paged), (2, 2));
}

#[test]
fn what_the_scratch_file_has_no_room_for_stays_in_memory_and_is_not_lost() {
    let mut bench = tight();
    bench.disk.fill(Medium::Scratch);
    for text in TEXTS {
        bench.send(1, QUEUE, draft(text).non_persistent());
        settle_down(&mut bench);
    }
    assert!(
        bench.heard().contains(&"1<block".to_owned()),
        "nothing leaves memory"
    );
    bench.disk.free(Medium::Scratch);
    bench.pass(2_000);
    settle_down(&mut bench);
    assert!(bench.heard().contains(&"1<unblock".to_owned()));
    bench.subscribe(2, 0, QUEUE, AckMode::Client, 2);
    let mut heard = Vec::new();
    for pair in TEXTS.chunks(2) {
        settle_down(&mut bench);
        heard.extend(bench.heard());
        bench.ack(2, pair[1]);
    }
    let all: Vec<String> = TEXTS.iter().map(|text| format!("2<{text}#1")).collect();
    assert_eq!(heard, all);
}

#[test]
fn a_send_to_a_full_disk_limit_holds_its_producer_back_until_a_tenth_is_free() {
    let mut bench = Bench::new();
    bench.limit_disk(1_000);
    bench.open(1);
    bench.open(2);
    for (used, sent, heard) in [
        (999, draft("a"), &[][..]),
        (1_000, draft("b"), &["1<block"]),
        (950, draft("c").non_persistent(), &[]),
        (899, draft("d"), &["1<unblock"]),
    ] {
        let sender = if heard.is_empty() { 2 } else { 1 };
        bench.dispatcher.store_is(&stompbox_store::StoreStatistics {
            database_bytes: used + 500,
            database_free_bytes: 500,
            ..Default::default()
        });
        bench.send(sender, QUEUE, sent);
        bench.rest();
        let said: Vec<String> = bench.heard();
        assert_eq!(said, heard, "{used}");
    }
}

#[test]
fn a_producer_is_stopped_by_the_disk_where_it_writes_to_the_disk() {
    let mut bench = tight();
    bench.open(9);
    bench.limit_disk(1_000);
    bench.ask(9, Request::MakeTemporary(name("/remote-temp-queue/secret")));
    bench.subscribe(2, 0, "/queue/Consumer.A.VirtualTopic.X", AckMode::Auto, 1);
    bench.dispatcher.store_is(&stompbox_store::StoreStatistics {
        database_bytes: 2_000,
        ..Default::default()
    });
    bench.turn();
    bench.heard();
    for (to, expected) in [
        ("/remote-temp-queue/secret", &[][..]),
        ("/topic/plain", &[]),
        ("/topic/VirtualTopic.X", &["1<block"]),
    ] {
        bench.send(1, to, draft("a"));
        bench.turn();
        let mut heard = bench.heard();
        heard.retain(|heard| heard.starts_with('1'));
        assert_eq!(heard, expected, "{to}");
    }
}
