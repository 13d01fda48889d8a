//! The thread in the background that serves the connections of all blocking callers.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Runs a future to its end on this thread; what it waits for is done on the one in the background.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("stompbox-client")
            .enable_io()
            .enable_time()
            .build()
            .expect("invariant: the system has a thread and a poll set left for the program")
    });
    runtime.block_on(future)
}
