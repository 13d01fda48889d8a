//! Transactions: together or not at all, also when the connection is lost.

use futures_util::FutureExt as _;
use stompbox_client::{AcknowledgeMode, ClientError, Connection, Consumer, Retry, Session};
use stompbox_protocol::{Command, Frame};

use crate::deadline::within;
use crate::peer::{Host, Peer, assert_headers, assert_no_headers, connected, text};

/// A transacted session with a consumer and the id of its subscription.
async fn transacted() -> (Connection, Session, Consumer, String, Peer, Host) {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Transacted);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    (connection, session, consumer.unwrap(), id, peer, host)
}

/// BEGIN, and the number of its transaction.
async fn begun(peer: &mut Peer) -> String {
    text(&peer.expect(Command::Begin).await, "transaction")
}

async fn expect_in(peer: &mut Peer, command: Command, transaction: &str) -> Frame {
    let frame = peer.expect(command).await;
    assert_headers(&frame, &[("transaction", transaction)]);
    frame
}

#[tokio::test]
async fn what_is_received_and_sent_is_committed_together() {
    let (_connection, session, mut consumer, id, mut peer, _host) = transacted().await;
    let producer = session.producer("/queue/b");
    within(session.commit()).await.expect("nothing to commit");
    let mut last = String::new();
    for round in 1..=2 {
        peer.deliver(&id, round).await;
        let message = within(consumer.receive()).await.unwrap();
        assert!(matches!(
            message.ack(),
            Err(ClientError::NothingToAcknowledge)
        ));
        within(producer.send("out")).await.unwrap();
        within(within(producer.send_async("out")).await.unwrap())
            .await
            .unwrap();
        let broker = async {
            let transaction = begun(&mut peer).await;
            expect_in(&mut peer, Command::Ack, &transaction).await;
            for _ in 0..2 {
                let frame = expect_in(&mut peer, Command::Send, &transaction).await;
                assert_no_headers(&frame, &["receipt"]);
            }
            let frame = peer.confirm(Command::Commit).await;
            assert_headers(&frame, &[("transaction", &transaction)]);
            transaction
        };
        let (committed, transaction) = tokio::join!(within(session.commit()), broker);
        committed.unwrap();
        assert_ne!(transaction, last);
        last = transaction;
    }
}

#[tokio::test]
async fn a_rollback_gives_up_both() {
    let (_connection, session, mut consumer, id, mut peer, _host) = transacted().await;
    peer.deliver(&id, 1).await;
    within(consumer.receive()).await.unwrap();
    let broker = async {
        let transaction = begun(&mut peer).await;
        expect_in(&mut peer, Command::Ack, &transaction).await;
        let frame = peer.confirm(Command::Abort).await;
        assert_headers(&frame, &[("transaction", &transaction)]);
    };
    let (rolled_back, ()) = tokio::join!(within(session.rollback()), broker);
    rolled_back.unwrap();
}

#[tokio::test]
async fn a_dropped_session_rolls_back_and_ends_its_consumers() {
    let (_connection, session, mut consumer, id, mut peer, _host) = transacted().await;
    peer.deliver(&id, 1).await;
    within(consumer.receive()).await.unwrap();
    drop(session);
    let transaction = begun(&mut peer).await;
    expect_in(&mut peer, Command::Ack, &transaction).await;
    expect_in(&mut peer, Command::Abort, &transaction).await;
    assert_headers(&peer.expect(Command::Unsubscribe).await, &[("id", &id)]);
    let error = within(consumer.receive()).await.expect_err("ended");
    assert!(matches!(error, ClientError::Ended), "{error:?}");
}

#[tokio::test]
async fn other_sessions_have_no_transactions() {
    let (connection, _peer, _host) = connected().await;
    for mode in [AcknowledgeMode::Auto, AcknowledgeMode::Client] {
        let session = connection.session(mode);
        let outcomes = [
            session.commit().await,
            session.rollback().await,
            session.resolve().await.map(|_| ()),
        ];
        for outcome in outcomes {
            assert!(matches!(outcome, Err(ClientError::NotTransacted)));
        }
    }
}

#[tokio::test]
async fn a_refused_commit_says_that_nothing_happened() {
    let (_connection, session, _consumer, _id, mut peer, host) = transacted().await;
    session.producer("/queue/b").send("x").await.unwrap();
    let broker = async {
        peer.expect(Command::Begin).await;
        peer.expect(Command::Send).await;
        let frame = peer.expect(Command::Commit).await;
        tokio::join!(peer.refuse(&frame, "disk full"), async {
            let mut peer = host.welcome().await;
            peer.subscribed().await;
        });
    };
    let (committed, ()) = tokio::join!(within(session.commit()), broker);
    let error = committed.expect_err("refused");
    assert!(matches!(error, ClientError::Refused { .. }), "{error:?}");
    assert_eq!(within(session.resolve()).await.unwrap().sends(), 0);
}

