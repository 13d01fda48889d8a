//! Who is stopped when something is full, and who is not (dialect, section 8).

use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::wire::{Version, Wire, WireError};

use super::fixture::{
    ask, await_depth, bodies, connect, eventually, expect_quiet, header, overview, queue,
    start_watched,
};

/// The least memory that can be configured; no body may be larger than the whole.
const TIGHT: &str = "[policy]\nprefetch_bytes = \"64 MiB\"\n[limits]\nmemory_bytes = \"16 MiB\"\nbody_bytes = \"1 MiB\"\n\
    transaction_bytes = \"1 MiB\"\n";

/// How long a producer without an answer counts as stopped, where nothing announces it.
const STOPPED_FOR: Duration = Duration::from_millis(300);

fn blocked(broker: &Broker) -> u64 {
    let listing = ask(broker, "connections?limit=1000");
    let items = listing["items"].as_array().expect("a listing has items");
    items.iter().filter(|item| item["blocked"] == true).count() as u64
}

fn await_blocked(broker: &Broker, count: u64) {
    eventually(&format!("{count} connections are held back"), || {
        (blocked(broker) == count).then_some(())
    });
}

/// Messages of [`fill`]: twice what its users' memory may hold.
const FILL_MAX: u64 = 200;

/// Sends until a receipt does not come; how many were accepted before. The last SEND is unanswered.
fn fill(wire: &mut Wire, broker: &Broker, headers: &str, body: &str) -> u64 {
    for number in 0..FILL_MAX {
        wire.send(&format!(
            "SEND\nreceipt:f{number}\n{headers}n:{number}\n\n{body}^@"
        ));
        let receipt = format!("f{number}");
        let wanted =
            |frame: &stompbox_tests::wire::Frame| frame.header("receipt-id") == Some(&receipt);
        match wire.try_first(STOPPED_FOR, wanted) {
            Ok(_) => {}
            Err(WireError::TimedOut(_)) if blocked(broker) > 0 => return number,
            Err(WireError::TimedOut(_)) => {
                wire.expect_receipt(&receipt);
            }
            Err(error) => wire.fail(&error.to_string()),
        }
    }
    panic!("{FILL_MAX} messages do not fill the memory")
}

/// D8.1, D8.2, D8.9, D8.12
#[test]
fn a_producer_of_non_persistent_messages_stops_at_the_memory_limit_and_goes_on_below_it() {
    let broker = start_watched(TIGHT);
    let mut producer = connect(&broker);
    producer.send_receipted("/queue/work", &[], "to be acknowledged");
    producer.subscribe("work", "/queue/work", "client");
    let held = producer.expect_message();
    // What a consumer holds cannot leave memory.
    let mut consumer = connect(&broker);
    hold(&mut consumer);
    let body = "x".repeat(200 * 1024);
    let headers = "destination:/queue/volatile\npersistent:false\n";
    let accepted = fill(&mut producer, &broker, headers, &body);
    assert!(
        (60..=82).contains(&accepted),
        "{accepted} of 200 KiB in 16 MiB"
    );
    let used = overview(&broker, "memory_bytes");
    assert!(used < 17 * 1024 * 1024, "{used}");
    // The SEND waits; an ACK behind it does not.
    producer.ack(&held, &[]);
    await_depth(&broker, "work", 0);
    // Others, who send nothing that needs room, are served as ever.
    assert_eq!(blocked(&broker), 1);
    for number in 0..accepted / 2 {
        let message = consumer.expect_message();
        assert_eq!(header(&message, "n"), number.to_string());
        consumer.ack(&message, &[]);
    }
    producer.expect_receipt(&format!("f{accepted}"));
    await_blocked(&broker, 0);
    for number in accepted / 2..=accepted {
        let message = consumer.expect_message();
        assert_eq!(header(&message, "n"), number.to_string());
        consumer.ack(&message, &[]);
    }
}

/// Takes whatever comes to `/queue/volatile`, without an end.
fn hold(consumer: &mut Wire) {
    let wishes = [("activemq.prefetchSize", "10000")];
    consumer.subscribe_with("s", "/queue/volatile", "client-individual", &wishes);
}

