//! The wire type of an event line that carries a span or a log of ours, and its way back into the model.
//!
//! Model types are not wire types: a change here changes what other programs read. Never reads the lines of
//! programs that give no ids: `flowmeter format` does, line by line, with their problems.

use std::borrow::Cow;
use std::sync::Arc;

use flowmeter_model::{
    Attributes, Cost, LogLevel, LogRecord, MutationRecord, Span, SpanError, SpanEvent, SpanId, SpanKind,
    SpanStatus, TelemetryEvent, TemplateResolution, TimestampNs, TokenUsage, TraceId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// The node that a line speaks of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NodeWire<'a> {
    pub(super) id: Cow<'a, str>,
    #[serde(rename = "type", default)]
    pub(super) node_type: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<Arc<Value>>,
}

/// Why something failed. Other programs give the message alone, or a text in place of the object.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorWire<'a> {
    /// The message alone.
    Text(Cow<'a, str>),
    /// The whole error.
    Whole {
        #[serde(rename = "type", default)]
        error_type: Cow<'a, str>,
        message: Cow<'a, str>,
        #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
        chain: Cow<'a, [String]>,
    },
}

impl<'a> ErrorWire<'a> {
    pub(super) fn of(error: &'a SpanError) -> Self {
        Self::Whole {
            error_type: Cow::Borrowed(&error.error_type),
            message: Cow::Borrowed(&error.message),
            chain: Cow::Borrowed(&error.chain),
        }
    }

    pub(super) fn into_error(self) -> SpanError {
        match self {
            Self::Text(message) => SpanError {
                error_type: "error".into(),
                message: message.into_owned(),
                chain: Vec::new(),
            },
            Self::Whole {
                error_type,
                message,
                chain,
            } => SpanError {
                error_type: if error_type.is_empty() {
                    "error".into()
                } else {
                    error_type.as_ref().into()
                },
                message: message.into_owned(),
                chain: chain.into_owned(),
            },
        }
    }
}

/// What begins a run, a node or another span; what ends one; or a log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct EventLine<'a> {
    #[serde(rename = "type")]
    pub(super) line_type: Cow<'a, str>,
    /// The workflow's name, on the lines of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) workflow_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<NodeWire<'a>>,
    /// What a span that is neither run nor node stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<SpanKind>,
    /// The span's name, where the type of the line does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) operation: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) level: Option<LogLevel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Cow<'a, str>>,
    /// How a node ended: `success`, `error` or `cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Cow<'a, str>>,
    /// How another span ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<SpanStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<TimestampNs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<TraceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) span_id: Option<SpanId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent_span_id: Option<SpanId>,
    /// When the span began, on the line of its end: such a line says everything without the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<TimestampNs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<ErrorWire<'a>>,
    #[serde(default, skip_serializing_if = "no_attributes")]
    pub(super) attributes: Cow<'a, Attributes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) params: Option<Arc<Value>>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub(super) templates: Cow<'a, [TemplateResolution]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub(super) mutations: Cow<'a, [MutationRecord]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub(super) events: Cow<'a, [SpanEvent]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Cow<'a, TokenUsage>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<Cow<'a, Cost>>,
    /// The W3C `tracestate` of the run, on its first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trace_state: Option<Cow<'a, str>>,
    /// False on the run's first line where the whole trace is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sampled: Option<bool>,
    /// What describes the process, on the run's first line.
    #[serde(default, skip_serializing_if = "no_attributes")]
    pub(super) resource: Cow<'a, Attributes>,
}

#[allow(clippy::ptr_arg, reason = "serde hands it out like this")]
fn no_attributes(attributes: &Cow<'_, Attributes>) -> bool {
    attributes.is_empty()
}

