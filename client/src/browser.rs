//! Browsers: they look at a queue and take nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use crate::consumer::Intake;
use crate::session::SessionCore;
use crate::subscription::Purpose;
use crate::{ClientError, Message, Subscription};

/// Walks over the messages of a queue, front to back, and leaves them there. Made by
/// [`Session::browser`](crate::Session::browser).
///
/// It also is a [`Stream`]. It cannot go on on another connection: if its own is lost, it fails.
///
/// ```
/// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
/// use stompbox_client::Subscription;
///
/// let urgent = Subscription::to("/queue/orders").selector("urgent = TRUE");
/// let mut browser = session.browser(urgent).await?;
/// let mut count = 0;
/// while let Some(order) = browser.next().await? {
///     println!("{}", order.text()?);
///     count += 1;
/// }
/// println!("{count} urgent orders");
/// # Ok(()) }
/// # stompbox_examples::run(example);
/// ```
#[derive(Debug)]
pub struct Browser {
    intake: Intake,
    is_over: bool,
}

impl Browser {
    pub(crate) async fn open(
        session: &Arc<SessionCore>,
        subscription: Subscription,
    ) -> Result<Self, ClientError> {
        let intake = Intake::open(session, subscription, Purpose::Browse).await?;
        Ok(Self {
            intake,
            is_over: false,
        })
    }

    /// The next message; [`None`] at the end of the queue.
    ///
    /// ```
    /// # async fn example(mut browser: stompbox_client::Browser) -> Result<(), stompbox_client::ClientError> {
    /// let first = browser.next().await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// The connection was lost, or has ended.
    pub async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        std::future::poll_fn(|context| self.intake.poll_next(context)).await
    }
}

/// Ends with the last message, or the error that ended it.
impl Stream for Browser {
    type Item = Result<Message, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let item = ready!(self.intake.poll_next(context)).transpose();
        self.is_over = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}
