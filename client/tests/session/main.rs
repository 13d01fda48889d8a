//! The client against a scripted broker: every frame that it writes, and what it makes of those that come.

mod peer;

use std::time::Duration;

use peer::{accept, connected, listen, quiet, within};
use stompbox_client::{
    Acknowledge, ClientError, ConnectOptions, Connection, HeartBeat, OutgoingMessage, Passcode,
    Retry, SubscribeOptions, Version,
};
use stompbox_protocol::Command;

fn hello() -> OutgoingMessage {
    OutgoingMessage::to("/queue/a").body("hello")
}

fn message(number: u32) -> String {
    format!(
        "MESSAGE\nmessage-id:m{number}\nsubscription:s1\nack:k{number}\ndestination:/queue/a\n\n\
         body {number}^@"
    )
}

#[tokio::test]
async fn connect_offers_all_versions_and_its_identity() {
    let (listener, address) = listen().await;
    let options = ConnectOptions {
        login: Some("user".to_owned()),
        passcode: Some(Passcode::new("secret")),
        client_id: Some("one".to_owned()),
        ..ConnectOptions::default()
    };
    let broker = async {
        let mut peer = accept(listener).await;
        let connect = peer.expect(Command::Connect).await;
        let expected = [
            ("accept-version", "1.0,1.1,1.2"),
            ("host", "127.0.0.1"),
            ("heart-beat", "10000,10000"),
            ("login", "user"),
            ("passcode", "secret"),
            ("client-id", "one"),
        ];
        for (name, value) in expected {
            assert_eq!(connect.text(name).as_deref(), Some(value), "{name}");
        }
        peer.say("\n\nCONNECTED\nversion:1.1\nsession:7\n\n^@")
            .await;
        peer
    };
    let (connection, _peer) = tokio::join!(Connection::connect(&address, options), broker);
    let connection = connection.expect("a session");
    assert_eq!(connection.version(), Version::V1_1);
    assert_eq!(connection.session_id(), Some("7"));
}

/// What a client makes of the first bytes of a broker.
async fn connect_error(answer: &str) -> ClientError {
    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = accept(listener).await;
        peer.expect(Command::Connect).await;
        peer.say(answer).await;
    };
    let (connection, ()) = tokio::join!(Connection::connect(&address, quiet()), broker);
    connection.expect_err("no session")
}

#[tokio::test]
async fn connect_tells_why_there_is_no_session() {
    let refused = connect_error("ERROR\nmessage:no\n\nnot you^@").await;
    assert!(
        matches!(&refused, ClientError::Refused { message, detail, .. } if message == "no" && detail == "not you"),
        "{refused:?}"
    );
    assert_eq!(refused.retry(), Retry::Never);
    let closed = connect_error("").await;
    assert!(matches!(closed, ClientError::Closed), "{closed:?}");
    let foreign = connect_error("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert!(
        matches!(foreign, ClientError::Malformed { .. }),
        "{foreign:?}"
    );
    let early = connect_error("RECEIPT\nreceipt-id:1\n\n^@").await;
    assert!(
        matches!(
            early,
            ClientError::Unexpected {
                command: Command::Receipt
            }
        ),
        "{early:?}"
    );
    let version = connect_error("CONNECTED\nversion:2.0\n\n^@").await;
    assert!(matches!(&version, ClientError::UnknownVersion { version } if version == "2.0"));
}

#[tokio::test]
async fn nobody_listening_is_worth_a_retry() {
    let (listener, address) = listen().await;
    drop(listener);
    let error = Connection::connect(&address, quiet())
        .await
        .expect_err("nobody listens");
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(error.retry(), Retry::OnNewConnection);
}