/// Why a line is no event of a run of ours.
#[derive(Debug, Error)]
pub enum InvalidEventLine {
    /// It is no event line at all.
    #[error("this is no event line")]
    NoEvent(#[from] serde_json::Error),
    /// It lacks what places it in a run.
    #[error("a `{line_type}` line of a live stream needs `{field}`; `flowmeter format` reads it without")]
    Missing {
        /// The line's type.
        line_type: String,
        /// What is missing.
        field: &'static str,
    },
}

/// Reads a line of [`write_event`](super::write_event) back: its run and what happened. `None` is a line that only
/// other programs write, such as `custom`.
///
/// # Errors
/// [`InvalidEventLine`] when it is no event line, or one without the ids and times that ours have.
pub fn read_event(line: &str) -> Result<Option<(TraceId, TelemetryEvent)>, InvalidEventLine> {
    let line: EventLine<'_> = serde_json::from_str(line)?;
    let starts = line.line_type.ends_with("_start");
    match line.line_type.as_ref() {
        "workflow_start" | "node_start" | "span_start" | "workflow_end" | "node_end" | "span_end" => {
            let span = Box::new(line.into_span(starts)?);
            let trace_id = span.trace_id;
            Ok(Some(if starts {
                (trace_id, TelemetryEvent::SpanStarted(span))
            } else {
                (trace_id, TelemetryEvent::SpanEnded(span))
            }))
        }
        "log" => {
            let trace_id = line.needed(line.trace_id, "trace_id")?;
            let time = line.needed(line.timestamp, "timestamp")?;
            let record = LogRecord {
                time,
                level: line.level.unwrap_or(LogLevel::Info),
                message: line.message.map(Cow::into_owned).unwrap_or_default(),
                target: line.target.map(|target| target.as_ref().into()),
                span_id: line.span_id,
                attributes: line.attributes.into_owned(),
            };
            Ok(Some((trace_id, TelemetryEvent::Log(trace_id, Box::new(record)))))
        }
        _ => Ok(None),
    }
}

impl EventLine<'_> {
    fn needed<T>(&self, field: Option<T>, name: &'static str) -> Result<T, InvalidEventLine> {
        field.ok_or_else(|| InvalidEventLine::Missing {
            line_type: self.line_type.clone().into_owned(),
            field: name,
        })
    }

    fn into_span(self, starts: bool) -> Result<Span, InvalidEventLine> {
        let trace_id = self.needed(self.trace_id, "trace_id")?;
        let span_id = self.needed(self.span_id, "span_id")?;
        let (start, end) = if starts {
            (self.needed(self.timestamp, "timestamp")?, None)
        } else {
            (self.needed(self.start_time, "start_time")?, self.timestamp)
        };
        let (kind, operation) = match self.line_type.as_ref() {
            "workflow_start" | "workflow_end" => (SpanKind::Run, Cow::Borrowed("workflow.start")),
            "node_start" | "node_end" => {
                let node_type = self.node.as_ref().map(|node| node.node_type.as_ref());
                let operation = format!("node.{}", node_type.unwrap_or_default());
                (SpanKind::Node, Cow::Owned(operation))
            }
            _ => (SpanKind::Custom, Cow::Borrowed("span")),
        };
        let operation = self.operation.unwrap_or(operation);
        let kind = self.kind.unwrap_or(kind);
        let mut span = Span::begin(
            trace_id,
            span_id,
            self.parent_span_id,
            kind,
            operation.as_ref(),
            start,
        );
        span.end = end;
        if !starts {
            span.status = self.status.or(match self.result.as_deref() {
                Some("success") => Some(SpanStatus::Ok),
                Some("cancelled") => Some(SpanStatus::Cancelled),
                Some(_) => Some(SpanStatus::Error),
                None => None,
            });
        }
        if let Some(node) = self.node {
            span.attributes.set("node.id", node.id.as_ref());
            span.attributes.set("node.type", node.node_type.as_ref());
            // At its start a node's configuration may be unknown, and the line has an empty one in its place.
            let is_known =
                |config: &Arc<Value>| !starts || config.as_object().is_none_or(|config| !config.is_empty());
            if let Some(config) = node.config.filter(is_known) {
                span.attributes.set("node.config", config);
            }
        }
        for (key, value) in self.attributes.iter() {
            span.attributes.set(key.clone(), value.clone());
        }
        span.error = self.error.map(ErrorWire::into_error);
        span.params = self.params;
        span.templates = self.templates.into_owned();
        span.mutations = self.mutations.into_owned();
        span.events = self.events.into_owned();
        span.usage = self.usage.map(Cow::into_owned);
        span.cost = self.cost.map(Cow::into_owned);
        Ok(span)
    }
}
