//! The file's schema: whose file it is, which version, and the way from each version to the next.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::StoreError;
use crate::sqlite::connection::unopened;

/// `stbx`: tells `file` and us that the database is ours.
const APPLICATION_ID: i64 = 0x7374_6278;

/// Entry n leads from version n to n + 1. Only ever appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_v1.sql"),
    include_str!("schema_v2.sql"),
    include_str!("schema_v3.sql"),
    include_str!("schema_v4.sql"),
];

/// Makes the newest version's tables and views in a database without any.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    create_version(connection, MIGRATIONS.len())
}

fn create_version(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    let mut scripts = MIGRATIONS.iter().take(version);
    scripts.try_for_each(|script| connection.execute_batch(script))
}

/// Checks that the file is ours and not from the future, before anything is written to it.
pub(super) fn check(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let known = MIGRATIONS.len() as i64;
    let found = version(connection, file)?;
    if found > known {
        return Err(StoreError::Newer {
            file: file.to_owned(),
            found,
            known,
        });
    }
    let changed = changed_tables(connection, found).map_err(unopened(file))?;
    if changed.is_empty() {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        file: file.to_owned(),
        detail: format!(
            "tables or indexes are missing or were changed: {}",
            changed.join(", ")
        ),
    })
}

/// Tables and indexes that are not as this version of the schema made them. Views are the user's to change.
fn changed_tables(connection: &Connection, version: i64) -> rusqlite::Result<Vec<String>> {
    let ours = Connection::open_in_memory()?;
    create_version(&ours, usize::try_from(version).unwrap_or(0))?;
    let mut expected = ours.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL",
    )?;
    let mut found = connection.prepare("SELECT sql FROM sqlite_schema WHERE name = ?")?;
    let mut changed = Vec::new();
    let mut rows = expected.query([])?;
    while let Some(row) = rows.next()? {
        let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
        let theirs: Option<String> = found.query_row([&name], |row| row.get(0)).optional()?;
        if theirs.as_ref() != Some(&sql) {
            changed.push(name);
        }
    }
    Ok(changed)
}

/// Brings the file to the newest version, in one commit.
pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<(), StoreError> {
    let failed = unopened(file);
    let known = MIGRATIONS.len();
    let found = usize::try_from(version(connection, file)?).unwrap_or(known);
    if found >= known {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(&failed)?;
    for script in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(script).map_err(&failed)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(&failed)?;
    transaction
        .pragma_update(None, "user_version", known as i64)
        .map_err(&failed)?;
    transaction.commit().map_err(&failed)?;
    if found > 0 {
        tracing::info!(from = found, to = known, file = %file.display(), "the database has a new schema");
    }
    Ok(())
}

/// The schema version; 0 for a file without any content.
fn version(connection: &Connection, file: &Path) -> Result<i64, StoreError> {
    let failed = unopened(file);
    let number = |pragma: &str| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(&failed)
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION_ID {
        return Ok(version);
    }
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(&failed)?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(0);
    }
    Err(StoreError::Foreign {
        file: file.to_owned(),
        detail: format!("application id {application:#010x}, {tables} tables and indexes"),
    })
}