/// D8.14
#[test]
fn non_persistent_messages_that_memory_has_no_room_for_wait_on_the_disk() {
    let broker = start_watched(TIGHT);
    let mut producer = connect(&broker);
    let body = "x".repeat(200 * 1024);
    for number in 0..300 {
        let n = number.to_string();
        let headers = [("persistent", "false"), ("n", n.as_str())];
        producer.send_receipted("/queue/volatile", &headers, &body);
        let used = overview(&broker, "memory_bytes");
        assert!(used < 17 * 1024 * 1024, "{used} after {number}");
    }
    await_blocked(&broker, 0);
    let mut consumer = connect(&broker);
    consumer.subscribe_with(
        "s",
        "/queue/volatile",
        "client-individual",
        &[("activemq.prefetchSize", "10")],
    );
    for number in 0..300 {
        let message = consumer.expect_message();
        assert_eq!(header(&message, "n"), number.to_string());
        assert_eq!(message.body.len(), body.len());
        consumer.ack(&message, &[]);
    }
    await_depth(&broker, "volatile", 0);
}

/// D8.3, D8.8
#[test]
fn a_stopped_connection_is_read_into_its_stash_and_then_no_further() {
    let broker = start_watched(
        "[limits]\nmemory_bytes = \"16 MiB\"\nbody_bytes = \"1 MiB\"\ntransaction_bytes = \"1 MiB\"\n\
         stash_frames = 10\n[policy]\nprefetch_bytes = \"64 MiB\"\n[stomp]\nheart_beat_min = \"50ms\"\n",
    );
    let heart_beat = [("heart-beat", "500,0")];
    let mut producer = Wire::connect_with(broker.stomp(), Version::V12, &heart_beat);
    let mut consumer = connect(&broker);
    hold(&mut consumer);
    let body = "x".repeat(200 * 1024);
    let headers = "destination:/queue/volatile\npersistent:false\n";
    fill(&mut producer, &broker, headers, &body);
    // More than the stash and the sockets take: the write comes to a halt, and that is the flow control.
    let frame = format!("SEND\n{headers}\n{body}\0").into_bytes();
    let mut sent = 0;
    let began = Instant::now();
    producer.set_write_patience(Duration::from_millis(500));
    while producer.try_send_raw(&frame).is_ok() {
        sent += 1;
        assert!(sent < 200, "40 MiB were read from a stopped producer");
    }
    // A connection that is not read is not judged by its silence, however long.
    let silent = Duration::from_millis(1_500);
    producer.expect_nothing_for(silent.saturating_sub(began.elapsed()));
    assert_eq!(blocked(&broker), 1);
    let used = overview(&broker, "memory_bytes");
    assert!(used < 17 * 1024 * 1024, "{used}");
}

/// D8.2
#[test]
fn acknowledgements_pass_waiting_sends_unless_of_their_transaction() {
    let broker = start_watched(TIGHT);
    let mut producer = connect(&broker);
    for number in 0..3 {
        producer.send_receipted("/queue/work", &[], &number.to_string());
    }
    producer.subscribe("work", "/queue/work", "client-individual");
    let held: Vec<_> = (0..3).map(|_| producer.expect_message()).collect();
    let mut consumer = connect(&broker);
    hold(&mut consumer);
    let body = "x".repeat(200 * 1024);
    let headers = "destination:/queue/volatile\npersistent:false\n";
    fill(&mut producer, &broker, headers, &body);
    let id = |number: usize| header(&held[number], "ack");
    producer.send(&format!(
        "BEGIN\ntransaction:t\n\n^@ACK\ntransaction:t\nid:{}\n\n^@COMMIT\ntransaction:t\nreceipt:c\n\n^@\
         ACK\nid:{}\nreceipt:a\n\n^@NACK\nrequeue:false\nid:{}\nreceipt:n\n\n^@",
        id(0),
        id(1),
        id(2)
    ));
    producer.expect_receipt("a");
    producer.expect_receipt("n");
    await_depth(&broker, "work", 1);
    // What it held may leave memory when it is gone.
    drop(consumer);
    producer.expect_receipt("c");
    await_depth(&broker, "work", 0);
}

