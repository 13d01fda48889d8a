//! The one way out for events, and the poison.
//!
//! *Invariant.* [`StoreEvent::Failed`] is reported once and is the last event, whichever thread fails first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{EventSink, StoreError, StoreEvent};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Poisoned,
}

/// Shared by the store's threads.
pub(super) struct Reporter {
    sink: EventSink,
    health: Mutex<Health>,
}

impl Reporter {
    pub(super) fn new(sink: EventSink) -> Self {
        Self {
            sink,
            health: Mutex::new(Health::Sound),
        }
    }

    /// Reports `event` unless the store has failed. The lock is held meanwhile, so that nothing follows a failure.
    pub(super) fn report(&self, event: StoreEvent) {
        let health = self.health();
        if *health == Health::Sound {
            (self.sink)(event);
        }
    }

    /// Poisons the store; the first to come is the one that is heard.
    pub(super) fn fail(&self, error: StoreError) {
        let mut health = self.health();
        if *health == Health::Sound {
            *health = Health::Poisoned;
            tracing::error!(%error, "the store has failed");
            (self.sink)(StoreEvent::Failed(error));
        }
    }

    pub(super) fn is_poisoned(&self) -> bool {
        *self.health() == Health::Poisoned
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // A sink that panicked has not changed the health.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by each of the store's threads: a panic in one of them is a failure of the store, not a silence.
pub(super) struct Watch(pub(super) Arc<Reporter>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(StoreError::Disk {
                during: "running",
                detail: "a thread of the store panicked".to_owned(),
            });
        }
    }
}
