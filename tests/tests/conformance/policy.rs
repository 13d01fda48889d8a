//! What single destinations do otherwise by their policy, as clients see it (`docs/policies.md`).

use super::fixture::{
    ask, await_depth, bodies, connect, eventually, expect_complete, expect_delivery, expect_quiet,
    expect_refusal, header, overview, queue, start_watched,
};

const LIMITS: &str = "[[destination]]\nmatch = \"block\"\nmax_messages = 4\n\
    [[destination]]\nmatch = \"reject\"\nmax_messages = 2\nwhen_full = \"reject\"\n\
    [[destination]]\nmatch = \"small\"\nmax_bytes = 100\nwhen_full = \"reject\"\n\
    [[destination]]\nmatch = \"ring\"\nmax_messages = 3\nwhen_full = \"drop-oldest\"\n";

/// D9.1
#[test]
fn with_block_a_full_queue_stops_its_producers_and_nothing_is_lost() {
    let broker = start_watched(LIMITS);
    let mut consumer = connect(&broker);
    let two = [("activemq.prefetchSize", "2")];
    consumer.subscribe_with("s", "/queue/block", "client", &two);
    let mut producer = connect(&broker);
    // Two with the consumer, four that wait.
    for number in 0..6 {
        producer.send_receipted("/queue/block", &[], &number.to_string());
    }
    for number in 6..20 {
        producer.send(&format!(
            "SEND\ndestination:/queue/block\nreceipt:r{number}\n\n{number}^@"
        ));
    }
    let listed = || ask(&broker, "connections");
    eventually("it is held back, and by what", || {
        let items = listed()["items"].as_array().cloned().unwrap_or_default();
        let is_held = |item: &serde_json::Value| item["blocked_by"][0] == "/queue/block";
        items.iter().any(is_held).then_some(())
    });
    await_depth(&broker, "block", 6);
    connect(&broker).send_receipted("/queue/other", &[], "");
    for number in 0..20 {
        let message = consumer.expect_message();
        assert_eq!(message.text(), number.to_string());
        consumer.ack(&message, &[]);
    }
    producer.expect_receipt("r19");
    await_depth(&broker, "block", 0);
}

/// D9.2
#[test]
fn with_reject_a_full_queue_refuses_sends_and_whole_transactions() {
    let broker = start_watched(LIMITS);
    let mut producer = connect(&broker);
    for number in 0..2 {
        producer.send_receipted("/queue/reject", &[], &number.to_string());
    }
    let send = "SEND\ndestination:/queue/reject\nreceipt:r\n\n2^@";
    let error = expect_refusal(&mut producer, send, "max_messages");
    assert_eq!(error.header("receipt-id"), Some("r"));
    let body = "x".repeat(101);
    let send = format!("SEND\ndestination:/queue/small\n\n{body}^@");
    expect_refusal(&mut connect(&broker), &send, "never fits");
    let mut wire = connect(&broker);
    wire.send("BEGIN\ntransaction:t\n\n^@");
    for _ in 0..3 {
        wire.send("SEND\ndestination:/queue/other,/queue/small\ntransaction:t\n\n40 bytes: 40 bytes: 40 bytes: 40 bytes^@");
    }
    wire.send("COMMIT\ntransaction:t\nreceipt:c\n\n^@");
    let error = wire.expect_error("bytes are sent to /queue/small at once");
    expect_complete(&error);
    assert_eq!(error.header("receipt-id"), Some("c"));
    wire.expect_closed();
    let mut wire = connect(&broker);
    wire.send("BEGIN\ntransaction:t\n\n^@");
    for _ in 0..3 {
        wire.send("SEND\ndestination:/queue/reject\ntransaction:t\n\n^@");
    }
    wire.send("COMMIT\ntransaction:t\nreceipt:c\n\n^@");
    wire.expect_error("3 messages are sent to /queue/reject at once");
    await_depth(&broker, "reject", 2);
    await_depth(&broker, "small", 0);
    await_depth(&broker, "other", 0);
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/reject", "auto");
    assert_eq!(bodies(&mut consumer, 2), ["0", "1"]);
    connect(&broker).send_receipted("/queue/reject", &[], "3");
    assert_eq!(bodies(&mut consumer, 1), ["3"]);
}

/// D9.3
#[test]
fn with_drop_oldest_a_full_queue_keeps_the_newest_over_a_restart() {
    let mut broker = start_watched(LIMITS);
    let mut producer = connect(&broker);
    producer.send_receipted("/queue/ring", &[("priority", "9")], "first");
    for number in 0..100 {
        producer.send_receipted("/queue/ring", &[], &number.to_string());
    }
    assert_eq!(overview(&broker, "dropped_total"), 98);
    let seen = queue(&broker, "ring").expect("it is there");
    assert_eq!(
        (&seen["depth"], &seen["dropped_total"]),
        (&3.into(), &98.into())
    );
    assert!(broker.terminate().success());
    broker.start_again();
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/ring", "auto");
    assert_eq!(bodies(&mut consumer, 3), ["first", "98", "99"]);
    expect_quiet(&mut consumer);
}

