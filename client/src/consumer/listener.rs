//! Listeners: a function is called with each message, and what comes of it decides what becomes of the message.
//!
//! Each of its workers is a task that takes a message, calls the function, and settles the message. A panic is caught
//! there, so that it costs one message one attempt and nobody else anything.

use std::any::Any;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::{Intake, Mailbox};
use crate::command::Command;
use crate::event::ConnectionEvent;
use crate::settle::{Requeue, Settler, Verdict};
use crate::{AcknowledgeMode, ClientError, Message};

/// Workers of one listener: more is a mistake.
const WORKERS_MAX: usize = 10_000;

/// What a listener's function may return: nothing, a [`Result`] whose error is a failure, or a type of one's own for
/// which this is implemented.
///
/// ```
/// use stompbox_client::Outcome;
///
/// assert_eq!(().failure(), None);
/// assert_eq!(Ok::<(), String>(()).failure(), None);
/// assert_eq!(Err::<(), _>("no tea").failure().as_deref(), Some("no tea"));
/// ```
pub trait Outcome {
    /// The reason of the failure, if it is one.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Display> Outcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// How a listener is to work. Made by [`Consumer::listener`](crate::Consumer::listener).
#[derive(Debug)]
#[must_use = "it works when it is started"]
pub struct ListenerBuilder {
    intake: Intake,
    settler: Arc<Settler>,
    concurrency: usize,
    retry_after: Option<Duration>,
}

impl ListenerBuilder {
    pub(super) fn new(intake: Intake, settler: Arc<Settler>) -> Self {
        Self {
            intake,
            settler,
            concurrency: 1,
            retry_after: None,
        }
    }

    /// How many messages are dealt with at once; with more than one their order is lost. A transacted session has one
    /// transaction, and so one at a time whatever is said here. Default: 1.
    ///
    /// ```
    /// # async fn example(consumer: stompbox_client::Consumer) {
    /// let listener = consumer.listener().concurrency(4).start(|message| async move { drop(message) });
    /// # listener.until_end().await }
    /// # stompbox_examples::run_for_a_while(example);
    /// ```
    pub fn concurrency(mut self, messages: usize) -> Self {
        self.concurrency = messages.clamp(1, WORKERS_MAX);
        self
    }

    /// When a message on which the function failed is to be delivered again, where the broker can delay it. Default: as
    /// the broker's policy for redelivery says.
    ///
    /// ```
    /// # async fn example(consumer: stompbox_client::Consumer) {
    /// use std::time::Duration;
    /// let listener = consumer
    ///     .listener()
    ///     .retry_after(Duration::from_secs(10))
    ///     .start(|message| async move { Err::<(), _>("not now") });
    /// # listener.until_end().await }
    /// # stompbox_examples::run_for_a_while(example);
    /// ```
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Begins. Must be called within a tokio runtime.
    ///
    /// When the function returns `()` or `Ok`, the message has been dealt with: in mode
    /// [`Auto`](AcknowledgeMode::Auto) it is acknowledged, in a transacted session that is committed. When it returns an
    /// error or panics, the message is NACKed, unless the function has settled it itself, or the transaction is rolled
    /// back; a [`ListenerFailed`](ConnectionEvent::ListenerFailed) event tells why.
    ///
    /// In a transacted session a COMMIT that is in doubt is resolved, and messages that come again because of it are
    /// acknowledged without calling the function: with a broker that recognises duplicates each message has its effect
    /// once.
    ///
    /// ```
    /// # async fn example(consumer: stompbox_client::Consumer) {
    /// let listener = consumer.listener().start(|message| async move { println!("{}", message.message_id()) });
    /// # listener.until_end().await }
    /// # stompbox_examples::run_for_a_while(example);
    /// ```
    pub fn start<F, R>(mut self, function: F) -> Listener
    where
        F: Fn(Arc<Message>) -> R + Send + Sync + 'static,
        R: Future<Output: Outcome> + Send + 'static,
    {
        self.intake.put_back();
        let mailbox = Arc::clone(self.intake.mailbox());
        let concurrency = match self.settler.mode {
            AcknowledgeMode::Transacted => 1,
            AcknowledgeMode::Auto
            | AcknowledgeMode::Client
            | AcknowledgeMode::Individual
            | AcknowledgeMode::Unacknowledged => self.concurrency,
        };
        let work = Arc::new(Work {
            intake: self.intake,
            settler: self.settler,
            retry_after: self.retry_after,
            function,
        });
        let workers = (0..concurrency)
            .map(|number| tokio::spawn(Arc::clone(&work).run(number)))
            .collect();
        Listener {
            mailbox,
            workers,
            is_detached: false,
        }
    }
}

/// A listener at work. Dropping it stops it: the message in hand is still dealt with, then the subscription ends.
///
/// ```
/// # async fn example(consumer: stompbox_client::Consumer) {
/// let listener = consumer.listen(|message| async move { println!("{}", message.message_id()) });
/// tokio::time::sleep(std::time::Duration::from_secs(60)).await;
/// listener.stop().await;
/// # }
/// # stompbox_examples::run_for_a_while(example);
/// ```
#[derive(Debug)]
#[must_use = "dropping a listener stops it"]
pub struct Listener {
    mailbox: Arc<Mailbox>,
    workers: Vec<JoinHandle<()>>,
    is_detached: bool,
}

impl Listener {
    /// Takes no more messages, and returns when those in hand have been dealt with.
    ///
    /// ```
    /// # async fn example(listener: stompbox_client::Listener) {
    /// listener.stop().await;
    /// # }
    /// # stompbox_examples::run(example);
    /// ```
    pub async fn stop(mut self) {
        self.mailbox.stop();
        self.join().await;
    }

