//! What a loss of the connection means for everything that was under way.

use std::time::Duration;

use stompbox_client::{
    AcknowledgeMode, ClientError, Connection, HeartBeat, Reconnect, Subscription,
};
use stompbox_protocol::Command;

use crate::deadline::within;
use crate::peer::{Host, assert_headers, assert_no_headers, connected, text};

#[tokio::test]
async fn unconfirmed_messages_are_sent_again_in_order_under_their_ids() {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let producer = session.producer("/queue/a");
    let mut completions = Vec::new();
    for number in 0..5 {
        completions.push(producer.send_async(format!("{number}")).await.unwrap());
    }
    let mut ids = Vec::new();
    for number in 0..5 {
        let frame = peer.expect(Command::Send).await;
        ids.push(text(&frame, "_AMQ_DUPL_ID"));
        assert_no_headers(&frame, &["x-resent"]);
        if number == 1 {
            peer.receipt(&frame, "").await;
        }
    }
    // Its receipt is read before the end of the stream.
    within(completions.remove(1)).await.unwrap();
    drop(peer);
    let mut peer = host.welcome().await;
    for number in [0, 2, 3, 4] {
        let frame = peer.expect(Command::Send).await;
        assert_eq!(frame.body(), format!("{number}").as_bytes());
        assert_headers(
            &frame,
            &[("_AMQ_DUPL_ID", &ids[number]), ("x-resent", "true")],
        );
        peer.receipt(&frame, "x-duplicate:true\n").await;
    }
    for completion in completions {
        assert!(within(completion).await.unwrap().is_duplicate());
    }
}

#[tokio::test]
async fn calls_made_while_there_is_no_connection_wait_for_one() {
    let (connection, peer, host) = connected().await;
    drop(peer);
    // It is refused a few times first.
    for _ in 0..3 {
        drop(host.accept_tcp().await);
    }
    let session = connection.session(AcknowledgeMode::Individual);
    let producer = session.producer("/queue/b");
    let calls = async {
        let (sent, consumer) = tokio::join!(producer.send("x"), session.consumer("/queue/a"));
        sent.unwrap();
        consumer.unwrap()
    };
    let broker = async {
        let mut peer = host.welcome().await;
        for _ in 0..2 {
            let frame = peer.next_frame().await.expect("two calls");
            peer.receipt(&frame, "").await;
        }
        peer
    };
    let (_consumer, _peer) = within(async { tokio::join!(calls, broker) }).await;
}

#[tokio::test]
async fn a_fail_over_list_is_tried_in_turn() {
    let first = Host::start().await;
    let second = Host::start().await;
    let url = format!(
        "failover:(stomp://{},stomp://{})?randomize=false&initialReconnectDelay=1",
        first.address, second.address
    );
    let connect = Connection::builder(url)
        .heart_beat(HeartBeat::NONE)
        .connect();
    let (connection, mut peer) = tokio::join!(connect, first.welcome());
    let session = connection.unwrap().session(AcknowledgeMode::Individual);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let mut consumer = consumer.unwrap();
    drop((first, peer));
    let mut peer = second.welcome().await;
    assert_eq!(peer.subscribed().await, id);
    peer.deliver(&id, 1).await;
    within(consumer.receive()).await.unwrap();
}

#[tokio::test]
async fn messages_of_a_topic_that_have_come_survive_and_those_of_a_queue_come_again() {
    for (destination, survives) in [("/topic/a", true), ("/queue/a", false)] {
        let (connection, mut peer, host) = connected().await;
        let session = connection.session(AcknowledgeMode::Individual);
        let (consumer, id) = tokio::join!(session.consumer(destination), peer.subscribed());
        let mut consumer = consumer.unwrap();
        for number in 1..=3 {
            peer.deliver(&id, number).await;
        }
        let first = within(consumer.receive()).await.unwrap();
        drop(peer);
        let mut peer = host.welcome().await;
        peer.subscribed().await;
        peer.deliver(&id, 4).await;
        let expected: &[&str] = if survives {
            &["m2", "m3", "m4"]
        } else {
            &["m4"]
        };
        for id in expected {
            let message = within(consumer.receive()).await.unwrap();
            assert_eq!(message.message_id(), *id, "{destination}");
            // Of one that nobody will deliver again there is nothing to tell, and that is fine.
            message.ack().unwrap();
        }
        assert_eq!(first.ack().is_ok(), survives, "{destination}");
        assert_headers(&peer.expect(Command::Ack).await, &[("id", "k4")]);
    }
}

