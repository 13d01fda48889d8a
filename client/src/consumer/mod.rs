//! Consumers: they receive.

mod intake;
mod listener;
mod mailbox;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::oneshot;
use tokio::task::coop;

pub(crate) use self::intake::Intake;
pub use self::listener::{Listener, ListenerBuilder, Outcome};
pub(crate) use self::mailbox::{Mailbox, Room};
use crate::command::Command;
use crate::session::SessionCore;
use crate::settle::{Settler, Verdict};
use crate::subscription::{Purpose, Subscription};
use crate::{AcknowledgeMode, ClientError, Destination, Message};

/// Receives the messages of a subscription: one after the other with [`receive`](Self::receive), as a [`Stream`], or
/// with a [listener](Self::listen).
///
/// Dropping it ends the subscription. What was not handed out by then, or not acknowledged, returns to the queue.
/// Dropping a future of it loses nothing either: a message leaves the consumer only when it is returned.
///
/// If the connection is lost, the subscription is made again on the next one. Messages that had come and were not handed
/// out are delivered again by the broker, marked as redelivered; those of a topic that is not durable, which the broker
/// no longer has, are handed out.
///
/// ```no_run
/// use std::time::Duration;
/// use stompbox_client::{AcknowledgeMode, Connection};
///
/// # async fn example() -> Result<(), stompbox_client::ClientError> {
/// let connection = Connection::connect("127.0.0.1:61613").await?;
/// let session = connection.session(AcknowledgeMode::Individual);
/// let mut orders = session.consumer("/queue/orders").await?;
/// while let Some(order) = orders.receive_timeout(Duration::from_secs(60)).await? {
///     println!("{}", order.text()?);
///     order.ack()?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Consumer {
    intake: Intake,
    settler: Arc<Settler>,
    /// The stream has said that there is nothing more.
    is_over: bool,
}

impl Consumer {
    pub(crate) async fn subscribe(
        session: &Arc<SessionCore>,
        subscription: Subscription,
    ) -> Result<Self, ClientError> {
        let purpose = Purpose::Consume(session.mode);
        let intake = Intake::open(session, subscription, purpose).await?;
        let settler = Arc::new(Settler {
            shared: Arc::clone(session.connection.handle.shared()),
            mailbox: Arc::clone(intake.mailbox()),
            consumer: intake.id(),
            session: session.id,
            mode: session.mode,
        });
        Ok(Self {
            intake,
            settler,
            is_over: false,
        })
    }

    /// What it receives from.
    ///
    /// ```
    /// # fn example(consumer: stompbox_client::Consumer) {
    /// println!("listening to {}", consumer.destination());
    /// # }
    /// # stompbox_examples::run(async |consumer| example(consumer));
    /// ```
    #[must_use]
    pub fn destination(&self) -> &Destination {
        self.intake.destination()
    }

    /// The next message, as soon as there is one.
    ///
    /// ```
    /// # async fn example(mut consumer: stompbox_client::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// let message = consumer.receive().await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The connection has ended for good, or the broker does not make the subscription again.
    pub async fn receive(&mut self) -> Result<Message, ClientError> {
        std::future::poll_fn(|context| self.poll_receive(context)).await
    }

