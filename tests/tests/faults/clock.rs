//! The wall clock jumps by hours, forwards and back. Expiry follows it, and nothing else does: redelivery delays,
//! heart-beats, time-outs and everybody's traffic go by a clock that cannot be set.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use stompbox_tests::broker::Broker;
use stompbox_tests::bystander::Bystander;
use stompbox_tests::jump_clock::JumpClock;
use stompbox_tests::wire::{Frame, Version, Wire};
use tempfile::TempDir;

use crate::fixture::{await_depth, connect, expect_quiet, header, launch};

const HOURS_MS: i64 = 5 * 60 * 60 * 1_000;

/// What the redelivery of a scene waits.
const DELAY: Duration = Duration::from_millis(1_500);

struct Clocked {
    broker: Broker,
    clock: JumpClock,
    _folder: TempDir,
}

impl Clocked {
    fn start() -> Result<Clocked> {
        let folder = TempDir::with_prefix("stompbox-clock-")?;
        let clock = JumpClock::build(folder.path())?;
        let launch = launch()
            .console(stompbox_tests::broker::Console::Open)
            .configuration("[stomp]\nheart_beat_min = \"100ms\"\nconnect_timeout = \"4s\"\n");
        Ok(Clocked {
            broker: clock.applied_to(launch).start(),
            clock,
            _folder: folder,
        })
    }

    fn connect(&self) -> Wire {
        connect(&self.broker)
    }
}

/// Takes the message of a queue, says NACK with a delay, and when that was.
fn nack(wire: &mut Wire, queue: &str) -> Instant {
    wire.send_receipted(queue, &[], "again");
    wire.subscribe(queue, queue, "client-individual");
    let message = wire.expect_message();
    let delay = DELAY.as_millis().to_string();
    wire.nack(&message, &[("x-delay", &delay)]);
    Instant::now()
}

/// Sends heart-beats for as long as `until`, and checks that they are answered.
fn check_alive(wire: &mut Wire, until: Instant) {
    while Instant::now() < until {
        wire.send("\n");
        std::thread::sleep(Duration::from_millis(50));
    }
    wire.send_receipted("/topic/alive", &[("persistent", "false")], "");
}

fn check_redelivered(wire: &mut Wire, nacked: Instant) -> Result<Frame> {
    let message = wire.expect_message();
    let waited = nacked.elapsed();
    ensure!(header(&message, "redelivered") == "true", "{message}");
    // Timers may be early by what a millisecond clock rounds.
    ensure!(
        waited + Duration::from_millis(20) >= DELAY && waited < DELAY * 3,
        "redelivered after {waited:?}"
    );
    Ok(message)
}

#[test]
fn a_clock_set_forwards_expires_what_is_due_by_it_and_moves_nothing_else() -> Result<()> {
    let scene = Clocked::start()?;
    let bystander = Bystander::start(scene.broker.stomp(), "/queue/bystander", 100);
    let mut beating = Wire::connect_with(
        scene.broker.stomp(),
        Version::V12,
        &[("heart-beat", "500,500")],
    );
    let mut stranger = Wire::open(scene.broker.stomp());
    let mut wire = scene.connect();
    let hour = [("ttl", "3600000")];
    wire.send_receipted("/queue/hour", &hour, "persistent");
    wire.send_receipted("/queue/hour", &[hour[0], ("persistent", "false")], "not");
    wire.send_receipted("/queue/day", &[("ttl", "86400000")], "a day");
    let nacked = nack(&mut wire, "/queue/again");

    scene.clock.set_ahead_ms(HOURS_MS)?;
    // Longer than twice what was agreed.
    check_alive(&mut beating, nacked + Duration::from_millis(1_200));
    check_redelivered(&mut wire, nacked)?;
    await_depth(&scene.broker, "hour", 0);
    await_depth(&scene.broker, "ActiveMQ.DLQ", 1);
    await_depth(&scene.broker, "day", 1);
    let mut late = scene.connect();
    late.subscribe("hour", "/queue/hour", "auto");
    expect_quiet(&mut late);
    late.subscribe("day", "/queue/day", "client-individual");
    ensure!(late.expect_message().text() == "a day");
    // What is sent now counts from now.
    late.send_receipted("/queue/hour", &hour, "fresh");
    ensure!(late.expect_message().text() == "fresh");
    // Nor is a connection older than it is.
    stranger.try_login(Version::V12, &[])?;
    ensure!(bystander.finish() > 0);
    Ok(())
}

#[test]
fn a_clock_set_back_expires_nothing_and_moves_nothing_else() -> Result<()> {
    let mut scene = Clocked::start()?;
    let bystander = Bystander::start(scene.broker.stomp(), "/queue/bystander", 100);
    let mut beating = Wire::connect_with(
        scene.broker.stomp(),
        Version::V12,
        &[("heart-beat", "500,500")],
    );
    let mut wire = scene.connect();
    wire.send_receipted("/queue/soon", &[("ttl", "1000")], "soon");
    let first_id = {
        let mut browser = scene.connect();
        browser.send_receipted("/queue/ids", &[], "first");
        browser.subscribe("s", "/queue/ids", "client-individual");
        header(&browser.expect_message(), "message-id").to_owned()
    };
    let nacked = nack(&mut wire, "/queue/again");

    scene.clock.set_ahead_ms(-HOURS_MS)?;
    // Longer than twice what was agreed.
    check_alive(&mut beating, nacked + Duration::from_millis(1_200));
    check_redelivered(&mut wire, nacked)?;
    // Two seconds later by the clock that counts elapsed time, but five hours before its expiry.
    let mut late = scene.connect();
    late.subscribe("soon", "/queue/soon", "client-individual");
    ensure!(late.expect_message().text() == "soon");
    drop(late);
    ensure!(bystander.finish() > 0);

    // A start in the past: everything is there, and no id comes twice.
    scene.broker.kill();
    scene.broker.start_again();
    let mut wire = scene.connect();
    wire.subscribe("soon", "/queue/soon", "client-individual");
    ensure!(wire.expect_message().text() == "soon");
    wire.send_receipted("/queue/ids", &[], "second");
    wire.subscribe("ids", "/queue/ids", "client-individual");
    let ids: Vec<String> = (0..2)
        .map(|_| header(&wire.expect_message(), "message-id").to_owned())
        .collect();
    ensure!(ids[0] == first_id && ids[1] != first_id, "{ids:?}");

    // Right again: what is over is over.
    wire.disconnect();
    scene.clock.set_ahead_ms(0)?;
    await_depth(&scene.broker, "soon", 0);
    Ok(())
}
