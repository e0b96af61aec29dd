//! What goes out comes in again, from our own files and from others'.

use std::io::{Cursor, Read, Seek};
use std::sync::Arc;

use expect_test::{expect, expect_file};
use flowmeter_model::{
    Attributes, Cost, CostStatus, CostTotal, Figure, IdSource, LogLevel, LogRecord, ManualClock,
    MutationRecord, Span, SpanError, SpanEvent, SpanId, SpanKind, SpanStatus, TelemetryEvent,
    TemplateResolution, TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use flowmeter_pricing::PriceBook;
use flowmeter_store::{
    Append, MemoryConfig, MemoryStore, Origin, ProcessMark, RunEnd, RunFilter, RunKey, RunOrder, RunRow,
    RunStart, RunStatus, StoredLog, TokenSums,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use super::import::{ImportWatch, Imported, Importer, Place};
use super::kinds::{FileKind, kind_of};
use super::prices::CallPrices;
use super::*;

const NOON: u64 = 1_795_262_400_000_000_000;

fn store() -> MemoryStore {
    MemoryStore::new(MemoryConfig {
        clock: Arc::new(ManualClock::new(TimestampNs(NOON * 2))),
        is_alive: Arc::new(|_| Some(false)),
    })
}

/// The problems that were told.
#[derive(Default)]
struct Told(Vec<String>);

impl ImportWatch for Told {
    fn problem(&mut self, place: &Place, text: &str) {
        self.0.push(format!("{place:?}: {text}"));
    }
    fn read(&mut self, _bytes: u64) {}
}

/// Imports bytes of any kind.
fn import(store: &dyn Store, bytes: &[u8]) -> (Imported, Vec<String>) {
    let mut importer = Importer::new(store, CallPrices::new(Arc::new(PriceBook::bundled())));
    let mut told = Told::default();
    let mut file = Cursor::new(bytes);
    match kind_of(&mut file).unwrap().unwrap() {
        FileKind::Lines => import::import_lines(&mut file, &mut importer, &mut told),
        FileKind::OtlpLines => import::import_otlp_lines(&mut file, &mut importer, &mut told),
        FileKind::OtlpDocument => import::import_otlp_document(&mut file, &mut importer, &mut told),
        FileKind::OtlpProtobuf => import::import_otlp_protobuf(&mut file, false, &mut importer, &mut told),
        FileKind::OtlpFramed => import::import_otlp_protobuf(&mut file, true, &mut importer, &mut told),
        kind => panic!("{kind:?}"),
    }
    .unwrap();
    importer.settle().unwrap();
    (importer.imported, told.0)
}

fn rows(store: &dyn Store) -> Vec<RunRow> {
    let mut rows = store
        .runs(&RunFilter::default(), RunOrder::Started, 10_000, 0)
        .unwrap();
    rows.sort_by_key(|row| (row.started, row.key));
    rows
}

fn keys(store: &dyn Store) -> Vec<RunKey> {
    rows(store).iter().map(|row| row.key).collect()
}

fn spans(store: &dyn Store, key: &RunKey) -> Vec<Span> {
    let mut spans = Vec::new();
    store
        .spans(key, &mut |span| {
            spans.push(span);
            ControlFlow::Continue(())
        })
        .unwrap();
    spans
}

fn logs(store: &dyn Store) -> Vec<StoredLog> {
    let mut logs = Vec::new();
    store
        .logs(&LogFilter::default(), &mut |log| {
            logs.push(log);
            ControlFlow::Continue(())
        })
        .unwrap();
    logs
}

fn lines(store: &dyn Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = LinesWriter::new(&mut bytes);
    write_runs(store, &keys(store), &mut writer, |_| {}).unwrap();
    bytes
}

fn otlp_json(store: &dyn Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = OtlpWriter::new(OtlpForm::Json(&mut bytes), Default::default());
    write_runs(store, &keys(store), &mut writer, |_| {}).unwrap();
    bytes
}

fn otlp_protobuf(store: &dyn Store) -> (Vec<u8>, Vec<u8>) {
    let (mut spans, mut logs) = (Vec::new(), Vec::new());
    let form = OtlpForm::Protobuf {
        spans: &mut spans,
        logs: &mut logs,
    };
    let mut writer = OtlpWriter::new(form, Default::default());
    write_runs(store, &keys(store), &mut writer, |_| {}).unwrap();
    (spans, logs)
}

fn table(store: &dyn Store) -> Vec<u8> {
    let file = tempfile::tempfile().unwrap();
    let mut writer = ParquetWriter::new(store, file.try_clone().unwrap()).unwrap();
    write_runs(store, &keys(store), &mut writer, |_| {}).unwrap();
    drop(writer);
    let mut file = file;
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn attributes(pairs: Value) -> Attributes {
    serde_json::from_value(pairs).unwrap()
}

/// Two runs with everything that a run can have: one that ended well, and one that was killed.
fn everything() -> MemoryStore {
    let store = store();
    let mut ids = IdSource::from_seed(7);
    let key = RunKey {
        trace_id: ids.trace_id(),
        root_span_id: ids.span_id(),
    };
    let at = |millis: u64| TimestampNs(NOON + millis * 1_000_000);
    let ended = |mut span: Span, millis: u64, status| {
        span.end = Some(at(millis));
        span.status = Some(status);
        span
    };
    let resource = attributes(json!({"service.name": "flowmeter", "host.name": "box"}));
    let start = |key, workflow: &str, started| RunStart {
        key,
        parent_span_id: None,
        workflow: workflow.into(),
        started,
        sampled: true,
        origin: Origin {
            workflow_version: Some("3".into()),
            session: Some("chat-1".to_owned()),
            user: Some("ada".to_owned()),
            git_commit: Some("1a2b3c".to_owned()),
            tags: vec![
                ("team".to_owned(), "search".to_owned()),
                ("a b".to_owned(), "ü=\"".to_owned()),
            ],
        },
        resource: resource.clone(),
        process: Some(ProcessMark {
            host: "box-1".into(),
            pid: 77,
            started: 123_456,
        }),
    };
    store
        .append(Append::Began(Box::new(start(key, "triage", at(0)))))
        .unwrap();
    let mut root = ended(
        Span::begin(
            key.trace_id,
            key.root_span_id,
            None,
            SpanKind::Run,
            "workflow.start",
            at(0),
        ),
        900,
        SpanStatus::Error,
    );
    root.attributes.set("workflow.name", "triage");
    root.error = Some(SpanError {
        error_type: "timeout".into(),
        message: "took too long".to_owned(),
        chain: vec!["the server is away".to_owned()],
    });
    let mut node = ended(
        Span::begin(
            key.trace_id,
            ids.span_id(),
            Some(root.span_id),
            SpanKind::Node,
            "node.llm",
            at(1),
        ),
        800,
        SpanStatus::Ok,
    );
    node.attributes = attributes(
        json!({"node.id": "ask", "node.type": "llm", "node.config": {"prompt": "${x}"}, "ratio": 0.1}),
    );
    node.params = Some(Arc::new(json!({"prompt": "Sort this", "n": 1.5})));
    node.templates = vec![TemplateResolution {
        template: "${x}".to_owned(),
        value: Arc::new(json!("Sort this")),
    }];
    node.mutations = vec![MutationRecord {
        path: "ask.response".to_owned(),
        before: Some(Arc::new(Value::Null)),
        after: Some(Arc::new(json!({"text": "done"}))),
        time: at(790),
    }];
    let mut call = ended(
        Span::begin(
            key.trace_id,
            ids.span_id(),
            Some(node.span_id),
            SpanKind::LlmCall,
            "chat gpt-4o",
            at(2),
        ),
        700,
        SpanStatus::Ok,
    );
    call.attributes = attributes(json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Sort this"}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "done"}], "finish_reason": "stop"}],
    }));
    call.usage = Some(TokenUsage {
        input: Some(Figure::provider(1_200)),
        cache_read: Some(Figure::provider(1_024)),
        output: Some(Figure::estimate(64)),
        ..TokenUsage::default()
    });
    call.cost = Some(Cost::known(CostStatus::Estimated, UsdNanos(2_360_001), None));
    call.events = vec![SpanEvent {
        name: "first chunk".into(),
        time: at(300),
        attributes: attributes(json!({"bytes": 12})),
    }];
    let log = LogRecord {
        time: at(5),
        level: LogLevel::Warn,
        message: "line one\nline \"two\"".to_owned(),
        target: Some("triage::ask".into()),
        span_id: Some(node.span_id),
        attributes: attributes(json!({"attempt": 1})),
    };
    let mut events: Vec<TelemetryEvent> = vec![TelemetryEvent::Log(key.trace_id, Box::new(log))];
    events.extend([call, node, root].map(|span| TelemetryEvent::SpanEnded(Box::new(span))));
    store.append(Append::Events(key, events)).unwrap();
    let mut cost = CostTotal::default();
    cost.add(
        "gpt-4o",
        &Cost::known(CostStatus::Estimated, UsdNanos(2_360_001), None),
    );
    store
        .append(Append::Ended(Box::new(RunEnd {
            key,
            ended: at(900),
            status: RunStatus::Error,
            error: Some(SpanError {
                error_type: "timeout".into(),
                message: "took too long".to_owned(),
                chain: Vec::new(),
            }),
            sampled: true,
            nodes: 1,
            llm_calls: 1,
            tokens: TokenSums {
                input: 1_200,
                cache_read: 1_024,
                output: 64,
                ..TokenSums::default()
            },
            cost,
            saved: CostTotal::default(),
            metrics: json!({"duration_ms": 900.000_000_1, "node_count": 1}),
        })))
        .unwrap();
    let killed = RunKey {
        trace_id: ids.trace_id(),
        root_span_id: ids.span_id(),
    };
    store
        .append(Append::Began(Box::new(start(killed, "weekly", at(10_000)))))
        .unwrap();
    let mut open = Span::begin(
        killed.trace_id,
        ids.span_id(),
        Some(killed.root_span_id),
        SpanKind::Node,
        "node.shell",
        at(10_001),
    );
    open.attributes = attributes(json!({"node.id": "build", "node.type": "shell"}));
    store
        .append(Append::Events(
            killed,
            vec![TelemetryEvent::SpanStarted(Box::new(open))],
        ))
        .unwrap();
    store
}

#[test]
fn the_lines_of_a_run() {
    let bytes = lines(&everything());
    expect_file!["../../tests/golden/history-1.jsonl"].assert_eq(std::str::from_utf8(&bytes).unwrap());
}

#[test]
fn the_lines_of_version_1_are_read() {
    let golden = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/history-1.jsonl"
    ))
    .unwrap();
    let copy = store();
    let (imported, problems) = import(&copy, &golden);
    assert_eq!((imported.runs, imported.spans, imported.logs), (2, 3, 1));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(lines(&copy), golden);
}

