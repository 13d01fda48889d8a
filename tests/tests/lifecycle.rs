//! Starts and stops: every exit code of `docs/cli.md`, and what a stop leaves behind. 4 is in `sync.rs`.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::process::within;
use stompbox_tests::slow_sync::SlowSync;
use stompbox_tests::wire::{Frame, PATIENCE, Version, Wire};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stompbox-under-test");

const PERSISTENT: [(&str, &str); 1] = [("persistent", "true")];

fn start() -> Broker {
    Launch::new(PROGRAM).start()
}

fn connect(broker: &Broker) -> Wire {
    Wire::connect(broker.stomp(), Version::V12)
}

/// Starts a program that is expected to end by itself.
fn serve(arguments: &[&str], data: &Path) -> Result<Output> {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").arg("--data").arg(data).args(arguments);
    within(command, PATIENCE)
}

fn check_refused(output: &Output, code: i32, says: &[&str]) -> Result<()> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "expected exit code {code}, got {}: {complaint}",
        output.status
    );
    for text in says {
        ensure!(complaint.contains(text), "no {text:?} in: {complaint}");
    }
    // Who waits for a listener must not find one announced.
    ensure!(output.stdout.is_empty(), "{output:?}");
    Ok(())
}

fn check_stops_with(broker: &mut Broker, code: i32) -> Result<()> {
    let status = broker.terminate();
    ensure!(
        status.code() == Some(code),
        "expected exit code {code}, got {status}\n{}",
        broker.last_output()
    );
    Ok(())
}

/// The next message is this one, delivered so many times by now.
fn expect(wire: &mut Wire, body: &str, count: u32) -> Result<Frame> {
    let message = wire.expect_message();
    let count_text = count.to_string();
    let redelivered = if count > 1 { "true" } else { "false" };
    ensure!(
        message.text() == body
            && message.header("JMSXDeliveryCount") == Some(&count_text)
            && message.header("redelivered") == Some(redelivered),
        "expected delivery {count} of {body:?}, got {message}\n{}",
        wire.transcript()
    );
    Ok(message)
}

#[test]
fn port_in_use_is_exit_code_1_and_names_the_address() -> Result<()> {
    let first = start();
    let folder = TempDir::new()?;
    let stomp = first.stomp().to_string();
    let output = serve(&["--stomp", &stomp, "--console", "none"], folder.path())?;
    check_refused(&output, 1, &[&stomp, "--stomp"])?;
    let console = first.console().unwrap_or_default();
    let console = console.trim_start_matches("http://");
    let output = serve(
        &["--stomp", "127.0.0.1:0", "--console", console],
        folder.path(),
    )?;
    check_refused(&output, 1, &[console])
}

#[test]
fn mistake_in_the_configuration_is_exit_code_2_with_its_line() -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    let file = folder.path().join("stompbox.toml");
    std::fs::write(&file, "[stomp]\nlinger = \"1s\"\nlinge = \"1s\"\n")?;
    let path = file.to_string_lossy();
    let output = serve(&["--config", &path], &data)?;
    check_refused(&output, 2, &[&format!("{path}:3:"), "linge"])?;

    std::fs::write(&file, "[stomp]\nlinger = 'soon'\n\n[nonsense]\n")?;
    let output = serve(&["--config", &path], &data)?;
    check_refused(&output, 2, &[&format!("{path}:2:"), &format!("{path}:4:")])?;

    let output = serve(&["--config", "/nonexistent/stompbox.toml"], &data)?;
    check_refused(&output, 2, &["/nonexistent/stompbox.toml"])?;
    let output = serve(&["--nonsense"], &data)?;
    check_refused(&output, 2, &["--nonsense"])?;

    let mut command = Command::new(PROGRAM);
    command.env("STOMPBOX_STOMP_NONSENSE", "1");
    let output = within(command, PATIENCE)?;
    check_refused(&output, 2, &["STOMPBOX_STOMP_NONSENSE"])?;
    ensure!(!data.exists(), "a refused start has made a data folder");
    Ok(())
}

#[test]
fn data_folder_in_use_is_exit_code_3_and_harms_nobody() -> Result<()> {
    let mut first = start();
    let mut wire = connect(&first);
    wire.send_receipted("/queue/q", &PERSISTENT, "before");
    let output = serve(
        &["--stomp", "127.0.0.1:0", "--console", "none"],
        &first.data(),
    )?;
    let data = first.data();
    check_refused(&output, 3, &[&data.to_string_lossy()])?;
    wire.send_receipted("/queue/q", &PERSISTENT, "after");
    wire.subscribe("s", "/queue/q", "client-individual");
    expect(&mut wire, "before", 1)?;
    expect(&mut wire, "after", 1)?;
    check_stops_with(&mut first, 0)
}

