//! A run with one of everything, built by hand.

use std::sync::Arc;

use flowmeter_model::{
    Attributes, Cost, CostStatus, Figure, LogLevel, LogRecord, MutationRecord, Span, SpanError, SpanEvent,
    SpanId, SpanKind, SpanStatus, TemplateResolution, TimestampNs, TokenUsage, TraceId, UsdNanos,
};
use flowmeter_otlp::{
    Encoder, EncoderConfig, Envelope, HistogramPoint, Metric, MetricKind, MetricNumber, NumberPoint,
    SemanticConventions, Temporality, genai_metric, genai_metrics, names,
};
use serde_json::json;

pub(crate) const BEGAN: u64 = 1_700_000_000_000_000_000;

pub(crate) fn trace_id() -> TraceId {
    TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap()
}

pub(crate) fn span_id(number: u64) -> SpanId {
    SpanId::from_u64(number).unwrap()
}

pub(crate) fn span(number: u64, parent: u64, kind: SpanKind, operation: &str) -> Span {
    let start = TimestampNs(BEGAN + number * 1_000_000);
    let mut span = Span::begin(
        trace_id(),
        span_id(number),
        SpanId::from_u64(parent),
        kind,
        operation,
        start,
    );
    span.end = Some(TimestampNs(start.0 + 500_000));
    span.status = Some(SpanStatus::Ok);
    span
}

pub(crate) fn run() -> Span {
    let mut span = span(1, 0xabc, SpanKind::Run, "workflow.start");
    span.attributes.set("workflow.name", "summarize");
    span.attributes.set("workflow.file", "summarize.json");
    span
}

fn shell_node() -> Span {
    let mut span = span(2, 1, SpanKind::Node, "node.shell");
    span.attributes.set("node.id", "fetch");
    span.attributes.set("node.type", "shell");
    span.attributes.set("node.attempts", 2_i64);
    span.attributes
        .set("node.config", json!({"command": "cat ${file}"}));
    span.attributes.set("mixed", json!([1, "two", null]));
    span.attributes.set("counts", json!([1, 2, 3]));
    span.attributes.set("ratios", json!([1, 0.5]));
    span.attributes.set("flags", json!([true, false]));
    span.attributes.set("nothing", json!(null));
    span.attributes.set("share", 0.25);
    span.attributes.set("negative", -7_i64);
    span.params = Some(Arc::new(json!({"command": "cat notes.txt"})));
    span.templates = vec![TemplateResolution {
        template: "${file}".into(),
        value: Arc::new(json!("notes.txt")),
    }];
    span.mutations = vec![MutationRecord {
        path: "fetch.stdout".into(),
        before: None,
        after: Some(Arc::new(json!("line \"one\"\n"))),
        time: TimestampNs(BEGAN + 2_400_000),
    }];
    let mut attributes = Attributes::new();
    attributes.set("exit_code", 1_i64);
    span.events = vec![SpanEvent {
        name: "exited".into(),
        time: TimestampNs(BEGAN + 2_300_000),
        attributes,
    }];
    span.status = Some(SpanStatus::Error);
    span.error = Some(SpanError {
        error_type: "exit_code".into(),
        message: "the command failed".into(),
        chain: vec!["exit code 1".into(), "no such file".into()],
    });
    span
}

