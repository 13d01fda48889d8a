//! `stompbox receive`: prints messages, and acknowledges each when it has been printed.

use std::io::{self, Write};
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Consumer, Message, Subscription};

use super::argument::ReceiveArguments;
use super::broker::{Failure, connect, full_destination};

/// How long "nothing more is there" takes to believe.
const QUIET: Duration = Duration::from_millis(500);

/// Enough to keep a terminal busy, few enough not to starve other consumers.
const PREFETCH: u32 = 100;

/// Receives until there are enough, nothing more comes, or the user interrupts.
pub(super) async fn run(arguments: &ReceiveArguments, out: &mut impl Write) -> Result<(), Failure> {
    let connection = connect(&arguments.from).await?;
    let destination = full_destination(&arguments.destination);
    // With a count one at a time: messages beyond it should stay where they are.
    let prefetch = if arguments.count.is_some() {
        1
    } else {
        PREFETCH
    };
    let mut consumer = connection
        .session(AcknowledgeMode::Individual)
        .consumer(Subscription::to(destination).prefetch(prefetch))
        .await?;
    let received = tokio::select! {
        received = receive(&mut consumer, arguments, out) => received?,
        // Dropped between two messages or while one is printed: that one returns to its queue.
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|source| Failure::Io {
                what: "cannot wait for signals".to_owned(),
                source,
            })?;
            return Ok(connection.close().await?);
        }
    };
    // Covers the acknowledgements.
    connection.close().await?;
    match arguments.count {
        Some(wanted) if received < wanted => Err(Failure::TooFew { received, wanted }),
        Some(_) | None => Ok(()),
    }
}

/// Returns how many there were.
async fn receive(
    consumer: &mut Consumer,
    arguments: &ReceiveArguments,
    out: &mut impl Write,
) -> Result<u64, Failure> {
    let waits_for_ever = arguments.follow || arguments.count.is_some();
    let quiet = arguments.timeout.or((!waits_for_ever).then_some(QUIET));
    let mut received = 0;
    while arguments.count.is_none_or(|count| received < count) {
        let Some(message) = next(consumer, quiet).await? else {
            break;
        };
        print(out, &message, arguments.headers).map_err(|source| Failure::Io {
            what: "cannot write to standard output".to_owned(),
            source,
        })?;
        message.ack()?;
        received += 1;
    }
    Ok(received)
}

/// The next message; [`None`] when there was none for `quiet`.
async fn next(
    consumer: &mut Consumer,
    quiet: Option<Duration>,
) -> Result<Option<Message>, ClientError> {
    match quiet {
        None => consumer.receive().await.map(Some),
        Some(quiet) => consumer.receive_timeout(quiet).await,
    }
}

/// Prints a message and flushes: it is acknowledged next.
fn print(out: &mut impl Write, message: &Message, with_headers: bool) -> io::Result<()> {
    if with_headers {
        for (name, value) in message.headers() {
            writeln!(
                out,
                "{}: {}",
                name.escape_ascii(),
                String::from_utf8_lossy(&value)
            )?;
        }
        writeln!(out)?;
    }
    out.write_all(message.body())?;
    writeln!(out)?;
    out.flush()
}
