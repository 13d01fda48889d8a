//! ACK and NACK: by whom, when, and in which version's words.

use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError};
use stompbox_protocol::{Command, Version};

use crate::deadline::within;
use crate::peer::{Host, assert_headers, assert_no_headers};
use crate::subscribe::consumer;

#[tokio::test]
async fn an_automatic_session_acknowledges_what_it_returns() {
    let (mut consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Auto).await;
    peer.deliver(&id, 1).await;
    peer.deliver(&id, 2).await;
    let message = within(consumer.receive()).await.unwrap();
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k1")]);
    assert!(matches!(
        message.ack(),
        Err(ClientError::NothingToAcknowledge)
    ));
    drop(consumer);
    // The second was not returned, and so not acknowledged.
    peer.expect(Command::Unsubscribe).await;
}

#[tokio::test]
async fn the_program_says_what_becomes_of_each_message() {
    let (mut consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Individual).await;
    for number in 1..=4 {
        peer.deliver(&id, number).await;
    }
    let mut messages = Vec::new();
    for _ in 0..4 {
        messages.push(within(consumer.receive()).await.unwrap());
    }
    messages[1].ack().unwrap();
    messages[0].nack().unwrap();
    messages[2].nack_after(Duration::from_secs(2)).unwrap();
    messages[3].reject().unwrap();
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k2")]);
    let nack = peer.expect(Command::Nack).await;
    assert_headers(&nack, &[("id", "k1")]);
    assert_no_headers(&nack, &["x-delay", "requeue", "receipt"]);
    let expected = [("id", "k3"), ("x-delay", "2000")];
    assert_headers(&peer.expect(Command::Nack).await, &expected);
    let expected = [("id", "k4"), ("requeue", "false")];
    assert_headers(&peer.expect(Command::Nack).await, &expected);
    for message in messages {
        assert!(matches!(message.nack(), Err(ClientError::AlreadySettled)));
    }
}

#[tokio::test]
async fn a_confirmed_acknowledgement_waits_for_its_receipt() {
    let (mut consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Client).await;
    peer.deliver(&id, 1).await;
    let message = within(consumer.receive()).await.unwrap();
    let (acked, frame) = tokio::join!(
        within(consumer.ack_confirmed(&message)),
        peer.confirm(Command::Ack)
    );
    acked.unwrap();
    assert_headers(&frame, &[("id", "k1")]);
    let again = consumer.ack_confirmed(&message).await;
    assert!(matches!(again, Err(ClientError::AlreadySettled)));
}

#[tokio::test]
async fn what_came_before_a_loss_is_stale_and_comes_again() {
    let (mut consumer, id, mut peer, host) = consumer(AcknowledgeMode::Individual).await;
    for number in 1..=3 {
        peer.deliver(&id, number).await;
    }
    let message = within(consumer.receive()).await.unwrap();
    let confirmed = async {
        let second = within(consumer.receive()).await.unwrap();
        within(consumer.ack_confirmed(&second)).await
    };
    let broker = async {
        peer.expect(Command::Ack).await;
        drop(peer);
        let mut peer = host.welcome().await;
        assert_eq!(peer.subscribed().await, id);
        peer.deliver_with(&id, 1, "redelivered:true\n").await;
        peer
    };
    let (confirmed, mut peer) = tokio::join!(confirmed, broker);
    assert!(
        matches!(confirmed, Err(ClientError::Stale)),
        "{confirmed:?}"
    );
    assert!(matches!(message.ack(), Err(ClientError::Stale)));
    // The third was here already; it is not handed out, since it comes again.
    let message = within(consumer.receive()).await.unwrap();
    assert_eq!(message.message_id(), "m1");
    message.ack().unwrap();
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k1")]);
}

/// An ACK and a NACK in the words of a version.
async fn settled_in(version: Version) -> (Vec<stompbox_protocol::Frame>, Vec<ClientError>) {
    let host = Host::start().await;
    let broker = async {
        let mut peer = host.accept().await;
        peer.welcome(version, "old/1").await;
        peer
    };
    let (connection, mut peer) = tokio::join!(host.client().connect(), broker);
    let session = connection.unwrap().session(AcknowledgeMode::Individual);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let mut consumer = consumer.unwrap();
    for number in 1..=2 {
        let subscription = match version {
            // It need not name one.
            Version::V1_0 => String::new(),
            Version::V1_1 | Version::V1_2 => format!("subscription:{id}\n"),
        };
        peer.say(&format!(
            "MESSAGE\n{subscription}message-id:m{number}\nack:k{number}\ndestination:/queue/a\n\n^@"
        ))
        .await;
    }
    let first = within(consumer.receive()).await.unwrap();
    let second = within(consumer.receive()).await.unwrap();
    let errors = [first.ack(), second.nack()];
    let errors: Vec<ClientError> = errors.into_iter().filter_map(Result::err).collect();
    let mut frames = vec![peer.expect(Command::Ack).await];
    if errors.is_empty() {
        frames.push(peer.expect(Command::Nack).await);
    }
    if version == Version::V1_1 {
        for frame in &frames {
            assert_headers(frame, &[("subscription", &id)]);
        }
    }
    (frames, errors)
}

#[tokio::test]
async fn each_version_names_the_message_in_its_own_way() {
    let (frames, errors) = settled_in(Version::V1_2).await;
    assert!(errors.is_empty());
    assert_headers(&frames[0], &[("id", "k1")]);
    assert_headers(&frames[1], &[("id", "k2")]);
    let (frames, errors) = settled_in(Version::V1_1).await;
    assert!(errors.is_empty());
    assert_headers(&frames[0], &[("message-id", "m1")]);
    assert_headers(&frames[1], &[("message-id", "m2")]);
    let (frames, errors) = settled_in(Version::V1_0).await;
    assert_headers(&frames[0], &[("message-id", "m1")]);
    assert!(
        matches!(&errors[..], [ClientError::Unsupported { .. }]),
        "{errors:?}"
    );
}