/// Everything that can be asked of a history.
fn assert_same(one: &dyn Store, other: &dyn Store) {
    assert_eq!(rows(one), rows(other));
    for key in keys(one) {
        assert_eq!(one.run(&key).unwrap(), other.run(&key).unwrap());
        assert_eq!(spans(one, &key), spans(other, &key));
    }
    assert_eq!(logs(one), logs(other));
}

#[test]
fn lines_lose_nothing() {
    let (store, copy) = (everything(), store());
    import(&copy, &lines(&store));
    assert_same(&store, &copy);
    assert_eq!(rows(&copy)[1].status, RunStatus::Interrupted);
}

#[test]
fn imported_again_nothing_doubles() {
    let store = everything();
    for bytes in [lines(&store), otlp_json(&store)] {
        let copy = self::store();
        let (first, _) = import(&copy, &bytes);
        assert!(
            first.spans >= 3 && first.logs == 1 && first.runs == 2,
            "{first:?}"
        );
        let before = lines(&copy);
        let (again, problems) = import(&copy, &bytes);
        assert_eq!(
            (again.runs, again.spans, again.logs),
            (0, 0, 0),
            "{again:?} {problems:?}"
        );
        assert_eq!((again.runs_known, again.spans_known, again.logs_known), (2, 3, 1));
        assert_eq!(
            String::from_utf8(lines(&copy)).unwrap(),
            String::from_utf8(before).unwrap()
        );
        // Twice in one file is the same.
        let copy = self::store();
        import(&copy, &[bytes.as_slice(), bytes.as_slice()].concat());
        assert_eq!(logs(&copy).len(), 1);
        assert_eq!(rows(&copy).iter().map(|row| row.spans).sum::<u64>(), 3);
    }
}

