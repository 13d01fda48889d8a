//! A full disk: what is sent is refused, what was receipted is there and can be consumed, and when there is room it
//! goes on. A disk that fails is in `sync.rs`.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::small_disk::{SmallDisk, tmpfs_is_allowed};
use stompbox_tests::wire::{Frame, Wire};
use tempfile::TempDir;

use crate::fixture::{connect, eventually};
use crate::scene::PROGRAM;

const CONFIGURATION: &str = "[store]\ndisk_reserve = \"1 MiB\"\ndisk_resume = \"2 MiB\"\n";
const MIB: u64 = 1 << 20;
const QUEUE: &str = "/queue/disk";

struct Bench {
    broker: Broker,
    disk: SmallDisk,
    _folder: TempDir,
}

impl Bench {
    fn start() -> Result<Bench> {
        let folder = TempDir::with_prefix("stompbox-disk-")?;
        let disk = SmallDisk::build(folder.path())?;
        let launch = Launch::new(PROGRAM).configuration(CONFIGURATION);
        let broker = disk.applied_to(launch).start();
        Ok(Bench {
            broker,
            disk,
            _folder: folder,
        })
    }

    /// Leaves so much of the disk and sends until it is full. Returns the bodies that have their receipt.
    fn fill(&self, bytes: u64) -> Result<VecDeque<String>> {
        self.disk.leave(&self.broker.data(), bytes)?;
        fill(&self.broker)
    }
}

/// Sends until the disk is full. Returns the bodies that have their receipt.
fn fill(broker: &Broker) -> Result<VecDeque<String>> {
    let mut wire = connect(broker);
    let mut receipted = VecDeque::new();
    for number in 0..100_000 {
        let body = format!("{number} {}", "x".repeat(10_000));
        match send(&mut wire, &body)?.command.as_str() {
            "RECEIPT" => receipted.push_back(body),
            _ => return Ok(receipted),
        }
    }
    anyhow::bail!("the disk is never full")
}

/// Sends one message; the answer is its receipt, or an ERROR that tells of the disk.
fn send(wire: &mut Wire, body: &str) -> Result<Frame> {
    let receipt = wire.new_receipt();
    let headers = [("destination", QUEUE), ("receipt", &*receipt)];
    let frame = wire.encode("SEND", &headers, body.as_bytes());
    wire.send_raw(&frame);
    let answer = wire.next_frame();
    let of_the_disk = answer.command == "ERROR"
        && answer
            .header("message")
            .is_some_and(|it| it.contains("disk is full"));
    ensure!(answer.command == "RECEIPT" || of_the_disk, "{answer}");
    Ok(answer)
}

/// Consumes so many messages, each acknowledgement receipted, and checks that they are the first of these.
fn drain(broker: &Broker, count: usize, bodies: &mut VecDeque<String>) -> Result<()> {
    let mut wire = connect(broker);
    wire.subscribe("drain", QUEUE, "client-individual");
    for _ in 0..count {
        let message = wire.expect_message();
        let expected = bodies.pop_front();
        ensure!(Some(message.text()) == expected, "not the next message");
        let id = message.header("ack").unwrap_or_default();
        wire.request("ACK", &[("id", id)], b"");
    }
    wire.disconnect();
    Ok(())
}

fn await_room(broker: &Broker) {
    eventually("it takes messages again", || {
        let answer = send(&mut connect(broker), "last").ok()?;
        (answer.command == "RECEIPT").then_some(())
    });
}

#[test]
fn full_disk_refuses_senders_serves_consumers_and_goes_on_when_there_is_room() -> Result<()> {
    let bench = Bench::start()?;
    let mut bodies = bench.fill(3 * MIB)?;
    ensure!(bodies.len() > 50, "{} messages", bodies.len());
    ensure!(send(&mut connect(&bench.broker), "refused")?.command == "ERROR");
    let half = bodies.len() / 2;
    drain(&bench.broker, half, &mut bodies)?;
    bench.disk.lift(&bench.broker.data())?;
    await_room(&bench.broker);
    bodies.push_back("last".to_owned());
    drain(&bench.broker, bodies.len(), &mut bodies)?;
    let said = bench.broker.output();
    ensure!(
        said.contains("the disk is full") && said.contains("has room again"),
        "{said}"
    );
    Ok(())
}

#[test]
fn transaction_on_a_full_disk_is_refused_as_a_whole() -> Result<()> {
    let bench = Bench::start()?;
    let mut bodies = bench.fill(3 * MIB)?;
    let mut wire = connect(&bench.broker);
    wire.subscribe("s", QUEUE, "client-individual");
    let message = wire.expect_message();
    let id = message.header("ack").unwrap_or_default().to_owned();
    wire.send("BEGIN\ntransaction:t\n\n^@");
    wire.send(&format!("ACK\nid:{id}\ntransaction:t\n\n^@"));
    wire.send("SEND\ndestination:/queue/other\ntransaction:t\n\nbody^@");
    wire.send("COMMIT\ntransaction:t\nreceipt:c\n\n^@");
    let answer = wire
        .try_first(stompbox_tests::wire::PATIENCE, |frame| {
            frame.command != "MESSAGE"
        })
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    ensure!(answer.command == "ERROR", "{answer}");
    // What it acknowledged is back, in its place.
    drain(&bench.broker, 10, &mut bodies)?;
    bench.disk.lift(&bench.broker.data())?;
    await_room(&bench.broker);
    // And nothing came before this into the other queue.
    let mut wire = connect(&bench.broker);
    wire.send_receipted("/queue/other", &[], "later");
    wire.subscribe("o", "/queue/other", "auto");
    let first = wire.expect_message().text();
    ensure!(first == "later", "{first}");
    Ok(())
}

/// The others fill a disk that says that it is full; this one is.
#[test]
fn file_system_without_room_refuses_senders_and_goes_on_when_it_is_drained() -> Result<()> {
    if !tmpfs_is_allowed()? {
        return Ok(());
    }
    let broker = Launch::new(PROGRAM)
        .configuration(CONFIGURATION)
        .tmpfs(16)
        .start();
    let mut bodies = fill(&broker)?;
    ensure!(bodies.len() > 300, "{} messages", bodies.len());
    drain(&broker, bodies.len(), &mut bodies)?;
    await_room(&broker);
    bodies.push_back("last".to_owned());
    drain(&broker, 1, &mut bodies)?;
    let said = broker.output();
    ensure!(
        said.contains("the disk is full") && said.contains("has room again"),
        "{said}"
    );
    Ok(())
}

#[test]
fn broker_that_is_killed_on_a_full_disk_starts_there_and_is_drained() -> Result<()> {
    let mut bench = Bench::start()?;
    let mut bodies = bench.fill(12 * MIB)?;
    drain(&bench.broker, 20, &mut bodies)?;
    bench.broker.kill();
    // Too little for a reserve, enough to start.
    bench.disk.leave(&bench.broker.data(), MIB / 2)?;
    bench.broker.start_again();
    ensure!(send(&mut connect(&bench.broker), "refused")?.command == "ERROR");
    drain(&bench.broker, bodies.len(), &mut bodies)?;
    // What was in the database is free inside of it, more than is asked for: a reserve is all that is missing.
    bench.disk.leave(&bench.broker.data(), 2 * MIB)?;
    await_room(&bench.broker);
    Ok(())
}
