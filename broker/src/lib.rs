//! The broker.

mod cli;
pub mod config;

use std::process::ExitCode;

/// Does what the command line says.
pub fn main() -> ExitCode {
    match cli::parse_and_run() {
        cli::Invocation::Serve(config) => {
            tracing::info!(?config, "configured");
            ExitCode::from(cli::exit::FAILED)
        }
        cli::Invocation::Done(code) => code,
    }
}
