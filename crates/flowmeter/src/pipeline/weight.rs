//! How much memory an event keeps alive, by estimate: rather too much than too little.
//!
//! Never exact: it bounds queues, it does not account.

use flowmeter_model::{AttributeValue, Attributes, LogRecord, Span, TelemetryEvent};
use serde_json::Value;

/// What an allocation costs beside its content.
const ALLOCATION_BYTES: usize = 32;

/// Bytes of `event`.
pub(crate) fn weight_of(event: &TelemetryEvent) -> usize {
    let own = size_of::<TelemetryEvent>() + ALLOCATION_BYTES;
    own + match event {
        TelemetryEvent::SpanStarted(span) | TelemetryEvent::SpanEnded(span) => of_span(span),
        TelemetryEvent::Log(_, log) => of_log(log),
    }
}

fn of_span(span: &Span) -> usize {
    let params = span.params.as_deref().map_or(0, of_value);
    let templates: usize = span
        .templates
        .iter()
        .map(|template| template.template.len() + of_value(&template.value) + ALLOCATION_BYTES)
        .sum();
    let mutations: usize = span
        .mutations
        .iter()
        .map(|mutation| {
            let sides = mutation.before.iter().chain(&mutation.after);
            mutation.path.len() + sides.map(|value| of_value(value)).sum::<usize>() + 3 * ALLOCATION_BYTES
        })
        .sum();
    let error = span.error.as_ref().map_or(0, |error| {
        error.message.len() + error.chain.iter().map(String::len).sum::<usize>() + ALLOCATION_BYTES
    });
    let events: usize = span
        .events
        .iter()
        .map(|event| of_attributes(&event.attributes))
        .sum();
    size_of::<Span>()
        + of_attributes(&span.attributes)
        + params
        + templates
        + mutations
        + error
        + events
        + span.logs.iter().map(of_log).sum::<usize>()
}

fn of_log(log: &LogRecord) -> usize {
    size_of::<LogRecord>() + log.message.len() + of_attributes(&log.attributes)
}

fn of_attributes(attributes: &Attributes) -> usize {
    attributes
        .iter()
        .map(|(key, value)| {
            let content = match value {
                AttributeValue::Str(text) => text.len() + ALLOCATION_BYTES,
                AttributeValue::Json(value) => of_value(value),
                AttributeValue::Bool(_) | AttributeValue::I64(_) | AttributeValue::F64(_) => 0,
            };
            size_of::<(smol_str::SmolStr, AttributeValue)>() + key.len() + content
        })
        .sum()
}

/// Bytes of a value, its own place included. Without recursion: values may be nested as deep as they like.
pub(crate) fn of_value(value: &Value) -> usize {
    let mut bytes = 0;
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        bytes += size_of::<Value>();
        match value {
            Value::String(text) => bytes += text.len() + ALLOCATION_BYTES,
            Value::Array(elements) => {
                bytes += ALLOCATION_BYTES;
                pending.extend(elements);
            }
            Value::Object(members) => {
                bytes += ALLOCATION_BYTES;
                for (key, member) in members {
                    bytes += key.len() + 2 * ALLOCATION_BYTES;
                    pending.push(member);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    bytes
}
