//! Durable and shared subscriptions: what their topic gets waits for them, once for all of them.

use super::*;
use crate::core::port::{Deletion, Lasting, Requeue};
use crate::core::selector::Selector;
use stompbox_store::Medium;

const TOPIC: &str = "/topic/t";

fn open_as(bench: &mut Bench, connection: u64, client_id: &str) {
    bench.open_as(connection, Version::V1_2, Some(client_id));
}

fn durable(bench: &mut Bench, connection: u64, subscription: u32, name: &str, prefetch: u32) {
    subscribe(
        bench,
        connection,
        subscription,
        Lasting::Durable(name.into()),
        prefetch,
    );
}

fn subscribe(
    bench: &mut Bench,
    connection: u64,
    subscription: u32,
    lasting: Lasting,
    prefetch: u32,
) {
    let mode = AckMode::ClientIndividual;
    bench.subscribe_with(connection, subscription, TOPIC, mode, prefetch, |wish| {
        wish.lasting = Some(lasting);
    });
}

fn send_all(bench: &mut Bench, texts: &[&'static str]) {
    for text in texts {
        bench.send(9, TOPIC, draft(text));
    }
    bench.rest();
}

/// A subscription `c`/`n`, of connection 1, that has gone; connection 9 sends.
fn asleep() -> Bench {
    let mut bench = Bench::new();
    fall_asleep(&mut bench);
    bench
}

fn fall_asleep(bench: &mut Bench) {
    bench.open(9);
    open_as(bench, 1, "c");
    durable(bench, 1, 0, "n", 10);
    bench.rest();
    unsubscribe(bench, 1, 0);
    bench.rest();
    bench.heard();
}

fn unsubscribe(bench: &mut Bench, connection: u64, subscription: u32) {
    let request = Request::Unsubscribe {
        subscription: Some(SubscriptionHandle(subscription)),
        deletes: None,
        given: DeliveryCounter(u64::MAX),
        receipt: None,
    };
    bench.ask(connection, request);
}

fn delete(bench: &mut Bench, connection: u64, name: &str) {
    let request = Request::Unsubscribe {
        subscription: None,
        deletes: Some(Deletion {
            lasting: Lasting::Durable(name.into()),
            topic: None,
        }),
        given: DeliveryCounter(0),
        receipt: Some(ReceiptId(b"deleted"[..].into())),
    };
    bench.ask(connection, request);
}

fn logged(bench: &Bench) -> u64 {
    bench
        .disk
        .log_tallies()
        .iter()
        .map(|tally| tally.count)
        .sum()
}

#[test]
fn what_comes_while_nobody_is_there_waits_and_is_delivered_in_order() {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b", "c"]);
    assert!(bench.heard().is_empty());
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<c#1"]);
    for text in ["b", "a", "c"] {
        bench.ack(1, text);
        bench.rest();
    }
    assert_eq!(
        logged(&bench),
        0,
        "the log lets go of what everybody has done with"
    );
}

#[test]
fn what_comes_while_it_is_there_comes_at_once_and_leaves_nothing() {
    let mut bench = asleep();
    durable(&mut bench, 1, 1, "n", 10);
    bench.send(9, TOPIC, draft("a").receipt("ra"));
    bench.turn();
    assert_eq!(bench.heard(), ["1<a#1"], "its receipt waits for the disk");
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["9<receipt ra"]);
    assert_eq!(logged(&bench), 0);
}

#[test]
fn what_came_before_the_first_subscribe_is_not_its_own() {
    let mut bench = Bench::new();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    send_all(&mut bench, &["a"]);
    durable(&mut bench, 1, 0, "n", 10);
    send_all(&mut bench, &["b"]);
    assert_eq!(bench.heard(), ["1<b#1"]);
}

#[test]
fn its_first_receipt_waits_for_the_disk_and_comes_before_its_first_message() {
    let mut bench = Bench::new();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    bench.subscribe_with(1, 0, TOPIC, AckMode::Auto, 10, |wish| {
        wish.lasting = Some(Lasting::Durable("n".into()));
        wish.receipt = Some(ReceiptId(b"r"[..].into()));
    });
    bench.send(9, TOPIC, draft("a"));
    bench.turn();
    assert!(bench.heard().is_empty());
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt r", "1<a#1"]);
}

