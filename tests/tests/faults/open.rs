//! Databases that cannot be opened: refused before anything is announced, and left as they are.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use rusqlite::Connection;

use crate::scene::{Scene, check_refused, serve};

/// A way to spoil a database, and what the broker says to it.
struct Fault {
    name: &'static str,
    spoil: fn(&Path) -> Result<()>,
    says: &'static [&'static str],
}

const DAMAGED: &[&str] = &["stompbox.db is damaged", "restore a backup", ".recover"];
const FOREIGN: &[&str] = &["is not a stompbox database", "--data"];

const FAULTS: [Fault; 15] = [
    Fault {
        name: "truncated to nothing",
        spoil: |file| truncate(file, 0),
        says: DAMAGED,
    },
    Fault {
        name: "truncated within its header",
        spoil: |file| truncate(file, 50),
        says: DAMAGED,
    },
    Fault {
        name: "truncated within its first page",
        spoil: |file| truncate(file, 1_000),
        says: DAMAGED,
    },
    Fault {
        name: "truncated to some pages",
        spoil: |file| truncate(file, 5 * 4_096),
        says: DAMAGED,
    },
    Fault {
        name: "another file",
        spoil: |file| {
            Ok(fs::write(
                file,
                "no database, and longer than a header: ".repeat(10),
            )?)
        },
        says: FOREIGN,
    },
    Fault {
        name: "another program's database",
        spoil: |file| {
            fs::remove_file(file)?;
            sql(file, "CREATE TABLE theirs (a)")
        },
        says: FOREIGN,
    },
    Fault {
        name: "a newer schema",
        spoil: |file| sql(file, "PRAGMA user_version = 99"),
        says: &["schema version 99", "use a newer stompbox"],
    },
    Fault {
        name: "a table is missing",
        spoil: |file| sql(file, "DROP TABLE entry"),
        says: DAMAGED,
    },
    Fault {
        name: "a table is another one",
        spoil: |file| sql(file, "DROP TABLE tally; CREATE TABLE tally (a)"),
        says: DAMAGED,
    },
    Fault {
        name: "an epoch that is no number",
        spoil: |file| sql(file, "UPDATE meta SET value = 'x' WHERE key = 'epoch'"),
        says: DAMAGED,
    },
    Fault {
        name: "a negative epoch",
        spoil: |file| sql(file, "UPDATE meta SET value = -1 WHERE key = 'epoch'"),
        says: DAMAGED,
    },
    Fault {
        name: "an epoch that has no next",
        spoil: |file| sql(file, "UPDATE meta SET value = 8388607 WHERE key = 'epoch'"),
        says: DAMAGED,
    },
    Fault {
        name: "a page of the schema is noise",
        spoil: |file| noise(file, 100, 3_996),
        says: DAMAGED,
    },
    Fault {
        name: "all other pages are noise",
        spoil: |file| {
            let length = fs::metadata(file)?.len();
            noise(file, 4_096, length - 4_096)
        },
        says: DAMAGED,
    },
    Fault {
        name: "the header is noise",
        spoil: |file| noise(file, 0, 100),
        says: FOREIGN,
    },
];

fn truncate(file: &Path, bytes: u64) -> Result<()> {
    Ok(OpenOptions::new().write(true).open(file)?.set_len(bytes)?)
}

fn noise(file: &Path, at: u64, bytes: u64) -> Result<()> {
    let noise: Vec<u8> = (0..bytes).map(|n| (n * 167 + 41) as u8 | 0x80).collect();
    Ok(OpenOptions::new()
        .write(true)
        .open(file)?
        .write_all_at(&noise, at)?)
}

fn sql(file: &Path, statements: &str) -> Result<()> {
    Ok(Connection::open(file)?.execute_batch(statements)?)
}

#[test]
fn a_database_that_is_damaged_foreign_or_newer_is_refused_with_advice_and_left_alone() -> Result<()>
{
    for fault in &FAULTS {
        let scene = Scene::new()?;
        (fault.spoil)(&scene.database())?;
        let before = fs::read(scene.database())?;
        let output = serve(&scene.data())?;
        check_refused(fault.name, &output, 1, fault.says)?;
        ensure!(
            fs::read(scene.database())? == before,
            "{}: it was changed",
            fault.name
        );
    }
    Ok(())
}
