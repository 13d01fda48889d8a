//! Request and reply over a temporary queue.
//!
//! One task of a requestor takes the answers and gives each to the request that it belongs to, by its correlation id.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::consumer::Intake;
use crate::session::SessionCore;
use crate::settle::{Settler, Verdict};
use crate::shared::SessionId;
use crate::subscription::Purpose;
use crate::{
    AcknowledgeMode, ClientError, Connection, Destination, Message, OutgoingMessage, Producer,
    Subscription,
};

/// Sends questions to a destination and waits for their answers, any number at once. Made by
/// [`Session::requestor`](crate::Session::requestor).
///
/// Whoever answers sends to the question's [`reply_to`](Message::reply_to) what [`Message::answer`] makes.
///
/// ```
/// # async fn example(session: stompbox_client::Session) -> Result<(), stompbox_client::ClientError> {
/// use std::time::Duration;
///
/// let prices = session.requestor("/queue/prices").await?;
/// let wait = Duration::from_secs(5);
/// let (tea, coffee) = tokio::try_join!(prices.request("tea?", wait), prices.request("coffee?", wait))?;
/// println!("{} and {}", tea.text()?, coffee.text()?);
/// # Ok(()) }
/// # stompbox_examples::run(example);
/// ```
#[derive(Debug)]
pub struct Requestor {
    producer: Producer,
    reply_to: Destination,
    instance: String,
    number: AtomicU64,
    waiting: Arc<Waiting>,
    pump: JoinHandle<()>,
}

/// Requests without an answer yet.
#[derive(Debug, Default)]
struct Waiting {
    requests: Mutex<HashMap<String, Request>>,
}

#[derive(Debug)]
struct Request {
    answer: oneshot::Sender<Result<Message, ClientError>>,
    /// The broker has the question, with the address of this connection's temporary queue.
    is_sent: bool,
}

impl Waiting {
    fn requests(&self) -> MutexGuard<'_, HashMap<String, Request>> {
        // Nothing that is done under the lock can panic half-way.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, message: Message) {
        let id = message.correlation_id().map(|id| id.into_owned());
        let request = id.and_then(|id| self.requests().remove(&id));
        match request {
            // Fails if the request was given up at this moment.
            Some(request) => drop(request.answer.send(Ok(message))),
            None => {
                tracing::debug!(message_id = %message.message_id(), "an answer that nobody waits for");
            }
        }
    }

    /// The temporary queue has gone with its connection: answers to what was sent find none.
    fn lose(&self) {
        let mut requests = self.requests();
        let lost: Vec<String> = requests
            .iter()
            .filter(|(_, request)| request.is_sent)
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            if let Some(request) = requests.remove(&id) {
                request.answer.send(Err(interrupted())).ok();
            }
        }
    }

    fn end(&self, error: &ClientError) {
        for (_, request) in self.requests().drain() {
            request.answer.send(Err(error.clone())).ok();
        }
    }
}

fn interrupted() -> ClientError {
    ClientError::Closed.interrupted()
}

/// Forgets a request when its caller does.
struct Waiter<'a> {
    waiting: &'a Waiting,
    id: &'a str,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.requests().remove(self.id);
    }
}

impl Requestor {
    pub(crate) async fn open(
        connection: &Connection,
        destination: Destination,
    ) -> Result<Self, ClientError> {
        let shared = connection.handle.shared();
        let name = format!("requestor-{}", shared.next_number());
        let reply_to = Destination::temporary_queue(&name);
        let core = Arc::new(SessionCore {
            connection: connection.clone(),
            mode: AcknowledgeMode::Auto,
            id: SessionId(shared.next_number()),
        });
        let purpose = Purpose::Consume(AcknowledgeMode::Auto);
        let intake = Intake::open(&core, Subscription::to(&reply_to), purpose).await?;
        let waiting = Arc::new(Waiting::default());
        let pump = tokio::spawn(pump(intake, Arc::clone(&waiting)));
        Ok(Self {
            producer: Producer::new(core, destination),
            reply_to,
            instance: shared.instance.clone(),
            number: AtomicU64::new(1),
            waiting,
            pump,
        })
    }

    /// Sends a question and waits for its answer.
    ///
    /// ```
    /// # async fn example(requestor: stompbox_client::Requestor) -> Result<(), stompbox_client::ClientError> {
    /// let answer = requestor.request("tea?", std::time::Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// # stompbox_examples::run(example);
    /// ```
    ///
    /// # Errors
    ///
    /// [`NoReply`](ClientError::NoReply): nobody answered in time.
    /// [`Interrupted`](ClientError::Interrupted): the connection was lost, and with it the way back. The broker refuses,
    /// or the connection has ended.
    pub async fn request(
        &self,
        message: impl Into<OutgoingMessage>,
        timeout: Duration,
    ) -> Result<Message, ClientError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        // Other requestors of this connection have other reply queues, so that the numbers need not differ from theirs.
        let id = format!("{}-{number}", self.instance);
        let (answer, answered) = oneshot::channel();
        let request = Request {
            answer,
            is_sent: false,
        };
        self.waiting.requests().insert(id.clone(), request);
        let _waiter = Waiter {
            waiting: &self.waiting,
            id: &id,
        };
        let question = message
            .into()
            .header_first("correlation-id", &id)
            .header_first("reply-to", self.reply_to.as_str());
        let exchange = async {
            let receipt = self.producer.send(question).await?;
            if receipt.is_duplicate() {
                // Its first copy carries the address of a queue that has gone.
                return Err(interrupted());
            }
            if let Some(request) = self.waiting.requests().get_mut(&id) {
                request.is_sent = true;
            }
            answered.await.unwrap_or_else(|_dropped| Err(interrupted()))
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(ClientError::NoReply { timeout }),
        }
    }
}

impl Drop for Requestor {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Takes answers until the connection ends.
async fn pump(mut intake: Intake, waiting: Arc<Waiting>) {
    let settler = Settler {
        shared: Arc::clone(intake.session().connection.handle.shared()),
        mailbox: Arc::clone(intake.mailbox()),
        consumer: intake.id(),
        session: intake.session().id,
        mode: AcknowledgeMode::Auto,
    };
    let mut generation = intake.mailbox().generation.load(Ordering::Acquire);
    loop {
        let next = poll_fn(|context| {
            let next = intake.poll_next(context);
            let current = intake.mailbox().generation.load(Ordering::Acquire);
            // After the poll, so that a loss just now wakes this task once more.
            if next.is_pending() && current != generation {
                generation = current;
                return Poll::Ready(None);
            }
            next.map(Some)
        });
        match next.await {
            None => waiting.lose(),
            Some(Ok(Some(message))) => {
                settler.by_session(&message, Verdict::Ack);
                waiting.answer(message);
            }
            Some(Ok(None)) => return waiting.end(&ClientError::Ended),
            Some(Err(error)) => return waiting.end(&error),
        }
    }
}
