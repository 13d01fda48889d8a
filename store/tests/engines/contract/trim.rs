//! What becomes of log rows that nobody needs.

use crate::contract::wait_for_logs;
use crate::harness::Harness;
use crate::message::*;
use crate::session::Session;

on_every_engine!(
    trim_removes_what_no_floor_holds,
    trim_waits_for_the_lowest_floor,
    new_subscription_holds_what_a_trim_has_left,
    log_without_subscriptions_is_trimmed_as_far_as_asked,
    message_that_is_trimmed_in_its_commit_is_not_written,
    floor_alone_trims_nothing,
    unsubscribing_lets_go_of_what_only_it_held,
    start_trims_every_log_to_its_lowest_floor,
    long_log_is_trimmed_while_nothing_else_happens,
    removed_topic_takes_its_subscriptions_and_its_log,
    many_exceptions_are_gone_after_a_floor_or_an_end,
);

/// Topics 1 and 2 with 10 to 19 in their logs; subscriptions 1 and 2 on topic 1, 3 on topic 2.
fn filled(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    session.run([
        topic(1, "a"),
        topic(2, "b"),
        subscribe(1, 1, 0),
        subscribe(2, 1, 0),
        subscribe(3, 2, 0),
    ]);
    session.run((10..20).flat_map(|n| [logged(1, n), logged(2, n)]));
    session
}