#[test]
fn a_restart_keeps_what_waits_and_forgets_what_was_acknowledged() {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b", "c", "d"]);
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    bench.heard();
    // `a` and `c` leave: the floor says one of them, an exception the other.
    for text in ["a", "c"] {
        bench.ack(1, text);
    }
    bench.rest();
    bench.restart();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    send_all(&mut bench, &["e"]);
    durable(&mut bench, 1, 0, "n", 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#2", "1<d#2", "1<e#1"]);
}

#[test]
fn a_clean_stop_keeps_the_counts() {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b"]);
    durable(&mut bench, 1, 1, "n", 1);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.stop_and_start();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    durable(&mut bench, 1, 0, "n", 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2", "1<b#1"]);
}

#[test]
fn a_message_is_stored_once_for_all_subscriptions() {
    let mut bench = asleep();
    for (connection, client_id) in [(2, "d"), (3, "e")] {
        open_as(&mut bench, connection, client_id);
        durable(&mut bench, connection, 0, "n", 10);
    }
    bench.rest();
    unsubscribe(&mut bench, 2, 0);
    send_all(&mut bench, &["a"]);
    assert_eq!(logged(&bench), 1);
    assert_eq!(bench.heard(), ["3<a#1"]);
    bench.ack(3, "a");
    bench.rest();
    assert_eq!(logged(&bench), 1, "others want it");
    for (connection, subscription) in [(1, 1), (2, 1)] {
        durable(&mut bench, connection, subscription, "n", 10);
        bench.rest();
        bench.ack(connection, "a");
    }
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "2<a#1"]);
    assert_eq!(logged(&bench), 0);
}

#[test]
fn an_unshared_one_has_one_consumer_at_a_time() {
    let mut bench = Bench::new();
    open_as(&mut bench, 1, "c");
    durable(&mut bench, 1, 0, "n", 10);
    bench.rest();
    durable(&mut bench, 1, 1, "n", 10);
    bench.turn();
    assert_eq!(bench.heard(), ["1<refused: durable subscription is in use"]);
}

#[test]
fn a_name_needs_a_client_id_unless_it_is_shared() {
    let mut bench = Bench::new();
    for connection in [1, 2] {
        bench.open(connection);
    }
    durable(&mut bench, 1, 0, "n", 10);
    subscribe(&mut bench, 2, 0, Lasting::SharedDurable("n".into()), 10);
    bench.rest();
    assert_eq!(bench.heard(), ["1<refused: client-id is missing"]);
}

#[test]
fn consumers_of_a_shared_one_compete_and_the_last_ones_leave_messages_behind() {
    let mut bench = Bench::new();
    for connection in [1, 2, 9] {
        bench.open(connection);
    }
    for connection in [1, 2] {
        subscribe(
            &mut bench,
            connection,
            0,
            Lasting::SharedDurable("n".into()),
            1,
        );
    }
    send_all(&mut bench, &["a", "b", "c"]);
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<a#1", "2<b#1"]);
    bench.lose(1, 1);
    bench.ack(2, "b");
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#2"]);
    bench.lose(2, 2);
    bench.rest();
    bench.open(3);
    subscribe(&mut bench, 3, 0, Lasting::SharedDurable("n".into()), 10);
    bench.rest();
    assert_eq!(bench.heard(), ["3<a#3", "3<c#1"]);
}

#[test]
fn rabbitmqs_form_is_named_by_destination_and_id() {
    let mut bench = Bench::new();
    for connection in [1, 2, 9] {
        bench.open(connection);
    }
    subscribe(&mut bench, 1, 0, Lasting::ById("i".into()), 10);
    bench.rest();
    bench.lose(1, 0);
    send_all(&mut bench, &["a"]);
    subscribe(&mut bench, 2, 0, Lasting::ById("i".into()), 10);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
}

