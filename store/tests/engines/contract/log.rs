//! Logs and durable subscriptions: what comes, what a subscription has, what outlives a store.

use stompbox_store::{
    LogAppend, LogPageRequest, Operation, PageId, Sequence, StoreEvent, SubscriptionRecord,
};

use crate::contract::{reopened, wait_for_logs};
use crate::harness::Harness;
use crate::message::*;
use crate::session::Session;

on_every_engine!(
    message_of_a_log_comes_with_all_it_was_given,
    subscription_outlives_the_store_with_its_floor,
    subscribing_again_replaces_the_selector_and_raises_the_floor,
    floor_does_not_sink,
    subscription_has_what_is_above_its_floor_and_not_passed,
    subscriptions_do_not_see_one_another,
    counts_belong_to_one_subscription,
    count_does_not_take_an_acknowledgement_back,
    last_of_many_floors_and_passes_of_a_commit_holds,
    unsubscribing_takes_the_exceptions_along,
    recreated_subscription_has_the_identity_of_the_one_that_goes_with_it,
    subscription_ids_are_free_from_the_next_one_on,
    page_of_a_log_keeps_to_its_bounds,
    page_of_a_log_goes_on_behind_what_it_looked_at,
    page_for_a_subscription_that_is_not_there_has_everything,
    what_concerns_a_subscription_that_is_not_there_does_nothing,
    dead_letter_of_a_log_shares_the_message,
    message_of_a_queue_and_a_log_is_one,
    untrustworthy_body_leaves_the_log_and_the_rest_is_served,
    patient_acknowledgements_become_durable_by_themselves,
    identity_that_exists_already_poisons_the_store,
    position_that_exists_already_poisons_the_store,
);

/// Topic 1 with 10 to 19 in its log, which subscriptions 1 and 2 have not seen.
fn filled(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    session.run([
        topic(1, "a"),
        queue(2, "b"),
        subscribe(1, 1, 0),
        subscribe(2, 1, 9),
    ]);
    session.run((10..20).map(|n| logged(1, n)));
    session
}

fn message_of_a_log_comes_with_all_it_was_given(harness: &mut dyn Harness) {
    let mut session = harness.open();
    let append = LogAppend {
        expires_ms: 77,
        tag: 1 << 40 | 0x14,
        ..log_append(1, 9, 123)
    };
    session.run([topic(1, "a"), subscribe(1, 1, 0), Operation::Log(append)]);
    let mut session = reopened(session, harness);
    let page = session.read_log(LogPageRequest {
        id: PageId(5),
        ..log_page(1, 1)
    });
    assert_eq!((page.id, page.exhausted), (PageId(5), true));
    let [row] = &*page.rows else {
        panic!("one row")
    };
    assert_eq!((row.sequence.0, row.number.0), (9, 123));
    assert_eq!((row.timestamp_ms, row.expires_ms), (5_123, 77));
    assert_eq!(row.tag, 1 << 40 | 0x14);
    assert_eq!((row.deliveries, row.failures), (0, 0));
    assert_eq!(row.data[..row.head_bytes], *b"number:123\n");
    assert_eq!(row.data[row.head_bytes..], *b"body of 123");
}

fn subscription_outlives_the_store_with_its_floor(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    let record = SubscriptionRecord {
        selector: Some("a = 1".into()),
        ..subscription(3, 1, 12)
    };
    session.run([Operation::Subscribe(record.clone()), floor(2, 14)]);
    let mut session = reopened(session, harness);
    let expected = [subscription(1, 1, 0), subscription(2, 1, 14), record];
    assert_eq!(session.recovered.subscriptions, expected);
    let [tally] = &*session.recovered.logs else {
        panic!("one log")
    };
    assert_eq!(harness.recount_logs(), [*tally]);
    assert_eq!((tally.count, tally.first.0, tally.last.0), (10, 10, 19));
    assert_eq!(session.unacknowledged(1, 2), [15, 16, 17, 18, 19]);
}

