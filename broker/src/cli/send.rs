//! `stompbox send`: one message, or many copies of it.

use std::io::{self, Read, Write};

use stompbox_client::OutgoingMessage;

use super::argument::SendArguments;
use super::broker::{Failure, connect, full_destination};

/// Sends, and returns when the broker has confirmed all of it.
pub(super) async fn run(arguments: &SendArguments, out: &mut impl Write) -> Result<(), Failure> {
    let body = read_body(arguments)?;
    let destination = full_destination(&arguments.destination);
    let persistent = if arguments.non_persistent {
        "false"
    } else {
        "true"
    };
    let message = OutgoingMessage::to(&destination)
        .header("persistent", persistent)
        .body(body);
    let message = arguments
        .headers
        .iter()
        .fold(message, |message, (name, value)| {
            message.header(name, value)
        });
    let mut connection = connect(&arguments.to).await?;
    for _ in 1..arguments.count {
        connection.send(&message).await?;
    }
    connection.send_receipted(&message).await?;
    // Its receipt covers those that asked for none.
    connection.disconnect().await?;
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
