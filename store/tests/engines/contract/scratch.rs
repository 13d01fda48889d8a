//! The scratch medium: entries that need not outlive the store, beside those of the database.

use stompbox_store::{Medium, Operation, PageRequest, Sequence};

use crate::harness::Harness;
use crate::message::*;
use crate::session::Session;

on_every_engine!(
    scratch_entries_are_read_back_in_order_among_the_others,
    scratch_entries_are_gone_in_the_next_life,
    scratch_entries_are_not_counted,
    settle_needs_the_right_medium,
    counts_and_moves_are_for_the_database,
    append_and_settle_of_scratch_cancel,
    merged_page_stops_at_its_rows,
    merged_page_stops_after_the_row_that_exceeds_its_bytes,
    expired_entries_of_both_media_come_in_order_of_expiry,
    removed_destination_takes_its_scratch_entries,
    message_with_several_scratch_entries_stays_until_the_last,
    message_may_stand_in_both_media,
    large_scratch_bodies_are_read_back,
);

/// Entries 1 to 9: even ones in the scratch file.
fn mixed(harness: &mut dyn Harness) -> Session {
    let mut session = harness.open();
    let entries = (1..10).map(|n| match n % 2 {
        0 => scratched(key(1, 4, n)),
        _ => appended(key(1, 4, n)),
    });
    session.run([queue(1, "a")].into_iter().chain(entries));
    session
}

fn media(session: &mut Session, request: PageRequest) -> (Vec<(i64, Medium)>, bool) {
    let page = session.read(request);
    let rows = page.rows.iter().map(|row| (row.sequence.0, row.medium));
    (rows.collect(), page.exhausted)
}

fn of(sequences: impl IntoIterator<Item = i64>) -> Vec<(i64, Medium)> {
    let medium = |n| match n % 2 {
        0 => Medium::Scratch,
        _ => Medium::Database,
    };
    sequences.into_iter().map(|n| (n, medium(n))).collect()
}

fn scratch_entries_are_read_back_in_order_among_the_others(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    let page = session.read(page(1, 4));
    assert_eq!(
        page.rows
            .iter()
            .map(|row| (row.sequence.0, row.medium))
            .collect::<Vec<_>>(),
        of(1..10)
    );
    for row in &page.rows {
        let text = format!("number:{0}\nbody of {0}", row.number.0);
        assert_eq!(*row.data, *text.as_bytes());
        assert_eq!(row.timestamp_ms, 5_000 + row.number.0);
        assert_eq!((row.deliveries, row.failures), (0, 0));
    }
    let ranged = PageRequest {
        from: Sequence(4),
        through: Sequence(7),
        ..crate::message::page(1, 4)
    };
    assert_eq!(media(&mut session, ranged), (of(4..8), true));
    session.run([settle_scratch(key(1, 4, 4)), settle(key(1, 4, 5))]);
    assert_eq!(media(&mut session, ranged), (of([6, 7]), true));
}

fn scratch_entries_are_gone_in_the_next_life(harness: &mut dyn Harness) {
    let session = mixed(harness);
    session.close(awaited([])).expect("a clean stop");
    let mut session = harness.open();
    assert_eq!(session.sequences(1, 4), [1, 3, 5, 7, 9]);
    session.run([scratched(key(1, 4, 10))]);
    session.crash();
    assert_eq!(harness.open().sequences(1, 4), [1, 3, 5, 7, 9]);
}

fn scratch_entries_are_not_counted(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([scratched(key(1, 4, 20)), scratched(key(1, 3, 20))]);
    let session = crate::contract::reopened(session, harness);
    let [tally] = &*session.recovered.tallies else {
        panic!("one tally: {:?}", session.recovered.tallies)
    };
    assert_eq!((tally.count, tally.first.0, tally.last.0), (5, 1, 9));
}

fn settle_needs_the_right_medium(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([settle_scratch(key(1, 4, 1)), settle(key(1, 4, 2))]);
    assert_eq!(media(&mut session, page(1, 4)), (of(1..10), true));
}

fn counts_and_moves_are_for_the_database(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([
        count(key(1, 4, 2), 3, 1),
        relocate(key(1, 4, 4), key(1, 4, 20)),
        scratched(key(1, 4, 12)),
        count(key(1, 4, 12), 3, 1),
        relocate(key(1, 4, 12), key(1, 4, 22)),
    ]);
    let page = session.read(page(1, 4));
    assert!(page.rows.iter().all(|row| row.deliveries == 0));
    let sequences: Vec<_> = page.rows.iter().map(|row| row.sequence.0).collect();
    assert_eq!(sequences, (1..10).chain([12]).collect::<Vec<_>>());
}

fn append_and_settle_of_scratch_cancel(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([
        scratched(key(1, 4, 10)),
        scratched(key(1, 4, 12)),
        settle_scratch(key(1, 4, 10)),
    ]);
    assert_eq!(
        media(&mut session, page(1, 4)),
        (of((1..10).chain([12])), true)
    );
}

