//! From an address to a session, its heart-beats, and its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stompbox_client::{
    AcknowledgeMode, ClientError, Connection, ConnectionEvent, HeartBeat, Reconnect, Retry,
};
use stompbox_protocol::{Command, Version};

use crate::deadline::{eventually, within};
use crate::peer::{Host, Peer, assert_headers, assert_no_headers, connected};

#[tokio::test]
async fn connect_offers_all_versions_and_its_identity() {
    let host = Host::start().await;
    let connect = Connection::builder(&host.address)
        .login("user", "sec:ret")
        .client_id("one")
        .connect();
    let broker = async {
        let mut peer = host.accept().await;
        let frame = peer.expect(Command::Connect).await;
        let expected = [
            ("accept-version", "1.2,1.1,1.0"),
            ("host", "127.0.0.1"),
            ("heart-beat", "10000,10000"),
            ("login", "user"),
            ("passcode", "sec:ret"),
            ("client-id", "one"),
        ];
        assert_headers(&frame, &expected);
        peer.welcome_connect(Version::V1_2, "stompbox/0").await;
        peer
    };
    let (connection, mut peer) = tokio::join!(connect, broker);
    let (closed, ()) = tokio::join!(connection.unwrap().close(), peer.expect_goodbye());
    closed.unwrap();
}

#[tokio::test]
async fn what_the_address_says_is_sent_where_nothing_else_is_said() {
    let host = Host::start().await;
    let url = format!("stomp://us%20er:p%3Ass@{}?host=%2F", host.address);
    let broker = async {
        let mut peer = host.accept().await;
        let frame = peer.expect(Command::Connect).await;
        let expected = [("login", "us er"), ("passcode", "p:ss"), ("host", "/")];
        assert_headers(&frame, &expected);
        assert_no_headers(&frame, &["client-id"]);
        peer.welcome_connect(Version::V1_2, "stompbox/0").await;
        peer
    };
    let (connection, _peer) = tokio::join!(Connection::connect(&url), broker);
    connection.unwrap();
}

/// What a client makes of the first bytes of a broker.
async fn connect_error(answer: &str) -> ClientError {
    let host = Host::start().await;
    let broker = async {
        let mut peer = host.accept().await;
        peer.expect(Command::Connect).await;
        peer.say(answer).await;
    };
    let (connection, ()) = tokio::join!(host.client().connect(), broker);
    connection.expect_err("no session")
}

