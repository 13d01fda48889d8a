//! Delivery later, and repeats that are known (dialect, section 4).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Frame, Wire};

use super::fixture::{
    ask, await_depth, connect, eventually, expect_quiet, expect_refusal, header, overview, request,
    start, start_watched, start_with,
};

const QUEUE: &str = "/queue/q";

fn consumer(broker: &Broker, to: &str) -> Wire {
    let mut wire = connect(broker);
    wire.subscribe("s", to, "auto");
    wire
}

/// The next message, which must not come before so many milliseconds have passed, nor much later.
fn expect_after(wire: &mut Wire, since: Instant, ms: u64) -> Frame {
    let message = wire.expect_message();
    let passed = since.elapsed();
    assert!(passed >= Duration::from_millis(ms), "{passed:?}");
    message
}

/// D4.19, D2.6
#[test]
fn a_delayed_message_comes_when_it_is_due() {
    let broker = start();
    let mut wire = connect(&broker);
    let mut other = consumer(&broker, QUEUE);
    for name in ["AMQ_SCHEDULED_DELAY", "x-delay"] {
        let since = Instant::now();
        wire.send_receipted(QUEUE, &[(name, "300"), ("own", "kept")], "late");
        wire.send_receipted(QUEUE, &[], "now");
        assert_eq!(other.expect_message().text(), "now");
        let message = expect_after(&mut other, since, 300);
        assert_eq!(message.text(), "late");
        assert_eq!(message.header(name), None);
        assert_eq!(header(&message, "own"), "kept");
        assert_eq!(header(&message, "redelivered"), "false");
    }
}

/// D4.19
#[test]
fn a_repeated_message_comes_as_often_as_it_is_told_to() {
    let broker = start();
    let mut wire = connect(&broker);
    let mut other = consumer(&broker, "/topic/t");
    let headers = [
        ("AMQ_SCHEDULED_PERIOD", "100"),
        ("AMQ_SCHEDULED_REPEAT", "2"),
    ];
    let since = Instant::now();
    wire.send_receipted("/topic/t", &headers, "again");
    let mut ids = Vec::new();
    for ms in [100, 200, 300] {
        let message = expect_after(&mut other, since, ms);
        ids.push(header(&message, "message-id").to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
    expect_quiet(&mut other);
}

/// D4.19
#[test]
fn a_cron_expression_names_a_time_of_day() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    wire.send_receipted(QUEUE, &[("AMQ_SCHEDULED_CRON", "0 0 1 1 *")], "new year");
    assert_eq!(overview(&broker, "scheduled"), 1);
    await_depth(&broker, "q", 0);
    for cron in ["61 * * * *", "* * * *", "0 0 30 2 *"] {
        let mut wire = connect(&broker);
        let frame =
            format!("SEND\nreceipt:r\ndestination:{QUEUE}\nAMQ_SCHEDULED_CRON:{cron}\n\nx^@");
        let error = expect_refusal(&mut wire, &frame, "AMQ_SCHEDULED_CRON");
        assert_eq!(header(&error, "receipt-id"), "r");
    }
}

/// D4.19
#[test]
fn schedules_that_mean_nothing_are_refused() {
    let broker = start();
    for (headers, about) in [
        ("AMQ_SCHEDULED_DELAY:soon", "AMQ_SCHEDULED_DELAY"),
        ("AMQ_SCHEDULED_DELAY:-1", "AMQ_SCHEDULED_DELAY"),
        ("x-delay:1\nAMQ_SCHEDULED_DELAY:2", "differ"),
        ("AMQ_SCHEDULED_PERIOD:x", "AMQ_SCHEDULED_PERIOD"),
        ("x-delay:1\nAMQ_SCHEDULED_REPEAT:-1", "AMQ_SCHEDULED_PERIOD"),
        (
            "x-delay:1\nAMQ_SCHEDULED_REPEAT:1001",
            "AMQ_SCHEDULED_REPEAT",
        ),
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\nreceipt:r\ndestination:{QUEUE}\n{headers}\n\nx^@");
        expect_refusal(&mut wire, &frame, about);
    }
    let mut wire = connect(&broker);
    let frame = "SEND\nreceipt:r\ndestination:/temp-queue/a\nx-delay:1\n\nx^@";
    expect_refusal(&mut wire, frame, "temporary");
}

/// D4.19, D2.6
#[test]
fn a_schedule_survives_restarts_and_what_was_missed_comes_once() {
    let mut broker = start_watched("");
    let mut wire = connect(&broker);
    wire.send_receipted(QUEUE, &[("x-delay", "300")], "once");
    let endless = [
        ("AMQ_SCHEDULED_PERIOD", "200"),
        ("AMQ_SCHEDULED_REPEAT", "-1"),
    ];
    wire.send_receipted("/queue/r", &endless, "grid");
    wire.send_receipted("/queue/far", &[("x-delay", "9000000000000")], "far");
    broker.kill();
    broker.start_again();
    let mut other = consumer(&broker, QUEUE);
    assert_eq!(other.expect_message().text(), "once");
    expect_quiet(&mut other);
    let mut other = consumer(&broker, "/queue/r");
    for _ in 0..3 {
        assert_eq!(other.expect_message().text(), "grid");
    }
    assert_eq!(overview(&broker, "scheduled"), 2);
    assert!(broker.terminate().success());
    broker.start_again();
    assert_eq!(overview(&broker, "scheduled"), 2);
}

/// D4.19
#[test]
fn in_a_transaction_a_delay_counts_from_the_send() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    let mut other = consumer(&broker, QUEUE);
    let since = Instant::now();
    wire.request("BEGIN", &[("transaction", "t")], b"");
    for (text, delay) in [("soon", "1"), ("later", "400")] {
        let headers = [("transaction", "t"), ("x-delay", delay)];
        wire.send_receipted(QUEUE, &headers, text);
    }
    expect_quiet(&mut other);
    wire.request("COMMIT", &[("transaction", "t")], b"");
    assert_eq!(other.expect_message().text(), "soon");
    assert_eq!(expect_after(&mut other, since, 400).text(), "later");
    wire.request("BEGIN", &[("transaction", "t")], b"");
    wire.send_receipted(QUEUE, &[("transaction", "t"), ("x-delay", "1")], "never");
    wire.request("ABORT", &[("transaction", "t")], b"");
    assert_eq!(overview(&broker, "scheduled"), 0);
}

