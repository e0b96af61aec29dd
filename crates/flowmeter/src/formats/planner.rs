//! The planner's part of a run, for the eye: a line in the summary, and its part of the trace alone.
//!
//! Never counts anything: the figures are those of the run's metrics.

use std::collections::HashSet;
use std::io::{self, Write};

use flowmeter_model::{SpanId, SpanKind};
use serde_json::Value;

use super::summary::spend_of_calls;
use super::wording::format_duration;
use crate::metrics::{PlannerPath, RunMetrics, RunParts};
use crate::trace_file::TraceDocument;

/// The parts of a run in a line: `planner 1.20s, 8 LLM calls, 880 tokens, $0.0021, path B; workflow 2.00s, …`.
#[must_use]
pub fn planner_note(parts: &RunParts) -> String {
    let path = parts.path_taken.map_or_else(
        || "no path taken".to_owned(),
        |path| format!("path {}", path.as_str()),
    );
    format!(
        "planner {}, {path}; workflow {}",
        part_note(&parts.planner),
        part_note(&parts.workflow)
    )
}

fn part_note(part: &RunMetrics) -> String {
    let mut note = format_duration(part.duration_ns);
    if part.llm.calls > 0 {
        note.push_str(&format!(", {}", calls_note(part.llm.calls)));
    }
    if let Some(spend) = spend_of_calls(&part.llm) {
        note.push_str(&format!(", {spend}"));
    }
    note
}

fn calls_note(calls: u64) -> String {
    let plural = if calls == 1 { "" } else { "s" };
    format!("{calls} LLM call{plural}")
}

/// Writes the planner's line of a trace's summary, where a planner ran.
pub(super) fn write_planner(trace: &TraceDocument, output: &mut dyn Write) -> io::Result<()> {
    let metrics = trace.metrics.as_ref();
    let Some(planner) = metrics.and_then(|metrics| metrics.get("planner")) else {
        return Ok(());
    };
    let duration_ns = planner["duration_ms"].as_f64().unwrap_or_default() * 1e6;
    let mut parts = vec![format_duration(duration_ns as u64)];
    parts.push(calls_note(planner["llm_calls"].as_u64().unwrap_or_default()));
    if let Some(tokens) = planner.pointer("/tokens/total").and_then(Value::as_u64) {
        parts.push(format!("{tokens} tokens"));
    }
    if let Some(cost) = planner["cost_usd"].as_f64() {
        parts.push(flowmeter_model::UsdNanos((cost * 1e9).round() as i64).to_string());
    }
    let paths = [PlannerPath::A, PlannerPath::B].map(PlannerPath::as_str);
    match planner["path_taken"].as_str().filter(|path| paths.contains(path)) {
        Some(path) => parts.push(format!("path {path}")),
        None => parts.push("no path taken".to_owned()),
    }
    writeln!(output, "- Planner: {}", parts.join(", "))
}

/// The planner's part of a trace: its span and all beneath it. `None` where no planner ran.
#[must_use]
pub fn planner_part(trace: &TraceDocument) -> Option<TraceDocument> {
    let is_planner = |kind: SpanKind, operation: &str| kind == SpanKind::Workflow && operation == "planner";
    let planner = trace
        .spans
        .iter()
        .find(|span| is_planner(span.kind, &span.operation))?;
    let mut inside: HashSet<SpanId> = HashSet::from([planner.span_id]);
    // Children may stand before their parents: again until nothing is added.
    loop {
        let before = inside.len();
        for span in &trace.spans {
            if span.parent_span_id.is_some_and(|parent| inside.contains(&parent)) {
                inside.insert(span.span_id);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    let spans = trace.spans.iter().filter(|span| inside.contains(&span.span_id));
    let logs = trace
        .logs
        .iter()
        .filter(|log| log.span_id.is_some_and(|span_id| inside.contains(&span_id)));
    let planner_metrics = trace.metrics.as_ref().and_then(|metrics| metrics.get("planner"));
    Some(TraceDocument {
        trace_id: trace.trace_id.clone(),
        workflow: Some("planner".to_owned()),
        started: Some(planner.start),
        status: planner.status,
        error: planner.error.clone(),
        spans: spans.cloned().collect(),
        logs: logs.cloned().collect(),
        metrics: planner_metrics.map(
            |planner| serde_json::json!({"total_duration_ms": planner["duration_ms"], "planner": planner}),
        ),
        sampled: trace.sampled,
        pid: trace.pid,
        broken_lines: trace.broken_lines,
    })
}

#[cfg(test)]
mod tests;
