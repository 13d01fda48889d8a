//! Connections: how one is made, and its handle.

use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::Limits;
use tokio::sync::{mpsc, oneshot};

use crate::driver::Driver;
use crate::driver::reconnect::Attempts;
use crate::event::ConnectionEvent;
use crate::events::Events;
use crate::option::Passcode;
use crate::shared::{COMMANDS_MAX, Handle, Left, Shared};
use crate::trace::TraceContext;
use crate::transport::Security;
use crate::url::{self, Address};
use crate::{AcknowledgeMode, ClientError, HeartBeat, Reconnect, Session};

/// Messages that may wait for their receipts.
const IN_FLIGHT_DEFAULT: usize = 1_000;

/// Says which trace a message belongs to that is sent.
pub(crate) type TraceSource = Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>;

/// A connection to a broker, or to one after the other. Cheap to clone; all clones are the same connection.
///
/// It is served by one task of the runtime in which it was made. Any number of [`Session`]s share it. It ends when it is
/// [closed](Self::close), or when the last of its clones, sessions, producers and consumers is dropped.
///
/// ```no_run
/// use stompbox_client::{AcknowledgeMode, Connection};
///
/// # async fn example() -> Result<(), stompbox_client::ClientError> {
/// let connection = Connection::connect("failover:(stomp://a:61613,stomp://b:61613)").await?;
/// let session = connection.session(AcknowledgeMode::Auto);
/// session.producer("/queue/orders").send("one tea").await?;
/// connection.close().await
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    pub(crate) handle: Handle,
    pub(crate) options: Arc<Options>,
}

/// Everything that was chosen.
pub(crate) struct Options {
    pub(crate) addresses: Vec<Address>,
    pub(crate) login: Option<(String, Passcode)>,
    pub(crate) client_id: Option<String>,
    pub(crate) virtual_host: Option<String>,
    pub(crate) heart_beat: HeartBeat,
    pub(crate) connect_timeout: Duration,
    pub(crate) reconnect: Reconnect,
    pub(crate) in_flight_max: usize,
    pub(crate) is_deduplicated: bool,
    pub(crate) limits: Limits,
    pub(crate) security: Security,
    pub(crate) events: Events,
    pub(crate) trace_source: Option<TraceSource>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("addresses", &self.addresses)
            .field("client_id", &self.client_id)
            .field("reconnect", &self.reconnect)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects with everything as it is usual: [`builder`](Self::builder) says what that is.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), stompbox_client::ClientError> {
    /// let connection = stompbox_client::Connection::connect("127.0.0.1:61613").await?;
    /// # connection.close().await }
    /// ```
    ///
    /// # Errors
    ///
    /// The address is none, the broker cannot be reached, does not answer in time, or refuses.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, ClientError> {
        Self::builder(url).connect().await
    }

    /// Begins to say how to connect, and where to:
    ///
    /// | address | |
    /// |---|---|
    /// | `stomp://HOST:PORT`, `HOST:PORT` | TCP; the port is 61613 where none is given |
    /// | `stomps://HOST:PORT` | TLS, port 61614 (feature `tls`) |
    /// | `ws://HOST:PORT/PATH`, `wss://..` | WebSocket (feature `websocket`) |
    /// | `failover:(URL,URL)?OPTION=VALUE&..` | any of these; options: `randomize`, `initialReconnectDelay`, `maxReconnectDelay`, `maxReconnectAttempts`, `startupMaxReconnectAttempts` |
    ///
    /// An address may carry a login, `stomp://USER:PASSCODE@HOST`, and a virtual host, `?host=NAME` (RabbitMQ's is
    /// `?host=%2F`), both percent-encoded.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), stompbox_client::ClientError> {
    /// use std::time::Duration;
    /// use stompbox_client::Connection;
    ///
    /// let connection = Connection::builder("stomp://broker.example.org")
    ///     .login("billing", "secret")
    ///     .client_id("billing-1")
    ///     .connect_timeout(Duration::from_secs(3))
    ///     .connect()
    ///     .await?;
    /// # connection.close().await }
    /// ```
    pub fn builder(url: impl AsRef<str>) -> ConnectionBuilder {
        ConnectionBuilder::new(url.as_ref())
    }

    /// A session: its own mode of acknowledgement, its own transaction, on this connection. Costs nothing until it is
    /// used.
    ///
    /// ```
    /// # async fn example(connection: stompbox_client::Connection) -> Result<(), stompbox_client::ClientError> {
    /// use stompbox_client::AcknowledgeMode;
    ///
    /// let session = connection.session(AcknowledgeMode::Individual);
    /// let mut orders = session.consumer("/queue/orders").await?;
    /// orders.receive().await?.ack()?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    #[must_use]
    pub fn session(&self, mode: AcknowledgeMode) -> Session {
        Session::new(self.clone(), mode)
    }

    /// Ends the connection: everything that was asked for before has been dealt with when this returns. Messages that
    /// were not taken, or not acknowledged, return to their queues; open transactions are rolled back.
    ///
    /// ```
    /// # async fn example(connection: stompbox_client::Connection) -> Result<(), stompbox_client::ClientError> {
    /// connection.close().await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// It had ended before, or was lost: what was not confirmed by then may not have happened.
    pub async fn close(self) -> Result<(), ClientError> {
        let shared = self.handle.shared();
        if let Some(end) = shared.end() {
            return match end {
                ClientError::Ended => Ok(()),
                error => Err(error),
            };
        }
        let (reply, answer) = oneshot::channel();
        shared.leave(Left::Close(reply));
        answer.await.unwrap_or_else(|_dropped| match shared.end() {
            None | Some(ClientError::Ended) => Ok(()),
            Some(error) => Err(error),
        })
    }
}

