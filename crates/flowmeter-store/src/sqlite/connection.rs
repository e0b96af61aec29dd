//! Connections: opening, the settings that each needs, the format's version and the way from older ones.
//!
//! Never changes a file that a newer program wrote, or that is no history.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::SqliteConfig;
use crate::StoreError;

/// `flow` in the header of the file.
const APPLICATION_ID: i64 = 0x666c_6f77;
/// What takes a file of format `i` to format `i + 1`, first to last.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql")];
/// The format that this program writes.
pub(super) const FORMAT: i64 = MIGRATIONS.len() as i64;

/// Opens a connection to a file of the present format.
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Absent`] and [`StoreError::Open`].
pub(super) fn open(path: &Path, config: &SqliteConfig) -> Result<Connection, StoreError> {
    let failed = |source: rusqlite::Error| StoreError::Open {
        path: path.to_owned(),
        source: source.into(),
    };
    if !path.exists() {
        if !config.create {
            return Err(StoreError::Absent {
                path: path.to_owned(),
            });
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| StoreError::Open {
                path: path.to_owned(),
                source: source.into(),
            })?;
        }
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection
        .busy_timeout(Duration::from_millis(config.busy_ms_max))
        .map_err(failed)?;
    let format = check(&connection, path)?;
    if format < FORMAT {
        if format == 0 {
            // Before the first table is made.
            connection
                .pragma_update(None, "page_size", 8_192)
                .map_err(failed)?;
            connection
                .pragma_update(None, "auto_vacuum", "INCREMENTAL")
                .map_err(failed)?;
        }
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(failed)?;
        migrate(&mut connection, path)?;
    }
    connection
        .pragma_update(None, "synchronous", "NORMAL")
        .map_err(failed)?;
    connection
        .pragma_update(None, "secure_delete", "ON")
        .map_err(failed)?;
    connection
        .pragma_update(None, "foreign_keys", "OFF")
        .map_err(failed)?;
    Ok(connection)
}

/// The format of the file; 0 of an empty one.
fn check(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        Ok((
            number("application_id")?,
            number("user_version")?,
            number("page_count")?,
        ))
    };
    let (application, format, pages) = read().map_err(|source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::Foreign {
            path: path.to_owned(),
        },
        _ => StoreError::Open {
            path: path.to_owned(),
            source: source.into(),
        },
    })?;
    if application != APPLICATION_ID && (application != 0 || format != 0 || pages > 1) {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    if format > FORMAT {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    Ok(format)
}

/// Takes the file to the present format, in one transaction: another process may be doing the same.
fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |source: rusqlite::Error| StoreError::Open {
        path: path.to_owned(),
        source: source.into(),
    };
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let format = check(&transaction, path)?;
    let steps = MIGRATIONS.iter().skip(usize::try_from(format).unwrap_or(0));
    for step in steps {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(failed)?;
    transaction
        .pragma_update(None, "user_version", FORMAT)
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}
