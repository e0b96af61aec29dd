//! Tests of what is removed when a run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowmeter_model::{Attributes, IdSource, SpanId, TimestampNs};
use flowmeter_store::{
    Append, MemoryConfig, MemoryStore, Origin, RunEnd, RunFilter, RunKey, RunOrder, RunStart, RunStatus,
    TokenSums,
};

use super::*;

const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// A clock that counts how often it was asked, in days.
struct Days(AtomicU64);

impl flowmeter_model::Clock for Days {
    fn now(&self) -> TimestampNs {
        TimestampNs(self.0.load(Ordering::Relaxed) * DAY_NS)
    }
}

/// Runs that ended on these days; today is day 100.
fn store(days: &[u64]) -> MemoryStore {
    let store = MemoryStore::new(MemoryConfig {
        clock: Arc::new(Days(AtomicU64::new(100))),
        is_alive: Arc::new(|_| Some(false)),
    });
    let mut ids = IdSource::from_seed(7);
    for day in days {
        let key = RunKey {
            trace_id: ids.trace_id(),
            root_span_id: SpanId::from_u64(1).expect("an id"),
        };
        let start = RunStart {
            key,
            parent_span_id: None,
            workflow: "w".into(),
            started: TimestampNs(day * DAY_NS),
            sampled: true,
            origin: Origin::default(),
            resource: Attributes::new(),
            process: None,
        };
        let end = RunEnd {
            key,
            ended: TimestampNs(day * DAY_NS + 1),
            status: RunStatus::Ok,
            error: None,
            sampled: true,
            nodes: 1,
            llm_calls: 0,
            tokens: TokenSums::default(),
            cost: flowmeter_model::CostTotal::default(),
            saved: flowmeter_model::CostTotal::default(),
            metrics: serde_json::Value::Null,
        };
        store.append(Append::Began(Box::new(start))).expect("it is kept");
        store.append(Append::Ended(Box::new(end))).expect("it is kept");
    }
    store
}

fn left(store: &MemoryStore) -> usize {
    let runs = store.runs(&RunFilter::default(), RunOrder::Started, 100, 0);
    runs.expect("it reads").len()
}

fn after_days(days: u64) -> Retention {
    Retention {
        runs: Some(Duration::from_secs(days * 86_400)),
        ..Retention::default()
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn what_has_had_its_time_goes_and_nobody_looks_again_for_a_while() {
    let folder = tempfile::tempdir().expect("a folder");
    let marker = folder.path().join("retained");
    let store = store(&[10, 20, 95]);
    retain(&store, &after_days(30), &marker, LONG);
    assert_eq!(left(&store), 1);
    assert!(marker.exists());
    retain(&store, &after_days(1), &marker, LONG);
    assert_eq!(left(&store), 1);
    let earlier = SystemTime::now() - RETAIN_PAUSE - Duration::from_secs(1);
    let file = fs::File::options().write(true).open(&marker).expect("the marker");
    file.set_modified(earlier).expect("its time is set");
    retain(&store, &after_days(1), &marker, LONG);
    assert_eq!(left(&store), 0);
}

#[test]
fn where_everything_is_kept_nobody_looks() {
    let folder = tempfile::tempdir().expect("a folder");
    let marker = folder.path().join("retained");
    let store = store(&[10]);
    retain(&store, &Retention::default(), &marker, LONG);
    assert!(left(&store) == 1 && !marker.exists());
}

#[test]
fn without_time_nothing_is_begun() {
    let folder = tempfile::tempdir().expect("a folder");
    let marker = folder.path().join("retained");
    let store = store(&[10]);
    retain(&store, &after_days(1), &marker, Duration::ZERO);
    assert!(left(&store) == 1 && !marker.exists());
}

#[test]
fn a_long_log_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flowmeter.db");
    assert!(!is_log_long(&file));
    let log = fs::File::create(folder.path().join("flowmeter.db-wal")).expect("a file");
    log.set_len(LOG_BYTES_MAX).expect("its length is set");
    assert!(!is_log_long(&file));
    log.set_len(LOG_BYTES_MAX + 1).expect("its length is set");
    assert!(is_log_long(&file));
}

#[test]
fn the_log_is_moved_when_it_is_long_and_else_now_and_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, marker) = (folder.path().join("flowmeter.db"), folder.path().join("tended"));
    let store = SqliteStore::open(&file, super::super::config()).expect("a store");
    let log = || fs::metadata(folder.path().join("flowmeter.db-wal")).map_or(0, |log| log.len());
    let write = |session: String| {
        let start = RunStart {
            key: RunKey {
                trace_id: IdSource::from_seed(7).trace_id(),
                root_span_id: SpanId::from_u64(1).expect("an id"),
            },
            parent_span_id: None,
            workflow: "w".into(),
            started: TimestampNs(DAY_NS),
            sampled: true,
            origin: Origin {
                session: Some(session),
                ..Origin::default()
            },
            resource: Attributes::new(),
            process: None,
        };
        store.append(Append::Began(Box::new(start))).expect("it is kept");
        store.flush().expect("it is written");
    };
    write("short".to_owned());
    assert!(log() > 0);
    tend(&store, &marker, Duration::ZERO);
    assert!(marker.exists());
    assert_eq!(log(), 0);
    write("short".repeat(7));
    let short = log();
    // It was done a moment ago, and the log is short.
    tend(&store, &marker, Duration::ZERO);
    assert_eq!(log(), short);
}

#[test]
fn the_background_work_is_due_after_a_while_and_when_much_has_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, marker) = (folder.path().join("flowmeter.db"), folder.path().join("tended"));
    let file = fs::File::create(&path).expect("a file");
    assert!(is_due(&path, &marker), "it was never done");
    fs::write(&marker, "0").expect("the marker");
    assert!(!is_due(&path, &marker));
    file.set_len(GROWN_BYTES_MAX).expect("its length is set");
    assert!(is_due(&path, &marker));
    fs::write(&marker, GROWN_BYTES_MAX.to_string()).expect("the marker");
    assert!(!is_due(&path, &marker));
    let marked = fs::File::options().write(true).open(&marker).expect("the marker");
    let earlier = SystemTime::now() - TEND_PAUSE - Duration::from_secs(1);
    marked.set_modified(earlier).expect("its time is set");
    assert!(is_due(&path, &marker));
    fs::write(&marker, "").expect("the marker");
    assert!(is_due(&path, &marker), "what it says is not known");
}
