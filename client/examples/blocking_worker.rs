//! A worker without async: it does what it can, refuses what it never can, and lets the rest come again.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use stompbox_client::blocking::Connection;
use stompbox_client::{AcknowledgeMode, ClientError, Message, Subscription};

fn main() -> Result<(), ClientError> {
    let url = std::env::args().nth(1);
    run(url.as_deref().unwrap_or("127.0.0.1:61613"))
}

pub(crate) fn run(url: &str) -> Result<(), ClientError> {
    let connection = Connection::connect(url)?;
    let session = connection.session(AcknowledgeMode::Individual);

    let numbers = session.producer("/queue/example.numbers");
    for text in ["1", "2", "three", "4"] {
        numbers.send(text)?;
    }

    // One at a time, so that other workers get their share.
    let queue = Subscription::to("/queue/example.numbers").prefetch(1);
    let mut consumer = session.consumer(queue)?;
    let mut sum = 0;
    while let Some(message) = consumer.receive_timeout(Duration::from_millis(500))? {
        match number(&message) {
            Ok(number) => {
                sum += number;
                message.ack()?;
            }
            Err(reason) => {
                println!(
                    "{} goes to the dead letters: {reason}",
                    message.message_id()
                );
                message.reject()?;
            }
        }
    }
    println!("the sum is {sum}");
    connection.close()
}

fn number(message: &Message) -> Result<i32, String> {
    let text = message.text().map_err(|error| error.to_string())?;
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