/// A span with arbitrary content.
fn any_span(
    u: &mut arbtest::arbitrary::Unstructured<'_>,
    key: &RunKey,
    number: u64,
) -> arbtest::arbitrary::Result<Span> {
    let kinds = [
        SpanKind::Node,
        SpanKind::Attempt,
        SpanKind::LlmCall,
        SpanKind::Custom,
        SpanKind::Workflow,
        SpanKind::Run,
    ];
    let kind = *u.choose(&kinds)?;
    let start = NOON + u.int_in_range(0..=5)?;
    let operation: String = u.arbitrary()?;
    let mut span = Span::begin(
        key.trace_id,
        SpanId::from_u64(number + 1_000).unwrap(),
        Some(key.root_span_id),
        kind,
        operation,
        TimestampNs(start),
    );
    span.end = Some(TimestampNs(start + u.int_in_range(0..=1_000_000_000)?));
    span.status = Some(*u.choose(&[SpanStatus::Ok, SpanStatus::Error, SpanStatus::Cancelled])?);
    // The shape that was agreed for nodes has these first.
    if u.arbitrary()? {
        span.attributes.set("node.id", u.arbitrary::<String>()?);
        span.attributes.set("node.type", u.arbitrary::<String>()?);
    }
    for _ in 0..u.int_in_range(0..=4)? {
        let name = format!("k{}", u.arbitrary::<String>()?);
        match u.int_in_range(0..=4)? {
            0 => span.attributes.set(name, u.arbitrary::<bool>()?),
            1 => span.attributes.set(name, u.arbitrary::<i64>()?),
            2 => {
                let real: f64 = u.arbitrary()?;
                span.attributes
                    .set(name, if real.is_finite() { real } else { 0.5 });
            }
            3 => span.attributes.set(name, u.arbitrary::<String>()?),
            _ => span.attributes.set(
                name,
                json!([u.arbitrary::<String>()?, null, {"a": u.arbitrary::<u32>()?}]),
            ),
        }
    }
    if u.arbitrary()? {
        span.error = Some(SpanError {
            error_type: "e".into(),
            message: u.arbitrary()?,
            chain: u.arbitrary()?,
        });
    }
    if kind == SpanKind::LlmCall {
        span.cost = Some(if u.arbitrary()? {
            Cost::unpriced()
        } else {
            Cost::known(
                CostStatus::Priced,
                UsdNanos(u.int_in_range(0..=1_000_000_000_000)?),
                None,
            )
        });
    }
    Ok(span)
}

