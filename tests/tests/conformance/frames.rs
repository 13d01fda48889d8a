//! Line ends, escapes, header values, bodies (dialect, section 1), end to end: what one client wrote is what another
//! one reads.

use std::io::{Read, Write};
use std::net::TcpStream;

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Frame, Version, Wire};

use super::fixture::{VERSIONS, connect, expect_quiet, expect_refusal, header, start};

/// A receiver of each version on one topic, and what they got of one SEND.
struct Echo {
    broker: Broker,
    receivers: [Wire; 3],
}

impl Echo {
    fn start() -> Echo {
        let broker = start();
        let receivers = VERSIONS.map(|version| {
            let mut wire = Wire::connect(broker.stomp(), version);
            wire.subscribe("s", "/topic/echo", "auto");
            wire
        });
        Echo { broker, receivers }
    }

    /// What receivers of 1.0, 1.1 and 1.2 read, header values decoded by their version.
    fn heard(&mut self, sender: Version, frame: &[u8]) -> [Frame; 3] {
        let mut wire = Wire::connect(self.broker.stomp(), sender);
        wire.send_raw(frame);
        self.receivers.each_mut().map(Wire::expect_message)
    }

    /// What the 1.2 receiver reads in the header `h`.
    fn value(&mut self, sender: Version, line: &[u8]) -> String {
        let mut frame = b"SEND\ndestination:/topic/echo\n".to_vec();
        frame.extend_from_slice(line);
        frame.extend_from_slice(b"\n\nbody\0");
        let [.., latest] = self.heard(sender, &frame);
        header(&latest, "h").to_owned()
    }
}

/// D1.9, D1.10, D1.11
#[test]
fn line_ends_are_those_of_the_version() {
    let mut echo = Echo::start();
    let mut check = |version, line: &str, expected: &str| {
        assert_eq!(
            echo.value(version, line.as_bytes()),
            expected,
            "{version:?} {line:?}"
        );
    };
    for version in VERSIONS {
        check(version, "h:lf", "lf");
    }
    check(Version::V10, "h:crlf\r", "crlf");
    check(Version::V11, "h:crlf\r", "crlf\r");
    check(Version::V12, "h:crlf\r", "crlf");
    // A whole 1.0 and a whole 1.2 frame with CRLF, as telnet sends them.
    for version in [Version::V10, Version::V12] {
        let frame = b"SEND\r\ndestination:/topic/echo\r\nh:all\r\n\r\nbody\r\n\0\r\n";
        let [.., latest] = echo.heard(version, frame);
        assert_eq!(header(&latest, "h"), "all");
        assert_eq!(latest.body, b"body\r\n");
    }
}

/// D1.10
#[test]
fn connect_may_end_its_lines_with_crlf_whatever_version_it_asks_for() {
    let broker = start();
    for (accept, expected) in [("1.0", "1.0"), ("1.1", "1.1"), ("1.0,1.1,1.2", "1.2")] {
        let mut wire = Wire::open(broker.stomp());
        wire.send(&format!(
            "CONNECT\r\naccept-version:{accept}\r\nhost:x\r\nreceipt:r\r\n\r\n^@\r\n"
        ));
        let connected = wire.expect_frame("CONNECTED");
        assert_eq!(header(&connected, "version"), expected);
        assert_eq!(header(&connected, "receipt-id"), "r");
    }
}

/// D1.49
#[test]
fn the_broker_writes_a_line_feed_behind_every_frame() {
    let broker = start();
    let mut stream = TcpStream::connect(broker.stomp()).expect("the broker listens");
    stream
        .write_all(
            b"CONNECT\naccept-version:1.2\nhost:x\n\n\0\
              SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:r\n\n\0\
              SEND\ndestination:/topic/a\n\nbody\0\
              SEND\ndestination:/topic/a\nreceipt:m\n\n\0",
        )
        .expect("the broker reads");
    let mut all = String::new();
    while !all.contains("receipt-id:m\n\n\0\n") {
        let mut block = [0; 4096];
        let count = stream.read(&mut block).expect("the broker answers");
        assert!(count > 0, "closed after {all:?}");
        all.push_str(&String::from_utf8_lossy(&block[..count]));
    }
    stream.write_all(b"NONSENSE\n\n\0").expect("it reads on");
    stream.read_to_string(&mut all).expect("it closes");
    for (frame, next) in [
        ("CONNECTED\n", "\0\nRECEIPT\n"),
        ("RECEIPT\n", "\0\nMESSAGE\n"),
        ("MESSAGE\n", "body\0\nMESSAGE\n"),
    ] {
        assert!(all.contains(frame) && all.contains(next), "{all:?}");
    }
    assert!(
        all.contains("\0\nERROR\n") && all.ends_with("\0\n"),
        "{all:?}"
    );
}

