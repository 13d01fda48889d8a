//! CONNECT, CONNECTED, DISCONNECT, ERROR, `client-id` (dialect, section 1).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use stompbox_tests::wire::{Version, Wire};

use super::fixture::{
    VERSIONS, connect, eventually, expect_complete, expect_quiet, expect_refusal, header, overview,
    start, start_watched, start_with,
};

/// D1.1, D1.2
#[test]
fn the_highest_common_version_is_agreed_on() {
    let broker = start();
    let check = |accept: &str, expected: &str| {
        let mut wire = Wire::open(broker.stomp());
        wire.send(&format!("CONNECT\n{accept}host:x\n\n^@"));
        let connected = wire.expect_frame("CONNECTED");
        assert_eq!(header(&connected, "version"), expected, "{accept:?}");
    };
    check("", "1.0");
    check("accept-version:1.0\n", "1.0");
    check("accept-version:1.1\n", "1.1");
    check("accept-version:1.0,1.1,1.2\n", "1.2");
    check("accept-version:1.2,1.0\n", "1.2");
    check("accept-version:1.1,9.9\n", "1.1");
}

/// D1.3
#[test]
fn without_a_common_version_the_error_says_which_are_spoken() {
    let broker = start();
    for accept in ["2.0", "1.3,3", "", "latest"] {
        let mut wire = Wire::open(broker.stomp());
        let frame = format!("CONNECT\naccept-version:{accept}\nhost:x\n\n^@");
        let error = expect_refusal(&mut wire, &frame, "version");
        assert_eq!(header(&error, "version"), "1.0,1.1,1.2");
    }
}