#[test]
fn one_that_is_not_durable_goes_with_its_last_consumer() {
    let mut bench = Bench::new();
    for connection in [1, 2, 9] {
        bench.open(connection);
    }
    let shared = || Lasting::Shared("n".into());
    for connection in [1, 2] {
        subscribe(&mut bench, connection, 0, shared(), 1);
    }
    send_all(&mut bench, &["a", "b", "c"]);
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<a#1", "2<b#1"]);
    unsubscribe(&mut bench, 1, 0);
    unsubscribe(&mut bench, 2, 0);
    bench.rest();
    send_all(&mut bench, &["d"]);
    subscribe(&mut bench, 1, 1, shared(), 10);
    send_all(&mut bench, &["e"]);
    assert_eq!(bench.heard(), ["1<e#1"]);
    assert_eq!((logged(&bench), bench.disk.tallies().len()), (0, 0));
}

#[test]
fn its_selector_passes_over_what_does_not_match_asleep_and_awake() {
    let mut bench = Bench::new();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    let choosy = |bench: &mut Bench, subscription, text: &str| {
        let selector = Selector::parse(text).expect("a selector").map(Arc::new);
        bench.subscribe_with(
            1,
            subscription,
            TOPIC,
            AckMode::ClientIndividual,
            10,
            |wish| {
                wish.lasting = Some(Lasting::Durable("n".into()));
                wish.selector = selector;
                wish.selector_text = Some(text.into());
            },
        );
    };
    let send = |bench: &mut Bench| {
        bench.send(9, TOPIC, draft("a").head("n:1\n"));
        bench.send(9, TOPIC, draft("b").head("n:2\n"));
        bench.rest();
    };
    choosy(&mut bench, 0, "n = 2");
    send(&mut bench);
    assert_eq!(bench.heard(), ["1<b#1"]);
    bench.ack(1, "b");
    unsubscribe(&mut bench, 1, 0);
    send(&mut bench);
    bench.restart();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    choosy(&mut bench, 1, "n = 2");
    bench.rest();
    assert_eq!(bench.heard(), ["1<b#2"]);
    bench.ack(1, "b");
    bench.rest();
    assert_eq!(logged(&bench), 0, "what it does not want does not stay");
    // Another selector makes another subscription, while it is not used.
    send(&mut bench);
    bench.heard();
    bench.ack(1, "b");
    unsubscribe(&mut bench, 1, 1);
    choosy(&mut bench, 2, "n = 1");
    bench.rest();
    assert!(bench.heard().is_empty(), "it begins anew");
    send(&mut bench);
    assert_eq!(bench.heard(), ["1<a#1"]);
}

#[test]
fn it_is_changed_only_while_nobody_uses_it() {
    let mut bench = Bench::new();
    for connection in [1, 2] {
        bench.open(connection);
    }
    subscribe(&mut bench, 1, 0, Lasting::SharedDurable("n".into()), 10);
    bench.rest();
    let mode = AckMode::Auto;
    bench.subscribe_with(2, 0, "/topic/other", mode, 10, |wish| {
        wish.lasting = Some(Lasting::SharedDurable("n".into()));
    });
    bench.turn();
    let refused = "2<refused: subscription has another topic or selector";
    assert_eq!(bench.heard(), [refused]);
}

#[test]
fn deleting_it_forgets_what_waits_and_needs_that_nobody_uses_it() {
    let mut bench = asleep();
    send_all(&mut bench, &["a"]);
    delete(&mut bench, 1, "n");
    bench.turn();
    assert!(bench.heard().is_empty(), "the receipt waits for the disk");
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt deleted"]);
    assert_eq!(logged(&bench), 0);
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    assert!(bench.heard().is_empty());
    delete(&mut bench, 1, "n");
    bench.turn();
    assert_eq!(bench.heard(), ["1<refused: durable subscription is in use"]);
}

#[test]
fn failures_are_counted_over_restarts_and_lead_to_the_dead_letter_queue() {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b"]);
    durable(&mut bench, 1, 1, "n", 1);
    bench.rest();
    let nack = Verdict::Nack {
        delay: Some(Duration::ZERO),
        requeue: Requeue::Allowed,
    };
    for _ in 0..3 {
        bench.acknowledge(1, "a", nack, None);
        bench.rest();
    }
    bench.restart();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    durable(&mut bench, 1, 0, "n", 1);
    bench.rest();
    for _ in 0..4 {
        bench.acknowledge(1, "a", nack, None);
        bench.rest();
    }
    assert_eq!(bench.view("ActiveMQ.DLQ").depth, 1);
    assert_eq!(bench.heard().last().map(String::as_str), Some("1<b#2"));
    bench.ack(1, "b");
    bench.rest();
    assert_eq!(logged(&bench), 0);
}

