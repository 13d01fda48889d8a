//! Sessions: a mode of acknowledgement and a transaction, shared by some producers and consumers.

use std::sync::Arc;

use crate::command::Command;
use crate::shared::{Left, SessionId};
use crate::{
    AcknowledgeMode, Browser, ClientError, Connection, Consumer, Destination, Producer, Requestor,
    Subscription,
};

/// A context of work on a [`Connection`]: producers and consumers with one mode of acknowledgement, and, in mode
/// [`Transacted`](AcknowledgeMode::Transacted), one transaction after the other.
///
/// A transacted session that is dropped rolls its transaction back and ends its consumers. The consumers of any other
/// session live on without it.
///
/// ```no_run
/// use stompbox_client::{AcknowledgeMode, ClientError, Connection, OutgoingMessage};
///
/// # async fn example() -> Result<(), ClientError> {
/// let connection = Connection::connect("127.0.0.1:61613").await?;
/// let session = connection.session(AcknowledgeMode::Transacted);
/// let mut orders = session.consumer("/queue/orders").await?;
/// let bills = session.producer("/queue/bills");
/// loop {
///     let order = orders.receive().await?;
///     bills.send(OutgoingMessage::copy_of(&order)).await?;
///     // The order is gone and the bill is there, or neither.
///     session.commit().await?;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    core: Arc<SessionCore>,
}

/// What producers and consumers keep of their session.
#[derive(Debug)]
pub(crate) struct SessionCore {
    pub(crate) connection: Connection,
    pub(crate) mode: AcknowledgeMode,
    pub(crate) id: SessionId,
}

/// What came of [`Session::resolve`].
///
/// ```
/// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
/// let resolution = session.resolve().await?;
/// println!("{} messages are safe", resolution.sends());
/// # Ok(()) }
/// # stompbox_examples::run_transacted(example);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolution {
    sends: usize,
}

impl Resolution {
    pub(crate) fn new(sends: usize) -> Self {
        Self { sends }
    }

    /// How many messages are known now to have been sent, each once.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// println!("{} messages are safe", session.resolve().await?.sends());
    /// # Ok(()) }
    /// # stompbox_examples::run_transacted(example);
    /// ```
    #[must_use]
    pub fn sends(&self) -> usize {
        self.sends
    }
}

impl Session {
    pub(crate) fn new(connection: Connection, mode: AcknowledgeMode) -> Self {
        let id = SessionId(connection.handle.shared().next_number());
        Self {
            core: Arc::new(SessionCore {
                connection,
                mode,
                id,
            }),
        }
    }

    /// How it acknowledges.
    ///
    /// ```
    /// # fn example(session: stompbox_client::Session) {
    /// assert_eq!(session.mode(), stompbox_client::AcknowledgeMode::Auto);
    /// # }
    /// # stompbox_examples::run(async |session| example(session));
    /// ```
    #[must_use]
    pub fn mode(&self) -> AcknowledgeMode {
        self.core.mode
    }

