//! Event lines out: what happened in a run, one line each.
//!
//! A line that ends a span says everything about it, so that nobody needs to have seen its beginning.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use flowmeter_model::{
    AttributeValue, Attributes, LogRecord, Span, SpanKind, SpanStatus, TelemetryEvent, TraceId,
};
use serde_json::json;

use super::wire::{ErrorWire, EventLine, NodeWire};
use crate::backends::RunIdentity;
use crate::metrics::milliseconds;

const NODE_ID: &str = "node.id";
const NODE_TYPE: &str = "node.type";
const NODE_CONFIG: &str = "node.config";

/// Writes what happened as an event line, its newline included: `workflow_start`, `node_start`, `span_start`, `log`,
/// `node_end`, `span_end` or `workflow_end`. Logs that a span carries become lines of their own before its end.
///
/// # Errors
/// Whatever `output` fails with.
pub fn write_event(output: &mut dyn Write, run: &RunIdentity, event: &TelemetryEvent) -> io::Result<()> {
    match event {
        TelemetryEvent::SpanStarted(span) => write_line(output, &start_line(run, span)),
        TelemetryEvent::SpanEnded(span) => {
            for log in &span.logs {
                write_line(output, &log_line(span.trace_id, log, Some(span)))?;
            }
            write_line(output, &end_line(&run.workflow, span))
        }
        TelemetryEvent::Log(trace_id, log) => write_line(output, &log_line(*trace_id, log, None)),
    }
}

/// Writes the line that ends a span, whose run has this name; it says everything about the span but its logs.
///
/// # Errors
/// Whatever `output` fails with.
pub fn write_span_line(output: &mut dyn Write, workflow: &str, span: &Span) -> io::Result<()> {
    write_line(output, &end_line(workflow, span))
}

/// Writes the line of a span that has not ended, with what is known of it up to then.
///
/// # Errors
/// Whatever `output` fails with.
pub fn write_open_span_line(output: &mut dyn Write, workflow: &str, span: &Span) -> io::Result<()> {
    let mut line = span_line(span);
    line.timestamp = Some(span.start);
    line.line_type = match (span.kind, line.node.is_some()) {
        (SpanKind::Run, _) => {
            line.workflow_id = Some(Cow::Borrowed(workflow));
            "workflow_start".into()
        }
        (SpanKind::Node, true) => "node_start".into(),
        _ => "span_start".into(),
    };
    what_happened(&mut line, span);
    write_line(output, &line)
}

/// Writes the line of a log.
///
/// # Errors
/// Whatever `output` fails with.
pub fn write_log_line(output: &mut dyn Write, trace_id: TraceId, log: &LogRecord) -> io::Result<()> {
    write_line(output, &log_line(trace_id, log, None))
}

fn write_line(output: &mut dyn Write, line: &EventLine<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *output, line)?;
    output.write_all(b"\n")
}

fn log_line<'a>(trace_id: TraceId, log: &'a LogRecord, span: Option<&Span>) -> EventLine<'a> {
    EventLine {
        line_type: "log".into(),
        level: Some(log.level),
        message: Some(Cow::Borrowed(&log.message)),
        target: log.target.as_deref().map(Cow::Borrowed),
        timestamp: Some(log.time),
        trace_id: Some(trace_id),
        span_id: log.span_id.or(span.map(|span| span.span_id)),
        attributes: Cow::Borrowed(&log.attributes),
        ..EventLine::default()
    }
}

/// What the lines of a span's beginning and end have in common, but for their type.
fn span_line(span: &Span) -> EventLine<'_> {
    let mut line = EventLine {
        trace_id: Some(span.trace_id),
        span_id: Some(span.span_id),
        parent_span_id: span.parent_span_id,
        attributes: Cow::Borrowed(&span.attributes),
        ..EventLine::default()
    };
    match (span.kind, node_of(span)) {
        (SpanKind::Run, _) => {
            if span.operation != "workflow.start" {
                line.operation = Some(Cow::Borrowed(&span.operation));
            }
        }
        (SpanKind::Node, Some(node)) => {
            let named = span.operation.strip_prefix("node.");
            if named != Some(node.node_type.as_ref()) {
                line.operation = Some(Cow::Borrowed(&span.operation));
            }
            line.node = Some(node);
            line.attributes = Cow::Owned(without_node(&span.attributes));
        }
        (kind, _) => {
            line.kind = Some(kind);
            line.operation = Some(Cow::Borrowed(&span.operation));
        }
    }
    line
}