#[tokio::test]
async fn a_silent_broker_does_not_hold_connect_up() {
    let (_listener, address) = listen().await;
    let options = ConnectOptions {
        timeout: Duration::from_millis(50),
        ..quiet()
    };
    let error = Connection::connect(&address, options)
        .await
        .expect_err("silence");
    assert!(
        matches!(error, ClientError::ConnectTimeout { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn send_receipted_returns_with_its_own_receipt() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    let broker = async {
        let send = peer.expect(Command::Send).await;
        assert_eq!(send.text("destination").as_deref(), Some("/queue/a"));
        assert_eq!(send.text("content-length").as_deref(), Some("5"));
        assert_eq!(send.body(), b"hello");
        peer.say("RECEIPT\nreceipt-id:unknown\n\n^@").await;
        let receipt = send
            .text("receipt")
            .expect("a receipt is asked for")
            .into_owned();
        peer.say(&format!("RECEIPT\nreceipt-id:{receipt}\n\n^@"))
            .await;
    };
    let message = hello();
    let (result, ()) = tokio::join!(within(connection.send_receipted(&message)), broker);
    result.expect("confirmed");
}

#[tokio::test]
async fn send_writes_headers_in_order_and_escaped() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    let message = hello()
        .header("b:1", "x\ny")
        .header("a", "2")
        .header("receipt", "mine");
    connection.send(&message).await.expect("sent");
    let send = peer.expect(Command::Send).await;
    assert_eq!(send.text("b:1").as_deref(), Some("x\ny"));
    let names: Vec<&[u8]> = send.headers().map(|header| header.name).collect();
    assert_eq!(
        names,
        [&b"destination"[..], b"b\\c1", b"a", b"content-length"]
    );
}

#[tokio::test]
async fn messages_that_come_before_a_receipt_keep_their_order() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    let broker = async {
        peer.expect_and_confirm(Command::Subscribe).await;
        peer.say(&message(1)).await;
        peer.say(&message(2)).await;
        peer.expect_and_confirm(Command::Send).await;
        peer.say(&message(3)).await;
    };
    let client = async {
        connection
            .subscribe(&SubscribeOptions::to("/queue/a"))
            .await
            .expect("subscribed");
        connection
            .send_receipted(&hello())
            .await
            .expect("confirmed");
        for number in 1..=3 {
            let message = within(connection.next_message()).await.expect("a message");
            assert_eq!(message.body(), format!("body {number}").as_bytes());
        }
    };
    tokio::join!(client, broker);
}

#[tokio::test]
async fn a_full_inbox_stops_the_broker_and_loses_nothing() {
    let options = ConnectOptions {
        inbox_messages: 1,
        ..quiet()
    };
    let (mut connection, mut peer) = connected(Version::V1_2, options).await;
    let broker = async {
        for number in 1..=20 {
            peer.say(&message(number)).await;
        }
    };
    let client = async {
        for number in 1..=20 {
            let message = within(connection.next_message()).await.expect("a message");
            assert_eq!(message.message_id(), format!("m{number}"));
        }
    };
    tokio::join!(client, broker);
}

#[tokio::test]
async fn messages_that_bury_a_receipt_fail_the_call_but_not_the_connection() {
    let options = ConnectOptions {
        inbox_messages: 1,
        inbox_bytes: 100,
        ..quiet()
    };
    let (mut connection, mut peer) = connected(Version::V1_2, options).await;
    let broker = async {
        for number in 1..=3 {
            peer.say(&message(number)).await;
        }
        peer.expect(Command::Send).await;
        peer.expect_and_confirm(Command::Send).await;
    };
    let client = async {
        let error = within(connection.send_receipted(&hello()))
            .await
            .expect_err("full");
        assert!(matches!(error, ClientError::InboxFull { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::AfterTakingMessages);
        for number in 1..=3 {
            let message = within(connection.next_message()).await.expect("a message");
            assert_eq!(message.message_id(), format!("m{number}"));
        }
        within(connection.send_receipted(&hello()))
            .await
            .expect("confirmed");
    };
    tokio::join!(client, broker);
}

#[tokio::test]
async fn a_message_shows_what_the_broker_said_about_it() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    peer.say(
        "MESSAGE\nsubscription:s1\nmessage-id:m1\ndestination:/queue/a\\cb\nack:k\n\
         redelivered:true\nJMSXDeliveryCount:3\ncolour:r\\ned\ncolour:blue\n\nbody^@",
    )
    .await;
    let message = within(connection.next_message()).await.expect("a message");
    assert_eq!(message.destination(), "/queue/a:b");
    assert_eq!(message.subscription().as_deref(), Some("s1"));
    assert!(message.is_redelivered());
    assert_eq!(message.delivery_count(), Some(3));
    assert_eq!(message.header("colour").as_deref(), Some("r\ned"));
    let colours = message
        .headers()
        .filter(|(name, _)| name.as_ref() == b"colour")
        .count();
    assert_eq!(colours, 2);
    assert_eq!(message.into_body().as_ref(), b"body");
}

#[tokio::test]
async fn acknowledgements_name_the_message_as_the_version_wants_it() {
    let cases: [(Version, &[(&str, &str)]); 3] = [
        (Version::V1_0, &[("message-id", "m1")]),
        (
            Version::V1_1,
            &[("message-id", "m1"), ("subscription", "s1")],
        ),
        (Version::V1_2, &[("id", "k1")]),
    ];
    for (version, expected) in cases {
        let (mut connection, mut peer) = connected(version, quiet()).await;
        peer.say(&message(1)).await;
        let message = within(connection.next_message()).await.expect("a message");
        connection.ack(&message).await.expect("acknowledged");
        let ack = peer.expect(Command::Ack).await;
        let headers: Vec<_> = ack.headers().collect();
        assert_eq!(headers.len(), expected.len(), "{version}");
        for (name, value) in expected {
            assert_eq!(ack.text(name).as_deref(), Some(*value), "{version}");
        }
        let refused = connection.nack(&message).await;
        if version == Version::V1_0 {
            assert!(
                matches!(refused, Err(ClientError::Unsupported { .. })),
                "{refused:?}"
            );
        } else {
            peer.expect(Command::Nack).await;
        }
    }
}

#[tokio::test]
async fn messages_of_an_auto_subscription_are_not_acknowledged() {
    let (mut connection, mut peer) = connected(Version::V1_1, quiet()).await;
    let broker = async {
        let subscribe = peer.expect_and_confirm(Command::Subscribe).await;
        assert_eq!(subscribe.text("ack").as_deref(), Some("auto"));
        assert_eq!(subscribe.text("selector").as_deref(), Some("a = 1"));
        assert_eq!(
            subscribe.text("activemq.prefetchSize").as_deref(),
            Some("5")
        );
        peer.say(&message(1)).await;
    };
    let client = async {
        let options = SubscribeOptions::to("/queue/a")
            .acknowledge(Acknowledge::Auto)
            .selector("a = 1")
            .prefetch(5);
        let id = connection.subscribe(&options).await.expect("subscribed");
        assert_eq!(id.as_str(), "s1");
        let message = within(connection.next_message()).await.expect("a message");
        let refused = connection.ack(&message).await;
        assert!(
            matches!(refused, Err(ClientError::NothingToAcknowledge)),
            "{refused:?}"
        );
    };
    tokio::join!(client, broker);
}

#[tokio::test]
async fn a_transaction_names_itself_on_each_of_its_frames() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    let broker = async {
        peer.say(&message(1)).await;
        let begin = peer.expect(Command::Begin).await;
        let id = begin
            .text("transaction")
            .expect("a transaction")
            .into_owned();
        for command in [Command::Send, Command::Ack] {
            let frame = peer.expect(command).await;
            assert_eq!(
                frame.text("transaction").as_deref(),
                Some(id.as_str()),
                "{command}"
            );
        }
        let commit = peer.expect_and_confirm(Command::Commit).await;
        assert_eq!(commit.text("transaction").as_deref(), Some(id.as_str()));
        let begin = peer.expect(Command::Begin).await;
        assert_ne!(begin.text("transaction").as_deref(), Some(id.as_str()));
        peer.expect_and_confirm(Command::Abort).await;
    };
    let client = async {
        let message = within(connection.next_message()).await.expect("a message");
        let transaction = connection.begin().await.expect("begun");
        connection
            .send(&hello().in_transaction(&transaction))
            .await
            .expect("sent");
        connection
            .ack_in(&message, &transaction)
            .await
            .expect("acknowledged");
        connection.commit(transaction).await.expect("committed");
        let transaction = connection.begin().await.expect("begun");
        connection.abort(transaction).await.expect("aborted");
    };
    tokio::join!(client, broker);
}

#[tokio::test]
async fn an_error_frame_ends_every_call_with_what_it_says() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    let broker = async {
        let send = peer.expect(Command::Send).await;
        let receipt = send
            .text("receipt")
            .expect("a receipt is asked for")
            .into_owned();
        peer.say(&message(1)).await;
        peer.say(&format!(
            "ERROR\nmessage:no such\nreceipt-id:{receipt}\n\nwhy^@"
        ))
        .await;
    };
    let sent = hello();
    let (result, ()) = tokio::join!(within(connection.send_receipted(&sent)), broker);
    let is_refusal = |error: &ClientError| match error {
        ClientError::Refused {
            message,
            detail,
            receipt: Some(_),
        } => message == "no such" && detail == "why",
        _ => false,
    };
    assert!(is_refusal(&result.expect_err("refused")));
    within(connection.next_message())
        .await
        .expect("what had come before");
    assert!(is_refusal(
        &within(connection.next_message()).await.expect_err("ended")
    ));
    assert!(is_refusal(
        &within(connection.send(&hello())).await.expect_err("ended")
    ));
    assert!(is_refusal(
        &within(connection.disconnect()).await.expect_err("ended")
    ));
}

