//! Unit tests of the trace file: format version 1 to the byte, kills, full disks, other tools' files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect_test::{expect, expect_file};
use flowmeter_engine::TickClock;
use flowmeter_model::{
    AttributeValue, Cost, CostStatus, Figure, IdSource, LogLevel, LogRecord, MutationRecord, Span, SpanKind,
    TemplateResolution, TokenUsage, UsdNanos,
};
use serde_json::json;

use super::*;
use crate::recorder::DropCounts;
use crate::{HumanStyle, write_human};

const START_NS: u64 = 1_705_314_645_000_000_000;

fn header() -> TraceHeader {
    let trace_id = IdSource::from_seed(1).trace_id();
    TraceHeader::new(trace_id, "summarize".into(), TimestampNs(START_NS))
}

/// A span that began and ended these many milliseconds after the run's start.
fn span(id: u64, parent: u64, kind: SpanKind, operation: &str, from_ms: u64, to_ms: u64) -> Span {
    let at = |ms: u64| TimestampNs(START_NS + ms * 1_000_000);
    let mut span = Span::begin(
        header().trace_id,
        SpanId::from_u64(id).unwrap(),
        SpanId::from_u64(parent),
        kind,
        operation,
        at(from_ms),
    );
    span.end = Some(at(to_ms));
    span.status = Some(SpanStatus::Ok);
    span
}

fn log(span_id: u64, at_ms: u64, level: LogLevel, message: &str) -> LogRecord {
    LogRecord {
        time: TimestampNs(START_NS + at_ms * 1_000_000),
        level,
        message: message.to_owned(),
        target: None,
        span_id: SpanId::from_u64(span_id),
        attributes: flowmeter_model::Attributes::new(),
    }
}

/// Everything that a span can hold, at least once.
fn spans() -> Vec<Span> {
    let mut run = span(1, 0, SpanKind::Run, "workflow.start", 0, 235);
    run.attributes.set("workflow.name", "summarize");
    let mut read = span(2, 1, SpanKind::Node, "node.read_file", 1, 46);
    read.attributes.set("node.id", "reader");
    read.attributes.set("node.type", "read_file");
    read.attributes
        .set("node.config", json!({"path": "${file}", "limit": 3}));
    read.params = Some(json!({"path": "input.txt", "limit": 3}).into());
    read.templates.push(TemplateResolution {
        template: "${file}".into(),
        value: json!("input.txt").into(),
    });
    read.mutations = vec![
        MutationRecord {
            path: "reader.content".into(),
            before: None,
            after: Some(json!("…").into()),
            time: TimestampNs(START_NS + 45_000_000),
        },
        MutationRecord {
            path: "reader.old[0].x".into(),
            before: Some(json!(null).into()),
            after: None,
            time: TimestampNs(START_NS + 45_500_000),
        },
    ];
    let mut call = span(4, 3, SpanKind::LlmCall, "chat gpt-4o", 60, 180);
    call.attributes.set("gen_ai.request.model", "gpt-4o");
    call.attributes.set("gen_ai.request.temperature", 0.5);
    call.attributes.set("gen_ai.request.stream", true);
    call.attributes.set("gen_ai.usage.input_tokens", 1200_i64);
    call.usage = Some(TokenUsage {
        input: Some(Figure::provider(1200)),
        output: Some(Figure::estimate(85)),
        ..TokenUsage::default()
    });
    call.cost = Some(Cost::known(CostStatus::Estimated, UsdNanos(8_900_000), None));
    let mut process = span(3, 1, SpanKind::Node, "node.transform", 50, 190);
    process.attributes.set("node.id", "processor");
    process.status = Some(SpanStatus::Error);
    process.error = Some(SpanError {
        error_type: "http_500".into(),
        message: "the server failed\non two lines".into(),
        chain: vec!["connection reset".into()],
    });
    let stopped = Span {
        status: Some(SpanStatus::Cancelled),
        ..span(5, 1, SpanKind::Custom, "cleanup", 191, 230)
    };
    vec![read, call, process, stopped, run]
}

