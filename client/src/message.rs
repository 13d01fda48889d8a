//! Messages: those to be sent, and those that came.

use std::borrow::Cow;

use bytes::Bytes;
use stompbox_protocol::{Command, Frame, Version, unescape};

use crate::ClientError;
use crate::outbound::Headers;
use crate::transaction::Transaction;

/// Headers of a SEND that a caller does not write as headers; the encoder sees to `content-length`.
const RESERVED: [&str; 3] = ["destination", "transaction", "receipt"];

/// A message to be sent.
///
/// ```
/// use stompbox_client::OutgoingMessage;
///
/// let message = OutgoingMessage::to("/queue/orders")
///     .header("type", "order")
///     .header("priority", "7")
///     .body("{\"id\": 1}");
/// ```
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    pub(crate) destination: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) transaction: Option<String>,
    pub(crate) body: Bytes,
}

impl OutgoingMessage {
    /// An empty message to a destination.
    pub fn to(destination: impl Into<String>) -> Self {
        Self {
            destination: destination.into(),
            headers: Vec::new(),
            transaction: None,
            body: Bytes::new(),
        }
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header. Of several with one name the first counts. `destination`, `transaction`, `receipt` and
    /// `content-length` are left out: they have their own places in this interface.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Makes it part of a transaction: it is sent when that commits.
    #[must_use]
    pub fn in_transaction(mut self, transaction: &Transaction) -> Self {
        self.transaction = Some(transaction.id().to_owned());
        self
    }

    pub(crate) fn headers(&self) -> Headers<'_> {
        let mut headers: Headers<'_> = vec![("destination", &self.destination)];
        headers.extend(
            self.transaction
                .iter()
                .map(|id| ("transaction", id.as_str())),
        );
        let own = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        headers.extend(own.filter(|(name, _)| !RESERVED.contains(name)));
        headers
    }
}

/// A message that came.
#[derive(Debug, Clone)]
pub struct Message {
    frame: Frame,
}

impl Message {
    pub(crate) fn new(frame: Frame) -> Self {
        Self { frame }
    }

    /// Where it was sent.
    #[must_use]
    pub fn destination(&self) -> Cow<'_, str> {
        self.frame.text("destination").unwrap_or_default()
    }

    /// Its id.
    #[must_use]
    pub fn message_id(&self) -> Cow<'_, str> {
        self.frame.text("message-id").unwrap_or_default()
    }

    /// The id of the subscription that it came for; [`None`] from a broker of STOMP 1.0 that names none.
    #[must_use]
    pub fn subscription(&self) -> Option<Cow<'_, str>> {
        self.frame.text("subscription")
    }

    /// Whether it may have been delivered before.
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.frame.header("redelivered").as_deref() == Some(b"true")
    }

    /// Which delivery of it this is, from 1, if the broker counts.
    #[must_use]
    pub fn delivery_count(&self) -> Option<u32> {
        self.header("JMSXDeliveryCount")?.parse().ok()
    }

    /// The first header of a name, with U+FFFD for what is not UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.frame.text(name)
    }

    /// Every header in its original order, escapes undone.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
        let version = self.frame.version();
        // The decoder refuses frames with undefined escapes, so that the raw text is never shown.
        let text = move |raw| unescape(version, raw).unwrap_or(Cow::Borrowed(raw));
        self.frame
            .headers()
            .map(move |header| (text(header.name), text(header.value)))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.frame.body()
    }

    /// The body, to be kept.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.frame.into_body()
    }

    /// What it took on the wire.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.frame.wire_bytes()
    }

    /// The headers that name it in an ACK or NACK.
    pub(crate) fn acknowledgement(
        &self,
        command: Command,
    ) -> Result<Vec<(&'static str, String)>, ClientError> {
        let version = self.frame.version();
        let take = |header: &str, name: &'static str| {
            let value = self
                .header(header)
                .ok_or(ClientError::NothingToAcknowledge)?;
            Ok((name, value.into_owned()))
        };
        match version {
            Version::V1_0 if command == Command::Nack => {
                Err(ClientError::Unsupported { command, version })
            }
            Version::V1_0 => Ok(vec![take("message-id", "message-id")?]),
            Version::V1_1 => Ok(vec![
                take("message-id", "message-id")?,
                take("subscription", "subscription")?,
            ]),
            Version::V1_2 => Ok(vec![take("ack", "id")?]),
        }
    }
}
