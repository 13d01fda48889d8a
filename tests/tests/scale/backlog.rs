//! A durable subscription that has missed a lot: it gets all of it in order, with bounded memory, and a crash in the
//! middle repeats only what was not acknowledged.

use std::net::SocketAddr;
use std::time::Instant;

use stompbox_tests::say;
use stompbox_tests::scale::Scale;

use crate::client::{Client, body, find, header};
use crate::load::{MIB, kill_and_start, publish_numbered, read_number, resident, start};

const TOPIC: &str = "/topic/missed";

/// Every so many acknowledgements have a receipt.
const RECEIPT_EVERY: usize = 100;

/// What the broker may have resident while a backlog goes.
const RESIDENT_MAX: u64 = 150 * MIB;

fn wake(address: SocketAddr) -> Client {
    let mut client = Client::connect_with(address, "client-id:c\n");
    client.send(format!(
        "SUBSCRIBE\nid:s\ndestination:{TOPIC}\nack:client-individual\nactivemq.subscriptionName:n\nreceipt:s\n\n\0"
    ));
    assert_eq!(client.expect_receipt(), "s");
    client
}

/// What a consumer has seen.
struct Drained {
    /// The first message that it got.
    first: usize,
    /// The message that was to come next when it ended.
    next: usize,
    /// Everything before this was acknowledged with a receipt.
    settled: usize,
    /// Deliveries that were marked as repeated: numbers from the first to before this.
    repeated: usize,
}

/// Takes messages in order up to a number, and acknowledges each.
fn drain(client: &mut Client, until: usize) -> Drained {
    let mut seen: Option<Drained> = None;
    let mut acks = String::new();
    loop {
        if seen.as_ref().is_some_and(|seen| seen.next == until) {
            break;
        }
        if !client.has_next() && !acks.is_empty() {
            client.send(&acks);
            acks.clear();
        }
        let frame = client.next();
        if frame.starts_with(b"RECEIPT\n") {
            note_receipt(frame, seen.as_mut());
            continue;
        }
        let number = read_number(body(frame));
        let seen = seen.get_or_insert(Drained {
            first: number,
            next: number,
            settled: number,
            repeated: number,
        });
        assert_eq!(number, seen.next, "in order");
        seen.next += 1;
        if find(frame, "redelivered") == Some("true") {
            assert_eq!(seen.repeated, number, "repeats come first");
            seen.repeated += 1;
        }
        let receipt = match seen.next.is_multiple_of(RECEIPT_EVERY) || seen.next == until {
            true => format!("receipt:{number}\n"),
            false => String::new(),
        };
        acks.push_str(&format!("ACK\nid:{}\n{receipt}\n\0", header(frame, "ack")));
    }
    client.send(&acks);
    seen.expect("something came")
}

fn note_receipt(frame: &[u8], seen: Option<&mut Drained>) {
    let number: usize = header(frame, "receipt-id").parse().expect("a number");
    seen.expect("something was acknowledged").settled = number + 1;
}

/// Reads what still comes until the last acknowledgement is answered.
fn await_last(client: &mut Client, drained: &mut Drained) {
    while drained.settled < drained.next {
        note_receipt(client.next(), Some(drained));
    }
}

#[test]
fn a_long_backlog_comes_in_order_with_bounded_memory_and_a_crash_repeats_what_was_not_acknowledged()
{
    let (count, until) = Scale::asked_for().of((6_000, 3_000), (1_000_000, 500_000));
    let mut broker = start();
    wake(broker.stomp()).disconnect();
    let mut producer = Client::connect(broker.stomp());
    let loaded = publish_numbered(&mut producer, count, TOPIC, |_| String::new());
    drop(producer);

    let before = resident(&broker);
    before.forget_peak().expect("it runs");
    let mut client = wake(broker.stomp());
    let began = Instant::now();
    let first = drain(&mut client, until);
    let rate_before = until as f64 / began.elapsed().as_secs_f64();
    let peak_before = before.peak_bytes().expect("it runs");
    assert_eq!((first.first, first.repeated), (0, 0));
    assert!(first.settled > 0, "no acknowledgement was answered");
    let listens = kill_and_start(&mut broker);
    drop(client);

    let mut client = wake(broker.stomp());
    let began = Instant::now();
    let mut second = drain(&mut client, count);
    let rate = (count - second.first) as f64 / began.elapsed().as_secs_f64();
    await_last(&mut client, &mut second);
    let peak = peak_before.max(resident(&broker).peak_bytes().expect("it runs"));
    let (settled, again, reached) = (first.settled, second.first, first.next);
    say(&format!(
        "proof: scale backlog: {count} of 1 KiB for a durable subscription at {loaded:.0}/s; {rate_before:.0}/s out, \
         {rate:.0}/s after a kill, in order; {} MiB resident at the most; listens {listens:.0?} after the kill; \
         {settled} acknowledgements were answered, {reached} sent, {again} was the first to come again",
        peak / MIB
    ));
    assert!(
        again >= settled,
        "{again} was acknowledged, up to {settled}"
    );
    assert!(again <= reached, "{reached} to {again} are lost");
    assert!(
        second.repeated >= reached,
        "{} came before and does not say so",
        second.repeated
    );
    client.disconnect();
    let mut client = wake(broker.stomp());
    client.send("SEND\ndestination:/topic/missed\n\nlast\0");
    assert_eq!(body(client.next()), b"last", "nothing else is left");
    assert!(peak < RESIDENT_MAX, "{} MiB", peak / MIB);
}
