//! Scheduled messages: what comes, what is due, what fires, what outlives a store.

use stompbox_store::{
    DestinationId, DueRequest, Operation, PageId, ScheduleFilter, ScheduleId, ScheduleListRequest,
    ScheduleRecord, StoreEvent,
};

use crate::contract::reopened;
use crate::harness::Harness;
use crate::message::*;
use crate::session::Session;

on_every_engine!(
    scheduled_message_comes_with_all_it_was_given,
    due_messages_come_in_order_of_their_moment,
    answer_stops_at_its_rows_and_bytes_and_goes_on_behind_them,
    unscheduling_takes_the_message_along,
    rescheduling_changes_moment_and_repeats,
    what_concerns_a_message_that_is_not_scheduled_does_nothing,
    one_batch_may_schedule_put_off_and_unschedule,
    message_that_fires_for_the_last_time_changes_hands,
    firing_of_a_repeat_is_a_message_of_its_own,
    message_that_fires_into_a_log_changes_hands,
    message_that_fires_and_is_consumed_in_one_commit_goes,
    scheduled_copies_share_their_message,
    listing_shows_what_is_asked_for_in_order,
    listing_stops_at_its_rows_and_goes_on_behind_them,
    removed_destination_takes_what_is_scheduled_for_it,
    schedule_is_counted_by_destination,
    untrustworthy_body_leaves_the_schedule_and_the_rest_is_served,
    schedule_id_that_exists_already_poisons_the_store,
);

fn filled(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    session.run([queue(1, "a"), queue(2, "b")]);
    // 1 is the last of four; 2 and 3 fire at the same moment.
    session.run([(1, 900), (2, 500), (3, 500), (4, 100)].map(|(id, due)| scheduled(id, due, 1)));
    session
}

fn ids(session: &mut Session, until_ms: i64) -> Vec<i64> {
    let due = session.due(due_request(until_ms));
    assert!(due.exhausted);
    due.rows.iter().map(|row| row.key.id.0).collect()
}

fn scheduled_message_comes_with_all_it_was_given(harness: &mut dyn Harness) {
    let mut session = harness.open();
    let record = ScheduleRecord {
        expires_ms: 77,
        repeats_left: -1,
        text: "cron 5 * * * *".into(),
        ..schedule(9, 123, 456, 2)
    };
    session.run([queue(2, "b"), Operation::Schedule(record)]);
    let mut session = reopened(session, harness);
    let due = session.due(DueRequest {
        id: PageId(5),
        ..due_request(456)
    });
    assert_eq!((due.id, due.exhausted), (PageId(5), true));
    let [row] = &*due.rows else { panic!("one row") };
    assert_eq!((row.key.id.0, row.key.due_ms, row.number.0), (9, 456, 123));
    assert_eq!((row.destination.0, row.rank.0), (2, 4));
    assert_eq!((row.timestamp_ms, row.expires_ms), (5_123, 77));
    assert_eq!((row.repeats_left, &*row.text), (-1, "cron 5 * * * *"));
    assert_eq!(row.data[..row.head_bytes], *b"number:123\n");
    assert_eq!(row.data[row.head_bytes..], *b"body of 123");
}

fn due_messages_come_in_order_of_their_moment(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    assert_eq!(ids(&mut session, 99), [0_i64; 0]);
    assert_eq!(ids(&mut session, 100), [4]);
    assert_eq!(ids(&mut session, 500), [4, 2, 3]);
    assert_eq!(ids(&mut session, i64::MAX), [4, 2, 3, 1]);
    let mut session = reopened(session, harness);
    assert_eq!(session.recovered.next_due_ms, Some(100));
    assert_eq!(ids(&mut session, i64::MAX), [4, 2, 3, 1]);
}

fn answer_stops_at_its_rows_and_bytes_and_goes_on_behind_them(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    let row_bytes = "number:4\nbody of 4".len();
    for (rows_max, bytes_max) in [(2, usize::MAX), (4, row_bytes)] {
        let request = DueRequest {
            rows_max,
            bytes_max,
            ..due_request(i64::MAX)
        };
        let first = session.due(request);
        let found: Vec<_> = first.rows.iter().map(|row| row.key.id.0).collect();
        assert_eq!((found, first.exhausted), (vec![4, 2], false));
        let rest = session.due(DueRequest {
            after: first.rows.last().map(|row| row.key),
            ..request
        });
        let found: Vec<_> = rest.rows.iter().map(|row| row.key.id.0).collect();
        assert_eq!((found, rest.exhausted), (vec![3, 1], true));
    }
    let one = session.due(DueRequest {
        bytes_max: 0,
        ..due_request(i64::MAX)
    });
    assert_eq!((one.rows.len(), one.exhausted), (1, false));
}

