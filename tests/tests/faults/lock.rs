//! Another program at the database: it holds the write lock, or reads an old snapshot. Nothing is lost meanwhile.

use std::fs::{self, File};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rusqlite::Connection;
use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::scale::Scale;

use crate::fixture::{connect, eventually, launch, overview, start_watched};
use crate::scene::{KEPT, PROGRAM, Scene, command};

fn stranger(broker: &Broker) -> Result<Connection> {
    Ok(Connection::open(broker.data().join("stompbox.db"))?)
}

fn fill(broker: &Broker) {
    let mut wire = connect(broker);
    for body in KEPT {
        wire.send_receipted("/queue/kept", &[], body);
    }
    wire.disconnect();
}

fn check_kept(broker: &Broker) -> Result<()> {
    let mut wire = connect(broker);
    wire.subscribe("kept", "/queue/kept", "client-individual");
    for body in KEPT {
        let message = wire.expect_message();
        ensure!(message.text() == body, "expected {body}, got {message}");
    }
    Ok(())
}

#[test]
fn a_start_waits_for_a_program_that_holds_the_write_lock_and_says_so() -> Result<()> {
    const HELD: Duration = Duration::from_secs(1);
    let mut broker = launch().start();
    fill(&broker);
    ensure!(broker.terminate().success());
    let stranger = stranger(&broker)?;
    stranger.execute_batch("BEGIN IMMEDIATE")?;
    let began = Instant::now();
    thread::scope(|scope| {
        let release = scope.spawn(move || {
            thread::sleep(HELD);
            stranger.execute_batch("ROLLBACK")
        });
        broker.start_again();
        release.join().expect("no panic")
    })?;
    ensure!(began.elapsed() >= HELD, "it did not wait");
    let said = broker.output();
    ensure!(
        said.contains("the start waits") && said.contains("is locked by another program"),
        "{said}"
    );
    check_kept(&broker)
}

#[test]
fn a_start_that_waits_for_a_lock_can_be_stopped() -> Result<()> {
    let scene = Scene::new()?;
    let stranger = Connection::open(scene.database())?;
    stranger.execute_batch("BEGIN IMMEDIATE")?;
    let log = scene.data().with_file_name("log");
    let mut waiting = command(PROGRAM.as_ref(), &scene.data())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .spawn()?;
    eventually("it says that it waits", || {
        let said = fs::read_to_string(&log).ok()?;
        said.contains("the start waits").then_some(())
    });
    let id = waiting.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status()?;
    ensure!(sent.success());
    let status = eventually("it has ended", || waiting.try_wait().ok().flatten());
    ensure!(status.code() == Some(5), "{status}");
    Ok(())
}

#[test]
fn commits_wait_for_a_program_that_holds_the_write_lock_and_nothing_else_does() -> Result<()> {
    let launch = Launch::new(PROGRAM).configuration("[stomp]\nstop_deadline = \"1s\"\n");
    let mut broker = launch.start();
    fill(&broker);
    let mut wire = connect(&broker);
    wire.send_receipted(
        "/queue/other",
        &[("persistent", "false")],
        "makes the queue",
    );
    let stranger = stranger(&broker)?;
    stranger.execute_batch("BEGIN IMMEDIATE")?;
    wire.send("SEND\ndestination:/queue/kept.too\nreceipt:waits\n\nfour^@");
    let mut beside = connect(&broker);
    beside.subscribe("s", "/queue/other", "client-individual");
    beside.expect_message();
    beside.send_receipted("/topic/any", &[("persistent", "false")], "");
    wire.expect_nothing_for(Duration::from_millis(1_200));
    let said = broker.output();
    let times = said.matches("another process holds the database").count();
    ensure!(times == 1, "said {times} times: {said}");
    stranger.execute_batch("ROLLBACK")?;
    wire.expect_receipt("waits");

    // Held until the deadline of a stop: the rest is left to recovery.
    stranger.execute_batch("BEGIN IMMEDIATE")?;
    wire.send("SEND\ndestination:/queue/kept.too\nreceipt:never\n\nfive^@");
    let began = Instant::now();
    let status = broker.terminate();
    ensure!(status.code() == Some(5), "{status}");
    ensure!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    drop(stranger);
    broker.start_again();
    check_kept(&broker)?;
    let mut wire = connect(&broker);
    wire.subscribe("too", "/queue/kept.too", "client-individual");
    ensure!(wire.expect_message().text() == "four");
    Ok(())
}

#[test]
fn an_old_snapshot_holds_up_nothing_but_the_log() -> Result<()> {
    const BODY: usize = 60_000;
    let count = Scale::asked_for().of(200, 6_000);
    let mut broker = start_watched("");
    fill(&broker);
    let stranger = stranger(&broker)?;
    let seen = || -> Result<i64> {
        Ok(stranger.query_row("SELECT count(*) FROM entry", [], |row| row.get(0))?)
    };
    stranger.execute_batch("BEGIN")?;
    ensure!(seen()? == 3);
    let log_bytes = |broker: &Broker| {
        let log = broker.data().join("stompbox.db-wal");
        fs::metadata(log).map_or(0, |log| log.len())
    };
    let mut wire = connect(&broker);
    let body = "x".repeat(BODY);
    for _ in 0..count {
        wire.send_receipted("/queue/flow", &[], &body);
    }
    ensure!(seen()? == 3, "a snapshot does not change");
    let held = log_bytes(&broker);
    ensure!(held >= (count * BODY) as u64, "{held}");
    if held > 256 << 20 {
        let said = broker.output();
        ensure!(said.contains("a reader keeps the log"), "{said}");
    }
    // A stop is clean although the log stays, and so is a start.
    let status = broker.terminate();
    ensure!(status.code() == Some(0), "{status}");
    ensure!(log_bytes(&broker) >= held, "the stranger still reads it");
    broker.start_again();
    stranger.execute_batch("COMMIT")?;
    check_kept(&broker)?;
    let depth = eventually("all is there", || {
        Some(overview(&broker, "depth")).filter(|depth| *depth > 3)
    });
    ensure!(depth == 3 + count as u64, "{depth}");
    let status = broker.terminate();
    ensure!(
        status.code() == Some(0) && log_bytes(&broker) == 0,
        "{status}"
    );
    Ok(())
}