/// D1.12
#[test]
fn line_ends_between_frames_are_skipped() {
    let broker = start();
    for version in VERSIONS {
        let mut wire = Wire::open(broker.stomp());
        wire.send("\n\r\n\n");
        wire.try_login(version, &[])
            .expect("CONNECT follows line ends");
        wire.send("\n\n\r\n\r\nSEND\ndestination:/topic/x\nreceipt:1\n\n^@\r\n\n");
        wire.send("\nSEND\ndestination:/topic/x\nreceipt:2\n\n^@\n");
        wire.expect_receipt("1");
        wire.expect_receipt("2");
    }
}

/// D1.14, D1.15, D1.18, D7.9
#[test]
fn a_value_is_decoded_by_the_senders_version_and_encoded_for_each_receiver() {
    let mut echo = Echo::start();
    let mut check = |sender, line: &str, expected: [&str; 3]| {
        let frame = format!("SEND\ndestination:/topic/echo\nh:{line}\ninjected:no\n\nbody\0");
        let heard = echo.heard(sender, frame.as_bytes());
        for (frame, expected) in heard.iter().zip(expected) {
            assert_eq!(header(frame, "h"), expected, "{sender:?} {line:?}: {frame}");
            assert_eq!(header(frame, "injected"), "no");
            assert_eq!(frame.body, b"body");
        }
    };
    // 1.0 knows no escapes: a backslash is a backslash, a colon belongs to the value.
    check(Version::V10, "a\\nb\\cc\\q:d", ["a\\nb\\cc\\q:d"; 3]);
    check(Version::V11, "a\\cb\\\\c", ["a:b\\c"; 3]);
    check(Version::V12, "a\\cb\\\\c:d", ["a:b\\c:d"; 3]);
    // What a version cannot carry becomes a space there.
    check(Version::V11, "a\\nx:y", ["a x:y", "a\nx:y", "a\nx:y"]);
    check(
        Version::V12,
        "a\\ninjected:yes",
        ["a injected:yes", "a\ninjected:yes", "a\ninjected:yes"],
    );
    check(Version::V12, "a\\r\\nb", ["a  b", "a\r\nb", "a\r\nb"]);
    check(Version::V11, "a\rb", ["a b", "a\rb", "a\rb"]);
    check(Version::V12, "größe ✓", ["größe ✓"; 3]);
}

/// D1.15, D1.18
#[test]
fn a_header_name_that_needs_escapes_arrives_escaped() {
    let mut echo = Echo::start();
    let frame = b"SEND\ndestination:/topic/echo\na\\cb\\\\:v\nc\\nd:w\n\n\0";
    let [oldest, middle, latest] = echo.heard(Version::V12, frame);
    for frame in [&middle, &latest] {
        assert_eq!(header(frame, "a:b\\"), "v");
        assert_eq!(header(frame, "c\nd"), "w");
    }
    assert_eq!(header(&oldest, "a b\\"), "v");
    assert_eq!(header(&oldest, "c d"), "w");
}

/// D1.15
#[test]
fn what_the_broker_returns_of_a_frame_is_escaped_for_its_version() {
    let broker = start();
    for version in [Version::V11, Version::V12] {
        let mut wire = Wire::connect(broker.stomp(), version);
        let destination = format!("/queue/odd:{}\\x", version.text());
        let odd = "id:with\\odd\ncharacters";
        let request = wire.encode(
            "SUBSCRIBE",
            &[("id", odd), ("destination", &destination), ("receipt", odd)],
            b"",
        );
        wire.send_raw(&request);
        wire.expect_receipt(odd);
        wire.send_receipted(&destination, &[], "");
        let message = wire.expect_message();
        assert_eq!(header(&message, "subscription"), odd);
        assert_eq!(header(&message, "destination"), destination);
    }
}

