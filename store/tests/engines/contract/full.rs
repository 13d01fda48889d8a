//! A full disk: what is refused, in which units, and what is carried out all the same.

use stompbox_store::{Batch, Medium, Operation, StoreEvent, Ticket};

use crate::harness::Harness;
use crate::message::*;
use crate::session::{Session, said};

on_every_small_disk!(
    full_disk_refuses_appends_and_moves_and_does_the_rest,
    refusal_is_told_before_the_watermark_that_passes_it,
    unit_is_refused_as_a_whole,
    unit_that_needs_no_room_is_carried_out,
    creations_and_removals_are_carried_out_in_a_refused_unit,
    append_that_is_settled_in_its_commit_is_not_refused,
    move_that_is_settled_in_its_commit_is_not_refused,
    settle_of_a_refused_unit_refuses_what_it_would_have_cancelled,
    units_that_hang_on_one_another_are_refused_together,
    what_follows_a_refused_append_does_nothing,
    store_resumes_when_there_is_room,
    store_goes_from_full_to_full,
    full_scratch_refuses_scratch_appends_alone,
    full_store_takes_no_scratch_appends_either,
    next_life_of_a_full_disk_is_full_from_its_start,
    store_on_a_full_disk_closes_cleanly,
);

/// A disk without room, on whose queue 1 stand 1 to 4 and, in the scratch file, 8.
fn full(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    session.run((1..5).map(|n| appended(key(1, 4, n))));
    session.run([scratched(key(1, 4, 8))]);
    harness.fill(Medium::Database);
    session
}

/// Commits one batch and says what of it was refused.
fn refused(session: &mut Session, batch: Batch) -> Vec<String> {
    session.commit(batch);
    session.refused().iter().map(said).collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

fn full_disk_refuses_appends_and_moves_and_does_the_rest(harness: &mut dyn Harness) {
    let mut session = full(harness);
    assert!(!session.store.statistics().is_full);
    let batch = awaited([
        appended(key(1, 4, 10)),
        settle(key(1, 4, 1)),
        count(key(1, 4, 2), 5, 2),
        relocate(key(1, 4, 3), key(2, 4, 11)),
        queue(3, "c"),
        appended(key(3, 4, 12)),
        settle_scratch(key(1, 4, 8)),
        Operation::Remove(key(2, 0, 0).destination),
    ]);
    let expected = ["append 1/4/10", "move 1/4/3 2/4/11", "append 3/4/12"];
    assert_eq!(refused(&mut session, batch), expected);
    assert!(session.store.statistics().is_full);
    let page = session.read(page(1, 4));
    let rows: Vec<_> = page
        .rows
        .iter()
        .map(|row| (row.sequence.0, row.deliveries))
        .collect();
    assert_eq!(rows, [(2, 5), (3, 0), (4, 0)]);
    harness.check_bodies();
    let session = crate::contract::reopened(session, harness);
    let names: Vec<_> = session
        .recovered
        .destinations
        .iter()
        .map(|record| &*record.name)
        .collect();
    assert_eq!(names, ["a", "c"]);
}

fn refusal_is_told_before_the_watermark_that_passes_it(harness: &mut dyn Harness) {
    let mut session = full(harness);
    for n in 10..15 {
        let ticket = session
            .store
            .submit(awaited([appended(key(1, 4, n)), settle(key(1, 4, n - 9))]));
        let StoreEvent::Refused(operations) = session.next_event() else {
            panic!("the refusal comes first")
        };
        assert_eq!(operations.len(), 1);
        assert!(matches!(session.next_event(), StoreEvent::Durable(through) if through == ticket));
    }
}

fn unit_is_refused_as_a_whole(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        settle(key(1, 4, 1)),
        settle(key(1, 4, 2)),
        count(key(1, 4, 3), 1, 0),
        appended(key(1, 4, 10)),
        settle_scratch(key(1, 4, 8)),
        scratched(key(1, 4, 12)),
        settle(key(1, 4, 4)),
    ]);
    batch.units.push(1..6);
    let expected = [
        "settle 1/4/2",
        "count 1/4/3",
        "append 1/4/10",
        "settle 1/4/8",
        "append 1/4/12",
    ];
    assert_eq!(refused(&mut session, batch), expected);
    assert_eq!(session.sequences(1, 4), [2, 3, 8]);
    assert!(
        session
            .read(page(1, 4))
            .rows
            .iter()
            .all(|row| row.deliveries == 0)
    );
}

