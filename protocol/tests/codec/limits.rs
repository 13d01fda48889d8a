//! Every limit: what just fits passes, one more is refused, while the frame is still arriving.

use crate::support::{Setup, check, run, server};
use stompbox_protocol::{Limit, Limits, Reason, Version};

fn with(limits: Limits) -> Setup {
    Setup {
        limits,
        ..server(Some(Version::V1_2))
    }
}

fn small() -> Limits {
    Limits {
        command_bytes_max: 12,
        header_line_bytes_max: 10,
        header_count_max: 3,
        header_block_bytes_max: 24,
        body_bytes_max: 5,
        unauthenticated_bytes_max: 40,
    }
}

#[test]
fn a_command_line_is_refused_before_it_ends() {
    let setup = with(small());
    check(&setup, b"UNSUBSCRIBE\n", &["..."]);
    check(&setup, b"UNSUBSCRIBE\r\n", &["..."]);
    check(&setup, b"UNSUBSCRIBERS", &["error: command too long"]);
    check(&setup, b"UNSUBSCRIBERS\n\n\0", &["error: command too long"]);
}

#[test]
fn a_header_line_is_refused_before_it_ends() {
    let setup = with(small());
    check(&setup, b"SEND\nab:4567890\n\n\0", &["SEND{ab=4567890}[]"]);
    check(
        &setup,
        b"SEND\nab:45678901",
        &["error: header line too long"],
    );
    check(
        &setup,
        b"SEND\nreceipt:r\nnocolonhere\n",
        &["error: header line too long (receipt r)"],
    );
}

#[test]
fn headers_are_counted() {
    let setup = with(small());
    check(
        &setup,
        b"SEND\na:1\nb:2\nc:3\n\n\0",
        &["SEND{a=1;b=2;c=3}[]"],
    );
    check(
        &setup,
        b"SEND\na:1\nb:2\nc:3\nd:4\n",
        &["error: too many headers"],
    );
}

#[test]
fn a_header_block_is_refused_before_it_ends() {
    let setup = with(small());
    check(
        &setup,
        b"SEND\na:345678\nb:345678\nc:34\n\n\0",
        &["SEND{a=345678;b=345678;c=34}[]"],
    );
    check(&setup, b"SEND\na:345678\nb:345678\nc:3456", &["..."]);
    check(
        &setup,
        b"SEND\na:345678\nb:345678\nc:34567",
        &["error: headers too long"],
    );
}

#[test]
fn a_body_is_refused_before_it_ends_or_as_soon_as_it_is_declared() {
    let setup = with(small());
    check(&setup, b"SEND\n\n12345\0", &["SEND{}[12345]"]);
    check(
        &setup,
        b"SEND\nreceipt:r\n\n123456",
        &["error: body too long (receipt r)"],
    );
    let limits = Limits {
        header_line_bytes_max: 99,
        header_block_bytes_max: 99,
        ..small()
    };
    let setup = with(limits);
    let fits = b"SEND\ncontent-length:5\n\n12345\0";
    check(&setup, fits, &["SEND{content-length=5}[12345]"]);
    check(
        &setup,
        b"SEND\ncontent-length:6\nreceipt:r\n\n",
        &["error: body too long (receipt r)"],
    );
    check(
        &setup,
        b"STOMP\ncontent-length:6\n\n",
        &["error: body too long"],
    );
    check(&setup, b"STOMP\n\n123456", &["error: body too long"]);
}

#[test]
fn what_comes_before_the_login_is_limited_altogether() {
    let setup = Setup {
        logged_in: false,
        ..with(Limits {
            body_bytes_max: 99,
            ..small()
        })
    };
    let fits = [b"CONNECT\n\n".as_slice(), &[b'x'; 31], b"\0"].concat();
    check(&setup, &fits, &["CONNECT{}[]"]);
    let long = [b"CONNECT\n\n".as_slice(), &[b'x'; 32], b"\0"].concat();
    check(&setup, &long, &["error: too many bytes before login"]);
    let two = b"CONNECT\na:b\n\n\0BEGIN\na:b\n\n\0COMMIT\na:bcdef\n\n\0";
    check(
        &setup,
        two,
        &[
            "CONNECT{a=b}[]",
            "BEGIN{a=b}[]",
            "error: too many bytes before login",
        ],
    );
    let beats = run(&setup, vec![b"\n".as_slice(); 41]);
    assert_eq!(beats, ["beat", "error: too many bytes before login"]);
    let declared = b"SEND\ncontent-length:32\n\n";
    let limits = Limits {
        header_line_bytes_max: 99,
        body_bytes_max: 99,
        ..small()
    };
    let setup = Setup {
        logged_in: false,
        ..with(limits)
    };
    check(&setup, declared, &["error: too many bytes before login"]);
    check(
        &Setup {
            logged_in: true,
            ..setup
        },
        declared,
        &["..."],
    );
}

