//! stompbox: a message broker with JMS semantics that speaks STOMP.
//!
//! `core` decides, `runtime` carries out, `config` says how, `cli` is what people type. ARCHITECTURE.md walks a SEND
//! and an ACK through them.

mod cli;
pub mod config;
pub mod core;
mod runtime;

pub use runtime::OpenStore;

use std::process::ExitCode;

use cli::Invocation;
use stompbox_store::Store;
use stompbox_store::sqlite::SqliteStore;

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    main_with(Box::new(|options, now_ms, events| {
        let (store, recovered) = SqliteStore::open(options, now_ms, events)?;
        Ok((Box::new(store) as Box<dyn Store>, recovered))
    }))
}

/// The program on another store: how tests plant a fault.
#[must_use]
pub fn main_with(open: OpenStore) -> ExitCode {
    match cli::parse_and_run() {
        Invocation::Serve(config) => runtime::run(*config, open),
        Invocation::Done(code) => code,
    }
}
