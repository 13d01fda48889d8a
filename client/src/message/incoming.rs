//! A message that came.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use stompbox_protocol::{Frame, FrameRef, Version, unescape};

use crate::settle::{Requeue, Settler, Verdict};
use crate::trace::TraceContext;
use crate::{ClientError, Destination};

/// A message that came.
///
/// In a session of mode [`Client`](crate::AcknowledgeMode::Client) or
/// [`Individual`](crate::AcknowledgeMode::Individual) it is for the program to settle: [`ack`](Self::ack) when it has
/// been dealt with, [`nack`](Self::nack) when it could not be. Neither waits, so that both faces share them. A message
/// that is dropped without either stays unacknowledged; it returns to its queue when its consumer ends.
///
/// ```no_run
/// use stompbox_client::{AcknowledgeMode, Connection};
///
/// # async fn example() -> Result<(), stompbox_client::ClientError> {
/// # let connection = Connection::connect("127.0.0.1:61613").await?;
/// let session = connection.session(AcknowledgeMode::Individual);
/// let mut orders = session.consumer("/queue/orders").await?;
/// let order = orders.receive().await?;
/// match order.text() {
///     Ok(text) => {
///         println!("{} says {text}", order.header("region").as_deref().unwrap_or("nobody"));
///         order.ack()?;
///     }
///     Err(_not_utf8) => order.reject()?,
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Message {
    /// Boxed: on its way a message is moved a dozen times.
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    frame: Frame,
    /// Of its consumer when it came.
    generation: u32,
    /// Whether the broker delivers it again if the connection is lost.
    returns: bool,
    in_doubt: bool,
    settled: AtomicBool,
    settler: Option<Arc<Settler>>,
}

impl Message {
    /// Keeps a copy of the frame.
    pub(crate) fn new(frame: &FrameRef<'_>, generation: u32) -> Self {
        Self {
            inner: Box::new(Inner {
                frame: frame.to_frame(),
                generation,
                returns: true,
                in_doubt: false,
                settled: AtomicBool::new(false),
                settler: None,
            }),
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        self.inner.generation
    }

    /// Whether the broker delivers it again if the connection is lost.
    pub(crate) fn returns(&self) -> bool {
        self.inner.returns
    }

    pub(crate) fn set_returns(&mut self, returns: bool) {
        self.inner.returns = returns;
    }

    pub(crate) fn set_in_doubt(&mut self) {
        self.inner.in_doubt = true;
    }

    /// Puts it in the hands of the program.
    pub(crate) fn attach(&mut self, settler: &Arc<Settler>) {
        self.inner.settler = Some(Arc::clone(settler));
    }

    /// Marks it as settled; whether it was not before.
    pub(crate) fn mark_settled(&self) -> bool {
        !self.inner.settled.swap(true, Ordering::Relaxed)
    }

    /// Where it was sent.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// println!("a message from {}", message.destination());
    /// # }
    /// ```
    #[must_use]
    pub fn destination(&self) -> Destination {
        self.inner
            .frame
            .text("destination")
            .unwrap_or_default()
            .into()
    }

    /// Its id, the same for every receiver and every delivery.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// println!("got {}", message.message_id());
    /// # }
    /// ```
    #[must_use]
    pub fn message_id(&self) -> Cow<'_, str> {
        self.inner.frame.text("message-id").unwrap_or_default()
    }

    /// Whether it may have been delivered before.
    ///
    /// ```
    /// # fn is_done_already(id: &str) -> bool { false }
    /// # fn example(message: &stompbox_client::Message) {
    /// if message.is_redelivered() && is_done_already(&message.message_id()) {
    ///     return;
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_redelivered(&self) -> bool {
        self.inner.frame.header("redelivered").as_deref() == Some(b"true")
    }

