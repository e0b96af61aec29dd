//! The wire form of a run's beginning and end, as lines of `flowmeter.history/1`.
//!
//! Model types are not wire types: a change here changes what other programs, and older ones of ours, read.

use std::collections::BTreeSet;

use flowmeter_model::{Attributes, CostTotal, SpanError, SpanId, TimestampNs, TraceId, UsdNanos};
use flowmeter_store::{Origin, ProcessMark, RunDetail, RunEnd, RunKey, RunStart, RunStatus, TokenSums};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::HISTORY_FORMAT;

/// The type of the line that begins a run.
pub(super) const RUN_BEGIN: &str = "run_begin";
/// The type of the line that ends one.
pub(super) const RUN_END: &str = "run_end";

/// A run's beginning.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BeginLine {
    #[serde(rename = "type")]
    line_type: String,
    /// The format of the file, so that each run can be read alone.
    pub(super) format: String,
    trace_id: TraceId,
    root_span_id: SpanId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    #[serde(default)]
    workflow: SmolStr,
    timestamp: TimestampNs,
    #[serde(default = "yes")]
    sampled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow_version: Option<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    git_commit: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    tags: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    resource: Attributes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<ProcessWire>,
}

fn yes() -> bool {
    true
}

/// The process that recorded a run.
#[derive(Debug, Serialize, Deserialize)]
struct ProcessWire {
    host: SmolStr,
    pid: u32,
    started: u64,
}

impl BeginLine {
    pub(super) fn of(run: &RunDetail) -> Self {
        let row = &run.row;
        let origin = &row.origin;
        let tags = origin.tags.iter();
        Self {
            line_type: RUN_BEGIN.to_owned(),
            format: HISTORY_FORMAT.to_owned(),
            trace_id: row.key.trace_id,
            root_span_id: row.key.root_span_id,
            parent_span_id: row.parent_span_id,
            workflow: row.workflow.clone(),
            timestamp: row.started,
            sampled: row.sampled,
            workflow_version: origin.workflow_version.clone(),
            session: origin.session.clone(),
            user: origin.user.clone(),
            git_commit: origin.git_commit.clone(),
            tags: tags
                .map(|(key, value)| (key.clone(), value.as_str().into()))
                .collect(),
            resource: run.resource.clone(),
            process: run.process.as_ref().map(|process| ProcessWire {
                host: process.host.clone(),
                pid: process.pid,
                started: process.started,
            }),
        }
    }

    pub(super) fn into_start(self) -> RunStart {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        RunStart {
            key: RunKey {
                trace_id: self.trace_id,
                root_span_id: self.root_span_id,
            },
            parent_span_id: self.parent_span_id,
            workflow: self.workflow,
            started: self.timestamp,
            sampled: self.sampled,
            origin: Origin {
                workflow_version: self.workflow_version,
                session: self.session,
                user: self.user,
                git_commit: self.git_commit,
                tags: self
                    .tags
                    .into_iter()
                    .map(|(key, value)| (key, text(value)))
                    .collect(),
            },
            resource: self.resource,
            process: self.process.map(|process| ProcessMark {
                host: process.host,
                pid: process.pid,
                started: process.started,
            }),
        }
    }
}

/// A run's end.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EndLine {
    #[serde(rename = "type")]
    line_type: String,
    trace_id: TraceId,
    root_span_id: SpanId,
    timestamp: TimestampNs,
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<SpanError>,
    #[serde(default = "yes")]
    sampled: bool,
    #[serde(default)]
    nodes: u64,
    #[serde(default)]
    llm_calls: u64,
    #[serde(default)]
    tokens: TokensWire,
    #[serde(default)]
    cost: CostWire,
    #[serde(default)]
    saved: CostWire,
    #[serde(default)]
    metrics: Value,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct TokensWire {
    #[serde(default)]
    input: u64,
    #[serde(default)]
    cache_read: u64,
    #[serde(default)]
    cache_write: u64,
    #[serde(default)]
    output: u64,
    #[serde(default)]
    reasoning: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct CostWire {
    #[serde(default)]
    usd_nanos: i64,
    #[serde(default)]
    calls: u64,
    #[serde(default)]
    unpriced_calls: u64,
    #[serde(default)]
    partial_calls: u64,
    #[serde(default)]
    estimated_calls: u64,
    #[serde(default)]
    reported_calls: u64,
}

impl CostWire {
    fn of(total: &CostTotal) -> Self {
        Self {
            usd_nanos: total.known.0,
            calls: total.calls,
            unpriced_calls: total.unpriced_calls,
            partial_calls: total.partial_calls,
            estimated_calls: total.estimated_calls,
            reported_calls: total.reported_calls,
        }
    }

    fn into_total(self) -> CostTotal {
        CostTotal {
            known: UsdNanos(self.usd_nanos),
            calls: self.calls,
            unpriced_calls: self.unpriced_calls,
            partial_calls: self.partial_calls,
            estimated_calls: self.estimated_calls,
            reported_calls: self.reported_calls,
            unpriced_models: BTreeSet::new(),
        }
    }
}

impl EndLine {
    /// The end of a run; `None` of one that nobody saw end.
    pub(super) fn of(run: &RunDetail) -> Option<Self> {
        let row = &run.row;
        let metrics = run.metrics.clone()?;
        let tokens = &row.tokens;
        Some(Self {
            line_type: RUN_END.to_owned(),
            trace_id: row.key.trace_id,
            root_span_id: row.key.root_span_id,
            timestamp: row.ended.unwrap_or(row.started),
            status: row.status.as_str().to_owned(),
            error: row.error.clone(),
            sampled: row.sampled,
            nodes: row.nodes,
            llm_calls: row.llm_calls,
            tokens: TokensWire {
                input: tokens.input,
                cache_read: tokens.cache_read,
                cache_write: tokens.cache_write,
                output: tokens.output,
                reasoning: tokens.reasoning,
            },
            cost: CostWire::of(&row.cost),
            saved: CostWire::of(&row.saved),
            metrics,
        })
    }

    /// The end; `None` where its status is none that a run can end with.
    pub(super) fn into_end(self) -> Option<RunEnd> {
        let status = RunStatus::of_name(&self.status)
            .filter(|status| !matches!(status, RunStatus::Running | RunStatus::Interrupted))?;
        Some(RunEnd {
            key: RunKey {
                trace_id: self.trace_id,
                root_span_id: self.root_span_id,
            },
            ended: self.timestamp,
            status,
            error: self.error,
            sampled: self.sampled,
            nodes: self.nodes,
            llm_calls: self.llm_calls,
            tokens: TokenSums {
                input: self.tokens.input,
                cache_read: self.tokens.cache_read,
                cache_write: self.tokens.cache_write,
                output: self.tokens.output,
                reasoning: self.tokens.reasoning,
            },
            cost: self.cost.into_total(),
            saved: self.saved.into_total(),
            metrics: self.metrics,
        })
    }
}
