//! What the proofs have in common: bodies that say which message they are, producers with a window, medians.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::resident::Resident;

use crate::client::Client;

pub(crate) const MIB: u64 = 1024 * 1024;

/// Receipts that a producer may wait for.
pub(crate) const WINDOW: usize = 1_000;

pub(crate) const BODY_BYTES: usize = 1_024;
const NUMBER_DIGITS: usize = 12;
const ALPHABET: usize = 26;

pub(crate) fn start() -> Broker {
    Launch::new(env!("CARGO_BIN_EXE_stompbox-under-test")).start()
}

pub(crate) fn resident(broker: &Broker) -> Resident {
    Resident(broker.process_id().expect("it runs"))
}

/// Kills the broker and starts it again; how long the start took until it listened.
pub(crate) fn kill_and_start(broker: &mut Broker) -> Duration {
    broker.kill();
    let began = Instant::now();
    broker.start_again();
    began.elapsed()
}

/// The body of a message: its number, and letters that begin with another one for each.
pub(crate) fn numbered_body(number: usize) -> Vec<u8> {
    let mut body = format!("{number:0NUMBER_DIGITS$}").into_bytes();
    let letter = |at: usize| b'a' + u8::try_from(at % ALPHABET).expect("a letter");
    body.extend((number..).take(BODY_BYTES - NUMBER_DIGITS).map(letter));
    body
}

/// The number of a message whose body is complete.
pub(crate) fn read_number(body: &[u8]) -> usize {
    let digits = body.get(..NUMBER_DIGITS).unwrap_or_default();
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|n| n.parse().ok());
    let number = number.unwrap_or_else(|| panic!("no number in {}", body.escape_ascii()));
    assert!(
        body == numbered_body(number),
        "{number} is not what was sent: {}",
        body.escape_ascii()
    );
    number
}

/// A SEND with more header lines, each with its line feed.
pub(crate) fn push_send(batch: &mut Vec<u8>, destination: &str, headers: &str, body: &[u8]) {
    let length = body.len();
    let head = format!("SEND\ndestination:{destination}\n{headers}content-length:{length}\n\n");
    batch.extend_from_slice(head.as_bytes());
    batch.extend_from_slice(body);
    batch.push(0);
}

/// Sends these numbers, each with a receipt and no more than [`WINDOW`] of them unanswered. How many a second.
pub(crate) fn publish(
    client: &mut Client,
    count: usize,
    frame: impl Fn(usize, &mut Vec<u8>),
) -> f64 {
    const BATCH: usize = 50;
    let began = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    let mut batch = Vec::new();
    while answered < count {
        while sent < count && sent + BATCH <= answered + WINDOW {
            batch.clear();
            let next = count.min(sent + BATCH);
            for number in sent..next {
                frame(number, &mut batch);
            }
            sent = next;
            client.send(&batch);
        }
        client.expect_receipt();
        answered += 1;
        while client.has_next() {
            client.expect_receipt();
            answered += 1;
        }
    }
    count as f64 / began.elapsed().as_secs_f64()
}

/// The same with numbered bodies.
pub(crate) fn publish_numbered(
    client: &mut Client,
    count: usize,
    destination: &str,
    headers: impl Fn(usize) -> String,
) -> f64 {
    publish(client, count, |number, batch| {
        let headers = format!("receipt:{number}\n{}", headers(number));
        push_send(batch, destination, &headers, &numbered_body(number));
    })
}

/// Two rates in turn, so that what else the machine does meets both; the medians.
pub(crate) fn compare(
    rounds: usize,
    mut one: impl FnMut(usize) -> f64,
    mut other: impl FnMut(usize) -> f64,
) -> (f64, f64) {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            ones.push(one(round));
            others.push(other(round));
        } else {
            others.push(other(round));
            ones.push(one(round));
        }
    }
    (median(ones), median(others))
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Bytes of all files of a folder.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    fs::read_dir(folder)
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|file| file.len())
        .sum()
}
