//! What a full disk does to the files of the SQLite engine.

use std::path::Path;

use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use stompbox_store::{Operation, StoreError, StoreEvent};

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;
use crate::session::{Session, events, said};
use crate::small_disk::{limit, on_small_disk, used};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A store that needs little: 1 MiB of reserve, 2 MiB to resume.
fn modest(harness: &SqliteHarness) -> SqliteOptions {
    SqliteOptions {
        reserve_bytes: MIB,
        resume_bytes: 2 * MIB,
        wal_checkpoint_bytes: 256 * KIB,
        wal_pause_bytes: MIB,
        ..harness.options()
    }
}

fn started(options: &dyn Fn(&SqliteHarness) -> SqliteOptions) -> (SqliteHarness, Session) {
    let harness = SqliteHarness::new();
    let mut session = harness.open_with(options(&harness));
    session.run([queue(1, "a")]);
    (harness, session)
}

fn folder(harness: &SqliteHarness) -> &Path {
    harness.folder()
}

fn kilobyte(sequence: i64) -> Operation {
    Operation::Append(append_sized(key(1, 4, sequence), sequence, vec![7; 1_000]))
}

/// Appends, so many in a commit, until the disk is full. Returns how many were taken.
fn append_until_refused(session: &mut Session, from: i64, step: i64) -> i64 {
    for n in (from..from + 1_000_000).step_by(step as usize) {
        session.run((n..n + step).map(kilobyte));
        if !session.refused().is_empty() {
            assert!(session.store.statistics().is_full);
            return n - from;
        }
    }
    panic!("never full");
}

fn settle_all(session: &mut Session, sequences: std::ops::Range<i64>, step: usize) {
    for first in sequences.clone().step_by(step) {
        let last = (first + step as i64).min(sequences.end);
        session.run((first..last).map(|n| settle(key(1, 4, n))));
    }
    assert_eq!(session.refused().len(), 0);
}

#[test]
fn everything_taken_before_the_disk_is_full_can_be_drained() {
    on_small_disk(|| {
        for step in [1, 7, 400] {
            let (harness, mut session) = started(&modest);
            limit(folder(&harness), &[("*", used(folder(&harness)) + 3 * MIB)]);
            let taken = append_until_refused(&mut session, 0, 1);
            assert!(taken > 500, "{taken}");
            assert!(!folder(&harness).join("reserve").exists());
            assert_eq!(session.sequences(1, 4), (0..taken).collect::<Vec<_>>());
            // Every other one first: no page becomes free, each is written again.
            for first in (0..taken).step_by(2 * step) {
                let some = (first..first + 2 * step as i64).step_by(2);
                session.run(some.map(|n| settle(key(1, 4, n))));
            }
            harness.check_bodies();
            settle_all(&mut session, 0..taken, step);
            assert_eq!(session.sequences(1, 4), []);
            harness.check_bodies();
            session.close(awaited([])).expect("a clean stop");
        }
    });
}

#[test]
fn store_on_a_disk_that_its_own_database_fills_resumes_when_it_is_drained() {
    on_small_disk(|| {
        let (harness, mut session) = started(&modest);
        limit(folder(&harness), &[("*", used(folder(&harness)) + 8 * MIB)]);
        let mut first = 0;
        for _round in 0..3 {
            let taken = append_until_refused(&mut session, first, 100);
            assert!(taken > 500, "{taken}");
            settle_all(&mut session, first..first + taken, 100);
            // The file is as large as before; what is free in it counts.
            session.wait_resumed();
            assert!(session.store.statistics().database_free_bytes > MIB);
            assert!(folder(&harness).join("reserve").exists());
            first += taken + 100;
        }
        harness.check_bodies();
    });
}

#[test]
fn quota_is_as_good_as_a_full_disk() {
    on_small_disk(|| {
        let (harness, mut session) = started(&modest);
        let bytes = used(folder(&harness)) + 3 * MIB;
        limit(folder(&harness), &[("*", bytes), ("quota", 1)]);
        let taken = append_until_refused(&mut session, 0, 1);
        assert!(taken > 200, "{taken}");
        settle_all(&mut session, 0..100, 1);
        limit(folder(&harness), &[]);
        session.wait_resumed();
        session.run([kilobyte(1_000_000)]);
        assert_eq!(session.refused().len(), 0);
        harness.check_bodies();
    });
}

