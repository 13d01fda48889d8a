//! Several destinations in one frame (dialect, sections 2 and 3).

use std::time::Duration;

use super::fixture::{
    Slow, bodies, connect, consumer, drain, expect_quiet, expect_refusal, header, queue, send,
    start, start_watched, take,
};

/// D3.23
#[test]
fn a_list_counts_each_name_once_and_sends_one_message_id() {
    let broker = start();
    let names = ["/queue/a", "/queue/b", "/topic/c", "/topic/a"];
    let mut wire = connect(&broker);
    for name in names {
        wire.subscribe(name, name, "auto");
    }
    let mut producer = connect(&broker);
    for list in [
        "/queue/a,/queue/b,/topic/c,/topic/a",
        "a,b,a,/topic/c,/queue/a,/topic/a,b",
        " /topic/a , /topic/c,a ,/queue/b",
    ] {
        send(&mut producer, list, &[("n", "1")], list);
        let messages = drain(&mut wire);
        let mut to: Vec<_> = messages
            .iter()
            .map(|message| header(message, "destination").to_owned())
            .collect();
        to.sort();
        assert_eq!(
            to,
            ["/queue/a", "/queue/b", "/topic/a", "/topic/c"],
            "{list}"
        );
        for message in &messages {
            assert_eq!(message.text(), list);
            assert_eq!(header(message, "n"), "1");
            assert_eq!(
                header(message, "message-id"),
                header(&messages[0], "message-id")
            );
        }
    }
}

/// D3.23
#[test]
fn copies_live_and_die_apart() {
    let broker = start();
    let mut producer = connect(&broker);
    send(&mut producer, "/queue/a,/queue/b", &[], "twice");
    let mut a = consumer(&broker, "/queue/a", &[]);
    let message = a.expect_message();
    a.nack(&message, &[("requeue", "false")]);
    let mut b = consumer(&broker, "/queue/b", &[]);
    let other = b.expect_message();
    assert_eq!(header(&other, "JMSXDeliveryCount"), "1");
    b.ack(&other, &[]);
    let mut dead = consumer(&broker, "/queue/ActiveMQ.DLQ", &[]);
    let letter = dead.expect_message();
    assert_eq!(header(&letter, "original-destination"), "/queue/a");
    assert_eq!(header(&letter, "message-id"), header(&other, "message-id"));
}

/// D3.23
#[test]
fn a_list_of_which_one_cannot_be_is_sent_to_none() {
    let broker = start_watched("[limits]\ndestinations = 3\n");
    let mut wire = connect(&broker);
    send(&mut wire, "/queue/there", &[], "");
    for (list, about) in [
        ("/queue/there,/queue/a..b", "empty segment"),
        ("/queue/there,/queue/a.>", "pattern"),
        ("/queue/there,/nonsense/a", "prefix"),
        (
            "/queue/there,/queue/a,/queue/b,/queue/c",
            "limits.destinations",
        ),
    ] {
        let mut wire = connect(&broker);
        let frame = format!("SEND\nreceipt:r\ndestination:{list}\n\nx^@");
        let error = expect_refusal(&mut wire, &frame, about);
        assert_eq!(header(&error, "receipt-id"), "r");
    }
    let there = queue(&broker, "there").expect("it is there");
    assert_eq!(there["depth"], 1, "nothing but the first");
    assert!(queue(&broker, "a").is_none());
    let receipt = wire.request(
        "SEND",
        &[("destination", "/queue/there,/queue/a,/queue/b")],
        b"x",
    );
    assert_eq!(receipt.header("x-routed"), None);
}

/// D3.23
#[test]
fn a_list_that_is_subscribed_to_is_one_subscription() {
    let broker = start();
    let mut producer = connect(&broker);
    for name in ["a", "b", "c"] {
        send(&mut producer, &format!("/queue/{name}"), &[], name);
    }
    let mut wire = connect(&broker);
    let headers = [("activemq.prefetchSize", "2")];
    wire.subscribe_with("s", "a,/queue/b,a,/topic/t,c", "client", &headers);
    let first = drain(&mut wire);
    assert_eq!(first.len(), 2);
    send(&mut producer, "/topic/t", &[], "t");
    expect_quiet(&mut wire);
    wire.ack(&first[1], &[]);
    let taken: Vec<_> = first.iter().map(|message| message.text()).collect();
    let rest = bodies(&mut wire, 2);
    let mut all = [taken, rest.clone()].concat();
    all.sort();
    assert_eq!(all, ["a", "b", "c", "t"]);
    wire.request("UNSUBSCRIBE", &[("id", "s")], b"");
    // What it held of the queues is back.
    let held = rest
        .iter()
        .find(|text| *text != "t")
        .expect("one of a queue");
    let mut other = consumer(&broker, &format!("/queue/{held}"), &[]);
    assert_eq!(take(&mut other, 1), [held.as_str()]);
}

/// D2.19
#[test]
fn the_receipt_of_a_list_waits_until_all_of_it_is_durable() {
    let mut slow = Slow::start("").expect("a slow disk");
    slow.slow_down(Duration::from_millis(400), &["/queue/a", "/queue/b"])
        .expect("slower");
    let mut wire = connect(&slow.broker);
    wire.send("SEND\ndestination:/queue/a,/topic/t,/queue/b\nreceipt:r\n\nkept^@");
    // Non-persistent ones behind it promise nothing, and overtake it.
    wire.send("SEND\ndestination:/queue/v,/topic/t\npersistent:false\nreceipt:v\n\nlost^@");
    assert_eq!(header(&wire.expect_frame("RECEIPT"), "receipt-id"), "v");
    assert_eq!(header(&wire.expect_frame("RECEIPT"), "receipt-id"), "r");
    slow.broker.kill();
    slow.broker.start_again();
    for name in ["/queue/a", "/queue/b"] {
        let mut reader = consumer(&slow.broker, name, &[]);
        assert_eq!(take(&mut reader, 1), ["kept"], "{name}");
        expect_quiet(&mut reader);
    }
}
