//! Pages and expiry.

use stompbox_store::{Append, Operation, PageId, PageRequest, Sequence};

use crate::harness::Harness;
use crate::message::*;
use crate::session::Session;

on_every_engine!(
    page_holds_its_range_and_nothing_else,
    page_stops_at_its_rows,
    page_stops_after_the_row_that_exceeds_its_bytes,
    page_of_nothing_is_exhausted,
    page_carries_its_id,
    page_sees_what_is_durable,
    expired_entries_come_in_order_of_expiry,
    entries_that_never_expire_do_not_come,
);

fn filled(harness: &mut dyn Harness, sequences: &[i64]) -> Session {
    let mut session = harness.open();
    let appends = sequences.iter().map(|n| appended(key(1, 4, *n)));
    session.run(
        [
            queue(1, "a"),
            appended(key(1, 3, 2)),
            appended(key(1, 5, 3)),
        ]
        .into_iter()
        .chain(appends),
    );
    session
}

fn ranged(from: i64, through: i64) -> PageRequest {
    PageRequest {
        from: Sequence(from),
        through: Sequence(through),
        ..page(1, 4)
    }
}

fn check(session: &mut Session, request: PageRequest, sequences: &[i64], exhausted: bool) {
    let page = session.read(request);
    let found: Vec<i64> = page.rows.iter().map(|row| row.sequence.0).collect();
    assert_eq!(
        (&*found, page.exhausted),
        (sequences, exhausted),
        "{request:?}"
    );
}

fn page_holds_its_range_and_nothing_else(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[10, 20, 30, 40]);
    check(&mut session, ranged(0, 100), &[10, 20, 30, 40], true);
    check(&mut session, ranged(20, 30), &[20, 30], true);
    check(&mut session, ranged(21, 39), &[30], true);
    session.run([settle(key(1, 4, 20)), settle(key(1, 4, 30))]);
    check(&mut session, ranged(10, 40), &[10, 40], true);
    check(&mut session, ranged(40, 10), &[], true);
}

fn page_stops_at_its_rows(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[10, 20, 30, 40]);
    let request = PageRequest {
        rows_max: 2,
        ..ranged(0, 100)
    };
    check(&mut session, request, &[10, 20], false);
    check(
        &mut session,
        PageRequest {
            from: Sequence(21),
            ..request
        },
        &[30, 40],
        true,
    );
    check(
        &mut session,
        PageRequest {
            through: Sequence(29),
            ..request
        },
        &[10, 20],
        true,
    );
    check(
        &mut session,
        PageRequest {
            rows_max: 4,
            ..request
        },
        &[10, 20, 30, 40],
        true,
    );
}

fn page_stops_after_the_row_that_exceeds_its_bytes(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[10, 20, 30, 40]);
    let row_bytes = "number:10\nbody of 10".len();
    let limited = |bytes_max| PageRequest {
        bytes_max,
        ..ranged(0, 100)
    };
    check(&mut session, limited(0), &[10], false);
    check(&mut session, limited(row_bytes - 1), &[10], false);
    check(&mut session, limited(row_bytes), &[10, 20], false);
    check(
        &mut session,
        limited(4 * row_bytes),
        &[10, 20, 30, 40],
        true,
    );
}

fn page_of_nothing_is_exhausted(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[10]);
    check(&mut session, ranged(11, 100), &[], true);
    check(&mut session, page(7, 4), &[], true);
}

fn page_carries_its_id(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[10]);
    for id in [3, 1, 2] {
        session.store.read_page(PageRequest {
            id: PageId(id),
            ..page(1, 4)
        });
    }
    let mut answered: Vec<u64> = (0..3).map(|_| session.next_page().id.0).collect();
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 3]);
}

fn page_sees_what_is_durable(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[]);
    for sequence in 10..60 {
        session.run([appended(key(1, 4, sequence))]);
        check(&mut session, ranged(sequence, sequence), &[sequence], true);
        session.run([settle(key(1, 4, sequence))]);
        check(&mut session, ranged(0, 100), &[], true);
    }
}

fn expiring(sequence: i64, expires_ms: i64) -> Operation {
    let key = key(1, 4, sequence);
    Operation::Append(Append {
        expires_ms,
        ..append(key, sequence)
    })
}

fn expired_entries_come_in_order_of_expiry(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[]);
    session.run([
        expiring(1, 300),
        expiring(2, 100),
        expiring(3, 200),
        expiring(4, 400),
    ]);
    let expiries = |session: &mut Session, now_ms, rows_max| -> Vec<i64> {
        session
            .expired(now_ms, rows_max)
            .rows
            .iter()
            .map(|row| row.expires_ms)
            .collect()
    };
    assert_eq!(expiries(&mut session, 99, 10), []);
    assert_eq!(expiries(&mut session, 300, 10), [100, 200, 300]);
    assert_eq!(expiries(&mut session, 999, 2), [100, 200]);
    session.run([settle(key(1, 4, 2))]);
    let expired = session.expired(250, 10);
    assert_eq!(
        (expired.rows[0].key, expired.rows[0].number.0),
        (key(1, 4, 3), 3)
    );
}

fn entries_that_never_expire_do_not_come(harness: &mut dyn Harness) {
    let mut session = filled(harness, &[10, 20]);
    session.run([expiring(30, 50), relocate(key(1, 4, 30), key(1, 4, 31))]);
    assert!(session.expired(i64::MAX, 10).rows.is_empty());
}
