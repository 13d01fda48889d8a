//! A connection's places in the dispatcher's inbox: who floods the broker waits for himself, and the others only for so
//! much of it.
//!
//! *Invariant*: no more than [`PLACES`] batches of one connection are in the inbox or in the turn that handles them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// Enough to read on while the dispatcher is at work; a sixteenth of the inbox. With eight a producer with many receipts
/// on their way is slower.
const PLACES: usize = 16;

/// What one connection has of the inbox.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: AtomicUsize,
    waker: AtomicWaker,
}

/// One place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Places>);

impl Places {
    /// Takes a place, if there is one. Only the connection itself does.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        if self.taken.load(Ordering::Acquire) == PLACES {
            return None;
        }
        self.taken.fetch_add(1, Ordering::AcqRel);
        Some(Place(Arc::clone(self)))
    }

    /// Waits for a place.
    pub(super) fn poll_free(&self, cx: &Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.taken.load(Ordering::Acquire) < PLACES {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.taken.fetch_sub(1, Ordering::AcqRel) == PLACES {
            self.0.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_taken_all_places_waits_until_one_is_free() {
        let places = Arc::new(Places::default());
        let mut taken: Vec<Place> = std::iter::from_fn(|| places.take()).collect();
        assert_eq!(taken.len(), PLACES);
        let waiting = std::future::poll_fn(|cx| places.poll_free(cx));
        let freed = async {
            tokio::task::yield_now().await;
            taken.pop();
        };
        tokio::join!(waiting, freed);
        assert!(places.take().is_some());
    }
}
