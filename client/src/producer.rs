//! Producers: they send.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use stompbox_protocol::FrameRef;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::command::{Command, Completer, Send};
use crate::session::SessionCore;
use crate::trace::TraceContext;
use crate::{AcknowledgeMode, ClientError, DeliveryMode, Destination, OutgoingMessage};

/// Sends messages to a destination. Cheap to clone, and free to be shared.
///
/// In a [`Transacted`](AcknowledgeMode::Transacted) session what it sends takes effect at commit, and every way to send
/// returns as soon as the message is on its way. In any other session there are three ways:
///
/// | | returns | after a loss of the connection |
/// |---|---|---|
/// | [`send`](Self::send) | when the broker has it, a persistent message on its disk | it is sent again, with effect once |
/// | [`send_async`](Self::send_async) | when there is room for it; its [`Completion`] when the broker has it | the same |
/// | [`send_and_forget`](Self::send_and_forget) | when there is room for it | it may be lost |
///
/// ```no_run
/// use std::time::Duration;
/// use stompbox_client::{AcknowledgeMode, Connection, DeliveryMode};
///
/// # async fn example() -> Result<(), stompbox_client::ClientError> {
/// let connection = Connection::connect("127.0.0.1:61613").await?;
/// let session = connection.session(AcknowledgeMode::Auto);
/// let prices = session
///     .producer("/topic/prices")
///     .delivery_mode(DeliveryMode::NonPersistent)
///     .time_to_live(Duration::from_secs(10));
/// prices.send("tea 3.20").await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Producer {
    session: Arc<SessionCore>,
    destination: Destination,
    delivery_mode: Option<DeliveryMode>,
    priority: Option<u8>,
    time_to_live: Option<Duration>,
    delay: Option<Duration>,
}

/// What the broker says of a message that it has.
///
/// ```
/// # async fn example(producer: stompbox_client::Producer) -> Result<(), stompbox_client::ClientError> {
/// let receipt = producer.send("one tea").await?;
/// if receipt.is_duplicate() {
///     println!("that was there already");
/// }
/// # Ok(()) }
/// # stompbox_examples::run(example);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SendReceipt {
    is_duplicate: bool,
    is_unrouted: bool,
}

impl SendReceipt {
    pub(crate) fn of(receipt: &FrameRef<'_>) -> Self {
        Self {
            is_duplicate: receipt.header("x-duplicate").as_deref() == Some(b"true"),
            is_unrouted: receipt.header("x-routed").as_deref() == Some(b"0"),
        }
    }

    /// Whether the broker had it already, by its duplicate-detection id.
    ///
    /// ```
    /// assert!(!stompbox_client::SendReceipt::default().is_duplicate());
    /// ```
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.is_duplicate
    }

    /// Whether it went nowhere: its temporary destination has gone with its owner.
    ///
    /// ```
    /// assert!(!stompbox_client::SendReceipt::default().is_unrouted());
    /// ```
    #[must_use]
    pub fn is_unrouted(&self) -> bool {
        self.is_unrouted
    }
}

/// Becomes the receipt of a message that is under way. Dropping it changes nothing for the message.
///
/// ```
/// # async fn example(producer: stompbox_client::Producer) -> Result<(), stompbox_client::ClientError> {
/// let mut completions = Vec::new();
/// for number in 0..100 {
///     completions.push(producer.send_async(format!("order {number}")).await?);
/// }
/// for completion in completions {
///     completion.await?;
/// }
/// # Ok(()) }
/// # stompbox_examples::run(example);
/// ```
#[derive(Debug)]
#[must_use = "a message is safe when its completion says so"]
pub struct Completion {
    state: State,
}

#[derive(Debug)]
enum State {
    /// In a transaction the commit says what becomes of it.
    Transacted,
    Waiting {
        answer: oneshot::Receiver<Result<SendReceipt, ClientError>>,
        session: Arc<SessionCore>,
    },
}

impl Future for Completion {
    type Output = Result<SendReceipt, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Transacted => Poll::Ready(Ok(SendReceipt::default())),
            State::Waiting { answer, session } => Pin::new(answer).poll(context).map(|answer| {
                answer.unwrap_or_else(|_dropped| Err(session.connection.handle.end()))
            }),
        }
    }
}

impl Producer {
    pub(crate) fn new(session: Arc<SessionCore>, destination: Destination) -> Self {
        Self {
            session,
            destination,
            delivery_mode: None,
            priority: None,
            time_to_live: None,
            delay: None,
        }
    }

    /// Whether its messages outlive the broker, where they do not say so themselves. Default: they do.
    ///
    /// ```
    /// # fn example(session: stompbox_client::Session) {
    /// use stompbox_client::DeliveryMode;
    /// let ticks = session.producer("/topic/ticks").delivery_mode(DeliveryMode::NonPersistent);
    /// # }
    /// # stompbox_examples::run(async |session| example(session));
    /// ```
    #[must_use]
    pub fn delivery_mode(mut self, mode: DeliveryMode) -> Self {
        self.delivery_mode = Some(mode);
        self
    }