/// D4.19, D2.6
#[test]
fn the_schedule_is_listed_and_cancelled_by_messages_as_in_activemq() {
    const MANAGEMENT: &str = "/topic/ActiveMQ.Scheduler.Management";
    let broker = start_watched("");
    let mut wire = connect(&broker);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    for text in ["a", "b"] {
        wire.send_receipted(QUEUE, &[("x-delay", "60000")], text);
    }
    let mut answers = connect(&broker);
    answers.subscribe("s", "/temp-queue/answers", "auto");
    let browse = [
        ("AMQ_SCHEDULER_ACTION", "BROWSE"),
        ("reply-to", "/temp-queue/answers"),
        ("correlation-id", "c"),
    ];
    answers.send_receipted(MANAGEMENT, &browse, "");
    let found = [answers.expect_message(), answers.expect_message()];
    assert_eq!(found.each_ref().map(Frame::text), ["a", "b"]);
    assert_eq!(header(&found[0], "correlation-id"), "c");
    assert_eq!(header(&found[0], "scheduledDestination"), QUEUE);
    let due: u128 = header(&found[0], "scheduledTime").parse().expect("a time");
    assert!(due >= now.as_millis() + 60_000 && due < now.as_millis() + 120_000);
    let id = header(&found[0], "scheduledJobId");
    let remove = [("AMQ_SCHEDULER_ACTION", "REMOVE"), ("scheduledJobId", id)];
    wire.send_receipted(MANAGEMENT, &remove, "");
    answers.send_receipted(MANAGEMENT, &browse, "");
    assert_eq!(answers.expect_message().text(), "b");
    wire.send_receipted(MANAGEMENT, &[("AMQ_SCHEDULER_ACTION", "REMOVEALL")], "");
    eventually("an empty schedule", || {
        (overview(&broker, "scheduled") == 0).then_some(())
    });
    let frame = format!("SEND\nreceipt:r\ndestination:{MANAGEMENT}\n\n^@");
    expect_refusal(&mut wire, &frame, "AMQ_SCHEDULER_ACTION");
}

