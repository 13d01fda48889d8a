//! A full disk and what concerns logs: what grows is refused, what makes room is not.

use stompbox_store::{Batch, Medium, Operation};

use crate::contract::{reopened, wait_for_logs};
use crate::harness::Harness;
use crate::message::*;
use crate::session::{Session, said};

on_every_small_disk!(
    full_disk_refuses_messages_of_logs_and_does_the_rest,
    dead_letter_that_is_refused_leaves_the_message_to_its_subscription,
    subscriptions_come_and_go_in_a_refused_unit,
    full_disk_without_a_reserve_refuses_acknowledgements_out_of_order_and_lives_on,
    unit_of_a_queue_and_a_log_is_refused_as_a_whole,
    message_of_a_log_is_refused_although_it_is_trimmed_at_once,
    trims_go_on_on_a_full_disk_and_make_room,
);

/// A disk without room; subscriptions 1 and 2 have 10 to 13 in the log of topic 1.
fn full(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    session.run([
        topic(1, "a"),
        queue(2, "b"),
        subscribe(1, 1, 0),
        subscribe(2, 1, 0),
    ]);
    session.run((10..14).map(|n| logged(1, n)));
    harness.fill(Medium::Database);
    session
}

fn refused(session: &mut Session, batch: Batch) -> Vec<String> {
    session.commit(batch);
    session.refused().iter().map(said).collect()
}

fn full_disk_refuses_messages_of_logs_and_does_the_rest(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let batch = awaited([
        logged(1, 20),
        pass(1, 12),
        log_count(1, 11, 3, 1),
        floor(1, 10),
        floor(2, 12),
        logged(1, 21),
        trim(1, 10),
    ]);
    assert_eq!(refused(&mut session, batch), ["log 1/20", "log 1/21"]);
    assert!(session.store.statistics().is_full);
    assert_eq!(session.unacknowledged(1, 1), [11, 13]);
    assert_eq!(session.unacknowledged(1, 2), [13]);
    assert_eq!(
        refused(&mut session, awaited([logged(1, 22)])),
        ["log 1/22"]
    );
    wait_for_logs(harness, &[(1, &[11, 12, 13])]);
    harness.free(Medium::Database);
    session.wait_resumed();
    assert_eq!(refused(&mut session, awaited([logged(1, 20)])), [""; 0]);
    let mut session = reopened(session, harness);
    assert_eq!(session.unacknowledged(1, 1), [11, 13, 20]);
    assert_eq!(session.read_log(log_page(1, 1)).rows[0].deliveries, 3);
}

fn full_disk_without_a_reserve_refuses_acknowledgements_out_of_order_and_lives_on(
    harness: &mut dyn Harness,
) {
    let mut session = full(harness);
    assert_eq!(
        refused(&mut session, awaited([logged(1, 20)])),
        ["log 1/20"]
    );
    harness.tighten();
    let mut first = 1_000;
    let said = loop {
        let said = refused(
            &mut session,
            awaited((first..first + 400).map(|n| pass(1, n))),
        );
        if !said.is_empty() {
            break said;
        }
        first += 400;
        assert!(first < 1_000_000, "never refused");
    };
    assert_eq!(said.len(), 400);
    assert_eq!(said[0], format!("pass 1/{first}"));
    let mut batch = awaited([
        log_count(1, first, 2, 1),
        floor(1, 11),
        settle(key(2, 4, 77)),
        pass(2, first),
        floor(2, 10),
    ]);
    batch.units.push(3..5);
    let expected = [
        format!("count 1/{first}"),
        format!("pass 2/{first}"),
        "floor 2/10".to_owned(),
    ];
    assert_eq!(refused(&mut session, batch), expected);
    assert_eq!(session.unacknowledged(1, 1), [12, 13]);
    assert_eq!(session.unacknowledged(1, 2), [10, 11, 12, 13]);
    harness.free(Medium::Database);
    session.wait_resumed();
    assert_eq!(refused(&mut session, awaited([pass(1, 13)])), [""; 0]);
    let mut session = reopened(session, harness);
    assert_eq!(session.unacknowledged(1, 1), [12]);
}

fn dead_letter_that_is_refused_leaves_the_message_to_its_subscription(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        pass(1, 11),
        Operation::Append(append(key(2, 4, 30), 12)),
        pass(1, 12),
    ]);
    batch.units.push(1..3);
    assert_eq!(refused(&mut session, batch), ["append 2/4/30", "pass 1/12"]);
    assert_eq!(session.unacknowledged(1, 1), [10, 12, 13]);
    harness.check_bodies();
}

fn subscriptions_come_and_go_in_a_refused_unit(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        subscribe(3, 1, 13),
        logged(1, 20),
        floor(1, 12),
        unsubscribe(2),
        trim(1, 12),
    ]);
    batch.units.push(0..5);
    let expected = ["log 1/20", "floor 1/12", "trim 1/12"];
    assert_eq!(refused(&mut session, batch), expected);
    assert_eq!(session.unacknowledged(1, 1), [10, 11, 12, 13]);
    let session = reopened(session, harness);
    let ids: Vec<_> = session
        .recovered
        .subscriptions
        .iter()
        .map(|record| record.id.0)
        .collect();
    assert_eq!(ids, [1, 3]);
}

fn unit_of_a_queue_and_a_log_is_refused_as_a_whole(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        Operation::Append(append(key(2, 4, 20), 20)),
        settle(key(2, 4, 20)),
        logged(1, 20),
        floor(1, 11),
    ]);
    batch.units = vec![0..1, 1..3];
    let expected = ["append 2/4/20", "settle 2/4/20", "log 1/20"];
    assert_eq!(refused(&mut session, batch), expected);
    assert_eq!(session.unacknowledged(1, 1), [12, 13]);
    harness.check_bodies();
}

fn message_of_a_log_is_refused_although_it_is_trimmed_at_once(harness: &mut dyn Harness) {
    let mut session = full(harness);
    assert_eq!(
        refused(&mut session, awaited([logged(1, 19)])),
        ["log 1/19"]
    );
    let batch = awaited([logged(1, 20), floor(1, 20), floor(2, 20), trim(1, 20)]);
    assert_eq!(refused(&mut session, batch), ["log 1/20"]);
    wait_for_logs(harness, &[]);
}

fn trims_go_on_on_a_full_disk_and_make_room(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([topic(1, "a"), subscribe(1, 1, 0)]);
    for from in (0..4_000).step_by(1_000) {
        let large = |n| Operation::Log(log_append_sized(1, n, 2_000));
        session.run((from + 1..=from + 1_000).map(large));
    }
    harness.fill(Medium::Database);
    assert_eq!(
        refused(&mut session, awaited([logged(1, 5_000)])),
        ["log 1/5000"]
    );
    session.run([floor(1, 4_000), trim(1, 4_000)]);
    wait_for_logs(harness, &[]);
    assert!(session.store.statistics().is_full);
    harness.free(Medium::Database);
    session.wait_resumed();
    session.run([logged(1, 5_000)]);
    assert_eq!(session.unacknowledged(1, 1), [5_000]);
}
