//! What a decoder allocates, copies and keeps.

use std::time::{Duration, Instant};

use crate::support::{read, server};
use bytes::BufMut;
use stompbox_protocol::{Decoder, Frame, Input, InputRef, Version};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn decoder() -> Decoder {
    server(Some(Version::V1_2)).decoder()
}

fn next_frame(decoder: &mut Decoder) -> Option<Frame> {
    match decoder.next_input().expect("legal") {
        Some(Input::Frame(frame)) => Some(frame),
        Some(Input::HeartBeat) | None => None,
    }
}

fn sized(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "SEND\ndestination:/queue/a\ncontent-length:{}\n\n",
        body.len()
    );
    [head.as_bytes(), body, b"\0"].concat()
}

/// Not one that repeats within a read.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| u8::try_from(at % 251).expect("below 251") + 1)
        .collect()
}

#[test]
fn an_undeclared_body_in_small_reads_is_scanned_once() {
    let body = pattern(16 * MIB);
    let wire = [b"SEND\n\n".as_slice(), &body, b"\0"].concat();
    let mut decoder = decoder();
    let started = Instant::now();
    let mut rest = wire.as_slice();
    let frame = loop {
        rest = read(&mut decoder, rest, 1460);
        if let Some(frame) = next_frame(&mut decoder) {
            break frame;
        }
        assert!(decoder.buffered_bytes() <= wire.len());
    };
    // Scanned from the start on every read, this is 90 GiB: minutes, not a second.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert!(frame.body() == body);
    assert_eq!(frame.wire_bytes(), wire.len());
}

#[test]
fn a_long_header_line_in_single_bytes_is_scanned_once() {
    let head = ["SEND\n", &format!("k:{}\n", "x".repeat(10_000)).repeat(100)].concat();
    let mut decoder = decoder();
    let started = Instant::now();
    for octet in head.as_bytes() {
        decoder.extend(&[*octet]);
        assert!(next_frame(&mut decoder).is_none());
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_declared_length_allocates_nothing_near_it() {
    let mut decoder = decoder();
    decoder.extend(b"SEND\ncontent-length:104857600\n\n");
    assert!(next_frame(&mut decoder).is_none());
    let mut arrived = 0;
    let chunk = pattern(100 * KIB);
    while arrived < 4 * MIB {
        assert!(decoder.read_space().remaining_mut() <= (arrived).max(64 * KIB));
        let bound = 2 * arrived.max(32 * KIB) + KIB;
        assert!(
            decoder.buffered_bytes() <= bound,
            "{arrived}: {}",
            decoder.buffered_bytes()
        );
        arrived += chunk.len() - read(&mut decoder, &chunk, chunk.len()).len();
        assert!(next_frame(&mut decoder).is_none());
    }
}

#[test]
fn a_long_body_of_declared_length_stays_where_it_was_read() {
    let body = pattern(300 * KIB);
    let next = b"BEGIN\ntransaction:t\n\n\0";
    let wire = [sized(&body).as_slice(), next].concat();
    let mut decoder = decoder();
    let mut rest = wire.as_slice();
    // Where the last step of the body was read to, and how much of the body came before it.
    let mut last_read = None;
    let frame = loop {
        let at = decoder.read_space().chunk_mut().as_mut_ptr().addr();
        let read_from = wire.len() - rest.len();
        rest = read(&mut decoder, rest, 40 * KIB);
        if let Some(frame) = next_frame(&mut decoder) {
            break frame;
        }
        last_read = Some((at, read_from));
    };
    assert!(frame.body() == body);
    assert_eq!(
        rest, next,
        "what follows the frame was read into its memory"
    );
    let head_bytes = wire.len() - next.len() - 1 - body.len();
    let (at, read_from) = last_read.expect("more than one read");
    assert_eq!(frame.body().as_ptr().addr() + read_from - head_bytes, at);
    let body_at = frame.body().as_ptr();
    assert_eq!(frame.into_body().as_ptr(), body_at);
    rest = read(&mut decoder, rest, usize::MAX);
    assert!(rest.is_empty());
    assert!(next_frame(&mut decoder).is_some());
}

#[test]
fn a_short_frame_stays_where_it_was_read() {
    let wire = [sized(b"first").as_slice(), &sized(b"second")].concat();
    let mut decoder = decoder();
    let read_at = decoder.read_space().chunk_mut().as_mut_ptr().addr();
    assert!(read(&mut decoder, &wire, usize::MAX).is_empty());
    for expected in ["first", "second"] {
        let Some(InputRef::Frame(frame)) = decoder.next_ref().expect("legal") else {
            panic!("no frame");
        };
        assert_eq!(frame.body(), expected.as_bytes());
        assert!(frame.body().as_ptr().addr() - read_at < wire.len());
    }
}

#[test]
fn every_body_length_around_the_thresholds_arrives_whole() {
    let lengths = [
        0,
        1,
        8 * KIB - 1,
        8 * KIB,
        8 * KIB + 1,
        16 * KIB,
        64 * KIB,
        64 * KIB + 1,
    ];
    for length in lengths {
        let body = pattern(length);
        let frames = [
            sized(&body),
            [b"SEND\n\n".as_slice(), &body, b"\0"].concat(),
            [b"STOMP\n\n".as_slice(), &body, b"\0"].concat(),
        ];
        let wire = frames.concat();
        for read_bytes in [977, 16 * KIB, usize::MAX] {
            let mut decoder = decoder();
            let mut rest = wire.as_slice();
            let mut bodies = Vec::new();
            while !rest.is_empty() {
                rest = read(&mut decoder, rest, read_bytes);
                while let Some(frame) = next_frame(&mut decoder) {
                    bodies.push((frame.wire_bytes(), frame.into_body()));
                }
            }
            let lengths = frames.each_ref().map(Vec::len);
            assert_eq!(bodies.len(), 3, "{length} in reads of {read_bytes}");
            assert!(bodies.iter().map(|(wire_bytes, _)| *wire_bytes).eq(lengths));
            assert!(
                bodies
                    .iter()
                    .map(|(_, kept)| kept)
                    .eq([&body, &body, &Vec::new()])
            );
            assert_eq!(decoder.buffered_bytes(), 0);
        }
    }
}
