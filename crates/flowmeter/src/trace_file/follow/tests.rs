//! Following a trace: half lines, the document that takes the lines' place, files that go, several at a time.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use flowmeter_model::{
    IdSource, LogLevel, LogRecord, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent, TimestampNs,
};

use super::{READ_BYTES_MAX, TraceFollower, TraceProgress};
use crate::metrics::RunMetrics;
use crate::recorder::DropCounts;
use crate::trace_file::{KeepTrace, TraceEnding, TraceFile, TraceHeader, read_trace};

fn header() -> TraceHeader {
    TraceHeader::new(
        IdSource::from_seed(1).trace_id(),
        "summarize".into(),
        TimestampNs(1_000),
    )
}

fn begun(id: u64, parent: u64, start: u64) -> Span {
    let kind = if parent == 0 {
        SpanKind::Run
    } else {
        SpanKind::Node
    };
    Span::begin(
        header().trace_id,
        SpanId::from_u64(id).unwrap(),
        SpanId::from_u64(parent),
        kind,
        "node.x",
        TimestampNs(start),
    )
}

fn ended(id: u64, parent: u64, start: u64, end: u64) -> Span {
    let mut span = begun(id, parent, start);
    span.end = Some(TimestampNs(end));
    span.status = Some(SpanStatus::Ok);
    span
}

fn log(span_id: u64, time: u64, message: &str) -> LogRecord {
    LogRecord {
        time: TimestampNs(time),
        level: LogLevel::Info,
        message: message.to_owned(),
        target: None,
        span_id: SpanId::from_u64(span_id),
        attributes: flowmeter_model::Attributes::new(),
    }
}

