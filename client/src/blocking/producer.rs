//! Producers.

use std::time::Duration;

use super::runtime::block_on;
use crate::{ClientError, DeliveryMode, Destination, OutgoingMessage, SendReceipt};

/// Sends messages: [`crate::Producer`] without async.
///
/// ```
/// # fn example(session: stompbox_client::blocking::Session) -> Result<(), stompbox_client::ClientError> {
/// let orders = session.producer("/queue/orders").priority(7);
/// orders.send("one tea")?;
/// # Ok(()) }
/// # stompbox_examples::run_blocking(example);
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    inner: crate::Producer,
}

impl Producer {
    pub(super) fn new(inner: crate::Producer) -> Self {
        Self { inner }
    }

    /// As [`crate::Producer::delivery_mode`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) {
    /// use stompbox_client::DeliveryMode;
    /// let ticks = session.producer("/topic/ticks").delivery_mode(DeliveryMode::NonPersistent);
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn delivery_mode(self, mode: DeliveryMode) -> Self {
        Self::new(self.inner.delivery_mode(mode))
    }

    /// As [`crate::Producer::priority`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) {
    /// let alarms = session.producer("/queue/alarms").priority(9);
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        Self::new(self.inner.priority(priority))
    }

    /// As [`crate::Producer::time_to_live`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) {
    /// let prices = session.producer("/topic/prices").time_to_live(std::time::Duration::from_secs(5));
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn time_to_live(self, time: Duration) -> Self {
        Self::new(self.inner.time_to_live(time))
    }

    /// As [`crate::Producer::delay`].
    ///
    /// ```
    /// # fn example(session: stompbox_client::blocking::Session) {
    /// let reminders = session.producer("/queue/reminders").delay(std::time::Duration::from_secs(60));
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self::new(self.inner.delay(delay))
    }

    /// Where it sends to.
    ///
    /// ```
    /// # fn example(producer: stompbox_client::blocking::Producer) {
    /// println!("{}", producer.destination());
    /// # }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.inner.destination()
    }

    /// As [`crate::Producer::send`].
    ///
    /// ```
    /// # fn example(producer: stompbox_client::blocking::Producer) -> Result<(), stompbox_client::ClientError> {
    /// producer.send("one tea")?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or the connection has ended for good.
    pub fn send(&self, message: impl Into<OutgoingMessage>) -> Result<SendReceipt, ClientError> {
        block_on(self.inner.send(message))
    }

    /// As [`crate::Producer::send_to`].
    ///
    /// ```
    /// # fn example(producer: stompbox_client::blocking::Producer, question: stompbox_client::Message)
    /// # -> Result<(), stompbox_client::ClientError> {
    /// if let Some(reply_to) = question.reply_to() {
    ///     producer.send_to(reply_to, question.answer("3.20"))?;
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(|(producer, question)| example(producer, question));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_to(
        &self,
        destination: impl Into<Destination>,
        message: impl Into<OutgoingMessage>,
    ) -> Result<SendReceipt, ClientError> {
        block_on(self.inner.send_to(destination, message))
    }

    /// As [`crate::Producer::send_async`]: returns when there is room for the message, and waits for its receipt in
    /// [`Completion::wait`].
    ///
    /// ```
    /// # fn example(producer: stompbox_client::blocking::Producer) -> Result<(), stompbox_client::ClientError> {
    /// let completion = producer.send_async("one tea")?;
    /// completion.wait()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The connection has ended for good.
    pub fn send_async(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Completion, ClientError> {
        block_on(self.inner.send_async(message)).map(|inner| Completion { inner })
    }

    /// As [`crate::Producer::send_and_forget`].
    ///
    /// ```
    /// # fn example(producer: stompbox_client::blocking::Producer) -> Result<(), stompbox_client::ClientError> {
    /// producer.send_and_forget("tick")?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The connection has ended for good.
    pub fn send_and_forget(&self, message: impl Into<OutgoingMessage>) -> Result<(), ClientError> {
        block_on(self.inner.send_and_forget(message))
    }
}

/// The receipt of a message that is under way: [`crate::Completion`] without async.
///
/// ```
/// # fn example(producer: stompbox_client::blocking::Producer) -> Result<(), stompbox_client::ClientError> {
/// let completions = (0..100).map(|number| producer.send_async(format!("order {number}")));
/// for completion in completions.collect::<Result<Vec<_>, _>>()? {
///     completion.wait()?;
/// }
/// # Ok(()) }
/// # stompbox_examples::run_blocking(example);
/// ```
#[derive(Debug)]
#[must_use = "a message is safe when its completion says so"]
pub struct Completion {
    inner: crate::Completion,
}

impl Completion {
    /// Waits until the broker has the message.
    ///
    /// ```
    /// # fn example(completion: stompbox_client::blocking::Completion) -> Result<(), stompbox_client::ClientError> {
    /// let receipt = completion.wait()?;
    /// # Ok(()) }
    /// # stompbox_examples::run_blocking(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or the connection has ended for good.
    pub fn wait(self) -> Result<SendReceipt, ClientError> {
        block_on(self.inner)
    }
}