pub(crate) fn chat() -> Span {
    let mut span = span(3, 2, SpanKind::LlmCall, "chat gpt-4o");
    let attributes = &mut span.attributes;
    attributes.set(names::OPERATION_NAME, "chat");
    attributes.set(names::PROVIDER_NAME, "openai");
    attributes.set(names::REQUEST_MODEL, "gpt-4o");
    // An int where the conventions want a double, and the other way round.
    attributes.set(names::REQUEST_TEMPERATURE, 1_i64);
    attributes.set(names::REQUEST_MAX_TOKENS, 500.0);
    attributes.set(names::REQUEST_STOP_SEQUENCES, json!(["END", "STOP"]));
    attributes.set(names::REQUEST_STREAM, true);
    attributes.set(names::RESPONSE_MODEL, "gpt-4o-2024-08-06");
    attributes.set(names::RESPONSE_ID, "chatcmpl-1");
    attributes.set(names::FINISH_REASONS, json!(["tool_calls"]));
    attributes.set(names::TIME_TO_FIRST_CHUNK, 0.25);
    attributes.set(names::SERVER_ADDRESS, "api.openai.com");
    attributes.set(names::SERVER_PORT, 443_i64);
    attributes.set(names::INPUT_TOKENS, 1_200_i64);
    attributes.set(names::OUTPUT_TOKENS, 300_i64);
    attributes.set(
        names::INPUT_MESSAGES,
        json!([
            {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
            {"role": "user", "parts": [{"type": "text", "content": "weather in \"Paris\"?"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_0", "response": {"sky": "rain"}}]},
        ]),
    );
    attributes.set(
        names::OUTPUT_MESSAGES,
        json!([{"role": "assistant", "parts": [
            {"type": "text", "content": "I look."},
            {"type": "tool_call", "id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}},
        ]}]),
    );
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(1_200)),
        output: Some(Figure::estimate(300)),
        cache_read: Some(Figure::provider(1_024)),
        cache_write_5m: Some(Figure::provider(60)),
        cache_write_1h: Some(Figure::provider(40)),
        reasoning: Some(Figure::provider(128)),
        ..TokenUsage::default()
    });
    span.cost = Some(Cost::known(CostStatus::Estimated, UsdNanos(4_750_001), None));
    span
}

fn embedding() -> Span {
    let mut span = span(4, 2, SpanKind::LlmCall, "embeddings text-embedding-3-small");
    span.attributes.set(names::OPERATION_NAME, "embeddings");
    span.attributes.set(names::PROVIDER_NAME, "gemini");
    span.attributes
        .set(names::REQUEST_MODEL, "text-embedding-3-small");
    span.attributes.set(names::REQUEST_STREAM, false);
    span.attributes.set(
        names::INPUT_MESSAGES,
        json!([{"role": "user", "parts": [{"type": "text", "content": "x"}, {"type": "text", "content": "y"}]}]),
    );
    span.usage = Some(TokenUsage {
        input: Some(Figure::provider(8)),
        ..TokenUsage::default()
    });
    span.cost = Some(Cost::unpriced());
    span
}

fn nested() -> Span {
    let mut span = span(5, 1, SpanKind::Workflow, "workflow.inner");
    span.attributes.set("workflow.name", "inner");
    span
}

fn cancelled() -> Span {
    let mut span = span(6, 5, SpanKind::Attempt, "attempt");
    span.attributes.set("attempt.number", 1_i64);
    span.status = Some(SpanStatus::Cancelled);
    span
}

fn unfinished() -> Span {
    let mut span = span(7, 5, SpanKind::Node, "node.http");
    span.attributes.set("node.id", "call");
    span.end = None;
    span.status = None;
    span
}

pub(crate) fn spans() -> Vec<Span> {
    vec![
        run(),
        shell_node(),
        chat(),
        embedding(),
        nested(),
        cancelled(),
        unfinished(),
    ]
}

pub(crate) fn logs() -> Vec<LogRecord> {
    let levels = [
        LogLevel::Trace,
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Warn,
        LogLevel::Error,
    ];
    let record = |(index, level): (usize, LogLevel)| {
        let mut attributes = Attributes::new();
        attributes.set("line", index as i64);
        LogRecord {
            time: TimestampNs(BEGAN + index as u64),
            level,
            message: format!("line {index} — \"quoted\""),
            // Two loggers in turn, and lines of flowmeter's own.
            target: [None, Some("app::fetch".into()), Some("app::parse".into())][index % 3].clone(),
            span_id: (index != 4).then(|| span_id(2)),
            attributes,
        }
    };
    levels.into_iter().enumerate().map(record).collect()
}

pub(crate) fn metrics() -> Vec<Metric> {
    let (start, time) = (TimestampNs(BEGAN), TimestampNs(BEGAN + 9_000_000));
    let mut attributes = Attributes::new();
    attributes.set(names::OPERATION_NAME, "chat");
    attributes.set(names::REQUEST_MODEL, "gpt-4o");
    let mut metrics: Vec<Metric> = Vec::new();
    for definition in genai_metrics(SemanticConventions::Both) {
        metrics.push(match definition.histogram() {
            Some(mut histogram) => {
                for value in [0.005, 0.02, 3.0, 1e9] {
                    histogram.record(value);
                }
                let point = HistogramPoint {
                    start,
                    time,
                    attributes: attributes.clone(),
                    histogram,
                };
                definition.with_histograms(Temporality::Delta, vec![point])
            }
            None => definition.with_sums(
                Temporality::Cumulative,
                start,
                time,
                [(attributes.clone(), 1_234)],
            ),
        });
    }
    let empty = genai_metric("gen_ai.client.inference.duration").unwrap();
    metrics.push(empty.with_histograms(
        Temporality::Cumulative,
        vec![HistogramPoint {
            start,
            time,
            attributes: Attributes::new(),
            histogram: empty.histogram().unwrap(),
        }],
    ));
    metrics.push(Metric {
        name: "flowmeter.process.memory".into(),
        unit: "By".into(),
        description: "Memory of the process.".into(),
        kind: MetricKind::Gauge {
            points: vec![
                NumberPoint {
                    start: TimestampNs(0),
                    time,
                    attributes: Attributes::new(),
                    value: MetricNumber::I64(-1),
                },
                NumberPoint {
                    start: TimestampNs(0),
                    time,
                    attributes: Attributes::new(),
                    value: MetricNumber::F64(0.0),
                },
            ],
        },
    });
    metrics
}

pub(crate) fn resource() -> Attributes {
    let mut resource = Attributes::new();
    resource.set("service.name", "summarizer");
    resource.set("process.pid", 42_i64);
    resource
}

pub(crate) fn envelope(resource: &Attributes) -> Envelope<'_> {
    Envelope {
        resource,
        trace_state: "ot=th:8",
        sampled: true,
        scope_version: "0.1.0",
    }
}

pub(crate) fn encoder(conventions: SemanticConventions, openinference: bool, content: bool) -> Encoder {
    Encoder::new(EncoderConfig {
        conventions,
        openinference,
        content,
        span_attributes: Vec::new(),
    })
}
