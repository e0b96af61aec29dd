//! What the tests of backends share: a run and what happens in it.

use std::sync::Arc;

use flowmeter_model::{
    Attributes, IdSource, LogLevel, LogRecord, Span, SpanError, SpanId, SpanKind, SpanStatus, TelemetryEvent,
    TimestampNs, TraceId,
};

use super::{RunEnding, RunIdentity};
use crate::metrics::RunMetrics;
use crate::recorder::DropCounts;

pub(crate) const START_NS: u64 = 1_705_314_645_000_000_000;

pub(crate) fn trace_id() -> TraceId {
    IdSource::from_seed(1).trace_id()
}

pub(crate) fn run() -> Arc<RunIdentity> {
    Arc::new(RunIdentity {
        trace_id: trace_id(),
        root_span_id: None,
        parent_span_id: None,
        workflow: "summarize".into(),
        started: TimestampNs(START_NS),
        trace_state: String::new(),
        sampled: true,
        resource: Attributes::new(),
    })
}

pub(crate) fn at(ms: u64) -> TimestampNs {
    TimestampNs(START_NS + ms * 1_000_000)
}

pub(crate) fn begun(id: u64, parent: u64, kind: SpanKind, operation: &str) -> Span {
    let id = SpanId::from_u64(id).unwrap();
    Span::begin(trace_id(), id, SpanId::from_u64(parent), kind, operation, at(0))
}

pub(crate) fn node(id: u64, parent: u64, node_type: &str, node_id: &str) -> Span {
    let mut span = begun(id, parent, SpanKind::Node, &format!("node.{node_type}"));
    span.attributes.set("node.id", node_id);
    span.attributes.set("node.type", node_type);
    span
}

pub(crate) fn numbered(id: u64, parent: u64, kind: SpanKind, numbers: [(&'static str, i64); 2]) -> Span {
    let operation = match kind {
        SpanKind::Attempt => "attempt",
        SpanKind::BatchItem => "batch.item",
        _ => "loop.iteration",
    };
    let mut span = begun(id, parent, kind, operation);
    for (key, number) in numbers {
        span.attributes.set(key, number);
    }
    span
}

pub(crate) fn item(id: u64, parent: u64, index: i64) -> Span {
    let numbers = [("batch.index", index), ("batch.count", 3)];
    numbered(id, parent, SpanKind::BatchItem, numbers)
}

pub(crate) fn attempt(id: u64, parent: u64, number: i64) -> Span {
    let numbers = [("attempt.number", number), ("attempt.max", 3)];
    numbered(id, parent, SpanKind::Attempt, numbers)
}

pub(crate) fn starts(span: &Span) -> TelemetryEvent {
    TelemetryEvent::SpanStarted(Box::new(span.clone()))
}

pub(crate) fn ends(span: &Span, ms: u64) -> TelemetryEvent {
    let mut span = span.clone();
    span.end = Some(at(ms));
    span.status = Some(SpanStatus::Ok);
    TelemetryEvent::SpanEnded(Box::new(span))
}

pub(crate) fn fails(span: &Span, ms: u64, message: &str, chain: &[&str]) -> TelemetryEvent {
    let mut span = span.clone();
    span.end = Some(at(ms));
    span.status = Some(SpanStatus::Error);
    span.error = Some(SpanError {
        error_type: "failed".into(),
        message: message.to_owned(),
        chain: chain.iter().map(ToString::to_string).collect(),
    });
    TelemetryEvent::SpanEnded(Box::new(span))
}

pub(crate) fn logs(span_id: u64, level: LogLevel, message: &str) -> TelemetryEvent {
    let record = LogRecord {
        time: at(1),
        level,
        message: message.to_owned(),
        target: None,
        span_id: SpanId::from_u64(span_id),
        attributes: Attributes::new(),
    };
    TelemetryEvent::Log(trace_id(), Box::new(record))
}

pub(crate) fn root() -> Span {
    begun(1, 0, SpanKind::Run, "workflow.start")
}

pub(crate) fn ending() -> RunEnding {
    let mut metrics = RunMetrics {
        duration_ns: 234_500_000,
        nodes_executed: 2,
        ..RunMetrics::default()
    };
    metrics.llm.calls = 0;
    RunEnding {
        sampled: true,
        status: SpanStatus::Ok,
        error: None,
        ended: at(235),
        metrics: metrics.into(),
        dropped: DropCounts::default(),
    }
}
