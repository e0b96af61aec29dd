//! The folder: bounded, private, and whole whatever happens to it.

use flowmeter_model::{CostStatus, TokenUsage};

use super::*;
use crate::chat::{ChatRequest, ChatTarget};

const SECOND_NS: u64 = 1_000_000_000;

fn key(number: usize) -> CacheKey {
    let request = ChatRequest {
        prompt: number.to_string(),
        ..ChatRequest::default()
    };
    let target = ChatTarget {
        provider: "p".into(),
        model: "m".into(),
        server_address: None,
        server_port: None,
        server_path: None,
    };
    CacheKey::of(&request, &target).unwrap()
}

fn entry(number: usize, text: &str) -> Vec<u8> {
    let about = AboutAnswer {
        key: key(number).hex(),
        stored_ns: TimestampNs(1),
        provider: "p".into(),
        request_model: "m".into(),
        model: None,
        finish_reason: None,
        usage: TokenUsage::default(),
        cost_status: CostStatus::Unpriced,
        cost_nanos: None,
    };
    CachedAnswer {
        about,
        text: text.to_owned(),
    }
    .encode()
    .unwrap()
}

fn at(second: u64) -> TimestampNs {
    TimestampNs((1_700_000_000 + second) * SECOND_NS)
}

fn disk(folder: &Path, bytes_max: u64, entries_max: u64) -> Disk {
    let bounds = Bounds {
        bytes_max,
        entries_max,
        answer_bytes_max: 8 << 20,
    };
    Disk::new(folder.join("responses"), bounds)
}

fn write(disk: &Disk, number: usize, text: &str, second: u64) {
    disk.write(
        &key(number),
        &entry(number, text),
        at(second),
        &mut CacheTally::default(),
    )
    .unwrap();
}

fn holds(disk: &Disk, number: usize) -> bool {
    matches!(disk.read(&key(number), None), Found::Answer(_))
}

fn total(disk: &Disk) -> u64 {
    disk.scan(None).iter().map(|file| file.bytes).sum()
}

#[test]
fn what_was_used_least_recently_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), u64::MAX, 10);
    for number in 0..10 {
        write(&disk, number, "a", number as u64);
    }
    // The oldest is used again, and the next one is written again.
    assert!(matches!(disk.read(&key(0), Some(at(20))), Found::Answer(_)));
    write(&disk, 1, "b", 21);
    assert_eq!(disk.scan(None).len(), 10);
    write(&disk, 10, "a", 22);
    let kept: Vec<usize> = (0..=10).filter(|number| holds(&disk, *number)).collect();
    assert_eq!(kept, [0, 1, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(disk.tally().evicted, 2);
    assert_eq!(disk.tally().stored, 12);
}

#[test]
fn the_bound_in_bytes_holds_after_every_write() {
    let folder = tempfile::tempdir().unwrap();
    let text = "x".repeat(1_000);
    let bytes_max = 10 * entry(0, &text).len() as u64;
    let disk = disk(folder.path(), bytes_max, 1_000);
    for number in 0..40 {
        write(&disk, number, &text, number as u64);
        assert!(total(&disk) <= bytes_max, "{number}");
        assert!(holds(&disk, number));
    }
    let ledger = disk.load().unwrap();
    assert_eq!(
        (ledger.bytes, ledger.entries),
        (total(&disk), disk.scan(None).len() as u64)
    );
}

#[test]
fn several_writers_of_one_folder_keep_its_bounds_and_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let text = "x".repeat(1_000);
    let bytes_max = 20 * entry(0, &text).len() as u64;
    std::thread::scope(|scope| {
        for writer in 0..4 {
            // Each has its own handle on the lock, as another process would.
            let disk = disk(folder.path(), bytes_max, 1_000);
            let text = &text;
            scope.spawn(move || {
                for number in 0..25 {
                    write(&disk, writer * 10 + number, text, number as u64);
                    assert!(matches!(
                        disk.read(&key(writer * 10 + number), None),
                        Found::Answer(_) | Found::Nothing
                    ));
                }
            });
        }
    });
    let disk = disk(folder.path(), bytes_max, 1_000);
    assert!(total(&disk) <= bytes_max);
    let ledger = disk.load().unwrap();
    assert_eq!(
        (ledger.bytes, ledger.entries),
        (total(&disk), disk.scan(None).len() as u64)
    );
    assert_eq!(ledger.tally.stored, 100);
}

#[test]
fn a_broken_file_is_nothing_and_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), u64::MAX, 10);
    write(&disk, 1, "a", 1);
    let path = disk.path_of(&key(1));
    for broken in [&b""[..], b"{}", &entry(2, "a"), &entry(1, "abc")[..100]] {
        fs::write(&path, broken).unwrap();
        assert!(matches!(disk.read(&key(1), None), Found::Broken));
        assert!(!path.exists());
        assert!(matches!(disk.read(&key(1), None), Found::Nothing));
    }
    // A file that is far too long is not read into memory as a whole.
    let small = Disk::new(
        folder.path().join("responses"),
        Bounds {
            answer_bytes_max: 10,
            ..disk.bounds
        },
    );
    write(&disk, 1, &"x".repeat(200_000), 1);
    assert!(matches!(small.read(&key(1), None), Found::Broken));
}

#[test]
fn a_lost_tally_is_made_anew_from_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), u64::MAX, 10);
    for number in 0..3 {
        write(&disk, number, "abc", 1);
    }
    for broken in ["", "{", "{\"version\":9}"] {
        fs::write(folder.path().join("responses").join(TALLY), broken).unwrap();
        write(&disk, 3, "abc", 2);
        let ledger = disk.load().unwrap();
        assert_eq!((ledger.bytes, ledger.entries), (total(&disk), 4));
    }
}

#[test]
fn remains_of_a_crash_are_removed_when_room_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), u64::MAX, 2);
    write(&disk, 0, "a", 0);
    let shard = disk.path_of(&key(0)).parent().unwrap().to_path_buf();
    let old = shard.join("unfinished-old");
    let young = shard.join("unfinished-young");
    for (path, second) in [(&old, 0), (&young, 5_000)] {
        let file = File::create(path).unwrap();
        file.set_modified(time_of(at(second))).unwrap();
    }
    write(&disk, 1, "a", 5_001);
    write(&disk, 2, "a", 5_002);
    assert!(!old.exists() && young.exists());
}

#[cfg(unix)]
#[test]
fn only_the_user_can_read_any_of_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), u64::MAX, 10);
    write(&disk, 1, "a", 1);
    let mut seen = 0;
    let mut folders = vec![folder.path().join("responses")];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700,
            "{folder:?}"
        );
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                seen += 1;
                assert_eq!(
                    fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{path:?}"
                );
            }
        }
    }
    assert_eq!(seen, 3);
}

#[test]
fn looking_and_clearing_make_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), u64::MAX, 10);
    assert!(matches!(disk.read(&key(1), Some(at(1))), Found::Nothing));
    assert_eq!(disk.clear(&|_| true).unwrap(), (0, 0));
    assert_eq!(disk.tally(), CacheTally::default());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
