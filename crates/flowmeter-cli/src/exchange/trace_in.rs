//! Trace files into the history: what `--trace` and failures have saved.
//!
//! Never joins the files of one trace: each holds runs of its own.

use std::path::Path;

use anyhow::{Result, anyhow};
use flowmeter::read_trace;
use flowmeter_model::{
    Attributes, CostTotal, Span, SpanKind, SpanStatus, TelemetryEvent, TimestampNs, TraceId,
};
use flowmeter_store::{RunEnd, RunKey, RunStatus, TokenSums};
use serde_json::Value;
use smol_str::SmolStr;

use super::import::{ImportWatch, Importer, Place};
use super::otlp_in::TraceIndex;

/// Imports one trace file.
///
/// # Errors
/// When it is none, and when the history cannot be written.
pub(crate) fn import_trace(
    path: &Path,
    importer: &mut Importer<'_>,
    watch: &mut dyn ImportWatch,
) -> Result<()> {
    let mut trace = read_trace(path)?;
    let trace_id = TraceId::parse(&trace.trace_id).map_err(|error| anyhow!("{error}"))?;
    if trace.broken_lines > 0 {
        let text = format!("{} lines that were cut off are left out", trace.broken_lines);
        importer.problem(watch, &Place::File, &text);
    }
    let workflow = trace
        .workflow
        .clone()
        .map_or_else(SmolStr::default, SmolStr::from);
    let nothing = Attributes::new();
    let mut index = TraceIndex::default();
    for span in &trace.spans {
        index.add(span, &workflow, &nothing);
    }
    index.settle();
    let runs: Vec<RunKey> = keys(&index, &trace.spans);
    let ending = match (runs.as_slice(), &trace.metrics, trace.status) {
        // Of a file with several runs nobody knows whose metrics these are.
        ([key], Some(metrics), Some(status)) => Some(ending_of(*key, status, metrics, &trace)),
        _ => None,
    };
    for key in &runs {
        let root = trace.spans.iter().find(|span| span.span_id == key.root_span_id);
        let Some(root) = root.or(trace.spans.first()) else {
            continue;
        };
        let mut start = index.start_of(*key, root, &nothing);
        start.sampled = trace.sampled;
        if start.workflow.is_empty() || runs.len() == 1 && !workflow.is_empty() {
            start.workflow = workflow.clone();
        }
        importer.begin(start)?;
    }
    for log in trace.logs.drain(..) {
        let of_span = log.span_id.and_then(|span_id| index.run_of(trace_id, span_id));
        match of_span.or(runs.first().copied()) {
            Some(key) => importer.event(key, TelemetryEvent::Log(trace_id, Box::new(log)))?,
            None => importer.imported.logs_astray += 1,
        }
    }
    for span in trace.spans.drain(..) {
        let Some(key) = index.run_of(span.trace_id, span.span_id) else {
            continue;
        };
        let event = if span.end.is_some() {
            TelemetryEvent::SpanEnded(Box::new(span))
        } else {
            TelemetryEvent::SpanStarted(Box::new(span))
        };
        importer.event(key, event)?;
    }
    if let Some(ending) = ending {
        importer.end(ending)?;
    }
    importer.end_of_file()
}

/// The runs of the spans, in the order in which they come.
fn keys(index: &TraceIndex, spans: &[Span]) -> Vec<RunKey> {
    let mut keys: Vec<RunKey> = Vec::new();
    for span in spans {
        if let Some(key) = index.run_of(span.trace_id, span.span_id)
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    keys
}

fn ending_of(key: RunKey, status: SpanStatus, metrics: &Value, trace: &flowmeter::TraceDocument) -> RunEnd {
    let spans = &trace.spans;
    let root = spans.iter().find(|span| span.span_id == key.root_span_id);
    let last = spans.iter().filter_map(|span| span.end).max();
    let is_asked = |span: &&Span| !is_cache_hit(span);
    let calls: Vec<&Span> = spans
        .iter()
        .filter(|span| span.kind == SpanKind::LlmCall)
        .filter(is_asked)
        .collect();
    let mut tokens = TokenSums::default();
    let mut cost = CostTotal::default();
    for call in &calls {
        if let Some(usage) = &call.usage {
            tokens.add(&TokenSums::of(usage));
        }
        if let Some(known) = &call.cost {
            cost.add(
                call.attributes
                    .get_str("gen_ai.request.model")
                    .unwrap_or_default(),
                known,
            );
        }
    }
    let nodes = spans.iter().filter(|span| span.kind == SpanKind::Node).count() as u64;
    RunEnd {
        key,
        ended: root
            .and_then(|root| root.end)
            .or(last)
            .or(trace.started)
            .unwrap_or(TimestampNs(0)),
        status: match status {
            SpanStatus::Ok => RunStatus::Ok,
            SpanStatus::Error => RunStatus::Error,
            SpanStatus::Cancelled => RunStatus::Cancelled,
        },
        error: trace.error.clone(),
        sampled: trace.sampled,
        // Of a run that was not sampled only the metrics know all nodes.
        nodes: metrics.get("node_count").and_then(Value::as_u64).unwrap_or(nodes),
        llm_calls: calls.len() as u64,
        tokens,
        cost,
        saved: CostTotal::default(),
        metrics: metrics.clone(),
    }
}

/// Whether an answer came from our own cache: then nobody was asked.
fn is_cache_hit(span: &Span) -> bool {
    matches!(
        span.attributes.get("flowmeter.cache.hit"),
        Some(flowmeter_model::AttributeValue::Bool(true))
    )
}
