//! Selectors on the wire (dialect, section 5): what they take, what they see, and how they are refused.

use std::collections::BTreeSet;

use stompbox_tests::wire::Wire;

use super::fixture::{
    VERSIONS, connect, consumer, drain, drained, expect_quiet, expect_refusal, header, send, start,
    take,
};

/// D5.18
#[test]
fn a_string_property_is_a_number_or_a_boolean_where_the_literal_is_one() {
    // Messages by name, with their headers.
    let messages: [(&str, &[(&str, &str)]); 5] = [
        ("two", &[("n", "2"), ("b", "true"), ("s", "red")]),
        ("float", &[("n", "2.50"), ("b", "FALSE"), ("s", "it's")]),
        ("word", &[("n", "abc"), ("b", "yes"), ("s", "")]),
        ("big", &[("n", "9007199254740993"), ("b", "True")]),
        ("none", &[]),
    ];
    let selectors: &[(&str, &[&str])] = &[
        ("n = 2", &["two"]),
        ("n = 2.0", &["two"]),
        ("n = '2'", &["two"]),
        ("n = '2.0'", &[]),
        ("n > 2", &["big", "float"]),
        ("n <> 2", &["big", "float"]),
        ("n BETWEEN 2 AND 2.5", &["float", "two"]),
        ("n NOT BETWEEN 2 AND 2.5", &["big"]),
        ("n = 9007199254740993", &["big"]),
        ("n = 9007199254740992", &[]),
        ("n * 2 = 5", &["float"]),
        ("n IN ('2', 'abc')", &["two", "word"]),
        ("b", &["big", "two"]),
        ("b = TRUE", &["big", "two"]),
        ("b = FALSE", &["float"]),
        ("b <> TRUE", &["float"]),
        ("b = 'true'", &["two"]),
        ("NOT b", &["float", "word"]),
        ("s = 'red'", &["two"]),
        ("s = 'it''s'", &["float"]),
        ("s LIKE 'r_d'", &["two"]),
        ("s LIKE '%'", &["float", "two", "word"]),
        ("s IS NULL", &["big", "none"]),
        ("n IS NULL OR s = ''", &["none", "word"]),
        ("n = 2 AND missing > 3", &[]),
        ("n = 2 OR missing > 3", &["two"]),
        ("missing <> 'x'", &[]),
        ("'2' = 2", &[]),
        ("TRUE", &["big", "float", "none", "two", "word"]),
        ("", &["big", "float", "none", "two", "word"]),
    ];
    let broker = start();
    let mut wire = connect(&broker);
    for (id, (selector, _)) in selectors.iter().enumerate() {
        let wishes = [("selector", *selector)];
        wire.subscribe_with(&id.to_string(), "/topic/t", "auto", &wishes);
    }
    let mut producer = connect(&broker);
    for (name, headers) in messages {
        send(&mut producer, "/topic/t", headers, name);
    }
    let mut taken = vec![BTreeSet::new(); selectors.len()];
    for message in drain(&mut wire) {
        let id: usize = header(&message, "subscription").parse().expect("an id");
        assert!(taken[id].insert(message.text()), "twice: {message}");
    }
    for ((selector, expected), taken) in selectors.iter().zip(taken) {
        let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
        assert_eq!(taken, *expected, "{selector}");
    }
}

/// D5.19
#[test]
fn a_selector_that_is_none_is_refused_with_its_column() {
    let broker = start();
    let cases = [
        ("n = AND", 5),
        ("=TEST 'test'", 1),
        ("a = 1 AMD b = 2", 7),
        ("3+5", 1),
        ("True AND 3+5", 10),
        ("foo.bar = 1", 4),
        ("(a = 1", 7),
        ("a = 1)", 6),
        ("a BETWEEN 1 OR 2", 13),
        ("a IN ()", 7),
        ("a NOT 1", 7),
        ("größe = ü AND", 14),
    ];
    for (number, (selector, column)) in cases.into_iter().enumerate() {
        let version = VERSIONS[number % VERSIONS.len()];
        for destination in ["/queue/a", "/topic/a"] {
            let mut wire = Wire::connect(broker.stomp(), version);
            let frame = format!(
                "SUBSCRIBE\nid:s\nreceipt:r\ndestination:{destination}\nselector:{selector}\n\n^@"
            );
            let error = expect_refusal(&mut wire, &frame, "selector");
            let expected = format!("column {column}:");
            assert!(error.text().contains(&expected), "{selector}: {error}");
            assert_eq!(header(&error, "receipt-id"), "r");
        }
    }
    let mut wire = connect(&broker);
    let frame = "SUBSCRIBE\nid:s\ndestination:/queue/a?consumer.selector=n%20=%20AND\n\n^@";
    let error = expect_refusal(&mut wire, frame, "selector");
    assert!(error.text().contains("column 5:"), "{error}");
}

