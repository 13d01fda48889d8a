//! The thread in the background that serves the connections of all blocking callers.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// Held while it is made: the first connections of a program may be made at the same time.
static MAKING: Mutex<()> = Mutex::new(());

/// Makes sure that it is there. Whoever has a connection has called this.
///
/// # Errors
/// The system has no thread or no file handle left.
pub(super) fn start() -> io::Result<()> {
    let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if RUNTIME.get().is_none() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("stompbox-client")
            .enable_io()
            .enable_time()
            .build()?;
        RUNTIME.get_or_init(|| runtime);
    }
    Ok(())
}

/// Runs a future to its end on this thread; what it waits for is done on the one in the background.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = RUNTIME
        .get()
        .expect("invariant: there is a connection, so `start` has succeeded");
    runtime.block_on(future)
}