#[test]
fn any_history_comes_through_lines_unchanged() {
    arbtest::arbtest(|u| {
        let store = store();
        let mut number = 0;
        for run in 0..u.int_in_range(1..=3_u64)? {
            let key = RunKey {
                trace_id: TraceId::from_bytes(u128::from(run + 1).to_be_bytes()).unwrap(),
                root_span_id: SpanId::from_u64(run + 1).unwrap(),
            };
            let mut events = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                number += 1;
                events.push(TelemetryEvent::SpanEnded(Box::new(any_span(u, &key, number)?)));
            }
            for _ in 0..u.int_in_range(0..=2)? {
                let log = LogRecord {
                    time: TimestampNs(NOON + u.int_in_range(0..=3)?),
                    level: LogLevel::Info,
                    message: u.arbitrary()?,
                    target: None,
                    span_id: None,
                    attributes: Attributes::new(),
                };
                events.push(TelemetryEvent::Log(key.trace_id, Box::new(log)));
            }
            store
                .append(Append::Began(Box::new(RunStart {
                    key,
                    parent_span_id: None,
                    workflow: u.arbitrary::<String>()?.into(),
                    started: TimestampNs(NOON + run),
                    sampled: u.arbitrary()?,
                    origin: Origin::default(),
                    resource: Attributes::new(),
                    process: None,
                })))
                .unwrap();
            store.append(Append::Events(key, events)).unwrap();
        }
        let bytes = lines(&store);
        let copy = self::store();
        let (_, problems) = import(&copy, &bytes);
        assert_eq!(problems, Vec::<String>::new());
        assert_same(&store, &copy);
        assert_eq!(lines(&copy), bytes);
        Ok(())
    });
}