fn unscheduling_takes_the_message_along(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([unschedule(2), unschedule(4)]);
    harness.check_bodies();
    let mut session = reopened(session, harness);
    assert_eq!(session.recovered.next_due_ms, Some(500));
    assert_eq!(ids(&mut session, i64::MAX), [3, 1]);
    session.run([unschedule(1), unschedule(3)]);
    let session = reopened(session, harness);
    assert_eq!(session.recovered.next_due_ms, None);
    assert!(session.recovered.scheduled.is_empty());
}

fn rescheduling_changes_moment_and_repeats(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([reschedule(4, 700, 3), reschedule(1, 50, -1)]);
    let mut session = reopened(session, harness);
    assert_eq!(session.recovered.next_due_ms, Some(50));
    let due = session.due(due_request(i64::MAX));
    let found: Vec<_> = due
        .rows
        .iter()
        .map(|row| (row.key.id.0, row.repeats_left, &*row.text))
        .collect();
    let once = "once";
    assert_eq!(
        found,
        [(1, -1, once), (2, 0, once), (3, 0, once), (4, 3, once)]
    );
}

fn what_concerns_a_message_that_is_not_scheduled_does_nothing(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([unschedule(7), reschedule(8, 1, 0)]);
    assert_eq!(ids(&mut session, i64::MAX), [4, 2, 3, 1]);
}

fn one_batch_may_schedule_put_off_and_unschedule(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([
        scheduled(5, 10, 1),
        reschedule(5, 800, 7),
        scheduled(6, 20, 1),
        reschedule(6, 30, 0),
        unschedule(6),
        reschedule(2, 850, 0),
        unschedule(3),
        reschedule(3, 860, 0),
    ]);
    harness.check_bodies();
    let mut session = reopened(session, harness);
    assert_eq!(ids(&mut session, i64::MAX), [4, 5, 2, 1]);
    let due = session.due(due_request(i64::MAX));
    assert_eq!(due.rows[1].repeats_left, 7);
}

fn message_that_fires_for_the_last_time_changes_hands(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    for (id, sequence) in [(4, 20), (2, 21)] {
        let append = Operation::Append(append(key(1, 4, sequence), id));
        let mut batch = match id {
            4 => awaited([append, unschedule(id)]),
            _ => awaited([unschedule(id), append]),
        };
        batch.units.push(0..2);
        session.commit(batch);
        harness.check_bodies();
    }
    let mut session = reopened(session, harness);
    assert_eq!(session.sequences(1, 4), [20, 21]);
    assert_eq!(ids(&mut session, i64::MAX), [3, 1]);
    let page = session.read(page(1, 4));
    assert_eq!(*page.rows[0].data, *b"number:4\nbody of 4");
    session.run([settle(key(1, 4, 20)), settle(key(1, 4, 21))]);
    harness.check_bodies();
}

fn firing_of_a_repeat_is_a_message_of_its_own(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    for n in 0..3 {
        session.run([
            reschedule(4, 200 + n, 3 - n),
            Operation::Append(append(key(1, 4, 30 + n), 30 + n)),
        ]);
    }
    harness.check_bodies();
    session.run([settle(key(1, 4, 31))]);
    let mut session = reopened(session, harness);
    assert_eq!(session.sequences(1, 4), [30, 32]);
    assert_eq!(ids(&mut session, 300), [4]);
}

fn scheduled_copies_share_their_message(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([
        Operation::Schedule(schedule(10, 50, 150, 1)),
        Operation::Schedule(schedule(11, 50, 150, 2)),
        Operation::Append(append(key(2, 4, 40), 50)),
    ]);
    harness.check_bodies();
    session.run([settle(key(2, 4, 40)), unschedule(10)]);
    harness.check_bodies();
    let mut session = reopened(session, harness);
    assert_eq!(ids(&mut session, i64::MAX), [4, 11, 2, 3, 1]);
    session.run([unschedule(11)]);
    harness.check_bodies();
}

fn removed_destination_takes_what_is_scheduled_for_it(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([
        scheduled(5, 10, 2),
        Operation::Schedule(schedule(6, 4, 20, 2)),
        Operation::Append(append(key(2, 4, 41), 41)),
        Operation::Remove(key(1, 0, 0).destination),
    ]);
    harness.check_bodies();
    let mut session = reopened(session, harness);
    assert_eq!(ids(&mut session, i64::MAX), [5, 6]);
    assert_eq!(session.sequences(2, 4), [41]);
}

fn schedule_is_counted_by_destination(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([scheduled(5, 10, 2), scheduled(6, 10, 2), unschedule(1)]);
    let session = reopened(session, harness);
    let mut found: Vec<_> = session
        .recovered
        .scheduled
        .iter()
        .map(|tally| (tally.destination.0, tally.count, tally.bytes))
        .collect();
    found.sort_unstable();
    let row_bytes = "number:4\nbody of 4".len() as u64;
    assert_eq!(found, [(1, 3, 3 * row_bytes), (2, 2, 2 * row_bytes)]);
}