/// D8.10
#[test]
fn a_long_queue_of_persistent_messages_leaves_memory_and_comes_back_in_order() {
    let broker = start_watched(TIGHT);
    let mut producer = connect(&broker);
    // Four times what memory may hold.
    const COUNT: u64 = 640;
    let body = "x".repeat(100 * 1024);
    for number in 0..COUNT {
        let headers = [("n", &number.to_string()[..])];
        producer.send_receipted("/queue/long", &headers, &body);
        if number % 100 == 0 {
            let used = overview(&broker, "memory_bytes");
            assert!(used < 17 * 1024 * 1024, "{used} after {number}");
        }
    }
    let view = queue(&broker, "long").expect("it was sent to");
    assert_eq!(view["depth"], COUNT);
    assert!(view["paged"].as_u64() > Some(COUNT / 2), "{view}");
    let mut consumer = connect(&broker);
    consumer.subscribe("s", "/queue/long", "auto");
    for number in 0..COUNT {
        assert_eq!(header(&consumer.expect_message(), "n"), number.to_string());
    }
    expect_quiet(&mut consumer);
}

const POLICIES: &str = "[[destination]]\nmatch = \"block\"\npending_messages = 10\n\
    [[destination]]\nmatch = \"drop\"\npending_messages = 10\nslow_consumer = \"drop-oldest\"\n\
    [[destination]]\nmatch = \"cut\"\npending_messages = 10\nslow_consumer = \"disconnect\"\n\
    [[destination]]\nmatch = \"bytes\"\npending_bytes = \"1 KiB\"\nslow_consumer = \"drop-oldest\"\n";

/// A subscriber of a topic that acknowledges nothing and gets two messages at a time.
fn slow_subscriber(broker: &Broker, destination: &str) -> Wire {
    let mut wire = connect(broker);
    let two = [("activemq.prefetchSize", "2")];
    wire.subscribe_with("s", destination, "client-individual", &two);
    wire
}

/// D8.4, D8.5, D8.9
#[test]
fn with_block_a_full_subscriber_stops_the_topics_producers_and_nothing_is_lost() {
    let broker = start_watched(POLICIES);
    let mut slow = slow_subscriber(&broker, "/topic/block");
    let mut quick = connect(&broker);
    quick.subscribe("s", "/topic/block", "auto");
    let mut producer = connect(&broker);
    let accepted = fill(&mut producer, &broker, "destination:/topic/block\n", "x");
    // Two with the subscriber, ten that wait, and the one that makes it too many.
    assert_eq!(accepted, 13);
    // Only producers of that topic are stopped, and only from the first SEND to it on.
    let mut other = connect(&broker);
    other.send_receipted("/topic/other", &[], "");
    other.send_receipted("/queue/other", &[], "");
    assert_eq!(blocked(&broker), 1);
    for number in 0..=accepted {
        let message = slow.expect_message();
        assert_eq!(header(&message, "n"), number.to_string());
        slow.ack(&message, &[]);
    }
    producer.expect_receipt(&format!("f{accepted}"));
    await_blocked(&broker, 0);
    for number in 0..=accepted {
        assert_eq!(header(&quick.expect_message(), "n"), number.to_string());
    }
}

/// D8.5
#[test]
fn with_block_producers_go_on_when_the_full_subscriber_goes() {
    let broker = start_watched(POLICIES);
    for leave in ["unsubscribe", "disconnect", "drop"] {
        let mut slow = slow_subscriber(&broker, "/topic/block");
        let mut producer = connect(&broker);
        let accepted = fill(&mut producer, &broker, "destination:/topic/block\n", "x");
        match leave {
            "unsubscribe" => {
                slow.request("UNSUBSCRIBE", &[("id", "s")], b"");
            }
            "disconnect" => slow.disconnect(),
            _ => drop(slow),
        }
        producer.expect_receipt(&format!("f{accepted}"));
        await_blocked(&broker, 0);
    }
}

