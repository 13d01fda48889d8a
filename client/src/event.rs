//! What happens to a connection, for those who want to know.

use crate::ClientError;

/// Something that has happened to a connection.
///
/// Events go to the function that [`ConnectionBuilder::on_event`](crate::ConnectionBuilder::on_event) was given, from
/// the connection's own task: it should be quick and must not block.
///
/// ```no_run
/// use stompbox_client::{Connection, ConnectionEvent};
///
/// # async fn example() -> Result<(), stompbox_client::ClientError> {
/// let connection = Connection::builder("failover:(stomp://a,stomp://b)")
///     .on_event(|event| match event {
///         ConnectionEvent::Lost { error } => eprintln!("lost the broker: {error}"),
///         ConnectionEvent::Connected { address, .. } => eprintln!("connected to {address}"),
///         other => eprintln!("{other:?}"),
///     })
///     .connect()
///     .await?;
/// # connection.close().await }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// There is a session with a broker, for the first time or again.
    Connected {
        /// Where.
        address: String,
        /// The broker, as it names itself.
        server: String,
        /// Whether there was one before.
        is_reconnect: bool,
    },
    /// The connection was lost. Subscriptions and sends wait for another one, if
    /// [`Reconnect`](crate::Reconnect) allows it.
    Lost {
        /// How.
        error: ClientError,
    },
    /// An attempt to connect again has failed.
    AttemptFailed {
        /// Where.
        address: String,
        /// Why.
        error: ClientError,
    },
    /// The broker has refused something that nobody waits for, an acknowledgement perhaps.
    Refused {
        /// What it says.
        error: ClientError,
    },
    /// A listener failed, by an error or a panic. Its message was not acknowledged.
    ListenerFailed {
        /// What it listens to.
        destination: String,
        /// The message's id.
        message_id: String,
        /// The error, or what it panicked with.
        reason: String,
    },
    /// It has ended for good.
    Ended {
        /// Why; [`ClientError::Ended`] where the program wanted it.
        error: ClientError,
    },
}