    /// Returns when the listener ends: with its connection, or because the broker does not make its subscription again.
    ///
    /// ```
    /// # async fn example(listener: stompbox_client::Listener) {
    /// listener.until_end().await;
    /// # }
    /// # stompbox_examples::run_for_a_while(example);
    /// ```
    pub async fn until_end(mut self) {
        self.join().await;
    }

    /// Lets it work until its connection ends, without a handle.
    ///
    /// ```
    /// # async fn example(listener: stompbox_client::Listener) {
    /// listener.detach();
    /// # }
    /// # stompbox_examples::run(example);
    /// ```
    pub fn detach(mut self) {
        self.is_detached = true;
    }

    async fn join(&mut self) {
        for worker in &mut self.workers {
            // A worker does not panic; it may be ended with its runtime.
            worker.await.ok();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.is_detached {
            self.mailbox.stop();
        }
    }
}

/// What the workers of a listener share.
struct Work<F> {
    intake: Intake,
    settler: Arc<Settler>,
    retry_after: Option<Duration>,
    function: F,
}

impl<F, R> Work<F>
where
    F: Fn(Arc<Message>) -> R + Send + Sync + 'static,
    R: Future<Output: Outcome> + Send + 'static,
{
    async fn run(self: Arc<Self>, number: usize) {
        loop {
            let mailbox = self.intake.mailbox();
            let next = std::future::poll_fn(|context| mailbox.poll_pop(context, number)).await;
            let Ok(Some(message)) = next else { return };
            self.deal_with(message).await;
            // The function may never have waited for anything.
            tokio::task::coop::consume_budget().await;
        }
    }

    async fn deal_with(&self, mut message: Message) {
        message.attach(&self.settler);
        if self.settler.mode == AcknowledgeMode::Transacted {
            self.settler.by_session(&message, Verdict::Ack);
            if message.is_in_doubt() {
                self.commit(&message).await;
                return;
            }
        }
        let message = Arc::new(message);
        match self.call(&message).await {
            None => self.succeeded(&message).await,
            Some(reason) => self.failed(&message, reason).await,
        }
    }

    /// Calls the function; the reason of its failure, if it fails.
    async fn call(&self, message: &Arc<Message>) -> Option<String> {
        let trace = message.trace();
        let span = tracing::debug_span!(
            "process",
            destination = %self.intake.destination(),
            message_id = %message.message_id(),
            is_redelivered = message.is_redelivered(),
            trace_id = trace.as_ref().map(|trace| trace.trace_id()),
        );
        // In the future, so that a panic before the first await is caught too.
        let call = async { (self.function)(Arc::clone(message)).await.failure() };
        let call = AssertUnwindSafe(call).catch_unwind().instrument(span);
        let outcome = match trace {
            Some(trace) => trace.child().scope(call).await,
            None => call.await,
        };
        outcome.unwrap_or_else(|panic| Some(format!("panicked: {}", said(&*panic))))
    }

    async fn succeeded(&self, message: &Message) {
        match self.settler.mode {
            AcknowledgeMode::Auto => self.settler.by_session(message, Verdict::Ack),
            AcknowledgeMode::Transacted => self.commit(message).await,
            AcknowledgeMode::Client
            | AcknowledgeMode::Individual
            | AcknowledgeMode::Unacknowledged => {}
        }
    }

    async fn failed(&self, message: &Message, reason: String) {
        self.report(message, reason);
        let verdict = Verdict::Nack {
            delay: self.retry_after,
            requeue: Requeue::Yes,
        };
        match self.settler.mode {
            AcknowledgeMode::Auto | AcknowledgeMode::Client | AcknowledgeMode::Individual => {
                self.settler.by_session(message, verdict);
            }
            AcknowledgeMode::Transacted => {
                let session = self.settler.session;
                let command = |reply| Command::Rollback { session, reply };
                let handle = &self.intake.session().connection.handle;
                if let Err(error) = handle.call(command).await {
                    self.report(message, format!("rollback: {error}"));
                }
            }
            AcknowledgeMode::Unacknowledged => {}
        }
    }

    async fn commit(&self, message: &Message) {
        let handle = &self.intake.session().connection.handle;
        let session = self.settler.session;
        let committed = handle.call(|reply| Command::Commit { session, reply });
        let mut outcome = committed.await;
        while let Err(ClientError::CommitInDoubt { .. }) = outcome {
            let resolved = handle.call(|reply| Command::Resolve { session, reply });
            outcome = resolved.await.map(|_resolution| ());
        }
        if let Err(error) = outcome {
            self.report(message, format!("commit: {error}"));
        }
    }

    fn report(&self, message: &Message, reason: String) {
        let destination = self.intake.destination().to_string();
        let message_id = message.message_id().into_owned();
        tracing::warn!(%destination, %message_id, %reason, "a listener failed");
        let events = &self.intake.session().connection.options.events;
        events.emit(&ConnectionEvent::ListenerFailed {
            destination,
            message_id,
            reason,
        });
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    literal.or_else(formatted).unwrap_or("for no reason given")
}