fn logs() -> Vec<LogRecord> {
    vec![
        log(2, 2, LogLevel::Info, "Opening file: input.txt"),
        LogRecord {
            target: Some("reader".into()),
            ..log(2, 3, LogLevel::Debug, "File size: 1024 bytes")
        },
        log(3, 51, LogLevel::Warn, "two\nlines"),
        LogRecord {
            target: Some("hyper::client".into()),
            attributes: log_attributes(),
            ..log(3, 52, LogLevel::Error, "connection lost")
        },
    ]
}

/// Every type of field.
fn log_attributes() -> flowmeter_model::Attributes {
    let mut attributes = flowmeter_model::Attributes::new();
    attributes.set("tries", 3_i64);
    attributes.set("waited_s", 0.5);
    attributes.set("pooled", true);
    attributes.set("code.file.path", "src/client.rs");
    attributes.set("peer", json!({"port": 443}));
    attributes
}

fn metrics() -> RunMetrics {
    let collector = crate::metrics::MetricsCollector::new(false);
    let usage = TokenUsage {
        input: Some(Figure::provider(1200)),
        output: Some(Figure::estimate(85)),
        ..TokenUsage::default()
    };
    let cost = Cost::known(CostStatus::Estimated, UsdNanos(8_900_000), None);
    let call = crate::aggregate::LlmSample::new("gpt-4o", &cost).with_usage(&usage);
    collector.llm_call_ended("processor", &call);
    let mut metrics = collector.snapshot(&TickClock::new(), 234_500_000);
    metrics.nodes_executed = 2;
    metrics.nodes_failed = 1;
    metrics
}

fn ending() -> TraceEnding {
    TraceEnding {
        sampled: true,
        reduced_to: None,
        status: SpanStatus::Error,
        error: Some(SpanError {
            error_type: "http_500".into(),
            message: "the server failed".into(),
            chain: Vec::new(),
        }),
        metrics: metrics().into(),
    }
}

fn written(path: &Path) -> TraceFile {
    let mut file = TraceFile::create(path.to_owned(), &header(), KeepTrace::Always).unwrap();
    let [read, rest @ ..] = &spans()[..] else {
        unreachable!("there are spans")
    };
    file.write_open_span(&rest[1]).unwrap();
    for record in logs() {
        file.write_log(&record).unwrap();
    }
    for span in std::iter::once(read).chain(rest) {
        file.write_span(span).unwrap();
    }
    file
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces").join("run.json");
    (folder, path)
}

fn human(trace: &TraceDocument, colour: bool) -> String {
    let mut text = Vec::new();
    let style = HumanStyle {
        colour,
        utc_offset_seconds: 0,
    };
    write_human(trace, style, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_lines_of_version_1_are_these() {
    let (_folder, path) = folder();
    written(&path).flush().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let pid = format!("\"pid\":{}", std::process::id());
    assert!(text.contains(&pid));
    expect_file!["../../tests/golden/trace-1.jsonl"].assert_eq(&text.replace(&pid, "\"pid\":4711"));
}

#[test]
fn the_document_of_version_1_is_this() {
    let (_folder, path) = folder();
    let kept = written(&path).finish(&ending(), DropCounts::default()).unwrap();
    assert_eq!(kept, Some(path.clone()));
    let text = fs::read_to_string(&path).unwrap();
    expect_file!["../../tests/golden/trace-1.json"].assert_eq(&text);
    let files: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing is left beside it");
}

#[test]
fn both_golden_files_are_read_back_to_what_was_written() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, finished) in [("trace-1.json", true), ("trace-1.jsonl", false)] {
        let trace = read_trace(&golden.join(name)).unwrap();
        assert_eq!(trace.spans, spans(), "{name}");
        assert_eq!(trace.logs, logs(), "{name}");
        assert_eq!(trace.is_finished(), finished);
        assert_eq!(trace.trace_id, header().trace_id.to_string());
        assert_eq!(trace.workflow.as_deref(), Some("summarize"));
        assert_eq!(trace.started, Some(TimestampNs(START_NS)));
        assert_eq!(trace.broken_lines, 0);
        assert_eq!(trace.pid, (!finished).then_some(4711));
        assert_eq!(trace.status, finished.then_some(SpanStatus::Error));
        assert_eq!(trace.error.is_some(), finished);
    }
}

