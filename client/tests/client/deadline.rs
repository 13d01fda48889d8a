//! How long a test waits before it has failed.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Generous: it is spent only by failing tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Fails the test if it takes too long.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_elapsed) => panic!("not within {DEADLINE:?}: {caller}"),
        }
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + DEADLINE;
        while !holds() {
            assert!(Instant::now() < end, "not within {DEADLINE:?}: {caller}");
            sleep(Duration::from_millis(2)).await;
        }
    }
}