const ALL: &[i64] = &[10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

fn trim_removes_what_no_floor_holds(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([floor(1, 14), floor(2, 16), trim(1, 14)]);
    wait_for_logs(harness, &[(1, &[15, 16, 17, 18, 19]), (2, ALL)]);
    session.run([floor(1, 19), floor(2, 19), trim(1, 17)]);
    wait_for_logs(harness, &[(1, &[18, 19]), (2, ALL)]);
    session.run([trim(1, 30)]);
    wait_for_logs(harness, &[(2, ALL)]);
    session.run([logged(1, 31), logged(2, 31)]);
    assert_eq!(session.unacknowledged(1, 1), [31]);
    assert_eq!(session.unacknowledged(2, 3).len(), 11);
}

fn trim_waits_for_the_lowest_floor(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([floor(1, 16), floor(2, 12), trim(1, 17)]);
    wait_for_logs(harness, &[(1, &[13, 14, 15, 16, 17, 18, 19]), (2, ALL)]);
    assert_eq!(session.unacknowledged(1, 2), [13, 14, 15, 16, 17, 18, 19]);
    session.run([floor(2, 19)]);
    wait_for_logs(harness, &[(1, &[17, 18, 19]), (2, ALL)]);
    session.run([floor(1, 19)]);
    wait_for_logs(harness, &[(1, &[18, 19]), (2, ALL)]);
}

fn new_subscription_holds_what_a_trim_has_left(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([trim(1, 17)]);
    session.run([subscribe(4, 1, 11)]);
    session.run([floor(1, 19), floor(2, 19)]);
    wait_for_logs(harness, &[(1, ALL.get(2..).expect("a part")), (2, ALL)]);
    assert_eq!(session.unacknowledged(1, 4).len(), 8);
}

fn log_without_subscriptions_is_trimmed_as_far_as_asked(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([unsubscribe(1), unsubscribe(2), trim(1, 15)]);
    wait_for_logs(harness, &[(1, &[16, 17, 18, 19]), (2, ALL)]);
}

fn message_that_is_trimmed_in_its_commit_is_not_written(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([floor(2, 30)]);
    session.run([logged(1, 30), floor(1, 30), trim(1, 30), logged(1, 31)]);
    wait_for_logs(harness, &[(1, &[31]), (2, ALL)]);
    // Before the log knows of anything that would have to be removed.
    session.run([logged(1, 40), logged(1, 41), pass(1, 41), floor(1, 41)]);
    session.run([floor(2, 41), trim(1, 41)]);
    wait_for_logs(harness, &[(2, ALL)]);
    session.run([
        logged(1, 42),
        queue(3, "c"),
        appended(key(3, 4, 42)),
        floor(1, 42),
        floor(2, 42),
        trim(1, 42),
    ]);
    wait_for_logs(harness, &[(2, ALL)]);
    assert_eq!(session.sequences(3, 4), [42]);
}

fn floor_alone_trims_nothing(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([floor(1, 19), floor(2, 19)]);
    session.run([logged(2, 20), trim(2, 9)]);
    assert_eq!(harness.recount_logs()[0].count, 10);
}

fn unsubscribing_lets_go_of_what_only_it_held(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([floor(1, 14), trim(1, 19)]);
    assert_eq!(session.unacknowledged(1, 2).len(), 10);
    session.run([unsubscribe(2)]);
    wait_for_logs(harness, &[(1, &[15, 16, 17, 18, 19]), (2, ALL)]);
    session.run([unsubscribe(1)]);
    wait_for_logs(harness, &[(2, ALL)]);
}

fn start_trims_every_log_to_its_lowest_floor(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([floor(1, 14), floor(2, 12), pass(3, 15), unsubscribe(3)]);
    session.run([trim(1, 11)]);
    session.crash();
    let mut session = harness.open();
    wait_for_logs(harness, &[(1, &[13, 14, 15, 16, 17, 18, 19])]);
    // What comes is not trimmed for what was asked of an earlier life.
    session.run([
        logged(1, 20),
        subscribe(4, 2, 19),
        logged(2, 20),
        floor(4, 20),
    ]);
    session.run([floor(1, 20), floor(2, 20)]);
    wait_for_logs(harness, &[(1, &[20]), (2, &[20])]);
    session.run([trim(1, 20), trim(2, 20)]);
    wait_for_logs(harness, &[]);
}

fn long_log_is_trimmed_while_nothing_else_happens(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    for from in (100..30_100).step_by(1_000) {
        session.run((from..from + 1_000).map(|n| logged(1, n)));
    }
    session.run([floor(1, 30_050), floor(2, 30_080), trim(1, 30_050)]);
    let left: Vec<i64> = (30_051..30_100).collect();
    wait_for_logs(harness, &[(1, &left), (2, ALL)]);
    assert_eq!(session.unacknowledged(1, 2).len(), 19);
}

fn removed_topic_takes_its_subscriptions_and_its_log(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    session.run([pass(1, 12)]);
    let removal = stompbox_store::Operation::Remove(key(1, 0, 0).destination);
    session.run([logged(1, 20), removal, topic(5, "a"), subscribe(5, 5, 0)]);
    wait_for_logs(harness, &[(2, ALL)]);
    let session = crate::contract::reopened(session, harness);
    let ids: Vec<_> = session
        .recovered
        .subscriptions
        .iter()
        .map(|record| record.id.0)
        .collect();
    assert_eq!(ids, [3, 5]);
}

fn many_exceptions_are_gone_after_a_floor_or_an_end(harness: &mut dyn Harness) {
    let mut session = filled(harness);
    for from in (100..5_100).step_by(1_000) {
        session.run((from..from + 1_000).map(|n| logged(1, n)));
        session.run((from..from + 1_000).flat_map(|n| [pass(1, n), pass(2, n)]));
    }
    session.run([floor(1, 4_000), unsubscribe(2), log_count(1, 5_099, 7, 3)]);
    session.crash();
    let mut session = harness.open();
    assert_eq!(session.unacknowledged(1, 1), [0_i64; 0]);
    session.run([subscribe(9, 1, 5_000), pass(9, 5_050)]);
    assert_eq!(session.unacknowledged(1, 9).len(), 98);
    session.run([floor(1, 5_099), floor(9, 5_099), trim(1, 5_099)]);
    wait_for_logs(harness, &[(2, ALL)]);
    harness.wait_for_no_exceptions();
}
