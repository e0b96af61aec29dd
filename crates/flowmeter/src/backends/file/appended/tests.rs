//! Appended files: whole lines only, whoever writes beside us and whatever is done to the file.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowmeter_model::{ManualClock, TimestampNs};

use super::{AppendedFile, Lock, append, whole_lines};
use crate::backends::Deadline;
use crate::backends::file::Rotation;

const SOON: Duration = Duration::from_millis(20);

fn opened(path: &Path, rotation: Option<Rotation>) -> AppendedFile {
    let clock = Arc::new(ManualClock::new(TimestampNs(1_736_937_045_120_000_000)));
    AppendedFile::new(path.to_owned(), rotation, false, clock, Deadline::default())
}

fn written(file: &mut AppendedFile, lines: &str) {
    let written = file.write(lines.as_bytes(), SOON);
    written.outcome.unwrap();
    assert_eq!(written.bytes, lines.len());
}

#[test]
fn a_line_that_was_cut_off_stays_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "one\ntw").unwrap();
    let mut file = opened(&path, None);
    written(&mut file, "three\n");
    // Somebody else is killed in the middle of a line.
    OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"fo")
        .unwrap();
    written(&mut file, "five\nsix\n");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "one\ntw\nthree\nfo\nfive\nsix\n"
    );
}

#[test]
fn a_file_that_is_renamed_or_removed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/events.jsonl");
    let moved = folder.path().join("moved");
    let mut file = opened(&path, None);
    written(&mut file, "one\n");
    fs::rename(&path, &moved).unwrap();
    written(&mut file, "two\n");
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    written(&mut file, "three\n");
    assert_eq!(fs::read_to_string(&moved).unwrap(), "one\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
}

#[test]
fn no_file_is_larger_than_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let rotation = Rotation {
        bytes_max: Some(20),
        age_max: None,
        keep: 100,
    };
    let mut file = opened(&path, Some(rotation));
    let long = format!("{}\n", "long".repeat(10));
    let lines: String = (0..20).map(|number| format!("line {number}\n")).collect();
    written(&mut file, &format!("{lines}{long}{lines}"));
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    // The file that is being written has no time in its name and sorts last.
    assert_eq!(names.last(), Some(&path));
    let texts: Vec<String> = names
        .iter()
        .map(|name| fs::read_to_string(name).unwrap())
        .collect();
    for text in &texts {
        assert!(text.len() <= 20 || *text == long, "{text:?}");
    }
    assert_eq!(texts.concat(), format!("{lines}{long}{lines}"));
}

#[test]
fn a_file_that_cannot_be_renamed_grows_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "already full\n").unwrap();
    let rotation = Rotation {
        bytes_max: Some(5),
        ..Rotation::default()
    };
    // The last name that there can be is taken.
    fs::write(folder.path().join("events.25540721T233433.709Z.jsonl"), "").unwrap();
    let mut file = opened(&path, Some(rotation));
    let written = file.write(b"one\ntwo\n", SOON);
    assert_eq!(written.bytes, 8);
    assert!(written.outcome.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "already full\none\ntwo\n");
}

#[test]
fn who_holds_the_lock_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let other = File::create(&path).unwrap();
    let held = Lock::take(&other, Duration::ZERO, &Deadline::default()).unwrap();
    let mut file = opened(&path, None);
    let tried = file.write(b"one\n", SOON);
    assert_eq!(tried.bytes, 0);
    assert_eq!(
        tried.outcome.unwrap_err().to_string(),
        "another process holds the lock on it"
    );
    drop(held);
    written(&mut file, "one\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
}

#[test]
fn pieces_end_with_a_line() {
    for (lines, room, expected) in [
        ("ab\ncd\n", 100, "ab\ncd\n"),
        ("ab\ncd\n", 6, "ab\ncd\n"),
        ("ab\ncd\n", 5, "ab\n"),
        ("ab\ncd\n", 3, "ab\n"),
        ("ab\ncd\n", 2, "ab\n"),
        ("ab\ncd\n", 0, "ab\n"),
        ("abcd", 2, "abcd"),
        ("", 2, ""),
    ] {
        assert_eq!(
            whole_lines(lines.as_bytes(), room),
            expected.as_bytes(),
            "{lines:?} in {room}"
        );
    }
}

#[test]
fn what_a_device_refuses_is_not_done() {
    let full = OpenOptions::new()
        .read(true)
        .append(true)
        .open("/dev/full")
        .unwrap();
    let mut done = 0;
    assert!(append(&full, 0, b"one\n", &mut done).is_err());
    assert_eq!(done, 0);
}