#[cfg(unix)]
#[test]
fn the_trace_is_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = folder();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = written(&path);
    assert_eq!(mode(&path), 0o600);
    file.finish(&ending(), DropCounts::default()).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_was_dropped_is_said_in_the_document() {
    let (_folder, path) = folder();
    let dropped = DropCounts {
        journal_full: 3,
        payloads_full: 0,
        too_large: 1,
        ..DropCounts::default()
    };
    written(&path).finish(&ending(), dropped).unwrap();
    let trace = read_trace(&path).unwrap();
    assert_eq!(
        trace.metrics.as_ref().unwrap()["dropped"],
        json!({"journal_full": 3, "payloads_full": 0, "too_large": 1, "backend_full": 0, "logs_over_limit": 0})
    );
    assert!(human(&trace, false).contains("- Some telemetry was dropped: "));
}

#[test]
fn a_file_cut_anywhere_gives_back_every_whole_line() {
    let (_folder, path) = folder();
    written(&path).flush().unwrap();
    let bytes = fs::read(&path).unwrap();
    let header_end = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let cut_path = path.with_extension("cut");
    for cut in (header_end..bytes.len()).step_by(13) {
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        fs::write(&cut_path, &bytes[..cut]).unwrap();
        let trace = read_trace(&cut_path).unwrap();
        assert!(!trace.is_finished());
        let lines = bytes[..cut].split(|byte| *byte == b'\n').take(whole);
        let ended = lines.filter(|line| line.starts_with(b"{\"span_id\"")).count();
        assert!(
            trace.spans.iter().filter(|span| span.end.is_some()).count() >= ended,
            "{cut}"
        );
        let cut_off = usize::from(bytes[cut - 1] != b'\n' && bytes[cut] != b'\n');
        assert_eq!(trace.broken_lines, cut_off, "{cut}");
        human(&trace, false);
    }
}

#[test]
fn a_trace_of_a_killed_run_says_so_to_the_eye() {
    let (_folder, path) = folder();
    written(&path).flush().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // The line of the run's own span is cut off.
    bytes.truncate(bytes.len() - 40);
    let mut open = span(9, 1, SpanKind::Node, "node.shell", 200, 200);
    (open.end, open.status) = (None, None);
    fs::write(&path, &bytes).unwrap();
    let shown = human(&read_trace(&path).unwrap(), false);
    assert!(shown.contains("→ node.read_file [reader]"), "{shown}");
    assert!(shown.contains("This run has not ended here"), "{shown}");
    assert!(
        shown.contains("1 line(s) of the trace could not be read"),
        "{shown}"
    );
}

