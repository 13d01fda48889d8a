//! Every operation, alone and together with others in one batch.

use stompbox_store::{Append, Move, Operation, PageRow};

use crate::contract::reopened;
use crate::harness::Harness;
use crate::message::*;

on_every_engine!(
    append_brings_an_entry_with_all_it_was_given,
    settle_takes_the_entry_and_nothing_else,
    settle_of_an_absent_entry_does_nothing,
    count_is_stored_with_the_entry,
    move_keeps_the_message_and_starts_counters_anew,
    move_of_an_absent_entry_does_nothing,
    one_batch_may_append_count_move_and_settle_an_entry,
    moved_and_counted_in_the_batch_that_appended_it,
    message_goes_with_its_last_entry,
    message_appended_and_settled_elsewhere_in_one_batch_stays,
    cancelled_copy_leaves_the_other_copy_its_body,
    message_that_loses_its_entry_and_gets_another_in_one_batch_stays,
    removed_destination_takes_its_entries,
    removed_destination_leaves_shared_messages,
    destination_ids_are_not_given_twice,
    settles_of_many_neighbours_leave_the_others,
    ranks_and_destinations_are_counted_apart,
    bounds_follow_what_is_settled_at_either_end,
);

fn only_row(session: &mut crate::session::Session, destination: i64, rank: u8) -> PageRow {
    let page = session.read(page(destination, rank));
    let [row] = page.rows.try_into().expect("one row");
    row
}

fn append_brings_an_entry_with_all_it_was_given(harness: &mut dyn Harness) {
    let mut session = harness.open();
    let append = Append {
        expires_ms: 77,
        annotations: b"reason:none\n".as_slice().into(),
        ..append(key(1, 4, 9), 123)
    };
    session.run([queue(1, "a"), Operation::Append(append)]);
    let mut session = reopened(session, harness);
    let row = only_row(&mut session, 1, 4);
    assert_eq!((row.sequence.0, row.number.0), (9, 123));
    assert_eq!((row.timestamp_ms, row.expires_ms), (5_123, 77));
    assert_eq!((row.deliveries, row.failures), (0, 0));
    assert_eq!(*row.annotations, *b"reason:none\n");
    assert_eq!(row.data[..row.head_bytes], *b"number:123\n");
    assert_eq!(row.data[row.head_bytes..], *b"body of 123");
}

fn settle_takes_the_entry_and_nothing_else(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        appended(key(1, 4, 7)),
        appended(key(1, 4, 9)),
    ]);
    session.run([settle(key(1, 4, 7))]);
    assert_eq!(session.sequences(1, 4), [9]);
    assert_eq!(reopened(session, harness).sequences(1, 4), [9]);
}

fn settle_of_an_absent_entry_does_nothing(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        appended(key(1, 4, 7)),
        settle(key(1, 4, 8)),
        settle(key(2, 4, 7)),
    ]);
    session.run([settle(key(1, 4, 9)), count(key(1, 4, 9), 1, 1)]);
    assert_eq!(reopened(session, harness).sequences(1, 4), [7]);
}

fn count_is_stored_with_the_entry(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a"), appended(key(1, 4, 7))]);
    session.run([count(key(1, 4, 7), 2, 1), count(key(1, 4, 7), 3, 2)]);
    let row = only_row(&mut reopened(session, harness), 1, 4);
    assert_eq!((row.deliveries, row.failures), (3, 2));
}

fn move_keeps_the_message_and_starts_counters_anew(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        queue(2, "b"),
        appended(key(1, 4, 7)),
        count(key(1, 4, 7), 3, 3),
    ]);
    session.run([Operation::Move(Move {
        from: key(1, 4, 7),
        to: key(2, 0, 8),
        expires_ms: 99,
        annotations: b"from:a\n".as_slice().into(),
    })]);
    let mut session = reopened(session, harness);
    assert_eq!(session.sequences(1, 4), []);
    let row = only_row(&mut session, 2, 0);
    assert_eq!(
        (row.number.0, row.timestamp_ms, row.expires_ms),
        (7, 5_007, 99)
    );
    assert_eq!((row.deliveries, row.failures), (0, 0));
    assert_eq!(*row.annotations, *b"from:a\n");
    assert_eq!(row.data[row.head_bytes..], *b"body of 7");
}

fn move_of_an_absent_entry_does_nothing(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a"), relocate(key(1, 4, 7), key(1, 4, 8))]);
    assert_eq!(reopened(session, harness).sequences(1, 4), []);
}

fn one_batch_may_append_count_move_and_settle_an_entry(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        appended(key(1, 4, 1)),
        count(key(1, 4, 1), 1, 0),
        relocate(key(1, 4, 1), key(1, 4, 2)),
        relocate(key(1, 4, 2), key(1, 5, 3)),
        settle(key(1, 5, 3)),
        appended(key(1, 4, 4)),
    ]);
    let mut session = reopened(session, harness);
    assert_eq!(
        (session.sequences(1, 4), session.sequences(1, 5)),
        (vec![4], vec![])
    );
}

fn moved_and_counted_in_the_batch_that_appended_it(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        appended(key(1, 4, 1)),
        count(key(1, 4, 1), 8, 8),
        relocate(key(1, 4, 1), key(2, 4, 2)),
        queue(2, "b"),
        count(key(2, 4, 2), 2, 1),
    ]);
    let row = only_row(&mut reopened(session, harness), 2, 4);
    assert_eq!((row.number.0, row.deliveries, row.failures), (1, 2, 1));
}