    /// Whether its acknowledgement was part of a COMMIT that was in doubt: that has not happened. If
    /// [`Session::resolve`](crate::Session::resolve) has succeeded since, what was sent in that transaction has been
    /// sent; only acknowledge this one.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// if message.is_in_doubt() {
    ///     println!("{} was dealt with in a transaction that has been resolved", message.message_id());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.inner.in_doubt
    }

    /// Which delivery of it this is, from 1, if the broker counts.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) -> Result<(), stompbox_client::ClientError> {
    /// if message.delivery_count().is_some_and(|count| count > 3) {
    ///     message.reject()?;
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn delivery_count(&self) -> Option<u32> {
        self.header("JMSXDeliveryCount")?.parse().ok()
    }

    /// Where an answer is wanted. Send it to there with [`correlation_id`](Self::correlation_id).
    ///
    /// ```
    /// # async fn example(message: &stompbox_client::Message, producer: stompbox_client::Producer)
    /// # -> Result<(), stompbox_client::ClientError> {
    /// if let Some(reply_to) = message.reply_to() {
    ///     producer.send_to(reply_to, message.answer("yes")).await?;
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn reply_to(&self) -> Option<Destination> {
        self.header("reply-to").map(Destination::from)
    }

    /// A message that answers this one: it has its correlation id, or, where it has none, its message id as that.
    ///
    /// ```
    /// # fn example(question: &stompbox_client::Message) {
    /// let answer = question.answer("yes");
    /// # }
    /// ```
    #[must_use]
    pub fn answer(&self, message: impl Into<crate::OutgoingMessage>) -> crate::OutgoingMessage {
        let id = self.correlation_id().unwrap_or_else(|| self.message_id());
        message.into().correlation_id(id)
    }

    /// What relates it to another message.
    ///
    /// ```
    /// # fn example(answer: &stompbox_client::Message) {
    /// let question = answer.correlation_id();
    /// # }
    /// ```
    #[must_use]
    pub fn correlation_id(&self) -> Option<Cow<'_, str>> {
        self.header("correlation-id")
    }

    /// What kind of message it is: the `JMSType`.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// let is_order = message.kind().as_deref() == Some("order");
    /// # }
    /// ```
    #[must_use]
    pub fn kind(&self) -> Option<Cow<'_, str>> {
        self.header("type")
    }

    /// Its priority, from 0 to 9.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// let is_urgent = message.priority() > 4;
    /// # }
    /// ```
    #[must_use]
    pub fn priority(&self) -> u8 {
        let priority = self.header("priority");
        priority.and_then(|text| text.parse().ok()).unwrap_or(4)
    }

    /// When it was sent, by the clock of its sender or of the broker.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// let age = message.timestamp().and_then(|sent| sent.elapsed().ok());
    /// # }
    /// ```
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.time("timestamp")
    }

    /// When it is no longer of use; [`None`] is never.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// let is_late = message.expires().is_some_and(|end| end < std::time::SystemTime::now());
    /// # }
    /// ```
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.time("expires")
    }

    fn time(&self, header: &str) -> Option<SystemTime> {
        let milliseconds: u64 = self.header(header)?.parse().ok()?;
        let since = Duration::from_millis((milliseconds > 0).then_some(milliseconds)?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    }

    /// The trace that it belongs to.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// if let Some(trace) = message.trace() {
    ///     println!("part of trace {}", trace.trace_id());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        let parent = self.header("traceparent")?;
        TraceContext::parse(&parent, self.header("tracestate").as_deref())
    }

    /// The first header of a name, with U+FFFD for what is not UTF-8.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// let region = message.header("region");
    /// # }
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.inner.frame.text(name)
    }

    /// Every header in its original order, escapes undone.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// for (name, value) in message.headers() {
    ///     println!("{}: {}", name.escape_ascii(), value.escape_ascii());
    /// }
    /// # }
    /// ```
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
        let version = self.inner.frame.version();
        // The decoder refuses frames with undefined escapes, so that the raw text is never shown.
        let text = move |raw| match version {
            Version::V1_0 => Cow::Borrowed(raw),
            Version::V1_1 | Version::V1_2 => unescape(version, raw).unwrap_or(Cow::Borrowed(raw)),
        };
        self.inner
            .frame
            .headers()
            .map(move |header| (text(header.name), text(header.value)))
    }

    /// The body.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// println!("{} bytes", message.body().len());
    /// # }
    /// ```
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.inner.frame.body()
    }

    /// The body, to be kept beside the message: shared with it, not copied.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) {
    /// let kept = message.body_bytes();
    /// # }
    /// ```
    #[must_use]
    pub fn body_bytes(&self) -> Bytes {
        self.inner.frame.clone().into_body()
    }

    /// The body, without the rest.
    ///
    /// ```
    /// # fn example(message: stompbox_client::Message) {
    /// let body = message.into_body();
    /// # }
    /// ```
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.inner.frame.into_body()
    }

    /// The body as text.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) -> Result<(), stompbox_client::ClientError> {
    /// println!("{}", message.text()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, ClientError> {
        std::str::from_utf8(self.body()).map_err(|error| ClientError::invalid("text body", error))
    }

    /// The body as a value written in JSON.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) -> Result<(), stompbox_client::ClientError> {
    /// let (item, count): (String, u32) = message.json()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// It is not JSON, or not of that type.
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, ClientError> {
        serde_json::from_slice(self.body())
            .map_err(|error| ClientError::invalid("JSON body", error))
    }

    /// Tells the broker that it has been dealt with. In a session of mode [`Client`](crate::AcknowledgeMode::Client) so
    /// have those that its consumer received before. Does not wait: a confirmed acknowledgement is
    /// [`Consumer::ack_confirmed`](crate::Consumer::ack_confirmed).
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) -> Result<(), stompbox_client::ClientError> {
    /// message.ack()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// It needs no acknowledgement, has been settled, or is [`Stale`](ClientError::Stale).
    pub fn ack(&self) -> Result<(), ClientError> {
        self.settle(Verdict::Ack)
    }

    /// Tells the broker that it could not be dealt with: it delivers it again, by its policy for redelivery, and puts it
    /// aside when that has failed too often. (ActiveMQ puts it aside at once.)
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) -> Result<(), stompbox_client::ClientError> {
    /// message.nack()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ack`](Self::ack); STOMP 1.0 has no NACK.
    pub fn nack(&self) -> Result<(), ClientError> {
        self.settle(Verdict::Nack {
            delay: None,
            requeue: Requeue::Yes,
        })
    }

    /// As [`nack`](Self::nack), to be delivered again after this time.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) -> Result<(), stompbox_client::ClientError> {
    /// message.nack_after(std::time::Duration::from_secs(30))?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`nack`](Self::nack).
    pub fn nack_after(&self, delay: Duration) -> Result<(), ClientError> {
        self.settle(Verdict::Nack {
            delay: Some(delay),
            requeue: Requeue::Yes,
        })
    }

    /// Tells the broker that it can never be dealt with: it puts it aside at once.
    ///
    /// ```
    /// # fn example(message: &stompbox_client::Message) -> Result<(), stompbox_client::ClientError> {
    /// message.reject()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`nack`](Self::nack).
    pub fn reject(&self) -> Result<(), ClientError> {
        self.settle(Verdict::Nack {
            delay: None,
            requeue: Requeue::No,
        })
    }

    fn settle(&self, verdict: Verdict) -> Result<(), ClientError> {
        let settler = self.inner.settler.as_ref();
        let settler = settler.ok_or(ClientError::NothingToAcknowledge)?;
        settler.settle(self, verdict)
    }

    pub(crate) fn frame(&self) -> &Frame {
        &self.inner.frame
    }

    /// What it took on the wire.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.inner.frame.wire_bytes()
    }
}