/// D8.6
#[test]
fn with_drop_oldest_what_waits_longest_is_dropped_and_counted() {
    let broker = start_watched(POLICIES);
    let mut slow = slow_subscriber(&broker, "/topic/drop");
    let mut quick = connect(&broker);
    quick.subscribe("s", "/topic/drop", "auto");
    let mut producer = connect(&broker);
    for number in 0..100 {
        producer.send_receipted("/topic/drop", &[], &number.to_string());
    }
    let all: Vec<_> = (0..100).map(|number: i32| number.to_string()).collect();
    assert_eq!(bodies(&mut quick, 100), all);
    let mut heard = Vec::new();
    for _ in 0..12 {
        let message = slow.expect_message();
        slow.ack(&message, &[]);
        heard.push(message.text());
    }
    assert_eq!(heard, [&all[..2], &all[90..]].concat());
    expect_quiet(&mut slow);
    assert_eq!(overview(&broker, "dropped_total"), 88);
    // The same by bytes.
    let mut slow = slow_subscriber(&broker, "/topic/bytes");
    for number in 0..10 {
        let body = format!("{number}{}", "x".repeat(299));
        producer.send_receipted("/topic/bytes", &[], &body);
    }
    for expected in ["0", "1", "7", "8", "9"] {
        let message = slow.expect_message();
        slow.ack(&message, &[]);
        assert_eq!(message.text()[..1], *expected);
    }
}

/// D8.7
#[test]
fn with_disconnect_the_slow_subscriber_is_told_and_closed() {
    let broker = start_watched(POLICIES);
    let mut slow = slow_subscriber(&broker, "/topic/cut");
    let mut quick = connect(&broker);
    quick.subscribe("s", "/topic/cut", "auto");
    let mut producer = connect(&broker);
    for number in 0..30 {
        producer.send_receipted("/topic/cut", &[], &number.to_string());
    }
    assert_eq!(bodies(&mut quick, 30).len(), 30);
    assert_eq!(bodies(&mut slow, 2), ["0", "1"]);
    super::fixture::expect_complete(&slow.expect_error("pending_messages"));
    slow.expect_closed();
}

/// D8.7
#[test]
fn a_subscriber_to_be_disconnected_costs_no_more_memory_although_it_does_not_listen() {
    let broker = start_watched(
        "[policy]\nslow_consumer = \"disconnect\"\npending_bytes = \"1 MiB\"\nprefetch_bytes = \"8 MiB\"\n",
    );
    let mut deaf = connect(&broker);
    deaf.send("SUBSCRIBE\nid:s\ndestination:/topic/cut\n\n^@");
    expect_quiet(&mut connect(&broker));
    let mut producer = connect(&broker);
    let body = "x".repeat(512 * 1024);
    for _ in 0..100 {
        producer.send_receipted("/topic/cut", &[], &body);
    }
    let used = overview(&broker, "memory_bytes");
    assert!(used < 16 * 1024 * 1024, "{used} for one subscriber");
}

/// D8.11
#[test]
fn a_subscriber_that_takes_no_byte_is_disconnected_so_that_the_topic_goes_on() {
    let broker = start_watched(
        "[policy]\npending_bytes = \"1 MiB\"\nprefetch_bytes = \"1 MiB\"\n\
         [stomp]\nstalled_after = \"400ms\"\n",
    );
    let mut deaf = connect(&broker);
    deaf.send("SUBSCRIBE\nid:s\ndestination:/topic/t\n\n^@");
    // One that has nothing to take, and one that takes what it gets, are left alone.
    let mut idle = connect(&broker);
    idle.subscribe("s", "/topic/idle", "auto");
    let mut producer = connect(&broker);
    let body = "x".repeat(256 * 1024);
    for _ in 0..100 {
        producer.send_receipted("/topic/t", &[], &body);
    }
    eventually("it is gone", || {
        (overview(&broker, "connections") == 2).then_some(())
    });
    expect_quiet(&mut idle);
}

/// D8.13
#[test]
fn a_body_that_waits_for_many_subscribers_is_charged_once() {
    let broker = start_watched("");
    let mut subscribers: Vec<_> = (0..20)
        .map(|_| slow_subscriber(&broker, "/topic/shared"))
        .collect();
    let mut producer = connect(&broker);
    let before = overview(&broker, "memory_bytes");
    let body = "x".repeat(100 * 1024);
    for _ in 0..10 {
        producer.send_receipted("/topic/shared", &[], &body);
    }
    let held = overview(&broker, "memory_bytes") - before;
    assert!((1_000_000..1_100_000).contains(&held), "{held}");
    for wire in &mut subscribers {
        for _ in 0..10 {
            let message = wire.expect_message();
            wire.ack(&message, &[]);
        }
    }
    eventually("it is given back", || {
        (overview(&broker, "memory_bytes") == before).then_some(())
    });
}