fn unit_that_needs_no_room_is_carried_out(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        settle(key(1, 4, 1)),
        count(key(1, 4, 3), 1, 0),
        appended(key(1, 4, 10)),
        settle(key(1, 4, 2)),
    ]);
    batch.units = vec![0..2, 3..4];
    assert_eq!(refused(&mut session, batch), ["append 1/4/10"]);
    assert_eq!(session.sequences(1, 4), [3, 4, 8]);
}

fn creations_and_removals_are_carried_out_in_a_refused_unit(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        queue(3, "c"),
        appended(key(3, 4, 10)),
        Operation::Remove(key(2, 0, 0).destination),
        settle(key(1, 4, 1)),
    ]);
    batch.units.push(0..4);
    assert_eq!(
        refused(&mut session, batch),
        ["append 3/4/10", "settle 1/4/1"]
    );
    let session = crate::contract::reopened(session, harness);
    let ids: Vec<_> = session
        .recovered
        .destinations
        .iter()
        .map(|record| record.id.0)
        .collect();
    assert_eq!(ids, [1, 3]);
}

fn append_that_is_settled_in_its_commit_is_not_refused(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        appended(key(1, 4, 10)),
        count(key(1, 4, 10), 1, 0),
        settle(key(1, 4, 10)),
        appended(key(1, 4, 11)),
        relocate(key(1, 4, 11), key(2, 4, 12)),
        settle(key(2, 4, 12)),
        settle(key(1, 4, 1)),
    ]);
    batch.units.push(3..7);
    assert_eq!(refused(&mut session, batch), nothing());
    assert_eq!(session.sequences(1, 4), [2, 3, 4, 8]);
    assert_eq!(session.sequences(2, 4), []);
}

fn move_that_is_settled_in_its_commit_is_not_refused(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let batch = awaited([
        relocate(key(1, 4, 1), key(2, 4, 10)),
        count(key(2, 4, 10), 1, 0),
        relocate(key(2, 4, 10), key(2, 4, 11)),
        settle(key(2, 4, 11)),
    ]);
    assert_eq!(refused(&mut session, batch), nothing());
    assert_eq!(session.sequences(1, 4), [2, 3, 4, 8]);
    assert_eq!(session.sequences(2, 4), []);
    harness.check_bodies();
}

fn settle_of_a_refused_unit_refuses_what_it_would_have_cancelled(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        appended(key(1, 4, 10)),
        settle(key(1, 4, 10)),
        appended(key(1, 4, 11)),
    ]);
    batch.units.push(1..3);
    let expected = ["append 1/4/10", "settle 1/4/10", "append 1/4/11"];
    assert_eq!(refused(&mut session, batch), expected);
    assert_eq!(session.sequences(1, 4), [1, 2, 3, 4, 8]);
}

fn units_that_hang_on_one_another_are_refused_together(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let mut batch = awaited([
        settle(key(1, 4, 1)),
        appended(key(1, 4, 10)),
        settle(key(1, 4, 10)),
        appended(key(1, 4, 11)),
        settle(key(1, 4, 11)),
        appended(key(1, 4, 12)),
        settle(key(1, 4, 2)),
        appended(key(1, 4, 13)),
        settle(key(1, 4, 13)),
    ]);
    // The last unit needs no room; each of the others is refused for the sake of the next.
    batch.units = vec![0..2, 2..4, 4..6, 6..9];
    assert_eq!(refused(&mut session, batch).len(), 6);
    assert_eq!(session.sequences(1, 4), [1, 3, 4, 8]);
}

fn what_follows_a_refused_append_does_nothing(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let refusal = refused(
        &mut session,
        awaited([
            appended(key(1, 4, 10)),
            appended(key(1, 4, 11)),
            appended(key(1, 4, 12)),
        ]),
    );
    assert_eq!(refusal.len(), 3);
    let later = [
        count(key(1, 4, 10), 3, 1),
        settle(key(1, 4, 11)),
        settle(key(1, 4, 10)),
    ];
    assert_eq!(refused(&mut session, awaited(later)), nothing());
    let moved = [
        relocate(key(1, 4, 12), key(2, 4, 13)),
        count(key(2, 4, 13), 3, 1),
    ];
    assert_eq!(
        refused(&mut session, awaited(moved)),
        ["move 1/4/12 2/4/13"]
    );
    harness.check_bodies();
    let session = crate::contract::reopened(session, harness);
    assert_eq!(session.recovered.tallies.len(), 1);
}

fn store_resumes_when_there_is_room(harness: &mut dyn Harness) {
    let mut session = full(harness);
    assert_eq!(
        refused(&mut session, awaited([appended(key(1, 4, 10))])),
        ["append 1/4/10"]
    );
    harness.free(Medium::Database);
    session.wait_resumed();
    assert!(!session.store.statistics().is_full);
    // The position of a refused entry has not been used.
    assert_eq!(
        refused(&mut session, awaited([appended(key(1, 4, 10))])),
        nothing()
    );
    assert_eq!(session.sequences(1, 4), [1, 2, 3, 4, 8, 10]);
    harness.check_bodies();
}

