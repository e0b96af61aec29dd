//! How much memory waits with an item: an estimate that costs little.
//!
//! Never follows a value deeper or wider than it must to tell small from large.

use flowmeter_model::{AttributeValue, Attributes, LogRecord, Span};
use serde_json::Value;

use crate::{RunEnd, RunStart};

/// What a span or a line takes with nothing in it.
const EVENT_BYTES: usize = 400;
/// What a value takes with nothing in it.
const VALUE_BYTES: usize = 32;

/// Bytes of a run's beginning.
pub(super) fn start(start: &RunStart) -> usize {
    EVENT_BYTES + attributes(&start.resource)
}

/// Bytes of its end.
pub(super) fn end(end: &RunEnd) -> usize {
    EVENT_BYTES + value(&end.metrics)
}

/// Bytes of a log line.
pub(super) fn line(record: &LogRecord) -> usize {
    EVENT_BYTES + record.message.len() + attributes(&record.attributes)
}

/// Bytes of a span.
pub(super) fn span(span: &Span) -> usize {
    let values = span.params.iter().map(|params| value(params)).sum::<usize>()
        + span
            .templates
            .iter()
            .map(|template| template.template.len() + value(&template.value))
            .sum::<usize>()
        + span
            .mutations
            .iter()
            .map(|mutation| {
                mutation.path.len()
                    + mutation.before.as_deref().map_or(0, value)
                    + mutation.after.as_deref().map_or(0, value)
            })
            .sum::<usize>();
    let logs: usize = span
        .logs
        .iter()
        .map(|record| record.message.len() + attributes(&record.attributes))
        .sum();
    let events: usize = span
        .events
        .iter()
        .map(|event| attributes(&event.attributes))
        .sum();
    let error = span.error.as_ref().map_or(0, |error| error.message.len());
    EVENT_BYTES + attributes(&span.attributes) + values + logs + events + error
}

fn attributes(attributes: &Attributes) -> usize {
    attributes
        .iter()
        .map(|(_, attribute)| match attribute {
            AttributeValue::Str(text) => VALUE_BYTES + text.len(),
            AttributeValue::Json(json) => VALUE_BYTES + value(json),
            AttributeValue::Bool(_) | AttributeValue::I64(_) | AttributeValue::F64(_) => VALUE_BYTES,
        })
        .sum()
}

fn value(json: &Value) -> usize {
    VALUE_BYTES
        + match json {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value).sum(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, field)| VALUE_BYTES + key.len() + value(field))
                .sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}
