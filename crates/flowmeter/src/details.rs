//! What travels with a record besides numbers and short texts: shared pointers to values, nothing copied.
//!
//! Never serialised here: the pipeline turns it into a span, limits and masks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowmeter_engine::Writes;
use flowmeter_model::{Attributes, Cost, LogLevel, SpanError, SpanKind, SpanStatus, TokenUsage};
use serde_json::Value;
use smol_str::SmolStr;

use crate::performance::ChildUsage;

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
    /// Processes that ended in this span.
    pub(crate) children: Option<ChildUsage>,
    pub(crate) weight: Weight,
}

/// Bytes of captured values that only telemetry keeps alive; given back when the details are dropped, wherever
/// that happens.
#[derive(Default)]
pub(crate) struct Weight {
    waiting: Option<Arc<AtomicUsize>>,
    bytes: usize,
}

impl SpanDetails {
    /// Counts what is large and would be free by now if it did not wait for the pipeline. Called when the span
    /// has ended: while it is open, its parameters are needed anyway.
    pub(crate) fn weigh(&mut self, waiting: &Arc<AtomicUsize>) {
        let values = self.params.iter().chain(self.mutations.values_before());
        for value in values {
            self.weight.add(waiting, value);
        }
    }
}

impl Weight {
    /// Counts `value` in `waiting` if it is large.
    fn add(&mut self, waiting: &Arc<AtomicUsize>, value: &Value) {
        let bytes = bytes_of(value);
        if bytes > SMALL_BYTES {
            waiting.fetch_add(bytes, Ordering::Relaxed);
            self.waiting.get_or_insert_with(|| Arc::clone(waiting));
            self.bytes += bytes;
        }
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        if let Some(waiting) = &self.waiting {
            waiting.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Values up to this size are not worth counting.
const SMALL_BYTES: usize = 4096;

/// Bytes that a value keeps alive, as far as one look tells.
fn bytes_of(value: &Value) -> usize {
    const BRANCH_BYTES: usize = 64;
    let at_a_glance = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.len() * BRANCH_BYTES,
        Value::Object(members) => members.len() * BRANCH_BYTES,
        _ => 0,
    };
    match value {
        Value::Object(members) => members
            .values()
            .map(|member| at_a_glance(member) + BRANCH_BYTES)
            .sum(),
        other => at_a_glance(other),
    }
}

/// The levels as a log line's record numbers them.
const LEVELS: [LogLevel; 5] = [
    LogLevel::Trace,
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warn,
    LogLevel::Error,
];
/// In a log line's tag: part of it travels beside the record.
const MORE: u8 = 1 << 3;

/// The key of a log line's message among the attributes of its record.
pub(crate) const MESSAGE: &str = "";

/// Packs what a log line's record carries beside its attributes.
pub(crate) fn log_tag_of(level: LogLevel, has_more: bool) -> u8 {
    let level = LEVELS.iter().position(|known| *known == level).unwrap_or(2);
    u8::try_from(level).unwrap_or(0) | if has_more { MORE } else { 0 }
}

/// The way back from [`log_tag_of`].
pub(crate) fn level_and_more(tag: u8) -> (LogLevel, bool) {
    let level = LEVELS.get(usize::from(tag & 7)).copied();
    (level.unwrap_or(LogLevel::Info), tag & MORE != 0)
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

/// In a span's tag: its start has a record of its own.
const STARTED: u8 = 1 << 5;

/// Whether there is a record of the span's start as well: a light span of a library user has none.
pub(crate) fn has_start(tag: u8) -> bool {
    tag & STARTED != 0
}

/// Packs kind and status into the byte that a record carries for the layer above.
pub(crate) fn tag_of(kind: SpanKind, status: SpanStatus) -> u8 {
    let kind = KINDS.iter().position(|known| *known == kind).unwrap_or(0);
    let status = match status {
        SpanStatus::Ok => 0,
        SpanStatus::Error => 1,
        SpanStatus::Cancelled => 2,
    };
    STARTED | u8::try_from(kind << 2).unwrap_or(0) | status
}

/// The way back from [`tag_of`].
pub(crate) fn kind_and_status(tag: u8) -> (SpanKind, SpanStatus) {
    let kind = KINDS
        .get(usize::from((tag & !STARTED) >> 2))
        .copied()
        .unwrap_or(SpanKind::Custom);
    let status = match tag & 3 {
        0 => SpanStatus::Ok,
        1 => SpanStatus::Error,
        _ => SpanStatus::Cancelled,
    };
    (kind, status)
}
