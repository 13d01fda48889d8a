//! Tickets, watermarks and the backlog.

use stompbox_store::{Backlog, Operation, StoreEvent, Ticket};

use crate::harness::Harness;
use crate::message::*;

on_every_engine!(
    tickets_are_dense_from_one,
    watermarks_ascend_and_reach_every_ticket,
    empty_batch_completes_in_its_turn,
    batch_that_cancels_itself_completes_in_its_turn,
    patient_settles_become_durable_by_themselves,
    backlog_is_empty_once_all_is_durable,
    entry_that_exists_already_poisons_the_store,
);

fn tickets_are_dense_from_one(harness: &mut dyn Harness) {
    let mut session = harness.open();
    for expected in 1..=5 {
        assert_eq!(session.store.submit(awaited([])), Ticket(expected));
    }
    session.close(awaited([])).expect("a clean stop");
    assert_eq!(harness.open().store.submit(awaited([])), Ticket(1));
}

fn watermarks_ascend_and_reach_every_ticket(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    let mut last = Ticket(0);
    for sequence in 0..500 {
        last = session
            .store
            .submit(patient([appended(key(1, 4, sequence))]));
    }
    session.wait(last);
    assert!(session.watermarks.is_sorted_by(|a, b| a < b));
    assert_eq!(session.watermarks.last(), Some(&last));
    assert_eq!(session.sequences(1, 4).len(), 500);
}

fn empty_batch_completes_in_its_turn(harness: &mut dyn Harness) {
    let mut session = harness.open();
    let first = session.store.submit(awaited([queue(1, "a")]));
    let empty = session.store.submit(patient([]));
    session.wait(empty);
    assert!(session.watermarks.iter().all(|ticket| *ticket >= first));
}

fn batch_that_cancels_itself_completes_in_its_turn(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    let ticket = session.run([appended(key(1, 4, 1)), settle(key(1, 4, 1))]);
    assert_eq!(session.watermarks.last(), Some(&ticket));
    assert_eq!(session.sequences(1, 4), []);
}

fn patient_settles_become_durable_by_themselves(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        appended(key(1, 4, 1)),
        appended(key(1, 4, 2)),
    ]);
    session.commit(patient([settle(key(1, 4, 1)), count(key(1, 4, 2), 1, 0)]));
    assert_eq!(session.sequences(1, 4), [2]);
}

fn backlog_is_empty_once_all_is_durable(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    session.run((0..100).map(|n| appended(key(1, 4, n))));
    assert_eq!(session.store.backlog(), Backlog::default());
}

fn entry_that_exists_already_poisons_the_store(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a"), appended(key(1, 4, 1))]);
    let twice = [
        appended(key(1, 4, 2)),
        Operation::Append(append(key(1, 4, 1), 9)),
    ];
    session.store.submit(awaited(twice));
    assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
    session.store.submit(awaited([appended(key(1, 4, 3))]));
    session.store.read_page(page(1, 4));
    session
        .close(awaited([]))
        .expect_err("a poisoned store does not stop cleanly");
    let mut session = harness.open();
    assert_eq!(session.recovered.uncertain_through.0, 1);
    assert_eq!(session.sequences(1, 4), [1]);
}
