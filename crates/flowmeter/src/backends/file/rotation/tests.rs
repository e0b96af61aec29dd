//! Rotation: when it is due, what old files are called, which of them go.

use std::fs;
use std::time::Duration;

use flowmeter_model::TimestampNs;

use super::{NameParts, Rotation};

const AT: TimestampNs = TimestampNs(1_736_937_045_120_000_000);

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_makes_way_when_it_is_full_or_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    fs::write(&path, "12345").unwrap();
    let file = fs::metadata(&path).unwrap();
    let modified = file
        .modified()
        .unwrap()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let later = |by: Duration| TimestampNs(u64::try_from((modified + by).as_nanos()).unwrap());
    let rotation = Rotation {
        bytes_max: Some(10),
        age_max: Some(Duration::from_secs(60)),
        keep: 1,
    };
    assert!(!rotation.is_due(&file, 5, later(Duration::ZERO)));
    assert!(rotation.is_due(&file, 6, later(Duration::ZERO)));
    assert!(rotation.is_due(&file, u64::MAX, later(Duration::ZERO)));
    assert!(!rotation.is_due(&file, 5, later(Duration::from_secs(50))));
    assert!(rotation.is_due(&file, 5, later(Duration::from_secs(61))));
    // The clock was set back.
    assert!(!rotation.is_due(&file, 5, TimestampNs(0)));
    fs::write(&path, "").unwrap();
    let empty = fs::metadata(&path).unwrap();
    assert!(!rotation.is_due(&empty, 100, later(Duration::from_secs(61))));
}

#[test]
fn old_files_have_their_time_in_the_name_and_never_take_anothers_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let rotation = Rotation {
        keep: 3,
        ..Rotation::default()
    };
    for number in 0..5 {
        fs::write(&path, number.to_string()).unwrap();
        rotation.rotate(&path, AT).unwrap();
    }
    assert_eq!(
        names(folder.path()),
        [
            "events.20250115T103045.122Z.jsonl",
            "events.20250115T103045.123Z.jsonl",
            "events.20250115T103045.124Z.jsonl"
        ]
    );
    let newest = fs::read_to_string(folder.path().join("events.20250115T103045.124Z.jsonl"));
    assert_eq!(newest.unwrap(), "4");
}

#[test]
fn only_old_files_of_the_same_name_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let others = [
        "events.jsonl",
        "events.20250115T103045.120Z.jsonl.gz",
        "events.2025.jsonl",
        "events.traces.20250115T103045.120Z.jsonl",
        "other.20250115T103045.120Z.jsonl",
        "events.20250115t103045.120Z.jsonl",
        "events.jsonl.20250115T103045.120Z",
        "notes.txt",
    ];
    for name in others {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    fs::write(folder.path().join("events.20240115T103045.120Z.jsonl"), "x").unwrap();
    let rotation = Rotation {
        keep: 1,
        ..Rotation::default()
    };
    rotation.rotate(&folder.path().join("events.jsonl"), AT).unwrap();
    let mut left = others.map(str::to_owned);
    left[0] = "events.20250115T103045.120Z.jsonl".to_owned();
    left.sort();
    assert_eq!(names(folder.path()), left);
}

#[test]
fn names_without_an_extension_rotate_too() {
    let name = NameParts::of(std::path::Path::new("events"));
    assert_eq!(name.rotated(AT), "events.20250115T103045.120Z");
    assert_eq!(name.time_of("events.20250115T103045.120Z"), Some(AT));
    assert_eq!(name.time_of("events.20250115T103045.120Z.jsonl"), None);
}

#[test]
fn names_sort_by_age_also_when_the_clock_was_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let rotation = Rotation {
        keep: 2,
        ..Rotation::default()
    };
    for (text, at) in [
        ("a", AT.0),
        ("b", AT.0 + 5_000_000_000),
        ("c", AT.0 - 1),
        ("d", 0),
    ] {
        fs::write(&path, text).unwrap();
        rotation.rotate(&path, TimestampNs(at)).unwrap();
    }
    let texts: Vec<String> = names(folder.path())
        .iter()
        .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
        .collect();
    assert_eq!(texts, ["c", "d"]);
}

#[test]
fn a_stamp_is_read_as_it_is_written_and_nothing_else_is_one() {
    arbtest::arbtest(|u| {
        let ms = u.int_in_range(0..=u64::MAX / 1_000_000)?;
        let at = TimestampNs(ms * 1_000_000);
        assert_eq!(super::time_of_stamp(&super::stamp(at)), Some(at));
        let other: String = u.arbitrary()?;
        assert!(super::time_of_stamp(&other).is_none_or(|at| super::stamp(at) == other));
        Ok(())
    });
}
