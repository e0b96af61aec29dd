//! The wire types of the trace file, format version 1.
//!
//! Model types are not wire types: a change here is a new version with a golden file of its own.

use std::borrow::Cow;
use std::sync::Arc;

use flowmeter_model::{
    Attributes, Cost, LogLevel, LogRecord, MutationRecord, Span, SpanError, SpanEvent, SpanId, SpanKind,
    SpanStatus, TemplateResolution, TimestampNs, TokenUsage, TraceId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::metrics::milliseconds;

/// Name and version of the format, in every file.
pub const FORMAT: &str = "flowmeter.trace/1";

/// The first line of a running trace.
#[derive(Serialize, Deserialize)]
pub(super) struct HeaderLine<'a> {
    pub(super) format: Cow<'a, str>,
    pub(super) trace_id: TraceId,
    pub(super) workflow: Cow<'a, str>,
    pub(super) start_time: TimestampNs,
    /// Whose process writes it.
    pub(super) pid: u32,
    /// Whether the whole trace is kept.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub(super) sampled: bool,
}

/// Traces are whole unless they say otherwise.
pub(super) fn yes() -> bool {
    true
}

fn is_yes(sampled: &bool) -> bool {
    *sampled
}

/// A span, in a line and in the document alike.
#[derive(Serialize, Deserialize)]
pub(super) struct SpanWire<'a> {
    pub(super) span_id: SpanId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent_span_id: Option<SpanId>,
    pub(super) operation: Cow<'a, str>,
    /// Other tools do not write it.
    #[serde(default)]
    pub(super) kind: Option<SpanKind>,
    /// Null where a program gave no times.
    #[serde(default, deserialize_with = "or_unknown")]
    pub(super) start_time: TimestampNs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end_time: Option<TimestampNs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<SpanStatus>,
    #[serde(default)]
    pub(super) attributes: Cow<'a, Attributes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Cow<'a, SpanError>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) params: Option<Arc<Value>>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub(super) templates: Cow<'a, [TemplateResolution]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub(super) mutations: Cow<'a, [MutationRecord]>,
    #[serde(
        default,
        skip_serializing_if = "<[_]>::is_empty",
        deserialize_with = "moments"
    )]
    pub(super) events: Cow<'a, [SpanEvent]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Cow<'a, TokenUsage>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<Cow<'a, Cost>>,
}

/// A time that may be null, which is told by a zero: nothing of ours ran in 1970.
fn or_unknown<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<TimestampNs, D::Error> {
    Ok(Option::<TimestampNs>::deserialize(deserializer)?.unwrap_or_default())
}

/// Moments inside a span, whose times may be unknown, too.
fn moments<'de, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cow<'a, [SpanEvent]>, D::Error> {
    #[derive(Deserialize)]
    struct Moment {
        name: smol_str::SmolStr,
        #[serde(default, deserialize_with = "or_unknown")]
        time: TimestampNs,
        #[serde(default)]
        attributes: Attributes,
    }
    let moments = Vec::<Moment>::deserialize(deserializer)?.into_iter();
    let events = moments.map(|moment| SpanEvent {
        name: moment.name,
        time: moment.time,
        attributes: moment.attributes,
    });
    Ok(Cow::Owned(events.collect()))
}

/// What a span stands for that does not say it: the agreed names of operations tell.
fn kind_of_operation(operation: &str) -> SpanKind {
    match operation {
        "workflow.start" => SpanKind::Run,
        _ if operation.starts_with("node.") => SpanKind::Node,
        _ => SpanKind::Custom,
    }
}

impl<'a> SpanWire<'a> {
    pub(super) fn of(span: &'a Span) -> Self {
        Self {
            span_id: span.span_id,
            parent_span_id: span.parent_span_id,
            operation: Cow::Borrowed(&span.operation),
            kind: Some(span.kind),
            start_time: span.start,
            end_time: span.end,
            duration_ms: span.duration_ns().map(milliseconds),
            status: span.status,
            attributes: Cow::Borrowed(&span.attributes),
            error: span.error.as_ref().map(Cow::Borrowed),
            params: span.params.clone(),
            templates: Cow::Borrowed(&span.templates),
            mutations: Cow::Borrowed(&span.mutations),
            events: Cow::Borrowed(&span.events),
            usage: span.usage.as_ref().map(Cow::Borrowed),
            cost: span.cost.as_ref().map(Cow::Borrowed),
        }
    }

    pub(super) fn into_span(self, trace_id: TraceId) -> Span {
        let mut span = Span::begin(
            trace_id,
            self.span_id,
            self.parent_span_id,
            self.kind.unwrap_or_else(|| kind_of_operation(&self.operation)),
            self.operation.as_ref(),
            self.start_time,
        );
        // Other tools may write the duration alone.
        span.end = self.end_time.or_else(|| {
            let duration_ns = self.duration_ms? * 1e6;
            Some(TimestampNs(
                self.start_time.0.saturating_add(duration_ns.max(0.0) as u64),
            ))
        });
        span.status = self.status.or_else(|| span.end.map(|_| SpanStatus::Ok));
        span.attributes = self.attributes.into_owned();
        span.error = self.error.map(Cow::into_owned);
        span.params = self.params;
        span.templates = self.templates.into_owned();
        span.mutations = self.mutations.into_owned();
        span.events = self.events.into_owned();
        span.usage = self.usage.map(Cow::into_owned);
        span.cost = self.cost.map(Cow::into_owned);
        span
    }
}

/// A log line.
#[derive(Serialize, Deserialize)]
pub(super) struct LogWire<'a> {
    #[serde(default, deserialize_with = "or_unknown")]
    pub(super) timestamp: TimestampNs,
    pub(super) level: LogLevel,
    pub(super) message: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) span_id: Option<SpanId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(super) attributes: Cow<'a, Attributes>,
}

fn is_empty(attributes: &Attributes) -> bool {
    attributes.is_empty()
}

impl<'a> LogWire<'a> {
    pub(super) fn of(record: &'a LogRecord) -> Self {
        Self {
            timestamp: record.time,
            level: record.level,
            message: Cow::Borrowed(&record.message),
            span_id: record.span_id,
            target: record.target.as_deref().map(Cow::Borrowed),
            attributes: Cow::Borrowed(&record.attributes),
        }
    }

    pub(super) fn into_record(self) -> LogRecord {
        LogRecord {
            time: self.timestamp,
            level: self.level,
            message: self.message.into_owned(),
            target: self.target.map(|target| target.as_ref().into()),
            span_id: self.span_id,
            attributes: self.attributes.into_owned(),
        }
    }
}

/// A span that had begun but not ended when the line was written.
#[derive(Serialize, Deserialize)]
pub(super) struct OpenLine<'a> {
    pub(super) open: SpanWire<'a>,
}

/// How the lines are told apart: by how they begin.
pub(super) const SPAN_PREFIX: &[u8] = b"{\"span_id\"";
pub(super) const LOG_PREFIX: &[u8] = b"{\"timestamp\"";
pub(super) const OPEN_PREFIX: &[u8] = b"{\"open\"";
