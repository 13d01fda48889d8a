//! What a test can do with a memory disk that no real one lets it do.

use stompbox_store::memory::{Fault, MemoryDisk, MemoryStore};
use stompbox_store::{Medium, StoreError, StoreEvent, Ticket};

use crate::message::*;
use crate::session::{Session, events, said};

fn open(disk: &MemoryDisk) -> Session {
    let (sink, receiver) = events();
    let (store, recovered) = MemoryStore::open(disk.clone(), 1_000, sink).expect("an open store");
    Session::new((Box::new(store), recovered), receiver)
}

/// A disk with a queue that holds entry 1, and a store on it.
fn started() -> (MemoryDisk, Session) {
    let disk = MemoryDisk::default();
    let mut session = open(&disk);
    session
        .store
        .submit(awaited([queue(1, "a"), appended(key(1, 4, 1))]));
    disk.run_until_idle();
    session.wait(Ticket(1));
    (disk, session)
}

fn submit(session: &mut Session, sequence: i64) -> Ticket {
    session
        .store
        .submit(awaited([appended(key(1, 4, sequence))]))
}

fn sequences(disk: &MemoryDisk, session: &mut Session) -> Vec<i64> {
    disk.run_immediately(true);
    session.sequences(1, 4)
}

#[test]
fn nothing_happens_by_itself() {
    let (disk, mut session) = started();
    submit(&mut session, 2);
    submit(&mut session, 3);
    session.store.read_page(page(1, 4));
    assert_eq!((disk.pending_batches(), disk.pending_reads()), (2, 1));
    assert_eq!(session.store.backlog().operations, 2);
    assert!(session.events.try_recv().is_err());
}

#[test]
fn one_commit_reports_one_watermark() {
    let (disk, mut session) = started();
    let tickets: Vec<_> = (2..6).map(|n| submit(&mut session, n)).collect();
    assert_eq!(disk.commit(3), 3);
    assert!(matches!(session.next_event(), StoreEvent::Durable(ticket) if ticket == tickets[2]));
    assert!(session.events.try_recv().is_err());
    assert!(disk.step());
    assert!(!disk.step());
    session.wait(tickets[3]);
}

#[test]
fn answer_may_come_after_commits_that_it_has_not_seen() {
    let (disk, mut session) = started();
    session.store.read_page(page(1, 4));
    session.store.read_expired(10, 10);
    disk.begin_read(0);
    let ticket = submit(&mut session, 2);
    disk.commit(1);
    assert!(disk.finish_read(1));
    assert!(disk.finish_read(0));
    assert!(matches!(session.next_event(), StoreEvent::Durable(through) if through == ticket));
    assert!(matches!(session.next_event(), StoreEvent::Expired(_)));
    assert!(matches!(session.next_event(), StoreEvent::Page(page) if page.rows.len() == 1));
}

#[test]
fn crash_loses_what_is_not_committed_and_tells_nobody() {
    let (disk, mut session) = started();
    for n in 2..6 {
        submit(&mut session, n);
    }
    session.store.read_page(page(1, 4));
    disk.commit(1);
    session.wait(Ticket(2));
    disk.crash();
    submit(&mut session, 9);
    disk.run_until_idle();
    assert!(session.events.try_recv().is_err());
    let mut next = open(&disk);
    drop(session);
    assert_eq!(next.recovered.uncertain_through.0, 1);
    assert_eq!(sequences(&disk, &mut next), [1, 2]);
}

#[test]
fn crash_may_follow_a_commit_that_was_not_reported() {
    let (disk, mut session) = started();
    submit(&mut session, 2);
    submit(&mut session, 3);
    disk.crash_after(1);
    assert!(session.events.try_recv().is_err());
    assert_eq!(sequences(&disk, &mut open(&disk)), [1, 2]);
}

/// A planned failure of the next commit must be told once, be the end, and leave `left`.
fn check(fault: Fault, left: &[i64]) {
    let (disk, mut session) = started();
    disk.inject(fault);
    submit(&mut session, 2);
    disk.run_until_idle();
    assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
    submit(&mut session, 3);
    disk.run_until_idle();
    assert!(session.events.try_recv().is_err());
    session
        .close(awaited([]))
        .expect_err("a failed store does not stop cleanly");
    assert!(!disk.is_clean());
    assert_eq!(sequences(&disk, &mut open(&disk)), left, "{fault:?}");
}

#[test]
fn failed_commit_poisons_the_store_and_may_yet_be_durable() {
    check(Fault::CommitLost, &[1]);
    check(Fault::CommitKept, &[1, 2]);
}

#[test]
fn failed_read_poisons_the_store() {
    let (disk, mut session) = started();
    disk.inject(Fault::Read);
    session.store.read_page(page(1, 4));
    disk.run_until_idle();
    assert!(matches!(session.next_event(), StoreEvent::Failed(_)));
}

#[test]
fn failed_last_commit_leaves_no_clean_mark() {
    let (disk, session) = started();
    disk.inject(Fault::CommitLost);
    session.close(awaited([])).expect_err("a failed close");
    assert!(!disk.is_clean());
    assert_eq!(open(&disk).recovered.uncertain_through.0, 1);
}

#[test]
fn delay_holds_steps_up() {
    let (disk, mut session) = started();
    disk.inject(Fault::Delay(2));
    submit(&mut session, 2);
    assert!(disk.step() && disk.step());
    assert_eq!(disk.pending_batches(), 1);
    assert!(disk.step());
    assert_eq!(disk.pending_batches(), 0);
}

#[test]
fn lost_scratch_file_takes_its_entries_along_and_tells_nobody() {
    let (disk, mut session) = started();
    session
        .store
        .submit(awaited([scratched(key(1, 4, 2)), appended(key(1, 4, 3))]));
    disk.run_until_idle();
    session.wait(Ticket(2));
    assert_eq!(session.store.statistics().scratch_bytes, 18);
    disk.lose_scratch();
    assert!(session.events.try_recv().is_err());
    assert_eq!(sequences(&disk, &mut session), [1, 3]);
    session.run([settle_scratch(key(1, 4, 2)), scratched(key(1, 4, 4))]);
    assert_eq!(sequences(&disk, &mut session), [1, 3, 4]);
}

#[test]
fn crash_on_a_full_disk_keeps_what_had_room() {
    let (disk, mut session) = started();
    disk.fill(Medium::Database);
    session
        .store
        .submit(awaited([appended(key(1, 4, 2)), settle(key(1, 4, 1))]));
    disk.crash_after(1);
    assert!(session.events.try_recv().is_err());
    let mut next = open(&disk);
    assert!(next.store.statistics().is_full);
    assert_eq!(sequences(&disk, &mut next), []);
}

#[test]
fn refusal_concerns_the_whole_commit() {
    let (disk, mut session) = started();
    disk.fill(Medium::Database);
    submit(&mut session, 2);
    submit(&mut session, 3);
    session.store.submit(awaited([settle(key(1, 4, 2))]));
    assert_eq!(disk.commit(3), 3);
    session.wait(Ticket(4));
    let refused = session.refused();
    assert_eq!(
        refused.iter().map(said).collect::<Vec<_>>(),
        ["append 1/4/3"]
    );
    disk.free(Medium::Database);
    session.wait_resumed();
}

#[test]
fn second_store_on_a_disk_is_refused_until_the_first_is_gone() {
    let (disk, session) = started();
    let again = MemoryStore::open(disk.clone(), 1_000, events().0).map(drop);
    assert!(matches!(again, Err(StoreError::InUse { .. })));
    session.crash();
    open(&disk);
}
