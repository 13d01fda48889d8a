//! Subscriptions: made, received from, ended; nothing left behind and nothing lost on the way.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use stompbox_client::{AcknowledgeMode, ClientError, Consumer, Subscription};
use stompbox_protocol::Command;

use crate::deadline::{eventually, within};
use crate::peer::{Host, Peer, assert_headers, assert_no_headers, connected, text};

/// A consumer of a session of this mode, its subscription's id, and the broker's end.
pub(crate) async fn consumer(mode: AcknowledgeMode) -> (Consumer, String, Peer, Host) {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(mode);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    if mode == AcknowledgeMode::Transacted {
        // The test drives the session through the consumer's messages alone.
        std::mem::forget(session);
    }
    (consumer.unwrap(), id, peer, host)
}

#[tokio::test]
async fn subscribe_says_what_is_wanted_and_waits_for_the_receipt() {
    let (connection, mut peer, _host) = connected().await;
    let session = connection.session(AcknowledgeMode::Individual);
    let wanted = Subscription::to("/topic/a")
        .selector("a = 'b'")
        .durable("d")
        .prefetch(7)
        .exclusive()
        .priority(3)
        .no_local()
        .retroactive()
        .header("extra", "1")
        .header("ack", "stolen");
    let mut subscribe = Box::pin(session.consumer(wanted));
    assert!((&mut subscribe).now_or_never().is_none());
    let frame = peer.expect(Command::Subscribe).await;
    assert_headers(
        &frame,
        &[
            ("destination", "/topic/a"),
            ("ack", "client-individual"),
            ("selector", "a = 'b'"),
            ("activemq.subscriptionName", "d"),
            ("activemq.prefetchSize", "7"),
            ("activemq.exclusive", "true"),
            ("activemq.priority", "3"),
            ("activemq.noLocal", "true"),
            ("activemq.retroactive", "true"),
            ("extra", "1"),
        ],
    );
    assert!((&mut subscribe).now_or_never().is_none(), "no receipt yet");
    peer.receipt(&frame, "").await;
    let consumer = within(subscribe).await.unwrap();
    assert_eq!(consumer.destination().as_str(), "/topic/a");
}

#[tokio::test]
async fn messages_come_to_the_consumer_of_their_subscription() {
    let (connection, mut peer, _host) = connected().await;
    let one = connection.session(AcknowledgeMode::Individual);
    let two = connection.session(AcknowledgeMode::Unacknowledged);
    let (first, first_id) = tokio::join!(one.consumer("/queue/a"), peer.subscribed());
    let (second, second_id) = tokio::join!(two.consumer("/queue/a"), peer.subscribed());
    assert_ne!(first_id, second_id);
    let (mut first, mut second) = (first.unwrap(), second.unwrap());
    for (id, number) in [
        (&first_id, 1),
        (&second_id, 2),
        (&second_id, 3),
        (&first_id, 4),
    ] {
        peer.deliver(id, number).await;
    }
    peer.deliver("nobody's", 5).await;
    for (consumer, numbers) in [(&mut second, [2, 3]), (&mut first, [1, 4])] {
        for number in numbers {
            let message = within(consumer.receive()).await.unwrap();
            assert_eq!(message.message_id(), format!("m{number}"));
            assert_eq!(message.text().unwrap(), format!("body {number}"));
        }
    }
}