/// The node that a span's attributes name, if they do.
fn node_of(span: &Span) -> Option<NodeWire<'_>> {
    let text = |key| match span.attributes.get(key) {
        Some(AttributeValue::Str(text)) => Some(Cow::Borrowed(text.as_str())),
        _ => None,
    };
    Some(NodeWire {
        id: text(NODE_ID)?,
        node_type: text(NODE_TYPE)?,
        config: match span.attributes.get(NODE_CONFIG) {
            Some(AttributeValue::Json(config)) => Some(Arc::clone(config)),
            _ => None,
        },
    })
}

fn without_node(attributes: &Attributes) -> Attributes {
    let mut rest = Attributes::new();
    for (key, value) in attributes.iter() {
        let is_told = match key.as_str() {
            NODE_ID | NODE_TYPE => true,
            NODE_CONFIG => matches!(value, AttributeValue::Json(_)),
            _ => false,
        };
        if !is_told {
            rest.set(key.clone(), value.clone());
        }
    }
    rest
}

fn start_line<'a>(run: &'a RunIdentity, span: &'a Span) -> EventLine<'a> {
    let mut line = span_line(span);
    line.timestamp = Some(span.start);
    line.line_type = match (span.kind, line.node.is_some()) {
        (SpanKind::Run, _) => {
            line.workflow_id = Some(Cow::Borrowed(&run.workflow));
            line.trace_state =
                (!run.trace_state.is_empty()).then_some(Cow::Borrowed(run.trace_state.as_str()));
            line.sampled = (!run.sampled).then_some(false);
            line.resource = Cow::Borrowed(&run.resource);
            "workflow_start".into()
        }
        (SpanKind::Node, true) => {
            // The agreed shape has it; a span learns its node's configuration at its end.
            if let Some(node) = &mut line.node {
                node.config.get_or_insert_with(|| Arc::new(json!({})));
            }
            "node_start".into()
        }
        _ => "span_start".into(),
    };
    line
}

fn end_line<'a>(workflow: &'a str, span: &'a Span) -> EventLine<'a> {
    let mut line = span_line(span);
    line.timestamp = span.end;
    line.start_time = Some(span.start);
    line.duration_ms = span.duration_ns().map(milliseconds);
    line.status = span.status;
    line.line_type = match (span.kind, &line.node) {
        (SpanKind::Run, _) => {
            line.workflow_id = Some(Cow::Borrowed(workflow));
            "workflow_end".into()
        }
        (SpanKind::Node, Some(_)) => {
            line.status = None;
            line.result = span.status.map(|status| {
                Cow::Borrowed(match status {
                    SpanStatus::Ok => "success",
                    SpanStatus::Error => "error",
                    SpanStatus::Cancelled => "cancelled",
                })
            });
            "node_end".into()
        }
        _ => "span_end".into(),
    };
    what_happened(&mut line, span);
    line
}

/// What a span did, was given and cost, as far as it is known.
fn what_happened<'a>(line: &mut EventLine<'a>, span: &'a Span) {
    line.error = span.error.as_ref().map(ErrorWire::of);
    line.params = span.params.clone();
    line.templates = Cow::Borrowed(&span.templates);
    line.mutations = Cow::Borrowed(&span.mutations);
    line.events = Cow::Borrowed(&span.events);
    line.usage = span.usage.as_ref().map(Cow::Borrowed);
    line.cost = span.cost.as_ref().map(Cow::Borrowed);
}