#[tokio::test]
async fn connect_tells_why_there_is_no_session() {
    let refused = connect_error("ERROR\nmessage:no\n\nnot you^@").await;
    assert!(
        matches!(&refused, ClientError::Refused { message, detail } if message == "no" && detail == "not you"),
        "{refused:?}"
    );
    assert_eq!(refused.retry(), Retry::Never);
    let closed = connect_error("").await;
    assert!(matches!(closed, ClientError::Closed), "{closed:?}");
    assert!(closed.is_transient());
    let foreign = connect_error("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert!(
        matches!(foreign, ClientError::Malformed { .. }),
        "{foreign:?}"
    );
    let early = connect_error("MESSAGE\n\n^@").await;
    assert!(matches!(early, ClientError::Unexpected { .. }), "{early:?}");
    let unknown = connect_error("CONNECTED\nversion:3.0\n\n^@").await;
    assert!(
        matches!(&unknown, ClientError::UnknownVersion { version } if version == "3.0"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn an_address_where_nobody_is_fails_at_once_and_a_retry_can_help() {
    let host = Host::start().await;
    let address = host.address.clone();
    drop(host);
    let error = Connection::connect(&address).await.expect_err("nobody");
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_broker_that_says_nothing_is_given_up_in_time() {
    let host = Host::start().await;
    let timeout = Duration::from_millis(50);
    let connect = host.client().connect_timeout(timeout).connect();
    let (connection, _peer) = tokio::join!(connect, host.accept());
    let error = connection.expect_err("no session");
    assert!(
        matches!(error, ClientError::ConnectTimeout { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_first_connection_is_tried_as_often_as_asked() {
    let host = Host::start().await;
    let failed = Arc::new(Mutex::new(0));
    let count = Arc::clone(&failed);
    let url = format!(
        "failover:({0},{0})?randomize=false&initialReconnectDelay=1&startupMaxReconnectAttempts=3",
        host.address
    );
    let connect = Connection::builder(url)
        .on_event(move |event| {
            if let ConnectionEvent::AttemptFailed { .. } = event {
                *count.lock().unwrap() += 1;
            }
        })
        .connect();
    let broker = async {
        for _ in 0..5 {
            drop(host.accept_tcp().await);
        }
        host.welcome().await
    };
    let (connection, _peer) = tokio::join!(connect, broker);
    connection.expect("the sixth attempt");
    assert_eq!(*failed.lock().unwrap(), 5);
}

#[tokio::test]
async fn attempts_end_when_there_have_been_enough() {
    let host = Host::start().await;
    let reconnect = Reconnect::default()
        .attempts(Some(2))
        .initial_delay(Duration::from_millis(1));
    let connect = host.client().reconnect(reconnect).connect();
    let (connection, peer) = tokio::join!(connect, host.welcome());
    let connection = connection.unwrap();
    drop(peer);
    let session = connection.session(AcknowledgeMode::Auto);
    let producer = session.producer("/queue/a");
    let sent = producer.send("x");
    let broker = async {
        for _ in 0..2 {
            drop(host.accept_tcp().await);
        }
    };
    let (sent, ()) = tokio::join!(within(sent), broker);
    let error = sent.expect_err("given up");
    assert!(
        matches!(error, ClientError::GivenUp { attempts: 2, .. }),
        "{error:?}"
    );
    let again = producer.send("x").await.expect_err("ended");
    assert!(matches!(again, ClientError::GivenUp { .. }), "{again:?}");
}

const BEAT: Duration = Duration::from_millis(20);

/// A connection with these wishes, to a broker that wishes for 20 ms in both directions.
async fn beating(send: Duration, receive: Duration) -> (Connection, Peer, Host) {
    let host = Host::start().await;
    let connect = host
        .client()
        .heart_beat(HeartBeat { send, receive })
        .reconnect(Reconnect::never())
        .connect();
    let broker = async {
        let mut peer = host.accept().await;
        let frame = peer.expect(Command::Connect).await;
        let wishes = format!("{},{}", send.as_millis(), receive.as_millis());
        assert_headers(&frame, &[("heart-beat", &wishes)]);
        peer.say("CONNECTED\nversion:1.2\nheart-beat:20,20\n\n^@")
            .await;
        peer
    };
    let (connection, peer) = tokio::join!(connect, broker);
    (connection.unwrap(), peer, host)
}

#[tokio::test]
async fn heart_beats_are_sent_without_any_call() {
    let (_connection, mut peer, _host) = beating(BEAT, Duration::ZERO).await;
    for _ in 0..3 {
        peer.expect_heart_beat().await;
    }
}

#[tokio::test]
async fn a_silent_broker_is_given_up() {
    let (connection, _peer, _host) = beating(Duration::ZERO, BEAT).await;
    let session = connection.session(AcknowledgeMode::Auto);
    let error = within(session.producer("/queue/a").send("x"))
        .await
        .expect_err("silence");
    assert!(matches!(error, ClientError::Silent { .. }), "{error:?}");
}

#[tokio::test]
async fn close_returns_when_everything_before_it_is_dealt_with() {
    let (connection, mut peer, _host) = connected().await;
    let producer = connection
        .session(AcknowledgeMode::Auto)
        .producer("/queue/a");
    for number in 0..3 {
        producer.send_and_forget(format!("{number}")).await.unwrap();
    }
    let broker = async {
        for number in 0..3 {
            let frame = peer.expect(Command::Send).await;
            assert_eq!(frame.body(), format!("{number}").as_bytes());
        }
        peer.expect_goodbye().await;
    };
    let (closed, ()) = tokio::join!(within(connection.close()), broker);
    closed.unwrap();
    let error = producer.send("late").await.expect_err("closed");
    assert!(matches!(error, ClientError::Ended), "{error:?}");
}

#[tokio::test]
async fn close_says_so_when_the_connection_is_lost_first() {
    let (connection, mut peer, _host) = connected().await;
    let broker = async {
        peer.expect(Command::Disconnect).await;
        drop(peer);
    };
    let (closed, ()) = tokio::join!(within(connection.close()), broker);
    let error = closed.expect_err("lost");
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn the_last_handle_to_be_dropped_ends_the_connection_properly() {
    let (connection, mut peer, _host) = connected().await;
    let producer = connection
        .session(AcknowledgeMode::Auto)
        .producer("/queue/a");
    drop(connection);
    producer.send_and_forget("last words").await.unwrap();
    drop(producer);
    peer.expect(Command::Send).await;
    peer.expect_goodbye().await;
}

#[tokio::test]
async fn events_tell_the_life_of_a_connection() {
    let host = Host::start().await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let connect = host
        .client()
        .on_event(move |event| {
            let name = match event {
                ConnectionEvent::Connected {
                    is_reconnect,
                    server,
                    ..
                } => format!("connected {is_reconnect} {server}"),
                ConnectionEvent::Lost { error } => format!("lost: {error}"),
                ConnectionEvent::Ended { error } => format!("ended: {error}"),
                other => format!("{other:?}"),
            };
            log.lock().unwrap().push(name);
            panic!("of the function: the connection goes on");
        })
        .connect();
    let (connection, peer) = tokio::join!(connect, host.welcome());
    drop(peer);
    let mut peer = host.welcome_as("other/1").await;
    eventually(|| events.lock().unwrap().len() == 3).await;
    let (closed, ()) = tokio::join!(connection.unwrap().close(), peer.expect_goodbye());
    closed.unwrap();
    eventually(|| events.lock().unwrap().len() == 4).await;
    let expected = [
        "connected false stompbox/0",
        "lost: the broker closed the connection",
        "connected true other/1",
        "ended: closed by this program",
    ];
    assert_eq!(*events.lock().unwrap(), expected);
}
