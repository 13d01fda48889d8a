//! Advisories: what the broker tells about itself on `/topic/ActiveMQ.Advisory.>` (dialect, sections 3 and 8).

use std::time::Duration;

use serde_json::Value;
use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Frame, Version, Wire, WireError};

use super::fixture::{VERSIONS, connect, expect_quiet, expect_refusal, header, start, start_with};

const ADVISORY: &str = "/topic/ActiveMQ.Advisory.";

/// A connection that listens to this.
fn listener(broker: &Broker, topics: &str) -> Wire {
    let mut wire = connect(broker);
    let list: Vec<_> = topics
        .split(' ')
        .map(|topic| format!("{ADVISORY}{topic}"))
        .collect();
    wire.subscribe("advisories", &list.join(","), "auto");
    wire
}

/// The next advisory, which must be of this topic, say this in headers and the same in its body.
fn expect_told(wire: &mut Wire, topic: &str, facts: &[(&str, &str)]) -> Frame {
    let message = wire.expect_message();
    assert_eq!(
        header(&message, "destination"),
        format!("{ADVISORY}{topic}"),
        "{message}"
    );
    assert_eq!(header(&message, "type"), "Advisory");
    assert_eq!(header(&message, "persistent"), "false");
    let body: Value = serde_json::from_str(&message.text()).expect("JSON");
    let always = [("originBrokerName", "stompbox")];
    for (name, value) in always.iter().chain(facts) {
        assert_eq!(header(&message, name), *value, "{name} of {message}");
        let told = body[name]
            .as_str()
            .map_or_else(|| body[name].to_string(), str::to_owned);
        assert_eq!(told, *value, "{name} in the body of {message}");
    }
    message
}

/// Checks that nothing was told which the test has not taken.
fn expect_no_more(wire: &mut Wire) {
    let receipt = wire.new_receipt();
    wire.send(&format!(
        "UNSUBSCRIBE\nid:advisories\nreceipt:{receipt}\n\n^@"
    ));
    wire.expect_receipt(&receipt);
    match wire.try_first(Duration::ZERO, |frame| frame.command == "MESSAGE") {
        Err(WireError::TimedOut(_)) => {}
        Err(error) => wire.fail(&format!("expected no more: {error}")),
        Ok(frame) => wire.fail(&format!("expected no more, got {frame}")),
    }
}

/// D3.13
#[test]
fn connections_and_destinations_are_told_when_they_come_and_go() {
    for version in VERSIONS {
        let broker = start();
        let mut listener = listener(&broker, "Connection Queue Topic TempQueue TempTopic");
        let text = version.text();
        let id = format!("client of {text}");
        let wishes = [("client-id", id.as_str()), ("login", "me")];
        let mut wire = Wire::connect_with(broker.stomp(), version, &wishes);
        let facts = [
            ("event", "start"),
            ("clientId", id.as_str()),
            ("userName", "me"),
        ];
        let told = expect_told(&mut listener, "Connection", &facts);
        let connection = header(&told, "connectionId").to_owned();
        assert!(!header(&told, "clientIp").is_empty());
        let (queue, topic) = (format!("q.{text}"), format!("t.{text}"));
        wire.send_receipted(&format!("/queue/{queue}"), &[], "");
        wire.send_receipted(&format!("/topic/{topic}"), &[], "");
        for (kind, scheme, name) in [("Queue", "queue", queue), ("Topic", "topic", topic)] {
            let name = format!("{scheme}://{name}");
            let facts = [
                ("event", "start"),
                ("originalDestination", name.as_str()),
                ("orignalDestination", name.as_str()),
            ];
            expect_told(&mut listener, kind, &facts);
        }
        wire.subscribe("a", "/temp-queue/a", "auto");
        wire.subscribe("b", "/temp-topic/b", "auto");
        let made = ["TempQueue", "TempTopic"].map(|kind| {
            let told = expect_told(&mut listener, kind, &[("event", "start")]);
            (kind, header(&told, "originalDestination").to_owned())
        });
        wire.disconnect();
        for (kind, name) in made {
            let facts = [("event", "stop"), ("originalDestination", name.as_str())];
            expect_told(&mut listener, kind, &facts);
        }
        let facts = [("event", "stop"), ("connectionId", connection.as_str())];
        expect_told(&mut listener, "Connection", &facts);
        expect_no_more(&mut listener);
    }
}

