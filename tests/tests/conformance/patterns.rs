//! Patterns of destinations on the wire (dialect, section 3).

use std::collections::BTreeSet;

use super::fixture::{
    connect, consumer, drain, drained, expect_refusal, header, send, start, take,
};

const NAMES: [&str; 7] = ["a", "a.b", "a.c", "a.b.c", "a.b.c.d", "b", "b.a"];

/// A pattern of both kinds and what it matches of [`NAMES`].
const PATTERNS: &[(&str, &[&str])] = &[
    ("a.>", &["a", "a.b", "a.b.c", "a.b.c.d", "a.c"]),
    ("a.*", &["a.b", "a.c"]),
    ("*", &["a", "b"]),
    (">", &["a", "a.b", "a.b.c", "a.b.c.d", "a.c", "b", "b.a"]),
    ("*.a", &["b.a"]),
    ("*.b.>", &["a.b", "a.b.c", "a.b.c.d"]),
    ("a.*.c", &["a.b.c"]),
    ("a.b.>", &["a.b", "a.b.c", "a.b.c.d"]),
    ("*.*.*", &["a.b.c"]),
    ("c.>", &[]),
];

/// `#` is another way to write `>`, of topics.
const TOPIC_PATTERNS: &[(&str, &[&str])] = &[
    ("a.#", &["a", "a.b", "a.b.c", "a.b.c.d", "a.c"]),
    ("#", &["a", "a.b", "a.b.c", "a.b.c.d", "a.c", "b", "b.a"]),
    ("*.b.#", &["a.b", "a.b.c", "a.b.c.d"]),
];

/// D3.24
#[test]
fn a_pattern_of_topics_hears_what_matches_now_and_later() {
    for is_later in [false, true] {
        let broker = start();
        let mut producer = connect(&broker);
        let publish = |producer: &mut _| {
            for name in NAMES {
                send(producer, &format!("/topic/{name}"), &[], name);
            }
        };
        if !is_later {
            publish(&mut producer);
        }
        let mut wire = connect(&broker);
        let patterns: Vec<_> = PATTERNS.iter().chain(TOPIC_PATTERNS).collect();
        for (pattern, _) in &patterns {
            wire.subscribe(pattern, &format!("/topic/{pattern}"), "auto");
        }
        publish(&mut producer);
        let heard = drain(&mut wire);
        for (pattern, expected) in patterns {
            let own = heard
                .iter()
                .filter(|message| header(message, "subscription") == *pattern);
            let mut names: Vec<_> = own
                .map(|message| {
                    let text = message.text();
                    assert_eq!(header(message, "destination"), format!("/topic/{text}"));
                    text
                })
                .collect();
            names.sort();
            assert_eq!(names, *expected, "{pattern}, later: {is_later}");
        }
    }
}

/// D3.24
#[test]
fn a_pattern_of_queues_takes_what_matches_now_and_later() {
    for is_later in [false, true] {
        for (pattern, expected) in PATTERNS {
            let broker = start();
            let mut producer = connect(&broker);
            let subscribe = || consumer(&broker, &format!("/queue/{pattern}"), &[]);
            let early = is_later.then(subscribe);
            for name in NAMES {
                send(&mut producer, &format!("/queue/{name}"), &[], name);
            }
            let mut wire = early.unwrap_or_else(subscribe);
            let mut names = drained(&mut wire);
            names.sort();
            assert_eq!(names, *expected, "{pattern}, later: {is_later}");
            // What it left is there for others.
            let mut rest = consumer(&broker, "/queue/>", &[]);
            assert_eq!(drained(&mut rest).len(), NAMES.len() - expected.len());
        }
    }
}

/// D3.24
#[test]
fn a_pattern_has_one_prefetch_and_one_cumulative_order() {
    let broker = start();
    let mut wire = connect(&broker);
    let headers = [("activemq.prefetchSize", "3")];
    wire.subscribe_with("s", "/queue/p.>", "client", &headers);
    let mut producer = connect(&broker);
    for number in 0..6 {
        send(
            &mut producer,
            &format!("/queue/p.{number}"),
            &[],
            &number.to_string(),
        );
    }
    let first = drain(&mut wire);
    let texts: Vec<_> = first.iter().map(|message| message.text()).collect();
    assert_eq!(texts, ["0", "1", "2"]);
    wire.ack(&first[1], &[]);
    assert_eq!(
        drained(&mut wire).len(),
        2,
        "two were acknowledged by one ACK"
    );
    wire.disconnect();
    let mut rest = consumer(&broker, "/queue/p.>", &[]);
    let left: BTreeSet<_> = take(&mut rest, 4).into_iter().collect();
    assert_eq!(left, ["2", "3", "4", "5"].map(str::to_owned).into());
}

/// D3.25
#[test]
fn the_brokers_own_names_are_matched_only_when_named_and_temporary_ones_never() {
    let broker = start();
    let mut owner = connect(&broker);
    owner.subscribe("q", "/temp-queue/own", "auto");
    let headers = [
        ("destination", "/queue/ask"),
        ("reply-to", "/temp-queue/own"),
    ];
    owner.request("SEND", &headers, b"where?");
    let mut asked = consumer(&broker, "/queue/ask", &[]);
    let question = asked.expect_message();
    let temporary = header(&question, "reply-to").to_owned();
    let id = temporary.trim_start_matches("/remote-temp-queue/");
    let (first, _) = id.split_once('-').expect("an id with segments");
    let mut producer = connect(&broker);
    for (pattern, matches) in [
        ("/queue/>", false),
        ("/queue/*.own", false),
        ("/queue/*.>", false),
        ("/queue/*.*", false),
        ("/queue/ActiveMQ.>", true),
        ("/queue/ActiveMQ.*", true),
    ] {
        let mut wire = consumer(&broker, pattern, &[]);
        send(&mut producer, "/queue/ActiveMQ.own", &[], "own");
        send(&mut producer, &temporary, &[], "temporary");
        let expected: &[&str] = if matches { &["own"] } else { &[] };
        assert_eq!(drained(&mut wire), expected, "{pattern}");
        assert_eq!(owner.expect_message().text(), "temporary");
        wire.disconnect();
        let mut rest = consumer(&broker, "/queue/ActiveMQ.own", &[]);
        assert_eq!(take(&mut rest, 1), ["own"]);
    }
    let mut wire = connect(&broker);
    let frame = format!("SUBSCRIBE\nid:s\ndestination:/remote-temp-queue/{first}*\n\n^@");
    expect_refusal(&mut wire, &frame, "temporary");
    let mut wire = connect(&broker);
    let frame = "SUBSCRIBE\nid:s\ndestination:/temp-queue/>\n\n^@";
    expect_refusal(&mut wire, frame, "pattern");
}

/// D3.25
#[test]
fn a_pattern_that_is_malformed_is_refused() {
    let broker = start();
    for (pattern, about) in [
        ("/queue/>.a", "last segment"),
        ("/topic/a.#.b", "last segment"),
        ("/queue/a.#", "topics only"),
        ("/queue/a..>", "empty segment"),
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SUBSCRIBE\nid:s\nreceipt:r\ndestination:{pattern}\n\n^@");
        expect_refusal(&mut wire, &frame, about);
    }
}
