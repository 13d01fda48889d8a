//! The command line: what was asked for, done here unless it is to serve.
//!
//! *Invariant.* A mistake of the caller costs exit code 2 and says what is allowed; output that nobody reads any more
//! (a closed pipe) is no mistake.

mod argument;
mod broker;
mod configuration;
pub(crate) mod exit;
mod log;
mod output;
mod perf;
mod receive;
mod send;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::config::{CommandLine, Config, ConfigError, load};
use argument::{Arguments, Command, ConfigCommand, ServeArguments};

/// What is left to do.
pub(crate) enum Invocation {
    /// Run the broker. The log has been started.
    Serve(Box<Config>),
    /// Nothing.
    Done(ExitCode),
}

/// Reads the command line of the process and does what it asks for, except to serve.
pub(crate) fn parse_and_run() -> Invocation {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output, mistakes to standard error; if that is closed, so be it.
            error.print().ok();
            let code = u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
            return Invocation::Done(ExitCode::from(code));
        }
    };
    let command = arguments.command.unwrap_or(Command::Serve(arguments.serve));
    let code = match command {
        Command::Serve(serve) => match prepare(serve) {
            Ok(config) => return Invocation::Serve(config),
            Err(error) => configuration::report(&error),
        },
        Command::Config(ConfigCommand::Check { config }) => configuration::check(config.as_deref()),
        Command::Config(ConfigCommand::Policy {
            destination,
            config,
        }) => configuration::policy(&destination, config.as_deref()),
        Command::Config(ConfigCommand::Show { sample: true, .. }) => configuration::show_sample(),
        Command::Config(ConfigCommand::Show {
            config,
            sample: false,
        }) => configuration::show(config.as_deref()),
        Command::Send(send) => broker::run(&send.to, send::run(&send, &mut io::stdout())),
        Command::Receive(receive) => {
            broker::run(&receive.from, receive::run(&receive, &mut io::stdout()))
        }
        Command::Perf(arguments) => perf::run(&arguments),
    };
    Invocation::Done(ExitCode::from(code))
}

fn prepare(arguments: ServeArguments) -> Result<Box<Config>, ConfigError> {
    let ServeArguments {
        config: path,
        stomp,
        console,
        data,
    } = arguments;
    let config = load(
        path.as_deref(),
        environment(),
        CommandLine {
            stomp,
            console,
            data,
        },
    )?;
    log::start(&config.log);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(Box::new(config))
}

/// The environment of the process. What is not UTF-8 becomes U+FFFD: in a variable of ours it is refused then.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| {
        (
            name.to_string_lossy().into(),
            value.to_string_lossy().into(),
        )
    })
}

#[cfg(test)]
mod tests;
