//! What travels with a record besides numbers and short texts: shared pointers to values, nothing copied.
//!
//! Never serialised here: the pipeline turns it into a span, limits and masks it.

use std::sync::Arc;

use flowmeter_engine::{Ticks, Writes};
use flowmeter_model::{Attributes, Cost, LogLevel, SpanError, SpanId, SpanKind, SpanStatus, TokenUsage};
use serde_json::Value;
use smol_str::SmolStr;

/// What belongs to a span.
#[derive(Default)]
pub(crate) struct SpanDetails {
    pub(crate) attributes: Attributes,
    pub(crate) config: Option<Arc<Value>>,
    pub(crate) params: Option<Arc<Value>>,
    pub(crate) templates: Vec<(SmolStr, Arc<Value>)>,
    pub(crate) mutations: Writes,
    pub(crate) error: Option<SpanError>,
    pub(crate) usage: Option<TokenUsage>,
    pub(crate) cost: Option<Cost>,
    /// What was sent to a model.
    pub(crate) messages: Option<Arc<Value>>,
    /// What came back.
    pub(crate) response: Option<Arc<Value>>,
    pub(crate) raw_usage: Option<Arc<Value>>,
}

/// A log line on its way to the pipeline.
pub(crate) struct LogDraft {
    pub(crate) span_id: Option<SpanId>,
    pub(crate) at: Ticks,
    pub(crate) level: LogLevel,
    pub(crate) message: String,
    pub(crate) target: Option<SmolStr>,
}

const KINDS: [SpanKind; 8] = [
    SpanKind::Custom,
    SpanKind::Run,
    SpanKind::Node,
    SpanKind::Attempt,
    SpanKind::BatchItem,
    SpanKind::Iteration,
    SpanKind::Workflow,
    SpanKind::LlmCall,
];

/// Packs kind and status into the byte that a record carries for the layer above.
pub(crate) fn tag_of(kind: SpanKind, status: SpanStatus) -> u8 {
    let kind = KINDS.iter().position(|known| *known == kind).unwrap_or(0);
    let status = match status {
        SpanStatus::Ok => 0,
        SpanStatus::Error => 1,
        SpanStatus::Cancelled => 2,
    };
    u8::try_from(kind << 2).unwrap_or(0) | status
}

/// The way back from [`tag_of`].
pub(crate) fn kind_and_status(tag: u8) -> (SpanKind, SpanStatus) {
    let kind = KINDS
        .get(usize::from(tag >> 2))
        .copied()
        .unwrap_or(SpanKind::Custom);
    let status = match tag & 3 {
        0 => SpanStatus::Ok,
        1 => SpanStatus::Error,
        _ => SpanStatus::Cancelled,
    };
    (kind, status)
}
