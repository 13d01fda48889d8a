//! The command line, as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};

use super::exit;
use super::perf::argument::PerfArguments;
use crate::config::parse_duration;

/// Where `send` and `receive` look for a broker.
pub(super) const BROKER: &str = "127.0.0.1:61613";

/// clap would put the destination last.
const SEND_USAGE: &str = "\
stompbox send [OPTIONS] <DEST> <TEXT|->
       stompbox send [OPTIONS] <DEST> --file <FILE>";

/// A message broker for STOMP clients. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "stompbox", version, args_conflicts_with_subcommands = true, after_help = exit::help())]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The options of `serve`, which need not be named.
    #[command(flatten)]
    pub(crate) serve: ServeArguments,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the broker until it is told to stop (the default)
    Serve(ServeArguments),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Send a message, and wait until the broker has it
    Send(SendArguments),
    /// Receive messages and print them
    Receive(ReceiveArguments),
    /// Put a load on a broker and measure it
    Perf(Box<PerfArguments>),
}

/// Options of `serve`.
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArguments {
    /// Configuration file [default: none]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where STOMP clients connect, several separated by commas [default: 127.0.0.1:61613]
    #[arg(long, value_name = "ADDR")]
    pub(crate) stomp: Option<String>,
    /// Where the web console is served, or none [default: 127.0.0.1:8161]
    #[arg(long, value_name = "ADDR|none")]
    pub(crate) console: Option<String>,
    /// Data folder [default: ./stompbox-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with the configuration, if anything is
    Check {
        /// Configuration file [default: none]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the policy of one destination, with what says so
    Policy {
        /// Destination: /queue/NAME, /topic/NAME, or the NAME of a queue
        #[arg(value_name = "DEST")]
        destination: String,
        /// Configuration file [default: none]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the configuration that a start would use, as a file
    Show {
        /// Configuration file [default: none]
        #[arg(long, value_name = "FILE", conflicts_with = "sample")]
        config: Option<PathBuf>,
        /// Print a file with all defaults instead, to begin with
        #[arg(long)]
        sample: bool,
    },
}

/// Options of `send`.
#[derive(Debug, Args)]
#[command(override_usage = SEND_USAGE)]
#[command(group = ArgGroup::new("content").args(["text", "file"]).required(true))]
pub(crate) struct SendArguments {
    /// Destination: /queue/NAME, /topic/NAME, or the NAME of a queue
    #[arg(value_name = "DEST")]
    pub(crate) destination: String,
    /// Body of the message; - reads it from standard input
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: Option<String>,
    /// Read the body from a file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Broker
    #[arg(long, value_name = "ADDR", default_value = BROKER)]
    pub(crate) to: String,
    /// Add a header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Do not store the message on disk
    #[arg(long)]
    pub(crate) non_persistent: bool,
    /// Send it this many times
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
}

/// Options of `receive`.
#[derive(Debug, Args)]
pub(crate) struct ReceiveArguments {
    /// Source: /queue/NAME, /topic/NAME, or the NAME of a queue
    #[arg(value_name = "DEST")]
    pub(crate) destination: String,
    /// Take this many messages, and wait for them [default: what is there]
    #[arg(short = 'n', long, value_name = "COUNT", conflicts_with = "follow")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Go on until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// End when no message has come for this long [default: 500ms; with -n or --follow: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// Broker
    #[arg(long, value_name = "ADDR", default_value = BROKER)]
    pub(crate) from: String,
    /// Print the headers as well
    #[arg(long)]
    pub(crate) headers: bool,
}

/// Headers that have an option of their own, or that the client sees to.
const RESERVED: [&str; 5] = [
    "destination",
    "persistent",
    "receipt",
    "content-length",
    "transaction",
];

pub(super) fn parse_header(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("write it as NAME:VALUE".to_owned());
    };
    match name {
        "" => Err("the name is missing before the colon".to_owned()),
        reserved if RESERVED.contains(&reserved) => {
            Err(format!("{reserved} is set by stompbox itself"))
        }
        _ => Ok((name.to_owned(), value.to_owned())),
    }
}

pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    let allowed = || "write a number and a unit: 500ms, 5s, 1m or 2h".to_owned();
    parse_duration(text).ok_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' '))
    }

    fn command(line: &str) -> Command {
        parse(line)
            .expect("a valid command line")
            .command
            .expect("a command")
    }

    #[test]
    fn the_declaration_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn serve_need_not_be_named() {
        let bare = parse("stompbox --data d --console none").expect("valid");
        assert!(bare.command.is_none());
        assert_eq!(bare.serve.data, Some(PathBuf::from("d")));
        let Command::Serve(named) = command("stompbox serve --data d --console none") else {
            panic!("serve was named");
        };
        assert_eq!(format!("{named:?}"), format!("{:?}", bare.serve));
        assert!(parse("stompbox").expect("valid").command.is_none());
    }

    #[test]
    fn send_takes_its_body_from_one_place() {
        let Command::Send(send) = command("stompbox send q text -H a:b:c -H d: -n 3") else {
            panic!("send was named");
        };
        assert_eq!(send.text.as_deref(), Some("text"));
        let expected = [("a", "b:c"), ("d", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(send.headers, expected);
        assert_eq!(send.count, 3);
        assert_eq!(send.to, BROKER);
        let Command::Send(send) = command("stompbox send q -") else {
            panic!("send was named")
        };
        assert_eq!(send.text.as_deref(), Some("-"));
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        let cases = [
            "stompbox nonsense",
            "stompbox --nonsense",
            "stompbox --data d send q text",
            "stompbox config",
            "stompbox config show --sample --config f",
            "stompbox send q",
            "stompbox send q text -f file",
            "stompbox send q text -H a",
            "stompbox send q text -H :a",
            "stompbox send q text -H receipt:1",
            "stompbox send q text -n 0",
            "stompbox receive",
            "stompbox receive q -n 0",
            "stompbox receive q -n 1 --follow",
            "stompbox receive q --timeout 5",
        ];
        for line in cases {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{line}");
        }
    }

    #[test]
    fn version_and_help_are_no_mistakes() {
        for line in [
            "stompbox --version",
            "stompbox --help",
            "stompbox send --help",
        ] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 0, "{line}");
        }
    }
}