fn merged_page_stops_at_its_rows(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    for rows_max in 1..9 {
        let request = PageRequest {
            rows_max,
            ..page(1, 4)
        };
        let through = rows_max as i64 + 1;
        assert_eq!(media(&mut session, request), (of(1..through), false));
    }
    let all = PageRequest {
        rows_max: 9,
        ..page(1, 4)
    };
    assert_eq!(media(&mut session, all), (of(1..10), true));
    // Reading on behind the last row meets every entry once.
    let (mut from, mut seen) = (Sequence(0), Vec::new());
    loop {
        let request = PageRequest {
            from,
            rows_max: 2,
            ..page(1, 4)
        };
        let (rows, exhausted) = media(&mut session, request);
        from = Sequence(rows.last().expect("a row").0 + 1);
        seen.extend(rows);
        if exhausted {
            break;
        }
    }
    assert_eq!(seen, of(1..10));
}

fn merged_page_stops_after_the_row_that_exceeds_its_bytes(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    let row_bytes = "number:1\nbody of 1".len();
    let mut check = |bytes_max, last: i64, exhausted| {
        let request = PageRequest {
            bytes_max,
            ..page(1, 4)
        };
        assert_eq!(media(&mut session, request), (of(1..=last), exhausted));
    };
    check(0, 1, false);
    check(row_bytes - 1, 1, false);
    check(row_bytes, 2, false);
    check(5 * row_bytes, 6, false);
    check(9 * row_bytes, 9, true);
}

fn expiring(operation: Operation, at_ms: i64) -> Operation {
    match operation {
        Operation::Append(mut append) => {
            append.expires_ms = at_ms;
            Operation::Append(append)
        }
        other => other,
    }
}

fn expired_entries_of_both_media_come_in_order_of_expiry(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([
        expiring(scratched(key(1, 4, 20)), 300),
        expiring(appended(key(1, 4, 21)), 200),
        expiring(scratched(key(1, 4, 22)), 100),
        expiring(appended(key(1, 4, 23)), 400),
        expiring(scratched(key(1, 4, 24)), 500),
    ]);
    let mut expired = |now_ms, rows_max| -> Vec<(i64, Medium)> {
        let rows = session.expired(now_ms, rows_max).rows;
        rows.iter()
            .map(|row| (row.key.sequence.0, row.medium))
            .collect()
    };
    assert_eq!(expired(450, 10), of([22, 21, 20, 23]));
    assert_eq!(expired(999, 3), of([22, 21, 20]));
    assert_eq!(expired(99, 3), of([]));
    let row = session.expired(100, 1).rows[0];
    let bytes = "number:22\nbody of 22".len() as u64;
    assert_eq!((row.number.0, row.expires_ms, row.bytes), (22, 100, bytes));
}

fn removed_destination_takes_its_scratch_entries(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([
        queue(2, "b"),
        scratched(key(2, 4, 30)),
        scratched(key(1, 7, 32)),
    ]);
    session.run([
        scratched(key(1, 4, 34)),
        Operation::Remove(key(1, 0, 0).destination),
    ]);
    assert_eq!(session.sequences(1, 4), []);
    assert_eq!(session.sequences(1, 7), []);
    assert_eq!(session.sequences(2, 4), [30]);
}

fn message_with_several_scratch_entries_stays_until_the_last(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([queue(2, "b"), queue(3, "c")]);
    let copies = [key(1, 4, 40), key(2, 4, 42), key(3, 4, 44)];
    session.run(copies.map(|key| scratch(append(key, 40))));
    session.run([settle_scratch(copies[0])]);
    session.run([settle_scratch(copies[2])]);
    let row = &session.read(page(2, 4)).rows[0];
    assert_eq!(*row.data, *b"number:40\nbody of 40");
    session.run([settle_scratch(copies[1])]);
    assert_eq!(session.sequences(2, 4), []);
    // Its number is free again, as far as the file is concerned.
    session.run([scratch(append(key(2, 4, 46), 40))]);
    assert_eq!(session.sequences(2, 4), [46]);
}

fn message_may_stand_in_both_media(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    session.run([
        scratch(append(key(1, 4, 40), 40)),
        Operation::Append(append(key(1, 4, 41), 40)),
    ]);
    session.run([settle_scratch(key(1, 4, 40))]);
    let row = session.read(page(1, 4)).rows.pop().expect("a row");
    assert_eq!((row.sequence.0, row.medium), (41, Medium::Database));
    session.run([scratch(append(key(1, 4, 42), 40)), settle(key(1, 4, 41))]);
    let row = session.read(page(1, 4)).rows.pop().expect("a row");
    assert_eq!((row.sequence.0, row.medium), (42, Medium::Scratch));
    assert_eq!(*row.data, *b"number:40\nbody of 40");
}

fn large_scratch_bodies_are_read_back(harness: &mut dyn Harness) {
    let mut session = mixed(harness);
    let sizes = [1 << 20, (1 << 20) + 1, (3 << 20) + 7];
    for (n, bytes) in (20..).step_by(2).zip(sizes) {
        let body: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
        session.run([scratch(append_sized(key(1, 5, n), n, body.clone()))]);
        let row = session.read(page(1, 5)).rows.pop().expect("a row");
        assert_eq!(row.sequence.0, n);
        assert!(row.data[row.head_bytes..] == body, "{bytes}");
    }
    session.run((20..26).step_by(2).map(|n| settle_scratch(key(1, 5, n))));
    assert_eq!(session.sequences(1, 5), []);
}
