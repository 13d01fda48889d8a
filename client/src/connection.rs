//! A connection: the calls that its owner can make.

use std::collections::HashMap;

use stompbox_protocol::{Command, Version};

use crate::exchange::{Exchange, Meanwhile};
use crate::handshake;
use crate::outbound::Headers;
use crate::{
    Acknowledge, ClientError, ConnectOptions, Message, OutgoingMessage, SubscribeOptions,
    SubscriptionId, Transaction,
};

/// A session with a broker, owned by one caller at a time.
///
/// Heart-beats are sent whether or not a call is under way. Messages wait in a bounded inbox until
/// [`next_message`](Self::next_message) takes them; when it is full, the connection is not read on, and the broker
/// stops sending. When a connection is dropped, it ends without a word: unacknowledged messages return to their
/// queues, open transactions are aborted, and what was sent without a receipt may or may not have arrived.
///
/// ```no_run
/// use stompbox_client::{Connection, ConnectOptions, OutgoingMessage, SubscribeOptions};
///
/// # async fn example() -> Result<(), stompbox_client::ClientError> {
/// let mut connection = Connection::connect("127.0.0.1:61613", ConnectOptions::default()).await?;
/// let order = OutgoingMessage::to("/queue/orders").body("one tea");
/// connection.send_receipted(&order).await?;
///
/// connection.subscribe(&SubscribeOptions::to("/queue/orders")).await?;
/// let message = connection.next_message().await?;
/// assert_eq!(message.body(), b"one tea");
/// connection.ack(&message).await?;
/// connection.disconnect().await
/// # }
/// ```
#[derive(Debug)]
pub struct Connection {
    exchange: Exchange,
    subscriptions: HashMap<SubscriptionId, Acknowledge>,
}

impl Connection {
    /// Connects to `host:port` and opens a session. Must be called within a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// The broker cannot be reached, does not answer in time, or refuses.
    pub async fn connect(
        address: impl AsRef<str>,
        options: ConnectOptions,
    ) -> Result<Self, ClientError> {
        let (socket, decoder, session) = handshake::connect(address.as_ref(), &options).await?;
        let exchange = Exchange::start(socket, decoder, session, &options);
        Ok(Self {
            exchange,
            subscriptions: HashMap::new(),
        })
    }

    /// The version that was agreed on.
    #[must_use]
    pub fn version(&self) -> Version {
        self.exchange.session().version
    }

