//! Reading a configuration: defaults, then the file, then the environment, then the command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Origin};
use super::form::Scalar;
use super::given::{Contradiction, Given, SectionName};
use super::{Config, environment, file};

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// `--stomp`: as `stomp.listen`, several addresses separated by commas.
    pub stomp: Option<String>,
    /// `--console`: as `console.listen`.
    pub console: Option<String>,
    /// `--data`: as `store.data`.
    pub data: Option<PathBuf>,
}

/// Reads the configuration. Without a `path` the file is the one that `STOMPBOX_CONFIG` names, without that there is
/// none.
///
/// # Errors
///
/// The file cannot be read, or something that was given is not allowed; the error lists all of it.
pub fn load(
    path: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    overrides: CommandLine,
) -> Result<Config, ConfigError> {
    let mut given = Given::default();
    let variables: Vec<(String, String)> = env.collect();
    if let Some(path) = path.or_else(|| environment::file(&variables).map(Path::new)) {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        file::read(path, &text, &mut given);
    }
    environment::read(&variables, &mut given);
    let options = [
        ("--stomp", SectionName::Stomp, overrides.stomp),
        ("--console", SectionName::Console, overrides.console),
    ];
    for (option, section, address) in options {
        if let Some(address) = address {
            let origin = Origin::CommandLine { option };
            given.set(section, "listen", &Scalar::Bare(address), origin);
        }
    }
    let mut config = given.finish()?;
    if let Some(data) = overrides.data {
        // Not through text: a path need not be UTF-8.
        config.store.data = data;
    }
    Ok(config)
}

impl Config {
    /// What is allowed but probably not meant, for the log of the start.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let stomp = self
            .stomp
            .listen
            .iter()
            .map(|address| ("stomp.listen", address));
        let console = self
            .console
            .listen
            .iter()
            .map(|address| ("console.listen", address));
        stomp
            .chain(console)
            .filter(|(_, address)| !address.ip().is_loopback())
            .map(|(key, address)| {
                format!(
                    "{key}: {address} can be reached from other machines, and there is no \
                     authentication yet: whoever reaches it may read and delete every message"
                )
            })
            .collect()
    }

    /// Addresses that are listened on twice. Port 0 is a new port each time.
    pub(super) fn listener_contradictions(&self) -> Vec<Contradiction> {
        let mut seen: Vec<SocketAddr> = self.console.listen.into_iter().collect();
        let mut found = Vec::new();
        for address in &self.stomp.listen {
            if address.port() != 0 && seen.contains(address) {
                let text = format!("{address} is listened on twice, here or by console.listen");
                found.push(Contradiction {
                    keys: ["listen", "listen"],
                    text,
                });
            }
            seen.push(*address);
        }
        found
    }
}