fn ending() -> TraceEnding {
    TraceEnding {
        status: SpanStatus::Ok,
        error: None,
        metrics: RunMetrics::default().into(),
        sampled: true,
        reduced_to: None,
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.json");
    (folder, path)
}

fn written(path: &Path, keep: KeepTrace) -> TraceFile {
    TraceFile::create(path.to_owned(), &header(), keep).unwrap()
}

fn look(follower: &mut TraceFollower) -> (TraceProgress, String) {
    let mut events = Vec::new();
    let progress = follower.poll(&mut events).unwrap();
    let told: Vec<String> = events
        .iter()
        .map(|event| match event {
            TelemetryEvent::SpanStarted(span) => format!(">{}", span.span_id.to_u64()),
            TelemetryEvent::SpanEnded(span) => format!("<{}", span.span_id.to_u64()),
            TelemetryEvent::Log(_, log) => log.message.clone(),
        })
        .collect();
    (progress, told.join(" "))
}

fn sees(follower: &mut TraceFollower, progress: TraceProgress, told: &str) {
    assert_eq!(look(follower), (progress, told.to_owned()));
}

#[test]
fn what_is_flushed_is_seen_up_to_the_document() {
    let (_folder, path) = place();
    let mut file = written(&path, KeepTrace::Always);
    let mut follower = TraceFollower::open(&path).unwrap().expect("it goes on");
    assert_eq!(
        (follower.workflow(), follower.started()),
        ("summarize", TimestampNs(1_000))
    );
    assert_eq!(follower.pid(), std::process::id());
    sees(&mut follower, TraceProgress::UpToDate, "");
    file.write_span(&ended(2, 1, 1_010, 1_020)).unwrap();
    sees(&mut follower, TraceProgress::UpToDate, "");
    file.write_open_span(&begun(1, 0, 1_000)).unwrap();
    file.flush().unwrap();
    sees(&mut follower, TraceProgress::UpToDate, ">1 >2 <2");
    assert_eq!(follower.is_being_written(), Some(true));
    file.write_log(&log(1, 1_030, "said")).unwrap();
    file.write_span(&ended(1, 0, 1_000, 1_040)).unwrap();
    file.finish(&ending(), DropCounts::default()).unwrap();
    sees(&mut follower, TraceProgress::Completed, "said <1");
    assert_eq!(follower.is_being_written(), Some(false));
    assert!(TraceFollower::open(&path).unwrap().is_none());
    assert!(read_trace(&path).unwrap().is_finished());
}

#[test]
fn a_trace_that_is_not_kept_is_read_to_its_end() {
    let (_folder, path) = place();
    let mut file = written(&path, KeepTrace::UnlessOk);
    let mut follower = TraceFollower::open(&path).unwrap().unwrap();
    file.write_span(&ended(2, 1, 1_010, 1_020)).unwrap();
    file.write_span(&ended(1, 0, 1_000, 1_040)).unwrap();
    file.finish(&ending(), DropCounts::default()).unwrap();
    assert!(!path.exists());
    sees(&mut follower, TraceProgress::Removed, ">1 >2 <2 <1");
    let whole = follower.read_whole().unwrap();
    assert_eq!(
        (whole.spans.len(), whole.status, whole.is_finished()),
        (2, Some(SpanStatus::Ok), true)
    );
}

#[test]
fn a_process_that_was_killed_leaves_nobody_writing() {
    let (_folder, path) = place();
    let mut file = written(&path, KeepTrace::Always);
    file.write_open_span(&begun(1, 0, 1_000)).unwrap();
    file.flush().unwrap();
    let mut follower = TraceFollower::open(&path).unwrap().unwrap();
    assert_eq!(follower.is_being_written(), Some(true));
    drop(file);
    assert_eq!(follower.is_being_written(), Some(false));
    sees(&mut follower, TraceProgress::UpToDate, ">1");
    assert!(!follower.read_whole().unwrap().is_finished());
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let (_folder, path) = place();
    drop(written(&path, KeepTrace::Always));
    let mut follower = TraceFollower::open(&path).unwrap().unwrap();
    let line = r#"{"timestamp":1010,"level":"INFO","message":"wörd"}"#;
    let append = |bytes: &[u8]| {
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(bytes)
            .unwrap();
    };
    for byte in line.as_bytes() {
        append(&[*byte]);
        sees(&mut follower, TraceProgress::UpToDate, "");
    }
    append(b"\nnonsense\n");
    sees(&mut follower, TraceProgress::UpToDate, "wörd");
    assert_eq!(follower.broken_lines(), 1);
    append(b"{\"timestamp\":10");
    sees(&mut follower, TraceProgress::UpToDate, "");
    fs::remove_file(&path).unwrap();
    sees(&mut follower, TraceProgress::Removed, "");
    assert_eq!(follower.broken_lines(), 2);
}

#[test]
fn a_long_trace_is_read_in_pieces() {
    let (_folder, path) = place();
    let mut file = written(&path, KeepTrace::Always);
    file.write_open_span(&begun(1, 0, 1_000)).unwrap();
    let long = "x".repeat(READ_BYTES_MAX / 3);
    for number in 0..10 {
        file.write_log(&log(1, 1_010 + number, &long)).unwrap();
    }
    file.finish(&ending(), DropCounts::default()).unwrap();
    // The document took the place of the lines before anybody looked.
    assert!(TraceFollower::open(&path).unwrap().is_none());
    let mut file = written(&path, KeepTrace::Always);
    for number in 0..10 {
        file.write_log(&log(0, 1_010 + number, &long)).unwrap();
    }
    file.flush().unwrap();
    let mut follower = TraceFollower::open(&path).unwrap().unwrap();
    file.finish(&ending(), DropCounts::default()).unwrap();
    let mut events = Vec::new();
    let mut looks = 1;
    while follower.poll(&mut events).unwrap() == TraceProgress::Behind {
        looks += 1;
    }
    assert_eq!((looks, events.len()), (4, 10));
    assert_eq!(follower.poll(&mut events).unwrap(), TraceProgress::Completed);
    assert_eq!(events.len(), 10);
}

#[test]
fn another_run_in_the_same_file_is_noticed() {
    let (_folder, path) = place();
    let mut first = written(&path, KeepTrace::Always);
    first.write_log(&log(0, 1_010, "first")).unwrap();
    first.flush().unwrap();
    let mut follower = TraceFollower::open(&path).unwrap().unwrap();
    sees(&mut follower, TraceProgress::UpToDate, "first");
    let _second = written(&path, KeepTrace::Always);
    sees(&mut follower, TraceProgress::Overwritten, "");
}

#[test]
fn a_finished_trace_tells_its_events_in_order() {
    let (_folder, path) = place();
    fs::write(
        &path,
        r#"{"trace_id": "abc123",
            "spans": [{"span_id": "b", "parent_span_id": "a", "operation": "node.b", "start_time": 2, "duration_ms": 1},
                      {"span_id": "a", "operation": "node.a", "start_time": 1, "duration_ms": 5}],
            "logs": [{"timestamp": 3, "level": "INFO", "message": "said", "span_id": "b"}],
            "metrics": {}}"#,
    )
    .unwrap();
    let told: Vec<String> = read_trace(&path)
        .unwrap()
        .into_events()
        .iter()
        .map(|event| match event {
            TelemetryEvent::SpanStarted(span) => format!(">{}", span.operation),
            TelemetryEvent::SpanEnded(span) => format!("<{}", span.operation),
            TelemetryEvent::Log(_, log) => log.message.clone(),
        })
        .collect();
    assert_eq!(told, [">node.a", ">node.b", "said", "<node.b", "<node.a"]);
}

#[test]
fn what_is_no_trace_is_not_followed() {
    let (folder, path) = place();
    assert!(TraceFollower::open(&path).is_err());
    fs::write(&path, "").unwrap();
    assert!(TraceFollower::open(&path).is_err());
    assert!(TraceFollower::open(folder.path()).is_err());
    fs::write(&path, "{\"format\":\"flowmeter.trace/9\",\"trace_id\":\"00000000000000000000000000000001\",\"workflow\":\"x\",\"start_time\":1,\"pid\":1}\n").unwrap();
    assert!(TraceFollower::open(&path).is_err());
}