/// D5.20
#[test]
fn a_selector_sees_what_jms_calls_headers() {
    let broker = start();
    let mut producer = connect(&broker);
    let headers = [
        ("priority", "7"),
        ("type", "order"),
        ("correlation-id", "42"),
        ("reply-to", "/queue/answers"),
        ("timestamp", "1234"),
        ("expires", "4102444800000"),
        ("JMSXGroupID", "g"),
        ("JMSXGroupSeq", "3"),
        ("content-type", "text/plain"),
    ];
    let taken = [
        "JMSPriority = 7",
        "JMSType = 'order'",
        "JMSCorrelationID = '42'",
        "JMSReplyTo = '/queue/answers'",
        "JMSTimestamp = 1234",
        "JMSExpiration = 4102444800000",
        "JMSDeliveryMode = 'PERSISTENT'",
        "JMSXGroupID = 'g' AND JMSXGroupSeq = 3",
        "JMSRedelivered = FALSE AND JMSXDeliveryCount = 1",
        "JMSDestination LIKE '/topic/t'",
        "JMSMessageID LIKE 'ID:%'",
        "\"content-type\" = 'text/plain'",
        "hyphenated_props:content-type = 'text/plain'",
    ];
    let left = [
        "JMSPriority = '7'",
        "JMSDeliveryMode = 'NON_PERSISTENT'",
        "priority = 7",
        "destination IS NOT NULL",
    ];
    let mut wire = connect(&broker);
    for (number, selector) in taken.iter().chain(&left).enumerate() {
        let frame = wire.encode(
            "SUBSCRIBE",
            &[
                ("id", &number.to_string()),
                ("destination", "/topic/t"),
                ("selector", selector),
            ],
            b"",
        );
        wire.send_raw(&frame);
    }
    expect_quiet(&mut wire);
    send(&mut producer, "/topic/t", &headers, "");
    let messages = drain(&mut wire);
    let ids: BTreeSet<usize> = messages
        .iter()
        .map(|message| header(message, "subscription").parse().expect("an id"))
        .collect();
    for (number, selector) in taken.iter().chain(&left).enumerate() {
        assert_eq!(ids.contains(&number), number < taken.len(), "{selector}");
    }
}

/// D5.21
#[test]
fn what_came_back_is_looked_at_again_and_no_consumer_stands_in_anothers_way() {
    let broker = start();
    let mut producer = connect(&broker);
    for n in 0..6 {
        let n = n.to_string();
        send(&mut producer, "/queue/q", &[("n", &n)], &n);
    }
    // The first of the queue is nobody's: those behind it are taken all the same.
    let mut fresh = consumer(
        &broker,
        "/queue/q",
        &[("selector", "n > 0 AND JMSRedelivered = FALSE")],
    );
    let mut again = consumer(
        &broker,
        "/queue/q",
        &[("selector", "JMSXDeliveryCount > 1")],
    );
    let messages: Vec<_> = (0..5).map(|_| fresh.expect_message()).collect();
    let texts: Vec<_> = messages.iter().map(|message| message.text()).collect();
    assert_eq!(texts, ["1", "2", "3", "4", "5"]);
    expect_quiet(&mut again);
    fresh.nack(&messages[2], &[]);
    assert_eq!(take(&mut again, 1), ["3"]);
    expect_quiet(&mut fresh);
    drop(fresh);
    assert_eq!(take(&mut again, 4), ["1", "2", "4", "5"]);
    let mut rest = consumer(&broker, "/queue/q", &[]);
    assert_eq!(drained(&mut rest), ["0"]);
}
