//! What a receipt promises, proved on a disk that is slow or fails: no RECEIPT of a persistent SEND, of ACK, NACK or
//! COMMIT leaves before a disk sync that began after the frame was sent has returned (dialect, section 2).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::slow_sync::SlowSync;
use stompbox_tests::wire::{Frame, Version, Wire, WireError};
use tempfile::TempDir;

const DELAY: Duration = Duration::from_millis(300);
/// What a receipt must take at least; less than the delay by what timers may be early.
const AT_LEAST: Duration = Duration::from_millis(280);
const PATIENCE: Duration = Duration::from_secs(10);

const PERSISTENT: [(&str, &str); 1] = [("persistent", "true")];

struct Bench {
    broker: Broker,
    disk: SlowSync,
    _folder: TempDir,
}

impl Bench {
    fn start() -> Result<Bench> {
        let folder = TempDir::with_prefix("stompbox-sync-")?;
        let disk = SlowSync::build(folder.path())?;
        let launch = Launch::new(env!("CARGO_BIN_EXE_stompbox-under-test"));
        let broker = disk.applied_to(launch).start();
        Ok(Bench {
            broker,
            disk,
            _folder: folder,
        })
    }

    fn connect(&self) -> Wire {
        Wire::connect(self.broker.stomp(), Version::V12)
    }

    /// Makes the disk slow once it rests.
    fn slow_down(&self) -> Result<()> {
        self.disk.await_rest(PATIENCE)?;
        self.disk.delay(DELAY)
    }

