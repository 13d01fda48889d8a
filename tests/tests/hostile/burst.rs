//! Messages that go to thousands of queues each.

use std::time::Duration;

use stompbox_tests::flood::Flood;
use stompbox_tests::scale::Scale;

use crate::fixture::start_watched;
use crate::trial::{MIB, Trial};

#[test]
fn small_messages_for_thousands_of_queues_bound_the_memory_and_stop_nobody() {
    let scale = Scale::asked_for();
    let (queues, sends) = (scale.of(300, 5_000), scale.of(100, 500));
    let broker = start_watched("[limits]\nmemory_bytes = \"256 MiB\"\n");
    let mut owner = Flood::connect(broker.stomp());
    for number in 0..queues {
        let receipt = if number + 1 == queues {
            "receipt:all\n"
        } else {
            ""
        };
        owner.send(format!(
            "SUBSCRIBE\nid:{number}\nack:client-individual\nactivemq.prefetchSize:1\n\
             destination:/queue/Consumer.{number}.VirtualTopic.t\n{receipt}\n\0"
        ));
    }
    let receipt = owner.read_frame().expect("a receipt comes");
    assert!(
        receipt.starts_with(b"RECEIPT"),
        "{}",
        receipt.escape_ascii()
    );
    let trial = Trial::begin("small messages for 5,000 queues each", broker);
    trial.run(384 * MIB, |broker| {
        let mut flood = Flood::connect(broker.stomp());
        flood.send("SEND\ndestination:/topic/VirtualTopic.t\n\nx\0".repeat(sends - 1));
        flood.send("SEND\ndestination:/topic/VirtualTopic.t\nreceipt:last\n\nx\0");
        let patience = Duration::from_secs(scale.of(60, 120));
        flood
            .stream
            .set_read_timeout(Some(patience))
            .expect("a timeout");
        let receipt = flood.read_frame().expect("a receipt comes");
        assert!(
            receipt.starts_with(b"RECEIPT"),
            "{}",
            receipt.escape_ascii()
        );
        drop(owner);
    });
}
