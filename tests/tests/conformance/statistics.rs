//! Statistics on request: a SEND to `ActiveMQ.Statistics.…` with `reply-to` (dialect, section 3: what a user of ActiveMQ
//! expects).

use serde_json::Value;
use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Frame, Wire};

use super::fixture::{
    VERSIONS, connect, expect_quiet, expect_refusal, header, queue, start_watched,
};

/// A connection that asks and hears.
fn asker(broker: &Broker) -> Wire {
    let mut wire = connect(broker);
    wire.subscribe("answers", "/temp-queue/answers", "auto");
    wire
}

fn ask(wire: &mut Wire, about: &str) -> Frame {
    let headers = [
        ("destination", about),
        ("reply-to", "/temp-queue/answers"),
        ("correlation-id", about),
    ];
    wire.request("SEND", &headers, b"")
}

/// The next answer, checked to say the same in its headers and its body.
fn answer(wire: &mut Wire, about: &str) -> Frame {
    let message = wire.expect_message();
    assert_eq!(header(&message, "correlation-id"), about);
    assert_eq!(header(&message, "brokerName"), "stompbox");
    assert!(header(&message, "brokerId").starts_with("ID:"));
    let body: Value = serde_json::from_str(&message.text()).expect("JSON");
    let facts = body.as_object().expect("an object");
    for (name, value) in facts {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(header(&message, name), value, "{name} of {message}");
    }
    message
}

fn expect_facts(answer: &Frame, facts: &[(&str, &str)]) {
    for (name, value) in facts {
        assert_eq!(header(answer, name), *value, "{name} of {answer}");
    }
}

/// A broker with a queue of three messages: one with a consumer, one acknowledged, one waiting.
fn scene() -> (Broker, Wire, Wire) {
    let broker = start_watched("");
    let mut producer = connect(&broker);
    let mut consumer = connect(&broker);
    let wishes = [("activemq.prefetchSize", "1")];
    consumer.subscribe_with("c", "/queue/shop.tea", "client", &wishes);
    for text in ["one", "two", "three"] {
        producer.send_receipted("/queue/shop.tea", &[], text);
    }
    let message = consumer.expect_message();
    consumer.ack(&message, &[]);
    consumer.expect_message();
    (broker, producer, consumer)
}

/// D3.21
#[test]
fn a_queue_a_topic_and_the_broker_tell_what_they_have_counted() {
    let (broker, mut producer, _consumer) = scene();
    let mut wire = asker(&broker);
    let queue = "/queue/ActiveMQ.Statistics.Destination.shop.tea";
    for about in [queue, "ActiveMQ.Statistics.Destinationshop.tea"] {
        ask(&mut wire, about);
        let facts = [
            ("destinationName", "queue://shop.tea"),
            ("size", "2"),
            ("enqueueCount", "3"),
            ("dequeueCount", "1"),
            ("dispatchCount", "2"),
            ("inflightCount", "1"),
            ("expiredCount", "0"),
            ("messagesCached", "2"),
            ("consumerCount", "1"),
            ("producerCount", "1"),
            ("answerCount", "1"),
        ];
        let answer = answer(&mut wire, about);
        expect_facts(&answer, &facts);
        assert_eq!(answer.header("averageEnqueueTime"), None, "not known");
    }
    let mut reader = connect(&broker);
    reader.subscribe("s", "/topic/news", "auto");
    producer.send_receipted("/topic/news", &[], "");
    let about = "/topic/ActiveMQ.Statistics.Destination.news";
    ask(&mut wire, about);
    let facts = [
        ("destinationName", "topic://news"),
        ("enqueueCount", "1"),
        ("dispatchCount", "1"),
        ("consumerCount", "1"),
        ("producerCount", "1"),
        ("discardedCount", "0"),
    ];
    expect_facts(&answer(&mut wire, about), &facts);
    let about = "/queue/ActiveMQ.Statistics.Broker";
    ask(&mut wire, about);
    let answer = answer(&mut wire, about);
    let facts = [
        ("size", "2"),
        ("inflightCount", "1"),
        ("consumerCount", "3"),
        ("producerCount", "2"),
    ];
    expect_facts(&answer, &facts);
    let number = |name| header(&answer, name).parse::<u64>().expect("a number");
    assert!(number("memoryUsage") < number("memoryLimit"));
}

/// D3.21
#[test]
fn each_subscription_tells_what_it_has() {
    let (broker, _producer, _consumer) = scene();
    let mut wire = asker(&broker);
    let wishes = [("selector", "a = 1"), ("activemq.exclusive", "true")];
    wire.subscribe_with("s", "/queue/x,/queue/y.>,/topic/z", "client", &wishes);
    let about = "/queue/ActiveMQ.Statistics.Subscription";
    ask(&mut wire, about);
    let mut answers: Vec<Frame> = (0..3).map(|_| answer(&mut wire, about)).collect();
    answers.sort_by_key(|answer| header(answer, "destinationName").to_owned());
    let facts = [
        ("destinationName", "queue://shop.tea"),
        ("dispatchedQueueSize", "1"),
        ("pendingQueueSize", "0"),
        ("prefetchSize", "1"),
        ("exclusive", "false"),
        ("slowConsumer", "false"),
        ("answerCount", "3"),
    ];
    expect_facts(&answers[0], &facts);
    assert_eq!(answers[0].header("selector"), None);
    let facts = [
        ("destinationName", "queue://x,topic://z,queue://y.>"),
        ("selector", "a = 1"),
        ("exclusive", "true"),
    ];
    expect_facts(&answers[1], &facts);
    assert!(header(&answers[2], "destinationName").starts_with("temp-queue://"));
}