#[tokio::test]
async fn what_was_not_committed_is_lost_with_the_connection_and_said_to_be() {
    let (_connection, session, mut consumer, id, mut peer, host) = transacted().await;
    let producer = session.producer("/queue/b");
    peer.deliver(&id, 1).await;
    within(consumer.receive()).await.unwrap();
    producer.send("lost").await.unwrap();
    begun(&mut peer).await;
    peer.expect(Command::Ack).await;
    peer.expect(Command::Send).await;
    drop(peer);
    let mut peer = host.welcome().await;
    peer.subscribed().await;
    // What goes on in it is given up with it.
    peer.deliver_with(&id, 1, "redelivered:true\n").await;
    within(consumer.receive()).await.unwrap();
    producer.send("lost too").await.unwrap();
    let broker = async {
        let transaction = begun(&mut peer).await;
        expect_in(&mut peer, Command::Ack, &transaction).await;
        expect_in(&mut peer, Command::Abort, &transaction).await;
    };
    let (committed, ()) = tokio::join!(within(session.commit()), broker);
    let error = committed.expect_err("rolled back");
    assert!(matches!(error, ClientError::RolledBack), "{error:?}");
    assert_eq!(error.retry(), Retry::Transaction);
    // And the next one is a new one.
    producer.send("kept").await.unwrap();
    let broker = async {
        let transaction = begun(&mut peer).await;
        let frame = expect_in(&mut peer, Command::Send, &transaction).await;
        assert_eq!(frame.body(), b"kept");
        peer.confirm(Command::Commit).await;
    };
    let (committed, ()) = tokio::join!(within(session.commit()), broker);
    committed.unwrap();
}

/// A COMMIT with one message received and two sent, whose receipt never came; the ids of what was sent.
async fn in_doubt(
    session: &Session,
    consumer: &mut Consumer,
    id: &str,
    mut peer: Peer,
    host: &Host,
) -> (Vec<String>, Peer) {
    let producer = session.producer("/queue/b");
    peer.deliver(id, 1).await;
    within(consumer.receive()).await.unwrap();
    producer.send("one").await.unwrap();
    producer.send("two").await.unwrap();
    let broker = async {
        begun(&mut peer).await;
        peer.expect(Command::Ack).await;
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(text(&peer.expect(Command::Send).await, "_AMQ_DUPL_ID"));
        }
        peer.expect(Command::Commit).await;
        drop(peer);
        let mut peer = host.welcome().await;
        peer.subscribed().await;
        (ids, peer)
    };
    let (committed, rest) = tokio::join!(within(session.commit()), broker);
    let error = committed.expect_err("in doubt");
    assert!(
        matches!(
            error,
            ClientError::CommitInDoubt {
                sends: 2,
                acknowledgements: 1
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.retry(), Retry::Resolve);
    rest
}

#[tokio::test]
async fn a_commit_in_doubt_is_resolved_under_the_same_ids() {
    let (_connection, session, mut consumer, id, peer, host) = transacted().await;
    let (ids, mut peer) = in_doubt(&session, &mut consumer, &id, peer, &host).await;
    // The first attempt to resolve is lost as well.
    let lost = async {
        begun(&mut peer).await;
        drop(peer);
        let mut peer = host.welcome().await;
        peer.subscribed().await;
        peer
    };
    let (resolved, mut peer) = tokio::join!(within(session.resolve()), lost);
    let error = resolved.expect_err("lost once more");
    assert!(
        matches!(error, ClientError::CommitInDoubt { .. }),
        "{error:?}"
    );
    let broker = async {
        let transaction = begun(&mut peer).await;
        for id in &ids {
            let frame = expect_in(&mut peer, Command::Send, &transaction).await;
            assert_headers(&frame, &[("_AMQ_DUPL_ID", id), ("x-resent", "true")]);
        }
        peer.confirm(Command::Commit).await;
    };
    let (resolved, ()) = tokio::join!(within(session.resolve()), broker);
    assert_eq!(resolved.unwrap().sends(), 2);
    assert_eq!(within(session.resolve()).await.unwrap().sends(), 0);
    // It had not happened: the message comes again, and says that the work is done.
    peer.deliver_with(&id, 1, "redelivered:true\n").await;
    peer.deliver_with(&id, 2, "redelivered:true\n").await;
    let again = within(consumer.receive()).await.unwrap();
    assert!(again.is_in_doubt());
    let other = within(consumer.receive()).await.unwrap();
    assert!(!other.is_in_doubt());
}

#[tokio::test]
async fn a_broker_that_does_not_know_repeats_cannot_resolve() {
    let (_connection, session, mut consumer, id, peer, host) = transacted().await;
    let (_ids, peer) = in_doubt(&session, &mut consumer, &id, peer, &host).await;
    drop(peer);
    let mut peer = host.welcome_as("ActiveMQ/5.17.2").await;
    peer.subscribed().await;
    let error = within(session.resolve()).await.expect_err("unsupported");
    assert!(
        matches!(error, ClientError::Unsupported { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_is_made_all_the_same() {
    let (_connection, session, _consumer, _id, mut peer, _host) = transacted().await;
    session.producer("/queue/b").send("x").await.unwrap();
    assert!(session.commit().now_or_never().is_none());
    peer.expect(Command::Begin).await;
    peer.expect(Command::Send).await;
    peer.confirm(Command::Commit).await;
    drop(session);
    // Nothing is left to abort.
    peer.expect(Command::Unsubscribe).await;
}
