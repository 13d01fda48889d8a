//! The headers of SEND (dialect, section 4); expiry has a module of its own.

use super::fixture::{bodies, connect, expect_quiet, expect_refusal, header, start, start_with};

/// D4.1, D4.2
#[test]
fn a_message_is_persistent_unless_it_or_its_policy_says_otherwise() {
    let mut broker = start_with(
        "[[destination]]\nmatch = \"volatile.>\"\ndefault_delivery = \"non-persistent\"\n",
    );
    let mut wire = connect(&broker);
    for queue in ["/queue/plain", "/queue/volatile.a"] {
        wire.send_receipted(queue, &[], "silent");
        for persistent in ["true", "false", "True", "FALSE"] {
            wire.send_receipted(queue, &[("persistent", persistent)], persistent);
        }
    }
    let mut check = |queue: &str, expected: &[(&str, &str)]| {
        wire.subscribe(queue, queue, "client");
        for (body, persistent) in expected {
            let message = wire.expect_message();
            assert_eq!(message.text(), *body);
            assert_eq!(
                header(&message, "persistent"),
                *persistent,
                "{queue} {body}"
            );
        }
    };
    let said = [
        ("true", "true"),
        ("false", "false"),
        ("True", "true"),
        ("FALSE", "false"),
    ];
    check("/queue/plain", &[&[("silent", "true")], &said[..]].concat());
    check(
        "/queue/volatile.a",
        &[&[("silent", "false")], &said[..]].concat(),
    );
    broker.kill();
    broker.start_again();
    let mut wire = connect(&broker);
    for (queue, kept) in [
        ("/queue/plain", &["silent", "true", "True"][..]),
        ("/queue/volatile.a", &["true", "True"]),
    ] {
        wire.subscribe(queue, queue, "client");
        assert_eq!(bodies(&mut wire, kept.len()), kept);
    }
    expect_quiet(&mut wire);
}

/// D4.1
#[test]
fn persistent_must_be_true_or_false() {
    let broker = start();
    for value in ["", "yes", "1", "persistent"] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\ndestination:/queue/a\npersistent:{value}\n\n^@");
        expect_refusal(&mut wire, &frame, "persistent");
    }
}

/// D4.3, D4.4
#[test]
fn higher_priorities_go_first_and_each_keeps_its_order() {
    let broker = start();
    let mut wire = connect(&broker);
    let sent = ["4", "0", "9", "", "5", "9", "-3", "1", "99", "4", "0"];
    for (number, priority) in sent.iter().enumerate() {
        let priority: &[(&str, &str)] = match *priority {
            "" => &[],
            priority => &[("priority", priority)],
        };
        wire.send_receipted("/queue/p", priority, &number.to_string());
    }
    wire.subscribe("s", "/queue/p", "client");
    let order: Vec<_> = (0..sent.len())
        .map(|_| {
            let message = wire.expect_message();
            (header(&message, "priority").to_owned(), message.text())
        })
        .collect();
    let expected = [
        ("9", "2"),
        ("9", "5"),
        ("9", "8"),
        ("5", "4"),
        ("4", "0"),
        ("4", "3"),
        ("4", "9"),
        ("1", "7"),
        ("0", "1"),
        ("0", "6"),
        ("0", "10"),
    ];
    let expected = expected.map(|(priority, text)| (priority.to_owned(), text.to_owned()));
    assert_eq!(order, expected);
}

/// D4.5, D4.7, D4.15
#[test]
fn numbers_that_are_none_are_refused() {
    let broker = start();
    for name in ["priority", "expires", "expiration", "ttl", "timestamp"] {
        for value in ["", "soon", "1.5", "0x10", "1e3", "99999999999999999999"] {
            if name == "priority" && value.starts_with('9') {
                continue;
            }
            let mut wire = connect(&broker);
            let frame = format!("SEND\nreceipt:r\ndestination:/queue/a\n{name}:{value}\n\n^@");
            let error = expect_refusal(&mut wire, &frame, name);
            assert_eq!(header(&error, "receipt-id"), "r");
        }
    }
}

/// D4.5
#[test]
fn a_priority_may_be_any_integer() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/a", "auto");
    for (value, priority) in [
        ("99999999999999999999", "9"),
        ("-99999999999999999999", "0"),
    ] {
        wire.send_receipted("/queue/a", &[("priority", value)], "");
        assert_eq!(header(&wire.expect_message(), "priority"), priority);
    }
}

/// D4.14, D4.15
#[test]
fn the_usual_properties_are_kept_and_a_missing_timestamp_is_set() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/a", "auto");
    let properties = [
        ("reply-to", "/queue/answers"),
        ("correlation-id", "c-1"),
        ("type", "order"),
        ("content-type", "application/json;charset=utf-8"),
        ("timestamp", "1234567890123"),
    ];
    wire.send_receipted("/queue/a", &properties, "{}");
    let message = wire.expect_message();
    for (name, value) in properties {
        assert_eq!(header(&message, name), value);
    }
    let clock = || {
        let since = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
        i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
    };
    let before = clock();
    wire.send_receipted("/queue/a", &[], "");
    let timestamp: i64 = header(&wire.expect_message(), "timestamp")
        .parse()
        .expect("timestamp is a number");
    assert!((before..=clock()).contains(&timestamp), "{timestamp}");
}

/// D4.16, D4.17, D4.18, D7.7
#[test]
fn consumers_get_the_senders_own_headers_in_order_and_nothing_meant_for_the_broker() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/a", "client");
    wire.send(
        "BEGIN\ntransaction:t\n\n^@SEND\nz:last name first\nmessage-id:forged\ndestination:/queue/a\n\
         subscription:forged\ntransaction:t\na:1\nredelivered:true\nreceipt:r\nack:forged\n\
         JMSXDeliveryCount:7\nZ:upper\nJMSXUserID:root\nempty:\ncontent-length:4\na:2\n\nbody^@\
         COMMIT\ntransaction:t\n\n^@",
    );
    let message = wire.expect_message();
    let names: Vec<_> = message.headers.iter().map(|(name, _)| &name[..]).collect();
    let own = names
        .iter()
        .position(|name| *name == "z")
        .expect("z is there");
    let own: Vec<_> = message.headers[own..]
        .iter()
        .map(|(name, value)| (&name[..], &value[..]))
        .collect();
    assert_eq!(
        own[..4],
        [
            ("z", "last name first"),
            ("a", "1"),
            ("Z", "upper"),
            ("empty", "")
        ]
    );
    for name in ["transaction", "receipt", "JMSXUserID"] {
        assert_eq!(message.header(name), None, "{message}");
    }
    assert!(header(&message, "message-id").starts_with("ID:"));
    assert_eq!(header(&message, "subscription"), "s");
    assert_eq!(header(&message, "redelivered"), "false");
    assert_eq!(header(&message, "JMSXDeliveryCount"), "1");
    assert!(!header(&message, "ack").contains("forged"));
    for name in ["destination", "message-id", "content-length", "redelivered"] {
        let count = names.iter().filter(|other| **other == name).count();
        assert_eq!(count, 1, "{name} on {message}");
    }
    wire.ack(&message, &[]);
    expect_quiet(&mut wire);
}
