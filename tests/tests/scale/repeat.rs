//! Ids of repeated messages in masses: what they cost a producer, and what they cost in memory.

use stompbox_tests::broker::Broker;
use stompbox_tests::say;
use stompbox_tests::scale::Scale;

use crate::client::{Client, find};
use crate::load::{
    MIB, compare, numbered_body, publish, publish_numbered, push_send, resident, start,
};

/// As long as a UUID.
fn id(number: usize) -> String {
    format!("_AMQ_DUPL_ID:{number:08x}-0000-4000-8000-{number:012x}\n")
}

#[test]
fn ids_of_messages_leave_most_of_the_rate() {
    let (messages, rounds) = Scale::asked_for().of((2_000, 3), (100_000, 5));
    let broker = start();
    let mut plain = Client::connect(broker.stomp());
    let mut known = Client::connect(broker.stomp());
    let (without, with) = compare(
        rounds,
        |_| publish_numbered(&mut plain, messages, "/queue/plain", |_| String::new()),
        |round| {
            let ids = |number| id(round * messages + number);
            publish_numbered(&mut known, messages, "/queue/known", ids)
        },
    );
    let ratio = with / without;
    // The last of them are all known.
    let last = rounds * messages - 1_000;
    let mut batch = Vec::new();
    for number in last..last + 1_000 {
        let headers = format!("receipt:{number}\n{}", id(number));
        push_send(&mut batch, "/queue/known", &headers, b"again");
    }
    known.send(&batch);
    for _ in 0..1_000 {
        let receipt = known.next();
        assert_eq!(find(receipt, "x-duplicate"), Some("true"));
    }
    say(&format!(
        "proof: scale repeat: {with:.0}/s with an id, {without:.0}/s without, ratio {ratio:.2}"
    ));
    assert!(ratio >= Scale::asked_for().of(0.2, 0.5), "{ratio:.2}");
}

/// Sends messages with ids to many queues; how many a second.
fn publish_round(
    broker: &Broker,
    queues: usize,
    each: usize,
    queue: impl Fn(usize) -> usize,
) -> f64 {
    let mut client = Client::connect(broker.stomp());
    publish(&mut client, queues * each, |number, batch| {
        let headers = format!("receipt:{number}\npersistent:true\n{}", id(number));
        let queue = format!("/queue/many.{}", queue(number));
        push_send(batch, &queue, &headers, &numbered_body(number)[..64]);
    })
}

#[test]
fn ids_of_many_destinations_leave_memory_and_are_still_known() {
    let (queues, each) = Scale::asked_for().of((20, 50), (1_000, 1_000));
    let broker = start();
    let resident = resident(&broker);
    let before = resident.now_bytes().expect("it runs");
    let in_turn = publish_round(&broker, queues, each, |number| number % queues);
    let peak = resident
        .peak_bytes()
        .expect("it runs")
        .saturating_sub(before);
    let mut client = Client::connect(broker.stomp());
    // The first one of each queue and the last one.
    let total = queues * each;
    for number in (0..queues).chain(total - queues..total) {
        let headers = format!("receipt:{number}\n{}", id(number));
        let mut frame = Vec::new();
        let queue = format!("/queue/many.{}", number % queues);
        push_send(&mut frame, &queue, &headers, b"again");
        client.send(&frame);
        let receipt = client.next();
        assert_eq!(find(receipt, "x-duplicate"), Some("true"), "{number}");
    }
    say(&format!(
        "proof: scale repeat: {total} ids to {queues} queues in turn {in_turn:.0}/s, {} MiB more resident at the most",
        peak / MIB
    ));
}
