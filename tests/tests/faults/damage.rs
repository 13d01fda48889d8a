//! A database that turns out to be damaged while the broker runs: a bad row is put aside, a bad page is the end.

use std::fs;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};
use rusqlite::Connection;
use stompbox_tests::broker::Broker;
use stompbox_tests::wire::PATIENCE;

use crate::fixture::{connect, eventually, overview, start_watched};

const PAGE_BYTES: usize = 4096;

/// A broker that has stopped cleanly, with these bodies in `/queue/kept` and one message in `/queue/sound`.
fn stopped(bodies: &[String]) -> Result<Broker> {
    let mut broker = start_watched("");
    let mut wire = connect(&broker);
    for body in bodies {
        wire.send_receipted("/queue/kept", &[], body);
    }
    wire.send_receipted("/queue/sound", &[], "sound");
    wire.disconnect();
    ensure!(broker.terminate().success());
    Ok(broker)
}

#[test]
fn a_damaged_row_is_put_aside_and_reported_and_the_rest_is_served() -> Result<()> {
    let bodies = ["one", "two", "three"].map(str::to_owned);
    let mut broker = stopped(&bodies)?;
    let database = || Connection::open(broker.data().join("stompbox.db"));
    database()?.execute_batch(
        "UPDATE body SET body = CAST('tWo' AS BLOB) WHERE id = (SELECT id FROM body ORDER BY id LIMIT 1 OFFSET 1)",
    )?;
    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/kept", "client-individual");
    for body in ["one", "three"] {
        let message = wire.expect_message();
        ensure!(message.text() == body, "expected {body}, got {message}");
        wire.ack(&message, &[]);
    }
    eventually("it is counted", || {
        let seen = crate::fixture::ask(&broker, "overview");
        (seen["store"]["quarantined_total"] == 1 && seen["depth"] == 1).then_some(())
    });
    ensure!(
        broker.output().contains("has been put aside"),
        "{}",
        broker.output()
    );
    let database = Connection::open(broker.data().join("stompbox.db"))?;
    let aside: (String, String) = database.query_row(
        "SELECT reason, CAST(body AS TEXT) FROM quarantine",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    ensure!(
        aside.0.contains("checksum") && aside.1 == "tWo",
        "{aside:?}"
    );
    ensure!(overview(&broker, "depth") == 1);
    ensure!(broker.terminate().code() == Some(0));
    Ok(())
}

#[test]
fn a_damaged_page_ends_the_broker_with_4_and_advice_and_the_rest_can_still_be_had() -> Result<()> {
    let bodies: Vec<String> = (0..40)
        .map(|number| format!("body {number} ").repeat(200))
        .collect();
    let mut broker = stopped(&bodies)?;
    let file = broker.data().join("stompbox.db");
    let content = fs::read(&file)?;
    let wanted = bodies[20].as_bytes();
    let at = content
        .windows(64)
        .position(|part| part == &wanted[..64])
        .context("a body stands in the file")?;
    let noise: Vec<u8> = (0..PAGE_BYTES)
        .map(|n| (n * 167 + 41) as u8 | 0x80)
        .collect();
    fs::OpenOptions::new()
        .write(true)
        .open(&file)?
        .write_all_at(&noise, (at / PAGE_BYTES * PAGE_BYTES) as u64)?;

    broker.start_again();
    let mut wire = connect(&broker);
    wire.subscribe("sound", "/queue/sound", "auto");
    ensure!(wire.expect_message().text() == "sound");
    wire.send_receipted("/queue/sound", &[], "sound again");
    ensure!(wire.expect_message().text() == "sound again");
    // Its receipt may or may not come.
    wire.send("SUBSCRIBE\nid:kept\ndestination:/queue/kept\nack:client-individual\n\n^@");
    let status = broker.wait(PATIENCE).and_then(|status| status.code());
    ensure!(status == Some(4), "{status:?}");
    let said = broker.output();
    for advice in ["malformed", "restore a backup", ".recover"] {
        ensure!(said.contains(advice), "no {advice:?} in {said}");
    }
    // The others' messages are not behind it.
    broker.start_again();
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/sound", &[], "and again");
    wire.subscribe("sound", "/queue/sound", "client-individual");
    // Those before it were taken with `auto`, which a failing broker may forget.
    while wire.expect_message().text() != "and again" {}
    Ok(())
}
