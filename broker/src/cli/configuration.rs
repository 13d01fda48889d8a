//! `stompbox config`: checks the configuration and shows it.

use std::path::Path;

use crate::config::{CommandLine, Config, ConfigError, Setting, load};
use crate::core::destination::DestinationName;

use super::output::{chain, complain, print};
use super::{environment, exit};

/// Says whether a start would take the configuration.
pub(super) fn check(path: Option<&Path>) -> u8 {
    match load(path, environment(), CommandLine::default()) {
        Ok(config) => {
            for warning in config.warnings() {
                complain(&format!("warning: {warning}"));
            }
            print("the configuration is valid\n")
        }
        Err(error) => report(&error),
    }
}

/// Prints what a start would use.
pub(super) fn show(path: Option<&Path>) -> u8 {
    match load(path, environment(), CommandLine::default()) {
        Ok(config) => print(&config.to_toml()),
        Err(error) => report(&error),
    }
}

/// Prints the policy that a destination would have, each key with what says so.
pub(super) fn policy(destination: &str, path: Option<&Path>) -> u8 {
    let name = match DestinationName::parse(destination.as_bytes()) {
        Ok(name) => name,
        Err(error) => {
            complain(&format!("{destination}: {error}"));
            return exit::USAGE;
        }
    };
    match load(path, environment(), CommandLine::default()) {
        Ok(config) => {
            let settings = config.policies.explain(name.kind(), name.name());
            let line = |setting: Setting| {
                format!("{} = {} # {}\n", setting.key, setting.value, setting.from)
            };
            print(&settings.into_iter().map(line).collect::<String>())
        }
        Err(error) => report(&error),
    }
}

/// Prints a file to begin with.
pub(super) fn show_sample() -> u8 {
    print(&Config::sample_toml())
}

/// Prints what is wrong, a line for each problem.
pub(super) fn report(error: &ConfigError) -> u8 {
    match error {
        ConfigError::Invalid { problems } => problems.iter().for_each(|problem| complain(problem)),
        ConfigError::Unreadable { .. } => complain(&chain(error)),
    }
    exit::USAGE
}
