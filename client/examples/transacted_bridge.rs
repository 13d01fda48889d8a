//! From one queue to another, each message once, whatever happens to the connection on the way.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use stompbox_client::{
    AcknowledgeMode, ClientError, Connection, Consumer, OutgoingMessage, Producer, Retry, Session,
};

#[tokio::main]
async fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1);
    run(url.as_deref().unwrap_or("127.0.0.1:61613")).await
}

pub(crate) async fn run(url: &str) -> Result<(), ClientError> {
    let connection = Connection::connect(url).await?;
    let auto = connection.session(AcknowledgeMode::Auto);
    for number in 0..20 {
        let order = OutgoingMessage::text(format!("order {number}"));
        auto.producer("/queue/example.here").send(order).await?;
    }

    let session = connection.session(AcknowledgeMode::Transacted);
    let mut source = session.consumer("/queue/example.here").await?;
    let target = session.producer("/queue/example.there");
    let mut count = 0;
    while let Some(moved) = bridge(&session, &mut source, &target).await? {
        count += moved;
    }
    println!("{count} orders moved");
    connection.close().await
}

/// Moves up to ten messages in one transaction; [`None`] when there is none.
async fn bridge(
    session: &Session,
    source: &mut Consumer,
    target: &Producer,
) -> Result<Option<usize>, ClientError> {
    let mut count = 0;
    while count < 10 {
        let Some(message) = source.receive_timeout(Duration::from_millis(500)).await? else {
            break;
        };
        // One whose copy was sent in a transaction that has been resolved is only acknowledged.
        if !message.is_in_doubt() {
            target.send(OutgoingMessage::copy_of(&message)).await?;
        }
        count += 1;
    }
    if count == 0 {
        return Ok(None);
    }
    match session.commit().await {
        Ok(()) => Ok(Some(count)),
        // Nothing has happened, and the messages come again.
        Err(error) if error.retry() == Retry::Transaction => Ok(Some(0)),
        Err(ClientError::CommitInDoubt { sends, .. }) => {
            resolve(session).await?;
            Ok(Some(sends))
        }
        Err(error) => Err(error),
    }
}

/// Makes sure that what was sent has been sent.
async fn resolve(session: &Session) -> Result<(), ClientError> {
    loop {
        match session.resolve().await {
            // The connection was lost once more.
            Err(error) if error.retry() == Retry::Resolve => {}
            resolved => return resolved.map(|_| ()),
        }
    }
}
