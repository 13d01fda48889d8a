//! Headers survive the way sender - block - receiver in any two versions, or lose exactly what the
//! versions cannot carry; there are never more or fewer of them.
//!
//! Input: one octet that selects the versions, then names and values, each ended by 0xFF.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stompbox_protocol::{
    Command, Decoder, Frame, Header, Input, Limits, Role, Version, canonical, encode, unescape,
};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

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

fn decode(role: Role, version: Version, wire: &[u8]) -> Frame {
    let mut decoder = Decoder::new(role, Limits::default());
    decoder.set_version(version);
    decoder.authenticated();
    decoder.extend(wire);
    match decoder.next_input() {
        Ok(Some(Input::Frame(frame))) => frame,
        other => panic!("{other:?} from {}", wire.escape_ascii()),
    }
}

fn decoded(frame: &Frame) -> Pairs {
    let text = |raw| {
        unescape(frame.version(), raw)
            .expect("checked by the decoder")
            .into_owned()
    };
    frame
        .headers()
        .map(|Header { name, value }| (text(name), text(value)))
        .collect()
}

fuzz_target!(|data: &[u8]| {
    let [select, rest @ ..] = data else { return };
    let sender = VERSIONS[usize::from(select % 3)];
    let receiver = VERSIONS[usize::from(select / 3 % 3)];
    let mut texts = rest.split(|&octet| octet == 0xFF).map(<[u8]>::to_vec);
    let mut pairs = Pairs::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        // A name stays one in 1.0, and none is read by the codec itself.
        pairs.push(([b"n".as_slice(), &name].concat(), value));
    }
    let too_long = |(name, value): &(Vec<u8>, Vec<u8>)| name.len() + value.len() > 4_000;
    if pairs.len() > 900 || pairs.iter().any(too_long) {
        return;
    }

    let headers: Vec<(&[u8], &[u8])> = pairs
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .collect();
    let mut wire = Vec::new();
    encode::frame(&mut wire, sender, Command::Send, &headers, rest);
    let sent = decode(Role::Server, sender, &wire);
    assert_eq!(sent.body(), rest);

    let mut block = Vec::new();
    for header in sent.headers().take(pairs.len()) {
        canonical::push(&mut block, sender, &header);
    }
    let kept = carried_pairs(sender, &pairs);
    let read: Pairs = canonical::headers(&block)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    assert_eq!(read, kept);

    let mut wire = b"MESSAGE\n".to_vec();
    canonical::write(&mut wire, &block, receiver, canonical::has_escapes(&block));
    wire.extend_from_slice(b"\n\0");
    let received = decode(Role::Client, receiver, &wire);
    assert_eq!(decoded(&received), carried_pairs(receiver, &kept));
});
