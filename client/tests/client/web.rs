//! WebSocket: each frame a message, plain and over TLS.

use futures_util::{SinkExt as _, StreamExt as _};
use stompbox_client::{AcknowledgeMode, Tls};
use stompbox_protocol::{Command, Decoder, Frame, Input, Limits, Role, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::deadline::within;
use crate::peer::{Host, client, text};
use crate::secure::Authority;

/// The broker's side of a WebSocket.
struct Web<S> {
    socket: WebSocketStream<S>,
    path: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Web<S> {
    async fn accept(stream: S) -> Self {
        let mut path = String::new();
        let check = |request: &Request, mut response: Response| {
            path = request.uri().path().to_owned();
            let offered = request.headers()["sec-websocket-protocol"]
                .to_str()
                .unwrap();
            assert!(offered.contains("v12.stomp"), "{offered}");
            response
                .headers_mut()
                .insert("sec-websocket-protocol", "v12.stomp".parse().unwrap());
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, check)
            .await
            .unwrap();
        let mut web = Self { socket, path };
        let (frame, _) = web.expect(Command::Connect).await;
        assert_eq!(text(&frame, "accept-version"), "1.2,1.1,1.0");
        web.say("CONNECTED\nversion:1.2\nserver:stompbox/0\n\n^@")
            .await;
        web
    }

    async fn say(&mut self, text: &str) {
        let message = Message::text(text.replace("^@", "\0"));
        within(self.socket.send(message)).await.unwrap();
    }

    /// The next message, which must be exactly one frame of this command.
    async fn expect(&mut self, command: Command) -> (Frame, Message) {
        let message = within(self.socket.next()).await.unwrap().unwrap();
        let mut decoder = Decoder::new(Role::Server, Limits::default());
        decoder.set_version(Version::V1_2);
        decoder.authenticated();
        decoder.extend(&message.clone().into_data());
        let Some(Input::Frame(frame)) = decoder.next_input().unwrap() else {
            panic!("no whole frame in {message:?}");
        };
        assert_eq!(frame.command(), command);
        assert!(
            decoder.next_input().unwrap().is_none(),
            "more than one frame"
        );
        (frame, message)
    }

    async fn confirm(&mut self, command: Command) -> Frame {
        let (frame, _) = self.expect(command).await;
        let receipt = text(&frame, "receipt");
        self.say(&format!("RECEIPT\nreceipt-id:{receipt}\n\n^@"))
            .await;
        frame
    }
}

#[tokio::test]
async fn each_frame_is_a_message_and_what_comes_may_be_cut_anyhow() {
    let host = Host::start().await;
    let connect = client(&format!("ws://{}/stomp", host.address)).connect();
    let broker = async { Web::accept(host.accept_tcp().await).await };
    let (connection, mut web) = within(async { tokio::join!(connect, broker) }).await;
    assert_eq!(web.path, "/stomp");
    let connection = connection.unwrap();
    let session = connection.session(AcknowledgeMode::Individual);
    let (consumer, frame) = tokio::join!(
        session.consumer("/queue/a"),
        web.confirm(Command::Subscribe)
    );
    let (mut consumer, id) = (consumer.unwrap(), text(&frame, "id"));
    // Three messages of the protocol in two and a half of the socket.
    let wire: String = (1..=3)
        .map(|number| format!("MESSAGE\nsubscription:{id}\nmessage-id:{number}\nack:{number}\ndestination:/queue/a\n\nbody^@\n"))
        .collect();
    for part in [&wire[..10], &wire[10..200], &wire[200..]] {
        web.say(part).await;
    }
    for number in 1..=3 {
        let message = within(consumer.receive()).await.unwrap();
        assert_eq!(message.message_id(), number.to_string());
        message.ack().unwrap();
    }
    for _ in 0..3 {
        web.expect(Command::Ack).await;
    }
    let producer = session.producer("/queue/b");
    producer.send_and_forget("text").await.unwrap();
    producer.send_and_forget(vec![0xff; 100_000]).await.unwrap();
    let (_, message) = web.expect(Command::Send).await;
    assert!(message.is_text());
    let (frame, message) = web.expect(Command::Send).await;
    assert!(message.is_binary());
    assert_eq!(frame.body().len(), 100_000);
    let goodbye = async {
        while web.expect_any().await != Command::Disconnect {}
        web.say("RECEIPT\nreceipt-id:2\n\n^@").await;
        // The closing handshake.
        while within(web.socket.next())
            .await
            .is_some_and(|message| message.is_ok())
        {}
    };
    let close = async {
        drop(consumer);
        within(connection.close()).await.unwrap();
    };
    tokio::join!(close, goodbye);
}

impl<S: AsyncRead + AsyncWrite + Unpin> Web<S> {
    async fn expect_any(&mut self) -> Command {
        let message = within(self.socket.next()).await.unwrap().unwrap();
        let bytes = message.into_data();
        let command = bytes.split(|byte| *byte == b'\n').next().unwrap();
        match command {
            b"DISCONNECT" => Command::Disconnect,
            b"UNSUBSCRIBE" => Command::Unsubscribe,
            other => panic!("{}", other.escape_ascii()),
        }
    }
}

#[tokio::test]
async fn a_websocket_may_be_a_secure_one() {
    let host = Host::start().await;
    let authority = Authority::new();
    let acceptor = authority.server("127.0.0.1", None);
    let tls = Tls::default().authority(authority.pem()).unwrap();
    let connect = client(&format!("wss://{}", host.address))
        .tls(tls)
        .connect();
    let broker = async {
        let stream = acceptor.accept(host.accept_tcp().await).await.unwrap();
        Web::accept(stream).await
    };
    let (connection, mut web) = within(async { tokio::join!(connect, broker) }).await;
    let session = connection.unwrap().session(AcknowledgeMode::Auto);
    let producer = session.producer("/queue/a");
    let (sent, _) = tokio::join!(within(producer.send("x")), web.confirm(Command::Send));
    sent.unwrap();
}

#[tokio::test]
async fn a_server_without_websocket_is_said_to_be_none() {
    let host = Host::start().await;
    let connect = client(&format!("ws://{}", host.address)).connect();
    let broker = async {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = host.accept_tcp().await;
        socket
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        socket
    };
    let (connection, _socket) = within(async { tokio::join!(connect, broker) }).await;
    let error = connection.expect_err("no WebSocket");
    assert!(error.to_string().contains(&host.address), "{error}");
}
