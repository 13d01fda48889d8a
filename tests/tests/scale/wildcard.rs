//! Topics and patterns in masses: what is published to one topic does not pay for the others.

use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use stompbox_tests::say;
use stompbox_tests::scale::Scale;

use crate::client::{Client, body};
use crate::load::{compare, push_send, start};

const TOPICS_OF_A_PATTERN: usize = 10;

/// Patterns that a connection subscribes to.
const OF_A_CONNECTION: usize = 1_000;

/// A pattern that matches ten of the topics.
fn pattern(number: usize) -> String {
    match number % 2 {
        0 => format!("/topic/many.{number}.>"),
        _ => format!("/topic/*.{number}.*"),
    }
}

/// Subscribes to so many patterns; the connections that hold them.
fn subscribe(address: SocketAddr, count: usize) -> Vec<Client> {
    let numbers: Vec<usize> = (0..count).collect();
    numbers
        .chunks(OF_A_CONNECTION)
        .map(|numbers| {
            let mut client = Client::connect(address);
            let mut batch = String::new();
            for number in numbers {
                let pattern = pattern(*number);
                batch.push_str(&format!(
                    "SUBSCRIBE\nid:{number}\ndestination:{pattern}\n\n\0"
                ));
            }
            batch.push_str("SEND\ndestination:/queue/done\nreceipt:r\npersistent:false\n\n\0");
            client.send(batch);
            client.expect_receipt();
            client
        })
        .collect()
}

/// A producer and a consumer.
struct Ends {
    producer: Client,
    consumer: Client,
}

impl Ends {
    fn open(address: SocketAddr, source: &str) -> Ends {
        let mut consumer = Client::connect(address);
        consumer.send(format!(
            "SUBSCRIBE\nid:s\ndestination:{source}\nreceipt:r\n\n\0"
        ));
        consumer.expect_receipt();
        Ends {
            producer: Client::connect(address),
            consumer,
        }
    }

    /// Publishes to a topic until the consumer has all of it; messages a second.
    fn publish(&mut self, topic: &str, count: usize) -> f64 {
        const BATCH: usize = 500;
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            push_send(&mut batch, topic, "persistent:false\n", &[b'x'; 32]);
        }
        let Ends { producer, consumer } = self;
        let began = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..count / BATCH {
                    producer.send(&batch);
                }
            });
            for _ in 0..count / BATCH * BATCH {
                assert_eq!(body(consumer.next()), [b'x'; 32]);
            }
        });
        count as f64 / began.elapsed().as_secs_f64()
    }
}

#[test]
fn a_topic_among_many_topics_and_patterns_is_as_fast_as_one_alone() {
    let scale = Scale::asked_for();
    let (patterns, messages, rounds) = scale.of((300, 5_000, 3), (10_000, 1_000_000, 7));
    let topics = patterns * TOPICS_OF_A_PATTERN;

    let many = start();
    let mut holders = subscribe(many.stomp(), patterns);
    let mut producer = Client::connect(many.stomp());
    let name = |number: usize| {
        let (pattern, leaf) = (number / TOPICS_OF_A_PATTERN, number % TOPICS_OF_A_PATTERN);
        format!("/topic/many.{pattern}.{leaf}")
    };
    let began = Instant::now();
    let mut batch = Vec::new();
    for number in 0..topics {
        push_send(&mut batch, &name(number), "persistent:false\n", b"made");
    }
    producer.send(&batch);
    for holder in &mut holders {
        for _ in 0..TOPICS_OF_A_PATTERN * patterns.min(OF_A_CONNECTION) {
            assert_eq!(body(holder.next()), b"made");
        }
    }
    let made = topics as f64 / began.elapsed().as_secs_f64();

    let alone = start();
    let mut ratios = Vec::new();
    for (heard, source, topic) in [
        ("by its name", "/topic/one", "/topic/one"),
        ("by a pattern", "/topic/of.0.>", "/topic/of.0.0"),
    ] {
        let (mut among, mut single) = (
            Ends::open(many.stomp(), source),
            Ends::open(alone.stomp(), source),
        );
        let (of_many, one) = compare(
            rounds,
            |_| among.publish(topic, messages),
            |_| single.publish(topic, messages),
        );
        let ratio = of_many / one;
        say(&format!(
            "proof: scale wildcard: to one of {topics} topics beside {patterns} patterns, heard {heard}, \
             {of_many:.0}/s, alone {one:.0}/s, ratio {ratio:.2}"
        ));
        ratios.push(ratio);
    }
    say(&format!(
        "proof: scale wildcard: the first messages of {topics} topics, each matched by a pattern, {made:.0}/s"
    ));
    let least = scale.of(0.25, 0.8);
    assert!(ratios.iter().all(|ratio| *ratio >= least), "{ratios:.2?}");
}
