//! OpenTelemetry's file format: which file is whose, and that other readers understand it.

use std::fs;
use std::path::Path;

use flowmeter_model::{Cost, CostStatus, Figure, LogLevel, SpanKind, TelemetryEvent, TokenUsage, UsdNanos};
use flowmeter_otlp::{ExportRequest, Signal, decode_logs_json, decode_traces_json};

use super::{ITEMS_MAX, name_of_sibling, signal_path};
use crate::backends::file::{FileBackend, FileConfig, FileFormat, FileMode};
use crate::backends::probes::{begun, ending, ends, logs, node, root, run, starts, trace_id};
use crate::backends::{Backend, Batch, Deadline};

#[test]
fn every_signal_has_a_file_of_its_own() {
    for (path, expected) in [
        ("run.jsonl", "run.traces.jsonl run.logs.jsonl run.metrics.jsonl"),
        (
            "a/run.json",
            "a/run.traces.json a/run.logs.json a/run.metrics.json",
        ),
        ("run", "run.traces.jsonl run.logs.jsonl run.metrics.jsonl"),
        (".run", ".run.traces.jsonl .run.logs.jsonl .run.metrics.jsonl"),
        ("traces.jsonl", "traces.jsonl logs.jsonl metrics.jsonl"),
        (
            "my-traces.jsonl",
            "my-traces.jsonl my-logs.jsonl my-metrics.jsonl",
        ),
        (
            "logs/run.logs.jsonl",
            "logs/run.traces.jsonl logs/run.logs.jsonl logs/run.metrics.jsonl",
        ),
        (
            "backtraces.jsonl",
            "backtraces.traces.jsonl backtraces.logs.jsonl backtraces.metrics.jsonl",
        ),
    ] {
        let paths = Signal::ALL.map(|signal| signal_path(Path::new(path), false, signal));
        let paths: Vec<_> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(paths.join(" "), expected);
    }
    let inside = signal_path(Path::new("out"), true, Signal::Logs);
    assert_eq!(inside.to_str(), Some("out/logs.jsonl"));
    assert_eq!(
        name_of_sibling("traces.traces.jsonl", "logs").as_deref(),
        Some("logs.traces.jsonl")
    );
}

fn llm_call(id: u64) -> TelemetryEvent {
    let mut span = begun(id, 2, SpanKind::LlmCall, "chat gpt-4o");
    span.attributes.set("gen_ai.operation.name", "chat");
    span.attributes.set("gen_ai.request.model", "gpt-4o");
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(100)),
        output: Some(Figure::provider(20)),
        ..TokenUsage::default()
    });
    span.cost = Some(Cost::known(CostStatus::Priced, UsdNanos(1_000), None));
    ends(&span, 30)
}

fn a_run() -> Vec<TelemetryEvent> {
    let read = node(2, 1, "llm", "ask");
    let mut ended = ends(&read, 45);
    if let (TelemetryEvent::SpanEnded(span), TelemetryEvent::Log(_, carried)) =
        (&mut ended, logs(0, LogLevel::Warn, "kept with its span"))
    {
        span.logs.push(*carried);
    }
    vec![
        starts(&root()),
        starts(&read),
        logs(2, LogLevel::Info, "asking"),
        llm_call(3),
        ended,
        ends(&root(), 234),
    ]
}

fn written(config: FileConfig, events: Vec<TelemetryEvent>) {
    let mut file = FileBackend::new(config).unwrap();
    file.begin(&run(), &Deadline::default()).unwrap();
    file.export(&Batch { run: run(), events }).unwrap();
    file.flush().unwrap();
    file.finish(&ending()).unwrap();
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    for _ in 0..2 {
        written(FileConfig::new(&path, FileFormat::Otlp), a_run());
    }
    let text = |signal: &str| fs::read_to_string(folder.path().join(format!("run.{signal}.jsonl"))).unwrap();
    let (traces, logs, metrics) = (text("traces"), text("logs"), text("metrics"));
    assert_eq!(
        (
            traces.lines().count(),
            logs.lines().count(),
            metrics.lines().count()
        ),
        (2, 2, 2)
    );
    for line in traces.lines() {
        let spans = decode_traces_json(line.as_bytes()).unwrap();
        let names: Vec<_> = spans
            .batches
            .iter()
            .flat_map(|batch| &batch.items)
            .map(|item| &item.span)
            .collect();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|span| span.trace_id == trace_id()));
        assert_eq!(names[0].usage.as_ref().unwrap().input_tokens(), 100);
    }
    for line in logs.lines() {
        let logs = decode_logs_json(line.as_bytes()).unwrap();
        let records: Vec<_> = logs.batches.iter().flat_map(|batch| &batch.items).collect();
        let said: Vec<_> = records
            .iter()
            .map(|item| (item.record.message.as_str(), item.record.span_id))
            .collect();
        let ask = flowmeter_model::SpanId::from_u64(2);
        assert_eq!(said, [("asking", ask), ("kept with its span", ask)]);
    }
    for line in metrics.lines() {
        let request = ExportRequest::from_json(Signal::Metrics, line.as_bytes()).unwrap();
        assert!(request.item_count() > 2, "{line}");
        assert!(
            line.contains("gen_ai.client.inference.usage.input_tokens"),
            "{line}"
        );
    }
}

#[test]
fn a_folder_takes_all_three_and_a_replaced_one_has_no_old_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = FileConfig::new(folder.path().join("new/"), FileFormat::Otlp);
    config.mode = FileMode::Replace;
    written(config.clone(), a_run());
    // A run without a log.
    written(config, vec![ends(&root(), 1)]);
    let length = |name: &str| {
        fs::read_to_string(folder.path().join("new").join(name))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(
        (
            length("traces.jsonl"),
            length("logs.jsonl"),
            length("metrics.jsonl")
        ),
        (1, 0, 1)
    );
    assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 3);
}

#[test]
fn no_line_holds_more_than_so_many_spans() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traces.jsonl");
    let events: Vec<_> = (0..ITEMS_MAX as u64 * 2 + 1)
        .map(|id| llm_call(id + 10))
        .collect();
    written(FileConfig::new(&path, FileFormat::Otlp), events);
    let counts: Vec<usize> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| {
            ExportRequest::from_json(Signal::Traces, line.as_bytes())
                .unwrap()
                .item_count()
        })
        .collect();
    assert_eq!(counts, [ITEMS_MAX, ITEMS_MAX, 1]);
}

#[test]
fn a_device_takes_all_signals() {
    let mut file = FileBackend::new(FileConfig::new("/dev/full", FileFormat::Otlp)).unwrap();
    file.begin(&run(), &Deadline::default()).unwrap();
    file.export(&Batch {
        run: run(),
        events: a_run(),
    })
    .unwrap_err();
    let error = file.finish(&ending()).unwrap_err();
    assert_eq!(error.to_string(), "3 lines could not be written to /dev/full");
}