/// D3.22
#[test]
fn a_pattern_is_answered_for_each_that_matches_and_nothing_with_x_routed_0() {
    let (broker, mut producer, _consumer) = scene();
    producer.send_receipted("/queue/shop.milk", &[], "");
    producer.send_receipted("/topic/shop.news", &[], "");
    let mut wire = asker(&broker);
    let about = "/queue/ActiveMQ.Statistics.Destination.shop.>";
    ask(&mut wire, about);
    for name in ["shop.milk", "shop.tea"] {
        let answer = answer(&mut wire, about);
        let name = format!("queue://{name}");
        expect_facts(&answer, &[("destinationName", &name), ("answerCount", "2")]);
        assert_eq!(answer.header("truncated"), None);
    }
    let receipt = ask(&mut wire, "/queue/ActiveMQ.Statistics.Destination.none");
    assert_eq!(header(&receipt, "x-routed"), "0");
    for name in ["ActiveMQ.Statistics.Broker", "none"] {
        assert!(queue(&broker, name).is_none(), "{name} was made");
    }
}

/// D3.22
#[test]
fn answers_go_wherever_reply_to_names_one_place() {
    let (broker, mut producer, _consumer) = scene();
    for (reply_to, version) in ["/queue/a", "/topic/a", "a"].into_iter().zip(VERSIONS) {
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.subscribe("s", reply_to, "auto");
        let headers = [
            ("destination", "ActiveMQ.Statistics.Broker"),
            ("reply-to", reply_to),
        ];
        producer.request("SEND", &headers, b"");
        let message = wire.expect_message();
        assert_eq!(header(&message, "brokerName"), "stompbox");
        assert_eq!(message.header("correlation-id"), None);
        wire.disconnect();
    }
    let mut wire = connect(&broker);
    let frame = "SUBSCRIBE\nid:s\nreceipt:r\ndestination:ActiveMQ.Statistics.Broker\n\n^@";
    expect_refusal(&mut wire, frame, "SEND to it");
    let about = "/queue/ActiveMQ.Statistics.Broker";
    for (destination, more, error) in [
        (about, "", "reply-to"),
        (about, "reply-to:/queue/a,/queue/b\n", "reply-to"),
        (about, "reply-to:/queue/a.>\n", "reply-to"),
        (
            about,
            "reply-to:/topic/ActiveMQ.Advisory.Queue\n",
            "broker's own",
        ),
        (
            about,
            "reply-to:ActiveMQ.Statistics.Broker\n",
            "broker's own",
        ),
        (
            "/queue/a,ActiveMQ.Statistics.Broker",
            "reply-to:a\n",
            "broker's own",
        ),
        (
            "ActiveMQ.Statistics.Destination.a..b",
            "reply-to:a\n",
            "empty segment",
        ),
        ("ActiveMQ.Statistics.Destination", "reply-to:a\n", "no name"),
        (about, "reply-to:a\nx-delay:1\n", "of now"),
        (about, "reply-to:a\nx-dedup-id:1\n", "of now"),
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\nreceipt:r\ndestination:{destination}\n{more}\n^@");
        expect_refusal(&mut wire, &frame, error);
    }
}

/// D3.22
#[test]
fn whoever_may_make_no_destinations_may_ask_and_listen() {
    let broker =
        start_watched("[policy]\nauto_create = false\nmax_messages = 1\nwhen_full = \"reject\"\n");
    let mut wire = asker(&broker);
    wire.subscribe("a", "/topic/ActiveMQ.Advisory.Connection", "auto");
    wire.send("BEGIN\ntransaction:t\n\n^@");
    let headers = [
        ("destination", "ActiveMQ.Statistics.Broker"),
        ("reply-to", "/temp-queue/answers"),
        ("transaction", "t"),
    ];
    wire.request("SEND", &headers, b"");
    wire.request("COMMIT", &[("transaction", "t")], b"");
    assert_eq!(header(&wire.expect_message(), "producerCount"), "0");
    connect(&broker).disconnect();
    assert_eq!(header(&wire.expect_message(), "event"), "start");
}

/// D3.22
#[test]
fn a_transaction_asks_at_its_commit() {
    let (broker, _producer, _consumer) = scene();
    let mut wire = asker(&broker);
    wire.send("BEGIN\ntransaction:t\n\n^@");
    let headers = [
        ("destination", "ActiveMQ.Statistics.Broker"),
        ("reply-to", "/temp-queue/answers"),
        ("transaction", "t"),
    ];
    wire.request("SEND", &headers, b"");
    expect_quiet(&mut wire);
    wire.request("COMMIT", &[("transaction", "t")], b"");
    assert_eq!(header(&wire.expect_message(), "size"), "2");
}