/// How to connect. Made by [`Connection::builder`].
///
/// ```
/// use stompbox_client::{Connection, HeartBeat, Reconnect};
///
/// let builder = Connection::builder("stomp://broker.example.org")
///     .heart_beat(HeartBeat::NONE)
///     .reconnect(Reconnect::never());
/// ```
#[must_use = "it connects when `connect` is called"]
pub struct ConnectionBuilder {
    pub(crate) url: String,
    options: Options,
}

impl std::fmt::Debug for ConnectionBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionBuilder")
            .field("url", &crate::url::without_login(&self.url))
            .field("options", &self.options)
            .finish()
    }
}

impl ConnectionBuilder {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            options: Options {
                addresses: Vec::new(),
                login: None,
                client_id: None,
                virtual_host: None,
                heart_beat: HeartBeat::default(),
                connect_timeout: Duration::from_secs(10),
                reconnect: Reconnect::default(),
                in_flight_max: IN_FLIGHT_DEFAULT,
                is_deduplicated: true,
                limits: Limits::default(),
                security: Security::default(),
                events: Events::default(),
                trace_source: None,
            },
        }
    }

    /// Who connects; goes before a login in the address.
    ///
    /// ```
    /// # use stompbox_client::Connection;
    /// let builder = Connection::builder("broker").login("billing", "secret");
    /// ```
    pub fn login(mut self, name: impl Into<String>, passcode: impl Into<String>) -> Self {
        self.options.login = Some((name.into(), Passcode(passcode.into())));
        self
    }

    /// The identity of durable subscriptions. One live connection each.
    ///
    /// ```
    /// # use stompbox_client::Connection;
    /// let builder = Connection::builder("broker").client_id("billing-1");
    /// ```
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.options.client_id = Some(id.into());
        self
    }

    /// The virtual host. Default: the host of the address. RabbitMQ's is usually `/`.
    ///
    /// ```
    /// # use stompbox_client::Connection;
    /// let builder = Connection::builder("rabbit").virtual_host("/");
    /// ```
    pub fn virtual_host(mut self, name: impl Into<String>) -> Self {
        self.options.virtual_host = Some(name.into());
        self
    }

    /// The heart-beats to agree on. Default: 10 s in both directions.
    ///
    /// ```
    /// # use stompbox_client::{Connection, HeartBeat};
    /// let builder = Connection::builder("broker").heart_beat(HeartBeat::NONE);
    /// ```
    pub fn heart_beat(mut self, wishes: HeartBeat) -> Self {
        self.options.heart_beat = wishes;
        self
    }

    /// How long one attempt to connect may take, up to the broker's CONNECTED. Default: 10 s.
    ///
    /// ```
    /// # use stompbox_client::Connection;
    /// let builder = Connection::builder("broker").connect_timeout(std::time::Duration::from_secs(1));
    /// ```
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// What happens when the connection is lost. Options in the address go before it.
    ///
    /// ```
    /// # use stompbox_client::{Connection, Reconnect};
    /// let builder = Connection::builder("broker").reconnect(Reconnect::never());
    /// ```
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.options.reconnect = reconnect;
        self
    }

    /// How many messages may wait for their receipts; a sender beyond waits for room. Default: 1,000.
    ///
    /// ```
    /// # use stompbox_client::Connection;
    /// let builder = Connection::builder("broker").in_flight_max(100);
    /// ```
    pub fn in_flight_max(mut self, messages: usize) -> Self {
        self.options.in_flight_max = messages;
        self
    }

    /// Whether messages whose sending is confirmed get a duplicate-detection id, so that one which is sent again after a
    /// loss has its effect once. Default: they do, with brokers that know of it, unless there is no reconnecting.
    ///
    /// ```
    /// # use stompbox_client::Connection;
    /// let at_least_once = Connection::builder("broker").deduplicate(false);
    /// ```
    pub fn deduplicate(mut self, is_deduplicated: bool) -> Self {
        self.options.is_deduplicated = is_deduplicated;
        self
    }

    /// The largest frames to accept.
    ///
    /// ```
    /// # use stompbox_client::{Connection, Limits};
    /// let limits = Limits { body_bytes_max: 1 << 20, ..Limits::default() };
    /// let builder = Connection::builder("broker").limits(limits);
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Whom to trust behind `stomps://` and `wss://`. Default: whom the system does.
    ///
    /// ```
    /// # use stompbox_client::{Connection, Tls};
    /// let builder = Connection::builder("stomps://10.0.0.7").tls(Tls::default().server_name("broker"));
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.options.security.tls = tls;
        self
    }

    /// A function that is told what happens to the connection.
    ///
    /// ```
    /// # use stompbox_client::Connection;
    /// let builder = Connection::builder("broker").on_event(|event| eprintln!("{event:?}"));
    /// ```
    pub fn on_event(mut self, function: impl Fn(&ConnectionEvent) + Send + Sync + 'static) -> Self {
        self.options.events = Events::new(function);
        self
    }

    /// A function that says which trace a message belongs to, where a listener's message does not say so: the bridge to
    /// OpenTelemetry, for instance.
    ///
    /// ```
    /// # use stompbox_client::{Connection, TraceContext};
    /// let builder = Connection::builder("broker").trace_source(|| Some(TraceContext::new_root()));
    /// ```
    pub fn trace_source(
        mut self,
        source: impl Fn() -> Option<TraceContext> + Send + Sync + 'static,
    ) -> Self {
        self.options.trace_source = Some(Arc::new(source));
        self
    }

    /// Connects. Must be called within a tokio runtime with I/O and time enabled.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), stompbox_client::ClientError> {
    /// let connection = stompbox_client::Connection::builder("broker").connect().await?;
    /// # connection.close().await }
    /// ```
    ///
    /// # Errors
    ///
    /// The address is none, the broker cannot be reached, does not answer in time, or refuses.
    pub async fn connect(self) -> Result<Connection, ClientError> {
        let Self { url, mut options } = self;
        let target = url::parse(&url, &options.reconnect)?;
        options.addresses = target.addresses;
        options.reconnect = target.reconnect.unwrap_or(options.reconnect);
        let options = Arc::new(options);
        let attempts = Attempts::new(&options, &options.events, options.reconnect.first_attempts);
        let opened = attempts.connect().await?;
        let shared = Arc::new(Shared::new(options.in_flight_max));
        let (commands, taken) = mpsc::channel(COMMANDS_MAX);
        let handle = Handle::new(commands, Arc::clone(&shared));
        let driver = Driver::new(Arc::clone(&options), shared, taken);
        tokio::spawn(driver.run(opened));
        Ok(Connection { handle, options })
    }
}
