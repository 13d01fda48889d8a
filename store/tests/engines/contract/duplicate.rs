//! Ids by which repeated messages are known: how long a destination keeps them, and with what.

use stompbox_store::{DUPLICATE_WINDOW, DuplicateRequest, Operation, PageId};

use crate::contract::reopened;
use crate::harness::Harness;
use crate::message::*;
use crate::session::Session;

on_every_engine!(
    ids_come_back_the_newest_first,
    id_outlives_its_message,
    id_is_kept_although_its_message_was_never_written,
    destinations_do_not_know_the_ids_of_others,
    oldest_ids_leave_the_window,
    removed_destination_takes_its_ids_along,
    id_that_comes_twice_is_kept_twice,
);

pub(super) fn queues(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    session
}

pub(super) fn numbers(session: &mut Session, destination: i64) -> Vec<i64> {
    let found = session.duplicates(duplicate_request(destination));
    let rows = found.rows.iter();
    rows.inspect(|row| assert_eq!(*row.id, *format!("id {}", row.number.0).into_bytes()))
        .map(|row| row.number.0)
        .collect()
}

fn ids_come_back_the_newest_first(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    session.run([remember(1, 5), remember(1, 3)]);
    session.run([remember(1, 9)]);
    assert_eq!(numbers(&mut session, 1), [9, 3, 5]);
    let mut session = reopened(session, harness);
    session.run([remember(1, 4)]);
    let found = session.duplicates(DuplicateRequest {
        id: PageId(7),
        rows_max: 3,
        ..duplicate_request(1)
    });
    let rows: Vec<_> = found.rows.iter().map(|row| row.number.0).collect();
    assert_eq!((found.id, rows), (PageId(7), vec![4, 9, 3]));
}

fn id_outlives_its_message(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    session.run([appended(key(1, 4, 10)), remember(1, 10)]);
    session.run([settle(key(1, 4, 10))]);
    let mut session = reopened(session, harness);
    assert_eq!(session.sequences(1, 4), [0_i64; 0]);
    assert_eq!(numbers(&mut session, 1), [10]);
}

fn id_is_kept_although_its_message_was_never_written(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    let mut batch = awaited([
        appended(key(1, 4, 10)),
        remember(1, 10),
        settle(key(1, 4, 10)),
    ]);
    batch.units.push(0..2);
    session.commit(batch);
    harness.check_bodies();
    session.crash();
    let mut session = harness.open();
    assert_eq!(numbers(&mut session, 1), [10]);
}

fn destinations_do_not_know_the_ids_of_others(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    session.run([remember(1, 5), remember(2, 6), remember(1, 7)]);
    assert_eq!(numbers(&mut session, 1), [7, 5]);
    assert_eq!(numbers(&mut session, 2), [6]);
    assert_eq!(numbers(&mut session, 3), [0_i64; 0]);
}

fn oldest_ids_leave_the_window(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    let window = DUPLICATE_WINDOW as i64;
    session.run((0..window).map(|n| remember(1, n)).chain([remember(2, 5)]));
    assert_eq!(numbers(&mut session, 1).len(), DUPLICATE_WINDOW);
    session.run((window..window + 3).map(|n| remember(1, n)));
    let mut session = reopened(session, harness);
    session.run([remember(1, window + 3)]);
    let known = numbers(&mut session, 1);
    let expected: Vec<_> = (4..window + 4).rev().collect();
    assert_eq!(known, expected);
    // More than all of them at once.
    session.run((0..window + 5).map(|n| remember(1, n)));
    let expected: Vec<_> = (5..window + 5).rev().collect();
    assert_eq!(numbers(&mut session, 1), expected);
    assert_eq!(numbers(&mut session, 2), [5]);
}

fn removed_destination_takes_its_ids_along(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    session.run([remember(1, 5), remember(2, 6)]);
    session.run([
        remember(1, 7),
        Operation::Remove(key(1, 0, 0).destination),
        queue(3, "a"),
        remember(3, 8),
    ]);
    let mut session = reopened(session, harness);
    assert_eq!(numbers(&mut session, 1), [0_i64; 0]);
    assert_eq!(numbers(&mut session, 2), [6]);
    assert_eq!(numbers(&mut session, 3), [8]);
}

fn id_that_comes_twice_is_kept_twice(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    session.run([remember(1, 5), remember(1, 5)]);
    assert_eq!(numbers(&mut session, 1), [5, 5]);
}