    /// The next message, if there is one within this time.
    ///
    /// ```
    /// # async fn example(mut consumer: stompbox_client::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// if consumer.receive_timeout(std::time::Duration::from_secs(1)).await?.is_none() {
    ///     println!("nothing to do");
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub async fn receive_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Message>, ClientError> {
        match tokio::time::timeout(timeout, self.receive()).await {
            Ok(message) => message.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }

    /// The next message, if it has come already.
    ///
    /// ```
    /// # async fn example(mut consumer: stompbox_client::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// while let Some(message) = consumer.receive_no_wait()? {
    ///     println!("{}", message.message_id());
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn receive_no_wait(&mut self) -> Result<Option<Message>, ClientError> {
        let mut context = Context::from_waker(Waker::noop());
        match self.poll_taken(&mut context) {
            Poll::Ready(message) => message.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Acknowledges a message and waits until the broker has done so: it will not come again.
    ///
    /// ```
    /// # async fn example(mut consumer: stompbox_client::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// let message = consumer.receive().await?;
    /// consumer.ack_confirmed(&message).await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Message::ack`]; [`Stale`](ClientError::Stale) also where the connection was lost meanwhile.
    pub async fn ack_confirmed(&self, message: &Message) -> Result<(), ClientError> {
        let handle = &self.intake.session().connection.handle;
        // First, so that a message whose acknowledgement is given up here is not taken for acknowledged.
        let room = handle.reserve().await?;
        let Some(settlement) = self.settler.by_program(message, Verdict::Ack)? else {
            return Ok(());
        };
        let (reply, answer) = oneshot::channel();
        room.send(Command::Settle {
            settlement: Box::new(settlement),
            reply,
        });
        answer.await.unwrap_or_else(|_dropped| Err(handle.end()))
    }

    /// Ends the subscription, and returns when the broker has done so. Dropping it does the same without waiting.
    ///
    /// ```
    /// # async fn example(consumer: stompbox_client::Consumer) -> Result<(), stompbox_client::ClientError> {
    /// consumer.close().await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or the connection has ended.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.intake.close().await
    }

    /// Has a function deal with each message, one at a time: [`listener`](Self::listener) has more to choose.
    ///
    /// ```
    /// # async fn example(consumer: stompbox_client::Consumer) {
    /// let listener = consumer.listen(|message| async move {
    ///     println!("{}", message.text()?);
    ///     Ok::<(), stompbox_client::ClientError>(())
    /// });
    /// // .. and, some time later:
    /// listener.stop().await;
    /// # }
    /// # stompbox_examples::run(example);
    /// ```
    pub fn listen<F, R>(self, function: F) -> Listener
    where
        F: Fn(Arc<Message>) -> R + Send + Sync + 'static,
        R: Future<Output: Outcome> + Send + 'static,
    {
        self.listener().start(function)
    }

    /// Begins to say how a listener is to work.
    ///
    /// ```
    /// # async fn example(consumer: stompbox_client::Consumer) {
    /// use std::time::Duration;
    ///
    /// consumer
    ///     .listener()
    ///     .concurrency(8)
    ///     .retry_after(Duration::from_secs(5))
    ///     .start(|message| async move { println!("{}", message.message_id()) })
    ///     .until_end()
    ///     .await;
    /// # }
    /// # stompbox_examples::run_for_a_while(example);
    /// ```
    pub fn listener(self) -> ListenerBuilder {
        let Self {
            intake, settler, ..
        } = self;
        ListenerBuilder::new(intake, settler)
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, ClientError>> {
        // A loop over messages that are there already must not keep its thread from everybody else.
        let budget = ready!(coop::poll_proceed(context));
        let message = ready!(self.poll_taken(context));
        budget.made_progress();
        Poll::Ready(message)
    }

    fn poll_taken(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, ClientError>> {
        let message = ready!(self.intake.poll_next(context))?;
        let Some(mut message) = message else {
            return Poll::Ready(Err(ClientError::Ended));
        };
        message.attach(&self.settler);
        match self.settler.mode {
            AcknowledgeMode::Auto | AcknowledgeMode::Transacted => {
                self.settler.by_session(&message, Verdict::Ack);
            }
            AcknowledgeMode::Client
            | AcknowledgeMode::Individual
            | AcknowledgeMode::Unacknowledged => {}
        }
        Poll::Ready(Ok(message))
    }
}

/// Ends with the error that ended the consumer.
impl Stream for Consumer {
    type Item = Result<Message, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_receive(context));
        self.is_over = item.is_err();
        Poll::Ready(Some(item))
    }
}