    /// The broker's name for the session.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.exchange.session().id.as_deref()
    }

    /// Sends a message and does not wait for an answer: nothing is promised until a later receipted call, or
    /// [`disconnect`](Self::disconnect), has succeeded.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub async fn send(&mut self, message: &OutgoingMessage) -> Result<(), ClientError> {
        self.exchange
            .post(Command::Send, &message.headers(), &message.body)
            .await
    }

    /// Sends a message and waits for the receipt: a persistent message is on the broker's disk then.
    ///
    /// # Errors
    ///
    /// The broker refuses, the connection ends first, or messages fill the buffer meanwhile.
    pub async fn send_receipted(&mut self, message: &OutgoingMessage) -> Result<(), ClientError> {
        self.call(Command::Send, message.headers(), &message.body)
            .await
    }

    /// Subscribes, and returns when the broker has confirmed it.
    ///
    /// # Errors
    ///
    /// The broker refuses, the connection ends first, or messages fill the buffer meanwhile.
    pub async fn subscribe(
        &mut self,
        options: &SubscribeOptions,
    ) -> Result<SubscriptionId, ClientError> {
        let id = SubscriptionId::new(self.exchange.next_number());
        self.call(Command::Subscribe, options.headers(&id), b"")
            .await?;
        self.subscriptions.insert(id.clone(), options.acknowledge);
        Ok(id)
    }

    /// Ends a subscription. Its unacknowledged messages return; some may still be taken from the inbox.
    ///
    /// # Errors
    ///
    /// The broker refuses, the connection ends first, or messages fill the buffer meanwhile.
    pub async fn unsubscribe(&mut self, id: &SubscriptionId) -> Result<(), ClientError> {
        self.call(Command::Unsubscribe, vec![("id", id.as_str())], b"")
            .await?;
        self.subscriptions.remove(id);
        Ok(())
    }

    /// The next message of any subscription, as soon as there is one. Dropping the future loses none.
    ///
    /// # Errors
    ///
    /// The connection has ended; what had come before is returned first.
    pub async fn next_message(&mut self) -> Result<Message, ClientError> {
        self.exchange.next_message().await
    }

    /// Acknowledges a message; with [`Acknowledge::Client`] also those of its subscription that came before it.
    ///
    /// # Errors
    ///
    /// The message needs no acknowledgement, or the connection has ended.
    pub async fn ack(&mut self, message: &Message) -> Result<(), ClientError> {
        self.settle(Command::Ack, message, None).await
    }

    /// As [`ack`](Self::ack), when the transaction commits.
    ///
    /// # Errors
    ///
    /// The message needs no acknowledgement, or the connection has ended.
    pub async fn ack_in(
        &mut self,
        message: &Message,
        transaction: &Transaction,
    ) -> Result<(), ClientError> {
        self.settle(Command::Ack, message, Some(transaction)).await
    }

    /// Tells that a message could not be dealt with: the broker delivers it again, or puts it aside.
    ///
    /// # Errors
    ///
    /// The message needs no acknowledgement, the session is one of STOMP 1.0, or the connection has ended.
    pub async fn nack(&mut self, message: &Message) -> Result<(), ClientError> {
        self.settle(Command::Nack, message, None).await
    }

    /// As [`nack`](Self::nack), when the transaction commits.
    ///
    /// # Errors
    ///
    /// The message needs no acknowledgement, the session is one of STOMP 1.0, or the connection has ended.
    pub async fn nack_in(
        &mut self,
        message: &Message,
        transaction: &Transaction,
    ) -> Result<(), ClientError> {
        self.settle(Command::Nack, message, Some(transaction)).await
    }

    /// Opens a transaction.
    ///
    /// # Errors
    ///
    /// The connection has ended.
    pub async fn begin(&mut self) -> Result<Transaction, ClientError> {
        let transaction = Transaction::new(self.exchange.next_number());
        self.exchange
            .post(
                Command::Begin,
                &vec![("transaction", transaction.id())],
                b"",
            )
            .await?;
        Ok(transaction)
    }

    /// Commits a transaction and waits for the receipt: all of it has happened then.
    ///
    /// # Errors
    ///
    /// The broker refuses and nothing of it has happened, or the connection ends first and it is unknown whether it
    /// has.
    pub async fn commit(&mut self, transaction: Transaction) -> Result<(), ClientError> {
        self.call(
            Command::Commit,
            vec![("transaction", transaction.id())],
            b"",
        )
        .await
    }

    /// Gives a transaction up: its messages are not sent, what was acknowledged in it is delivered again.
    ///
    /// # Errors
    ///
    /// The broker refuses, the connection ends first, or messages fill the buffer meanwhile.
    pub async fn abort(&mut self, transaction: Transaction) -> Result<(), ClientError> {
        self.call(Command::Abort, vec![("transaction", transaction.id())], b"")
            .await
    }

    /// Ends the session and waits for the receipt: everything sent before has been dealt with then. Messages that were
    /// not taken return to their queues.
    ///
    /// # Errors
    ///
    /// The broker has refused something sent before, or the connection ends first.
    pub async fn disconnect(mut self) -> Result<(), ClientError> {
        self.exchange
            .call(Command::Disconnect, Headers::new(), b"", Meanwhile::Discard)
            .await
    }

    async fn call(
        &mut self,
        command: Command,
        headers: Headers<'_>,
        body: &[u8],
    ) -> Result<(), ClientError> {
        self.exchange
            .call(command, headers, body, Meanwhile::Keep)
            .await
    }

    async fn settle(
        &mut self,
        command: Command,
        message: &Message,
        transaction: Option<&Transaction>,
    ) -> Result<(), ClientError> {
        let mode = message
            .subscription()
            .and_then(|id| self.subscriptions.get(id.as_ref()));
        if mode == Some(&Acknowledge::Auto) {
            return Err(ClientError::NothingToAcknowledge);
        }
        let named = message.acknowledgement(command)?;
        let mut headers: Headers<'_> = named
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        headers.extend(transaction.map(|transaction| ("transaction", transaction.id())));
        self.exchange.post(command, &headers, b"").await
    }
}