#[test]
fn broken_lines_are_told_with_their_numbers_and_the_rest_is_taken() {
    let whole = String::from_utf8(lines(&everything())).unwrap();
    let mut broken: Vec<&str> = whole.lines().collect();
    broken.insert(1, "{\"type\": \"node_end\", ");
    broken.insert(2, "");
    broken.insert(3, "[1, 2]");
    broken.insert(4, "{\"type\": \"node_end\", \"node\": {\"id\": \"x\"}}");
    broken.insert(0, "garbage");
    let mut bytes = broken.join("\n").into_bytes();
    bytes.extend_from_slice(b"\n\xff\xfe\n{\"type\":\"custom\",\"name\":\"x\"}\n");
    let copy = store();
    let (imported, problems) = import(&copy, &bytes);
    assert_eq!((imported.runs, imported.spans, imported.logs), (2, 3, 1));
    assert_eq!(imported.lines_passed, 1);
    expect![[r#"
        Line(1): this line is not valid JSON (expected value at line 1 column 1); it is left out
        Line(3): this line is not valid JSON (EOF while parsing a value at line 1 column 20); it is left out
        Line(5): this line is no event line (invalid type: integer `1`, expected a string at line 1 column 2); it is left out
        Line(6): a `node_end` line of a live stream needs `trace_id`; `flowmeter format` reads it without; it is left out
        Line(14): this line is no UTF-8 text; it is left out"#]].assert_eq(&problems.join("\n"));
    assert_same(&everything(), &copy);
}

#[test]
fn a_newer_format_is_named() {
    let newer = String::from_utf8(lines(&everything()))
        .unwrap()
        .replace("flowmeter.history/1", "flowmeter.history/9");
    let copy = store();
    let (imported, problems) = import(&copy, newer.as_bytes());
    assert_eq!((imported.runs, problems.len(), keys(&copy).len()), (0, 2, 0));
    expect!["Line(1): this run has the format `flowmeter.history/9`, and this program knows `flowmeter.history/1`; it is left out: update flowmeter"].assert_eq(&problems[0]);
}

#[test]
fn event_lines_of_two_runs_in_one_file_are_told_apart() {
    let id = |number: u64| format!("{number:016x}");
    let (outer, inner) = (
        "0af7651916cd43dd8448eb211c80319c",
        "0af7651916cd43dd8448eb211c80319c",
    );
    let event = |value: Value| format!("{value}\n");
    let text = [
        event(
            json!({"type": "workflow_start", "workflow_id": "outer", "timestamp": NOON, "trace_id": outer, "span_id": id(1), "resource": {"session.id": "s"}}),
        ),
        event(
            json!({"type": "node_start", "node": {"id": "call", "type": "shell"}, "timestamp": NOON + 1, "trace_id": outer, "span_id": id(2), "parent_span_id": id(1)}),
        ),
        event(
            json!({"type": "workflow_start", "workflow_id": "inner", "timestamp": NOON + 2, "trace_id": inner, "span_id": id(3), "parent_span_id": id(2)}),
        ),
        event(
            json!({"type": "log", "level": "INFO", "message": "deep", "timestamp": NOON + 3, "trace_id": inner, "span_id": id(3)}),
        ),
        event(
            json!({"type": "node_end", "node": {"id": "in", "type": "echo"}, "result": "success", "start_time": NOON + 3, "timestamp": NOON + 4, "trace_id": inner, "span_id": id(4), "parent_span_id": id(3)}),
        ),
        event(
            json!({"type": "workflow_end", "workflow_id": "inner", "status": "ok", "start_time": NOON + 2, "timestamp": NOON + 5, "trace_id": inner, "span_id": id(3), "parent_span_id": id(2)}),
        ),
        event(
            json!({"type": "node_end", "node": {"id": "call", "type": "shell"}, "result": "error", "error": {"type": "exit", "message": "3"}, "start_time": NOON + 1, "timestamp": NOON + 6, "trace_id": outer, "span_id": id(2), "parent_span_id": id(1)}),
        ),
        event(
            json!({"type": "workflow_end", "workflow_id": "outer", "status": "error", "start_time": NOON, "timestamp": NOON + 7, "trace_id": outer, "span_id": id(1)}),
        ),
    ];
    let copy = store();
    let (imported, problems) = import(&copy, text.concat().as_bytes());
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((imported.runs, imported.spans, imported.logs), (2, 4, 1));
    let found = rows(&copy);
    let shown: Vec<_> = found
        .iter()
        .map(|row| (row.workflow.as_str(), row.status, row.spans, row.logs))
        .collect();
    assert_eq!(
        shown,
        [("outer", RunStatus::Error, 2, 0), ("inner", RunStatus::Ok, 2, 1)]
    );
    assert_eq!(found[0].origin.session.as_deref(), Some("s"));
    // A file that was rotated in the midst of the run: each half alone, then the other.
    let copy = store();
    import(&copy, text[4..].concat().as_bytes());
    import(&copy, text[..4].concat().as_bytes());
    let found = rows(&copy);
    assert_eq!(
        found.iter().map(|row| (row.spans, row.logs)).collect::<Vec<_>>(),
        [(2, 0), (2, 1)]
    );
}

#[test]
fn otlp_of_ours_comes_back() {
    let store = everything();
    let json = otlp_json(&store);
    expect_file!["../../tests/golden/history-otlp-1.jsonl"].assert_eq(std::str::from_utf8(&json).unwrap());
    let (spans, logs) = otlp_protobuf(&store);
    for copy in [
        {
            let copy = self::store();
            import(&copy, &json);
            copy
        },
        {
            let copy = self::store();
            import(&copy, &spans);
            let (imported, _) = import(&copy, &logs);
            assert_eq!((imported.logs, imported.runs_known), (1, 1));
            copy
        },
    ] {
        let (before, after) = (rows(&store), rows(&copy));
        assert_eq!(after.len(), 2);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(
                (
                    before.key,
                    &before.workflow,
                    before.spans,
                    before.logs,
                    before.cost.known
                ),
                (
                    after.key,
                    &after.workflow,
                    after.spans,
                    after.logs,
                    after.cost.known
                )
            );
            assert_eq!(before.origin, after.origin);
            assert_eq!(before.status, after.status);
        }
        let key = after[0].key;
        let prompt = |store: &dyn Store| {
            let spans = self::spans(store, &key);
            let call = spans
                .into_iter()
                .find(|span| span.kind == SpanKind::LlmCall)
                .unwrap();
            call.attributes.get("gen_ai.input.messages").cloned()
        };
        assert_eq!(prompt(&store), prompt(&copy));
    }
}

/// A request as OTLP/JSON of spans (id, parent, name, attributes).
fn request(service: &str, trace: &str, spans: &[(u64, u64, &str, Value)]) -> Value {
    let spans = spans.iter().map(|(id, parent, name, attributes)| {
        let attributes = attributes.as_object().into_iter().flatten().map(|(key, value)| {
            let value = match value {
                Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
                Value::Number(number) => json!({"intValue": number.to_string()}),
                value => json!({"stringValue": value.as_str().unwrap_or_default()}),
            };
            json!({"key": key, "value": value})
        });
        json!({
            "traceId": trace,
            "spanId": format!("{id:016x}"),
            "parentSpanId": if *parent == 0 { String::new() } else { format!("{parent:016x}") },
            "name": name,
            "kind": 1,
            "startTimeUnixNano": (NOON + id).to_string(),
            "endTimeUnixNano": (NOON + id + 1_000_000).to_string(),
            "attributes": attributes.collect::<Vec<_>>(),
        })
    });
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"scope": {"name": "agents"}, "spans": spans.collect::<Vec<_>>()}],
    }]})
}

