//! Sessions and requestors.

use std::time::Duration;

use super::runtime::block_on;
use super::{Browser, Consumer, Producer};
use crate::{
    AcknowledgeMode, ClientError, Destination, Message, OutgoingMessage, Resolution, Subscription,
};

/// A mode of acknowledgement and a transaction: [`crate::Session`] without async.
///
/// ```
/// # fn example(connection: stompbox_client::blocking::Connection) -> Result<(), stompbox_client::ClientError> {
/// use stompbox_client::{AcknowledgeMode, OutgoingMessage};
///
/// let session = connection.session(AcknowledgeMode::Transacted);
/// let mut orders = session.consumer("/queue/orders")?;
/// let bills = session.producer("/queue/bills");
/// let order = orders.receive()?;
/// bills.send(OutgoingMessage::copy_of(&order))?;
/// session.commit()?;
/// # Ok(()) }
/// # stompbox_examples::run_blocking(example);
/// ```
#[derive(Debug)]
pub struct Session {
    inner: crate::Session,
}

impl Session {
    pub(super) fn new(inner: crate::Session) -> Self {
        Self { inner }
    }

    /// How it acknowledges.
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) {
    /// println!("{:?}", session.mode());
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn mode(&self) -> AcknowledgeMode {
        self.inner.mode()
    }

    /// As [`crate::Session::producer`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// session.producer("/queue/orders").send("one tea")?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    pub fn producer(&self, destination: impl Into<Destination>) -> Producer {
        Producer::new(self.inner.producer(destination))
    }

    /// As [`crate::Session::consumer`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// let order = session.consumer("/queue/orders")?.receive()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or has no such subscription; the connection has ended.
    pub fn consumer(&self, subscription: impl Into<Subscription>) -> Result<Consumer, ClientError> {
        block_on(self.inner.consumer(subscription)).map(Consumer::new)
    }

    /// As [`crate::Session::browser`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// for order in session.browser("/queue/orders")? {
    ///     println!("{}", order?.message_id());
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or has no browsers; the connection has ended.
    pub fn browser(&self, subscription: impl Into<Subscription>) -> Result<Browser, ClientError> {
        block_on(self.inner.browser(subscription)).map(Browser::new)
    }

    /// As [`crate::Session::requestor`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// use std::time::Duration;
    /// let answer = session.requestor("/queue/prices")?.request("tea?", Duration::from_secs(5))?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or has no temporary queues; the connection has ended.
    pub fn requestor(&self, destination: impl Into<Destination>) -> Result<Requestor, ClientError> {
        block_on(self.inner.requestor(destination)).map(|inner| Requestor { inner })
    }

    /// As [`crate::Session::unsubscribe`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// use stompbox_client::Subscription;
    /// session.unsubscribe(&Subscription::to("/topic/prices").durable("audit"))?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// It is not durable, the broker refuses, or the connection is lost meanwhile.
    pub fn unsubscribe(&self, subscription: &Subscription) -> Result<(), ClientError> {
        block_on(self.inner.unsubscribe(subscription))
    }

    /// As [`crate::Session::commit`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// session.commit()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking_transacted(example);
    /// ```
    ///
    /// # Errors
    ///
    /// [`RolledBack`](ClientError::RolledBack) and [`Refused`](ClientError::Refused): nothing of it has happened.
    /// [`CommitInDoubt`](ClientError::CommitInDoubt): all or nothing has. The session is not transacted.
    pub fn commit(&self) -> Result<(), ClientError> {
        block_on(self.inner.commit())
    }

    /// As [`crate::Session::rollback`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// session.rollback()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking_transacted(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, the session is not transacted, or the connection has ended.
    pub fn rollback(&self) -> Result<(), ClientError> {
        block_on(self.inner.rollback())
    }

    /// As [`crate::Session::resolve`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
    /// session.resolve()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking_transacted(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker does not recognise messages that are sent again. It refuses. The connection was lost once more:
    /// resolve again.
    pub fn resolve(&self) -> Result<Resolution, ClientError> {
        block_on(self.inner.resolve())
    }
}

/// Sends questions and waits for answers: [`crate::Requestor`] without async.
///
/// ```
/// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
/// use std::time::Duration;
///
/// let prices = session.requestor("/queue/prices")?;
/// println!("{}", prices.request("tea?", Duration::from_secs(5))?.text()?);
/// # Ok(()) }
/// # stompbox_examples::run_blocking(example);
/// ```
#[derive(Debug)]
pub struct Requestor {
    inner: crate::Requestor,
}

impl Requestor {
    /// As [`crate::Requestor::request`].
    ///
    /// ```
    /// # fn example(requestor: stompbox_client::blocking::Requestor) -> Result<(), stompbox_client::ClientError> {
    /// let answer = requestor.request("tea?", std::time::Duration::from_secs(5))?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// Nobody answered in time, or the connection was lost, and with it the way back. The broker refuses, or the
    /// connection has ended.
    pub fn request(
        &self,
        message: impl Into<OutgoingMessage>,
        timeout: Duration,
    ) -> Result<Message, ClientError> {
        block_on(self.inner.request(message, timeout))
    }
}