/// D1.17
#[test]
fn an_undefined_escape_is_refused() {
    let broker = start();
    let check = |version, line: &str| {
        let mut wire = Wire::connect(broker.stomp(), version);
        let frame = format!("SEND\ndestination:/topic/echo\nreceipt:r\n{line}\n\n^@");
        let error = expect_refusal(&mut wire, &frame, "escape");
        assert_eq!(header(&error, "receipt-id"), "r");
    };
    for version in [Version::V11, Version::V12] {
        check(version, "h:a\\tb");
        check(version, "h:a\\");
        check(version, "a\\x:b");
    }
    check(Version::V11, "h:a\\rb");
}

/// D1.19
#[test]
fn values_keep_every_byte_and_only_1_0_trims_them() {
    let mut echo = Echo::start();
    let mut check = |version, line: &str, expected: &str| {
        assert_eq!(
            echo.value(version, line.as_bytes()),
            expected,
            "{version:?}"
        );
    };
    check(Version::V10, "h:  both \t", "both");
    check(Version::V11, "h:  both \t", "  both \t");
    check(Version::V12, "h:  both \t", "  both \t");
    check(Version::V12, "h:", "");
}

/// D1.19
#[test]
fn names_of_destinations_and_ids_are_compared_byte_by_byte() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe(" s", "/queue/a", "auto");
    wire.subscribe("s", "/queue/ a", "auto");
    wire.send_receipted("/queue/a", &[], "without space");
    assert_eq!(header(&wire.expect_message(), "subscription"), " s");
    wire.send_receipted("/queue/ a", &[], "with space");
    assert_eq!(header(&wire.expect_message(), "subscription"), "s");
}

/// D1.20
#[test]
fn of_a_repeated_header_the_first_counts() {
    let mut echo = Echo::start();
    for version in VERSIONS {
        let frame = b"SEND\ndestination:/topic/echo\ndestination:/topic/other\npriority:7\n\
            priority:x\nh:first\nh:second\n\n\0";
        for heard in echo.heard(version, frame) {
            assert_eq!(header(&heard, "h"), "first");
            assert_eq!(header(&heard, "priority"), "7");
        }
    }
}

/// D1.21
#[test]
fn a_header_line_without_a_colon_is_refused() {
    let broker = start();
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        expect_refusal(
            &mut wire,
            "SEND\ndestination:/queue/a\nno colon here\n\n^@",
            "no colon here",
        );
    }
}

/// D1.22
#[test]
fn a_body_of_declared_length_may_hold_anything() {
    let mut echo = Echo::start();
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for body in [&b"a\0b\n\0\0"[..], b"\0", b"", &all] {
        for version in VERSIONS {
            let mut frame = format!(
                "SEND\ndestination:/topic/echo\ncontent-length:{}\n\n",
                body.len()
            )
            .into_bytes();
            frame.extend_from_slice(body);
            frame.push(0);
            for heard in echo.heard(version, &frame) {
                assert!(heard.body == body, "{version:?}: {} bytes", body.len());
            }
        }
    }
}

/// D1.23
#[test]
fn a_wrong_content_length_is_refused() {
    let broker = start();
    let check = |version, length: &str, body: &str, about: &str| {
        let mut wire = Wire::connect(broker.stomp(), version);
        let frame =
            format!("SEND\ndestination:/queue/a\nreceipt:r\ncontent-length:{length}\n\n{body}^@");
        let error = expect_refusal(&mut wire, &frame, about);
        assert_eq!(header(&error, "receipt-id"), "r");
    };
    for version in VERSIONS {
        check(version, "ten", "0123456789", "not a number");
        check(version, "-1", "", "not a number");
        check(version, "1.0", "x", "not a number");
        check(version, "", "", "not a number");
        check(version, "3", "longer than three", "no NUL");
        check(version, "104857601", "", "limits.body_bytes");
        check(version, "99999999999999999999999", "", "");
    }
}

