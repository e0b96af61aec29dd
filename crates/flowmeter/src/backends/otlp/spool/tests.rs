//! The spool: what is kept, what goes, and who may have it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowmeter_model::{ManualClock, TimestampNs};
use flowmeter_otlp::Signal;
use tempfile::TempDir;

use super::{Spool, SpoolError, SpoolEvictions, Unsent};
use crate::backends::otlp::config::OtlpProtocol;

fn unsent(content: &[u8]) -> Unsent<'_> {
    Unsent {
        name: "otlp",
        endpoint: "http://receiver/v1/traces",
        protocol: OtlpProtocol::HttpProtobuf,
        signal: Signal::Traces,
        items: 3,
        content,
    }
}

struct Bench {
    folder: TempDir,
    clock: Arc<ManualClock>,
    spool: Spool,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(TimestampNs(1_800_000_000_000_000_000)));
    let spool = Spool::new(folder.path().join("spool")).with_clock(clock.clone());
    Bench { folder, clock, spool }
}

#[test]
fn a_request_is_kept_whole_and_only_for_its_owner() {
    let Bench { spool, .. } = bench();
    assert_eq!(spool.requests().unwrap(), [], "no folder is no failure");
    let content = [0, 1, b'\n', 255];
    assert_eq!(spool.keep(&unsent(&content)).unwrap(), SpoolEvictions::default());
    let requests = spool.requests().unwrap();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert_eq!(request.endpoint, "http://receiver/v1/traces");
    assert_eq!(
        (request.signal, request.items, request.bytes),
        (Signal::Traces, 3, 4)
    );
    assert_eq!(request.created, TimestampNs(1_800_000_000_000_000_000));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&request.path), 0o600);
    assert_eq!(mode(spool.folder()), 0o700);
    let claim = spool.claim(request).unwrap().unwrap();
    assert_eq!(claim.content.as_ref(), content);
}

#[test]
fn a_claim_is_one_processs_alone_until_it_lets_go() {
    let Bench { spool, .. } = bench();
    spool.keep(&unsent(b"x")).unwrap();
    let request = spool.requests().unwrap().remove(0);
    let claim = spool.claim(&request).unwrap().unwrap();
    assert!(spool.claim(&request).unwrap().is_none());
    drop(claim);
    spool.claim(&request).unwrap().unwrap().remove().unwrap();
    assert!(spool.claim(&request).unwrap().is_none());
    assert_eq!(spool.requests().unwrap(), []);
}

#[test]
fn the_oldest_go_when_there_is_no_room() {
    let Bench { clock, spool, .. } = bench();
    let spool = spool.with_bytes_max(1000);
    for _ in 0..3 {
        assert_eq!(spool.keep(&unsent(&[7; 100])).unwrap(), SpoolEvictions::default());
        clock.advance(1);
    }
    let evicted = spool.keep(&unsent(&[7; 500])).unwrap();
    assert!(
        evicted.requests >= 1 && evicted.items == 3 * evicted.requests,
        "{evicted:?}"
    );
    let left = spool.requests().unwrap();
    assert_eq!(left.last().unwrap().bytes, 500);
    let held: u64 = fs::read_dir(spool.folder())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(held <= 1000, "{held}");
}

#[test]
fn what_is_being_sent_is_not_removed_for_room() {
    let Bench { clock, spool, .. } = bench();
    let spool = spool.with_bytes_max(700);
    spool.keep(&unsent(&[7; 300])).unwrap();
    let first = spool.requests().unwrap().remove(0);
    let claim = spool.claim(&first).unwrap().unwrap();
    clock.advance(1);
    spool.keep(&unsent(&[7; 300])).unwrap();
    assert!(first.path.exists());
    drop(claim);
}

#[test]
fn a_request_larger_than_the_spool_is_refused() {
    let Bench { spool, .. } = bench();
    let error = spool.with_bytes_max(200).keep(&unsent(&[7; 300])).unwrap_err();
    assert!(
        matches!(error, SpoolError::TooLarge { bytes_max: 200, .. }),
        "{error}"
    );
}

