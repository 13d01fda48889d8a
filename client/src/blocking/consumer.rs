//! Consumers and browsers.

use std::time::Duration;

use super::runtime::block_on;
use crate::{ClientError, Destination, Message};

/// Receives messages: [`crate::Consumer`] without async.
///
/// It is an endless iterator, which waits for each message.
///
/// ```
/// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
/// let orders = session.consumer("/queue/orders")?;
/// for order in orders {
///     println!("{}", order?.text()?);
/// }
/// # Ok(()) }
/// # stompbox_examples::run_blocking_for_a_while(example);
/// ```
#[derive(Debug)]
pub struct Consumer {
    inner: crate::Consumer,
    is_over: bool,
}

impl Consumer {
    pub(super) fn new(inner: crate::Consumer) -> Self {
        Self {
            inner,
            is_over: false,
        }
    }

    /// What it receives from.
    ///
    /// ```
    /// # fn example(consumer: stompbox_client::blocking::Consumer) {
    /// println!("{}", consumer.destination());
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.inner.destination()
    }

    /// Waits for the next message.
    ///
    /// ```
    /// # fn example(mut consumer: stompbox_client::blocking::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// let message = consumer.receive()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The connection has ended for good, or the broker does not make the subscription again.
    pub fn receive(&mut self) -> Result<Message, ClientError> {
        // One that is there needs no runtime.
        match self.inner.receive_no_wait()? {
            Some(message) => Ok(message),
            None => block_on(self.inner.receive()),
        }
    }

    /// Waits for the next message, for no longer than this.
    ///
    /// ```
    /// # fn example(mut consumer: stompbox_client::blocking::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// let message = consumer.receive_timeout(std::time::Duration::from_secs(1))?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_timeout(&mut self, timeout: Duration) -> Result<Option<Message>, ClientError> {
        match self.inner.receive_no_wait()? {
            Some(message) => Ok(Some(message)),
            None => block_on(self.inner.receive_timeout(timeout)),
        }
    }

    /// The next message, if it has come already.
    ///
    /// ```
    /// # fn example(mut consumer: stompbox_client::blocking::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// let message = consumer.receive_no_wait()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_no_wait(&mut self) -> Result<Option<Message>, ClientError> {
        self.inner.receive_no_wait()
    }

    /// Acknowledges a message and waits until the broker has done so.
    ///
    /// ```
    /// # fn example(mut consumer: stompbox_client::blocking::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// let message = consumer.receive()?;
    /// consumer.ack_confirmed(&message)?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Message::ack`]; [`Stale`](ClientError::Stale) also where the connection was lost meanwhile.
    pub fn ack_confirmed(&self, message: &Message) -> Result<(), ClientError> {
        block_on(self.inner.ack_confirmed(message))
    }

    /// Ends the subscription and waits until the broker has done so. Dropping it does the same without waiting.
    ///
    /// ```
    /// # fn example(consumer: stompbox_client::blocking::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// consumer.close()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or the connection has ended.
    pub fn close(self) -> Result<(), ClientError> {
        block_on(self.inner.close())
    }
}

/// Ends with the error that ended the consumer.
impl Iterator for Consumer {
    type Item = Result<Message, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.receive();
        self.is_over = item.is_err();
        Some(item)
    }
}

/// Walks over the messages of a queue and leaves them there: [`crate::Browser`] without async.
///
/// ```
/// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
/// println!("{} orders", session.browser("/queue/orders")?.count());
/// # Ok(()) }
/// # stompbox_examples::run_blocking(example);
/// ```
#[derive(Debug)]
pub struct Browser {
    inner: crate::Browser,
    is_over: bool,
}

impl Browser {
    pub(super) fn new(inner: crate::Browser) -> Self {
        Self {
            inner,
            is_over: false,
        }
    }
}

/// Ends with the last message, or the error that ended it.
impl Iterator for Browser {
    type Item = Result<Message, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = block_on(self.inner.next()).transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        item
    }
}