fn message_goes_with_its_last_entry(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    for (destination, sequence) in [(1, 1), (2, 2), (1, 3)] {
        session.run([Operation::Append(append(key(destination, 4, sequence), 50))]);
    }
    session.run([settle(key(1, 4, 1))]);
    session.run([settle(key(1, 4, 3)), relocate(key(2, 4, 2), key(1, 4, 4))]);
    let mut session = reopened(session, harness);
    assert_eq!(only_row(&mut session, 1, 4).number.0, 50);
    session.run([settle(key(1, 4, 4))]);
    // The number is free again: a body that had stayed would be taken for this message's.
    let other = append_sized(key(1, 4, 5), 50, b"another".to_vec());
    session.run([Operation::Append(other)]);
    let row = only_row(&mut session, 1, 4);
    assert_eq!(row.data[row.head_bytes..], *b"another");
}

fn message_appended_and_settled_elsewhere_in_one_batch_stays(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        queue(2, "b"),
        Operation::Append(append(key(1, 4, 1), 50)),
    ]);
    session.run([
        Operation::Append(append(key(2, 4, 2), 50)),
        settle(key(1, 4, 1)),
    ]);
    assert_eq!(only_row(&mut reopened(session, harness), 2, 4).number.0, 50);
}

fn cancelled_copy_leaves_the_other_copy_its_body(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        queue(2, "b"),
        Operation::Append(append(key(1, 4, 1), 50)),
        Operation::Append(append(key(2, 4, 2), 50)),
        settle(key(1, 4, 1)),
    ]);
    assert_eq!(only_row(&mut session, 2, 4).number.0, 50);
    session.run([settle(key(2, 4, 2))]);
    assert_eq!(reopened(session, harness).sequences(2, 4), []);
}

fn message_that_loses_its_entry_and_gets_another_in_one_batch_stays(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        queue(2, "b"),
        Operation::Append(append(key(1, 4, 1), 50)),
    ]);
    session.run([
        settle(key(1, 4, 1)),
        // Settles do not pass a creation.
        queue(3, "c"),
        Operation::Append(append(key(2, 4, 2), 50)),
    ]);
    assert_eq!(only_row(&mut session, 2, 4).number.0, 50);
    session.run([settle(key(2, 4, 2))]);
    assert_eq!(reopened(session, harness).sequences(2, 4), []);
}

fn removed_destination_takes_its_entries(harness: &mut dyn Harness) {
    let mut session = harness.open();
    let entries = (1..=20).map(|n| appended(key(1, (n % 3) as u8, n)));
    session.run([queue(1, "a"), queue(2, "b")].into_iter().chain(entries));
    session.run([
        appended(key(1, 0, 30)),
        Operation::Remove(key(1, 0, 0).destination),
    ]);
    let mut session = reopened(session, harness);
    assert_eq!(session.sequences(1, 0), []);
    assert_eq!(session.recovered.destinations.len(), 1);
    assert_eq!(session.recovered.tallies, []);
}

fn removed_destination_leaves_shared_messages(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([
        queue(1, "a"),
        queue(2, "b"),
        Operation::Append(append(key(1, 4, 1), 50)),
        Operation::Append(append(key(2, 4, 2), 50)),
    ]);
    session.run([Operation::Remove(key(1, 0, 0).destination)]);
    assert_eq!(only_row(&mut reopened(session, harness), 2, 4).number.0, 50);
}

fn destination_ids_are_not_given_twice(harness: &mut dyn Harness) {
    let mut session = harness.open();
    assert_eq!(session.recovered.next_destination.0, 1);
    session.run([queue(1, "a"), queue(5, "b")]);
    session.run([Operation::Remove(key(5, 0, 0).destination)]);
    let session = reopened(session, harness);
    assert_eq!(session.recovered.next_destination.0, 6);
    let names: Vec<_> = session
        .recovered
        .destinations
        .iter()
        .map(|record| &*record.name)
        .collect();
    assert_eq!(names, ["a"]);
}

fn settles_of_many_neighbours_leave_the_others(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run(
        [queue(1, "a")]
            .into_iter()
            .chain((0..100).map(|n| appended(key(1, 4, n)))),
    );
    // Out of order, with gaps, and some twice.
    let settled = (0..100).rev().filter(|n| n % 10 != 3).chain(20..23);
    session.run(settled.map(|n| settle(key(1, 4, n))));
    let left: Vec<i64> = (0..100).filter(|n| n % 10 == 3).collect();
    assert_eq!(reopened(session, harness).sequences(1, 4), left);
}

fn ranks_and_destinations_are_counted_apart(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    session.run((1..=30).map(|n| appended(key(1 + n % 2, (n % 3) as u8, n))));
    session.run(
        (1..=30)
            .filter(|n| n % 5 == 0)
            .map(|n| settle(key(1 + n % 2, (n % 3) as u8, n))),
    );
    let session = reopened(session, harness);
    assert_eq!(session.recovered.tallies.len(), 6);
    assert_eq!(
        session
            .recovered
            .tallies
            .iter()
            .map(|tally| tally.count)
            .sum::<u64>(),
        24
    );
}

fn bounds_follow_what_is_settled_at_either_end(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run(
        [queue(1, "a")]
            .into_iter()
            .chain((10..20).map(|n| appended(key(1, 4, n * 10)))),
    );
    for (settled, first, last) in [
        (100, 110, 190),
        (190, 110, 180),
        (150, 110, 180),
        (110, 120, 180),
    ] {
        session.run([settle(key(1, 4, settled))]);
        session = reopened(session, harness);
        let tally = session.recovered.tallies[0];
        assert_eq!((tally.first.0, tally.last.0), (first, last));
    }
    session.run([
        settle(key(1, 4, 120)),
        appended(key(1, 4, 125)),
        appended(key(1, 4, 5)),
    ]);
    session = reopened(session, harness);
    assert_eq!(session.recovered.tallies[0].first.0, 5);
}
