//! What other brokers are told differently.

use std::time::Duration;

use stompbox_client::{
    AcknowledgeMode, ClientError, DeliveryMode, Feature, OutgoingMessage, Subscription,
};
use stompbox_protocol::Command;

use crate::deadline::within;
use crate::peer::{Host, assert_headers, assert_no_headers};

const RABBIT: &str = "RabbitMQ/3.10.8";
const ACTIVE: &str = "ActiveMQ/5.17.2";
const ARTEMIS: &str = "ActiveMQ-Artemis/2.31.0 ActiveMQ Artemis Messaging Engine";

#[tokio::test]
async fn rabbitmq_is_told_of_a_message_in_its_own_words() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected_as(RABBIT).await;
    let producer = connection
        .session(AcknowledgeMode::Auto)
        .producer("/queue/a");
    let message = OutgoingMessage::from("x")
        .delivery_mode(DeliveryMode::NonPersistent)
        .time_to_live(Duration::from_secs(60));
    producer.send_and_forget(message).await.unwrap();
    let frame = peer.expect(Command::Send).await;
    // `persistent` would be taken for a property of the queue, and `expires` for one of the program.
    assert_no_headers(&frame, &["persistent", "expires"]);
    let expiration: u64 = frame.text("expiration").unwrap().parse().unwrap();
    assert!((30_000..=60_000).contains(&expiration), "{expiration}");
    let delayed = OutgoingMessage::from("x").delay(Duration::from_secs(1));
    let error = within(producer.send(delayed)).await.expect_err("no delays");
    assert!(
        matches!(
            error,
            ClientError::Unsupported {
                feature: Feature::Delay,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn rabbitmq_knows_a_durable_subscription_by_its_id() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected_as(RABBIT).await;
    let session = connection.session(AcknowledgeMode::Individual);
    let durable = Subscription::to("/topic/a").durable("audit").prefetch(5);
    let (consumer, frame) =
        tokio::join!(session.consumer(&durable), peer.confirm(Command::Subscribe));
    assert_headers(
        &frame,
        &[
            ("id", "audit"),
            ("durable", "true"),
            ("auto-delete", "false"),
            ("prefetch-count", "5"),
        ],
    );
    peer.deliver("audit", 1).await;
    let mut consumer = consumer.unwrap();
    let message = within(consumer.receive()).await.unwrap();
    message.nack().unwrap();
    assert_headers(&peer.expect(Command::Nack).await, &[("requeue", "true")]);
    drop(consumer);
    assert_headers(&peer.expect(Command::Unsubscribe).await, &[("id", "audit")]);
    let broker = async {
        // Only a consumer can end it.
        assert_headers(&peer.expect(Command::Subscribe).await, &[("id", "audit")]);
        peer.confirm(Command::Unsubscribe).await
    };
    let (ended, frame) = tokio::join!(within(session.unsubscribe(&durable)), broker);
    ended.unwrap();
    assert_headers(&frame, &[("id", "audit"), ("durable", "true")]);
}

#[tokio::test]
async fn rabbitmq_keeps_what_is_unsubscribed_so_that_it_is_given_back_first() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected_as(RABBIT).await;
    let session = connection.session(AcknowledgeMode::Individual);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let mut consumer = consumer.unwrap();
    for number in 1..=3 {
        peer.deliver(&id, number).await;
    }
    let message = within(consumer.receive()).await.unwrap();
    message.ack().unwrap();
    drop(consumer);
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k1")]);
    for number in 2..=3 {
        let frame = peer.expect(Command::Nack).await;
        assert_headers(
            &frame,
            &[("id", &*format!("k{number}")), ("requeue", "true")],
        );
    }
    peer.expect(Command::Unsubscribe).await;
}

#[tokio::test]
async fn rabbitmq_is_not_asked_for_its_temporary_queues() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected_as(RABBIT).await;
    let session = connection.session(AcknowledgeMode::Auto);
    let requestor = within(session.requestor("/queue/prices")).await.unwrap();
    let question = requestor.request("tea?", Duration::from_secs(20));
    let broker = async {
        let frame = peer.confirm(Command::Send).await;
        let (reply_to, id) = (
            frame.text("reply-to").unwrap(),
            frame.text("correlation-id").unwrap(),
        );
        peer.say(&format!(
            "MESSAGE\nsubscription:{reply_to}\nmessage-id:1\ndestination:/reply-queue/x\n\
             correlation-id:{id}\n\n3.20^@"
        ))
        .await;
    };
    let (answer, ()) = tokio::join!(within(question), broker);
    assert_eq!(answer.unwrap().body(), b"3.20");
}