fn subscribing_again_replaces_the_selector_and_raises_the_floor(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([pass(1, 12), pass(1, 18), log_count(1, 17, 3, 1)]);
    let record = SubscriptionRecord {
        selector: Some("b".into()),
        ..subscription(1, 1, 15)
    };
    session.run([Operation::Subscribe(record.clone())]);
    let mut session = reopened(session, harness);
    assert_eq!(session.recovered.subscriptions[0], record);
    assert_eq!(session.unacknowledged(1, 1), [16, 17, 19]);
    session.run([Operation::Subscribe(SubscriptionRecord {
        selector: None,
        floor: Sequence(3),
        ..record
    })]);
    let session = reopened(session, harness);
    assert_eq!(session.recovered.subscriptions[0], subscription(1, 1, 15));
}

fn floor_does_not_sink(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([floor(1, 14)]);
    session.run([floor(1, 12), floor(2, 16), floor(2, 11)]);
    assert_eq!(session.unacknowledged(1, 1), [15, 16, 17, 18, 19]);
    assert_eq!(session.unacknowledged(1, 2), [17, 18, 19]);
}

fn subscription_has_what_is_above_its_floor_and_not_passed(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([pass(1, 11), pass(1, 13), pass(1, 19)]);
    assert_eq!(session.unacknowledged(1, 1), [10, 12, 14, 15, 16, 17, 18]);
    session.run([floor(1, 13)]);
    assert_eq!(session.unacknowledged(1, 1), [14, 15, 16, 17, 18]);
    let mut session = reopened(session, harness);
    assert_eq!(session.unacknowledged(1, 1), [14, 15, 16, 17, 18]);
    session.run([floor(1, 19), pass(1, 18)]);
    assert_eq!(session.unacknowledged(1, 1), [0_i64; 0]);
    session.run([logged(1, 20)]);
    assert_eq!(session.unacknowledged(1, 1), [20]);
}

fn subscriptions_do_not_see_one_another(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([pass(1, 11), floor(2, 17)]);
    assert_eq!(session.unacknowledged(1, 1).len(), 9);
    assert_eq!(session.unacknowledged(1, 2), [18, 19]);
}

fn counts_belong_to_one_subscription(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([log_count(1, 12, 3, 1), log_count(1, 13, 1, 0)]);
    session.run([log_count(1, 12, 5, 2)]);
    let mut session = reopened(session, harness);
    let counted = |session: &mut Session, subscription| -> Vec<_> {
        let page = session.read_log(log_page(1, subscription));
        let counted = page.rows.iter().filter(|row| row.deliveries > 0);
        counted
            .map(|row| (row.sequence.0, row.deliveries, row.failures))
            .collect()
    };
    assert_eq!(counted(&mut session, 1), [(12, 5, 2), (13, 1, 0)]);
    assert_eq!(counted(&mut session, 2), []);
}

fn count_does_not_take_an_acknowledgement_back(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([pass(1, 12), log_count(1, 12, 3, 1)]);
    session.run([pass(1, 13)]);
    session.run([log_count(1, 13, 3, 1), log_count(1, 14, 1, 1), pass(1, 14)]);
    assert_eq!(session.unacknowledged(1, 1), [10, 11, 15, 16, 17, 18, 19]);
}

fn last_of_many_floors_and_passes_of_a_commit_holds(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    let batches = [
        awaited([pass(1, 12), pass(1, 10), floor(1, 10), pass(1, 15)]),
        awaited([pass(1, 11), log_count(1, 16, 2, 1), floor(1, 12)]),
        awaited([pass(2, 14), floor(2, 10)]),
    ];
    let tickets = batches.map(|batch| session.store.submit(batch));
    session.wait(tickets[2]);
    let mut session = reopened(session, harness);
    assert_eq!(session.unacknowledged(1, 1), [13, 14, 16, 17, 18, 19]);
    assert_eq!(session.unacknowledged(1, 2).len(), 8);
    let page = session.read_log(log_page(1, 1));
    assert_eq!((page.rows[2].deliveries, page.rows[2].failures), (2, 1));
}

fn unsubscribing_takes_the_exceptions_along(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([pass(1, 12), log_count(1, 13, 3, 1)]);
    session.run([unsubscribe(1), pass(1, 14)]);
    session.run([subscribe(3, 1, 10)]);
    let mut session = reopened(session, harness);
    let ids: Vec<_> = session
        .recovered
        .subscriptions
        .iter()
        .map(|record| record.id.0)
        .collect();
    assert_eq!(ids, [2, 3]);
    let page = session.read_log(log_page(1, 3));
    assert_eq!(page.rows.len(), 9);
    assert!(page.rows.iter().all(|row| row.deliveries == 0));
}

