//! Limits on what a client sends, each checked while the frame is still arriving (dialect, section 1).

use std::fs;

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Version, Wire};

use super::fixture::{
    connect, eventually, expect_complete, expect_quiet, expect_refusal, start, start_with,
};

/// What comes before the limit is passed, then ever more of the same: the ERROR must come although nothing ends.
fn expect_limit(broker: &Broker, begin: &str, more: &str, times: usize, key: &str) {
    let mut wire = connect(broker);
    wire.send(begin);
    for _ in 0..times {
        if wire.try_send(more).is_err() {
            break;
        }
    }
    let error = wire.expect_error(key);
    expect_complete(&error);
    wire.expect_closed();
}

/// D1.27, D1.28, D1.29, D1.30, D1.24
#[test]
fn default_limits_are_checked_while_the_frame_arrives_and_named() {
    let broker = start();
    let check = |begin: &str, more: &str, times, key| {
        expect_limit(&broker, begin, more, times, key);
    };
    check(
        "",
        "SENDSENDSENDSENDSENDSENDSENDSENDX",
        1,
        "limits.command_bytes = 32",
    );
    let line = "x".repeat(1024);
    check("SEND\nh:", &line, 10, "limits.header_line_bytes = 10240");
    check("SEND\n", "h:v\n", 1001, "limits.headers = 1000");
    let long_line = format!("h:{}\n", "x".repeat(10_000));
    check(
        "SEND\n",
        &long_line,
        105,
        "limits.header_block_bytes = 1048576",
    );
    check(
        "SEND\ndestination:/queue/a\ncontent-length:104857601\n\n",
        "",
        0,
        "limits.body_bytes = 104857600",
    );
}

/// D1.27, D1.28, D1.29, D1.30
#[test]
fn what_stays_within_the_default_limits_is_accepted() {
    let broker = start();
    let mut wire = connect(&broker);
    // A value may be as long as its line allows, with "h:" in it; 999 headers and the destination are 1,000.
    let long = "x".repeat(10 * 1024 - 2);
    wire.send_receipted("/topic/a", &[("h", &long)], "");
    let many: String = (0..998).map(|n| format!("h{n}:v\n")).collect();
    wire.send(&format!(
        "SEND\ndestination:/topic/a\nreceipt:many\n{many}\n^@"
    ));
    wire.expect_receipt("many");
    let block: String = (0..100)
        .map(|n| format!("h{n}:{}\n", "x".repeat(10_200)))
        .collect();
    wire.send(&format!(
        "SEND\ndestination:/topic/a\nreceipt:block\n{block}\n^@"
    ));
    wire.expect_receipt("block");
}

/// D1.27, D1.28, D1.29, D1.30, D1.31
#[test]
fn configured_limits_replace_the_defaults() {
    let broker = start_with(
        "[limits]\ncommand_bytes = 16\nheader_line_bytes = 256\nheaders = 16\n\
         header_block_bytes = \"1 KiB\"\nbody_bytes = \"1 KiB\"\n",
    );
    let check = |begin: &str, more: &str, times, key| {
        expect_limit(&broker, begin, more, times, key);
    };
    check("", "UNSUBSCRIBEUNSUBSCRIBE", 1, "limits.command_bytes = 16");
    check(
        "SEND\nh:",
        "0123456789abcdef",
        16,
        "limits.header_line_bytes = 256",
    );
    check("SEND\n", "h:v\n", 17, "limits.headers = 16");
    let line = format!("h:{}\n", "x".repeat(200));
    check("SEND\n", &line, 6, "limits.header_block_bytes = 1024");
    let open = "SEND\ndestination:/queue/a\n\n";
    check(open, "0123456789abcdef", 65, "limits.body_bytes = 1024");
    check(
        "SEND\ndestination:/queue/a\ncontent-length:1025\n\n",
        "",
        0,
        "limits.body_bytes = 1024",
    );
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/a", &[], &"x".repeat(1024));
    wire.subscribe("s", "/queue/a", "auto");
    assert_eq!(wire.expect_message().body.len(), 1024);
}

/// D1.32
#[test]
fn before_the_login_only_so_much_may_be_sent() {
    let configured = start_with("[limits]\nunauthenticated_bytes = \"1 KiB\"\n");
    let default = start();
    let check = |broker: &Broker, begin: &str, more: &str, times, key| {
        let mut wire = Wire::open(broker.stomp());
        wire.send(begin);
        for _ in 0..times {
            if wire.try_send(more).is_err() {
                break;
            }
        }
        expect_complete(&wire.expect_error(key));
        wire.expect_closed();
    };
    let line = format!("h:{}\n", "x".repeat(1000));
    let (small, full) = (
        "limits.unauthenticated_bytes = 1024",
        "limits.unauthenticated_bytes = 65536",
    );
    check(&configured, "CONNECT\n", &line, 2, small);
    check(&configured, "", &"\n".repeat(512), 3, small);
    check(&default, "CONNECT\n", &line, 66, full);
    check(&default, "CONNECT\n\n", &line, 66, full);
    check(&default, "", &"\r\n".repeat(512), 66, full);
    // The login lifts it.
    let mut wire = connect(&configured);
    for _ in 0..10 {
        wire.send_receipted("/topic/a", &[], &"x".repeat(1000));
    }
}

