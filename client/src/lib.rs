//! A STOMP client for stompbox, and for any broker of STOMP 1.0 to 1.2.
//!
//! [`Connection`] is an async session with one owner: it sends, subscribes, takes messages and settles them. A call
//! that asks the broker for a receipt returns when the receipt is there; what a receipt promises is the broker's word,
//! not this crate's. Failures are [`ClientError`]s, which say whether a [`Retry`] helps.
//!
//! ```no_run
//! use stompbox_client::{Acknowledge, Connection, ConnectOptions, SubscribeOptions};
//!
//! # async fn example() -> Result<(), stompbox_client::ClientError> {
//! let mut connection = Connection::connect("127.0.0.1:61613", ConnectOptions::default()).await?;
//! let prices = SubscribeOptions::to("/topic/prices").acknowledge(Acknowledge::Auto);
//! connection.subscribe(&prices).await?;
//! loop {
//!     let price = connection.next_message().await?;
//!     println!("{}: {} bytes", price.destination(), price.body().len());
//! }
//! # }
//! ```
//!
//! *Invariants.* Every buffer is bounded, by a number of messages or of bytes that the caller chooses. Nothing is sent
//! twice on its own account: there is no hidden reconnect.

mod connection;
mod error;
mod exchange;
mod handshake;
mod inbound;
mod message;
mod option;
mod outbound;
mod subscription;
mod transaction;

pub use connection::Connection;
pub use error::{ClientError, Retry};
pub use message::{Message, OutgoingMessage};
pub use option::{ConnectOptions, HeartBeat, Passcode};
pub use stompbox_protocol::{Limits, Version};
pub use subscription::{Acknowledge, SubscribeOptions, SubscriptionId};
pub use transaction::Transaction;
