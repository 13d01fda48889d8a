//! How a session acknowledges.

/// Who tells the broker that a message has been dealt with, and when: chosen for each
/// [`Session`](crate::Session).
///
/// ```
/// use stompbox_client::AcknowledgeMode;
///
/// assert_eq!(AcknowledgeMode::default(), AcknowledgeMode::Auto);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AcknowledgeMode {
    /// The session: when `receive` returns the message, or when the listener has dealt with it. A listener that fails
    /// has its message delivered again.
    #[default]
    Auto,
    /// The program: [`Message::ack`](crate::Message::ack) covers all that its consumer received before, too.
    Client,
    /// The program, message by message.
    Individual,
    /// What is received and sent takes effect together, at [`Session::commit`](crate::Session::commit).
    Transacted,
    /// Nobody (`ack:auto` in STOMP): the broker forgets a message when it has sent it. The fastest, and the only one
    /// that can lose messages.
    Unacknowledged,
}
