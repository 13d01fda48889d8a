//! Carries out what the core decides: sockets, clocks, tasks, signals.
//!
//! *The one rule against deadlock*: awaiting goes downstream only, connection to dispatcher to store. What comes
//! back never awaits and is bounded: deliveries by credit, receipts by a cap on unanswered ones, store events
//! by what is outstanding.

mod admin;
mod clock;
mod connection;
mod dispatcher;
mod listener;
mod place;
mod server;
mod signal;
mod visit;

pub use server::OpenStore;
pub(crate) use server::run;
