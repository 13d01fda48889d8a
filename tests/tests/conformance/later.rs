//! Rules that are not built yet: what the broker answers today. What would change which messages come is refused, not
//! ignored.

use super::fixture::{connect, expect_quiet, expect_refusal, header, start};

/// D3.9, D3.10, D3.11, D3.14
#[test]
fn destinations_of_later_kinds_are_refused() {
    let broker = start();
    let check = |destination: &str, about: &str| {
        for command in ["SEND", "SUBSCRIBE\nid:s"] {
            let mut wire = connect(&broker);
            let frame = format!("{command}\nreceipt:r\ndestination:{destination}\n\n^@");
            let error = expect_refusal(&mut wire, &frame, about);
            assert_eq!(header(&error, "receipt-id"), "r");
        }
    };
    check("/temp-queue/a", "prefix");
    check("/temp-topic/a", "prefix");
    check("/remote-temp-queue/a", "prefix");
    check("/queue/a,/queue/b", "composite");
    check("/queue/a,b", "composite");
    for pattern in [
        "/queue/*",
        "/queue/a.*",
        "/topic/a.>",
        "/topic/>",
        "/topic/a.#",
    ] {
        check(pattern, "wildcard");
    }
    for kind in ["exchange", "amq/queue", "reply-queue", "stream"] {
        check(&format!("/{kind}/a"), "prefix");
    }
}

/// D3.12, D3.13
#[test]
fn virtual_topics_and_advisories_are_plain_destinations_as_yet() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("v", "/queue/Consumer.A.VirtualTopic.X", "auto");
    wire.subscribe("a", "/topic/ActiveMQ.Advisory.Connection", "auto");
    let mut other = connect(&broker);
    other.send_receipted("/topic/VirtualTopic.X", &[], "not routed");
    other.disconnect();
    expect_quiet(&mut wire);
}

/// D3.15, D5.13
#[test]
fn subscriptions_of_later_kinds_are_refused() {
    let broker = start();
    let check = |headers: &str, about: &str| {
        for destination in ["/queue/a", "/topic/a"] {
            let mut wire = connect(&broker);
            let frame =
                format!("SUBSCRIBE\nid:s\nreceipt:r\ndestination:{destination}\n{headers}\n\n^@");
            let error = expect_refusal(&mut wire, &frame, about);
            assert_eq!(header(&error, "receipt-id"), "r");
        }
    };
    for line in [
        "selector:colour = 'red'",
        "activemq.subscriptionName:n",
        "durable-subscription-name:n",
        "durable:true",
        "persistent:true",
        "x-shared:true",
        "x-shared-name:n",
        "activemq.exclusive:true",
        "activemq.priority:1",
        "x-priority:1",
        "activemq.noLocal:true",
        "no-local:true",
        "activemq.retroactive:true",
        "activemq.maximumPendingMessageLimit:10",
        "browser:true",
    ] {
        let (name, _) = line.split_once(':').expect("a header line");
        check(line, name);
    }
    for option in [
        "exclusive=true",
        "priority=1",
        "selector=a",
        "dispatchAsync=true",
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SUBSCRIBE\nid:s\ndestination:/queue/a?consumer.{option}\n\n^@");
        expect_refusal(&mut wire, &frame, option);
    }
}

/// D5.13
#[test]
fn asking_for_none_of_it_is_no_reason_to_refuse() {
    let broker = start();
    let mut wire = connect(&broker);
    for (number, flag) in [
        "durable",
        "persistent",
        "browser",
        "x-shared",
        "activemq.exclusive",
        "activemq.noLocal",
        "no-local",
        "activemq.retroactive",
    ]
    .iter()
    .enumerate()
    {
        let id = number.to_string();
        wire.subscribe_with(&id, "/topic/a", "auto", &[(flag, "false")]);
    }
    let mut wire = connect(&broker);
    let frame = "SUBSCRIBE\nid:s\ndestination:/queue/a\nbrowser:maybe\n\n^@";
    expect_refusal(&mut wire, frame, "browser");
}

/// D4.19
#[test]
fn scheduled_sends_are_refused() {
    let broker = start();
    for name in [
        "AMQ_SCHEDULED_DELAY",
        "AMQ_SCHEDULED_PERIOD",
        "AMQ_SCHEDULED_REPEAT",
        "AMQ_SCHEDULED_CRON",
        "x-delay",
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\nreceipt:r\ndestination:/queue/a\n{name}:1000\n\nx^@");
        expect_refusal(&mut wire, &frame, name);
    }
}

/// D4.20, D4.21
#[test]
fn group_and_duplicate_headers_are_plain_properties_as_yet() {
    let broker = start();
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/a", "auto");
    for name in ["JMSXGroupID", "JMSXGroupSeq", "_AMQ_DUPL_ID", "x-dedup-id"] {
        for _ in 0..2 {
            wire.send_receipted("/queue/a", &[(name, "1")], "");
            assert_eq!(header(&wire.expect_message(), name), "1");
        }
    }
}
