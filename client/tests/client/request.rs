//! Request and reply.

use std::time::Duration;

use futures_util::FutureExt as _;
use stompbox_client::{AcknowledgeMode, ClientError, OutgoingMessage, Requestor};
use stompbox_protocol::{Command, Frame};

use crate::deadline::within;
use crate::peer::{Host, Peer, assert_headers, connected, text};

const LONG: Duration = Duration::from_secs(20);

/// A requestor and the id of its reply queue's subscription.
async fn requestor() -> (Requestor, String, String, Peer, Host) {
    let (connection, mut peer, host) = connected().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let (requestor, frame) = tokio::join!(
        session.requestor("/queue/prices"),
        peer.confirm(Command::Subscribe)
    );
    let queue = text(&frame, "destination");
    assert!(queue.starts_with("/temp-queue/"), "{queue}");
    (requestor.unwrap(), text(&frame, "id"), queue, peer, host)
}

async fn answer(peer: &mut Peer, subscription: &str, question: &Frame, text: &str) {
    let id = crate::peer::text(question, "correlation-id");
    peer.say(&format!(
        "MESSAGE\nsubscription:{subscription}\nmessage-id:{text}\nack:{text}\n\
         destination:/temp-queue/x\ncorrelation-id:{id}\n\n{text}^@"
    ))
    .await;
}

#[tokio::test]
async fn answers_find_their_questions_in_any_order() {
    let (requestor, id, queue, mut peer, _host) = requestor().await;
    // A correlation id of one's own must not get in the way.
    let first = requestor.request(OutgoingMessage::from("tea?").correlation_id("mine"), LONG);
    let second = requestor.request("coffee?", LONG);
    let broker = async {
        let tea = peer.confirm(Command::Send).await;
        let expected = [("destination", "/queue/prices"), ("reply-to", &*queue)];
        assert_headers(&tea, &expected);
        let coffee = peer.confirm(Command::Send).await;
        answer(&mut peer, &id, &coffee, "4.10").await;
        answer(&mut peer, &id, &tea, "3.20").await;
        for text in ["4.10", "3.20"] {
            assert_headers(&peer.expect(Command::Ack).await, &[("id", text)]);
        }
    };
    let all = async { tokio::join!(first, second, broker) };
    let (tea, coffee, ()) = within(all).await;
    assert_eq!(tea.unwrap().body(), b"3.20");
    assert_eq!(coffee.unwrap().body(), b"4.10");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_nobodys() {
    let (requestor, id, _queue, mut peer, _host) = requestor().await;
    let short = Duration::from_millis(50);
    let (late, question) = tokio::join!(
        within(requestor.request("tea?", short)),
        peer.confirm(Command::Send)
    );
    let error = late.expect_err("nobody answers");
    assert!(
        matches!(error, ClientError::NoReply { timeout } if timeout == short),
        "{error:?}"
    );
    assert!(error.is_transient());
    // And one that was given up.
    assert!(requestor.request("given up", LONG).now_or_never().is_none());
    let given_up = peer.confirm(Command::Send).await;
    answer(&mut peer, &id, &question, "late").await;
    answer(&mut peer, &id, &given_up, "later").await;
    let next = async {
        let question = peer.next_send().await;
        answer(&mut peer, &id, &question, "3.20").await;
    };
    let (answered, ()) = tokio::join!(within(requestor.request("tea?", LONG)), next);
    assert_eq!(answered.unwrap().body(), b"3.20");
}

impl Peer {
    /// The next SEND, confirmed; ACKs may come before.
    async fn next_send(&mut self) -> Frame {
        loop {
            let frame = self.next_frame().await.expect("a SEND");
            if frame.command() == Command::Send {
                self.receipt(&frame, "").await;
                return frame;
            }
        }
    }
}

#[tokio::test]
async fn a_question_that_had_arrived_when_the_connection_was_lost_fails_at_once() {
    let (requestor, id, _queue, mut peer, host) = requestor().await;
    let asked = requestor.request("tea?", LONG);
    let lost = async {
        peer.confirm(Command::Send).await;
        // Not before the client has read the receipt.
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(peer);
        let mut peer = host.welcome().await;
        peer.subscribed().await;
        peer
    };
    let (asked, mut peer) = tokio::join!(within(asked), lost);
    let error = asked.expect_err("the way back is lost");
    assert!(
        matches!(error, ClientError::Interrupted { .. }),
        "{error:?}"
    );
    // The next one goes its way.
    let next = async {
        let question = peer.confirm(Command::Send).await;
        answer(&mut peer, &id, &question, "3.20").await;
    };
    let (answered, ()) = tokio::join!(within(requestor.request("tea?", LONG)), next);
    answered.unwrap();
}

#[tokio::test]
async fn a_question_that_had_not_arrived_is_asked_again() {
    let (requestor, id, _queue, mut peer, host) = requestor().await;
    let asked = requestor.request("tea?", LONG);
    let broker = async {
        peer.expect(Command::Send).await;
        drop(peer);
        let mut peer = host.welcome().await;
        peer.subscribed().await;
        let question = peer.confirm(Command::Send).await;
        answer(&mut peer, &id, &question, "3.20").await;
        peer
    };
    let (answered, _peer) = tokio::join!(within(asked), broker);
    assert_eq!(answered.unwrap().body(), b"3.20");
}

#[tokio::test]
async fn dropping_a_requestor_ends_its_queue() {
    let (requestor, id, _queue, mut peer, _host) = requestor().await;
    drop(requestor);
    assert_headers(&peer.expect(Command::Unsubscribe).await, &[("id", &id)]);
}
