//! The options of `stompbox perf suite`.

use std::path::PathBuf;

use clap::Args;

use super::super::link::Target;
use super::RELAY;
use super::memory;
use super::row::{self, Row};
use crate::cli::broker::full_address;

/// Options of `perf suite`.
#[derive(Debug, Args)]
pub(crate) struct SuiteArguments {
    /// A broker and what to call it; may be repeated, the first is the one that aims are for
    #[arg(long, value_name = "NAME=[LOGIN:PASSCODE@]ADDR", required = true, value_parser = parse_peer)]
    pub(super) to: Vec<Peer>,
    /// Which rows, separated by commas [default: all loads; with --broker-command M1,M2,M3,M4]
    #[arg(long, value_name = "ROWS", value_delimiter = ',', value_parser = parse_row)]
    rows: Vec<Selected>,
    /// Starts the first broker, on an empty data folder, for the rows M1 to M4
    #[arg(long, value_name = "COMMAND")]
    pub(super) broker_command: Option<String>,
    /// How often; medians count
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) rounds: u32,
    /// How long each row sends at the most
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=3600))]
    pub(super) seconds: u32,
    /// What the store probe printed, one or more runs of it
    #[arg(long, value_name = "FILE")]
    pub(super) probe: Option<PathBuf>,
    /// Runs the store probe before each round
    #[arg(long, value_name = "COMMAND")]
    pub(super) probe_command: Option<String>,
    /// Where the relay listens that bounds the rows without a store
    #[arg(long, value_name = "ADDR", value_parser = parse_relay)]
    pub(super) relay: Option<Peer>,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// A row that was asked for.
#[derive(Debug, Clone, Copy)]
enum Selected {
    /// A load.
    Load(&'static Row),
    /// Memory or start of the broker's process.
    Footprint(&'static str),
}

impl SuiteArguments {
    /// The loads that were asked for.
    pub(super) fn loads(&self) -> impl Iterator<Item = &'static Row> {
        let all = self.rows.is_empty() && self.broker_command.is_none();
        let named = self.rows.iter().filter_map(|row| match row {
            Selected::Load(row) => Some(*row),
            Selected::Footprint(_) => None,
        });
        row::ALL.iter().filter(move |_| all).chain(named)
    }

    /// The rows about the process that were asked for.
    pub(super) fn footprints(&self) -> impl Iterator<Item = &'static str> {
        let named = self.rows.iter().filter_map(|row| match row {
            Selected::Load(_) => None,
            Selected::Footprint(id) => Some(*id),
        });
        let all = self.rows.is_empty();
        memory::IDS.into_iter().filter(move |_| all).chain(named)
    }
}

/// A broker to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// What to call it.
    pub(super) name: String,
    /// Where it is.
    pub(super) target: Target,
}

fn parse_peer(text: &str) -> Result<Peer, String> {
    let (name, rest) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty() && *name != RELAY)
        .ok_or("write it as NAME=ADDR")?;
    let (login, address) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((login, address)) => {
            let (login, passcode) = login
                .split_once(':')
                .ok_or("write it as NAME=LOGIN:PASSCODE@ADDR")?;
            (Some((login.to_owned(), passcode.to_owned())), address)
        }
    };
    Ok(Peer {
        name: name.to_owned(),
        target: Target {
            address: full_address(address),
            login,
        },
    })
}

fn parse_relay(text: &str) -> Result<Peer, String> {
    Ok(Peer {
        name: RELAY.to_owned(),
        target: Target {
            address: full_address(text),
            login: None,
        },
    })
}

fn parse_row(text: &str) -> Result<Selected, String> {
    let footprint = memory::IDS
        .into_iter()
        .find(|id| id.eq_ignore_ascii_case(text));
    let row = row::find(text).map(Selected::Load);
    row.or(footprint.map(Selected::Footprint)).ok_or_else(|| {
        let ids: Vec<&str> = row::ALL
            .iter()
            .map(|row| row.id)
            .chain(memory::IDS)
            .collect();
        format!("there are {}", ids.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_name_and_perhaps_a_login() {
        let plain = parse_peer("ours=127.0.0.1:1").expect("valid");
        assert_eq!((plain.name.as_str(), plain.target.login), ("ours", None));
        let login = parse_peer("r=guest:pa@ss@host").expect("valid").target;
        assert_eq!(login.address, "host:61613");
        assert_eq!(login.login, Some(("guest".to_owned(), "pa@ss".to_owned())));
        for text in ["127.0.0.1:1", "=a", "relay=a", "r=guest@a"] {
            assert!(parse_peer(text).is_err(), "{text}");
        }
    }
}