    /// A producer for a destination.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// let orders = session.producer("/queue/orders").priority(7);
    /// orders.send("one tea").await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    pub fn producer(&self, destination: impl Into<Destination>) -> Producer {
        Producer::new(Arc::clone(&self.core), destination.into())
    }

    /// A consumer of a destination; the broker has made its subscription when this returns.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// use stompbox_client::Subscription;
    ///
    /// let orders = session.consumer("/queue/orders").await?;
    /// let prices = session.consumer(Subscription::to("/topic/prices").selector("currency = 'EUR'")).await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or has no such subscription; the connection has ended.
    pub async fn consumer(
        &self,
        subscription: impl Into<Subscription>,
    ) -> Result<Consumer, ClientError> {
        Consumer::subscribe(&self.core, subscription.into()).await
    }

    /// Looks at the messages of a queue without taking them.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// let mut browser = session.browser("/queue/orders").await?;
    /// while let Some(order) = browser.next().await? {
    ///     println!("{}", order.message_id());
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or has no browsers; the connection has ended.
    pub async fn browser(
        &self,
        subscription: impl Into<Subscription>,
    ) -> Result<Browser, ClientError> {
        Browser::open(&self.core, subscription.into()).await
    }

    /// Asks questions at a destination and waits for their answers.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// use std::time::Duration;
    ///
    /// let prices = session.requestor("/queue/prices").await?;
    /// let answer = prices.request("tea?", Duration::from_secs(5)).await?;
    /// println!("{}", answer.text()?);
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, or has no temporary queues; the connection has ended.
    pub async fn requestor(
        &self,
        destination: impl Into<Destination>,
    ) -> Result<Requestor, ClientError> {
        Requestor::open(&self.core.connection, destination.into()).await
    }

    /// Ends a durable subscription for good: the broker keeps no messages for it any more. None of its consumers may be
    /// active.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// use stompbox_client::Subscription;
    ///
    /// session.unsubscribe(&Subscription::to("/topic/prices").durable("audit")).await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// It is not durable, the broker refuses, or the connection is lost meanwhile.
    pub async fn unsubscribe(&self, subscription: &Subscription) -> Result<(), ClientError> {
        if !subscription.is_durable() {
            let reason = "only a durable one outlives its consumers";
            return Err(ClientError::invalid("subscription", reason));
        }
        let subscription = Box::new(subscription.clone());
        let command = |reply| Command::Delete {
            subscription,
            reply,
        };
        self.core.connection.handle.call(command).await
    }

    /// Lets everything that was received and sent since the last commit take effect, all or nothing.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// use stompbox_client::{ClientError, Retry};
    ///
    /// match session.commit().await {
    ///     Err(error) if error.retry() == Retry::Transaction => println!("its messages come again"),
    ///     Err(error) if error.retry() == Retry::Resolve => {
    ///         session.resolve().await?;
    ///     }
    ///     other => other?,
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run_transacted(example);
    /// ```
    ///
    /// # Errors
    ///
    /// [`RolledBack`](ClientError::RolledBack) and [`Refused`](ClientError::Refused): nothing of it has happened.
    /// [`CommitInDoubt`](ClientError::CommitInDoubt): all or nothing has. The session is not transacted.
    pub async fn commit(&self) -> Result<(), ClientError> {
        let session = self.transacted()?;
        let command = |reply| Command::Commit { session, reply };
        self.core.connection.handle.call(command).await
    }

    /// Gives up everything since the last commit: what was sent is not, what was received comes again.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// session.rollback().await?;
    /// # Ok(()) }
    /// # stompbox_examples::run_transacted(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker refuses, the session is not transacted, or the connection has ended.
    pub async fn rollback(&self) -> Result<(), ClientError> {
        let session = self.transacted()?;
        let command = |reply| Command::Rollback { session, reply };
        self.core.connection.handle.call(command).await
    }

    /// After [`CommitInDoubt`](ClientError::CommitInDoubt): makes sure that what was sent in that transaction has been
    /// sent, by sending it again under the same duplicate-detection ids. Messages that were received in it come again if
    /// it has not happened; then [`Message::is_in_doubt`](crate::Message::is_in_doubt) says that the work was done.
    ///
    /// Nothing is in doubt any more where the session goes on without it: then what was sent has its effect if the
    /// commit had, and not otherwise.
    ///
    /// ```
    /// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
    /// use stompbox_client::ClientError;
    ///
    /// if let Err(ClientError::CommitInDoubt { .. }) = session.commit().await {
    ///     session.resolve().await?;
    /// }
    /// # Ok(()) }
    /// # stompbox_examples::run_transacted(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The broker does not recognise messages that are sent again. It refuses. The connection was lost once more:
    /// resolve again.
    pub async fn resolve(&self) -> Result<Resolution, ClientError> {
        let session = self.transacted()?;
        let command = |reply| Command::Resolve { session, reply };
        self.core.connection.handle.call(command).await
    }

    fn transacted(&self) -> Result<SessionId, ClientError> {
        self.core.transacted()
    }
}

impl SessionCore {
    pub(crate) fn transacted(&self) -> Result<SessionId, ClientError> {
        match self.mode {
            AcknowledgeMode::Transacted => Ok(self.id),
            AcknowledgeMode::Auto
            | AcknowledgeMode::Client
            | AcknowledgeMode::Individual
            | AcknowledgeMode::Unacknowledged => Err(ClientError::NotTransacted),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.core.mode == AcknowledgeMode::Transacted {
            let shared = self.core.connection.handle.shared();
            shared.leave(Left::Session(self.core.id));
        }
    }
}
