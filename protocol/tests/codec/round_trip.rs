//! Properties: what is written is read back, between any two versions, and no bytes do harm.

use crate::support::{Setup, client, run, run_reads, server};
use proptest::collection::vec;
use proptest::prelude::*;
use stompbox_protocol::{Command, Decoder, Frame, Input, Limits, Role, Version, canonical, encode};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        Just(Version::V1_0),
        Just(Version::V1_1),
        Just(Version::V1_2)
    ]
}

/// Text rich in the octets that mean something.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        4 => any::<u8>(),
        4 => proptest::sample::select(b"ab\\:\n\r\0 cnr".to_vec()),
    ];
    vec(octet, 0..24)
}

/// Names that stay names in 1.0, and never are one that the codec reads.
fn pairs() -> impl Strategy<Value = Pairs> {
    let name = text().prop_map(|text| [b"n".as_slice(), &text].concat());
    vec((name, text()), 0..8)
}

/// What of a name or value reaches the other side in `version`.
fn carried(version: Version, is_name: bool, text: &[u8]) -> Vec<u8> {
    let octet = |&octet: &u8| match octet {
        0 => b' ',
        b'\n' | b'\r' if version == Version::V1_0 => b' ',
        b':' if version == Version::V1_0 && is_name => b' ',
        octet => octet,
    };
    let text: Vec<u8> = text.iter().map(octet).collect();
    if version == Version::V1_0 {
        text.trim_ascii().to_vec()
    } else {
        text
    }
}

fn carried_pairs(version: Version, pairs: &Pairs) -> Pairs {
    let pair = |(name, value): &(Vec<u8>, Vec<u8>)| {
        (carried(version, true, name), carried(version, false, value))
    };
    pairs.iter().map(pair).collect()
}

/// Decodes one frame, in reads of `read_bytes`.
fn decode(setup: &Setup, wire: &[u8], read_bytes: usize) -> Frame {
    let mut decoder = setup.decoder();
    for chunk in wire.chunks(read_bytes) {
        decoder.extend(chunk);
        match decoder.next_input().expect("legal") {
            Some(Input::Frame(frame)) => return frame,
            Some(Input::HeartBeat) => panic!("no line end before the frame"),
            None => {}
        }
    }
    panic!("no frame in {}", wire.escape_ascii());
}

/// The headers of a frame, decoded by its version.
fn decoded(frame: &Frame) -> Pairs {
    let text = |raw| {
        stompbox_protocol::unescape(frame.version(), raw)
            .expect("checked by the decoder")
            .into()
    };
    frame
        .headers()
        .map(|header| (text(header.name), text(header.value)))
        .collect()
}

proptest! {
    #[test]
    fn a_frame_is_read_as_it_was_written(
        version in version(), pairs in pairs(), body in vec(any::<u8>(), 0..300), read_bytes in 1..99usize,
    ) {
        let headers: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let mut wire = Vec::new();
        encode::frame(&mut wire, version, Command::Send, &headers, &body);
        let frame = decode(&server(Some(version)), &wire, read_bytes);
        prop_assert_eq!(frame.body(), &body);
        prop_assert_eq!(frame.wire_bytes(), wire.len());
        let mut seen = decoded(&frame);
        let length = seen.pop().expect("content-length");
        prop_assert_eq!(length.0, b"content-length");
        prop_assert_eq!(seen, carried_pairs(version, &pairs));
    }

    #[test]
    fn a_block_carries_headers_between_any_two_versions(
        sender in version(), receiver in version(), pairs in pairs(),
    ) {
        let mut wire = b"SEND\n".to_vec();
        for (name, value) in &pairs {
            encode::header(&mut wire, sender, name, value);
        }
        wire.extend_from_slice(b"\n\0");
        let sent = decode(&server(Some(sender)), &wire, usize::MAX);

        let mut block = Vec::new();
        for header in sent.headers() {
            canonical::push(&mut block, sent.version(), &header);
        }
        let kept = carried_pairs(sender, &pairs);
        let read: Pairs =
            canonical::headers(&block).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        prop_assert_eq!(&read, &kept);
        prop_assert!(!block.contains(&b'\r') && !block.contains(&0));

        let mut wire = b"MESSAGE\n".to_vec();
        canonical::write(&mut wire, &block, receiver, canonical::has_escapes(&block));
        wire.extend_from_slice(b"\n\0");
        let received = decode(&client(Some(receiver)), &wire, usize::MAX);
        prop_assert_eq!(decoded(&received), carried_pairs(receiver, &kept));
    }

    #[test]
    fn a_handshake_keeps_its_headers_apart(pairs in pairs()) {
        let mut headers: Vec<(&[u8], &[u8])> = vec![(b"version", b"1.2")];
        headers.extend(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
        let mut wire = Vec::new();
        encode::frame(&mut wire, Version::V1_2, Command::Connected, &headers, b"");
        let frame = decode(&client(None), &wire, usize::MAX);
        prop_assert_eq!(frame.headers().count(), headers.len());
    }
}

/// Pieces of frames, legal and not, so that random input gets past the first line.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => proptest::sample::select(vec![
            "SEND\n", "CONNECT\r\n", "ACK\n", "MESSAGE\n", "CONNECTED\n", "RECEIPT\n", "STOMP\n",
            "destination:/queue/a\n", "receipt:1\r\n", "content-length:3\n", "content-length:12\n",
            "k:\\n\\c\\\\\\r\n", "k:\\t\n", "accept-version:1.2\n", "\n", "\r\n", "\0", "\n\0",
            "body", "abc\0", "\r", ":", "\\",
        ]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

fn tight() -> Limits {
    Limits {
        command_bytes_max: 12,
        header_line_bytes_max: 24,
        header_count_max: 4,
        header_block_bytes_max: 64,
        body_bytes_max: 16,
        unauthenticated_bytes_max: 128,
    }
}

fn setup() -> impl Strategy<Value = Setup> {
    let role = prop_oneof![Just(Role::Server), Just(Role::Client)];
    let limits = prop_oneof![Just(Limits::default()), Just(tight())];
    (role, proptest::option::of(version()), limits, any::<bool>()).prop_map(
        |(role, version, limits, logged_in)| Setup {
            role,
            version,
            limits,
            logged_in,
        },
    )
}

/// How many line ends one heart-beat stands for, and whether the run of them that passes the
/// login's limit yields one first, depends on the reads.
fn without_beats(mut seen: Vec<String>) -> Vec<String> {
    seen.retain(|seen| seen != "beat");
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        setup in setup(), wire in wire(), chunk_bytes in 1..20usize,
    ) {
        let whole = without_beats(run(&setup, [wire.as_slice()]));
        prop_assert_eq!(&without_beats(run(&setup, wire.chunks(1))), &whole);
        prop_assert_eq!(&without_beats(run(&setup, wire.chunks(chunk_bytes))), &whole);
        prop_assert_eq!(&without_beats(run_reads(&setup, &wire, chunk_bytes)), &whole);
    }

    #[test]
    fn no_bytes_are_held_beyond_the_limits(setup in setup(), wire in wire()) {
        let setup = Setup { limits: tight(), ..setup };
        let mut decoder: Decoder = setup.decoder();
        for chunk in wire.chunks(1) {
            decoder.extend(chunk);
            while let Ok(Some(_)) = decoder.next_input() {}
            // Command line, header block, blank line with its CR, body.
            prop_assert!(decoder.buffered_bytes() <= 12 + 1 + 64 + 2 + 16);
        }
    }
}
