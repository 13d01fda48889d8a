//! The table of a suite, in Markdown: it is read as it is, and pasted as it is.

use std::fmt::Write as _;

use super::super::text::grouped;
use super::figure::{Comparison, Measured, Value};

/// Renders all rows.
pub(super) fn render(names: &[&str], comparisons: &[Comparison]) -> String {
    let mut text = String::from("| row | work |");
    for name in names {
        write!(text, " {name} | of the bound |").ok();
    }
    text.push_str(" bound | aim | reached |\n|---|---|");
    text.push_str(&"---|---|".repeat(names.len()));
    text.push_str("---|---|---|\n");
    for comparison in comparisons {
        text.push_str(&line(comparison));
    }
    text.push_str(&remarks(comparisons));
    text
}

fn line(comparison: &Comparison) -> String {
    let mut text = format!("| {} | {} |", comparison.row, comparison.work);
    for broker in &comparison.brokers {
        let ratio = broker
            .ratio
            .map_or(String::new(), |ratio| format!("{ratio:.2}"));
        write!(text, " {} | {ratio} |", cell(broker.median)).ok();
    }
    let reached = match comparison.brokers.first().and_then(|first| first.reached) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    let (bound, aim) = (cell(comparison.bound), cell(comparison.aim));
    writeln!(text, " {bound} | {aim} | {reached} |").ok();
    text
}

fn cell(value: Option<Value>) -> String {
    let whole = |value: f64| grouped(value.round() as u64);
    match value {
        None => "-".to_owned(),
        Some(Value::Rate(rate)) => whole(rate),
        Some(Value::Latency { p50_us, p99_us }) => format!("{} / {}", whole(p50_us), whole(p99_us)),
    }
}

/// What was lost and the like, by broker; one line when there was nothing.
fn remarks(comparisons: &[Comparison]) -> String {
    let mut text = String::new();
    for comparison in comparisons {
        for broker in &comparison.brokers {
            if let Some(remark) = remark(broker) {
                writeln!(text, "{} {}: {remark}", comparison.row, broker.name).ok();
            }
        }
    }
    if text.is_empty() {
        return "\nlost 0, duplicated 0, out of order 0 in all rounds\n".to_owned();
    }
    format!("\n{text}")
}

fn remark(broker: &Measured) -> Option<String> {
    let sum = |count: fn(&super::Report) -> u64| broker.rounds.iter().map(count).sum::<u64>();
    let counts = [
        ("lost", sum(|report| report.lost.unwrap_or(0))),
        ("duplicated", sum(|report| report.duplicated)),
        ("out of order", sum(|report| report.out_of_order)),
        (
            "rounds ended early",
            sum(|report| u64::from(!report.complete)),
        ),
    ];
    let wrong = counts.into_iter().filter(|(_, count)| *count > 0);
    let wrong: Vec<String> = wrong
        .map(|(name, count)| format!("{name} {}", grouped(count)))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}
