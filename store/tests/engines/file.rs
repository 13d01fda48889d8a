//! The folder and the file: whose they are, who may use them, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use stompbox_store::{Recovered, StoreError};

use crate::harness::{Harness, SqliteHarness};
use crate::message::*;
use crate::session::events;

fn open(folder: &Path) -> Result<(SqliteStore, Recovered), StoreError> {
    SqliteStore::open(SqliteOptions::new(folder), 1_000, events().0)
}

fn refusal(folder: &Path) -> StoreError {
    open(folder).map(drop).expect_err("a refusal")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path)
        .expect("a file")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn folder_and_files_are_private() {
    let scratch = tempfile::tempdir().expect("a folder");
    let folder = scratch.path().join("deeper/data");
    let _open = open(&folder).expect("an open store");
    assert_eq!(mode(&folder), 0o700);
    for file in [
        "stompbox.db",
        "stompbox.db-wal",
        "stompbox.db-shm",
        "stompbox.lock",
    ] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
}

#[test]
fn second_store_on_a_folder_is_refused_until_the_first_is_gone() {
    let mut harness = SqliteHarness::new();
    let folder = harness.options().folder;
    let session = harness.open();
    assert!(matches!(refusal(&folder), StoreError::InUse { .. }));
    session.crash();
    let session = harness.open();
    assert!(matches!(refusal(&folder), StoreError::InUse { .. }));
    session.close(awaited([])).expect("a clean stop");
    harness.open();
}

#[test]
fn folder_that_cannot_be_made_is_refused() {
    let scratch = tempfile::tempdir().expect("a folder");
    let file = scratch.path().join("file");
    std::fs::write(&file, "a file").expect("a file");
    assert!(matches!(refusal(&file), StoreError::Folder { .. }));
    assert!(matches!(
        refusal(&file.join("below")),
        StoreError::Folder { .. }
    ));
}

#[test]
fn foreign_files_are_refused_and_left_alone() {
    let text = b"this is not a database, and longer than the header of one: ".repeat(20);
    let harness = SqliteHarness::new();
    std::fs::write(harness.file(), &text).expect("a file");
    assert!(matches!(
        refusal(&harness.options().folder),
        StoreError::Foreign { .. }
    ));
    assert_eq!(std::fs::read(harness.file()).expect("a file"), text);

    let harness = SqliteHarness::new();
    harness
        .database()
        .execute_batch("CREATE TABLE theirs (a)")
        .expect("a table");
    let before = std::fs::read(harness.file()).expect("a file");
    assert!(matches!(
        refusal(&harness.options().folder),
        StoreError::Foreign { .. }
    ));
    assert_eq!(std::fs::read(harness.file()).expect("a file"), before);
}

#[test]
fn newer_schema_is_refused() {
    let mut harness = SqliteHarness::new();
    harness.open().close(awaited([])).expect("a clean stop");
    harness
        .database()
        .pragma_update(None, "user_version", 99)
        .expect("a newer version");
    match refusal(&harness.options().folder) {
        StoreError::Newer { found, known, .. } => assert_eq!((found, known), (99, 4)),
        other => panic!("{other}"),
    }
}

#[test]
fn damaged_file_is_refused() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run(
        [queue(1, "a")]
            .into_iter()
            .chain((0..500).map(|n| appended(key(1, 4, n)))),
    );
    session.close(awaited([])).expect("a clean stop");
    // All but the first page, which tells whose file it is.
    let mut bytes = std::fs::read(harness.file()).expect("a file");
    bytes[4096..].fill(0xA5);
    std::fs::write(harness.file(), bytes).expect("a file");
    assert!(matches!(
        refusal(&harness.options().folder),
        StoreError::Corrupt { .. }
    ));
}

#[test]
fn clean_stop_leaves_no_log() {
    let mut harness = SqliteHarness::new();
    let mut session = harness.open();
    session.run([queue(1, "a"), appended(key(1, 4, 1))]);
    session.close(awaited([])).expect("a clean stop");
    let log = harness.file().with_file_name("stompbox.db-wal");
    assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0);
    assert_eq!(harness.number("PRAGMA application_id"), 0x7374_6278);
    assert_eq!(harness.number("PRAGMA user_version"), 4);
}
