//! Connections: opening, the settings that each needs, the format's version and the way from older ones.
//!
//! Never changes a file that a newer program wrote, or that is no history.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteConfig;
use super::locking::{self, Patience};
use crate::StoreError;
use header::{Header, header_of, judge, open_immutable};

/// `flow` in the header of the file.
const APPLICATION_ID: i64 = 0x666c_6f77;
/// What takes a file of format `i` to format `i + 1`, first to last.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql")];
/// The format that this program writes.
pub(super) const FORMAT: i64 = MIGRATIONS.len() as i64;
/// Statements that a connection keeps ready.
const STATEMENTS_KEPT: usize = 64;
/// Pages that a connection keeps in memory at most, KiB: one that writes, and one that asks. A list along an index reads
/// a page for each row that it looks at.
const CACHE_KIB: i64 = 8_192;
const CACHE_ASKING_KIB: i64 = 16_384;
/// The log of changes is cut to this when it begins anew, bytes: above what it reaches when much is written, because the
/// system is slow to take the place away and to give it again.
const WAL_BYTES_KEPT: i64 = 96 << 20;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Asking.
    Read,
    /// Changing.
    Write,
}

/// Makes sure that there is a file of the present format, without holding on to it.
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Absent`] and [`StoreError::Open`].
pub(super) fn prepare(path: &Path, config: &SqliteConfig) -> Result<(), StoreError> {
    match header_of(path)? {
        Header::Absent if !config.create => Err(StoreError::Absent {
            path: path.to_owned(),
        }),
        Header::Absent => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|source| StoreError::Open {
                    path: path.to_owned(),
                    source: source.into(),
                })?;
            }
            create_private(path);
            open(path, config, Purpose::Write).map(drop)
        }
        Header::Present { format } if format == FORMAT => Ok(()),
        // What can be told of a damaged file is told to whoever asks.
        Header::Unclear => Ok(()),
        Header::Present { .. } | Header::Empty => open(path, config, Purpose::Write).map(drop),
    }
}

/// Makes an empty file, unless there is one: prompts and answers are nobody else's to read.
pub(super) fn create_private(path: &Path) {
    // Under another name first: closing a file gives up all locks that this process has on it, and another thread may
    // have opened it already.
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let made = tempfile::Builder::new().prefix(name).tempfile_in(folder);
    // When this fails, opening says why.
    let _made = made.map(|made| made.into_temp_path().persist_noclobber(path));
}

/// Opens a connection to a file of the present format; an older file is brought to it first.
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Absent`] and [`StoreError::Open`].
pub(super) fn open(path: &Path, config: &SqliteConfig, purpose: Purpose) -> Result<Connection, StoreError> {
    if header_of(path)? == Header::Absent && purpose == Purpose::Read {
        return Err(StoreError::Absent {
            path: path.to_owned(),
        });
    }
    match open_writable(path, config, purpose) {
        Err(Refusal::Sqlite(error)) if purpose == Purpose::Read && may_be_read_only(&error) => {
            open_read_only(path, config).map_err(|refusal| refusal.into_error(path))
        }
        opened => opened.map_err(|refusal| refusal.into_error(path)),
    }
}

/// Why a file could not be opened.
enum Refusal {
    Store(StoreError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Refusal {
    fn into_error(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => StoreError::Foreign {
                    path: path.to_owned(),
                },
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseCorrupt) => error.into(),
                _ => StoreError::Open {
                    path: path.to_owned(),
                    source: error.into(),
                },
            },
        }
    }
}

fn may_be_read_only(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

fn open_writable(path: &Path, config: &SqliteConfig, purpose: Purpose) -> Result<Connection, Refusal> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    // Until it is known to be ours, nothing may be moved from the log of changes into the file.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(Duration::from_millis(config.busy_ms_max))?;
    let format = check(&connection, path)?;
    if format < FORMAT {
        let mut patience = Patience::new(config.busy_ms_max);
        while let Err(refusal) = bring_up(&mut connection, path, config, format) {
            match refusal {
                Refusal::Sqlite(error) if super::failure::is_busy(&error) && patience.wait() => {}
                other => return Err(other),
            }
        }
    }
    configure(&connection, purpose)?;
    if purpose == Purpose::Write {
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        if let Some(pages) = config.pages_max {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    }
    Ok(connection)
}

/// A file, or its folder, that may not be written to.
fn open_read_only(path: &Path, config: &SqliteConfig) -> Result<Connection, Refusal> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let plain = || -> Result<Connection, Refusal> {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_millis(config.busy_ms_max))?;
        check(&connection, path)?;
        configure(&connection, Purpose::Read)?;
        Ok(connection)
    };
    match plain() {
        Err(Refusal::Sqlite(error)) if may_be_read_only(&error) && !has_log(path) => {
            // Nobody can be writing to it, so it needs no locks, for which there is no place.
            let connection = open_immutable(path)?;
            check(&connection, path)?;
            configure(&connection, Purpose::Read)?;
            Ok(connection)
        }
        opened => opened,
    }
}

/// Whether changes wait beside the file.
fn has_log(path: &Path) -> bool {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    std::fs::metadata(name).is_ok_and(|metadata| metadata.len() > 0)
}

fn configure(connection: &Connection, purpose: Purpose) -> rusqlite::Result<()> {
    let cache_kib = match purpose {
        Purpose::Read => CACHE_ASKING_KIB,
        Purpose::Write => CACHE_KIB,
    };
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Plans that hold whatever is bound: otherwise SQLite prepares a statement over `run` anew for each value, to see
    // whether one of the indexes that hold some runs only fits it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", "OFF")
}

/// The format of the file, what waits in its log of changes included; 0 of an empty one.
fn check(connection: &Connection, path: &Path) -> Result<i64, Refusal> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let marks =
        || -> rusqlite::Result<(i64, i64)> { Ok((number("application_id")?, number("user_version")?)) };
    let ((mut application, mut format), mut pages) = (marks()?, 0);
    if application != APPLICATION_ID {
        pages = number("page_count")?;
        // Somebody may have made the file since: its marks come with its pages, never later.
        (application, format) = marks()?;
    }
    judge(path, application, format, pages).map_err(Refusal::Store)
}

/// Takes the file to the present format, in one transaction: another process may be doing the same.
fn bring_up(
    connection: &mut Connection,
    path: &Path,
    config: &SqliteConfig,
    format: i64,
) -> Result<(), Refusal> {
    if format == 0 {
        // Before the first table is made.
        connection.pragma_update(None, "page_size", 8_192)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = locking::begin(connection, config).map_err(Refusal::Store)?;
    let format = check(&transaction, path)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(format).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    // So that the header says so at once, also to those who look at the file alone.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

mod header;
#[cfg(test)]
mod tests;
