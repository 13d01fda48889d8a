//! A topic that keeps its messages while its subscriber is away.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Connection, Subscription};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1);
    run(url.as_deref().unwrap_or("127.0.0.1:61613")).await
}

pub(crate) async fn run(url: &str) -> Result<(), ClientError> {
    // The identity of the subscription: this client, and the name "audit".
    let connect = || {
        Connection::builder(url)
            .client_id("example-auditor")
            .connect()
    };
    let audit = Subscription::to("/topic/example.audit").durable("audit");

    let connection = connect().await?;
    let session = connection.session(AcknowledgeMode::Individual);
    let consumer = session.consumer(&audit).await?;
    consumer.close().await?;
    connection.close().await?;

    // Nobody is listening now.
    let publisher = Connection::connect(url).await?;
    let topic = publisher
        .session(AcknowledgeMode::Auto)
        .producer("/topic/example.audit");
    for number in 1..=3 {
        topic.send(format!("event {number}")).await?;
    }
    publisher.close().await?;

    let connection = connect().await?;
    let session = connection.session(AcknowledgeMode::Individual);
    let mut consumer = session.consumer(&audit).await?;
    for _ in 1..=3 {
        let event = consumer.receive_timeout(Duration::from_secs(5)).await?;
        let Some(event) = event else { break };
        println!("{}", event.text()?);
        consumer.ack_confirmed(&event).await?;
    }
    consumer.close().await?;
    // And when it is no longer needed at all:
    session.unsubscribe(&audit).await?;
    connection.close().await
}