/// The log's index grows by 32 KiB when the log has 4,062 frames. It is written when the commit is in the log already,
/// complete: nothing of it may come back.
#[test]
fn commit_that_fails_for_the_index_of_the_log_leaves_no_trace() {
    on_small_disk(|| {
        check_index_of_the_log(&|n| vec![appended(key(1, 4, n))]);
        check_index_of_the_log(&|n| vec![appended(key(1, 4, n)), settle(key(1, 4, n - 100))]);
    });
}

fn check_index_of_the_log(batch: &dyn Fn(i64) -> Vec<Operation>) {
    const FRAME_BYTES: u64 = 4096 + 24;
    let large_log = |harness: &SqliteHarness| SqliteOptions {
        wal_checkpoint_bytes: 1 << 30,
        wal_pause_bytes: 1 << 30,
        wal_restart_bytes: 1 << 30,
        ..harness.options()
    };
    let (harness, mut session) = started(&large_log);
    let mut n = 0;
    while session.store.statistics().wal_bytes / FRAME_BYTES < 4_062 - 5 {
        n += 1;
        session.run([appended(key(1, 4, n))]);
    }
    let log = session.store.statistics().wal_bytes;
    // Four frames at least go into a commit like those before, and less than 32 KiB.
    limit(
        folder(&harness),
        &[("*", used(folder(&harness)) + 30 * KIB), ("quota", 1)],
    );
    let mut refused = Vec::new();
    while refused.is_empty() {
        n += 1;
        session.run(batch(n));
        refused.extend(session.refused());
    }
    assert_eq!(
        refused.iter().map(said).collect::<Vec<_>>(),
        [format!("append 1/4/{n}")]
    );
    assert!(session.store.statistics().wal_bytes < log + 10 * FRAME_BYTES);
    let crashed = SqliteHarness::new();
    for file in ["stompbox.db", "stompbox.db-wal"] {
        let (from, to) = (folder(&harness).join(file), folder(&crashed).join(file));
        std::fs::copy(from, to).expect("a copy");
    }
    let mut survivor = crashed.open_with(crashed.options());
    let sequences = survivor.sequences(1, 4);
    assert_eq!(sequences.last(), Some(&(n - 1)));
    assert_eq!(sequences, session.sequences(1, 4));
    crashed.check_bodies();
}

#[test]
fn damaged_entry_waits_for_room() {
    on_small_disk(|| {
        let (mut harness, mut session) = started(&modest);
        session.run((0..4).map(kilobyte));
        harness.fill(stompbox_store::Medium::Database);
        append_until_refused(&mut session, 10, 1);
        harness.corrupt(stompbox_store::MessageNumber(2));
        let found = session.read(page(1, 4));
        assert_eq!(found.quarantined, [stompbox_store::Sequence(2)]);
        assert_eq!(found.rows.len(), 3);
        assert_eq!(session.store.statistics().quarantined_count, 0);
        assert_eq!(harness.number("SELECT count(*) FROM entry"), 4);
        harness.free(stompbox_store::Medium::Database);
        session.wait_resumed();
        assert_eq!(session.read(page(1, 4)).quarantined.len(), 1);
        assert_eq!(session.store.statistics().quarantined_count, 1);
        assert_eq!(harness.number("SELECT count(*) FROM quarantine"), 1);
        harness.check_bodies();
    });
}

/// Each takes a row: as many as somebody likes would take the reserve, and then nothing could be deleted any more.
#[test]
fn acknowledgements_out_of_order_do_not_use_up_the_reserve() {
    on_small_disk(|| {
        let (harness, mut session) = started(&modest);
        session.run([topic(2, "t"), subscribe(1, 2, 0), subscribe(2, 2, 0)]);
        limit(folder(&harness), &[("*", used(folder(&harness)) + 3 * MIB)]);
        let taken = append_until_refused(&mut session, 0, 20);
        let mut passed = 1;
        while session.refused().is_empty() {
            session.run((passed..passed + 400).map(|n| pass(1 + n % 2, n)));
            passed += 400;
            assert!(passed < 1_000_000, "never refused");
        }
        assert!(passed > 10_000, "{passed}");
        let exceptions = "SELECT count(*) FROM subscription_exception";
        assert_eq!(harness.number(exceptions), passed - 401);
        // It goes on, and so for as long as it is asked to.
        for n in 0..200 {
            session.run((0..400).map(|m| pass(1, passed + n * 400 + m)));
            assert!(!session.refused().is_empty());
        }
        settle_all(&mut session, 0..taken / 2, 7);
        session.run([floor(1, passed)]);
        assert_eq!(session.refused().len(), 0);
        harness.check_bodies();
        limit(folder(&harness), &[]);
        session.wait_resumed();
        session.run([pass(2, passed)]);
        assert_eq!(session.refused().len(), 0);
    });
}