/// D4.19
#[test]
fn a_listing_that_is_cut_says_so_and_where_it_goes_on() {
    const MANAGEMENT: &str = "/topic/ActiveMQ.Scheduler.Management";
    let broker = start_watched("");
    let mut wire = connect(&broker);
    let body = "x".repeat(1 << 20);
    for number in 0..6 {
        let delay = (600_000 + number * 1_000).to_string();
        wire.send_receipted(
            QUEUE,
            &[("x-delay", &delay), ("number", &number.to_string())],
            &body,
        );
    }
    wire.subscribe("s", "/temp-queue/answers", "auto");
    let (mut numbers, mut start) = (Vec::new(), "0".to_owned());
    loop {
        let browse = [
            ("AMQ_SCHEDULER_ACTION", "BROWSE"),
            ("AMQ_SCHEDULER_ACTION_START_TIME", &start),
            ("reply-to", "/temp-queue/answers"),
        ];
        wire.send_receipted(MANAGEMENT, &browse, "");
        let part = loop {
            let answer = wire.expect_message();
            let number = header(&answer, "number").to_owned();
            numbers.push(number.clone());
            if number == "5" || answer.header("scheduledMore") == Some("true") {
                break answer;
            }
        };
        if part.header("scheduledMore").is_none() {
            break;
        }
        start = header(&part, "scheduledTime").to_owned();
    }
    assert!(numbers.len() > 6, "the first part was not cut: {numbers:?}");
    numbers.dedup();
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5"]);
}

/// D4.21
#[test]
fn a_repeat_is_not_enqueued_and_its_receipt_says_so() {
    let mut broker = start();
    for (first, second) in [
        ("_AMQ_DUPL_ID", "_AMQ_DUPL_ID"),
        ("x-dedup-id", "_AMQ_DUPL_ID"),
    ] {
        let mut wire = connect(&broker);
        let mut send = |name, to: &str| {
            let headers = [("destination", to), (name, "order-7")];
            wire.request("SEND", &headers, b"x")
        };
        assert_eq!(send(first, QUEUE).header("x-duplicate"), None);
        let receipt = send(second, QUEUE);
        assert_eq!(header(&receipt, "x-duplicate"), "true");
        assert_eq!(send(second, "/queue/other").header("x-duplicate"), None);
        let mut other = consumer(&broker, QUEUE);
        let message = other.expect_message();
        assert_eq!(header(&message, first), "order-7");
        expect_quiet(&mut other);
        broker.kill();
        broker.start_again();
        let mut wire = connect(&broker);
        let headers = [("destination", QUEUE), (first, "order-7")];
        let receipt = wire.request("SEND", &headers, b"x");
        assert_eq!(
            header(&receipt, "x-duplicate"),
            "true",
            "also when it is consumed"
        );
        broker = start();
    }
    let mut wire = connect(&broker);
    let long = "x".repeat(256);
    let frame = format!("SEND\nreceipt:r\ndestination:{QUEUE}\nx-dedup-id:{long}\n\nx^@");
    expect_refusal(&mut wire, &frame, "255");
}

/// D4.21
#[test]
fn ids_of_a_transaction_are_entered_at_its_commit() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    for end in ["ABORT", "COMMIT", "COMMIT"] {
        wire.request("BEGIN", &[("transaction", "t")], b"");
        for _ in 0..2 {
            wire.send_receipted(QUEUE, &[("transaction", "t"), ("x-dedup-id", "1")], "x");
        }
        wire.request(end, &[("transaction", "t")], b"");
    }
    await_depth(&broker, "q", 1);
}

