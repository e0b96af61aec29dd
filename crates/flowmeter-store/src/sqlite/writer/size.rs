//! How much memory waits with an item: an estimate that costs little.
//!
//! Never follows a value deeper or wider than it must to tell small from large.

use flowmeter_model::{AttributeValue, Attributes, Span, TelemetryEvent};
use serde_json::Value;

use crate::Append;

/// What a span or a line takes with nothing in it.
const EVENT_BYTES: usize = 400;
/// What a value takes with nothing in it.
const VALUE_BYTES: usize = 32;

/// Events and bytes of an item.
pub(super) fn size_of(append: &Append) -> (usize, usize) {
    match append {
        Append::Began(start) => (1, EVENT_BYTES + attributes(&start.resource)),
        Append::Events(_, events) => (events.len(), events.iter().map(event).sum()),
        Append::Ended(end) => (1, EVENT_BYTES + value(&end.metrics)),
    }
}

/// Bytes of an event.
pub(super) fn event(event: &TelemetryEvent) -> usize {
    match event {
        TelemetryEvent::SpanStarted(ended) | TelemetryEvent::SpanEnded(ended) => span(ended),
        TelemetryEvent::Log(_, record) => EVENT_BYTES + record.message.len() + attributes(&record.attributes),
    }
}

/// Bytes of a span.
pub(in crate::sqlite) fn span(span: &Span) -> usize {
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
