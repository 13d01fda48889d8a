//! The README's first message in Rust; a test keeps both the same.
#![allow(clippy::print_stdout)]

use stompbox_client::{ConnectOptions, Connection, OutgoingMessage, SubscribeOptions};

#[tokio::main]
async fn main() -> Result<(), stompbox_client::ClientError> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:61613");
    let mut connection = Connection::connect(address, ConnectOptions::default()).await?;

    let queue = SubscribeOptions::to("/queue/rust");
    connection.subscribe(&queue).await?;
    let hello = OutgoingMessage::to("/queue/rust").body("Hello from Rust");
    connection.send_receipted(&hello).await?;

    let message = connection.next_message().await?;
    println!("{}", String::from_utf8_lossy(message.body()));
    connection.ack(&message).await?;
    connection.disconnect().await
}