#[test]
fn first_start_whose_lock_file_finds_no_room_says_so() {
    on_small_disk(|| {
        let harness = SqliteHarness::new();
        limit(folder(&harness), &[("stompbox.lock", 0)]);
        let refusal = SqliteStore::open(modest(&harness), 1_000, events().0).map(drop);
        let text = refusal.as_ref().map_err(ToString::to_string);
        assert!(matches!(refusal, Err(StoreError::Full { .. })), "{text:?}");
        limit(folder(&harness), &[]);
        harness.open_with(modest(&harness)).run([queue(1, "a")]);
    });
}

#[test]
fn full_disk_without_a_reserve_is_the_end() {
    on_small_disk(|| {
        let none = |harness: &SqliteHarness| SqliteOptions {
            reserve_bytes: 0,
            ..harness.options()
        };
        let (mut harness, mut session) = started(&none);
        assert!(!folder(&harness).join("reserve").exists());
        harness.fill(stompbox_store::Medium::Database);
        session.store.submit(awaited([kilobyte(1), queue(2, "b")]));
        assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
        assert_eq!(session.refused().len(), 0);
    });
}

#[test]
fn reserve_is_really_taken_and_kept_over_lives() {
    let harness = SqliteHarness::new();
    let reserve = folder(&harness).join("reserve");
    let blocks = |file: &Path| {
        let metadata = std::fs::metadata(file).expect("a file");
        let blocks = std::os::unix::fs::MetadataExt::blocks(&metadata);
        (metadata.len(), blocks * 512)
    };
    harness.open_with(harness.options()).crash();
    let (length, taken) = blocks(&reserve);
    assert_eq!(length, 16 * MIB);
    assert!(taken >= length, "{taken} bytes are taken");
    let larger = SqliteOptions {
        reserve_bytes: 17 * MIB,
        ..harness.options()
    };
    harness.open_with(larger).crash();
    assert_eq!(blocks(&reserve).0, 17 * MIB);
    let none = SqliteOptions {
        reserve_bytes: 0,
        ..harness.options()
    };
    harness.open_with(none).crash();
    assert!(!reserve.exists());
}

#[test]
fn start_on_a_full_disk_gives_up_the_reserve() {
    on_small_disk(|| {
        let (mut harness, mut session) = started(&modest);
        session.run((0..300).map(kilobyte));
        session.close(awaited([])).expect("a clean stop");
        harness.fill(stompbox_store::Medium::Database);
        let mut session = harness.open_with(modest(&harness));
        assert!(session.store.statistics().is_full);
        assert!(!folder(&harness).join("reserve").exists());
        assert_eq!(session.recovered.epoch.0, 2);
        settle_all(&mut session, 0..300, 20);
        session.run([kilobyte(1_000)]);
        assert_eq!(session.refused().len(), 1);
    });
}

#[test]
fn start_on_a_disk_without_any_room_says_so() {
    on_small_disk(|| {
        let (mut harness, session) = started(&modest);
        session.close(awaited([])).expect("a clean stop");
        std::fs::remove_file(folder(&harness).join("reserve")).expect("a reserve");
        harness.fill(stompbox_store::Medium::Database);
        let refusal = SqliteStore::open(modest(&harness), 1_000, events().0).map(drop);
        let text = refusal.as_ref().map_err(ToString::to_string);
        assert!(matches!(refusal, Err(StoreError::Full { .. })), "{text:?}");
        harness.free(stompbox_store::Medium::Database);
        harness.open().run([kilobyte(1)]);
    });
}

#[test]
fn first_start_on_a_disk_too_small_for_the_reserve_is_full() {
    on_small_disk(|| {
        let harness = SqliteHarness::new();
        limit(folder(&harness), &[("*", 4 * MIB)]);
        let mut session = harness.open_with(harness.options());
        assert!(session.store.statistics().is_full);
        session.run([queue(1, "a"), kilobyte(1)]);
        assert_eq!(session.refused().len(), 1);
        limit(folder(&harness), &[]);
        session.wait_resumed();
        session.run([kilobyte(1)]);
        assert_eq!(session.sequences(1, 4), [1]);
    });
}
