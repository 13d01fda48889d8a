use std::io::BufRead as _;

use super::*;

/// All frames of a stream that arrives in pieces, as text.
fn read_in_pieces(wire: &[u8], piece_bytes: usize) -> Result<Vec<String>, Malformed> {
    let mut buffer = Buffer::new();
    let mut frames = Vec::new();
    for mut piece in wire.chunks(piece_bytes) {
        while !piece.is_empty() {
            buffer.fill(&mut piece).expect("memory reads");
            while let Some(frame) = buffer.next()? {
                frames.push(describe(&frame));
            }
        }
    }
    Ok(frames)
}

fn describe(frame: &Inbound<'_>) -> String {
    match frame {
        Inbound::Message(message) => format!(
            "message {} {} {}",
            message.ack.escape_ascii(),
            message.redelivered,
            message.body.escape_ascii()
        ),
        Inbound::Receipt(id) => format!("receipt {}", id.escape_ascii()),
        Inbound::Connected(lines) => format!("connected {} lines", lines.lines().count()),
        Inbound::Error(text) => format!("error {}", text.escape_ascii()),
    }
}

#[test]
fn frames_are_the_same_however_they_are_cut() {
    let wire = b"CONNECTED\nversion:1.2\n\n\0\n\n\
        MESSAGE\nsubscription:0\nmessage-id:m\nack:a\\c1\ndestination:/queue/a\nredelivered:true\n\
        content-length:4\n\na\0\nb\0\n\
        MESSAGE\r\nredelivered:false\r\nack:x\r\n\r\nno length\0\
        RECEIPT\nreceipt-id:0000000007\n\n\0\r\n\
        ERROR\nmessage:no\ncontent-type:text/plain\n\nlong text\0\
        ERROR\n\nonly text\0";
    let expected = [
        "connected 3 lines",
        r"message a\\c1 true a\x00\nb",
        "message x false no length",
        "receipt 0000000007",
        "error no",
        "error only text",
    ];
    for piece_bytes in 1..=wire.len() {
        let frames = read_in_pieces(wire, piece_bytes).expect("well-formed");
        assert_eq!(frames, expected, "pieces of {piece_bytes}");
    }
}

#[test]
fn the_first_of_repeated_headers_counts() {
    let wire = b"MESSAGE\ncontent-length:2\ncontent-length:1\nack:a\nack:b\n\nxy\0";
    let frames = read_in_pieces(wire, wire.len()).expect("well-formed");
    assert_eq!(frames, ["message a false xy"]);
}

#[test]
fn a_frame_longer_than_the_space_makes_it_grow() {
    let body = vec![b'x'; 3 * READ_BYTES];
    let mut wire = format!("MESSAGE\ncontent-length:{}\n\n", body.len()).into_bytes();
    wire.extend_from_slice(&body);
    wire.extend_from_slice(b"\0RECEIPT\nreceipt-id:1\n\n\0");
    let frames = read_in_pieces(&wire, 60_000).expect("well-formed");
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1], "receipt 1");
}

#[test]
fn what_is_no_frame_is_refused() {
    let cases: [(&[u8], Malformed); 4] = [
        (
            b"HTTP/1.1 400 Bad Request\n\n\0",
            Malformed::Command("HTTP/1.1 400 Bad Request".to_owned()),
        ),
        (b"MESSAGE\ncontent-length:1\n\nxyz\0", Malformed::Length),
        (b"MESSAGE\ncontent-length:-1\n\n\0", Malformed::Length),
        (
            b"MESSAGE\ncontent-length:99999999999\n\n\0",
            Malformed::TooLong,
        ),
    ];
    for (wire, expected) in cases {
        assert_eq!(read_in_pieces(wire, wire.len()), Err(expected));
    }
}

#[test]
fn naturals_are_digits_that_fit() {
    let cases: [(&[u8], Option<u64>); 6] = [
        (b"0", Some(0)),
        (b"0000000042", Some(42)),
        (b"18446744073709551615", Some(u64::MAX)),
        (b"18446744073709551616", None),
        (b"", None),
        (b"1a", None),
    ];
    for (digits, expected) in cases {
        assert_eq!(parse_natural(digits), expected);
    }
}