#[test]
fn a_transaction_settles_at_its_commit_and_gives_back_at_its_abort() {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b"]);
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    for text in ["a", "b"] {
        bench.acknowledge(1, text, Verdict::Ack, Some(1));
    }
    bench.ask(
        1,
        Request::Abort {
            transaction: TransactionHandle(1),
            receipt: None,
        },
    );
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "1<b#1", "1<a#2", "1<b#2"]);
    for text in ["a", "b"] {
        bench.acknowledge(1, text, Verdict::Ack, Some(2));
    }
    let publication = bench.publication("/queue/q", &draft("c"));
    bench.ask(
        1,
        Request::Commit {
            transaction: TransactionHandle(2),
            sends: vec![publication],
            receipt: None,
        },
    );
    bench.rest();
    assert_eq!((logged(&bench), bench.view("q").depth), (0, 1));
}

#[test]
fn a_commit_that_the_full_disk_refuses_gives_back_what_it_had_acknowledged() {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b"]);
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    bench.heard();
    bench.acknowledge(1, "a", Verdict::Ack, Some(2));
    let publication = bench.publication("/queue/q", &draft("c"));
    bench.disk.fill(Medium::Database);
    bench.ask(
        1,
        Request::Commit {
            transaction: TransactionHandle(2),
            sends: vec![publication],
            receipt: None,
        },
    );
    bench.ack(1, "b");
    bench.rest();
    assert_eq!(bench.heard(), ["1<refused: disk is full"]);
    bench.restart();
    open_as(&mut bench, 1, "c");
    durable(&mut bench, 1, 0, "n", 10);
    bench.rest();
    assert_eq!(
        bench.heard(),
        ["1<a#2"],
        "and what stood behind it does not come again"
    );
}

/// A full disk that has no room for it has refused what was acknowledged before its turn.
fn withheld() -> Bench {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b", "c"]);
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    bench.heard();
    bench.disk.fill(Medium::Database);
    send_all(&mut bench, &["d"]);
    bench.disk.tighten();
    bench.acknowledge_receipted(1, "b", "rb");
    bench.rest();
    let mut heard = bench.heard();
    // What stands behind a refusal is not written.
    assert_eq!(heard.pop(), Some("1<receipt rb".to_owned()));
    let expected = [
        "1<d#1",
        "9<refused: disk is full",
        "1<refused: disk is full",
    ];
    assert_eq!(heard, expected);
    bench.lose(1, 4);
    bench
}

fn wake(bench: &mut Bench) -> Vec<String> {
    open_as(bench, 2, "c");
    durable(bench, 2, 1, "n", 10);
    bench.rest();
    bench.heard()
}

#[test]
fn an_acknowledgement_out_of_turn_that_the_full_disk_has_no_room_for_has_no_receipt() {
    let mut bench = withheld();
    bench.restart();
    assert_eq!(wake(&mut bench), ["2<a#2", "2<b#2", "2<c#2"]);
}

#[test]
fn who_has_left_since_gets_no_receipt_for_what_the_full_disk_has_no_room_for() {
    for leave in [unsubscribe_it, disconnect_it] {
        let mut bench = asleep();
        send_all(&mut bench, &["a", "b", "c"]);
        durable(&mut bench, 1, 1, "n", 10);
        bench.rest();
        bench.heard();
        bench.disk.fill(Medium::Database);
        bench.disk.tighten();
        bench.acknowledge_receipted(1, "b", "rb");
        leave(&mut bench);
        bench.rest();
        let heard = bench.heard();
        assert_eq!(heard[0], "1<refused: disk is full", "{heard:?}");
        bench.restart();
        assert_eq!(wake(&mut bench), ["2<a#2", "2<b#2", "2<c#2"]);
    }
}

