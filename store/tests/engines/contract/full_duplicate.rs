//! A full disk and the ids by which repeated messages are known.

use stompbox_store::{Batch, Medium};

use crate::contract::duplicate::{numbers, queues};
use crate::contract::reopened;
use crate::harness::Harness;
use crate::message::*;
use crate::session::{Session, said};

on_every_small_disk!(
    full_disk_refuses_an_id_with_its_message,
    id_is_refused_with_a_message_that_was_consumed_before_it_was_written,
);

fn refused(session: &mut Session, batch: Batch) -> Vec<String> {
    session.commit(batch);
    session.refused().iter().map(said).collect()
}

fn full_disk_refuses_an_id_with_its_message(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    session.run([remember(1, 5)]);
    harness.fill(Medium::Database);
    let mut batch = awaited([appended(key(1, 4, 10)), remember(1, 10), remember(1, 11)]);
    batch.units.push(0..2);
    assert_eq!(
        refused(&mut session, batch),
        ["append 1/4/10", "remember 1/10", "remember 1/11"]
    );
    assert_eq!(numbers(&mut session, 1), [5]);
    harness.free(Medium::Database);
    session.wait_resumed();
    session.run([appended(key(1, 4, 10)), remember(1, 10)]);
    let mut session = reopened(session, harness);
    assert_eq!(numbers(&mut session, 1), [10, 5]);
}

fn id_is_refused_with_a_message_that_was_consumed_before_it_was_written(harness: &mut dyn Harness) {
    let mut session = queues(harness);
    session.run([appended(key(1, 4, 1))]);
    harness.fill(Medium::Database);
    let mut batch = awaited([
        appended(key(1, 4, 10)),
        remember(1, 10),
        settle(key(1, 4, 10)),
        settle(key(1, 4, 1)),
    ]);
    batch.units.push(0..2);
    assert_eq!(
        refused(&mut session, batch),
        ["append 1/4/10", "remember 1/10"]
    );
    assert_eq!(session.sequences(1, 4), [0_i64; 0]);
    assert_eq!(numbers(&mut session, 1), [0_i64; 0]);
    harness.check_bodies();
}
