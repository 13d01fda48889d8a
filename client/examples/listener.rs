//! A function for each message. What fails comes again, and the program goes on.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Connection, Message};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1);
    run(url.as_deref().unwrap_or("127.0.0.1:61613")).await
}

pub(crate) async fn run(url: &str) -> Result<(), ClientError> {
    let connection = Connection::connect(url).await?;
    let session = connection.session(AcknowledgeMode::Auto);
    let (done, mut all_done) = mpsc::channel(16);

    let listener = session
        .consumer("/queue/example.parcels")
        .await?
        .listener()
        .concurrency(4)
        .retry_after(Duration::from_millis(50))
        .start(move |parcel| {
            let done = done.clone();
            async move {
                pack(&parcel).await?;
                // Fails only if nobody waits any more.
                done.send(parcel.message_id().into_owned()).await.ok();
                Ok::<(), String>(())
            }
        });

    let parcels = session.producer("/queue/example.parcels");
    for number in 1..=8 {
        parcels.send(format!("parcel {number}")).await?;
    }
    for _ in 1..=8 {
        all_done.recv().await;
    }
    // Waits for those in hand, and for the acknowledgements.
    listener.stop().await;
    println!("8 parcels packed");
    connection.close().await
}

/// Fails for every third parcel, the first time.
async fn pack(parcel: &Arc<Message>) -> Result<(), String> {
    let text = parcel.text().map_err(|error| error.to_string())?;
    let is_awkward = text.ends_with(['3', '6']);
    if is_awkward && !parcel.is_redelivered() {
        return Err(format!("{text} does not fit"));
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(())
}
