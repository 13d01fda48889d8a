//! Who gets what: selectors, groups, exclusive consumers, browsers, lists, patterns, virtual topics, temporary
//! destinations (dialect, sections 3 to 5).

use stompbox_tests::wire::{Frame, Version, Wire};

use super::fixture::{
    VERSIONS, await_depth, connect, consumer, expect_quiet, expect_refusal, header, send, start,
    start_watched, take,
};

/// D5.14
#[test]
fn a_selector_takes_its_part_and_leaves_the_rest() {
    let broker = start_watched("");
    let mut producer = connect(&broker);
    for number in 0..9 {
        let n = number.to_string();
        send(&mut producer, "/queue/q", &[("n", &n)], &n);
    }
    let mut picky = consumer(&broker, "/queue/q", &[("selector", "n > 5 OR n = '1'")]);
    assert_eq!(take(&mut picky, 4), ["1", "6", "7", "8"]);
    expect_quiet(&mut picky);
    let mut other = consumer(&broker, "/queue/q", &[]);
    assert_eq!(take(&mut other, 5), ["0", "2", "3", "4", "5"]);
    await_depth(&broker, "q", 0);
    let mut topic = consumer(&broker, "/topic/t", &[("selector", "n = 2")]);
    for n in ["1", "2", "3"] {
        send(&mut producer, "/topic/t", &[("n", n)], n);
    }
    assert_eq!(take(&mut topic, 1), ["2"]);
    expect_quiet(&mut topic);
    for version in VERSIONS {
        let mut wire = Wire::connect(broker.stomp(), version);
        let frame = "SUBSCRIBE\nid:s\nreceipt:r\ndestination:/queue/q\nselector:n = AND\n\n^@";
        let error = expect_refusal(&mut wire, frame, "selector");
        assert!(error.text().contains("column 5"), "{error}");
    }
}

/// D5.15
#[test]
fn an_exclusive_consumer_and_a_preferred_one_are_served_first() {
    let broker = start();
    let mut producer = connect(&broker);
    let _shared = consumer(&broker, "/queue/one", &[]);
    let mut first = consumer(&broker, "/queue/one", &[("activemq.exclusive", "true")]);
    let mut second = consumer(&broker, "/queue/one?consumer.exclusive=true", &[]);
    for n in ["a", "b"] {
        send(&mut producer, "/queue/one", &[], n);
    }
    assert_eq!(first.expect_message().text(), "a");
    assert_eq!(first.expect_message().text(), "b");
    drop(first);
    for expected in ["a", "b"] {
        let message = second.expect_message();
        assert_eq!(
            (message.text().as_str(), header(&message, "redelivered")),
            (expected, "true")
        );
    }
    let mut low = consumer(&broker, "/queue/two", &[("activemq.prefetchSize", "1")]);
    let mut high = consumer(
        &broker,
        "/queue/two",
        &[("activemq.prefetchSize", "1"), ("activemq.priority", "5")],
    );
    for n in ["a", "b", "c"] {
        send(&mut producer, "/queue/two", &[], n);
    }
    assert_eq!(low.expect_message().text(), "b");
    assert_eq!(take(&mut high, 2), ["a", "c"]);
}

/// D4.20
#[test]
fn a_group_sticks_to_one_consumer_and_survives_it_in_order() {
    let broker = start_watched("");
    let mut producer = connect(&broker);
    let prefetch = [("activemq.prefetchSize", "1")];
    let mut first = consumer(&broker, "/queue/q", &prefetch);
    let mut second = consumer(&broker, "/queue/q", &prefetch);
    let red = [("JMSXGroupID", "red"), ("JMSXGroupSeq", "7")];
    send(&mut producer, "/queue/q", &red, "r1");
    let message = first.expect_message();
    assert_eq!(header(&message, "JMSXGroupID"), "red");
    assert_eq!(header(&message, "JMSXGroupSeq"), "7");
    for n in ["r2", "r3"] {
        send(&mut producer, "/queue/q", &red, n);
    }
    send(&mut producer, "/queue/q", &[("JMSXGroupID", "blue")], "b1");
    assert_eq!(take(&mut second, 1), ["b1"]);
    expect_quiet(&mut second);
    first.ack(&message, &[]);
    assert_eq!(first.expect_message().text(), "r2");
    drop(first);
    assert_eq!(take(&mut second, 2), ["r2", "r3"]);
    await_depth(&broker, "q", 0);
}