/// D1.33
#[test]
fn subscriptions_of_a_connection_are_limited() {
    let broker = start_with("[limits]\nsubscriptions = 2\n");
    let mut wire = connect(&broker);
    wire.subscribe("1", "/queue/a", "auto");
    wire.subscribe("2", "/topic/a", "auto");
    // An ended one makes room.
    wire.request("UNSUBSCRIBE", &[("id", "1")], b"");
    wire.subscribe("3", "/queue/b", "auto");
    expect_refusal(
        &mut wire,
        "SUBSCRIBE\nid:4\ndestination:/queue/c\n\n^@",
        "limits.subscriptions",
    );
    let mut other = connect(&broker);
    other.subscribe("1", "/queue/a", "auto");
}

/// D1.55
#[test]
fn subscriptions_of_the_broker_are_limited() {
    let broker = start_with("[limits]\nall_subscriptions = 2\n");
    let mut wire = connect(&broker);
    wire.subscribe("1", "/queue/a", "auto");
    let mut other = connect(&broker);
    other.subscribe("1", "/topic/a", "auto");
    let mut refused = connect(&broker);
    let frame = "SUBSCRIBE\nid:1\ndestination:/queue/b\nreceipt:r\n\n^@";
    let error = expect_refusal(&mut refused, frame, "limits.all_subscriptions");
    assert_eq!(error.header("receipt-id"), Some("r"));
    // An ended one makes room.
    other.request("UNSUBSCRIBE", &[("id", "1")], b"");
    wire.subscribe("2", "/queue/b", "auto");
}

/// D1.56
#[test]
fn a_subscription_id_is_limited() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe(&"i".repeat(255), "/queue/a", "auto");
    let frame = format!(
        "SUBSCRIBE\nid:{}\ndestination:/queue/a\n\n^@",
        "i".repeat(256)
    );
    expect_refusal(&mut wire, &frame, "255");
}

/// D1.39
#[test]
fn destinations_of_the_broker_are_limited() {
    let broker = start_with("[limits]\ndestinations = 2\n");
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/a", &[], "");
    wire.send_receipted("/topic/a", &[], "");
    for frame in [
        "SEND\ndestination:/queue/b\nreceipt:r\n\n^@",
        "SUBSCRIBE\nid:s\ndestination:/topic/b\nreceipt:r\n\n^@",
        "BEGIN\ntransaction:t\n\n^@SEND\ndestination:/queue/b\ntransaction:t\n\n^@\
         COMMIT\ntransaction:t\nreceipt:r\n\n^@",
    ] {
        let mut refused = connect(&broker);
        let error = expect_refusal(&mut refused, frame, "limits.destinations");
        assert_eq!(error.header("receipt-id"), Some("r"));
    }
    wire.send_receipted("/queue/a", &[], "");
}

/// D1.42
#[test]
fn connections_of_the_broker_are_limited() {
    let broker = start_with("[limits]\nconnections = 2\n");
    let mut first = connect(&broker);
    let second = connect(&broker);
    let mut third = Wire::open(broker.stomp());
    // It talks on, as clients do: the ERROR must not drown in a reset.
    while third
        .try_send("CONNECT\naccept-version:1.2\nhost:x\n\n^@")
        .is_ok()
    {
        if third.transcript().lines().count() > 100 {
            break;
        }
    }
    expect_complete(&third.expect_error("limits.connections"));
    third.expect_closed();
    expect_quiet(&mut first);
    second.disconnect();
    eventually("a place is free again", || {
        Wire::open(broker.stomp()).try_login(Version::V12, &[]).ok()
    });
}

/// D1.34
#[test]
#[cfg(target_os = "linux")]
fn a_declared_length_allocates_nothing() {
    let broker = start();
    let resident_kib = || -> u64 {
        let id = broker.process_id().expect("it runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a live process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let field = line.and_then(|line| line.split_whitespace().nth(1));
        field
            .and_then(|kib| kib.parse().ok())
            .expect("VmRSS in KiB")
    };
    let mut wires: Vec<Wire> = (0..20).map(|_| connect(&broker)).collect();
    let before = resident_kib();
    for wire in &mut wires {
        wire.send("SEND\ndestination:/queue/a\ncontent-length:104857600\n\nbegin");
    }
    // An answer on each proves that the declaration was read.
    for wire in &mut wires {
        wire.send_raw(&[b'x'; 64 * 1024]);
    }
    expect_quiet(&mut connect(&broker));
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 40 * 1024, "2,000 MiB declared, {grown} KiB taken");
}
