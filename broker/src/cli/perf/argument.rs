//! The options of `stompbox perf`, and the load that they ask for.

use std::num::NonZeroU64;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::content::STAMP_BYTES;
use super::link::Target;
use super::plan::{AckMode, Kind, Pace, Plan};
use super::suite::SuiteArguments;
use crate::cli::argument::{BROKER, parse_header, parse_timeout};
use crate::cli::broker::{full_address, full_destination};

/// How long a load lasts that is given neither time nor number.
const TIME: Duration = Duration::from_secs(10);

/// How long a load may last that is given a number.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Connections of a kind: each has a thread.
const WORKERS_MAX: i64 = 4096;

/// Options of `perf`, or its command.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct PerfArguments {
    #[command(subcommand)]
    pub(super) command: Option<PerfCommand>,
    #[command(flatten)]
    pub(super) load: LoadArguments,
}

/// What else `perf` does.
#[derive(Debug, Subcommand)]
pub(super) enum PerfCommand {
    /// Run a series of loads against several brokers in turn and compare them
    Suite(SuiteArguments),
}

/// Options of a load.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("where").args(["destination", "queues", "topics"]))]
pub(super) struct LoadArguments {
    /// Broker
    #[arg(long, value_name = "ADDR", default_value = BROKER)]
    to: String,
    /// /queue/NAME, /topic/NAME, or the NAME of a queue [default: perf]
    #[arg(long, value_name = "DEST")]
    destination: Option<String>,
    /// So many queues instead, perf.0 and so on; producers and consumers are dealt out to them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    queues: Option<u32>,
    /// So many topics instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    topics: Option<u32>,
    /// Connections that send
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=WORKERS_MAX))]
    producers: u32,
    /// Connections that receive
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=WORKERS_MAX))]
    consumers: u32,
    /// Only send
    #[arg(long, conflicts_with_all = ["drain_only", "consumers"])]
    send_only: bool,
    /// Only receive what is there
    #[arg(long, conflicts_with_all = ["producers", "receipts", "transaction", "rate", "topics"])]
    drain_only: bool,
    /// Length of a body in bytes, at least 28
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(STAMP_BYTES as i64..=1 << 30))]
    size: u32,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    messages: Option<u64>,
    /// End after so much time [default: 10, or an hour with --messages]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: Option<u32>,
    /// Let the broker store the messages (the default)
    #[arg(long, conflicts_with = "non_persistent")]
    persistent: bool,
    /// Do not let it store them
    #[arg(long)]
    non_persistent: bool,
    /// Messages that may wait for their receipt: 0 asks for none, 1 waits for each
    #[arg(long, value_name = "WINDOW", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    receipts: u32,
    /// Send in transactions of so many messages and wait for the receipt of each
    #[arg(long, value_name = "N", conflicts_with_all = ["receipts", "rate"])]
    transaction: Option<NonZeroU64>,
    /// Send so many messages a second, whatever the broker does; latencies count from when each is due
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    rate: Option<f64>,
    /// How consumers acknowledge
    #[arg(long, value_name = "MODE", value_enum, default_value = "auto")]
    ack: AckMode,
    /// Messages that a consumer may have unacknowledged [default: as the broker likes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    prefetch: Option<u32>,
    /// Add a header to each message; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// User
    #[arg(long, value_name = "NAME", requires = "passcode")]
    login: Option<String>,
    /// Password of the user
    #[arg(long, value_name = "TEXT", requires = "login")]
    passcode: Option<String>,
    /// Leave the first part out of rates and percentiles
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_timeout)]
    warmup: Duration,
    /// Consumers end when nothing has come for this long
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_timeout)]
    quiet: Duration,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl LoadArguments {
    /// The load that is asked for.
    pub(super) fn plan(&self) -> Plan {
        let (kind, destinations) = self.destinations();
        let time = match (self.seconds, self.messages) {
            (Some(seconds), _) => Duration::from_secs(seconds.into()),
            (None, Some(_)) => TIME_MAX,
            (None, None) if self.drain_only => TIME_MAX,
            (None, None) => TIME,
        };
        Plan {
            target: Target {
                address: full_address(&self.to),
                login: self.login.clone().zip(self.passcode.clone()),
            },
            destinations,
            kind,
            producers: if self.drain_only {
                0
            } else {
                self.producers as usize
            },
            consumers: if self.send_only {
                0
            } else {
                self.consumers as usize
            },
            body_bytes: self.size as usize,
            persistent: !self.non_persistent,
            headers: self.headers.clone(),
            pace: self.pace(),
            acks: self.ack,
            prefetch: self.prefetch,
            messages: self.messages,
            time: time.saturating_add(self.warmup),
            warmup: self.warmup,
            quiet: self.quiet,
        }
    }

    fn destinations(&self) -> (Kind, Vec<String>) {
        let many = |prefix: &str, count: u32| {
            (0..count)
                .map(|index| format!("/{prefix}/perf.{index}"))
                .collect()
        };
        match (self.queues, self.topics, &self.destination) {
            (Some(count), _, _) => (Kind::Queue, many("queue", count)),
            (None, Some(count), _) => (Kind::Topic, many("topic", count)),
            (None, None, name) => {
                let name = full_destination(name.as_deref().unwrap_or("perf"));
                let kind = if name.starts_with("/topic/") {
                    Kind::Topic
                } else {
                    Kind::Queue
                };
                (kind, vec![name])
            }
        }
    }

    fn pace(&self) -> Pace {
        let window = NonZeroU64::new(self.receipts.into());
        match (self.rate, self.transaction, window) {
            (Some(per_second), _, window) => Pace::Rate {
                per_second,
                receipts: window.is_some(),
            },
            (None, Some(size), _) => Pace::Transaction(size),
            (None, None, Some(window)) => Pace::Window(window),
            (None, None, None) => Pace::Stream,
        }
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=1e8).contains(rate))
        .ok_or_else(|| "write a number from 0.001 to 100000000".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::argument::{Arguments, Command};

    fn parse(options: &str) -> Result<Plan, clap::Error> {
        let line = format!("stompbox perf {options}");
        let arguments = Arguments::try_parse_from(line.split_whitespace())?;
        let Some(Command::Perf(perf)) = arguments.command else {
            panic!("perf was named");
        };
        Ok(perf.load.plan())
    }

    fn plan(options: &str) -> Plan {
        parse(options).expect("a valid command line")
    }

    #[test]
    fn without_options_it_is_a_queue_for_ten_seconds() {
        let plan = plan("");
        assert_eq!(plan.destinations, ["/queue/perf"]);
        assert_eq!((plan.kind, plan.pace), (Kind::Queue, Pace::Stream));
        assert_eq!((plan.producers, plan.consumers), (1, 1));
        assert_eq!((plan.persistent, plan.time), (true, TIME));
    }

    #[test]
    fn workers_are_dealt_out_to_destinations() {
        let plan = plan("--topics 3 --producers 4 --consumers 2 --messages 10");
        assert_eq!(plan.kind, Kind::Topic);
        assert_eq!(plan.destinations[2], "/topic/perf.2");
        let shares: Vec<_> = (0..4).map(|producer| plan.share(producer)).collect();
        assert_eq!(shares, [Some(3), Some(3), Some(2), Some(2)]);
        let deliveries: Vec<_> = (0..3).map(|index| plan.deliveries(index)).collect();
        assert_eq!(deliveries, [1, 1, 0]);
        assert_eq!(plan.time, TIME_MAX);
    }

    #[test]
    fn what_a_producer_waits_for_follows_from_the_options() {
        let natural = |number| NonZeroU64::new(number).expect("not 0");
        let cases = [
            ("--receipts 0", Pace::Stream),
            ("--receipts 7", Pace::Window(natural(7))),
            ("--transaction 7", Pace::Transaction(natural(7))),
            (
                "--rate 0.5 --receipts 1",
                Pace::Rate {
                    per_second: 0.5,
                    receipts: true,
                },
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(plan(options).pace, expected, "{options}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let cases = [
            "--queues 1 --topics 1",
            "--destination a --queues 1",
            "--send-only --drain-only",
            "--send-only --consumers 2",
            "--drain-only --receipts 1",
            "--persistent --non-persistent",
            "--transaction 5 --receipts 1",
            "--transaction 5 --rate 1",
            "--transaction 0",
            "--size 27",
            "--rate 0",
            "--rate nan",
            "--login a",
            "suite",
            "suite --to a=b --rows S99",
        ];
        for options in cases {
            assert!(parse(options).is_err(), "{options}");
        }
    }
}