    /// The priority of its messages, where they have none of their own.
    ///
    /// ```
    /// # fn example(session: stompbox_client::Session) {
    /// let alarms = session.producer("/queue/alarms").priority(9);
    /// # }
    /// # stompbox_examples::run(async |session| example(session));
    /// ```
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority.min(9));
        self
    }

    /// How long its messages are of use, where they do not say so themselves.
    ///
    /// ```
    /// # fn example(session: stompbox_client::Session) {
    /// let prices = session.producer("/topic/prices").time_to_live(std::time::Duration::from_secs(5));
    /// # }
    /// # stompbox_examples::run(async |session| example(session));
    /// ```
    #[must_use]
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
        self
    }

    /// How long the broker waits before it delivers its messages, where they do not say so themselves.
    ///
    /// ```
    /// # fn example(session: stompbox_client::Session) {
    /// let reminders = session.producer("/queue/reminders").delay(std::time::Duration::from_secs(60));
    /// # }
    /// # stompbox_examples::run(async |session| example(session));
    /// ```
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Where it sends to.
    ///
    /// ```
    /// # fn example(producer: stompbox_client::Producer) {
    /// assert_eq!(producer.destination().as_str(), "/queue/orders");
    /// # }
    /// # stompbox_examples::run(async |producer| example(producer));
    /// ```
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Sends a message and waits until the broker has it. If the connection is lost meanwhile, it is sent again on the
    /// next one. Dropping the future does not call it back.
    ///
    /// ```
    /// # async fn example(producer: stompbox_client::Producer) -> Result<(), stompbox_client::ClientError> {
    /// producer.send("one tea").await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or the connection has ended for good.
    pub async fn send(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<SendReceipt, ClientError> {
        self.send_to(self.destination.clone(), message).await
    }

    /// As [`send`](Self::send), to another destination.
    ///
    /// ```
    /// # async fn example(producer: stompbox_client::Producer, question: stompbox_client::Message)
    /// # -> Result<(), stompbox_client::ClientError> {
    /// if let Some(reply_to) = question.reply_to() {
    ///     producer.send_to(reply_to, question.answer("3.20")).await?;
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run(async |(producer, question)| example(producer, question).await);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_to(
        &self,
        destination: impl Into<Destination>,
        message: impl Into<OutgoingMessage>,
    ) -> Result<SendReceipt, ClientError> {
        let destination = destination.into();
        let span = tracing::debug_span!("send", %destination);
        let sent = async { self.begin(destination, message.into()).await?.await };
        sent.instrument(span).await
    }

    /// Sends a message and returns when there is room for it among those that wait for their receipts
    /// ([`ConnectionBuilder::in_flight_max`](crate::ConnectionBuilder::in_flight_max)).
    ///
    /// ```
    /// # async fn example(producer: stompbox_client::Producer) -> Result<(), stompbox_client::ClientError> {
    /// let completion = producer.send_async("one tea").await?;
    /// let receipt = completion.await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The connection has ended for good. Everything else the [`Completion`] tells.
    pub async fn send_async(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<Completion, ClientError> {
        self.begin(self.destination.clone(), message.into()).await
    }

    /// Sends a message of which nothing will be known: the fastest way. A later confirmed call says nothing about it
    /// either, except [`Connection::close`](crate::Connection::close).
    ///
    /// ```
    /// # async fn example(producer: stompbox_client::Producer) -> Result<(), stompbox_client::ClientError> {
    /// producer.send_and_forget("tick").await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The connection has ended for good.
    pub async fn send_and_forget(
        &self,
        message: impl Into<OutgoingMessage>,
    ) -> Result<(), ClientError> {
        let mut send = self.prepare(self.destination.clone(), message.into());
        if send.transaction.is_none() {
            send.number = None;
        }
        self.handle().command(Command::Send(Box::new(send))).await
    }

    async fn begin(
        &self,
        destination: Destination,
        message: OutgoingMessage,
    ) -> Result<Completion, ClientError> {
        let mut send = self.prepare(destination, message);
        if send.transaction.is_some() {
            self.handle().command(Command::Send(Box::new(send))).await?;
            let state = State::Transacted;
            return Ok(Completion { state });
        }
        let shared = self.handle().shared();
        let permit = shared.in_flight.acquire().await;
        permit.map_err(|_closed| self.handle().end())?.forget();
        let (reply, answer) = oneshot::channel();
        // From here on the permit returns with the completer, however this ends.
        send.completer = Some(Completer::new(reply, Arc::clone(shared)));
        self.handle().command(Command::Send(Box::new(send))).await?;
        let session = Arc::clone(&self.session);
        let state = State::Waiting { answer, session };
        Ok(Completion { state })
    }

    /// Fills in what the message leaves to the producer.
    fn prepare(&self, destination: Destination, mut message: OutgoingMessage) -> Send {
        message.delivery_mode = message.delivery_mode.or(self.delivery_mode);
        message.priority = message.priority.or(self.priority);
        message.delay = message.delay.or(self.delay);
        let time_to_live = message.time_to_live.or(self.time_to_live);
        if message.trace.is_none() {
            message.trace = self.trace().map(Box::new);
        }
        let options = &self.session.connection.options;
        let is_numbered = options.is_deduplicated
            && !options.reconnect.is_never()
            && message.deduplication_id.is_none();
        Send {
            destination,
            message,
            expires: time_to_live.and_then(|time| SystemTime::now().checked_add(time)),
            number: is_numbered.then(|| self.handle().shared().next_number()),
            transaction: (self.session.mode == AcknowledgeMode::Transacted)
                .then_some(self.session.id),
            completer: None,
            is_resent: false,
            refusals: 0,
        }
    }

    /// The trace to continue, if any.
    fn trace(&self) -> Option<TraceContext> {
        let source = &self.session.connection.options.trace_source;
        TraceContext::current()
            .map(|context| context.child())
            .or_else(|| source.as_ref().and_then(|source| source()))
    }

    fn handle(&self) -> &crate::shared::Handle {
        &self.session.connection.handle
    }
}