/// D9.4
#[test]
fn a_destinations_time_to_live_is_what_expires_says() {
    let broker = start_watched(
        "[policy]\nttl_default = \"1h\"\n[[destination]]\nmatch = \"short\"\nttl_max = \"1m\"\n",
    );
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/short,/queue/long,/topic/short", "auto");
    let hour = 3_600_000;
    let cases = [
        (
            "/queue/short,/queue/long,/topic/short",
            None,
            vec![60_000, 60_000, hour],
        ),
        ("/queue/short", Some(30_000), vec![30_000]),
        ("/queue/short", Some(2 * hour), vec![60_000]),
        ("/queue/long", Some(2 * hour), vec![2 * hour]),
    ];
    for (destination, ttl, expected) in cases {
        let value = ttl.map(|ttl: i64| ttl.to_string());
        let headers: Vec<_> = value.iter().map(|value| ("ttl", value.as_str())).collect();
        wire.send_receipted(destination, &headers, "");
        let mut lives: Vec<i64> = Vec::new();
        for _ in &expected {
            let message = wire.expect_message();
            let number = |name| header(&message, name).parse::<i64>().expect("a number");
            lives.push(number("expires") - number("timestamp"));
        }
        lives.sort_unstable();
        assert_eq!(lives, expected, "{destination} {ttl:?}");
    }
}

/// D9.5
#[test]
fn what_is_declared_is_there_and_nothing_else_where_use_makes_nothing() {
    let mut broker = start_watched(
        "[policy]\nauto_create = false\n[[destination]]\nmatch = \"orders\"\nkind = \"queue\"\n",
    );
    for _ in 0..2 {
        await_depth(&broker, "orders", 0);
        let mut wire = connect(&broker);
        wire.send_receipted("/queue/orders", &[], "tea");
        wire.subscribe("s", "/queue/orders", "auto");
        assert_eq!(bodies(&mut wire, 1), ["tea"]);
        wire.subscribe("t", "/temp-queue/mine", "auto");
        wire.send_receipted("/temp-queue/mine", &[], "milk");
        assert_eq!(bodies(&mut wire, 1), ["milk"]);
        await_depth(&broker, "orders", 0);
        assert!(broker.terminate().success());
        broker.start_again();
    }
    for frame in [
        "SEND\ndestination:/queue/order\n\n^@",
        "SUBSCRIBE\nid:s\ndestination:/topic/orders\n\n^@",
        "BEGIN\ntransaction:t\n\n^@SEND\ndestination:/queue/order\ntransaction:t\n\n^@COMMIT\ntransaction:t\n\n^@",
    ] {
        expect_refusal(&mut connect(&broker), frame, "auto_create = false");
    }
    assert_eq!(overview(&broker, "queues"), 1);
}

/// D9.6
#[test]
fn the_effective_policy_of_a_destination_is_shown_with_where_it_comes_from() {
    let broker = start_watched(
        "[policy]\nttl_default = \"1h\"\n[[destination]]\nmatch = \"a.>\"\nmax_messages = 5\nwhen_full = \"reject\"\n\
         [[destination]]\nmatch = \"a.b\"\nkind = \"queue\"\nmax_messages = 7\n",
    );
    let said = |query: &str, key: &str| {
        let view = ask(&broker, &format!("policy?{query}"));
        let settings = view["settings"].as_array().expect("settings").clone();
        let found = settings.iter().find(|setting| setting["key"] == key);
        let found = found.unwrap_or_else(|| panic!("no {key} in {view}"));
        format!(
            "{} {}",
            found["value"],
            found["from"].as_str().unwrap_or_default()
        )
    };
    let (declared, other) = ("kind=queue&name=a.b", "kind=topic&name=a.b");
    assert_eq!(
        said(declared, "max_messages"),
        "7 [[destination]] a.b (queue)"
    );
    assert_eq!(said(other, "max_messages"), "5 [[destination]] a.>");
    assert_eq!(
        said(declared, "when_full"),
        "\"reject\" [[destination]] a.>"
    );
    assert_eq!(said(other, "ttl_default"), "\"1h\" [policy]");
    assert_eq!(said(other, "redelivery_multiplier"), "2.0 default");
    assert_eq!(said(other, "auto_create"), "true default");
    for (query, there) in [(declared, true), (other, false)] {
        let view = ask(&broker, &format!("policy?{query}"));
        assert_eq!(
            (&view["exists"], &view["declared"]),
            (&there.into(), &there.into())
        );
    }
}