fn store_goes_from_full_to_full(harness: &mut dyn Harness) {
    let mut session = full(harness);
    for n in 10..13 {
        harness.fill(Medium::Database);
        // More than what the database and its log have room for inside.
        let large = append_sized(key(1, 4, n), n, vec![b'x'; 1_000_000]);
        let batch = awaited([Operation::Append(large), settle(key(1, 4, n - 9))]);
        assert_eq!(refused(&mut session, batch), [format!("append 1/4/{n}")]);
        harness.free(Medium::Database);
        session.wait_resumed();
        let batch = awaited([appended(key(1, 4, n + 10))]);
        assert_eq!(refused(&mut session, batch), nothing());
    }
    assert_eq!(session.sequences(1, 4), [4, 8, 20, 21, 22]);
    harness.check_bodies();
}

fn full_scratch_refuses_scratch_appends_alone(harness: &mut dyn Harness) {
    let mut session = full(harness);
    harness.free(Medium::Database);
    harness.fill(Medium::Scratch);
    // More than what the file has already.
    let large = |n| scratch(append_sized(key(1, 4, n), n, vec![b'x'; 200_000]));
    let mut batch = awaited([
        large(10),
        appended(key(1, 4, 11)),
        settle_scratch(key(1, 4, 8)),
        large(12),
        appended(key(1, 4, 13)),
        settle(key(1, 4, 1)),
        large(14),
        settle_scratch(key(1, 4, 14)),
    ]);
    batch.units.push(3..6);
    let expected = [
        "append 1/4/10",
        "append 1/4/12",
        "append 1/4/13",
        "settle 1/4/1",
    ];
    assert_eq!(refused(&mut session, batch), expected);
    assert!(!session.store.statistics().is_full);
    assert_eq!(session.sequences(1, 4), [1, 2, 3, 4, 11]);
    harness.free(Medium::Scratch);
    assert_eq!(refused(&mut session, awaited([large(20)])), nothing());
    assert_eq!(session.sequences(1, 4), [1, 2, 3, 4, 11, 20]);
}

fn full_store_takes_no_scratch_appends_either(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let batch = awaited([appended(key(1, 4, 10)), scratched(key(1, 4, 12))]);
    let expected = ["append 1/4/10", "append 1/4/12"];
    assert_eq!(refused(&mut session, batch), expected);
    let batch = awaited([scratched(key(1, 4, 14)), settle_scratch(key(1, 4, 8))]);
    assert_eq!(refused(&mut session, batch), ["append 1/4/14"]);
    assert_eq!(session.sequences(1, 4), [1, 2, 3, 4]);
    harness.free(Medium::Database);
    session.wait_resumed();
    assert_eq!(
        refused(&mut session, awaited([scratched(key(1, 4, 14))])),
        nothing()
    );
    assert_eq!(session.sequences(1, 4), [1, 2, 3, 4, 14]);
}

fn next_life_of_a_full_disk_is_full_from_its_start(harness: &mut dyn Harness) {
    let mut session = full(harness);
    assert_eq!(
        refused(&mut session, awaited([appended(key(1, 4, 10))])),
        ["append 1/4/10"]
    );
    // What the log gives back at the end is all there is: too little for a reserve.
    harness.fill(Medium::Database);
    session.crash();
    let mut session = harness.open();
    assert_eq!(session.recovered.epoch.0, 2);
    assert!(session.store.statistics().is_full);
    let batch = awaited([appended(key(1, 4, 11)), settle(key(1, 4, 1))]);
    assert_eq!(refused(&mut session, batch), ["append 1/4/11"]);
    harness.free(Medium::Database);
    session.wait_resumed();
    session.run([appended(key(1, 4, 12))]);
    assert_eq!(session.sequences(1, 4), [2, 3, 4, 12]);
}

fn store_on_a_full_disk_closes_cleanly(harness: &mut dyn Harness) {
    let mut session = full(harness);
    let last = session.store.submit(patient([appended(key(1, 4, 10))]));
    assert_eq!(last, Ticket(4));
    session
        .close(patient([settle(key(1, 4, 2)), count(key(1, 4, 3), 2, 1)]))
        .expect("a clean stop");
    let mut session = harness.open();
    assert_eq!(session.recovered.uncertain_through.0, 0);
    assert_eq!(session.sequences(1, 4), [1, 3, 4]);
}