/// D4.19
#[test]
fn the_console_lists_and_cancels_what_is_scheduled() {
    let broker = start_watched("");
    let mut wire = connect(&broker);
    for number in 0..3 {
        let delay = (60_000 + number).to_string();
        wire.send_receipted(QUEUE, &[("x-delay", &delay), ("priority", "7")], "x");
    }
    let page = ask(&broker, "scheduled?limit=2");
    assert_eq!(
        (&page["total"], &page["items"][1]["priority"]),
        (&3.into(), &7.into())
    );
    assert_eq!(page["items"][0]["destination"], QUEUE);
    let next = page["next"].as_str().expect("there is more");
    let rest = ask(&broker, &format!("scheduled?after={next}"));
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));
    assert!(rest["next"].is_null());
    let id = rest["items"][0]["id"].as_str().expect("an id");
    let path = format!("scheduled/{id}");
    assert_eq!(request(&broker, "DELETE", &path).0, 204);
    assert_eq!(request(&broker, "DELETE", &path).0, 404);
    assert_eq!(request(&broker, "DELETE", "scheduled/nonsense").0, 404);
    assert_eq!(overview(&broker, "scheduled"), 2);
}

/// D4.30
#[test]
fn what_is_sent_again_may_have_been_delivered_before() {
    let mut broker = start_watched("");
    let mut wire = connect(&broker);
    let mut there = consumer(&broker, "/topic/t");
    let again = [("x-resent", "true"), ("own", "kept"), ("x-dedup-id", "1")];
    wire.send_receipted("/queue/q,/topic/t", &again, "again");
    let headers = [
        ("destination", QUEUE),
        ("x-resent", "true"),
        ("x-dedup-id", "1"),
    ];
    let receipt = wire.request("SEND", &headers, b"again");
    assert_eq!(header(&receipt, "x-duplicate"), "true");
    wire.send_receipted(QUEUE, &[("x-resent", "false")], "new");
    wire.send_receipted(QUEUE, &[("x-resent", "true"), ("x-delay", "1")], "late");
    wire.request("BEGIN", &[("transaction", "t")], b"");
    let headers = [("transaction", "t"), ("x-resent", "true")];
    wire.send_receipted(QUEUE, &headers, "in a transaction");
    wire.request("COMMIT", &[("transaction", "t")], b"");
    let expect = |wire: &mut Wire, text: &str, count: &str| {
        let message = wire.expect_message();
        assert_eq!(message.text(), text);
        assert_eq!(header(&message, "JMSXDeliveryCount"), count, "{text}");
        let is_redelivered = (count != "1").to_string();
        assert_eq!(header(&message, "redelivered"), is_redelivered, "{text}");
        assert_eq!(message.header("x-resent"), None, "{text}");
        message
    };
    assert_eq!(header(&expect(&mut there, "again", "2"), "own"), "kept");
    await_depth(&broker, "q", 4);
    assert!(broker.terminate().success());
    broker.start_again();
    let mut here = connect(&broker);
    here.subscribe("s", QUEUE, "client-individual");
    expect(&mut here, "again", "2");
    expect(&mut here, "new", "1");
    for _ in 0..2 {
        let message = here.expect_message();
        assert!(["in a transaction", "late"].contains(&&*message.text()));
        assert_eq!(header(&message, "JMSXDeliveryCount"), "2");
    }
    let frame = format!("SEND\nreceipt:r\ndestination:{QUEUE}\nx-resent:maybe\n\nx^@");
    expect_refusal(&mut here, &frame, "x-resent");
}

/// D4.30
#[test]
fn what_is_sent_again_counts_no_failure() {
    let broker = start_with("[policy]\nredeliveries_max = 0\n");
    let mut wire = connect(&broker);
    wire.subscribe("s", QUEUE, "client-individual");
    wire.subscribe("dead", "/queue/ActiveMQ.DLQ", "auto");
    wire.send_receipted(QUEUE, &[("x-resent", "true")], "again");
    let message = wire.expect_message();
    assert_eq!(header(&message, "subscription"), "s");
    wire.nack(&message, &[]);
    let letter = wire.expect_message();
    assert_eq!(header(&letter, "dlq-delivery-count"), "2");
    assert_eq!(header(&letter, "redelivered"), "true");
}