#[test]
fn the_receipt_of_a_disconnect_waits_for_what_a_durable_subscription_has_acknowledged() {
    let mut bench = asleep();
    send_all(&mut bench, &["a"]);
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    bench.heard();
    bench.ack(1, "a");
    disconnect_it(&mut bench);
    bench.turn();
    assert_eq!(bench.heard(), Vec::<String>::new());
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt rd", "1<close"]);
}

fn unsubscribe_it(bench: &mut Bench) {
    unsubscribe(bench, 1, 1);
}

fn disconnect_it(bench: &mut Bench) {
    let request = Request::Disconnect {
        given: DeliveryCounter(3),
        receipt: Some(ReceiptId(b"rd"[..].into())),
    };
    bench.ask(1, request);
}

#[test]
fn an_acknowledgement_out_of_turn_is_kept_when_the_disk_has_room() {
    let mut bench = withheld();
    // It holds in this life; d was refused and is still here.
    assert_eq!(wake(&mut bench), ["2<a#2", "2<c#2", "2<d#2"]);
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.rest();
    bench.restart();
    assert_eq!(wake(&mut bench), ["2<a#2", "2<c#2"]);
    for text in ["a", "c"] {
        bench.ack(2, text);
        bench.rest();
    }
    assert_eq!(logged(&bench), 0);
}

#[test]
fn acknowledgements_in_turn_go_on_when_the_full_disk_has_no_room_for_others() {
    let mut bench = asleep();
    send_all(&mut bench, &["a", "b", "c"]);
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    bench.heard();
    bench.disk.fill(Medium::Database);
    bench.disk.tighten();
    for text in ["a", "b", "c"] {
        bench.acknowledge_receipted(1, text, text);
        bench.rest();
    }
    assert_eq!(bench.heard(), ["1<receipt a", "1<receipt b", "1<receipt c"]);
    assert_eq!(logged(&bench), 0);
}

#[test]
fn a_send_that_the_full_disk_refuses_waits_for_nobody() {
    let mut bench = asleep();
    durable(&mut bench, 1, 1, "n", 1);
    send_all(&mut bench, &["a"]);
    bench.disk.fill(Medium::Database);
    send_all(&mut bench, &["b"]);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1", "9<refused: disk is full"]);
    bench.disk.free(Medium::Database);
    bench.hear();
    bench.open(8);
    bench.send(8, TOPIC, draft("c"));
    bench.rest();
    assert_eq!(bench.heard(), ["1<c#1"]);
}

#[test]
fn a_long_absence_is_read_page_by_page() {
    let mut bench = Bench::paging(2, 2);
    fall_asleep(&mut bench);
    let texts = ["a", "b", "c", "d", "e", "f", "g", "h"];
    send_all(&mut bench, &texts);
    durable(&mut bench, 1, 1, "n", 1);
    bench.rest();
    for text in texts {
        assert_eq!(bench.heard(), [format!("1<{text}#1")]);
        bench.ack(1, text);
        bench.rest();
    }
    assert_eq!(logged(&bench), 0);
}

#[test]
fn what_is_sent_while_a_backlog_is_read_comes_after_it() {
    let mut bench = Bench::paging(2, 2);
    fall_asleep(&mut bench);
    send_all(&mut bench, &["a", "b", "c", "d"]);
    durable(&mut bench, 1, 1, "n", 1);
    bench.turn();
    bench.commit();
    bench.send(9, TOPIC, draft("e"));
    bench.send(9, TOPIC, draft("f"));
    bench.rest();
    for text in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(bench.heard(), [format!("1<{text}#1")]);
        bench.ack(1, text);
        bench.rest();
    }
}

#[test]
fn priority_and_delivery_mode_come_back_from_the_log() {
    let mut bench = asleep();
    bench.send(9, TOPIC, draft("a").priority(7).non_persistent());
    bench.send(9, TOPIC, draft("b").priority(0));
    bench.rest();
    durable(&mut bench, 1, 1, "n", 10);
    bench.rest();
    let seen: Vec<_> = bench
        .heard
        .iter()
        .filter_map(|(_, reply)| match reply {
            Reply::Deliver(delivery) => Some((delivery.message.priority.get(), delivery.mode)),
            _ => None,
        })
        .collect();
    assert_eq!(
        seen,
        [
            (7, DeliveryMode::NonPersistent),
            (0, DeliveryMode::Persistent)
        ]
    );
}

