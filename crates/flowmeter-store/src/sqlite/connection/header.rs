//! What a file is, before it is opened: ours, of which format, somebody else's, or none.
//!
//! Never opens a file beside SQLite: whoever closes a file gives up all locks that his process has on it, those of
//! other connections too, and then another process may take itself for the last one. Never makes a file beside it.
//! Source: "How To Corrupt An SQLite Database File", sqlite.org, section 2.2.

use std::io;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{APPLICATION_ID, FORMAT};
use crate::StoreError;

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Absent,
    /// No bytes at all.
    Empty,
    /// Somebody is writing it just now, or it is damaged: whoever opens it with locks will know.
    Unclear,
    Present {
        format: i64,
    },
}

/// Looks at a file, without locks and without what waits in its log of changes.
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::Foreign`] and [`StoreError::Open`].
pub(super) fn header_of(path: &Path) -> Result<Header, StoreError> {
    let cannot_open = |source: io::Error| StoreError::Open {
        path: path.to_owned(),
        source: source.into(),
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Header::Absent),
        Err(error) => return Err(cannot_open(error)),
    };
    if metadata.is_dir() {
        return Err(cannot_open(io::ErrorKind::IsADirectory.into()));
    }
    if !metadata.is_file() {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
        });
    }
    if metadata.len() == 0 {
        return Ok(Header::Empty);
    }
    let marks = open_immutable(path).and_then(|connection| {
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((
            number("application_id")?,
            number("user_version")?,
            number("page_count")?,
        ))
    });
    match marks {
        Ok((application, format, pages)) => {
            judge(path, application, format, pages).map(|format| Header::Present { format })
        }
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Err(StoreError::Foreign {
                path: path.to_owned(),
            }),
            Some(ErrorCode::CannotOpen) => Err(why_not(path).map_or_else(
                || StoreError::Open {
                    path: path.to_owned(),
                    source: error.into(),
                },
                cannot_open,
            )),
            _ => Ok(Header::Unclear),
        },
    }
}

/// What the system says to somebody who wants to read the file: SQLite does not pass it on.
fn why_not(path: &Path) -> Option<io::Error> {
    match std::fs::File::open(path) {
        Err(error) => Some(error),
        Ok(file) => {
            // It opens after all. It stays open, because closing it would give up the locks.
            let _open = Box::leak(Box::new(file));
            None
        }
    }
}

/// Opens a file that nobody changes meanwhile, or of which only the first page matters.
pub(super) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("{}?immutable=1", uri(path)), flags)
}

/// The path as a URI.
pub(super) fn uri(path: &Path) -> String {
    use std::fmt::Write;
    // Two slashes are followed by the name of a machine, which is none.
    let mut text = String::from(if path.is_absolute() { "file://" } else { "file:" });
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            text.push(char::from(*byte));
        } else {
            let _infallible = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Whether a file with such a header is ours to use.
///
/// # Errors
/// [`StoreError::Newer`] and [`StoreError::Foreign`].
pub(super) fn judge(path: &Path, application: i64, format: i64, pages: i64) -> Result<i64, StoreError> {
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
