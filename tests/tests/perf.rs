//! `stompbox perf` against a real broker: what it counts is what was sent.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use stompbox_tests::broker::{Broker, Console, Launch};
use stompbox_tests::wire::{Version, Wire};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stompbox-under-test");

fn start() -> Broker {
    Launch::new(PROGRAM).console(Console::None).start()
}

fn run(broker: &Broker, options: &str) -> Result<Output> {
    Command::new(PROGRAM)
        .args(["perf", "--json", "--quiet", "1s", "--to"])
        .arg(broker.stomp().to_string())
        .args(options.split_whitespace())
        .output()
        .context("cannot run perf")
}

/// Runs a load and returns its report.
fn report(broker: &Broker, options: &str) -> Result<Value> {
    let output = run(broker, options)?;
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).with_context(|| format!("{options}: no JSON: {output:?}"))
}

/// Runs a load that must succeed, and compares counts of its report.
fn check(broker: &Broker, options: &str, expected: &[(&str, u64)]) -> Result<Value> {
    let report = report(broker, options)?;
    ensure!(report["complete"] == true, "{options}: {report:#}");
    for wrong in ["duplicated", "out_of_order", "foreign"] {
        ensure!(report[wrong] == 0, "{options}: {wrong}: {report:#}");
    }
    for (name, count) in expected {
        ensure!(
            report[name] == *count,
            "{options}: {name} is not {count}: {report:#}"
        );
    }
    Ok(report)
}

#[test]
fn every_message_of_a_load_is_accounted_for() -> Result<()> {
    let broker = start();
    let all = |sent, received| {
        [
            ("sent", sent),
            ("confirmed", sent),
            ("received", received),
            ("lost", 0),
        ]
    };
    let cases = [
        ("--messages 3000 --receipts 100", all(3000, 3000)),
        (
            "--messages 2000 --receipts 1 --size 28 --non-persistent",
            all(2000, 2000),
        ),
        (
            "--messages 3000 --topics 1 --consumers 3 --non-persistent",
            all(3000, 9000),
        ),
        (
            "--messages 3001 --queues 3 --producers 3 --consumers 6 --receipts 64 --ack client-individual",
            all(3001, 3001),
        ),
        (
            "--messages 1050 --transaction 100 --ack client --prefetch 50",
            all(1050, 1050),
        ),
        (
            "--messages 300 --rate 2000 --producers 2 --receipts 1",
            all(300, 300),
        ),
        ("--messages 300 --rate 2000 -H priority:9", all(300, 300)),
        ("--messages 20 --size 600000 --receipts 5", all(20, 20)),
    ];
    for (options, expected) in cases {
        check(&broker, options, &expected)?;
    }
    Ok(())
}

#[test]
fn latencies_are_of_messages_and_of_receipts() -> Result<()> {
    let broker = start();
    let with_receipts = report(&broker, "--messages 500 --receipts 10")?;
    for name in ["receipt_us", "delivery_us"] {
        let summary = &with_receipts[name];
        ensure!(summary["count"] == 500, "{name}: {with_receipts:#}");
        let percentiles = ["p50", "p90", "p99", "p999", "max"].map(|p| summary[p].as_u64());
        ensure!(
            percentiles.is_sorted() && percentiles[0] > Some(0),
            "{name}: {summary}"
        );
    }
    let without = report(&broker, "--messages 500")?;
    ensure!(without["receipt_us"].is_null(), "{without:#}");
    Ok(())
}

#[test]
fn a_backlog_is_drained_by_another_run() -> Result<()> {
    let broker = start();
    let load = "--destination backlog --messages 5000 --receipts 500 --send-only";
    let sent = check(
        &broker,
        load,
        &[("sent", 5000), ("confirmed", 5000), ("received", 0)],
    )?;
    ensure!(sent["lost"].is_null(), "nobody received: {sent:#}");
    let drain = "--destination backlog --drain-only --messages 5000 --ack client-individual";
    check(&broker, drain, &[("received", 5000), ("lost", 0)])?;
    let nothing_left = "--destination backlog --drain-only --seconds 5";
    check(&broker, nothing_left, &[("received", 0)])?;
    Ok(())
}

#[test]
fn a_message_that_does_not_come_is_lost_and_one_of_others_is_foreign() -> Result<()> {
    let broker = start();
    let mut wire = Wire::connect(broker.stomp(), Version::V12);
    wire.request(
        "SEND",
        &[("destination", "/queue/mixed")],
        b"not of the load",
    );
    let drain = "--destination mixed --drain-only --messages 2";
    let output = run(&broker, drain)?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["foreign"] == 1 && report["lost"] == 2, "{report:#}");
    ensure!(output.status.code() == Some(1), "{output:?}");
    Ok(())
}

#[test]
fn a_load_that_the_broker_refuses_says_why() -> Result<()> {
    let mut broker = start();
    let refused = report(&broker, "--messages 10 --receipts 1 -H priority:high")?;
    let errors = refused["errors"].to_string();
    ensure!(errors.contains("priority"), "{refused:#}");
    ensure!(refused["complete"] == false, "{refused:#}");
    broker.terminate();
    let unreachable = report(&broker, "--messages 10")?;
    let errors = unreachable["errors"].to_string();
    ensure!(errors.contains("cannot connect"), "{unreachable:#}");
    Ok(())
}

#[test]
fn an_interrupted_load_prints_what_it_measured() -> Result<()> {
    let broker = start();
    let mut wire = Wire::connect(broker.stomp(), Version::V12);
    wire.subscribe("0", "/queue/long", "auto");
    let child = Command::new(PROGRAM)
        .args(["perf", "--json", "--destination", "long", "--send-only"])
        .args([
            "--rate",
            "200",
            "--receipts",
            "1",
            "--seconds",
            "60",
            "--to",
        ])
        .arg(broker.stomp().to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    wire.expect_message();
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()?;
    ensure!(interrupted.success(), "cannot interrupt: {interrupted}");
    let output = child.wait_with_output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["complete"] == false, "{report:#}");
    ensure!(report["sent"].as_u64() > Some(0), "{report:#}");
    ensure!(report["errors"] == serde_json::json!([]), "{report:#}");
    Ok(())
}