/// D3.17
#[test]
fn consumers_and_producers_are_told_with_their_counts() {
    let broker = start();
    for (kind, scheme) in [("Queue", "queue"), ("Topic", "topic")] {
        let consumers = format!("Consumer.{kind}.d");
        let producers = format!("Producer.{kind}.d");
        let mut listener = listener(&broker, &format!("{consumers} {producers}"));
        let (destination, name) = (format!("/{scheme}/d"), format!("{scheme}://d"));
        let facts = |event, count_of, count| {
            [
                ("event", event),
                (count_of, count),
                ("originalDestination", name.clone().leak() as &str),
            ]
        };
        let mut one = connect(&broker);
        let wishes = [("selector", "n = 1"), ("activemq.prefetchSize", "7")];
        one.subscribe_with("s", &destination, "client", &wishes);
        let told = expect_told(
            &mut listener,
            &consumers,
            &facts("start", "consumerCount", "1"),
        );
        assert_eq!(header(&told, "prefetchSize"), "7");
        assert_eq!(header(&told, "selector"), "n = 1");
        let mut two = connect(&broker);
        two.subscribe("s", &destination, "auto");
        expect_told(
            &mut listener,
            &consumers,
            &facts("start", "consumerCount", "2"),
        );
        for (wire, count) in [(&mut one, "1"), (&mut two, "2")] {
            wire.send_receipted(&destination, &[], "once");
            expect_told(
                &mut listener,
                &producers,
                &facts("start", "producerCount", count),
            );
            wire.send_receipted(&destination, &[], "again");
        }
        one.request("UNSUBSCRIBE", &[("id", "s")], b"");
        let gone = expect_told(
            &mut listener,
            &consumers,
            &facts("stop", "consumerCount", "1"),
        );
        assert_eq!(header(&gone, "consumerId"), header(&told, "consumerId"));
        two.disconnect();
        expect_told(
            &mut listener,
            &consumers,
            &facts("stop", "consumerCount", "0"),
        );
        expect_told(
            &mut listener,
            &producers,
            &facts("stop", "producerCount", "1"),
        );
        one.disconnect();
        expect_told(
            &mut listener,
            &producers,
            &facts("stop", "producerCount", "0"),
        );
        expect_no_more(&mut listener);
    }
}

/// D3.18
#[test]
fn messages_that_die_expire_or_reach_nobody_are_told_by_their_id() {
    let broker = start_with("[policy]\ndead_letter_non_persistent = false\n");
    let topics = "MessageDLQd.> Expired.> MessageDiscarded.> NoConsumer.>";
    let mut listener = listener(&broker, topics);
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/q", "client");
    wire.send_receipted("/queue/q", &[], "nacked");
    let message = wire.expect_message();
    let id = header(&message, "message-id").to_owned();
    wire.nack(&message, &[("requeue", "false")]);
    let facts = [
        ("originalMessageId", id.as_str()),
        ("orignalMessageId", id.as_str()),
        ("originalDestination", "queue://q"),
        ("dlqReason", "nack"),
        ("deadLetterDestination", "queue://ActiveMQ.DLQ"),
    ];
    expect_told(&mut listener, "MessageDLQd.Queue.q", &facts);
    wire.send_receipted("/queue/q", &[("persistent", "false")], "dropped");
    let message = wire.expect_message();
    let id = header(&message, "message-id").to_owned();
    wire.nack(&message, &[("requeue", "false")]);
    let facts = [("originalMessageId", id.as_str())];
    expect_told(&mut listener, "MessageDiscarded.Queue.q", &facts);
    // One that is read from memory and one of a topic.
    wire.send_receipted("/queue/late", &[("expires", "1000")], "");
    let facts = [("originalDestination", "queue://late")];
    let expired = expect_told(&mut listener, "Expired.Queue.late", &facts);
    let id = header(&expired, "originalMessageId").to_owned();
    let facts = [("originalMessageId", id.as_str()), ("dlqReason", "expired")];
    expect_told(&mut listener, "MessageDLQd.Queue.late", &facts);
    wire.subscribe("t", "/topic/t", "auto");
    wire.send_receipted("/topic/t", &[("expires", "1000")], "");
    expect_told(&mut listener, "Expired.Topic.t", &[]);
    wire.send_receipted("/topic/nobody", &[], "");
    let facts = [("originalDestination", "topic://nobody")];
    expect_told(&mut listener, "NoConsumer.Topic.nobody", &facts);
    wire.send_receipted("/topic/t", &[], "somebody");
    expect_no_more(&mut listener);
}

/// D3.19, D8.15
#[test]
fn slow_consumers_and_what_is_full_are_told_with_the_limit() {
    let check = |policy: &str, usage: &str, body: &str, full: bool| {
        let broker = start_with(policy);
        let mut listener = listener(&broker, "SlowConsumer.> FULL.> MessageDiscarded.>");
        let mut slow = connect(&broker);
        slow.subscribe_with("s", "/topic/t", "client", &[("activemq.prefetchSize", "1")]);
        let mut producer = connect(&broker);
        for _ in 0..4 {
            producer.send(&format!("SEND\ndestination:/topic/t\n\n{body}^@"));
        }
        let facts = [("originalDestination", "topic://t"), ("usageName", usage)];
        let told = expect_told(&mut listener, "SlowConsumer.Topic.t", &facts);
        let consumer = header(&told, "consumerId").to_owned();
        if full {
            expect_told(&mut listener, "FULL.Topic.t", &facts);
        } else {
            let facts = [("consumerId", consumer.as_str()), ("discardedCount", "1")];
            expect_told(&mut listener, "MessageDiscarded.Topic.t", &facts);
        }
        expect_no_more(&mut listener);
    };
    let long = "x".repeat(700);
    let few = "[policy]\npending_messages = 2\n";
    let small = "[policy]\npending_bytes = 1024\nslow_consumer = \"block\"\n";
    let dropping = "[policy]\npending_messages = 2\nslow_consumer = \"drop-oldest\"\n";
    check(few, "policy.pending_messages", "", true);
    check(small, "policy.pending_bytes", &long, true);
    check(dropping, "policy.pending_messages", "", false);
}