#[tokio::test]
async fn a_broker_that_goes_is_noticed_after_its_last_message() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    peer.say(&message(1)).await;
    drop(peer);
    within(connection.next_message())
        .await
        .expect("the last message");
    let error = within(connection.next_message()).await.expect_err("closed");
    assert_eq!(error.retry(), Retry::OnNewConnection, "{error:?}");
}

#[tokio::test]
async fn what_is_not_stomp_ends_the_connection() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    peer.say("nonsense\n\n^@").await;
    let error = within(connection.next_message())
        .await
        .expect_err("malformed");
    assert!(matches!(error, ClientError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn heart_beats_are_sent_while_nobody_calls() {
    let heart_beat = HeartBeat {
        send: Duration::from_millis(20),
        receive: Duration::ZERO,
    };
    let options = ConnectOptions {
        heart_beat,
        ..quiet()
    };
    let (_connection, mut peer) = connected(Version::V1_2, options).await;
    for _ in 0..3 {
        peer.expect_heart_beat().await;
    }
}

#[tokio::test]
async fn a_broker_without_its_heart_beats_is_given_up() {
    let heart_beat = HeartBeat {
        send: Duration::ZERO,
        receive: Duration::from_millis(20),
    };
    let options = ConnectOptions {
        heart_beat,
        ..quiet()
    };
    let (mut connection, _peer) = connected(Version::V1_2, options).await;
    let error = within(connection.next_message())
        .await
        .expect_err("silence");
    assert!(matches!(error, ClientError::Silent { silence } if silence.as_millis() == 40));
}

#[tokio::test]
async fn disconnect_waits_for_its_receipt_and_drops_what_comes_before() {
    let options = ConnectOptions {
        inbox_messages: 1,
        inbox_bytes: 1,
        ..quiet()
    };
    let (connection, mut peer) = connected(Version::V1_2, options).await;
    let broker = async {
        for number in 1..=5 {
            peer.say(&message(number)).await;
        }
        peer.expect_and_confirm(Command::Disconnect).await;
        peer.expect_end().await;
    };
    let (result, ()) = tokio::join!(within(connection.disconnect()), broker);
    result.expect("disconnected");
}

#[tokio::test]
async fn a_dropped_connection_writes_what_it_had_taken_and_ends() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    connection.send(&hello()).await.expect("taken");
    drop(connection);
    peer.expect(Command::Send).await;
    peer.expect_end().await;
}

#[tokio::test]
async fn unsubscribe_names_the_subscription() {
    let (mut connection, mut peer) = connected(Version::V1_2, quiet()).await;
    let broker = async {
        let subscribe = peer.expect_and_confirm(Command::Subscribe).await;
        let unsubscribe = peer.expect_and_confirm(Command::Unsubscribe).await;
        assert_eq!(subscribe.text("id"), unsubscribe.text("id"));
    };
    let client = async {
        let options = SubscribeOptions::to("/topic/a").durable("d");
        let id = connection.subscribe(&options).await.expect("subscribed");
        connection.unsubscribe(&id).await.expect("unsubscribed");
    };
    tokio::join!(client, broker);
}