fn untrustworthy_body_leaves_the_schedule_and_the_rest_is_served(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    harness.corrupt(append(key(1, 4, 2), 2).number);
    let due = session.due(due_request(i64::MAX));
    let served: Vec<_> = due.rows.iter().map(|row| row.key.id.0).collect();
    assert_eq!((served, due.exhausted), (vec![4, 3, 1], true));
    let aside: Vec<_> = due
        .quarantined
        .iter()
        .map(|key| (key.due_ms, key.id.0))
        .collect();
    assert_eq!(aside, [(500, 2)]);
    assert_eq!(session.store.statistics().quarantined_count, 1);
    harness.check_bodies();
    session.run([unschedule(2), reschedule(2, 1, 0)]);
    let mut session = reopened(session, harness);
    assert_eq!(ids(&mut session, i64::MAX), [4, 3, 1]);
    assert_eq!(session.recovered.scheduled[0].count, 3);
}

fn schedule_id_that_exists_already_poisons_the_store(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.store.submit(awaited([scheduled(3, 1, 1)]));
    assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
}

fn message_that_fires_into_a_log_changes_hands(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([
        topic(5, "t"),
        subscribe(1, 5, 0),
        scheduled(8, 10, 5),
        scheduled(9, 20, 5),
    ]);
    session.run([unschedule(8), Operation::Log(log_append(5, 30, 8))]);
    harness.check_bodies();
    // Nobody is there for the other one.
    session.run([unschedule(9)]);
    let mut session = reopened(session, harness);
    assert_eq!(session.unacknowledged(5, 1), [30]);
    assert_eq!(ids(&mut session, i64::MAX), [4, 2, 3, 1]);
}

fn message_that_fires_and_is_consumed_in_one_commit_goes(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([
        Operation::Append(append(key(1, 4, 20), 4)),
        unschedule(4),
        settle(key(1, 4, 20)),
    ]);
    harness.check_bodies();
    let mut session = reopened(session, harness);
    assert_eq!(session.sequences(1, 4), [0_i64; 0]);
    assert_eq!(ids(&mut session, i64::MAX), [2, 3, 1]);
}

fn listed(session: &mut Session, filter: ScheduleFilter) -> Vec<(i64, i64)> {
    let list = session.schedule(schedule_list(filter));
    assert!(list.exhausted);
    list.rows
        .iter()
        .map(|row| (row.key.due_ms, row.key.id.0))
        .collect()
}

fn listing_shows_what_is_asked_for_in_order(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    let record = ScheduleRecord {
        expires_ms: 77,
        repeats_left: 9,
        text: "period=5 repeat=9".into(),
        ..schedule(5, 123, 500, 2)
    };
    session.run([Operation::Schedule(record), scheduled(6, 50, 2)]);
    let all = [(50, 6), (100, 4), (500, 2), (500, 3), (500, 5), (900, 1)];
    assert_eq!(listed(&mut session, ScheduleFilter::All), all);
    let of = |id| ScheduleFilter::Destination(DestinationId(id));
    assert_eq!(listed(&mut session, of(2)), [(50, 6), (500, 5)]);
    assert_eq!(listed(&mut session, of(7)), []);
    let one = |id| ScheduleFilter::One(ScheduleId(id));
    assert_eq!(listed(&mut session, one(7)), []);
    let list = session.schedule(ScheduleListRequest {
        id: PageId(5),
        ..schedule_list(one(5))
    });
    let [row] = &*list.rows else {
        panic!("one row")
    };
    assert_eq!((list.id, row.number.0), (PageId(5), 123));
    assert_eq!((row.repeats_left, &*row.text), (9, "period=5 repeat=9"));
    assert_eq!((row.destination.0, row.rank.0), (2, 4));
    let bytes = "number:123\nbody of 123".len() as u64;
    assert_eq!((row.expires_ms, row.bytes), (77, bytes));
}

fn listing_stops_at_its_rows_and_goes_on_behind_them(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    let (mut found, mut after) = (Vec::new(), None);
    for expected in [false, false, true] {
        let list = session.schedule(ScheduleListRequest {
            after,
            rows_max: 1 + usize::from(after.is_none()),
            ..schedule_list(ScheduleFilter::Destination(DestinationId(1)))
        });
        found.extend(list.rows.iter().map(|row| row.key.id.0));
        after = list.rows.last().map(|row| row.key);
        assert_eq!(list.exhausted, expected);
    }
    assert_eq!(found, [4, 2, 3, 1]);
}