#[tokio::test]
async fn a_message_says_everything_about_itself() {
    let (mut consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Individual).await;
    peer.deliver_with(
        &id,
        1,
        "redelivered:true\nJMSXDeliveryCount:3\npriority:7\ntimestamp:1000\nexpires:0\n\
         reply-to:/queue/b\ncorrelation-id:c\ntype:order\nodd\\cname:odd\\nvalue\n\
         traceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
    )
    .await;
    let message = within(consumer.receive()).await.unwrap();
    assert!(message.is_redelivered() && !message.is_in_doubt());
    assert_eq!(message.delivery_count(), Some(3));
    assert_eq!(message.priority(), 7);
    let sent = message.timestamp().unwrap();
    let since = sent.duration_since(std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(since.unwrap(), Duration::from_secs(1));
    assert_eq!(message.expires(), None);
    assert_eq!(message.reply_to().unwrap().as_str(), "/queue/b");
    assert_eq!(message.correlation_id().as_deref(), Some("c"));
    assert_eq!(message.kind().as_deref(), Some("order"));
    assert_eq!(message.header("odd:name").as_deref(), Some("odd\nvalue"));
    assert!(
        message
            .headers()
            .any(|(name, value)| &*name == b"odd:name" && &*value == b"odd\nvalue")
    );
    let trace = message.trace().unwrap();
    assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[tokio::test]
async fn receiving_waits_as_long_as_it_is_told_to() {
    let (mut consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Individual).await;
    assert!(consumer.receive_no_wait().unwrap().is_none());
    let nothing = consumer.receive_timeout(Duration::from_millis(20)).await;
    assert!(nothing.unwrap().is_none());
    peer.deliver(&id, 1).await;
    let message = within(consumer.receive_timeout(Duration::from_secs(20))).await;
    assert_eq!(message.unwrap().unwrap().message_id(), "m1");
    peer.deliver(&id, 2).await;
    let mut found = None;
    eventually(|| {
        found = consumer.receive_no_wait().unwrap();
        found.is_some()
    })
    .await;
    assert_eq!(found.unwrap().message_id(), "m2");
}

#[tokio::test]
async fn a_consumer_is_a_stream_that_ends_with_its_error() {
    let (mut consumer, id, mut peer, host) = consumer(AcknowledgeMode::Individual).await;
    peer.deliver(&id, 1).await;
    let message = within(consumer.next()).await.unwrap().unwrap();
    assert_eq!(message.message_id(), "m1");
    drop(peer);
    let mut peer = host.welcome().await;
    let frame = peer.expect(Command::Subscribe).await;
    tokio::join!(peer.refuse(&frame, "no more"), async {
        let error = within(consumer.next()).await.unwrap().expect_err("refused");
        assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
        assert!(within(consumer.next()).await.is_none());
    });
}

#[tokio::test]
async fn receiving_that_is_given_up_loses_no_message() {
    let (mut consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Individual).await;
    for number in 1..=500 {
        peer.deliver(&id, number).await;
        // Given up sometimes before, sometimes after the message is there.
        if number % 3 == 0 {
            tokio::task::yield_now().await;
        }
        let given_up = tokio::time::timeout(Duration::ZERO, consumer.receive()).await;
        let message = match given_up {
            Ok(message) => message.unwrap(),
            Err(_elapsed) => within(consumer.receive()).await.unwrap(),
        };
        assert_eq!(message.message_id(), format!("m{number}"));
    }
}

#[tokio::test]
async fn a_refused_subscription_fails_alone() {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Individual);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let mut consumer = consumer.unwrap();
    let wrong = Subscription::to("/queue/b").selector("a = ");
    let broker = async {
        let frame = peer.expect(Command::Subscribe).await;
        peer.refuse(&frame, "syntax").await;
        let mut peer = host.welcome().await;
        assert_eq!(
            peer.subscribed().await,
            id,
            "the good one alone is restored"
        );
        peer.deliver(&id, 1).await;
        peer
    };
    let (refused, _peer) = tokio::join!(within(session.consumer(wrong)), broker);
    let error = refused.expect_err("refused");
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    within(consumer.receive()).await.unwrap();
}

#[tokio::test]
async fn dropping_a_consumer_unsubscribes_after_what_was_acknowledged() {
    let (mut consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Individual).await;
    for number in 1..=3 {
        peer.deliver(&id, number).await;
    }
    let message = within(consumer.receive()).await.unwrap();
    message.ack().unwrap();
    drop(consumer);
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k1")]);
    assert_headers(&peer.expect(Command::Unsubscribe).await, &[("id", &id)]);
    assert!(matches!(message.ack(), Err(ClientError::AlreadySettled)));
}

#[tokio::test]
async fn closing_a_consumer_waits_until_the_broker_has_done_so() {
    let (consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Individual).await;
    let (closed, frame) =
        tokio::join!(within(consumer.close()), peer.confirm(Command::Unsubscribe));
    closed.unwrap();
    assert_headers(&frame, &[("id", &id)]);
}

#[tokio::test]
async fn subscribing_that_is_given_up_leaves_no_subscription() {
    let (connection, mut peer, _host) = connected().await;
    let session = connection.session(AcknowledgeMode::Individual);
    let given_up = session.consumer("/queue/a").now_or_never();
    assert!(given_up.is_none());
    let frame = peer.confirm(Command::Subscribe).await;
    let ended = peer.expect(Command::Unsubscribe).await;
    assert_eq!(text(&frame, "id"), text(&ended, "id"));
    tokio::join!(
        async { within(connection.close()).await.unwrap() },
        peer.expect_goodbye()
    );
}

#[tokio::test]
async fn what_nobody_takes_stops_the_broker_and_nothing_is_lost() {
    let (connection, mut peer, _host) = connected().await;
    let session = connection.session(AcknowledgeMode::Unacknowledged);
    let few = Subscription::to("/topic/a").prefetch(10);
    let broker = async {
        let frame = peer.confirm(Command::Subscribe).await;
        assert_headers(&frame, &[("ack", "auto")]);
        text(&frame, "id")
    };
    let (consumer, id) = tokio::join!(session.consumer(few), broker);
    let mut consumer = consumer.unwrap();
    let body = "x".repeat(10_000);
    let count = 10_000;
    let mut written = 0;
    let mut flood = Box::pin(async {
        for number in 0..count {
            peer.say(&format!(
                "MESSAGE\nsubscription:{id}\nmessage-id:{number}\ndestination:/topic/a\n\n{body}^@"
            ))
            .await;
            written = number;
        }
    });
    // A megabyte or two fits into buffers, not a hundred.
    let stuck = tokio::time::timeout(Duration::from_millis(300), &mut flood).await;
    assert!(stuck.is_err(), "the flood was read");
    let drain = async {
        for number in 0..count {
            let message = within(consumer.receive()).await.unwrap();
            assert_eq!(message.message_id(), number.to_string());
        }
    };
    tokio::join!(flood, drain);
    assert_eq!(written, count - 1);
    drop(consumer);
    assert_no_headers(&peer.expect(Command::Unsubscribe).await, &["durable"]);
}

#[tokio::test]
async fn a_durable_subscription_is_ended_by_its_name() {
    let (connection, mut peer, _host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let audit = Subscription::to("/topic/a").shared_durable("audit");
    let (ended, frame) = tokio::join!(
        within(session.unsubscribe(&audit)),
        peer.confirm(Command::Unsubscribe)
    );
    ended.unwrap();
    let expected = [("activemq.subscriptionName", "audit"), ("x-shared", "true")];
    assert_headers(&frame, &expected);
    let plain = session.unsubscribe(&Subscription::to("/topic/a")).await;
    assert!(matches!(plain, Err(ClientError::Invalid { .. })));
}

#[tokio::test]
async fn a_browser_walks_to_the_end_of_the_queue() {
    let (connection, mut peer, _host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let (browser, frame) = tokio::join!(
        session.browser("/queue/a"),
        peer.confirm(Command::Subscribe)
    );
    assert_headers(&frame, &[("browser", "true"), ("ack", "auto")]);
    let id = text(&frame, "id");
    peer.deliver(&id, 1).await;
    peer.deliver(&id, 2).await;
    peer.deliver_with(&id, 0, "browser:end\n").await;
    let mut browser = browser.unwrap();
    let first = within(browser.next()).await.unwrap().unwrap();
    assert_eq!(first.message_id(), "m1");
    assert!(matches!(
        first.ack(),
        Err(ClientError::NothingToAcknowledge)
    ));
    let rest: Vec<_> = within((&mut browser).collect::<Vec<_>>()).await;
    assert_eq!(rest.len(), 1);
    drop(browser);
    peer.expect(Command::Unsubscribe).await;
}

#[tokio::test]
async fn a_browser_does_not_go_on_elsewhere() {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let (browser, id) = tokio::join!(session.browser("/queue/a"), peer.subscribed());
    peer.deliver(&id, 1).await;
    let mut browser = browser.unwrap();
    within(browser.next()).await.unwrap();
    drop(peer);
    let error = within(browser.next()).await.expect_err("lost");
    assert!(
        matches!(error, ClientError::Interrupted { .. }),
        "{error:?}"
    );
    let mut peer = host.welcome().await;
    tokio::join!(async { within(connection.close()).await.ok() }, async {
        // Not a SUBSCRIBE.
        if let Some(frame) = peer.next_frame().await {
            assert_eq!(frame.command(), Command::Disconnect);
        }
    });
}