#[test]
fn what_is_too_old_goes() {
    let Bench { clock, spool, .. } = bench();
    let spool = spool.with_age_max(Duration::from_secs(10));
    spool.keep(&unsent(b"old")).unwrap();
    clock.advance(9_000_000_000);
    spool.keep(&unsent(b"young")).unwrap();
    clock.advance(2_000_000_000);
    let evicted = spool.remove_expired().unwrap();
    assert_eq!(
        evicted,
        SpoolEvictions {
            requests: 1,
            items: 3
        }
    );
    assert_eq!(spool.requests().unwrap().len(), 1);
}

#[test]
fn half_written_and_foreign_files_are_passed_over() {
    let Bench { spool, .. } = bench();
    spool.keep(&unsent(b"whole")).unwrap();
    let path = spool.requests().unwrap().remove(0).path;
    let whole = fs::read(&path).unwrap();
    let beside = |name: &str, content: &[u8]| fs::write(spool.folder().join(name), content).unwrap();
    beside("00000000000000000001-1-0.otlp", &whole[..whole.len() - 1]);
    beside("00000000000000000002-1-0.otlp", &whole[..20]);
    beside("00000000000000000003-1-0.otlp", b"");
    beside("00000000000000000004-1-0.otlp.partial", &whole);
    let later = String::from_utf8(whole.clone())
        .unwrap()
        .replace("\"flowmeter_spool\":1", "\"flowmeter_spool\":9");
    beside("00000000000000000005-1-0.otlp", later.as_bytes());
    beside("notes.txt", b"mine");
    assert_eq!(spool.requests().unwrap().len(), 1);
}

#[test]
fn threads_share_a_spool_without_losing_or_doubling_anything() {
    const EACH: usize = 40;
    const THREADS: usize = 4;
    let Bench { spool, folder, .. } = bench();
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            // Each as another process would: nothing in common but the folder.
            let own = Spool::new(folder.path().join("spool"));
            scope.spawn(|| {
                let own = own;
                for _ in 0..EACH {
                    own.keep(&unsent(&[7; 64])).unwrap();
                    for request in own.requests().unwrap() {
                        if let Some(claim) = own.claim(&request).unwrap() {
                            claim.remove().unwrap();
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let left = spool.requests().unwrap().len();
    assert_eq!(sent.load(Ordering::Relaxed) + left, EACH * THREADS);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let Bench { folder, .. } = bench();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let spool = Spool::new(file.join("spool"));
    let error = spool.keep(&unsent(b"x")).unwrap_err();
    assert!(matches!(error, SpoolError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("file/spool"), "{error}");
}

/// Set where the test runs itself as a process that can write no more than a few kilobytes.
const NO_ROOM: &str = "FLOWMETER_TEST_SPOOL_WITHOUT_ROOM";

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing_behind() {
    if let Some(folder) = std::env::var_os(NO_ROOM) {
        let spool = Spool::new(folder);
        let error = spool.keep(&unsent(&[7; 1 << 20])).unwrap_err();
        assert!(matches!(error, SpoolError::Write { .. }), "{error}");
        assert_eq!(spool.requests().unwrap(), []);
        spool.keep(&unsent(b"small enough")).unwrap();
        return;
    }
    let Bench { folder, .. } = bench();
    let spool = folder.path().join("full");
    // The limit on the size of files stands for the disk; the signal that comes with it is ignored.
    let limited = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact --nocapture \"$1\"",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg("backends::otlp::spool::tests::a_full_disk_is_an_error_and_leaves_nothing_behind")
        .env(NO_ROOM, &spool)
        .output()
        .unwrap();
    assert!(limited.status.success(), "{limited:?}");
    assert!(
        String::from_utf8_lossy(&limited.stdout).contains("1 passed"),
        "{limited:?}"
    );
    let names: Vec<String> = fs::read_dir(&spool)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.ends_with(".partial")), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with(".otlp")).count(), 1);
}