    /// Sends a frame and checks that its receipt waited for a sync that began after it.
    fn check_waits(
        &self,
        wire: &mut Wire,
        command: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<()> {
        self.disk.await_rest(PATIENCE)?;
        let moment = self.disk.now()?;
        let sent = Instant::now();
        wire.request(command, headers, body.as_bytes());
        let synced = self.disk.ended_since(moment)?;
        let took = sent.elapsed();
        ensure!(
            synced && took >= AT_LEAST,
            "{command} {headers:?}: receipt after {took:?}, synced: {synced}\n{:#?}\n{}",
            self.disk.syncs()?,
            wire.transcript(),
        );
        Ok(())
    }

    /// Sends a frame and checks that its receipt came while a sync would still have taken its time.
    fn check_does_not_wait(
        &self,
        wire: &mut Wire,
        command: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<()> {
        let sent = Instant::now();
        wire.request(command, headers, body.as_bytes());
        let took = sent.elapsed();
        ensure!(
            took < DELAY / 2,
            "{command} {headers:?}: receipt only after {took:?}"
        );
        Ok(())
    }
}

/// A queue with this many messages, and a subscription that holds them all.
fn filled(bench: &Bench, queue: &str, count: usize) -> (Wire, Vec<Frame>) {
    let mut wire = bench.connect();
    for number in 0..count {
        wire.send_receipted(queue, &PERSISTENT, &format!("m{number}"));
    }
    wire.subscribe("s", queue, "client-individual");
    let messages = (0..count).map(|_| wire.expect_message()).collect();
    (wire, messages)
}

#[test]
fn receipt_of_persistent_send_waits_for_its_sync() -> Result<()> {
    let bench = Bench::start()?;
    let mut wire = bench.connect();
    wire.send_receipted("/queue/sync", &[], "creates the queue");
    bench.slow_down()?;
    for headers in [
        &[("destination", "/queue/sync")][..],
        &[("destination", "/queue/sync"), ("persistent", "true")],
        &[("destination", "/queue/sync.new")],
    ] {
        bench.check_waits(&mut wire, "SEND", headers, "body")?;
    }
    Ok(())
}

#[test]
fn receipt_of_send_during_a_sync_waits_for_the_next_one() -> Result<()> {
    let bench = Bench::start()?;
    let (mut first, mut second) = (bench.connect(), bench.connect());
    first.send_receipted("/queue/sync", &[], "creates the queue");
    bench.slow_down()?;

    let moment = bench.disk.now()?;
    first.send("SEND\ndestination:/queue/sync\npersistent:true\nreceipt:first\n\none^@");
    bench.disk.await_begin(moment, PATIENCE)?;
    let during = bench.disk.now()?;
    second.send_receipted("/queue/sync", &PERSISTENT, "two");
    ensure!(
        bench.disk.ended_since(during)?,
        "{:#?}",
        bench.disk.syncs()?
    );
    first.expect_receipt("first");
    Ok(())
}

#[test]
fn receipt_of_non_persistent_send_does_not_wait() -> Result<()> {
    let bench = Bench::start()?;
    let mut wire = bench.connect();
    wire.send_receipted("/queue/sync", &[], "creates the queue");
    bench.slow_down()?;
    let volatile = [("destination", "/queue/sync"), ("persistent", "false")];
    bench.check_does_not_wait(&mut wire, "SEND", &volatile, "body")?;
    // Nor while a sync is under way for another connection.
    let mut other = bench.connect();
    let moment = bench.disk.now()?;
    other.send("SEND\ndestination:/queue/sync\npersistent:true\nreceipt:other\n\nbody^@");
    bench.disk.await_begin(moment, PATIENCE)?;
    bench.check_does_not_wait(&mut wire, "SEND", &volatile, "body")?;
    other.expect_receipt("other");
    Ok(())
}

#[test]
fn receipt_of_ack_and_nack_waits_for_its_sync() -> Result<()> {
    let bench = Bench::start()?;
    let (mut wire, messages) = filled(&bench, "/queue/sync", 4);
    bench.slow_down()?;
    let ids: Vec<&str> = messages
        .iter()
        .filter_map(|message| message.header("ack"))
        .collect();
    ensure!(ids.len() == 4, "a MESSAGE without ack header: {messages:?}");
    bench.check_waits(&mut wire, "ACK", &[("id", ids[0])], "")?;
    let to_dead_letters = [("id", ids[1]), ("requeue", "false")];
    bench.check_waits(&mut wire, "NACK", &to_dead_letters, "")?;
    // A counted failure is part of what NACK settles.
    let later = [("id", ids[2]), ("x-delay", "60000")];
    bench.check_waits(&mut wire, "NACK", &later, "")
}

#[test]
fn receipt_of_cumulative_ack_waits_for_its_sync() -> Result<()> {
    let bench = Bench::start()?;
    let mut wire = bench.connect();
    for number in 0..10 {
        wire.send_receipted("/queue/sync", &PERSISTENT, &format!("m{number}"));
    }
    wire.subscribe("s", "/queue/sync", "client");
    let messages: Vec<Frame> = (0..10).map(|_| wire.expect_message()).collect();
    bench.slow_down()?;
    let id = messages[9].header("ack").unwrap_or_default();
    bench.check_waits(&mut wire, "ACK", &[("id", id)], "")
}

#[test]
fn receipt_of_commit_waits_for_its_sync_and_those_inside_do_not() -> Result<()> {
    let bench = Bench::start()?;
    let (mut wire, messages) = filled(&bench, "/queue/sync.in", 1);
    wire.send_receipted("/queue/sync.out", &[], "creates the queue");
    bench.slow_down()?;
    let id = messages[0].header("ack").unwrap_or_default();
    let inside = [("id", id), ("transaction", "t")];
    let output = [
        ("destination", "/queue/sync.out"),
        ("persistent", "true"),
        ("transaction", "t"),
    ];
    bench.check_does_not_wait(&mut wire, "BEGIN", &[("transaction", "t")], "")?;
    bench.check_does_not_wait(&mut wire, "ACK", &inside, "")?;
    bench.check_does_not_wait(&mut wire, "SEND", &output, "body")?;
    bench.check_waits(&mut wire, "COMMIT", &[("transaction", "t")], "")
}

/// Removal and arrival are one change: a crash before it must find no trace of the arrival.
#[test]
fn dead_letter_is_delivered_when_its_removal_is_durable() -> Result<()> {
    let bench = Bench::start()?;
    let (mut wire, messages) = filled(&bench, "/queue/sync", 1);
    let mut undertaker = bench.connect();
    undertaker.subscribe("dead", "/queue/ActiveMQ.DLQ", "client-individual");
    bench.slow_down()?;
    let moment = bench.disk.now()?;
    let id = messages[0].header("ack").unwrap_or_default();
    wire.send(&format!("NACK\nid:{id}\nrequeue:false\n\n^@"));
    undertaker.expect_message();
    ensure!(
        bench.disk.ended_since(moment)?,
        "{:#?}",
        bench.disk.syncs()?
    );
    Ok(())
}

#[test]
fn receipt_of_disconnect_waits_for_what_was_sent_before() -> Result<()> {
    let bench = Bench::start()?;
    let mut wire = bench.connect();
    wire.send_receipted("/queue/sync", &[], "creates the queue");
    bench.slow_down()?;
    let moment = bench.disk.now()?;
    wire.send("SEND\ndestination:/queue/sync\npersistent:true\n\nbody^@");
    wire.request("DISCONNECT", &[], b"");
    ensure!(
        bench.disk.ended_since(moment)?,
        "{:#?}",
        bench.disk.syncs()?
    );
    Ok(())
}

#[test]
fn failed_sync_promises_nothing_more_and_stops_the_process_with_4() -> Result<()> {
    let mut bench = Bench::start()?;
    let (mut wire, messages) = filled(&bench, "/queue/sync.acked", 2);
    let mut kept = Vec::new();
    for number in 0..50 {
        kept.push(format!("kept {number}"));
        wire.send_receipted("/queue/sync", &PERSISTENT, &kept[number]);
    }
    wire.ack(&messages[0], &[]);
    bench.disk.await_rest(PATIENCE)?;
    bench.disk.fail()?;

    let mut second = bench.connect();
    // The process may be gone before all of these are written.
    let id = messages[1].header("ack").unwrap_or_default();
    let _ = wire.try_send("SEND\ndestination:/queue/sync\npersistent:true\nreceipt:lost\n\nlost^@");
    let _ = wire.try_send(&format!("ACK\nid:{id}\nreceipt:lost\n\n^@"));
    let _ = second.try_send("BEGIN\ntransaction:t\n\n^@");
    let _ =
        second.try_send("SEND\ndestination:/queue/sync\npersistent:true\ntransaction:t\n\nlost^@");
    let _ = second.try_send("COMMIT\ntransaction:t\nreceipt:lost\n\n^@");
    let status = bench.broker.wait(PATIENCE);
    let code = status.and_then(|status| status.code());
    ensure!(code == Some(4), "expected exit code 4, got {status:?}");
    for connection in [&mut wire, &mut second] {
        check_no_receipt(connection)?;
    }

    bench.disk.pass()?;
    bench.broker.start_again();
    let mut wire = bench.connect();
    check_holds(&mut wire, "/queue/sync", &kept)?;
    // m1's acknowledgement is in doubt: a failed sync leaves open what reached the disk. m0's is not.
    wire.send_receipted("/queue/sync.acked", &[], "last");
    wire.subscribe("acked", "/queue/sync.acked", "client-individual");
    loop {
        let text = wire.expect_message().text();
        ensure!(
            text != "m0",
            "an acknowledged message came back\n{}",
            wire.transcript()
        );
        if text == "last" {
            return Ok(());
        }
    }
}

/// Reads a connection to its end: it may carry an ERROR, but no RECEIPT.
fn check_no_receipt(wire: &mut Wire) -> Result<()> {
    loop {
        match wire.try_next(PATIENCE) {
            Ok(frame) => ensure!(frame.command != "RECEIPT", "{}", wire.transcript()),
            Err(WireError::Closed) => return Ok(()),
            Err(error) => anyhow::bail!("{error}\n{}", wire.transcript()),
        }
    }
}

/// Checks that a queue begins with these bodies. What had no receipt may or may not follow: a failed sync leaves open
/// what reached the disk.
fn check_holds(wire: &mut Wire, queue: &str, bodies: &[String]) -> Result<()> {
    wire.subscribe(queue, queue, "client-individual");
    for body in bodies {
        let message = wire.expect_message();
        ensure!(message.text() == *body, "expected {body:?}, got {message}");
    }
    // Without the subscription what follows cannot be taken for the next queue's.
    wire.request("UNSUBSCRIBE", &[("id", queue)], b"");
    while wire
        .try_first(Duration::ZERO, |frame| frame.command == "MESSAGE")
        .is_ok()
    {}
    Ok(())
}