/// D1.4, D3.7
#[test]
fn connected_tells_version_session_server_and_heart_beat() {
    let broker = start();
    let mut sessions = Vec::new();
    for (command, host) in [("CONNECT", "/"), ("STOMP", "anything"), ("CONNECT", "")] {
        let mut wire = Wire::open(broker.stomp());
        wire.send(&format!("{command}\naccept-version:1.2\nhost:{host}\n\n^@"));
        let connected = wire.expect_frame("CONNECTED");
        assert!(connected.body.is_empty(), "{connected}");
        assert_eq!(
            header(&connected, "server"),
            concat!("stompbox/", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(header(&connected, "heart-beat"), "0,0");
        sessions.push(header(&connected, "session").to_owned());
    }
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "{sessions:?}");
}

/// D1.5, D1.6
#[test]
fn a_first_frame_other_than_connect_is_refused() {
    let broker = start();
    let check = |frame: &str| {
        let mut wire = Wire::open(broker.stomp());
        expect_refusal(&mut wire, frame, "");
    };
    check("SEND\ndestination:/queue/a\n\nx^@");
    check("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n^@");
    check("DISCONNECT\n\n^@");
    check("CONNECTED\nversion:1.2\n\n^@");
    check("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    check("connect\n\n^@");
}

/// D1.7
#[test]
fn a_connection_that_does_not_finish_its_connect_in_time_is_told_and_closed() {
    let broker = start_with("[stomp]\nconnect_timeout = \"300ms\"\n");
    for begin in ["", "\n\n", "CONNECT\naccept-version:1.2\nhost:"] {
        let mut wire = Wire::open(broker.stomp());
        let opened = Instant::now();
        wire.send(begin);
        let error = wire.expect_error("stomp.connect_timeout");
        expect_complete(&error);
        wire.expect_closed();
        assert!(opened.elapsed() >= Duration::from_millis(250), "{begin:?}");
    }
    // Whoever connected in time is left alone.
    let mut wire = connect(&broker);
    wire.expect_nothing_for(Duration::from_millis(600));
    expect_quiet(&mut wire);
}

/// D1.8
#[test]
fn a_second_connect_is_refused() {
    let broker = start();
    for (version, command) in [(Version::V10, "CONNECT"), (Version::V12, "STOMP")] {
        let mut wire = Wire::connect(broker.stomp(), version);
        let frame = format!("{command}\naccept-version:1.2\nhost:x\nreceipt:again\n\n^@");
        let error = expect_refusal(&mut wire, &frame, "already connected");
        assert_eq!(header(&error, "receipt-id"), "again");
    }
}

/// D1.16
#[test]
fn connect_and_connected_are_never_escaped() {
    let broker = start();
    for version in VERSIONS {
        let mut wire = Wire::open(broker.stomp());
        let connected = wire
            .try_login(version, &[("receipt", "a\\tb\\c:d"), ("login", "\\q")])
            .expect("no escape is looked for in CONNECT");
        assert_eq!(header(&connected, "receipt-id"), "a\\tb\\c:d");
    }
}

/// D1.40
#[test]
fn a_receipt_asked_for_on_connect_comes_back_on_connected() {
    let broker = start();
    let check = |headers: &[(&str, &str)], receipt: Option<&str>, response: Option<&str>| {
        let mut wire = Wire::open(broker.stomp());
        let connected = wire
            .try_login(Version::V12, headers)
            .expect("CONNECT with a receipt is answered");
        assert_eq!(connected.header("receipt-id"), receipt, "{connected}");
        assert_eq!(connected.header("response-id"), response, "{connected}");
        expect_quiet(&mut wire);
    };
    check(&[], None, None);
    check(&[("receipt", "r")], Some("r"), None);
    check(&[("request-id", "q")], Some("q"), Some("q"));
    check(
        &[("receipt", "r"), ("request-id", "q")],
        Some("r"),
        Some("q"),
    );
}

/// D1.35, D1.37
#[test]
fn an_error_names_the_receipt_that_will_not_come_and_says_what_to_do() {
    let broker = start();
    let check = |version, frame: &str, receipt: Option<&str>| {
        let mut wire = Wire::connect(broker.stomp(), version);
        let error = expect_refusal(&mut wire, frame, "");
        assert_eq!(error.header("receipt-id"), receipt, "{error}");
    };
    for version in VERSIONS {
        check(
            version,
            "SEND\nreceipt:r 1\n\nno destination^@",
            Some("r 1"),
        );
        check(
            version,
            "ABORT\ntransaction:none\nreceipt:2\n\n^@",
            Some("2"),
        );
        check(version, "UNSUBSCRIBE\nid:none\n\n^@", None);
        check(
            version,
            "SEND\nreceipt:3\ncontent-length:x\n\n^@",
            Some("3"),
        );
        check(version, "SEND\nreceipt:4\nno colon\n\n^@", Some("4"));
        check(version, "NONSENSE\nreceipt:5\n\n^@", Some("5"));
        check(version, "MESSAGE\nreceipt:6\n\n^@", Some("6"));
    }
    check(Version::V12, "ACK\nreceipt:a\\cb\n\n^@", Some("a:b"));
}

/// D1.36
#[test]
fn an_error_arrives_although_the_client_keeps_sending() {
    let broker = start();
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        wire.send("SEND\ndestination:/nonsense/a\nreceipt:r\n\nx^@");
        // Far more than the sockets hold; it ends with the connection, at the latest.
        let more = vec![b'x'; 64 * 1024];
        for _ in 0..256 {
            if wire.try_send_raw(&more).is_err() {
                break;
            }
        }
        let error = wire.expect_error("prefix");
        assert_eq!(header(&error, "receipt-id"), "r");
        wire.expect_closed();
    }
}

/// D1.36
#[test]
fn after_an_error_the_broker_listens_no_longer_than_its_linger() {
    let broker = start_with("[stomp]\nlinger = \"200ms\"\n");
    let mut stream = TcpStream::connect(broker.stomp()).expect("the broker listens");
    stream.write_all(b"NONSENSE\n\n\0").expect("it reads");
    let mut told = Vec::new();
    stream.read_to_end(&mut told).expect("it shuts its side");
    assert!(told.starts_with(b"ERROR\n"), "{}", told.escape_ascii());
    // Its side is shut; ours is read for a while and then answered with a reset.
    eventually("the socket is given back", || stream.write_all(b"x").err());
}

/// D1.50
#[test]
fn a_second_connection_with_a_live_client_id_is_refused_and_the_first_lives() {
    let broker = start();
    let id = [("client-id", "one")];
    let mut first = Wire::connect_with(broker.stomp(), Version::V12, &id);
    for version in VERSIONS {
        let mut second = Wire::open(broker.stomp());
        let connect = format!(
            "CONNECT\naccept-version:{}\nhost:x\nclient-id:one\n\n^@",
            version.text()
        );
        expect_refusal(&mut second, &connect, "client-id");
    }
    expect_quiet(&mut first);
    let other = [("client-id", "two")];
    let _other = Wire::connect_with(broker.stomp(), Version::V12, &other);
}

/// D1.50
#[test]
fn a_client_id_is_free_once_its_connection_has_its_disconnect_receipt() {
    let broker = start();
    let id = [("client-id", "one")];
    for _ in 0..50 {
        let mut wire = Wire::connect_with(broker.stomp(), Version::V12, &id);
        wire.request("DISCONNECT", &[], b"");
        let mut next = Wire::connect_with(broker.stomp(), Version::V12, &id);
        next.request("DISCONNECT", &[], b"");
        next.expect_closed();
    }
}

/// D1.51
#[test]
fn with_takeover_the_older_connection_is_closed() {
    let broker = start_with("[stomp]\nclient_id = \"takeover\"\n");
    let id = [("client-id", "one")];
    let mut first = Wire::connect_with(broker.stomp(), Version::V12, &id);
    first.subscribe("s", "/queue/t", "client");
    first.send_receipted("/queue/t", &[], "held by the first");
    first.expect_message();
    let mut second = Wire::connect_with(broker.stomp(), Version::V12, &id);
    expect_complete(&first.expect_error("client-id"));
    first.expect_closed();
    second.subscribe("s", "/queue/t", "client");
    assert_eq!(second.expect_message().text(), "held by the first");
    // The end of the older one frees nothing that the newer one has.
    let third = Wire::connect_with(broker.stomp(), Version::V12, &id);
    expect_complete(&second.expect_error("client-id"));
    third.disconnect();
}

/// D1.52
#[test]
#[cfg(target_os = "linux")]
fn tcp_asks_a_silent_peer_after_the_configured_time() {
    let broker = start();
    let stream = TcpStream::connect(broker.stomp()).expect("the broker listens");
    let ours = stream.local_addr().expect("a connected socket").port();
    let theirs = broker.stomp().port();
    // The kernel's table: local address, remote address, state, queues, `timer:when` in 1/100 s. Timer 2 is keep-alive.
    let timer = eventually("the broker's socket runs a keep-alive timer", || {
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let line = table.lines().find(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let ends = |field: &str, port: u16| field.ends_with(&format!(":{port:04X}"));
            fields.len() > 5 && ends(fields[1], theirs) && ends(fields[2], ours)
        })?;
        let timer = line.split_whitespace().nth(5)?;
        u64::from_str_radix(timer.strip_prefix("02:")?, 16).ok()
    });
    assert!((5_000..=6_000).contains(&timer), "{timer} hundredths");
}

