//! Opening: what is made, what is refused, and that what is refused stays as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flowmeter_model::SystemClock;
use rusqlite::Connection;

use super::header::{header_of, uri};
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
        connection
            .pragma_update(None, "user_version", FORMAT + 1)
            .unwrap();
    }
    let before = files(folder.path());
    for _ in 0..2 {
        let refused = prepare(&path, &config());
        let Err(StoreError::Newer { found, known, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((found, known), (FORMAT + 1, FORMAT));
        assert!(matches!(
            open(&path, &config(), Purpose::Read),
            Err(StoreError::Newer { .. })
        ));
        assert!(matches!(
            open(&path, &config(), Purpose::Write),
            Err(StoreError::Newer { .. })
        ));
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
    connection
        .pragma_update(None, "user_version", FORMAT + 1)
        .unwrap();
    let copy = folder.path().join("killed.db");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(
        folder.path().join("flowmeter.db-wal"),
        folder.path().join("killed.db-wal"),
    )
    .unwrap();
    drop(connection);
    let file = std::fs::read(&copy).unwrap();
    let log = std::fs::read(folder.path().join("killed.db-wal")).unwrap();
    assert!(matches!(
        open(&copy, &config(), Purpose::Write),
        Err(StoreError::Newer { .. })
    ));
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
        assert!(
            matches!(prepare(&path, &config()), Err(StoreError::Foreign { .. })),
            "{path:?}"
        );
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

/// How many locks the system knows on a file.
#[cfg(target_os = "linux")]
fn locks_on(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", std::fs::metadata(path).unwrap().ino());
    let known = std::fs::read_to_string("/proc/locks").unwrap();
    known.lines().filter(|line| line.contains(&inode)).count()
}

/// Whoever closes a file gives up the locks of the whole process, and the next process that closes the history would
/// take itself for the last and remove the log of changes under those that still write it.
#[cfg(target_os = "linux")]
#[test]
fn nothing_that_looks_at_the_file_gives_up_its_locks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    prepare(&path, &config()).unwrap();
    let writer = open(&path, &config(), Purpose::Write).unwrap();
    let count = |connection: &Connection| -> i64 {
        connection
            .query_row("SELECT count(*) FROM run", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&writer), 0);
    let held = locks_on(&path);
    assert!(held > 0, "an open history is locked as shared");
    header_of(&path).unwrap();
    assert_eq!(locks_on(&path), held, "the header was read");
    prepare(&path, &config()).unwrap();
    assert_eq!(locks_on(&path), held, "it was prepared again");
    super::create_private(&path);
    assert_eq!(locks_on(&path), held, "it was to be made again");
    for purpose in [Purpose::Read, Purpose::Write] {
        assert_eq!(count(&open(&path, &config(), purpose).unwrap()), 0);
        assert_eq!(locks_on(&path), held, "it was opened again and closed");
    }
    assert_eq!(count(&writer), 0);
}

#[test]
fn what_is_no_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let refused = header_of(folder.path());
    assert!(matches!(refused, Err(StoreError::Open { .. })), "{refused:?}");
    #[cfg(unix)]
    assert!(matches!(
        header_of(Path::new("/dev/null")),
        Err(StoreError::Foreign { .. })
    ));
}

#[test]
fn paths_are_escaped_as_parts_of_a_uri() {
    assert_eq!(uri(Path::new("/a b/ü?#.db")), "file:///a%20b/%C3%BC%3F%23.db");
    assert_eq!(uri(Path::new("//a/b.db")), "file:////a/b.db");
    assert_eq!(uri(Path::new("b.db")), "file:b.db");
}

/// A file that cannot be written to, in a folder that cannot be written to, is read without any file beside it.
#[test]
fn a_file_that_cannot_be_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    prepare(&path, &config()).unwrap();
    let before = files(folder.path());
    let connection = super::open_immutable(&path).unwrap();
    let runs: i64 = connection
        .query_row("SELECT count(*) FROM run", [], |row| row.get(0))
        .unwrap();
    assert_eq!(runs, 0);
    assert_eq!(files(folder.path()), before);
    assert!(super::open_read_only(&path, &config()).is_ok());
}
