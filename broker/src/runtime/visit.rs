//! A visit: what the console sees of messages and does to them, as a connection of the dispatcher without a socket.
//!
//! It subscribes, acknowledges and commits as clients do, so that who holds what, transactions and receipts are the
//! core's own affair. *Invariants*: a visit ends within [`VISIT_TIME_MAX`], whatever becomes of who asked, and the dispatcher
//! is told of its end; what it has taken and not acknowledged goes back as if it had never been delivered.

mod browse;
mod lasting;
mod purge;
mod take;
mod view;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smallvec::{SmallVec, smallvec};
use stompbox_console::AdminError;
use stompbox_protocol::Version;
use stompbox_store::Store;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::dispatcher::{Inbox, Message, ToConnection, look};
use crate::core::destination::{DestinationKind, DestinationName};
use crate::core::dispatcher::{ConsumerPriority, Dispatcher, Exclusivity};
use crate::core::port::{
    AckMode, ConnectionId, DeliveryCounter, Ending, Intent, Locality, Memory, Opening, Prefetch,
    ReceiptId, Refusal, Reply, Request, Source, Subscribing, SubscriptionHandle,
};
use crate::core::selector::Selector;

pub(super) use browse::{one, page};
pub(super) use lasting::{Named, forget};
pub(super) use purge::purge;
pub(super) use take::carry_out;

/// Visits at one time; others wait for their turn.
const VISITS_MAX: usize = 4;

/// How long a visit may take: less than the console waits for its answer.
const VISIT_TIME_MAX: Duration = Duration::from_secs(4);

/// Visits are numbered apart from connections, which count from 1.
const FIRST_ID: u64 = 1 << 63;

/// What is done on a visit.
pub(super) type Errand<T> = Box<dyn for<'v> FnOnce(&'v mut Visit) -> Doing<'v, T> + Send + 'static>;

/// It is under way.
pub(super) type Doing<'v, T> = Pin<Box<dyn Future<Output = Result<T, AdminError>> + Send + 'v>>;

/// Lets visits in.
pub(super) struct Door {
    dispatcher: Inbox,
    tasks: TaskTracker,
    permits: Arc<Semaphore>,
    next: AtomicU64,
    instance: Arc<str>,
}

/// One visit.
pub(super) struct Visit {
    connection: ConnectionId,
    dispatcher: Inbox,
    replies: mpsc::UnboundedReceiver<ToConnection>,
    arrived: VecDeque<Reply>,
    /// The database's random name, part of every `message-id`.
    instance: Arc<str>,
}

impl Door {
    /// `tasks` are waited for when the broker stops.
    pub(super) fn new(dispatcher: Inbox, tasks: TaskTracker, instance: &str) -> Self {
        Self {
            dispatcher,
            tasks,
            permits: Arc::new(Semaphore::new(VISITS_MAX)),
            next: AtomicU64::new(0),
            instance: instance.into(),
        }
    }

    /// Does an errand. It goes on when the asker has gone, since it is to leave nothing open.
    pub(super) async fn visit<T: Send + 'static>(
        &self,
        errand: Errand<T>,
    ) -> Result<T, AdminError> {
        self.visit_as(None, errand).await
    }

    /// The same with this `client-id`.
    pub(super) async fn visit_as<T: Send + 'static>(
        &self,
        client_id: Option<Box<str>>,
        errand: Errand<T>,
    ) -> Result<T, AdminError> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| stopping())?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let dispatcher = self.dispatcher.clone();
        let instance = Arc::clone(&self.instance);
        let doing = self.tasks.spawn(async move {
            let _permit = permit;
            let mut visit = Visit::begin(number, dispatcher, instance).await?;
            let doing = tokio::time::timeout(VISIT_TIME_MAX, async {
                visit.open(number, client_id).await?;
                errand(&mut visit).await
            });
            let outcome = doing.await.unwrap_or_else(|_elapsed| Err(too_slow()));
            visit.end().await;
            outcome
        });
        doing.await.unwrap_or_else(|_panic| Err(stopping()))
    }
}

impl Visit {
    async fn begin(number: u64, dispatcher: Inbox, instance: Arc<str>) -> Result<Self, AdminError> {
        let (outbox, replies) = mpsc::unbounded_channel();
        let connection = ConnectionId(FIRST_ID + number);
        let attach = Message::Attach(connection, outbox);
        dispatcher.send(attach).await.map_err(|_| stopping())?;
        Ok(Self {
            connection,
            dispatcher,
            replies,
            arrived: VecDeque::new(),
            instance,
        })
    }

