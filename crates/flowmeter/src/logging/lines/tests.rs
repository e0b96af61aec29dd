//! Log lines as people and programs read them.

use std::io::{self, Write};
use std::sync::Arc;

use expect_test::expect;
use flowmeter_model::{
    Attributes, LogLevel, LogRecord, Span, SpanId, SpanKind, TelemetryEvent, TimestampNs, TraceId,
};
use parking_lot::Mutex;

use super::{LogLineFormat, LogLines, LogLinesConfig};
use crate::backends::{Backend, Batch, RunIdentity};

/// A terminal that keeps what it shows, or refuses it.
#[derive(Clone, Default)]
struct Screen {
    shown: Arc<Mutex<Vec<u8>>>,
    refuses: Option<io::ErrorKind>,
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.refuses {
            Some(kind) => Err(kind.into()),
            None => {
                self.shown.lock().extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn id(number: u64) -> SpanId {
    SpanId::from_u64(number).unwrap()
}

fn span(number: u64, parent: Option<u64>, kind: SpanKind, set: &[(&'static str, &str)]) -> Span {
    let trace_id = TraceId::from_bytes([7; 16]).unwrap();
    let mut span = Span::begin(trace_id, id(number), parent.map(id), kind, "step", TimestampNs(1));
    for (key, value) in set {
        match value.parse::<i64>() {
            Ok(number) => span.attributes.set(*key, number),
            Err(_) => span.attributes.set(*key, *value),
        }
    }
    span
}

fn started(span: Span) -> TelemetryEvent {
    TelemetryEvent::SpanStarted(Box::new(span))
}

fn log(inside: u64, level: LogLevel, target: &str, message: &str) -> TelemetryEvent {
    let mut attributes = Attributes::new();
    if target == "hyper" {
        attributes.set("status", 200_i64);
        attributes.set("reason", "all well");
        attributes.set("code.line.number", 7_i64);
    }
    let log = LogRecord {
        // 12:03:04.123 of some day.
        time: TimestampNs(
            1_700_000_000_000_000_000 / 86_400_000_000_000 * 86_400_000_000_000 + 43_384_123_456_789,
        ),
        level,
        message: message.to_owned(),
        target: Some(target.into()),
        span_id: Some(id(inside)),
        attributes,
    };
    TelemetryEvent::Log(TraceId::from_bytes([7; 16]).unwrap(), Box::new(log))
}

fn batch(events: Vec<TelemetryEvent>) -> Batch {
    let run = RunIdentity {
        trace_id: TraceId::from_bytes([7; 16]).unwrap(),
        root_span_id: None,
        parent_span_id: None,
        workflow: "w".into(),
        started: TimestampNs(1),
        trace_state: String::new(),
        sampled: true,
        resource: Attributes::new(),
    };
    Batch {
        run: Arc::new(run),
        events,
    }
}

fn events() -> Vec<TelemetryEvent> {
    let mut late = span(5, Some(2), SpanKind::Attempt, &[("flowmeter.logs.dropped", "3")]);
    late.end = Some(TimestampNs(2_000_000));
    vec![
        started(span(1, None, SpanKind::Run, &[])),
        log(1, LogLevel::Info, "workflow", "begun"),
        started(span(
            2,
            Some(1),
            SpanKind::Node,
            &[("node.id", "read"), ("node.type", "shell")],
        )),
        log(2, LogLevel::Info, "shell", "Running command: make"),
        log(2, LogLevel::Error, "shell", "two\nlines \u{1b}[2J"),
        started(span(
            3,
            Some(1),
            SpanKind::Node,
            &[("node.id", "all"), ("node.type", "llm")],
        )),
        started(span(4, Some(3), SpanKind::BatchItem, &[("batch.index", "2")])),
        started(span(
            6,
            Some(4),
            SpanKind::Node,
            &[("node.id", "in"), ("node.type", "http")],
        )),
        log(6, LogLevel::Debug, "hyper", "answered"),
        started(span(5, Some(2), SpanKind::Attempt, &[])),
        TelemetryEvent::SpanEnded(Box::new(late)),
        log(99, LogLevel::Warn, "elsewhere", "nobody saw my span begin"),
    ]
}

fn written(config: LogLinesConfig) -> String {
    let screen = Screen::default();
    let mut lines = LogLines::new(Box::new(screen.clone()), config);
    // It does not matter how events come.
    for event in events() {
        lines.export(&batch(vec![event])).unwrap();
    }
    let text = screen.shown.lock().clone();
    String::from_utf8(text).unwrap()
}

#[test]
fn people_see_when_how_grave_where_and_what() {
    expect![[r#"
        12:03:04.123 INFO  begun
        12:03:04.123 INFO  node.shell[read] Running command: make
        12:03:04.123 ERROR node.shell[read] two
            lines �[2J
        12:03:04.123 DEBUG node.http[all #3/in] hyper: answered status=200 reason="all well"
        00:00:00.002 WARN  node.shell[read] … 3 more log lines were dropped
        12:03:04.123 WARN  elsewhere: nobody saw my span begin
    "#]]
    .assert_eq(&written(LogLinesConfig::default()));
    let shifted = written(LogLinesConfig {
        utc_offset_seconds: 3_600,
        ..LogLinesConfig::default()
    });
    assert!(shifted.starts_with("13:03:04.123 INFO  begun\n"));
    let coloured = written(LogLinesConfig {
        colour: true,
        ..LogLinesConfig::default()
    });
    assert!(coloured.contains("\u{1b}[31mERROR\u{1b}"), "{coloured:?}");
}

#[test]
fn programs_get_event_lines() {
    let text = written(LogLinesConfig {
        format: LogLineFormat::Json,
        ..LogLinesConfig::default()
    });
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    let answered = lines.iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!(answered["type"], "log");
    assert_eq!(answered["level"], "DEBUG");
    assert_eq!(answered["trace_id"], "07".repeat(16));
    assert_eq!(answered["span_id"], "0000000000000006");
    assert_eq!(answered["target"], "hyper");
    assert_eq!(answered["attributes"]["status"], 200);
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure_and_a_full_disk_is_one() {
    let with = |kind| Screen {
        refuses: Some(kind),
        ..Screen::default()
    };
    let mut gone = LogLines::new(
        Box::new(with(io::ErrorKind::BrokenPipe)),
        LogLinesConfig::default(),
    );
    gone.export(&batch(events())).unwrap();
    gone.export(&batch(events())).unwrap();
    let mut full = LogLines::new(
        Box::new(with(io::ErrorKind::StorageFull)),
        LogLinesConfig::default(),
    );
    let error = full.export(&batch(events())).unwrap_err();
    assert_eq!(error.to_string(), "the log lines could not be written");
}
