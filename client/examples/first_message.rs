//! The README's first message in Rust; a test keeps both the same.
#![allow(clippy::print_stdout)]

use stompbox_client::{AcknowledgeMode, ClientError, Connection};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:61613");
    let connection = Connection::connect(address).await?;
    let session = connection.session(AcknowledgeMode::Auto);

    session
        .producer("/queue/rust")
        .send("Hello from Rust")
        .await?;
    let message = session.consumer("/queue/rust").await?.receive().await?;
    println!("{}", message.text()?);
    connection.close().await
}
