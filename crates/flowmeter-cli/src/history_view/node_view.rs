//! One node of a run in detail: what it was given, what models were asked and said, what it wrote, what it cost.
//!
//! Never prints: it gives lines, or JSON.

use std::collections::HashSet;

use anyhow::Result;
use flowmeter::{TraceDocument, milliseconds, write_trace_json};
use flowmeter_model::{AttributeValue, LogRecord, Span, SpanKind, SpanStatus};
use flowmeter_otlp::names;
use owo_colors::Style;
use serde_json::{Value, json};

use super::messages::{Message, prompt_of, response_of};
use super::places::{FoundSpan, PlacedSpan};
use super::stored_trace::RunSpans;
use crate::times::TimeWords;

mod text;

/// How many LLM calls are shown in full; of more only the first ones are.
const CALLS_SHOWN: usize = 5;

/// How the view is to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeLook<'a> {
    pub(crate) colour: bool,
    pub(crate) is_full: bool,
    pub(crate) times: &'a TimeWords,
}

/// A node and what is inside it, with payloads.
pub(crate) struct NodeDetail<'a> {
    run: &'a RunSpans<'a>,
    found: FoundSpan<'a>,
    span: Span,
    calls: Vec<Span>,
    calls_left_out: usize,
    /// What is inside without being an LLM call.
    inside: Vec<&'a PlacedSpan>,
    attempts: Vec<Span>,
    logs: Vec<LogRecord>,
}

impl<'a> NodeDetail<'a> {
    /// Gathers what there is of it. `None` where the span itself is gone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn gather(
        run: &'a RunSpans<'a>,
        found: FoundSpan<'a>,
        calls_max: usize,
    ) -> Result<Option<Self>> {
        let Some(span) = run.span(found.span.span_id)? else {
            return Ok(None);
        };
        let inside = run.places().inside(span.span_id, false);
        let own: HashSet<_> = inside.iter().map(|inner| inner.span_id).collect();
        let is_call = |inner: &&&PlacedSpan| inner.kind == SpanKind::LlmCall;
        let calls: Vec<&PlacedSpan> = inside.iter().filter(is_call).copied().collect();
        let mut full_calls = Vec::new();
        for call in calls.iter().take(calls_max) {
            full_calls.extend(run.span(call.span_id)?);
        }
        let mut attempts = Vec::new();
        let direct = run.places().children(span.span_id);
        let tried: Vec<&PlacedSpan> = direct.filter(|child| child.kind == SpanKind::Attempt).collect();
        if tried.len() > 1 {
            for attempt in &tried {
                attempts.extend(run.span(attempt.span_id)?);
            }
        }
        // Nodes of a nested workflow are listed, though what is in them is not.
        let mut listed: Vec<&PlacedSpan> = inside
            .iter()
            .filter(|inner| {
                matches!(
                    inner.kind,
                    SpanKind::BatchItem | SpanKind::Iteration | SpanKind::Custom
                )
            })
            .copied()
            .collect();
        for inner in &inside {
            let nested = run.places().children(inner.span_id);
            listed.extend(nested.filter(|child| child.kind == SpanKind::Node));
        }
        listed.retain(|inner| inner.span_id != span.span_id);
        listed.sort_by_key(|inner| inner.start);
        Ok(Some(Self {
            logs: run.logs_in(&own)?,
            calls_left_out: calls.len() - full_calls.len(),
            calls: full_calls,
            inside: listed,
            attempts,
            found,
            span,
            run,
        }))
    }

    /// The same for the eye: as many calls as can be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn gather_some(
        run: &'a RunSpans<'a>,
        found: FoundSpan<'a>,
        is_full: bool,
    ) -> Result<Option<Self>> {
        Self::gather(run, found, if is_full { usize::MAX } else { CALLS_SHOWN })
    }

    /// For programs.
    ///
    /// # Errors
    /// When the spans cannot be written as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        let mut spans = vec![self.span.clone()];
        spans.extend(
            self.calls
                .iter()
                .filter(|call| call.span_id != self.span.span_id)
                .cloned(),
        );
        let document = TraceDocument {
            trace_id: self.run.trace_id().map_or_else(String::new, |id| id.to_string()),
            workflow: None,
            started: None,
            status: self.span.status,
            error: None,
            spans,
            logs: self.logs.clone(),
            metrics: Some(Value::Null),
            sampled: true,
            pid: None,
            broken_lines: 0,
        };
        // The form of a span is that of the trace file, which only the library knows.
        let mut written = Vec::new();
        write_trace_json(&document, &mut written)?;
        let mut document: Value = serde_json::from_slice(&written)?;
        let mut spans = document["spans"]
            .take()
            .as_array()
            .cloned()
            .unwrap_or_default()
            .into_iter();
        let span = spans.next().unwrap_or_default();
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| {
                let own = if call.span_id == self.span.span_id {
                    Some(span.clone())
                } else {
                    spans.next()
                };
                json!({
                    "span_id": call.span_id.to_string(),
                    "model": model_of(call),
                    "provider": call.attributes.get_str(names::PROVIDER_NAME),
                    "prompt": messages_json(&prompt_of(call)),
                    "response": messages_json(&response_of(call)),
                    "span": own,
                })
            })
            .collect();
        Ok(json!({
            "run": self.run.run_id(),
            "node": self.found.span.node.as_str(),
            "execution": self.found.nth,
            "executions": self.found.count,
            "span": span,
            "llm_calls": calls,
            "attempts": self.attempts.iter().map(|attempt| json!({
                "span_id": attempt.span_id.to_string(),
                "number": number(attempt, "attempt.number"),
                "status": attempt.status,
                "duration_ms": attempt.duration_ns().map(milliseconds),
                "error": attempt.error,
            })).collect::<Vec<_>>(),
            "inside": self.inside.iter().map(|inner| json!({
                "span_id": inner.span_id.to_string(),
                "kind": inner.kind,
                "operation": inner.operation.as_str(),
                "node": inner.node.as_str(),
                "status": inner.status,
                "duration_ms": inner.end.map(|end| milliseconds(end.since(inner.start))),
            })).collect::<Vec<_>>(),
            "logs": document["logs"].take(),
            "payloads_gone": self.run.are_payloads_gone(),
        }))
    }
}

fn messages_json(messages: &[Message]) -> Value {
    let messages = messages.iter();
    messages
        .map(|message| json!({"role": message.role, "text": message.text}))
        .collect()
}

fn model_of(call: &Span) -> &str {
    call.attributes.get_str(names::REQUEST_MODEL).unwrap_or_default()
}

fn number(span: &Span, key: &str) -> Option<i64> {
    match span.attributes.get(key) {
        Some(AttributeValue::I64(number)) => Some(*number),
        _ => None,
    }
}

/// A sign and a word for how a span stands.
pub(crate) fn status_words(status: Option<SpanStatus>) -> (&'static str, Style) {
    match status {
        Some(SpanStatus::Ok) => ("✓ ok", Style::new().green()),
        Some(SpanStatus::Error) => ("✗ error", Style::new().red()),
        Some(SpanStatus::Cancelled) => ("■ cancelled", Style::new().yellow()),
        None => ("● not finished", Style::new().yellow()),
    }
}

#[cfg(test)]
mod tests;
