//! `send` and `receive` against a scripted broker: what they write to it, and what they print.

use clap::Parser;
use stompbox_protocol::{Command as FrameCommand, Decoder, Frame, Input, Limits, Role, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::argument::{Arguments, Command};
use super::broker::{Failure, explain};
use super::{receive, send};

/// The broker's side of one connection.
struct Peer {
    socket: TcpStream,
    decoder: Decoder,
}

impl Peer {
    async fn accept(listener: TcpListener) -> Self {
        let (socket, _) = listener.accept().await.expect("a client");
        let decoder = Decoder::new(Role::Server, Limits::default());
        let mut peer = Self { socket, decoder };
        peer.expect(FrameCommand::Connect).await;
        peer.say("CONNECTED\nversion:1.2\n\n^@").await;
        peer.decoder.set_version(Version::V1_2);
        peer
    }

    /// Writes text, `^@` standing for NUL.
    async fn say(&mut self, text: &str) {
        self.socket
            .write_all(text.replace("^@", "\0").as_bytes())
            .await
            .expect("write");
    }

    /// The next frame, which must be of this command; its receipt, if it asks for one, is sent.
    async fn expect(&mut self, command: FrameCommand) -> Frame {
        let frame = loop {
            match self.decoder.next_input().expect("STOMP") {
                Some(Input::Frame(frame)) => break frame,
                Some(Input::HeartBeat) => {}
                None => {
                    let mut space = self.decoder.read_space();
                    let read = self.socket.read_buf(&mut space).await.expect("read");
                    assert_ne!(read, 0, "end of stream instead of {command}");
                }
            }
        };
        assert_eq!(frame.command(), command);
        if let Some(receipt) = frame.text("receipt") {
            let receipt = format!("RECEIPT\nreceipt-id:{receipt}\n\n^@");
            self.say(&receipt).await;
        }
        frame
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

/// Runs a command line, and returns what it prints.
async fn run(line: &str) -> (String, Result<(), Failure>) {
    let mut out = Vec::new();
    let arguments = Arguments::try_parse_from(line.split(' ')).expect("a valid command line");
    let result = match arguments.command {
        Some(Command::Send(arguments)) => send::run(&arguments, &mut out).await,
        Some(Command::Receive(arguments)) => receive::run(&arguments, &mut out).await,
        other => panic!("{other:?} talks to no broker"),
    };
    (String::from_utf8(out).expect("UTF-8"), result)
}

/// A message for the subscription that a SUBSCRIBE has made.
fn message(subscribe: &Frame, number: u32) -> String {
    let id = subscribe.text("id").expect("an id");
    format!("MESSAGE\nmessage-id:m{number}\nsubscription:{id}\nack:k{number}\n\nbody {number}^@")
}

#[tokio::test]
async fn send_waits_until_the_broker_has_every_copy() {
    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = Peer::accept(listener).await;
        for _ in 0..2 {
            let send = peer.expect(FrameCommand::Send).await;
            assert_eq!(send.text("destination").as_deref(), Some("/queue/orders"));
            assert_eq!(send.text("persistent").as_deref(), Some("true"));
            assert_eq!(send.text("a").as_deref(), Some("1:2"));
            assert_eq!(send.body(), b"tea");
        }
        peer.expect(FrameCommand::Disconnect).await;
    };
    let line = format!("stompbox send orders tea -H a:1:2 -n 2 --to {address}");
    let ((out, result), ()) = tokio::join!(run(&line), broker);
    result.expect("sent");
    assert_eq!(out, "2 messages sent to /queue/orders\n");
}

#[tokio::test]
async fn send_reads_the_body_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("body");
    std::fs::write(&path, b"from\0file").expect("write");
    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = Peer::accept(listener).await;
        let send = peer.expect(FrameCommand::Send).await;
        assert_eq!(send.text("persistent").as_deref(), Some("false"));
        assert_eq!(send.body(), b"from\0file");
        peer.expect(FrameCommand::Disconnect).await;
    };
    let file = path.display();
    let line = format!("stompbox send /topic/a --non-persistent -f {file} --to {address}");
    let ((out, result), ()) = tokio::join!(run(&line), broker);
    result.expect("sent");
    assert_eq!(out, "1 message sent to /topic/a\n");
}

#[tokio::test]
async fn receive_acknowledges_what_it_has_printed() {
    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = Peer::accept(listener).await;
        let subscribe = peer.expect(FrameCommand::Subscribe).await;
        assert_eq!(
            subscribe.text("destination").as_deref(),
            Some("/queue/orders")
        );
        assert_eq!(subscribe.text("ack").as_deref(), Some("client-individual"));
        assert_eq!(
            subscribe.text("activemq.prefetchSize").as_deref(),
            Some("1")
        );
        for number in 1..=2 {
            peer.say(&message(&subscribe, number)).await;
            let ack = peer.expect(FrameCommand::Ack).await;
            assert_eq!(ack.text("id"), Some(format!("k{number}").into()));
        }
        peer.expect(FrameCommand::Disconnect).await;
    };
    let line = format!("stompbox receive orders -n 2 --from {address}");
    let ((out, result), ()) = tokio::join!(run(&line), broker);
    result.expect("received");
    assert_eq!(out, "body 1\nbody 2\n");
}

#[tokio::test]
async fn receive_takes_what_is_there_and_prints_headers_if_asked() {
    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = Peer::accept(listener).await;
        let subscribe = peer.expect(FrameCommand::Subscribe).await;
        peer.say(&message(&subscribe, 1)).await;
        peer.expect(FrameCommand::Ack).await;
        peer.expect(FrameCommand::Disconnect).await;
        subscribe.text("id").expect("an id").into_owned()
    };
    let line = format!("stompbox receive orders --headers --timeout 500ms --from {address}");
    let ((out, result), id) = tokio::join!(run(&line), broker);
    result.expect("received");
    let expected = format!("message-id: m1\nsubscription: {id}\nack: k1\n\nbody 1\n");
    assert_eq!(out, expected);
}

#[tokio::test]
async fn receive_fails_when_fewer_come_than_asked_for() {
    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = Peer::accept(listener).await;
        peer.expect(FrameCommand::Subscribe).await;
        peer.expect(FrameCommand::Disconnect).await;
    };
    let line = format!("stompbox receive orders -n 2 --timeout 20ms --from {address}");
    let ((_, result), ()) = tokio::join!(run(&line), broker);
    let failure = result.expect_err("too few");
    assert_eq!(explain(&failure, &address), "only 0 of 2 messages came");
}

#[tokio::test]
async fn failures_are_told_in_words_that_help() {
    let (listener, address) = listen().await;
    drop(listener);
    let (_, result) = run(&format!("stompbox receive orders --from {address}")).await;
    let text = explain(&result.expect_err("nobody listens"), &address);
    assert!(text.starts_with(&format!(
        "nothing is listening on {address}: start the broker"
    )));

    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = Peer::accept(listener).await;
        let send = peer.decoder.next_input().expect("STOMP");
        assert!(send.is_none(), "nothing before the session");
        peer.say("ERROR\nmessage:queue is full\n\nTake something out.\n^@")
            .await;
    };
    let line = format!("stompbox send orders tea --to {address}");
    let ((_, result), ()) = tokio::join!(run(&line), broker);
    let text = explain(&result.expect_err("refused"), &address);
    assert_eq!(
        text,
        "the broker refused: queue is full\nTake something out."
    );

    let (_, result) = run("stompbox send orders -f /nowhere/body").await;
    let text = explain(&result.expect_err("no file"), "");
    assert!(text.starts_with("cannot read /nowhere/body: "), "{text}");
}
