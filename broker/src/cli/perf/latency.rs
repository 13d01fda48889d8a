//! How long things took, as percentiles.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest that is told apart: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Values keep three digits, whatever their size.
const DIGITS: u8 = 3;

/// Latencies, in microseconds.
#[derive(Debug)]
pub(super) struct Latency {
    histogram: Histogram<u64>,
    /// The last value and how often it came in a row: messages that travel in one batch share theirs.
    row: (u64, u64),
}

impl Latency {
    pub(super) fn new() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS)
            .expect("invariant: constant bounds that the histogram allows");
        Latency {
            histogram,
            row: (0, 0),
        }
    }

    /// Enters one.
    pub(super) fn record_ns(&mut self, latency_ns: u64) {
        let value_us = latency_ns / 1000;
        if value_us == self.row.0 {
            self.row.1 += 1;
        } else {
            self.flush();
            self.row = (value_us, 1);
        }
    }

    fn flush(&mut self) {
        let (value_us, count) = std::mem::take(&mut self.row);
        if count > 0 {
            self.histogram.saturating_record_n(value_us, count);
        }
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, mut other: Latency) {
        self.flush();
        other.flush();
        self.histogram
            .add(&other.histogram)
            .expect("invariant: both have the same bounds");
    }

    /// The percentiles; [`None`] when there was nothing.
    pub(super) fn summary(mut self) -> Option<Summary> {
        self.flush();
        let histogram = &self.histogram;
        (!histogram.is_empty()).then(|| Summary {
            count: histogram.len(),
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.50),
            p90: histogram.value_at_quantile(0.90),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        })
    }
}

/// Percentiles, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Summary {
    /// How many there were.
    pub(super) count: u64,
    /// Their mean.
    pub(super) mean: f64,
    /// Half took at most this.
    pub(super) p50: u64,
    /// 90 % took at most this.
    pub(super) p90: u64,
    /// 99 % took at most this.
    pub(super) p99: u64,
    /// 99.9 % took at most this.
    pub(super) p999: u64,
    /// The longest.
    pub(super) max: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_parts() {
        let mut all = Latency::new();
        for half in [1..=500_u64, 501..=1000] {
            let mut part = Latency::new();
            for value_us in half {
                part.record_ns(value_us * 1000);
            }
            all.merge(part);
        }
        let summary = all.summary().expect("there were some");
        assert_eq!(summary.count, 1000);
        assert_eq!(
            [summary.p50, summary.p90, summary.p99, summary.max],
            [500, 900, 990, 1000]
        );
        assert!((summary.mean - 500.5).abs() < 0.01);
    }

    #[test]
    fn equal_ones_in_a_row_all_count() {
        let mut latency = Latency::new();
        for _ in 0..99 {
            latency.record_ns(20_000);
        }
        latency.record_ns(u64::MAX);
        let summary = latency.summary().expect("there were some");
        assert_eq!((summary.count, summary.p99), (100, 20));
        assert!(summary.max >= LONGEST_US);
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(Latency::new().summary(), None);
    }
}
