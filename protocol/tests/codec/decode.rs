//! What the decoder makes of legal and illegal frames, however the bytes are cut into reads.

use crate::support::{Setup, check, client, server};
use stompbox_protocol::{Foreign, Input, Reason, Version};

const V1_0: Option<Version> = Some(Version::V1_0);
const V1_1: Option<Version> = Some(Version::V1_1);
const V1_2: Option<Version> = Some(Version::V1_2);
const ANY: [Option<Version>; 4] = [None, V1_0, V1_1, V1_2];

#[test]
fn a_frame_ends_its_lines_in_lf_in_every_version() {
    for version in ANY {
        let setup = server(version);
        check(
            &setup,
            b"SEND\na:b\nc:d\n\nbody\0",
            &["SEND{a=b;c=d}[body]"],
        );
        check(&setup, b"BEGIN\n\n\0", &["BEGIN{}[]"]);
    }
}

#[test]
fn crlf_ends_lines_except_in_1_1_where_cr_belongs_to_the_value() {
    let wire = b"SEND\r\na:b\r\n\r\nbody\r\n\0";
    for version in [None, V1_0, V1_2] {
        check(&server(version), wire, &[r"SEND{a=b}[body\r\n]"]);
    }
    check(&server(V1_1), wire, &["error: unknown command"]);
    check(
        &server(V1_1),
        b"SEND\na:b\r\n\nbody\0",
        &[r"SEND{a=b\r}[body]"],
    );
    check(
        &server(V1_1),
        b"SEND\na:b\n\r\n",
        &["error: header line without a colon"],
    );
    // Only the CR next to the LF is part of the line end.
    check(&server(V1_2), b"SEND\na:b\r\r\n\n\0", &[r"SEND{a=b\r}[]"]);
}

#[test]
fn crlf_ends_the_lines_of_what_opens_a_session_in_every_version() {
    for version in ANY {
        let frame = b"CONNECT\r\naccept-version:1.1\r\n\r\n\0\r\n";
        check(
            &server(version),
            frame,
            &["CONNECT{accept-version=1.1}[]", "beat"],
        );
        let frame = b"STOMP\r\naccept-version:1.1\r\n\r\n\0";
        check(&server(version), frame, &["STOMP{accept-version=1.1}[]"]);
        let frame = b"CONNECTED\r\nversion:1.1\r\n\r\n\0";
        check(&client(version), frame, &["CONNECTED{version=1.1}[]"]);
    }
}

#[test]
fn line_ends_between_frames_are_heart_beats() {
    for version in ANY {
        let setup = server(version);
        check(&setup, b"\n", &["beat"]);
        check(
            &setup,
            b"\n\n\nBEGIN\n\n\0\nABORT\n\n\0",
            &["beat", "BEGIN{}[]", "beat", "ABORT{}[]"],
        );
        check(&setup, b"\r\n\nBEGIN\n\n\0", &["beat", "BEGIN{}[]"]);
        check(&setup, b"\r", &[]);
        check(&setup, b"\rBEGIN\n\n\0", &["error: unknown command"]);
    }
}

#[test]
fn only_1_0_and_a_handshake_without_a_version_trim() {
    let wire = b"SEND\n a : b \n\n\0";
    check(&server(V1_0), wire, &["SEND{a=b}[]"]);
    check(&server(V1_1), wire, &["SEND{ a = b }[]"]);
    check(&server(V1_2), wire, &["SEND{ a = b }[]"]);
    check(
        &server(None),
        b"CONNECT\nlogin: me \n\n\0",
        &["CONNECT{login=me}[]"],
    );
    let later = b"CONNECT\naccept-version:1.2\npasscode: x \n\n\0";
    check(
        &server(None),
        later,
        &["CONNECT{accept-version=1.2;passcode= x }[]"],
    );
    check(
        &client(None),
        b"CONNECTED\nsession: s\n\n\0",
        &["CONNECTED{session=s}[]"],
    );
    check(
        &client(None),
        b"CONNECTED\nversion:1.2\nsession: s\n\n\0",
        &["CONNECTED{version=1.2;session= s}[]"],
    );
}

