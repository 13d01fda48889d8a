//! What examples ask for as their parameters.

use stompbox_client::{
    AcknowledgeMode, Browser, ClientError, Connection, Consumer, Listener, Message, Producer,
    Requestor, Session, blocking,
};

const ORDERS: &str = "/queue/orders";

/// A parameter of an example.
pub trait Given: Sized {
    /// Makes it.
    fn given(
        connection: &Connection,
        mode: AcknowledgeMode,
    ) -> impl Future<Output = Result<Self, ClientError>>;
}

impl Given for Connection {
    async fn given(connection: &Connection, _mode: AcknowledgeMode) -> Result<Self, ClientError> {
        Ok(connection.clone())
    }
}

impl Given for Session {
    async fn given(connection: &Connection, mode: AcknowledgeMode) -> Result<Self, ClientError> {
        Ok(connection.session(mode))
    }
}

impl Given for Producer {
    async fn given(connection: &Connection, mode: AcknowledgeMode) -> Result<Self, ClientError> {
        Ok(connection.session(mode).producer(ORDERS))
    }
}

impl Given for Consumer {
    async fn given(connection: &Connection, _mode: AcknowledgeMode) -> Result<Self, ClientError> {
        let session = connection.session(AcknowledgeMode::Individual);
        session.consumer(ORDERS).await
    }
}

impl Given for Listener {
    async fn given(connection: &Connection, mode: AcknowledgeMode) -> Result<Self, ClientError> {
        let consumer = Consumer::given(connection, mode).await?;
        Ok(consumer.listen(|message| async move { drop(message) }))
    }
}

impl Given for Browser {
    async fn given(connection: &Connection, mode: AcknowledgeMode) -> Result<Self, ClientError> {
        connection.session(mode).browser(ORDERS).await
    }
}

impl Given for Requestor {
    async fn given(connection: &Connection, mode: AcknowledgeMode) -> Result<Self, ClientError> {
        connection.session(mode).requestor("/queue/prices").await
    }
}

impl Given for (Producer, Message) {
    async fn given(connection: &Connection, mode: AcknowledgeMode) -> Result<Self, ClientError> {
        let message = Consumer::given(connection, mode).await?.receive().await?;
        Ok((Producer::given(connection, mode).await?, message))
    }
}

/// A parameter of an example of the blocking face.
pub trait GivenBlocking: Sized {
    /// Makes it.
    ///
    /// # Errors
    /// When the peer does not do its part.
    fn given(connection: &blocking::Connection, mode: AcknowledgeMode)
    -> Result<Self, ClientError>;
}

impl GivenBlocking for blocking::Connection {
    fn given(
        connection: &blocking::Connection,
        _mode: AcknowledgeMode,
    ) -> Result<Self, ClientError> {
        Ok(connection.clone())
    }
}

impl GivenBlocking for blocking::Session {
    fn given(
        connection: &blocking::Connection,
        mode: AcknowledgeMode,
    ) -> Result<Self, ClientError> {
        Ok(connection.session(mode))
    }
}

impl GivenBlocking for blocking::Producer {
    fn given(
        connection: &blocking::Connection,
        mode: AcknowledgeMode,
    ) -> Result<Self, ClientError> {
        Ok(connection.session(mode).producer(ORDERS))
    }
}

impl GivenBlocking for blocking::Consumer {
    fn given(
        connection: &blocking::Connection,
        _mode: AcknowledgeMode,
    ) -> Result<Self, ClientError> {
        let session = connection.session(AcknowledgeMode::Individual);
        session.consumer(ORDERS)
    }
}

impl GivenBlocking for blocking::Completion {
    fn given(
        connection: &blocking::Connection,
        mode: AcknowledgeMode,
    ) -> Result<Self, ClientError> {
        blocking::Producer::given(connection, mode)?.send_async("one tea")
    }
}

impl GivenBlocking for blocking::Requestor {
    fn given(
        connection: &blocking::Connection,
        mode: AcknowledgeMode,
    ) -> Result<Self, ClientError> {
        connection.session(mode).requestor("/queue/prices")
    }
}

impl GivenBlocking for (blocking::Producer, Message) {
    fn given(
        connection: &blocking::Connection,
        mode: AcknowledgeMode,
    ) -> Result<Self, ClientError> {
        let message = blocking::Consumer::given(connection, mode)?.receive()?;
        Ok((blocking::Producer::given(connection, mode)?, message))
    }
}
