//! What a row came to for each broker, against its bound and its aim.

use serde::Serialize;

use super::super::report::Report;
use super::bound::{Bounds, median};
use super::row::{Bound, Figure, Row};
use super::{RELAY, Reports};

/// A broker in a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    row: &'static str,
    name: String,
}

impl Entry {
    pub(super) fn new(row: &'static str, name: &str) -> Entry {
        Entry {
            row,
            name: name.to_owned(),
        }
    }
}

/// A rate, or two percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// A second.
    Rate(f64),
    /// In microseconds.
    Latency {
        /// Half took at most this.
        p50_us: f64,
        /// 99 % took at most this.
        p99_us: f64,
    },
}

/// A row with all its figures.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// The row.
    pub(super) row: &'static str,
    /// What it does.
    pub(super) work: &'static str,
    /// What it is compared with.
    pub(super) bound: Option<Value>,
    /// What it should be, or better.
    pub(super) aim: Option<Value>,
    /// Each broker, in the order in which they were named.
    pub(super) brokers: Vec<Measured>,
}

/// A broker in a row.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    /// What it is called.
    pub(super) name: String,
    /// The median of all rounds.
    pub(super) median: Option<Value>,
    /// Its share of the bound; of p50 for latencies.
    pub(super) ratio: Option<f64>,
    /// Whether it reached the aim.
    pub(super) reached: Option<bool>,
    /// All rounds.
    pub(super) rounds: Vec<Report>,
}

impl Comparison {
    /// Puts a row together.
    pub(super) fn new(
        row: &'static Row,
        names: &[&str],
        reports: &Reports,
        bounds: &Bounds,
    ) -> Comparison {
        let bound = bound(row, reports, bounds);
        let aim = bound.map(|bound| aim(row, bound));
        let measured = names.iter().map(|name| {
            let rounds = reports.get(&Entry::new(row.id, name));
            let rounds = rounds.cloned().unwrap_or_default();
            let median = value(row.figure, &rounds);
            Measured {
                name: (*name).to_owned(),
                median,
                ratio: median.zip(bound).map(|(value, bound)| ratio(value, bound)),
                reached: median.zip(aim).map(|(value, aim)| reached(value, aim)),
                rounds,
            }
        });
        Comparison {
            row: row.id,
            work: row.work,
            bound,
            aim,
            brokers: measured.collect(),
        }
    }

    /// Whether nothing was lost, doubled, out of order or refused.
    pub(super) fn is_clean(&self) -> bool {
        let mut rounds = self.brokers.iter().flat_map(|broker| &broker.rounds);
        rounds.all(Report::is_clean)
    }
}

fn bound(row: &Row, reports: &Reports, bounds: &Bounds) -> Option<Value> {
    match (row.bound, row.figure) {
        (Bound::Relay(id), figure) => {
            let id = super::row::find(id)?.id;
            value(figure, reports.get(&Entry::new(id, RELAY))?)
        }
        (Bound::Probe(_), Figure::Receipt) => Some(Value::Latency {
            p50_us: bounds.get("commit_p50_us")?,
            p99_us: bounds.get("commit_p99_us")?,
        }),
        (Bound::Probe(name), Figure::Received | Figure::Sent) => bounds.get(name).map(Value::Rate),
    }
}

/// Latencies may be 150 us longer than the disk's at the median, and twice as long in one of a hundred.
fn aim(row: &Row, bound: Value) -> Value {
    match bound {
        Value::Rate(bound) => {
            let share = bound * row.aim.share;
            Value::Rate(
                row.aim
                    .absolute
                    .map_or(share, |absolute| absolute.min(share)),
            )
        }
        Value::Latency { p50_us, p99_us } => Value::Latency {
            p50_us: p50_us + 150.0,
            p99_us: p99_us * 2.0,
        },
    }
}

fn value(figure: Figure, rounds: &[Report]) -> Option<Value> {
    let of = |get: fn(&Report) -> Option<f64>| median(rounds.iter().filter_map(get).collect());
    match figure {
        Figure::Received => of(|report| Some(report.receive_rate)).map(Value::Rate),
        Figure::Sent => of(|report| Some(report.send_rate)).map(Value::Rate),
        Figure::Receipt => Some(Value::Latency {
            p50_us: of(|report| Some(report.receipt_us?.p50 as f64))?,
            p99_us: of(|report| Some(report.receipt_us?.p99 as f64))?,
        }),
    }
}

fn ratio(value: Value, bound: Value) -> f64 {
    match (value, bound) {
        (Value::Rate(value), Value::Rate(bound)) => value / bound,
        (Value::Latency { p50_us: value, .. }, Value::Latency { p50_us: bound, .. }) => {
            value / bound
        }
        (Value::Rate(_), Value::Latency { .. }) | (Value::Latency { .. }, Value::Rate(_)) => {
            f64::NAN
        }
    }
}

fn reached(value: Value, aim: Value) -> bool {
    match (value, aim) {
        (Value::Rate(value), Value::Rate(aim)) => value >= aim,
        (
            Value::Latency { p50_us, p99_us },
            Value::Latency {
                p50_us: aim_p50_us,
                p99_us: aim_p99_us,
            },
        ) => p50_us <= aim_p50_us && p99_us <= aim_p99_us,
        (Value::Rate(_), Value::Latency { .. }) | (Value::Latency { .. }, Value::Rate(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::find;
    use super::*;

    #[test]
    fn the_easier_of_two_aims_counts() {
        let row = find("S5").expect("a row");
        assert_eq!(aim(row, Value::Rate(100_000.0)), Value::Rate(80_000.0));
        assert_eq!(aim(row, Value::Rate(400_000.0)), Value::Rate(120_000.0));
    }

    #[test]
    fn a_latency_reaches_its_aim_with_both_percentiles() {
        let latency = |p50_us, p99_us| Value::Latency { p50_us, p99_us };
        let aim = aim(find("S12").expect("a row"), latency(300.0, 1000.0));
        assert_eq!(aim, latency(450.0, 2000.0));
        assert!(reached(latency(450.0, 1500.0), aim));
        assert!(!reached(latency(460.0, 1500.0), aim));
        assert!(!reached(latency(400.0, 2100.0), aim));
    }
}
