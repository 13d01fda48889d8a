//! Listeners: what becomes of a message when its function succeeds, fails, panics, or is stopped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ConnectionEvent, TraceContext};
use stompbox_protocol::Command;
use tokio::sync::{Semaphore, mpsc};

use crate::deadline::{eventually, within};
use crate::peer::{Host, assert_headers, assert_no_headers, text};
use crate::subscribe::consumer;

#[tokio::test]
async fn a_message_is_acknowledged_when_its_function_returns() {
    let (consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Auto).await;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let (seen, mut sees) = mpsc::unbounded_channel();
    let listener = consumer.listen(move |message| {
        let (gate, seen) = (Arc::clone(&opened), seen.clone());
        async move {
            seen.send(message.message_id().into_owned()).unwrap();
            gate.acquire().await.unwrap().forget();
        }
    });
    for number in 1..=2 {
        peer.deliver(&id, number).await;
    }
    assert_eq!(within(sees.recv()).await.as_deref(), Some("m1"));
    assert!(sees.try_recv().is_err(), "one at a time");
    gate.add_permits(1);
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k1")]);
    assert_eq!(within(sees.recv()).await.as_deref(), Some("m2"));
    // Stopping waits for the one in hand, which is still acknowledged, and then ends the subscription.
    let stop = listener.stop();
    tokio::pin!(stop);
    let early = tokio::time::timeout(Duration::from_millis(20), &mut stop).await;
    assert!(early.is_err());
    gate.add_permits(1);
    within(stop).await;
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k2")]);
    assert_headers(&peer.expect(Command::Unsubscribe).await, &[("id", &id)]);
}

#[tokio::test]
async fn an_error_and_a_panic_are_nacks_and_the_listener_goes_on() {
    let host = Host::start().await;
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&reasons);
    let connect = host
        .client()
        .on_event(move |event| {
            if let ConnectionEvent::ListenerFailed {
                reason, message_id, ..
            } = event
            {
                log.lock().unwrap().push(format!("{message_id} {reason}"));
            }
        })
        .connect();
    let (connection, mut peer) = tokio::join!(connect, host.welcome());
    let session = connection.unwrap().session(AcknowledgeMode::Auto);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let _listener = consumer
        .unwrap()
        .listener()
        .retry_after(Duration::from_secs(3))
        .start(|message| {
            // Before there is a future at all.
            assert_ne!(message.message_id(), "m1", "early");
            async move {
                assert_ne!(message.message_id(), "m2");
                match &*message.message_id() {
                    "m3" => Err("no tea"),
                    _ => Ok(()),
                }
            }
        });
    for number in 1..=4 {
        peer.deliver(&id, number).await;
    }
    for number in 1..=3 {
        let expected = [("id", &*format!("k{number}")), ("x-delay", "3000")];
        assert_headers(&peer.expect(Command::Nack).await, &expected);
    }
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k4")]);
    let reasons = reasons.lock().unwrap();
    assert!(
        reasons[0].starts_with("m1 panicked: assertion"),
        "{reasons:?}"
    );
    assert!(
        reasons[1].starts_with("m2 panicked: assertion"),
        "{reasons:?}"
    );
    assert_eq!(reasons[2], "m3 no tea");
}

