//! Three ways to send: confirmed, confirmed later, and without looking back.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Connection, DeliveryMode, OutgoingMessage};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1);
    run(url.as_deref().unwrap_or("127.0.0.1:61613")).await
}

pub(crate) async fn run(url: &str) -> Result<(), ClientError> {
    let connection = Connection::connect(url).await?;
    let session = connection.session(AcknowledgeMode::Auto);

    // One at a time: each is on the broker's disk when `send` returns.
    let orders = session.producer("/queue/example.orders");
    let urgent = OutgoingMessage::text("one tea, quickly")
        .priority(9)
        .header("table", "4");
    orders.send(urgent).await?;

    // Many at once: they are under way together, and each says when it has arrived.
    let mut completions = Vec::new();
    for number in 0..100 {
        completions.push(orders.send_async(format!("order {number}")).await?);
    }
    for completion in completions {
        completion.await?;
    }

    // Where one more or less does not matter.
    let prices = session
        .producer("/topic/example.prices")
        .delivery_mode(DeliveryMode::NonPersistent)
        .time_to_live(Duration::from_secs(5));
    for price in 310..320 {
        prices.send_and_forget(price.to_string()).await?;
    }

    // Everything before it has been dealt with when this returns.
    connection.close().await?;
    println!("101 orders sent");
    Ok(())
}
