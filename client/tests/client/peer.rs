//! A broker that does what a test tells it, frame by frame, over loopback.

use stompbox_client::{Connection, ConnectionBuilder, HeartBeat, Reconnect};
use stompbox_protocol::{Command, Decoder, Frame, Input, Limits, Role, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::deadline::within;

/// A stream to a client, whatever it is made of.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Waits for clients.
pub(crate) struct Host {
    listener: TcpListener,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

/// The broker's side of one connection.
pub(crate) struct Peer {
    socket: Box<dyn Stream>,
    decoder: Decoder,
}

impl Host {
    pub(crate) async fn start() -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        Host { listener, address }
    }

    /// A client's connection, still without a word.
    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        within(self.listener.accept()).await.expect("a client").0
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer::new(self.accept_tcp().await)
    }

    /// Takes a client and opens a session of STOMP 1.2 as this server.
    pub(crate) async fn welcome_as(&self, server: &str) -> Peer {
        let mut peer = self.accept().await;
        peer.welcome(Version::V1_2, server).await;
        peer
    }

    /// Takes a client and opens a session as stompbox does.
    pub(crate) async fn welcome(&self) -> Peer {
        self.welcome_as("stompbox/0").await
    }

    /// How a test connects: no heart-beats unless it is about them, and fast to return.
    pub(crate) fn client(&self) -> ConnectionBuilder {
        client(&self.address)
    }

    /// A client, and this end of its connection.
    pub(crate) async fn connected(&self) -> (Connection, Peer) {
        self.connected_as("stompbox/0").await
    }

    pub(crate) async fn connected_as(&self, server: &str) -> (Connection, Peer) {
        let (connection, peer) = tokio::join!(self.client().connect(), self.welcome_as(server));
        (connection.expect("a session"), peer)
    }
}

pub(crate) fn client(url: &str) -> ConnectionBuilder {
    let reconnect = Reconnect::default()
        .initial_delay(std::time::Duration::from_millis(1))
        .randomize(false);
    Connection::builder(url)
        .heart_beat(HeartBeat::NONE)
        .reconnect(reconnect)
}

/// A broker and a client that is connected to it.
pub(crate) async fn connected() -> (Connection, Peer, Host) {
    let host = Host::start().await;
    let (connection, peer) = host.connected().await;
    (connection, peer, host)
}

impl Peer {
    pub(crate) fn new(socket: impl Stream + 'static) -> Peer {
        Peer {
            socket: Box::new(socket),
            decoder: Decoder::new(Role::Server, Limits::default()),
        }
    }

    /// Opens a session.
    pub(crate) async fn welcome(&mut self, version: Version, server: &str) {
        self.expect(Command::Connect).await;
        self.welcome_connect(version, server).await;
    }

    pub(crate) async fn welcome_connect(&mut self, version: Version, server: &str) {
        self.say(&format!(
            "CONNECTED\nversion:{version}\nserver:{server}\n\n^@"
        ))
        .await;
        self.decoder.set_version(version);
        self.decoder.authenticated();
    }

    /// Writes text, `^@` standing for NUL.
    pub(crate) async fn say(&mut self, text: &str) {
        let text = text.replace("^@", "\0");
        within(self.socket.write_all(text.as_bytes()))
            .await
            .expect("write");
        within(self.socket.flush()).await.expect("flush");
    }

    /// Delivers a message with an `ack` id to a subscription.
    pub(crate) async fn deliver(&mut self, subscription: &str, number: u32) {
        self.deliver_with(subscription, number, "").await;
    }

    /// As [`deliver`](Self::deliver), with further header lines.
    pub(crate) async fn deliver_with(&mut self, subscription: &str, number: u32, headers: &str) {
        self.say(&format!(
            "MESSAGE\nsubscription:{subscription}\nmessage-id:m{number}\nack:k{number}\n\
             destination:/queue/a\n{headers}\nbody {number}^@"
        ))
        .await;
    }

    /// The next frame, which must be of this command.
    pub(crate) async fn expect(&mut self, command: Command) -> Frame {
        match self.next_frame().await {
            Some(frame) => {
                assert_eq!(frame.command(), command, "{}", shown(&frame));
                frame
            }
            None => panic!("end of stream instead of {command}"),
        }
    }

    /// As [`expect`](Self::expect), and answers with the receipt that the frame asks for.
    pub(crate) async fn confirm(&mut self, command: Command) -> Frame {
        let frame = self.expect(command).await;
        self.receipt(&frame, "").await;
        frame
    }

    /// Confirms a frame, with further header lines.
    pub(crate) async fn receipt(&mut self, frame: &Frame, headers: &str) {
        let receipt = text(frame, "receipt");
        self.say(&format!("RECEIPT\nreceipt-id:{receipt}\n{headers}\n^@"))
            .await;
    }

    /// Refuses a frame and closes, as a broker does.
    pub(crate) async fn refuse(mut self, frame: &Frame, message: &str) {
        let receipt = text(frame, "receipt");
        self.say(&format!(
            "ERROR\nmessage:{message}\nreceipt-id:{receipt}\n\nwhat to do^@"
        ))
        .await;
        within(self.socket.shutdown()).await.ok();
        while self.next_frame().await.is_some() {}
    }

    /// Confirms a subscription; returns its id.
    pub(crate) async fn subscribed(&mut self) -> String {
        let frame = self.confirm(Command::Subscribe).await;
        text(&frame, "id")
    }

    /// The next frame; [`None`] at the end of the stream.
    pub(crate) async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            match self.input().await? {
                Input::Frame(frame) => return Some(frame),
                Input::HeartBeat => {}
            }
        }
    }

    /// The next heart-beat; there must be no frame before it.
    pub(crate) async fn expect_heart_beat(&mut self) {
        let input = self.input().await;
        assert!(matches!(input, Some(Input::HeartBeat)), "{input:?}");
    }

    /// Waits for the end of the stream; there must be no frame before it.
    pub(crate) async fn expect_end(&mut self) {
        if let Some(frame) = self.next_frame().await {
            panic!("{}", shown(&frame));
        }
    }

    /// The client says goodbye.
    pub(crate) async fn expect_goodbye(&mut self) {
        self.confirm(Command::Disconnect).await;
        self.expect_end().await;
    }

    async fn input(&mut self) -> Option<Input> {
        loop {
            if let Some(input) = self.decoder.next_input().expect("STOMP") {
                return Some(input);
            }
            let mut space = self.decoder.read_space();
            // A client that has gone may have left without reading everything.
            let read = within(self.socket.read_buf(&mut space)).await;
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

/// A header that must be there.
pub(crate) fn text(frame: &Frame, name: &str) -> String {
    match frame.text(name) {
        Some(value) => value.into_owned(),
        None => panic!("no {name} in {}", shown(frame)),
    }
}

/// A frame as text.
pub(crate) fn shown(frame: &Frame) -> String {
    let lines = frame.headers().map(|header| {
        let (name, value) = (header.name, header.value);
        format!("{}:{}\n", name.escape_ascii(), value.escape_ascii())
    });
    let head: String = lines.collect();
    format!(
        "{}\n{head}\n{}",
        frame.command(),
        frame.body().escape_ascii()
    )
}

/// That a frame has these headers.
pub(crate) fn assert_headers(frame: &Frame, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        let found = frame.text(name);
        assert_eq!(found.as_deref(), Some(*value), "{name} in {}", shown(frame));
    }
}

/// That a frame has none of these headers.
pub(crate) fn assert_no_headers(frame: &Frame, names: &[&str]) {
    for name in names {
        assert_eq!(frame.text(name), None, "{name} in {}", shown(frame));
    }
}