/// D1.25, D1.26
#[test]
fn a_body_on_a_frame_that_has_none_is_refused_from_1_1_and_skipped_before() {
    let broker = start();
    for version in [Version::V11, Version::V12] {
        for frame in [
            "SUBSCRIBE\nid:s\ndestination:/queue/a\nreceipt:r\n\nbody^@",
            "BEGIN\ntransaction:t\nreceipt:r\ncontent-length:4\n\nbody^@",
            "DISCONNECT\nreceipt:r\n\nbody^@",
        ] {
            let mut wire = Wire::connect(broker.stomp(), version);
            let error = expect_refusal(&mut wire, frame, "body");
            assert_eq!(header(&error, "receipt-id"), "r");
        }
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.send("BEGIN\ntransaction:t\nreceipt:empty\ncontent-length:0\n\n^@");
        wire.expect_receipt("empty");
    }
    let mut wire = Wire::connect(broker.stomp(), Version::V10);
    wire.send("BEGIN\ntransaction:t\nreceipt:1\n\nbody^@");
    wire.send("ABORT\ntransaction:t\nreceipt:2\ncontent-length:5\n\nb\0dy!^@");
    wire.expect_receipt("1");
    wire.expect_receipt("2");
    for length in ["", "content-length:3\n"] {
        let mut wire = Wire::open(broker.stomp());
        wire.send(&format!(
            "CONNECT\naccept-version:1.2\nhost:x\n{length}\nabc^@"
        ));
        wire.expect_frame("CONNECTED");
        expect_quiet(&mut wire);
    }
}

/// D1.9, D1.14, D1.22, D1.23
#[test]
fn frames_mean_the_same_wherever_the_network_cuts_them() {
    let mut echo = Echo::start();
    let mut wire = Wire::connect(echo.broker.stomp(), Version::V12);
    let frame = b"\r\nSEND\r\ndestination:/topic/echo\r\na\\cb:x\\n\\\\y\ncontent-length:5\n\n\0a\r\n\0\0\n";
    // Every byte on its own, then every cut into two.
    for byte in frame {
        wire.send_raw(&[*byte]);
    }
    let bytewise = echo.receivers.each_mut().map(Wire::expect_message);
    assert_eq!(header(&bytewise[2], "a:b"), "x\n\\y");
    assert_eq!(bytewise[2].body, b"\0a\r\n\0");
    for cut in 1..frame.len() {
        wire.send_raw(&frame[..cut]);
        wire.send_raw(&frame[cut..]);
        for (receiver, expected) in echo.receivers.iter_mut().zip(&bytewise) {
            let heard = receiver.expect_message();
            let own = |name: &str| !["message-id", "timestamp"].contains(&name);
            let kept = |frame: &Frame| -> Vec<_> {
                let headers = frame.headers.iter().cloned();
                headers.filter(|(name, _)| own(name)).collect()
            };
            assert_eq!(kept(&heard), kept(expected), "cut at {cut}");
            assert_eq!(heard.body, expected.body, "cut at {cut}");
        }
    }
}

/// D1.17, D1.21, D1.23
#[test]
fn mistakes_are_found_wherever_the_network_cuts_them() {
    let broker = start();
    let check = |frame: &[u8], about: &str| {
        let mut wire = connect(&broker);
        for byte in frame {
            if wire.try_send_raw(&[*byte]).is_err() {
                break;
            }
        }
        wire.expect_error(about);
        wire.expect_closed();
    };
    check(b"SEND\ndestination:/queue/a\nh:\\t\n\n\0", "escape");
    check(b"SEND\ndestination:/queue/a\ncolon\n\n\0", "colon");
    check(b"SEND\ncontent-length:2\n\nabc\0", "no NUL");
    check(b"SEND\ncontent-length:2x\n\nab\0", "not a number");
    check(b"BEGIN\ntransaction:t\n\nx\0", "body");
    check(b"SENT\n\n\0", "SENT");
}
