//! `stompbox send`: one message, or many copies of it.

use std::io::{self, Read, Write};

use stompbox_client::{AcknowledgeMode, DeliveryMode, OutgoingMessage};

use super::argument::SendArguments;
use super::broker::{Failure, connect, full_destination};

/// Sends, and returns when the broker has confirmed all of it.
pub(super) async fn run(arguments: &SendArguments, out: &mut impl Write) -> Result<(), Failure> {
    let destination = full_destination(&arguments.destination);
    let mut names = destination.split(',').map(str::trim);
    if let Some(own) = names.find(|name| name.starts_with("/temp-")) {
        return Err(Failure::GoneAtOnce(own.to_owned()));
    }
    let body = read_body(arguments)?;
    let mode = if arguments.non_persistent {
        DeliveryMode::NonPersistent
    } else {
        DeliveryMode::Persistent
    };
    let message = arguments
        .headers
        .iter()
        .fold(OutgoingMessage::new(body), |message, (name, value)| {
            message.header(name, value)
        });
    let connection = connect(&arguments.to).await?;
    let producer = connection
        .session(AcknowledgeMode::Auto)
        .producer(&destination)
        .delivery_mode(mode);
    for _ in 1..arguments.count {
        producer.send_and_forget(&message).await?;
    }
    producer.send(&message).await?;
    // Covers those that asked for no receipt.
    connection.close().await?;
    let messages = if arguments.count == 1 {
        "message"
    } else {
        "messages"
    };
    writeln!(out, "{} {messages} sent to {destination}", arguments.count).map_err(|source| {
        Failure::Io {
            what: "cannot write to standard output".to_owned(),
            source,
        }
    })
}

fn read_body(arguments: &SendArguments) -> Result<Vec<u8>, Failure> {
    match (&arguments.file, arguments.text.as_deref()) {
        (Some(path), _) => std::fs::read(path).map_err(|source| Failure::Io {
            what: format!("cannot read {}", path.display()),
            source,
        }),
        (None, Some("-")) => {
            let mut body = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut body);
            read.map(|_| body).map_err(|source| Failure::Io {
                what: "cannot read standard input".to_owned(),
                source,
            })
        }
        (None, text) => Ok(text.unwrap_or_default().as_bytes().to_vec()),
    }
}
