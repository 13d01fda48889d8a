//! Ctrl-C: the first ends the load and shows what was measured, the second ends the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::cli::exit;

/// Whether the user has interrupted.
#[derive(Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Begins to listen for Ctrl-C. Where that cannot be had it does what it does everywhere.
    pub(super) fn listen() -> Interrupt {
        let interrupt = Interrupt::default();
        let set = interrupt.clone();
        // Ends with the process: waiting for a signal cannot be cancelled otherwise.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    set.0.store(true, Ordering::Relaxed);
                }
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(exit::STOP_CUT_SHORT.into());
                }
            });
        });
        interrupt
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