#[test]
fn killed_broker_frees_its_folder_and_its_port() -> Result<()> {
    let mut first = start();
    let stomp = first.stomp().to_string();
    let wire = connect(&first);
    first.kill();
    drop(wire);
    let mut second = Launch::new(PROGRAM)
        .env("STOMPBOX_STOMP_LISTEN", &stomp)
        .start();
    check_stops_with(&mut second, 0)?;
    first.start_again();
    check_stops_with(&mut first, 0)
}

#[test]
fn receipts_in_flight_are_answered_before_a_stop() -> Result<()> {
    let folder = TempDir::new()?;
    let disk = SlowSync::build(folder.path())?;
    let mut broker = disk.applied_to(Launch::new(PROGRAM)).start();
    let (mut wire, mut consumer) = (connect(&broker), connect(&broker));
    wire.send_receipted("/queue/q", &PERSISTENT, "first");
    consumer.subscribe("s", "/queue/q", "client-individual");
    let first = expect(&mut consumer, "first", 1)?;
    disk.await_rest(PATIENCE)?;
    disk.delay(Duration::from_millis(300))?;

    let moment = disk.now()?;
    wire.send("SEND\ndestination:/queue/q\npersistent:true\nreceipt:send\n\nsecond^@");
    wire.send("BEGIN\ntransaction:t\n\n^@");
    wire.send("SEND\ndestination:/queue/q\npersistent:true\ntransaction:t\n\nthird^@");
    wire.send("COMMIT\ntransaction:t\nreceipt:commit\n\n^@");
    let id = first.header("ack").unwrap_or_default();
    consumer.send(&format!("ACK\nid:{id}\nreceipt:ack\n\n^@"));
    disk.await_begin(moment, PATIENCE)?;
    // All of it has been read: `second` is on its way to the consumer.
    consumer.expect_message();
    broker.signal("TERM");
    wire.expect_receipt("send");
    wire.expect_receipt("commit");
    wire.expect_closed();
    consumer.expect_receipt("ack");
    let status = broker.wait(PATIENCE).and_then(|status| status.code());
    ensure!(status == Some(0), "{status:?}\n{}", broker.last_output());

    disk.pass()?;
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/q", "client-individual");
    expect(&mut wire, "second", 2)?;
    let third = wire.expect_message();
    ensure!(third.text() == "third", "{third}");
    Ok(())
}

/// Deliveries are exact after a clean stop, and a stop is nobody's failure: by failures the message would be dead.
#[test]
fn stop_returns_what_is_in_flight_and_counts_no_failure() -> Result<()> {
    let mut broker = start();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/q", &PERSISTENT, "held");
    wire.send_receipted("/queue/never", &PERSISTENT, "never delivered");
    for count in 1..=9 {
        let mut wire = connect(&broker);
        wire.subscribe("s", "/queue/q", "client-individual");
        expect(&mut wire, "held", count)?;
        check_stops_with(&mut broker, 0)?;
        wire.expect_closed();
        broker.start_again();
    }
    let mut wire = connect(&broker);
    wire.subscribe("n", "/queue/never", "client-individual");
    expect(&mut wire, "never delivered", 1)?;
    Ok(())
}

/// After a crash the broker cannot know: everything persistent may have been delivered.
#[test]
fn kill_marks_everything_as_redelivered() -> Result<()> {
    let mut broker = start();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/never", &PERSISTENT, "never delivered");
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("n", "/queue/never", "client-individual");
    expect(&mut wire, "never delivered", 2)?;
    Ok(())
}

#[test]
fn stop_aborts_open_transactions() -> Result<()> {
    let mut broker = start();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/in", &PERSISTENT, "input");
    wire.subscribe("s", "/queue/in", "client-individual");
    let input = expect(&mut wire, "input", 1)?;
    wire.request("BEGIN", &[("transaction", "t")], b"");
    wire.ack(&input, &[("transaction", "t")]);
    wire.send_receipted("/queue/out", &[("transaction", "t")], "output");
    check_stops_with(&mut broker, 0)?;
    wire.expect_closed();

    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("in", "/queue/in", "client-individual");
    expect(&mut wire, "input", 2)?;
    wire.subscribe("out", "/queue/out", "client-individual");
    wire.send_receipted("/queue/out", &PERSISTENT, "later");
    expect(&mut wire, "later", 1)?;
    Ok(())
}