#[test]
fn the_login_lifts_its_limit_for_frames_that_are_already_held() {
    let mut decoder = Setup {
        logged_in: false,
        ..with(small())
    }
    .decoder();
    decoder.extend(b"CONNECT\n\n\0");
    decoder.extend(&b"BEGIN\na:b\n\n\0".repeat(10));
    assert!(matches!(decoder.next_input(), Ok(Some(_))));
    decoder.authenticated();
    for _ in 0..10 {
        assert!(matches!(decoder.next_input(), Ok(Some(_))));
    }
    assert!(matches!(decoder.next_input(), Ok(None)));
}

#[test]
fn the_limit_that_ends_first_is_named_however_much_arrives_at_once() {
    let limits = Limits {
        header_block_bytes_max: 8,
        ..small()
    };
    check(
        &with(limits),
        b"SEND\nabcdefghijklmnop\n",
        &["error: headers too long"],
    );
    let limits = Limits {
        header_block_bytes_max: 12,
        ..small()
    };
    check(
        &with(limits),
        b"SEND\nabcdefghijklmnop\n",
        &["error: header line too long"],
    );
    let setup = Setup {
        logged_in: false,
        ..with(Limits {
            body_bytes_max: 35,
            ..small()
        })
    };
    let wire = [b"SEND\n\n".as_slice(), &[b'x'; 50], b"\0"].concat();
    check(&setup, &wire, &["error: too many bytes before login"]);
}

#[test]
fn an_error_names_the_limit_its_key_and_its_value() {
    let check = |wire: &[u8], limit: Limit, max: usize| {
        let mut decoder = with(small()).decoder();
        decoder.extend(wire);
        let error = decoder.next_input().expect_err("over a limit");
        assert_eq!(*error.reason(), Reason::OverLimit { limit, max });
        let named = format!("{} = {max}", limit.config_key());
        assert!(error.detail().contains(&named), "{}", error.detail());
        assert_eq!(error.to_string(), error.summary());
    };
    check(b"UNSUBSCRIBERS", Limit::CommandBytes, 12);
    check(b"SEND\nab:45678901", Limit::HeaderLineBytes, 10);
    check(b"SEND\na:1\nb:2\nc:3\nd:4\n", Limit::HeaderCount, 3);
    check(
        b"SEND\na:345678\nb:345678\nc:34567",
        Limit::HeaderBlockBytes,
        24,
    );
    check(b"SEND\n\n123456", Limit::BodyBytes, 5);
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let setup = server(Some(Version::V1_2));
    let line = |bytes: usize| [b"SEND\na:", "x".repeat(bytes - 2).as_bytes()].concat();
    assert_eq!(run(&setup, [line(10_240).as_slice()]), ["..."]);
    assert_eq!(
        run(&setup, [line(10_241).as_slice()]),
        ["error: header line too long"]
    );
    let headers = |count| ["SEND\n", &"a:b\n".repeat(count)].concat();
    assert_eq!(run(&setup, [headers(1_000).as_bytes()]), ["..."]);
    assert_eq!(
        run(&setup, [headers(1_001).as_bytes()]),
        ["error: too many headers"]
    );
    let declared = |bytes: usize| format!("SEND\ncontent-length:{bytes}\n\n");
    assert_eq!(run(&setup, [declared(100 << 20).as_bytes()]), ["..."]);
    assert_eq!(
        run(&setup, [declared((100 << 20) + 1).as_bytes()]),
        ["error: body too long"]
    );
}