#[test]
fn spans_of_others_become_runs_by_their_roots() {
    let first = "11111111111111111111111111111111";
    let (orphans, circle) = (
        "22222222222222222222222222222222",
        "33333333333333333333333333333333",
    );
    let call = json!({"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 100});
    let unknown = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "house-model", "gen_ai.usage.input_tokens": 5});
    // Children come before their parents.
    let text = [
        request(
            "agent",
            first,
            &[(3, 2, "chat gpt-4o", call.clone()), (2, 1, "step", json!({}))],
        ),
        request(
            "agent",
            first,
            &[(1, 0, "answer question", json!({})), (9, 77, "lost", unknown)],
        ),
        request(
            "worker",
            orphans,
            &[(6, 5, "inner", json!({})), (5, 4, "outer", json!({}))],
        ),
        request("loop", circle, &[(7, 8, "a", json!({})), (8, 7, "b", json!({}))]),
    ];
    let lines: String = text.iter().map(|value| format!("{value}\n")).collect();
    let pretty: String = text.iter().map(|value| format!("{value:#}\n")).collect();
    for bytes in [lines, pretty] {
        let copy = store();
        let (imported, problems) = import(&copy, bytes.as_bytes());
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!((imported.runs, imported.spans), (3, 8), "{bytes}");
        let found = rows(&copy);
        let shown: Vec<_> = found
            .iter()
            .map(|row| (row.workflow.as_str(), row.status, row.spans))
            .collect();
        assert_eq!(
            shown,
            [
                ("answer question", RunStatus::Ok, 4),
                ("worker", RunStatus::Ok, 2),
                ("loop", RunStatus::Ok, 2)
            ]
        );
        // Priced as of its day; the other one has no price, which is not nothing.
        assert_eq!(found[0].cost.display(), "≥ $0.0035 (+1 unpriced)");
        assert_eq!(found[0].key.trace_id.to_string(), first);
    }
}