/// D3.19
#[test]
fn a_queue_at_its_own_limit_is_told_whoever_pays() {
    for (when_full, limit, usage) in [
        ("block", "max_messages = 2", "policy.max_messages"),
        ("reject", "max_messages = 2", "policy.max_messages"),
        ("block", "max_bytes = 1024", "policy.max_bytes"),
        ("drop-oldest", "max_messages = 2", ""),
    ] {
        let broker = start_with(&format!("[policy]\n{limit}\nwhen_full = \"{when_full}\"\n"));
        let mut listener = listener(&broker, "FULL.> MessageDiscarded.>");
        let mut producer = connect(&broker);
        let body = "x".repeat(600);
        for _ in 0..3 {
            producer.send(&format!("SEND\ndestination:/queue/q\n\n{body}^@"));
        }
        let facts = [("originalDestination", "queue://q"), ("usageName", usage)];
        if when_full == "drop-oldest" {
            expect_told(&mut listener, "MessageDiscarded.Queue.q", &facts[..1]);
        } else {
            expect_told(&mut listener, "FULL.Queue.q", &facts);
        }
        expect_no_more(&mut listener);
    }
}

/// D3.19
#[test]
fn a_full_memory_is_told_to_who_asks_about_the_destination() {
    let broker = start_with(
        "[policy]\nprefetch_bytes = \"64 MiB\"\n[limits]\nmemory_bytes = \"16 MiB\"\nbody_bytes = \"1 MiB\"\n\
         transaction_bytes = \"1 MiB\"\n",
    );
    let mut listener = listener(&broker, "FULL.>");
    let mut reader = connect(&broker);
    // What a consumer holds cannot leave memory.
    reader.subscribe("s", "/queue/q", "client");
    let mut producer = connect(&broker);
    let headers = [("destination", "/queue/q"), ("persistent", "false")];
    let frame = producer.encode("SEND", &headers, &vec![b'x'; 200 * 1024]);
    for _ in 0..83 {
        producer.send_raw(&frame);
    }
    let facts = [
        ("originalDestination", "queue://q"),
        ("usageName", "limits.memory_bytes"),
    ];
    expect_told(&mut listener, "FULL.Queue.q", &facts);
}

/// D3.20
#[test]
fn on_advisory_topics_the_broker_alone_publishes() {
    let broker = start();
    for destination in [
        "/topic/ActiveMQ.Advisory.Connection",
        "/topic/ActiveMQ.Advisory.anything.else",
        "/queue/a,/topic/ActiveMQ.Advisory.Queue",
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\nreceipt:r\ndestination:{destination}\n\n^@");
        let error = expect_refusal(&mut wire, &frame, "the broker's own");
        assert_eq!(header(&error, "receipt-id"), "r");
    }
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/ActiveMQ.Advisory.Connection", "auto");
    wire.send_receipted(
        "/queue/ActiveMQ.Advisory.Connection",
        &[],
        "a queue is another thing",
    );
    wire.expect_message();
}

/// D3.20
#[test]
fn a_listener_that_does_not_keep_up_loses_the_oldest_and_holds_nobody_back() {
    let broker = start_with("[policy]\npending_messages = 2\nslow_consumer = \"block\"\n");
    let mut listener = connect(&broker);
    let wishes = [("activemq.prefetchSize", "1")];
    listener.subscribe_with("s", &format!("{ADVISORY}Queue"), "client", &wishes);
    let mut wire = connect(&broker);
    for number in 0..9 {
        wire.send_receipted(&format!("/queue/q{number}"), &[], "");
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        let message = listener.expect_message();
        told.push(header(&message, "originalDestination").to_owned());
        listener.ack(&message, &[]);
    }
    assert_eq!(told, ["queue://q0", "queue://q7", "queue://q8"]);
    expect_quiet(&mut listener);
}

/// D3.20
#[test]
fn only_who_names_them_hears_advisories() {
    let broker = start();
    let mut all = Wire::connect(broker.stomp(), Version::V12);
    all.subscribe("all", "/topic/>,/topic/*.Advisory.*", "auto");
    let mut own = connect(&broker);
    own.subscribe("own", "/topic/ActiveMQ.>", "auto");
    let other = connect(&broker);
    other.disconnect();
    for event in ["start", "stop"] {
        let message = own.expect_message();
        assert_eq!(
            header(&message, "destination"),
            "/topic/ActiveMQ.Advisory.Connection"
        );
        assert_eq!(header(&message, "event"), event);
    }
    let mut sender = connect(&broker);
    sender.send_receipted("/topic/seen", &[], "seen");
    assert_eq!(all.expect_message().text(), "seen");
}