#[test]
fn what_its_own_connection_publishes_stays_away_over_its_absence() {
    let mut bench = Bench::new();
    bench.open(9);
    open_as(&mut bench, 1, "c");
    let deaf = |bench: &mut Bench, subscription| {
        let mode = AckMode::ClientIndividual;
        bench.subscribe_with(1, subscription, TOPIC, mode, 1, |wish| {
            wish.lasting = Some(Lasting::Durable("n".into()));
            wish.locality = Locality::NoLocal;
        });
        bench.rest();
    };
    deaf(&mut bench, 0);
    for (connection, text) in [(9, "a"), (1, "b"), (9, "c")] {
        bench.send(connection, TOPIC, draft(text));
        bench.rest();
    }
    unsubscribe(&mut bench, 1, 0);
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#1"]);
    bench.restart();
    open_as(&mut bench, 1, "c");
    deaf(&mut bench, 0);
    bench.ack(1, "a");
    bench.rest();
    assert_eq!(bench.heard(), ["1<a#2", "1<c#2"]);
    bench.ack(1, "c");
    bench.rest();
    assert_eq!(logged(&bench), 0);
}

#[test]
fn many_that_do_not_read_fill_no_more_than_their_share_of_the_memory_and_lose_nothing() {
    const SUBSCRIPTIONS: u32 = 100;
    const MESSAGES: usize = 500;
    let limit = 8 << 20;
    let mut bench = Bench::with_memory(Window::default(), Policies::default(), limit);
    bench.open(9);
    open_as(&mut bench, 1, "c");
    for number in 0..SUBSCRIPTIONS {
        durable(&mut bench, 1, number, &format!("n{number}"), 1_000);
    }
    bench.rest();
    for _ in 0..MESSAGES {
        bench.send(9, TOPIC, draft("a"));
        bench.rest();
        let used = bench.budget.used_bytes();
        assert!(used <= limit / 4 * 5, "{used}");
    }
    let mut open = Vec::new();
    let mut counts = vec![0; SUBSCRIPTIONS as usize];
    for _ in 0..10 * MESSAGES {
        for (_, reply) in std::mem::take(&mut bench.heard) {
            if let Reply::Deliver(delivery) = reply {
                counts[delivery.subscription.0 as usize] += 1;
                open.push(delivery.tag);
            }
        }
        if open.is_empty() {
            break;
        }
        for tag in open.drain(..) {
            let request = Request::Acknowledge {
                target: AckTarget::Delivery(tag),
                verdict: Verdict::Ack,
                transaction: None,
                receipt: None,
            };
            bench.ask(1, request);
        }
        bench.rest();
    }
    assert_eq!(counts, vec![MESSAGES; SUBSCRIPTIONS as usize]);
    assert_eq!(logged(&bench), 0);
}

#[test]
fn a_dead_letter_of_a_subscription_keeps_its_priority() {
    let mut bench = asleep();
    bench.send(9, TOPIC, draft("a").priority(8));
    durable(&mut bench, 1, 1, "n", 1);
    bench.rest();
    let nack = Verdict::Nack {
        delay: None,
        requeue: Requeue::Forbidden,
    };
    bench.acknowledge(1, "a", nack, None);
    bench.rest();
    let ranks: Vec<_> = bench
        .disk
        .tallies()
        .iter()
        .map(|tally| tally.rank)
        .collect();
    assert_eq!(ranks, [Priority::clamped(8).rank()]);
}

#[test]
fn disconnect_is_not_answered_before_what_was_acknowledged_is_durable() {
    let mut bench = asleep();
    send_all(&mut bench, &["a"]);
    durable(&mut bench, 1, 1, "n", 1);
    bench.rest();
    bench.heard();
    bench.ack(1, "a");
    let disconnect = Request::Disconnect {
        given: DeliveryCounter(u64::MAX),
        receipt: Some(ReceiptId(b"bye"[..].into())),
    };
    bench.ask(1, disconnect);
    bench.turn();
    assert!(bench.heard().is_empty(), "its ACK is not on the disk");
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt bye", "1<close"]);
}

