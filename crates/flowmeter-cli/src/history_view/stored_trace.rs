//! A run of the history as a trace, as the trace file would have it; and the parts of it that are asked for one by one.
//!
//! Never writes: the formats do.

use std::collections::HashSet;
use std::ops::ControlFlow;

use anyhow::Result;
use flowmeter::TraceDocument;
use flowmeter_model::{LogRecord, Span, SpanId, SpanStatus, TraceId};
use flowmeter_otlp::{Encoder, EncoderConfig, Envelope};
use flowmeter_store::{LogFilter, RunDetail, RunKey, RunRow, RunStatus, Store};
use serde_json::Value;

use super::places::Places;

/// The trace of these runs, joined where several make it up.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn trace_of(store: &dyn Store, runs: &[RunRow]) -> Result<Option<TraceDocument>> {
    let mut parts = Vec::with_capacity(runs.len());
    for row in runs {
        if let Some(detail) = store.run(&row.key)? {
            parts.push(part_of(store, detail)?);
        }
    }
    Ok(TraceDocument::joined(parts))
}

fn part_of(store: &dyn Store, detail: RunDetail) -> Result<TraceDocument> {
    let row = &detail.row;
    let has_end = !matches!(row.status, RunStatus::Running | RunStatus::Interrupted);
    let is_running = row.status == RunStatus::Running;
    Ok(TraceDocument {
        trace_id: row.key.trace_id.to_string(),
        workflow: Some(row.workflow.to_string()),
        started: Some(row.started),
        status: match row.status {
            RunStatus::Ok => Some(SpanStatus::Ok),
            RunStatus::Error => Some(SpanStatus::Error),
            RunStatus::Cancelled => Some(SpanStatus::Cancelled),
            RunStatus::Running | RunStatus::Interrupted => None,
        },
        error: row.error.clone(),
        spans: spans_of(store, &detail)?,
        logs: logs_of(store, &row.key)?,
        pid: detail
            .process
            .as_ref()
            .filter(|_| is_running)
            .map(|process| process.pid),
        sampled: row.sampled,
        metrics: detail.metrics.filter(|_| has_end).map(trace_metrics),
        broken_lines: 0,
    })
}

/// The metrics as a trace has them; runs from elsewhere may have nothing else.
fn trace_metrics(mut metrics: Value) -> Value {
    match metrics.get_mut("trace").map(Value::take) {
        Some(Value::Object(mut of_trace)) => {
            if let Some(dropped) = metrics.get_mut("dropped") {
                of_trace.insert("dropped".to_owned(), dropped.take());
            }
            of_trace.into()
        }
        _ => metrics,
    }
}

/// All spans of a run with everything that is kept of them, open ones at the end.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn spans_of(store: &dyn Store, detail: &RunDetail) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    store.spans(&detail.row.key, &mut |span| {
        spans.push(span);
        ControlFlow::Continue(())
    })?;
    let ended: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let open = detail.open.iter().filter(|span| !ended.contains(&span.span_id));
    spans.extend(open.cloned());
    Ok(spans)
}

/// All log lines of a run, oldest first.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn logs_of(store: &dyn Store, key: &RunKey) -> Result<Vec<LogRecord>> {
    let filter = LogFilter {
        run: Some(*key),
        ..LogFilter::default()
    };
    let mut logs = Vec::new();
    store.logs(&filter, &mut |log| {
        logs.push(log.record);
        ControlFlow::Continue(())
    })?;
    Ok(logs)
}

/// The spans of these runs as OTLP/JSON: one request a run, for each has a resource of its own.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn otlp_json(store: &dyn Store, runs: &[RunRow]) -> Result<Vec<Vec<u8>>> {
    let encoder = Encoder::new(EncoderConfig {
        content: true,
        ..EncoderConfig::default()
    });
    let mut requests = Vec::with_capacity(runs.len());
    for row in runs {
        let Some(detail) = store.run(&row.key)? else {
            continue;
        };
        let envelope = Envelope {
            resource: &detail.resource,
            trace_state: "",
            sampled: detail.row.sampled,
            scope_version: env!("CARGO_PKG_VERSION"),
        };
        let spans = spans_of(store, &detail)?;
        requests.push(encoder.traces(&envelope, &mut spans.iter()).to_json());
    }
    Ok(requests)
}

