//! Bytes that are no STOMP, or never become a frame: each is answered with advice or the end.

use std::time::{SystemTime, UNIX_EPOCH};

use stompbox_tests::broker::Broker;
use stompbox_tests::say;
use stompbox_tests::scale::Scale;
use stompbox_tests::wire::{PATIENCE, Version, Wire, WireError};

use crate::fixture::{expect_complete, start};
use crate::trial::{MIB, Trial};

/// Numbers that look random and can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count).map(|_| self.roll().to_le_bytes()[0]).collect()
    }
}

/// Who says it.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Stranger,
    LoggedIn,
}
use Stage::{LoggedIn, Stranger};

/// What begins a frame, and what then comes again and again without an end.
struct Endless {
    stage: Stage,
    begin: &'static [u8],
    more: &'static [u8],
    /// What the ERROR speaks of.
    about: &'static str,
}

/// More than any of the limits that are met here.
const ENDLESS_BYTES: usize = 4 << 20;

const ENDLESS: [Endless; 12] = [
    Endless {
        stage: Stranger,
        begin: b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
        more: b"",
        about: "HTTP",
    },
    Endless {
        stage: Stranger,
        begin: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        more: b"",
        about: "TLS",
    },
    Endless {
        stage: Stranger,
        begin: b"",
        more: b"\n",
        about: "limits.unauthenticated_bytes",
    },
    Endless {
        stage: Stranger,
        begin: b"CONNECT\nendless:",
        more: b"x",
        about: "limits.header_line_bytes",
    },
    Endless {
        stage: Stranger,
        begin: b"CONNECT\n",
        more: b"h:v\n",
        about: "limits.headers",
    },
    Endless {
        stage: LoggedIn,
        begin: b"",
        more: b"S",
        about: "limits.command_bytes",
    },
    Endless {
        stage: LoggedIn,
        begin: b"SEND\nendless:",
        more: b"x",
        about: "limits.header_line_bytes",
    },
    Endless {
        stage: LoggedIn,
        begin: b"SEND\ndestination:/queue/a\n",
        more: b"h:v\n",
        about: "limits.headers",
    },
    Endless {
        stage: LoggedIn,
        begin: b"SEND\ndestination:/queue/a\ncontent-length:4294967296\n\n",
        more: b"x",
        about: "limits.body_bytes",
    },
    Endless {
        stage: LoggedIn,
        begin: b"SEND\ndestination:/queue/a\ncontent-length:99999999999999999999999\n\n",
        more: b"x",
        about: "limits.body_bytes",
    },
    Endless {
        stage: LoggedIn,
        begin: b"SEND\ndestination:/queue/a\ncontent-length:-1\n\n",
        more: b"x",
        about: "content-length",
    },
    Endless {
        stage: LoggedIn,
        begin: b"SUBSCRIBE\nid:s\ndestination:/queue/a\n\n",
        more: b"x",
        about: "body",
    },
];

/// A connection on which something hostile is said.
fn open(broker: &Broker, stage: Stage) -> Wire {
    let mut wire = Wire::open(broker.stomp());
    if stage == LoggedIn {
        wire.try_login(Version::V12, &[]).expect("CONNECTED comes");
    }
    wire
}

#[test]
fn other_protocols_and_frames_without_an_end_get_an_error_that_names_the_limit() {
    let trial = Trial::begin("endless frames and other protocols", start());
    trial.run(32 * MIB, |broker| {
        for input in &ENDLESS {
            let mut wire = open(broker, input.stage);
            wire.send_raw(input.begin);
            let block = input.more.repeat(16 * 1024);
            let mut sent = 0;
            // The socket may refuse it at any time; the ERROR is there all the same.
            while !block.is_empty() && sent < ENDLESS_BYTES && wire.try_send_raw(&block).is_ok() {
                sent += block.len();
            }
            expect_complete(&wire.expect_error(input.about));
            wire.expect_closed();
        }
    });
}

/// What a connection that has said its nonsense gets: complete ERRORs at most, then the end.
fn expect_thrown_out(wire: &mut Wire) {
    loop {
        match wire.try_next(PATIENCE) {
            Ok(frame) if frame.command == "ERROR" => expect_complete(&frame),
            Ok(frame) => wire.fail(&format!("an answer to nonsense: {frame}")),
            Err(WireError::Closed) => return,
            Err(error) => wire.fail(&format!("expected the end: {error}")),
        }
    }
}

#[test]
fn random_bytes_are_answered_with_advice_or_the_end() {
    const FRAME: &[u8] =
        b"SEND\ndestination:/topic/nonsense\nname:value\ncontent-length:5\n\nhello\0";
    let seed = match std::env::var("STOMPBOX_HOSTILE_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.expect("after 1970").as_nanos() as u64
        }
    };
    say(&format!("STOMPBOX_HOSTILE_SEED={seed}"));
    let mut dice = Dice(seed);
    let trial = Trial::begin("random bytes", start());
    trial.run(32 * MIB, |broker| {
        for round in 0..Scale::asked_for().of(60, 2_000) {
            let stage = if round % 2 == 0 { Stranger } else { LoggedIn };
            let mut wire = open(broker, stage);
            let bytes = if round % 4 < 2 {
                let count = 1 + dice.roll() % 20_000;
                dice.bytes(count)
            } else {
                // Frames with a few wrong bytes get further into the broker.
                let mut frames = FRAME.repeat(50);
                for _ in 0..=dice.roll() % 10 {
                    let at = dice.roll() as usize % frames.len();
                    frames[at] = dice.roll().to_le_bytes()[0];
                }
                frames
            };
            // Closed before all of it is sent, as likely as not.
            let _ = wire.try_send_raw(&bytes);
            wire.shut_write();
            expect_thrown_out(&mut wire);
        }
    });
}
