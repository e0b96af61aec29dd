//! Tests of the minimal trace: what stays, where it stands, what it holds.

use std::sync::Arc;

use flowmeter_model::{AttributeValue, Attributes, Figure, SpanError, TimestampNs, TokenUsage, TraceId};
use serde_json::json;

use super::*;

fn span_id(number: u64) -> SpanId {
    SpanId::from_u64(number).unwrap()
}

fn trace_id() -> TraceId {
    TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736").unwrap()
}

fn span(number: u64, parent: u64, kind: SpanKind) -> Span {
    Span::begin(
        trace_id(),
        span_id(number),
        SpanId::from_u64(parent),
        kind,
        kind.as_str(),
        TimestampNs(number),
    )
}

fn node(number: u64, parent: u64, id: &str) -> Span {
    let mut node = span(number, parent, SpanKind::Node);
    node.attributes.set("node.id", id);
    node
}

fn ended(mut span: Span, status: SpanStatus) -> TelemetryEvent {
    span.end = Some(TimestampNs(span.start.0 + 10));
    span.status = Some(status);
    TelemetryEvent::SpanEnded(Box::new(span))
}

fn started(span: &Span) -> TelemetryEvent {
    TelemetryEvent::SpanStarted(Box::new(span.clone()))
}

fn log(level: LogLevel, span: Option<u64>) -> TelemetryEvent {
    let record = LogRecord {
        time: TimestampNs(1),
        level,
        message: "hello".to_owned(),
        target: None,
        span_id: span.map(span_id),
        attributes: Attributes::new(),
    };
    TelemetryEvent::Log(trace_id(), Box::new(record))
}

fn kept(event: Option<TelemetryEvent>) -> Span {
    match event {
        Some(TelemetryEvent::SpanEnded(span)) => *span,
        other => panic!("{other:?}"),
    }
}

#[test]
fn root_errors_and_llm_usage_stay_beneath_the_root_and_tell_their_node() {
    let mut minimal = MinimalTrace::new(span_id(1));
    let root = span(1, 99, SpanKind::Run);
    let outer = node(2, 1, "outer");
    let nested = span(3, 2, SpanKind::Workflow);
    let inner = node(4, 3, "inner");
    let attempt = span(5, 4, SpanKind::Attempt);
    let call = span(6, 5, SpanKind::LlmCall);
    assert_eq!(minimal.take(started(&root)), Some(started(&root)));
    for begun in [&outer, &nested, &inner, &attempt, &call] {
        assert_eq!(minimal.take(started(begun)), None);
    }
    let mut answered = call.clone();
    answered.usage = Some(TokenUsage {
        input: Some(Figure::provider(7)),
        ..TokenUsage::default()
    });
    answered.params = Some(Arc::new(json!("secret")));
    answered.attributes.set("gen_ai.request.model", "gpt-4o");
    for key in CONTENT {
        answered.attributes.set(*key, json!(["secret"]));
    }
    let call = kept(minimal.take(ended(answered, SpanStatus::Ok)));
    assert_eq!(call.parent_span_id, Some(span_id(1)));
    assert_eq!(call.usage.unwrap().input_tokens(), 7);
    let attributes: Vec<(&str, &AttributeValue)> = call
        .attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    assert_eq!(
        attributes,
        [
            ("gen_ai.request.model", &AttributeValue::from("gpt-4o")),
            (NODE_PATH, &AttributeValue::from("outer/inner")),
        ]
    );
    assert_eq!(call.params, None);

    assert_eq!(minimal.take(ended(attempt, SpanStatus::Ok)), None);
    let mut failed = inner.clone();
    failed.params = Some(Arc::new(json!({"command": "false"})));
    failed.error = Some(SpanError {
        error_type: "exit_code".into(),
        message: "no".to_owned(),
        chain: Vec::new(),
    });
    let failed = kept(minimal.take(ended(failed, SpanStatus::Error)));
    assert_eq!(failed.parent_span_id, Some(span_id(1)));
    assert_eq!(failed.attributes.get_str(NODE_PATH), Some("outer/inner"));
    assert!(failed.params.is_some(), "a failure is kept whole");

    assert_eq!(minimal.take(ended(nested, SpanStatus::Ok)), None);
    assert_eq!(minimal.take(ended(outer, SpanStatus::Cancelled)), None);
    assert!(minimal.open.is_empty());
    let end = kept(minimal.take(ended(root, SpanStatus::Ok)));
    assert_eq!(
        end.parent_span_id,
        Some(span_id(99)),
        "the caller's span stays its parent"
    );
}

#[test]
fn an_llm_call_that_failed_is_kept_whole() {
    let mut minimal = MinimalTrace::new(span_id(1));
    let mut call = span(6, 5, SpanKind::LlmCall);
    call.attributes.set(genai::INPUT_MESSAGES, json!(["why"]));
    let call = kept(minimal.take(ended(call, SpanStatus::Error)));
    assert!(call.attributes.get(genai::INPUT_MESSAGES).is_some());
    assert_eq!(call.parent_span_id, Some(span_id(1)));
    assert_eq!(call.attributes.get(NODE_PATH), None, "its beginning was not seen");
}

#[test]
fn of_the_logs_only_errors_stay() {
    let mut minimal = MinimalTrace::new(span_id(1));
    let _ = minimal.take(started(&node(2, 1, "fetch")));
    for level in [LogLevel::Trace, LogLevel::Info, LogLevel::Warn] {
        assert_eq!(minimal.take(log(level, Some(2))), None);
    }
    let Some(TelemetryEvent::Log(_, record)) = minimal.take(log(LogLevel::Error, Some(2))) else {
        panic!("the error is gone");
    };
    assert_eq!(record.span_id, Some(span_id(1)));
    assert_eq!(record.attributes.get_str(NODE_PATH), Some("fetch"));
    let of_root = log(LogLevel::Error, Some(1));
    assert_eq!(minimal.take(of_root.clone()), Some(of_root));
    let of_nobody = log(LogLevel::Error, None);
    assert_eq!(minimal.take(of_nobody.clone()), Some(of_nobody));
}

#[test]
fn ids_in_a_circle_and_masses_of_open_spans_do_no_harm() {
    let mut minimal = MinimalTrace::new(span_id(1));
    let _ = minimal.take(started(&node(2, 3, "a")));
    let _ = minimal.take(started(&node(3, 2, "b")));
    let failed = kept(minimal.take(ended(node(2, 3, "a"), SpanStatus::Error)));
    assert_eq!(failed.parent_span_id, Some(span_id(1)));
    for number in 10..OPEN_MAX as u64 + 100 {
        let _ = minimal.take(started(&span(number, 1, SpanKind::Custom)));
    }
    assert_eq!(minimal.open.len(), OPEN_MAX);
}