/// The value of header `k`, decoded.
fn decoded(setup: &Setup, wire: &[u8]) -> Option<String> {
    let mut decoder = setup.decoder();
    decoder.extend(wire);
    match decoder.next_input() {
        Ok(Some(Input::Frame(frame))) => frame.header("k").map(|v| v.escape_ascii().to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn escapes_are_decoded_by_version() {
    let check = |setup: Setup, wire: &[u8], expected: &str| {
        assert_eq!(
            decoded(&setup, wire).as_deref(),
            Some(expected),
            "{}",
            wire.escape_ascii()
        );
    };
    check(
        server(V1_0),
        b"SEND\nk:\\n\\c\\\\\\r\\t\n\n\0",
        r"\\n\\c\\\\\\r\\t",
    );
    check(server(V1_1), b"SEND\nk:\\n\\c\\\\\n\n\0", r"\n:\\");
    check(server(V1_2), b"SEND\nk:\\n\\c\\\\\\r\n\n\0", r"\n:\\\r");
    check(server(V1_2), b"SEND\nk:\\\\n\n\n\0", r"\\n");
    check(server(V1_2), b"SEND\nk:a:b:c\n\n\0", "a:b:c");
    check(server(V1_2), b"SEND\nk:\n\n\0", "");
    for version in ANY {
        let connect = b"CONNECT\naccept-version:1.2\nk:C:\\new\\temp\\\n\n\0";
        check(server(version), connect, r"C:\\new\\temp\\");
        let connected = b"CONNECTED\nversion:1.2\nk:\\x\\n\n\n\0";
        check(client(version), connected, r"\\x\\n");
    }
}

#[test]
fn an_undefined_escape_is_refused_in_names_and_values() {
    let refused = ["error: undefined escape in a header (receipt r)"];
    let cases: [&[u8]; 4] = [
        b"SEND\nreceipt:r\nk:a\\t\n\n\0",
        b"SEND\nreceipt:r\nk\\t:a\n\n\0",
        b"SEND\nreceipt:r\nk:a\\\n\n\0",
        b"SEND\nk:\\\xff\nreceipt:r\n\n\0",
    ];
    for wire in cases {
        check(&server(V1_1), wire, &refused);
        check(&server(V1_2), wire, &refused);
    }
    check(
        &server(V1_1),
        b"SEND\nk:\\r\n\n\0",
        &["error: undefined escape in a header"],
    );
    check(&server(V1_0), b"SEND\nk:\\t\n\n\0", &[r"SEND{k=\\t}[]"]);
}

#[test]
fn the_first_of_repeated_headers_wins_and_all_are_listed() {
    let wire = b"SEND\nk:1\nk:2\n\n\0";
    check(&server(V1_2), wire, &["SEND{k=1;k=2}[]"]);
    assert_eq!(decoded(&server(V1_2), wire).as_deref(), Some("1"));
    let lengths = b"SEND\ncontent-length:1\ncontent-length:3\n\nabc\0";
    check(&server(V1_2), lengths, &["error: no NUL after the body"]);
}

#[test]
fn what_every_frame_is_asked_for_is_the_first_of_its_name_in_every_version() {
    for version in ANY {
        check(
            &server(version),
            b"SEND\nreceipts:0\nreceipt:1\nreceipt:2\ncontent-length:2\ncontent-length:9\n\n\0x\0",
            &[r"SEND{receipts=0;receipt=1;receipt=2;content-length=2;content-length=9}[\x00x]"],
        );
    }
    // Only 1.0 trims, and so finds them behind blanks.
    let wire = b"SEND\n receipt :1\n content-length :2\n\n\0x\0";
    check(
        &server(V1_0),
        wire,
        &[r"SEND{receipt=1;content-length=2}[\x00x]"],
    );
    check(
        &server(V1_1),
        b"SEND\n content-length :2\n\nx\0",
        &["SEND{ content-length =2}[x]"],
    );
}

#[test]
fn a_header_is_found_by_its_decoded_name() {
    let mut decoder = server(V1_2).decoder();
    decoder.extend(b"SEND\na\\cb:1\nab:2\n\n\0");
    let Ok(Some(Input::Frame(frame))) = decoder.next_input() else {
        panic!()
    };
    assert_eq!(frame.text("a:b").as_deref(), Some("1"));
    assert_eq!(frame.text("ab").as_deref(), Some("2"));
    assert_eq!(frame.text("a\\cb"), None);
}

#[test]
fn a_header_line_needs_a_colon_and_a_name() {
    for version in ANY {
        let setup = server(version);
        check(
            &setup,
            b"SEND\nab\n\n\0",
            &["error: header line without a colon"],
        );
        check(&setup, b"SEND\n:b\n\n\0", &["error: header without a name"]);
        let asked = b"SEND\nreceipt:r\nab\n";
        check(
            &setup,
            asked,
            &["error: header line without a colon (receipt r)"],
        );
    }
    check(
        &server(V1_0),
        b"SEND\n :b\n\n\0",
        &["error: header without a name"],
    );
    check(&server(V1_2), b"SEND\n :b\n\n\0", &["SEND{ =b}[]"]);
}

#[test]
fn a_nul_before_the_blank_line_is_refused() {
    for version in ANY {
        let setup = server(version);
        check(&setup, b"SEND\na:b\0", &["error: NUL inside the headers"]);
        check(&setup, b"SEND\n\0", &["error: NUL inside the headers"]);
        check(&setup, b"DISCONNECT\0", &["error: NUL inside the headers"]);
        check(
            &setup,
            b"SEND\na:b\0c\n\n\0",
            &["error: NUL inside the headers"],
        );
    }
}

#[test]
fn content_length_lets_a_body_hold_nul() {
    for version in ANY {
        let setup = server(version);
        check(
            &setup,
            b"SEND\ncontent-length:3\n\na\0b\0",
            &[r"SEND{content-length=3}[a\x00b]"],
        );
        check(
            &setup,
            b"SEND\ncontent-length:0\n\n\0",
            &["SEND{content-length=0}[]"],
        );
        check(&setup, b"SEND\n\na\0", &["SEND{}[a]"]);
        let zeros = b"SEND\ncontent-length:0003\n\nabc\0\n";
        check(&setup, zeros, &["SEND{content-length=0003}[abc]", "beat"]);
        check(&setup, b"SEND\ncontent-length:9\n\nabc\0", &["..."]);
    }
}

#[test]
fn a_content_length_that_does_not_fit_is_refused() {
    let not_a_number = ["error: content-length is not a number (receipt r)"];
    for value in ["", "-1", "+1", "a", "1a", "0x1", "1.0"] {
        let wire = format!("SEND\ncontent-length:{value}\nreceipt:r\n\nabc\0");
        for version in ANY {
            check(&server(version), wire.as_bytes(), &not_a_number);
        }
    }
    check(
        &server(V1_2),
        b"SEND\ncontent-length: 1\nreceipt:r\n\na\0",
        &not_a_number,
    );
    check(
        &server(V1_0),
        b"SEND\ncontent-length: 1\n\na\0",
        &["SEND{content-length=1}[a]"],
    );
    let unterminated = ["error: no NUL after the body"];
    check(
        &server(V1_2),
        b"SEND\ncontent-length:2\n\nabc\0",
        &unterminated,
    );
    check(
        &server(V1_2),
        b"SEND\ncontent-length:0\n\nabc\0",
        &unterminated,
    );
    for value in [
        "104857601",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        let wire = format!("SEND\nreceipt:r\ncontent-length:{value}\n\n");
        check(
            &server(V1_2),
            wire.as_bytes(),
            &["error: body too long (receipt r)"],
        );
    }
}

#[test]
fn other_client_frames_may_not_carry_a_body_from_1_1_on() {
    let commands = [
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ACK",
        "NACK",
        "BEGIN",
        "COMMIT",
        "ABORT",
        "DISCONNECT",
    ];
    for command in commands {
        let open = format!("{command}\nreceipt:r\n\nx\0");
        let sized = format!("{command}\nreceipt:r\ncontent-length:1\n\nx\0");
        let empty = format!("{command}\ncontent-length:0\n\n\0");
        for version in [V1_1, V1_2] {
            let refused = ["error: body not allowed on this frame (receipt r)"];
            check(&server(version), open.as_bytes(), &refused);
            check(&server(version), sized.as_bytes(), &refused);
            check(
                &server(version),
                empty.as_bytes(),
                &[&format!("{command}{{content-length=0}}[]")],
            );
        }
        let skipped = format!("{command}{{receipt=r}}[]");
        check(&server(V1_0), open.as_bytes(), &[&skipped]);
    }
}

#[test]
fn a_body_on_what_opens_a_session_is_skipped() {
    for version in ANY {
        let setup = server(version);
        check(&setup, b"CONNECT\n\nbody\0\n", &["CONNECT{}[]", "beat"]);
        check(
            &setup,
            b"STOMP\ncontent-length:3\n\na\0b\0BEGIN\n\n\0",
            &["STOMP{content-length=3}[]", "BEGIN{}[]"],
        );
        check(
            &setup,
            b"STOMP\ncontent-length:3\n\nabcd\0",
            &["error: no NUL after the body"],
        );
    }
    check(
        &client(None),
        b"CONNECTED\nversion:1.2\n\nx\0",
        &["CONNECTED{version=1.2}[]"],
    );
}

#[test]
fn what_servers_send_is_decoded_for_clients_only() {
    let frames = ["MESSAGE\na:b\n\nbody\0", "ERROR\na:b\n\nbody\0"];
    for wire in frames {
        let (command, _) = wire.split_once('\n').unwrap_or_default();
        check(
            &client(V1_2),
            wire.as_bytes(),
            &[&format!("{command}{{a=b}}[body]")],
        );
        check(
            &server(V1_2),
            wire.as_bytes(),
            &["error: command not allowed from this side"],
        );
    }
    check(
        &client(V1_2),
        b"RECEIPT\nreceipt-id:1\n\n\0",
        &["RECEIPT{receipt-id=1}[]"],
    );
    check(
        &client(V1_2),
        b"SEND\na:b\n\n\0",
        &["error: command not allowed from this side"],
    );
}

#[test]
fn an_unknown_command_is_quoted_safely() {
    let check = |wire: &[u8], quoted: &str, foreign: Option<Foreign>| {
        let mut decoder = server(None).decoder();
        decoder.extend(wire);
        let error = decoder.next_input().expect_err("not a command");
        let expected = Reason::UnknownCommand {
            quoted: quoted.to_owned(),
            foreign,
        };
        assert_eq!(*error.reason(), expected);
        if foreign.is_some() {
            assert!(error.detail().contains("looks like"), "{}", error.detail());
        }
        check(&server(None), wire, &["error: unknown command"]);
    };
    check(b"send\n\n", "send", None);
    check(b"SEND \n\n", "SEND ", None);
    check(b" SEND\n\n", " SEND", None);
    check(b"\x1b[31mX\xff\n\n", ".[31mX.", None);
    check(
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1.",
        Some(Foreign::Http),
    );
    let long = b"GET /a/very/long/path/indeed?query HTTP/1.1\r\n";
    check(
        long,
        "GET /a/very/long/path/indeed?que",
        Some(Foreign::Http),
    );
    check(b"\x16\x03\x01\x02\x00\x01", "....", Some(Foreign::Tls));
}

#[test]
fn what_is_no_command_of_a_client_names_the_receipt_that_it_asks_for() {
    for version in ANY {
        for (wire, expected) in [
            (
                &b"FOO\nreceipt:r\n\n\0"[..],
                "error: unknown command (receipt r)",
            ),
            (
                b"send\na:b\nreceipt:r\n\n",
                "error: unknown command (receipt r)",
            ),
            (
                b"FOO\nreceipt:r\nno colon\n",
                "error: unknown command (receipt r)",
            ),
            (b"FOO\nreceipt:r\0", "error: unknown command"),
            (
                b"MESSAGE\nreceipt:r\n\n\0",
                "error: command not allowed from this side (receipt r)",
            ),
        ] {
            check(&server(version), wire, &[expected]);
        }
    }
    let stranger = Setup {
        logged_in: false,
        ..server(None)
    };
    check(&stranger, b"FOO\n", &["error: unknown command"]);
}

#[test]
fn a_failed_decoder_repeats_its_error_and_holds_nothing() {
    let mut decoder = server(V1_2).decoder();
    decoder.extend(b"NONSENSE\nSEND\n\n\0");
    let first = decoder.next_input().expect_err("not a command");
    decoder.extend(b"SEND\n\n\0");
    let second = decoder.next_input().expect_err("still dead");
    assert_eq!(first.reason(), second.reason());
    assert_eq!(decoder.buffered_bytes(), 0);
    assert!(!decoder.is_mid_frame());
}

#[test]
fn an_unfinished_frame_is_told_from_a_quiet_connection() {
    let mut decoder = server(V1_2).decoder();
    let wire = b"SEND\ncontent-length:3\n\nabc";
    for (at, &octet) in wire.iter().enumerate() {
        decoder.extend(&[octet]);
        assert!(matches!(decoder.next_input(), Ok(None)));
        assert!(decoder.is_mid_frame());
        assert_eq!(decoder.buffered_bytes(), at + 1);
    }
    decoder.extend(&[0]);
    assert!(matches!(decoder.next_input(), Ok(Some(Input::Frame(_)))));
    assert!(!decoder.is_mid_frame());
    assert_eq!(decoder.buffered_bytes(), 0);
}
