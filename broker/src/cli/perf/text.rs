//! Figures as people read them.

use std::fmt::Write as _;

use super::latency::Summary;
use super::report::Report;

/// The report of a load, a few lines.
pub(super) fn report(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        writeln!(text, "{name:<10}{value}").ok();
    };
    if report.sent > 0 {
        let confirmed = match report.sent - report.confirmed.min(report.sent) {
            0 => String::new(),
            missing => format!(", {} not confirmed", grouped(missing)),
        };
        line("sent", rate(report.sent, report.send_rate) + &confirmed);
    }
    if report.received > 0 {
        line("received", rate(report.received, report.receive_rate));
    }
    for (name, summary) in [
        ("receipt", &report.receipt_us),
        ("delivery", &report.delivery_us),
    ] {
        if let Some(summary) = summary {
            line(name, percentiles(summary));
        }
    }
    line("checks", checks(report));
    if !report.complete {
        line(
            "",
            "ended early: these are the figures up to then".to_owned(),
        );
    }
    for error in &report.errors {
        line("error", error.clone());
    }
    text
}

fn rate(count: u64, per_second: f64) -> String {
    let per_second = grouped(per_second.round() as u64);
    format!("{:>14} messages {per_second:>12}/s", grouped(count))
}

fn percentiles(summary: &Summary) -> String {
    let values = [
        ("p50", summary.p50),
        ("p90", summary.p90),
        ("p99", summary.p99),
        ("p99.9", summary.p999),
        ("max", summary.max),
    ];
    let values = values.map(|(name, us)| format!("{name} {}", duration(us)));
    values.join("  ")
}

fn checks(report: &Report) -> String {
    let lost = report.lost.map_or("?".to_owned(), grouped);
    let mut text = format!(
        "lost {lost}, duplicated {}, out of order {}",
        grouped(report.duplicated),
        grouped(report.out_of_order)
    );
    for (name, count) in [
        ("redelivered", report.redelivered),
        ("foreign", report.foreign),
    ] {
        if count > 0 {
            write!(text, ", {name} {}", grouped(count)).ok();
        }
    }
    text
}

/// A time with three digits or so.
pub(super) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// A number with a comma after every three digits from the right.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let cases = [(7, "7 us"), (1_250, "1.2 ms"), (2_500_000, "2.5 s")];
        for (us, expected) in cases {
            assert_eq!(duration(us), expected);
        }
    }
}