/// D5.16
#[test]
fn a_subscription_need_not_hear_its_own_connection() {
    let broker = start();
    for name in ["activemq.noLocal", "no-local"] {
        let mut own = consumer(&broker, "/topic/t", &[(name, "true")]);
        let mut other = connect(&broker);
        send(&mut own, "/topic/t", &[], "mine");
        send(&mut other, "/topic/t", &[], "yours");
        assert_eq!(own.expect_message().text(), "yours");
    }
}

/// D5.17
#[test]
fn a_browser_sees_everything_in_order_and_takes_nothing() {
    let broker = start();
    let mut producer = connect(&broker);
    for n in ["a", "b", "c"] {
        send(&mut producer, "/queue/q", &[], n);
    }
    for ack in ["auto", "client", "client-individual"] {
        let mut browser = connect(&broker);
        let wishes = [("browser", "true")];
        browser.subscribe_with("s", "/queue/q", ack, &wishes);
        for n in ["a", "b", "c"] {
            let message = browser.expect_message();
            assert_eq!(
                (message.text().as_str(), header(&message, "redelivered")),
                (n, "false")
            );
        }
        let end = browser.expect_message();
        assert_eq!(header(&end, "browser"), "end");
        assert_eq!(header(&end, "subscription"), "s");
        assert_eq!(header(&end, "destination"), "/queue/q");
        expect_quiet(&mut browser);
    }
    let mut reader = consumer(&broker, "/queue/q", &[]);
    assert_eq!(take(&mut reader, 3), ["a", "b", "c"]);
    let mut wire = connect(&broker);
    let frame = "SUBSCRIBE\nid:s\nreceipt:r\ndestination:/queue/*\nbrowser:true\n\n^@";
    expect_refusal(&mut wire, frame, "browser");
}

/// D3.10, D3.11
#[test]
fn lists_and_patterns_are_served_with_one_prefetch_and_name_the_concrete_destination() {
    let broker = start();
    let mut producer = connect(&broker);
    send(&mut producer, "/queue/a.1", &[], "before");
    let mut wire = consumer(
        &broker,
        "/queue/a.>,/topic/b.*,/queue/c",
        &[("activemq.prefetchSize", "2")],
    );
    send(
        &mut producer,
        "/queue/a.2.x,/topic/b.1,/queue/c",
        &[],
        "list",
    );
    let place = |message: &Frame| {
        (
            header(message, "destination").to_owned(),
            header(message, "message-id").to_owned(),
        )
    };
    let (first, second) = (wire.expect_message(), wire.expect_message());
    expect_quiet(&mut wire);
    wire.ack(&first, &[]);
    wire.ack(&second, &[]);
    let (third, fourth) = (wire.expect_message(), wire.expect_message());
    let mut seen: Vec<_> = [&first, &second, &third, &fourth].map(place).into();
    let id = seen[3].1.clone();
    seen.sort();
    let places: Vec<_> = seen
        .iter()
        .map(|(destination, _)| destination.as_str())
        .collect();
    assert_eq!(
        places,
        ["/queue/a.1", "/queue/a.2.x", "/queue/c", "/topic/b.1"]
    );
    assert_eq!(
        seen.iter().filter(|(_, own)| *own == id).count(),
        3,
        "one message-id"
    );
}