fn recreated_subscription_has_the_identity_of_the_one_that_goes_with_it(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    let again = SubscriptionRecord {
        identity: subscription(1, 1, 0).identity,
        ..subscription(7, 1, 15)
    };
    session.run([
        unsubscribe(1),
        Operation::Subscribe(again.clone()),
        subscribe(8, 1, 0),
        unsubscribe(8),
    ]);
    let session = reopened(session, harness);
    assert_eq!(
        session.recovered.subscriptions,
        [subscription(2, 1, 9), again]
    );
}

fn subscription_ids_are_free_from_the_next_one_on(harness: &mut dyn Harness) {
    let session = harness.open();
    assert_eq!(session.recovered.next_subscription.0, 1);
    let mut session = reopened(session, harness);
    session.run([topic(1, "a"), subscribe(3, 1, 0), subscribe(9, 1, 0)]);
    let session = reopened(session, harness);
    assert_eq!(session.recovered.next_subscription.0, 10);
}

fn page_of_a_log_keeps_to_its_bounds(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([pass(1, 12), pass(1, 13), pass(1, 16)]);
    let mut check = |request: LogPageRequest, sequences: &[i64], through: Option<i64>| {
        let page = session.read_log(request);
        let found: Vec<_> = page.rows.iter().map(|row| row.sequence.0).collect();
        let known = (!page.exhausted).then_some(page.through.0);
        assert_eq!((&*found, known), (sequences, through), "{request:?}");
        assert!(!page.exhausted || page.through == request.through);
    };
    let ranged = |from, through| LogPageRequest {
        from: Sequence(from),
        through: Sequence(through),
        ..log_page(1, 1)
    };
    check(ranged(11, 14), &[11, 14], None);
    check(ranged(14, 11), &[], None);
    check(ranged(20, 30), &[], None);
    check(ranged(12, 13), &[], None);
    let few = |rows_max| LogPageRequest {
        rows_max,
        ..ranged(0, 100)
    };
    check(few(1), &[10], Some(10));
    check(few(3), &[10, 11, 14], Some(14));
    check(few(7), &[10, 11, 14, 15, 17, 18, 19], None);
    let row_bytes = "number:10\nbody of 10".len();
    let short = |bytes_max| LogPageRequest {
        bytes_max,
        ..ranged(0, 100)
    };
    check(short(0), &[10], Some(10));
    check(short(row_bytes - 1), &[10], Some(10));
    check(short(row_bytes), &[10, 11], Some(11));
    check(short(7 * row_bytes), &[10, 11, 14, 15, 17, 18, 19], None);
}

fn page_of_a_log_goes_on_behind_what_it_looked_at(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([topic(1, "a"), subscribe(1, 1, 0)]);
    let mut unacknowledged = Vec::new();
    for n in 0..60_i64 {
        let rows = n * 1_000..(n + 1) * 1_000;
        session.run(rows.clone().map(|sequence| logged(1, sequence + 1)));
        session.run(rows.map(|sequence| pass(1, sequence + 2)).take(998));
        unacknowledged.extend([n * 1_000 + 1, n * 1_000 + 1_000]);
    }
    // In the middle of the log everything is acknowledged.
    session.run((10..50).map(|n| pass(1, n * 1_000 + 1)));
    session.run((10..50).map(|n| pass(1, n * 1_000 + 1_000)));
    unacknowledged.retain(|n| !(10_001..=50_000).contains(n));
    let (mut found, mut from) = (Vec::new(), Sequence(0));
    loop {
        let page = session.read_log(LogPageRequest {
            from,
            rows_max: 100,
            ..log_page(1, 1)
        });
        found.extend(page.rows.iter().map(|row| row.sequence.0));
        if page.exhausted {
            break;
        }
        assert!(page.through >= from);
        from = page.through.next();
    }
    assert_eq!(found, unacknowledged);
}