/// A run whose spans are fetched as they are needed, or that was read from a file.
pub(crate) enum RunSpans<'a> {
    /// From the store.
    Stored {
        store: &'a dyn Store,
        detail: Box<RunDetail>,
        places: Places,
    },
    /// From a trace file.
    Read {
        trace: &'a TraceDocument,
        places: Places,
    },
}

impl<'a> RunSpans<'a> {
    /// A run of the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn stored(store: &'a dyn Store, detail: RunDetail) -> Result<Self> {
        Ok(Self::Stored {
            places: Places::of_run(store, &detail)?,
            store,
            detail: Box::new(detail),
        })
    }

    /// A trace that was read.
    pub(crate) fn read(trace: &'a TraceDocument) -> Self {
        Self::Read {
            places: Places::of_spans(&trace.spans),
            trace,
        }
    }

    /// Where its spans stand.
    pub(crate) fn places(&self) -> &Places {
        match self {
            Self::Stored { places, .. } | Self::Read { places, .. } => places,
        }
    }

    /// The run's id as far as it is known.
    pub(crate) fn run_id(&self) -> String {
        match self {
            Self::Stored { detail, .. } => detail.row.key.to_string(),
            Self::Read { trace, .. } => trace.trace_id.clone(),
        }
    }

    /// The workflow's name.
    pub(crate) fn workflow(&self) -> &str {
        match self {
            Self::Stored { detail, .. } => &detail.row.workflow,
            Self::Read { trace, .. } => trace.workflow.as_deref().unwrap_or_default(),
        }
    }

    /// The trace's id, where it is one of ours.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        match self {
            Self::Stored { detail, .. } => Some(detail.row.key.trace_id),
            Self::Read { trace, .. } => TraceId::parse(&trace.trace_id).ok(),
        }
    }

    /// Whether prompts, answers and other payloads have had their time.
    pub(crate) fn are_payloads_gone(&self) -> bool {
        match self {
            Self::Stored { detail, .. } => detail.row.payloads_gone,
            Self::Read { .. } => false,
        }
    }

    /// A span with everything that is kept of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn span(&self, id: SpanId) -> Result<Option<Span>> {
        match self {
            Self::Stored { store, detail, .. } => {
                let ended = store.span(&detail.row.key, id)?;
                let open = || detail.open.iter().find(|span| span.span_id == id).cloned();
                Ok(ended.or_else(open))
            }
            Self::Read { trace, .. } => Ok(trace.spans.iter().find(|span| span.span_id == id).cloned()),
        }
    }

    /// Shows every span with everything that is kept of it, open ones at the end.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&Span)) -> Result<()> {
        match self {
            Self::Stored { store, detail, .. } => {
                let mut ended = HashSet::new();
                store.spans(&detail.row.key, &mut |span| {
                    ended.insert(span.span_id);
                    visit(&span);
                    ControlFlow::Continue(())
                })?;
                let open = detail.open.iter().filter(|span| !ended.contains(&span.span_id));
                open.for_each(visit);
            }
            Self::Read { trace, .. } => trace.spans.iter().for_each(visit),
        }
        Ok(())
    }

    /// The log lines written in these spans, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn logs_in(&self, spans: &HashSet<SpanId>) -> Result<Vec<LogRecord>> {
        let mut logs = match self {
            Self::Stored { store, detail, .. } => logs_of(*store, &detail.row.key)?,
            Self::Read { trace, .. } => trace.logs.clone(),
        };
        logs.retain(|log| log.span_id.is_some_and(|id| spans.contains(&id)));
        logs.sort_by_key(|log| log.time);
        Ok(logs)
    }
}
