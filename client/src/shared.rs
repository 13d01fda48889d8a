//! What the handles of a connection and its task share: counters, the end, and what must not wait for a channel.
//!
//! *Invariant.* The lock is a leaf: it is held to push and to take, never across an await or another lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::ClientError;
use crate::command::Command;
use crate::settle::Settlement;

/// Commands that wait for the connection's task. Enough to fill one write with small frames; whoever has large ones waits.
pub(crate) const COMMANDS_MAX: usize = 128;

/// Names a consumer within its connection, over all its sessions with brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerId(pub(crate) u64);

/// Names a session of the program, within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// How a close went.
pub(crate) type CloseReply = oneshot::Sender<Result<(), ClientError>>;

/// What handles leave for the task without waiting.
#[derive(Debug)]
pub(crate) enum Left {
    /// At most as many as messages are in the program's hands.
    Settlement(Settlement),
    /// A consumer was dropped.
    Consumer(ConsumerId),
    /// A session was dropped, with its transaction and its consumers.
    Session(SessionId),
    /// The connection is to end; somebody wants to know when it has.
    Close(CloseReply),
    /// The last handle is gone.
    Abandoned,
}

/// The number of commands that had been handed over when something was left: it is dealt with after these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place(pub(crate) u64);

/// Shared by all handles and the task.
#[derive(Debug)]
pub(crate) struct Shared {
    left: Mutex<Vec<(Place, Left)>>,
    pub(crate) wake: Notify,
    /// How many commands have been handed over.
    handed_over: AtomicU64,
    end: OnceLock<ClientError>,
    numbers: AtomicU64,
    /// One permit for each send that may still wait for its receipt.
    pub(crate) in_flight: Semaphore,
    /// Random; what this connection's ids begin with.
    pub(crate) instance: String,
}

impl Shared {
    pub(crate) fn new(in_flight_max: usize) -> Self {
        Self {
            left: Mutex::default(),
            wake: Notify::new(),
            handed_over: AtomicU64::new(0),
            end: OnceLock::new(),
            numbers: AtomicU64::new(1),
            in_flight: Semaphore::new(in_flight_max.clamp(1, Semaphore::MAX_PERMITS)),
            instance: crate::random::hex(),
        }
    }

    /// A number that was not given before.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Why the connection has ended for good; [`None`] while it has not.
    pub(crate) fn end(&self) -> Option<ClientError> {
        self.end.get().cloned()
    }

    /// Ends it. The first reason stays.
    pub(crate) fn set_end(&self, reason: ClientError) {
        // Fails only where there is a reason already.
        self.end.set(reason).ok();
        self.in_flight.close();
    }

    /// Leaves something for the task.
    pub(crate) fn leave(&self, left: Left) {
        let place = Place(self.handed_over.load(Ordering::Acquire));
        let mut all = self.left();
        // Under the lock: the task sets the end before it takes for the last time.
        if self.end.get().is_none() {
            all.push((place, left));
            drop(all);
            self.wake.notify_one();
        }
    }

    /// Takes everything that was left.
    pub(crate) fn take_left(&self) -> Vec<(Place, Left)> {
        std::mem::take(&mut *self.left())
    }

    fn left(&self) -> MutexGuard<'_, Vec<(Place, Left)>> {
        // Nothing that is done under the lock can panic half-way.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A way to a connection's task. When the last one is dropped the connection ends.
#[derive(Debug, Clone)]
pub(crate) struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.leave(Left::Abandoned);
    }
}

impl Handle {
    pub(crate) fn new(commands: mpsc::Sender<Command>, shared: Arc<Shared>) -> Self {
        Self(Arc::new(Inner { commands, shared }))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Hands a command over. Dropping the future before it is done means that it was not.
    pub(crate) async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.reserve().await?.send(command);
        Ok(())
    }

    /// Room for one command.
    pub(crate) async fn reserve(&self) -> Result<Room<'_>, ClientError> {
        let permit = self.0.commands.reserve().await;
        Ok(Room {
            permit: permit.map_err(|_gone| self.end())?,
            shared: &self.0.shared,
        })
    }

    /// Hands a command over and waits for what becomes of it.
    pub(crate) async fn call<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.command(command(reply)).await?;
        answer.await.unwrap_or_else(|_dropped| Err(self.end()))
    }

    /// Why the task has gone.
    pub(crate) fn end(&self) -> ClientError {
        self.0.shared.end().unwrap_or(ClientError::Ended)
    }
}

/// Where the outcome of a command goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, ClientError>>;

/// Room for one command.
pub(crate) struct Room<'a> {
    permit: mpsc::Permit<'a, Command>,
    shared: &'a Shared,
}

impl Room<'_> {
    pub(crate) fn send(self, command: Command) {
        self.permit.send(command);
        // After it: what its sender leaves from now on comes after it.
        self.shared.handed_over.fetch_add(1, Ordering::Release);
    }
}