fn page_for_a_subscription_that_is_not_there_has_everything(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    assert_eq!(session.unacknowledged(1, 77).len(), 10);
    assert_eq!(session.unacknowledged(2, 1), [0_i64; 0]);
}

fn what_concerns_a_subscription_that_is_not_there_does_nothing(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([
        pass(7, 12),
        floor(7, 15),
        log_count(7, 13, 1, 1),
        unsubscribe(7),
    ]);
    session.run([subscribe(7, 1, 0)]);
    let page = session.read_log(log_page(1, 7));
    assert_eq!(page.rows.len(), 10);
    assert!(page.rows.iter().all(|row| row.deliveries == 0));
}

fn dead_letter_of_a_log_shares_the_message(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    let mut batch = awaited([Operation::Append(append(key(2, 4, 50), 12)), pass(1, 12)]);
    batch.units.push(0..2);
    session.commit(batch);
    harness.check_bodies();
    session.run([floor(1, 19), floor(2, 19), trim(1, 19)]);
    wait_for_logs(harness, &[]);
    let mut session = reopened(session, harness);
    let page = session.read(page(2, 4));
    assert_eq!((page.rows.len(), page.rows[0].number.0), (1, 12));
    session.run([settle(key(2, 4, 50))]);
    harness.check_bodies();
}

fn message_of_a_queue_and_a_log_is_one(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    // In one commit: each lets go of a message that the other keeps.
    session.run([
        Operation::Append(append(key(2, 4, 30), 30)),
        logged(1, 30),
        logged(1, 31),
        Operation::Append(append(key(2, 4, 31), 31)),
        Operation::Append(append(key(2, 4, 32), 32)),
        settle(key(2, 4, 31)),
        settle(key(2, 4, 32)),
    ]);
    harness.check_bodies();
    session.run([settle(key(2, 4, 30)), logged(1, 33)]);
    let mut session = reopened(session, harness);
    assert_eq!(session.unacknowledged(1, 2)[10..], [30, 31, 33]);
    assert_eq!(session.sequences(2, 4), [0_i64; 0]);
}

fn untrustworthy_body_leaves_the_log_and_the_rest_is_served(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    for number in [10, 14, 19] {
        harness.corrupt(append(key(1, 0, number), number).number);
    }
    let page = session.read_log(log_page(1, 1));
    let served: Vec<_> = page.rows.iter().map(|row| row.sequence.0).collect();
    assert_eq!(
        (served, page.exhausted),
        (vec![11, 12, 13, 15, 16, 17, 18], true)
    );
    let aside: Vec<_> = page.quarantined.iter().map(|at| at.0).collect();
    assert_eq!(aside, [10, 14, 19]);
    assert_eq!(session.store.statistics().quarantined_count, 3);
    harness.check_bodies();
    let again = session.read_log(log_page(1, 2));
    assert_eq!((again.rows.len(), again.quarantined.len()), (7, 0));
    session.run([pass(1, 14), log_count(2, 10, 1, 1), floor(1, 14)]);
    let session = reopened(session, harness);
    let tally = session.recovered.logs[0];
    assert_eq!((tally.count, tally.first.0, tally.last.0), (7, 11, 18));
}

fn patient_acknowledgements_become_durable_by_themselves(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.commit(patient([floor(1, 12), pass(1, 15), trim(1, 9)]));
    assert_eq!(session.unacknowledged(1, 1), [13, 14, 16, 17, 18, 19]);
}

fn poisons(mut session: Session, operation: Operation) {
    session.store.submit(awaited([operation]));
    assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
}

fn identity_that_exists_already_poisons_the_store(harness: &mut dyn Harness) {
    let session = filled(harness);
    let twice = SubscriptionRecord {
        identity: subscription(1, 1, 0).identity,
        ..subscription(3, 1, 0)
    };
    poisons(session, Operation::Subscribe(twice));
    assert_eq!(harness.open().recovered.subscriptions.len(), 2);
}

fn position_that_exists_already_poisons_the_store(harness: &mut dyn Harness) {
    let session = filled(harness);
    poisons(session, Operation::Log(log_append(1, 12, 99)));
    assert_eq!(harness.open().recovered.logs[0].count, 10);
}
