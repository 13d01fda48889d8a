//! A full disk and what is scheduled.

use stompbox_store::{Batch, Medium, Operation};

use crate::contract::reopened;
use crate::harness::Harness;
use crate::message::*;
use crate::session::{Session, said};

on_every_small_disk!(
    full_disk_refuses_schedules_and_does_the_rest,
    firing_that_is_refused_leaves_the_message_scheduled,
    message_that_is_unscheduled_in_its_commit_is_not_refused,
    refused_unit_takes_the_end_of_a_schedule_along,
);

/// A disk without room; 1 to 3 are scheduled.
fn full(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    session.run((1..4).map(|id| scheduled(id, id * 100, 1)));
    harness.fill(Medium::Database);
    session
}

fn refused(session: &mut Session, batch: Batch) -> Vec<String> {
    session.commit(batch);
    session.refused().iter().map(said).collect()
}

fn due(session: &mut Session) -> Vec<(i64, i64)> {
    let due = session.due(due_request(i64::MAX));
    due.rows
        .iter()
        .map(|row| (row.key.due_ms, row.key.id.0))
        .collect()
}

fn full_disk_refuses_schedules_and_does_the_rest(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let batch = awaited([
        scheduled(5, 50, 1),
        unschedule(1),
        reschedule(2, 250, 1),
        reschedule(5, 60, 1),
    ]);
    assert_eq!(refused(&mut session, batch), ["schedule 5"]);
    assert!(session.store.statistics().is_full);
    assert_eq!(due(&mut session), [(250, 2), (300, 3)]);
    harness.check_bodies();
    harness.free(Medium::Database);
    session.wait_resumed();
    assert_eq!(
        refused(&mut session, awaited([scheduled(5, 50, 1)])),
        [""; 0]
    );
    let mut session = reopened(session, harness);
    assert_eq!(due(&mut session), [(50, 5), (250, 2), (300, 3)]);
}

fn firing_that_is_refused_leaves_the_message_scheduled(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        Operation::Append(append(key(1, 4, 10), 1)),
        unschedule(1),
        reschedule(2, 400, 1),
        Operation::Append(append(key(1, 4, 11), 11)),
    ]);
    batch.units = vec![0..2, 2..4];
    let expected = [
        "append 1/4/10",
        "unschedule 1",
        "reschedule 2",
        "append 1/4/11",
    ];
    assert_eq!(refused(&mut session, batch), expected);
    assert_eq!(due(&mut session), [(100, 1), (200, 2), (300, 3)]);
    harness.check_bodies();
}

fn message_that_is_unscheduled_in_its_commit_is_not_refused(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        scheduled(5, 50, 1),
        reschedule(5, 60, 1),
        unschedule(5),
        unschedule(1),
    ]);
    batch.units.push(2..4);
    assert_eq!(refused(&mut session, batch), [""; 0]);
    assert_eq!(due(&mut session), [(200, 2), (300, 3)]);
}

fn refused_unit_takes_the_end_of_a_schedule_along(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        scheduled(5, 50, 1),
        unschedule(5),
        Operation::Append(append(key(1, 4, 10), 5)),
        scheduled(6, 60, 1),
        unschedule(6),
    ]);
    batch.units.push(1..3);
    let expected = ["schedule 5", "unschedule 5", "append 1/4/10"];
    assert_eq!(refused(&mut session, batch), expected);
    assert_eq!(due(&mut session), [(100, 1), (200, 2), (300, 3)]);
    harness.check_bodies();
}
