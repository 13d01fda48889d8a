//! Epochs: clean stops, crashes, and what is known afterwards.

use stompbox_store::{DestinationKind, Epoch};

use crate::harness::Harness;
use crate::message::*;

on_every_engine!(
    first_life_knows_nothing,
    instance_stays_and_epoch_rises,
    crash_makes_its_life_uncertain_for_ever_after,
    what_was_durable_before_a_crash_is_there,
    close_commits_what_is_outstanding_and_the_last_batch,
    untrustworthy_body_leaves_its_destination_and_the_rest_is_served,
);

fn first_life_knows_nothing(harness: &mut dyn Harness) {
    let session = harness.open();
    let recovered = &session.recovered;
    assert_eq!(
        (recovered.epoch, recovered.uncertain_through),
        (Epoch(1), Epoch(0))
    );
    assert!(recovered.destinations.is_empty() && recovered.tallies.is_empty());
    assert!(!recovered.instance.is_empty() && !recovered.instance.contains('-'));
}

fn instance_stays_and_epoch_rises(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    let instance = session.recovered.instance.clone();
    for epoch in 2..5 {
        session.close(awaited([])).expect("a clean stop");
        session = harness.open();
        assert_eq!(session.recovered.epoch, Epoch(epoch));
        assert_eq!(session.recovered.uncertain_through, Epoch(0));
        assert_eq!(session.recovered.instance, instance);
        let [record] = &*session.recovered.destinations else {
            panic!("one destination")
        };
        assert_eq!(
            (record.id.0, record.kind, &*record.name),
            (1, DestinationKind::Queue, "a")
        );
    }
}

fn crash_makes_its_life_uncertain_for_ever_after(harness: &mut dyn Harness) {
    harness.open().close(awaited([])).expect("a clean stop");
    harness.open().crash();
    for epoch in 3..5 {
        let session = harness.open();
        assert_eq!(session.recovered.epoch, Epoch(epoch));
        assert_eq!(session.recovered.uncertain_through, Epoch(2));
        session.close(awaited([])).expect("a clean stop");
    }
    harness.open().crash();
    harness.open().crash();
    assert_eq!(harness.open().recovered.uncertain_through, Epoch(6));
}

fn what_was_durable_before_a_crash_is_there(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run([queue(1, "a")]);
    session.run((0..50).map(|n| appended(key(1, 4, n))));
    session.crash();
    let mut session = harness.open();
    assert_eq!(session.recovered.tallies, harness.recount());
    assert_eq!(session.sequences(1, 4).len(), 50);
}

fn close_commits_what_is_outstanding_and_the_last_batch(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.store.submit(patient([
        queue(1, "a"),
        appended(key(1, 4, 1)),
        appended(key(1, 4, 2)),
    ]));
    session.store.submit(patient([settle(key(1, 4, 1))]));
    session
        .close(patient([count(key(1, 4, 2), 4, 2)]))
        .expect("a clean stop");
    let mut session = harness.open();
    let page = session.read(page(1, 4));
    assert_eq!(page.rows.len(), 1);
    assert_eq!((page.rows[0].deliveries, page.rows[0].failures), (4, 2));
}

fn untrustworthy_body_leaves_its_destination_and_the_rest_is_served(harness: &mut dyn Harness) {
    let mut session = harness.open();
    session.run(
        [queue(1, "a")]
            .into_iter()
            .chain((1..=4).map(|n| appended(key(1, 4, n)))),
    );
    harness.corrupt(append(key(1, 4, 2), 2).number);
    let damaged = session.read(page(1, 4));
    let served: Vec<i64> = damaged.rows.iter().map(|row| row.sequence.0).collect();
    assert_eq!((served, damaged.exhausted), (vec![1, 3, 4], true));
    assert_eq!(
        damaged
            .quarantined
            .iter()
            .map(|sequence| sequence.0)
            .collect::<Vec<_>>(),
        [2]
    );
    let again = session.read(page(1, 4));
    assert_eq!((again.rows.len(), again.quarantined.len()), (3, 0));
    assert_eq!(session.store.statistics().quarantined_count, 1);
    // The owner may still name it: there is nothing left to be done.
    session.run([
        settle(key(1, 4, 2)),
        count(key(1, 4, 2), 1, 1),
        relocate(key(1, 4, 2), key(1, 4, 9)),
    ]);
    let mut session = crate::contract::reopened(session, harness);
    assert_eq!(session.sequences(1, 4), [1, 3, 4]);
}
