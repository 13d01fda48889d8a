//! The same without async: calls that block their thread, usable from any thread, with no runtime to set up.
//!
//! Everything that takes part in no waiting is the same here and there: [`Message`](crate::Message) with its `ack` and
//! `nack`, [`OutgoingMessage`](crate::OutgoingMessage), [`Subscription`](crate::Subscription),
//! [`ConnectionBuilder`](crate::ConnectionBuilder), errors and events. All connections of a program are served by one
//! thread in the background, which is started when it is first needed.
//!
//! ```no_run
//! use std::time::Duration;
//! use stompbox_client::blocking::Connection;
//! use stompbox_client::AcknowledgeMode;
//!
//! # fn main() -> Result<(), stompbox_client::ClientError> {
//! let connection = Connection::connect("127.0.0.1:61613")?;
//! let session = connection.session(AcknowledgeMode::Individual);
//! session.producer("/queue/orders").send("one tea")?;
//!
//! let mut orders = session.consumer("/queue/orders")?;
//! while let Some(order) = orders.receive_timeout(Duration::from_secs(1))? {
//!     println!("{}", order.text()?);
//!     order.ack()?;
//! }
//! connection.close()
//! # }
//! ```
//!
//! # Panics
//!
//! A call that waits panics on a thread that runs async code: there the async face is right, or
//! `tokio::task::spawn_blocking`.

mod connection;
mod consumer;
mod producer;
mod runtime;
mod session;

pub use self::connection::Connection;
pub use self::consumer::{Browser, Consumer};
pub use self::producer::{Completion, Producer};
pub use self::session::{Requestor, Session};