/// D3.11
#[test]
fn a_send_to_a_pattern_is_refused() {
    let broker = start();
    for destination in ["/queue/a.*", "/topic/>", "/queue/a,/topic/b.#"] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\nreceipt:r\ndestination:{destination}\n\n^@");
        expect_refusal(&mut wire, &frame, "pattern");
    }
    let mut wire = connect(&broker);
    let list = vec!["a"; 65].join(",");
    expect_refusal(
        &mut wire,
        &format!("SEND\nreceipt:r\ndestination:{list}\n\n^@"),
        "64",
    );
}

/// D3.12
#[test]
fn a_virtual_topic_fills_the_queues_of_its_consumers() {
    let mut broker = start();
    let mut producer = connect(&broker);
    let early = consumer(&broker, "/queue/Consumer.A.VirtualTopic.X", &[]);
    send(
        &mut producer,
        "/queue/Consumer.B.VirtualTopic.X",
        &[],
        "direct",
    );
    drop(early);
    send(&mut producer, "/topic/VirtualTopic.X", &[], "news");
    broker.kill();
    broker.start_again();
    let mut a = consumer(&broker, "/queue/Consumer.A.VirtualTopic.X", &[]);
    let mut b = consumer(&broker, "/queue/Consumer.B.VirtualTopic.X", &[]);
    assert_eq!(take(&mut a, 1), ["news"]);
    assert_eq!(take(&mut b, 2), ["direct", "news"]);
}

/// D3.9
#[test]
fn a_request_is_answered_through_a_temporary_queue_that_goes_with_its_owner() {
    let broker = start();
    for version in VERSIONS {
        let mut asker = Wire::connect(broker.stomp(), version);
        asker.subscribe("answers", "/temp-queue/answers", "auto");
        let mut server = consumer(&broker, "/queue/questions", &[]);
        let headers = [("reply-to", "/temp-queue/answers"), ("correlation-id", "7")];
        send(&mut asker, "/queue/questions", &headers, "why?");
        let question = server.expect_message();
        server.ack(&question, &[]);
        let reply_to = header(&question, "reply-to").to_owned();
        assert!(reply_to.starts_with("/remote-temp-queue/"), "{question}");
        send(
            &mut server,
            &reply_to,
            &[("correlation-id", "7")],
            "because",
        );
        let answer = asker.expect_message();
        assert_eq!(
            (answer.text().as_str(), header(&answer, "correlation-id")),
            ("because", "7")
        );
        assert_eq!(header(&answer, "destination"), "/temp-queue/answers");
        let mut thief = connect(&broker);
        let frame = format!("SUBSCRIBE\nid:s\nreceipt:r\ndestination:{reply_to}\n\n^@");
        expect_refusal(&mut thief, &frame, "temporary");
        asker.disconnect();
        let receipt = server.request("SEND", &[("destination", &reply_to)], b"too late");
        assert_eq!(header(&receipt, "x-routed"), "0");
        send(&mut server, "/queue/questions", &[], "still there");
        assert_eq!(take(&mut server, 1), ["still there"]);
    }
}

/// D3.15
#[test]
fn options_of_a_destination_are_the_headers_of_their_names() {
    let broker = start();
    let mut producer = connect(&broker);
    let options = "consumer.selector=n%20%3E%201&consumer.prefetchSize=1&consumer.priority=3\
                   &consumer.dispatchAsync=true";
    let mut wire = consumer(&broker, &format!("/queue/q?{options}"), &[]);
    for n in ["1", "2", "3"] {
        send(&mut producer, "/queue/q", &[("n", n)], n);
    }
    let message = wire.expect_message();
    assert_eq!(message.text(), "2");
    expect_quiet(&mut wire);
    wire.ack(&message, &[]);
    assert_eq!(take(&mut wire, 1), ["3"]);
    let mut own = consumer(&broker, "/topic/t?consumer.noLocal=true", &[]);
    send(&mut own, "/topic/t", &[], "mine");
    expect_quiet(&mut own);
    let mut wire = Wire::connect(broker.stomp(), Version::V12);
    let frame = "SUBSCRIBE\nid:s\nreceipt:r\ndestination:/queue/q?consumer.colour=1\n\n^@";
    expect_refusal(&mut wire, frame, "consumer.colour");
}
