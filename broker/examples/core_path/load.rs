//! One producer and one consumer at a plant, as `stompbox perf` has them: rows of docs/performance.md.

use memchr::{memchr, memmem};
use stompbox_protocol::{Command, Version, encode};

use crate::plant::Plant;

/// As much as a producer writes at once.
const BATCH_BYTES: usize = 64 * 1024;

/// More turns than anything takes to go round.
const IDLE_TURNS_MAX: u32 = 10;

/// What a producer and its consumer do.
pub(crate) struct Row {
    /// As docs/performance.md calls it.
    pub(crate) id: &'static str,
    destination: &'static str,
    body_bytes: usize,
    persistent: bool,
    /// So many messages may be without their receipt; none asks for receipts otherwise.
    window: Option<u64>,
    acks: &'static str,
}

/// The rows.
pub(crate) const ROWS: [Row; 4] = [
    Row {
        id: "S1",
        destination: "/topic/perf",
        body_bytes: 32,
        persistent: false,
        window: None,
        acks: "auto",
    },
    Row {
        id: "S2",
        destination: "/topic/perf",
        body_bytes: 1024,
        persistent: false,
        window: None,
        acks: "auto",
    },
    Row {
        id: "S4",
        destination: "/queue/perf",
        body_bytes: 1024,
        persistent: false,
        window: Some(1000),
        acks: "auto",
    },
    Row {
        id: "S6",
        destination: "/queue/perf",
        body_bytes: 1024,
        persistent: true,
        window: Some(256),
        acks: "client-individual",
    },
];

/// A load under way.
pub(crate) struct Load {
    plant: Plant,
    row: &'static Row,
    producer: usize,
    consumer: usize,
    frame: Vec<u8>,
    sent: u64,
    confirmed: u64,
    received: u64,
    idle_turns: u32,
}

impl Load {
    /// Both are connected, and the consumer is subscribed.
    pub(crate) fn new(row: &'static Row) -> Self {
        let mut plant = Plant::new();
        let mut connect = Vec::new();
        let headers: [(&[u8], &[u8]); 1] = [(b"accept-version", b"1.2")];
        frame(&mut connect, Command::Connect, &headers, b"");
        let producer = plant.connect(&connect);
        let consumer = plant.connect(&connect);
        plant.exchange();
        plant.turn();
        let headers: [(&[u8], &[u8]); 3] = [
            (b"id", b"0"),
            (b"destination", row.destination.as_bytes()),
            (b"ack", row.acks.as_bytes()),
        ];
        let wire = &mut plant.sides[consumer].arriving;
        frame(wire, Command::Subscribe, &headers, b"");
        plant.exchange();
        plant.turn();
        for side in &mut plant.sides {
            assert!(side.told.starts_with(b"CONNECTED\n"));
            side.told.clear();
        }
        Self {
            plant,
            frame: send_frame(row),
            row,
            producer,
            consumer,
            sent: 0,
            confirmed: 0,
            received: 0,
            idle_turns: 0,
        }
    }

    /// Sends so many messages and receives them. `turn` moves the plant.
    pub(crate) fn run(&mut self, messages: u64, turn: impl Fn(&mut Plant)) {
        let end = self.sent + messages;
        let confirmed_end = if self.row.window.is_some() { end } else { 0 };
        while self.received < end || self.confirmed < confirmed_end {
            let before = (self.sent, self.confirmed, self.received);
            self.send(end);
            self.plant.exchange();
            self.take_receipts();
            self.take_messages();
            turn(&mut self.plant);
            let is_quiet = self.plant.sides.iter().all(|side| side.arriving.is_empty());
            let now = (self.sent, self.confirmed, self.received);
            self.idle_turns = if is_quiet && now == before {
                self.idle_turns + 1
            } else {
                0
            };
            assert!(
                self.idle_turns < IDLE_TURNS_MAX,
                "it stands still at {now:?}"
            );
        }
        assert_eq!(self.received, end, "each message once");
    }

    fn send(&mut self, end: u64) {
        let wire = &mut self.plant.sides[self.producer].arriving;
        while self.sent < end
            && wire.len() < BATCH_BYTES
            && self
                .row
                .window
                .is_none_or(|window| self.sent < self.confirmed + window)
        {
            wire.extend_from_slice(&self.frame);
            self.sent += 1;
        }
    }

    fn take_receipts(&mut self) {
        let told = &mut self.plant.sides[self.producer].told;
        self.confirmed += memmem::find_iter(told, b"\nreceipt-id:").count() as u64;
        told.clear();
    }

    fn take_messages(&mut self) {
        let side = &mut self.plant.sides[self.consumer];
        let told = std::mem::take(&mut side.told);
        let wire = &mut side.arriving;
        for at in memmem::find_iter(&told, b"MESSAGE\n") {
            self.received += 1;
            if self.row.acks != "auto" {
                let headers: [(&[u8], &[u8]); 1] = [(b"id", ack_id(&told[at..]))];
                frame(wire, Command::Ack, &headers, b"");
            }
        }
        side.told = told;
        side.told.clear();
    }
}

/// The `ack` header of a MESSAGE.
fn ack_id(message: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"\nack:";
    let at = memmem::find(message, NAME).expect("a message to acknowledge");
    let value = &message[at + NAME.len()..];
    &value[..memchr(b'\n', value).expect("lines end")]
}

fn send_frame(row: &Row) -> Vec<u8> {
    let persistent: &[u8] = if row.persistent { b"true" } else { b"false" };
    let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
    if row.window.is_some() {
        headers.push((b"receipt", b"0000000001"));
    }
    headers.push((b"destination", row.destination.as_bytes()));
    headers.push((b"persistent", persistent));
    let mut bytes = Vec::new();
    let body = vec![b'x'; row.body_bytes];
    frame(&mut bytes, Command::Send, &headers, &body);
    bytes
}

fn frame(out: &mut Vec<u8>, command: Command, headers: &[(&[u8], &[u8])], body: &[u8]) {
    encode::frame(out, Version::V1_2, command, headers, body);
}