    async fn open(&mut self, number: u64, client_id: Option<Box<str>>) -> Result<(), AdminError> {
        let opening = Opening {
            session: format!("console-{number}").into(),
            client_id,
            login: None,
            version: Version::V1_2,
            peer: "console".to_owned(),
        };
        self.request(Request::Open(Box::new(opening))).await?;
        loop {
            if let Reply::Opened = self.reply().await? {
                return Ok(());
            }
        }
    }

    async fn request(&self, request: Request) -> Result<(), AdminError> {
        let requests = Message::Requests(self.connection, vec![request], None);
        let sent = self.dispatcher.send(requests).await;
        sent.map_err(|_| stopping())
    }

    /// What the dispatcher says between two turns.
    async fn look<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Dispatcher, &dyn Store) -> T + Send + 'static,
    ) -> Result<T, AdminError> {
        look(&self.dispatcher, ask).await
    }

    /// The next reply; one that ends the visit is an error.
    async fn reply(&mut self) -> Result<Reply, AdminError> {
        loop {
            match self.arrived.pop_front() {
                Some(Reply::Refused(refusal)) => return Err(refused(&refusal)),
                Some(Reply::Close) => return Err(stopping()),
                Some(reply) => return Ok(reply),
                None => match self.replies.recv().await {
                    Some(ToConnection::Replies(replies)) => self.arrived.extend(replies),
                    Some(ToConnection::Stop) | None => return Err(stopping()),
                },
            }
        }
    }

    /// Waits for this receipt; what else comes meanwhile is kept.
    async fn receipt(&mut self, receipt: &ReceiptId) -> Result<(), AdminError> {
        let mut others = VecDeque::new();
        loop {
            match self.reply().await? {
                Reply::Receipt(came) if came == *receipt => break,
                other => others.push_back(other),
            }
        }
        others.append(&mut self.arrived);
        self.arrived = others;
        Ok(())
    }

    /// What it holds goes back uncounted: nobody has seen it.
    async fn end(self) {
        let closed = Request::Closed {
            ending: Ending::Disconnect,
            written: DeliveryCounter(0),
        };
        // A dispatcher that is gone holds nothing any more.
        let _ = self.request(closed).await;
        let _ = self.dispatcher.send(Message::Detach(self.connection)).await;
    }
}

/// A SUBSCRIBE to one queue.
fn subscribing(
    subscription: SubscriptionHandle,
    queue: &str,
    intent: Intent,
    prefetch: usize,
    selector: Option<Arc<Selector>>,
) -> Subscribing {
    let name = DestinationName::new(DestinationKind::Queue, queue);
    let mode = match intent {
        Intent::Browse => AckMode::Auto,
        Intent::Consume => AckMode::ClientIndividual,
    };
    Subscribing {
        subscription,
        sources: smallvec![Source::One(Arc::new(name))],
        mode,
        prefetch: Prefetch {
            messages: u32::try_from(prefetch).ok(),
            bytes: None,
        },
        selector,
        selector_text: None,
        lasting: None,
        priority: ConsumerPriority::default(),
        exclusivity: Exclusivity::default(),
        locality: Locality::default(),
        pending_max: None,
        memory: Memory::default(),
        intent,
        receipt: None,
    }
}

/// The selector that matches the messages with these ids.
fn selector_of(ids: &[String]) -> Result<Arc<Selector>, AdminError> {
    let quoted: Vec<String> = ids
        .iter()
        .map(|id| format!("'{}'", id.replace('\'', "''")))
        .collect();
    let text = format!("JMSMessageID IN ({})", quoted.join(","));
    match Selector::parse(&text) {
        Ok(Some(selector)) => Ok(Arc::new(selector)),
        Ok(None) | Err(_) => Err(AdminError::Refused(
            "these are no message ids: use those that /api/v1/messages gives".to_owned(),
        )),
    }
}

fn receipt_id(text: &str) -> ReceiptId {
    ReceiptId(SmallVec::from_slice(text.as_bytes()))
}

fn refused(refusal: &Refusal) -> AdminError {
    AdminError::Refused(refusal.detail.clone())
}

fn stopping() -> AdminError {
    AdminError::Unavailable("the broker is stopping".to_owned())
}

fn too_slow() -> AdminError {
    AdminError::Refused(format!(
        "the broker was not done within {} s: the queue is very long, or a limit holds the messages back; look \
         again to see what has become of it",
        VISIT_TIME_MAX.as_secs()
    ))
}
