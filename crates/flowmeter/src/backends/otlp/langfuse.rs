//! What Langfuse wants of a span beside the GenAI names: the trace's name, and costs and tokens in its own terms.
//!
//! Never changes an attribute that is there. Source: Langfuse, OpenTelemetry property mapping.

use std::borrow::Cow;

use flowmeter_model::{Attributes, Figure, Span, SpanKind, TokenUsage};
use serde_json::{Map, Value, json};

use crate::backends::RunIdentity;

/// The span with what Langfuse wants of it.
pub(super) fn described<'a>(span: &'a Span, run: &RunIdentity) -> Cow<'a, Span> {
    let mut added = Attributes::new();
    match span.kind {
        SpanKind::Run => added.set("langfuse.trace.name", run.workflow.clone()),
        SpanKind::LlmCall => {
            added.set("langfuse.observation.type", "generation");
            if let Some(amount) = span.cost.as_ref().and_then(|cost| cost.amount) {
                let details = json!({ "total": amount.to_usd() });
                added.set("langfuse.observation.cost_details", details.to_string());
            }
            if let Some(details) = span.usage.as_ref().and_then(usage_details) {
                added.set("langfuse.observation.usage_details", details.to_string());
            }
        }
        _ => {}
    }
    if added.is_empty() {
        return Cow::Borrowed(span);
    }
    let mut span = span.clone();
    for (key, value) in added.iter() {
        if span.attributes.get(key).is_none() {
            span.attributes.set(key.clone(), value.clone());
        }
    }
    Cow::Owned(span)
}

/// Token counts that exclude each other, as Langfuse adds them up; ours include what is read from caches.
fn usage_details(usage: &TokenUsage) -> Option<Value> {
    let tokens = |figure: Option<Figure>| figure.map_or(0, |figure| figure.tokens);
    let input = usage.input?.tokens;
    let output = tokens(usage.output);
    let cache_read = tokens(usage.cache_read);
    let cache_write = tokens(usage.cache_write_5m) + tokens(usage.cache_write_1h);
    let mut details = Map::new();
    details.insert(
        "input".into(),
        input.saturating_sub(cache_read + cache_write).into(),
    );
    if cache_read > 0 {
        details.insert("cache_read_input_tokens".into(), cache_read.into());
    }
    if cache_write > 0 {
        details.insert("cache_creation_input_tokens".into(), cache_write.into());
    }
    details.insert("output".into(), output.into());
    details.insert("total".into(), (input + output).into());
    Some(details.into())
}