#[test]
fn what_a_subscription_has_not_read_is_never_said_to_be_less() {
    let mut bench = Bench::paging(4, 2);
    bench.open(9);
    open_as(&mut bench, 1, "c");
    let text = "n = 2";
    let selector = Selector::parse(text).expect("a selector").map(Arc::new);
    bench.subscribe_with(1, 0, TOPIC, AckMode::ClientIndividual, 1, |wish| {
        wish.lasting = Some(Lasting::Durable("n".into()));
        wish.selector = selector;
        wish.selector_text = Some(text.into());
    });
    for text in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        bench.send(9, TOPIC, draft(text).head("n:2\n"));
        bench.send(9, TOPIC, draft("unwanted").head("n:1\n"));
    }
    bench.rest();
    for (at, text) in ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .enumerate()
    {
        bench.ack(1, text);
        bench.rest();
        let views = bench.dispatcher.list_subscriptions(&ListQuery::default());
        let pending = views.items[0].pending;
        assert!(pending >= 9 - at as u64, "{pending} behind {text}");
    }
}

#[test]
fn what_a_subscription_passes_over_is_counted_out_once_however_often_it_is_read() {
    let mut bench = Bench::paging(8, 8);
    bench.open(9);
    open_as(&mut bench, 1, "c");
    let look = |bench: &mut Bench, subscription| {
        let text = "n = 2";
        let selector = Selector::parse(text).expect("a selector").map(Arc::new);
        bench.subscribe_with(
            1,
            subscription,
            TOPIC,
            AckMode::ClientIndividual,
            1,
            |wish| {
                wish.lasting = Some(Lasting::Durable("n".into()));
                wish.selector = selector;
                wish.selector_text = Some(text.into());
            },
        );
        bench.rest();
        unsubscribe(bench, 1, subscription);
        bench.rest();
    };
    look(&mut bench, 0);
    for number in 0..40 {
        let head = if number % 4 == 0 { "n:2\n" } else { "n:1\n" };
        bench.send(9, TOPIC, draft("a").head(head));
    }
    bench.rest();
    for subscription in 1..6 {
        look(&mut bench, subscription);
        let views = bench.dispatcher.list_subscriptions(&ListQuery::default());
        let pending = views.items[0].pending;
        assert!(pending >= 10, "{pending}");
    }
}

#[test]
fn each_counts_against_the_limit_of_destinations_until_it_is_deleted() {
    let mut bench = asleep();
    bench.dispatcher.settings.limits.destinations = 2;
    open_as(&mut bench, 2, "d");
    durable(&mut bench, 2, 0, "n", 10);
    bench.rest();
    assert_eq!(bench.heard(), ["2<refused: too many destinations"]);
    delete(&mut bench, 1, "n");
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt deleted"]);
    open_as(&mut bench, 3, "e");
    durable(&mut bench, 3, 0, "n", 10);
    send_all(&mut bench, &["a"]);
    assert_eq!(bench.heard(), ["3<a#1"]);
}

#[test]
fn nobody_is_durably_subscribed_to_a_temporary_topic_which_goes_with_its_connection() {
    const OWN: &str = "/remote-temp-topic/x";
    for lasting in [
        Lasting::SharedDurable("n".into()),
        Lasting::ById("n".into()),
        Lasting::Shared("n".into()),
    ] {
        let mut bench = Bench::new();
        for connection in [1, 2] {
            bench.open(connection);
        }
        let own = DestinationName::temporary(DestinationKind::Topic, "x");
        bench.ask(1, Request::MakeTemporary(Arc::new(own)));
        bench.subscribe_with(1, 0, OWN, AckMode::Auto, 10, |wish| {
            wish.lasting = Some(lasting);
        });
        bench.rest();
        assert_eq!(
            bench.heard(),
            ["1<refused: a durable or shared subscription is of topics"]
        );
        bench.lose(1, 0);
        bench.rest();
        subscribe(&mut bench, 2, 0, Lasting::SharedDurable("n".into()), 10);
        bench.rest();
        assert!(bench.heard().is_empty(), "the name is free");
    }
}