#[tokio::test]
async fn a_refusal_without_a_receipt_is_that_of_rabbitmqs_oldest_call() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected_as(RABBIT).await;
    let session = connection.session(AcknowledgeMode::Individual);
    let broker = async {
        peer.expect(Command::Subscribe).await;
        peer.say("ERROR\nmessage:not_found\n\nno exchange^@").await;
        // It goes on.
        peer.confirm(Command::Send).await;
    };
    let client = async {
        let error = session
            .consumer("/exchange/none")
            .await
            .expect_err("refused");
        assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
        session.producer("/queue/a").send("x").await.unwrap();
    };
    within(async { tokio::join!(client, broker) }).await;
}

#[tokio::test]
async fn activemq_gives_back_after_a_rollback_only_to_a_new_subscription() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected_as(ACTIVE).await;
    let session = connection.session(AcknowledgeMode::Transacted);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let mut consumer = consumer.unwrap();
    for number in 1..=2 {
        peer.deliver(&id, number).await;
    }
    within(consumer.receive()).await.unwrap();
    let broker = async {
        peer.expect(Command::Begin).await;
        peer.expect(Command::Ack).await;
        let abort = peer.expect(Command::Abort).await;
        assert_headers(&peer.expect(Command::Unsubscribe).await, &[("id", &id)]);
        peer.receipt(&abort, "").await;
        assert_eq!(peer.subscribed().await, id);
    };
    let (rolled_back, ()) = tokio::join!(within(session.rollback()), broker);
    rolled_back.unwrap();
    // The second had come; it comes again, and is not handed out twice.
    for number in 1..=2 {
        peer.deliver_with(&id, number, "redelivered:true\n").await;
    }
    for number in 1..=2 {
        let message = within(consumer.receive()).await.unwrap();
        assert_eq!(message.message_id(), format!("m{number}"));
        assert!(message.is_redelivered());
    }
}

#[tokio::test]
async fn rabbitmq_gives_back_after_a_rollback_what_is_refused() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected_as(RABBIT).await;
    let session = connection.session(AcknowledgeMode::Transacted);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    peer.deliver(&id, 1).await;
    within(consumer.unwrap().receive()).await.unwrap();
    let broker = async {
        peer.expect(Command::Begin).await;
        peer.expect(Command::Ack).await;
        while peer.next_frame().await.unwrap().command() != Command::Abort {}
        assert_headers(&peer.expect(Command::Nack).await, &[("id", "k1")]);
    };
    let (_, ()) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(1), session.rollback()),
        within(broker)
    );
}

#[tokio::test]
async fn what_a_broker_lacks_is_refused_without_asking_it() {
    let cases = [
        (
            RABBIT,
            Subscription::to("/queue/a").selector("a = 1"),
            Feature::Selector,
        ),
        (
            RABBIT,
            Subscription::to("/topic/a").shared("s"),
            Feature::SharedSubscription,
        ),
        (
            ACTIVE,
            Subscription::to("/topic/a").shared_durable("s"),
            Feature::SharedDurableSubscription,
        ),
        (
            ARTEMIS,
            Subscription::to("/temp-queue/a"),
            Feature::TemporaryDestination,
        ),
    ];
    for (server, subscription, expected) in cases {
        let host = Host::start().await;
        let (connection, _peer) = host.connected_as(server).await;
        let session = connection.session(AcknowledgeMode::Auto);
        let error = within(session.consumer(subscription))
            .await
            .expect_err("refused");
        assert!(
            matches!(&error, ClientError::Unsupported { feature, server: named } if *feature == expected && named.starts_with(server)),
            "{error:?}"
        );
        assert!(!error.is_transient());
    }
    let host = Host::start().await;
    let (connection, _peer) = host.connected_as(ARTEMIS).await;
    let session = connection.session(AcknowledgeMode::Transacted);
    let error = within(session.consumer("/queue/a"))
        .await
        .expect_err("refused");
    assert!(
        matches!(
            error,
            ClientError::Unsupported {
                feature: Feature::TransactedAcknowledgement,
                ..
            }
        ),
        "{error:?}"
    );
}