#[test]
fn stop_does_not_wait_for_clients_that_say_nothing() -> Result<()> {
    let mut broker = start();
    let _mute = Wire::open(broker.stomp());
    let mut halfway = connect(&broker);
    halfway.send_raw(b"SEND\ndestination:/queue/q\ncontent-length:1000\n\nhalf");
    let mut idle = connect(&broker);
    idle.subscribe("s", "/topic/t", "auto");
    let began = Instant::now();
    check_stops_with(&mut broker, 0)?;
    ensure!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    idle.expect_closed();
    Ok(())
}

/// The end of the dispatcher and its last answer are two events, in no certain order for who waits.
#[test]
fn every_clean_stop_is_exit_code_0() -> Result<()> {
    let mut broker = start();
    for _ in 0..25 {
        let mut wire = connect(&broker);
        wire.send_receipted("/queue/q", &PERSISTENT, "x");
        check_stops_with(&mut broker, 0)?;
        broker.start_again();
    }
    broker.signal("INT");
    let status = broker.wait(PATIENCE).and_then(|status| status.code());
    ensure!(status == Some(0), "SIGINT: {status:?}");
    Ok(())
}

/// A consumer that takes nothing although much is written to it, and a message that must survive what it does.
fn stuck(launch: Launch) -> Result<(Broker, Wire)> {
    let broker = launch.start();
    let mut producer = connect(&broker);
    producer.send_receipted("/queue/kept", &PERSISTENT, "kept");
    let body = "x".repeat(1_000_000);
    for _ in 0..40 {
        producer.send_receipted("/queue/stuck", &[("persistent", "false")], &body);
    }
    producer.disconnect();
    let mut stuck = connect(&broker);
    stuck.subscribe("s", "/queue/stuck", "client-individual");
    Ok((broker, stuck))
}

fn check_kept(broker: &mut Broker) -> Result<()> {
    broker.start_again();
    let mut wire = connect(broker);
    wire.subscribe("s", "/queue/kept", "client-individual");
    // What was cut short is recovered as after a crash.
    expect(&mut wire, "kept", 2)?;
    Ok(())
}

#[test]
fn stop_that_takes_too_long_is_exit_code_5() -> Result<()> {
    let folder = TempDir::with_prefix("stompbox-stop-")?;
    let disk = SlowSync::build(folder.path())?;
    let launch = Launch::new(PROGRAM).configuration("[stomp]\nstop_deadline = \"500ms\"\n");
    let mut broker = disk.applied_to(launch).start();
    let mut producer = connect(&broker);
    producer.send_receipted("/queue/kept", &PERSISTENT, "kept");
    disk.await_rest(PATIENCE)?;
    disk.delay(Duration::from_secs(3))?;
    let began = Instant::now();
    check_stops_with(&mut broker, 5)?;
    let took = began.elapsed();
    ensure!(
        took >= Duration::from_millis(500) && took < Duration::from_secs(5),
        "{took:?}"
    );
    disk.pass()?;
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/kept", "client-individual");
    // Whether the last commit has reached the disk nobody was told: both counts are right.
    let message = wire.expect_message();
    ensure!(message.body == b"kept", "{message:?}");
    Ok(())
}

/// A client that takes a byte now and then, or none, is given up before the deadline: the stop is clean.
#[test]
fn a_stuck_client_does_not_make_a_stop_unclean() -> Result<()> {
    let launch = Launch::new(PROGRAM).configuration("[stomp]\nstop_deadline = \"1s\"\n");
    let (mut broker, _stuck) = stuck(launch)?;
    check_stops_with(&mut broker, 0)
}

#[test]
fn second_signal_is_exit_code_5_at_once() -> Result<()> {
    let (mut broker, _stuck) = stuck(Launch::new(PROGRAM))?;
    broker.signal("TERM");
    let end = Instant::now() + PATIENCE;
    while !broker.output().contains("a second signal stops at once") {
        ensure!(Instant::now() < end, "{}", broker.last_output());
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(
        broker.wait(Duration::from_millis(300)).is_none(),
        "nothing was stuck\n{}",
        broker.last_output()
    );
    let began = Instant::now();
    broker.signal("INT");
    let status = broker.wait(PATIENCE).and_then(|status| status.code());
    ensure!(status == Some(5), "{status:?}\n{}", broker.last_output());
    ensure!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    check_kept(&mut broker)
}
