//! Any bytes, cut anywhere, mean the same, cause no panic and are not held beyond the limits.
//!
//! Input: one octet that selects role, version, limits and login, one that seeds the cuts, then
//! the wire.

#![no_main]

use bytes::BufMut;
use libfuzzer_sys::fuzz_target;
use stompbox_protocol::{Command, Decoder, Input, Limits, Reason, Role, Version};

/// What a run came to. Heart-beats are left out: how many line ends one stands for may differ.
#[derive(Debug, PartialEq)]
enum Seen {
    Frame {
        command: Command,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        body: Vec<u8>,
        wire_bytes: usize,
    },
    Failed {
        reason: Reason,
        receipt: Option<Vec<u8>>,
    },
    MidFrame,
}

fn tight() -> Limits {
    Limits {
        command_bytes_max: 16,
        header_line_bytes_max: 48,
        header_count_max: 8,
        header_block_bytes_max: 160,
        body_bytes_max: 64,
        unauthenticated_bytes_max: 512,
    }
}

fn decoder(select: u8) -> (Decoder, Option<usize>) {
    let role = if select & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let is_tight = select & 8 != 0;
    let limits = if is_tight { tight() } else { Limits::default() };
    let mut decoder = Decoder::new(role, limits);
    match select >> 1 & 3 {
        0 => {}
        1 => decoder.set_version(Version::V1_0),
        2 => decoder.set_version(Version::V1_1),
        _ => decoder.set_version(Version::V1_2),
    }
    if select & 16 != 0 {
        decoder.authenticated();
    }
    // Command line, header block, blank line with its CR, body.
    (decoder, is_tight.then_some(16 + 1 + 160 + 2 + 64))
}

/// `false` once the decoder has failed.
fn drain(decoder: &mut Decoder, seen: &mut Vec<Seen>) -> bool {
    loop {
        match decoder.next_input() {
            Ok(None) => return true,
            Ok(Some(Input::HeartBeat)) => {}
            Ok(Some(Input::Frame(frame))) => seen.push(Seen::Frame {
                command: frame.command(),
                headers: frame
                    .headers()
                    .map(|header| (header.name.to_vec(), header.value.to_vec()))
                    .collect(),
                wire_bytes: frame.wire_bytes(),
                body: frame.into_body().to_vec(),
            }),
            Err(error) => {
                assert!(!error.detail().is_empty());
                let receipt = error.receipt().map(<[u8]>::to_vec);
                seen.push(Seen::Failed {
                    reason: error.reason().clone(),
                    receipt,
                });
                return false;
            }
        }
    }
}

fn end(decoder: &Decoder, mut seen: Vec<Seen>) -> Vec<Seen> {
    if decoder.is_mid_frame() {
        seen.push(Seen::MidFrame);
    }
    seen
}

fn run_whole(select: u8, wire: &[u8]) -> Vec<Seen> {
    let (mut decoder, _) = decoder(select);
    let mut seen = Vec::new();
    decoder.extend(wire);
    drain(&mut decoder, &mut seen);
    end(&decoder, seen)
}

fn run_cut(select: u8, mut seed: u8, mut wire: &[u8]) -> Vec<Seen> {
    let (mut decoder, held_max) = decoder(select);
    let mut seen = Vec::new();
    while !wire.is_empty() {
        seed = seed.wrapping_mul(37).wrapping_add(11);
        let wanted = wire.len().min(usize::from(seed >> 3) + 1);
        let (now, rest) = if seed & 1 == 0 {
            let (now, rest) = wire.split_at(wanted);
            decoder.extend(now);
            (now, rest)
        } else {
            let mut space = decoder.read_space();
            let (now, rest) = wire.split_at(wanted.min(space.remaining_mut()));
            space.put_slice(now);
            (now, rest)
        };
        assert!(!now.is_empty(), "no room to read");
        wire = rest;
        if !drain(&mut decoder, &mut seen) {
            break;
        }
        assert!(held_max.is_none_or(|max| decoder.buffered_bytes() <= max));
    }
    end(&decoder, seen)
}

fuzz_target!(|data: &[u8]| {
    if let [select, seed, wire @ ..] = data {
        assert_eq!(run_whole(*select, wire), run_cut(*select, *seed, wire));
    }
});
