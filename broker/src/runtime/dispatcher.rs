//! The dispatcher's task: requests and store events in, turns carried out.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use stompbox_console::AdminError;
use stompbox_store::{Backlog, Store, StoreError, StoreEvent};
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::place::Place;
use crate::core::dispatcher::{Dispatcher, Finding, Inquiry, InquiryId, Read, Turn};
use crate::core::port::{ConnectionId, Reply, Request};

/// Batches of requests that wait: one a read of a connection, so this is as many reads as the dispatcher may be
/// behind before connections wait for it.
const INBOX_BATCHES: usize = 256;

/// Batches taken in one turn: few enough that the disk and the receipts are not kept waiting.
const TURN_BATCHES: usize = 64;

/// No further batch is taken in a turn that has so many requests: what it leaves behind is still in the processor's
/// caches when connections write it.
const TURN_REQUESTS: usize = 1_024;

/// No more requests are taken while so much is submitted and not committed.
const BACKLOG_MAX: Backlog = Backlog {
    operations: 16_384,
    bytes: 64 * 1024 * 1024,
};

/// How often the dispatcher is told how much is stored, while there are turns.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The most that a sleep is asked for; the wheel of the runtime ends at about two years.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Replies of a turn for one connection. Unbounded, because what comes back never awaits; a connection always takes
/// what is in it, and what it then keeps is bounded by credit (deliveries) and by the cap on unanswered receipts.
pub(super) type Outbox = mpsc::UnboundedSender<ToConnection>;

/// What reaches a connection's task.
pub(super) enum ToConnection {
    /// What a turn of the dispatcher came to.
    Replies(Vec<Reply>),
    /// The broker stops.
    Stop,
}

/// A look at the dispatcher between two turns.
pub(super) type Look = Box<dyn FnOnce(&Dispatcher, &dyn Store) + Send>;

/// What reaches the dispatcher's task.
pub(super) enum Message {
    /// A connection exists and can be replied to.
    Attach(ConnectionId, Outbox),
    /// Requests of one read of a connection, and the place that they take; the last ones of all take none.
    Requests(ConnectionId, Vec<Request>, Option<Place>),
    /// A connection is gone; its `Closed` came before.
    Detach(ConnectionId),
    /// The console asks.
    Look(Look),
    /// The console asks for what the store has to be asked for.
    Inquire(Inquiry, oneshot::Sender<Finding>),
    /// All connections are to come to their end, also those that attach from now on.
    StopConnections,
    /// Everything else has stopped: write the last batch.
    Stop(oneshot::Sender<Result<(), StoreError>>),
}

impl Message {
    fn requests(&self) -> usize {
        match self {
            Self::Requests(_, requests, _) => requests.len(),
            _ => 0,
        }
    }
}

pub(super) type Inbox = mpsc::Sender<Message>;

/// Has a look at the dispatcher, and waits for what was seen.
pub(super) async fn look<T: Send + 'static>(
    dispatcher: &Inbox,
    ask: impl FnOnce(&Dispatcher, &dyn Store) -> T + Send + 'static,
) -> Result<T, AdminError> {
    let (sender, receiver) = oneshot::channel();
    let look = Message::Look(Box::new(move |dispatcher, store| {
        // The asker may have gone.
        let _ = sender.send(ask(dispatcher, store));
    }));
    let gone = || AdminError::Unavailable("the broker is stopping".to_owned());
    dispatcher.send(look).await.map_err(|_| gone())?;
    receiver.await.map_err(|_| gone())
}

/// Why the task ended by itself.
#[derive(Debug)]
pub(super) struct StoreFailed(pub(super) StoreError);

/// The task's state.
pub(super) struct DispatcherTask {
    pub(super) dispatcher: Dispatcher,
    pub(super) store: Box<dyn Store>,
    pub(super) events: mpsc::UnboundedReceiver<StoreEvent>,
    pub(super) clock: Clock,
    outboxes: FxHashMap<ConnectionId, Outbox>,
    /// Who waits for what the console asked.
    inquirers: FxHashMap<InquiryId, oneshot::Sender<Finding>>,
    is_stopping: bool,
    inbox: mpsc::Receiver<Message>,
    /// When the store's size is looked at again: an uptime.
    next_look: Duration,
}

impl DispatcherTask {
    /// The task and the way to it.
    pub(super) fn new(
        dispatcher: Dispatcher,
        store: Box<dyn Store>,
        events: mpsc::UnboundedReceiver<StoreEvent>,
        clock: Clock,
    ) -> (Self, Inbox) {
        let (sender, inbox) = mpsc::channel(INBOX_BATCHES);
        let outboxes = FxHashMap::default();
        (
            Self {
                dispatcher,
                store,
                events,
                clock,
                outboxes,
                inquirers: FxHashMap::default(),
                is_stopping: false,
                inbox,
                next_look: Duration::ZERO,
            },
            sender,
        )
    }

