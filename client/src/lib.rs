//! A client for stompbox, and for any broker that speaks STOMP 1.0 to 1.2, in the vocabulary of JMS.
//!
//! It comes with two faces over one core: the async one here, with [listeners](Consumer::listen) and
//! [streams](Consumer), and [`blocking`], which needs no runtime. It survives restarts of the broker and fail-over
//! without its user's help.
//!
//! # A first message
//!
//! ```no_run
//! use stompbox_client::{AcknowledgeMode, ClientError, Connection};
//!
//! # async fn example() -> Result<(), ClientError> {
//! let connection = Connection::connect("127.0.0.1:61613").await?;
//! let session = connection.session(AcknowledgeMode::Auto);
//!
//! session.producer("/queue/greetings").send("Hello").await?;
//! let message = session.consumer("/queue/greetings").await?.receive().await?;
//! println!("{}", message.text()?);
//! connection.close().await
//! # }
//! ```
//!
//! # What there is
//!
//! - A [`Connection`] is one TCP, TLS or WebSocket connection, served by one task. [`Connection::builder`] says how it is
//!   made; its address may be a [list of brokers](Connection::builder).
//! - A [`Session`] is a context of work with a mode of [acknowledgement](AcknowledgeMode): by itself, by the program, or
//!   in transactions. Any number of sessions share a connection.
//! - A [`Producer`] sends [`OutgoingMessage`]s: confirmed, with a [`Completion`], or without looking back.
//! - A [`Consumer`] receives [`Message`]s: one by one, as a stream, or with a [`Listener`]. A [`Subscription`] says which:
//!   selectors, durable and shared subscriptions, prefetch.
//! - A [`Browser`] looks without taking; a [`Requestor`] asks and waits for the answer.
//!
//! # Work that must not be lost
//!
//! ```no_run
//! use stompbox_client::{AcknowledgeMode, ClientError, Connection};
//!
//! # async fn pack(order: &str) -> Result<(), ClientError> { Ok(()) }
//! # async fn example() -> Result<(), ClientError> {
//! let connection = Connection::connect("failover:(stomp://a:61613,stomp://b:61613)").await?;
//! let session = connection.session(AcknowledgeMode::Auto);
//! let listener = session
//!     .consumer("/queue/orders")
//!     .await?
//!     .listener()
//!     .concurrency(4)
//!     .start(|order| async move { pack(order.text()?).await });
//! listener.until_end().await;
//! # Ok(()) }
//! ```
//!
//! An order is acknowledged when `pack` has returned `Ok`. If it returns an error or panics, the broker delivers the order
//! again. If the broker restarts, or another one takes over, the listener goes on there; an order that had not been
//! acknowledged by then comes again, and says so with [`Message::is_redelivered`].
//!
//! # What a loss of the connection means
//!
//! | what was under way | becomes |
//! |---|---|
//! | a subscription | is made again |
//! | [`Producer::send`], [`Producer::send_async`] | is sent again, under the same duplicate-detection id: its effect is once, where the broker knows of these |
//! | [`Producer::send_and_forget`] | lost, if it had been written |
//! | an acknowledgement | if it was lost too, the message comes again, marked |
//! | a transaction | rolled back: [`Session::commit`] says [`RolledBack`](ClientError::RolledBack) |
//! | a COMMIT | in doubt: [`CommitInDoubt`](ClientError::CommitInDoubt), and [`Session::resolve`] |
//! | a [`Requestor::request`] | [`Interrupted`](ClientError::Interrupted), if the question had arrived |
//! | a [`Browser`] | [`Interrupted`](ClientError::Interrupted) |
//!
//! Errors say what to do: [`ClientError::retry`].
//!
//! # Other brokers
//!
//! ActiveMQ, Artemis and RabbitMQ are recognised by their names and spoken to in their own words. What one of them lacks
//! is refused with [`ClientError::Unsupported`], where it would be ignored silently. The
//! [guide](https://github.com/stompbox/stompbox/blob/main/docs/client.md) has a table.
//!
//! # Features
//!
//! | feature | | default |
//! |---|---|---|
//! | `blocking` | [`blocking`] | yes |
//! | `tls` | `stomps://`, with rustls and *ring*, which need a C compiler | yes |
//! | `websocket` | `ws://`, and with `tls` `wss://` | no |
//! | `json` | bodies through serde: [`OutgoingMessage::json`], [`Message::json`] | no |
//!
//! *Invariants.* Every buffer is bounded, by a number that has a name or that the caller chooses. No lock is held across
//! an await. Dropping anything, at any time, leaves neither a subscription behind nor loses a message.

mod acknowledge;
#[cfg(feature = "blocking")]
pub mod blocking;
mod browser;
mod command;
mod connection;
mod consumer;
mod destination;
mod dialect;
mod driver;
mod error;
mod event;
mod events;
mod exchange;
mod handshake;
mod message;
mod option;
mod producer;
mod random;
mod requestor;
mod session;
mod settle;
mod shared;
mod subscription;
mod trace;
mod transport;
mod url;

pub use acknowledge::AcknowledgeMode;
pub use browser::Browser;
pub use connection::{Connection, ConnectionBuilder};
pub use consumer::{Consumer, Listener, ListenerBuilder, Outcome};
pub use destination::Destination;
pub use dialect::Feature;
pub use error::{ClientError, Retry};
pub use event::ConnectionEvent;
pub use message::{DeliveryMode, Message, OutgoingMessage};
pub use option::{HeartBeat, Reconnect};
pub use producer::{Completion, Producer, SendReceipt};
pub use requestor::Requestor;
pub use session::{Resolution, Session};
pub use stompbox_protocol::Limits;
pub use subscription::Subscription;
pub use trace::TraceContext;
#[cfg(feature = "tls")]
pub use transport::Tls;
