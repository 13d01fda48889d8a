//! A broker that does what a test tells it, frame by frame, over loopback.

use std::time::Duration;

use stompbox_client::{ConnectOptions, Connection, HeartBeat};
use stompbox_protocol::{Command, Decoder, Frame, Input, Limits, Role, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// After this a test has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// The broker's side of one connection.
pub(crate) struct Peer {
    socket: TcpStream,
    decoder: Decoder,
}

/// Options of a test: no heart-beats unless it is about them.
pub(crate) fn quiet() -> ConnectOptions {
    let heart_beat = HeartBeat {
        send: Duration::ZERO,
        receive: Duration::ZERO,
    };
    ConnectOptions {
        heart_beat,
        ..ConnectOptions::default()
    }
}

/// Connects a client to a broker that speaks `version`.
pub(crate) async fn connected(version: Version, options: ConnectOptions) -> (Connection, Peer) {
    let answer = format!("CONNECTED\nversion:{version}\nsession:7\nheart-beat:20,20\n\n^@");
    let (listener, address) = listen().await;
    let broker = async {
        let mut peer = accept(listener).await;
        peer.expect(Command::Connect).await;
        peer.say(&answer).await;
        peer.decoder.set_version(version);
        peer.decoder.authenticated();
        peer
    };
    let (connection, peer) = tokio::join!(Connection::connect(&address, options), broker);
    (connection.expect("a session"), peer)
}

/// A listener and its address.
pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

/// Takes the connection of a client.
pub(crate) async fn accept(listener: TcpListener) -> Peer {
    let (socket, _) = within(listener.accept()).await.expect("a client");
    Peer {
        socket,
        decoder: Decoder::new(Role::Server, Limits::default()),
    }
}

/// Fails the test if it takes too long.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future)
        .await
        .expect("within the deadline")
}

impl Peer {
    /// Writes text, `^@` standing for NUL.
    pub(crate) async fn say(&mut self, text: &str) {
        self.socket
            .write_all(text.replace("^@", "\0").as_bytes())
            .await
            .expect("write");
    }

    /// The next frame, which must be of this command.
    pub(crate) async fn expect(&mut self, command: Command) -> Frame {
        loop {
            match self.input().await {
                Some(Input::Frame(frame)) => {
                    assert_eq!(frame.command(), command);
                    return frame;
                }
                Some(Input::HeartBeat) => {}
                None => panic!("end of stream instead of {command}"),
            }
        }
    }

    /// As [`expect`](Self::expect), and answers with the receipt that the frame asks for.
    pub(crate) async fn expect_and_confirm(&mut self, command: Command) -> Frame {
        let frame = self.expect(command).await;
        let receipt = frame
            .text("receipt")
            .expect("a receipt is asked for")
            .into_owned();
        self.say(&format!("RECEIPT\nreceipt-id:{receipt}\n\n^@"))
            .await;
        frame
    }

    /// The next heart-beat; there must be no frame before it.
    pub(crate) async fn expect_heart_beat(&mut self) {
        assert!(matches!(self.input().await, Some(Input::HeartBeat)));
    }

    /// Waits for the end of the stream.
    pub(crate) async fn expect_end(&mut self) {
        assert!(self.input().await.is_none());
    }

    async fn input(&mut self) -> Option<Input> {
        loop {
            if let Some(input) = self.decoder.next_input().expect("STOMP") {
                return Some(input);
            }
            let mut space = self.decoder.read_space();
            if within(self.socket.read_buf(&mut space))
                .await
                .expect("read")
                == 0
            {
                return None;
            }
        }
    }
}
