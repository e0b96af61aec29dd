//! What is kept of a run that was not sampled: its root, what failed, and what its LLM calls used.
//!
//! Every kept span stands directly beneath the root. Children end before their parents, so when a span is kept
//! nobody knows yet which of the spans around it will be; waiting for them would hold back what a kill must not
//! lose, and keeping them all as stubs would be most of the trace again. Where a span belonged is told by an
//! attribute instead. Never keeps an orphan and never buffers a span.

use flowmeter_model::{LogLevel, LogRecord, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent};
use rustc_hash::FxHashMap;
use smol_str::{SmolStr, format_smolstr};

use crate::genai;

/// The attribute that tells to which node a kept span belonged: `outer/inner`.
pub(crate) const NODE_PATH: &str = "flowmeter.node.path";

/// How many open spans are remembered, to name the node of what they hold.
const OPEN_MAX: usize = 65_536;

/// Attributes that hold content. Source: OpenTelemetry's GenAI conventions, "opt-in".
const CONTENT: &[&str] = &[
    genai::INPUT_MESSAGES,
    genai::OUTPUT_MESSAGES,
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
];

/// What is left of a span in the trace of a run that was not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimal {
    /// All of it: it failed.
    Whole,
    /// All but its content: an LLM call, for its usage and its cost.
    Stripped,
    /// Nothing.
    Dropped,
}

/// What is left of this span, which is not the root.
#[must_use]
pub fn minimal_form(span: &Span) -> Minimal {
    if span.status == Some(SpanStatus::Error) || span.error.is_some() {
        Minimal::Whole
    } else if span.kind == SpanKind::LlmCall || span.usage.is_some() {
        Minimal::Stripped
    } else {
        Minimal::Dropped
    }
}

/// Reduces a run that was not sampled to its minimal trace, event by event.
#[derive(Debug)]
pub struct MinimalTrace {
    root: SpanId,
    open: FxHashMap<SpanId, OpenSpan>,
}

/// What is remembered of a span that has begun.
#[derive(Debug)]
struct OpenSpan {
    parent: Option<SpanId>,
    node: Option<SmolStr>,
}

impl MinimalTrace {
    /// Begins with the id of the run's root span.
    #[must_use]
    pub fn new(root: SpanId) -> Self {
        Self {
            root,
            open: FxHashMap::default(),
        }
    }

    /// What is left of an event, if anything. Wants the beginnings of spans too: they name the nodes.
    #[must_use]
    pub fn take(&mut self, event: TelemetryEvent) -> Option<TelemetryEvent> {
        match event {
            TelemetryEvent::SpanStarted(span) => {
                let is_root = span.span_id == self.root;
                if !is_root && self.open.len() < OPEN_MAX {
                    let node = (span.kind == SpanKind::Node)
                        .then(|| span.attributes.get_str("node.id").map(SmolStr::new))
                        .flatten();
                    let parent = span.parent_span_id;
                    self.open.insert(span.span_id, OpenSpan { parent, node });
                }
                is_root.then_some(TelemetryEvent::SpanStarted(span))
            }
            TelemetryEvent::SpanEnded(span) if span.span_id == self.root => {
                Some(TelemetryEvent::SpanEnded(span))
            }
            TelemetryEvent::SpanEnded(mut span) => {
                let form = minimal_form(&span);
                if form != Minimal::Dropped {
                    if form == Minimal::Stripped {
                        strip(&mut span);
                    }
                    if let Some(path) = self.node_path(span.span_id) {
                        span.attributes.set(NODE_PATH, path);
                    }
                    span.parent_span_id = Some(self.root);
                }
                self.open.remove(&span.span_id);
                (form != Minimal::Dropped).then_some(TelemetryEvent::SpanEnded(span))
            }
            TelemetryEvent::Log(trace_id, record) => {
                let record = self.take_log(record)?;
                Some(TelemetryEvent::Log(trace_id, record))
            }
        }
    }

    /// Errors stay; their span may not, so they stand beneath the root.
    fn take_log(&self, mut record: Box<LogRecord>) -> Option<Box<LogRecord>> {
        if record.level < LogLevel::Error {
            return None;
        }
        if let Some(span_id) = record.span_id.filter(|span_id| *span_id != self.root) {
            if let Some(path) = self.node_path(span_id) {
                record.attributes.set(NODE_PATH, path);
            }
            record.span_id = Some(self.root);
        }
        Some(record)
    }

    /// The node that a span is part of, with the nodes around it.
    fn node_path(&self, span_id: SpanId) -> Option<SmolStr> {
        let mut path: Option<SmolStr> = None;
        let mut at = Some(span_id);
        // Ids that lead in a circle must not lead us: no tree is deeper than it has open spans.
        for _ in 0..=self.open.len() {
            let Some(open) = at.and_then(|span_id| self.open.get(&span_id)) else {
                break;
            };
            if let Some(node) = &open.node {
                path = Some(match path {
                    None => node.clone(),
                    Some(inner) => format_smolstr!("{node}/{inner}"),
                });
            }
            at = open.parent;
        }
        path
    }
}

/// Leaves numbers and names, and takes everything away that somebody wrote or that a model answered.
fn strip(span: &mut Span) {
    let attributes = std::mem::take(&mut span.attributes);
    for (key, value) in attributes.iter() {
        if !CONTENT.contains(&key.as_str()) {
            span.attributes.set(key.clone(), value.clone());
        }
    }
    span.events.clear();
    span.logs.clear();
    span.params = None;
    span.templates.clear();
    span.mutations.clear();
}

#[cfg(test)]
mod tests;
