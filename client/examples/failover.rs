//! A list of brokers. Stop one, and the program goes on with another.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Connection, ConnectionEvent};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1);
    run(url.as_deref().unwrap_or("127.0.0.1:61613")).await
}

/// `url` may be one address, or several with commas between them.
pub(crate) async fn run(url: &str) -> Result<(), ClientError> {
    let list = format!("failover:({url})?initialReconnectDelay=20&maxReconnectDelay=1000");
    let connection = Connection::builder(list)
        .on_event(|event| match event {
            ConnectionEvent::Connected { address, .. } => println!("connected to {address}"),
            ConnectionEvent::Lost { error } => println!("lost the broker: {error}"),
            other => println!("{other:?}"),
        })
        .connect()
        .await?;
    let session = connection.session(AcknowledgeMode::Auto);
    let ticks = session.producer("/queue/example.ticks");
    let mut consumer = session.consumer("/queue/example.ticks").await?;
    for number in 0..10 {
        // However often the broker changes meanwhile.
        ticks.send(format!("tick {number}")).await?;
        let tick = consumer.receive().await?;
        println!("{}", tick.text()?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    connection.close().await
}