/// D1.53, D2.9
#[test]
fn disconnect_is_answered_when_all_before_it_is_processed_and_then_closed() {
    let broker = start();
    let mut wire = connect(&broker);
    let mut frames = String::new();
    for number in 0..500 {
        frames.push_str(&format!("SEND\ndestination:/queue/d\n\nm{number}^@"));
    }
    frames.push_str("DISCONNECT\nreceipt:bye\n\n^@");
    // What comes after DISCONNECT is no part of the session.
    frames.push_str("SEND\ndestination:/queue/d\n\ntoo late^@");
    wire.send(&frames);
    assert_eq!(header(&wire.expect_frame("RECEIPT"), "receipt-id"), "bye");
    wire.expect_closed();
    let mut reader = connect(&broker);
    reader.subscribe("s", "/queue/d", "auto");
    for number in 0..500 {
        assert_eq!(reader.expect_message().text(), format!("m{number}"));
    }
    expect_quiet(&mut reader);
}

/// D1.54
#[test]
fn a_client_that_disconnects_and_reads_nothing_is_given_up() {
    let mut broker = start_watched("[stomp]\nstalled_after = \"300ms\"\n");
    let body = "x".repeat(128 * 1024);
    let mut sender = connect(&broker);
    let mut deaf = connect(&broker);
    deaf.subscribe("s", "/queue/big", "client");
    // More than the sockets hold: what comes behind it, its RECEIPT too, cannot be written.
    for _ in 0..200 {
        sender.send_receipted("/queue/big", &[("persistent", "false")], &body);
    }
    deaf.send("DISCONNECT\nreceipt:bye\n\n^@");
    eventually("it is gone", || {
        (overview(&broker, "connections") == 1).then_some(())
    });
    sender.subscribe("s", "/queue/big", "auto");
    for _ in 0..200 {
        sender.expect_message();
    }
    assert!(broker.terminate().success());
}

/// D1.54
#[test]
fn a_client_that_reads_slowly_after_its_disconnect_gets_all_that_it_is_owed() {
    let broker = start_with("[stomp]\nstalled_after = \"2s\"\n");
    let body = "x".repeat(128 * 1024);
    let mut sender = connect(&broker);
    let mut slow = connect(&broker);
    slow.subscribe("s", "/queue/big", "client");
    for _ in 0..100 {
        sender.send_receipted("/queue/big", &[("persistent", "false")], &body);
    }
    slow.send("DISCONNECT\nreceipt:bye\n\n^@");
    slow.expect_receipt("bye");
}