    /// Runs until it is told to stop or the store fails.
    pub(super) async fn run(mut self) -> Result<(), StoreFailed> {
        let mut messages = Vec::with_capacity(TURN_BATCHES);
        loop {
            let takes_requests = self.has_room();
            let wake = self.wake();
            // Each arm is cancel-safe: receiving loses nothing, and the sleep is made anew.
            tokio::select! {
                biased;
                event = self.events.recv() => self.store_event(event)?,
                first = self.inbox.recv(), if takes_requests => match first {
                    Some(first) => self.gather(first, &mut messages),
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            while let Ok(event) = self.events.try_recv() {
                self.store_event(Some(event))?;
            }
            for message in messages.drain(..) {
                match message {
                    Message::Attach(connection, outbox) => self.attach(connection, outbox),
                    Message::Detach(connection) => {
                        self.outboxes.remove(&connection);
                    }
                    Message::Requests(connection, requests, _place) => {
                        self.dispatcher
                            .handle(connection, requests, self.clock.now());
                    }
                    Message::Look(look) => look(&self.dispatcher, &*self.store),
                    Message::Inquire(inquiry, asker) => {
                        if let Some(id) = self.dispatcher.inquire(inquiry) {
                            self.inquirers.insert(id, asker);
                        }
                    }
                    Message::StopConnections => self.stop_connections(),
                    Message::Stop(done) => {
                        self.finish_turn()?;
                        // The receiver waits for this and nothing else.
                        let _ = done.send(self.stop().await);
                        return Ok(());
                    }
                }
            }
            self.finish_turn()?;
        }
    }

    /// What a turn takes, as far as it has come.
    fn gather(&mut self, first: Message, messages: &mut Vec<Message>) {
        let mut requests = first.requests();
        messages.push(first);
        while requests < TURN_REQUESTS
            && messages.len() < TURN_BATCHES
            && let Ok(next) = self.inbox.try_recv()
        {
            requests += next.requests();
            messages.push(next);
        }
    }

    fn attach(&mut self, connection: ConnectionId, outbox: Outbox) {
        if self.is_stopping {
            // One that is gone need not be stopped.
            let _ = outbox.send(ToConnection::Stop);
        }
        self.outboxes.insert(connection, outbox);
    }

    fn stop_connections(&mut self) {
        self.is_stopping = true;
        for outbox in self.outboxes.values() {
            // As above.
            let _ = outbox.send(ToConnection::Stop);
        }
    }

    fn has_room(&self) -> bool {
        let backlog = self.store.backlog();
        backlog.operations < BACKLOG_MAX.operations && backlog.bytes < BACKLOG_MAX.bytes
    }

    fn wake(&self) -> std::time::Instant {
        let now = self.clock.now();
        let latest = now.uptime + SLEEP_MAX;
        let uptime = self
            .dispatcher
            .next_wake(now)
            .map_or(latest, |wake| wake.min(latest));
        self.clock.instant(uptime)
    }

    fn store_event(&mut self, event: Option<StoreEvent>) -> Result<(), StoreFailed> {
        match event {
            Some(StoreEvent::Failed(error)) => Err(StoreFailed(error)),
            Some(event) => {
                self.dispatcher.store_event(event, self.clock.now());
                Ok(())
            }
            None => Err(StoreFailed(StoreError::Disk {
                during: "running",
                detail: "the store's thread has ended".to_owned(),
            })),
        }
    }

    fn finish_turn(&mut self) -> Result<(), StoreFailed> {
        let now = self.clock.now();
        if now.uptime >= self.next_look {
            self.next_look = now.uptime + LOOK_EVERY;
            self.dispatcher.store_is(&self.store.statistics());
        }
        let Turn { batch, reads } = self.dispatcher.finish_turn(now);
        if let Some((ticket, batch)) = batch {
            let given = self.store.submit(batch);
            if given != ticket {
                return Err(StoreFailed(StoreError::Disk {
                    during: "submitting",
                    detail: format!("ticket {} was given for {}", given.0, ticket.0),
                }));
            }
        }
        for read in reads {
            match read {
                Read::Page(request) => self.store.read_page(request),
                Read::Log(request) => self.store.read_log(request),
                Read::Due(request) => self.store.read_due(request),
                Read::Schedule(request) => self.store.read_schedule(request),
                Read::Duplicates(request) => self.store.read_duplicates(request),
                Read::Expired { now_ms, rows_max } => self.store.read_expired(now_ms, rows_max),
            }
        }
        for (id, finding) in self.dispatcher.drain_findings() {
            if let Some(asker) = self.inquirers.remove(&id) {
                // The asker may have gone.
                let _ = asker.send(finding);
            }
        }
        let outboxes = &self.outboxes;
        self.dispatcher.drain_replies(|connection, replies| {
            if let Some(outbox) = outboxes.get(&connection) {
                // A connection that is gone has said so, or will; what it held comes back then.
                let _ = outbox.send(ToConnection::Replies(replies));
            }
        });
        Ok(())
    }

    async fn stop(mut self) -> Result<(), StoreError> {
        let (_, last) = self.dispatcher.last_batch();
        let store = self.store;
        let closing = tokio::task::spawn_blocking(move || store.close(last));
        closing.await.unwrap_or_else(|panic| {
            Err(StoreError::Disk {
                during: "closing",
                detail: panic.to_string(),
            })
        })
    }
}

/// Where the store's thread reports to. Unbounded, because the store must not wait for the dispatcher; bounded by
/// what the dispatcher has submitted and asked for.
pub(super) fn event_sink() -> (
    stompbox_store::EventSink,
    mpsc::UnboundedReceiver<StoreEvent>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sink = move |event| {
        // The dispatcher is gone: the process is stopping.
        let _ = sender.send(event);
    };
    (Arc::new(sink), receiver)
}