#[test]
fn the_human_form_of_a_whole_trace() {
    let (_folder, path) = folder();
    written(&path).finish(&ending(), DropCounts::default()).unwrap();
    let trace = read_trace(&path).unwrap();
    expect![[r#"
        Workflow Trace: 910a2dec89025cc1beeb8da1658eec67
        → workflow.start [2024-01-15 10:30:45]
          → node.read_file [reader]
            [INFO] Opening file: input.txt
            [DEBUG] File size: 1024 bytes
          ← node.read_file (45.0ms) ✓
          → node.transform [processor]
            [WARN] two
              lines
            [ERROR] connection lost tries=3 waited_s=0.5 pooled=true peer={"port":443}
            → chat gpt-4o
            ← chat gpt-4o (120.0ms) ✓ 1200 in, ~85 out, ~$0.0089
            error: the server failed
              on two lines
              caused by: connection reset
          ← node.transform (140.0ms) ✗
          → cleanup
          ← cleanup (39.0ms) ✗ cancelled
        ← workflow.end (235.0ms)

        Summary:
        - Total Duration: 235.0ms
        - Nodes Executed: 2
        - Success Rate: 50%
        - LLM Calls: 1
        - Tokens: ~1285 (1200 in + 85 out)
        - Cost: ~$0.0089
    "#]]
    .assert_eq(&human(&trace, false));
    let coloured = human(&trace, true);
    assert!(
        coloured.contains("\u{1b}[36m→\u{1b}[0m workflow.start"),
        "{coloured}"
    );
    let mut plain = coloured;
    while let Some(begin) = plain.find("\u{1b}[") {
        let end = begin + plain[begin..].find('m').unwrap();
        plain.replace_range(begin..=end, "");
    }
    assert_eq!(plain, human(&trace, false), "colour changes nothing but colour");
}

#[test]
fn the_agreed_example_is_read_and_shown() {
    let (_folder, path) = folder();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let example = json!({"trace_id": "abc123",
        "spans": [
            {"span_id": "span0", "operation": "workflow.start", "kind": "run",
             "start_time": START_NS, "duration_ms": 234.5},
            {"span_id": "span1", "parent_span_id": "span0", "operation": "node.read_file", "kind": "node",
             "start_time": START_NS + 1, "duration_ms": 45.2,
             "attributes": {"node.id": "reader", "file.path": "input.txt"}},
            {"span_id": "span2", "parent_span_id": "span0", "operation": "node.transform", "kind": "node",
             "start_time": START_NS + 2, "duration_ms": 123.4, "attributes": {"node.id": "processor"}}],
        "logs": [
            {"timestamp": START_NS + 10, "level": "INFO", "message": "Opening file: input.txt", "span_id": "span1"},
            {"timestamp": START_NS + 11, "level": "DEBUG", "message": "File size: 1024 bytes", "span_id": "span1"},
            {"timestamp": START_NS + 12, "level": "INFO", "message": "Processing 10 records", "span_id": "span2"}],
        "metrics": {"total_duration_ms": 234.5, "node_count": 2, "success_rate": 1.0}});
    fs::write(&path, serde_json::to_string_pretty(&example).unwrap()).unwrap();
    let trace = read_trace(&path).unwrap();
    assert_eq!((trace.trace_id.as_str(), trace.is_finished()), ("abc123", true));
    assert_eq!(
        trace.spans[1].attributes.get("file.path"),
        Some(&AttributeValue::from("input.txt"))
    );
    expect![[r#"
        Workflow Trace: abc123
        → workflow.start [2024-01-15 10:30:45]
          → node.read_file [reader]
            [INFO] Opening file: input.txt
            [DEBUG] File size: 1024 bytes
          ← node.read_file (45.2ms) ✓
          → node.transform [processor]
            [INFO] Processing 10 records
          ← node.transform (123.4ms) ✓
        ← workflow.end (234.5ms)

        Summary:
        - Total Duration: 234.5ms
        - Nodes Executed: 2
        - Success Rate: 100%
    "#]]
    .assert_eq(&human(&trace, false));
}

#[test]
fn the_shortest_agreed_document_is_read() {
    let (_folder, path) = folder();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = r#"{"trace_id": "abc123",
 "spans": [{"span_id": "span1", "operation": "node.read_file", "start_time": 1234567890,
            "duration_ms": 45.2, "attributes": {"node.id": "reader", "file.path": "input.txt"}}],
 "metrics": {"total_duration_ms": 234.5, "node_count": 5, "success_rate": 1.0}}"#;
    fs::write(&path, text).unwrap();
    let trace = read_trace(&path).unwrap();
    assert_eq!(trace.spans[0].duration_ns(), Some(45_200_000));
    assert_eq!(trace.spans[0].status, Some(SpanStatus::Ok));
    assert!(human(&trace, false).contains("- Total Duration: 234.5ms"));
}

#[test]
fn what_is_no_trace_says_what_is_wrong() {
    let (_folder, path) = folder();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let lines = format!(
        r#"{{"format":"flowmeter.trace/2","trace_id":"{}","workflow":"w","start_time":1,"pid":1}}"#,
        header().trace_id
    );
    let cases: [(&[u8], &str); 9] = [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (
            b"not json",
            "a trace is a JSON object with `trace_id` and `spans`",
        ),
        (b"{}", "missing field `trace_id`"),
        (b"[1, 2]", "a trace is a JSON object with `trace_id` and `spans`"),
        (b"\xff\xfe\x00", "it is not UTF-8 text"),
        (
            br#"{"format": "other", "trace_id": "x", "spans": []}"#,
            "its format is `other`, not `flowmeter.trace/1`",
        ),
        (
            lines.as_bytes(),
            "its format version is 2, and this program reads version 1; use a newer one",
        ),
        (
            br#"{"trace_id": "x", "spans": [{"span_id": "a"}]}"#,
            "span 1: missing field `operation`",
        ),
    ];
    for (bytes, problem) in cases {
        fs::write(&path, bytes).unwrap();
        let error = read_trace(&path).unwrap_err().to_string();
        let expected = format!("{} is no trace: {problem}", path.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(read_trace(&path), Err(ReadError::Open { .. })));
}

#[test]
fn reading_never_panics() {
    let (_folder, path) = folder();
    written(&path).flush().unwrap();
    let lines = fs::read(&path).unwrap();
    arbtest::arbtest(|u| {
        let mut bytes = lines.clone();
        for _ in 0..u.int_in_range(1..=8)? {
            let position = u.choose_index(bytes.len())?;
            bytes[position] = u.arbitrary()?;
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(trace) = read_trace(&path) {
            human(&trace, true);
            let mut text = Vec::new();
            write_trace_json(&trace, &mut text).unwrap();
        }
        Ok(())
    })
    .budget_ms(500);
}

#[test]
fn what_a_span_says_does_not_steer_the_terminal() {
    let (_folder, path) = folder();
    let mut file = TraceFile::create(path.clone(), &header(), KeepTrace::Always).unwrap();
    let mut rude = span(1, 0, SpanKind::Node, "node.\u{1b}[2J", 0, 1);
    rude.attributes.set("node.id", "id\u{7}");
    rude.error = Some(SpanError {
        error_type: "x".into(),
        message: "a\u{1b}]0;title\u{7}\r\nb".into(),
        chain: vec!["c\u{9b}31m".into()],
    });
    file.write_span(&rude).unwrap();
    file.write_log(&log(1, 0, LogLevel::Info, "l\u{1b}[31m\ttab"))
        .unwrap();
    file.flush().unwrap();
    let shown = human(&read_trace(&path).unwrap(), false);
    assert!(
        !shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'),
        "{shown:?}"
    );
    assert!(shown.contains("\ttab"));
}

#[test]
fn a_folder_that_cannot_be_made_is_reported() {
    let (folder, _) = folder();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "in the way").unwrap();
    let error = TraceFile::create(blocked.join("run.json"), &header(), KeepTrace::Always)
        .err()
        .unwrap();
    assert!(matches!(error, TraceFileError::Create { .. }), "{error}");
    assert_eq!(fs::read_to_string(&blocked).unwrap(), "in the way");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let created = TraceFile::create(PathBuf::from("/dev/full"), &header(), KeepTrace::Always);
    let error = created.err().unwrap();
    assert_eq!(
        error.to_string(),
        "the trace file /dev/full could not be written; spans up to here are kept"
    );
}

#[test]
fn a_document_that_cannot_replace_the_lines_leaves_nothing_half_done() {
    let (_folder, path) = folder();
    let file = written(&path);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = file.finish(&ending(), DropCounts::default()).unwrap_err();
    assert!(matches!(error, TraceFileError::Complete { .. }), "{error}");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_value_that_is_shared_is_written_in_full() {
    let (_folder, path) = folder();
    let big = Arc::new(json!(vec!["x".repeat(100); 2_000]));
    let mut file = TraceFile::create(path.clone(), &header(), KeepTrace::Always).unwrap();
    for id in 1..=3 {
        let mut span = span(id, 0, SpanKind::Custom, "s", 0, 1);
        span.attributes.set("big", Arc::clone(&big));
        file.write_span(&span).unwrap();
    }
    file.finish(&ending(), DropCounts::default()).unwrap();
    let trace = read_trace(&path).unwrap();
    assert!(
        trace
            .spans
            .iter()
            .all(|span| span.attributes.get("big") == Some(&AttributeValue::Json(Arc::clone(&big))))
    );
}

#[test]
fn the_shape_that_other_tools_write_is_told_by_its_names() {
    let (_folder, path) = folder();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = r#"{"trace_id": "abc123", "spans": [{"span_id": "span1", "operation": "node.read_file",
        "start_time": 1234567890, "duration_ms": 45.2, "attributes": {"node.id": "reader"}}],
        "metrics": {"total_duration_ms": 234.5, "node_count": 5, "success_rate": 1.0}}"#;
    fs::write(&path, text).unwrap();
    let mut shown = Vec::new();
    write_human(&read_trace(&path).unwrap(), HumanStyle::default(), &mut shown).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("→ node.read_file [reader]\n← node.read_file (45.2ms) ✓\n"),
        "{shown}"
    );
    assert!(
        shown.contains("- Total Duration: 234.5ms\n- Nodes Executed: 1\n"),
        "{shown}"
    );
}
