//! Messages: those to be sent, and those that came.

mod incoming;
mod outgoing;

pub use self::incoming::Message;
pub use self::outgoing::{DeliveryMode, OutgoingMessage};
