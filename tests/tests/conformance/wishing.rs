//! No own messages, options behind `?`, and prefetch by several names (dialect, sections 3 and 5).

use super::fixture::{connect, consumer, drained, expect_quiet, expect_refusal, send, start, take};

type Headers = &'static [(&'static str, &'static str)];

/// D5.27
#[test]
fn no_local_holds_whatever_the_selector_and_however_it_is_asked_for() {
    let cases: [(&str, Headers, bool); 6] = [
        (
            "/topic/t",
            &[("activemq.noLocal", "true"), ("selector", "n = 1 OR n = 2")],
            false,
        ),
        (
            "/topic/t?consumer.noLocal=true",
            &[("selector", "TRUE OR n = 1")],
            false,
        ),
        ("/topic/t,/topic/u", &[("no-local", "true")], false),
        ("/topic/*", &[("no-local", "true")], false),
        (
            "/topic/t",
            &[("no-local", "false"), ("activemq.noLocal", "false")],
            true,
        ),
        ("/topic/t", &[], true),
    ];
    for (destination, headers, hears) in cases {
        let broker = start();
        let mut own = consumer(&broker, destination, headers);
        let mut other = connect(&broker);
        send(&mut own, "/topic/t", &[("n", "1")], "mine");
        send(&mut other, "/topic/t", &[("n", "1")], "yours");
        let expected: &[&str] = if hears {
            &["mine", "yours"]
        } else {
            &["yours"]
        };
        assert_eq!(drained(&mut own), expected, "{destination} {headers:?}");
        // In a transaction too.
        own.send("BEGIN\ntransaction:t\n\n^@");
        own.request(
            "SEND",
            &[
                ("destination", "/topic/t"),
                ("n", "1"),
                ("transaction", "t"),
            ],
            b"mine",
        );
        own.request("COMMIT", &[("transaction", "t")], b"");
        assert_eq!(drained(&mut own).len(), usize::from(hears));
    }
}

/// D5.28
#[test]
fn options_hold_for_the_whole_list_are_decoded_and_give_way_to_headers() {
    let cases: [(&str, Headers, &[&str]); 7] = [
        (
            "/queue/a,/queue/b?consumer.selector=n=2",
            &[],
            &["a2", "b2"],
        ),
        (
            "/queue/a,/queue/b?consumer.selector=n%3D2",
            &[],
            &["a2", "b2"],
        ),
        (
            "/queue/a,/queue/b?consumer.selector=n+>+1",
            &[],
            &["a2", "b2"],
        ),
        (
            "/queue/a?consumer.selector=n=2",
            &[("selector", "n = 1")],
            &["a1"],
        ),
        (
            "/queue/a?consumer.selector=n=1&consumer.selector=n=2",
            &[],
            &["a1"],
        ),
        (
            "/queue/a?consumer.prefetchSize=1",
            &[("activemq.prefetchSize", "2")],
            &["a1", "a2"],
        ),
        (
            "/queue/a?consumer.exclusive=false&consumer.dispatchAsync=true",
            &[],
            &["a1", "a2"],
        ),
    ];
    let broker = start();
    let mut producer = connect(&broker);
    for (to, n) in [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")] {
        send(
            &mut producer,
            &format!("/queue/{to}"),
            &[("n", n)],
            &format!("{to}{n}"),
        );
    }
    for (destination, headers, expected) in cases {
        let mut wire = consumer(&broker, destination, headers);
        let mut texts = drained(&mut wire);
        texts.sort();
        assert_eq!(texts, expected, "{destination} {headers:?}");
        // What it held is back when this is answered.
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    }
}

/// D5.28
#[test]
fn an_option_that_means_nothing_is_refused_by_name() {
    let broker = start();
    for (options, about) in [
        ("consumer.colour=1", "consumer.colour"),
        ("colour=1", "colour"),
        ("consumer.priority", "consumer.priority"),
        ("consumer.priority=high", "consumer.priority"),
        ("consumer.exclusive=maybe", "consumer.exclusive"),
        ("consumer.prefetchSize=-2", "consumer.prefetchSize"),
        ("consumer.selector=%zz", "percent"),
        ("consumer.priority=1,/queue/b", "consumer.priority"),
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SUBSCRIBE\nid:s\nreceipt:r\ndestination:/queue/a?{options}\n\n^@");
        expect_refusal(&mut wire, &frame, about);
    }
    let mut wire = connect(&broker);
    let frame = "SEND\nreceipt:r\ndestination:/queue/a?consumer.priority=1\n\n^@";
    expect_refusal(&mut wire, frame, "SUBSCRIBE only");
}

/// D5.29
#[test]
fn of_several_prefetch_headers_the_count_of_rabbitmq_counts_and_bytes_bound_it_too() {
    let cases: [(&[(&str, &str)], usize); 7] = [
        (
            &[("activemq.prefetchSize", "2"), ("prefetch-count", "3")],
            3,
        ),
        (
            &[("prefetch-count", "3"), ("activemq.prefetchSize", "2")],
            3,
        ),
        (
            &[("activemq.prefetchSize", "0"), ("prefetch-count", "2")],
            2,
        ),
        (
            &[("prefetch-count", "4"), ("consumer-window-size", "250")],
            3,
        ),
        (
            &[("prefetch-count", "2"), ("consumer-window-size", "1000000")],
            2,
        ),
        (&[("prefetch-count", "4"), ("consumer-window-size", "0")], 1),
        (
            &[
                ("activemq.prefetchSize", "4"),
                ("consumer-window-size", "-1"),
            ],
            4,
        ),
    ];
    let broker = start();
    let mut producer = connect(&broker);
    let body = "x".repeat(100);
    for _ in 0..6 {
        send(&mut producer, "/queue/q", &[], &body);
    }
    for (headers, count) in cases {
        let mut wire = consumer(&broker, "/queue/q", headers);
        assert_eq!(drained(&mut wire).len(), count, "{headers:?}");
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    }
    let mut wire = consumer(&broker, "/queue/q", &[]);
    assert_eq!(take(&mut wire, 6).len(), 6);
    expect_quiet(&mut wire);
}
