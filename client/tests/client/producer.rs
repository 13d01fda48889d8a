//! SEND: what is written, what its receipt says, how many may be under way.

use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use stompbox_client::{
    AcknowledgeMode, ClientError, DeliveryMode, Destination, OutgoingMessage, Producer, Reconnect,
    TraceContext,
};
use stompbox_protocol::Command;

use crate::deadline::within;
use crate::peer::{Host, Peer, assert_headers, assert_no_headers, connected, text};

async fn producer() -> (Producer, Peer, Host) {
    let (connection, peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    (session.producer("/queue/a"), peer, host)
}

#[tokio::test]
async fn send_waits_for_the_receipt_and_says_what_the_broker_says() {
    let (producer, mut peer, _host) = producer().await;
    let broker = async {
        let frame = peer.expect(Command::Send).await;
        assert_headers(
            &frame,
            &[
                ("destination", "/queue/a"),
                ("content-length", "5"),
                ("content-type", "text/plain"),
                ("persistent", "true"),
            ],
        );
        assert_eq!(frame.body(), b"h\0llo");
        peer.receipt(&frame, "x-duplicate:true\nx-routed:0\n").await;
    };
    let (receipt, ()) = tokio::join!(within(producer.send("h\0llo")), broker);
    let receipt = receipt.unwrap();
    assert!(receipt.is_duplicate() && receipt.is_unrouted());
    let broker = peer.confirm(Command::Send);
    let (receipt, _) = tokio::join!(within(producer.send("again")), broker);
    let receipt = receipt.unwrap();
    assert!(!receipt.is_duplicate() && !receipt.is_unrouted());
}

#[tokio::test]
async fn every_property_of_a_message_has_its_header() {
    let (producer, mut peer, _host) = producer().await;
    let trace = TraceContext::new_root();
    let message = OutgoingMessage::new(vec![0, 255])
        .delivery_mode(DeliveryMode::NonPersistent)
        .priority(12)
        .time_to_live(Duration::from_secs(60))
        .delay(Duration::from_millis(1_500))
        .group("g")
        .group_sequence(-1)
        .correlation_id("c")
        .reply_to(Destination::queue("answers"))
        .kind("order")
        .content_type("application/x-tea")
        .deduplication_id("d")
        .trace(trace.clone())
        .header("odd: name\n", "odd\\value\r\n")
        .header("receipt", "stolen")
        .header("transaction", "stolen")
        .header("destination", "stolen");
    producer.send_and_forget(message).await.unwrap();
    let frame = peer.expect(Command::Send).await;
    assert_headers(
        &frame,
        &[
            ("destination", "/queue/a"),
            ("persistent", "false"),
            ("priority", "9"),
            ("AMQ_SCHEDULED_DELAY", "1500"),
            ("JMSXGroupID", "g"),
            ("JMSXGroupSeq", "-1"),
            ("correlation-id", "c"),
            ("reply-to", "/queue/answers"),
            ("type", "order"),
            ("content-type", "application/x-tea"),
            ("_AMQ_DUPL_ID", "d"),
            ("traceparent", &trace.to_string()),
            ("odd: name\n", "odd\\value\r\n"),
        ],
    );
    assert_no_headers(&frame, &["receipt", "transaction"]);
    let expires: u64 = text(&frame, "expires").parse().unwrap();
    let expires = SystemTime::UNIX_EPOCH + Duration::from_millis(expires);
    let left = expires.duration_since(SystemTime::now()).unwrap();
    assert!((30..=60).contains(&left.as_secs()), "{left:?}");
    assert_eq!(frame.body(), [0, 255]);
}

#[tokio::test]
async fn what_a_message_does_not_say_its_producer_does() {
    let (producer, mut peer, _host) = producer().await;
    let producer = producer
        .delivery_mode(DeliveryMode::NonPersistent)
        .priority(7)
        .delay(Duration::from_millis(5))
        .time_to_live(Duration::from_secs(5));
    producer.send_and_forget("x").await.unwrap();
    let frame = peer.expect(Command::Send).await;
    assert_headers(
        &frame,
        &[
            ("persistent", "false"),
            ("priority", "7"),
            ("AMQ_SCHEDULED_DELAY", "5"),
        ],
    );
    text(&frame, "expires");
    let own = OutgoingMessage::from("x")
        .priority(1)
        .delivery_mode(DeliveryMode::Persistent);
    producer.send_and_forget(own).await.unwrap();
    let frame = peer.expect(Command::Send).await;
    assert_headers(&frame, &[("persistent", "true"), ("priority", "1")]);
}

#[tokio::test]
async fn only_what_may_be_sent_again_is_made_recognisable() {
    let (producer, mut peer, _host) = producer().await;
    let first = producer.send_async("x").await.unwrap();
    let second = producer.send_async("x").await.unwrap();
    let ids = [
        text(&peer.confirm(Command::Send).await, "_AMQ_DUPL_ID"),
        text(&peer.confirm(Command::Send).await, "_AMQ_DUPL_ID"),
    ];
    assert_ne!(ids[0], ids[1]);
    within(first).await.unwrap();
    within(second).await.unwrap();
    producer.send_and_forget("x").await.unwrap();
    assert_no_headers(&peer.expect(Command::Send).await, &["_AMQ_DUPL_ID"]);

    let host = Host::start().await;
    for (builder, server) in [
        (host.client().reconnect(Reconnect::never()), "stompbox/0"),
        (host.client().deduplicate(false), "stompbox/0"),
        (host.client(), "ActiveMQ/5"),
    ] {
        let (connection, mut peer) = tokio::join!(builder.connect(), host.welcome_as(server));
        let session = connection.unwrap().session(AcknowledgeMode::Auto);
        let _under_way = session.producer("/queue/a").send_async("x").await.unwrap();
        assert_no_headers(&peer.expect(Command::Send).await, &["_AMQ_DUPL_ID"]);
    }
}

#[tokio::test]
async fn no_more_wait_for_their_receipts_than_may() {
    let host = Host::start().await;
    let connect = host.client().in_flight_max(2).connect();
    let (connection, mut peer) = tokio::join!(connect, host.welcome());
    let session = connection.unwrap().session(AcknowledgeMode::Auto);
    let producer = session.producer("/queue/a");
    let first = producer.send_async("1").await.unwrap();
    let second = producer.send_async("2").await.unwrap();
    let mut third = Box::pin(producer.send_async("3"));
    assert!((&mut third).now_or_never().is_none(), "there is no room");
    peer.confirm(Command::Send).await;
    within(first).await.unwrap();
    let third = within(third).await.unwrap();
    // Nobody waits for it any more; its place is freed all the same.
    drop(second);
    peer.confirm(Command::Send).await;
    let fourth = within(producer.send_async("4")).await.unwrap();
    for _ in 0..2 {
        peer.confirm(Command::Send).await;
    }
    within(third).await.unwrap();
    within(fourth).await.unwrap();
}

#[tokio::test]
async fn a_send_that_is_given_up_while_there_is_no_room_takes_none() {
    let host = Host::start().await;
    let connect = host.client().in_flight_max(1).connect();
    let (connection, mut peer) = tokio::join!(connect, host.welcome());
    let session = connection.unwrap().session(AcknowledgeMode::Auto);
    let producer = session.producer("/queue/a");
    let first = producer.send_async("1").await.unwrap();
    for _ in 0..100 {
        assert!(producer.send("given up").now_or_never().is_none());
    }
    peer.confirm(Command::Send).await;
    within(first).await.unwrap();
    let last = within(producer.send_async("last")).await.unwrap();
    let frame = peer.confirm(Command::Send).await;
    assert_eq!(frame.body(), b"last");
    within(last).await.unwrap();
}

#[tokio::test]
async fn a_refused_message_is_told_to_its_sender_and_not_sent_again() {
    let (producer, mut peer, host) = producer().await;
    let good = producer.send_async("good").await.unwrap();
    let bad = producer.send_async("bad").await.unwrap();
    let broker = async {
        peer.expect(Command::Send).await;
        let frame = peer.expect(Command::Send).await;
        peer.refuse(&frame, "not that").await;
        let mut peer = host.welcome().await;
        let frame = peer.confirm(Command::Send).await;
        assert_eq!(frame.body(), b"good");
        peer
    };
    let (good, bad, _peer) = tokio::join!(within(good), within(bad), broker);
    good.unwrap();
    let error = bad.expect_err("refused");
    assert!(
        matches!(&error, ClientError::Refused { message, detail } if message == "not that" && detail == "what to do"),
        "{error:?}"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_message_that_ends_every_connection_is_given_up_at_last() {
    let (producer, peer, host) = producer().await;
    let sent = producer.send("poison");
    let broker = async {
        let mut peer = peer;
        for _ in 0..3 {
            peer.expect(Command::Send).await;
            // It does not say what it is about.
            peer.say("ERROR\nmessage:no\n\n^@").await;
            drop(peer);
            peer = host.welcome().await;
        }
        peer
    };
    let (sent, mut peer) = tokio::join!(within(sent), broker);
    let error = sent.expect_err("given up");
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    let (sent, _) = tokio::join!(within(producer.send("x")), peer.confirm(Command::Send));
    sent.unwrap();
}

#[tokio::test]
async fn long_bodies_and_many_messages_arrive_as_they_were() {
    let (producer, mut peer, _host) = producer().await;
    let bodies: Vec<Vec<u8>> = [0, 1, 40_000, 200_000, 10, 70_000, 0]
        .iter()
        .enumerate()
        .map(|(index, length)| vec![u8::try_from(index).unwrap(); *length])
        .collect();
    let sender = async {
        for body in bodies.iter().cycle().take(70) {
            producer.send_and_forget(body.clone()).await.unwrap();
        }
    };
    let broker = async {
        for body in bodies.iter().cycle().take(70) {
            assert_eq!(peer.expect(Command::Send).await.body(), body);
        }
    };
    within(async { tokio::join!(sender, broker) }).await;
}

#[tokio::test]
async fn bodies_of_json_are_written_as_such() {
    let (producer, mut peer, _host) = producer().await;
    let message = OutgoingMessage::json(&("tea", 2)).unwrap();
    producer.send_and_forget(message).await.unwrap();
    let frame = peer.expect(Command::Send).await;
    assert_headers(&frame, &[("content-type", "application/json")]);
    assert_eq!(frame.body(), br#"["tea",2]"#);
    let not_json = OutgoingMessage::json(&std::collections::HashMap::from([((1, 2), 3)]));
    assert!(matches!(not_json, Err(ClientError::Invalid { .. })));
}

#[tokio::test]
async fn the_source_of_traces_is_asked_for_each_message() {
    let host = Host::start().await;
    let trace = TraceContext::parse(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        Some("vendor=1"),
    );
    let source = trace.clone();
    let connect = host.client().trace_source(move || source.clone()).connect();
    let (connection, mut peer) = tokio::join!(connect, host.welcome());
    let session = connection.unwrap().session(AcknowledgeMode::Auto);
    session
        .producer("/queue/a")
        .send_and_forget("x")
        .await
        .unwrap();
    let frame = peer.expect(Command::Send).await;
    let parent = trace.unwrap().to_string();
    assert_headers(
        &frame,
        &[("traceparent", &parent), ("tracestate", "vendor=1")],
    );
}
