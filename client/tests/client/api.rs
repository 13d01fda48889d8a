//! What the types promise to those who pass them around.

use std::time::Duration;

use stompbox_client::{
    AcknowledgeMode, Browser, ClientError, Completion, Connection, ConnectionBuilder, Consumer,
    Listener, Message, OutgoingMessage, Producer, Requestor, Session, Subscription, blocking,
};

fn shared<T: Send + Sync + 'static>() {}
fn sent<T: Send>(_: T) {}

#[test]
fn everything_may_be_shared_between_threads() {
    shared::<Connection>();
    shared::<ConnectionBuilder>();
    shared::<Session>();
    shared::<Producer>();
    shared::<Completion>();
    shared::<Consumer>();
    shared::<Browser>();
    shared::<Listener>();
    shared::<Requestor>();
    shared::<Message>();
    shared::<OutgoingMessage>();
    shared::<Subscription>();
    shared::<ClientError>();
    shared::<blocking::Connection>();
    shared::<blocking::Session>();
    shared::<blocking::Producer>();
    shared::<blocking::Consumer>();
}

/// Compiled, not run: futures that may move to other threads.
#[allow(dead_code, reason = "that it compiles is the test")]
fn every_future_may_be_spawned(
    connection: Connection,
    session: &Session,
    producer: &Producer,
    consumer: &mut Consumer,
    requestor: &Requestor,
) {
    sent(Connection::connect("broker"));
    sent(connection.session(AcknowledgeMode::Auto).commit());
    sent(session.consumer("/queue/a"));
    sent(session.browser("/queue/a"));
    sent(session.requestor("/queue/a"));
    sent(producer.send("x"));
    sent(producer.send_async("x"));
    sent(producer.send_and_forget("x"));
    sent(requestor.request("x", Duration::ZERO));
    sent(consumer.receive_timeout(Duration::ZERO));
    sent(connection.close());
}

#[test]
fn what_is_asked_for_can_be_compared() {
    let wish = |name| Subscription::to("/queue/a").prefetch(5).durable(name);
    assert_eq!(wish("n"), wish("n"));
    assert_ne!(wish("n"), wish("m"));
    let order = |text: &str| OutgoingMessage::text(text).header("region", "north");
    assert_eq!(order("tea"), order("tea"));
    assert_ne!(order("tea"), order("tea").priority(7));
}

#[test]
fn a_builder_that_is_printed_hides_the_passcode() {
    let builder = Connection::builder("stomp://billing:secret@broker").login("billing", "secret");
    let text = format!("{builder:?}");
    assert!(
        text.contains("broker") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn an_error_says_what_it_is_in_one_line() {
    let errors = [
        ClientError::Stale,
        ClientError::Ended,
        ClientError::NoReply {
            timeout: Duration::from_secs(1),
        },
        ClientError::CommitInDoubt {
            sends: 1,
            acknowledgements: 2,
        },
    ];
    for error in errors {
        let text = error.to_string();
        assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
        assert!(text.starts_with(char::is_lowercase), "{text}");
    }
}