#[tokio::test]
async fn a_durable_subscription_is_restored_as_such() {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Individual);
    let audit = Subscription::to("/topic/a").durable("audit");
    let (consumer, id) = tokio::join!(session.consumer(audit), peer.subscribed());
    let mut consumer = consumer.unwrap();
    peer.deliver(&id, 1).await;
    within(consumer.receive()).await.unwrap();
    peer.deliver(&id, 2).await;
    drop(peer);
    let mut peer = host.welcome().await;
    let frame = peer.confirm(Command::Subscribe).await;
    assert_headers(&frame, &[("activemq.subscriptionName", "audit")]);
    peer.deliver_with(&id, 1, "redelivered:true\n").await;
    let message = within(consumer.receive()).await.unwrap();
    assert_eq!(message.message_id(), "m1");
}

#[tokio::test]
async fn without_reconnecting_everybody_is_told() {
    let host = Host::start().await;
    let connect = host.client().reconnect(Reconnect::never()).connect();
    let (connection, mut peer) = tokio::join!(connect, host.welcome());
    let connection = connection.unwrap();
    let session = connection.session(AcknowledgeMode::Individual);
    let (consumer, _id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let mut consumer = consumer.unwrap();
    let producer = session.producer("/queue/b");
    let under_way = producer.send_async("x").await.unwrap();
    peer.expect(Command::Send).await;
    peer.say("ERROR\nmessage:down\n\nfor good^@").await;
    drop(peer);
    let refused = |error: ClientError| {
        assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    };
    refused(within(under_way).await.expect_err("lost"));
    refused(within(consumer.receive()).await.expect_err("lost"));
    refused(within(producer.send("y")).await.expect_err("lost"));
    refused(
        within(session.consumer("/queue/c"))
            .await
            .expect_err("lost"),
    );
    refused(within(connection.close()).await.expect_err("lost"));
}

#[tokio::test]
async fn closing_while_there_is_no_connection_does_not_wait_for_one() {
    let (connection, peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let under_way = session.producer("/queue/a").send_async("x").await.unwrap();
    drop((peer, host));
    let error = within(connection.close()).await.expect_err("lost");
    assert!(error.is_transient(), "{error:?}");
    within(under_way).await.expect_err("lost");
}

#[tokio::test]
async fn a_broker_that_drops_every_connection_is_not_asked_as_fast_as_can_be() {
    let host = Host::start().await;
    let reconnect = Reconnect::default()
        .initial_delay(Duration::from_millis(40))
        .longest_delay(Duration::from_millis(40));
    let connect = host.client().reconnect(reconnect).connect();
    let (connection, peer) = tokio::join!(connect, host.welcome());
    let _connection = connection.unwrap();
    let began = std::time::Instant::now();
    drop(peer);
    for _ in 0..5 {
        drop(host.welcome().await);
    }
    // Each delay is at least half of the 40 ms.
    assert!(
        began.elapsed() >= Duration::from_millis(100),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn what_is_asked_for_after_an_error_is_asked_of_the_next_connection() {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let calls = async {
        let refused = session.producer("/queue/a").send("x").await;
        assert!(
            matches!(refused, Err(ClientError::Refused { .. })),
            "{refused:?}"
        );
        let durable = Subscription::to("/topic/a").durable("d");
        session.unsubscribe(&durable).await.unwrap();
    };
    let broker = async {
        let frame = peer.expect(Command::Send).await;
        let receipt = text(&frame, "receipt");
        peer.say(&format!("ERROR\nmessage:no\nreceipt-id:{receipt}\n\n^@"))
            .await;
        // It closes as soon as nobody has said more for a while.
        let more = tokio::time::timeout(Duration::from_millis(50), peer.next_frame()).await;
        assert!(more.is_err(), "it will not be heard: {more:?}");
        drop(peer);
        let mut peer = host.welcome().await;
        peer.confirm(Command::Unsubscribe).await;
        // Stays until the call has its answer.
        peer
    };
    let ((), _peer) = within(async { tokio::join!(calls, broker) }).await;
}
