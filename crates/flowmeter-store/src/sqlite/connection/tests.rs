//! Opening: what is made, what is refused, and that what is refused stays as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flowmeter_model::SystemClock;
use rusqlite::Connection;

use super::{APPLICATION_ID, FORMAT, Purpose, open, prepare};
use crate::StoreError;
use crate::sqlite::SqliteConfig;

fn config() -> SqliteConfig {
    SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| None))
}

/// All files of a folder with what is in them.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn a_file_is_made_with_its_folder_and_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/flowmeter.db");
    prepare(&path, &config()).unwrap();
    let connection = open(&path, &config(), Purpose::Read).unwrap();
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[test]
fn none_is_made_where_none_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let mut config = config();
    config.create = false;
    assert!(matches!(prepare(&path, &config), Err(StoreError::Absent { .. })));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn an_empty_file_becomes_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    std::fs::write(&path, b"").unwrap();
    prepare(&path, &config()).unwrap();
    assert!(open(&path, &config(), Purpose::Write).is_ok());
}

#[test]
fn a_newer_file_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    prepare(&path, &config()).unwrap();
    {
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", FORMAT + 1).unwrap();
    }
    let before = files(folder.path());
    for _ in 0..2 {
        let refused = prepare(&path, &config());
        let Err(StoreError::Newer { found, known, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((found, known), (FORMAT + 1, FORMAT));
        assert!(matches!(open(&path, &config(), Purpose::Read), Err(StoreError::Newer { .. })));
        assert!(matches!(open(&path, &config(), Purpose::Write), Err(StoreError::Newer { .. })));
    }
    assert_eq!(files(folder.path()), before);
}

/// The newer program was killed before its change reached the file itself.
#[test]
fn a_newer_file_is_told_by_its_log_of_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    prepare(&path, &config()).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", FORMAT + 1).unwrap();
    let copy = folder.path().join("killed.db");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(folder.path().join("flowmeter.db-wal"), folder.path().join("killed.db-wal")).unwrap();
    drop(connection);
    let file = std::fs::read(&copy).unwrap();
    let log = std::fs::read(folder.path().join("killed.db-wal")).unwrap();
    assert!(matches!(open(&copy, &config(), Purpose::Write), Err(StoreError::Newer { .. })));
    assert_eq!(std::fs::read(&copy).unwrap(), file);
    assert_eq!(std::fs::read(folder.path().join("killed.db-wal")).unwrap(), log);
}

#[test]
fn something_else_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine');")
        .unwrap();
    let text = folder.path().join("letter.txt");
    std::fs::write(&text, "dear reader").unwrap();
    let noise = folder.path().join("noise");
    std::fs::write(&noise, [7; 5_000]).unwrap();
    let before = files(folder.path());
    for path in [other, text, noise] {
        assert!(matches!(prepare(&path, &config()), Err(StoreError::Foreign { .. })), "{path:?}");
        assert!(matches!(
            open(&path, &config(), Purpose::Write),
            Err(StoreError::Foreign { .. })
        ));
    }
    assert_eq!(files(folder.path()), before);
}

#[test]
fn many_make_it_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flowmeter.db");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    prepare(&path, &config()).unwrap();
                    open(&path, &config(), Purpose::Write).unwrap();
                });
            }
        });
        let connection = open(&path, &config(), Purpose::Read).unwrap();
        let application: i64 = connection
            .pragma_query_value(None, "application_id", |row| row.get(0))
            .unwrap();
        assert_eq!(application, APPLICATION_ID);
    }
}

#[test]
fn paths_are_escaped_as_parts_of_a_uri() {
    assert_eq!(super::escaped(Path::new("/a b/ü?#.db")), "/a%20b/%C3%BC%3F%23.db");
}

/// A file that cannot be written to, in a folder that cannot be written to, is read without any file beside it.
#[test]
fn a_file_that_cannot_be_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    prepare(&path, &config()).unwrap();
    let before = files(folder.path());
    let name = format!("file:{}?immutable=1", super::escaped(&path));
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(name, flags).unwrap();
    let runs: i64 = connection
        .query_row("SELECT count(*) FROM run", [], |row| row.get(0))
        .unwrap();
    assert_eq!(runs, 0);
    assert_eq!(files(folder.path()), before);
    assert!(super::open_read_only(&path, &config()).is_ok());
}
