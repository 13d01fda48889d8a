//! File handles run out: at the start, and while the broker runs.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use stompbox_tests::broker::Broker;
use stompbox_tests::bystander::Bystander;
use stompbox_tests::process::within;
use stompbox_tests::resident::Resident;
use stompbox_tests::wire::{PATIENCE, Wire};

use crate::fixture::{connect, eventually, start};
use crate::scene::{PROGRAM, check_refused};

#[test]
fn a_start_with_too_few_file_handles_is_refused_with_advice() -> Result<()> {
    for handles in ["16", "24", "64", "128"] {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", handles, PROGRAM])
            .args([
                "--stomp",
                "127.0.0.1:0",
                "--console",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(&data);
        let output = within(command, PATIENCE)?;
        let limit = format!("only {handles} file handles");
        check_refused(handles, &output, 1, &[&limit, "ulimit -n", "LimitNOFILE"])?;
        ensure!(!data.exists(), "a refused start has made a data folder");
    }
    Ok(())
}

fn set_handles(broker: &Broker, count: usize) -> Result<()> {
    let id = broker.process_id().expect("it runs").to_string();
    let limit = format!("--nofile={count}:");
    let set = Command::new("prlimit")
        .args(["--pid", &id, &limit])
        .status()?;
    ensure!(set.success(), "prlimit: {set}");
    Ok(())
}

/// From now on no further handle can be had.
fn take_handles(broker: &Broker) -> Result<()> {
    let resident = Resident(broker.process_id().expect("it runs"));
    set_handles(broker, resident.free_handle()?)
}

/// Sooner than was counted on at the start: other processes of the user, or an administrator, have taken them.
#[test]
fn handles_that_run_out_while_it_runs_keep_newcomers_waiting_and_disturb_nobody_else() -> Result<()>
{
    let mut broker = start();
    let bystander = Bystander::start(broker.stomp(), "/queue/bystander", 100);
    take_handles(&broker)?;
    let mut waiting: Vec<Wire> = (0..5).map(|_| Wire::open(broker.stomp())).collect();
    for wire in &mut waiting {
        wire.send("CONNECT\naccept-version:1.2\nhost:x\n\n^@");
    }
    eventually("it says so", || {
        let said = broker.output();
        (said.contains("no file handle is left") && said.contains("ulimit -n")).then_some(())
    });
    waiting[0].expect_nothing_for(Duration::from_millis(1_500));
    let lines = broker.output().matches("no file handle is left").count();
    ensure!(lines <= 3, "{lines} lines within 2 s");
    let seen = bystander.watch(Duration::from_millis(500));
    ensure!(seen.rate() >= 50.0, "{seen}");
    // Who waits is served as soon as there are handles.
    set_handles(&broker, 1_000)?;
    for wire in &mut waiting {
        wire.expect_frame("CONNECTED");
    }
    // A stop needs none.
    take_handles(&broker)?;
    ensure!(bystander.finish() > 0);
    let status = broker.terminate();
    ensure!(status.code() == Some(0), "{status}");
    broker.start_again();
    connect(&broker).disconnect();
    Ok(())
}