#[tokio::test]
async fn as_many_messages_are_dealt_with_at_once_as_was_said() {
    let (consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Auto).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&now), Arc::clone(&most));
    let _listener = consumer.listener().concurrency(3).start(move |_message| {
        let (now, most) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }
    });
    for number in 1..=12 {
        peer.deliver(&id, number).await;
    }
    for _ in 0..12 {
        peer.expect(Command::Ack).await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn in_an_individual_session_the_function_settles_and_failures_are_nacks() {
    let (consumer, id, mut peer, _host) = consumer(AcknowledgeMode::Individual).await;
    let _listener = consumer.listen(|message| async move {
        match &*message.message_id() {
            "m1" => message.ack(),
            "m2" => message.reject().and_then(|()| message.ack()),
            "m3" => message.ack().and_then(|()| message.ack()),
            _ => panic!("unsettled"),
        }
    });
    for number in 1..=4 {
        peer.deliver(&id, number).await;
    }
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k1")]);
    let rejected = peer.expect(Command::Nack).await;
    assert_headers(&rejected, &[("id", "k2"), ("requeue", "false")]);
    // An error after that: it is settled, and stays so.
    assert_headers(&peer.expect(Command::Ack).await, &[("id", "k3")]);
    let failed = peer.expect(Command::Nack).await;
    assert_headers(&failed, &[("id", "k4")]);
    assert_no_headers(&failed, &["requeue"]);
}

#[tokio::test]
async fn a_transacted_listener_commits_each_message_or_rolls_it_back() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected().await;
    let session = connection.session(AcknowledgeMode::Transacted);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let producer = session.producer("/queue/b");
    let _listener = consumer.unwrap().listen(move |message| {
        let producer = producer.clone();
        async move {
            producer
                .send("out")
                .await
                .map_err(|error| error.to_string())?;
            match &*message.message_id() {
                "m2" => Err("no".to_owned()),
                _ => Ok(()),
            }
        }
    });
    for number in 1..=2 {
        peer.deliver(&id, number).await;
        peer.expect(Command::Begin).await;
        peer.expect(Command::Ack).await;
        peer.expect(Command::Send).await;
        let end = if number == 2 {
            Command::Abort
        } else {
            Command::Commit
        };
        peer.confirm(end).await;
    }
}

#[tokio::test]
async fn a_transacted_listener_resolves_what_is_in_doubt_and_does_it_once() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected().await;
    let session = connection.session(AcknowledgeMode::Transacted);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let producer = session.producer("/queue/b");
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let _listener = consumer.unwrap().listen(move |_message| {
        count.fetch_add(1, Ordering::SeqCst);
        let producer = producer.clone();
        async move { producer.send("out").await.map(|_| ()) }
    });
    peer.deliver(&id, 1).await;
    peer.expect(Command::Begin).await;
    peer.expect(Command::Ack).await;
    let sent = text(&peer.expect(Command::Send).await, "_AMQ_DUPL_ID");
    peer.expect(Command::Commit).await;
    drop(peer);
    let mut peer = host.welcome().await;
    peer.subscribed().await;
    peer.expect(Command::Begin).await;
    assert_headers(
        &peer.expect(Command::Send).await,
        &[("_AMQ_DUPL_ID", &sent), ("x-resent", "true")],
    );
    peer.confirm(Command::Commit).await;
    peer.deliver_with(&id, 1, "redelivered:true\n").await;
    peer.expect(Command::Begin).await;
    peer.expect(Command::Ack).await;
    peer.confirm(Command::Commit).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_a_listener_sends_continues_the_trace_of_its_message() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let producer = session.producer("/queue/b");
    let _listener = consumer.unwrap().listen(move |_message| {
        let producer = producer.clone();
        async move { producer.send_and_forget("out").await }
    });
    let parent = TraceContext::new_root();
    peer.deliver_with(&id, 1, &format!("traceparent:{parent}\n"))
        .await;
    let sent = text(&peer.expect(Command::Send).await, "traceparent");
    let child = TraceContext::parse(&sent, None).unwrap();
    assert_eq!(child.trace_id(), parent.trace_id());
    assert_ne!(child.span_id(), parent.span_id());
}

#[tokio::test]
async fn a_listener_goes_on_after_a_loss_and_ends_with_the_connection() {
    let host = Host::start().await;
    let (connection, mut peer) = host.connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let listener = consumer
        .unwrap()
        .listener()
        .concurrency(2)
        .start(move |_message| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {}
        });
    for round in 1..=3 {
        peer.deliver(&id, round).await;
        peer.expect(Command::Ack).await;
        drop(peer);
        peer = host.welcome().await;
        peer.subscribed().await;
    }
    eventually(|| count.load(Ordering::SeqCst) == 3).await;
    let end = async {
        within(connection.close()).await.unwrap();
        within(listener.until_end()).await;
    };
    tokio::join!(end, peer.expect_goodbye());
}
