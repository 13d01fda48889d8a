//! Connections.

use std::sync::Arc;

use super::Session;
use super::runtime::{block_on, start};
use crate::url::without_login;
use crate::{AcknowledgeMode, ClientError, ConnectionBuilder};

/// A connection to a broker: [`crate::Connection`] without async.
///
/// ```no_run
/// use stompbox_client::blocking::Connection;
///
/// # fn main() -> Result<(), stompbox_client::ClientError> {
/// let connection = Connection::builder("failover:(stomp://a,stomp://b)")
///     .login("billing", "secret")
///     .connect_blocking()?;
/// connection.close()
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    inner: crate::Connection,
}

impl Connection {
    /// As [`crate::Connection::connect`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), stompbox_client::ClientError> {
    /// let connection = stompbox_client::blocking::Connection::connect("127.0.0.1:61613")?;
    /// # connection.close() }
    /// ```
    ///
    /// # Errors
    ///
    /// The address is none, the broker cannot be reached, does not answer in time, or refuses.
    pub fn connect(url: impl AsRef<str>) -> Result<Self, ClientError> {
        Self::builder(url).connect_blocking()
    }

    /// As [`crate::Connection::builder`]; ends with
    /// [`connect_blocking`](ConnectionBuilder::connect_blocking).
    ///
    /// ```no_run
    /// # fn main() -> Result<(), stompbox_client::ClientError> {
    /// use stompbox_client::blocking::Connection;
    /// let connection = Connection::builder("broker").client_id("billing-1").connect_blocking()?;
    /// # connection.close() }
    /// ```
    pub fn builder(url: impl AsRef<str>) -> ConnectionBuilder {
        crate::Connection::builder(url)
    }

    /// As [`crate::Connection::session`].
    ///
    /// ```
    /// # fn example(connection: stompbox_client::blocking::Connection) {
    /// use stompbox_client::AcknowledgeMode;
    /// let session = connection.session(AcknowledgeMode::Auto);
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn session(&self, mode: AcknowledgeMode) -> Session {
        Session::new(self.inner.session(mode))
    }

    /// As [`crate::Connection::close`].
    ///
    /// ```
    /// # fn example(connection: stompbox_client::blocking::Connection) -> Result<(), stompbox_client::ClientError> {
    /// connection.close()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// It had ended before, or was lost: what was not confirmed by then may not have happened.
    pub fn close(self) -> Result<(), ClientError> {
        block_on(self.inner.close())
    }
}

impl ConnectionBuilder {
    /// As [`connect`](Self::connect), without async.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), stompbox_client::ClientError> {
    /// let connection = stompbox_client::Connection::builder("broker").connect_blocking()?;
    /// # connection.close() }
    /// ```
    ///
    /// # Errors
    ///
    /// The address is none, the broker cannot be reached, does not answer in time, or refuses; the system has no thread or
    /// no file handle left for the thread in the background.
    pub fn connect_blocking(self) -> Result<Connection, ClientError> {
        start().map_err(|error| ClientError::Unreachable {
            address: without_login(&self.url),
            source: Arc::new(error),
        })?;
        let inner = block_on(self.connect())?;
        Ok(Connection { inner })
    }
}