#[test]
fn messages_with_lengths_in_front_and_files_that_were_cut_off() {
    let (spans, _) = otlp_protobuf(&everything());
    let framed: Vec<u8> = [
        &u32::try_from(spans.len()).unwrap().to_be_bytes(),
        spans.as_slice(),
    ]
    .concat();
    let copy = store();
    let (imported, problems) = import(&copy, &[framed.as_slice(), framed.as_slice()].concat());
    assert_eq!((imported.runs, imported.spans), (2, 3), "{problems:?}");
    for cut in [spans.len() - 3, spans.len() / 2] {
        let (imported, problems) = import(&store(), &spans[..cut]);
        assert_eq!(imported.problems, 1);
        expect!["Message(1): the file ends in the midst of a message"]
            .assert_eq(&problems[0].replace("(2)", "(1)"));
    }
    let (imported, problems) = import(
        &store(),
        &[spans.as_slice(), b"\x0a\x05\xff\xff\xff\xff\xff"].concat(),
    );
    assert_eq!((imported.runs, imported.problems), (2, 1), "{problems:?}");
}

#[test]
fn any_bytes_are_refused_without_a_panic() {
    let (spans, logs) = otlp_protobuf(&everything());
    let sources = [lines(&everything()), otlp_json(&everything()), spans, logs];
    arbtest::arbtest(|u| {
        let mut bytes = u.choose(&sources)?.clone();
        for _ in 0..u.int_in_range(1..=6)? {
            let place = u.int_in_range(0..=bytes.len() - 1)?;
            bytes[place] = u.arbitrary()?;
        }
        let mut file = Cursor::new(bytes.as_slice());
        if let Ok(FileKind::Lines | FileKind::OtlpLines | FileKind::OtlpProtobuf | FileKind::OtlpFramed) =
            kind_of(&mut file).unwrap()
        {
            import(&store(), &bytes);
        }
        Ok(())
    });
}