/// D9.7
#[test]
fn what_a_hung_consumer_holds_goes_to_others_until_it_answers() {
    let broker = start_watched("[policy]\nack_timeout = \"400ms\"\n");
    let mut hung = connect(&broker);
    hung.subscribe("s", "/queue/work", "client-individual");
    let mut producer = connect(&broker);
    producer.send_receipted("/queue/work", &[], "a");
    let held = hung.expect_message();
    let mut other = connect(&broker);
    other.subscribe("s", "/queue/work", "client-individual");
    let again = other.expect_message();
    assert_eq!(again.text(), "a");
    expect_delivery(&again, 2);
    other.request("ACK", &other.settle_headers(&again), b"");
    other.disconnect();
    await_depth(&broker, "work", 0);
    producer.send_receipted("/queue/work", &[], "b");
    expect_quiet(&mut hung);
    // Too late, without a receipt, and yet an answer.
    hung.send(&format!("ACK\nid:{}\n\n^@", header(&held, "ack")));
    assert_eq!(hung.expect_message().text(), "b");
    assert_eq!(overview(&broker, "stale_acks_total"), 1);
}

/// D9.8
#[test]
fn an_unused_destination_goes_for_good_and_its_name_may_come_again() {
    let mut broker = start_watched("[policy]\nremove_unused_after = \"300ms\"\n");
    let mut wire = connect(&broker);
    wire.subscribe("s", "/queue/work", "auto");
    for round in 0..2 {
        wire.send_receipted("/queue/work", &[], &round.to_string());
        assert_eq!(bodies(&mut wire, 1), [round.to_string()]);
        wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
        eventually("it is gone", || {
            queue(&broker, "work").is_none().then_some(())
        });
        wire.subscribe("s", "/queue/work", "auto");
    }
    wire.disconnect();
    eventually("it is gone", || {
        queue(&broker, "work").is_none().then_some(())
    });
    assert!(broker.terminate().success());
    broker.start_again();
    assert!(queue(&broker, "work").is_none());
}

/// D9.9
#[test]
fn in_a_last_value_queue_the_newest_of_each_value_waits_over_a_restart() {
    let mut broker = start_watched("[[destination]]\nmatch = \"levels\"\nlast_value = \"tank\"\n");
    let mut producer = connect(&broker);
    for number in 0..300 {
        let tank = (number % 3).to_string();
        producer.send_receipted("/queue/levels", &[("tank", &tank)], &number.to_string());
    }
    await_depth(&broker, "levels", 3);
    assert!(broker.terminate().success());
    broker.start_again();
    let mut producer = connect(&broker);
    producer.send_receipted("/queue/levels", &[("tank", "1")], "new");
    await_depth(&broker, "levels", 3);
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/levels", "auto");
    assert_eq!(bodies(&mut consumer, 3), ["297", "299", "new"]);
    expect_quiet(&mut consumer);
}

/// D9.10
#[test]
fn routes_lead_copies_to_other_destinations_in_one_unit() {
    let mut broker = start_watched(
        "[[route]]\nfrom = \"/queue/in\"\nto = [\"/queue/all\", \"/topic/all\"]\nforward_only = true\n\
         [[route]]\nfrom = \"/queue/in\"\nto = \"/queue/big\"\nselector = \"size > 10\"\n\
         [[route]]\nfrom = \"/topic/all\"\nto = \"/queue/log\"\nforward_only = false\n",
    );
    let mut topic = connect(&broker);
    topic.subscribe("t", "/topic/all", "auto");
    let mut producer = connect(&broker);
    producer.send_receipted("/queue/in", &[("size", "5")], "small");
    producer.send("BEGIN\ntransaction:t\n\n^@");
    producer.send("SEND\ndestination:/queue/in\nsize:50\ntransaction:t\n\nlarge^@");
    producer.request("COMMIT", &[("transaction", "t")], b"");
    let heard: Vec<_> = (0..2).map(|_| topic.expect_message()).collect();
    assert_eq!(header(&heard[0], "destination"), "/topic/all");
    assert_eq!([heard[0].text(), heard[1].text()], ["small", "large"]);
    broker.kill();
    broker.start_again();
    for (name, depth) in [("in", 0), ("all", 2), ("big", 1), ("log", 2)] {
        await_depth(&broker, name, depth);
    }
    let mut consumer = connect(&broker);
    consumer.subscribe("a", "/queue/big", "auto");
    let copy = consumer.expect_message();
    assert_eq!(header(&copy, "destination"), "/queue/big");
    assert_eq!(header(&copy, "message-id"), header(&heard[1], "message-id"));
}