#[test]
fn kinds_are_seen_from_what_is_in_files() {
    let kind = |bytes: &[u8]| kind_of(&mut Cursor::new(bytes)).unwrap();
    let store = everything();
    let (spans, logs) = otlp_protobuf(&store);
    assert_eq!(kind(&lines(&store)), Ok(FileKind::Lines));
    assert_eq!(kind(&otlp_json(&store)), Ok(FileKind::OtlpLines));
    assert_eq!(kind(&spans), Ok(FileKind::OtlpProtobuf));
    assert_eq!(kind(&logs), Ok(FileKind::OtlpProtobuf));
    assert_eq!(
        kind(b"\n\n{\"type\": \"log\", \"message\": \"a\"}"),
        Ok(FileKind::Lines)
    );
    assert_eq!(kind(b"{\n  \"resourceSpans\": [\n"), Ok(FileKind::OtlpDocument));
    assert_eq!(kind(b" \n\t\n"), Ok(FileKind::Empty));
    assert_eq!(kind(b""), Ok(FileKind::Empty));
    for bytes in [
        &table(&store)[..],
        b"SQLite format 3\0",
        &[0x1f, 0x8b, 8],
        b"PK\x03\x04",
        b"hello, world",
        b"{\"a\": 1}",
    ] {
        let refused = kind(bytes).unwrap_err();
        assert!(
            refused.starts_with("it is ") && refused.contains(';') | refused.contains(':'),
            "{refused}"
        );
    }
}

#[test]
fn the_table_of_version_1() {
    let bytes = bytes::Bytes::from(table(&everything()));
    let reader = SerializedFileReader::new(bytes).unwrap();
    let metadata = reader.metadata();
    let mut text = format!(
        "{:?}\n",
        metadata
            .file_metadata()
            .key_value_metadata()
            .unwrap()
            .iter()
            .map(|pair| (pair.key.as_str(), pair.value.as_deref()))
            .collect::<Vec<_>>()
    );
    for column in metadata.file_metadata().schema_descr().columns() {
        text.push_str(&format!(
            "{} {:?} {:?} {}\n",
            column.name(),
            column.physical_type(),
            column.logical_type_ref(),
            if column.max_def_level() == 0 {
                "required"
            } else {
                "optional"
            }
        ));
    }
    for row in reader.get_row_iter(None).unwrap() {
        text.push_str(&format!("{}\n", row.unwrap()));
    }
    expect_file!["../../tests/golden/spans-parquet-1.txt"].assert_eq(&text);
}

#[test]
fn a_table_of_many_spans_has_bounded_groups() {
    let store = store();
    let key = RunKey {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        root_span_id: SpanId::from_u64(1).unwrap(),
    };
    let spans = (1..=60_000_u64).map(|number| {
        let parent = (number > 1).then_some(key.root_span_id);
        let id = SpanId::from_u64(number).unwrap();
        let mut span = Span::begin(
            key.trace_id,
            id,
            parent,
            SpanKind::Custom,
            "step",
            TimestampNs(NOON + number),
        );
        span.end = Some(TimestampNs(NOON + number + 5));
        span.status = Some(SpanStatus::Ok);
        TelemetryEvent::SpanEnded(Box::new(span))
    });
    store.append(Append::Events(key, spans.collect())).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(table(&store))).unwrap();
    let groups: Vec<i64> = reader
        .metadata()
        .row_groups()
        .iter()
        .map(parquet::file::metadata::RowGroupMetaData::num_rows)
        .collect();
    assert_eq!(groups, [50_000, 10_000]);
    let empty = SerializedFileReader::new(bytes::Bytes::from(table(&self::store()))).unwrap();
    assert_eq!(empty.metadata().file_metadata().num_rows(), 0);
}
